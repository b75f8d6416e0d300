//! `<service>` and `<defaults>`. What a service says itself replaces what the defaults say of the same key;
//! `<environment>` and `<limits>` are merged name by name. A preset comes below both.

use super::diagnostic::Report;
use super::graph::{self, Names, Wishes};
use super::keys::Kind as Keys;
use super::lines::{Entry, Section, Spot};
use super::presets::{self, Preset};
use super::program::{self, Making};
use super::section::{self, Cursor, Number, Scope, Token, Values};
use super::value::{self, Wrong};
use super::world::Directory;
use super::{environment, expand, health, identity, input, names, output, phrases, timer};
use crate::nearest;
use crate::plan::{
    ExitPolicy, Inherit, KillMode, Kind, Limit, Plan, Process, Resource, Service, ServiceId, Setup,
    Socket, Spawn, Start, Target,
};

/// What may stand in a `<service>`.
const INNER: [&str; 2] = ["environment", "limits"];

/// More is a slip; the design's largest measured plan has this many.
const MOST_INSTANCES: u32 = 10_000;

/// What `type` takes.
pub(super) const KINDS: [(&str, Kind); 3] =
    [("simple", Kind::Simple), ("forking", Kind::Forking), ("oneshot", Kind::Oneshot)];

/// What `start` takes.
pub(super) const STARTS: [(&str, Start); 3] =
    [("boot", Start::Boot), ("manual", Start::Manual), ("on-demand", Start::OnDemand)];

/// What `spawn` takes.
pub(super) const SPAWNS: [(&str, Spawn); 2] = [("vfork", Spawn::Vfork), ("fork", Spawn::Fork)];

/// What `kill-mode` takes.
pub(super) const KILL_MODES: [(&str, KillMode); 3] =
    [("mixed", KillMode::Mixed), ("group", KillMode::Group), ("process", KillMode::Process)];

/// What `on-shutdown` takes.
pub(super) const ON_SHUTDOWN: [(&str, bool); 2] = [("stop", false), ("leave", true)];

/// Reads all services into `plan`.
pub(super) fn read_all(
    sections: &[&Section],
    defaults: Option<&Section>,
    scope: &Scope,
    plan: &mut Plan,
    report: &mut Report,
) {
    let below = defaults.map_or(Vec::new(), |it| section::known(it, Keys::Service, &INNER, report));
    let sockets = std::mem::take(&mut plan.sockets);
    let mut wishes = Vec::with_capacity(sections.len());
    let mut names = Names::new();
    for section in sections {
        let id = ServiceId(plan.services.len() as u32);
        let name = name(section, id, &mut names, report);
        let own = section::known(section, Keys::Service, &INNER, report);
        let said = |entry: &&&Entry| !own.iter().any(|it| it.key.eq_ignore_ascii_case(&entry.key));
        let mut entries: Vec<&Entry> = below.iter().filter(said).copied().collect();
        entries.extend(&own);
        let scope = Scope { name: Some(&name), ..*scope };
        let mut values = Values { kind: Keys::Service, entries, scope, report: &mut *report };
        let sources = Sources { section, defaults, sockets: &sockets };
        let service = service(&mut values, &sources, &name);
        wishes.push(Wishes::read(&mut values));
        plan.services.push(service);
    }
    plan.sockets = sockets;
    graph::resolve(&wishes, &names, plan, report);
    exit_policy(sections, plan, report);
}

/// Where the sections within a service come from.
struct Sources<'a> {
    section: &'a Section,
    defaults: Option<&'a Section>,
    sockets: &'a [Socket],
}

impl<'a> Sources<'a> {
    /// The inner sections of a kind, the defaults' first.
    fn inner(&self, kind: &str) -> Vec<&'a Section> {
        let all = self.defaults.into_iter().chain([self.section]);
        all.flat_map(|section| &section.sections).filter(|inner| inner.kind == kind).collect()
    }
}

fn name(section: &Section, id: ServiceId, names: &mut Names, report: &mut Report) -> String {
    let Some(name) = &section.name else {
        report.error(&section.spot, "a service needs a name");
        report.hint("as in: <service web>");
        return String::from("?");
    };
    let spot = Spot { at: section.name_at, ..section.spot.clone() };
    if let Err(wrong) = names::check(name) {
        let spot = Spot { at: section.name_at + wrong.at.unwrap_or(0), ..spot };
        wrong.report(&spot, report);
    } else if names.insert(name.to_ascii_lowercase(), id).is_some() {
        report.error(&spot, format!("there is a service `{name}` already"));
        report.hint("names are compared without case; `instances N` runs one several times");
    }
    name.clone()
}

fn service(v: &mut Values, sources: &Sources, name: &str) -> Service {
    let mut preset = Preset::Lar;
    v.choose(&mut preset, "preset", &presets::NAMES);
    let mut service = presets::service(preset);
    service.name = name.to_string();
    v.choose(&mut service.kind, "type", &KINDS);
    v.choose(&mut service.start, "start", &STARTS);
    service.timer = timer::read(v, &service);
    service.input = input::read(v);
    let inherit = service.setup.inherit;
    service.setup = setup(v, &sources.inner("limits"), inherit);
    service.sockets = sockets(v, sources.sockets);
    service.setup.pass_fds = pass_fds(v, service.sockets.len(), service.input.streams.len());
    if service.start == Start::OnDemand && service.sockets.is_empty() && !v.has("sockets") {
        v.wrong("start", "nobody can connect to it: it has no `sockets`");
        v.report.hint("as in: sockets web, where <socket web> says what lar listens on");
    }
    presets::read_rules(v, preset, &mut service);
    v.set_read(&mut service.stop, "stop", phrases::ladder);
    v.choose(&mut service.kill_mode, "kill-mode", &KILL_MODES);
    service.rolling = v.word("rolling", rolling).unwrap_or(0);
    v.choose(&mut service.leave, "on-shutdown", &ON_SHUTDOWN);
    v.set(&mut service.critical, "critical", value::boolean);
    v.set(&mut service.main, "main", value::boolean);
    service.output = output::read(v);
    processes(v, sources, &mut service);
    health::check(v, &mut service);
    check_rolling(v, &service);
    if service.leave {
        check_leave(v, &service);
    }
    service
}

/// What is left running must not depend on lar, which would be gone: a pipe without a reader ends most programs.
fn check_leave(v: &mut Values, service: &Service) {
    if v.scope.world.is_pid1() {
        v.wrong("on-shutdown", "PID 1 can leave nothing running: the kernel ends it all");
    }
    let past = |target: &Target| match target {
        Target::Inherit => true,
        Target::None => service.output.ring == 0,
        Target::Default | Target::File(_) | Target::Stdout => false,
    };
    let good =
        |process: &Process| past(&process.transcript) && process.stderr.as_ref().is_none_or(past);
    if !service.processes.iter().all(good) {
        v.wrong("on-shutdown", "what it writes would go through lar, which will not be there");
        v.report.hint(
            "say `transcript inherit`, or `transcript none` and `ring 0`; or let it write its own log",
        );
    }
}

fn setup(v: &mut Values, limits: &[&Section], inherit: Inherit) -> Setup {
    let mut setup = Setup { inherit, ..Setup::default() };
    setup.identity = identity::read(v);
    let umask = |word: &str| match word {
        "inherit" => Ok(None),
        _ => value::octal(word).map(Some),
    };
    v.set(&mut setup.umask, "umask", umask);
    setup.limits = self::limits(v, limits);
    setup.nice = v.word("nice", |word| value::number(word, -20, 19));
    setup.ionice = v.read("ionice", phrases::ionice);
    setup.oom_score_adj = v.word("oom-score-adj", |word| value::number(word, -1000, 1000));
    v.set(&mut setup.no_new_privileges, "no-new-privileges", value::boolean);
    setup.capabilities = v.read("capabilities", phrases::capabilities);
    v.choose(&mut setup.spawn, "spawn", &SPAWNS);
    v.set_read(&mut setup.inherit, "inherit-environment", self::inherit);
    setup
}

/// The sockets it is given, by the names that their sections have.
fn sockets(v: &mut Values, known: &[Socket]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let tokens = v.tokens("sockets").unwrap_or_default();
    if tokens.is_empty() {
        v.wrong("sockets", "the names are missing");
    }
    for Token { text, spot } in tokens {
        let Some(socket) = known.iter().find(|socket| socket.name.eq_ignore_ascii_case(&text))
        else {
            v.report.error(&spot, format!("there is no socket `{text}`"));
            match nearest::nearest(&text, known.iter().map(|socket| socket.name.as_str())) {
                Some(near) => v.report.hint(format!("did you mean `{near}`?")),
                None => {
                    v.report.hint(format!("as in: <socket {text}>, listen tcp *:80, </socket>"))
                }
            }
            continue;
        };
        match names.contains(&socket.name) {
            true => v.report.error(&spot, format!("`{text}` stands here twice")),
            false => names.push(socket.name.clone()),
        }
    }
    names
}

/// More is a slip: no limit of open files is that high.
const LAST_FD: i32 = 1 << 20;

fn pass_fds(v: &mut Values, sockets: usize, streams: usize) -> Vec<i32> {
    let (first, free) = (3 + sockets as i32, 3 + (sockets + streams) as i32);
    let all = |cursor: &mut Cursor| {
        let mut fds = Vec::new();
        while let Some(word) = cursor.take() {
            let fd = value::number(&word, 0, LAST_FD)?;
            if fd < 3 {
                return Err(Wrong::new(format!("{fd} is a standard fd, which it has anyway")));
            } else if fd < first {
                let message = format!("{fd} is one of its `sockets`, which are 3 to {}", first - 1);
                return Err(Wrong::new(message));
            } else if fd < free {
                let message = format!("{fd} is one of its `streams`, {first} to {}", free - 1);
                return Err(Wrong::new(message));
            } else if fds.contains(&fd) {
                return Err(Wrong::new(format!("{fd} stands here twice")));
            }
            fds.push(fd);
        }
        if fds.is_empty() { Err(Wrong::new("the numbers are missing")) } else { Ok(fds) }
    };
    v.read("pass-fds", all).unwrap_or_default()
}

fn inherit(cursor: &mut Cursor) -> Result<Inherit, Wrong> {
    let mut names = Vec::new();
    while let Some(word) = cursor.take() {
        match value::boolean(&word) {
            Ok(yes) if names.is_empty() && cursor.peek().is_none() => {
                return Ok(if yes { Inherit::All } else { Inherit::Nothing });
            }
            _ if word.is_empty() || word.contains(['=', '\0']) => {
                return Err(Wrong::new(format!("`{word}` can't be the name of a variable")));
            }
            _ => names.push(word),
        }
    }
    match names.is_empty() {
        true => Err(Wrong::new("yes, no or the names are missing")),
        false => Ok(Inherit::Names(names)),
    }
}

/// The kernel's resources by the names of their keys, and whether they count bytes.
pub(super) const RESOURCES: [(&str, Resource, bool); 16] = [
    ("as", Resource::As, true),
    ("core", Resource::Core, true),
    ("cpu", Resource::Cpu, false),
    ("data", Resource::Data, true),
    ("fsize", Resource::Fsize, true),
    ("locks", Resource::Locks, false),
    ("memlock", Resource::Memlock, true),
    ("msgqueue", Resource::Msgqueue, true),
    ("nice", Resource::Nice, false),
    ("nofile", Resource::Nofile, false),
    ("nproc", Resource::Nproc, false),
    ("rss", Resource::Rss, true),
    ("rtprio", Resource::Rtprio, false),
    ("rttime", Resource::Rttime, false),
    ("sigpending", Resource::Sigpending, false),
    ("stack", Resource::Stack, true),
];

fn limits(v: &mut Values, sections: &[&Section]) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for section in sections {
        let entries = section::known(section, Keys::Limits, &[], v.report);
        let mut inner =
            Values { kind: Keys::Limits, entries, scope: v.scope, report: &mut *v.report };
        for (name, resource, bytes) in RESOURCES {
            let Some((soft, hard)) = inner.word(name, |word| limit(word, bytes)) else { continue };
            let limit = Limit { resource, soft, hard };
            match limits.iter_mut().find(|old| old.resource == resource) {
                Some(old) => *old = limit,
                None => limits.push(limit),
            }
        }
    }
    limits
}

/// `SOFT[:HARD]`.
fn limit(word: &str, bytes: bool) -> Result<(Option<u64>, Option<u64>), Wrong> {
    let one = |word: &str| match word {
        "unlimited" | "infinity" => Ok(None),
        _ if bytes => value::size(word).map(Some),
        _ => value::number(word, 0, u64::MAX).map(Some).map_err(|wrong| {
            Wrong::new(&*wrong.message).hint("a number, SOFT:HARD, or `unlimited`")
        }),
    };
    let Some((soft, hard)) = word.split_once(':') else {
        let both = one(word)?;
        return Ok((both, both));
    };
    let (soft, hard) = (one(soft)?, one(hard)?);
    let above = hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard));
    if above { Err(Wrong::new("the soft limit is above the hard one")) } else { Ok((soft, hard)) }
}

/// Every instance's own part.
fn processes(v: &mut Values, sources: &Sources, service: &mut Service) {
    if !v.has("program") {
        v.report.error(&sources.section.spot, format!("`{}` has no `program`", service.name));
        v.report.hint("as in: program /usr/sbin/nginx -g 'daemon off;'");
    }
    let count = v.word("instances", |word| value::number(word, 1, MOST_INSTANCES)).unwrap_or(1);
    let making = Making::read(v);
    let environments = sources.inner("environment");
    let numbered = |text: &String| text.contains("%i");
    let expanded = |entry: &&Entry| making.expand && expand::varies(&entry.value);
    let varies = v.entries.iter().any(|entry| numbered(&entry.value) || expanded(entry))
        || v.scope.defines.iter().any(|define| numbered(&define.value))
        || environments.iter().flat_map(|it| &it.entries).any(|entry| numbered(&entry.value));
    for number in 1..=count {
        v.scope.number = Some(Number::Is(number));
        let process = match service.processes.first() {
            Some(first) if !varies => first.clone(),
            _ => process(v, service, &environments, making),
        };
        service.processes.push(process);
    }
    if varies {
        // What is wrong with it has been said of each instance.
        let mut silent = Report::default();
        let entries = v.entries.clone();
        let scope = Scope { number: Some(Number::Any), ..v.scope };
        let mut v = Values { kind: v.kind, entries, scope, report: &mut silent };
        service.template = Some(Box::new(process(&mut v, service, &environments, making)));
    }
    v.scope.number = None;
}

fn process(
    v: &mut Values,
    service: &mut Service,
    environments: &[&Section],
    making: Making,
) -> Process {
    let mut process = Process {
        argv: Vec::new(),
        executable: None,
        environment: environment::read(v, environments),
        directory: v.text("directory"),
        transcript: output::transcript(v),
        stderr: output::stderr(v),
        ready: None,
        health: None,
        pid_file: None,
        log_file: None,
        tasks: Vec::new(),
    };
    process.argv = program::read(v, making, &service.setup, &process);
    if let Some(directory) = &process.directory
        && v.scope.world.directory(directory) == Directory::Missing
    {
        v.wrong("directory", format!("there is no directory `{directory}`"));
    }
    let inherit = &service.setup.inherit;
    if let Some(word) = process.argv.first() {
        program::check(v, "program", word, &process, inherit);
    }
    health::read(v, service, &mut process);
    process
}

/// What takes over from one that runs must be ready first.
fn check_rolling(v: &mut Values, service: &Service) {
    if service.rolling > 0 && service.kind == Kind::Oneshot {
        v.wrong("rolling", "a one-shot has no instances that another one could take over from");
    } else if service.rolling > 0 && !service.can_roll() {
        let message = match service.processes.iter().any(|process| process.ready.is_some()) {
            true => "this readiness is answered by the old process as well as by the new one",
            false => "without `ready` nobody knows when the new process can take over",
        };
        v.wrong("rolling", message);
        v.report.hint(
            "`ready notify`, `ready fd N`, `ready log TEXT`, or `ready command …`, which is told by LAR_PID whom to \
             ask",
        );
    }
}

/// How many at a time.
fn rolling(word: &str) -> Result<u32, Wrong> {
    match value::boolean(word) {
        Ok(yes) => Ok(yes.into()),
        Err(_) => value::number(word, 1, MOST_INSTANCES),
    }
}

/// Exit policy `main` needs exactly one main service.
fn exit_policy(sections: &[&Section], plan: &mut Plan, report: &mut Report) {
    let spots = || sections.iter().map(|section| &section.spot);
    let mut mains = plan.services.iter().zip(spots()).filter(|(service, _)| service.main);
    match (mains.next(), mains.next()) {
        (Some((first, _)), Some((_, second))) => {
            report.error(second, format!("a second main service; `{}` is one already", first.name));
        }
        (None, _) if plan.settings.exit_policy == Some(ExitPolicy::Main) => {
            match (plan.services.as_mut_slice(), spots().next()) {
                ([only], _) => only.main = true,
                (_, Some(spot)) => {
                    report.error(spot, "exit-policy is `main`, but no service is the main one");
                    let all = plan.services.iter().map(|service| service.name.as_str()).take(8);
                    report.hint(format!("say `main yes` in one of {}", nearest::list(all)));
                }
                (_, None) => {}
            }
        }
        _ => {}
    }
}
