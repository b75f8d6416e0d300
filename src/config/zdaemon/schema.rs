//! Which sections and keys a zdaemon file may have, in the order in which ZConfig looks at them, and what their
//! values have to be.
//!
//! Facts of zdaemon 5.2.1 and ZConfig 4's logger components. Not here: what the values mean to lar; `runner` and
//! `eventlog` read them.

use super::super::runner::{self, Needs};
use super::super::value;
use super::super::world::World;
use crate::python;

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Boolean,
    Integer,
    Integers,
    Octal,
    Path(Needs),
    Level,
    Style,
    Size,
    DottedName,
    Facility,
    Address,
    Host,
    Url,
    Method,
}
use Type::*;

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) of: Type,
    pub(super) required: bool,
    /// Whether it may be repeated.
    pub(super) many: bool,
}

/// What sections may stand in a section of some kind.
#[derive(Debug)]
pub(super) struct Slot {
    /// What an error calls them.
    pub(super) name: &'static str,
    pub(super) kinds: &'static [&'static str],
    /// Whether there may be several.
    pub(super) many: bool,
}

/// A kind of section.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Looked at before the sections within.
    pub(super) first: &'static [Key],
    pub(super) slots: &'static [Slot],
    /// Looked at after them.
    pub(super) keys: &'static [Key],
}

impl Kind {
    /// All keys, in ZConfig's order.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static Key> {
        self.first.iter().chain(self.keys)
    }

    /// Whether every key is taken and keeps its case.
    pub(super) fn open(&self) -> bool {
        self.name == ENVIRONMENT
    }
}

const ENVIRONMENT: &str = "environment";

/// Kinds that only stand for others.
pub(super) const ABSTRACT: [&str; 2] = ["zconfig.logger.handler", "zconfig.logger.log"];

const HANDLERS: Slot = Slot {
    name: "zconfig.logger.handler",
    kinds: &["logfile", "syslog", "win32-eventlog", "http-logger", "email-notifier"],
    many: true,
};

const fn key(name: &'static str, of: Type) -> Key {
    Key { name, of, required: false, many: false }
}

const fn must(name: &'static str) -> Key {
    Key { name, of: Text, required: true, many: false }
}

const fn slot(name: &'static str, kinds: &'static [&'static str]) -> Slot {
    Slot { name, kinds, many: false }
}

const fn kind(
    name: &'static str,
    first: &'static [Key],
    slots: &'static [Slot],
    keys: &'static [Key],
) -> Kind {
    Kind { name, first, slots, keys }
}

const LOGGER: &[Key] = &[key("level", Level)];

const HANDLER: &[Key] = &[
    key("formatter", DottedName),
    key("dateformat", Text),
    key("level", Level),
    key("style", Style),
    key("arbitrary-fields", Boolean),
];

/// The file itself.
pub(super) const FILE: Kind = kind(
    "",
    &[],
    &[
        slot("runner", &["runner"]),
        slot(ENVIRONMENT, &[ENVIRONMENT]),
        slot("eventlog", &["eventlog"]),
    ],
    &[],
);

/// Every kind of section.
pub(super) const KINDS: [Kind; 11] = [
    kind("runner", &[], &[slot("zconfig.logger.log", &["eventlog", "logger"])], RUNNER),
    kind(ENVIRONMENT, &[], &[], &[]),
    kind("eventlog", LOGGER, &[HANDLERS], &[]),
    kind("logger", LOGGER, &[HANDLERS], &[key("propagate", Boolean), key("name", DottedName)]),
    kind("logfile", HANDLER, &[], LOGFILE),
    kind(
        "syslog",
        HANDLER,
        &[],
        &[key("facility", Facility), key("address", Address), key("format", Text)],
    ),
    kind("win32-eventlog", HANDLER, &[], &[key("appname", Text), key("format", Text)]),
    kind(
        "http-logger",
        HANDLER,
        &[],
        &[key("url", Url), key("method", Method), key("format", Text)],
    ),
    kind("email-notifier", HANDLER, &[], EMAIL),
    kind("zconfig.logger.base-logger", LOGGER, &[HANDLERS], &[]),
    kind("zconfig.logger.base-log-handler", HANDLER, &[], &[]),
];

const RUNNER: &[Key] = &[
    must("program"),
    key("python", Path(Needs::Path)),
    key("zdrun", Path(Needs::Path)),
    key("socket-name", Path(Needs::Grandparent)),
    key("daemon", Boolean),
    key("directory", Path(Needs::Directory)),
    key("backoff-limit", Integer),
    key("forever", Boolean),
    key("exit-codes", Integers),
    key("start-test-program", Text),
    key("start-timeout", Integer),
    key("stop-timeout", Integer),
    key("user", Text),
    key("umask", Octal),
    key("hang-around", Boolean),
    key("default-to-interactive", Boolean),
    key("logfile", Path(Needs::Parent)),
    key("transcript", Path(Needs::Parent)),
    key("prompt", Text),
];

const LOGFILE: &[Key] = &[
    must("path"),
    key("old-files", Integer),
    key("max-size", Size),
    key("when", Text),
    key("interval", Integer),
    key("format", Text),
    key("encoding", Text),
    key("delay", Boolean),
];

const EMAIL: &[Key] = &[
    must("from"),
    Key { many: true, ..must("to") },
    key("subject", Text),
    key("smtp-server", Host),
    key("smtp-username", Text),
    key("smtp-password", Text),
    key("format", Text),
];

const FACILITIES: &str = "auth, authpriv, cron, daemon, kern, local0, local1, local2, local3, \
     local4, local5, local6, local7, lpr, mail, news, security, syslog, user, uucp";

const LEVELS: [&str; 11] = [
    "critical", "fatal", "error", "warn", "warning", "info", "blather", "debug", "trace", "all",
    "notset",
];

impl Type {
    /// Whether `text` is such a value; else what ZConfig says.
    pub(super) fn check(self, text: &str, world: &dyn World) -> Result<(), String> {
        let repr = || python::repr(text);
        let lower = text.to_lowercase();
        match self {
            Text => Ok(()),
            Boolean => value::boolean(text)
                .map(drop)
                .map_err(|_| format!("not a valid boolean value: {}", repr())),
            Integer => python::int(text, 10).map(drop),
            Integers if text.is_empty() => Ok(()),
            Integers => text.split(',').try_for_each(|piece| python::int(piece, 10).map(drop)),
            Octal => python::int(text, 8).map(drop),
            Path(needs) => match runner::existing(text, needs, world) {
                Some(_) => Ok(()),
                None => Err(needs.missing(text)),
            },
            Level if LEVELS.contains(&lower.as_str()) => Ok(()),
            Level => match python::int(&lower, 10)? {
                0..=50 => Ok(()),
                number => Err(format!("log level not in range: {number}")),
            },
            Style => match lower.as_str() {
                "classic" | "format" | "template" | "safe-template" => Ok(()),
                _ => Err(format!(
                    "log_format_style must be one of 'classic', 'format', 'safe-template', \
                     'template'; found {}",
                    repr()
                )),
            },
            Size => {
                let number = ["kb", "mb", "gb"].iter().find_map(|unit| lower.strip_suffix(unit));
                python::int(number.unwrap_or(&lower), 10).map(drop)
            }
            DottedName => match text.split('.').all(is_name) {
                true => Ok(()),
                false => Err(format!("not a valid dotted name: {}", repr())),
            },
            Facility => match FACILITIES.split(", ").any(|known| known == lower) {
                true => Ok(()),
                false => Err(format!("Syslog facility must be one of {FACILITIES}")),
            },
            Address if text.contains('/') => Ok(()),
            Address | Host => host(text),
            Url => url(text),
            Method => match lower.as_str() {
                "get" | "post" => Ok(()),
                _ => {
                    let given = python::repr(&text.to_uppercase());
                    Err(format!("method must be \"GET\" or \"POST\", instead received: {given}"))
                }
            },
        }
    }
}

fn is_name(text: &str) -> bool {
    let within = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(within) && text.starts_with(|c: char| !c.is_ascii_digit())
}

/// `HOST`, `PORT`, `HOST:PORT` or `[IPv6]:PORT`.
fn host(text: &str) -> Result<(), String> {
    let port = |text: &str| match python::int(text, 10)? {
        number @ ..0 => Err(format!("{number} is below lower bound (0)")),
        number @ 65_536.. => Err(format!("{number} is above upper bound (65535)")),
        _ => Ok(()),
    };
    match text.rsplit_once(':') {
        Some((host, _))
            if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) =>
        {
            Ok(())
        }
        Some((_, "")) => Ok(()),
        Some((_, number)) => port(number),
        None if port(text).is_err() && text.split_whitespace().count() != 1 => {
            Err(format!("not a valid host name: {}", python::repr(text)))
        }
        None => Ok(()),
    }
}

fn url(text: &str) -> Result<(), String> {
    let rest = text.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
    let Some((_, rest)) = rest else { return Err("url must be an http url".into()) };
    let place = rest.strip_prefix("//").unwrap_or_default();
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (location, path) = place.split_at(end);
    match location.is_empty() {
        true => Err("url must specify a location".into()),
        false if !path.starts_with('/') => Err("url must specify a path".into()),
        false => Ok(()),
    }
}
