//! What lar says while it runs, when it runs in somebody else's name: tini's, dumb-init's and zdaemon's own lines.

use std::fmt::{Arguments, Write};

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::signal::Signal;
use crate::supervisor::{Change, Supervisor};
use crate::sys::fd::Standard;
use crate::sys::outlet::Outlet;

/// Something that happened, before anybody found words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The manager is about to start its program.
    Started,
    /// The program runs.
    Spawned(Pid),
    /// It could not be started.
    Failed(Stage, Errno),
    /// lar got a signal.
    Received(Signal),
    /// It is passed on as this one; `None`: dropped.
    Forwarded(Signal, Option<Signal>),
    /// The program was not there any more when a signal was passed on.
    Gone(Signal),
    /// A process was reaped; whether it was the program itself.
    Reaped(Pid, ExitStatus, bool),
    /// The command that asks whether the program is ready has ended; whether it said yes.
    Tested(bool),
    /// Nobody else is there to be reaped.
    Drained,
    /// lar stops itself, because its program was told to stop or has stopped.
    Suspending,
    /// A signal ends the manager.
    Ending(Signal),
    /// The manager is over.
    Over,
}

/// A personality's words. Called from the loop, on the restart path too: nothing here may wait or fail, and nothing
/// may allocate that is said of every restart.
pub trait Voice {
    /// Says what happened.
    fn note(&self, note: Note);

    /// Says that a service has changed; `false` leaves it to lar's own words.
    fn changed(&self, supervisor: &Supervisor, change: &Change) -> bool {
        let (_, _) = (supervisor, change);
        false
    }
}

/// Where a personality's lines go: standard error, whatever the program does with its own output. What can't be written
/// at once is dropped, since lar must not wait for whoever reads it.
pub struct Lines(Outlet);

/// The longest line, in bytes: what a pipe takes whole or not at all. What is longer is cut.
const LINE: usize = 4096;

impl Lines {
    /// To be made after the inherited fds have been taken: it may open the terminal.
    pub fn new() -> Lines {
        Lines(Outlet::new(Standard::Error))
    }

    /// Writes one line, without claiming memory: many are said of orphans.
    pub fn say(&self, words: Arguments) {
        let mut line = Line { bytes: [b'\n'; LINE], used: 0 };
        let _ = line.write_fmt(words); // what is too long is left out
        let mut rest = line.bytes.get(..=line.used).unwrap_or_default();
        while !rest.is_empty() {
            match self.0.write(rest) {
                Ok(count @ 1..) => rest = rest.get(count..).unwrap_or_default(),
                Err(nix::errno::Errno::EINTR) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

/// A line as it grows; behind it, its end.
struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = LINE - 1 - self.used;
        let part = text.as_bytes().get(..room.min(text.len())).unwrap_or_default();
        if let Some(place) = self.bytes.get_mut(self.used..self.used + part.len()) {
            place.copy_from_slice(part);
            self.used += part.len();
        }
        if part.len() < text.len() { Err(std::fmt::Error) } else { Ok(()) }
    }
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_keeps_its_end() {
        let mut line = Line { bytes: [b'\n'; LINE], used: 0 };
        assert!(line.write_fmt(format_args!("{}{}", "a".repeat(LINE - 2), "bcd")).is_err());
        assert_eq!(line.used, LINE - 1);
        assert_eq!(&line.bytes[LINE - 3..], b"ab\n");
    }
}
