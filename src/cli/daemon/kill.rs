//! Signals to processes that are not lar's children.

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::process::{self, Handle};
use crate::sys::reap;

/// Sends a signal to all of these. Between the look that found them and the signal one may have ended and its pid may
/// be another's: so each is held first, and then looked at again.
pub(super) fn strike(pids: &[Pid], signal: Signal) {
    let own = crate::sys::own_pid();
    for &pid in pids {
        let handle = Handle::open(pid);
        let known =
            reap::parent_of(pid).is_some_and(|parent| parent == own || pids.contains(&parent));
        // What is refused, or is gone by now, can't be helped.
        let _ = match handle {
            Ok(handle) if known => handle.kill(signal),
            // Kernels before 5.3: a child of ours at least can't be anybody else.
            Err(_) if reap::is_our_child(pid) => reap::kill(pid, signal),
            _ => Ok(()),
        };
    }
}

/// A daemon that runs, held.
pub(super) struct Quarry {
    pub(super) pid: Pid,
    started: Option<u64>,
    handle: Option<Handle>,
}

impl Quarry {
    /// Takes hold of a process. The caller looks once more whether it is the right one.
    pub(super) fn new(pid: Pid) -> Quarry {
        let handle = Handle::open(pid).ok();
        Quarry { pid, started: process::facts(pid).map(|facts| facts.started), handle }
    }

    /// What tells its end, where the kernel has such a thing.
    pub(super) fn handle(&self) -> Option<&Handle> {
        self.handle.as_ref()
    }

    /// Whether it has ended; its pid may be another's already.
    pub(super) fn is_gone(&self) -> bool {
        let other = || process::facts(self.pid).map(|facts| facts.started) != self.started;
        !process::lives(self.pid) || self.started.is_some() && other()
    }

    /// Sends it a signal. That it has ended is as good.
    pub(super) fn kill(&self, signal: Signal) -> Result<(), Errno> {
        let sent = match &self.handle {
            Some(handle) => handle.kill(signal),
            None if self.is_gone() => Ok(()),
            None => reap::kill(self.pid, signal),
        };
        sent.or_else(|errno| if self.is_gone() { Ok(()) } else { Err(errno) })
    }

    /// The same, to the group that it leads, if it leads one: whoever else is in the group of a daemon that does not is
    /// nobody's guess.
    pub(super) fn kill_group(&self, signal: Signal) -> Result<(), Errno> {
        let leads = process::facts(self.pid).is_some_and(|facts| facts.group == self.pid);
        match leads && !self.is_gone() {
            true => reap::kill_group(self.pid, signal),
            false => self.kill(signal),
        }
    }
}
