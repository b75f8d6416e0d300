//! Who runs beside the instances of a service: a run that somebody ordered (`once`), and in a rolling restart the
//! successor of an instance, or who had one.
//!
//! Each has a state, processes and output like any other, but is none of the N: it counts for nothing, is never
//! started again, and is forgotten as soon as it is at rest. A successor has the number of its predecessor. When it is
//! ready, it is the instance, and the other one is stopped by its ladder. If it fails, nothing is exchanged any more.
//!
//! Invariants: an instance has at most one successor, and `Renewal::By` and `peer` name each other. Whoever is stopped,
//! restarted or dismissed has none from then on.

use std::rc::Rc;

use crate::plan::{InstanceId, Process, ServiceId, Standing};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Ticket, Verb};
use crate::supervisor::roster::Renewal;
use crate::supervisor::state::State;
use crate::time::{Duration, Instant};

impl Supervisor {
    /// Runs `process` once beside the instances of a service, for at most `limit`; what the service requires and wants
    /// is started first. `None` once the manager, or the service, is ending.
    pub fn once(
        &mut self,
        now: Instant,
        id: ServiceId,
        process: Process,
        limit: Option<Duration>,
        ticket: Ticket,
    ) -> Option<InstanceId> {
        self.roster.sweep();
        if self.ending.begun() || self.roster.groups[id.index()].leaving {
            return None;
        }
        let number = self.next_run(id);
        self.roster.groups[id.index()].runs = number;
        let process = Some(Rc::new(process));
        let run = self.roster.place_beside(id, number, Standing::Run, process);
        self.make_room();
        let slot = &mut self.roster.slots[run.index()];
        (slot.since, slot.ticket, slot.limit) = (now, ticket, limit);
        self.push(Action::Created { instance: run });
        self.want(run, true);
        self.pull(now, id);
        self.start_when_free(now, run, Cause::Operator(Verb::Once));
        self.settle(now);
        Some(run)
    }

    /// The number that the next run of a service gets.
    pub fn next_run(&self, id: ServiceId) -> u32 {
        self.roster.groups[id.index()].runs.saturating_add(1)
    }

    /// Whether a service's instances can be exchanged; the one program of a manager has nobody beside it.
    pub fn can_roll(&self, id: ServiceId) -> bool {
        let one = self.settings.single.is_some() || self.settings.runner.is_some();
        !one && self.service(id).can_roll()
    }

    /// Whether an instance is to be exchanged, now or when it is its turn.
    pub fn renews(&self, id: InstanceId) -> bool {
        self.roster.slots[id.index()].renewal != Renewal::No
    }

    /// Whether a successor was asked for ([`Action::Renew`]), and is still to come.
    pub fn awaits_successor(&self, of: InstanceId) -> bool {
        self.has(of) && self.roster.slots[of.index()].renewal == Renewal::Asked
    }

    /// Starts the successor that was asked for. It has what its predecessor has, by the definition of this moment.
    pub fn succeed(&mut self, now: Instant, of: InstanceId) {
        self.roster.sweep();
        if !self.awaits_successor(of) || self.ending.begun() {
            return self.nothing_to_renew(now, of);
        }
        let slot = &self.roster.slots[of.index()];
        let (service, number, ticket) = (slot.service, slot.number, slot.ticket);
        let process = slot.process.clone();
        let next = self.roster.place_beside(service, number, Standing::Next, process);
        self.make_room();
        let slot = &mut self.roster.slots[next.index()];
        (slot.since, slot.ticket, slot.peer) = (now, ticket, Some(of));
        self.roster.slots[of.index()].renewal = Renewal::By(next);
        self.push(Action::Created { instance: next });
        self.want(next, true);
        self.start_when_free(now, next, Cause::Succeeds);
        self.settle(now);
    }

    /// The successor that was asked for can't be had: nothing is exchanged any more.
    pub fn no_successor(&mut self, now: Instant, of: InstanceId) {
        self.roster.sweep();
        if !self.awaits_successor(of) {
            return self.nothing_to_renew(now, of);
        }
        self.give_up_roll(now, self.roster.slots[of.index()].service);
        self.settle(now);
    }

    /// What was asked for was called off meanwhile: it is the next one's turn.
    fn nothing_to_renew(&mut self, now: Instant, of: InstanceId) {
        if self.roster.has(of) {
            self.go_on_rolling(self.roster.slots[of.index()].service);
        }
        self.settle(now);
    }

    /// An order to somebody who runs beside the instances: it can be ended, and sent signals.
    pub(super) fn order_beside(&mut self, now: Instant, id: InstanceId, verb: Verb) {
        let slot = &self.roster.slots[id.index()];
        match (slot.standing, verb) {
            (_, Verb::Kill(signal)) => self.kill(id, signal),
            (Standing::Run, Verb::Stop) => self.stop(now, id, Cause::Operator(verb)),
            (Standing::Next, Verb::Stop) => self.give_up_roll(now, slot.service),
            _ => {}
        }
    }

    /// An instance is to be exchanged when it is its turn. One that is not up, or whose readiness another process could
    /// answer for, is restarted.
    pub(super) fn roll(&mut self, now: Instant, id: InstanceId, verb: Verb) {
        let slot = &self.roster.slots[id.index()];
        let (service, up) = (slot.service, matches!(slot.state, State::Running { .. }));
        if !up || !slot.wanted_up || !self.can_roll(service) {
            return self.restart(now, id, verb);
        }
        if self.ending.begun() || self.is_leaving(id) {
            return;
        }
        // A successor that is on its way was started before this order.
        self.call_off(now, id);
        let slot = &mut self.roster.slots[id.index()];
        slot.renewal = Renewal::Due;
        slot.history.clear();
        self.pull(now, service);
        self.go_on_rolling(service);
    }

    /// A new definition: a successor that is on its way has the old one, so there is to be another.
    pub(super) fn begin_anew(&mut self, now: Instant, id: InstanceId) {
        if let Renewal::By(_) = self.roster.slots[id.index()].renewal {
            self.call_off(now, id);
            self.roster.slots[id.index()].renewal = Renewal::Due;
        }
    }

    /// An instance has a new process by its own rules: there is no need to exchange it.
    pub(super) fn renewed(&mut self, id: InstanceId) {
        let renewal = &mut self.roster.slots[id.index()].renewal;
        if *renewal == Renewal::Due {
            *renewal = Renewal::No;
        }
    }

    /// An instance is not to be exchanged, and its successor not needed.
    pub(super) fn call_off(&mut self, now: Instant, id: InstanceId) {
        let slot = &mut self.roster.slots[id.index()];
        let ticket = slot.ticket;
        if let Renewal::By(next) = std::mem::replace(&mut slot.renewal, Renewal::No) {
            self.dismiss(now, next, Cause::CalledOff, ticket);
        }
    }

    /// Nothing is exchanged any more; what runs goes on.
    fn give_up_roll(&mut self, now: Instant, id: ServiceId) {
        self.instances_of(id).for_each(|instance| self.call_off(now, instance));
    }

    /// Asks for the successors whose turn it is: at most as many instances at a time as the service allows are between
    /// the start of their successor and their own end.
    fn go_on_rolling(&mut self, id: ServiceId) {
        let most = self.service(id).rolling.max(1) as usize;
        let changes = |id: &InstanceId| {
            let slot = &self.roster.slots[id.index()];
            let beside = [Standing::Next, Standing::Old].contains(&slot.standing);
            beside || slot.renewal == Renewal::Asked
        };
        let can = self.can_roll(id);
        let mut free = most.saturating_sub(self.all_of(id).filter(changes).count());
        for instance in self.instances_of(id) {
            // A successor that was called off is let go first.
            let number = self.roster.slots[instance.index()].number;
            let waits = self.roster.extras(id).any(|other| {
                let other = &self.roster.slots[other.index()];
                other.number == number && other.standing != Standing::Run
            });
            let slot = &mut self.roster.slots[instance.index()];
            match (slot.renewal, slot.state) {
                (Renewal::Due, State::Running { .. }) if can && (free == 0 || waits) => {}
                (Renewal::Due, State::Running { .. }) if can => {
                    free -= 1;
                    slot.renewal = Renewal::Asked;
                    self.push(Action::Renew { instance });
                }
                // It has died since, and its own rules go on; or its service is another one now.
                (Renewal::Due, _) => slot.renewal = Renewal::No,
                (Renewal::No | Renewal::Asked | Renewal::By(_), _) => {}
            }
        }
    }

    /// Puts those who are ready into the places of their predecessors.
    pub(super) fn take_over(&mut self, now: Instant) {
        while let Some(next) = self.arriving.pop() {
            let slot = &self.roster.slots[next.index()];
            let ready = matches!(slot.state, State::Running { .. }) && slot.wanted_up;
            let Some(old) = slot.peer.filter(|_| ready && slot.standing == Standing::Next) else {
                continue; // it was called off in the same event
            };
            let (service, ticket) = (slot.service, slot.ticket);
            let slot = &self.roster.slots[old.index()];
            let (restarts, last_exit) = (slot.restarts, slot.last_exit);
            // The new one counts first: nobody who depends on the service sees it one short.
            self.change(next, |slot| {
                (slot.standing, slot.peer) = (Standing::Regular, None);
                (slot.restarts, slot.last_exit) = (restarts, last_exit);
            });
            self.change(old, |slot| {
                (slot.standing, slot.peer) = (Standing::Old, Some(next));
                slot.renewal = Renewal::No;
            });
            self.roster.exchange(old, next);
            self.restart_companions(now, service);
            self.dismiss(now, old, Cause::Replaced, ticket);
        }
    }

    /// What follows when somebody is no more: if that was a successor which had failed, the end of the rolling restart;
    /// else the next one's turn.
    pub(super) fn follow_up(&mut self, now: Instant, gone: InstanceId) {
        let slot = &self.roster.slots[gone.index()];
        let (service, standing, peer) = (slot.service, slot.standing, slot.peer);
        if ![Standing::Next, Standing::Old].contains(&standing) {
            return;
        }
        let peer = peer.map(|peer| &mut self.roster.slots[peer.index()]);
        match peer.filter(|peer| peer.renewal == Renewal::By(gone)) {
            Some(peer) => {
                peer.renewal = Renewal::No;
                self.give_up_roll(now, service);
            }
            None if self.ending.begun() => {}
            None => self.go_on_rolling(service),
        }
    }

    /// The part of [`Supervisor::check_invariants`] that is about them.
    pub(super) fn check_beside(&self) {
        for id in self.instances() {
            let slot = &self.roster.slots[id.index()];
            let label = self.label(id);
            match slot.standing {
                Standing::Regular => {
                    assert!(slot.peer.is_none() && slot.limit.is_none(), "{label}");
                    if let Renewal::By(next) = slot.renewal {
                        let next = &self.roster.slots[next.index()];
                        assert_eq!((next.standing, next.peer), (Standing::Next, Some(id)));
                        assert!(!next.vacant && next.number == slot.number, "{label}");
                    }
                    let due = slot.renewal == Renewal::No || slot.wanted_up;
                    assert!(due, "{label}: who is to be down is not exchanged");
                    continue;
                }
                Standing::Next => {
                    let of = slot.peer.map(|of| &self.roster.slots[of.index()]);
                    let named = of.is_some_and(|of| of.renewal == Renewal::By(id));
                    assert!(named || !slot.wanted_up, "{label}: a successor of nobody");
                }
                Standing::Old => assert!(!slot.wanted_up && slot.leaving, "{label}"),
                Standing::Run => {}
            }
            assert!(slot.renewal == Renewal::No, "{label}: nobody succeeds who runs beside");
            // A readiness command that is still there keeps it.
            assert!(
                !slot.state.at_rest() || !slot.aides.is_empty(),
                "{label} is forgotten at rest"
            );
            let again = matches!(slot.state, State::Cooldown { .. } | State::Backoff { .. });
            assert!(!again, "{label}: never started again");
        }
    }
}
