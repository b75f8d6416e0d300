//! What services say of themselves (sd_notify's protocol): READY=1, RELOADING=1, STOPPING=1, STATUS=, WATCHDOG=,
//! WATCHDOG_USEC= and MAINPID=. Everything else is passed over.
//!
//! Each instance that is configured so has a datagram socket of its own for as long as lar lives, at an abstract
//! address that the kernel picks: no directory is needed, and two managers can't collide. Whose message it is
//! is known from the address; that it may speak is known from the sender's user, which the kernel vouches for.
//! Its pid is not looked at: `systemd-notify` is gone before it could be.
//!
//! Fds that come along (FDSTORE=1, BARRIER=1) are not taken: there is no room for them where the kernel would name
//! them, so it closes them. For a barrier that is the answer: what was sent before has been read.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, getsockname, recvmsg, setsockopt,
    socket, sockopt,
};
use nix::unistd::geteuid;

use crate::exit::Pid;
use crate::supervisor::Told;
use crate::time::Duration;

/// The longest message that is looked at, in bytes. systemd's own are far shorter.
const MESSAGE: usize = 4096;

/// How many stale messages are thrown away before a process is started.
const RESET: usize = 1024;

/// How much of a status is kept, in bytes: a line on a screen.
const STATUS: usize = 128;

/// What stands before the status of somebody who reloads.
const RELOADING: &str = "reloading: ";

/// How many control messages' bytes are asked for: the sender's credentials, and nothing else.
const CONTROL: usize = HEADER + SENDER.next_multiple_of(size_of::<usize>());
/// A length, a level and a type.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();
/// A pid, a uid and a gid.
const SENDER: usize = 3 * size_of::<u32>();

/// One instance's socket.
pub struct Listener {
    fd: OwnedFd,
    /// Who may speak, besides root and lar's own user.
    user: Option<u32>,
    status: Status,
    buffer: Box<[u8; MESSAGE]>,
}

/// What an instance last said of itself.
#[derive(Clone, Copy)]
struct Status {
    /// [`RELOADING`], and the text.
    bytes: [u8; RELOADING.len() + STATUS],
    /// The text's length.
    length: usize,
    /// Whether it reads its configuration anew.
    reloading: bool,
}

impl Listener {
    /// A socket at an address of its own, for a service that runs as `user` (`None`: as lar does).
    pub fn new(user: Option<u32>) -> Result<Listener, Errno> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        bind(fd.as_raw_fd(), &UnixAddr::new_unnamed())?; // "autobind": an abstract name of the kernel's
        Ok(Listener { fd, user, status: Status::new(), buffer: Box::new([0; MESSAGE]) })
    }

    /// Whether it is one for services that run as `user`.
    pub fn hears(&self, user: Option<u32>) -> bool {
        self.user == user
    }

    /// As whom its service runs, if not as lar does.
    pub fn user(&self) -> Option<u32> {
        self.user
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
        self.status.text()
    }

    /// Reads one message and adds what it says, in its order. `false`: there is none. A status is kept here.
    pub fn hear(&mut self, told: &mut Vec<Told>) -> bool {
        let (length, sender) = match self.receive() {
            Ok(received) => received,
            Err(Errno::EINTR) => return true,
            Err(_) => return false,
        };
        let may_speak = sender
            .is_some_and(|uid| uid == 0 || uid == geteuid().as_raw() || self.user == Some(uid));
        if !may_speak {
            return true;
        }
        let Listener { buffer, status, .. } = self;
        for line in buffer[..length.min(MESSAGE)].split(|&byte| byte == b'\n') {
            match line {
                b"READY=1" => status.reloading = false,
                b"RELOADING=1" => status.reloading = true,
                _ => {}
            }
            if let Some(text) = line.strip_prefix(b"STATUS=") {
                status.set(text);
            } else if let Some(what) = meaning(line) {
                told.push(what);
            }
        }
        true
    }

    /// Forgets what a former process said, so that it can't speak for the next one.
    pub fn reset(&mut self) {
        // The kernel queues a few hundred at most (max_dgram_qlen); whoever sends on meanwhile can't keep us here.
        for _ in 0..RESET {
            if self.receive().is_err() {
                break;
            }
        }
        self.status = Status::new();
    }

    /// A message's length and its sender's uid.
    fn receive(&mut self) -> Result<(usize, Option<u32>), Errno> {
        let mut slices = [IoSliceMut::new(&mut self.buffer[..])];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let mut control = [0; CONTROL];
        let to = Some(&mut control[..]);
        let bytes = recvmsg::<UnixAddr>(self.fd.as_raw_fd(), &mut slices, to, flags)?.bytes;
        Ok((bytes, sender(&control)))
    }
}

/// The uid in a control message of the kernel's. nix does not look at one that was cut off behind it, which it is if
/// somebody sends fds along.
fn sender(control: &[u8; CONTROL]) -> Option<u32> {
    let word = |at: usize| {
        let bytes = control.get(at..)?.first_chunk()?;
        Some(i32::from_ne_bytes(*bytes))
    };
    let length = usize::from_ne_bytes(*control.first_chunk()?);
    let kind = size_of::<usize>();
    let credentials = length >= HEADER + SENDER
        && word(kind)? == libc::SOL_SOCKET
        && word(kind + size_of::<i32>())? == libc::SCM_CREDENTIALS;
    // Behind the pid.
    if credentials { Some(word(HEADER + size_of::<i32>())?.cast_unsigned()) } else { None }
}

/// What a line means, if it is for the core.
fn meaning(line: &[u8]) -> Option<Told> {
    let (name, value) = std::str::from_utf8(line).ok()?.split_once('=')?;
    // Not `+7`, which Rust would take.
    let number = || Some(value).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    match (name, value) {
        ("READY", "1") => Some(Told::Ready),
        ("STOPPING", "1") => Some(Told::Stopping),
        ("WATCHDOG", "1") => Some(Told::Beat),
        ("WATCHDOG", "trigger") => Some(Told::Trigger),
        ("WATCHDOG_USEC", _) => {
            let micros = number()?.parse().ok().filter(|&micros| micros > 0)?;
            Some(Told::Every(Duration::from_micros(micros)))
        }
        // Nobody's main process is PID 1.
        ("MAINPID", _) => {
            number()?.parse().ok().filter(|&pid| pid > 1).map(|pid| Told::Main(Pid(pid)))
        }
        _ => None,
    }
}

impl Status {
    fn new() -> Status {
        let mut bytes = [0; RELOADING.len() + STATUS];
        if let Some(start) = bytes.first_chunk_mut::<{ RELOADING.len() }>() {
            start.copy_from_slice(RELOADING.as_bytes());
        }
        Status { bytes, length: 0, reloading: false }
    }

    fn text(&self) -> &str {
        let end = RELOADING.len() + self.length;
        let shown = match (self.reloading, self.length) {
            (true, 0) => RELOADING.as_bytes().strip_suffix(b": ").unwrap_or_default(),
            (true, _) => self.bytes.get(..end).unwrap_or_default(),
            (false, _) => self.bytes.get(RELOADING.len()..end).unwrap_or_default(),
        };
        std::str::from_utf8(shown).unwrap_or("")
    }

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
        let room = self.bytes.iter_mut().skip(RELOADING.len());
        room.zip(valid.bytes()).for_each(|(place, byte)| *place = byte);
        self.length = valid.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use nix::fcntl::OFlag;
    use nix::sys::socket::{ControlMessage, sendmsg};
    use nix::unistd::pipe2;

    fn say(listener: &Listener, text: &[u8]) {
        let address = listener.address().unwrap();
        let name = SocketAddr::from_abstract_name(&address.as_bytes()[1..]).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(text, &name).unwrap();
    }

    /// What a message says, or `None` if there is no message.
    fn heard(listener: &mut Listener) -> Option<Vec<Told>> {
        let mut told = Vec::new();
        listener.hear(&mut told).then_some(told)
    }

    #[test]
    fn ready_and_status_are_heard() {
        let mut listener = Listener::new(None).unwrap();
        assert_eq!(heard(&mut listener), None);
        say(&listener, b"STATUS=loading 3 of 7\n");
        say(&listener, b"X=1\nSTATUS=serving\nREADY=1");
        assert_eq!(heard(&mut listener), Some(vec![]));
        assert_eq!(listener.status(), "loading 3 of 7");
        assert_eq!(heard(&mut listener), Some(vec![Told::Ready]));
        assert_eq!(listener.status(), "serving");
        assert_eq!(heard(&mut listener), None);
    }

    #[test]
    fn all_lines_of_a_message_are_heard_in_their_order() {
        let mut listener = Listener::new(None).unwrap();
        say(
            &listener,
            b"WATCHDOG=1\nMAINPID=77\nREADY=1\nWATCHDOG_USEC=20000000\nSTOPPING=1\nWATCHDOG=trigger",
        );
        let every = Told::Every(Duration::from_secs(20));
        let all =
            [Told::Beat, Told::Main(Pid(77)), Told::Ready, every, Told::Stopping, Told::Trigger];
        assert_eq!(heard(&mut listener), Some(all.to_vec()));
    }

    #[test]
    fn who_reloads_is_shown_to_until_it_is_ready_again() {
        let mut listener = Listener::new(None).unwrap();
        say(&listener, b"READY=1\nSTATUS=serving");
        say(&listener, b"RELOADING=1\nMONOTONIC_USEC=1");
        assert!(heard(&mut listener).is_some() && heard(&mut listener) == Some(vec![]));
        assert_eq!(listener.status(), "reloading: serving");
        say(&listener, b"STATUS=");
        heard(&mut listener);
        assert_eq!(listener.status(), "reloading");
        say(&listener, b"READY=1\nSTATUS=serving again");
        assert_eq!(heard(&mut listener), Some(vec![Told::Ready]));
        assert_eq!(listener.status(), "serving again");
    }

    #[test]
    fn what_a_former_process_said_is_forgotten() {
        let mut listener = Listener::new(None).unwrap();
        say(&listener, b"STATUS=old\nRELOADING=1");
        heard(&mut listener);
        say(&listener, b"STATUS=older\nREADY=1");
        listener.reset();
        assert_eq!(heard(&mut listener), None);
        assert_eq!(listener.status(), "");
    }

    #[test]
    fn bad_messages_change_nothing() {
        let mut listener = Listener::new(None).unwrap();
        say(&listener, b"STATUS=good");
        assert_eq!(heard(&mut listener), Some(vec![]));
        for bad in [
            &b"STATUS=\xff\xfe"[..],
            b"",
            b"READY=",
            b"READY=0",
            b"ready=1",
            b"READY=1 ",
            b"\xffREADY=1",
            b"STATUS=a\x1b[2J",
            b"MAINPID=1",
            b"MAINPID=-7",
            b"MAINPID=+7",
            b"MAINPID=",
            b"MAINPID=99999999999",
            b"WATCHDOG_USEC=0",
            b"WATCHDOG_USEC=1s",
            b"WATCHDOG=2",
            b"RELOADING=0",
        ] {
            say(&listener, bad);
            assert_eq!(heard(&mut listener), Some(vec![]), "{bad:?}");
            assert_eq!(listener.status(), "good");
        }
        say(&listener, &[b"STATUS=".to_vec(), "ä".repeat(500).into_bytes()].concat());
        assert_eq!(heard(&mut listener), Some(vec![]));
        assert_eq!(listener.status(), "ä".repeat(STATUS / 2));
        say(&listener, &vec![b'x'; MESSAGE * 2]);
        assert_eq!(heard(&mut listener), Some(vec![]));
    }

    #[test]
    fn fds_that_come_along_are_closed_and_the_message_counts() {
        let mut listener = Listener::new(None).unwrap();
        let own = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        for (text, said) in
            [(&b"FDSTORE=1\nREADY=1"[..], vec![Told::Ready]), (b"BARRIER=1", vec![])]
        {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
            let pipe = own(&reader).unwrap();
            let raw = [writer.as_raw_fd(); 250];
            let address = listener.address().unwrap();
            let to = UnixAddr::new_abstract(&address.as_bytes()[1..]).unwrap();
            let from = UnixDatagram::unbound().unwrap();
            let with = [ControlMessage::ScmRights(&raw)];
            let (slices, flags) = ([IoSlice::new(text)], MsgFlags::empty());
            sendmsg(from.as_raw_fd(), &slices, &with, flags, Some(&to)).unwrap();
            drop(writer);
            assert_eq!(heard(&mut listener), Some(said));
            // Nobody has the other end any more: that is what a barrier waits for.
            assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0));
            let left = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
            let left = left.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            assert_eq!(left.filter(|target| *target == pipe).count(), 1);
        }
    }

    #[test]
    fn two_listeners_have_two_addresses() {
        let (one, two) = (Listener::new(None).unwrap(), Listener::new(None).unwrap());
        assert_ne!(one.address().unwrap(), two.address().unwrap());
    }
}
