//! What lar says while it runs, when it runs in somebody else's name: tini's, dumb-init's and zdaemon's own lines.

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::signal::Signal;
use crate::supervisor::{Change, Supervisor};

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
