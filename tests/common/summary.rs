//! What a service is to those who depend on it.

use lar::plan::{InstanceId, ServiceId};
use lar::supervisor::Phase;

use super::Books;

impl Books {
    pub(super) fn wanted(&self, on: ServiceId) -> impl Iterator<Item = InstanceId> + '_ {
        self.core.instances_of(on).filter(|&id| self.core.instance(id).wanted_up)
    }

    /// Wanted, and all that are wanted are ready.
    pub fn satisfied(&self, on: ServiceId) -> bool {
        self.wanted(on).next().is_some() && self.wanted(on).all(|id| self.core.satisfies(id))
    }

    /// The same of those who were wanted up before this event: in one tick somebody may be spawned, and then a run may
    /// begin that wants more of what both need.
    pub(super) fn was_satisfied(&self, on: ServiceId) -> bool {
        let was = || self.wanted(on).filter(|id| self.shadows[id.index()].wanted);
        let good = |id: InstanceId| self.core.satisfies(id) || self.shadows[id.index()].satisfied;
        was().next().is_some() && was().all(good)
    }

    /// Not to be waited for by those who could do without.
    pub(super) fn settled(&self, on: ServiceId) -> bool {
        let rests = |id: InstanceId| {
            let dead = [Phase::Backoff, Phase::Cooldown, Phase::Failed, Phase::Exited];
            let done = self.core.is_up(id);
            dead.contains(&self.core.instance(id).phase) && !done
        };
        self.wanted(on).next().is_none() || self.core.instances_of(on).any(rests)
    }
}
