//! File descriptors: pipes for output, files that are appended to, limits and locks.
//!
//! Everything that is opened here is close-on-exec, so that what a service gets is decided in one
//! place only, the spawn. Nothing here blocks on what a path turns out to be. Fds 0 to 2 are never
//! owned by anything.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::exit::Errno;
use crate::sys::{checked, errno_of, last_errno, uninterrupted};

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
            clear_nonblocking_raw(fd);
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
    close_from_3();
}

/// The highest number of fds that are closed one by one on kernels without close_range(2) (before
/// 5.9). What lar itself opens is close-on-exec anyway; a loop over the million that some container
/// runtimes allow would take PID 1 out of service for a tenth of a second at each start of a
/// service.
const CLOSE_ONE_BY_ONE: i32 = 4096;

/// Closes all fds from 3 up. Async-signal safe: the child of a spawn uses it.
pub(super) fn close_from_3() {
    // SAFETY: both calls take plain numbers; whoever calls this owns nothing that is closed (a
    // child after clone, whose table of fds is a copy, or a main that has not opened anything).
    unsafe {
        if libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) == -1 {
            for fd in 3..CLOSE_ONE_BY_ONE {
                libc::syscall(libc::SYS_close, fd);
            }
        }
    }
}

/// A pipe, both ends of which are kept for life: the reading one non-blocking, the writing one as a
/// program expects it.
pub struct Pipe {
    /// What lar reads.
    pub read: OwnedFd,
    /// What processes write to.
    pub write: OwnedFd,
}

impl Pipe {
    /// A pipe of about `size` bytes, if the kernel allows (pipe-max-size, pipe-user-pages-soft):
    /// else its usual size. It belongs to the user `owner`, who otherwise could not open
    /// /dev/stdout again; a refusal to give it away is ignored. EMFILE, ENFILE.
    pub fn new(size: Option<u32>, owner: Option<u32>) -> Result<Pipe, Errno> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        set_nonblocking(&read)?;
        if let Some(size) = size.and_then(|size| i32::try_from(size).ok()) {
            let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(size));
        }
        if let Some(owner) = owner {
            let _ = nix::unistd::fchown(&write, Some(owner.into()), None);
        }
        Ok(Pipe { read, write })
    }
}

/// How many bytes can be read at once (FIONREAD): the bound of a drain, since a pipe with a writer
/// has no end.
pub fn bytes_waiting(fd: impl AsFd) -> Result<usize, Errno> {
    let mut waiting = 0_i32;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: FIONREAD writes one int to `waiting`.
    checked(unsafe { libc::ioctl(fd, libc::FIONREAD, &mut waiting) })?;
    Ok(usize::try_from(waiting).unwrap_or(0))
}

/// Sets O_NONBLOCK. Only on what lar opened itself: the flag is shared with everybody who has the
/// same open file.
pub fn set_nonblocking(fd: impl AsFd) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: both calls take plain numbers.
    unsafe {
        let flags = checked(libc::fcntl(fd, libc::F_GETFL))?;
        checked(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK)).map(drop)
    }
}

/// Takes O_NONBLOCK back, if it is set. Needed on the writing end of an output pipe before each
/// spawn: a process of before may have set it for all who come after.
pub fn clear_nonblocking(fd: impl AsFd) {
    clear_nonblocking_raw(fd.as_fd().as_raw_fd());
}

fn clear_nonblocking_raw(fd: RawFd) {
    // SAFETY: both calls take plain numbers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        if flags != -1 && flags & libc::O_NONBLOCK != 0 {
            libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
        }
    }
}

/// Sets or clears close-on-exec.
pub fn set_cloexec(fd: impl AsFd, yes: bool) -> Result<(), Errno> {
    let flags = if yes { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: the call takes plain numbers.
    checked(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETFD, flags) }).map(drop)
}

/// Whether a write of up to PIPE_BUF bytes would not block now. An fd with an error or a closed
/// other end counts: the write will say so at once.
pub fn writable_now(fd: impl AsFd) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd, which lives until the call returns; a timeout of 0 never waits.
    uninterrupted(|| unsafe { libc::poll(&mut poll, 1, 0) }).is_ok_and(|ready| ready > 0)
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

/// Writes once; how much was taken. EAGAIN, EPIPE, ENOSPC…
pub fn write(fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match nix::unistd::write(&fd, bytes) {
            Err(nix::errno::Errno::EINTR) => {}
            answer => return Ok(answer?),
        }
    }
}

/// Opens a file to append to, made if it isn't there (mode 0666 less the umask).
///
/// With O_NONBLOCK: a FIFO that nobody reads answers ENXIO instead of stopping lar for ever, and
/// one that is full answers EAGAIN; regular files do not care. With O_NOCTTY: a terminal never
/// becomes lar's own.
pub fn open_append(path: &str) -> Result<OwnedFd, Errno> {
    let opened = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o666)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path);
    opened.map(OwnedFd::from).map_err(|error| errno_of(&error))
}

/// /dev/null, for reading and writing; without it, a pipe end that nobody answers, good for reading
/// only.
pub fn open_null() -> Result<OwnedFd, Errno> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    null.map(OwnedFd::from).or_else(|error| {
        let (read, _) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|_| errno_of(&error))?;
        Ok(read)
    })
}

/// A soft and a hard limit, as getrlimit(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// The one in force.
    pub soft: u64,
    /// How far it may be raised.
    pub hard: u64,
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

/// Opens and locks a file (flock, mode 0600), made if it isn't there. EWOULDBLOCK: another process
/// has it. The lock lasts until the fd is closed, by whatever end this process takes; the file
/// itself stays, since to remove it would be a race.
pub fn lock_file(path: &str) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let flags =
        libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // SAFETY: the path is a C string that outlives the call; on success the fd has no other owner.
    let file = unsafe {
        let fd = libc::open(path.as_ptr(), flags | libc::O_NOCTTY, 0o600);
        if fd == -1 {
            return Err(last_errno());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: the call takes plain numbers.
    uninterrupted(|| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> String {
        let path = std::env::temp_dir().join(format!("lar-fd-{name}-{}", std::process::id()));
        path.to_str().unwrap().into()
    }

    #[test]
    fn a_pipe_never_blocks_its_reader_and_says_how_much_waits() {
        let pipe = Pipe::new(Some(1 << 16), Some(nix::unistd::getuid().as_raw())).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(read(&pipe.read, &mut buffer), Err(Errno(libc::EAGAIN)));
        assert_eq!(write(&pipe.write, b"words"), Ok(5));
        assert_eq!(bytes_waiting(&pipe.read), Ok(5));
        assert_eq!(read(&pipe.read, &mut buffer), Ok(5));
        assert_eq!(bytes_waiting(&pipe.read), Ok(0));
    }

    #[test]
    fn a_pipe_size_that_is_refused_does_not_matter() {
        let pipe = Pipe::new(Some(u32::MAX / 2), None).unwrap();
        assert_eq!(write(&pipe.write, b"x"), Ok(1));
        assert!(Pipe::new(Some(u32::MAX), None).is_ok());
    }

    #[test]
    fn a_full_pipe_is_not_writable_and_a_deserted_one_is() {
        let pipe = Pipe::new(None, None).unwrap();
        assert!(writable_now(&pipe.write));
        set_nonblocking(&pipe.write).unwrap();
        while write(&pipe.write, &[0; 4096]).is_ok() {}
        assert!(!writable_now(&pipe.write));
        drop(pipe.read);
        assert!(writable_now(&pipe.write), "the write would fail at once, not block");
    }

    #[test]
    fn a_flag_that_a_child_set_is_taken_back() {
        let pipe = Pipe::new(None, None).unwrap();
        // The child's copy is the same open file.
        let copy = pipe.write.try_clone().unwrap();
        set_nonblocking(&copy).unwrap();
        let flags = || OFlag::from_bits_retain(fcntl(&pipe.write, FcntlArg::F_GETFL).unwrap());
        assert!(flags().contains(OFlag::O_NONBLOCK));
        clear_nonblocking(&pipe.write);
        assert!(!flags().contains(OFlag::O_NONBLOCK));
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_an_error_and_does_not_block() {
        let path = scratch("fifo");
        nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(open_append(&path).err(), Some(Errno(libc::ENXIO)));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_appended_stands_at_the_end_whoever_else_writes() {
        let path = scratch("append");
        let (one, other) = (open_append(&path).unwrap(), open_append(&path).unwrap());
        for (file, text) in [(&one, "a"), (&other, "b"), (&one, "c")] {
            assert_eq!(write(file, text.as_bytes()), Ok(1));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        std::fs::remove_file(path).unwrap();
        assert_eq!(open_append("/no/such/file").err(), Some(Errno(libc::ENOENT)));
    }

    #[test]
    fn a_lock_is_held_once_and_ends_with_its_fd() {
        let path = scratch("lock");
        let held = lock_file(&path).unwrap();
        assert_eq!(lock_file(&path).err(), Some(Errno(libc::EWOULDBLOCK)));
        drop(held);
        assert!(lock_file(&path).is_ok());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_opened_is_close_on_exec() {
        let pipe = Pipe::new(None, None).unwrap();
        let path = scratch("cloexec");
        let (file, null) = (open_append(&path).unwrap(), open_null().unwrap());
        std::fs::remove_file(path).unwrap();
        for fd in [&pipe.read, &pipe.write, &file, &null] {
            assert_eq!(fcntl(fd, FcntlArg::F_GETFD), Ok(libc::FD_CLOEXEC));
            set_cloexec(fd, false).unwrap();
            assert_eq!(fcntl(fd, FcntlArg::F_GETFD), Ok(0));
        }
    }
}
