//! lar as tini, which is docker-init too: the same options, variables, exit codes and lines. What tini gets wrong
//! (README) is done as `lar -- PROGRAM` does it.

use std::ffi::OsString;
use std::fmt::Arguments;
use std::path::Path;

use super::getopt::{Found, Options, Spec, number};
use super::single::{Belongings, Program, start};
use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{Leftovers, Restart, Rules, Session, Single};
use crate::run::voice::{Lines, Note, Voice};
use crate::signal::Signal;
use crate::supervisor::{Change, Supervisor};
use crate::sys::{boot, own_pid, parent, reap, signals};

/// Which tini's behaviour this is. What `--version` prints begins as Docker and podman want to read it.
const VERSION: &str = concat!("tini version 0.19.0 - lar.", env!("CARGO_PKG_VERSION"));

/// What this program's mistakes end with.
const FAILED: u8 = 1;

const OPTIONS: [Spec; 8] = [
    Spec::flag('h', ""),
    Spec::flag('l', ""),
    Spec::flag('s', ""),
    Spec::flag('v', ""),
    Spec::flag('w', ""),
    Spec::flag('g', ""),
    Spec::valued('p', ""),
    Spec::valued('e', ""),
];

const USAGE: &str = "
Runs PROGRAM, passes signals on to it, reaps orphans, and ends as it does.

options:

  --version: print the version (only if it is the only argument)
  -h: print this
  -s: adopt orphans, as PID 1 does anyway
  -p SIGNAL: get SIGNAL when the parent ends; by its full name, such as SIGKILL
  -v: say more; up to three times
  -w: warn of each orphan that is reaped
  -g: pass signals on to the program's process group
  -e CODE: end with 0 if the exit code is CODE (0 to 255); may be repeated
  -l: print the licence

variables:

  TINI_SUBREAPER: as -s
  TINI_KILL_PROCESS_GROUP: as -g
  TINI_VERBOSITY: how much is said, from 0 to 4 [1]; counts instead of -v

";

/// What the command line and the variables come to.
struct Draft {
    verbosity: u32,
    warns_of_orphans: bool,
    subreaper: bool,
    parent_death: Option<Signal>,
    single: Single,
}

/// Everything that tini is called with; its exit code.
pub fn main(name: String, args: Vec<OsString>) -> u8 {
    let parent = parent::now();
    if matches!(&args[..], [only] if only == "--version") {
        return super::print(&format!("{VERSION}\n"));
    }
    let permutes = std::env::var_os("POSIXLY_CORRECT").is_none();
    let found = Options { known: &OPTIONS, permutes }.read(args);
    let (mut draft, argv) = match read(&name, found) {
        Ok(read) => read,
        Err(code) => return code,
    };
    read_variables(&mut draft);
    let given = Belongings::take();
    let tini = Tini::new(&draft, &argv);
    if let Some(signal) = draft.parent_death
        && let Err(errno) = parent::signal_at_end_of(parent, signal)
    {
        tini.fatal(format_args!("Failed to set up parent death signal: {errno}"));
        return FAILED;
    }
    if draft.subreaper {
        if let Err(errno) = reap::become_subreaper() {
            tini.fatal(format_args!("Failed to register as child subreaper: {errno}"));
            return FAILED;
        }
        tini.trace(format_args!("Registered as child subreaper"));
    }
    if !boot::is_pid1() && !reap::is_subreaper() {
        tini.say(Level::Warn, format_args!("{NO_REAPER}"));
    }
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let (directory, session) = (None, Session::Job);
    let plan = Program { argv, directory, session, rules, single: draft.single }.plan();
    start(plan, given, Some(Box::new(tini)))
}

const NO_REAPER: &str = "Tini is not running as PID 1 and isn't registered as a child subreaper.
Zombie processes will not be re-parented to Tini, so zombie reaping won't work.
To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child \
subreaper, or run Tini as PID 1.";

/// The command line; or the exit code, if that is all.
fn read(name: &str, found: Found) -> Result<(Draft, Vec<OsString>), u8> {
    let mut draft = Draft {
        verbosity: 1,
        warns_of_orphans: false,
        subreaper: false,
        parent_death: None,
        single: Single {
            // tini ignores what it would be told for using a terminal in the background.
            rewrite: vec![(Signal::TTIN, None), (Signal::TTOU, None)],
            not_executed: Some(FAILED),
            leftovers: Leftovers::Leave,
            ..Single::default()
        },
    };
    for given in found.given {
        match given.spec.letter.unwrap_or_default() {
            'h' => return Err(super::print(&usage(name))),
            'l' => return Err(super::print(include_str!("../../LICENSE-MIT"))),
            's' => draft.subreaper = true,
            'v' => draft.verbosity += 1,
            'w' => draft.warns_of_orphans = true,
            'g' => draft.single.group = true,
            letter => draft.valued(letter, &given.value.to_string_lossy())?,
        }
    }
    if let Some(mistake) = &found.mistake {
        super::tell(&format!("{name}: {}", mistake.in_c()));
    }
    if found.mistake.is_some() || found.words.is_empty() {
        super::tell(usage(name).trim_end_matches('\n'));
        return Err(FAILED);
    }
    Ok((draft, found.words))
}

impl Draft {
    /// `-p SIGNAL` or `-e CODE`; or the exit code, if it is neither.
    fn valued(&mut self, letter: char, value: &str) -> Result<(), u8> {
        let known = match letter {
            'p' => death_signal(value).map(|signal| self.parent_death = Some(signal)),
            _ => exit_code(value).map(|code| self.single.remap.push((code, 0))),
        };
        known.ok_or_else(|| {
            let pid = own_pid();
            super::tell(&format!("[FATAL tini ({pid})] Not a valid option for -{letter}: {value}"));
            FAILED
        })
    }
}

fn usage(name: &str) -> String {
    let name = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
    format!("{name} ({VERSION})\nusage: {name} [OPTIONS] PROGRAM -- [ARGS] | --version\n{USAGE}")
}

/// A signal by its full name. Real-time signals have none, and a few others are not on tini's list.
fn death_signal(name: &str) -> Option<Signal> {
    let unlisted = ["SIGSTKFLT", "SIGIO", "SIGPWR"].contains(&name);
    let signal = Signal::parse(name).filter(|signal| !unlisted && signal.to_string() == name)?;
    (signal.number() < 32).then_some(signal)
}

/// An exit code. Nothing at all is 0, as strtol(3) has it.
fn exit_code(text: &str) -> Option<u8> {
    match number(text) {
        _ if text.is_empty() => Some(0),
        Some((code, "")) => u8::try_from(code).ok(),
        _ => None,
    }
}

/// The variables come after the command line.
fn read_variables(draft: &mut Draft) {
    let given = |name: &str| std::env::var_os(name);
    draft.subreaper |= given("TINI_SUBREAPER").is_some();
    draft.single.group |= given("TINI_KILL_PROCESS_GROUP").is_some();
    if let Some(value) = given("TINI_VERBOSITY") {
        let value = number(&value.to_string_lossy()).map_or(0, |(value, _)| value);
        // A negative one is a very large one.
        draft.verbosity = value as u32;
    }
}

/// How much must be asked for before a line is said.
#[derive(Clone, Copy)]
enum Level {
    Fatal,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What tini says of what happens.
struct Tini {
    verbosity: u32,
    warns_of_orphans: bool,
    program: String,
    pid: Pid,
    lines: Lines,
}

impl Tini {
    fn new(draft: &Draft, argv: &[OsString]) -> Tini {
        Tini {
            verbosity: draft.verbosity,
            warns_of_orphans: draft.warns_of_orphans,
            program: argv.first().map(|word| word.to_string_lossy().into()).unwrap_or_default(),
            pid: own_pid(),
            lines: Lines::new(),
        }
    }

    /// tini says much of this on standard output, between the lines of its program; lar does not.
    fn say(&self, level: Level, words: Arguments) {
        let name = ["FATAL", "WARN ", "INFO ", "DEBUG", "TRACE"];
        if self.verbosity >= level as u32
            && let Some(name) = name.get(level as usize)
        {
            self.lines.say(format_args!("[{name} tini ({})] {words}", self.pid));
        }
    }

    fn fatal(&self, words: Arguments) {
        self.say(Level::Fatal, words);
    }

    fn info(&self, words: Arguments) {
        self.say(Level::Info, words);
    }

    fn debug(&self, words: Arguments) {
        self.say(Level::Debug, words);
    }

    fn trace(&self, words: Arguments) {
        self.say(Level::Trace, words);
    }

    fn failed(&self, stage: Stage, errno: Errno) {
        match stage {
            Stage::Clone => self.fatal(format_args!("fork failed: {errno}")),
            Stage::Session => self.fatal(format_args!("setpgid failed: {errno}")),
            Stage::Terminal => self.fatal(format_args!("tcsetpgrp failed: {errno}")),
            Stage::Exec => self.fatal(format_args!("exec {} failed: {errno}", self.program)),
            stage => self.fatal(format_args!("exec {} failed: {errno} ({stage})", self.program)),
        }
    }

    fn reaped(&self, pid: Pid, status: ExitStatus, main: bool) {
        self.debug(format_args!("Reaped child with pid: '{pid}'"));
        match status {
            _ if !main && self.warns_of_orphans => {
                self.say(Level::Warn, format_args!("Reaped zombie process with pid={pid}"));
            }
            _ if !main => {}
            ExitStatus::Code(code) => {
                self.info(format_args!("Main child exited normally (with status '{code}')"));
            }
            ExitStatus::Signal { signal, .. } => {
                let signal = signals::words(signal);
                self.info(format_args!("Main child exited with signal (with signal '{signal}')"));
            }
        }
    }

    /// What tini's look for dead children comes to.
    fn looked(&self) {
        if self.verbosity >= Level::Trace as u32 {
            let any = reap::has_children();
            let what = if any { "reap" } else { "wait" };
            self.trace(format_args!("No child to {what}"));
        }
    }
}

impl Voice for Tini {
    fn note(&self, note: Note) {
        match note {
            Note::Spawned(pid) => {
                self.info(format_args!(
                    "Spawned child process '{}' with pid '{pid}'",
                    self.program
                ));
            }
            Note::Failed(stage, errno) => self.failed(stage, errno),
            Note::Received(Signal::CHLD) => self.debug(format_args!("Received SIGCHLD")),
            Note::Forwarded(signal, Some(_)) => {
                self.debug(format_args!("Passing signal: '{}'", signals::words(signal)));
                self.looked();
            }
            Note::Gone(_) => {
                self.say(Level::Warn, format_args!("Child was dead when forwarding signal"))
            }
            Note::Reaped(pid, status, main) => self.reaped(pid, status, main),
            Note::Drained => self.looked(),
            Note::Over => self.trace(format_args!("Exiting: child has exited")),
            Note::Started
            | Note::Received(_)
            | Note::Forwarded(_, None)
            | Note::Tested(_)
            | Note::Suspending
            | Note::Ending(_) => {}
        }
    }

    /// The program's life is told by the notes.
    fn changed(&self, _: &Supervisor, _: &Change) -> bool {
        true
    }
}
