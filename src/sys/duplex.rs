//! What a service is sent goes through these: a pipe to the standard input of one process, and pairs of sockets that
//! outlive processes.
//!
//! Everything is close-on-exec; lar's end never blocks, the service's does, as programs expect it. This keeps no state.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, recv, send, shutdown, socketpair,
};
use nix::unistd::{dup3, pipe2, write};

/// A new pipe: (the service's end, to read; lar's end, to write). EMFILE, ENFILE.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// A new pair of sockets: (lar's end, the service's end). EMFILE, ENFILE.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

/// Puts a new pair in the place of an old one, with the same numbers. EMFILE, ENFILE: then the old one stays.
pub fn renew(ours: &mut OwnedFd, theirs: &mut OwnedFd) -> Result<(), Errno> {
    let (new, other) = pair()?;
    dup3(new, ours, OFlag::O_CLOEXEC)?;
    dup3(other, theirs, OFlag::O_CLOEXEC)
}

/// Writes once; how much was taken. EAGAIN, EPIPE.
pub fn put(fd: impl AsFd, bytes: &[u8], socket: bool) -> Result<usize, Errno> {
    loop {
        let done = match socket {
            true => send(fd.as_fd().as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL),
            false => write(&fd, bytes),
        };
        match done {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Whether nobody reads what is written to it.
pub fn is_broken(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(1..) => fds.iter().filter_map(PollFd::revents).any(|found| found.intersects(gone)),
        _ => false,
    }
}

/// Nothing more will be written: the other end reads to the end of what is there.
pub fn finish(fd: impl AsFd) {
    // ENOTCONN: the other end is gone, and knows.
    let _ = shutdown(fd.as_fd().as_raw_fd(), Shutdown::Write);
}

/// Takes back what nobody has read at this end of a pair; how much that was. It ends: only the other end adds to it.
pub fn discard(fd: impl AsFd) -> usize {
    let mut buffer = [0; 4096];
    let mut all = 0;
    loop {
        match recv(fd.as_fd().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return all,
            Ok(count) => all += count,
            Err(Errno::EINTR) => {}
            Err(_) => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::read;

    #[test]
    fn a_pair_goes_both_ways_and_what_was_not_read_is_taken_back() {
        let (mut ours, mut theirs) = pair().unwrap();
        assert_eq!(put(&ours, b"hello", true), Ok(5));
        let mut buffer = [0; 3];
        assert_eq!(read(&theirs, &mut buffer), Ok(3));
        assert_eq!(discard(&theirs), 2);
        let numbers = (ours.as_raw_fd(), theirs.as_raw_fd());
        finish(&ours);
        assert_eq!(read(&theirs, &mut buffer), Ok(0));
        renew(&mut ours, &mut theirs).unwrap();
        assert_eq!(numbers, (ours.as_raw_fd(), theirs.as_raw_fd()));
        assert_eq!(put(&theirs, b"ab", true), Ok(2));
        assert_eq!(read(&ours, &mut buffer), Ok(2));
        assert_eq!(read(&ours, &mut buffer), Err(Errno::EAGAIN), "lar's end never blocks");
    }

    #[test]
    fn a_pipe_without_a_reader_says_so() {
        let (reader, writer) = pipe().unwrap();
        assert_eq!(put(&writer, b"x", false), Ok(1));
        drop(reader);
        // The harness ignores SIGPIPE, as every Rust program does from its start.
        assert_eq!(put(&writer, b"x", false), Err(Errno::EPIPE));
    }
}
