//! `<runner>`: a zdaemon file's only program, read as zdaemon reads it. It becomes a service called `main`.
//!
//! Not as in `<service>`: `$name` is substituted in the whole value, then blanks part words and quotes mean
//! nothing; times are bare seconds; a path may start with `~`.

use super::diagnostic::Report;
use super::keys::Kind;
use super::lines::{Entry, Section};
use super::section::{self, Scope, Values};
use super::value::{self, Wrong};
use super::world::Directory;
use super::{environment, identity, presets, program, substitute};
use crate::plan::{
    ExitPolicy, Identity, Inherit, Ladder, Plan, Probe, Process, Runner, Service, Setup, Target,
};
use crate::signal::Signal;
use crate::time::Duration;

/// zdaemon asks its start test for as long as the test likes to think; a day is that.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Reads the file's one program into `plan`.
pub(super) fn read(
    runner: &Section,
    environment: Option<&Section>,
    scope: &Scope,
    plan: &mut Plan,
    report: &mut Report,
) {
    let mut z = Zdaemon::new(runner, scope, report);
    let (said, variables) = (z.said(), z.environment(environment));
    let identity = z.identity();
    z.check_programs(&said, &variables, runner);
    let file = std::mem::take(plan);
    *plan = self::plan(said, variables, identity);
    plan.event_log = file.event_log;
}

/// What the sections say, without a look at whether the program and the user are there.
pub(super) fn options(
    runner: &Section,
    environment: Option<&Section>,
    scope: &Scope,
    report: &mut Report,
) -> (Runner, environment::Variables) {
    let mut z = Zdaemon::new(runner, scope, report);
    (z.said(), z.environment(environment))
}

/// The plan of zdaemon's one program. What `said` names has been checked.
pub fn plan(said: Runner, environment: Vec<(String, String)>, identity: Option<Identity>) -> Plan {
    let mut plan = Plan::default();
    let settings = &mut plan.settings;
    settings.socket = Some(said.socket_name().to_string());
    settings.daemon = said.daemon();
    settings.directory = said.directory.clone();
    settings.exit_policy = Some(ExitPolicy::Main);
    plan.services.push(service(&said, environment, identity));
    plan.settings.runner = Some(Box::new(said));
    plan
}

fn service(
    said: &Runner,
    environment: Vec<(String, String)>,
    identity: Option<Identity>,
) -> Service {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let mut rules = presets::governor(seconds(said.backoff_limit()), said.forever());
    // A program can only exit with 0 to 255; other numbers are never met.
    rules.exit_codes =
        said.exit_codes().iter().filter_map(|&code| u8::try_from(code).ok()).collect();
    let stop = said.stop_timeout.map_or(Duration::MAX, seconds);
    let process = Process {
        argv: said.program.clone().unwrap_or_default(),
        environment,
        transcript: match said.transcript.as_deref() {
            None => Target::Default,
            Some("/dev/null") => Target::None,
            Some(path) => Target::File(path.to_string()),
        },
        ready: said.start_test_program.clone().map(Probe::Command),
        ..Process::default()
    };
    Service {
        name: "main".into(),
        setup: Setup { identity, umask: Some(said.umask()), ..Setup::default() },
        ready_interval: Duration::from_secs(1),
        probe_timeout: PATIENCE,
        stop: Ladder { kill: said.stop_timeout.is_some(), ..Ladder::simple(Signal::TERM, stop) },
        rules,
        main: true,
        processes: vec![process],
        ..Service::default()
    }
}

/// What must be there for a path to be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The directory that it is in.
    Parent,
    /// The directory that this is in: zdaemon makes one level itself.
    Grandparent,
}

/// The keys of a `<runner>`, read by zdaemon's rules.
struct Zdaemon<'a, 'r>(Values<'a, 'r>);

impl<'a, 'r> Zdaemon<'a, 'r> {
    fn new(runner: &'a Section, scope: &Scope<'a>, report: &'r mut Report) -> Zdaemon<'a, 'r> {
        let entries = section::known(runner, Kind::Runner, &["eventlog"], report);
        Zdaemon(Values { kind: Kind::Runner, entries, scope: *scope, report })
    }

    /// The value of a key with everything put in.
    fn text(&mut self, key: &str) -> Option<(&'a Entry, String)> {
        let entry = self.0.entry(key)?;
        let value = substituted(entry, &self.0.scope, self.0.report)?;
        Some((entry, value))
    }

    fn parse<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let (entry, value) = self.text(key)?;
        entry.good(parse(&value), self.0.report)
    }

    fn number(&mut self, key: &str) -> Option<u32> {
        self.parse(key, |text| value::number(text, 0, u32::MAX))
    }

    /// A program's words; a line without any is reported.
    fn words(&mut self, key: &str) -> Option<Vec<String>> {
        let (entry, value) = self.text(key)?;
        let words: Vec<String> = value.split_whitespace().map(str::to_string).collect();
        if words.is_empty() {
            self.0.report.error(&entry.at(0), format!("`{key}` is empty"));
        }
        Some(words)
    }

    fn path(&mut self, key: &str, needs: Needs) -> Option<String> {
        let (entry, value) = self.text(key)?;
        if value.is_empty() {
            self.0.report.error(&entry.at(0), format!("`{key}` is empty"));
            return None;
        }
        let world = self.0.scope.world;
        let path = self.home(&value);
        let there = |path: &str| path.is_empty() || world.directory(path) != Directory::Missing;
        let parent = parent(&path);
        let fine = match needs {
            Needs::Parent => there(parent) || (key == "directory" && there(&path)),
            Needs::Grandparent => there(parent) || there(self::parent(parent)),
        };
        if !fine {
            self.0.report.error(&entry.at(0), format!("there is no directory `{parent}`"));
        }
        Some(path)
    }

    /// `~` and `~user` as a shell has them; left alone if there is no such home.
    fn home(&self, path: &str) -> String {
        let Some(rest) = path.strip_prefix('~') else { return path.to_string() };
        let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let world = self.0.scope.world;
        let home = match name {
            "" => world.variable("HOME"),
            name => world.user(name).and_then(|user| user.account).map(|account| account.home),
        };
        home.map_or_else(|| path.to_string(), |home| format!("{home}{rest}"))
    }

    /// zdaemon's: the primary group, and the groups that name the user.
    fn identity(&mut self) -> Option<Identity> {
        let world = self.0.scope.world;
        let user = self.parse("user", |word| identity::lookup(word, world))?;
        match (world.confined_to(), user.gid) {
            (Some((own, _)), _) if own == user.uid => None,
            (Some(_), _) => {
                self.0.wrong("user", "only root can run a program as somebody else");
                None
            }
            (None, None) => {
                self.0.wrong("user", format!("user {} is not in /etc/passwd", user.uid));
                None
            }
            (None, Some(gid)) => {
                let name = user.account.as_ref().map(|account| account.name.as_str());
                let groups = name.map_or(Vec::new(), |name| world.groups_of(name));
                Some(Identity { uid: Some(user.uid), gid, groups, account: user.account })
            }
        }
    }

    fn environment(&mut self, section: Option<&Section>) -> environment::Variables {
        let mut variables = environment::Variables::new();
        let Some(section) = section else { return variables };
        for entry in environment::lines(section, self.0.report) {
            if let Some(value) = substituted(entry, &self.0.scope, self.0.report) {
                environment::set(&mut variables, &entry.key, value);
            }
        }
        variables
    }

    /// Everything that the section says, as zdaemon's options.
    fn said(&mut self) -> Runner {
        Runner {
            program: self.words("program"),
            backoff_limit: self.number("backoff-limit"),
            daemon: self.parse("daemon", value::boolean),
            forever: self.parse("forever", value::boolean),
            socket_name: self.path("socket-name", Needs::Grandparent),
            exit_codes: self.parse("exit-codes", exit_codes),
            user: self.text("user").map(|(_, text)| text),
            umask: self.parse("umask", value::octal),
            directory: self.path("directory", Needs::Parent),
            logfile: self.path("logfile", Needs::Parent),
            transcript: self.path("transcript", Needs::Parent),
            start_timeout: self.number("start-timeout"),
            stop_timeout: Some(self.number("stop-timeout").unwrap_or(Runner::TIMEOUT)),
            start_test_program: self.words("start-test-program"),
            prompt: self.text("prompt").map(|(_, text)| text),
            default_to_interactive: self.parse("default-to-interactive", value::boolean),
            hang_around: self.parse("hang-around", value::boolean),
            python: self.text("python").map(|(_, text)| text),
            zdrun: self.text("zdrun").map(|(_, text)| text),
        }
    }

    /// Whether the programs can be executed.
    fn check_programs(
        &mut self,
        said: &Runner,
        environment: &[(String, String)],
        runner: &Section,
    ) {
        let process = Process { environment: environment.to_vec(), ..Process::default() };
        match said.program.as_ref().and_then(|words| words.first()) {
            Some(word) => program::check(&mut self.0, "program", word, &process, &Inherit::All),
            None if !self.0.has("program") => {
                self.0.report.error(&runner.spot, "`<runner>` has no `program`");
                self.0.report.hint("as in: program sleep 100");
            }
            None => {}
        }
        if let Some(word) = said.start_test_program.as_ref().and_then(|words| words.first()) {
            program::check(&mut self.0, "start-test-program", word, &process, &Inherit::All);
        }
    }
}

/// A line's value by ZConfig's rules.
pub(super) fn substituted(entry: &Entry, scope: &Scope, report: &mut Report) -> Option<String> {
    entry.good(substitute::dollar(&entry.value, scope, entry.defines), report)
}

/// Numbers between commas; may be empty.
fn exit_codes(text: &str) -> Result<Vec<i32>, Wrong> {
    let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    pieces.map(|piece| value::number(piece, i32::MIN, i32::MAX)).collect()
}

/// The directory part of a path; empty for one without a slash.
fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None if path.starts_with('/') => "/",
        None => "",
    }
}
