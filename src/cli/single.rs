//! `lar [OPTIONS] -- PROGRAM`: one program, as if lar were not there.
//!
//! Signals are passed on, orphans are reaped, and the exit code is the program's. Each option can also be given by
//! a variable, because whoever injects an init can't give it arguments; the command line wins.

use std::ffi::OsString;

use super::{complain, manager, usage_error};
use crate::config;
use crate::plan::{
    ExitPolicy, Inherit, KillMode, Ladder, Level, Plan, Process, Restart, Rung, Service, Session,
    Setup, Single, Target,
};
use crate::run::{Start, run};
use crate::signal::Signal;
use crate::sys::fd;
use crate::sys::spawn::Given;
use crate::sys::terminal::Terminal;
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
            draft.socket = Some(value.to_owned());
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
    /// Restart rules, as lines of a `<service>`.
    rules: String,
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
    fd::close_inherited();
    for warning in crate::logger::init(&plan.event_log) {
        complain(&warning.to_string());
    }
    let mut given = Given::collect();
    given.terminal = Terminal::open();
    let control = plan.settings.socket.is_some();
    let (config_path, foreground, startup) = (None, true, None);
    leave_directory(&plan);
    manager::end(run(Start { plan, config_path, foreground, control, startup, given }))
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

/// The options, from the environment and then from the arguments, and the program's words.
fn read(args: Vec<OsString>) -> Result<(Draft, Vec<String>), String> {
    let mut draft = Draft::default();
    for option in &OPTIONS {
        if let Some(value) = std::env::var_os(option.variable) {
            let value = text(value).map_err(|error| format!("{}: {error}", option.variable))?;
            (option.apply)(&mut draft, &value)
                .map_err(|error| format!("{}: {error}", option.variable))?;
        }
    }
    let mut rest = args.into_iter();
    while let Some(word) = rest.next() {
        let word = text(word)?;
        if word == "--" {
            let argv: Vec<String> = rest.map(text).collect::<Result<_, _>>()?;
            return match argv.is_empty() {
                true => Err("no program after --".into()),
                false => Ok((draft, argv)),
            };
        }
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let option = find(name)?;
        let value = match (inline, option.value.is_empty()) {
            (Some(value), _) => value,
            (None, true) => "yes".into(),
            (None, false) => match rest.next().map(text).transpose()? {
                Some(value) if value != "--" => value,
                _ => return Err(format!("{name} needs a value: {}", option.value)),
            },
        };
        (option.apply)(&mut draft, &value).map_err(|error| format!("{name}: {error}"))?;
    }
    Err("no program: the options are followed by -- PROGRAM".into())
}

fn find(word: &str) -> Result<&'static Opt, String> {
    let short = match word {
        "-g" => "group",
        "-v" => "verbose",
        _ => word.strip_prefix("--").unwrap_or(""),
    };
    if let Some(option) = OPTIONS.iter().find(|option| option.name == short) {
        return Ok(option);
    }
    let names = OPTIONS.iter().map(|option| option.name);
    match crate::nearest::nearest(short, names) {
        Some(near) => Err(format!("unknown option '{word}'; did you mean '--{near}'?")),
        None if word.starts_with('-') => Err(format!("unknown option '{word}'")),
        None => Err(format!("unexpected '{word}': the program comes after --")),
    }
}

impl Draft {
    /// A restart rule, checked as the same key of a `<service>` would be.
    fn rule(&mut self, key: &str, value: &str) -> Result<(), String> {
        if value.contains('\n') {
            return Err("a value is one line".into());
        }
        let line = format!("  {key} {value}\n");
        rules(&line)?;
        self.rules.push_str(&line);
        Ok(())
    }
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
fn plan(draft: Draft, argv: Vec<String>) -> Result<Plan, String> {
    let mut rules = rules(&draft.rules)?.rules;
    if !draft.rules.contains("  restart ") {
        rules.restart = Restart::Never;
    }
    let restarts = rules.restart != Restart::Never;
    let wait = draft.single.grace.unwrap_or(if restarts {
        Duration::from_secs(10)
    } else {
        Duration::MAX // nobody asked lar to kill anything
    });
    let here =
        std::env::current_dir().ok().and_then(|path| path.into_os_string().into_string().ok());
    let process = Process {
        argv,
        directory: draft.directory.or(here),
        transcript: Target::Inherit,
        ..Process::default()
    };
    let service = Service {
        name: "main".into(),
        main: true,
        rules,
        stop: Ladder {
            drain: draft.single.drain,
            rungs: vec![Rung { signal: Signal::TERM, wait }],
            kill: true,
        },
        // What a program that has ended leaves behind gets its TERM and its grace at the end, like all
        // else that is left; but before it is started again, its group must be gone.
        kill_mode: if restarts { KillMode::Mixed } else { KillMode::Process },
        setup: Setup {
            umask: None,
            inherit: Inherit::All,
            session: Session::Given,
            ..Setup::default()
        },
        processes: vec![process],
        ..Service::default()
    };
    let mut plan = Plan { services: vec![service], ..Plan::default() };
    plan.settings.exit_policy = Some(ExitPolicy::Main);
    // The grace time is the limit; without one, the program has all the time it wants.
    plan.settings.shutdown_timeout = Some(Duration::MAX);
    plan.settings.socket = draft.socket;
    plan.settings.single = Some(draft.single);
    plan.event_log.level = if draft.verbose { Level::Info } else { Level::Warn };
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
