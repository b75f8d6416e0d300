//! The core: what is wanted of every instance, what it is, and what is to be done about the difference.
//!
//! It makes no syscall, reads no clock, writes no log line. It is told what happened ([`Supervisor::handle`]),
//! and says what to do ([`Supervisor::poll_action`]) and when to call again ([`Supervisor::next_deadline`]), so
//! whole histories can be simulated. The caller drains the actions to `None` before the next event.
//!
//! Where to find what: `state` is what an instance can be, `service` what each event does in each state,
//! `steps` the moves between states, `beside` who runs beside the instances, `policy` what follows a death, `order` and
//! `tally` what instances have to do with each other, `shutdown` when and how the manager ends. Apart from them stands
//! what only looks: `kinds` says of which kinds a change is, `journal` remembers, `describe` and `explain` find words,
//! `hooks` says who is to be told.
//!
//! Invariants: a pid in a [`State`] is not yet reaped. A deadline is derived from the state, so none outlives
//! its cause. Nothing here allocates after [`Supervisor::new`]. [`Supervisor::check_invariants`] says them all.

mod aides;
mod beside;
pub mod cause;
pub mod deadlines;
mod demand;
pub mod describe;
pub mod edit;
mod ended;
pub mod event;
pub mod explain;
mod health;
pub mod hooks;
mod invariants;
pub mod journal;
mod kinds;
mod order;
pub mod pids;
pub mod policy;
mod processes;
mod roster;
mod service;
mod shutdown;
mod starting;
pub mod state;
mod steps;
mod stopping;
pub mod tally;
mod timer;

use std::collections::VecDeque;

use crate::exit::{ExitStatus, Pid};
use crate::plan::{InstanceId, Kind, Label, Plan, Process, Service, ServiceId, Settings, Standing};
use crate::signal::Signal;
use crate::time::{Duration, Instant};
use deadlines::Deadlines;
pub use event::{
    Action, Cause, Change, Event, Found, Outcome, Parting, Phase, Role, SignalTarget, Ticket, Told,
    Verb,
};
use pids::Pids;
use policy::Jitter;
pub use roster::Ids;
use roster::{Group, Roster};
use shutdown::Ending;
pub use state::Step;
use state::{State, StateKind};
use tally::{Summary, Tally};

/// How long lar waits for the rest of a killed process group before it goes on without: a process that even
/// KILL does not end at once hangs in the kernel, and may do so for ever.
const CLEARING_MAX: Duration = Duration::from_secs(1);

/// The least time between two tries when it is the spawn itself that fails, whatever the rules say. A
/// failure costs no process, so without it `backoff none` would keep lar from doing anything else.
const SPAWN_RETRY_MIN: Duration = Duration::from_millis(100);

/// The first readiness probe comes this soon (or after `ready-interval`, if that is sooner): most programs
/// take a few milliseconds to listen, and nobody likes to wait for the second probe.
const FIRST_PROBE: Duration = Duration::from_millis(10);

/// What a readiness command counts as that could not be executed: the code a shell has for it.
const NOT_FOUND: ExitStatus = ExitStatus::Code(127);

/// The state machine of everything that is supervised.
pub struct Supervisor {
    settings: Settings,
    roster: Roster,
    pids: Pids,
    deadlines: Deadlines,
    jitter: Jitter,
    actions: VecDeque<Action>,
    /// Services whose summary has changed: their dependents are to be looked at.
    touched: Vec<ServiceId>,
    /// Services that nobody keeps up any more.
    released: Vec<ServiceId>,
    /// Services whose dependencies are to be wanted up; used within one event.
    pulling: Vec<ServiceId>,
    /// Instances to be forgotten.
    vacating: Vec<InstanceId>,
    /// Successors that are ready.
    arriving: Vec<InstanceId>,
    ending: Ending,
}

/// What can be said about an instance from outside.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Its service.
    pub service: ServiceId,
    /// Its number within the service, from 1.
    pub number: u32,
    /// What it is to its service.
    pub standing: Standing,
    /// Of a successor: whom it is to take over from; of who had one: who did.
    pub peer: Option<InstanceId>,
    /// What it is.
    pub phase: Phase,
    /// What the operator wants it to be.
    pub wanted_up: bool,
    /// Its main process.
    pub pid: Option<Pid>,
    /// Since when it is in this phase.
    pub since: Instant,
    /// When the main process was spawned.
    pub spawned: Option<Instant>,
    /// When the next try is due (`backoff`, `cooldown`), or the next run of what has a timer.
    pub next: Option<Instant>,
    /// How the last main process ended.
    pub last_exit: Option<ExitStatus>,
    /// When a main process was last spawned, or was tried to be.
    pub last_spawn: Option<Instant>,
    /// How many deaths in a row its rules count at this moment.
    pub deaths: u32,
    /// When a process that is being stopped is sent the next signal.
    pub next_rung: Option<Instant>,
    /// How often the main process was started again after a death.
    pub restarts: u64,
    /// The last order it got.
    pub ticket: Ticket,
    /// Whether its last stop needed KILL.
    pub forced: bool,
    /// Why it is in this phase.
    pub cause: Cause,
}

impl Supervisor {
    /// A supervisor of this plan, everything still down. The seed is for jitter.
    pub fn new(mut plan: Plan, seed: u64) -> Supervisor {
        let ending = Ending::new(&plan);
        let roster = Roster::new(&mut plan);
        let mut supervisor = Supervisor {
            settings: plan.settings,
            roster,
            pids: Pids::new(0),
            deadlines: Deadlines::new(),
            jitter: Jitter::new(seed),
            actions: VecDeque::new(),
            touched: Vec::new(),
            released: Vec::new(),
            pulling: Vec::new(),
            vacating: Vec::new(),
            arriving: Vec::new(),
            ending,
        };
        supervisor.make_room();
        supervisor
    }

    /// Claims all memory that the instances there are may ever need.
    fn make_room(&mut self) {
        let (slots, groups) = (self.roster.slots.len(), self.roster.groups.len());
        let most = |group: &Group| {
            let slots = group.members.len() + group.extras.len();
            slots * Supervisor::most_processes(&group.service)
        };
        self.pids.make_room(self.roster.groups.iter().map(most).sum());
        self.deadlines.make_room(slots + 1);
        self.actions.reserve(self.most_actions());
        for list in [&mut self.touched, &mut self.released, &mut self.pulling] {
            list.reserve(groups);
        }
        // Whoever is at rest may be dismissed in the same event.
        self.vacating.reserve(slots * 2);
        self.arriving.reserve(slots);
    }

    /// Tells it that something happened.
    pub fn handle(&mut self, now: Instant, event: Event) {
        debug_assert!(self.actions.is_empty(), "actions are drained before the next event");
        self.roster.sweep();
        if let Some(instance) = event.instance().filter(|&id| !self.roster.has(id)) {
            return self.nobodys(instance, event);
        }
        match event {
            Event::Boot => self.boot(now),
            Event::Tick => self.tick(now),
            Event::Spawned { instance, role: role @ (Role::Main | Role::PreStart), pid } => {
                self.spawned(now, instance, role, pid);
            }
            Event::Spawned { instance, role, pid } => self.aide_spawned(instance, role, pid),
            Event::SpawnFailed { instance, role, stage, errno } => match role {
                Role::Main | Role::PreStart => {
                    self.spawn_failed(now, instance, role, (stage, errno));
                }
                _ => self.aide_not_spawned(now, instance, role, (stage, errno)),
            },
            Event::Exited { pid, status, lingering } => match self.pids.remove(pid) {
                Some((instance, Role::Main)) => self.ended(now, instance, Ok(status), lingering),
                Some((instance, Role::PreStart)) => self.prepared(now, instance, Ok(status)),
                Some((instance, role)) => self.aide_exited(now, instance, role, status),
                None => {} // an orphan that PID 1 inherited
            },
            Event::ExecFailed { pid, stage, errno } => match self.pids.remove(pid) {
                Some((instance, Role::Main)) => {
                    self.ended(now, instance, Err((stage, errno)), false);
                }
                Some((instance, Role::PreStart)) => {
                    self.prepared(now, instance, Err((stage, errno)));
                }
                Some((instance, role)) => self.aide_exited(now, instance, role, NOT_FOUND),
                None => {}
            },
            Event::GroupGone { instance } => self.group_gone(now, instance),
            Event::Told { instance, what } => self.said(now, instance, what),
            Event::Probed { instance, role, good } => self.probed(now, instance, role, good),
            Event::Found { instance, what } => self.found(now, instance, what),
            Event::Looked { instance, active } => self.looked(now, instance, active),
            Event::Order { instance, verb, ticket } => self.order(now, instance, verb, ticket),
            Event::Due { service } => self.timer_elapsed(now, service),
            Event::Connection { service, socket } => self.connected(now, service, socket),
            Event::Forward { instance, received, signal } => {
                self.forward(now, instance, received, signal);
            }
            Event::Shutdown => self.shut_down(now),
        }
        self.settle(now);
    }

    /// What every event, and every edit, ends with.
    fn settle(&mut self, now: Instant) {
        self.calm(now);
        self.end_if_due(now);
    }

    /// Goes on until nothing follows from anything any more.
    fn calm(&mut self, now: Instant) {
        self.propagate(now);
        while !self.vacating.is_empty() || !self.arriving.is_empty() {
            self.take_over(now);
            self.vacate(now);
            self.propagate(now);
        }
    }

    /// Something about an instance that is no more: a process that comes too late is not taken on.
    fn nobodys(&mut self, instance: InstanceId, event: Event) {
        if let Event::Spawned { pid, .. } = event {
            let target = SignalTarget::Process(pid);
            self.push(Action::Signal { instance, target, signal: Signal::KILL });
        }
    }

    /// What is to be done next; drain to `None` before the next [`Supervisor::handle`].
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due. It may change with every event.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| at)
    }

    /// The manager's own settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All services, in the order of the file and then of their coming.
    pub fn services(&self) -> Ids<ServiceId> {
        self.roster.services()
    }

    /// One service.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.roster.groups[id.index()].service
    }

    /// The service called `name`; case does not matter.
    pub fn find(&self, name: &str) -> Option<ServiceId> {
        self.roster.find(name)
    }

    /// All instances, service by service; after a service's own whoever runs beside them.
    pub fn instances(&self) -> Ids<InstanceId> {
        self.roster.instances()
    }

    /// The instances of one service.
    pub fn instances_of(&self, id: ServiceId) -> Ids<InstanceId> {
        self.roster.members(id)
    }

    /// The instances of one service, and whoever runs beside them.
    pub fn all_of(&self, id: ServiceId) -> impl Iterator<Item = InstanceId> + use<> {
        self.roster.members(id).chain(self.roster.extras(id))
    }

    /// One instance.
    pub fn instance(&self, id: InstanceId) -> Instance {
        let slot = &self.roster.slots[id.index()];
        let process = slot.state.process();
        let prepares = matches!(slot.state, State::Preparing { .. });
        Instance {
            service: slot.service,
            number: slot.number,
            standing: slot.standing,
            peer: slot.peer,
            phase: slot.state.phase(),
            wanted_up: slot.wanted_up,
            pid: process.map(|(pid, _)| pid).filter(|_| !prepares),
            since: slot.since,
            spawned: process.map(|(_, spawned)| spawned),
            next: match slot.state {
                State::Backoff { until } | State::Cooldown { until } => Some(until),
                _ => self.next_due(id),
            },
            last_exit: slot.last_exit,
            last_spawn: slot.last_spawn,
            deaths: slot.history.row(),
            next_rung: match slot.state {
                State::Stopping { until, .. } => until,
                _ => None,
            },
            restarts: slot.restarts,
            ticket: slot.ticket,
            forced: slot.forced,
            cause: slot.cause,
        }
    }

    /// Its name.
    pub fn label(&self, id: InstanceId) -> Label<'_> {
        let slot = &self.roster.slots[id.index()];
        let group = &self.roster.groups[slot.service.index()];
        Label {
            service: &group.service.name,
            number: slot.number,
            several: group.several || slot.number > 1,
            standing: slot.standing,
        }
    }

    /// What it runs.
    pub fn process(&self, id: InstanceId) -> Option<&Process> {
        let slot = &self.roster.slots[id.index()];
        let planned = &self.service(slot.service).processes;
        slot.process.as_deref().or_else(|| planned.get((slot.number as usize).wrapping_sub(1)))
    }

    /// Its state without the data: finer than [`Phase`], for tests.
    pub fn state_kind(&self, id: InstanceId) -> StateKind {
        self.roster.slots[id.index()].state.kind()
    }

    /// Whether it is up as its dependents need it: `running`, or to be started by whoever connects, or a one-shot that
    /// exited with 0.
    pub fn is_up(&self, id: InstanceId) -> bool {
        let state = &self.roster.slots[id.index()].state;
        let over = matches!(
            state,
            State::Backoff { .. } | State::Cooldown { .. } | State::Exited { .. } | State::Failed
        );
        // What has failed now is not up, whatever it did before.
        tally::satisfies(self.service_of(id).kind, state, self.timed(id).filter(|_| !over))
    }

    /// Whether it is what its dependents need: as `is_up`, but that what has a timer stays so once it has succeeded.
    pub fn satisfies(&self, id: InstanceId) -> bool {
        let state = &self.roster.slots[id.index()].state;
        tally::satisfies(self.service_of(id).kind, state, self.timed(id))
    }

    /// Who is to come after `id` because it requires, wants, or follows it. Each once.
    pub fn dependents(&self, id: ServiceId) -> &[ServiceId] {
        &self.roster.groups[id.index()].links.dependents
    }

    /// Who requires `id`. Each once.
    pub fn requirers(&self, id: ServiceId) -> &[ServiceId] {
        &self.roster.groups[id.index()].links.requirers
    }

    /// Its place in an order in which each comes after all it depends on.
    pub fn rank(&self, id: ServiceId) -> u32 {
        self.roster.groups[id.index()].links.rank
    }

    /// Whether the manager ends without it, and lets it run on.
    pub fn is_left(&self, id: InstanceId) -> bool {
        self.roster.slots[id.index()].left
    }

    /// Whether the manager is ending.
    pub fn shutting_down(&self) -> bool {
        self.ending.begun()
    }

    fn service_of(&self, id: InstanceId) -> &Service {
        self.service(self.roster.slots[id.index()].service)
    }

    fn summary(&self, id: ServiceId) -> Summary {
        self.roster.groups[id.index()].tally.summary()
    }

    fn push(&mut self, action: Action) {
        debug_assert!(self.actions.len() < self.actions.capacity(), "the bound in `new` holds");
        self.actions.push_back(action);
    }

    /// What this instance adds to its service's tally.
    fn share(&self, id: InstanceId) -> Tally {
        let slot = &self.roster.slots[id.index()];
        let kind: Kind = self.service(slot.service).kind;
        let tally = match slot.standing {
            Standing::Regular => Tally::of(kind, slot.wanted_up, &slot.state, self.timed(id)),
            _ => Tally::beside(slot.wanted_up, &slot.state),
        };
        if slot.left { Tally { busy: 0, ..tally } } else { tally }
    }

    /// The most actions that one event can ask for. A tick after a long sleep (or a shutdown) may take every
    /// instance up its whole ladder at once: each rung's signal and its CONT; a probe taken back, six changes, a
    /// spawn, KILL. And one `Finish`.
    fn most_actions(&self) -> usize {
        let of = |group: &Group| {
            let slots = group.members.len() + group.extras.len();
            slots * (2 * group.service.stop.rungs.len() + 28)
        };
        self.roster.groups.iter().map(of).sum::<usize>() + 8
    }
}
