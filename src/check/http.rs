//! One request by HTTP, and as much of the reply as tells its status.
//!
//! A GET of version 1.1 that asks for the connection to be closed. The answer is there with the status line's first
//! bytes. What follows is read and thrown away: to close while the peer still writes would reset the connection, and
//! most servers complain of that in their logs.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

/// `HTTP/1.1 200` and what ends the number.
const HEAD: usize = 13;

/// How much of a reply is read before its connection is closed anyway, in bytes.
const MOST: usize = 64 * 1024;

/// One conversation; to be used again.
#[derive(Default)]
pub(super) struct Talk {
    request: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    head: [u8; HEAD],
    /// How much of that has come.
    got: usize,
    /// How much else has come.
    rest: usize,
}

/// What a conversation has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// For the peer.
    Waits,
    /// Whether the status is a good one. The connection is kept until [`Talk::is_over`].
    Answered(bool),
}

impl Talk {
    /// Prepares to ask for this path of this host. Both are printable ASCII without blanks.
    pub(super) fn begin(&mut self, host: &str, path: &str) {
        self.request.clear();
        let version = concat!("lar/", env!("CARGO_PKG_VERSION"));
        let parts = ["GET ", path, " HTTP/1.1\r\nHost: ", host, "\r\nUser-Agent: ", version];
        let more = ["\r\nAccept: */*\r\nConnection: close\r\n\r\n"];
        parts.iter().chain(&more).for_each(|part| self.request.extend_from_slice(part.as_bytes()));
        (self.sent, self.got, self.rest) = (0, 0, 0);
    }

    /// Says what is left to say, and hears the status. A connection that is still to be made says EAGAIN to both; one
    /// that came to nothing has its error here, and one to itself (see `is_to_somebody`) answers with our own words.
    pub(super) fn advance(&mut self, fd: &OwnedFd) -> Step {
        let Talk { request, sent, .. } = self;
        while let Some(left) = request.get(*sent..).filter(|left| !left.is_empty()) {
            match send(fd.as_raw_fd(), left, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(count) => *sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                // Who does not want to hear more may have answered nevertheless.
                Err(_) => *sent = request.len(),
            }
        }
        self.hear(fd)
    }

    fn hear(&mut self, fd: &OwnedFd) -> Step {
        let Talk { head, got, .. } = self;
        while let Some(room) = head.get_mut(*got..).filter(|room| !room.is_empty()) {
            match recv(fd.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Step::Answered(false),
                Ok(count) => *got += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Step::Waits,
                Err(_) => return Step::Answered(false),
            }
        }
        Step::Answered(status(head).is_some_and(|status| (200..400).contains(&status)))
    }

    /// Reads on after the answer. Whether the connection may be closed.
    pub(super) fn is_over(&mut self, fd: &OwnedFd, scratch: &mut [u8]) -> bool {
        while self.rest < MOST {
            match recv(fd.as_raw_fd(), scratch, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return true,
                Ok(count) => self.rest += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return false,
                Err(_) => return true,
            }
        }
        true
    }
}

/// The number in a status line. `None` if it is none of HTTP/1's.
fn status(head: &[u8; HEAD]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let [minor, b' ', number @ .., end] = rest else { return None };
    if !minor.is_ascii_digit() || !matches!(end, b' ' | b'\r' | b'\n') {
        return None;
    }
    let text = std::str::from_utf8(number).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A conversation, and the peer's end of it.
    fn pair() -> (Talk, OwnedFd, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut talk = Talk::default();
        talk.begin("127.0.0.1:80", "/health?a=b");
        (talk, ours.into(), theirs)
    }

    #[test]
    fn it_asks_for_the_path_and_wants_no_second_one() {
        let (mut talk, fd, mut peer) = pair();
        assert_eq!(talk.advance(&fd), Step::Waits);
        drop((talk, fd));
        let mut request = String::new();
        peer.read_to_string(&mut request).unwrap();
        assert!(request.starts_with("GET /health?a=b HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"));
        assert!(request.contains("\r\nConnection: close\r\n") && request.ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_status_below_400_is_good_in_whatever_pieces_it_comes() {
        for (line, good) in [
            ("HTTP/1.1 200 OK\r\n", true),
            ("HTTP/1.0 204\r\n\r\n", true),
            ("HTTP/1.1 399 x", true),
            ("HTTP/1.0 302 Found\r\n", true),
            ("HTTP/1.1 400 Bad Request\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\n", false),
            ("HTTP/1.1 100 Continue\r\n", false),
            ("HTTP/1.1 2000 Odd\r\n", false),
            ("HTTP/1.1 +20 Odd\r\n", false),
            ("HTTP/2.0 200 OK\r\n", false),
            ("SSH-2.0-OpenSSH_9.2\r\n", false),
        ] {
            let (mut talk, fd, mut peer) = pair();
            let head = &line.as_bytes()[..HEAD];
            for byte in &head[..HEAD - 1] {
                assert_eq!(talk.advance(&fd), Step::Waits, "{line:?}");
                peer.write_all(&[*byte]).unwrap();
            }
            peer.write_all(&line.as_bytes()[HEAD - 1..]).unwrap();
            assert_eq!(talk.advance(&fd), Step::Answered(good), "{line:?}");
        }
    }

    #[test]
    fn who_hangs_up_before_the_status_has_said_no() {
        for said in [&b""[..], b"HTTP/1.1 200"] {
            let (mut talk, fd, mut peer) = pair();
            peer.write_all(said).unwrap();
            drop(peer);
            assert_eq!(talk.advance(&fd), Step::Answered(false));
        }
    }

    #[test]
    fn the_rest_of_a_reply_is_read_up_to_a_limit() {
        let mut scratch = [0; 4096];
        let (mut talk, fd, mut peer) = pair();
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        assert_eq!(talk.advance(&fd), Step::Answered(true));
        assert!(!talk.is_over(&fd, &mut scratch), "the peer has not ended");
        drop(peer);
        assert!(talk.is_over(&fd, &mut scratch));

        let (mut talk, fd, mut peer) = pair();
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!(talk.advance(&fd), Step::Answered(true));
        for _ in 0..MOST / scratch.len() {
            assert!(!talk.is_over(&fd, &mut scratch));
            peer.write_all(&[b'x'; 4096]).unwrap();
        }
        assert!(talk.is_over(&fd, &mut scratch), "it does not end, so it is ended");
    }
}
