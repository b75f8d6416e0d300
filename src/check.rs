//! Questions that lar asks itself (does anybody accept connections there, is there such a file?), and what it listens
//! for: [`notify`] and [`line`](mod@line).
//!
//! A connection is begun without blocking, and its end is an event of the loop like any other; so no peer,
//! however slow, holds anything up. When to ask, how long to wait and what an answer means is the core's business, not
//! this module's; nor are `command` probes, which are processes. A path is looked at on the spot: whoever names one on
//! a file server that does not answer waits for it.

mod http;
pub mod line;
pub mod notify;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use core::net::SocketAddr;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    UnixAddr, connect, getpeername, getsockname, getsockopt, setsockopt, socket, sockopt,
};

use crate::plan::{Probe, http_parts};
use crate::sys::fd;
use http::{Step, Talk};

/// How many fds a question leaves to others: what the control socket's clients may need.
const SPARE_FDS: u64 = 32;

/// The questions under way, at most one for each place. Which place is whose is the caller's business.
pub struct Probes {
    places: Vec<Place>,
    /// Where what nobody wants to know is read to.
    scratch: Box<[u8; SCRATCH]>,
    /// Whether the last question could not be asked.
    short: bool,
    /// No fd of a question's has a higher number.
    highest: RawFd,
}

const SCRATCH: usize = 4096;

/// Where one question after the other is asked.
#[derive(Default)]
struct Place {
    fd: Option<OwnedFd>,
    stage: Stage,
    /// Made for the first question of http's, and kept for the next.
    talk: Option<Box<Talk>>,
}

/// How far a question has come.
#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    /// To be connected is all it wants.
    #[default]
    Connects,
    /// It has something to say, once it is connected, and to hear.
    Talks,
    /// It has its answer, and waits for the peer's end.
    Answered,
}

/// What a question has led to so far.
pub enum Answer<'a> {
    /// It was answered at once.
    Now(bool),
    /// The answer comes when this fd becomes writable, or readable: call [`Probes::advance`].
    Later(BorrowedFd<'a>),
    /// It could not be asked: no fd is left, or no memory. That says nothing of whom it is about.
    Unasked {
        /// Why.
        errno: Errno,
        /// Whether it was the same with the question before, of whomever.
        again: bool,
    },
}

impl Probes {
    /// Room for so many questions at once.
    pub fn new(places: usize) -> Probes {
        let places = (0..places).map(|_| Place::default()).collect();
        let highest = fd::highest_but(SPARE_FDS);
        Probes { places, scratch: Box::new([0; SCRATCH]), short: false, highest }
    }

    /// Makes room for so many.
    pub fn grow(&mut self, places: usize) {
        let size = self.places.len().max(places);
        self.places.resize_with(size, Place::default);
    }

    /// Asks, in place of what was asked there before.
    pub fn begin(&mut self, place: usize, probe: &Probe) -> Answer<'_> {
        self.cancel(place);
        let Some(place) = self.places.get_mut(place) else { return Answer::Now(false) };
        let begun = match probe {
            Probe::Tcp(address) => match address.parse() {
                Ok(address) => open_tcp(address),
                Err(_) => Err(Errno::EINVAL), // the port of an instance that was added may be too high
            },
            Probe::Unix(path) => {
                unix_address(path).and_then(|address| open(AddressFamily::Unix, &address))
            }
            Probe::Http(url) => match http_parts(url) {
                Some((address, host, path)) => {
                    place.talk.get_or_insert_default().begin(host, path);
                    open_tcp(address)
                }
                None => Err(Errno::EINVAL), // as above
            },
            Probe::File(path) => return Answer::Now(std::fs::metadata(path).is_ok()),
            // These are not asked here; a core that does so anyway is told no.
            Probe::Command(_) | Probe::Log(_) | Probe::Notify | Probe::Fd(_) => Err(Errno::EINVAL),
        };
        let begun = begun.and_then(|begun| match begun.0.as_raw_fd() <= self.highest {
            true => Ok(begun),
            false => Err(Errno::EMFILE),
        });
        let talks = matches!(probe, Probe::Http(_));
        let short = begun.as_ref().err().copied().filter(is_shortage);
        let again = std::mem::replace(&mut self.short, short.is_some());
        if let Some(errno) = short {
            return Answer::Unasked { errno, again };
        }
        match begun {
            Ok((fd, true)) if !talks => Answer::Now(is_to_somebody(&fd) == Some(true)),
            Ok((fd, _)) => {
                place.stage = if talks { Stage::Talks } else { Stage::Connects };
                let fd: &OwnedFd = place.fd.insert(fd);
                Answer::Later(fd.as_fd())
            }
            Err(_) => Answer::Now(false),
        }
    }

    /// Goes on with a question whose fd has become writable or readable. Its answer, once; `None` as long as there is
    /// none, or if nothing was asked (any more).
    pub fn advance(&mut self, place: usize) -> Option<bool> {
        let Probes { places, scratch, .. } = self;
        let place = places.get_mut(place)?;
        let fd = place.fd.as_ref()?;
        if place.stage == Stage::Connects {
            let good = connected(fd)?;
            place.fd = None;
            return Some(good);
        }
        let talk = place.talk.as_mut()?;
        let mut answer = None;
        if place.stage == Stage::Talks {
            match talk.advance(fd) {
                Step::Waits => return None,
                Step::Answered(good) => answer = Some(good),
            }
            place.stage = Stage::Answered;
        }
        if talk.is_over(fd, &mut scratch[..]) {
            place.fd = None;
        }
        answer
    }

    /// Takes a question back. Who has accepted and then kept us waiting is reset: an end in good order would leave lar
    /// with a port in TIME_WAIT for each time it asks in vain.
    pub fn cancel(&mut self, place: usize) {
        let Some(place) = self.places.get_mut(place) else { return };
        if let Some(fd) = place.fd.take_if(|_| place.stage == Stage::Talks) {
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            let _ = setsockopt(&fd, sockopt::Linger, &at_once);
        }
        place.fd = None;
    }
}

/// Whether it is lar, or the machine, that lacks something.
fn is_shortage(errno: &Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS)
}

fn open_tcp(address: SocketAddr) -> Result<(OwnedFd, bool), Errno> {
    match address {
        SocketAddr::V4(address) => open(AddressFamily::Inet, &SockaddrIn::from(address)),
        SocketAddr::V6(address) => open(AddressFamily::Inet6, &SockaddrIn6::from(address)),
    }
}

/// A socket that connects without blocking, and whether it already has.
fn open(family: AddressFamily, address: &dyn SockaddrLike) -> Result<(OwnedFd, bool), Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    match connect(fd.as_raw_fd(), address) {
        Ok(()) => Ok((fd, true)),
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok((fd, false)),
        // A full backlog of a Unix socket says EAGAIN: somebody listens, but nobody accepts.
        Err(errno) => Err(errno),
    }
}

fn unix_address(path: &str) -> Result<UnixAddr, Errno> {
    match path.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes()),
        None => UnixAddr::new(path),
    }
}

/// Whether a connection that was begun has come about; `None` while that is open.
fn connected(fd: &OwnedFd) -> Option<bool> {
    match getsockopt(fd, sockopt::SocketError) {
        Ok(0) => is_to_somebody(fd),
        Ok(_) | Err(_) => Some(false),
    }
}

/// Whether there is a peer, and another than itself; `None` if there is none yet. A TCP connection to a port of this
/// machine that nobody listens on can end up at itself, if the kernel picks just that port for our end of it.
fn is_to_somebody(fd: &OwnedFd) -> Option<bool> {
    let raw = fd.as_raw_fd();
    let ours: Result<SockaddrStorage, Errno> = getsockname(raw);
    let theirs: Result<SockaddrStorage, Errno> = getpeername(raw);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            Some(ours != theirs || ours.family() == Some(AddressFamily::Unix))
        }
        (_, Err(Errno::ENOTCONN)) => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn ask(probe: &Probe) -> bool {
        answer(&mut Probes::new(1), probe)
    }

    fn answer(probes: &mut Probes, probe: &Probe) -> bool {
        let fd = match probes.begin(0, probe) {
            Answer::Now(ready) => return ready,
            Answer::Later(fd) => fd.try_clone_to_owned().unwrap(),
            Answer::Unasked { errno, .. } => panic!("{errno}"),
        };
        let mut wanted = PollFlags::POLLOUT;
        loop {
            let mut fds = [PollFd::new(fd.as_fd(), wanted)];
            assert_eq!(poll(&mut fds, PollTimeout::from(30_000u16)), Ok(1));
            match probes.advance(0) {
                Some(good) => return good,
                None => wanted = PollFlags::POLLIN, // it has asked
            }
        }
    }

    #[test]
    fn a_port_is_ready_while_somebody_listens() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                println!("skipped {host}: this machine has no such address");
                continue;
            };
            let probe = Probe::Tcp(listener.local_addr().unwrap().to_string());
            assert!(ask(&probe));
            drop(listener);
            assert!(!ask(&probe));
        }
    }

    #[test]
    fn a_connection_to_itself_is_not_an_answer() {
        // The kernel gives a client a port out of this range; asking often enough at one of them hits it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let probe = Probe::Tcp(listener.local_addr().unwrap().to_string());
        drop(listener);
        for _ in 0..2000 {
            assert!(!ask(&probe));
        }
    }

    #[test]
    fn a_unix_socket_is_ready_while_somebody_listens() {
        let directory = std::env::temp_dir().join(format!("lar-check-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let probe = Probe::Unix(path.to_str().unwrap().into());
        assert!(!ask(&probe), "no file");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(ask(&probe));
        drop(listener);
        assert!(!ask(&probe), "a file, but nobody behind it");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_server_says_by_its_status_whether_it_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for status in ["503 Not Yet", "200 OK", "200 OK"] {
                let (mut peer, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let count = peer.read(&mut request).unwrap();
                assert!(request[..count].starts_with(b"GET /health HTTP/1.1\r\n"));
                let reply = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\nwords");
                peer.write_all(reply.as_bytes()).unwrap();
            }
        });
        // One place is used again and again.
        let mut probes = Probes::new(1);
        let answers: Vec<bool> =
            (0..3).map(|_| answer(&mut probes, &Probe::Http(url.clone()))).collect();
        assert_eq!(answers, [false, true, true]);
        server.join().unwrap();
        assert!(!answer(&mut probes, &Probe::Http(url)), "nobody listens any more");
        assert!(!answer(&mut probes, &Probe::Http("http://127.0.0.1:99999/".into())));
    }

    #[test]
    fn a_file_is_there_or_not() {
        let path = std::env::temp_dir().join(format!("lar-check-file-{}", std::process::id()));
        let probe = Probe::File(path.to_str().unwrap().into());
        assert!(!ask(&probe));
        std::fs::write(&path, "").unwrap();
        assert!(ask(&probe));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_connection_that_is_still_open_to_be_made_has_no_answer() {
        // A full backlog: the kernel does not answer the next one.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let probe = Probe::Tcp(listener.local_addr().unwrap().to_string());
        let mut probes = Probes::new(4);
        for place in 0..4 {
            assert!(matches!(probes.begin(place, &probe), Answer::Later(_)));
        }
        // Whatever wakes the loop up: it is no "no".
        assert_eq!(probes.advance(3), None);
    }

    #[test]
    fn without_an_fd_to_spare_nothing_is_asked_and_that_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let probe = Probe::Tcp(listener.local_addr().unwrap().to_string());
        let mut probes = Probes::new(1);
        let enough = std::mem::replace(&mut probes.highest, 2);
        for before in [false, true] {
            let answer = probes.begin(0, &probe);
            assert!(
                matches!(answer, Answer::Unasked { errno: Errno::EMFILE, again } if again == before)
            );
        }
        assert_eq!(probes.advance(0), None);
        probes.highest = enough;
        assert!(answer(&mut probes, &probe));
        probes.highest = 2;
        assert!(matches!(probes.begin(0, &probe), Answer::Unasked { again: false, .. }));
    }

    #[test]
    fn a_question_taken_back_has_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut probes = Probes::new(1);
        probes.begin(0, &Probe::Tcp(listener.local_addr().unwrap().to_string()));
        probes.cancel(0);
        assert_eq!(probes.advance(0), None);
        assert_eq!(probes.advance(7), None);
    }
}
