//! Files in which daemons write their pid, as somebody reads them who is about to send signals to what they name.
//!
//! Such a file is other people's word: it may be missing, half written, a trap (a FIFO that blocks whoever opens it,
//! a link to another daemon's file), or left from before the machine was started. Reading never blocks and allocates
//! nothing; what is not plainly a pid is told apart, and nothing here sends a signal.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat};

use crate::exit::{Errno, Pid};
use crate::sys::{errno_of, fd};

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidFile {
    /// There is no such file.
    Missing,
    /// There is nothing in it, yet.
    Empty,
    /// There is something else in it than a pid.
    Garbage,
    /// It is no regular file: a link, a FIFO, a directory, a device.
    Irregular,
    /// It belongs to this user, who may not say which process is the daemon.
    Untrusted(u32),
    /// This one; it need not live.
    Pid(Pid),
}

/// A pid file's word, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub says: PidFile,
    /// When its content last changed: nanoseconds since 1970 on the wall clock; 0 where there is no regular file.
    pub modified: i128,
    /// The user it belongs to; 0 where there is no regular file.
    pub owner: u32,
}

/// The most bytes that a pid file may have: a number, blanks around it, and a comment's worth of more lines, as
/// PostgreSQL's has them.
const LONGEST: usize = 512;

/// Reads a pid file. It may belong to root, to lar's own user, or to `allowed`, the service's.
/// EACCES, ELOOP above the file, EIO…; a file that is not there is no error.
pub fn read(path: &str, allowed: Option<u32>) -> Result<PidFile, Errno> {
    read_dated(path, allowed).map(|reading| reading.says)
}

/// The same, with the file's time.
pub fn read_dated(path: &str, allowed: Option<u32>) -> Result<Reading, Errno> {
    let nothing = |says| Ok(Reading { says, modified: 0, owner: 0 });
    // A link is not followed: in a directory that others may write to it could name any daemon's file.
    let flags = OFlag::O_RDONLY
        | OFlag::O_CLOEXEC
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_NOFOLLOW;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => file,
        Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => return nothing(PidFile::Missing),
        // A link, or a socket.
        Err(nix::Error::ELOOP | nix::Error::ENXIO) => return nothing(PidFile::Irregular),
        Err(errno) => return Err(errno.into()),
    };
    let about = fstat(&file)?;
    if about.st_mode & libc::S_IFMT != libc::S_IFREG {
        return nothing(PidFile::Irregular);
    }
    let own = nix::unistd::geteuid().as_raw();
    let trusted = [Some(0), Some(own), allowed].contains(&Some(about.st_uid));
    let says = match trusted {
        true => content(&file)?,
        false => PidFile::Untrusted(about.st_uid),
    };
    Ok(Reading { says, modified: modified(&about), owner: about.st_uid })
}

/// When a file's content last changed, in nanoseconds since 1970.
fn modified(about: &FileStat) -> i128 {
    i128::from(about.st_mtime) * 1_000_000_000 + i128::from(about.st_mtime_nsec)
}

fn content(file: &OwnedFd) -> Result<PidFile, Errno> {
    let mut buffer = [0; LONGEST];
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match fd::read(file, room)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(parse(buffer.get(..length).unwrap_or_default()))
}

/// What these bytes say: the first line is a number in decimal with nothing but blanks around it, at least 2 (nobody
/// who serves is PID 1), at most what a pid can be. What comes on further lines is the daemon's own business.
pub fn parse(bytes: &[u8]) -> PidFile {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return PidFile::Empty;
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let digits = line.trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return PidFile::Garbage;
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i32>().ok());
    match number {
        Some(number) if number > 1 => PidFile::Pid(Pid(number)),
        _ => PidFile::Garbage,
    }
}

/// Writes a pid file for a daemon that does not itself, whole or not at all: a file beside it takes its place
/// (mode 0644). EACCES, ENOENT, EROFS, ENOSPC…
pub fn write(path: &str, pid: Pid) -> Result<(), Errno> {
    let beside = format!("{path}.new");
    // What a crash left behind, or a link that somebody put there.
    let _ = fs::remove_file(&beside);
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o644).open(&beside);
    let mut file = opened.map_err(|error| errno_of(&error))?;
    let written = file.write_all(format!("{pid}\n").as_bytes());
    written.and_then(|()| fs::rename(&beside, path)).map_err(|error| {
        let _ = fs::remove_file(&beside);
        errno_of(&error)
    })
}

/// Removes a pid file, whatever it says; that there is none is no error. EACCES, EROFS, EISDIR…
pub fn remove(path: &str) -> Result<(), Errno> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(errno_of(&error)),
        _ => Ok(()),
    }
}

/// Removes it if it still names `pid`: a successor's file is left alone. Whether it did.
pub fn remove_of(path: &str, allowed: Option<u32>, pid: Pid) -> Result<bool, Errno> {
    match read(path, allowed)? {
        PidFile::Pid(named) if named == pid => remove(path).map(|()| true),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// A directory that is removed with it.
    struct Place(std::path::PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let name = format!("lar-pidfile-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Place(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_string()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_pid_is_a_decimal_number_on_the_first_line_and_nothing_else() {
        for good in ["42", "42\n", "  42 \r\n", "\t42\n/var/lib/data\n5432\n", "0042\n"] {
            assert_eq!(parse(good.as_bytes()), PidFile::Pid(Pid(42)), "{good:?}");
        }
        for empty in ["", "\n", "  \n \n"] {
            assert_eq!(parse(empty.as_bytes()), PidFile::Empty, "{empty:?}");
        }
        let garbage = [
            "0",
            "1",
            "-42",
            "+42",
            "42x",
            "4 2",
            "0x2a",
            "99999999999",
            "pid 42",
            "\n42",
            "4\u{0}2",
        ];
        for bad in garbage {
            assert_eq!(parse(bad.as_bytes()), PidFile::Garbage, "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_only_its_own_is_removed() {
        let place = Place::new("written");
        let path = place.path("pid");
        assert_eq!(read(&path, None), Ok(PidFile::Missing));
        assert_eq!(read(&place.path("no/such/pid"), None), Ok(PidFile::Missing));
        write(&path, Pid(42)).unwrap();
        let reading = read_dated(&path, None).unwrap();
        assert_eq!(reading.says, PidFile::Pid(Pid(42)));
        let mtime = fs::metadata(&path).unwrap();
        assert_eq!(reading.modified / 1_000_000_000, i128::from(mtime.mtime()));
        assert_eq!(remove_of(&path, None, Pid(41)), Ok(false));
        assert_eq!(remove_of(&path, None, Pid(42)), Ok(true));
        assert_eq!(remove_of(&path, None, Pid(42)), Ok(false));
        assert_eq!(remove(&path), Ok(()));
        assert!(!fs::exists(place.path("pid.new")).unwrap());
        assert!(write(&place.path("no/such/pid"), Pid(42)).is_err());
    }

    #[test]
    fn a_trap_is_neither_followed_nor_waited_at() {
        let place = Place::new("trap");
        let (real, link, fifo) = (place.path("real"), place.path("link"), place.path("fifo"));
        write(&real, Pid(42)).unwrap();
        symlink(&real, &link).unwrap();
        nix::unistd::mkfifo(fifo.as_str(), Mode::S_IRWXU).unwrap();
        let socket = place.path("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for trap in [link.as_str(), &fifo, &socket, place.0.to_str().unwrap(), "/dev/null"] {
            assert_eq!(read(trap, None), Ok(PidFile::Irregular), "{trap}");
        }
        // What is written takes the link's place and leaves alone what it led to.
        symlink(&real, place.path("other.new")).unwrap();
        write(&place.path("other"), Pid(43)).unwrap();
        write(&link, Pid(44)).unwrap();
        assert_eq!(read(&real, None), Ok(PidFile::Pid(Pid(42))));
        assert_eq!(read(&link, None), Ok(PidFile::Pid(Pid(44))));
    }

    #[test]
    fn a_file_of_somebody_else_is_not_believed() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can give a file away");
            return;
        }
        let place = Place::new("else");
        let path = place.path("pid");
        write(&path, Pid(42)).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert_eq!(read(&path, None), Ok(PidFile::Untrusted(12345)));
        assert_eq!(read(&path, Some(54321)), Ok(PidFile::Untrusted(12345)));
        assert_eq!(read(&path, Some(12345)), Ok(PidFile::Pid(Pid(42))));
    }

    #[test]
    fn a_long_file_is_read_only_as_far_as_a_pid_can_be() {
        let place = Place::new("long");
        let path = place.path("pid");
        fs::write(&path, format!("42\n{}", "x".repeat(1 << 20))).unwrap();
        assert_eq!(read(&path, None), Ok(PidFile::Pid(Pid(42))));
        fs::write(&path, "4".repeat(1 << 20)).unwrap();
        assert_eq!(read(&path, None), Ok(PidFile::Garbage));
    }
}
