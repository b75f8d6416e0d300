//! The listening socket: where it is made, and what keeps a second manager away from it.
//!
//! Beside a socket PATH stands PATH.lock, locked for as long as the manager lives. The kernel
//! drops the lock with the last process that holds it, so a stale socket is known for sure, and
//! replaced. The lock file is never removed: a third manager could lock a new one while a second
//! waits with the old one open.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, UnixCredentials, bind, getsockopt,
    listen, socket, sockopt,
};

use crate::ctl::place::{Place, bare};
use crate::sys::unix::{call, identity, is_alive, remove_stale};

/// How many clients may wait to be accepted. More than are served at once, so that a burst is
/// answered with `too many clients` instead of a bare EAGAIN.
const BACKLOG: i32 = 64;

/// A socket that clients can connect to.
#[derive(Debug)]
pub struct Bound {
    /// Takes their connections; not blocking.
    pub listener: UnixListener,
    /// Where.
    pub place: Place,
    // What was made at `place`, so that nobody else's socket is removed.
    inode: Option<(u64, u64)>,
    _lock: Option<Flock<fs::File>>,
}

/// Why no socket could be made at a place.
#[derive(Debug)]
pub enum BindError {
    /// Another manager has it.
    Taken(Place),
    /// The place can't be used.
    Unusable(Place, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Taken(place) => {
                write!(
                    f,
                    "another manager already listens at {place}; give one another socket-name"
                )
            }
            BindError::Unusable(place, error) => {
                write!(f, "can't listen at {place}: {}", bare(error))
            }
        }
    }
}

impl Bound {
    /// Makes the socket at the first of `places` that can be used. One that is taken by another
    /// manager is not passed over: two managers on one machine are told apart by name, not by luck.
    pub fn first(places: &[Place], mode: u32) -> Result<Bound, BindError> {
        let mut first = None;
        for place in places {
            match Bound::at(place, mode) {
                Ok(bound) => return Ok(bound),
                Err(BindError::Unusable(place, error)) => {
                    first.get_or_insert(BindError::Unusable(place, error));
                }
                Err(taken) => return Err(taken),
            }
        }
        let nowhere = || BindError::Unusable(Place::named("@"), ErrorKind::NotFound.into());
        Err(first.unwrap_or_else(nowhere))
    }

    fn at(place: &Place, mode: u32) -> Result<Bound, BindError> {
        let unusable = |error: io::Error| BindError::Unusable(place.clone(), error);
        let (lock, address) = match place {
            Place::Path(path) => {
                let address = UnixAddr::new(path).map_err(|error| unusable(error.into()))?;
                let lock = lock(path).map_err(unusable)?;
                let lock = lock.ok_or_else(|| BindError::Taken(place.clone()))?;
                if is_alive(&address).map_err(unusable)? {
                    return Err(BindError::Taken(place.clone())); // somebody without our lock
                }
                remove_stale(path).map_err(unusable)?;
                (Some(lock), address)
            }
            Place::Abstract(name) => {
                let address = UnixAddr::new_abstract(name.as_bytes());
                (None, address.map_err(|error| unusable(error.into()))?)
            }
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|error| unusable(error.into()))?;
        match bind(fd.as_raw_fd(), &address) {
            Ok(()) => {}
            Err(nix::Error::EADDRINUSE) if !strange(&address) => {
                return Err(BindError::Taken(place.clone()));
            }
            Err(error) => return Err(unusable(error.into())),
        }
        Bound::open(fd, lock, place, mode).map_err(unusable)
    }

    /// From bound to listening. The mode is set in between: nobody can connect before it is right,
    /// and the umask (which threads of a test share) stays out of it.
    fn open(
        fd: OwnedFd,
        lock: Option<Flock<fs::File>>,
        place: &Place,
        mode: u32,
    ) -> io::Result<Bound> {
        let mut inode = None;
        if let Place::Path(path) = place {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            inode = Some(identity(path)?);
        }
        listen(&fd, Backlog::new(BACKLOG)?)?;
        Ok(Bound { listener: UnixListener::from(fd), place: place.clone(), inode, _lock: lock })
    }

    /// Listens on a socket that was bound under the name `draft` and is to be known as `place`.
    pub(super) fn listening(fd: OwnedFd, draft: &Path, place: &Place) -> io::Result<Bound> {
        listen(&fd, Backlog::new(BACKLOG)?)?;
        let inode = Some(identity(draft)?);
        Ok(Bound { listener: UnixListener::from(fd), place: place.clone(), inode, _lock: None })
    }
}

/// Takes its socket away, while the lock is still held.
impl Drop for Bound {
    fn drop(&mut self) {
        let Place::Path(path) = &self.place else { return };
        if identity(path).ok() == self.inode {
            let _ = fs::remove_file(path);
        }
    }
}

/// Locks PATH.lock; `None` if somebody else has it.
fn lock(path: &Path) -> io::Result<Option<Flock<fs::File>>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    // Truncation would be harmless, but says something that is not meant.
    options.write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
    let file = options.open(PathBuf::from(name))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// Whether the owner of an abstract `address` is none of ours. It may be out of sight, in another pid
/// namespace: the containers of a pod share these names, and each may have its own manager. Or it is
/// another user's: anybody can take a name, and must not keep a manager from starting with that.
fn strange(address: &UnixAddr) -> bool {
    let Ok(Some(fd)) = call(address) else { return false };
    let own = [0, nix::unistd::geteuid().as_raw()];
    let strange = |peer: UnixCredentials| peer.pid() == 0 || !own.contains(&peer.uid());
    getsockopt(&fd, sockopt::PeerCredentials).is_ok_and(strange)
}
