//! READY=1 and STATUS= from services that say so themselves (sd_notify's protocol).
//!
//! Each instance that is configured so has a datagram socket of its own for as long as lar lives, at an abstract
//! address that the kernel picks: no directory is needed, and two managers can't collide. Whose message it is
//! is known from the address; that it may speak is known from the sender's user, which the kernel vouches for.
//! Its pid is not looked at: `systemd-notify` is gone before it could be.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, getsockname,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::unistd::geteuid;

/// The longest message that is looked at, in bytes. systemd's own are far shorter.
const MESSAGE: usize = 4096;

/// How many stale messages are thrown away before a process is started.
const RESET: usize = 1024;

/// How much of a status is kept, in bytes: a line on a screen.
const STATUS: usize = 128;

/// One instance's socket.
pub struct Listener {
    fd: OwnedFd,
    /// Who may speak, besides root and lar's own user.
    user: Option<u32>,
    status: Status,
    buffer: Box<[u8; MESSAGE]>,
    control: Vec<u8>,
}

/// What an instance last said of itself.
#[derive(Clone, Copy)]
struct Status {
    bytes: [u8; STATUS],
    length: usize,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// READY=1.
    Ready,
    /// Something else, or from somebody who may not speak.
    Other,
    /// Nothing more for now.
    Nothing,
}

impl Listener {
    /// A socket at an address of its own, for a service that runs as `user` (`None`: as lar does).
    pub fn new(user: Option<u32>) -> Result<Listener, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        bind(fd.as_raw_fd(), &UnixAddr::new_unnamed())?; // "autobind": an abstract name of the kernel's
        let status = Status { bytes: [0; STATUS], length: 0 };
        let control = nix::cmsg_space!(nix::libc::ucred);
        Ok(Listener { fd, user, status, buffer: Box::new([0; MESSAGE]), control })
    }

    /// Whether it is one for services that run as `user`.
    pub fn hears(&self, user: Option<u32>) -> bool {
        self.user == user
    }

    /// What $NOTIFY_SOCKET is to say: `@` and the name.
    pub fn address(&self) -> Result<String, Errno> {
        let address: UnixAddr = getsockname(self.fd.as_raw_fd())?;
        let name = address.as_abstract().ok_or(Errno::EADDRNOTAVAIL)?;
        Ok(format!("@{}", String::from_utf8_lossy(name)))
    }

    /// What is to be polled.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What the instance last said of itself; empty if nothing.
    pub fn status(&self) -> &str {
        std::str::from_utf8(&self.status.bytes[..self.status.length]).unwrap_or("")
    }

    /// Reads one message. Call until [`Heard::Nothing`].
    pub fn hear(&mut self) -> Heard {
        let (length, sender) = match self.receive() {
            Ok(received) => received,
            Err(Errno::EINTR) => return Heard::Other,
            Err(_) => return Heard::Nothing,
        };
        let may_speak = sender
            .is_some_and(|uid| uid == 0 || uid == geteuid().as_raw() || self.user == Some(uid));
        if !may_speak {
            return Heard::Other;
        }
        let mut heard = Heard::Other;
        for line in self.buffer[..length.min(MESSAGE)].split(|&byte| byte == b'\n') {
            if line == b"READY=1" {
                heard = Heard::Ready;
            } else if let Some(text) = line.strip_prefix(b"STATUS=") {
                self.status.set(text);
            }
        }
        heard
    }

    /// Forgets what a former process said, so that it can't speak for the next one.
    pub fn reset(&mut self) {
        // The kernel queues a few hundred at most (max_dgram_qlen); whoever sends on meanwhile can't keep us here.
        for _ in 0..RESET {
            if self.receive().is_err() {
                break;
            }
        }
        self.status.length = 0;
    }

    /// A message's length and its sender's uid.
    fn receive(&mut self) -> Result<(usize, Option<u32>), Errno> {
        let mut slices = [IoSliceMut::new(&mut self.buffer[..])];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let control = Some(&mut self.control[..]);
        let message = recvmsg::<UnixAddr>(self.fd.as_raw_fd(), &mut slices, control, flags)?;
        let sender = message.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| match message {
                ControlMessageOwned::ScmCredentials(who) => Some(who.uid()),
                _ => None,
            })
        });
        Ok((message.bytes, sender))
    }
}

impl Status {
    /// Keeps what fits, up to the last whole character; not if it is not UTF-8 or has control characters.
    fn set(&mut self, text: &[u8]) {
        let cut = &text[..text.len().min(STATUS)];
        let valid = match std::str::from_utf8(cut) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&cut[..error.valid_up_to()]).unwrap_or("")
            }
            Err(_) => return,
        };
        if valid.chars().any(char::is_control) {
            return;
        }
        self.bytes[..valid.len()].copy_from_slice(valid.as_bytes());
        self.length = valid.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn say(listener: &Listener, text: &[u8]) {
        let address = listener.address().unwrap();
        let name = SocketAddr::from_abstract_name(&address.as_bytes()[1..]).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(text, &name).unwrap();
    }

    #[test]
    fn ready_and_status_are_heard() {
        let mut listener = Listener::new(None).unwrap();
        assert_eq!(listener.hear(), Heard::Nothing);
        say(&listener, b"STATUS=loading 3 of 7\n");
        say(&listener, b"MAINPID=1\nSTATUS=serving\nREADY=1");
        assert_eq!(listener.hear(), Heard::Other);
        assert_eq!(listener.status(), "loading 3 of 7");
        assert_eq!(listener.hear(), Heard::Ready);
        assert_eq!(listener.status(), "serving");
        assert_eq!(listener.hear(), Heard::Nothing);
    }

    #[test]
    fn what_a_former_process_said_is_forgotten() {
        let mut listener = Listener::new(None).unwrap();
        say(&listener, b"STATUS=old\nREADY=1");
        listener.reset();
        assert_eq!(listener.hear(), Heard::Nothing);
        assert_eq!(listener.status(), "");
    }

    #[test]
    fn bad_messages_change_nothing() {
        let mut listener = Listener::new(None).unwrap();
        say(&listener, b"STATUS=good");
        assert_eq!(listener.hear(), Heard::Other);
        for bad in [&b"STATUS=\xff\xfe"[..], b"", b"READY=", b"ready=1", b"STATUS=a\x1b[2J"] {
            say(&listener, bad);
            assert_eq!(listener.hear(), Heard::Other, "{bad:?}");
            assert_eq!(listener.status(), "good");
        }
        say(&listener, &[b"STATUS=".to_vec(), "ä".repeat(500).into_bytes()].concat());
        assert_eq!(listener.hear(), Heard::Other);
        assert_eq!(listener.status(), "ä".repeat(STATUS / 2));
    }

    #[test]
    fn two_listeners_have_two_addresses() {
        let (one, two) = (Listener::new(None).unwrap(), Listener::new(None).unwrap());
        assert_ne!(one.address().unwrap(), two.address().unwrap());
    }
}
