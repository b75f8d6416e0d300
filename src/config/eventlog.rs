//! `<eventlog>`: lar's own log, said as zdaemon says it (ZConfig's logger sections).
//!
//! Of its handlers `<logfile>` and `<syslog>` work. The others are known, so that a zdaemon file is taken as it is,
//! and are warned about; so are the keys that do nothing here.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::diagnostic::Report;
use super::keys::{self, Kind};
use super::lines::{Entry, Section};
use super::runner;
use super::section::{self, Scope, Values};
use super::value::{self, Wrong};
use crate::plan::{EventLog, Level, LogFile, Rotate, Syslog, SyslogAddress};
use crate::python;

/// zdaemon's format of a line. Its escapes stay: the logger knows them, in files too.
const FORMAT: &str = "------\\n%(asctime)s %(levelname)s %(name)s %(message)s";
/// The same of a datagram.
const SYSLOG_FORMAT: &str = "%(name)s %(message)s";
/// zdaemon's format of a time.
const DATE_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";

/// Handlers that zdaemon has and lar has not, and what lar does in their place.
const FOREIGN: [(&str, &str); 3] = [
    ("http-logger", "lar speaks no HTTP; its lines go to the other handlers only"),
    ("email-notifier", "lar sends no mail; its lines go to the other handlers only"),
    ("win32-eventlog", "there is none here; lines go to the other handlers only"),
];

/// Keys of zdaemon's handlers that do nothing here, unless their value means what lar does anyway; and what lar does.
const IGNORED: [(&str, &[&str], &str); 5] = [
    ("arbitrary-fields", &["yes", "no", "true", "false", "on", "off"], ""),
    ("formatter", &["logging.Formatter"], "lines look as `format` says"),
    ("encoding", &["utf-8", "utf8"], "lines are UTF-8"),
    ("when", &[""], "lar puts a log aside by its size (`max-size`), not by the clock"),
    ("interval", &["0"], "lar puts a log aside by its size (`max-size`), not by the clock"),
];

/// What syslog(3) calls its facilities; `security` is an old word for `auth`.
const FACILITIES: [(&str, u8); 21] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("security", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Where a syslog listens if nothing is said.
const SYSLOG: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 514);

/// Reads an event log; in a zdaemon file lines look as zdaemon's do.
pub(super) fn read(
    section: &Section,
    zdaemons: bool,
    scope: &Scope,
    report: &mut Report,
) -> EventLog {
    let mut level = Level::Info;
    let mut inner = vec!["logfile", "syslog"];
    inner.extend(FOREIGN.map(|(kind, _)| kind));
    for entry in section::known(section, Kind::EventLog, &inner, report) {
        level = one(entry, self::level, scope, report).unwrap_or(level);
    }
    let mut log = EventLog { level, zdaemons, ..EventLog::default() };
    for handler in &section.sections {
        match handler.kind.as_str() {
            "logfile" => log.files.extend(logfile(handler, level, zdaemons, scope, report)),
            "syslog" => log.syslogs.extend(syslog(handler, level, scope, report)),
            kind => {
                if let Some((_, instead)) = FOREIGN.iter().find(|(known, _)| *known == kind) {
                    report.warn(&handler.spot, format!("`<{kind}>` does nothing: {instead}"));
                }
            }
        }
    }
    log
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

/// The lines of a handler whose keys do something. What does nothing is warned about.
fn handler<'a>(
    section: &'a Section,
    kind: Kind,
    scope: &Scope,
    report: &mut Report,
) -> Vec<&'a Entry> {
    let mut entries: Vec<&Entry> = Vec::new();
    for entry in &section.entries {
        let key = entry.key.to_lowercase();
        if let Some((_, fine, instead)) = IGNORED.iter().find(|(known, ..)| *known == key) {
            let value = runner::substituted(entry, scope, report).unwrap_or_default();
            if !fine.iter().any(|fine| fine.eq_ignore_ascii_case(&value)) {
                report.warn(&entry.spot, format!("`{}` does nothing here: {instead}", entry.key));
            }
        } else if keys::find(kind, &key).is_none() {
            let name = &section.kind;
            report.error(&entry.spot, format!("`<{name}>` has no key `{}`", entry.key));
            report.near(&entry.key, keys::all(kind).map(|key| key.name));
        } else if entries.iter().any(|old| old.key.eq_ignore_ascii_case(&entry.key)) {
            report.error(&entry.spot, format!("`{}` stands here twice", entry.key));
        } else {
            entries.push(entry);
        }
    }
    for inner in &section.sections {
        super::unknown_section(inner, &[], report);
    }
    entries
}

/// The value of a key of a handler.
fn get<T>(values: &mut Values, key: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
    let entry = values.entry(key)?;
    one(entry, parse, &values.scope, values.report)
}

fn logfile(
    section: &Section,
    level: Level,
    zdaemons: bool,
    scope: &Scope,
    report: &mut Report,
) -> Option<LogFile> {
    let entries = handler(section, Kind::LogFile, scope, report);
    let mut v = Values { kind: Kind::LogFile, entries, scope: *scope, report };
    if !v.has("path") {
        v.report.error(&section.spot, "`<logfile>` has no `path`");
        return None;
    }
    let format = format(&mut v);
    let date = get(&mut v, "dateformat", value::text);
    let size = get(&mut v, "max-size", size).filter(|size| *size > 0);
    let keep = get(&mut v, "old-files", count);
    if size.is_none() && keep.is_some_and(|keep| keep > 0) && !zdaemons {
        v.report.warn(&section.spot, "`old-files` does nothing without `max-size`");
    }
    Some(LogFile {
        level: get(&mut v, "level", self::level).unwrap_or(level),
        format: format.or(zdaemons.then(|| FORMAT.to_string())),
        date_format: date.or(zdaemons.then(|| DATE_FORMAT.to_string())),
        rotate: size.map(|size| Rotate { size, keep: keep.unwrap_or(1) }),
        delay: get(&mut v, "delay", value::boolean).unwrap_or(false),
        path: get(&mut v, "path", value::text)?,
    })
}

fn syslog(section: &Section, level: Level, scope: &Scope, report: &mut Report) -> Option<Syslog> {
    let entries = handler(section, Kind::Syslog, scope, report);
    let mut v = Values { kind: Kind::Syslog, entries, scope: *scope, report };
    let address = match v.entry("address") {
        None => Some(SyslogAddress::Udp(SYSLOG)),
        Some(entry) => {
            let address = get(&mut v, "address", self::address);
            if let Some(None) = address {
                let text = &entry.value;
                let message = format!("nothing is sent to `{text}`: lar looks up no host names");
                v.report.warn(&entry.spot, message);
                v.report.hint("say the host's number, or the path of a socket, as in /dev/log");
            }
            address.flatten()
        }
    };
    let facility = get(&mut v, "facility", |text| value::choice(&text.to_lowercase(), &FACILITIES));
    Some(Syslog {
        level: get(&mut v, "level", self::level).unwrap_or(level),
        format: format(&mut v).unwrap_or_else(|| SYSLOG_FORMAT.to_string()),
        date_format: Some(
            get(&mut v, "dateformat", value::text).unwrap_or_else(|| DATE_FORMAT.to_string()),
        ),
        facility: facility.unwrap_or(1),
        address: address?,
    })
}

/// `format` in Python's oldest style, whatever `style` it is written in.
fn format(values: &mut Values) -> Option<String> {
    let style = get(values, "style", |text| Ok(text.to_lowercase()));
    let text = get(values, "format", value::text)?;
    Some(match style.as_deref() {
        Some("format") => translate(&text, |rest| {
            let (field, after) = rest.strip_prefix('{')?.split_once('}')?;
            let name = field.split([':', '!']).next().unwrap_or(field);
            Some((name.to_owned(), after))
        }),
        Some("template" | "safe-template") => translate(&text, |rest| {
            let rest = rest.strip_prefix('$')?;
            if let Some(rest) = rest.strip_prefix('{') {
                return rest.split_once('}').map(|(name, after)| (name.to_owned(), after));
            }
            let within = |char: char| char.is_ascii_alphanumeric() || char == '_';
            let end = rest.find(|char| !within(char)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            Some((name.to_owned(), after)).filter(|_| !name.is_empty())
        }),
        _ => text,
    })
}

/// Every field that `field` finds as `%(name)s`. Doubled signs stand for one.
fn translate(text: &str, field: impl Fn(&str) -> Option<(String, &str)>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let tail = &rest[char.len_utf8()..];
        let doubled = matches!(char, '{' | '}' | '$') && tail.starts_with(char);
        if let Some((name, after)) = field(rest).filter(|_| !doubled) {
            out += &format!("%({name})s");
            rest = after;
            continue;
        }
        match char {
            '%' => out.push_str("%%"),
            _ => out.push(char),
        }
        rest = if doubled { &tail[char.len_utf8()..] } else { tail };
    }
    out
}

/// Bytes: as everywhere in lar's files, or as Python's `int` reads a number before ZConfig's units.
fn size(text: &str) -> Result<u64, Wrong> {
    let lower = text.to_ascii_lowercase();
    let units = [("kb", 10), ("mb", 20), ("gb", 30), ("", 0)];
    let unit = units.iter().find_map(|(unit, shift)| Some((lower.strip_suffix(unit)?, shift)));
    let number = unit.and_then(|(number, shift)| Some((python::int(number, 10).ok()?, shift)));
    match number {
        Some((number, shift)) => {
            Ok(u64::try_from(number.max(0)).unwrap_or(0).saturating_mul(1 << shift))
        }
        None => value::size(text),
    }
}

fn count(text: &str) -> Result<u32, Wrong> {
    let number =
        python::int(text, 10).map_err(|_| Wrong::new(format!("`{text}` is not a number")))?;
    // The names are made at load.
    Ok(u32::try_from(number.clamp(0, 1000)).unwrap_or(0))
}

/// A path, or `HOST:PORT`, `HOST`, `PORT`; `None` for a host that only a name service knows.
fn address(text: &str) -> Result<Option<SyslogAddress>, Wrong> {
    if text.contains('/') {
        return Ok(Some(SyslogAddress::Path(text.to_owned())));
    }
    if let Ok(address) = text.parse() {
        return Ok(Some(SyslogAddress::Udp(address)));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, ""),
        Some((host, port)) => (host, port),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("", text),
        None => (text, ""),
    };
    let port = match port {
        "" => SYSLOG.port(),
        port => port.parse().map_err(|_| Wrong::new(format!("`{port}` is not a port")))?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let ip: Option<IpAddr> = match host.to_ascii_lowercase().as_str() {
        "" | "localhost" => Some(SYSLOG.ip()),
        host => host.parse().ok(),
    };
    Ok(ip.map(|ip| SyslogAddress::Udp(SocketAddr::new(ip, port))))
}

/// Python's names and numbers, on our five steps: what is not below it is shown.
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
        other => {
            python::int(other, 10).ok().filter(|it| (0..=50).contains(it)).ok_or_else(|| {
                Wrong::new(format!("`{text}` is not a log level"))
                    .hint("critical, error, warn, info, debug, trace, or a number from 0 to 50")
            })?
        }
    };
    Ok(match number {
        31.. => Level::Error,
        21..31 => Level::Warn,
        11..21 => Level::Info,
        6..11 => Level::Debug,
        _ => Level::Trace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_of_format_is_understood() {
        let brace = |text: &str| {
            translate(text, |rest| {
                let (field, after) = rest.strip_prefix('{')?.split_once('}')?;
                Some((field.to_owned(), after))
            })
        };
        assert_eq!(brace("{{{message}}} 5%"), "{%(message)s} 5%%");
        assert_eq!(brace("{levelname} {"), "%(levelname)s {");
    }

    #[test]
    fn addresses_are_paths_or_numbers() {
        let udp = |text: &str| Some(SyslogAddress::Udp(text.parse().unwrap()));
        for (text, known) in [
            ("/dev/log", Some(SyslogAddress::Path("/dev/log".into()))),
            ("localhost:514", udp("127.0.0.1:514")),
            ("LOCALHOST", udp("127.0.0.1:514")),
            ("5140", udp("127.0.0.1:5140")),
            (":5140", udp("127.0.0.1:5140")),
            ("10.0.0.1", udp("10.0.0.1:514")),
            ("10.0.0.1:1", udp("10.0.0.1:1")),
            ("::1", udp("[::1]:514")),
            ("[::1]:1", udp("[::1]:1")),
            ("loghost:514", None),
        ] {
            assert_eq!(address(text).ok(), Some(known), "{text}");
        }
        assert!(address("localhost:x").is_err());
    }

    #[test]
    fn a_level_shows_what_is_not_below_it() {
        for (text, known) in [
            ("50", Level::Error),
            ("31", Level::Error),
            ("30", Level::Warn),
            ("21", Level::Warn),
            ("20", Level::Info),
            ("blather", Level::Info),
            ("10", Level::Debug),
            ("trace", Level::Trace),
            ("0", Level::Trace),
        ] {
            assert_eq!(level(text).ok(), Some(known), "{text}");
        }
    }

    #[test]
    fn sizes_are_zconfigs_and_lars() {
        for (text, known) in [("10", 10), ("2kb", 2048), ("1_0 MB", 10 << 20), ("1G", 1 << 30)] {
            assert_eq!(size(text).ok(), Some(known), "{text}");
        }
        assert!(size("1 lot").is_err());
    }
}
