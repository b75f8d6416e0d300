//! What the control server asks the loop for, and what comes back.

use super::feed::Feed;
use super::once::Departure;
use crate::plan::{InstanceId, Level};
use crate::supervisor::Ticket;
use crate::supervisor::edit::Which;
use crate::time::Duration;

/// Something that only the loop can do. It answers with [`Server::answer`](super::Server::answer).
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Open all transcripts and logs anew.
    Reopen,
    /// Let the event log say so much.
    LogLevel(Level),
    /// Change who there is.
    Edit(Edit, Ticket),
    /// Hand bytes to programs.
    Feed(Feed),
}

/// A change of who there is. It names services by their names, and instances with what tells them from others that
/// had their place: what was asked for before it may have removed them.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// So many instances of a service.
    Scale {
        /// Its name.
        name: String,
        /// How many.
        count: u32,
        /// Who goes if there are more.
        which: Which,
        /// Whether it is kept in a file.
        save: bool,
    },
    /// A run of a service.
    Once(Once),
    /// These instances are one too many each.
    Drop(Vec<(InstanceId, u64)>),
    /// These services are to be no more.
    Remove(Vec<String>),
    /// The services of this text are new.
    Add {
        /// `<service>` sections.
        text: String,
        /// Whether it is kept in a file.
        save: bool,
    },
    /// The configuration is read again.
    Apply {
        /// Nothing is changed.
        dry_run: bool,
    },
}

/// A run that is ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Once {
    /// The name of the service.
    pub name: String,
    /// What is added to its program's words.
    pub words: Vec<String>,
    /// Variables; they beat those that the service sets.
    pub environment: Vec<(String, String)>,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// What the loop has done.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What is to be told.
    pub lines: Vec<String>,
    /// Who is to come up.
    pub up: Vec<InstanceId>,
    /// Who is to go.
    pub gone: Vec<InstanceId>,
    /// Who is to be exchanged.
    pub renewed: Vec<InstanceId>,
    /// The run that was begun, and how it ended if it has by now.
    pub run: Option<(InstanceId, Option<Departure>)>,
    /// Up to where each of those that were sent something has been given it.
    pub taken: Vec<u64>,
}
