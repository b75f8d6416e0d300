//! Changes of who there is, while everything runs: added, removed, more or fewer, defined anew.
//!
//! These are no events of one instance, so each is a function of its own; like events they are followed by draining
//! the actions, and none is made before the events so far are handled. They may claim memory: an operator asked for
//! them. Nothing is forgotten before its processes are gone.

use crate::plan::{InstanceId, Service, ServiceId, Settings, Start};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Ticket, Verb};
use crate::supervisor::policy::History;
use crate::supervisor::state::{State, Wait};
use crate::time::Instant;

/// Which instances go when there are to be fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with the highest numbers.
    Highest,
    /// Those whose processes run longest.
    Oldest,
}

/// What becomes of a service.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Nothing.
    Keep(ServiceId),
    /// It is defined anew, under the same name. Its number of instances follows only if it is another than in the old
    /// definition: what an operator has scaled stays.
    Change {
        /// Which.
        id: ServiceId,
        /// What it is now.
        service: Box<Service>,
        /// Whether what runs is stopped, by the new rules, and started again.
        restart: bool,
    },
    /// It is new, and is started if it starts at boot. Its name is free.
    New(Box<Service>),
}

/// All that is to be changed at once.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// Everybody who stays or comes. An [`Order`](crate::plan::Order) in here names others by their index in this
    /// list; there are no cycles.
    pub fates: Vec<Fate>,
    /// Who goes. Each is stopped, and forgotten once its last process is gone; until then its name is taken.
    pub removed: Vec<ServiceId>,
    /// The manager's own settings, as far as they can change while it runs.
    pub settings: Option<Box<Settings>>,
}

impl Supervisor {
    /// Changes who there is, and who is what. Nothing happens once the manager is ending; whether it did.
    pub fn revise(&mut self, now: Instant, revision: Revision, ticket: Ticket) -> bool {
        if self.ending.begun() {
            return false;
        }
        self.roster.sweep();
        if let Some(settings) = revision.settings {
            let main = revision.fates.iter().any(|fate| self.is_main(fate));
            self.ending.follow(&settings, main);
            self.settings.exit_policy = settings.exit_policy;
            self.settings.shutdown_timeout = settings.shutdown_timeout;
            self.settings.spawn_rate = settings.spawn_rate;
        }
        let (mut changed, fresh) = self.redefine(revision.fates);
        self.recount();
        for id in &revision.removed {
            self.roster.groups[id.index()].leaving = true;
        }
        for &id in &fresh {
            let count = self.service(id).processes.len();
            self.grow(now, id, count, ticket);
        }
        changed.iter().for_each(|(id, old, _)| self.follow(now, *id, old));
        self.dismiss_all(now, &revision.removed, ticket);
        let count = |id: ServiceId| self.service(id).processes.len();
        let counts = changed.iter().map(|(id, old, _)| (*id, old.processes.len(), count(*id)));
        let counts = counts.filter(|(_, old, new)| old != new).map(|(id, _, new)| (id, new as u32));
        let mut counts: Vec<(ServiceId, u32)> = counts.collect();
        // Who depends on somebody goes down first, and comes up last.
        counts.sort_by_key(|&(id, _)| self.rank(id));
        for &(id, count) in counts.iter().rev() {
            self.have_fewer(now, id, count, Which::Highest, ticket);
        }
        // Who depends on somebody sees first that this one goes down, or is only on its way now.
        changed.sort_by_key(|(id, _, _)| self.rank(*id));
        for (id, old, restart) in &changed {
            let new = self.service(*id);
            let (starts, timer) = (old.start != new.start, old.timer != new.timer);
            if timer {
                self.follow_timer(now, *id);
            }
            if starts || timer {
                self.follow_start(now, *id, ticket);
            }
            if *restart {
                self.restart_all(now, *id, ticket);
            }
            for &(_, count) in counts.iter().filter(|(other, _)| other == id) {
                self.have_more(now, *id, count, ticket);
            }
        }
        let boots = |id: &ServiceId| self.service(*id).start != Start::Manual;
        let boots: Vec<ServiceId> = fresh.into_iter().filter(boots).collect();
        self.start_all(now, &boots);
        for (id, _, _) in changed {
            self.look_again(now, id);
        }
        revision.removed.iter().for_each(|&id| self.abandon_if_empty(now, id));
        self.settle(now);
        true
    }

    /// Stops services; see [`Revision::removed`].
    pub fn remove(&mut self, now: Instant, removed: Vec<ServiceId>, ticket: Ticket) -> bool {
        let fates = self.services().filter(|id| !removed.contains(id)).map(Fate::Keep).collect();
        self.revise(now, Revision { fates, removed, settings: None }, ticket)
    }

    /// Lets a service have `count` instances. New ones get the lowest free numbers, and are started if the others
    /// are wanted up. Nothing happens once the manager, or the service, is ending.
    pub fn scale(&mut self, now: Instant, id: ServiceId, count: u32, which: Which, ticket: Ticket) {
        self.roster.sweep();
        if !self.ending.begun() && !self.roster.groups[id.index()].leaving {
            self.have_fewer(now, id, count, which, ticket);
            self.have_more(now, id, count, ticket);
        }
        self.settle(now);
    }

    /// Notes that a service's definition has so many instances now: those that there are stay as they are.
    pub fn note_count(&mut self, id: ServiceId, count: u32) {
        let service = &mut self.roster.groups[id.index()].service;
        let processes: Vec<_> = (1..=count).filter_map(|number| service.process(number)).collect();
        service.processes = processes;
        self.roster.recast(id);
    }

    /// Stops one instance for good: its service has one fewer.
    pub fn drop_instance(&mut self, now: Instant, id: InstanceId, ticket: Ticket) {
        self.roster.sweep();
        if !self.ending.begun() && self.has(id) {
            self.dismiss(now, id, Cause::Operator(Verb::Scale), ticket);
        }
        self.settle(now);
    }

    /// Whether it is to be forgotten.
    pub fn is_leaving(&self, id: InstanceId) -> bool {
        self.roster.slots[id.index()].leaving
    }

    /// Whether it is to be forgotten.
    pub fn is_service_leaving(&self, id: ServiceId) -> bool {
        self.roster.groups[id.index()].leaving
    }

    /// Whether there is such an instance.
    pub fn has(&self, id: InstanceId) -> bool {
        self.roster.has(id)
    }

    /// Tells an instance from others that had its id.
    pub fn born(&self, id: InstanceId) -> u64 {
        self.roster.slots.get(id.index()).map_or(0, |slot| slot.born)
    }

    /// How many of a service's instances are to stay.
    pub fn count(&self, id: ServiceId) -> u32 {
        self.instances_of(id).filter(|&id| !self.is_leaving(id)).count() as u32
    }

    /// The numbers that this many more instances of a service would get, in the order of their coming.
    pub fn fresh_numbers(&self, id: ServiceId, more: usize) -> Vec<u32> {
        self.roster.free_numbers(id, more)
    }

    /// Swaps in all definitions: who has another one, with the old one and whether it restarts; and who is new, still
    /// without instances.
    fn redefine(&mut self, fates: Vec<Fate>) -> (Vec<(ServiceId, Service, bool)>, Vec<ServiceId>) {
        let (mut changed, mut fresh, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for fate in fates {
            ids.push(match fate {
                Fate::Keep(id) => id,
                Fate::Change { id, service, restart } => {
                    let place = &mut self.roster.groups[id.index()].service;
                    changed.push((id, std::mem::replace(place, *service), restart));
                    id
                }
                Fate::New(service) => {
                    let id = self.roster.add(*service);
                    fresh.push(id);
                    id
                }
            });
        }
        for &id in changed.iter().map(|(id, _, _)| id).chain(&fresh) {
            self.roster.groups[id.index()].service.order.renumber(&ids);
        }
        self.roster.relink();
        for (id, _, _) in &changed {
            self.roster.recast(*id);
        }
        self.make_room();
        (changed, fresh)
    }

    fn is_main(&self, fate: &Fate) -> bool {
        match fate {
            Fate::Keep(id) => self.service(*id).main,
            Fate::Change { service, .. } | Fate::New(service) => service.main,
        }
    }

    /// Adds up anew what each service comes to, and who keeps whom up: definitions have changed.
    fn recount(&mut self) {
        for id in self.services() {
            let members = self.all_of(id);
            let before = self.summary(id);
            let mut tally = super::tally::Tally::default();
            members.for_each(|instance| tally.replace(Default::default(), self.share(instance)));
            let group = &mut self.roster.groups[id.index()];
            group.tally = tally;
            if tally.summary() != before && !group.touched {
                group.touched = true;
                self.touched.push(id);
            }
        }
        for id in self.services() {
            let leaving = |id: &&ServiceId| self.summary(**id).leaving;
            let blockers = self.dependents(id).iter().filter(leaving).count() as u32;
            let group = &mut self.roster.groups[id.index()];
            if blockers == 0 && group.blockers > 0 && !group.released {
                group.released = true;
                self.released.push(id);
            }
            group.blockers = blockers;
        }
    }

    /// Lets the instances of a service follow its new definition.
    fn follow(&mut self, now: Instant, id: ServiceId, old: &Service) {
        let rules = self.service(id).rules.clone();
        for instance in self.instances_of(id) {
            if old.rules != rules {
                self.roster.slots[instance.index()].history = History::new(&rules);
            }
            self.refresh(now, instance);
            self.begin_anew(now, instance);
            self.push(Action::Redefined { instance });
        }
        self.roster.extras(id).for_each(|instance| self.refresh(now, instance));
    }

    /// So many more instances of a service, still down.
    fn grow(
        &mut self,
        now: Instant,
        id: ServiceId,
        more: usize,
        ticket: Ticket,
    ) -> Vec<InstanceId> {
        let fresh = self.roster.grow(id, more);
        self.make_room();
        for &instance in &fresh {
            let slot = &mut self.roster.slots[instance.index()];
            (slot.since, slot.ticket) = (now, ticket);
            self.push(Action::Created { instance });
        }
        fresh
    }

    /// Wants these services up, and what they need, and starts all in order.
    fn start_all(&mut self, now: Instant, services: &[ServiceId]) {
        for &service in services {
            for id in self.instances_of(service) {
                self.want(id, true);
            }
            self.mark_pulled(service);
        }
        self.start_pulled(now, Cause::Operator(Verb::Start));
    }

    /// Stops services for good. All are wanted down first, so that each stop sees who else is on the way down.
    fn dismiss_all(&mut self, now: Instant, services: &[ServiceId], ticket: Ticket) {
        for &id in services {
            self.all_of(id).for_each(|instance| self.want(instance, false));
        }
        for &id in services {
            for instance in self.all_of(id) {
                self.dismiss(now, instance, Cause::Operator(Verb::Remove), ticket);
            }
        }
    }

    /// Stops an instance for good.
    pub(super) fn dismiss(&mut self, now: Instant, id: InstanceId, cause: Cause, ticket: Ticket) {
        let slot = &mut self.roster.slots[id.index()];
        slot.ticket = ticket;
        if !slot.leaving {
            slot.leaving = true;
            if slot.state == State::Stopped {
                self.vacating.push(id);
            }
        }
        self.stop(now, id, cause);
    }

    fn staying(&self, id: ServiceId) -> Vec<InstanceId> {
        self.instances_of(id).filter(|&id| !self.is_leaving(id)).collect()
    }

    /// Lets a service have at least `count` instances.
    fn have_more(&mut self, now: Instant, id: ServiceId, count: u32, ticket: Ticket) {
        let staying = self.staying(id);
        let more = (count as usize).saturating_sub(staying.len());
        let wanted = |id: &InstanceId| self.roster.slots[id.index()].wanted_up;
        let up = staying.is_empty() || staying.iter().any(wanted);
        if more > 0 {
            let lazy = self.is_lazy(id);
            for instance in self.grow(now, id, more, ticket).into_iter().filter(|_| up) {
                match lazy {
                    true => {
                        self.want(instance, true);
                        self.arm(now, instance);
                    }
                    false => self.start(now, instance, Cause::Operator(Verb::Scale)),
                }
            }
        }
    }

    /// Lets a service have at most `count` instances.
    fn have_fewer(
        &mut self,
        now: Instant,
        id: ServiceId,
        count: u32,
        which: Which,
        ticket: Ticket,
    ) {
        let mut staying = self.staying(id);
        if which == Which::Oldest {
            // Who has no process serves nobody, and goes first.
            let since = |id: &InstanceId| self.roster.slots[id.index()].state.process();
            staying.sort_by_key(|id| since(id).map(|(_, spawned)| spawned));
            staying.reverse();
        }
        for &instance in staying.iter().skip(count as usize) {
            self.dismiss(now, instance, Cause::Operator(Verb::Scale), ticket);
        }
    }

    /// Looks at an instance's deadlines by the rules it has now. Who had come to the end of a ladder without KILL is
    /// not waited for any longer if the new one goes on.
    fn refresh(&mut self, now: Instant, id: InstanceId) {
        let service = self.service_of(id);
        let (timeout, kill) = (service.start_timeout, service.stop.kill);
        let slot = &mut self.roster.slots[id.index()];
        match &mut slot.state {
            State::Preparing { spawned, deadline, .. }
            | State::Forking { spawned, deadline, .. }
            | State::Seeking { spawned, wait: Wait { deadline, .. }, .. }
            | State::Starting { spawned, wait: Wait { deadline, .. }, .. } => {
                *deadline = timeout.map(|timeout| (*spawned + timeout).max(now));
            }
            State::Stopping { until: until @ None, .. } if kill && !slot.forced => {
                *until = Some(now);
            }
            _ => {}
        }
        self.rearm(id);
    }

    /// A definition that needs new processes: who is up is restarted, who had given up tries again. One-shots that did
    /// their work are left alone.
    fn restart_all(&mut self, now: Instant, id: ServiceId, ticket: Ticket) {
        for instance in self.instances_of(id) {
            let slot = &self.roster.slots[instance.index()];
            let done = matches!(slot.state, State::Exited { .. }) && self.is_up(instance);
            if slot.wanted_up && !slot.leaving && !done {
                self.roster.slots[instance.index()].ticket = ticket;
                match self.service(id).rolling {
                    0 => self.restart(now, instance, Verb::Apply),
                    _ => self.roll(now, instance, Verb::Apply),
                }
            }
        }
    }

    /// Looks again whether those who wait for what they depend on still have to.
    fn look_again(&mut self, now: Instant, id: ServiceId) {
        for instance in self.all_of(id) {
            if self.roster.slots[instance.index()].state == State::Waiting {
                self.start_when_free(now, instance, Cause::DependenciesReady);
            }
        }
    }

    /// Forgets those who were dismissed and are at rest. A readiness command that is still there keeps its instance.
    pub(super) fn vacate(&mut self, now: Instant) {
        while let Some(instance) = self.vacating.pop() {
            if !self.roster.has(instance) {
                continue;
            }
            let slot = &self.roster.slots[instance.index()];
            debug_assert!(slot.state.at_rest() && slot.leaving);
            if !slot.aides.is_empty() {
                continue; // it was killed, and comes back here with its end
            }
            let service = slot.service;
            self.push(Action::Gone { instance });
            self.roster.dismiss(instance);
            self.follow_up(now, instance);
            self.abandon_if_empty(now, service);
        }
    }

    /// Forgets a service that is to be forgotten and has no instance any more. Who waited for it need not.
    fn abandon_if_empty(&mut self, now: Instant, id: ServiceId) {
        for dependent in self.roster.abandon_if_empty(id) {
            self.look_again(now, dependent);
        }
    }
}
