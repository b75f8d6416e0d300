//! File descriptors: lar's own standard ones, what it inherited, and how many it may have. Pipes and files for
//! output are in `pipe`.
//!
//! Everything that is opened here is close-on-exec, so that what a service gets is decided in one
//! place only, the spawn. Nothing here blocks on what a path turns out to be. Fds 0 to 2 are never
//! owned by anything.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;

use std::ffi::c_int;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit};

use crate::exit::Errno;
use crate::sys::{checked, errno_of, uninterrupted};

/// Makes sure that fds 0, 1 and 2 are open. For PID 1 a missing one is /dev/console, else
/// /dev/null; without devices it is a pipe with nobody at the other end: reading is at the end,
/// writing an error. (A memfd would grow for ever.)
pub fn make_standard_fds_good() {
    for wanted in 0..3 {
        // SAFETY: F_GETFD takes no argument and touches no memory; a closed fd is the answer EBADF.
        if unsafe { libc::fcntl(wanted, libc::F_GETFD) } != -1 {
            continue;
        }
        let console = crate::sys::boot::is_pid1().then_some(c"/dev/console");
        let opened = console.into_iter().chain([c"/dev/null"]).find_map(|path| {
            let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK;
            // SAFETY: the path is a C string that lives for ever.
            let fd = uninterrupted(|| unsafe { libc::open(path.as_ptr(), flags) }).ok()?;
            clear_nonblocking(fd);
            Some(fd)
        });
        if let Some(fd) = opened.or_else(|| dead_pipe_end(wanted == 0)) {
            put(fd, wanted);
        }
    }
}

/// One end of a pipe whose other end is closed.
fn dead_pipe_end(reading: bool) -> Option<RawFd> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two ints to `ends`.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), 0) }).ok()?;
    let [read, write] = ends;
    let (keep, give_up) = if reading { (read, write) } else { (write, read) };
    // SAFETY: the fd was made above and has no owner.
    unsafe { libc::close(give_up) };
    Some(keep)
}

/// Moves a fresh fd, which nobody owns, to another number.
fn put(fd: RawFd, to: RawFd) {
    if fd != to {
        // SAFETY: `fd` was just made and has no owner; `to` is one of 0 to 2, which nobody owns
        // either.
        unsafe {
            libc::dup2(fd, to);
            libc::close(fd);
        }
    }
}

/// Closes all fds from 3 up, at the start: whatever lar was given by mistake it must not hold open
/// for its whole life (the reader of a pipe would never see its end). Nothing may be open yet that
/// somebody owns.
pub fn close_inherited() {
    close_range(3, c_int::MAX);
}

/// The same, but for the fds with these numbers, which it hands over, close-on-exec. The first one that lar was not
/// given is the error.
pub fn keep_inherited(numbers: &[RawFd]) -> Result<Vec<OwnedFd>, RawFd> {
    let mut numbers: Vec<RawFd> = numbers.iter().copied().filter(|&number| number >= 3).collect();
    numbers.sort_unstable();
    numbers.dedup();
    for &number in &numbers {
        // SAFETY: F_SETFD takes a plain number and touches no memory; a closed fd is the answer EBADF.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            return Err(number);
        }
    }
    let mut from = 3;
    for &number in &numbers {
        if number > from {
            close_range(from, number - 1);
        }
        from = number.saturating_add(1);
    }
    close_range(from, c_int::MAX);
    // SAFETY: it is open, and nobody in this process has opened it: the caller has seen to that.
    Ok(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

/// All fds from 3 up that lar was given, for single-program mode: its program is to find them (a shell's
/// `<(command)`, a socket of systemd's), and then lar lets them go. Nothing may be open yet that
/// somebody owns.
pub fn take_inherited() -> Vec<OwnedFd> {
    // SAFETY: F_GETFD takes no argument and touches no memory; a closed fd is the answer EBADF.
    let is_open = |fd: &RawFd| *fd >= 3 && unsafe { libc::fcntl(*fd, libc::F_GETFD) } != -1;
    let listed = std::fs::read_dir("/proc/self/fd").ok().map(|list| {
        let names = list.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect::<Vec<RawFd>>()
    });
    // The list's own fd is in it, and closed by now.
    let fds = listed.unwrap_or_else(|| (3..CLOSE_ONE_BY_ONE).collect());
    // SAFETY: it is open, and nobody in this process has opened it: the caller has seen to that.
    fds.into_iter().filter(is_open).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}

/// Of all fds from 3 up that lar was given the one with this number, close-on-exec and not blocking; the others are
/// closed. Nothing may be open yet that somebody owns.
pub fn take_one(number: RawFd) -> Option<OwnedFd> {
    let mut given = take_inherited();
    let at = given.iter().position(|fd| fd.as_raw_fd() == number)?;
    let fd = given.swap_remove(at);
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL).ok()?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).ok()?;
    Some(fd)
}

/// The highest number of fds that are closed one by one on kernels without close_range(2) (before
/// 5.9). What lar itself opens is close-on-exec anyway; a loop over the million that some container
/// runtimes allow would take PID 1 out of service for a tenth of a second at each start of a
/// service.
const CLOSE_ONE_BY_ONE: i32 = 4096;

/// Closes all fds from one number to another. Async-signal safe: the child of a spawn uses it.
pub(super) fn close_range(from: c_int, to: c_int) {
    // SAFETY: both calls take plain numbers; whoever calls this owns nothing that is closed (a
    // child after clone, whose table of fds is a copy, or a main that has not opened anything).
    unsafe {
        if libc::syscall(libc::SYS_close_range, from, to, 0) == -1 {
            for fd in from..=to.min(CLOSE_ONE_BY_ONE) {
                libc::syscall(libc::SYS_close, fd);
            }
        }
    }
}

fn clear_nonblocking(fd: RawFd) {
    // SAFETY: both calls take plain numbers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        if flags != -1 && flags & libc::O_NONBLOCK != 0 {
            libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
        }
    }
}

/// One of lar's own fds 0 to 2, to be lent: nobody ever owns and closes it.
pub fn standard(fd: Standard) -> BorrowedFd<'static> {
    // SAFETY: make_standard_fds_good has opened all three before anything else ran, and nobody
    // closes them.
    unsafe { BorrowedFd::borrow_raw(fd as RawFd) }
}

/// The standard fds.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    Input = 0,
    Output = 1,
    Error = 2,
}

/// Reads once. 0 is the end.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::read(&fd, buffer) {
            Err(nix::errno::Errno::EINTR) => {}
            answer => return Ok(answer?),
        }
    }
}

/// A terminal at standard input, opened anew so that reading it never blocks, whatever becomes of what was typed
/// between a poll and the read (Ctrl-C throws it away). `None` if there is none, or it can't be opened: without /proc.
pub fn terminal_input() -> Option<OwnedFd> {
    let input = standard(Standard::Input);
    if !nix::unistd::isatty(input).unwrap_or(false) {
        return None;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/proc/self/fd/0", flags, nix::sys::stat::Mode::empty()).ok()
}

/// Writes once; how much was taken. EAGAIN, EPIPE, ENOSPC…
pub fn write(fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::write(&fd, bytes) {
            Err(nix::errno::Errno::EINTR) => {}
            answer => return Ok(answer?),
        }
    }
}

/// /dev/null, for reading and writing; without it, a pipe end that nobody answers, good for reading
/// only.
pub fn open_null() -> Result<OwnedFd, Errno> {
    null_device().or_else(|errno| {
        let (read, _) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|_| errno)?;
        Ok(read)
    })
}

/// /dev/null, for reading and writing; ENODEV if what stands there is no device, as where somebody wrote to it
/// before there was one.
pub fn null_device() -> Result<OwnedFd, Errno> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| errno_of(&error))?;
    let device = null.metadata().is_ok_and(|found| found.file_type().is_char_device());
    if device { Ok(null.into()) } else { Err(Errno(libc::ENODEV)) }
}

/// A soft and a hard limit, as getrlimit(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// The one in force.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
}

/// The highest number of an fd that leaves so many more to be had (an eighth of the limit, if that is less): whoever
/// takes one after the other may not take lar's last.
pub fn highest_but(spare: u64) -> RawFd {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return RawFd::MAX };
    let taken = spare.min(limit / 8) + 1;
    RawFd::try_from(limit.saturating_sub(taken)).unwrap_or(RawFd::MAX)
}

/// Raises our own limit of open files as far as allowed. What it was before, if it changed:
/// children get that back, since old programs with select(2) can't take more than 1024.
pub fn raise_file_limit() -> Option<FileLimit> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit64 to `limit`.
    checked(unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, &mut limit) }).ok()?;
    let before = FileLimit { soft: limit.rlim_cur, hard: limit.rlim_max };
    if before.soft >= before.hard {
        return None;
    }
    limit.rlim_cur = before.hard;
    // SAFETY: the kernel reads one rlimit64 from `limit`.
    checked(unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &limit) }).ok()?;
    Some(before)
}
