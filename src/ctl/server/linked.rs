//! zdaemon's way to a socket: it is made under another name, then given its own by a hard link, which only
//! one can make. So two managers, lar's or zdaemon's, respect each other, and nothing stays beside the socket.
//!
//! What zdaemon leaves open is the removal of a dead manager's socket: of two that find it dead, the slower
//! one may remove the socket of the quicker. Here the directory is locked meanwhile, which keeps out another lar.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use super::listen::{BindError, Bound};
use crate::ctl::place::Place;
use crate::sys::unix::{call, is_alive, remove_stale};

/// How often a lock of the directory is tried, and how many milliseconds lar waits in between. Nothing tells
/// that a lock is free but flock(2), and that has no time limit: anybody could keep a manager from starting for ever.
const TRIES: (u32, u8) = (50, 10);

/// How long a manager that is there may take to say how it is.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The most of its reply that is of interest, in bytes: as much as zdaemon reads.
const REPLY: usize = 1000;

/// Who was at a place before.
#[derive(Debug, PartialEq, Eq)]
pub enum Incumbent {
    /// Nobody, or nobody who could be asked.
    Nobody,
    /// One that has ended, and left its socket.
    Dead,
    /// One that answers this to `status`; nothing, if it takes too long.
    Alive(String),
}

/// Who is at `path`.
pub fn incumbent(path: &Path) -> Incumbent {
    let Ok(address) = UnixAddr::new(path) else { return Incumbent::Nobody };
    match call(&address) {
        Ok(Some(fd)) => Incumbent::Alive(ask(UnixStream::from(fd)).unwrap_or_default()),
        Ok(None) => Incumbent::Alive(String::new()),
        // What is no socket will not be removed either.
        Err(nix::Error::ECONNREFUSED) => {
            match fs::metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
                true => Incumbent::Dead,
                false => Incumbent::Nobody,
            }
        }
        // Where that is a reason not to listen there, the attempt to will tell it.
        Err(_) => Incumbent::Nobody,
    }
}

fn ask(mut stream: UnixStream) -> io::Result<String> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"status\n")?;
    let mut reply = [0; REPLY];
    let count = stream.read(&mut reply)?;
    Ok(String::from_utf8_lossy(reply.get(..count).unwrap_or(&[])).trim_end().to_owned())
}

/// Makes the socket PATH by way of PATH.PID.
pub(super) fn at(path: &Path, mode: u32) -> Result<Bound, BindError> {
    let place = Place::Path(path.to_path_buf());
    let unusable = |error| BindError::Unusable(place.clone(), error);
    let _lock = lock_directory(path);
    let own = UnixAddr::new(path).map_err(|error| unusable(error.into()))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(name);
    let bound = draw_up(&draft, &place, mode).map_err(unusable)?;
    let named = give_name(&draft, path, &own);
    // The other name has done its work, or there is none.
    let _ = fs::remove_file(&draft);
    match named {
        Ok(true) => Ok(bound),
        Ok(false) => Err(BindError::Taken(place)),
        Err(error) => Err(unusable(error)),
    }
}

/// A listening socket called `draft`, for `place`. Whoever can see it under its own name can connect to it.
fn draw_up(draft: &Path, place: &Place, mode: u32) -> io::Result<Bound> {
    remove_stale(draft)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(draft)?)?;
    let made = fs::set_permissions(draft, Permissions::from_mode(mode))
        .and_then(|()| Bound::listening(fd, draft, place));
    if made.is_err() {
        let _ = fs::remove_file(draft);
    }
    made
}

/// Whether the name could be had; not if somebody answers under it.
fn give_name(draft: &Path, path: &Path, own: &UnixAddr) -> io::Result<bool> {
    // Each time round, what stood in the way is gone; somebody else's may have taken its place.
    for _ in 0..10 {
        match fs::hard_link(draft, path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A file system without links: the lock alone has to do.
            Err(_) if !path.try_exists()? => {
                fs::rename(draft, path)?;
                return Ok(true);
            }
            Err(_) => {}
        }
        if is_alive(own)? {
            return Ok(false);
        }
        remove_stale(path)?;
    }
    Ok(false)
}

/// Locks the directory, if that can be had: without, it is as zdaemon does it.
fn lock_directory(path: &Path) -> Option<Flock<File>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = File::open(directory.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..TRIES.0 {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((same, nix::Error::EWOULDBLOCK)) => file = same,
            Err(_) => return None,
        }
        let _ = nix::poll::poll(&mut [], TRIES.1); // nothing to be told of: this waits
    }
    None
}
