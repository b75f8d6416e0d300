//! What is being done for a client between its request and the last line of its reply.

use super::events::Filter;
use super::feed::{Sending, Sent};
use super::names::Targets;
use super::once::{Run, Tail};
use super::reply::cut_up;
use super::verbs::Refusal;
use super::wait::Waiter;
use crate::ctl::protocol::record::Buffer;
use crate::plan::InstanceId;
use crate::supervisor::Ticket;
use crate::time::{Duration, Instant};

/// The state of a client's current request.
#[derive(Debug)]
pub enum Work {
    /// None: the next one is read.
    Idle,
    /// It is somebody else's turn: the loop's, whose answer is the last line, or the manager's, whose
    /// end closes the connection and so says that it has ended.
    Held,
    /// The loop changes who there is, and says what is to be waited for.
    Ordered(Ordered),
    /// Records are being written, then the last line.
    Reply(Reply),
    /// A reply to one of zdaemon's commands is being written; then the connection is closed.
    Text(Text),
    /// Instances are on their way to what was asked for.
    Wait(Waiter),
    /// A run is waited for, and its output passed on.
    Run(Run),
    /// Programs are being sent something.
    Send(Box<Sending>),
}

/// What is kept of a request that the loop sees to.
#[derive(Clone, Copy, Debug)]
pub struct Ordered {
    /// Whether the outcome is waited for.
    pub wait: bool,
    /// How long, if the client says so.
    pub timeout: Option<Duration>,
    /// Whether changes are sent meanwhile.
    pub progress: bool,
    /// The number of its orders.
    pub ticket: Ticket,
    /// When it was asked for.
    pub begun: Instant,
}

/// A text that is sent as it is, and how much of it is on its way.
#[derive(Debug)]
pub struct Text {
    text: String,
    done: usize,
}

impl Text {
    /// Nothing of it is sent yet.
    pub fn new(text: String) -> Text {
        Text { text, done: 0 }
    }

    /// Hands as much of it to `output` as that takes; whether that was all.
    pub fn step(&mut self, output: &mut Buffer) -> bool {
        let rest = self.text.as_bytes().get(self.done..).unwrap_or(&[]);
        let count = output.push(rest);
        self.done += count;
        count == rest.len()
    }
}

/// A reply, and how far it is.
#[derive(Debug)]
pub struct Reply {
    /// What is told.
    pub what: What,
    /// Whether it is told of the manager itself, before the instances.
    pub own: bool,
    /// Of which instances.
    pub targets: Targets,
    /// How many of them are done.
    pub done: usize,
    /// Where the next record of the current one begins; each kind of reply has its own count, from 0.
    pub at: u64,
    /// The configuration that is being told, in pieces; whether the line goes on after each.
    pub pieces: Vec<(String, bool)>,
    /// The last line.
    pub verdict: Verdict,
}

impl Reply {
    /// Only a last line.
    pub fn end(verdict: Verdict) -> Reply {
        Reply::of(What::Nothing, Targets::Some(Vec::new()), verdict)
    }

    /// Something about the manager.
    pub fn own(what: What, verdict: Verdict) -> Reply {
        Reply { own: true, ..Reply::of(what, Targets::Some(Vec::new()), verdict) }
    }

    /// Does not tell of somebody who is no more. Events know by themselves whom they are about.
    pub fn forget(&mut self, gone: InstanceId) {
        if let What::Events(_) = self.what {
            return;
        }
        if let Some(at) = self.targets.forget(gone) {
            match at.cmp(&self.done) {
                std::cmp::Ordering::Less => self.done -= 1,
                std::cmp::Ordering::Equal => self.at = 0,
                std::cmp::Ordering::Greater => {}
            }
        }
        if let What::Logs(logs) = &mut self.what {
            logs.sent.retain(|(id, _)| *id != gone);
        }
    }

    /// Lines of text.
    pub fn lines(lines: &[String], verdict: Verdict) -> Reply {
        Reply { pieces: cut_up(lines), ..Reply::own(What::Lines, verdict) }
    }

    /// Something about instances.
    pub fn of(what: What, targets: Targets, verdict: Verdict) -> Reply {
        Reply { what, own: false, targets, done: 0, at: 0, pieces: Vec::new(), verdict }
    }
}

/// What the records of a reply are about.
#[derive(Debug)]
pub enum What {
    /// There are none.
    Nothing,
    /// That the manager lives.
    Ping,
    /// What it is.
    Version,
    /// What its log says.
    Level,
    /// How many instances are up, of how many that should be.
    Health {
        /// Up.
        up: u32,
        /// Of so many.
        wanted: u32,
        /// What the only one is, or the first that is not up.
        text: Option<String>,
    },
    /// Process ids.
    Pid,
    /// One record of each instance, and its last output where that is asked for.
    Status {
        /// Whose output follows.
        output: Output,
    },
    /// The last output of somebody who is no more, then as `Status`.
    Aftermath(Tail),
    /// The latest changes of each instance.
    Why,
    /// One record of each service of which an instance is meant.
    List,
    /// The same, with what it depends on.
    Tree,
    /// The configuration, line by line.
    Config,
    /// Lines that are made already.
    Lines,
    /// What came of a `send`, for each program.
    Sent(Vec<Sent>),
    /// Events as they happen. `at` is the number of the next one.
    Events(Filter),
    /// Output.
    Logs(Logs),
}

/// Whose last output is told along with what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nobody's.
    None,
    /// Of those that have died or did not come up.
    Failed,
    /// Of those that a command has failed for: one that this order, or a later one, has asked for, or that was to stop
    /// it.
    Command(Ticket),
}

/// The last line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `ok`.
    Ok,
    /// `ok`, after which the connection stays open until the manager has ended.
    Ending,
    /// `error`, with the word for it: an exit code's, or `protocol`.
    Error(&'static str, String),
    /// There is none: the records go on until the client leaves.
    Never,
}

impl From<Result<(), Refusal>> for Verdict {
    fn from(result: Result<(), Refusal>) -> Verdict {
        match result {
            Ok(()) => Verdict::Ok,
            Err((code, message)) => Verdict::Error(code.word(), message),
        }
    }
}

/// The state of `logs`.
#[derive(Debug)]
pub struct Logs {
    /// Whose, and up to which position each is sent.
    pub sent: Vec<(InstanceId, u64)>,
    /// Whether it goes on with what comes.
    pub follow: bool,
    /// Of which stream, by each service's number for it; 0 is standard output and error.
    pub stream: Option<String>,
}
