//! Values of several words: stop ladders, delays, flapping, readiness, limits and the like. Each reads from a
//! cursor what belongs to it and leaves the rest.

use core::net::{Ipv4Addr, SocketAddr};

use super::section::Cursor;
use super::value::{self, Wrong};
use crate::plan::{Delay, Flapping, GiveUp, IoNice, Ladder, Rotate, Rung};
use crate::time::Duration;

/// What a cursor reads.
type Read<T> = Result<T, Wrong>;

/// `[DELAY] SIGNAL TIME [SIGNAL TIME]… [KILL|never]`.
pub(super) fn ladder(cursor: &mut Cursor) -> Read<Ladder> {
    let starts_with_digit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let mut ladder = Ladder { drain: Duration::ZERO, rungs: Vec::new(), kill: true };
    if cursor.peek().is_some_and(|word| starts_with_digit(word) && word.parse::<u32>().is_err()) {
        ladder.drain = cursor.read("the drain time", value::time)?;
    }
    while let Some(word) = cursor.take() {
        if word.eq_ignore_ascii_case("never") {
            ladder.kill = false;
            break;
        }
        let signal = value::signal(&word)?;
        let time = cursor.peek().filter(|next| starts_with_digit(next));
        match (time.is_some(), cursor.peek(), signal) {
            (true, _, _) => {
                let wait = cursor.read("a time", value::time)?;
                ladder.rungs.push(Rung { signal, wait });
            }
            // The last rung of all: KILL needs no time of its own.
            (false, None, crate::signal::Signal::KILL) if !ladder.rungs.is_empty() => break,
            (false, None, crate::signal::Signal::KILL) => {
                ladder.rungs.push(Rung { signal, wait: Duration::ZERO });
            }
            _ => {
                let wrong = Wrong::new(format!("how long may {word} take? Its time is missing"));
                return Err(wrong.hint(format!("as in: stop {word} 10s KILL")));
            }
        }
    }
    match ladder.rungs.is_empty() {
        true => Err(Wrong::new("a signal is missing")),
        false => Ok(ladder),
    }
}

/// What `backoff` says; what it leaves out stays as it is.
pub(super) struct Backoff {
    pub(super) delay: Delay,
    pub(super) max: Option<Duration>,
    pub(super) jitter: Option<u8>,
}

/// `none`, `linear FIRST [+STEP] [max TIME] [jitter N%]` or `double FIRST [max TIME] [jitter N%]`.
pub(super) fn backoff(cursor: &mut Cursor) -> Read<Backoff> {
    let kinds = [("none", 0), ("linear", 1), ("double", 2)];
    let kind = cursor.read("the kind of delay", |word| value::choice(word, &kinds))?;
    let delay = match kind {
        0 => Delay::None,
        1 => {
            let first = cursor.read("the first delay", value::time)?;
            let step = match cursor.peek().and_then(|word| word.strip_prefix('+')).is_some() {
                true => cursor.read("the step", |word| value::time(&word[1..]))?,
                false => first,
            };
            Delay::Linear { first, step }
        }
        _ => Delay::Double { first: cursor.read("the first delay", value::time)? },
    };
    let (mut max, mut jitter) = (None, None);
    while let Some(word) = cursor.peek() {
        match word.to_ascii_lowercase().as_str() {
            "max" => {
                cursor.take();
                max = Some(cursor.read("the longest delay", value::time)?);
            }
            "jitter" => {
                cursor.take();
                jitter = Some(cursor.read("a percentage", percent)?);
            }
            _ => break,
        }
    }
    Ok(Backoff { delay, max, jitter })
}

fn percent(word: &str) -> Read<u8> {
    let wrong = || Wrong::new(format!("`{word}` is not a percentage")).hint("as in: jitter 10%");
    let number = word.strip_suffix('%').ok_or_else(wrong)?;
    value::number(number, 0, 100).map_err(|_| wrong())
}

/// `no`, or `D in TIME cooldown TIME [rounds N]`.
pub(super) fn flapping(cursor: &mut Cursor) -> Read<Option<Flapping>> {
    if cursor.skip("no") {
        return Ok(None);
    }
    // The history of deaths is a ring of this many times, one for each instance.
    let deaths = cursor.read("the number of deaths", |word| value::number(word, 1, 1000))?;
    expect(cursor, "in")?;
    let window = cursor.read("the window", value::time)?;
    expect(cursor, "cooldown")?;
    let cooldown = cursor.read("the cool-down time", value::time)?;
    let rounds = match cursor.skip("rounds") {
        true => {
            Some(cursor.read("the number of rounds", |word| value::number(word, 0, 1_000_000))?)
        }
        false => None,
    };
    Ok(Some(Flapping { deaths, window, cooldown, rounds }))
}

fn expect(cursor: &mut Cursor, word: &str) -> Read<()> {
    match cursor.take() {
        Some(found) if found.eq_ignore_ascii_case(word) => Ok(()),
        Some(found) => Err(Wrong::new(format!("`{found}` stands where `{word}` should"))),
        None => Err(Wrong::new(format!("`{word}` is missing"))),
    }
}

/// `never`, `after N` or `at-max`.
pub(super) fn give_up(cursor: &mut Cursor) -> Read<GiveUp> {
    let kinds = [("never", 0), ("after", 1), ("at-max", 2)];
    match cursor.read("when to give up", |word| value::choice(word, &kinds))? {
        0 => Ok(GiveUp::Never),
        1 => {
            let count = |word: &str| value::number(word, 1, 1_000_000);
            Ok(GiveUp::After(cursor.read("the number of deaths", count)?))
        }
        _ => Ok(GiveUp::AtMax),
    }
}

/// `no` or `SIZE keep N`.
pub(super) fn rotate(cursor: &mut Cursor) -> Read<Option<Rotate>> {
    if cursor.skip("no") {
        return Ok(None);
    }
    let size = cursor.read("the size", value::size)?;
    if size < 1024 {
        return Err(Wrong::new("a file of less than 1K would be put aside all the time"));
    }
    expect(cursor, "keep")?;
    let keep = cursor.read("the number of old files", |word| value::number(word, 0, 10_000))?;
    Ok(Some(Rotate { size, keep }))
}

/// `127.0.0.1:80`, `[::1]:80`, `localhost:80`. A PID 1 has no resolver: names would block the loop.
pub(super) fn address(word: &str) -> Read<String> {
    if word.contains('\0') {
        return Ok(word.to_string()); // a template: looked at once its number is put in
    }
    numeric(word).map(|address| address.to_string())
}

fn numeric(word: &str) -> Read<SocketAddr> {
    if let Ok(address) = word.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(Wrong::new("port 0 is no port")),
            _ => Ok(address),
        };
    }
    let wrong = Wrong::new(format!("`{word}` is not HOST:PORT"));
    let Some((host, port)) = word.rsplit_once(':') else {
        return Err(match word.parse::<u16>() {
            Ok(_) => wrong.hint(format!("as in: tcp 127.0.0.1:{word}")),
            Err(_) => wrong,
        });
    };
    let port = value::number::<u16>(port, 1, 65_535)?;
    match host {
        host if host.eq_ignore_ascii_case("localhost") => {
            Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        }
        "*" | "" => Err(wrong.hint(format!("as in: tcp 127.0.0.1:{port}"))),
        host if host.contains(':') => Err(wrong.hint(format!("as in: tcp [{host}]:{port}"))),
        _ => Err(Wrong::new(format!("`{host}` is not a numeric address"))
            .hint("lar has no resolver (one would block it): 127.0.0.1, [::1] and localhost work")),
    }
}

/// The kernel's I/O classes; the last has no levels.
pub(super) const IO_CLASSES: [(&str, u8); 3] = [("realtime", 1), ("best-effort", 2), ("idle", 3)];

/// `realtime [LEVEL]`, `best-effort [LEVEL]` or `idle`.
pub(super) fn ionice(cursor: &mut Cursor) -> Read<IoNice> {
    let class = cursor.read("the class", |word| value::choice(word, &IO_CLASSES))?;
    let level = match cursor.peek() {
        Some(_) if class != 3 => cursor.read("the level", |word| value::number(word, 0, 7))?,
        _ if class == 3 => 0,
        _ => 4,
    };
    Ok(IoNice { class, level })
}

/// What `timestamp yes` means: RFC 3339 with milliseconds.
pub const RFC_3339: &str = "%Y-%m-%dT%H:%M:%S.%fZ";

/// The letters that may follow a `%` in a time's format; `transcript::time` reads them, and a test compares.
pub const TIME_WORDS: &str = "YmdHMSfszFTjybae%";

/// The capabilities of linux/capability.h by their numbers.
pub(super) const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `none`, or names with or without `CAP_`.
pub(super) fn capabilities(cursor: &mut Cursor) -> Read<u64> {
    if cursor.skip("none") {
        return Ok(0);
    }
    let mut mask = 0;
    while let Some(word) = cursor.take() {
        let lower = word.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
        match CAPABILITIES.iter().position(|name| *name == bare) {
            Some(number) => mask |= 1 << number,
            None => {
                let wrong = Wrong::new(format!("there is no capability `{word}`"));
                return Err(wrong.near(bare, CAPABILITIES));
            }
        }
    }
    match mask {
        0 => Err(Wrong::new("the names are missing")),
        _ => Ok(mask),
    }
}

/// Exit codes between commas or blanks, or `none`.
pub(super) fn exit_codes(cursor: &mut Cursor) -> Read<Vec<u8>> {
    let mut codes = Vec::new();
    if cursor.skip("none") {
        return Ok(codes);
    }
    while let Some(word) = cursor.take() {
        for piece in word.split(',').filter(|piece| !piece.is_empty()) {
            let code = value::number(piece, 0, 255)?;
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
    }
    match codes.is_empty() {
        true => {
            Err(Wrong::new("the codes are missing").hint("`exit-codes none` says that none does"))
        }
        false => Ok(codes),
    }
}

/// A time, or `none`.
pub(super) fn optional_duration(word: &str) -> Read<Option<Duration>> {
    if word.eq_ignore_ascii_case("none") { Ok(None) } else { value::time(word).map(Some) }
}

/// A time; a bare number is seconds, as zdaemon has it.
pub(super) fn seconds(word: &str) -> Read<Duration> {
    match word.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(u64::from(seconds))),
        Err(_) => value::time(word),
    }
}
