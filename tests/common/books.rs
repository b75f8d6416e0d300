//! A supervisor under audit: everything that is told to it and asked by it passes through here, and
//! is held against books that are kept from the events alone.
//!
//! It makes nothing happen. The simulation, the exhaustive tests and the scenarios each drive it
//! in their own way. A broken rule is a panic; each `assert` names the rule.

#![allow(dead_code)] // each test binary uses its own part of it
#[path = "afterwards.rs"]
mod afterwards;
#[path = "beside.rs"]
mod beside;
#[path = "commands.rs"]
mod commands;
#[path = "edits.rs"]
mod edits;
#[path = "kinds.rs"]
mod kinds;
#[path = "ladder.rs"]
mod ladder;
#[path = "pulled.rs"]
mod pulled;
#[path = "summary.rs"]
mod summary;

use lar::exit::{ExitStatus, Pid};
use lar::plan::{InstanceId, Kind, Plan, Probe, Service, ServiceId, Standing, Start, Task};
use lar::signal::Signal;
use lar::supervisor::state::StateKind;
use lar::supervisor::{
    Action, Cause, Change, Event, Phase, Role, SignalTarget, Supervisor, Ticket, Told, Verb,
};
use lar::time::{Duration, Instant};
use pulled::pulled_by;

/// As in the core: how long the rest of a group is waited for.
pub const CLEARING_MAX: Duration = Duration::from_secs(1);
/// As in the core: how long after the last KILL the manager goes without.
pub const LAST_WAIT: Duration = Duration::from_secs(2);

/// A process that is not yet reaped.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: Pid,
    pub instance: InstanceId,
    pub role: Role,
    /// Whether the core took it on; what it did not ask for it kills.
    pub adopted: bool,
}

/// How far a stop ladder was climbed.
#[derive(Clone, Copy, Debug)]
struct Climb {
    rung: usize,
    due: Option<Instant>,
    /// A CONT must follow.
    cont: bool,
    /// Begun by the event that is being looked at.
    fresh: bool,
    /// The ladder is another than when it was begun: its rungs are not counted any more.
    other: bool,
    /// One rung for the whole group: what did not come up in time, or was left behind.
    abort: bool,
    /// It was left behind by a main process.
    stray: bool,
    /// Its own command is at work.
    command: bool,
}

const CLIMB: Climb = Climb {
    rung: 0,
    due: None,
    cont: false,
    fresh: false,
    other: false,
    abort: false,
    stray: false,
    command: false,
};

/// What the books know of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shadow {
    /// What it was last said to be; `None` is `stopped`.
    phase: Option<Phase>,
    /// Told to be down, and nobody has wanted it up since.
    pub held: bool,
    /// A main process, or the command before it, was asked for and not answered.
    pub spawning: bool,
    /// Which of them.
    pub asked: Option<Role>,
    /// The command before it has done its work: the main process may come.
    prepared: bool,
    /// Its command for afterwards is to come.
    pub owes: bool,
    /// One was still there, hanging in the kernel, when another was due.
    pub hung: bool,
    /// That command was asked for, and this is how long it is waited for.
    pub afterwards: Option<Instant>,
    heard_ready: bool,
    clearing: Option<Instant>,
    climb: Option<Climb>,
    /// The manager's last KILL is announced.
    overdue: bool,
    last_spawn: Option<Instant>,
    /// Its place is nobody's.
    gone: bool,
    /// It runs beside the instances.
    beside: bool,
    /// It was wanted up when the last event was over.
    wanted: bool,
    /// It was what its dependents need then.
    satisfied: bool,
    /// A run of it was due while another went on, and comes after that.
    queued: bool,
}

/// The supervisor and its books.
pub struct Books {
    pub core: Supervisor,
    plan: Plan,
    pub now: Instant,
    /// What was asked for by the last event.
    pub actions: Vec<Action>,
    pub processes: Vec<Process>,
    pub shadows: Vec<Shadow>,
    shut_at: Option<Instant>,
    kill_at: Option<Instant>,
    /// What single-program mode was asked to end with.
    end_signal: Option<Signal>,
    pub finished: Option<u8>,
    /// Whose main process has just ended.
    died: Option<InstanceId>,
    /// The event that is looked at is a tick, and no edit.
    ticking: bool,
    /// Whether a service was ever defined anew.
    redefined: bool,
    pub tickets: u64,
}

impl Books {
    pub fn new(plan: Plan, seed: u64) -> Books {
        let core = Supervisor::new(plan.clone(), seed);
        let mut shadows = vec![Shadow::default(); plan.instances()];
        let boots = |id: &ServiceId| plan.service(*id).start == Start::Boot;
        let up: Vec<ServiceId> =
            plan.ids().filter(boots).flat_map(|id| pulled_by(&core, id)).collect();
        for (at, shadow) in shadows.iter_mut().enumerate() {
            let service = core.instance(InstanceId(at as u32)).service;
            shadow.held = !up.contains(&service);
        }
        Books {
            core,
            plan,
            now: Instant::ZERO,
            actions: Vec::new(),
            processes: Vec::new(),
            shadows,
            shut_at: None,
            kill_at: None,
            end_signal: None,
            finished: None,
            died: None,
            ticking: false,
            redefined: false,
            tickets: 0,
        }
    }

    pub fn service(&self, id: InstanceId) -> &Service {
        self.core.service(self.core.instance(id).service)
    }

    pub fn probe(&self, id: InstanceId) -> Option<&Probe> {
        self.core.process(id).and_then(|process| process.ready.as_ref())
    }

    pub fn kind(&self, id: InstanceId) -> StateKind {
        self.core.state_kind(id)
    }

    /// The process it has in this role, as the core should see it.
    pub fn process(&self, id: InstanceId, role: Role) -> Option<Pid> {
        let of = |p: &&Process| p.instance == id && p.role == role && p.adopted;
        self.processes.iter().find(of).map(|process| process.pid)
    }

    pub fn order(&mut self, instance: InstanceId, verb: Verb) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.tell(self.now, Event::Order { instance, verb, ticket });
    }

    /// Hands an event to the core, and checks everything.
    pub fn tell(&mut self, now: Instant, event: Event) {
        assert!(now >= self.now, "time goes forward");
        self.now = now;
        let begun = self.core.shutting_down();
        self.ticking = event == Event::Tick;
        self.before(event);
        self.core.handle(now, event);
        self.actions.clear();
        while let Some(action) = self.core.poll_action() {
            self.actions.push(action);
        }
        self.core.check_invariants();
        if self.core.shutting_down() && !begun {
            self.shut_at = Some(now);
            if let Event::Forward { signal, .. } = event {
                self.end_signal = Some(signal);
            }
        } else if begun && self.kill_at.is_none() && self.is_overdue(event) {
            self.kill_at = Some(now);
        }
        let mut passed_on = match event {
            Event::Order { instance, verb: Verb::Kill(signal), .. } => Some((instance, signal)),
            Event::Forward { instance, signal, .. } => Some((instance, signal)),
            _ => None,
        };
        for at in 0..self.actions.len() {
            self.audit(self.actions[at], event, &mut passed_on);
        }
        self.after(event);
    }

    /// Whether, the end having begun before, this event means: no more patience.
    fn is_overdue(&self, event: Event) -> bool {
        let timeout = self.core.settings().shutdown_timeout.unwrap_or(Duration::from_secs(60));
        let asked_again = match event {
            Event::Shutdown => true,
            Event::Forward { instance, received, .. } => {
                let ends = [Signal::TERM, Signal::INT, Signal::QUIT].contains(&received);
                let single = self.core.settings().single.is_some();
                single && ends && self.process(instance, Role::Main).is_none()
            }
            _ => false,
        };
        asked_again
            || event == Event::Tick && self.shut_at.is_some_and(|at| self.now >= at + timeout)
    }

    fn before(&mut self, event: Event) {
        match event {
            Event::Spawned { instance, role, pid } => {
                assert!(
                    self.processes.iter().all(|p| p.pid != pid),
                    "the kernel's pids are unique"
                );
                self.processes.push(Process { pid, instance, role, adopted: true });
                let shadow = &mut self.shadows[instance.index()];
                if shadow.spawning && shadow.asked == Some(role) {
                    shadow.heard_ready = false;
                    shadow.last_spawn = Some(self.now);
                    shadow.spawning = false;
                }
            }
            Event::SpawnFailed { instance, role, .. } => {
                let shadow = &mut self.shadows[instance.index()];
                match role {
                    Role::Main | Role::PreStart => {
                        if shadow.spawning && shadow.asked == Some(role) {
                            shadow.last_spawn = Some(self.now);
                            shadow.spawning = false;
                        }
                        self.note_end_of_run(instance);
                    }
                    Role::Stop => self.note_stop_command(instance, false),
                    Role::PostStop => shadow.afterwards = None,
                    Role::Probe | Role::Health | Role::Restart | Role::Reload => {}
                }
            }
            Event::Exited { pid, status, lingering } => self.reap(pid, status, lingering),
            Event::ExecFailed { pid, .. } => self.reap(pid, ExitStatus::Code(127), false),
            Event::GroupGone { instance } => {
                self.shadows[instance.index()].clearing = None;
                self.note_end_of_run(instance);
            }
            Event::Told { instance, what: Told::Ready } => {
                self.shadows[instance.index()].heard_ready |=
                    matches!(self.probe(instance), Some(Probe::Notify));
            }
            Event::Told { instance, what: Told::Main(pid) } => self.note_main_pid(instance, pid),
            Event::Told { .. } | Event::Looked { .. } => {}
            Event::Found { instance, what } => self.note_found(instance, what),
            Event::Probed { instance, role, good } => {
                let shadow = &mut self.shadows[instance.index()];
                shadow.heard_ready |= good && role == Role::Probe;
            }
            Event::Order { instance, verb, .. } => self.note_order(instance, verb),
            Event::Connection { service, .. } => self.note_connection(service),
            Event::Due { service } => self.note_due(service),
            Event::Tick => self.note_tick(),
            Event::Shutdown => self.shadows.iter_mut().for_each(|shadow| shadow.held = true),
            Event::Boot | Event::Forward { .. } => {}
        }
    }

    fn reap(&mut self, pid: Pid, status: ExitStatus, lingering: bool) {
        let Some(at) = self.processes.iter().position(|p| p.pid == pid) else { return };
        let process = self.processes.swap_remove(at);
        let shadow = &mut self.shadows[process.instance.index()];
        match process.role {
            Role::Main if process.adopted => {
                shadow.clearing = lingering.then_some(self.now);
                let stray = shadow.climb.take().is_some_and(|climb| climb.stray);
                self.died = (!stray).then_some(process.instance);
                self.note_end_of_run(process.instance);
            }
            Role::PreStart if process.adopted => {
                shadow.climb = None;
                shadow.prepared = status.success();
                self.note_end_of_run(process.instance);
            }
            Role::Probe if process.adopted => shadow.heard_ready |= status.success(),
            Role::Stop if process.adopted => {
                self.note_stop_command(process.instance, status.success());
            }
            Role::PostStop if process.adopted => shadow.afterwards = None,
            Role::Main | Role::PreStart | Role::Stop | Role::PostStop => {}
            Role::Probe | Role::Health | Role::Restart | Role::Reload => {}
        }
    }

    fn note_order(&mut self, id: InstanceId, verb: Verb) {
        if self.shadows[id.index()].beside {
            return self.shadows[id.index()].held |= verb == Verb::Stop;
        }
        let starts = match verb {
            Verb::Stop => {
                self.shadows[id.index()].held = true;
                self.hold_successors(id);
                false
            }
            Verb::Remove | Verb::Scale | Verb::Once => false,
            Verb::Restart | Verb::Replace => {
                self.hold_successors(id);
                true
            }
            Verb::Start | Verb::Apply | Verb::Roll => true,
            Verb::Clear => self.kind(id) == StateKind::Failed,
            Verb::Kill(_) | Verb::Reload => false,
            Verb::Ensure => {
                let up = [StateKind::Running, StateKind::Unhealthy, StateKind::Armed];
                !up.contains(&self.kind(id))
            }
        };
        if starts && !self.core.shutting_down() && !self.core.is_leaving(id) {
            self.note_start(id);
        }
    }

    fn audit(
        &mut self,
        action: Action,
        event: Event,
        passed_on: &mut Option<(InstanceId, Signal)>,
    ) {
        match action {
            Action::Spawn { instance, role: Role::Main } if self.follows(instance) => {}
            Action::Spawn { instance, role: role @ (Role::Main | Role::PreStart) } => {
                self.audit_spawn(instance, event);
                self.shadows[instance.index()].asked = Some(role);
            }
            Action::Spawn { instance, role } => self.audit_command(instance, role),
            Action::Probe { .. } | Action::CancelProbe { .. } => {}
            Action::Find { .. } | Action::Look { .. } => {}
            Action::Signal { instance, target, signal } => {
                let (SignalTarget::Process(pid) | SignalTarget::Group(pid)) = target;
                let known = self.processes.iter_mut().find(|process| process.pid == pid);
                let process = known.unwrap_or_else(|| panic!("R: {signal} to reaped pid {pid}"));
                assert_eq!(process.instance, instance, "R: {signal} to somebody else's {pid}");
                let stray = matches!(event, Event::Spawned { pid: new, .. } if new == pid)
                    && self.core.owner(pid).is_none();
                process.adopted &= !stray;
                let main = [Role::Main, Role::PreStart].contains(&process.role);
                if !process.adopted || !main {
                    assert_eq!(signal, Signal::KILL, "what nobody wants is killed");
                } else if *passed_on == Some((instance, signal)) && !self.first_rung(instance) {
                    *passed_on = None;
                } else {
                    self.audit_rung(instance, target, signal);
                }
            }
            Action::Changed(change) => self.audit_change(change, event),
            Action::Created { .. } => {} // `edits` knows
            Action::Renew { instance } => self.audit_renewal(instance),
            Action::Redefined { instance } => self.audit_redefined(instance),
            Action::Gone { instance } => self.audit_gone(instance),
            Action::Finish { .. } if self.finished.is_some() => panic!("Finish is said once"),
            Action::Finish { code } => {
                self.finished = Some(code);
                let patient = self.kill_at.is_none_or(|at| self.now < at + LAST_WAIT);
                let stays = |p: &Process| {
                    let main = [Role::Main, Role::PreStart].contains(&p.role);
                    p.adopted && main && !self.core.is_left(p.instance)
                };
                let alive = self.processes.iter().any(stays);
                let coming = self.shadows.iter().any(|shadow| shadow.spawning);
                assert!(self.core.shutting_down(), "Finish ends an end");
                assert!(!patient || !alive && !coming, "Finish while something lives");
            }
        }
    }

    /// Whether its ladder was just begun by this very event, and nothing was sent yet.
    fn first_rung(&self, id: InstanceId) -> bool {
        self.shadows[id.index()].climb.is_some_and(|climb| climb.fresh && climb.rung == 0)
    }

    fn audit_spawn(&mut self, id: InstanceId, event: Event) {
        let label = self.core.label(id).to_string();
        let shadow = self.shadows[id.index()];
        assert!(!shadow.spawning, "{label}: spawned twice");
        assert_eq!(self.process(id, Role::Main), None, "{label}: two main processes");
        let cleared = shadow.clearing.is_none_or(|since| self.now >= since + CLEARING_MAX);
        assert!(cleared, "{label}: spawned beside the old group");
        assert!(
            !shadow.held,
            "{label}: spawned though it is to be down: {:?}",
            self.core.instance(id)
        );
        self.audit_afterwards(id, &label);
        if let (Some(rate), Some(last)) = (self.core.settings().spawn_rate, shadow.last_spawn) {
            let soonest = last + Duration::from_secs(1) / rate.max(1);
            assert!(self.now >= soonest, "{label}: spawned faster than spawn-rate");
        }
        if !self.core.shutting_down() {
            let order = &self.service(id).order;
            for &on in &order.requires {
                let state = |id| (id, self.kind(id), self.core.instance(id).wanted_up);
                let states: Vec<_> = self.core.instances_of(on).map(state).collect();
                let ready = self.satisfied(on) || self.ticking && self.was_satisfied(on);
                assert!(ready, "{label}: spawned before {on:?}: {states:?}");
            }
            // What was dead when its turn came may be on its way up by the end of the same tick.
            for on in order.all().filter(|_| event != Event::Tick) {
                let free = self.satisfied(on) || self.settled(on);
                assert!(free, "{label}: did not wait for {on:?}");
            }
        }
        let shadow = &mut self.shadows[id.index()];
        (shadow.spawning, shadow.queued, shadow.prepared) = (true, false, false);
        let run = self.core.instance(id).standing == Standing::Run;
        let owes = self.has(id, Task::PostStop) && !run;
        let hung = self.process(id, Role::PostStop).is_some();
        (self.shadows[id.index()].owes, self.shadows[id.index()].hung) = (owes, hung);
    }

    fn audit_change(&mut self, change: Change, event: Event) {
        let Change { instance: id, from, to, cause, pid, next, at, .. } = change;
        let label = self.core.label(id).to_string();
        let drain = self.service(id).stop.drain;
        let run = self.core.instance(id).standing == Standing::Run;
        let asked = self.service(id).kind != Kind::Oneshot && self.probe(id).is_some() && !run;
        let replaced = cause == Cause::Replaced;
        let before = self.shadows[id.index()].phase.replace(to).unwrap_or(Phase::Stopped);
        assert_eq!((from, at), (before, self.now), "{label}");
        assert_eq!(next.is_some(), [Phase::Backoff, Phase::Cooldown].contains(&to), "{label}");
        kinds::audit(&change, event, &label);
        self.audit_health(&change, &label);
        let was_up = [Phase::Running, Phase::Unhealthy].contains(&from);
        if to == Phase::Running && asked && !was_up && cause != Cause::Left {
            assert!(self.shadows[id.index()].heard_ready, "{label}: nobody said that it is ready");
        }
        if to != Phase::Stopping || pid.is_none() {
            if pid.is_some() && from == Phase::Stopping {
                let start = matches!(event, Event::Order { verb: Verb::Start | Verb::Ensure, .. });
                assert!(start && self.core.settings().runner.is_some(), "{label}: not called off");
                self.shadows[id.index()].climb = None;
            }
            return;
        }
        if from == Phase::Stopping {
            // What a daemon left behind may be found later.
            let found = matches!(event, Event::Found { .. }) && self.kill_at.is_some();
            assert!(found || self.kill_at == Some(self.now), "{label}: out of patience too soon");
            self.shadows[id.index()].overdue = true;
            return;
        }
        let abort = matches!(cause, Cause::StartTimeout(_));
        let drain = if abort { Duration::ZERO } else { drain };
        let climb = Climb { due: Some(self.now + drain), fresh: true, abort, ..CLIMB };
        self.shadows[id.index()].climb = Some(climb);
        // The manager's last KILL may meet what waits for its turn, or was only just spawned.
        self.shadows[id.index()].overdue = self.kill_at.is_some() && cause == Cause::Shutdown;
        let stop = Cause::Operator(Verb::Stop);
        let leaves = [Cause::Operator(Verb::Remove), Cause::Operator(Verb::Scale)].contains(&cause);
        let orderly = leaves || cause == Cause::Shutdown || cause == stop;
        let member = !self.shadows[id.index()].beside && !replaced;
        let calm = self.kill_at.is_none() && !matches!(event, Event::Forward { .. });
        // What an order stops before the manager's end follows from the same order knows nothing of that end yet.
        let foreseen = cause == Cause::Shutdown || self.shut_at != Some(at);
        if orderly && calm && member && foreseen {
            self.audit_stop_order(id, &label);
        }
    }
}
