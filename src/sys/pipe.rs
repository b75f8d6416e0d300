//! What output needs of the kernel: pipes, files to append to, and whether a write would block.
//!
//! It keeps no state and owns no fd. O_NONBLOCK is set only on open file descriptions that lar made
//! itself: on an inherited one it would hit everybody who shares it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown, pipe2, read};

use crate::sys::fd;

/// How many fds are left to everything but captured output: twice what the control socket's clients may need.
const SPARE_FDS: u64 = 64;

/// A new pipe, both ends close-on-exec: (read end, non-blocking; write end, blocking, as programs
/// expect it).
pub fn make() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// The same for output that is captured, which may cost lar not its last fds: its clients, and whatever it opens while
/// it runs, need some. EMFILE near the limit of open files.
pub fn make_to_capture() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = make()?;
    let highest = reader.as_raw_fd().max(writer.as_raw_fd());
    if highest > fd::highest_but(SPARE_FDS) { Err(Errno::EMFILE) } else { Ok((reader, writer)) }
}

/// Makes room for `size` bytes in a pipe. Refused (EPERM) above /proc/sys/fs/pipe-max-size or when
/// the user's pipes hold too much already; the pipe is good nevertheless.
pub fn enlarge(pipe: impl AsFd, size: i32) -> Result<(), Errno> {
    fcntl(pipe, FcntlArg::F_SETPIPE_SZ(size)).map(drop)
}

/// Gives a pipe to a user, so that a process of that user can open /dev/stdout.
pub fn give(pipe: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    fchown(pipe, uid.map(Uid::from_raw), gid.map(Gid::from_raw))
}

/// Takes back what a child may have set on the write end it shares with us (O_NONBLOCK makes its
/// successor fail with EAGAIN; O_DIRECT makes packets). One call if nothing was set.
pub fn restore(writer: impl AsFd) -> Result<(), Errno> {
    let theirs = OFlag::O_NONBLOCK | OFlag::O_DIRECT | OFlag::O_APPEND | OFlag::O_ASYNC;
    let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL)?);
    match flags.intersects(theirs) {
        true => fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).map(drop),
        false => Ok(()),
    }
}

/// How many bytes wait in a pipe; 0 if the kernel won't say.
pub fn unread(pipe: impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int to the address it is given, which is that of a local that
    // outlives the call.
    let result = unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if result < 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
}

/// Reads from a non-blocking pipe into `buffer` until that is full or the pipe is empty, in at most
/// `reads` calls, so that a writer of single bytes can't hold us. Gives how much came, and whether
/// it is now empty.
pub fn fill(pipe: impl AsFd, buffer: &mut [u8], reads: usize) -> (usize, bool) {
    let mut filled = 0;
    for _ in 0..reads {
        let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) else {
            return (filled, false);
        };
        match read(&pipe, room) {
            Ok(0) => return (filled, true),
            Ok(count) => filled += count,
            Err(Errno::EINTR) => {}
            Err(_) => return (filled, true),
        }
    }
    (filled, false)
}

/// Opens a file to append to, and makes it if it is not there. Never waits: a FIFO that nobody
/// reads is ENXIO, and a full one is EAGAIN when it is written to.
pub fn append(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_APPEND
        | OFlag::O_CREAT
        | OFlag::O_CLOEXEC
        | OFlag::O_NOCTTY
        | OFlag::O_NONBLOCK;
    loop {
        match open(path, flags, Mode::from_bits_truncate(0o644)) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Whether a write of at most PIPE_BUF bytes goes through at once, or within `millis`. An error
/// counts as yes: the write will say which.
pub fn writable(fd: BorrowedFd<'_>, millis: i32) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: the count 1 matches the one pollfd, a local that outlives the call.
    let count = unsafe { libc::poll(&raw mut poll, 1, millis) };
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_set_on_the_write_end_is_taken_back() {
        let (reader, writer) = make().unwrap();
        for flags in [OFlag::O_NONBLOCK, OFlag::O_DIRECT, OFlag::O_APPEND] {
            fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
            restore(&writer).unwrap();
            let now = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
            assert!(!now.intersects(OFlag::O_NONBLOCK | OFlag::O_DIRECT | OFlag::O_APPEND));
        }
        let ours = OFlag::from_bits_retain(fcntl(&reader, FcntlArg::F_GETFL).unwrap());
        assert!(ours.contains(OFlag::O_NONBLOCK), "the read end stays as it is");
    }

    #[test]
    fn a_pipe_says_what_waits_in_it_and_whether_it_is_full() {
        let (reader, writer) = make().unwrap();
        assert_eq!(unread(&reader), 0);
        assert!(writable(writer.as_fd(), 0));
        let capacity = fcntl(&writer, FcntlArg::F_GETPIPE_SZ).unwrap() as usize;
        nix::unistd::write(&writer, &vec![0; capacity]).unwrap();
        assert_eq!(unread(&reader), capacity);
        assert!(!writable(writer.as_fd(), 0));
        let mut buffer = vec![0; capacity + 1];
        assert_eq!(fill(&reader, &mut buffer, 100), (capacity, true));
    }

    #[test]
    fn a_deserted_pipe_is_writable_so_that_the_write_says_so() {
        let (reader, writer) = make().unwrap();
        drop(reader);
        assert!(writable(writer.as_fd(), 0));
    }

    #[test]
    fn what_is_appended_stands_at_the_end_whoever_else_writes() {
        let path = std::env::temp_dir().join(format!("lar-append-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let (one, other) = (append(path).unwrap(), append(path).unwrap());
        for (file, text) in [(&one, "a"), (&other, "b"), (&one, "c")] {
            assert_eq!(nix::unistd::write(file, text.as_bytes()), Ok(1));
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "abc");
        std::fs::remove_file(path).unwrap();
        assert_eq!(append("/no/such/file").err(), Some(Errno::ENOENT));
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_an_error_and_does_not_block() {
        let path = std::env::temp_dir().join(format!("lar-fifo-{}", std::process::id()));
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        assert_eq!(append(path.to_str().unwrap()).err(), Some(Errno::ENXIO));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_opened_is_close_on_exec() {
        let (reader, writer) = make().unwrap();
        let null = append("/dev/null").unwrap();
        for fd in [reader, writer, null] {
            assert_eq!(fcntl(&fd, FcntlArg::F_GETFD), Ok(libc::FD_CLOEXEC));
        }
    }
}
