//! The sockets that lar listens on for its services: opened once, and given to every process that is to accept from
//! them. lar itself only looks whether somebody waits.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, UnixAddr, bind, listen,
    setsockopt, socket, sockopt,
};

use super::unix::{identity, is_alive, remove_stale};
use crate::plan::{Address, Listen, Socket};

/// An open socket. A `unix` one is taken away from the file system when this is dropped, if it is still what stands
/// there.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    place: Option<(PathBuf, (u64, u64))>,
}

impl Listener {
    /// Opens it: close-on-exec, and blocking, as whoever accepts may expect. EADDRINUSE, EACCES, EMFILE…
    pub fn open(wanted: &Socket) -> io::Result<Listener> {
        match &wanted.listen {
            Listen::Tcp(address) => {
                let fd = bound(address, SockType::Stream)?;
                listen(&fd, backlog(wanted)?)?;
                Ok(Listener { fd, place: None })
            }
            Listen::Udp(address) => {
                Ok(Listener { fd: bound(address, SockType::Datagram)?, place: None })
            }
            Listen::Unix(path) => match path.strip_prefix('@') {
                Some(name) => {
                    let fd = make(AddressFamily::Unix, SockType::Stream)?;
                    bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
                    listen(&fd, backlog(wanted)?)?;
                    Ok(Listener { fd, place: None })
                }
                None => in_the_file_system(Path::new(path), wanted),
            },
        }
    }

    /// Follows a definition that says the same of where it listens: backlog, and mode and owner of a `unix` one.
    pub fn follow(&self, wanted: &Socket) -> io::Result<()> {
        if !matches!(wanted.listen, Listen::Udp(_)) {
            listen(&self.fd, backlog(wanted)?)?;
        }
        match &self.place {
            Some((path, made)) if identity(path).ok() == Some(*made) => furnish(path, wanted),
            _ => Ok(()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((path, made)) = &self.place
            && identity(path).ok() == Some(*made)
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn make(family: AddressFamily, kind: SockType) -> io::Result<OwnedFd> {
    Ok(socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?)
}

fn backlog(wanted: &Socket) -> io::Result<Backlog> {
    Ok(Backlog::new(i32::try_from(wanted.backlog).unwrap_or(i32::MAX))?)
}

/// A socket bound to an address. All addresses are one socket of IPv6 that takes IPv4 too, or one of IPv4 on a machine
/// that has nothing else.
fn bound(address: &Address, kind: SockType) -> io::Result<OwnedFd> {
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port);
    let Some(ip) = address.ip else {
        let both = bound_to(at(Ipv6Addr::UNSPECIFIED.into()), kind, false);
        return match both {
            Err(error) if no_ipv6(&error) => bound_to(at(Ipv4Addr::UNSPECIFIED.into()), kind, true),
            answer => answer,
        };
    };
    bound_to(at(ip), kind, true)
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn bound_to(address: SocketAddr, kind: SockType, alone: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = make(family, kind)?;
    if kind == SockType::Stream {
        // Connections of an earlier lar that are not quite over must not keep this one from starting.
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    match address {
        SocketAddr::V4(address) => bind(fd.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => {
            setsockopt(&fd, sockopt::Ipv6V6Only, &alone)?;
            bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
        }
    }
    Ok(fd)
}

fn in_the_file_system(path: &Path, wanted: &Socket) -> io::Result<Listener> {
    let address = UnixAddr::new(path)?;
    if is_alive(&address)? {
        return Err(io::Error::new(ErrorKind::AddrInUse, "somebody listens there already"));
    }
    remove_stale(path)?;
    let fd = make(AddressFamily::Unix, SockType::Stream)?;
    bind(fd.as_raw_fd(), &address)?;
    let listener = Listener { fd, place: Some((path.to_owned(), identity(path)?)) };
    // Nobody can connect before it listens, and by then it has its mode and owner.
    furnish(path, wanted)?;
    listen(&listener.fd, backlog(wanted)?)?;
    Ok(listener)
}

fn furnish(path: &Path, wanted: &Socket) -> io::Result<()> {
    if wanted.user.is_some() || wanted.group.is_some() {
        lchown(path, wanted.user, wanted.group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(wanted.mode))
}
