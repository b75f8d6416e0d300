//! What runs in the child, between clone and exec.
//!
//! Here lar's memory is shared with lar, which stands still. So: raw system calls only, on data
//! that was prepared; nothing is allocated, locked, logged or looked up; no glibc wrapper that
//! knows about threads (its setuid tells the *parent's* threads to follow); nothing that can panic;
//! nothing is opened but a file under /proc. errno is lar's own, which does not mind.

use std::convert::Infallible;
use std::ffi::{c_char, c_int, c_long, c_void};

use super::Report;
use super::image::{Capabilities, Ids, Image, Place};
use super::passed::Passed;
use crate::exit::{Errno, Stage};
use crate::sys::last_errno;
use crate::sys::signals::{self, Set};

/// What the child is given.
pub(super) struct Task<'a> {
    pub image: &'a Image,
    pub report: &'a Report,
    /// The signals that lar ignores.
    pub ignored: Set,
}

type Failure = (Stage, Errno);

// 16-bit ids are what the plain numbers mean on old 32-bit machines.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID};
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{
    SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID,
};

/// The exit code of a child that did not become its program; what shells use for "not found".
const NOT_STARTED: c_int = 127;

/// "This id stays as it is", for setresuid(2).
const KEEP: c_long = u32::MAX as c_long;

/// The child's whole life. Never returns.
pub(super) extern "C" fn run(task: *mut c_void) -> c_int {
    // SAFETY: spawn passes a Task that outlives this child, or the child's copy of it.
    let task = unsafe { &*task.cast::<Task>() };
    let Err(failure) = become_program(task);
    task.report.set(failure);
    // SAFETY: ends this process alone, without exit handlers or buffers, which are lar's.
    unsafe { libc::syscall(libc::SYS_exit_group, NOT_STARTED) };
    // exit_group can't fail.
    NOT_STARTED
}

/// The steps in their order: what needs rights before the rights are given up, unblocking the
/// signals last.
fn become_program(task: &Task) -> Result<Infallible, Failure> {
    let image = task.image;
    enter_place(&image.place)?;
    reset_dispositions(task.ignored, image.signals.ignored);
    if let Some((digits, length)) = &image.oom_score {
        write_oom_score(digits.get(..*length).unwrap_or(digits))?;
    }
    for (resource, pair) in image.limits.iter() {
        let set = [0, *resource as c_long, at(pair), 0, 0];
        call(Stage::Limits, libc::SYS_prlimit64, set)?;
    }
    if let Some(nice) = image.nice {
        let process = libc::PRIO_PROCESS as c_long;
        call(Stage::Nice, libc::SYS_setpriority, [process, 0, nice.into(), 0, 0])?;
    }
    if let Some(priority) = image.ionice {
        call(Stage::IoNice, libc::SYS_ioprio_set, [IOPRIO_WHO_PROCESS, 0, priority.into(), 0, 0])?;
    }
    if let Some(umask) = image.umask {
        call(Stage::Directory, libc::SYS_umask, [umask as c_long, 0, 0, 0, 0])?;
    }
    let entered = enter_directory(image, image.ids.is_some())?;
    connect_stdio(image.stdio)?;
    pass_fds(&image.fds)?;
    if image.closes_fds {
        close_others(&image.fds);
    }
    if let Some(capabilities) = &image.capabilities {
        drop_from_bounding_set(capabilities)?;
    }
    if let Some(ids) = &image.ids {
        switch_user(ids)?;
    }
    if !entered {
        enter_directory(image, false)?;
    }
    if let Some(capabilities) = &image.capabilities {
        keep_capabilities(capabilities)?;
    }
    if image.no_new_privileges {
        prctl(Stage::NoNewPrivileges, libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    }
    if let Some(text) = &image.listen_pid {
        text.set(call(Stage::Fds, libc::SYS_getpid, [0; 5])? as u32);
    }
    signals::set_mask(image.signals.mask);
    Err(execute(image))
}

const IOPRIO_WHO_PROCESS: c_long = 1;

/// One raw system call; -1 is a failure of this stage.
fn call(stage: Stage, number: c_long, [a, b, c, d, e]: [c_long; 5]) -> Result<c_long, Failure> {
    // SAFETY: every pointer among the arguments comes from `at`, of data that outlives the call and
    // is as large as the call reads or writes; each caller names a call and its arguments in one
    // line.
    match unsafe { libc::syscall(number, a, b, c, d, e) } {
        -1 => Err((stage, last_errno())),
        answer => Ok(answer),
    }
}

/// A pointer as an argument.
fn at<T: ?Sized>(data: *const T) -> c_long {
    data.cast::<c_void>() as c_long
}

fn prctl(stage: Stage, option: c_int, a: c_long, b: c_long) -> Result<c_long, Failure> {
    call(stage, libc::SYS_prctl, [option.into(), a, b, 0, 0])
}

fn enter_place(place: &Place) -> Result<(), Failure> {
    match place {
        Place::Session => call(Stage::Session, libc::SYS_setsid, [0; 5]).map(drop),
        Place::Leader(terminal) => enter_session(*terminal),
        Place::Group => call(Stage::Session, libc::SYS_setpgid, [0; 5]).map(drop),
        Place::Job(terminal) => enter_job(*terminal),
        Place::Shared => Ok(()),
    }
}

/// Leads a session, and takes the terminal into it. That it is none, or another session's, or has hung up, the program
/// will learn anyway.
fn enter_session(terminal: c_int) -> Result<(), Failure> {
    call(Stage::Session, libc::SYS_setsid, [0; 5])?;
    let take = [terminal.into(), libc::TIOCSCTTY as c_long, 0, 0, 0];
    let _ = call(Stage::Terminal, libc::SYS_ioctl, take);
    Ok(())
}

/// Leaves lar's process group, and takes the foreground along if it is lar's to give. It may be the
/// shell's (`&`); and the terminal may have hung up, which the program will learn anyway.
fn enter_job(terminal: c_int) -> Result<(), Failure> {
    let stage = Stage::Terminal;
    let mut foreground: c_int = 0;
    let ask = [terminal.into(), libc::TIOCGPGRP as c_long, at(&raw mut foreground), 0, 0];
    let known = call(stage, libc::SYS_ioctl, ask).is_ok();
    let ours = call(stage, libc::SYS_getpgid, [0; 5])?;
    call(Stage::Session, libc::SYS_setpgid, [0; 5])?;
    if !known || c_long::from(foreground) != ours {
        return Ok(());
    }
    // Only somebody who blocks SIGTTOU may do this from the background, where we are since setpgid.
    signals::set_mask(Set::ALL);
    let own = call(stage, libc::SYS_getpid, [0; 5])? as c_int;
    let give = [terminal.into(), libc::TIOCSPGRP as c_long, at(&own), 0, 0];
    match call(stage, libc::SYS_ioctl, give) {
        Err((_, Errno(libc::ENOTTY | libc::ENXIO | libc::EIO))) => Ok(()),
        answer => answer.map(drop),
    }
}

/// exec resets handlers by itself, but hands on what is ignored.
fn reset_dispositions(ignored: Set, wanted: Set) {
    for signal in ignored.minus(wanted).iter() {
        signals::dispose(signal, libc::SIG_DFL);
    }
    for signal in wanted.minus(ignored).iter() {
        signals::dispose(signal, libc::SIG_IGN);
    }
}

fn write_oom_score(digits: &[u8]) -> Result<(), Failure> {
    let stage = Stage::OomScore;
    let path = at(c"/proc/self/oom_score_adj".as_ptr());
    let flags = c_long::from(libc::O_WRONLY | libc::O_CLOEXEC);
    let fd = call(stage, libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags, 0, 0])?;
    // Closed with all others.
    call(stage, libc::SYS_write, [fd, at(digits), digits.len() as c_long, 0, 0]).map(drop)
}

/// As root, before the user is switched. `later`: EACCES is not final, since root without its
/// capabilities, or on NFS, may be kept out where the user is not. Whether it is done.
fn enter_directory(image: &Image, later: bool) -> Result<bool, Failure> {
    let Some(directory) = image.directory else { return Ok(true) };
    match call(Stage::Directory, libc::SYS_chdir, [at(directory), 0, 0, 0, 0]) {
        Err((_, Errno(libc::EACCES))) if later => Ok(false),
        answer => answer.map(|_| true),
    }
}

/// Puts three fds at 0, 1 and 2. Sources among 0 to 2 are first moved out of
/// the way, so that any exchange works.
fn connect_stdio(stdio: [c_int; 3]) -> Result<(), Failure> {
    let stage = Stage::Fds;
    let move_up = c_long::from(libc::F_DUPFD_CLOEXEC);
    let mut sources = [0; 3];
    for (target, (source, &fd)) in (0..).zip(sources.iter_mut().zip(&stdio)) {
        *source = c_long::from(fd);
        if *source < 3 && *source != target {
            *source = call(stage, libc::SYS_fcntl, [*source, move_up, 3, 0, 0])?;
        }
    }
    for (target, &source) in (0..).zip(&sources) {
        if source == target {
            call(stage, libc::SYS_fcntl, [source, libc::F_SETFD.into(), 0, 0, 0])?;
        } else {
            call(stage, libc::SYS_dup3, [source, target, 0, 0, 0])?;
        }
    }
    Ok(())
}

/// Puts further fds where the program is to find them. A source that is another one's target is first moved out of the
/// way.
fn pass_fds(fds: &[Passed]) -> Result<(), Failure> {
    let stage = Stage::Fds;
    let Some(last) = fds.last() else { return Ok(()) };
    let move_up = c_long::from(libc::F_DUPFD_CLOEXEC);
    for fd in fds {
        let mut held = c_long::from(fd.source);
        if fd.source != fd.target && fds.iter().any(|other| other.target == fd.source) {
            held =
                call(stage, libc::SYS_fcntl, [held, move_up, c_long::from(last.target) + 1, 0, 0])?;
        }
        fd.held.set(held as c_int);
    }
    for fd in fds {
        let (held, target) = (c_long::from(fd.held.get()), c_long::from(fd.target));
        if held == target {
            call(stage, libc::SYS_fcntl, [target, libc::F_SETFD.into(), 0, 0, 0])?;
        } else {
            call(stage, libc::SYS_dup3, [held, target, 0, 0, 0])?;
        }
    }
    Ok(())
}

/// Closes what is between and behind these.
fn close_others(fds: &[Passed]) {
    let mut from = 3;
    for fd in fds {
        if fd.target > from {
            crate::sys::fd::close_range(from, fd.target - 1);
        }
        from = fd.target.saturating_add(1);
    }
    crate::sys::fd::close_range(from, c_int::MAX);
}

fn switch_user(ids: &Ids) -> Result<(), Failure> {
    let groups = [ids.groups.len() as c_long, at(ids.groups.as_ptr()), 0, 0, 0];
    call(Stage::Groups, SETGROUPS, groups)?;
    let gid = ids.gid as c_long;
    call(Stage::Group, SETRESGID, [gid, gid, gid, 0, 0])?;
    let uid = ids.uid.map_or(KEEP, |uid| uid as c_long);
    call(Stage::User, SETRESUID, [uid, uid, uid, 0, 0]).map(drop)
}

/// While we have the right to; and what is permitted shall survive the change of user.
fn drop_from_bounding_set(capabilities: &Capabilities) -> Result<(), Failure> {
    let stage = Stage::Capabilities;
    for number in (0..64).filter(|number| capabilities.drop & 1 << number != 0) {
        prctl(stage, libc::PR_CAPBSET_DROP, number, 0)?;
    }
    prctl(stage, libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// The sets of capset(2), version 3: two halves of 32 bits each.
#[repr(C)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Keeps these and no others: permitted, and ambient, so that they reach a program that knows
/// nothing of capabilities.
fn keep_capabilities(capabilities: &Capabilities) -> Result<(), Failure> {
    let stage = Stage::Capabilities;
    let half = |bits: u64| {
        let bits = bits as u32;
        CapabilityHalf { effective: bits, permitted: bits, inheritable: bits }
    };
    let header = [CAPABILITY_VERSION, 0];
    let halves = [half(capabilities.keep), half(capabilities.keep >> 32)];
    call(stage, libc::SYS_capset, [at(&header), at(&halves), 0, 0, 0])?;
    let ambient = libc::PR_CAP_AMBIENT;
    prctl(stage, ambient, libc::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0)?;
    for number in (0..64).filter(|number| capabilities.keep & 1 << number != 0) {
        prctl(stage, ambient, libc::PR_CAP_AMBIENT_RAISE.into(), number)?;
    }
    Ok(())
}

/// Tries each path, as execvp(3) does: what is not there, or not allowed, is passed over; EACCES is
/// remembered. Returns only if none could be executed.
fn execute(image: &Image) -> Failure {
    let mut found = Errno(libc::ENOENT);
    for &path in image.candidates.iter() {
        let errno = match execve(image, path, 1) {
            Errno(libc::ENOEXEC) if is_text(path) => {
                return (Stage::Exec, execute_script(image, path));
            }
            errno => errno,
        };
        match errno.0 {
            libc::EACCES => found = errno,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {
                if found.0 != libc::EACCES {
                    found = errno;
                }
            }
            _ => return (Stage::Exec, errno),
        }
    }
    (Stage::Exec, found)
}

/// Whether a file that the kernel can't execute begins as text does. What has a zero byte there is a program
/// for another machine or a broken one, and the shell would only make riddles of it. It is a regular file, or the
/// kernel had said something else; so this waits for nothing but its disk.
fn is_text(path: *const c_char) -> bool {
    let mut start = [0_u8; 128];
    let flags = c_long::from(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK);
    let open = [libc::AT_FDCWD.into(), at(path), flags, 0, 0];
    let Ok(fd) = call(Stage::Exec, libc::SYS_openat, open) else { return false };
    let read = [fd, at(start.as_mut_ptr()), start.len() as c_long, 0, 0];
    let count = call(Stage::Exec, libc::SYS_read, read).unwrap_or(0);
    let _ = call(Stage::Exec, libc::SYS_close, [fd, 0, 0, 0, 0]);
    start.iter().take(count as usize).all(|&byte| byte != 0)
}

/// An executable text of no known format is a shell script without `#!`, to shells and to execvp(3).
fn execute_script(image: &Image, path: *const c_char) -> Errno {
    let shell = c"/bin/sh".as_ptr();
    if let [zeroth, first, ..] = &*image.argv {
        zeroth.set(shell);
        first.set(path);
    }
    execve(image, shell, 0);
    Errno(libc::ENOEXEC)
}

/// execve with the words from `skip` on.
fn execve(image: &Image, path: *const c_char, skip: usize) -> Errno {
    let argv = image.argv.as_ptr().wrapping_add(skip);
    let arguments = [at(path), at(argv), at(image.envp.as_ptr()), 0, 0];
    match call(Stage::Exec, libc::SYS_execve, arguments) {
        Err((_, errno)) => errno,
        // Never: a success does not return.
        Ok(_) => Errno(libc::ENOEXEC),
    }
}
