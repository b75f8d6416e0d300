//! `lar ctl`: what people type to a running manager, and what they see.
//!
//! Everything that could be found wrong without a manager is found before one is asked. The
//! manager decides and waits; here its answers become columns, tab-separated lines or JSON, and an
//! exit code.

mod args;
mod clock;
mod feed;
mod help;
mod json;
mod print;
mod shell;
mod stats;
mod tree;

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use self::args::{Arguments, Layout};
use self::print::Printer;
use super::INTERRUPTED;
use crate::ctl::client::{ClientError, Connection};
use crate::ctl::place::Place;
use crate::ctl::protocol::command::{Command, Flag};
use crate::ctl::protocol::record::Fields;
use crate::ctl::protocol::reply::Line;
use crate::ctl::protocol::request::{self, Request};
use crate::exit::Code;
use crate::signal::Signal;
use crate::sys::ear::Ear;

/// How much longer than `--timeout` the client waits for the manager to say that it timed out.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a manager may be silent that is asked for what it knows. It answers in the same turn of its loop:
/// one that has not by now is stopped or stuck, and a script's health check must not hang with it.
const ANSWER: Duration = Duration::from_secs(10);

/// How long somebody who has pressed a key is kept waiting.
const PROMPTLY: Duration = Duration::from_secs(1);

/// Runs `lar ctl` with the arguments that follow these two words, and returns its exit code.
pub fn run(words: Vec<OsString>) -> u8 {
    let arguments = match args::read(words) {
        Ok(arguments) => arguments,
        Err(message) => return complain(Code::Usage, &message),
    };
    let mut words = arguments.words.clone();
    if arguments.help || words.first().is_some_and(|word| word == "help") {
        let topic = words.into_iter().find(|word| word != "help");
        return help::show(topic.as_deref());
    }
    if words.is_empty() {
        if io::stdin().is_terminal() {
            return shell::run(&arguments);
        }
        words.push("status".to_owned());
    }
    ask(&arguments, words)
}

/// Says what is wrong, and returns the code for it.
fn complain(code: Code, message: &str) -> u8 {
    let _ = writeln!(io::stderr(), "lar ctl: {message}");
    code.exit()
}

/// Sends one request and shows the reply.
fn ask(arguments: &Arguments, mut words: Vec<String>) -> u8 {
    if let Some(code) = stats::run(arguments) {
        return code;
    }
    if arguments.watch.is_some() {
        return complain(Code::Usage, "--watch is for stats and top");
    }
    let request = match Request::parse(words.clone()) {
        Ok(request) => request,
        Err(error) => return complain(Code::Usage, &error.to_string()),
    };
    if request.command == Command::Add && request.names == ["-"] {
        // A section from standard input, as one word for each line.
        match io::read_to_string(io::stdin()) {
            Ok(text) => words.extend(text.lines().map(str::to_owned)),
            Err(error) => return complain(Code::Usage, &format!("standard input: {error}")),
        }
    }
    if matches!(request.command, Command::Send | Command::Attach) {
        return feed::run(arguments, &request);
    }
    let flags = request.command.spec().flags;
    let watched = io::stderr().is_terminal() && arguments.layout == Layout::Columns;
    if flags.contains(&Flag::Progress) && request.wait && watched {
        words.insert(1, format!("--{}", Flag::Progress.name()));
    }
    let Some(line) = request::line(&words) else {
        return complain(Code::Usage, "the arguments are too long, or hold a newline");
    };
    let mut printer = Printer::new(arguments.layout, &request);
    match converse(arguments, &request, &line, &mut printer) {
        Ok(code) => code,
        Err(error) => lost(&request, &error),
    }
}

fn converse(
    arguments: &Arguments,
    request: &Request,
    line: &str,
    printer: &mut Printer,
) -> Result<u8, ClientError> {
    let mut connection = Connection::open(&places(arguments))?;
    let ear = Ear::open(&[Signal::INT]);
    let mut ear = ear.map_err(|errno| connection.broken(io::Error::from_raw_os_error(errno.0)))?;
    connection.send(line)?;
    loop {
        // Anew for each line: what a slow pager takes is not the manager's.
        connection.deadline = patience(request).and_then(|time| Instant::now().checked_add(time));
        match connection.next(&mut ear)? {
            Line::Record(fields) => {
                if printer.record(&fields).is_err() {
                    return Ok(Code::Done as u8); // nobody reads on: `lar ctl events | head -1`
                }
            }
            Line::Ok => {
                let _ = printer.finish(None);
                if request.command == Command::Shutdown && request.wait {
                    connection.drain(&mut ear)?;
                    // Closed by our exit and not before: PID 1 takes along who is still there when its clients
                    // have closed.
                    std::mem::forget(connection);
                }
                return Ok(printer.exit.unwrap_or(Code::Done as u8));
            }
            Line::Error { code, message } => {
                let _ = printer.finish(Some((code, &message)));
                return Ok(code.exit());
            }
        }
    }
}

/// How long the manager may be silent; `None`: for ever.
fn patience(request: &Request) -> Option<Duration> {
    use Command::{Config, Health, List, LogLevel, Pid, Ping, Status, Tree, Version, Why};
    match request.command {
        Ping | Health | Status | List | Pid | Why | Tree | Version | LogLevel | Config => {
            Some(ANSWER)
        }
        _ => request.timeout.map(|time| time.saturating_add(SILENCE)),
    }
}

fn places(arguments: &Arguments) -> Vec<Place> {
    match &arguments.socket {
        Some(name) => vec![Place::named(name)],
        None => {
            let uid = nix::unistd::geteuid().as_raw();
            Place::usual(uid, std::env::var_os("XDG_RUNTIME_DIR"))
        }
    }
}

/// What to say, and to exit with, when there is no last line.
fn lost(request: &Request, error: &ClientError) -> u8 {
    match error {
        ClientError::Interrupted => {
            let orders = request.command.spec().flags.contains(&Flag::NoWait);
            if orders {
                let _ = writeln!(io::stderr(), "lar ctl: no longer waiting; the work goes on");
            }
            INTERRUPTED
        }
        ClientError::NoManager(tried) => {
            let denied = |it: &&(Place, io::Error)| it.1.kind() == ErrorKind::PermissionDenied;
            match tried.iter().find(denied) {
                Some((place, _)) => {
                    let message = format!("you are not permitted to connect to {place}");
                    complain(Code::NotPermitted, &message)
                }
                None => complain(Code::NoManager, &error.to_string()),
            }
        }
        // Nothing was cut short: this is how a stream of events ends.
        ClientError::Closed(_) if request.endless() => {
            complain(Code::NoManager, "the manager has ended")
        }
        ClientError::Silent(_) => complain(Code::TimedOut, &error.to_string()),
        _ => complain(Code::Failed, &error.to_string()),
    }
}

/// The records of a reply, for those who make something else of them. An error is told, unless it is `fine`.
fn gather(arguments: &Arguments, words: &[String], fine: Code) -> Result<Vec<Fields>, u8> {
    let request = Request::parse(words.to_vec())
        .map_err(|error| complain(Code::Usage, &error.to_string()))?;
    let all = || -> Result<Result<Vec<Fields>, (Code, String)>, ClientError> {
        let mut connection = Connection::open(&places(arguments))?;
        let ear = Ear::open(&[Signal::INT]);
        let mut ear =
            ear.map_err(|errno| connection.broken(io::Error::from_raw_os_error(errno.0)))?;
        connection.deadline = Instant::now().checked_add(ANSWER);
        connection.send(&request::line(words).unwrap_or_default())?;
        let mut records = Vec::new();
        loop {
            match connection.next(&mut ear)? {
                Line::Record(fields) => records.push(fields),
                Line::Error { code, message } if code != fine => return Ok(Err((code, message))),
                Line::Ok | Line::Error { .. } => return Ok(Ok(records)),
            }
        }
    };
    match all() {
        Ok(Ok(records)) => Ok(records),
        Ok(Err((code, message))) => Err(complain(code, &message)),
        Err(error) => Err(lost(&request, &error)),
    }
}

/// The manager's pid as it is here; `None` if it has none here.
fn manager_pid(arguments: &Arguments) -> Option<i32> {
    Connection::open(&places(arguments)).ok()?.peer()
}

/// The names of services, for the shell's completion: none if a manager does not answer at once.
fn names(arguments: &Arguments) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(mut connection) = Connection::open(&places(arguments)) else { return names };
    let Ok(mut ear) = Ear::open(&[Signal::INT]) else { return names };
    connection.deadline = Instant::now().checked_add(PROMPTLY);
    let line = request::line(&["list".to_owned()]);
    if line.is_some_and(|line| connection.send(&line).is_ok()) {
        while let Ok(Line::Record(fields)) = connection.next(&mut ear) {
            names.extend(fields.text("name"));
        }
    }
    names
}
