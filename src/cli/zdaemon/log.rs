//! What zdaemon's manager says, in zdaemon's words: whoever reads its log finds the same lines.

use std::cell::Cell;

use log::{debug, error, info, warn};

use crate::ctl::protocol::zdaemon::{Ended, Name};
use crate::exit::{ExitStatus, Pid, Stage};
use crate::logger::{CRITICAL, ZDAEMON};
use crate::plan::Plan;
use crate::python::Repr;
use crate::run::voice::{Note, Voice};
use crate::supervisor::{Cause, Change, Phase, Supervisor};
use crate::time::Duration;

/// Waits below this are lar's own bound on spawns, which zdaemon has not: nothing to be told.
const WORTH_TELLING: Duration = Duration::from_millis(50);

/// zdaemon's words.
pub(in crate::cli) struct Words {
    /// The file that is executed.
    program: String,
    /// What is said when it is given up.
    farewell: &'static str,
    /// Whose exit is to be told.
    ended: Cell<Option<Pid>>,
    /// Whether a signal ends the manager.
    killed: Cell<bool>,
}

impl Words {
    /// For the program of this plan.
    pub(in crate::cli) fn of(plan: &Plan) -> Words {
        let process = plan.services.first().and_then(|service| service.processes.first());
        let program = process.and_then(|it| it.executable.as_ref().or(it.argv.first()));
        Words {
            program: program.cloned().unwrap_or_default(),
            farewell: "restarting too frequently; quit",
            ended: Cell::new(None),
            killed: Cell::new(false),
        }
    }

    /// The same as the program of 2002 said it.
    pub(super) fn classic(plan: &Plan) -> Words {
        Words { farewell: "restarting too often; quit", ..Words::of(plan) }
    }

    /// How the program ended, once for each of its processes.
    fn end(&self, status: ExitStatus, tail: &str) {
        if let Some(pid) = self.ended.take() {
            info!(target: ZDAEMON, "pid {pid}: {}{tail}", Ended(status));
        }
    }
}

impl Voice for Words {
    fn note(&self, note: Note) {
        match note {
            Note::Started => info!(target: ZDAEMON, "daemon manager started"),
            Note::Spawned(pid) => info!(target: ZDAEMON, "spawned process pid={pid}"),
            Note::Failed(Stage::Exec, errno) => {
                warn!(target: ZDAEMON, "can't exec {}: {errno}", Repr(&self.program));
            }
            Note::Failed(stage, errno) => {
                warn!(target: ZDAEMON, "can't start {}: {errno} (stage {stage})", Repr(&self.program));
            }
            Note::Tested(true) => debug!(target: ZDAEMON, "start test succeeded"),
            Note::Tested(false) => debug!(target: ZDAEMON, "start test failed"),
            Note::Reaped(pid, _, true) => {
                self.ended.set(Some(pid));
                debug!(target: ZDAEMON, "controlled process {pid} exited");
            }
            Note::Ending(signal) => {
                self.killed.set(true);
                error!(target: CRITICAL, "daemon manager killed by {}", Name(signal));
            }
            Note::Reaped(_, _, false)
            | Note::Received(_)
            | Note::Forwarded(..)
            | Note::Gone(_)
            | Note::Drained
            | Note::Suspending
            | Note::Over => {}
        }
    }

    fn changed(&self, _: &Supervisor, change: &Change) -> bool {
        let status = match change.cause {
            Cause::Exited(status, _) => Some(status),
            _ => None,
        };
        // zdaemon's order: the governor speaks first.
        match change.next {
            Some(wait) if wait >= WORTH_TELLING => {
                info!(target: ZDAEMON, "sleep {} to avoid rapid restarts", seconds(wait));
            }
            _ => {}
        }
        if let Some(status) = status {
            self.end(status, if change.to == Phase::Exited { "; exiting now" } else { "" });
        }
        match change.to {
            Phase::Failed => error!(target: CRITICAL, "{}", self.farewell),
            Phase::Stopped if !self.killed.get() => info!(target: ZDAEMON, "Exiting"),
            _ => {}
        }
        true
    }
}

/// Whole seconds, as the governor counts; what has passed of one since is not worth telling.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000) as u64
}
