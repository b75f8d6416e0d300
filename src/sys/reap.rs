//! Children and groups of them: who has ended, how, who is left, and signals to them.
//!
//! Looking ([`next`]) and taking away ([`reap`]) are two steps, because a process group's number is
//! safe only while its leader is not reaped: what is left of the group is killed between the two.
//! SIGCHLD only says that it is time to look; the loop looks until nobody is left.

use std::fs;

use crate::exit::{Errno, ExitStatus, Pid};
use crate::signal::Signal;
use crate::sys::{checked, uninterrupted};

/// Waits for nothing, takes nothing away: what every look at a dead child has in common.
const PEEK: i32 = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;

/// A child that has ended and is not reaped yet; `None` when there is none. The same one again
/// until it is reaped.
pub fn next() -> Option<Pid> {
    let info = wait(libc::P_ALL, 0, PEEK).ok()?;
    child(&info)
}

/// How a child has ended that is not reaped yet. `None` if this is no child of ours, or one that lives.
pub fn status_of(pid: Pid) -> Option<ExitStatus> {
    let info = wait(libc::P_PID, pid.0, PEEK).ok()?;
    child(&info)?;
    // SAFETY: waitid has filled in the fields of a SIGCHLD siginfo.
    let status = unsafe { info.si_status() };
    match info.si_code {
        libc::CLD_EXITED => Some(ExitStatus::Code(status as u8)),
        code => {
            let core = code == libc::CLD_DUMPED;
            Signal::new(status).map(|signal| ExitStatus::Signal { signal, core })
        }
    }
}

/// Takes away a dead child. `None` if this is no child of ours, or one that lives.
pub fn reap(pid: Pid) -> Option<ExitStatus> {
    let mut status = 0;
    // SAFETY: the kernel writes one int to `status`.
    let wait = || unsafe { libc::waitpid(pid.0, &mut status, libc::WNOHANG) };
    if uninterrupted(wait).ok()? != pid.0 {
        return None;
    }
    decode(status)
}

/// What wait(2) says, in our words; `None` if the process only stopped.
fn decode(status: i32) -> Option<ExitStatus> {
    if libc::WIFEXITED(status) {
        return Some(ExitStatus::Code(libc::WEXITSTATUS(status) as u8));
    }
    if !libc::WIFSIGNALED(status) {
        return None;
    }
    let signal = Signal::new(libc::WTERMSIG(status))?;
    Some(ExitStatus::Signal { signal, core: libc::WCOREDUMP(status) })
}

/// A child that was stopped since the last call, and the signal that did it. Each stop is told
/// once.
pub fn stopped() -> Option<(Pid, Signal)> {
    let info = wait(libc::P_ALL, 0, libc::WSTOPPED | libc::WNOHANG).ok()?;
    // SAFETY: waitid has filled in the fields of a SIGCHLD siginfo, or left zeros.
    let status = unsafe { info.si_status() };
    Some((child(&info)?, Signal::new(status)?))
}

/// Whether this child has gone on since the stop that was told last; it may have stopped again.
pub fn has_gone_on(pid: Pid) -> bool {
    let how = libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG | libc::WNOWAIT;
    wait(libc::P_PID, pid.0, how).is_ok_and(|info| child(&info).is_some())
}

/// Whether no child of ours, alive or dead, is left in this process group. The members are ours
/// once their parents are dead, if lar is PID 1 or a subreaper.
pub fn group_is_empty(group: Pid) -> bool {
    matches!(wait(libc::P_PGID, group.0, PEEK), Err(Errno(libc::ECHILD)))
}

/// Whether this is a child of ours, alive or dead and not reaped: only then may its pid be held.
pub fn is_our_child(pid: Pid) -> bool {
    wait(libc::P_PID, pid.0, PEEK).is_ok()
}

/// Whether we have any child at all, alive or dead.
pub fn has_children() -> bool {
    wait(libc::P_ALL, 0, PEEK).is_ok()
}

fn wait(kind: libc::idtype_t, id: i32, how: i32) -> Result<libc::siginfo_t, Errno> {
    // SAFETY: siginfo_t is plain data, for which all zeros is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one siginfo_t to `info`.
    uninterrupted(|| unsafe { libc::waitid(kind, id as libc::id_t, &mut info, how) })?;
    Ok(info)
}

/// The child that waitid spoke of; `None` if it found nobody in that state.
fn child(info: &libc::siginfo_t) -> Option<Pid> {
    // SAFETY: waitid has filled in the fields of a SIGCHLD siginfo, or left zeros.
    let pid = unsafe { info.si_pid() };
    (pid > 0).then_some(Pid(pid))
}

/// Makes orphaned descendants our children, as PID 1 has it anyway. EINVAL before Linux 3.4.
pub fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: this prctl takes plain numbers and touches no memory.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Whether we are one already: it survives an exec. `false` before Linux 3.4.
pub fn is_subreaper() -> bool {
    let mut answer = 0_i32;
    // SAFETY: the kernel writes one int to `answer`.
    let asked = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut answer, 0, 0, 0) };
    asked == 0 && answer != 0
}

/// Sends a signal to a process that is not reaped yet.
pub fn kill(pid: Pid, signal: Signal) -> Result<(), Errno> {
    // SAFETY: kill takes plain numbers and touches no memory.
    checked(unsafe { libc::kill(pid.0, signal.number()) }).map(drop)
}

/// Sends a signal to the process group that this process leads; the leader is not reaped yet. If
/// there is no such group, to the leader alone: a child that is made by fork is not in its own
/// group from the first moment, and any process may leave its group.
pub fn kill_group(leader: Pid, signal: Signal) -> Result<(), Errno> {
    // Never -0 or -1: that would be our own group, or everybody.
    if leader.0 <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: kill takes plain numbers and touches no memory.
    match checked(unsafe { libc::kill(-leader.0, signal.number()) }) {
        Err(Errno(libc::ESRCH)) => kill(leader, signal),
        answer => answer.map(drop),
    }
}

/// The process group that a process is in, also if it has ended and is not reaped. ESRCH as `None`.
pub fn group_of(pid: Pid) -> Option<Pid> {
    // SAFETY: getpgid takes a plain number and touches no memory.
    checked(unsafe { libc::getpgid(pid.0) }).ok().map(Pid)
}

/// The group that lar itself is in.
pub fn own_group() -> Pid {
    // SAFETY: getpgrp takes nothing, touches no memory and can't fail.
    Pid(unsafe { libc::getpgrp() })
}

/// Sends a signal to the process group that this process is in, which it need not lead; to it alone if that is lar's
/// own group. It is not reaped yet.
pub fn kill_group_of(pid: Pid, signal: Signal) -> Result<(), Errno> {
    match group_of(pid).filter(|&group| group.0 > 1 && group != own_group()) {
        // SAFETY: kill takes plain numbers and touches no memory.
        Some(group) => checked(unsafe { libc::kill(-group.0, signal.number()) }).map(drop),
        None => kill(pid, signal),
    }
}

/// Sends a signal to every process of this pid namespace but ourselves. Refused (EPERM) unless we
/// are its PID 1: for anybody else "every process" means the whole machine.
pub fn kill_all(signal: Signal) -> Result<(), Errno> {
    if !crate::sys::boot::is_pid1() {
        return Err(Errno(libc::EPERM));
    }
    // SAFETY: kill takes plain numbers and touches no memory.
    checked(unsafe { libc::kill(-1, signal.number()) }).map(drop)
}

/// All our children, adopted ones too; `None` without /proc. For the end, when it does not matter
/// that it allocates.
pub fn children() -> Option<Vec<Pid>> {
    listed_children().or_else(|| scanned_children(crate::sys::own_pid()))
}

/// From the kernel's own list, if it is built with one (CONFIG_PROC_CHILDREN).
fn listed_children() -> Option<Vec<Pid>> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").ok()? {
        let list = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        found.extend(list.split_ascii_whitespace().filter_map(|word| word.parse().ok()).map(Pid));
    }
    Some(found)
}

/// By asking every process for its parent.
fn scanned_children(parent: Pid) -> Option<Vec<Pid>> {
    let mut found = Vec::new();
    let mut any = false;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        any = true;
        // One that is gone by now is no child to speak of.
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if parent_in(&stat) == Some(parent) {
            found.push(Pid(pid));
        }
    }
    any.then_some(found)
}

/// The session of any process; `None` if there is no such process, or it is none of ours to know.
pub fn session_of(pid: Pid) -> Option<Pid> {
    // SAFETY: getsid takes a plain number and touches no memory.
    checked(unsafe { libc::getsid(pid.0) }).ok().map(Pid)
}

/// The parent of any process; `None` without /proc, or if there is no such process.
pub fn parent_of(pid: Pid) -> Option<Pid> {
    parent_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The parent in a line of /proc/PID/stat. The name in brackets may itself hold brackets, blanks
/// and any other byte, so what counts comes after the last bracket: state, parent.
fn parent_in(stat: &[u8]) -> Option<Pid> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok().map(Pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_a_malicious_name() {
        assert_eq!(parent_in(b"77 (a) S 1 (b) R 42 77 77"), Some(Pid(42)));
        assert_eq!(parent_in(b"77 (sh\xff) S 9"), Some(Pid(9)));
        assert_eq!(parent_in(b"77 (sh"), None);
        assert_eq!(parent_in(b"77 (sh) S"), None);
    }

    #[test]
    fn wait_statuses_are_told_apart() {
        assert_eq!(decode(3 << 8), Some(ExitStatus::Code(3)));
        assert_eq!(decode(9), Some(ExitStatus::killed(Signal::KILL)));
        let dumped = ExitStatus::Signal { signal: Signal::SEGV, core: true };
        assert_eq!(decode(0x80 | 11), Some(dumped));
        assert_eq!(decode(0x137f), None);
    }

    #[test]
    fn nobody_else_is_killed_by_mistake() {
        assert_eq!(kill_group(Pid(1), Signal::KILL), Err(Errno(libc::ESRCH)));
        assert_eq!(kill_group(Pid(0), Signal::KILL), Err(Errno(libc::ESRCH)));
        if !crate::sys::boot::is_pid1() {
            assert_eq!(kill_all(Signal::KILL), Err(Errno(libc::EPERM)));
        }
    }
}
