//! Whether the core's own books agree: for tests and the simulation, after every event.

use crate::plan::ServiceId;
use crate::supervisor::Supervisor;
use crate::supervisor::event::Role;
use crate::supervisor::state::{State, StateKind};
use crate::supervisor::tally::Tally;

impl Supervisor {
    /// Panics unless they do.
    pub fn check_invariants(&self) {
        let mut processes = 0;
        for id in self.instances() {
            let slot = &self.roster.slots[id.index()];
            let prepares = matches!(slot.state, State::Preparing { .. });
            let role = if prepares { Role::PreStart } else { Role::Main };
            let main = slot.state.process().map(|(pid, _)| (role, pid));
            for (role, pid) in main.into_iter().chain(slot.aides.iter()) {
                let owner = self.pids.get(pid);
                // A command before the program is ended by the same ladder.
                let before = slot.state.kind() == StateKind::Stopping && role == Role::Main;
                let prepares = before && owner == Some((id, Role::PreStart));
                assert!(owner == Some((id, role)) || prepares, "pid {pid}: {owner:?}, {role:?}");
                processes += 1;
            }
            let stays_down = matches!(
                slot.state,
                State::Armed | State::Waiting | State::Backoff { .. } | State::Cooldown { .. }
            );
            let due = slot.runs.due.is_some();
            assert!(
                !due || self.comes_again(id) && !self.shutting_down(),
                "only who is wanted is due"
            );
            assert!(slot.wanted_up || !stays_down, "{}: a next try nobody wants", self.label(id));
        }
        assert_eq!(self.pids.len(), processes, "no pid without a state");
        for id in self.services() {
            let group = &self.roster.groups[id.index()];
            let mut tally = Tally::default();
            for instance in self.all_of(id) {
                tally.replace(Tally::default(), self.share(instance));
            }
            assert_eq!(group.tally, tally);
            let leaving = |id: &&ServiceId| self.summary(**id).leaving;
            assert_eq!(group.blockers as usize, self.dependents(id).iter().filter(leaving).count());
        }
        assert!(self.touched.is_empty() && self.released.is_empty() && self.pulling.is_empty());
        assert!(self.vacating.is_empty() && self.arriving.is_empty());
        self.check_beside();
    }

    /// The same for the tables of services and instances, which only change with them.
    pub fn check_roster(&self) {
        self.roster.check_invariants();
    }
}
