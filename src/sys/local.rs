//! Times of the day on the machine's own calendar: TZ, else /etc/localtime.
//!
//! The C library reads its table of the time zone at the first call and keeps it. That is made early
//! ([`prepare`]), not when a time has come.

use std::ops::Range;

/// A moment on the wall clock: seconds since 1970-01-01T00:00:00Z.
pub type Seconds = i64;

const MINUTE: Seconds = 60;
const DAY: Seconds = 86_400;

/// How far from UTC any place's time may be; the farthest known is 14 hours.
const FARTHEST: Seconds = 26 * 3600;

/// Reads the time zone.
pub fn prepare() {
    offset(0);
}

/// How much the local time is ahead of UTC at a moment, in seconds.
fn offset(at: Seconds) -> Seconds {
    // SAFETY: tm is plain data (its pointer to a name is only written), for which all zeros is a value.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    let at = at as libc::time_t;
    // SAFETY: reads one time_t and writes one tm, which both live until it returns.
    let known = unsafe { !libc::localtime_r(&at, &mut local).is_null() };
    if known { local.tm_gmtoff as Seconds } else { 0 }
}

/// The first moment after `after` at which a clock on the wall comes to one of these minutes of the day. `None` if
/// there are none.
///
/// Where clocks are put forward over it, that is the moment when they are; but a day that the calendar leaves out is
/// left out here too. Where they are put back over it, the first time counts and not the second.
pub fn next(minutes: &[u16], after: Seconds) -> Option<Seconds> {
    let today = (after + offset(after)).div_euclid(DAY);
    // A moment's date may be two days off what its offset says, where a day is left out.
    let days = today - 1..today + 4;
    let moments =
        days.flat_map(|day| minutes.iter().filter_map(move |&minute| moment(day, minute)));
    moments.filter(|&moment| moment > after).min()
}

/// When, on a day of the local calendar (counted from 1970), it is this minute.
fn moment(day: i64, minute: u16) -> Option<Seconds> {
    let wall = day * DAY + Seconds::from(minute) * MINUTE;
    // The offsets before and after whatever happens that day.
    let (before, after) = (offset(wall - FARTHEST), offset(wall + FARTHEST));
    let found = [wall - before, wall - after];
    let good = found.into_iter().filter(|&at| at + offset(at) == wall);
    good.min().or_else(|| {
        let (least, most) = (before.min(after), before.max(after));
        let change = change(wall - most - DAY..wall - least + DAY, wall);
        let left_out = offset(change) - offset(change - 1);
        (left_out < DAY).then_some(change)
    })
}

/// The first moment in a range at which the wall clock shows this or more.
fn change(range: Range<Seconds>, wall: Seconds) -> Seconds {
    let (mut early, mut late) = (range.start, range.end);
    while early + 1 < late {
        let middle = early + (late - early) / 2;
        match middle + offset(middle) >= wall {
            true => late = middle,
            false => early = middle,
        }
    }
    late
}
