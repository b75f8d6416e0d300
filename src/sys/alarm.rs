//! A timer on the wall clock, for what is to happen at a time of the day. It also says when somebody has set that
//! clock.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::local::Seconds;
use crate::exit::Errno;

/// The timer, as an fd that is readable when the moment has come or the clock was set.
pub struct Alarm(TimerFd);

impl Alarm {
    /// One that is not set. EMFILE, ENOMEM.
    pub fn new() -> Result<Alarm, Errno> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Alarm(TimerFd::new(ClockId::CLOCK_REALTIME, flags)?))
    }

    /// Sets it to a moment; one that has passed is now. Suspended machines are not woken up, but do it when they wake.
    pub fn set(&self, at: Seconds) -> Result<(), Errno> {
        let flags =
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        // Zero would take it back.
        let at = TimeSpec::new(at.max(1) as _, 0);
        Ok(self.0.set(Expiration::OneShot(at), flags)?)
    }

    /// Takes notice that it was readable; whether that was because somebody has set the clock. Then it is not set any
    /// more.
    pub fn clock_was_set(&self) -> bool {
        let mut count = [0; 8];
        nix::unistd::read(&self.0, &mut count) == Err(nix::errno::Errno::ECANCELED)
    }

    /// For epoll.
    pub fn fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
