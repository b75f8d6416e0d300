//! Who is to be started next, when many are at once.
//!
//! A spawn is the longest thing the loop does. A boot of ten thousand, or their death, would keep it from its
//! signals and its clients for seconds; so a turn starts a few, and the rest wait for the next. One alone never waits.

use std::collections::VecDeque;

use super::Loop;
use crate::plan::InstanceId;
use crate::supervisor::Role;

/// How many processes are started in a turn: some milliseconds of work.
const SPAWNS: usize = 16;

/// Those who wait, and how many more this turn can take.
pub(super) struct Launch {
    waiting: VecDeque<(InstanceId, Role)>,
    left: usize,
}

impl Launch {
    /// With room for so many instances.
    pub(super) fn new(instances: usize) -> Launch {
        let mut launch = Launch { waiting: VecDeque::new(), left: SPAWNS };
        launch.grow(instances);
        launch
    }

    /// Makes room for so many instances: each may wait once for each role.
    pub(super) fn grow(&mut self, instances: usize) {
        let most = instances * Role::ALL.len();
        self.waiting.reserve(most.saturating_sub(self.waiting.len()));
    }

    /// Whether somebody waits.
    pub(super) fn busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether this one may be started now; else it is started in a later turn.
    pub(super) fn now(&mut self, instance: InstanceId, role: Role) -> bool {
        let free = self.left > 0 && self.waiting.is_empty();
        match free {
            true => self.left -= 1,
            false => self.waiting.push_back((instance, role)),
        }
        free
    }

    /// An instance is no more; somebody else may get its number.
    pub(super) fn forget(&mut self, gone: InstanceId) {
        self.waiting.retain(|&(instance, _)| instance != gone);
    }

    fn next(&mut self) -> Option<(InstanceId, Role)> {
        self.left = self.left.checked_sub(1)?;
        self.waiting.pop_front()
    }
}

impl Loop {
    /// A new turn: those who waited longest are started.
    pub(super) fn launch(&mut self) {
        self.launch.left = SPAWNS;
        while let Some((instance, role)) = self.launch.next() {
            let event = self.spawn(instance, role);
            self.inbox.push_back(event);
        }
        self.launch.left = SPAWNS;
        self.digest();
    }
}
