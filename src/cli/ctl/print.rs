//! Replies as they are shown: columns, tab-separated lines, or JSON.
//!
//! What comes without end is shown as it comes; columns need all their rows first.

use std::io::{self, IsTerminal, StdoutLock, Write};

use super::args::Layout;
use super::clock::Utc;
use super::{json, tree};
use crate::ctl::protocol::command::{Command, Takes};
use crate::ctl::protocol::record::Fields;
use crate::ctl::protocol::request::Request;
use crate::exit::Code;
use crate::time::{Duration, Human};

/// Shows one reply.
pub struct Printer {
    layout: Layout,
    command: Command,
    /// The one name that was asked for, if it was one.
    only: Option<String>,
    endless: bool,
    colour: bool,
    records: Vec<Fields>,
    /// The last output of what did not start.
    output: Vec<Fields>,
    /// How a run ended.
    pub exit: Option<u8>,
}

const STATUS: &[&str] = &[
    "name",
    "group",
    "instance",
    "type",
    "state",
    "up",
    "wanted",
    "pid",
    "since_ms",
    "uptime_ms",
    "restarts",
    "next_ms",
    "last_exit",
    "text",
    "cause",
    "health",
    "doing",
];
const EVENT: &[&str] = &[
    "seq",
    "event",
    "time_ms",
    "ago_ms",
    "name",
    "from",
    "to",
    "pid",
    "exit_code",
    "signal",
    "life_ms",
    "next_ms",
    "cause",
];
const TREE: &[&str] = &["name", "state", "requires", "wants", "after", "restart_with"];

impl Printer {
    /// For the reply to this request.
    pub fn new(layout: Layout, request: &Request) -> Printer {
        let plain_terminal = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let only = match &request.names[..] {
            [name] => Some(name.clone()),
            _ => None,
        };
        Printer {
            layout,
            command: request.command,
            only,
            endless: request.endless(),
            colour: io::stdout().is_terminal() && !plain_terminal && layout == Layout::Columns,
            records: Vec::new(),
            output: Vec::new(),
            exit: None,
        }
    }

    /// A record has come. An error means that nobody reads what is shown.
    pub fn record(&mut self, record: &Fields) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.progress(record) {
            let _ = writeln!(io::stderr(), "{}", change(record));
            return Ok(());
        }
        let exit = record.number("exit").and_then(|exit| u8::try_from(exit).ok());
        self.exit = self.exit.or(exit);
        match (self.layout, self.command) {
            (Layout::Json, Command::Once) => self.keep(record),
            (_, Command::Once) if record.bytes("state").is_none() => self.run(record, &mut out)?,
            // A run ends as its program does, and says no more than that.
            (_, Command::Once) if record.bytes("wanted").is_none() => {}
            (Layout::Json, _) if self.endless => {
                writeln!(out, "{}", json::object(record, self.keys()))?;
            }
            (Layout::Plain, _) if self.endless => self.plain(record, &mut out)?,
            (Layout::Json, _) => self.keep(record),
            (_, Command::Config | Command::Apply) => piece(record, "line", &mut out)?,
            (Layout::Columns, Command::Logs) => self.log(record, &mut out)?,
            (Layout::Columns, Command::Events) => match record.bytes("name") {
                None => writeln!(out, "({})", printable(record.text("cause").unwrap_or_default()))?,
                Some(_) => {
                    let time = Utc(record.number("time_ms").unwrap_or(0));
                    writeln!(out, "{time} {}", change(record))?;
                }
            },
            _ => self.keep(record),
        }
        out.flush()
    }

    /// The last line has come.
    pub fn finish(&mut self, error: Option<(Code, &str)>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.layout == Layout::Json {
            self.json(error, &mut out)?;
        } else {
            self.rows(error.is_some(), &mut out)?;
        }
        out.flush()?;
        let Some((code, message)) = error else { return Ok(()) };
        // The state says it already.
        let shown = self.command == Command::Status && code == Code::NotRunning;
        let mut err = io::stderr().lock();
        // One line is all that a probe wants to hear.
        let shown = shown || self.command == Command::Health && code == Code::Failed;
        if !shown {
            writeln!(err, "lar ctl: {message}")?;
        }
        if self.layout != Layout::Json {
            self.output.iter().try_for_each(|record| {
                write!(err, "  | ")?;
                piece(record, "text", &mut err)
            })?;
        }
        Ok(())
    }

    /// Whether this is news from a wait that goes on.
    fn progress(&self, record: &Fields) -> bool {
        let waits = !matches!(self.command, Command::Events | Command::Why);
        waits && record.bytes("seq").is_some()
    }

    fn keep(&mut self, record: &Fields) {
        let output = !matches!(self.command, Command::Logs | Command::Health)
            && record.bytes("state").is_none()
            && (record.bytes("text").is_some() || record.bytes("lost_bytes").is_some());
        if output { &mut self.output } else { &mut self.records }.push(record.clone());
    }

    fn keys(&self) -> &'static [&'static str] {
        match self.command {
            Command::Events | Command::Why => EVENT,
            Command::Tree => TREE,
            Command::List => &["name", "group", "type", "instances"],
            Command::Pid => &["name", "pid"],
            Command::Logs => &["name", "text"],
            Command::Send => &["name", "bytes", "error"],
            Command::Attach => &["name", "data"],
            Command::Config | Command::Apply => &["line"],
            Command::Ping => &["pong", "pid"],
            Command::Version => &["version", "pid", "uptime_ms", "started_ms", "config"],
            Command::Health => &["healthy", "up", "wanted", "text"],
            Command::LogLevel => &["level"],
            _ => STATUS,
        }
    }

    fn json(&self, error: Option<(Code, &str)>, out: &mut StdoutLock) -> io::Result<()> {
        let failed = error.map(|(code, message)| json::error(code.word(), message));
        if self.endless {
            return match failed {
                Some(failed) => writeln!(out, "{{{failed}}}"),
                None => Ok(()),
            };
        }
        let keys = self.keys();
        write!(out, "{{\"version\":1")?;
        let takes = self.command.spec().takes;
        let (changes, services): (Vec<_>, Vec<_>) =
            self.records.iter().partition(|record| record.bytes("seq").is_some());
        match self.command {
            Command::Logs | Command::Config | Command::Apply => {
                list(out, "lines", &services, keys)?
            }
            Command::Why => {
                list(out, "changes", &changes, keys)?;
                list(out, "services", &services, STATUS)?;
            }
            _ if takes == Takes::Nothing || takes == Takes::Level => self.manager(out)?,
            Command::Health => self.manager(out)?,
            _ => list(out, "services", &services, keys)?,
        }
        if !self.output.is_empty() {
            list(out, "output", &self.output.iter().collect::<Vec<_>>(), &["name", "text"])?;
        }
        if let Some(failed) = failed {
            write!(out, ",{failed}")?;
        }
        writeln!(out, "}}")
    }

    fn manager(&self, out: &mut StdoutLock) -> io::Result<()> {
        match self.records.first() {
            Some(record) => write!(out, ",\"manager\":{}", json::object(record, self.keys())),
            None => Ok(()),
        }
    }

    fn plain(&self, record: &Fields, out: &mut StdoutLock) -> io::Result<()> {
        let keys = if record.bytes("state").is_some() && self.command == Command::Why {
            STATUS
        } else {
            self.keys()
        };
        let text = |key: &&str| match record.text(key) {
            // A tab or newline would make another field or line of it.
            Some(text) if !text.is_empty() => text.replace(['\t', '\n', '\r'], " "),
            _ => "-".to_owned(),
        };
        writeln!(out, "{}", keys.iter().map(text).collect::<Vec<_>>().join("\t"))
    }

    fn log(&self, record: &Fields, out: &mut StdoutLock) -> io::Result<()> {
        let name = record.text("name").unwrap_or_default();
        if let Some(lost) = record.number("lost_bytes") {
            return writeln!(io::stderr(), "lar ctl: {name}: {lost} bytes are missing here");
        }
        let only = self.only.as_ref().is_some_and(|only| only.eq_ignore_ascii_case(&name));
        if !only {
            write!(out, "[{name}] ")?;
        }
        piece(record, "text", out)
    }

    /// A line of a run's output.
    fn run(&self, record: &Fields, out: &mut StdoutLock) -> io::Result<()> {
        if let Some(lost) = record.number("lost_bytes") {
            return writeln!(io::stderr(), "lar ctl: {lost} bytes of its output are missing here");
        }
        piece(record, "text", out)
    }

    fn rows(&self, failed: bool, out: &mut StdoutLock) -> io::Result<()> {
        if self.command == Command::Pid && self.only.is_some() && self.records.len() == 1 {
            return writeln!(out, "{}", self.records[0].text("pid").unwrap_or_default());
        }
        if self.layout == Layout::Plain {
            return self.records.iter().try_for_each(|record| self.plain(record, out));
        }
        // Of one the last line says it all.
        if self.command == Command::Send && self.records.len() < 2 {
            return Ok(());
        }
        let paint = |state: &str| self.paint(state);
        match self.command {
            Command::Status => self.table(out),
            Command::Tree => tree::draw(&self.records, out, &paint),
            _ => self
                .records
                .iter()
                .try_for_each(|record| writeln!(out, "{}", self.row(record, failed))),
        }
    }

    /// One record as one line, where no columns are needed. What `failed` is explained by the
    /// error.
    fn row(&self, record: &Fields, failed: bool) -> String {
        let text = |key| record.text(key).unwrap_or_default();
        let number = |key| record.number(key).unwrap_or(0);
        let human = |key| Human(Duration::from_millis(number(key)));
        match self.command {
            Command::List => text("name"),
            Command::Pid if self.only.is_none() && text("name") == "lar" => text("pid"),
            Command::Pid => format!("{} {}", text("name"), text("pid")),
            Command::Why if record.bytes("seq").is_some() => {
                format!("{:>8} ago  {}", human("ago_ms").to_string(), change(record))
            }
            Command::Ping => "pong".to_owned(),
            Command::Version => {
                let config = record.text("config").map(|path| format!(", {path}"));
                let (version, pid, up) = (text("version"), text("pid"), human("uptime_ms"));
                format!("lar {version}, pid {pid}, up {up}{}", config.unwrap_or_default())
            }
            Command::Health if self.only.is_some() && number("wanted") == 1 => {
                printable(text("text"))
            }
            Command::Health => {
                let healthy = if text("healthy") == "yes" { "healthy" } else { "unhealthy" };
                let why = record.text("text").map(|text| format!("; {}", printable(text)));
                let why = why.unwrap_or_default();
                format!("{healthy}: {} of {} up{why}", text("up"), text("wanted"))
            }
            Command::LogLevel => text("level"),
            Command::Send => {
                let error = record.text("error").map(|error| format!(": {error}"));
                format!("{}: {} bytes{}", text("name"), text("bytes"), error.unwrap_or_default())
            }
            _ => {
                let pid = record.text("pid").map(|pid| format!(", pid {pid}"));
                let detail = Some(detail(record)).filter(|detail| !detail.is_empty() && !failed);
                let detail = detail.map(|detail| format!(": {detail}"));
                let state = self.paint(&text("state"));
                let tail = [pid, detail].map(Option::unwrap_or_default).concat();
                let advice = record.text("advice").map(|it| format!("\n  {}", printable(it)));
                format!("{}: {state}{tail}{}", text("name"), advice.unwrap_or_default())
            }
        }
    }

    fn table(&self, out: &mut StdoutLock) -> io::Result<()> {
        let head = ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "DETAIL"].map(str::to_owned);
        let mut rows = vec![head];
        rows.extend(self.records.iter().map(|record| {
            let text = |key| record.text(key).unwrap_or_else(|| "-".to_owned());
            let uptime = record.number("uptime_ms").map(Duration::from_millis);
            let uptime = uptime.map_or("-".to_owned(), |uptime| Human(uptime).to_string());
            [text("name"), text("state"), text("pid"), uptime, text("restarts"), detail(record)]
        }));
        let widths: [usize; 5] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Colours take no room, so the blanks are counted before there are any.
                let blanks = " ".repeat(width - cell.chars().count());
                let cell = if column == 1 { self.paint(cell) } else { cell.clone() };
                line += &format!("{cell}{blanks}  ");
            }
            writeln!(out, "{}", (line + &row[5]).trim_end())?;
        }
        Ok(())
    }

    /// A state in its colour, if there are colours.
    fn paint(&self, state: &str) -> String {
        let colour = match state {
            "running" => "32",
            "waiting" | "starting" | "stopping" | "backoff" => "33",
            "unhealthy" | "cooldown" | "failed" => "31",
            "stopped" | "exited" => "2",
            _ => return state.to_owned(),
        };
        if self.colour { format!("\x1b[{colour}m{state}\x1b[0m") } else { state.to_owned() }
    }
}

fn list(out: &mut StdoutLock, key: &str, records: &[&Fields], keys: &[&str]) -> io::Result<()> {
    write!(out, ",\"{key}\":[")?;
    for (at, record) in records.iter().enumerate() {
        let between = if at == 0 { "" } else { "," };
        write!(out, "{between}{}", json::object(record, keys))?;
    }
    write!(out, "]")
}

/// A value as it is; with a newline unless the next record goes on with the line.
fn piece(record: &Fields, key: &str, out: &mut impl Write) -> io::Result<()> {
    out.write_all(record.bytes(key).unwrap_or_default())?;
    if record.bytes("part").is_none() { out.write_all(b"\n") } else { Ok(()) }
}

/// `web: running -> backoff: exit status 1 after 3s; next try in 400ms`, `web: SIGTERM was sent, pid 12`.
fn change(record: &Fields) -> String {
    let text = |key| printable(record.text(key).unwrap_or_default());
    let next = next_try(record).map(|next| format!("; {next}")).unwrap_or_default();
    let (name, from, to, cause) = (text("name"), text("from"), text("to"), text("cause"));
    let step = record.bytes("from").is_some();
    let pid = record.text("pid").filter(|_| !step || cause == "spawned");
    let pid = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    match step {
        true => format!("{name}: {from} -> {to}: {cause}{pid}{next}"),
        false => format!("{name}: {cause}{pid}"),
    }
}

fn next_try(record: &Fields) -> Option<String> {
    let next = Duration::from_millis(record.number("next_ms")?);
    let state = record.text("state").or(record.text("to")).unwrap_or_default();
    let what = if ["backoff", "cooldown"].contains(&&*state) { "try" } else { "run" };
    Some(format!("next {what} in {}", Human(next)))
}

/// What is worth knowing besides the state: why it is not up, or what it says of itself.
fn detail(record: &Fields) -> String {
    let text = |key| record.text(key).map(printable);
    let up = record.text("up").is_some_and(|up| up == "yes");
    let stopped = record.text("state").is_some_and(|state| state == "stopped");
    // Who is down and wanted up waits for something.
    let waits = stopped && record.text("wanted").is_some_and(|wanted| wanted == "up");
    // Where it is on its way says more than why it has set out.
    let starts = record.text("state").is_some_and(|state| state == "starting");
    let doing = text("doing");
    let told = up || stopped || starts && doing.is_some();
    let cause = text("cause").filter(|_| waits || !told);
    let restarts = record.number("restarts").unwrap_or(0);
    let last = text("last_exit").filter(|_| up && restarts > 0);
    let last = last.map(|last| format!("last exit: {last}"));
    let parts = [cause, doing, next_try(record), text("text"), last];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Without controls: a service's own status text must not drive the operator's terminal.
fn printable(text: String) -> String {
    text.replace(char::is_control, "?")
}
