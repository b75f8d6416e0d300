//! lar's own standard output and error, written to without ever waiting.
//!
//! O_NONBLOCK must not be set on them: whoever else has the same open file would get it too. For pipes and files
//! it is not needed: a pipe that poll(2) calls writable takes PIPE_BUF bytes at once. A terminal does not: it is
//! called writable when there is room for anything, and a larger write then sleeps until somebody reads. So a
//! terminal is opened a second time, for lar alone.

use std::io::IsTerminal;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{getsid, write};

use super::fd::{Standard, standard};
use super::pipe;

/// One of the two.
#[derive(Debug)]
pub struct Outlet {
    fd: BorrowedFd<'static>,
    /// The terminal behind it, opened by us and not blocking.
    terminal: Option<OwnedFd>,
}

impl Outlet {
    /// Standard output or error. That its terminal can't be opened again makes it slow, not wrong.
    pub fn new(number: Standard) -> Outlet {
        let fd = standard(number);
        let terminal = fd.is_terminal().then(|| open_terminal(fd, number)).flatten();
        Outlet { fd, terminal }
    }

    /// Writes as much as goes through at once, of at most PIPE_BUF bytes. EAGAIN, EPIPE, EIO…
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.terminal {
            Some(terminal) => write(terminal, bytes),
            None if !self.writable(0) => Err(Errno::EAGAIN),
            // There is room for one at least.
            None if self.fd.is_terminal() => write(self.fd, &bytes[..bytes.len().min(1)]),
            None => write(self.fd, bytes),
        }
    }

    /// Whether something can be written, now or within `millis`.
    pub fn writable(&self, millis: i32) -> bool {
        pipe::writable(self.fd, millis)
    }
}

/// A second opening of the terminal. Not of one in another session: a daemon that held the terminal it was started
/// from would keep that from being closed.
fn open_terminal(fd: BorrowedFd, number: Standard) -> Option<OwnedFd> {
    let ours = nix::sys::termios::tcgetsid(fd).is_ok_and(|session| getsid(None) == Ok(session));
    if !ours && !super::boot::is_pid1() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", number as i32);
    let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(path.as_str(), flags, Mode::empty()).ok()
}
