//! zdaemon's own language, which the manager of a `<runner>` speaks besides lar's: `VERB [ARG]`, one line, one reply,
//! and the connection is closed. Its clients look for these words, so they are zdaemon's to the byte.

use core::fmt;

use crate::exit::{ExitStatus, Pid};
use crate::plan::Access;
use crate::python::{self, Float, List, Repr};
use crate::signal::Signal;

/// The longest command in bytes.
pub const MAX_COMMAND: usize = 10_000;

/// What a longer one is answered.
pub const TOO_LONG: &str = "Command exceeds 10 KB\n";

/// What one is answered that ends without a newline.
pub const UNTERMINATED: &str = "Command not terminated by newline\n";

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `status`
    Status,
    /// `start`
    Start,
    /// `stop`
    Stop,
    /// `restart`
    Restart,
    /// `kill [NUMBER]`; what is no signal's number is refused by the kernel.
    Kill(i64),
    /// `reopen_transcript`
    Reopen,
}

impl Command {
    /// Reads a line without its newline; an error is the reply. Blanks around and between words mean nothing.
    pub fn read(line: &[u8]) -> Result<Command, String> {
        let line = String::from_utf8_lossy(line);
        // Python's blanks of a bytes object.
        let blank = |char: char| char.is_ascii_whitespace() || char == '\x0b';
        let mut words = line.split(blank).filter(|word| !word.is_empty());
        let Some(verb) = words.next() else { return Err("Empty command\n".into()) };
        Ok(match verb {
            "status" => Command::Status,
            "start" => Command::Start,
            "stop" => Command::Stop,
            "restart" => Command::Restart,
            "reopen_transcript" => Command::Reopen,
            "kill" => match words.next() {
                None => Command::Kill(Signal::TERM.number().into()),
                Some(word) => {
                    let bad = || format!("Bad signal {}\n", Repr(word));
                    Command::Kill(python::int(word, 10).map_err(|_| bad())?)
                }
            },
            _ => return Err(format!("Unknown command {}; 'help' for a list\n", Repr(verb))),
        })
    }

    /// What a client must be allowed for it.
    pub fn access(self) -> Access {
        match self {
            Command::Status => Access::View,
            Command::Start
            | Command::Stop
            | Command::Restart
            | Command::Kill(_)
            | Command::Reopen => Access::Operate,
        }
    }
}

/// What `status` tells. Times are seconds since the epoch.
pub struct Status<'a> {
    /// The program's process.
    pub application: Option<Pid>,
    /// Now.
    pub now: f64,
    /// Whether it is wanted up.
    pub should_be_up: bool,
    /// When the next start, or the next KILL, is due.
    pub delay: Option<f64>,
    /// How many quick deaths in a row there were.
    pub backoff: u32,
    /// When it was last started.
    pub lasttime: Option<f64>,
    /// Whether its start test has not succeeded yet.
    pub testing: bool,
    /// The manager's process.
    pub manager: Pid,
    /// Seconds.
    pub backoff_limit: u32,
    /// The file that is executed.
    pub filename: &'a str,
    /// The program's words.
    pub args: &'a [String],
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = if self.application.is_some() { "running" } else { "stopped" };
        writeln!(f, "status={status}\nnow={}", Float(self.now))?;
        writeln!(f, "should_be_up={}", u8::from(self.should_be_up))?;
        time(f, "delay", self.delay)?;
        writeln!(f, "backoff={}", self.backoff)?;
        time(f, "lasttime", self.lasttime)?;
        writeln!(f, "application={}", self.application.map_or(0, |pid| pid.0))?;
        writeln!(f, "testing={}\nmanager={}", u8::from(self.testing), self.manager)?;
        writeln!(f, "backofflimit={}", self.backoff_limit)?;
        writeln!(f, "filename={}\nargs={}", Repr(self.filename), List(self.args))
    }
}

/// A time, or 0 where there is none.
fn time(f: &mut fmt::Formatter<'_>, key: &str, at: Option<f64>) -> fmt::Result {
    match at {
        Some(at) => writeln!(f, "{key}={}", Float(at)),
        None => writeln!(f, "{key}=0"),
    }
}

/// How a process ended, in zdaemon's words: `exit status 3`, `terminated by SIGSEGV (core dumped)`.
pub struct Ended(pub ExitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal { signal, core } => {
                let core = if core { " (core dumped)" } else { "" };
                write!(f, "terminated by {}{core}", Name(signal))
            }
        }
    }
}

/// A signal's name as Python has it: most real-time signals have none.
pub struct Name(pub Signal);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.number() {
            29 => f.write_str("SIGPOLL"),
            34 => f.write_str("SIGRTMIN"),
            64 => f.write_str("SIGRTMAX"),
            number @ 32.. => write!(f, "signal {number}"),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_any_blanks_around_them() {
        for (line, command) in [
            ("status", Command::Status),
            (" \t status more words \r", Command::Status),
            ("start", Command::Start),
            ("stop", Command::Stop),
            ("restart", Command::Restart),
            ("reopen_transcript", Command::Reopen),
            ("kill", Command::Kill(15)),
            ("kill 9", Command::Kill(9)),
            ("kill +1_0", Command::Kill(10)),
            ("kill -1", Command::Kill(-1)),
            ("kill 99999999999999999999", Command::Kill(i64::MAX)),
        ] {
            assert_eq!(Command::read(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused_in_zdaemons_words() {
        for (line, reply) in [
            (&b""[..], "Empty command\n"),
            (b" \t\r\x0b\x0c", "Empty command\n"),
            (b"help", "Unknown command 'help'; 'help' for a list\n"),
            (b"it's", "Unknown command \"it's\"; 'help' for a list\n"),
            (b"STATUS", "Unknown command 'STATUS'; 'help' for a list\n"),
            (b"\xff", "Unknown command '\u{fffd}'; 'help' for a list\n"),
            (b"kill HUP", "Bad signal 'HUP'\n"),
            (b"kill 1__0", "Bad signal '1__0'\n"),
            (b"kill -", "Bad signal '-'\n"),
        ] {
            assert_eq!(Command::read(line), Err(reply.into()));
        }
    }

    #[test]
    fn a_status_has_twelve_lines_in_pythons_writing() {
        let args = ["sleep".to_string(), "it's".into()];
        let mut status = Status {
            application: Some(Pid(12)),
            now: 1_753_000_000.5,
            should_be_up: true,
            delay: None,
            backoff: 0,
            lasttime: Some(1_753_000_000.0),
            testing: false,
            manager: Pid(11),
            backoff_limit: 10,
            filename: "/bin/sleep",
            args: &args,
        };
        let known = "status=running\nnow=1753000000.5\nshould_be_up=1\ndelay=0\nbackoff=0\n\
             lasttime=1753000000.0\napplication=12\ntesting=0\nmanager=11\nbackofflimit=10\n\
             filename='/bin/sleep'\nargs=['sleep', \"it's\"]\n";
        assert_eq!(status.to_string(), known);
        (status.application, status.should_be_up, status.lasttime) = (None, false, None);
        (status.delay, status.testing) = (Some(2.25), true);
        let known = "status=stopped\nnow=1753000000.5\nshould_be_up=0\ndelay=2.25\nbackoff=0\n\
             lasttime=0\napplication=0\ntesting=1\n";
        assert!(status.to_string().starts_with(known), "{status}");
    }

    #[test]
    fn ends_and_signals_have_pythons_names() {
        let killed = |number, core| {
            let signal = Signal::new(number).unwrap();
            Ended(ExitStatus::Signal { signal, core }).to_string()
        };
        assert_eq!(Ended(ExitStatus::Code(7)).to_string(), "exit status 7");
        assert_eq!(killed(11, true), "terminated by SIGSEGV (core dumped)");
        assert_eq!(killed(29, false), "terminated by SIGPOLL");
        assert_eq!(killed(34, false), "terminated by SIGRTMIN");
        assert_eq!(killed(40, false), "terminated by signal 40");
        assert_eq!(killed(64, false), "terminated by SIGRTMAX");
    }
}
