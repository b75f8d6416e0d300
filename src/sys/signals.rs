//! Signals to lar itself: taken over before anything else happens, read from an fd, given back to
//! whom they belong.
//!
//! From [`take_over`] on every signal that can be blocked is blocked for good, so one that is sent
//! in the first microsecond waits until somebody reads it. Nothing is ever done in a handler. The
//! masks are the kernel's own 64 bits, set by raw system calls: glibc's wrappers silently leave out
//! signals 32 and 33, and then a child would not get exactly the mask that lar was given.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::{checked, clock, uninterrupted};
use crate::time::Instant;

/// A set of signals as the kernel keeps it: signal n is bit n - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    /// No signal.
    pub const EMPTY: Set = Set(0);
    /// All 64.
    pub const ALL: Set = Set(u64::MAX);

    /// This set and `signal`.
    pub const fn with(self, signal: Signal) -> Set {
        Set(self.0 | bit(signal))
    }

    /// This set but for `signal`.
    pub const fn without(self, signal: Signal) -> Set {
        Set(self.0 & !bit(signal))
    }

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    /// What is in this set or in `other`.
    pub const fn and(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    pub const fn minus(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    /// As the kernel's mask, and as /proc/PID/status prints it.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The signals in it, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=64).filter_map(Signal::new).filter(move |&signal| self.contains(signal))
    }
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}

/// What stays unblocked: faults of lar's own instructions. The kernel forces a blocked one to its
/// default action, past any handler, and a PID 1 that dies takes the machine along.
const FAULTS: [Signal; 7] =
    [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE, Signal::ABRT, Signal::TRAP, Signal::SYS];

/// Every signal that lar takes over: all but the faults, and those two that nobody can.
pub fn handled() -> Set {
    let left = FAULTS.into_iter().chain([Signal::KILL, Signal::STOP]);
    left.fold(Set::ALL, Set::without)
}

/// The signal state that lar was given by whoever started it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// What was blocked.
    pub mask: Set,
    /// What was ignored.
    pub ignored: Set,
}

static SAVED: OnceLock<Saved> = OnceLock::new();

/// See [`were_held`].
static HELD: OnceLock<Set> = OnceLock::new();

/// When the mask was set. Read right after it, so a signal that was sent later than this has found it set.
static HELD_SINCE: OnceLock<Instant> = OnceLock::new();

/// Saves the inherited signal state and makes it lar's own. The first thing that `main` does; a
/// second call changes nothing and returns the same.
///
/// - Everything but the faults is blocked.
/// - SIGCHLD gets its default action: an inherited "ignore" would make the kernel reap lar's
///   children and keep their exit codes to itself. Stops and continues of children are not
///   announced, only deaths.
/// - SIGPIPE is ignored, so that a broken pipe is an errno and no more than that.
pub fn take_over() -> Saved {
    *SAVED.get_or_init(|| {
        let mask = set_mask(handled());
        HELD_SINCE.get_or_init(clock::now);
        let saved = Saved { mask, ignored: ignored() };
        announce_stops(false);
        dispose(Signal::PIPE, libc::SIG_IGN);
        saved
    })
}

/// What [`take_over`] saved; if it never ran (in tests), what is in force now.
pub fn saved() -> Saved {
    let saved = SAVED.get().copied();
    let saved = saved.unwrap_or_else(|| Saved { mask: mask(), ignored: ignored() });
    let held = HELD.get().copied().unwrap_or_default();
    Saved { mask: saved.mask.minus(held), ..saved }
}

/// These were blocked by lar itself, before it executed itself anew: no part of what it was given. Told once.
pub fn were_held(held: Set) {
    HELD.get_or_init(|| held);
}

/// Since when no signal is lost, if [`take_over`] ran. To a PID 1 the kernel drops what comes before.
pub fn held_since() -> Option<Instant> {
    HELD_SINCE.get().copied()
}

/// What lar ignores now: an exec would hand it on. Known without asking once [`take_over`] has run.
pub(super) fn ignored_by_us() -> Set {
    match SAVED.get() {
        Some(saved) => saved.ignored.without(Signal::CHLD).with(Signal::PIPE),
        None => ignored(),
    }
}

/// Undoes [`take_over`] for a command that is no manager: Ctrl-C and a closed pipe end it as they
/// end any program.
pub fn give_back() {
    give_back_but(Set::EMPTY);
}

/// The same, but `held` stays blocked. SIGCHLD keeps its default action: where it is ignored, nobody
/// is told of a child's end. A child is given what lar was given by [`hand_on`].
pub fn give_back_but(held: Set) {
    let saved = saved();
    let ignore = saved.ignored.contains(Signal::PIPE);
    dispose(Signal::PIPE, if ignore { libc::SIG_IGN } else { libc::SIG_DFL });
    set_mask(saved.mask.and(held));
}

/// Makes a call that may block for long. Meanwhile signals that lar was not given blocked do to it what they did before
/// [`take_over`]: Ctrl-C ends it.
pub fn interruptibly<T>(call: impl FnOnce() -> T) -> T {
    let before = set_mask(saved().mask);
    let answer = call();
    set_mask(before);
    answer
}

/// Has a command begin with the signals that lar was given, and `held` blocked, whatever lar itself
/// holds back by then. (The standard library hands on the mask of the moment.)
pub fn hand_on(command: &mut Command, held: Set) {
    let saved = saved();
    let prepare = move || {
        // INT may have a handler, which would swallow one that has come since the fork.
        for signal in [Signal::CHLD, Signal::INT] {
            let ignore = saved.ignored.contains(signal);
            dispose(signal, if ignore { libc::SIG_IGN } else { libc::SIG_DFL });
        }
        set_mask(saved.mask.and(held));
        Ok(())
    };
    // SAFETY: between fork and exec `prepare` makes a few system calls, and touches nothing else.
    unsafe { command.pre_exec(prepare) };
}

/// Whether children that stop or go on are announced by SIGCHLD too, as single-program mode needs
/// on a terminal.
pub fn announce_stops(yes: bool) {
    // SAFETY: sigaction is plain data, for which all zeros is a value (default action, empty mask).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_DFL;
    action.sa_flags = if yes { 0 } else { libc::SA_NOCLDSTOP };
    // SAFETY: the kernel reads one sigaction, which lives until the call returns. It can't fail for
    // SIGCHLD.
    unsafe { libc::sigaction(libc::SIGCHLD, &action, std::ptr::null_mut()) };
}

/// The kernel's `struct sigaction`, as far as all of Linux's ports that lar is built for agree: the
/// handler comes first. It is larger than any of them; the rest stays zero.
type RawAction = [usize; 8];

/// The size of the kernel's signal set in bytes.
const SET_SIZE: usize = 8;

/// Sets a signal to "default" or "ignore". KILL, STOP and the like are refused by the kernel, which
/// is fine. Async-signal safe: the child of a spawn uses it.
pub(super) fn dispose(signal: Signal, handler: libc::sighandler_t) {
    let action: RawAction = [handler, 0, 0, 0, 0, 0, 0, 0];
    let none = std::ptr::null_mut::<RawAction>();
    // SAFETY: the kernel reads no more than its struct from `action`, which is larger and lives
    // until the call returns.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal.number(), &action, none, SET_SIZE) };
}

/// The signals that are ignored at this moment.
fn ignored() -> Set {
    let ignored = |signal: &Signal| {
        let mut action: RawAction = [0; 8];
        let none = std::ptr::null::<RawAction>();
        // SAFETY: the kernel writes no more than its struct to `action`, which is larger.
        let answer = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal.number(), none, &mut action, SET_SIZE)
        };
        answer == 0 && action[0] == libc::SIG_IGN
    };
    Set::ALL.iter().filter(ignored).fold(Set::EMPTY, Set::with)
}

/// Replaces the mask of this thread and returns the one before. Async-signal safe.
pub(super) fn set_mask(new: Set) -> Set {
    let mut old = 0_u64;
    // SAFETY: the kernel reads and writes eight bytes each, both of which live until the call
    // returns.
    unsafe {
        let new = &raw const new.0;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, &mut old, SET_SIZE);
    }
    Set(old)
}

fn mask() -> Set {
    let mut now = 0_u64;
    let none = std::ptr::null::<u64>();
    // SAFETY: no new mask is given, so only `now` is written: eight bytes.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none, &mut now, SET_SIZE) };
    Set(now)
}

/// What is blocked and waits to be read.
pub(super) fn pending() -> Set {
    let mut set = 0_u64;
    // SAFETY: the kernel writes eight bytes to `set`.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &mut set, SET_SIZE) };
    Set(set)
}

/// Takes a blocked signal away, if it is pending; whether it was.
pub fn discard(signal: Signal) -> bool {
    let set = Set::EMPTY.with(signal).bits();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let nobody = std::ptr::null_mut::<libc::siginfo_t>();
    // SAFETY: the kernel reads eight bytes of the set and one timespec, both of which live until the call returns.
    let taken = unsafe {
        libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, nobody, &at_once, SET_SIZE)
    };
    taken == i64::from(signal.number()) as libc::c_long
}

/// The C library's words for a signal, as tini prints them: `Terminated`.
pub fn words(signal: Signal) -> String {
    // SAFETY: the answer is a C string that is good until the next call, and lar has one thread.
    let text = unsafe {
        let text = libc::strsignal(signal.number());
        (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    text.unwrap_or_else(|| signal.to_string())
}

/// A signal that lar got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub signal: Signal,
    /// Who sent it; `None` for the kernel, and for a process outside of lar's pid namespace. lar's
    /// own pid on SIGPIPE means that lar itself wrote to a closed pipe.
    pub sender: Option<Pid>,
    /// si_code: SI_KERNEL (128) for Ctrl-Alt-Del, SI_USER (0) for kill(2).
    pub code: i32,
}

impl Received {
    /// Whether the kernel itself sent it: a terminal's keys, its size, its hang-up.
    pub fn by_kernel(&self) -> bool {
        self.code == libc::SI_KERNEL
    }
}

/// The fd from which blocked signals are read. Several deaths make one SIGCHLD: it is a hint, and
/// says nothing about whom.
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// An fd for every signal that [`take_over`] blocked. EMFILE, ENFILE, ENOMEM.
    pub fn new() -> Result<SignalFd, Errno> {
        SignalFd::of(handled())
    }

    /// The same, and from now on the signals of faults are blocked and read from it, too. A real
    /// fault of lar's still ends it: the kernel sees to that.
    pub fn with_faults() -> Result<SignalFd, Errno> {
        set_mask(Set::ALL);
        SignalFd::of(Set::ALL)
    }

    fn of(set: Set) -> Result<SignalFd, Errno> {
        let mask = set.bits();
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the kernel reads eight bytes of mask; on success the new fd has no other owner
        // yet.
        unsafe {
            let fd = libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, SET_SIZE, flags);
            Ok(SignalFd(OwnedFd::from_raw_fd(checked(fd as i32)?)))
        }
    }

    /// The next signal; `None` when there is none. To be drained to `None`: an edge-triggered epoll
    /// reports nothing until the next signal comes, even if others wait.
    pub fn read(&mut self) -> Option<Received> {
        loop {
            // SAFETY: signalfd_siginfo is plain data, for which all zeros is a value.
            let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
            let size = size_of::<libc::signalfd_siginfo>();
            let fd = self.0.as_raw_fd();
            // SAFETY: `info` has room for `size` bytes, and the kernel writes whole records only.
            let read = || unsafe { libc::read(fd, (&raw mut info).cast(), size) as i32 };
            if uninterrupted(read).ok() != i32::try_from(size).ok() {
                return None;
            }
            let sender = i32::try_from(info.ssi_pid).ok().filter(|&pid| pid > 0).map(Pid);
            if let Some(signal) = Signal::new(info.ssi_signo as i32) {
                return Some(Received { signal, sender, code: info.ssi_code });
            }
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_numbers_are_those_of_this_machine() {
        let pairs = [
            (Signal::HUP, libc::SIGHUP),
            (Signal::INT, libc::SIGINT),
            (Signal::QUIT, libc::SIGQUIT),
            (Signal::ILL, libc::SIGILL),
            (Signal::TRAP, libc::SIGTRAP),
            (Signal::ABRT, libc::SIGABRT),
            (Signal::BUS, libc::SIGBUS),
            (Signal::FPE, libc::SIGFPE),
            (Signal::KILL, libc::SIGKILL),
            (Signal::USR1, libc::SIGUSR1),
            (Signal::SEGV, libc::SIGSEGV),
            (Signal::USR2, libc::SIGUSR2),
            (Signal::PIPE, libc::SIGPIPE),
            (Signal::TERM, libc::SIGTERM),
            (Signal::CHLD, libc::SIGCHLD),
            (Signal::CONT, libc::SIGCONT),
            (Signal::STOP, libc::SIGSTOP),
            (Signal::TSTP, libc::SIGTSTP),
            (Signal::TTIN, libc::SIGTTIN),
            (Signal::TTOU, libc::SIGTTOU),
            (Signal::WINCH, libc::SIGWINCH),
            (Signal::PWR, libc::SIGPWR),
            (Signal::SYS, libc::SIGSYS),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.number(), theirs, "{ours}");
        }
        let by_name = [
            ("ALRM", libc::SIGALRM),
            ("STKFLT", libc::SIGSTKFLT),
            ("URG", libc::SIGURG),
            ("XCPU", libc::SIGXCPU),
            ("XFSZ", libc::SIGXFSZ),
            ("VTALRM", libc::SIGVTALRM),
            ("PROF", libc::SIGPROF),
            ("IO", libc::SIGIO),
            ("RTMAX", libc::SIGRTMAX()),
            ("RTMIN", libc::SIGRTMIN()),
        ];
        for (name, theirs) in by_name {
            assert_eq!(Signal::parse(name).map(Signal::number), Some(theirs), "{name}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = Set::EMPTY.with(Signal::HUP).with(Signal::new(64).unwrap());
        assert_eq!(set.bits(), 0x8000_0000_0000_0001);
        assert_eq!(set.iter().map(Signal::number).collect::<Vec<_>>(), [1, 64]);
        assert!(!set.without(Signal::HUP).contains(Signal::HUP));
    }

    #[test]
    fn faults_are_never_blocked() {
        for signal in FAULTS {
            assert!(!handled().contains(signal), "{signal}");
        }
        assert_eq!(handled().iter().count(), 64 - FAULTS.len() - 2);
    }
}
