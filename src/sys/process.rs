//! Processes that are not our children: what the kernel says of them, and a signal that hits no other.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::{checked, reap};

/// How far the clock may have been set between the start of a process and the writing of its pid, in nanoseconds: at
/// boot, daemons start before the machine has asked for the time. A pid is hardly ever somebody else's so soon.
pub const CLOCK_SET: i128 = 60 * 1_000_000_000;

/// What /proc says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether it has ended and only waits to be reaped, by whoever is its parent.
    pub dead: bool,
    /// Its parent.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// When it was started, in clock ticks since boot. With its pid, that is who it is.
    pub started: u64,
    /// The user it runs as.
    pub user: u32,
}

/// Those of one process; `None` if there is none, if it is hidden from us, or without /proc.
pub fn facts(pid: Pid) -> Option<Facts> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    parse(&stat, &status)
}

/// The name in brackets may hold anything, so what counts comes after the last bracket: state, parent, group; as the
/// eighteenth and the twentieth the number of threads and the start. The second number behind `Uid:` is the one that
/// rights come from.
fn parse(stat: &[u8], status: &[u8]) -> Option<Facts> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut words = rest.split_ascii_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    let group = words.next()?.parse().ok()?;
    let threads: u32 = words.nth(14)?.parse().ok()?;
    let started = words.nth(1)?.parse().ok()?;
    let status = String::from_utf8_lossy(status);
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let user = users.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // Where the main thread has ended and others go on, the state is that of a dead one.
    let dead = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some(Facts { dead, parent: Pid(parent), group: Pid(group), started, user })
}

/// Whether there is such a process, alive or dead and not reaped. One that we may not send signals to is one.
pub fn exists(pid: Pid) -> bool {
    // SAFETY: kill takes plain numbers and touches no memory; signal 0 only asks.
    let asked = checked(unsafe { libc::kill(pid.0, 0) });
    pid.0 > 0 && matches!(asked, Ok(_) | Err(Errno(libc::EPERM)))
}

/// Whether it exists and has not ended. In a container whose PID 1 does not reap, dead daemons stay for ever.
pub fn lives(pid: Pid) -> bool {
    exists(pid) && facts(pid).is_none_or(|facts| !facts.dead)
}

/// Everybody who descends from this process, children before their own; `None` without /proc.
pub fn descendants(of: Pid) -> Option<Vec<Pid>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid);
        // One that is gone by now has no descendants that matter: they are somebody else's.
        if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, reap::parent_of(pid)?))) {
            all.push((pid, parent));
        }
    }
    let mut found = vec![of];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|(_, its)| *its == parent).map(|&(pid, _)| pid));
        at += 1;
    }
    found.remove(0);
    (!all.is_empty()).then_some(found)
}

/// Whether a process descends from another, as far up as can be seen.
pub fn descends(pid: Pid, from: Pid) -> bool {
    let parents = std::iter::successors(Some(pid), |&pid| reap::parent_of(pid));
    // Nobody is as far down; pids that are given anew while we look could make a ring.
    parents.skip(1).take(1000).take_while(|parent| parent.0 > 0).any(|parent| parent == from)
}

/// Clock ticks in a second, the unit of [`Facts::started`].
pub fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a plain number and touches no memory.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1)
}

/// Now, in clock ticks since boot; suspended time counts, as it does for [`Facts::started`].
pub fn ticks() -> u64 {
    let nanos = boot_nanos().unsigned_abs();
    u64::try_from(nanos * u128::from(ticks_per_second()) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// When a process was started that has these ticks: nanoseconds since 1970, by the wall clock as it is now.
pub fn wall_of(started: u64) -> i128 {
    let boot = i128::from(crate::sys::clock::wall().0) - boot_nanos();
    boot + i128::from(started) * 1_000_000_000 / i128::from(ticks_per_second())
}

fn boot_nanos() -> i128 {
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    let now = nix::time::clock_gettime(clock).map(std::time::Duration::from).unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX)
}

/// Which boot of the machine this is; a container has its host's.
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// A hold on one process: whatever becomes of its pid, a signal by this reaches it and nobody else.
pub struct Handle(OwnedFd);

impl Handle {
    /// ESRCH; ENOSYS before Linux 5.3, EPERM where a container forbids the call.
    pub fn open(pid: Pid) -> Result<Handle, Errno> {
        // SAFETY: the call takes plain numbers; a new fd has no owner yet.
        unsafe {
            let fd = checked(libc::syscall(libc::SYS_pidfd_open, pid.0, 0) as i32)?;
            Ok(Handle(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Sends it a signal. ESRCH when it has been reaped, EPERM.
    pub fn kill(&self, signal: Signal) -> Result<(), Errno> {
        let (fd, none) = (self.0.as_raw_fd(), std::ptr::null_mut::<libc::siginfo_t>());
        // SAFETY: without a siginfo the kernel reads no memory.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal.number(), none, 0) };
        checked(sent as i32).map(drop)
    }

    /// Readable when it has ended, even if nobody reaps it.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::own_pid;

    #[test]
    fn facts_are_found_behind_a_malicious_name() {
        let stat = b"77 (a) Z 1 (b) S 42 70 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 10 11";
        let facts = parse(stat, b"Name:\tUid:\nUid:\t1\t33\t2\t3\nGid:\t4\t4\t4\t4\n").unwrap();
        assert_eq!(facts.parent, Pid(42));
        assert_eq!(facts.group, Pid(70));
        assert_eq!((facts.dead, facts.started, facts.user), (false, 98765, 33));
        assert!(parse(b"77 (b) Z 1 2 3", b"").is_none());
    }

    #[test]
    fn we_are_alive_and_were_started_just_now() {
        let facts = facts(own_pid()).unwrap();
        assert!(!facts.dead && exists(own_pid()) && lives(own_pid()));
        assert_eq!(facts.user, nix::unistd::geteuid().as_raw());
        assert!(facts.started <= ticks() + 1);
        let age = i128::from(crate::sys::clock::wall().0) - wall_of(facts.started);
        assert!((-1_000_000_000..3600 * 1_000_000_000).contains(&age), "{age}");
        assert!(boot_id().is_some_and(|id| id.len() == 36));
    }

    #[test]
    fn a_handle_tells_the_end_and_reaches_nobody_afterwards() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid(child.id() as i32);
        assert!(descendants(own_pid()).unwrap().contains(&pid));
        let Ok(handle) = Handle::open(pid) else {
            let _ = child.kill();
            let _ = child.wait();
            println!("skipped: no pidfds here");
            return;
        };
        assert!(descends(pid, own_pid()) && !descends(own_pid(), pid));
        handle.kill(Signal::KILL).unwrap();
        let ready = nix::poll::PollFlags::POLLIN;
        let mut fds = [nix::poll::PollFd::new(handle.fd(), ready)];
        assert_eq!(nix::poll::poll(&mut fds, 30_000u16), Ok(1));
        assert!(exists(pid) && !lives(pid), "dead, and not reaped");
        child.wait().unwrap();
        assert_eq!(handle.kill(Signal::KILL), Err(Errno(libc::ESRCH)));
        assert!(!exists(pid));
    }
}
