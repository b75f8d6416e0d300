//! Waiting for whatever comes first: a moment, a signal, the end of a child, an fd.

use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::exit::{Errno, ExitStatus, Pid};
use crate::signal::Signal;
use crate::sys::clock;
use crate::sys::reap;
use crate::sys::signals::SignalFd;
use crate::time::Instant;

/// The signals that ask lar to give up what it is at.
const ASKING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// What is waited with. It reaps every child that ends: lar has no others than those it has started, and those that
/// these have left to it.
pub(super) struct Watch {
    signals: SignalFd,
    asked: Vec<Signal>,
    ends: Vec<(Pid, ExitStatus)>,
}

impl Watch {
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn new() -> Result<Watch, Errno> {
        Ok(Watch { signals: SignalFd::new()?, asked: Vec::new(), ends: Vec::new() })
    }

    /// Waits until this moment (`None`: for ever), or until something happens: a child has ended, somebody asks us to
    /// give up, the fd is ready. Whether the fd is.
    pub(super) fn nap(
        &mut self,
        until: Option<Instant>,
        fd: Option<(BorrowedFd, PollFlags)>,
    ) -> bool {
        let ready = sleep(self.signals.as_fd(), until, fd);
        while let Some(received) = self.signals.read() {
            if ASKING.contains(&received.signal) {
                self.asked.push(received.signal);
            }
        }
        self.collect();
        ready
    }

    /// Reaps who has ended.
    pub(super) fn collect(&mut self) {
        while let Some(pid) = reap::next() {
            let Some(status) = reap::reap(pid) else { break };
            self.ends.push((pid, status));
        }
    }

    /// Who asked us first to give up.
    pub(super) fn asked(&self) -> Option<Signal> {
        self.asked.first().copied()
    }

    /// Whether somebody has asked more than once.
    pub(super) fn asked_again(&self) -> bool {
        self.asked.len() > 1
    }

    /// How this child has ended, if it has.
    pub(super) fn end_of(&self, pid: Pid) -> Option<ExitStatus> {
        self.ends.iter().find(|(known, _)| *known == pid).map(|&(_, status)| status)
    }

    /// The child that has ended last.
    pub(super) fn last_end(&self) -> Option<(Pid, ExitStatus)> {
        self.ends.last().copied()
    }

    /// Forgets how the last process of this pid has ended: a new one has it.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.ends.retain(|&(known, _)| known != pid);
    }
}

/// Whether the fd is ready. Interrupted and failed calls are looks like any other: whoever waits looks again.
fn sleep(signals: BorrowedFd, until: Option<Instant>, fd: Option<(BorrowedFd, PollFlags)>) -> bool {
    let mut fds = vec![PollFd::new(signals, PollFlags::POLLIN)];
    fds.extend(fd.map(|(fd, flags)| PollFd::new(fd, flags)));
    let timeout = until.map_or(PollTimeout::NONE, |until| {
        // Up to the next millisecond: to wake up before the time has come would be to look for nothing.
        let millis = until.since(clock::now()).as_nanos().div_ceil(1_000_000);
        PollTimeout::try_from(millis.min(1 << 30) as i32).unwrap_or(PollTimeout::ZERO)
    });
    let found = poll(&mut fds, timeout).unwrap_or(0);
    found > 0 && fds.get(1).and_then(PollFd::any).unwrap_or(false)
}
