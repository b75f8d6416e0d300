//! The supplementary groups of whoever is at the other end of a Unix socket. nix has the
//! credentials (SO_PEERCRED), but not these.

use std::os::fd::{AsRawFd, BorrowedFd};

/// The most groups that are looked at; NGROUPS_MAX is 65536, but nobody is in that many.
const MOST: usize = 1024;

/// Those groups; none if the kernel does not say (before 4.13), or says too many.
pub fn groups(socket: BorrowedFd<'_>) -> Vec<u32> {
    let mut groups = vec![0 as libc::gid_t; MOST];
    let mut bytes = size_of_val(&groups[..]) as libc::socklen_t;
    // SAFETY: the kernel writes at most `bytes` bytes to the vector, which has that many
    // initialised ones; both outlive the call, and `socket` is borrowed from its owner for it.
    let result = unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS);
        libc::getsockopt(socket.as_raw_fd(), level, name, groups.as_mut_ptr().cast(), &mut bytes)
    };
    let count = if result == 0 { bytes as usize / size_of::<libc::gid_t>() } else { 0 };
    groups.truncate(count);
    groups
}
