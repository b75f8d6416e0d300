//! From a plan back to text: the effective configuration of a service, every key with its value, in the syntax
//! it is read in.
//!
//! What is the same for all instances can be read again and gives the same service. What differs between them
//! (`%i` was put in long ago) is printed for the first one; the others follow as comments.

use super::service::RESOURCES;
use super::value::{print_duration, print_signal, print_size};
use super::{phrases, words};
use crate::plan::{
    Delay, Format, GiveUp, Inherit, KillMode, Kind, OnFull, Plan, Probe, Process, Restart, Rules,
    Service, ServiceId, Setup, Spawn, Start, Target,
};

/// The lines of one service, `<service NAME>` and `</service>` included.
pub fn lines(plan: &Plan, id: ServiceId) -> Vec<String> {
    let Some(service) = plan.services.get(id.index()) else { return Vec::new() };
    let mut page = Page(vec![format!("<service {}>", service.name)]);
    let none = Process::default();
    let first = service.processes.first().unwrap_or(&none);
    page.all("program", &first.argv);
    page.pair("type", if service.kind == Kind::Oneshot { "oneshot" } else { "simple" });
    page.pair("instances", &service.processes.len().to_string());
    page.pair("start", if service.start == Start::Manual { "manual" } else { "boot" });
    if let Some(directory) = &first.directory {
        page.word("directory", directory);
    }
    setup(&mut page, &service.setup);
    order(&mut page, plan, service);
    readiness(&mut page, service, first);
    stop(&mut page, service);
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

/// The lines so far.
struct Page(Vec<String>);

impl Page {
    fn pair(&mut self, key: &str, value: &str) {
        self.0.push(format!("  {key} {value}"));
    }

    /// One word that somebody else has chosen.
    fn word(&mut self, key: &str, word: &str) {
        self.pair(key, &escaped(word));
    }

    fn all(&mut self, key: &str, words: &[String]) {
        if !words.is_empty() {
            self.pair(key, &joined(words));
        }
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
        if let Some(directory) =
            process.directory.as_ref().filter(|_| process.directory != first.directory)
        {
            part.word("directory", directory);
        }
        if let Some(probe) = process.ready.as_ref().filter(|_| process.ready != first.ready) {
            part.pair("ready", &self::probe(probe));
        }
        if process.transcript != first.transcript {
            part.pair("transcript", &target(&process.transcript));
        }
        if let Some(stderr) = process.stderr.as_ref().filter(|_| process.stderr != first.stderr) {
            part.pair("stderr", &target(stderr));
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

fn setup(page: &mut Page, setup: &Setup) {
    if let Some(identity) = &setup.identity {
        match (&identity.account, identity.uid) {
            (Some(account), _) => page.word("user", &account.name),
            (None, Some(uid)) => page.pair("user", &uid.to_string()),
            (None, None) => {}
        }
        page.pair("group", &identity.gid.to_string());
        let groups: Vec<String> = identity.groups.iter().map(u32::to_string).collect();
        page.pair("groups", &if groups.is_empty() { "none".into() } else { groups.join(" ") });
    }
    page.pair("umask", &setup.umask.map_or("inherit".into(), |umask| format!("{umask:03o}")));
    page.pair("spawn", if setup.spawn == Spawn::Fork { "fork" } else { "vfork" });
    match &setup.inherit {
        Inherit::All => page.pair("inherit-environment", "yes"),
        Inherit::Nothing => page.pair("inherit-environment", "no"),
        Inherit::Names(names) => page.all("inherit-environment", names),
    }
    if let Some(nice) = setup.nice {
        page.pair("nice", &nice.to_string());
    }
    if let Some(ionice) = setup.ionice {
        page.pair(
            "ionice",
            &match ionice.class {
                1 => format!("realtime {}", ionice.level),
                2 => format!("best-effort {}", ionice.level),
                _ => "idle".into(),
            },
        );
    }
    if let Some(score) = setup.oom_score_adj {
        page.pair("oom-score-adj", &score.to_string());
    }
    page.pair("no-new-privileges", yes(setup.no_new_privileges));
    if let Some(mask) = setup.capabilities {
        let names = phrases::CAPABILITIES.iter().enumerate();
        let names = names.filter(|(number, _)| mask >> number & 1 == 1).map(|(_, name)| *name);
        let names: Vec<&str> = names.collect();
        page.pair("capabilities", &if names.is_empty() { "none".into() } else { names.join(" ") });
    }
    let lines = setup.limits.iter().filter_map(|limit| {
        let (name, _, _) = RESOURCES.iter().find(|(_, resource, _)| *resource == limit.resource)?;
        let one = |value: Option<u64>| value.map_or("unlimited".into(), |value| value.to_string());
        Some(format!("{name} {}:{}", one(limit.soft), one(limit.hard)))
    });
    page.section("limits", lines);
}

fn order(page: &mut Page, plan: &Plan, service: &Service) {
    let order = &service.order;
    let lists = [
        ("requires", &order.requires),
        ("wants", &order.wants),
        ("after", &order.after),
        ("restart-with", &order.restart_with),
    ];
    for (key, ids) in lists {
        let named = ids.iter().filter_map(|id| plan.services.get(id.index()));
        let names: Vec<String> = named.map(|service| service.name.clone()).collect();
        page.all(key, &names);
    }
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Unix(path) => format!("unix {}", escaped(path)),
        Probe::Command(words) => format!("command {}", joined(words)),
        Probe::Notify => "notify".into(),
    }
}

fn readiness(page: &mut Page, service: &Service, first: &Process) {
    if let Some(probe) = &first.ready {
        let timeout = print_duration(service.probe_timeout);
        page.pair("ready", &format!("timeout {timeout} {}", self::probe(probe)));
    }
    page.pair("ready-interval", &print_duration(service.ready_interval));
    page.pair("start-timeout", &service.start_timeout.map_or("none".into(), print_duration));
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
    page.pair("stop", &steps.join(" "));
    page.pair(
        "kill-mode",
        match service.kill_mode {
            KillMode::Mixed => "mixed",
            KillMode::Group => "group",
            KillMode::Process => "process",
        },
    );
    if let Some(signal) = service.reload {
        page.pair("reload", &print_signal(signal));
    }
}

fn rules(page: &mut Page, rules: &Rules) {
    if rules.governor_first {
        page.pair("preset", "zdaemon");
    }
    page.pair(
        "restart",
        match rules.restart {
            Restart::Always => "always",
            Restart::OnFailure => "on-failure",
            Restart::Never => "never",
        },
    );
    let codes: Vec<String> = rules.exit_codes.iter().map(u8::to_string).collect();
    page.pair("exit-codes", &if codes.is_empty() { "none".into() } else { codes.join(" ") });
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
        true => page.pair("backoff-limit", &max),
        false => page.pair("backoff", &format!("{delay} max {max} jitter {}%", rules.jitter)),
    }
    page.pair("healthy-after", &print_duration(rules.healthy_after));
    page.pair(
        "give-up",
        &match rules.give_up {
            GiveUp::Never => "never".into(),
            GiveUp::After(deaths) => format!("after {deaths}"),
            GiveUp::AtMax => "at-max".into(),
        },
    );
    page.pair(
        "flapping",
        &match rules.flapping {
            None => "no".into(),
            Some(flapping) => {
                let (window, cooldown) =
                    (print_duration(flapping.window), print_duration(flapping.cooldown));
                let rounds =
                    flapping.rounds.map_or(String::new(), |rounds| format!(" rounds {rounds}"));
                format!("{} in {window} cooldown {cooldown}{rounds}", flapping.deaths)
            }
        },
    );
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
    page.pair("transcript", &target(&first.transcript));
    page.pair("stderr", &first.stderr.as_ref().map_or("transcript".into(), target));
    if let Some(prefix) = output.prefix {
        page.pair("prefix", yes(prefix));
    }
    let format = output.timestamp.as_deref().unwrap_or("no");
    let plain = format.trim() == format && !format.starts_with(['"', '\'']);
    page.pair("timestamp", &if plain { format.to_string() } else { words::quote(format) });
    page.pair("format", if output.format == Format::Json { "json" } else { "text" });
    page.pair(
        "rotate",
        &match output.rotate {
            None => "no".into(),
            Some(rotate) => format!("{} keep {}", print_size(rotate.size), rotate.keep),
        },
    );
    page.pair("ring", &print_size(u64::from(output.ring)));
    page.pair("on-full", if output.on_full == OnFull::Block { "block" } else { "drop" });
}
