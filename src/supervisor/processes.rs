//! What the loop, and those who look, want to know of processes: whose they are, what goes with them, how they ended.

use crate::exit::{ExitStatus, Pid};
use crate::plan::{InstanceId, KillMode, Kind, Standing};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Outcome, Role, Ticket};
use crate::supervisor::state::{Rest, State};

impl Supervisor {
    /// How the main process of its last start has ended.
    pub fn exit_of_attempt(&self, id: InstanceId) -> Option<ExitStatus> {
        self.roster.slots[id.index()].attempt.exit
    }

    /// Up to which order a command of its has been run for operators, and what came of it.
    pub fn errand(&self, id: InstanceId) -> Option<(Ticket, Outcome)> {
        self.roster.slots[id.index()].errands.done
    }

    /// How its stop command has failed, since it was last stopped.
    pub fn stop_failure(&self, id: InstanceId) -> Option<Outcome> {
        self.roster.slots[id.index()].stop_failed
    }

    /// Whether what its daemon left behind is looked for.
    pub fn looks_for_strays(&self, id: InstanceId) -> bool {
        let state = self.roster.slots[id.index()].state;
        matches!(state, State::Clearing { rest: Rest::Strays, .. })
    }

    /// Whether this main process is a daemon that a launcher has left behind.
    pub fn is_daemon(&self, id: InstanceId, pid: Pid) -> bool {
        let slot = &self.roster.slots[id.index()];
        let launcher = matches!(slot.state, State::Forking { .. });
        let run = slot.standing == Standing::Run;
        let main = self.pids.get(pid) == Some((id, Role::Main));
        main && !launcher && !run && self.service_of(id).kind == Kind::Forking
    }

    /// Whose process this is, and what for. `None` for orphans.
    pub fn owner(&self, pid: Pid) -> Option<(InstanceId, Role)> {
        self.pids.get(pid)
    }

    /// Whether what is left of this process's group is to be killed before the process is reaped.
    /// `status` tells how it has ended, and is asked of launchers only: what one that did its work leaves behind is the
    /// daemon.
    pub fn kills_group(&self, pid: Pid, status: impl FnOnce() -> Option<ExitStatus>) -> bool {
        match self.pids.get(pid) {
            Some((id, Role::Main)) => {
                let state = &self.roster.slots[id.index()].state;
                let launched = matches!(state, State::Forking { .. })
                    && status().is_some_and(ExitStatus::success);
                !launched && self.service_of(id).kill_mode != KillMode::Process
            }
            Some(_) => true,
            None => false,
        }
    }
}
