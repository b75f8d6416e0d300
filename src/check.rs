//! Readiness questions that lar asks itself: does anybody accept connections there? And the one it listens
//! for: `notify`.
//!
//! A connection is begun without blocking, and its end is an event of the loop like any other; so no peer,
//! however slow, holds anything up. Nothing is sent. When to ask, how long to wait and what an answer means
//! is the core's business, not this module's; nor are `command` probes, which are processes.

pub mod notify;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use core::net::SocketAddr;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    UnixAddr, connect, getpeername, getsockname, getsockopt, socket, sockopt,
};

use crate::plan::Probe;

/// The connections under way, at most one for each instance.
pub struct Probes {
    connections: Vec<Option<OwnedFd>>,
}

/// What a question has led to so far.
pub enum Answer<'a> {
    /// It was answered at once.
    Now(bool),
    /// The answer comes when this fd becomes writable: call [`Probes::finish`].
    Later(BorrowedFd<'a>),
}

impl Probes {
    /// Room for this many instances.
    pub fn new(instances: usize) -> Probes {
        Probes { connections: (0..instances).map(|_| None).collect() }
    }

    /// Makes room for this many instances.
    pub fn grow(&mut self, instances: usize) {
        let size = self.connections.len().max(instances);
        self.connections.resize_with(size, || None);
    }

    /// Begins to connect. An error to do so (EMFILE as well as ECONNREFUSED) is a no; the core asks again.
    pub fn begin(&mut self, instance: usize, probe: &Probe) -> Answer<'_> {
        self.cancel(instance);
        let begun = match probe {
            Probe::Tcp(address) => match address.parse() {
                Ok(SocketAddr::V4(address)) => {
                    open(AddressFamily::Inet, &SockaddrIn::from(address))
                }
                Ok(SocketAddr::V6(address)) => {
                    open(AddressFamily::Inet6, &SockaddrIn6::from(address))
                }
                Err(_) => Err(Errno::EINVAL), // the port of an instance that was added may be too high
            },
            Probe::Unix(path) => {
                unix_address(path).and_then(|address| open(AddressFamily::Unix, &address))
            }
            // These are not asked here; a core that does so anyway is told no.
            _ => Err(Errno::EINVAL),
        };
        match (begun, self.connections.get_mut(instance)) {
            (Ok((fd, false)), Some(place)) => {
                let fd = place.insert(fd);
                Answer::Later(std::os::fd::AsFd::as_fd(fd))
            }
            (Ok((fd, true)), _) => Answer::Now(is_to_somebody(&fd)),
            (Ok(_), None) | (Err(_), _) => Answer::Now(false),
        }
    }

    /// The answer, once the fd has become writable. `None` if nothing was asked (any more).
    pub fn finish(&mut self, instance: usize) -> Option<bool> {
        let fd = self.connections.get_mut(instance)?.take()?;
        let error = getsockopt(&fd, sockopt::SocketError);
        Some(error == Ok(0) && is_to_somebody(&fd))
    }

    /// Takes a question back.
    pub fn cancel(&mut self, instance: usize) {
        if let Some(place) = self.connections.get_mut(instance) {
            *place = None;
        }
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

/// A TCP connection to a port of this machine that nobody listens on can end up at itself, if the kernel picks
/// just that port for our end of it.
fn is_to_somebody(fd: &OwnedFd) -> bool {
    let raw = fd.as_raw_fd();
    let ours: Result<SockaddrStorage, Errno> = getsockname(raw);
    let theirs: Result<SockaddrStorage, Errno> = getpeername(raw);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => ours != theirs || ours.family() == Some(AddressFamily::Unix),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn ask(probe: &Probe) -> bool {
        let mut probes = Probes::new(1);
        match probes.begin(0, probe) {
            Answer::Now(ready) => ready,
            Answer::Later(fd) => {
                let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
                poll(&mut fds, PollTimeout::from(30_000u16)).unwrap();
                probes.finish(0).unwrap()
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
    fn a_question_taken_back_has_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut probes = Probes::new(1);
        probes.begin(0, &Probe::Tcp(listener.local_addr().unwrap().to_string()));
        probes.cancel(0);
        assert_eq!(probes.finish(0), None);
        assert_eq!(probes.finish(7), None);
    }
}
