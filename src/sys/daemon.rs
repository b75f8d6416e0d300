//! Going into the background, and the file with our pid.
//!
//! The process that was started stays until the manager runs, so that its exit code tells whether
//! that worked. It must be left before anything is made that a fork would double: signal fds,
//! sockets, locks.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::unistd::ForkResult;

use crate::exit::Errno;
use crate::sys::{errno_of, fd, own_pid, signals};

/// The background process's promise to say whether it has started. Dropped unsaid, the one who
/// waits is told "failed".
pub struct Startup(OwnedFd);

/// Forks: returns in the background process, which has its own session, no terminal and /dev/null
/// for standard input. The foreground process waits for [`Startup::report`] and exits with that
/// code, never returning from here; if the other dies before, with 1.
///
/// The directory is the caller's to change. Standard output and error stay until the report, for
/// the messages of a start that fails. EAGAIN, ENOMEM, EMFILE.
pub fn go_to_background() -> Result<Startup, Errno> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: lar has one thread, so the child has all of its memory in a usable state.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { .. } => {
            drop(write);
            wait_for_report(read)
        }
        ForkResult::Child => {
            drop(read);
            // A fresh child leads no group, so this can't fail.
            let _ = nix::unistd::setsid();
            replace(&[fd::Standard::Input])?;
            Ok(Startup(write))
        }
    }
}

/// The foreground half: from now on it is only a messenger, and Ctrl-C may end it.
fn wait_for_report(read: OwnedFd) -> ! {
    signals::give_back();
    let mut code = [1];
    let code = match fd::read(&read, &mut code) {
        Ok(1) => code[0],
        _ => 1,
    };
    // SAFETY: _exit touches no memory; what std buffers is empty or belongs to the other half.
    unsafe { libc::_exit(i32::from(code)) }
}

impl Startup {
    /// Says with which exit code the foreground process is to end, and lets go of standard output
    /// and error.
    pub fn report(self, code: u8) -> Result<(), Errno> {
        let replaced = replace(&[fd::Standard::Output, fd::Standard::Error]);
        // If the one who waited was killed, nobody needs to know.
        let _ = fd::write(&self.0, &[code]);
        replaced
    }
}

/// Puts /dev/null in the place of standard fds.
fn replace(fds: &[fd::Standard]) -> Result<(), Errno> {
    let null = fd::open_null()?;
    for &number in fds {
        // SAFETY: the call takes plain numbers; 0 to 2 are owned by nobody, so no owner is
        // surprised.
        let answer = unsafe {
            use std::os::fd::AsRawFd;
            libc::dup2(null.as_fd().as_raw_fd(), number as i32)
        };
        crate::sys::checked(answer)?;
    }
    Ok(())
}

/// A file with our pid in it.
pub struct PidFile {
    path: String,
}

impl PidFile {
    /// Writes it, over whatever was there (mode 0644). EACCES, ENOENT, EROFS, ENOSPC…
    pub fn write(path: &str) -> Result<PidFile, Errno> {
        let opened = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(path);
        let line = format!("{}\n", own_pid());
        let mut file = opened.map_err(|error| errno_of(&error))?;
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Half a file would be believed.
            let _ = fs::remove_file(path);
            return Err(errno_of(&error));
        }
        Ok(PidFile { path: path.into() })
    }

    /// Removes it, if it still holds our pid: a successor's file is left alone.
    pub fn remove(self) {
        let ours =
            fs::read_to_string(&self.path).is_ok_and(|text| text.trim().parse() == Ok(own_pid().0));
        if ours {
            // If it can't be removed it is stale, which whoever reads it has to expect anyway.
            let _ = fs::remove_file(&self.path);
        }
    }
}
