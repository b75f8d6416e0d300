//! Where lines for a syslog are sent: a datagram each, and never a wait.
//!
//! The socket is made once. A syslog that is started anew gets the next line, without a new fd.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use nix::errno::Errno;

use crate::plan::SyslogAddress;

/// A way to a syslog.
#[derive(Debug)]
pub(super) enum Post {
    /// By its path, which is looked up for each datagram.
    Unix(UnixDatagram, String),
    /// Connected, or the kernel would not tell us that nobody listens there.
    Udp(UdpSocket, SocketAddr),
}

impl Post {
    /// Makes the socket. Whether somebody listens is not asked. EMFILE, EAFNOSUPPORT.
    pub(super) fn new(address: &SyslogAddress) -> Result<Post, Errno> {
        let made = match address {
            SyslogAddress::Path(path) => UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                Ok(Post::Unix(socket, path.clone()))
            }),
            SyslogAddress::Udp(to) => {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                UdpSocket::bind(any).and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(Post::Udp(socket, *to))
                })
            }
        };
        made.map_err(|error| errno(&error))
    }

    /// Whether somebody listens, as far as that can be told without sending anything.
    pub(super) fn probe(&self) -> Result<(), Errno> {
        let result = match self {
            // On a socket of its own: a connected one would not find a successor.
            Post::Unix(_, path) => UnixDatagram::unbound().and_then(|probe| probe.connect(path)),
            Post::Udp(socket, to) => socket.connect(to),
        };
        result.map_err(|error| errno(&error))
    }

    /// Sends a datagram. ECONNREFUSED and ENOENT if nobody listens (by UDP, that is told of the one before, and
    /// this one is sent nevertheless), EAGAIN if the listener does not keep up.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let result = match self {
            Post::Unix(socket, path) => socket.send_to(bytes, path),
            Post::Udp(socket, to) => socket.send(bytes).or_else(|error| {
                socket.connect(to).and_then(|()| socket.send(bytes))?;
                Err(error)
            }),
        };
        result.map(drop).map_err(|error| errno(&error))
    }
}

/// EINVAL for what std refused by itself: a path that no socket can have.
fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}
