//! Monotonic time as the core sees it: a number handed in from outside.
//!
//! The pure layers may not read a clock, so they can't use `std::time::Instant` (it has no constructor but
//! `now`). `sys::clock` makes these from CLOCK_MONOTONIC; a simulation makes them from nothing.

use core::ops::{Add, Sub};

pub use core::time::Duration;

/// A moment on a monotonic clock, in nanoseconds since an arbitrary start. 584 years fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Instant = Instant(0);

    /// The moment `nanos` nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates: a deadline in the year 2600 is as good as never.
    fn add(self, by: Duration) -> Instant {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// A moment on the wall clock, which may jump: for display only. Nanoseconds since 1970-01-01T00:00:00Z; good until
/// the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

impl Wall {
    /// Time since 1970-01-01T00:00:00Z.
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// A duration as people write it: `250ms`, `1.5s`, `2m 5s`, `3h 4m`, `2d 1h`. Two units at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Human(pub Duration);

impl core::fmt::Display for Human {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let millis = self.0.as_millis();
        let secs = self.0.as_secs();
        match secs {
            0 => write!(f, "{millis}ms"),
            1..=9 if !millis.is_multiple_of(1000) => write!(f, "{secs}.{}s", millis % 1000 / 100),
            1..=59 => write!(f, "{secs}s"),
            60..=3599 => pair(f, secs / 60, "m", secs % 60, "s"),
            3600..=86_399 => pair(f, secs / 3600, "h", secs % 3600 / 60, "m"),
            _ => pair(f, secs / 86_400, "d", secs % 86_400 / 3600, "h"),
        }
    }
}

fn pair(
    f: &mut core::fmt::Formatter<'_>,
    big: u64,
    unit: &str,
    small: u64,
    sub: &str,
) -> core::fmt::Result {
    match small {
        0 => write!(f, "{big}{unit}"),
        _ => write!(f, "{big}{unit} {small}{sub}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            (0, "0ms"),
            (250, "250ms"),
            (1500, "1.5s"),
            (2000, "2s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (3_600_000, "1h"),
            (11_040_000, "3h 4m"),
            (176_400_000, "2d 1h"),
        ];
        for (millis, text) in cases {
            assert_eq!(Human(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn a_deadline_past_the_end_of_time_saturates() {
        let far = Instant::from_nanos(u64::MAX - 1) + Duration::from_secs(u64::MAX);
        assert_eq!(far.as_nanos(), u64::MAX);
        assert_eq!(Instant::ZERO.since(far), Duration::ZERO);
    }
}
