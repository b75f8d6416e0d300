//! zdaemon's actions: what each says and ends with, to the word. A line is taken apart as Python's `cmd` does.

use std::time::Duration;

use super::client::{Client, Limit, Outcome, SETTLED, complain, say};
use super::errno::os_error;
use super::start::{self, Starter};
use super::wire::{Cut, Status};
use super::{help, kill, logtail, shell, show};
use crate::exit::Code;
use crate::python::Repr;

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is done, with this exit code.
    Done(u8),
    /// The shell is left.
    Leave,
}

const DONE: Next = Next::Done(Code::Done as u8);
const FAILED: Next = Next::Done(Code::Failed as u8);

/// The program does not run, for `status`.
const NOT_RUNNING: Next = Next::Done(Code::NotRunning as u8);

const NO_MANAGER: &str = "daemon manager not running";
const STOPPED: &str = "daemon process stopped";

/// A line that somebody has typed.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Empty,
    /// The command and what follows it.
    Command(&'a str, &'a str),
    /// None, as it is to be told.
    Unknown,
}

/// The line without blanks around it, and with `?` and, in the shell, `!` as the commands that they stand for.
fn spell(line: &str, shell: bool) -> String {
    let line = line.trim();
    match (line.strip_prefix('?'), line.strip_prefix('!')) {
        (Some(rest), _) => format!("help {rest}"),
        (_, Some(rest)) if shell => format!("shell {rest}"),
        _ => line.to_owned(),
    }
}

/// A command is letters, digits and `_`; whatever comes then is its argument.
fn parse(line: &str) -> Line<'_> {
    if line.is_empty() {
        return Line::Empty;
    }
    let end = line.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    match line.split_at(end.unwrap_or(line.len())) {
        ("", _) => Line::Unknown,
        (command, argument) => Line::Command(command, argument.trim()),
    }
}

impl Client {
    /// Does what a line says.
    pub(super) fn obey(&mut self, line: &str) -> Result<Next, Cut> {
        let line = spell(line, self.shell);
        match parse(&line) {
            Line::Empty => self.status("").map(|_| DONE),
            Line::Unknown => Ok(unknown(&line)),
            Line::Command(command, argument) => match self.command(command, argument)? {
                Some(next) => Ok(next),
                None if self.shell => {
                    Ok(shell::command(self, command, argument)?.unwrap_or_else(|| unknown(&line)))
                }
                None => Ok(unknown(&line)),
            },
        }
    }

    /// A command that is not the shell's alone; `None` for those that are not known.
    fn command(&mut self, command: &str, argument: &str) -> Result<Option<Next>, Cut> {
        let extra = self.extra(argument);
        let next = match command {
            "start" => self.start(&extra)?,
            "stop" => self.stop()?,
            "restart" => self.restart(&extra)?,
            "status" => self.status(argument)?,
            "wait" => self.wait()?,
            "kill" => self.kill(argument)?,
            "reopen_transcript" => self.reopen()?,
            "logreopen" => {
                self.reopen()?;
                self.kill("USR2")?
            }
            "fg" | "foreground" => self.foreground(&extra)?,
            "logtail" => self.logtail(argument)?,
            "show" => {
                show::show(self, argument);
                DONE
            }
            "help" => {
                help::show(argument, self.shell);
                DONE
            }
            _ => return Ok(None),
        };
        Ok(Some(next))
    }

    /// The words that the program gets behind its own: of the command line as they came from there.
    fn extra(&self, argument: &str) -> Vec<String> {
        match self.shell {
            true => argument.split_whitespace().map(str::to_owned).collect(),
            false => self.options.words.iter().skip(1).cloned().collect(),
        }
    }

    fn start(&mut self, extra: &[String]) -> Result<Next, Cut> {
        self.refresh()?;
        let mut starter = None;
        if self.status.pid != 0 {
            say(format_args!("daemon process already running; pid={}", self.status.pid));
            return Ok(DONE);
        } else if self.status.up {
            self.send("start")?;
        } else if self.options.runner.daemon() {
            match Starter::spawn(self, extra) {
                Ok(spawned) => starter = Some(spawned),
                Err(error) => return Ok(Next::Done(start::failed(&self.name, &error))),
            }
        } else {
            start::stay(self, extra)?;
        }
        if !self.options.runner.daemon() {
            return Ok(DONE);
        }
        let limit = self.limit(0);
        let outcome = self.awhile(is_started, Some(limit), starter.as_mut())?;
        let message = format!("daemon process started, pid={}", self.status.pid);
        let next = conclude(outcome, &message);
        if let (Outcome::Gone, Some(starter)) = (outcome, starter) {
            starter.explain(&self.name)?;
        }
        Ok(next)
    }

    fn limit(&self, after: i32) -> Limit {
        let runner = &self.options.runner;
        // Where the manager tests it, its word is enough.
        let tested = runner.start_test_program.is_some();
        let settle = if tested { Duration::ZERO } else { SETTLED };
        Limit { seconds: runner.start_timeout(), after, settle }
    }

    fn stop(&mut self) -> Result<Next, Cut> {
        self.refresh()?;
        if !self.status.up {
            say(NO_MANAGER);
        } else if self.status.pid == 0 && !self.status.should_be_up {
            say("daemon process not running");
        } else {
            self.send("stop")?;
            let outcome = self.awhile(is_down, None, None)?;
            return Ok(conclude(outcome, STOPPED));
        }
        Ok(DONE)
    }

    fn restart(&mut self, extra: &[String]) -> Result<Next, Cut> {
        self.refresh()?;
        let old = self.status.pid;
        if old == 0 {
            return self.start(extra);
        }
        self.send("restart")?;
        let limit = self.limit(old);
        let wanted = |status: &Status| status.pid != old && is_started(status);
        let outcome = self.awhile(wanted, Some(limit), None)?;
        let message = format!("daemon process restarted, pid={}", self.status.pid);
        Ok(conclude(outcome, &message))
    }

    /// The shell begins with it.
    pub(super) fn status(&mut self, argument: &str) -> Result<Next, Cut> {
        if !matches!(argument, "" | "-l") {
            say("status argument must be absent or -l");
            return Ok(FAILED);
        }
        self.refresh()?;
        let mut next = DONE;
        match (self.status.up, self.status.pid) {
            (false, _) => {
                say(NO_MANAGER);
                next = NOT_RUNNING;
            }
            (true, 0) => say("daemon manager running; daemon process not running"),
            (true, pid) => say(format_args!("program running; pid={pid}")),
        }
        if argument == "-l" && self.status.up {
            say(&self.status.raw);
        }
        Ok(next)
    }

    fn wait(&mut self) -> Result<Next, Cut> {
        let outcome = self.awhile(is_down, None, None)?;
        conclude(outcome, STOPPED);
        self.status("").map(|_| DONE)
    }

    /// The client sends the signal itself, so to the manager the death is one that nobody asked for.
    fn kill(&mut self, argument: &str) -> Result<Next, Cut> {
        let text = if argument.is_empty() { "SIGTERM" } else { argument };
        let Some((name, signal)) = kill::parse(text) else {
            say(format_args!("invalid signal {}", Repr(text)));
            return Ok(DONE);
        };
        self.refresh()?;
        let pid = self.status.pid;
        if pid <= 0 {
            say("daemon process not running");
            return Ok(DONE);
        }
        say(format_args!("kill({pid}, {})", signal.number()));
        match crate::sys::reap::kill(crate::exit::Pid(pid), signal) {
            Ok(()) => say(format_args!("signal {name} sent to process {pid}")),
            Err(errno) => {
                let error = std::io::Error::from_raw_os_error(errno.0);
                say(format_args!("Error: {}", os_error(&error, None)));
            }
        }
        Ok(DONE)
    }

    fn reopen(&mut self) -> Result<Next, Cut> {
        self.refresh()?;
        match self.status.up {
            true => self.send("reopen_transcript")?,
            false => say(NO_MANAGER),
        }
        Ok(DONE)
    }

    /// Runs the program here, where the client was called, without a manager.
    fn foreground(&mut self, extra: &[String]) -> Result<Next, Cut> {
        self.refresh()?;
        if self.status.pid != 0 {
            say("To run the program in the foreground, please stop it first.");
            return Ok(DONE);
        }
        let words = [self.program(), extra].concat();
        say(words.join(" "));
        let Some((program, arguments)) = words.split_first() else { return Ok(DONE) };
        match start::attend(std::process::Command::new(program).args(arguments), false)? {
            Ok(true) => say(""),
            Ok(false) => {}
            Err(error) => {
                complain(format_args!("{}: {}", self.name, os_error(&error, Some(program))));
            }
        }
        Ok(DONE)
    }

    fn logtail(&mut self, argument: &str) -> Result<Next, Cut> {
        let default = self.options.runner.logfile.as_deref();
        match Some(argument).filter(|it| !it.is_empty()).or(default) {
            Some(path) => logtail::follow(path)?,
            None => say("No default log file specified; use logtail <logfile>"),
        }
        Ok(DONE)
    }
}

/// No error to whoever only looks at the exit code, as in zdaemon.
fn unknown(line: &str) -> Next {
    say(format_args!("*** Unknown syntax: {line}"));
    DONE
}

fn is_started(status: &Status) -> bool {
    status.pid != 0 && !status.testing
}

fn is_down(status: &Status) -> bool {
    status.pid == 0
}

/// What is said when the waiting is over. The dots before it need an end of their line.
pub(super) fn conclude(outcome: Outcome, message: &str) -> Next {
    match outcome {
        Outcome::Reached => {
            say(format_args!("\n{message}"));
            DONE
        }
        Outcome::Gone => {
            say(format_args!("\n{NO_MANAGER}"));
            FAILED
        }
        Outcome::TooLong => {
            say("\nProgram took too long to start");
            FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_pythons_cmd_does() {
        let cases = [
            ("", Line::Empty),
            ("status", Line::Command("status", "")),
            ("status -l", Line::Command("status", "-l")),
            ("status-l", Line::Command("status", "-l")),
            ("kill  9 9 ", Line::Command("kill", "9 9")),
            ("help x", Line::Command("help", "x")),
            ("!ls", Line::Unknown),
            ("-x", Line::Unknown),
            ("ä", Line::Unknown),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected, "{line}");
        }
        assert_eq!(spell("  ?x ", false), "help x");
        assert_eq!(spell("!ls", false), "!ls");
        assert_eq!(spell("!ls", true), "shell ls");
        assert_eq!(spell(" \t", true), "");
    }
}
