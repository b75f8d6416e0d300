//! Signals that are heard instead of obeyed, while a client waits for something else: Ctrl-C ends the waiting and
//! not the client.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::signals::{self, Received};

/// Holds some signals back from its making to its end. A key, a child's end and the like that nobody has asked for are
/// forgotten then; a request to end has its effect after all.
#[derive(Debug)]
pub struct Ear {
    before: SigSet,
    signals: SignalFd,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// One of the signals.
    Signal(Received),
    /// The fd can be read, or has an error or an end to tell.
    Ready,
    /// Nothing, until the time was over.
    Silence,
}

/// What is waited for of an fd besides its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is not looked at.
    Nothing,
    /// That it can be read.
    Read,
    /// That it can be read or written.
    Both,
}

impl Ear {
    /// Begins to listen for these. EMFILE, ENFILE, ENOMEM.
    pub fn open(signals: &[Signal]) -> Result<Ear, Errno> {
        let mut set = SigSet::empty();
        // Real-time signals have no name in this set, and nobody listens for one.
        for signal in signals.iter().filter_map(|signal| signal.number().try_into().ok()) {
            set.add(signal);
        }
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Ear { before, signals })
    }

    /// Waits until `fd` can be read, a signal has come, or it is `until`; `None`: for ever.
    pub fn wait(&mut self, fd: Option<BorrowedFd>, until: Option<Instant>) -> Result<Heard, Errno> {
        loop {
            let ready = {
                let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
                let other = fd.unwrap_or(self.signals.as_fd());
                let mut fds = [signals, PollFd::new(other, PollFlags::POLLIN)];
                let used = if fd.is_some() { 2 } else { 1 };
                match poll(&mut fds[..used], timeout(until)) {
                    Err(nix::errno::Errno::EINTR) => continue,
                    Err(errno) => return Err(errno.into()),
                    Ok(_) => fd.is_some() && fds[1].any() != Some(false),
                }
            };
            if let Some(received) = self.read() {
                return Ok(Heard::Signal(received));
            }
            if ready {
                return Ok(Heard::Ready);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Heard::Silence);
            }
        }
    }

    /// Waits until one of two fds is as it is wished to be, a signal has come, or it is `until`; and which of them can
    /// be read.
    pub fn wait_for(
        &mut self,
        wishes: [(BorrowedFd, Wish); 2],
        until: Option<Instant>,
    ) -> Result<(Heard, [bool; 2]), Errno> {
        let flags = |wish| match wish {
            Wish::Nothing => PollFlags::empty(),
            Wish::Read => PollFlags::POLLIN,
            Wish::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        loop {
            let found = {
                let [first, second] = wishes.map(|(fd, wish)| PollFd::new(fd, flags(wish)));
                let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), first, second];
                match poll(&mut fds, timeout(until)) {
                    Err(nix::errno::Errno::EINTR) => continue,
                    Err(errno) => return Err(errno.into()),
                    Ok(_) => {}
                }
                let [_, first, second] = fds;
                [first, second].map(|fd| fd.revents().unwrap_or(PollFlags::empty()))
            };
            if let Some(received) = self.read() {
                return Ok((Heard::Signal(received), [false; 2]));
            }
            let wished = [(wishes[0].1, found[0]), (wishes[1].1, found[1])];
            // An error, or an end, is read as well; of what is not looked at it is none of ours.
            let reads = wished.map(|(wish, found)| {
                wish != Wish::Nothing && found.intersects(!PollFlags::POLLOUT)
            });
            if wished.iter().any(|(wish, found)| *wish != Wish::Nothing && !found.is_empty()) {
                return Ok((Heard::Ready, reads));
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok((Heard::Silence, reads));
            }
        }
    }

    fn read(&mut self) -> Option<Received> {
        let info = self.signals.read_signal().ok()??;
        let signal = i32::try_from(info.ssi_signo).ok().and_then(Signal::new)?;
        let sender = i32::try_from(info.ssi_pid).ok().filter(|&pid| pid > 0).map(Pid);
        Some(Received { signal, sender, code: info.ssi_code })
    }
}

/// Makes a signal harmless for us also when nobody listens: between two lines of a shell, say. Not by ignoring it,
/// since programs that we run would go on ignoring it. EINVAL for those that can't be caught.
pub fn outlive(signal: Signal) -> Result<(), Errno> {
    extern "C" fn shrug(_: libc::c_int) {}
    let handler = SigHandler::Handler(shrug);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    let signal = signal.number().try_into()?;
    // SAFETY: the handler does nothing, so it may interrupt whatever it likes.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// Up to a minute; who waits for longer waits again.
fn timeout(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: a poll that ends too early is a poll more.
    let millis = left.as_micros().div_ceil(1000).min(60_000);
    PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
}

impl Drop for Ear {
    fn drop(&mut self) {
        // A key that came too late to be heard must not end the client after all. What was held back before this
        // ear was made waits for somebody else.
        for signal in [Signal::INT, Signal::QUIT, Signal::CHLD, Signal::WINCH, Signal::CONT] {
            let held = signal.number().try_into().is_ok_and(|signal| self.before.contains(signal));
            if !held {
                signals::discard(signal);
            }
        }
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::sys::signal::{Signal as Nix, raise};

    use super::*;

    static CAUGHT: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(signal: libc::c_int) {
        CAUGHT.fetch_or(1 << signal, Ordering::Relaxed);
    }

    #[test]
    fn a_late_key_is_forgotten_and_a_late_request_to_end_is_not() {
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
        for signal in [Nix::SIGINT, Nix::SIGTERM, Nix::SIGHUP] {
            // SAFETY: the handler only sets a bit of an atomic number.
            unsafe { sigaction(signal, &action) }.unwrap();
        }
        let ear = Ear::open(&[Signal::INT, Signal::TERM, Signal::HUP]).unwrap();
        for signal in [Nix::SIGINT, Nix::SIGTERM, Nix::SIGHUP] {
            raise(signal).unwrap(); // for this thread alone
        }
        assert_eq!(CAUGHT.load(Ordering::Relaxed), 0);
        drop(ear);
        assert_eq!(CAUGHT.load(Ordering::Relaxed), 1 << 15 | 1 << 1);
        // What was held back before stays where it is.
        let outer = Ear::open(&[Signal::INT]).unwrap();
        let inner = Ear::open(&[Signal::INT]).unwrap();
        raise(Nix::SIGINT).unwrap();
        drop(inner);
        assert!(signals::discard(Signal::INT));
        drop(outer);
    }
}
