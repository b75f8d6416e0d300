//! What a line of the event log looks like: lar's own form, or a format string of zdaemon's.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, Record};

use crate::transcript::{Stamp, Wall};

/// zdaemon's date format, when a format is given without one.
const DATE: &str = "%Y-%m-%dT%H:%M:%S";

/// How lines are written, made at load.
pub(super) struct Form {
    stamp: Stamp,
    colour: bool,
    /// A syslog's facility: each line is a datagram with its priority before and a NUL behind.
    facility: Option<u8>,
    /// `None` is lar's own: time, level, message.
    parts: Option<Vec<Part>>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Plain(String),
    Time,
    Level,
    Name,
    Pid,
    Message,
}

impl Form {
    /// The form of a `<logfile>`. A date format that is not understood gives the default one.
    pub(super) fn new(format: Option<&str>, date_format: Option<&str>, colour: bool) -> Form {
        let date = match (format, date_format) {
            (_, Some(date)) => Some(date),
            (Some(_), None) => Some(DATE),
            (None, None) => None,
        };
        let stamp = date.and_then(|date| Stamp::new(date).ok()).unwrap_or_default();
        Form { stamp, colour, facility: None, parts: format.map(parse) }
    }

    /// The form of a `<syslog>`.
    pub(super) fn syslog(format: &str, date_format: Option<&str>, facility: u8) -> Form {
        Form { facility: Some(facility), ..Form::new(Some(format), date_format, false) }
    }

    /// Writes a record as a line.
    pub(super) fn write(&self, out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
        self.write_at(now(), out, record)
    }

    fn write_at(&self, at: Wall, out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
        let Some(parts) = &self.parts else {
            let (paint, word) = own(record.level());
            let (paint, plain) = if self.colour { (paint, "\x1b[0m") } else { ("", "") };
            let time = self.stamp.render(at);
            return writeln!(out, "{time} {paint}{word}{plain} {}", record.args());
        };
        if let Some(facility) = self.facility {
            write!(out, "<{}>", u32::from(facility) * 8 + u32::from(severity(record)))?;
        }
        for part in parts {
            match part {
                Part::Plain(text) => out.write_all(text.as_bytes())?,
                Part::Time => out.write_all(self.stamp.render(at).as_bytes())?,
                Part::Level => out.write_all(python(record).as_bytes())?,
                Part::Name => out.write_all(b"root")?,
                Part::Pid => write!(out, "{}", std::process::id())?,
                Part::Message => out.write_fmt(*record.args())?,
            }
        }
        out.write_all(if self.facility.is_some() { b"\0" } else { b"\n" })
    }
}

/// The wall clock; a clock before 1970 reads as 1970.
pub(super) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn own(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Error => ("\x1b[31m", "error"),
        Level::Warn => ("\x1b[33m", "warn"),
        Level::Info => ("\x1b[32m", "info"),
        Level::Debug => ("\x1b[36m", "debug"),
        Level::Trace => ("\x1b[35m", "trace"),
    }
}

/// Python's words, which scripts that read a zdaemon's log look for.
fn python(record: &Record<'_>) -> &'static str {
    match record.level() {
        _ if record.target() == super::CRITICAL => "CRITICAL",
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// syslog(3)'s number of a level, as Python chooses it.
fn severity(record: &Record<'_>) -> u8 {
    match record.level() {
        _ if record.target() == super::CRITICAL => 2,
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Python's `%(word)s`, widths and such ignored, and the escapes `\b`, `\f`, `\n`, `\r`, `\t` and `\\`. What is not
/// known stays as it is written.
fn parse(format: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = format;
    while let Some(char) = rest.chars().next() {
        let known = [
            ("\\b", "\x08"),
            ("\\f", "\x0c"),
            ("\\n", "\n"),
            ("\\r", "\r"),
            ("\\t", "\t"),
            ("\\\\", "\\"),
            ("%%", "%"),
        ];
        if let Some((from, to)) = known.into_iter().find(|(from, _)| rest.starts_with(from)) {
            plain.push_str(to);
            rest = &rest[from.len()..];
        } else if let Some((part, tail)) = word(rest) {
            if !plain.is_empty() {
                parts.push(Part::Plain(std::mem::take(&mut plain)));
            }
            parts.push(part);
            rest = tail;
        } else {
            plain.push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    parts
}

fn word(text: &str) -> Option<(Part, &str)> {
    let (name, tail) = text.strip_prefix("%(")?.split_once(')')?;
    let part = match name {
        "asctime" => Part::Time,
        "levelname" => Part::Level,
        "name" => Part::Name,
        "process" => Part::Pid,
        "message" => Part::Message,
        _ => return None,
    };
    let end = tail.find(|char: char| char.is_ascii_alphabetic())?;
    Some((part, &tail[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(form: &Form, level: Level, text: &str) -> String {
        let mut out = Vec::new();
        let at = Wall(1_795_224_645_067_000_000);
        let args = format_args!("{text}");
        let record = Record::builder().level(level).args(args).build();
        form.write_at(at, &mut out, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_time_level_and_message() {
        let form = Form::new(None, None, false);
        let known = "2026-11-21T01:30:45.067Z warn a: b\n";
        assert_eq!(line(&form, Level::Warn, "a: b"), known);
    }

    #[test]
    fn colour_is_on_the_level_only() {
        let form = Form::new(None, None, true);
        let known = "2026-11-21T01:30:45.067Z \x1b[31merror\x1b[0m x\n";
        assert_eq!(line(&form, Level::Error, "x"), known);
    }

    #[test]
    fn zdaemons_formats_are_understood() {
        let default = "------\\n%(asctime)s %(levelname)s %(name)s %(message)s";
        let form = Form::new(Some(default), None, false);
        let known = "------\n2026-11-21T01:30:45 INFO root x\n";
        assert_eq!(line(&form, Level::Info, "x"), known);
        let form = Form::new(Some("%(levelname)-8s%(odd)s 5%%\\t%(message)s"), Some("%H"), false);
        assert_eq!(line(&form, Level::Warn, "x"), "WARNING%(odd)s 5%\tx\n");
    }
}
