//! The words the core speaks with the outside: what it is told ([`Event`]), what it asks for ([`Action`]),
//! and what it says has happened ([`Change`]).

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, Kinds, ServiceId, Task};
use crate::signal::Signal;
pub use crate::supervisor::cause::{Cause, Outcome};
use crate::time::{Duration, Instant};

/// What a process does for its instance. The process table is keyed by (instance, role).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// The service itself.
    Main,
    /// The command that asks whether it is ready.
    Probe,
    /// The command that asks whether it still works.
    Health,
    /// The command before its program.
    PreStart,
    /// The command that stops it.
    Stop,
    /// The command that restarts it.
    Restart,
    /// The command that lets it reload.
    Reload,
    /// The command after its program.
    PostStop,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 8] = [
        Role::Main,
        Role::Probe,
        Role::Health,
        Role::PreStart,
        Role::Stop,
        Role::Restart,
        Role::Reload,
        Role::PostStop,
    ];

    /// The command of the configuration that it is, if it is one of these.
    pub const fn task(self) -> Option<Task> {
        match self {
            Role::Main | Role::Probe | Role::Health => None,
            Role::PreStart => Some(Task::PreStart),
            Role::Stop => Some(Task::Stop),
            Role::Restart => Some(Task::Restart),
            Role::Reload => Some(Task::Reload),
            Role::PostStop => Some(Task::PostStop),
        }
    }

    /// What it is called in messages.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Main => "program",
            Role::Probe => "readiness command",
            Role::Health => "health command",
            Role::PreStart => "pre-start",
            Role::Stop => "stop-command",
            Role::Restart => "restart-command",
            Role::Reload => "reload command",
            Role::PostStop => "post-stop",
        }
    }
}

/// What an instance says of itself (sd_notify's protocol; READY=1 also by a line on its fd, or by a text in its log).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// READY=1.
    Ready,
    /// STOPPING=1: it is about to end.
    Stopping,
    /// WATCHDOG=1: it still works.
    Beat,
    /// WATCHDOG=trigger: it does not.
    Trigger,
    /// WATCHDOG_USEC=: from now on a beat comes within this time.
    Every(Duration),
    /// MAINPID=: this child of lar's is its main process.
    Main(Pid),
}

/// What a look for the main process of a forking daemon has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No PID file, or no number in it.
    Nothing,
    /// This child of lar's, not yet reaped and nobody else's.
    Main(Pid),
    /// A process that is not lar's child: it is never signalled.
    Foreign(Pid),
    /// It has ended, in this way if lar has seen it end.
    Gone(Pid, Option<ExitStatus>),
}

/// A number the control server gives to each order, so that it can tell its own from a later one.
/// 0 stands for orders that nobody waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something that happened outside the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The loop runs: start what starts at boot. Once, and first.
    Boot,
    /// Time has passed. Harmless at any moment; needed at `next_deadline`.
    Tick,
    /// A process that was asked for runs.
    Spawned {
        /// Whose.
        instance: InstanceId,
        /// What for.
        role: Role,
        /// Its process id.
        pid: Pid,
    },
    /// A process that was asked for could not be started.
    SpawnFailed {
        /// Whose.
        instance: InstanceId,
        /// What for.
        role: Role,
        /// The step that failed.
        stage: Stage,
        /// Why.
        errno: Errno,
    },
    /// A process has ended and was reaped; its output is drained.
    Exited {
        /// Its process id; one that the core does not know is ignored.
        pid: Pid,
        /// How it ended.
        status: ExitStatus,
        /// Whether others of its process group, already killed, are still there. [`Event::GroupGone`] follows.
        lingering: bool,
    },
    /// A process has ended, and was reaped, without having become its program (`spawn fork`, where that is known
    /// only then). As [`Event::SpawnFailed`], but there was a process.
    ExecFailed {
        /// Its process id.
        pid: Pid,
        /// The step that failed.
        stage: Stage,
        /// Why.
        errno: Errno,
    },
    /// The last process of a lingering group has been reaped.
    GroupGone {
        /// Whose group.
        instance: InstanceId,
    },
    /// A process of this instance says something of itself.
    Told {
        /// Whose.
        instance: InstanceId,
        /// What.
        what: Told,
    },
    /// A built-in probe ([`Action::Probe`]) has its answer.
    Probed {
        /// Whose.
        instance: InstanceId,
        /// [`Role::Probe`] or [`Role::Health`].
        role: Role,
        /// Whether it is ready, or healthy.
        good: bool,
    },
    /// [`Action::Find`] has its answer.
    Found {
        /// Whose.
        instance: InstanceId,
        /// What.
        what: Found,
    },
    /// [`Action::Look`] has its answer.
    Looked {
        /// Whose.
        instance: InstanceId,
        /// Whether its log has grown, or come into being, since the look before.
        active: bool,
    },
    /// An operator wants something of one instance.
    Order {
        /// Of which.
        instance: InstanceId,
        /// What.
        verb: Verb,
        /// Who is waiting for it.
        ticket: Ticket,
    },
    /// Somebody connects to a socket of this service, or was waiting when it was looked at. Starts who is to be
    /// started by that.
    Connection {
        /// Whose.
        service: ServiceId,
        /// Which of its sockets, counted from 0.
        socket: u16,
    },
    /// A time of the day has come at which this service is to run.
    Due {
        /// Which.
        service: ServiceId,
    },
    /// A signal for the program of single-program mode.
    Forward {
        /// Whose.
        instance: InstanceId,
        /// The one that lar got: whether the end is asked for is told by this.
        received: Signal,
        /// The one that is passed on.
        signal: Signal,
    },
    /// The manager is asked to end: everything is stopped in order. A second one kills what is left.
    Shutdown,
}

impl Event {
    /// The instance that it is about, if it names one.
    pub fn instance(&self) -> Option<InstanceId> {
        match *self {
            Event::Spawned { instance, .. }
            | Event::SpawnFailed { instance, .. }
            | Event::GroupGone { instance }
            | Event::Told { instance, .. }
            | Event::Found { instance, .. }
            | Event::Looked { instance, .. }
            | Event::Probed { instance, .. }
            | Event::Order { instance, .. }
            | Event::Forward { instance, .. } => Some(instance),
            Event::Boot
            | Event::Tick
            | Event::Exited { .. }
            | Event::ExecFailed { .. }
            | Event::Connection { .. }
            | Event::Due { .. }
            | Event::Shutdown => None,
        }
    }
}

/// What an operator may want of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Be up (and what it requires and wants with it). Ends a wait for the next try.
    Start,
    /// Be down, and stay so.
    Stop,
    /// Stop if up, then start, without counting as a death.
    Restart,
    /// Forget its deaths: a wait ends now, and what had failed is tried again.
    Clear,
    /// Send its main process a signal.
    Kill(Signal),
    /// Be down, and be forgotten then.
    Remove,
    /// Be one of more, or of fewer.
    Scale,
    /// Be what the configuration says now.
    Apply,
    /// Be exchanged for another process that is ready first; as a restart if that can't be.
    Roll,
    /// Be stopped, and another process take its place: one of several is not stopped for good.
    Replace,
    /// Run once.
    Once,
    /// Run its command for that, or be sent the signal, by which it reads its configuration again.
    Reload,
    /// Be up, and be asked again whether it can be connected to.
    Ensure,
}

/// Something the core asks its caller to do. Drained to `None` before the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn {
        /// Whose.
        instance: InstanceId,
        /// What for.
        role: Role,
    },
    /// Send a signal. Never answered: what follows is an exit or a deadline.
    Signal {
        /// Whose.
        instance: InstanceId,
        /// To whom; not yet reaped, so its number can't be somebody else's.
        target: SignalTarget,
        /// Which.
        signal: Signal,
    },
    /// Ask a question that is no command once; answer with [`Event::Probed`].
    Probe {
        /// Whose.
        instance: InstanceId,
        /// [`Role::Probe`] or [`Role::Health`].
        role: Role,
    },
    /// The answer is not needed any more.
    CancelProbe {
        /// Whose.
        instance: InstanceId,
        /// [`Role::Probe`] or [`Role::Health`].
        role: Role,
    },
    /// Look for the main process of a forking daemon; answer with [`Event::Found`].
    Find {
        /// Whose.
        instance: InstanceId,
        /// Whether it is to be found without a PID file, too: it is about to be ended.
        anyhow: bool,
    },
    /// Look whether its log has grown; answer with [`Event::Looked`].
    Look {
        /// Whose.
        instance: InstanceId,
    },
    /// An instance is in another state.
    Changed(Change),
    /// There is a new instance, still down: its program is to be prepared.
    Created {
        /// Which.
        instance: InstanceId,
    },
    /// An instance is to run another program from its next start on: that is to be prepared.
    Redefined {
        /// Which.
        instance: InstanceId,
    },
    /// An instance is to be exchanged for another process: prepare one, and call [`Supervisor::succeed`], or
    /// [`Supervisor::no_successor`].
    ///
    /// [`Supervisor::succeed`]: super::Supervisor::succeed
    /// [`Supervisor::no_successor`]: super::Supervisor::no_successor
    Renew {
        /// Which.
        instance: InstanceId,
    },
    /// An instance is no more. Until the next event it can still be looked at.
    Gone {
        /// Which.
        instance: InstanceId,
    },
    /// Everything is down and the manager may end, with this exit code. Emitted once.
    Finish {
        /// The exit code.
        code: u8,
    },
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTarget {
    /// One process.
    Process(Pid),
    /// The process group it leads.
    Group(Pid),
}

/// The closed list of state words; the same in text, JSON and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Down, and wanted down; or down until somebody connects.
    Stopped,
    /// Wanted up; a dependency is not ready.
    Waiting,
    /// Spawned, not ready yet.
    Starting,
    /// Up.
    Running,
    /// Up, but it does not answer as it should.
    Unhealthy,
    /// Asked to end, or what it left behind is being ended.
    Stopping,
    /// Died; the next try has a time.
    Backoff,
    /// Died too often; rests.
    Cooldown,
    /// Ended, and its rules say: leave it.
    Exited,
    /// Gave up, or can't be started.
    Failed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 10] = [
        Phase::Stopped,
        Phase::Waiting,
        Phase::Starting,
        Phase::Running,
        Phase::Unhealthy,
        Phase::Stopping,
        Phase::Backoff,
        Phase::Cooldown,
        Phase::Exited,
        Phase::Failed,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Stopped => "stopped",
            Phase::Waiting => "waiting",
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Unhealthy => "unhealthy",
            Phase::Stopping => "stopping",
            Phase::Backoff => "backoff",
            Phase::Cooldown => "cooldown",
            Phase::Exited => "exited",
            Phase::Failed => "failed",
        }
    }

    /// The phase with this word.
    pub fn from_word(word: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.word() == word)
    }
}

/// An instance went from one state to another (or, a process more, stayed in `starting`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which instance.
    pub instance: InstanceId,
    /// When.
    pub at: Instant,
    /// What it was.
    pub from: Phase,
    /// What it is.
    pub to: Phase,
    /// Why.
    pub cause: Cause,
    /// Its main process, if there is one now.
    pub pid: Option<Pid>,
    /// How long until the next try, in `backoff` and `cooldown`.
    pub next: Option<Duration>,
    /// Its main process, if that has just ended.
    pub parting: Option<Parting>,
    /// What happened with it.
    pub kinds: Kinds,
}

impl Change {
    /// How long the main process lived that has just ended.
    pub fn life(&self) -> Option<Duration> {
        self.parting.map(|parting| self.at.since(parting.spawned))
    }
}

/// A main process that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// What its process id was.
    pub pid: Pid,
    /// How it ended; `None` if it never became its program.
    pub status: Option<ExitStatus>,
    /// When it was spawned.
    pub spawned: Instant,
}
