//! What is looked at when all that an event asks for has been seen.

use lar::plan::{InstanceId, ServiceId, Standing, Start};
use lar::supervisor::state::StateKind;
use lar::supervisor::{Event, Phase};

use super::{Books, LAST_WAIT, Shadow};

impl Books {
    pub(super) fn after(&mut self, event: Event) {
        let ended = self.core.shutting_down();
        for id in self.core.instances() {
            let phase = self.core.instance(id).phase;
            let shadow = &mut self.shadows[id.index()];
            assert_eq!(shadow.phase.unwrap_or(Phase::Stopped), phase, "every change is told");
            shadow.held |= ended;
            shadow.wanted = self.core.instance(id).wanted_up;
            shadow.satisfied = self.core.satisfies(id);
            assert!(!shadow.overdue, "announced and not sent");
            assert!(shadow.climb.is_none_or(|climb| !climb.cont), "CONT follows");
            let kind = self.core.state_kind(id);
            assert_eq!(shadow.spawning, kind == StateKind::Spawning);
            if kind == StateKind::Seeking {
                shadow.clearing = None; // its restart command has begun before that end
            }
            if kind == StateKind::Armed {
                shadow.held = true; // until somebody connects
                let service = self.core.instance(id).service;
                let service = self.core.service(service);
                assert!(service.start == Start::OnDemand || service.timer.is_some());
            }
        }
        self.audit_beside();
        self.audit_stopped_runner();
        let member = |id: &InstanceId| {
            let instance = self.core.instance(*id);
            // A launcher that did its work has not died.
            let seeks = self.core.state_kind(*id) == StateKind::Seeking;
            instance.wanted_up && instance.standing == Standing::Regular && !seeks
        };
        if let Some(id) = self.died.take().filter(member) {
            self.audit_companions(self.core.instance(id).service);
        }
        if event == Event::Tick {
            let next = self.core.next_deadline();
            // A stop that came last in this tick may have a rung without a wait: that is for a tick at once.
            let at_once = |shadow: &Shadow| {
                shadow.climb.is_some_and(|climb| climb.fresh && climb.due == Some(self.now))
            };
            let at_once = next == Some(self.now) && self.shadows.iter().any(at_once);
            assert!(at_once || next.is_none_or(|next| next > self.now), "a deadline in the past");
            let over = self.kill_at.is_some_and(|at| self.now >= at + LAST_WAIT);
            assert!(!over || self.finished.is_some(), "the end has an end");
            for id in self.core.instances() {
                self.audit_patience(id);
            }
        }
        for climb in self.shadows.iter_mut().filter_map(|shadow| shadow.climb.as_mut()) {
            climb.fresh = false;
        }
    }

    /// zdaemon's manager has nothing to stay for once its program was stopped.
    fn audit_stopped_runner(&self) {
        let told = |id: InstanceId| self.shadows[id.index()].phase == Some(Phase::Stopped);
        if self.core.settings().runner.is_some() && self.core.instances().any(told) {
            assert!(self.core.shutting_down(), "a runner that is stopped, and goes on");
        }
    }

    /// Whoever is restarted with a service that died is on the way down, if it was up.
    fn audit_companions(&self, died: ServiceId) {
        let with = |id: &ServiceId| self.core.service(*id).order.restart_with.contains(&died);
        for id in self.core.services().filter(with) {
            let up = |id: &InstanceId| self.core.instance(*id).phase == Phase::Running;
            assert_eq!(self.wanted(id).find(up), None, "restart-with means restart");
        }
    }

    /// No rung whose time has come is left unsent after a tick.
    fn audit_patience(&self, id: InstanceId) {
        let Some(climb) = self.shadows[id.index()].climb else { return };
        let ladder = &self.service(id).stop;
        let again = ladder.kill && self.kill_again().is_some();
        let left = again || climb.rung < ladder.rungs.len() + usize::from(ladder.kill);
        let overdue =
            climb.due.is_some_and(|due| due < self.now || due == self.now && !climb.fresh);
        assert!(climb.other || !left || !overdue, "{}: a rung was forgotten", self.core.label(id));
    }
}
