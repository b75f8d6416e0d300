//! The kernel, as lar sees it: one file per kind of thing that is asked of it. All `unsafe` code
//! and all of libc is in here.
//!
//! This layer knows the words of layer 0 and nothing of the supervisor: it never decides, it never
//! logs, it keeps no table of processes. Whatever the kernel refuses comes back as an [`Errno`];
//! nothing in here panics on an answer.

pub mod alarm;
pub mod boot;
pub mod capture;
pub mod clock;
pub mod daemon;
pub mod duplex;
pub mod ear;
pub mod entry;
pub mod fd;
pub mod listener;
pub mod local;
pub mod lock;
pub mod outlet;
pub mod parent;
pub mod peer;
pub mod pidfile;
pub mod pipe;
pub mod process;
pub mod raw;
pub mod reap;
pub mod rotation;
pub mod signals;
pub mod spawn;
pub mod tail;
pub mod terminal;
pub mod unix;
pub mod users;
pub mod variables;

use crate::exit::Errno;

/// The errno of an I/O error that came from the kernel; EIO for one that std made up.
pub fn errno_of(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// This process's id.
pub fn own_pid() -> crate::exit::Pid {
    crate::exit::Pid(nix::unistd::getpid().as_raw())
}

/// The errno that the last failed call of this thread left.
fn last_errno() -> Errno {
    Errno(nix::errno::Errno::last_raw())
}

/// A call's answer as a result: -1 is an error.
fn checked(answer: i32) -> Result<i32, Errno> {
    if answer == -1 { Err(last_errno()) } else { Ok(answer) }
}

/// Makes a call again for as long as a signal interrupts it.
fn uninterrupted(mut call: impl FnMut() -> i32) -> Result<i32, Errno> {
    loop {
        match checked(call()) {
            Err(Errno(libc::EINTR)) => {}
            answer => return answer,
        }
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Errno {
        Errno(errno as i32)
    }
}
