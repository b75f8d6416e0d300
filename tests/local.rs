//! When a clock on the wall comes to a time of the day: over many zones and odd days, against Python's zoneinfo.

#[path = "support/lar.rs"]
mod lar;

use std::process::Command;

use lar::{answer, program, skip};

/// Prints `ZONE AFTER MINUTE NEXT`: found the long way, from a table of what the wall shows, minute by minute.
const ORACLE: &str = r#"
import zoneinfo
from datetime import datetime, timezone
DAY, MINUTE = 86400, 60
# Forward, back, at midnight, by half an hour, by a day, never.
zones = """Europe/Berlin America/New_York America/St_Johns Australia/Lord_Howe Asia/Kathmandu Pacific/Apia
America/Havana America/Asuncion Africa/Casablanca Asia/Tehran Asia/Gaza Pacific/Chatham Antarctica/Troll
America/Sao_Paulo Europe/Dublin America/Nuuk Asia/Amman Africa/Cairo Pacific/Kiritimati UTC""".split()
minutes = [0, 30, 59, 105, 120, 150, 179, 180, 1380, 1410, 1439]
for name in zones:
    zone = zoneinfo.ZoneInfo(name)
    offset = lambda t: int(datetime.fromtimestamp(t, zone).utcoffset().total_seconds())
    starts = [int(datetime(*d, tzinfo=timezone.utc).timestamp()) for d in
              [(2011, 12, 29), (2024, 1, 1), (2037, 6, 1)]]
    # Every change of two years, and the days around them.
    for year in (2011, 2018, 2025):
        t = int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp())
        for hour in range(366 * 24):
            if offset(t + hour * 3600) != offset(t + hour * 3600 + 3600):
                starts.append((t + hour * 3600) // DAY * DAY)
    for start in sorted(set(starts)):
        first = start - 4 * DAY
        walls = [t + offset(t) for t in range(first, start + 5 * DAY, MINUTE)]
        # When the wall first shows each minute, or skips over it; but not over a whole day.
        shown, top = {}, walls[0]
        for at, wall in enumerate(walls):
            for minute in range(top + MINUTE, wall + MINUTE, MINUTE):
                if minute == wall or wall - top <= DAY:
                    shown[minute] = first + at * MINUTE
            top = max(top, wall)
        for minute in minutes:
            days = range(first // DAY, first // DAY + 9)
            comes = [shown.get(day * DAY + minute * MINUTE, 0) for day in days]
            for hours in (-30, -3, 0, 1, 2, 3, 7, 20):
                after = start + hours * 3600 + 17
                print(name, after, minute, min(t for t in comes if t > after))
"#;

#[test]
fn the_next_time_of_the_day_is_the_one_that_the_wall_shows_first() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let told = answer(Command::new("python3").args(["-c", ORACLE]));
    if told.err.contains("ZoneInfoNotFoundError") {
        return skip("no time zones are installed");
    }
    let told = told.expect(0);
    let (mut zone, mut count, mut wrong) = (String::new(), 0, Vec::new());
    for line in told.out.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, after, minute, expected] = words[..] else { panic!("{line}") };
        if zone != name {
            zone = name.to_owned();
            set_zone(name);
        }
        count += 1;
        let next = ::lar::sys::local::next(&[minute.parse().unwrap()], after.parse().unwrap());
        if next != Some(expected.parse().unwrap()) {
            wrong.push(format!("{line}, not {next:?}"));
        }
    }
    assert!(count > 5000, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count}: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

/// Another time zone for this process, which has no other test in it.
fn set_zone(name: &str) {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: no other thread of this process reads its environment.
    unsafe {
        std::env::set_var("TZ", name);
        tzset();
    }
}

#[test]
fn no_times_have_no_next_one() {
    assert_eq!(::lar::sys::local::next(&[], 0), None);
}
