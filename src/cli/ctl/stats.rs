//! `stats`, `top` and `metrics`: what the processes of each instance use. The manager says which processes these
//! are; what they use the client reads from /proc by itself, so that looking costs the manager no more than a status.

mod cgroup;
mod metrics;
mod usage;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use self::usage::{Look, Usage};
use super::args::{Arguments, Layout};
use super::{complain, gather, json};
use crate::ctl::protocol::record::Fields;
use crate::exit::Code;
use crate::signal::Signal;
use crate::sys::ear::{Ear, Heard};

/// The verbs, how they are called, and what they do: for the help.
pub const VERBS: [(&str, &str, &str); 3] = [
    ("stats", "[--watch TIME] [NAME…]", "what the processes of each instance use: CPU and memory"),
    ("top", "[NAME…]", "the same once a second, who works most on top"),
    ("metrics", "[NAME…]", "the same in the text that Prometheus reads (OpenMetrics)"),
];

/// How often `top` looks.
const SECOND: Duration = Duration::from_secs(1);

/// Clears a terminal and goes to its first column.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// One instance, and what it uses.
struct Row {
    record: Fields,
    service: String,
    /// `None` without processes.
    usage: Option<Usage>,
    /// CPU time in percent of one processor: since the last look, else over its life.
    share: Option<f64>,
}

impl Row {
    fn text(&self, key: &str) -> String {
        self.record.text(key).unwrap_or_else(|| "-".to_owned())
    }

    fn pid(&self) -> Option<i32> {
        self.record.number("pid").and_then(|pid| i32::try_from(pid).ok())
    }
}

/// Does one of these verbs; `None` if it is none of them.
pub fn run(arguments: &Arguments) -> Option<u8> {
    let (verb, names) = arguments.words.split_first()?;
    if !VERBS.iter().any(|(name, ..)| name == verb) {
        return None;
    }
    if let Some(option) = names.iter().find(|name| name.starts_with('-')) {
        return Some(complain(Code::Usage, &format!("{verb} takes no option {option}")));
    }
    let every = match (&arguments.watch, verb.as_str()) {
        (Some(_), "metrics") => {
            return Some(complain(Code::Usage, "metrics are watched by whoever reads them"));
        }
        (Some(time), _) => match crate::config::duration(time) {
            Ok(time) => Some(Duration::from_millis(time.as_millis() as u64)),
            Err(message) => return Some(complain(Code::Usage, &format!("--watch: {message}"))),
        },
        (None, "top") => Some(SECOND),
        (None, _) => None,
    };
    Some(match verb.as_str() {
        "metrics" => match look(arguments, names, None) {
            Ok(rows) => {
                show(&metrics::text(&rows));
                Code::Done as u8
            }
            Err(code) => code,
        },
        _ => watch(arguments, verb, names, every),
    })
}

fn watch(arguments: &Arguments, verb: &str, names: &[String], every: Option<Duration>) -> u8 {
    let screen = verb == "top" && arguments.layout == Layout::Columns && io::stdout().is_terminal();
    let mut before: Option<(Instant, HashMap<i32, Duration>)> = None;
    loop {
        let next = every.and_then(|every| Instant::now().checked_add(every));
        let mut rows = match look(arguments, names, before.as_ref()) {
            Ok(rows) => rows,
            Err(code) => return code,
        };
        if verb == "top" {
            let work = |row: &Row| row.share.unwrap_or(-1.0);
            rows.sort_by(|a, b| work(b).total_cmp(&work(a)));
        }
        let used = |row: &Row| Some((row.pid()?, row.usage?.cpu));
        before = Some((Instant::now(), rows.iter().filter_map(used).collect()));
        let clear = if screen { CLEAR } else { "" };
        let text = match arguments.layout {
            Layout::Columns => table(&rows),
            Layout::Plain => rows.iter().map(plain).collect(),
            Layout::Json => object(&rows),
        };
        let read = show(&format!("{clear}{text}"));
        let Some(next) = next.filter(|_| read) else { return Code::Done as u8 };
        if let Some(code) = pause(next) {
            return code;
        }
        if !screen && arguments.layout == Layout::Columns {
            show("\n");
        }
    }
}

/// Waits; the exit code, if Ctrl-C ends that.
fn pause(until: Instant) -> Option<u8> {
    let mut ear = match Ear::open(&[Signal::INT]) {
        Ok(ear) => ear,
        Err(errno) => return Some(complain(Code::Failed, &format!("can't wait: {errno}"))),
    };
    match ear.wait(None, Some(until)) {
        Ok(Heard::Signal(_)) => Some(crate::cli::INTERRUPTED),
        Ok(_) => None,
        Err(errno) => Some(complain(Code::Failed, &format!("can't wait: {errno}"))),
    }
}

/// Shows it; whether anybody reads it still.
fn show(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Asks the manager who there is, and the kernel what they use.
fn look(
    arguments: &Arguments,
    names: &[String],
    before: Option<&(Instant, HashMap<i32, Duration>)>,
) -> Result<Vec<Row>, u8> {
    let words = [&["status".to_owned()][..], names].concat();
    // That one of them is not up is no failure here.
    let records = gather(arguments, &words, Code::NotRunning)?;
    let own = gather(arguments, &["version".to_owned()], Code::Done)?;
    let said = own.first().and_then(|record| record.number("pid"));
    let seen = super::manager_pid(arguments).map(|pid| pid as u64);
    if said != seen {
        let message = "the manager is in another pid namespace: its processes have other numbers here; \
                       ask within its container";
        return Err(complain(Code::Failed, message));
    }
    let pid = |record: &Fields| record.number("pid").and_then(|pid| i32::try_from(pid).ok());
    let mains: Vec<i32> = records.iter().filter_map(pid).collect();
    let look = Look::take(&mains)
        .map_err(|error| complain(Code::Failed, &format!("/proc can't be read: {error}")))?;
    let now = Instant::now();
    let row = |record: Fields| {
        let usage = pid(&record).and_then(|pid| look.of(pid));
        let lived = record.number("uptime_ms").map(Duration::from_millis);
        let past = before.and_then(|(at, used)| Some((*at, *used.get(&pid(&record)?)?)));
        let share = usage.and_then(|usage| match past {
            Some((at, used)) => percent(usage.cpu.saturating_sub(used), now - at),
            None => percent(usage.cpu, lived?),
        });
        let name = record.text("name").unwrap_or_default();
        let service = name.split_once('@').map_or(name.as_str(), |(service, _)| service).to_owned();
        Row { record, service, usage, share }
    };
    Ok(records.into_iter().map(row).collect())
}

fn percent(used: Duration, of: Duration) -> Option<f64> {
    (!of.is_zero()).then(|| 100.0 * used.as_secs_f64() / of.as_secs_f64())
}

/// What a service's instances use together, and the least and the most of them.
struct Sum {
    service: String,
    lines: [(&'static str, Usage, f64); 3],
}

/// Those of services with several instances that have processes.
fn sums(rows: &[Row]) -> Vec<Sum> {
    let mut services: Vec<&str> = rows.iter().map(|row| row.service.as_str()).collect();
    services.dedup();
    let one = |service: &str| {
        let members = rows.iter().filter(|row| row.service == service);
        let used: Vec<(Usage, f64)> =
            members.filter_map(|row| Some((row.usage?, row.share.unwrap_or(0.0)))).collect();
        let (first, rest) = used.split_first().filter(|(_, rest)| !rest.is_empty())?;
        let fold = |usage: fn(Usage, Usage) -> Usage, share: fn(f64, f64) -> f64| {
            rest.iter().fold(*first, |all, one| (usage(all.0, one.0), share(all.1, one.1)))
        };
        let (sum, sum_share) = fold(Usage::plus, |a, b| a + b);
        let (min, min_share) = fold(Usage::least, f64::min);
        let (max, max_share) = fold(Usage::most, f64::max);
        let lines = [("sum", sum, sum_share), ("min", min, min_share), ("max", max, max_share)];
        Some(Sum { service: service.to_owned(), lines })
    };
    services.into_iter().filter_map(one).collect()
}

const HEAD: [&str; 8] =
    ["NAME", "STATE", "PID", "CPU%", "CPU TIME", "RESIDENT", "VIRTUAL", "PROCESSES"];

fn table(rows: &[Row]) -> String {
    let cells = |usage: Option<Usage>, share: Option<f64>| match usage {
        None => std::array::from_fn(|_| "-".to_owned()),
        Some(usage) => [
            share.map_or("-".to_owned(), |share| format!("{share:.1}")),
            clock(usage.cpu),
            bytes(usage.resident),
            bytes(usage.size),
            usage.processes.to_string(),
        ],
    };
    let mut lines = vec![HEAD.map(str::to_owned)];
    for row in rows {
        let [share, cpu, resident, size, count] = cells(row.usage, row.share);
        let [name, state, pid] = ["name", "state", "pid"].map(|key| row.text(key));
        lines.push([name, state, pid, share, cpu, resident, size, count]);
    }
    for sum in sums(rows) {
        for (what, usage, share) in sum.lines {
            let [share, cpu, resident, size, count] = cells(Some(usage), Some(share));
            let (name, none) = (format!("{} {what}", sum.service), String::new);
            lines.push([name, none(), none(), share, cpu, resident, size, count]);
        }
    }
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                1 => write!(text, "  {cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

fn plain(row: &Row) -> String {
    let [name, state, pid] = ["name", "state", "pid"].map(|key| row.text(key));
    match row.usage {
        None => format!("{name}\t{state}\t{pid}\t-\t-\t-\t-\t-\n"),
        Some(usage) => {
            let share = row.share.map_or("-".to_owned(), |share| format!("{share:.1}"));
            let (cpu, processes) = (usage.cpu.as_millis(), usage.processes);
            let (resident, size) = (usage.resident, usage.size);
            format!("{name}\t{state}\t{pid}\t{share}\t{cpu}\t{resident}\t{size}\t{processes}\n")
        }
    }
}

fn object(rows: &[Row]) -> String {
    let numbers = |usage: Option<Usage>, share: Option<f64>| {
        let number =
            |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
        format!(
            "\"cpu_percent\":{},\"cpu_ms\":{},\"resident_bytes\":{},\"virtual_bytes\":{},\"processes\":{}",
            share.map_or("null".to_owned(), |share| format!("{share:.1}")),
            number(usage.map(|usage| usage.cpu.as_millis() as u64)),
            number(usage.map(|usage| usage.resident)),
            number(usage.map(|usage| usage.size)),
            number(usage.map(|usage| u64::from(usage.processes))),
        )
    };
    let instances = rows.iter().map(|row| {
        let known = json::object(&row.record, &["name", "instance", "state", "pid"]);
        let known = known.trim_end_matches('}');
        format!("{known},{}}}", numbers(row.usage, row.share))
    });
    let services = sums(rows).into_iter().map(|sum| {
        let parts = sum.lines.map(|(what, usage, share)| {
            format!("\"{what}\":{{{}}}", numbers(Some(usage), Some(share)))
        });
        let mut name = String::new();
        json::string(&mut name, &sum.service);
        format!("{{\"name\":{name},{}}}", parts.join(","))
    });
    let join = |items: Vec<String>| items.join(",");
    format!(
        "{{\"version\":1,\"instances\":[{}],\"services\":[{}]}}\n",
        join(instances.collect()),
        join(services.collect())
    )
}

/// `1:02.50`, as ps and gaffer have it: minutes, seconds and hundredths.
fn clock(time: Duration) -> String {
    let (seconds, hundredths) = (time.as_secs(), time.subsec_millis() / 10);
    format!("{}:{:02}.{hundredths:02}", seconds / 60, seconds % 60)
}

/// `12.3M`, in units of 1024.
fn bytes(count: u64) -> String {
    for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
        if count >= 1 << shift {
            return format!("{:.1}{unit}", count as f64 / (1u64 << shift) as f64);
        }
    }
    format!("{count}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!(clock(Duration::from_millis(62_509)), "1:02.50");
        assert_eq!(clock(Duration::from_secs(36_000)), "600:00.00");
        assert_eq!([0, 1023, 1536, 5 << 20].map(bytes), ["0B", "1023B", "1.5K", "5.0M"]);
    }

    #[test]
    fn a_share_needs_a_time() {
        assert_eq!(percent(SECOND / 2, SECOND), Some(50.0));
        assert_eq!(percent(SECOND, Duration::ZERO), None);
    }
}
