//! Why an instance is what it is: one closed list, put into words by `describe`.

use crate::exit::{Errno, ExitStatus, Stage};
use crate::plan::ServiceId;
use crate::supervisor::event::Verb;
use crate::supervisor::state::Step;
use crate::time::Duration;

/// What came of a command that is not the program itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has ended.
    Exited(ExitStatus),
    /// It could not be started.
    NotStarted(Stage, Errno),
    /// It took too long, and was killed.
    TimedOut,
    /// There was nothing for it to do: the service is not up.
    NotUp,
}

impl Outcome {
    /// Whether it has done its work.
    pub const fn good(self) -> bool {
        matches!(self, Outcome::Exited(status) if status.success())
    }
}

/// `exit status 1`, or `exec: No such file or directory`.
impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Outcome::Exited(status) => write!(f, "{status}"),
            Outcome::NotStarted(stage, errno) => write!(f, "{errno} (stage {stage})"),
            Outcome::TimedOut => f.write_str("took too long and was killed"),
            Outcome::NotUp => f.write_str("the service is not up"),
        }
    }
}

/// Why an instance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The manager started.
    Boot,
    /// An operator said so.
    Operator(Verb),
    /// It is down until somebody connects to one of its sockets.
    Awaits,
    /// Somebody connects to this socket of its, counted from 0.
    Connection(u16),
    /// It is down until its time comes.
    Scheduled,
    /// Its time has come.
    Timer,
    /// Another service needs it.
    NeededBy(ServiceId),
    /// This dependency is not ready yet.
    WaitsFor(ServiceId),
    /// What it waited for is there.
    DependenciesReady,
    /// What it requires failed for good.
    DependencyFailed(ServiceId),
    /// It is restarted along with this service.
    RestartWith(ServiceId),
    /// Its process runs.
    Spawned,
    /// It is ready.
    Ready,
    /// Its process could not be started.
    SpawnFailed(Stage, Errno),
    /// The command before its program runs.
    Prepares,
    /// That command has done its work.
    Prepared,
    /// That command has failed.
    PreStart(Outcome),
    /// Its program has left a daemon behind.
    Forked,
    /// The process of its daemon is known.
    Found,
    /// Its daemon is gone, and nobody saw how it ended.
    Lost,
    /// It says that another process is its main one.
    MainPid,
    /// It was not ready in time.
    StartTimeout(Step),
    /// So many answers in a row were bad.
    Unhealthy(u32),
    /// An answer is good again.
    Healthy,
    /// Its process ended after this long.
    Exited(ExitStatus, Duration),
    /// The wait is over.
    Retry,
    /// The manager is ending.
    Shutdown,
    /// It is to take over from one that runs.
    Succeeds,
    /// Its successor is ready.
    Replaced,
    /// Its successor is not needed.
    CalledOff,
    /// It ran for as long as it may.
    TimeLimit,
    /// The manager is ending, and leaves it running.
    Left,
    /// Another service, which is no more.
    Bygone,
}

impl Cause {
    /// Lets go of a service that is no more: its id may soon be another's. Whether it was about that.
    pub fn forget(&mut self, gone: ServiceId) -> bool {
        let about = match *self {
            Cause::NeededBy(id)
            | Cause::WaitsFor(id)
            | Cause::DependencyFailed(id)
            | Cause::RestartWith(id) => id == gone,
            _ => false,
        };
        if about {
            *self = Cause::Bygone;
        }
        about
    }
}
