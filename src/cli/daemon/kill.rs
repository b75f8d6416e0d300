//! Signals to processes that are not lar's children.

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::process::{self, Handle};
use crate::sys::reap;

/// Some processes, held: whatever becomes of their parents, a signal reaches them and nobody else.
pub(super) struct Held(Vec<(Pid, Option<Handle>)>);

impl Held {
    /// These, as far as they are children of each other, or of `parent`. Between the look that found them and the hold
    /// one may have ended and its pid may be another's: so each is looked at again once it is held.
    pub(super) fn new(pids: &[Pid], parent: Pid) -> Held {
        let hold = |pid: Pid| {
            let handle = Handle::open(pid).ok();
            // Kernels before 5.3: a child of ours at least can't be anybody else.
            let safe = handle.is_some() || reap::is_our_child(pid);
            let known = |its: Pid| its == parent || pids.contains(&its);
            (safe && reap::parent_of(pid).is_some_and(known)).then_some((pid, handle))
        };
        Held(pids.iter().filter_map(|&pid| hold(pid)).collect())
    }

    /// Sends all of them a signal. What is refused, or is gone by now, can't be helped.
    pub(super) fn kill(&self, signal: Signal) {
        for (pid, handle) in &self.0 {
            let _ = match handle {
                Some(handle) => handle.kill(signal),
                None => reap::kill(*pid, signal),
            };
        }
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
