//! `<eventlog>`: lar's own log, said as zdaemon says it (ZConfig's logger sections).
//!
//! Of its handlers only `<logfile>` works. The others are known, so that a zdaemon file is taken as it is, and
//! are warned about.

use super::diagnostic::Report;
use super::keys::{self, Kind};
use super::lines::{Entry, Section};
use super::runner;
use super::section::{self, Scope, Values};
use super::value::{self, Wrong};
use crate::plan::{EventLog, Level, LogFile};

/// zdaemon's format of a line. Its escapes stay: the logger knows them, in files too.
const FORMAT: &str = "------\\n%(asctime)s %(levelname)s %(name)s %(message)s";
/// zdaemon's format of a time.
const DATE_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

/// Handlers that zdaemon has and lar has not.
const FOREIGN: [&str; 4] = ["syslog", "http-logger", "email-notifier", "win32-eventlog"];

/// Keys of zdaemon's `<logfile>` that do nothing here.
const IGNORED: [&str; 9] = [
    "style",
    "arbitrary-fields",
    "formatter",
    "old-files",
    "max-size",
    "when",
    "interval",
    "encoding",
    "delay",
];

/// Reads an event log; in a zdaemon file lines look as zdaemon's do.
pub(super) fn read(
    section: &Section,
    zdaemons: bool,
    scope: &Scope,
    report: &mut Report,
) -> EventLog {
    let mut level = Level::Info;
    let mut inner = vec!["logfile"];
    inner.extend(FOREIGN);
    for entry in section::known(section, Kind::EventLog, &inner, report) {
        level = one(entry, self::level, scope, report).unwrap_or(level);
    }
    let mut files = Vec::new();
    for handler in &section.sections {
        match handler.kind.as_str() {
            "logfile" => files.extend(logfile(handler, level, zdaemons, scope, report)),
            kind if FOREIGN.contains(&kind) => {
                report.warn(&handler.spot, format!("`<{kind}>` does nothing: lar logs to files"));
            }
            _ => {}
        }
    }
    EventLog { level, files, zdaemons }
}

fn one<T>(
    entry: &Entry,
    parse: impl Fn(&str) -> Result<T, Wrong>,
    scope: &Scope,
    report: &mut Report,
) -> Option<T> {
    let text = runner::substituted(entry, scope, report)?;
    entry.good(parse(&text), report)
}

fn logfile(
    section: &Section,
    level: Level,
    zdaemons: bool,
    scope: &Scope,
    report: &mut Report,
) -> Option<LogFile> {
    let (ignored, rest): (Vec<&Entry>, Vec<&Entry>) = section
        .entries
        .iter()
        .partition(|entry| IGNORED.contains(&entry.key.to_lowercase().as_str()));
    for entry in ignored {
        report.warn(&entry.spot, format!("`{}` does nothing here", entry.key));
    }
    let mut entries: Vec<&Entry> = Vec::new();
    for entry in rest {
        if keys::find(Kind::LogFile, &entry.key).is_none() {
            report.error(&entry.spot, format!("`<logfile>` has no key `{}`", entry.key));
            report.near(&entry.key, keys::all(Kind::LogFile).map(|key| key.name));
        } else if entries.iter().any(|old| old.key.eq_ignore_ascii_case(&entry.key)) {
            report.error(&entry.spot, format!("`{}` stands here twice", entry.key));
        } else {
            entries.push(entry);
        }
    }
    for inner in &section.sections {
        super::unknown_section(inner, &[], report);
    }
    let v = Values { kind: Kind::LogFile, entries, scope: *scope, report };
    let Some(path) = v.entry("path") else {
        v.report.error(&section.spot, "`<logfile>` has no `path`");
        return None;
    };
    let format = v.entry("format").and_then(|entry| one(entry, value::text, scope, v.report));
    let date = v.entry("dateformat").and_then(|entry| one(entry, value::text, scope, v.report));
    let own = v.entry("level").and_then(|entry| one(entry, self::level, scope, v.report));
    Some(LogFile {
        path: one(path, value::text, scope, v.report)?,
        level: own.unwrap_or(level),
        format: format.or(zdaemons.then(|| FORMAT.to_string())),
        date_format: date.or(zdaemons.then(|| DATE_FORMAT.to_string())),
    })
}

/// Python's names and numbers, on our five steps.
fn level(text: &str) -> Result<Level, Wrong> {
    let number = match text.to_ascii_lowercase().as_str() {
        "critical" | "fatal" => 50,
        "error" => 40,
        "warn" | "warning" => 30,
        "info" => 20,
        "blather" => 15,
        "debug" => 10,
        "trace" => 5,
        "all" => 1,
        "notset" => 0,
        other => other.parse::<u8>().ok().filter(|number| *number <= 50).ok_or_else(|| {
            Wrong::new(format!("`{text}` is not a log level"))
                .hint("critical, error, warn, info, debug, trace, or a number from 0 to 50")
        })?,
    };
    Ok(match number {
        40.. => Level::Error,
        30..40 => Level::Warn,
        20..30 => Level::Info,
        10..20 => Level::Debug,
        _ => Level::Trace,
    })
}
