//! zdaemon's wire protocol, the client's end: one line to the manager's socket, and its reply to the end.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::client::complain;
use crate::cli::INTERRUPTED;
use crate::exit::{Code, Errno, ExitStatus};
use crate::signal::Signal;
use crate::sys::ear::{Ear, Heard};

/// How long to wait for room in the queue of a manager that has too many callers.
const FULL: Duration = Duration::from_millis(50);

/// Why a command did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Ctrl-C was pressed.
    Interrupted,
    /// The client is to end. Only as PID 1: for any other process the kernel sees to that.
    Ended(Signal),
    /// There is no way to wait: no more fds, say.
    Deaf(Errno),
}

impl Cut {
    /// What comes of a signal, if that ends the waiting.
    pub(super) fn by(signal: Signal) -> Result<(), Cut> {
        match signal {
            Signal::INT => Err(Cut::Interrupted),
            Signal::TERM | Signal::HUP => Err(Cut::Ended(signal)),
            _ => Ok(()),
        }
    }

    /// The exit code for it. What nobody else has told is told here.
    pub(super) fn told(self) -> u8 {
        match self {
            Cut::Interrupted => INTERRUPTED,
            Cut::Ended(signal) => ExitStatus::killed(signal).shell_code(),
            Cut::Deaf(errno) => {
                complain(format_args!("Error: can't wait: {errno}"));
                Code::Failed as u8
            }
        }
    }
}

/// What a manager says of itself; if none answers, that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether anybody has answered anything.
    pub(super) answered: bool,
    /// Whether it was a manager's status.
    pub(super) up: bool,
    /// The program's process; 0 if it does not run.
    pub(super) pid: i32,
    /// Whether the program is wanted up.
    pub(super) should_be_up: bool,
    /// Whether the start test has not passed yet.
    pub(super) testing: bool,
    /// Whether the manager is one of zdaemon 2, which outlives its program.
    pub(super) old: bool,
    /// The reply as it came.
    pub(super) raw: String,
}

impl Status {
    /// Reads a reply.
    fn parse(raw: Option<String>) -> Status {
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return Status::default() };
        let number = |key| field(&raw, key).and_then(|text| text.parse::<i32>().ok());
        let Some(pid) = number("application") else {
            return Status { answered: true, ..Status::default() };
        };
        Status {
            answered: true,
            up: true,
            pid,
            should_be_up: number("should_be_up") != Some(0),
            testing: number("testing").is_some_and(|testing| testing != 0),
            old: field(&raw, "mood").is_some(),
            raw,
        }
    }

    /// The program's words as the manager prints them.
    pub(super) fn args(&self) -> Option<&str> {
        field(&self.raw, "args")
    }
}

fn field<'a>(reply: &'a str, key: &str) -> Option<&'a str> {
    reply.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Asks for the status.
pub(super) fn status(socket: &str, ear: &mut Ear) -> Result<Status, Cut> {
    send(socket, "status", ear).map(Status::parse)
}

/// Sends one command; its reply, or `None` if there is nobody to give one.
pub(super) fn send(socket: &str, command: &str, ear: &mut Ear) -> Result<Option<String>, Cut> {
    let stream = loop {
        match connect(socket) {
            Ok(stream) => break stream,
            // The queue is full: it is somebody's turn soon.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                pause(ear, Instant::now() + FULL)?;
            }
            Err(_) => return Ok(None),
        }
    };
    let sent = (&stream).write_all(format!("{command}\n").as_bytes());
    if sent.and_then(|()| stream.shutdown(std::net::Shutdown::Write)).is_err() {
        return Ok(None);
    }
    let mut reply = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match (&stream).read(&mut chunk) {
            Ok(0) => return Ok(Some(String::from_utf8_lossy(&reply).into_owned())),
            Ok(count) => reply.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                match ear.wait(Some(stream.as_fd()), None) {
                    Ok(Heard::Signal(heard)) => Cut::by(heard.signal)?,
                    Ok(_) => {}
                    Err(errno) => return Err(Cut::Deaf(errno)),
                }
            }
            Err(_) => return Ok(None),
        }
    }
}

/// Waits until then, or until something is heard.
pub(super) fn pause(ear: &mut Ear, until: Instant) -> Result<(), Cut> {
    match ear.wait(None, Some(until)) {
        Ok(Heard::Signal(heard)) => Cut::by(heard.signal),
        // Without a way to wait there would be a busy loop.
        Err(errno) => Err(Cut::Deaf(errno)),
        Ok(_) => Ok(()),
    }
}

/// A connection that never blocks, not even while it is made.
fn connect(socket: &str) -> io::Result<UnixStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket as make};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = make(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(socket)?)?;
    Ok(UnixStream::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_line_by_line() {
        let raw =
            "status=running\nnow=1.5\nshould_be_up=0\ntesting=1\napplication=42\nargs=['a']\n";
        let status = Status::parse(Some(raw.into()));
        assert!(status.answered && status.up && status.testing && !status.should_be_up);
        assert_eq!((status.pid, status.args()), (42, Some("['a']")));
    }

    #[test]
    fn what_is_not_said_is_as_zdaemon_2_has_it() {
        let status = Status::parse(Some("status=stopped\nmood=1\napplication=0\n".into()));
        assert!(status.up && status.should_be_up && status.old && !status.testing);
    }

    #[test]
    fn an_answer_that_is_no_status_is_no_manager() {
        let status = Status::parse(Some("error code=protocol\n".into()));
        assert!(status.answered && !status.up);
        assert_eq!(Status::parse(Some(String::new())), Status::default());
        assert_eq!(Status::parse(None), Status::default());
    }
}
