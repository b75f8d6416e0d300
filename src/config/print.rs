//! From a plan back to text: the effective configuration of a service, every key with its value, in the syntax
//! it is read in.
//!
//! What is the same for all instances can be read again and gives the same service. What differs between them
//! (`%i` was put in long ago) is printed for the first one; the others follow as comments.

use core::fmt::Display;

use super::health::key_of;
use super::input::STDINS;
use super::output::{FORMATS, ON_FULL};
use super::presets::RESTARTS;
use super::service::{KILL_MODES, KINDS, ON_SHUTDOWN, RESOURCES, SPAWNS, STARTS};
use super::timer::{OVERLAPS, print_minute};
use super::value::{name_of, print_duration, print_signal, print_size};
use super::{phrases, words};
use crate::plan::{
    Delay, GiveUp, Health, Hook, Inherit, Probe, Process, Rules, Service, ServiceId, Setup, Target,
    Task, Timer, When,
};
use crate::time::Duration;

/// The lines of one service, `<service NAME>` and `</service>` included. `name` knows what others are called.
pub fn lines(service: &Service, name: &dyn Fn(ServiceId) -> String) -> Vec<String> {
    let mut page = Page(vec![format!("<service {}>", service.name)]);
    let none = Process::default();
    let first = service.processes.first().unwrap_or(&none);
    page.all("program", &first.argv);
    page.pair("type", name_of(&service.kind, &KINDS));
    page.pair("instances", service.processes.len());
    page.pair("start", name_of(&service.start, &STARTS));
    if let Some(Timer { when, queue }) = &service.timer {
        match when {
            When::Every(time) => page.pair("every", print_duration(*time)),
            When::At(times) => {
                let times: Vec<String> = times.iter().map(|&time| print_minute(time)).collect();
                page.all("at", &times);
            }
        }
        page.pair("overlap", name_of(queue, &OVERLAPS));
    }
    page.all("sockets", &service.sockets);
    page.maybe("directory", first.directory.as_deref().map(escaped));
    page.pair("stdin", name_of(&service.input.stdin, &STDINS));
    page.all("streams", &service.input.streams);
    setup(&mut page, &service.setup);
    order(&mut page, service, name);
    readiness(&mut page, service, first);
    stop(&mut page, service);
    around(&mut page, first);
    rules(&mut page, &service.rules);
    page.pair("critical", yes(service.critical));
    page.pair("main", yes(service.main));
    output(&mut page, service, first);
    page.section(
        "environment",
        first.environment.iter().map(|(name, value)| variable(name, value)),
    );
    for (index, process) in service.processes.iter().enumerate().skip(1) {
        if process != first {
            page.other(index + 1, process, first);
        }
    }
    page.0.push("</service>".into());
    page.0
}

/// The lines of one `<on EVENT>`.
pub fn hook(hook: &Hook) -> Vec<String> {
    let mut page = Page(vec![format!("<on {}>", hook.word())]);
    page.all("command", &hook.process.argv);
    page.list("services", &hook.whom);
    page.pair("timeout", print_duration(hook.timeout));
    page.maybe("directory", hook.process.directory.as_deref().map(escaped));
    identity(&mut page, &hook.setup);
    page.0.push("</on>".into());
    page.0
}

/// The lines so far.
struct Page(Vec<String>);

impl Page {
    fn pair(&mut self, key: &str, value: impl Display) {
        self.0.push(format!("  {key} {value}"));
    }

    /// A key that need not be there.
    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.pair(key, value);
        }
    }

    fn all(&mut self, key: &str, words: &[String]) {
        if !words.is_empty() {
            self.pair(key, joined(words));
        }
    }

    /// A list that says `none` when it is empty.
    fn list(&mut self, key: &str, items: &[impl ToString]) {
        let items: Vec<String> = items.iter().map(|item| item.to_string()).collect();
        self.pair(key, if items.is_empty() { "none".into() } else { items.join(" ") });
    }

    fn section(&mut self, kind: &str, lines: impl Iterator<Item = String>) {
        let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
        if !lines.is_empty() {
            self.0.push(format!("  <{kind}>"));
            self.0.extend(lines);
            self.0.push(format!("  </{kind}>"));
        }
    }

    /// What another instance has differently.
    fn other(&mut self, number: usize, process: &Process, first: &Process) {
        let mut part = Page(Vec::new());
        if process.argv != first.argv {
            part.all("program", &process.argv);
        }
        if process.directory != first.directory {
            part.maybe("directory", process.directory.as_deref().map(escaped));
        }
        if process.ready != first.ready {
            part.maybe("ready", process.ready.as_ref().map(probe));
        }
        if process.health != first.health {
            part.maybe("health", process.health.as_ref().map(probe));
        }
        let files = |process: &Process| (process.pid_file.clone(), process.log_file.clone());
        if process.tasks != first.tasks || files(process) != files(first) {
            around(&mut part, process);
        }
        if process.transcript != first.transcript {
            part.pair("transcript", target(&process.transcript));
        }
        if process.stderr != first.stderr {
            part.maybe("stderr", process.stderr.as_ref().map(target));
        }
        let changed = process.environment.iter().filter(|it| !first.environment.contains(it));
        part.section("environment", changed.map(|(name, value)| variable(name, value)));
        self.0.push(format!("  # instance {number}:"));
        self.0.extend(part.0.iter().map(|line| format!("  #   {}", line.trim_start())));
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// A word that is read as it is here: quoted if need be, and nothing put in.
fn escaped(word: &str) -> String {
    words::quote(word).replace('%', "%%")
}

fn joined(words: &[String]) -> String {
    words.iter().map(|word| escaped(word)).collect::<Vec<String>>().join(" ")
}

/// A value is the rest of its line, unless blanks at an end or a quote at its start would get lost.
fn variable(name: &str, value: &str) -> String {
    let plain = value.trim() == value && !value.starts_with(['"', '\'']);
    match plain {
        true => format!("{name} {}", value.replace('%', "%%")),
        false => format!("{name} {}", escaped(value)),
    }
}

fn identity(page: &mut Page, setup: &Setup) {
    if let Some(identity) = &setup.identity {
        match (&identity.account, identity.uid) {
            (Some(account), _) => page.pair("user", escaped(&account.name)),
            (None, uid) => page.maybe("user", uid),
        }
        page.pair("group", identity.gid);
        page.list("groups", &identity.groups);
    }
}

fn setup(page: &mut Page, setup: &Setup) {
    identity(page, setup);
    page.pair("umask", setup.umask.map_or("inherit".into(), |umask| format!("{umask:03o}")));
    page.pair("spawn", name_of(&setup.spawn, &SPAWNS));
    match &setup.inherit {
        Inherit::All => page.pair("inherit-environment", "yes"),
        Inherit::Nothing => page.pair("inherit-environment", "no"),
        Inherit::Names(names) => page.all("inherit-environment", names),
    }
    let fds: Vec<String> = setup.pass_fds.iter().map(|fd| fd.to_string()).collect();
    page.all("pass-fds", &fds);
    page.maybe("nice", setup.nice);
    let ionice = setup.ionice.map(|ionice| match name_of(&ionice.class, &phrases::IO_CLASSES) {
        "idle" => "idle".to_string(),
        class => format!("{class} {}", ionice.level),
    });
    page.maybe("ionice", ionice);
    page.maybe("oom-score-adj", setup.oom_score_adj);
    page.pair("no-new-privileges", yes(setup.no_new_privileges));
    if let Some(mask) = setup.capabilities {
        let names = phrases::CAPABILITIES.iter().enumerate();
        let names = names.filter(|(number, _)| mask >> number & 1 == 1).map(|(_, name)| *name);
        let names: Vec<&str> = names.collect();
        page.list("capabilities", &names);
    }
    let lines = setup.limits.iter().filter_map(|limit| {
        let (name, _, _) = RESOURCES.iter().find(|(_, resource, _)| *resource == limit.resource)?;
        let one = |value: Option<u64>| value.map_or("unlimited".into(), |value| value.to_string());
        Some(format!("{name} {}:{}", one(limit.soft), one(limit.hard)))
    });
    page.section("limits", lines);
}

fn order(page: &mut Page, service: &Service, name: &dyn Fn(ServiceId) -> String) {
    let order = &service.order;
    let lists = [
        ("requires", &order.requires),
        ("wants", &order.wants),
        ("after", &order.after),
        ("restart-with", &order.restart_with),
    ];
    for (key, ids) in lists {
        let names: Vec<String> = ids.iter().map(|&id| name(id)).collect();
        page.all(key, &names);
    }
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Unix(path) => format!("unix {}", escaped(path)),
        Probe::Http(url) => format!("http {}", escaped(url)),
        Probe::File(path) => format!("file {}", escaped(path)),
        Probe::Log(text) => format!("log {}", escaped(text)),
        Probe::Command(words) => format!("command {}", joined(words)),
        Probe::Notify => "notify".into(),
        Probe::Fd(number) => format!("fd {number}"),
    }
}

fn readiness(page: &mut Page, service: &Service, first: &Process) {
    if let Some(probe) = &first.ready {
        let timeout = print_duration(service.probe_timeout);
        page.pair("ready", format!("timeout {timeout} {}", self::probe(probe)));
    }
    page.pair("ready-interval", print_duration(service.ready_interval));
    let time = |time: Option<Duration>| time.map_or("none".into(), print_duration);
    page.pair("start-timeout", time(service.start_timeout));
    page.pair("start-abort-timeout", print_duration(service.start_abort_timeout));
    page.pair("log-activity-timeout", time(service.log_activity_timeout));
    if let (Some(health), Some(probe)) = (&service.health, &first.health) {
        page.pair("health", self::health(health, probe));
    }
}

fn health(health: &Health, probe: &Probe) -> String {
    let (every, timeout) = (print_duration(health.every), print_duration(health.timeout));
    format!("every {every} timeout {timeout} failures {} {}", health.failures, self::probe(probe))
}

/// A daemon's files, and the commands beside the program.
fn around(page: &mut Page, process: &Process) {
    page.maybe("pid-file", process.pid_file.as_deref().map(escaped));
    page.maybe("log-file", process.log_file.as_deref().map(escaped));
    for (task, words) in &process.tasks {
        let words = joined(words);
        match task {
            Task::Reload => page.pair("reload", format!("command {words}")),
            _ => page.pair(key_of(*task), words),
        }
    }
}

fn stop(page: &mut Page, service: &Service) {
    let ladder = &service.stop;
    let mut steps = Vec::new();
    if !ladder.drain.is_zero() {
        steps.push(print_duration(ladder.drain));
    }
    for rung in &ladder.rungs {
        steps.push(format!("{} {}", print_signal(rung.signal), print_duration(rung.wait)));
    }
    steps.push(if ladder.kill { "KILL".into() } else { "never".into() });
    page.pair("stop", steps.join(" "));
    page.pair("kill-mode", name_of(&service.kill_mode, &KILL_MODES));
    page.pair(
        "rolling",
        if service.rolling == 0 { "no".into() } else { service.rolling.to_string() },
    );
    page.pair("stop-timeout", print_duration(service.stop_timeout));
    page.pair("on-shutdown", name_of(&service.leave, &ON_SHUTDOWN));
    page.maybe("reload", service.reload.map(print_signal));
}

fn rules(page: &mut Page, rules: &Rules) {
    if rules.governor_first {
        page.pair("preset", "zdaemon");
    }
    page.pair("restart", name_of(&rules.restart, &RESTARTS));
    page.list("exit-codes", &rules.exit_codes);
    let delay = match rules.delay {
        Delay::None => "none".into(),
        Delay::Linear { first, step } => {
            format!("linear {} +{}", print_duration(first), print_duration(step))
        }
        Delay::Double { first } => format!("double {}", print_duration(first)),
    };
    let max = print_duration(rules.max);
    // zdaemon's governor may have a limit below its first delay, which `max` may not be.
    match rules.governor_first {
        true => page.pair("backoff-limit", max),
        false => page.pair("backoff", format!("{delay} max {max} jitter {}%", rules.jitter)),
    }
    page.pair("healthy-after", print_duration(rules.healthy_after));
    let give_up = match rules.give_up {
        GiveUp::Never => "never".into(),
        GiveUp::After(deaths) => format!("after {deaths}"),
        GiveUp::AtMax => "at-max".into(),
    };
    page.pair("give-up", give_up);
    let flapping = rules.flapping.map_or("no".into(), |it| {
        let (window, cooldown) = (print_duration(it.window), print_duration(it.cooldown));
        let rounds = it.rounds.map_or(String::new(), |rounds| format!(" rounds {rounds}"));
        format!("{} in {window} cooldown {cooldown}{rounds}", it.deaths)
    });
    page.pair("flapping", flapping);
}

fn target(target: &Target) -> String {
    match target {
        Target::Default => "default".into(),
        Target::File(path) => escaped(path),
        Target::Stdout => "stdout".into(),
        Target::Inherit => "inherit".into(),
        Target::None => "none".into(),
    }
}

fn output(page: &mut Page, service: &Service, first: &Process) {
    let output = &service.output;
    page.pair("transcript", target(&first.transcript));
    page.pair("stderr", first.stderr.as_ref().map_or("transcript".into(), target));
    let colour = output.colour.then_some("color");
    page.maybe("prefix", colour.or(output.prefix.map(yes)));
    let format = output.timestamp.as_deref().unwrap_or("no");
    let plain = format.trim() == format && !format.starts_with(['"', '\'']);
    page.pair("timestamp", if plain { format.to_string() } else { words::quote(format) });
    page.pair("format", name_of(&output.format, &FORMATS));
    let rotate = output.rotate.map(|it| format!("{} keep {}", print_size(it.size), it.keep));
    page.pair("rotate", rotate.unwrap_or("no".into()));
    page.pair("ring", print_size(u64::from(output.ring)));
    page.pair("on-full", name_of(&output.on_full, &ON_FULL));
}
