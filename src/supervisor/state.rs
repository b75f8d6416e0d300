//! What an instance is, with what belongs to that and nothing else: no pid without a process, no deadline
//! without something to do at it.

use crate::exit::{ExitStatus, Pid};
use crate::plan::ServiceId;
use crate::supervisor::event::{Phase, Role};
use crate::time::{Duration, Instant};

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
    Spawning {
        /// What for: its program, or the command before it.
        role: Role,
        /// When it must be ready, if that is known by now.
        deadline: Option<Instant>,
    },
    /// The command before its program runs.
    Preparing {
        /// The command's process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// When the instance must be ready.
        deadline: Option<Instant>,
    },
    /// Its program runs, and is to leave a daemon behind.
    Forking {
        /// The program's process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// When the instance must be ready.
        deadline: Option<Instant>,
    },
    /// Its program has left a daemon behind, whose process id is not known yet.
    Seeking {
        /// When the program was spawned.
        spawned: Instant,
        /// When it is looked for next.
        next: Instant,
        /// Whom its PID file names that is no child of lar's.
        foreign: Option<Pid>,
        /// How long it is waited for.
        wait: Wait,
    },
    /// Spawned, not ready yet (a one-shot: not done yet).
    Starting {
        /// The main process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// How long it is waited for.
        wait: Wait,
        /// How lar finds out.
        asking: Asking,
    },
    /// Up.
    Running {
        /// The main process.
        pid: Pid,
        /// When it was spawned.
        spawned: Instant,
        /// Whether it still works.
        check: Check,
        /// Whether somebody wants to know again if it can be connected to.
        again: Again,
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
        /// How far that is its own command's work, or its ladder's.
        how: How,
    },
    /// Its main process was reaped; what belongs to that end is not done yet.
    Clearing {
        /// What is still there, or still to be done.
        rest: Rest,
        /// When that is given up on.
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

/// How long a start is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it must be ready.
    pub deadline: Option<Instant>,
    /// How long it may be silent.
    pub silence: Option<Silence>,
}

/// How long a start may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// When its log is looked at next.
    pub look: Instant,
    /// When it has been silent for too long.
    pub until: Instant,
}

/// Whether a running instance still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The next question. Of a watchdog: when the next beat must have come.
    pub asking: Asking,
    /// Bad answers in a row.
    pub failures: u32,
    /// Whether these were too many.
    pub sick: bool,
    /// The time from one question, or beat, to the next.
    pub every: Duration,
}

impl Check {
    /// It is never asked.
    pub const NONE: Check =
        Check { asking: Asking::Listening, failures: 0, sick: false, every: Duration::ZERO };
}

/// Whether somebody wants to know if a running instance can be connected to (`ensure`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// How far that is; [`Asking::Listening`]: nobody does.
    pub asking: Asking,
    /// Whether it is the second question.
    pub second: bool,
}

impl Again {
    /// Nobody does.
    pub const NO: Again = Again { asking: Asking::Listening, second: false };
}

/// How something is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By the rungs of its ladder.
    Ladder,
    /// By its own command when the drain time is over; the rungs come after that.
    CommandDue,
    /// Its own command was asked for; the first rung is due when that fails, or has had its time.
    CommandRuns,
    /// What did not come up in time, or was left behind: the first rung for its whole group, then KILL.
    Abort,
}

/// What is left of an instance when its main process was reaped, in the order in which it is seen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Others of its group, already killed.
    Group,
    /// Its stop command, which has not ended.
    Command,
    /// The same, after it had its time and was killed.
    CommandKilled,
    /// What its daemon may have left behind elsewhere: it is looked for.
    Strays,
    /// Its command for afterwards.
    PostStop,
    /// The same, after it had its time and was killed.
    PostStopKilled,
}

/// Why an instance is being stopped. What comes after depends on this and on what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Asked,
    /// It was not ready in time, in this step: a death.
    StartTimeout(Step),
    /// It does not work any more, after so many bad answers: a death.
    Unhealthy(u32),
    /// It goes along with this service.
    Companion(ServiceId),
    /// It was left behind by a main process that has ended; this comes after it.
    Stray(Then),
}

/// The step of a start that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The command before its program.
    PreStart,
    /// Its program did not leave a daemon behind and exit.
    Fork,
    /// No PID file.
    PidFile,
    /// Its PID file names a process that is no child of lar's.
    Foreign(Pid),
    /// It was not ready.
    Ready,
    /// Its log was silent for too long.
    Silence,
}

/// What comes after the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Preparing,
    Forking,
    Seeking,
    Starting,
    Running,
    Unhealthy,
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
            State::Spawning { .. } => StateKind::Spawning,
            State::Preparing { .. } => StateKind::Preparing,
            State::Forking { .. } => StateKind::Forking,
            State::Seeking { .. } => StateKind::Seeking,
            State::Starting { .. } => StateKind::Starting,
            State::Running { check: Check { sick: true, .. }, .. } => StateKind::Unhealthy,
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
            State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. } => Phase::Starting,
            State::Running { check: Check { sick: true, .. }, .. } => Phase::Unhealthy,
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
        let first = |times: &[Option<Instant>]| times.iter().flatten().min().copied();
        match *self {
            State::Preparing { deadline, .. } | State::Forking { deadline, .. } => deadline,
            State::Seeking { next, wait, .. } => first(&[Some(next), wait.deadline()]),
            State::Starting { wait, asking, .. } => first(&[wait.deadline(), asking.deadline()]),
            State::Running { check, again, .. } => {
                first(&[check.asking.deadline(), again.asking.deadline()])
            }
            State::Stopping { until, .. } => until,
            State::Clearing { until, .. }
            | State::Backoff { until }
            | State::Cooldown { until } => Some(until),
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Exited { .. }
            | State::Failed => None,
        }
    }

    /// The process that a stop is to end, and when that was spawned: the main one, or the one before it. Not yet
    /// reaped: a signal reaches it and nobody else.
    pub fn process(&self) -> Option<(Pid, Instant)> {
        match *self {
            State::Preparing { pid, spawned, .. }
            | State::Forking { pid, spawned, .. }
            | State::Starting { pid, spawned, .. }
            | State::Running { pid, spawned, .. }
            | State::Stopping { pid, spawned, .. } => Some((pid, spawned)),
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Seeking { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => None,
        }
    }

    /// Whether it is up or on its way there, and it takes a stop to end that.
    pub fn live(&self) -> bool {
        match self {
            State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. } => true,
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => false,
        }
    }

    /// Whether a process, or what one left behind, is there or on its way.
    pub fn busy(&self) -> bool {
        self.live()
            || matches!(
                self,
                State::Spawning { .. } | State::Stopping { .. } | State::Clearing { .. }
            )
    }

    /// Whether nothing will happen unless somebody asks.
    pub fn at_rest(&self) -> bool {
        matches!(self, State::Stopped | State::Exited { .. } | State::Failed)
    }
}

impl Asking {
    /// When something is to be done about it.
    fn deadline(self) -> Option<Instant> {
        match self {
            Asking::Listening => None,
            Asking::Due(at) | Asking::Asked(at) => Some(at),
        }
    }
}

impl Wait {
    /// When it is over, or when a look is due.
    fn deadline(self) -> Option<Instant> {
        let silence = self.silence.map(|silence| silence.look.min(silence.until));
        [self.deadline, silence].into_iter().flatten().min()
    }
}
