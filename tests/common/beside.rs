//! What the books know of those who run beside the instances of a service.

use lar::plan::{InstanceId, Plan, Standing};
use lar::supervisor::{Phase, Role};

use super::Books;

impl Books {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Nobody takes over from an instance that is stopped, or restarted, any more.
    pub(super) fn hold_successors(&mut self, of: InstanceId) {
        let service = self.core.instance(of).service;
        for id in self.core.all_of(service) {
            let instance = self.core.instance(id);
            let its = (instance.standing, instance.peer) == (Standing::Next, Some(of));
            self.shadows[id.index()].held |= its;
        }
    }

    /// Only who is up is exchanged, and only as many at a time as the service allows.
    pub(super) fn audit_renewal(&mut self, of: InstanceId) {
        let service = self.core.instance(of).service;
        let label = self.core.label(of);
        assert!(self.core.awaits_successor(of), "{label}: nobody is to come");
        assert!(self.core.service(service).can_roll(), "{label}: can't be exchanged");
        let asked = self.core.instances_of(service).filter(|&id| self.core.awaits_successor(id));
        let between = |id: &InstanceId| {
            [Standing::Next, Standing::Old].contains(&self.core.instance(*id).standing)
        };
        let changing = asked.count() + self.core.all_of(service).filter(between).count();
        let most = self.core.service(service).rolling.max(1) as usize;
        // What was on its way when the service was defined anew goes on.
        assert!(changing <= most || self.redefined, "{label}: {changing} at a time");
    }

    /// Who has become an instance, or is none any more; and never two processes for one but its successor's.
    pub(super) fn audit_beside(&mut self) {
        for id in self.core.instances() {
            let instance = self.core.instance(id);
            let shadow = &mut self.shadows[id.index()];
            shadow.beside = instance.standing != Standing::Regular;
            shadow.held |= instance.standing == Standing::Old;
            let again = [Phase::Backoff, Phase::Cooldown].contains(&instance.phase);
            assert!(!shadow.beside || !again, "{}: is not tried again", self.core.label(id));
            let twin = |other: &InstanceId| {
                let other = self.core.instance(*other);
                (other.number, other.standing) == (instance.number, instance.standing)
            };
            let twins = self.core.all_of(instance.service).filter(twin).count();
            assert_eq!(twins, 1, "{}: there is another one", self.core.label(id));
        }
        if self.finished.is_some() && self.kill_at.is_none() {
            let stays = |id: &InstanceId| self.core.is_left(*id);
            let lives = |id: &InstanceId| self.process(*id, Role::Main).is_some() && !stays(id);
            assert_eq!(self.core.instances().find(lives), None, "who outlives the end");
        }
    }

    /// Whoever depends on it and is to be down must be down by now.
    pub(super) fn audit_stop_order(&self, id: InstanceId, label: &str) {
        for &dependent in self.core.dependents(self.core.instance(id).service) {
            if self.wanted(dependent).next().is_some() {
                continue;
            }
            let down = |id: &InstanceId| !self.core.instance(*id).wanted_up;
            for other in self.core.all_of(dependent).filter(down) {
                let stays = self.core.is_left(other);
                let lives = !stays && self.process(other, Role::Main).is_some()
                    || self.shadows[other.index()].spawning;
                assert!(!lives, "{label}: stopped before {}", self.core.label(other));
            }
        }
    }
}
