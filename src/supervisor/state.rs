//! What an instance is, with what belongs to that and nothing else: no pid without a process, no deadline
//! without something to do at it.

use crate::exit::{ExitStatus, Pid};
use crate::plan::ServiceId;
use crate::supervisor::event::Phase;
use crate::time::Instant;

/// The state of an instance. What is wanted of it is kept apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Down.
    Stopped,
    /// Wanted up as soon as somebody connects: down until then.
    Armed,
    /// Wanted up; a dependency is not ready.
    Waiting,
    /// A spawn was asked for and is not answered yet.
    Spawning,
    /// Spawned, not ready yet (a one-shot: not done yet).
    Starting {
        /// The main process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// When it must be ready.
        deadline: Option<Instant>,
        /// How lar finds out.
        asking: Asking,
    },
    /// Up.
    Running {
        /// The main process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
    },
    /// On its stop ladder.
    Stopping {
        /// The main process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// The next rung; one past the last is KILL, one more is nothing.
        rung: usize,
        /// When it is due.
        until: Option<Instant>,
        /// Why it is stopped.
        reason: Reason,
    },
    /// Its main process was reaped; others of its group, already killed, are still there.
    Clearing {
        /// When they are given up on.
        until: Instant,
        /// What comes then.
        then: Then,
    },
    /// Died; tried again at this time.
    Backoff {
        /// The time.
        until: Instant,
    },
    /// Died too often; tried again at this time.
    Cooldown {
        /// The time.
        until: Instant,
    },
    /// Ended, and its rules say: leave it.
    Exited {
        /// How.
        status: ExitStatus,
    },
    /// Gave up.
    Failed,
}

/// How lar finds out whether a starting instance is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It doesn't ask: it is told (READY=1, or a one-shot's exit).
    Listening,
    /// The next probe is due.
    Due(Instant),
    /// A probe is under way, and is given up at this time.
    Asked(Instant),
}

/// Why an instance is being stopped. What comes after depends on this and on what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Asked,
    /// It was not ready in time: a death.
    StartTimeout,
    /// It goes along with this service.
    Companion(ServiceId),
}

/// What comes after the end of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// Stay down.
    Stop,
    /// Start again at once.
    Start,
    /// Start again then.
    Backoff(Instant),
    /// Start again then, after flapping.
    Cooldown(Instant),
    /// Leave it.
    Leave(ExitStatus),
    /// Give up.
    GiveUp,
}

/// The states without their data, for tables (the simulation counts what it has visited).
#[allow(missing_docs)] // see State
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum StateKind {
    Stopped,
    Armed,
    Waiting,
    Spawning,
    Starting,
    Running,
    Stopping,
    Clearing,
    Backoff,
    Cooldown,
    Exited,
    Failed,
}

impl StateKind {
    /// How many there are.
    pub const COUNT: usize = StateKind::Failed as usize + 1;
}

impl State {
    /// The state without its data.
    pub fn kind(&self) -> StateKind {
        match self {
            State::Stopped => StateKind::Stopped,
            State::Armed => StateKind::Armed,
            State::Waiting => StateKind::Waiting,
            State::Spawning => StateKind::Spawning,
            State::Starting { .. } => StateKind::Starting,
            State::Running { .. } => StateKind::Running,
            State::Stopping { .. } => StateKind::Stopping,
            State::Clearing { .. } => StateKind::Clearing,
            State::Backoff { .. } => StateKind::Backoff,
            State::Cooldown { .. } => StateKind::Cooldown,
            State::Exited { .. } => StateKind::Exited,
            State::Failed => StateKind::Failed,
        }
    }

    /// The word that people are shown.
    pub fn phase(&self) -> Phase {
        match self {
            State::Stopped | State::Armed => Phase::Stopped,
            State::Waiting => Phase::Waiting,
            State::Spawning | State::Starting { .. } => Phase::Starting,
            State::Running { .. } => Phase::Running,
            State::Stopping { .. } | State::Clearing { .. } => Phase::Stopping,
            State::Backoff { .. } => Phase::Backoff,
            State::Cooldown { .. } => Phase::Cooldown,
            State::Exited { .. } => Phase::Exited,
            State::Failed => Phase::Failed,
        }
    }

    /// When something is to be done about it, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            State::Starting { deadline, asking, .. } => match (deadline, asking) {
                (deadline, Asking::Listening) => deadline,
                (None, Asking::Due(at) | Asking::Asked(at)) => Some(at),
                (Some(deadline), Asking::Due(at) | Asking::Asked(at)) => Some(deadline.min(at)),
            },
            State::Stopping { until, .. } => until,
            State::Clearing { until, .. }
            | State::Backoff { until }
            | State::Cooldown { until } => Some(until),
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Running { .. }
            | State::Exited { .. }
            | State::Failed => None,
        }
    }

    /// Its main process and when that was spawned. Not yet reaped: a signal reaches it and nobody else.
    pub fn process(&self) -> Option<(Pid, Instant)> {
        match *self {
            State::Starting { pid, spawned, .. }
            | State::Running { pid, spawned }
            | State::Stopping { pid, spawned, .. } => Some((pid, spawned)),
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => None,
        }
    }

    /// Whether a process, or what one left behind, is there or on its way.
    pub fn busy(&self) -> bool {
        match self {
            State::Spawning
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. } => true,
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => false,
        }
    }

    /// Whether nothing will happen unless somebody asks.
    pub fn at_rest(&self) -> bool {
        matches!(self, State::Stopped | State::Exited { .. } | State::Failed)
    }
}
