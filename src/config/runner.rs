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
    ExitPolicy, Identity, Inherit, Ladder, Plan, Probe, Process, Service, Setup, Target,
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
    let entries = section::known(runner, Kind::Runner, &["eventlog"], report);
    let mut z = Zdaemon(Values { kind: Kind::Runner, entries, scope: *scope, report });
    let settings = &mut plan.settings;
    let socket = z.path("socket-name", Needs::Grandparent);
    settings.socket = Some(socket.unwrap_or_else(|| "zdsock".into()));
    settings.daemon = z.parse("daemon", value::boolean).unwrap_or(true);
    settings.directory = z.path("directory", Needs::Parent);
    settings.exit_policy = Some(ExitPolicy::Main);
    z.ignored();
    plan.services.push(service(&mut z, environment, runner));
}

fn service(z: &mut Zdaemon, environment: Option<&Section>, runner: &Section) -> Service {
    let limit = z.seconds("backoff-limit").unwrap_or(Duration::from_secs(10));
    let forever = z.parse("forever", value::boolean).unwrap_or(false);
    let mut rules = presets::governor(limit, forever);
    if let Some(codes) = z.parse("exit-codes", exit_codes) {
        rules.exit_codes = codes;
    }
    let umask = z.parse("umask", value::octal).unwrap_or(0o022);
    let identity = z.identity();
    let stop = z.seconds("stop-timeout").unwrap_or(Duration::from_secs(300));
    let mut process = Process {
        argv: z.words("program"),
        environment: z.environment(environment),
        transcript: match z.path("transcript", Needs::Parent) {
            None => Target::Default,
            Some(path) if path == "/dev/null" => Target::None,
            Some(path) => Target::File(path),
        },
        ..Process::default()
    };
    match process.argv.first() {
        Some(word) => program::check(&mut z.0, "program", word, &process, &Inherit::All),
        None if !z.0.has("program") => {
            z.0.report.error(&runner.spot, "`<runner>` has no `program`");
            z.0.report.hint("as in: program sleep 100");
        }
        None => {}
    }
    let test = z.words("start-test-program");
    if let Some(word) = test.first() {
        program::check(&mut z.0, "start-test-program", word, &process, &Inherit::All);
        process.ready = Some(Probe::Command(test));
    }
    Service {
        name: "main".into(),
        setup: Setup { identity, umask: Some(umask), ..Setup::default() },
        ready_interval: Duration::from_secs(1),
        probe_timeout: PATIENCE,
        stop: Ladder::simple(Signal::TERM, stop),
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

impl<'a> Zdaemon<'a, '_> {
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

    fn seconds(&mut self, key: &str) -> Option<Duration> {
        let seconds = self.parse(key, |text| value::number(text, 0, u32::MAX))?;
        Some(Duration::from_secs(u64::from(seconds)))
    }

    /// A program's words; a line without any is reported.
    fn words(&mut self, key: &str) -> Vec<String> {
        let Some((entry, value)) = self.text(key) else { return Vec::new() };
        let words: Vec<String> = value.split_whitespace().map(str::to_string).collect();
        if words.is_empty() {
            self.0.report.error(&entry.at(0), format!("`{key}` is empty"));
        }
        words
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

    /// What means nothing to a manager is still checked, as zdaemon does.
    fn ignored(&mut self) {
        self.parse("default-to-interactive", value::boolean);
        self.parse("hang-around", value::boolean);
        self.seconds("start-timeout");
        self.path("logfile", Needs::Parent);
        for key in ["prompt", "python", "zdrun"] {
            self.text(key);
        }
    }
}

/// A line's value by ZConfig's rules.
pub(super) fn substituted(entry: &Entry, scope: &Scope, report: &mut Report) -> Option<String> {
    entry.good(substitute::dollar(&entry.value, scope, entry.defines), report)
}

/// Numbers between commas; may be empty.
fn exit_codes(text: &str) -> Result<Vec<u8>, Wrong> {
    let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    pieces.map(|piece| value::number(piece, 0, 255)).collect()
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
