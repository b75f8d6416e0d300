//! The client: what it knows between two commands, and how it waits.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use super::options::Options;
use super::start::Starter;
use super::wire::{self, Cut, Status};
use crate::python::{List, strings};
use crate::signal::Signal;
use crate::sys::boot;
use crate::sys::ear::Ear;

/// Between two dots.
const ROUND: Duration = Duration::from_secs(1);

/// A manager that has not been seen after that many rounds will not come any more.
const ROUNDS: u32 = 10;

/// The manager has no way to call back, so it is asked again: soon at first, since most programs start and stop at
/// once, then less and less often.
const FIRST: Duration = Duration::from_millis(10);
const LAST: Duration = Duration::from_millis(250);

/// zdaemon's client.
pub(super) struct Client {
    /// What it was called by, for messages.
    pub(super) name: String,
    /// The word that makes lar zdaemon where its name does not.
    pub(super) word: Option<String>,
    /// The words of its command line.
    pub(super) line: Vec<String>,
    /// What it is told.
    pub(super) options: Options,
    /// Whether it is the shell: a few more commands, and no way to end but its own.
    pub(super) shell: bool,
    /// What the manager has said last.
    pub(super) status: Status,
}

/// How waiting has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is so.
    Reached,
    /// The manager has gone, or never came.
    Gone,
    /// It took too long.
    TooLong,
}

/// How a program is waited for that is to start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// How long it may take.
    pub(super) seconds: u32,
    /// The process that has to go first, which has its own time for that; 0: none.
    pub(super) after: i32,
    /// How long a process must have been there to be believed.
    pub(super) settle: Duration,
}

/// A program that dies at once has not started. zdaemon looks for the first time after this long.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// A line to standard output. That nobody reads it is nobody's failure.
pub(super) fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The same to standard error.
pub(super) fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Client {
    /// Where the manager is.
    pub(super) fn socket(&self) -> &str {
        self.options.runner.socket_name()
    }

    /// The program's words.
    pub(super) fn program(&self) -> &[String] {
        self.options.runner.program.as_deref().unwrap_or_default()
    }

    /// Asks the manager how things are.
    pub(super) fn refresh(&mut self) -> Result<(), Cut> {
        let mut ear = listen(&[Signal::INT])?;
        self.status = wire::status(self.socket(), &mut ear)?;
        Ok(())
    }

    /// Tells the manager something; nothing that it could answer matters.
    pub(super) fn send(&self, command: &str) -> Result<(), Cut> {
        let mut ear = listen(&[Signal::INT])?;
        wire::send(self.socket(), command, &mut ear).map(drop)
    }

    /// Says so if the manager that answers runs something else than our program.
    pub(super) fn warn(&self) {
        let Some(printed) = self.status.args() else { return };
        let Some(args) = strings(printed) else { return };
        if !args.starts_with(self.program()) {
            let program = List(self.program());
            say("WARNING! zdrun is managing a different program!");
            say(format_args!("our program   = {program}"));
            say(format_args!("daemon's args = {printed}"));
        }
    }

    /// Waits until the status is as wanted, within the limit, and shows that it does. A manager that has just been
    /// started may not answer yet.
    pub(super) fn awhile(
        &mut self,
        wanted: impl Fn(&Status) -> bool,
        limit: Option<Limit>,
        mut starter: Option<&mut Starter>,
    ) -> Result<Outcome, Cut> {
        let mut ear = listen(&[Signal::INT, Signal::CHLD])?;
        let (mut seen, mut rounds, mut counted, mut step) = (false, 0, 0, FIRST);
        let mut dot = Instant::now();
        let mut believed: Option<(i32, Instant)> = None;
        loop {
            // Before the question: once its starter has ended, a manager answers or is none.
            let started = starter.as_deref_mut().is_some_and(Starter::ended);
            self.status = wire::status(self.socket(), &mut ear)?;
            seen |= self.status.answered;
            let now = Instant::now();
            let pid = self.status.pid;
            believed = believed.filter(|&(known, _)| known == pid).or(Some((pid, now)));
            believed = believed.filter(|_| wanted(&self.status));
            let settle = limit.map_or(Duration::ZERO, |limit| limit.settle);
            let settled = believed.map(|(_, since)| since + settle);
            if settled.is_some_and(|at| at <= now) {
                return Ok(Outcome::Reached);
            }
            if (seen || started) && !self.status.answered {
                return Ok(Outcome::Gone);
            }
            if now >= dot {
                if rounds > ROUNDS && !self.status.answered {
                    return Ok(Outcome::Gone);
                }
                if let Some(limit) =
                    limit.filter(|it| settled.is_none() && (it.after == 0 || it.after != pid))
                {
                    if counted > limit.seconds {
                        return Ok(Outcome::TooLong);
                    }
                    counted += 1;
                }
                let mut out = std::io::stdout();
                let _ = out.write_all(b". ").and_then(|()| out.flush());
                rounds += 1;
                dot = now + ROUND;
            }
            wire::pause(&mut ear, dot.min(now + step).min(settled.unwrap_or(dot)))?;
            step = (step * 2).min(LAST);
        }
    }
}

/// Begins to listen; without the means to, a command can't be waited for. As PID 1, what asks the client to end is
/// heard, too.
pub(super) fn listen(signals: &[Signal]) -> Result<Ear, Cut> {
    let mut all = signals.to_vec();
    if boot::is_pid1() {
        all.extend([Signal::TERM, Signal::HUP]);
    }
    Ear::open(&all).map_err(Cut::Deaf)
}
