//! The two clocks: one to reckon with, one to show.
//!
//! Every deadline, life and delay is measured on the monotonic clock; the wall clock jumps, so
//! nothing is ever computed from it.

use crate::time::{Duration, Instant, Wall};
use nix::time::{ClockId, clock_gettime};

/// Now, on CLOCK_MONOTONIC. It stands still while the machine is suspended.
pub fn now() -> Instant {
    Instant::from_nanos(
        u64::try_from(read(ClockId::CLOCK_MONOTONIC).as_nanos()).unwrap_or(u64::MAX),
    )
}

/// The wall clock, for log lines and nothing else.
pub fn wall() -> Wall {
    Wall(u64::try_from(read(ClockId::CLOCK_REALTIME).as_nanos()).unwrap_or(u64::MAX))
}

/// Both clocks exist on every Linux, so the error can't come; a clock at zero would be the answer
/// to it.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let earlier = now();
        assert!(earlier > Instant::ZERO);
        assert!(now() >= earlier);
    }

    #[test]
    fn the_wall_clock_is_past_2020() {
        assert!(wall().since_epoch() > Duration::from_secs(1_577_836_800));
    }
}
