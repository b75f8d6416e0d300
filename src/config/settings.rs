//! `<lar>`: the manager itself.

use super::diagnostic::Report;
use super::identity;
use super::keys::Kind;
use super::lines::Section;
use super::section::{self, Cursor, Scope, Values};
use super::value::{self, Wrong};
use super::world::World;
use crate::plan::{Access, Allow, ExitPolicy, Settings, Who};

/// The exit policies by their names.
pub(super) const POLICIES: [(&str, ExitPolicy); 4] = [
    ("main", ExitPolicy::Main),
    ("critical", ExitPolicy::Critical),
    ("all", ExitPolicy::All),
    ("never", ExitPolicy::Never),
];

/// Reads `<lar>`.
pub(super) fn read(section: &Section, scope: &Scope, report: &mut Report) -> Settings {
    let entries = section::known(section, Kind::Lar, &[], report);
    let mut v = Values { kind: Kind::Lar, entries, scope: *scope, report };
    let mut settings = Settings::default();
    let world = scope.world;
    for entry in v.all("allow") {
        let mut one =
            Values { kind: Kind::Lar, entries: vec![entry], scope: *scope, report: v.report };
        settings
            .allow
            .extend(one.read("allow", |cursor| self::allow(cursor, world)).unwrap_or_default());
    }
    settings.socket = v.word("socket-name", socket);
    v.set(&mut settings.socket_mode, "socket-mode", value::octal);
    settings.exit_policy = v.word("exit-policy", |word| value::choice(word, &POLICIES));
    settings.shutdown_timeout = v.word("shutdown-timeout", value::time);
    settings.pid_file = v.text("pid-file");
    v.set(&mut settings.daemon, "daemon", value::boolean);
    v.set(&mut settings.spawn_rate, "spawn-rate", rate);
    settings
}

/// A socket's address holds 107 bytes and a zero.
fn socket(word: &str) -> Result<String, Wrong> {
    match value::text(word)? {
        path if path == "@" => Err(Wrong::new("the abstract socket has no name")),
        path if path.len() > 107 => Err(Wrong::new(format!(
            "a socket's path has 107 bytes at most, this has {}",
            path.len()
        ))),
        path => Ok(path),
    }
}

/// `view|operate|admin user|group NAME…`.
fn allow(cursor: &mut Cursor, world: &dyn World) -> Result<Vec<Allow>, Wrong> {
    let levels = [("view", Access::View), ("operate", Access::Operate), ("admin", Access::Admin)];
    let level = cursor.read("how far", |word| value::choice(word, &levels))?;
    let whose = [("user", true), ("uid", true), ("group", false), ("gid", false)];
    let user = cursor.read("user or group", |word| value::choice(word, &whose))?;
    let mut allow = Vec::new();
    while let Some(word) = cursor.take() {
        let who = match user {
            true => Who::User(identity::lookup(&word, world)?.uid),
            false => Who::Group(identity::group(&word, world)?),
        };
        allow.push(Allow { level, who });
    }
    match allow.is_empty() {
        true => Err(Wrong::new("the names are missing")),
        false => Ok(allow),
    }
}

/// `N`, `N/s` or `none`.
fn rate(word: &str) -> Result<Option<u32>, Wrong> {
    if word.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let number = word.strip_suffix("/s").unwrap_or(word);
    value::number(number, 1, 1_000_000).map(Some)
}
