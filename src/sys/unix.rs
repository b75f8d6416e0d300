//! Sockets in the file system: who is there, and what was left behind.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// What stands at `path`, by its numbers.
pub fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// A connection to whoever listens at `address`. Does not block, even if they do not accept: then
/// it is none, but no error either.
pub fn call(address: &UnixAddr) -> nix::Result<Option<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    match connect(fd.as_raw_fd(), address) {
        Ok(()) => Ok(Some(fd)),
        Err(nix::Error::EAGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether somebody listens at `address`. Only a refusal says that nobody does: a socket that we may not connect to,
/// or one of another type, can be anybody's, and is alive for all that we know.
pub fn is_alive(address: &UnixAddr) -> io::Result<bool> {
    match call(address) {
        Ok(_) => Ok(true),
        Err(nix::Error::ECONNREFUSED | nix::Error::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes what somebody dead left at `path`, but nothing that is not a socket.
pub fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(ErrorKind::AlreadyExists, "what is there is not a socket")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
