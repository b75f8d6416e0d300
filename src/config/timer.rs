//! When a one-shot runs again: `every`, `at` and `overlap`.

use super::section::{Cursor, Values};
use super::value::{self, Wrong};
use crate::plan::{Kind, Service, Start, Timer, When};
use crate::time::Duration;

/// What `overlap` takes.
pub(super) const OVERLAPS: [(&str, bool); 2] = [("skip", false), ("queue", true)];

/// The timer of a service whose type is known.
pub(super) fn read(v: &mut Values, service: &Service) -> Option<Timer> {
    let every = v.word("every", positive).map(When::Every);
    let at = v.read("at", times).map(When::At);
    let mut queue = false;
    v.choose(&mut queue, "overlap", &OVERLAPS);
    let said = ["every", "at"].into_iter().filter(|key| v.has(key)).collect::<Vec<_>>();
    match said[..] {
        [] if v.has("overlap") => {
            v.wrong("overlap", "nothing could overlap: it has neither `every` nor `at`");
        }
        [_, key] => v.wrong(key, "either `every` or `at`, not both"),
        _ => {}
    }
    for key in said {
        if service.kind != Kind::Oneshot {
            v.wrong(key, "only a one-shot ends, so that it can run again");
            v.report.hint("say: type oneshot");
        } else if service.start == Start::OnDemand {
            v.wrong(key, "it starts on demand, or by its timer, not both");
        }
    }
    Some(Timer { when: every.or(at)?, queue })
}

fn positive(word: &str) -> Result<Duration, Wrong> {
    match value::time(word)? {
        Duration::ZERO => Err(Wrong::new("this would run without a pause")),
        time => Ok(time),
    }
}

/// Times of the day, sorted.
fn times(cursor: &mut Cursor) -> Result<Vec<u16>, Wrong> {
    let mut times = Vec::new();
    while let Some(word) = cursor.take() {
        let minute = minute(&word)?;
        if times.contains(&minute) {
            return Err(Wrong::new(format!("`{word}` stands here twice")));
        }
        times.push(minute);
    }
    times.sort_unstable();
    match times.is_empty() {
        true => Err(Wrong::new("the times are missing")),
        false => Ok(times),
    }
}

/// `03:30`, as minutes of the day.
fn minute(word: &str) -> Result<u16, Wrong> {
    let wrong = || {
        let wrong = Wrong::new(format!("`{word}` is not a time of the day"));
        wrong.hint("hours and minutes, from 00:00 to 23:59")
    };
    let (hours, minutes) = word.split_once(':').ok_or_else(wrong)?;
    let two = |text: &str, end: u16| match text.len() {
        1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok().filter(|&number| number < end)
        }
        _ => None,
    };
    let hours: u16 = two(hours, 24).ok_or_else(wrong)?;
    let minutes = two(minutes, 60).filter(|_| minutes.len() == 2).ok_or_else(wrong)?;
    Ok(hours * 60 + minutes)
}

/// `03:30`.
pub(super) fn print_minute(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
