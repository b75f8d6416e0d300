//! `lar [OPTIONS] -- PROGRAM`: one program, as if lar were not there.
//!
//! Signals are passed on, orphans are reaped, and the exit code is the program's. Each option can also be given by
//! a variable, because whoever injects an init can't give it arguments; the command line wins.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{complain, manager, usage_error};
use crate::config;
use crate::plan::{
    ExitPolicy, Inherit, KillMode, Ladder, Level, Plan, Process, Restart, Rules, Rung, Service,
    Session, Setup, Single, Spawn, Target,
};
use crate::run::voice::Voice;
use crate::run::{Start, run};
use crate::signal::Signal;
use crate::sys::fd;
use crate::sys::spawn::Given;
use crate::sys::terminal::Terminal;
use crate::sys::variables;
use crate::time::Duration;

/// One option: `--name VALUE`, or the variable.
pub struct Opt {
    /// Without the dashes.
    pub name: &'static str,
    /// The variable that stands for it.
    pub variable: &'static str,
    /// What its value is; empty for a flag.
    pub value: &'static str,
    /// One line about it.
    pub doc: &'static str,
    apply: fn(&mut Draft, &str) -> Result<(), String>,
}

/// The options, in the order in which help lists them.
pub const OPTIONS: [Opt; 12] = [
    Opt {
        name: "group",
        variable: "LAR_GROUP",
        value: "",
        doc: "pass signals on to the program's whole process group",
        apply: |draft, value| flag(value).map(|yes| draft.single.group = yes),
    },
    Opt {
        name: "rewrite",
        variable: "LAR_REWRITE",
        value: "FROM:TO,...",
        doc: "pass on another signal (TERM:QUIT), or none (HUP:)",
        apply: |draft, value| list(value, rewrite, &mut draft.single.rewrite),
    },
    Opt {
        name: "remap",
        variable: "LAR_REMAP",
        value: "FROM:TO,...",
        doc: "end with another exit code (143:0)",
        apply: |draft, value| list(value, remap, &mut draft.single.remap),
    },
    Opt {
        name: "drain",
        variable: "LAR_DRAIN",
        value: "TIME",
        doc: "hold TERM, INT and QUIT back for this long",
        apply: |draft, value| duration(value).map(|time| draft.single.drain = time),
    },
    Opt {
        name: "grace",
        variable: "LAR_GRACE",
        value: "TIME",
        doc: "after TERM, INT or QUIT and this time: KILL",
        apply: |draft, value| duration(value).map(|time| draft.single.grace = Some(time)),
    },
    Opt {
        name: "restart",
        variable: "LAR_RESTART",
        value: "always|on-failure|never",
        doc: "start the program again when it ends [never]",
        apply: |draft, value| draft.rule("restart", value),
    },
    Opt {
        name: "backoff",
        variable: "LAR_BACKOFF",
        value: "RULE",
        doc: "the wait before that [double 200ms max 60s jitter 10%]",
        apply: |draft, value| draft.rule("backoff", value),
    },
    Opt {
        name: "healthy-after",
        variable: "LAR_HEALTHY_AFTER",
        value: "TIME",
        doc: "a life this long is followed by no wait [10s]",
        apply: |draft, value| draft.rule("healthy-after", value),
    },
    Opt {
        name: "give-up",
        variable: "LAR_GIVE_UP",
        value: "never|after N|at-max",
        doc: "when not to start it again [never]",
        apply: |draft, value| draft.rule("give-up", value),
    },
    Opt {
        name: "socket",
        variable: "LAR_SOCKET",
        value: "PATH",
        doc: "be steered by `lar ctl -s PATH` [no socket]",
        apply: |draft, value| {
            draft.socket = Some(match value.starts_with('@') {
                true => value.to_owned(), // abstract
                false => absolute(value)?,
            });
            Ok(())
        },
    },
    Opt {
        name: "verbose",
        variable: "LAR_VERBOSE",
        value: "",
        doc: "say on standard error what lar does",
        apply: |draft, value| flag(value).map(|yes| draft.verbose = yes),
    },
    Opt {
        name: "directory",
        variable: "LAR_DIRECTORY",
        value: "PATH",
        doc: "where the program starts [where lar did]",
        apply: |draft, value| {
            draft.directory = Some(value.to_owned());
            Ok(())
        },
    },
];

/// What the options come to.
#[derive(Default)]
struct Draft {
    single: Single,
    /// Restart rules, as keys and values of a `<service>`, each key once.
    rules: Vec<(&'static str, String)>,
    socket: Option<String>,
    directory: Option<String>,
    verbose: bool,
}

/// `lar [OPTIONS] -- PROGRAM [ARGS]`.
pub fn main(args: Vec<OsString>) -> u8 {
    let plan = match read(args).and_then(|(draft, argv)| plan(draft, argv)) {
        Ok(plan) => plan,
        Err(message) => return usage_error(&message),
    };
    let given = Belongings::take();
    start(plan, given, None)
}

/// What lar was given besides words: to be taken before anything else is opened.
pub(super) struct Belongings {
    inherited: Vec<OwnedFd>,
    /// Its controlling terminal.
    pub(super) terminal: Option<Terminal>,
}

impl Belongings {
    pub(super) fn take() -> Belongings {
        let inherited = fd::take_inherited();
        Belongings { inherited, terminal: Terminal::open() }
    }
}

/// Runs a plan of one program to its end; its exit code.
pub(super) fn start(mut plan: Plan, given: Belongings, voice: Option<Box<dyn Voice>>) -> u8 {
    for warning in crate::logger::init(&plan.event_log) {
        complain(&warning.to_string());
    }
    let Belongings { inherited, terminal } = given;
    let given = Given { terminal, ..Given::collect() };
    for setup in plan.services.iter_mut().map(|service| &mut service.setup) {
        // Between the hand-over of the terminal and the exec, Ctrl-Z stops the child; lar, which shares its memory
        // with one made by vfork, would stand still along with it. The keys never stop the leader of a session.
        if given.terminal.is_some() && setup.session != Session::Leader {
            setup.spawn = Spawn::Fork;
        }
    }
    let control = plan.settings.socket.is_some();
    let (config_path, foreground, startup) = (None, true, None);
    leave_directory(&plan);
    manager::end(run(Start {
        plan,
        config_path,
        source: None,
        foreground,
        control,
        startup,
        given,
        inherited,
        voice,
        report: None,
    }))
}

/// What a program needs to be a plan of its own, whoever lar is.
pub(super) struct Program {
    /// Its words; not empty.
    pub(super) argv: Vec<OsString>,
    /// Where it starts; `None`: where lar was started.
    pub(super) directory: Option<String>,
    /// Its place among sessions.
    pub(super) session: Session,
    /// What happens when it ends.
    pub(super) rules: Rules,
    /// Everything else; its `argv` is filled in here.
    pub(super) single: Single,
}

impl Program {
    /// A plan that runs it and ends with it.
    pub(super) fn plan(self) -> Plan {
        let Program { argv, directory, session, rules, mut single } = self;
        let restarts = rules.restart != Restart::Never;
        let wait = single.grace.unwrap_or(if restarts {
            Duration::from_secs(10)
        } else {
            Duration::MAX // nobody asked lar to kill anything
        });
        let shown = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        single.argv = argv.into_iter().map(OsStringExt::into_vec).collect();
        let process = Process {
            argv: shown,
            directory: directory.or_else(here),
            transcript: Target::Inherit,
            ..Process::default()
        };
        let service = Service {
            name: "main".into(),
            main: true,
            rules,
            stop: Ladder {
                drain: single.drain,
                rungs: vec![Rung { signal: Signal::TERM, wait }],
                kill: true,
            },
            // What a program that has ended leaves behind gets its TERM and its grace at the end, like all
            // else that is left; but before it is started again, its group must be gone.
            kill_mode: if restarts { KillMode::Mixed } else { KillMode::Process },
            setup: Setup { umask: None, inherit: Inherit::All, session, ..Setup::default() },
            processes: vec![process],
            ..Service::default()
        };
        let mut plan = Plan { services: vec![service], ..Plan::default() };
        plan.settings.exit_policy = Some(ExitPolicy::Main);
        // The grace time is the limit; without one, the program has all the time it wants.
        plan.settings.shutdown_timeout = Some(Duration::MAX);
        plan.settings.single = Some(single);
        plan.event_log.level = Level::Warn;
        plan
    }
}

/// PID 1 must not keep a mount busy: the program has got its own directory by name, so lar can leave.
fn leave_directory(plan: &Plan) {
    let named = plan
        .services
        .iter()
        .all(|service| service.processes.iter().all(|process| process.directory.is_some()));
    if named {
        // If even / can't be entered, it stays where it is: nothing depends on it.
        let _ = std::env::set_current_dir("/");
    }
}

/// Where we are, if the program will get there by that name: not if it is gone, renamed, hidden under a mount, or
/// below a directory that only those may enter who started us.
fn here() -> Option<String> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let path = std::env::current_dir().ok()?;
    let there = identity(&path).filter(|_| identity(Path::new(".")) == identity(&path));
    there.and(path.into_os_string().into_string().ok())
}

/// A path that means the same once lar has left its directory.
fn absolute(path: &str) -> Result<String, String> {
    let whole = std::path::absolute(path).map_err(|error| format!("'{path}': {error}"))?;
    text(whole.into_os_string())
}

/// The options, and the program's words. A variable counts only where the command line is silent, and an empty one
/// not at all: whoever writes `LAR_GRACE=${GRACE:-}` means that. It is for this lar and not for one that the program
/// may be, or run, so it goes no further.
fn read(args: Vec<OsString>) -> Result<(Draft, Vec<OsString>), String> {
    let (given, argv) = split(args)?;
    let mut draft = Draft::default();
    for (at, option) in OPTIONS.iter().enumerate() {
        let mut silent = true;
        for (_, value) in given.iter().filter(|&&(index, _)| index == at) {
            silent = false;
            (option.apply)(&mut draft, value)
                .map_err(|error| format!("--{}: {error}", option.name))?;
        }
        let variable = variables::take(option.variable).filter(|value| silent && !value.is_empty());
        if let Some(value) = variable {
            text(value)
                .and_then(|value| (option.apply)(&mut draft, &value))
                .map_err(|error| format!("{}: {error}", option.variable))?;
        }
    }
    Ok((draft, argv))
}

/// An option by its number in [`OPTIONS`], with its value.
type Chosen = (usize, String);

/// The command line: options by their number with their values, and what comes after `--`.
fn split(args: Vec<OsString>) -> Result<(Vec<Chosen>, Vec<OsString>), String> {
    let mut given = Vec::new();
    let mut rest = args.into_iter();
    while let Some(word) = rest.next() {
        let word = text(word)?;
        if word == "--" {
            let argv: Vec<OsString> = rest.collect();
            return match argv.is_empty() {
                true => Err("no program after --".into()),
                false => Ok((given, argv)),
            };
        }
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let at = find(name)?;
        let option = &OPTIONS[at];
        let value = match (inline, option.value.is_empty()) {
            (Some(value), _) => value,
            (None, true) => "yes".into(),
            (None, false) => match rest.next().map(text).transpose()? {
                Some(value) if value != "--" => value,
                _ => return Err(format!("{name} needs a value: {}", option.value)),
            },
        };
        given.push((at, value));
    }
    Err("no program: the options are followed by -- PROGRAM".into())
}

/// The option with this name.
fn find(word: &str) -> Result<usize, String> {
    let short = match word {
        "-g" => "group",
        "-v" => "verbose",
        _ => word.strip_prefix("--").unwrap_or(""),
    };
    if let Some(at) = OPTIONS.iter().position(|option| option.name == short) {
        return Ok(at);
    }
    let names = OPTIONS.iter().map(|option| option.name);
    match crate::nearest::nearest(short, names) {
        Some(near) => Err(format!("unknown option '{word}'; did you mean '--{near}'?")),
        None if word.starts_with('-') => Err(format!("unknown option '{word}'")),
        None => Err(format!("unexpected '{word}': the program comes after --")),
    }
}

impl Draft {
    /// A restart rule, checked as the same key of a `<service>` would be. The last one counts.
    fn rule(&mut self, key: &'static str, value: &str) -> Result<(), String> {
        if value.contains(['\n', '\r']) {
            return Err("a value is one line".into());
        }
        rules(&line(key, value))?;
        self.rules.retain(|&(known, _)| known != key);
        self.rules.push((key, value.to_owned()));
        Ok(())
    }
}

/// One line of a `<service>`, where `%` would be a substitution.
fn line(key: &str, value: &str) -> String {
    format!("  {key} {}\n", value.replace('%', "%%"))
}

/// A service with these lines; the first error, if they have one.
fn rules(lines: &str) -> Result<Service, String> {
    let text = format!("<service main>\n  program true\n{lines}</service>\n");
    let reading = config::read("options", text.as_bytes(), &super::machine::Offline);
    match reading.plan.and_then(|plan| plan.services.into_iter().next()) {
        Some(service) => Ok(service),
        None => {
            let first = reading.diagnostics.into_iter().next();
            Err(first.map_or_else(String::new, |diagnostic| diagnostic.message))
        }
    }
}

/// What is to be done.
fn plan(draft: Draft, argv: Vec<OsString>) -> Result<Plan, String> {
    let lines: String = draft.rules.iter().map(|(key, value)| line(key, value)).collect();
    let mut rules = rules(&lines)?.rules;
    if !draft.rules.iter().any(|&(key, _)| key == "restart") {
        rules.restart = Restart::Never;
    }
    let directory = draft.directory.map(|path| absolute(&path)).transpose()?;
    let session = Session::Given;
    let mut plan = Program { argv, directory, session, rules, single: draft.single }.plan();
    plan.settings.socket = draft.socket;
    if draft.verbose {
        plan.event_log.level = Level::Debug;
    }
    Ok(plan)
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("not UTF-8: {}", word.to_string_lossy()))
}

fn flag(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" | "" => Ok(false),
        _ => Err(format!("'{value}' is neither yes nor no")),
    }
}

fn duration(value: &str) -> Result<Duration, String> {
    config::duration(value)
}

/// Adds the items of a list, `FROM:TO,FROM:TO`.
fn list<T>(
    value: &str,
    read: fn(&str, &str) -> Option<T>,
    into: &mut Vec<T>,
) -> Result<(), String> {
    for item in value.split(',').filter(|item| !item.is_empty()) {
        let pair = item.split_once(':').and_then(|(from, to)| read(from, to));
        into.push(pair.ok_or_else(|| format!("'{item}' is not FROM:TO"))?);
    }
    Ok(())
}

fn rewrite(from: &str, to: &str) -> Option<(Signal, Option<Signal>)> {
    let to = match to {
        "" | "0" => None,
        name => Some(Signal::parse(name)?),
    };
    Some((Signal::parse(from)?, to))
}

fn remap(from: &str, to: &str) -> Option<(u8, u8)> {
    Some((from.parse().ok()?, to.parse().ok()?))
}
