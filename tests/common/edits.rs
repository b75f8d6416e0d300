//! Changes of who there is, under the same audit as events.

use lar::plan::{InstanceId, Process, ServiceId, Standing};
use lar::supervisor::edit::{Fate, Revision, Which};
use lar::supervisor::state::StateKind;
use lar::supervisor::{Action, Event, Supervisor, Ticket};
use lar::time::{Duration, Instant};

use super::pulled::{pulled_at_most, pulled_through};
use super::{Books, Role, Shadow};

impl Books {
    /// Services come, go, and are defined anew.
    pub fn revise(&mut self, now: Instant, revision: Revision) {
        let removed: Vec<InstanceId> =
            revision.removed.iter().flat_map(|&id| self.core.instances_of(id)).collect();
        // Also whoever runs beside instances that are all gone; of those nobody is told.
        let changed = revision.fates.iter().filter_map(|fate| match fate {
            Fate::Change { id, .. } => Some(*id),
            Fate::Keep(_) | Fate::New(_) => None,
        });
        let changed = changed.filter(|_| !self.core.shutting_down());
        changed.collect::<Vec<_>>().into_iter().for_each(|id| self.note_redefined(id));
        self.edit(now, &removed, |core, ticket| {
            core.revise(now, revision, ticket);
        });
    }

    /// A service has another number of instances.
    pub fn scale(&mut self, now: Instant, id: ServiceId, count: u32, which: Which) {
        let before = self.core.count(id);
        let ending = self.core.shutting_down() || self.core.is_service_leaving(id);
        self.edit(now, &[], |core, ticket| core.scale(now, id, count, which, ticket));
        // Who goes without ever having had a process is gone already.
        let after = self.core.instances_of(id).filter(|&id| !self.core.is_leaving(id)).count();
        assert_eq!(after as u32, if ending { before } else { count }, "scaled");
    }

    /// One more run of a service.
    pub fn once(&mut self, now: Instant, id: ServiceId, process: Process, limit: Option<Duration>) {
        self.edit(now, &[], |core, ticket| {
            core.once(now, id, process, limit, ticket);
        });
    }

    /// The successor that was asked for is prepared, or can't be.
    pub fn succeed(&mut self, now: Instant, of: InstanceId, prepared: bool) {
        let rolls = self.core.awaits_successor(of);
        self.edit(now, &[], |core, _| match prepared {
            true => core.succeed(now, of),
            false => core.no_successor(now, of),
        });
        let created = self.actions.iter().any(|it| matches!(it, Action::Created { .. }));
        assert_eq!(created, prepared && rolls && !self.core.shutting_down());
    }

    fn edit(
        &mut self,
        now: Instant,
        removed: &[InstanceId],
        change: impl FnOnce(&mut Supervisor, Ticket),
    ) {
        assert!(now >= self.now, "time goes forward");
        self.now = now;
        self.ticking = false;
        self.tickets += 1;
        let ended = self.core.shutting_down();
        let places = self.core.services().map(|id| id.index() + 1).max().unwrap_or(0);
        let mut before = vec![Vec::new(); places];
        for id in self.core.services() {
            before[id.index()] = pulled_at_most(&self.core, id);
        }
        change(&mut self.core, Ticket(self.tickets));
        self.actions.clear();
        while let Some(action) = self.core.poll_action() {
            self.actions.push(action);
        }
        self.core.check_invariants();
        self.core.check_roster();
        if self.core.shutting_down() && !ended {
            self.shut_at = Some(now);
        }
        self.note_edit(removed, ended, &before);
        for at in 0..self.actions.len() {
            self.audit(self.actions[at], Event::Tick, &mut None);
        }
        self.after(Event::Boot);
    }

    /// Who came and who goes, and who may be spawned because of it.
    fn note_edit(&mut self, removed: &[InstanceId], ended: bool, before: &[Vec<ServiceId>]) {
        for at in 0..self.actions.len() {
            if let Action::Created { instance } = self.actions[at] {
                if self.shadows.len() <= instance.index() {
                    assert_eq!(self.shadows.len(), instance.index(), "tables grow by one");
                    self.shadows.push(Shadow { gone: true, ..Shadow::default() });
                }
                assert!(self.shadows[instance.index()].gone, "a place is given away once");
                let beside = self.core.instance(instance).standing != Standing::Regular;
                let held = !beside;
                self.shadows[instance.index()] = Shadow { held, beside, ..Shadow::default() };
                if beside {
                    let service = self.core.instance(instance).service;
                    self.note_pulled(instance, pulled_through(&self.core, before, service));
                }
            }
            if let Action::Gone { instance } = self.actions[at] {
                self.shadows[instance.index()].held |= self.core.is_leaving(instance);
            }
        }
        for &id in removed.iter().filter(|_| !ended) {
            self.shadows[id.index()].held = true;
        }
        // An edit that ends the manager has wanted them up before.
        let ends = self.core.shutting_down() && !ended;
        for id in self.core.instances() {
            let instance = self.core.instance(id);
            if self.core.is_leaving(id) {
                assert!(!instance.wanted_up, "who leaves is not wanted up");
                self.shadows[id.index()].held = true;
            } else if self.core.state_kind(id) == StateKind::Armed {
                // Nothing but a connection, or an order, may start it.
            } else if instance.ticket.0 == self.tickets && (instance.wanted_up || ends) {
                let pulled = pulled_through(&self.core, before, instance.service);
                self.note_pulled(id, pulled);
            }
        }
    }

    pub(super) fn audit_redefined(&mut self, id: InstanceId) {
        assert!(!self.shadows[id.index()].gone, "nobody is defined anew");
        assert!(self.redefined, "nobody has another definition");
    }

    /// A ladder that has changed is not counted on any more.
    fn note_redefined(&mut self, service: ServiceId) {
        self.redefined = true;
        for id in self.core.all_of(service) {
            if let Some(climb) = &mut self.shadows[id.index()].climb {
                climb.other = true;
            }
        }
    }

    /// Nothing of it is left.
    pub(super) fn audit_gone(&mut self, id: InstanceId) {
        let replaced = self.core.instance(id).standing == Standing::Old;
        let shadow = &mut self.shadows[id.index()];
        assert!(!std::mem::replace(&mut shadow.gone, true), "gone is said once");
        let told = shadow.held || shadow.beside || replaced;
        assert!(!shadow.spawning && told, "who is gone was told to go");
        assert!(!self.core.has(id));
        for role in Role::ALL {
            assert_eq!(self.process(id, role), None, "gone, with a process");
        }
    }
}
