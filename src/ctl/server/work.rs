//! What is being done for a client between its request and the last line of its reply.

use super::names::Targets;
use super::wait::Waiter;
use crate::exit::Code;

/// The state of a client's current request.
#[derive(Debug)]
pub enum Work {
    /// None: the next one is read.
    Idle,
    /// The loop was asked to do something; its answer is the last line.
    Ordered,
    /// Records are being written, then the last line.
    Reply(Source, Verdict),
    /// Instances are on their way to what was asked for.
    Wait(Waiter),
    /// Changes are passed on until the client leaves.
    Events(Subscription),
    /// The manager is ending: `ok` is to be written.
    Ending,
    /// It is written. The manager's end closes the connection, and so says that it has ended.
    Ended,
    /// The request is not one; the code is a word that no exit code has.
    Refused(&'static str, String),
}

/// The last line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `ok`.
    Ok,
    /// `error`.
    Error(Code, String),
    /// There is none: the records go on until the client leaves (`logs -f`).
    Never,
}

/// Where the records of a reply come from, and how far it is.
#[derive(Debug)]
pub enum Source {
    /// There are none (left).
    Nothing,
    /// One record about the manager: `ping`, `version`, `health`, `pid`, `loglevel`.
    Manager(About),
    /// One record of each instance; with its last output if `output` and it is not up.
    Status {
        /// Whose.
        targets: Targets,
        /// How many are done.
        done: usize,
        /// The index of the next line of output of the current one.
        line: Option<u64>,
        /// Whether output follows those that failed.
        output: bool,
    },
    /// Label and pid of each.
    Pids(Targets, usize),
    /// One record of each service of which an instance is meant.
    List(Targets, usize),
    /// The same, with what it depends on.
    Tree(Targets, usize),
    /// The latest changes of each instance: how many instances are done, and changes of the
    /// current one.
    Why(Targets, usize, usize),
    /// The configuration: the manager's own (if all is meant), then of each service. How many are
    /// done, and lines, and bytes of the current line.
    Config(Targets, usize, usize, usize),
    /// Output.
    Logs(Logs),
}

/// Which record about the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// That it lives.
    Ping,
    /// What it is.
    Version,
    /// Its pid.
    Pid,
    /// What its log says.
    Level,
    /// How many services are up, of how many wanted up.
    Health {
        /// Up.
        up: u32,
        /// Wanted up.
        wanted: u32,
    },
}

/// The state of `logs`.
#[derive(Debug)]
pub struct Logs {
    /// Whose, and up to which position each is sent.
    pub sent: Vec<(crate::plan::InstanceId, u64)>,
    /// Whether it goes on with what comes.
    pub follow: bool,
}

/// The state of `events`, and of the progress of a waiting request.
#[derive(Debug)]
pub struct Subscription {
    /// Whose changes.
    pub targets: Targets,
    /// The number of the next change to send.
    pub next: u64,
}
