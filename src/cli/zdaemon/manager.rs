//! zdaemon's manager: the long-lived parent of one program, which its clients talk to by a socket.
//!
//! It is started in the place of `zdrun`, by zdaemon's clients (lar's or the real ones) or by hand. Everything that
//! can go wrong before the program runs is said on standard error, and the exit code is not 0: the process that was
//! started stays until the socket is there.
//!
//! # The start report
//!
//! Who starts a manager in the background may want to know why its program did not come up. The variable
//! `LAR_START_REPORT` holds the number of an fd that the manager inherits, the writing end of a pipe. If the program
//! is what ends the manager, it writes there, at its end: one line that says how (`exit status 1 (3 times in 4s)`,
//! `terminated by SIGSEGV`, `can't exec '/x': No such file or directory`), and the latest output, at most 20 lines
//! and 2 KiB. In all other cases (it was stopped, or a signal came) the pipe is closed without a word; and if there is
//! a start test, as soon as that has succeeded. The program sees neither the variable nor the fd.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use log::{debug, info, warn};
use nix::unistd::{AccessFlags, eaccess};

use super::log::Words;
use super::start::REPORT;
use crate::cli::{complain, manager::IN_CONTAINER};
use crate::config;
use crate::ctl::place::Place;
use crate::ctl::server::BindError;
use crate::ctl::server::linked::{Incumbent, incumbent};
use crate::exit::Code;
use crate::logger::{self, ZDAEMON};
use crate::plan::{EventLog, Level, LogFile, Plan, Runner, Target};
use crate::python::{List, Repr};
use crate::run::{self, Start, StartError, StartReport};
use crate::sys::daemon::{self, Startup};
use crate::sys::spawn::Given;
use crate::sys::{boot, fd, variables};
use crate::time::Duration;

/// Where programs are looked for without PATH, in zdaemon's order.
const PATH: [&str; 3] = ["/bin", "/usr/bin", "/usr/local/bin"];

/// How long the program has at most when a signal ends the manager: whoever sends that seldom waits longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a manager is started with.
pub(super) struct Manager {
    /// What the command line says over what the file says; `program` holds the words, complete.
    pub said: Runner,
    /// What `<environment>` says. The client has it in its own environment already, and handed it on.
    pub environment: Vec<(String, String)>,
    /// What `<eventlog>` says.
    pub event_log: EventLog,
    /// What of that does nothing here, to be told in it.
    pub warnings: Vec<String>,
    /// What it was called, for messages.
    pub name: String,
    /// Where its configuration came from, if from a file.
    pub config_path: Option<String>,
}

/// The manager's whole life; its exit code.
pub(super) fn run(manager: Manager) -> u8 {
    let Manager { said, environment, event_log, warnings, name, config_path } = manager;
    let report = variables::take(REPORT).and_then(|text| text.to_str()?.parse().ok());
    // Nothing is open yet but what we were given.
    let report = fd::take_one(report.unwrap_or(-1)).map(StartReport);
    let program = said.program.as_ref().and_then(|words| words.first());
    let Some(program) = program else {
        return usage(&name, "no program specified (use positional args)");
    };
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let executable = match find(program, path.as_deref()) {
        Ok(executable) => executable,
        Err(message) => return usage(&name, &message),
    };
    let mut plan = config::runner_plan(said, environment, None);
    plan.event_log = event_log;
    if !plan.settings.daemon {
        // In the foreground zdaemon leaves all of these as they are.
        for service in &mut plan.services {
            service.setup.umask = None;
            service.processes.iter_mut().for_each(|it| it.transcript = Target::Inherit);
        }
    }
    prepare(&mut plan, Some(executable));
    start(plan, config_path, &warnings, report)
}

/// What only the plan of a `<runner>` needs, and depends on where lar runs.
pub(in crate::cli) fn prepare(plan: &mut Plan, executable: Option<String>) {
    let settings = &mut plan.settings;
    let stop = settings.runner.as_ref().and_then(|runner| runner.stop_timeout);
    let stop = stop.map_or(PATIENCE, |seconds| Duration::from_secs(seconds.into()).min(PATIENCE));
    let most = if boot::is_pid1() { IN_CONTAINER } else { PATIENCE };
    settings.shutdown_timeout = Some(stop.min(most));
    settings.socket_mode = 0o700;
    if let Some(socket) = &mut settings.socket {
        *socket = absolute(socket);
    }
    for process in plan.services.iter_mut().flat_map(|service| &mut service.processes) {
        process.executable = executable.clone().or_else(|| {
            let own = process.environment.iter().find(|(name, _)| name == "PATH");
            let path = own.map(|(_, path)| path.into()).or_else(|| std::env::var_os("PATH"));
            find(process.argv.first()?, path.as_deref()).ok()
        });
    }
}

/// The file that is executed for `program`, or zdaemon's message.
pub(super) fn find(program: &str, path: Option<&OsStr>) -> Result<String, String> {
    let file = match program.contains('/') {
        true if Path::new(program).exists() => program.to_owned(),
        true => return Err(format!("can't stat program {}", Repr(program))),
        false => {
            let path = path.map(|path| path.to_string_lossy().into_owned());
            let usual = || PATH.map(str::to_owned).to_vec();
            let places =
                path.map_or_else(usual, |path| path.split(':').map(str::to_owned).collect());
            let found =
                places.iter().map(|place| join(place, program)).find(|file| is_program(file));
            found.ok_or_else(|| {
                format!("can't find program {} on PATH {}", Repr(program), List(&places))
            })?
        }
    };
    match eaccess(file.as_str(), AccessFlags::X_OK) {
        Ok(()) => Ok(file),
        Err(_) => Err(format!("no permission to run program {}", Repr(&file))),
    }
}

/// An empty place on PATH is the working directory.
fn join(place: &str, program: &str) -> String {
    match place {
        "" => program.to_owned(),
        place => format!("{}/{program}", place.trim_end_matches('/')),
    }
}

/// Whether somebody may execute it.
fn is_program(file: &str) -> bool {
    std::fs::metadata(file).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// From a plan to the program; the exit code.
fn start(
    mut plan: Plan,
    config_path: Option<String>,
    warnings: &[String],
    report: Option<StartReport>,
) -> u8 {
    let socket = plan.settings.socket.clone().unwrap_or_default();
    let stale = match incumbent(Path::new(&socket)) {
        Incumbent::Alive(status) => return another(&socket, &status),
        Incumbent::Dead => Some(format!("Unlinking stale socket {socket}; sleep 1")),
        Incumbent::Nobody => None,
    };
    // A log file's path means what it means here; the transcript's, what it means in the manager's directory.
    let logs = plan.event_log.zdaemons;
    // PID 1 has nobody to go into the background for; for the rest it is as good a daemon as any.
    let background = plan.settings.daemon && !boot::is_pid1();
    if logs {
        if background {
            streams_to_transcript(&mut plan);
        }
        open_log(&plan.event_log);
    }
    let heard = !(plan.event_log.files.is_empty() && plan.event_log.syslogs.is_empty());
    for warning in warnings {
        match heard {
            true => warn!(target: ZDAEMON, "{warning}"),
            false => complain(warning),
        }
    }
    if let Some(text) = &stale {
        say(&format!("{text}\n"));
        if logs {
            warn!(target: ZDAEMON, "{text}");
        }
    }
    let startup = match background.then(daemon::go_to_background).transpose() {
        Ok(startup) => startup,
        Err(errno) => {
            complain(&format!("going into the background: {errno}; nothing was started"));
            return Code::Failed as u8;
        }
    };
    if background {
        debug!(target: ZDAEMON, "daemon manager forked; parent exiting");
        info!(target: ZDAEMON, "daemonizing the process");
    }
    let complaint =
        plan.settings.daemon.then(|| enter(plan.settings.directory.as_deref())).flatten();
    if !logs {
        plan.event_log = bare_log(&plan, background);
        open_log(&plan.event_log);
    }
    if let Some(complaint) = complaint {
        warn!(target: ZDAEMON, "{complaint}");
    }
    live(plan, config_path, startup, report)
}

/// Goes to the manager's directory; zdaemon's complaint if that can't be done.
fn enter(directory: Option<&str>) -> Option<String> {
    let directory = directory?;
    match std::env::set_current_dir(directory) {
        Ok(()) => {
            info!(target: ZDAEMON, "set current directory: {}", Repr(directory));
            None
        }
        Err(error) => {
            let errno = crate::sys::errno_of(&error);
            let name = Repr(directory);
            Some(format!("can't chdir into {name}: [Errno {}] {errno}: {name}", errno.0))
        }
    }
}

/// In the background, standard output and error are the transcript, so that is where a log goes that is sent there.
fn streams_to_transcript(plan: &mut Plan) {
    let runner = plan.settings.runner.as_deref();
    let transcript = runner.map_or("", Runner::transcript);
    // It is meant where the manager will be.
    let place = runner.and_then(|runner| runner.directory.as_deref()).unwrap_or("");
    let transcript = Path::new(place).join(transcript).to_string_lossy().into_owned();
    let is_stream = |file: &LogFile| matches!(file.path.as_str(), "STDOUT" | "STDERR");
    for file in plan.event_log.files.iter_mut().filter(|file| is_stream(file)) {
        file.path.clone_from(&transcript);
    }
}

/// Without an `<eventlog>`, Python prints warnings bare to standard error: in the background that is the transcript.
pub(super) fn bare_log(plan: &Plan, background: bool) -> EventLog {
    let runner = plan.settings.runner.as_deref();
    let path = match runner.map(Runner::transcript) {
        Some(transcript) if background => Some(transcript).filter(|path| *path != "/dev/null"),
        _ => Some("STDERR"),
    };
    let file = |path: &str| LogFile {
        format: Some("%(message)s".into()),
        ..LogFile::new(path, Level::Warn)
    };
    let files = path.map(file).into_iter().collect();
    EventLog { level: Level::Warn, files, zdaemons: true, ..EventLog::default() }
}

pub(super) fn open_log(event_log: &EventLog) {
    for warning in logger::init(event_log) {
        complain(&warning.to_string());
    }
}

fn live(
    plan: Plan,
    config_path: Option<String>,
    startup: Option<Startup>,
    report: Option<StartReport>,
) -> u8 {
    let foreground = startup.is_none();
    let words = Words::of(&plan);
    let result = run::run(Start {
        plan,
        config_path,
        source: None,
        foreground,
        control: true,
        startup,
        given: Given::collect(),
        inherited: Vec::new(),
        voice: Some(Box::new(words)),
        report,
    });
    match result {
        Ok(code) => code,
        // It came between our look and our socket.
        Err(StartError::Socket(BindError::Taken(Place::Path(path)))) => {
            let status = match incumbent(&path) {
                Incumbent::Alive(status) => status,
                Incumbent::Nobody | Incumbent::Dead => String::new(),
            };
            another(&path.to_string_lossy(), &status)
        }
        Err(error) => {
            complain(&error.to_string());
            Code::Failed as u8
        }
    }
}

/// Another manager has the socket.
fn another(socket: &str, status: &str) -> u8 {
    say(&format!("Another zrdun is already up using socket {}:\n{status}\n", Repr(socket)));
    Code::Failed as u8
}

/// An absolute path, so that it means the same once we have left.
fn absolute(path: &str) -> String {
    let whole = std::path::absolute(path).ok();
    let whole = whole.and_then(|path| path.into_os_string().into_string().ok());
    whole.unwrap_or_else(|| path.to_owned())
}

/// A mistake in the arguments, as zdaemon says it.
pub(super) fn usage(name: &str, message: &str) -> u8 {
    say(&format!("Error: {message}\nFor help, use {name} -h\n"));
    Code::Usage as u8
}

/// To standard error; that nobody reads it is nobody's failure.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
