//! The controlling terminal of single-program mode: who has the foreground, and job control.
//!
//! lar is a guest between a shell and the program: the terminal goes to the program when it is
//! lar's to give (never when lar was started with `&`), comes back when the program stops or ends,
//! and a stopped program stops lar, so that the shell sees it. It is found by /dev/tty, because
//! stdin may be redirected.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::signals::{self, Set};
use crate::sys::{checked, uninterrupted};

/// Our controlling terminal, held open.
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Our controlling terminal, if we have one. Without the device node /dev/tty: whichever of fds
    /// 0 to 2 it is.
    pub fn open() -> Option<Terminal> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the path is a C string that lives for ever.
        let by_name = uninterrupted(|| unsafe { libc::open(c"/dev/tty".as_ptr(), flags) }).ok();
        let fd = by_name.or_else(|| {
            (0..3).find_map(|fd| {
                // Only the controlling terminal has a foreground group for us.
                foreground_of(fd).ok()?;
                // SAFETY: the call takes plain numbers.
                checked(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) }).ok()
            })
        })?;
        // SAFETY: the fd is new, from one of the two calls above, and has no other owner.
        let terminal = Terminal(unsafe { OwnedFd::from_raw_fd(fd) });
        terminal.foreground().is_ok().then_some(terminal)
    }

    /// The process group that has the foreground. ENOTTY once the terminal has hung up.
    pub fn foreground(&self) -> Result<Pid, Errno> {
        foreground_of(self.0.as_raw_fd())
    }

    /// Whether the foreground is ours: only then is the terminal ours to give.
    pub fn is_ours(&self) -> bool {
        self.foreground() == Ok(own_group())
    }

    /// Gives the foreground to a process group of our session.
    pub fn give(&self, group: Pid) -> Result<(), Errno> {
        // A background process that does this is stopped by SIGTTOU, unless that is blocked. In lar
        // it always is; this is for callers that have not taken over the signals.
        let before = signals::set_mask(Set::ALL);
        let group = group.0;
        // SAFETY: TIOCSPGRP reads one int from `group`.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCSPGRP, &group) };
        let answer = checked(answer).map(drop);
        signals::set_mask(before);
        answer
    }

    /// Lets go of it, as the leader of its session: then another session can have it. The kernel tells the foreground
    /// of that by HUP and CONT; those that came to us for it are taken away again, and returned. A HUP that was
    /// waiting before is somebody's, and stays. ENOTTY: it is not our controlling terminal any more.
    pub fn let_go(&self) -> Result<Set, Errno> {
        let before = signals::pending();
        // SAFETY: TIOCNOTTY takes no argument.
        checked(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCNOTTY) })?;
        let ours = [Signal::HUP, Signal::CONT].into_iter();
        let ours = ours.filter(|&signal| !before.contains(signal) && signals::discard(signal));
        Ok(ours.fold(Set::EMPTY, Set::with))
    }

    /// Takes the foreground back from `group`, if it is that group which has it: a shell that took
    /// it since keeps it.
    pub fn take_from(&self, group: Pid) -> Result<(), Errno> {
        if self.foreground()? == group { self.give(own_group()) } else { Ok(()) }
    }
}

impl AsRawFd for Terminal {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn foreground_of(fd: RawFd) -> Result<Pid, Errno> {
    let mut group = 0_i32;
    // SAFETY: TIOCGPGRP writes one int to `group`.
    checked(unsafe { libc::ioctl(fd, libc::TIOCGPGRP, &mut group) })?;
    Ok(Pid(group))
}

fn own_group() -> Pid {
    Pid(nix::unistd::getpgrp().as_raw())
}

/// Stops ourselves, as Ctrl-Z would have, and returns when somebody continues us. `false` at once
/// if nobody would: PID 1, or no parent in our session that looks after jobs (an orphaned process
/// group). Then the caller continues the program instead, as the kernel ignores Ctrl-Z in such a
/// group.
///
/// The others of our group, a pipeline's for instance, are stopped too; a SIGTSTP from our own pid
/// is the echo of this.
pub fn suspend() -> bool {
    if crate::sys::boot::is_pid1() || group_is_orphaned() {
        return false;
    }
    // SAFETY: kill takes plain numbers and touches no memory; pid 0 is our own group.
    unsafe {
        libc::kill(0, Signal::TSTP.number());
        libc::kill(libc::getpid(), Signal::STOP.number());
    }
    true
}

/// Stops ourselves and nobody else, and returns when somebody continues us; at once as PID 1, which
/// can't be stopped.
pub fn suspend_alone() {
    if crate::sys::boot::is_pid1() {
        return;
    }
    // SAFETY: kill takes plain numbers and touches no memory.
    unsafe { libc::kill(libc::getpid(), Signal::STOP.number()) };
}

/// Whether we lead our session: then its controlling terminal is ours to let go of.
pub fn leads_session() -> bool {
    nix::unistd::getsid(None) == Ok(nix::unistd::getpid())
}

/// Whether nobody in our session looks after our process group: the parent of its eldest member is
/// in another session. Members that are our ancestors (a script that runs lar) are passed over,
/// which needs /proc.
fn group_is_orphaned() -> bool {
    let session = nix::unistd::getsid(None);
    let group = Ok(nix::unistd::getpgrp());
    let mut parent = nix::unistd::getppid();
    while nix::unistd::getpgid(Some(parent)) == group {
        let Some(Pid(next)) = crate::sys::reap::parent_of(Pid(parent.as_raw())) else {
            return true;
        };
        parent = nix::unistd::Pid::from_raw(next);
    }
    nix::unistd::getsid(Some(parent)) != session
}
