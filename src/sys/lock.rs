//! Locks that a process holds by having a file open: flock(2). They end with their holder, however it ends.
//!
//! The fd is close-on-exec. Who inherited it would hold the lock too, and a daemon that did would keep away, for its
//! whole life, everybody who wants to stop it.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::exit::Errno;
use crate::sys::{checked, signals, uninterrupted};

/// Who else may hold it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody.
    Exclusive,
    /// Whoever wants it shared, too.
    Shared,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// lar's own, which nobody else is to lock: made with mode 0600, since who may read a file may lock it, and could
    /// keep everybody waiting for ever. No link is followed.
    Private,
    /// Whoever named it: made with mode 0644, and a link is followed.
    Public,
}

/// What is done if somebody has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Wait, for as long as it takes. Signals have the effect they had on whoever was called first: Ctrl-C ends lar.
    Wait,
    /// Give up at once: EWOULDBLOCK.
    Refuse,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks the file at `path`, which is made if there is none, and never removed: whoever removes a lock's file while
    /// others wait for it gives it to two. EWOULDBLOCK, EACCES, ENOENT (of its directory), EROFS, ELOOP…
    pub fn take(path: &str, mode: Mode, patience: Patience, owner: Owner) -> Result<Lock, Errno> {
        let file = File::from(open(path, owner)?);
        let fd = file.as_raw_fd();
        let operation = match mode {
            Mode::Exclusive => libc::LOCK_EX,
            Mode::Shared => libc::LOCK_SH,
        };
        // SAFETY: flock takes plain numbers and touches no memory.
        let try_to = |flags: i32| checked(unsafe { libc::flock(fd, operation | flags) });
        // SAFETY: as above.
        let wait = || uninterrupted(|| unsafe { libc::flock(fd, operation) });
        match (try_to(libc::LOCK_NB), patience) {
            (Err(Errno(libc::EWOULDBLOCK)), Patience::Wait) => signals::interruptibly(wait)?,
            (answer, _) => answer?,
        };
        Ok(Lock(file))
    }

    /// What its holders have noted in it; empty if it can't be read or is no text.
    pub fn note(&self) -> String {
        let mut text = String::new();
        let mut file = &self.0;
        let read =
            file.seek(SeekFrom::Start(0)).and_then(|_| file.take(NOTE).read_to_string(&mut text));
        read.map_or(String::new(), |_| text)
    }

    /// Notes something in it, in place of what was there. EBADF if the file could only be opened for reading.
    pub fn set_note(&self, text: &str) -> Result<(), Errno> {
        let mut file = &self.0;
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()));
        written.map_err(|error| crate::sys::errno_of(&error))
    }
}

/// The most bytes of a note that are read.
const NOTE: u64 = 256;

/// Opens a file for its lock. One that exists is opened as it is: in a directory for all (/tmp), the kernel may refuse
/// O_CREAT for a file of somebody else's. A directory has a lock, too.
fn open(path: &str, owner: Owner) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let (link, mode) = match owner {
        Owner::Private => (libc::O_NOFOLLOW, 0o600),
        Owner::Public => (0, 0o644),
    };
    // A FIFO does not hold us up.
    let usual = libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK | link;
    let open = |flags: i32| {
        // SAFETY: the path is a C string that lives until the call returns; a new fd has no owner yet.
        unsafe {
            let fd = libc::open(path.as_ptr(), flags | usual, mode);
            checked(fd).map(|fd| OwnedFd::from_raw_fd(fd))
        }
    };
    match open(libc::O_RDWR) {
        Err(Errno(libc::ENOENT)) => open(libc::O_RDWR | libc::O_CREAT),
        // Locks need no right to write, but on NFS.
        Err(Errno(libc::EACCES | libc::EISDIR | libc::EROFS | libc::ETXTBSY | libc::EPERM)) => {
            open(libc::O_RDONLY)
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &str, mode: Mode) -> Result<Lock, Errno> {
        Lock::take(path, mode, Patience::Refuse, Owner::Private)
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped() {
        let path = std::env::temp_dir().join(format!("lar-lock-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let first = take(name, Mode::Shared).unwrap();
        let second = take(name, Mode::Shared).unwrap();
        let busy = Some(Errno(libc::EWOULDBLOCK));
        assert_eq!(take(name, Mode::Exclusive).err(), busy);
        drop((first, second));
        let alone = take(name, Mode::Exclusive).unwrap();
        assert_eq!(take(name, Mode::Shared).err(), busy);
        alone.set_note("a longer note\n").unwrap();
        alone.set_note("42 7\n").unwrap();
        assert_eq!(alone.note(), "42 7\n");
        drop(alone);
        assert_eq!(take(name, Mode::Shared).unwrap().note(), "42 7\n");
        assert!(path.exists(), "it is never removed");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(take(name, Mode::Shared).err(), Some(Errno(libc::ELOOP)));
        assert!(Lock::take(name, Mode::Shared, Patience::Refuse, Owner::Public).is_ok());
        std::fs::remove_file(&path).unwrap();
        let directory = std::env::temp_dir();
        assert!(take(directory.to_str().unwrap(), Mode::Exclusive).is_ok());
        assert_eq!(take("/no/such/lock", Mode::Shared).err(), Some(Errno(libc::ENOENT)));
    }
}
