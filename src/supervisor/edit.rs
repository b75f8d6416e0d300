//! Changes of who there is, while everything runs: added, removed, more or fewer, defined anew.
//!
//! These are no events of one instance, so each is a function of its own; like events they are followed by draining
//! the actions. They may claim memory: an operator asked for them. Nothing is forgotten before its processes are gone.

use crate::plan::{InstanceId, Service, ServiceId, Start};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Ticket, Verb};
use crate::supervisor::policy::History;
use crate::supervisor::state::State;
use crate::time::Instant;

/// Which instances go when there are to be fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with the highest numbers.
    Highest,
    /// Those whose processes run longest.
    Oldest,
}

impl Supervisor {
    /// A new service, which is started if it starts at boot. Given back if its name is taken (also by one that is
    /// still on its way out), or if the manager is ending. Its order names services that are there.
    pub fn add(&mut self, now: Instant, service: Service) -> Result<ServiceId, Box<Service>> {
        self.roster.sweep();
        if self.find(&service.name).is_some() || self.ending.begun() {
            return Err(Box::new(service));
        }
        let id = self.roster.add(service);
        self.make_room();
        for instance in self.instances_of(id) {
            self.create(now, instance);
        }
        if self.service(id).start == Start::Boot {
            self.start_all(now, &[id]);
        }
        self.settle(now);
        Ok(id)
    }

    /// Stops a service; once its last process is gone it is forgotten, and until then its name is taken.
    pub fn remove(&mut self, now: Instant, id: ServiceId, ticket: Ticket) {
        self.roster.sweep();
        self.roster.groups[id.index()].leaving = true;
        for instance in self.instances_of(id) {
            self.dismiss(now, instance, Verb::Remove, ticket);
        }
        self.roster.abandon_if_empty(id);
        self.settle(now);
    }

    /// Lets a service have `count` instances. New ones get the lowest free numbers, and are started if the others
    /// are wanted up.
    pub fn scale(&mut self, now: Instant, id: ServiceId, count: u32, which: Which, ticket: Ticket) {
        self.roster.sweep();
        if !self.ending.begun() && !self.roster.groups[id.index()].leaving {
            self.resize(now, id, count, which, ticket);
        }
        self.settle(now);
    }

    /// Gives a service another definition, under the same name. `restart`: what runs is stopped, by the new rules, and
    /// started again. Its number of instances follows only if it is another than in the old definition: what an
    /// operator has scaled stays.
    pub fn replace(
        &mut self,
        now: Instant,
        id: ServiceId,
        service: Service,
        restart: bool,
        ticket: Ticket,
    ) {
        self.roster.sweep();
        if self.ending.begun() || self.roster.groups[id.index()].leaving {
            return self.settle(now);
        }
        let old = self.roster.redefine(id, service);
        self.make_room();
        let service = self.service(id);
        let (count, rules) = (service.processes.len(), service.rules.clone());
        for instance in self.instances_of(id) {
            if old.rules != rules {
                self.roster.slots[instance.index()].history = History::new(&rules);
            }
            self.refresh(now, instance);
            self.push(Action::Redefined { instance });
        }
        if count != old.processes.len() {
            self.resize(now, id, count as u32, Which::Highest, ticket);
        }
        if restart {
            self.restart_all(now, id, ticket);
        }
        self.settle(now);
    }

    /// Whether it is to be forgotten.
    pub fn is_leaving(&self, id: InstanceId) -> bool {
        self.roster.slots[id.index()].leaving
    }

    /// Whether there is such an instance.
    pub fn has(&self, id: InstanceId) -> bool {
        self.roster.has(id)
    }

    /// How many of a service's instances are to stay.
    pub fn count(&self, id: ServiceId) -> u32 {
        self.instances_of(id).filter(|&id| !self.is_leaving(id)).count() as u32
    }

    fn create(&mut self, now: Instant, instance: InstanceId) {
        let slot = &mut self.roster.slots[instance.index()];
        slot.since = now;
        self.push(Action::Created { instance });
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

    /// Stops an instance for good.
    fn dismiss(&mut self, now: Instant, id: InstanceId, verb: Verb, ticket: Ticket) {
        let slot = &mut self.roster.slots[id.index()];
        if !slot.leaving {
            slot.leaving = true;
            slot.ticket = ticket;
            if slot.state == State::Stopped {
                self.vacating.push(id);
            }
        }
        self.stop(now, id, Cause::Operator(verb));
    }

    fn resize(&mut self, now: Instant, id: ServiceId, count: u32, which: Which, ticket: Ticket) {
        let staying: Vec<InstanceId> =
            self.instances_of(id).filter(|&id| !self.is_leaving(id)).collect();
        let more = (count as usize).saturating_sub(staying.len());
        if more > 0 {
            let wanted = |id: &InstanceId| self.roster.slots[id.index()].wanted_up;
            let up = staying.is_empty() || staying.iter().any(wanted);
            let fresh = self.roster.grow(id, more);
            self.make_room();
            for &instance in &fresh {
                self.create(now, instance);
                self.roster.slots[instance.index()].ticket = ticket;
            }
            for &instance in fresh.iter().filter(|_| up) {
                self.start(now, instance, Cause::Operator(Verb::Scale));
            }
        }
        let mut fewer = staying;
        if which == Which::Oldest {
            // Who has no process serves nobody, and goes first.
            let since = |id: &InstanceId| self.roster.slots[id.index()].state.process();
            fewer.sort_by_key(|id| since(id).map(|(_, spawned)| spawned));
            fewer.reverse();
        }
        for &instance in fewer.iter().skip(count as usize) {
            self.dismiss(now, instance, Verb::Scale, ticket);
        }
    }

    /// Looks at an instance's deadlines by the rules it has now.
    fn refresh(&mut self, now: Instant, id: InstanceId) {
        let timeout = self.service_of(id).start_timeout;
        if let State::Starting { spawned, deadline, .. } = &mut self.roster.slots[id.index()].state
        {
            *deadline = timeout.map(|timeout| (*spawned + timeout).max(now));
        }
        self.rearm(id);
    }

    /// A definition that needs new processes: who is up is restarted, who had given up tries again. One-shots that did
    /// their work are left alone.
    fn restart_all(&mut self, now: Instant, id: ServiceId, ticket: Ticket) {
        for instance in self.instances_of(id) {
            let slot = &mut self.roster.slots[instance.index()];
            if !slot.wanted_up || slot.leaving || self.is_up_for_good(instance) {
                continue;
            }
            self.roster.slots[instance.index()].ticket = ticket;
            self.restart(now, instance, Verb::Apply);
        }
    }

    fn is_up_for_good(&self, id: InstanceId) -> bool {
        matches!(self.roster.slots[id.index()].state, State::Exited { .. }) && self.is_up(id)
    }

    /// Forgets those who were dismissed and are at rest.
    pub(super) fn vacate(&mut self) {
        while let Some(instance) = self.vacating.pop() {
            debug_assert!(self.roster.slots[instance.index()].state.at_rest());
            self.cancel_probe(instance);
            self.push(Action::Gone { instance });
            self.roster.dismiss(instance);
        }
    }
}
