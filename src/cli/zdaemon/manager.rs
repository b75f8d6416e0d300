//! The manager: what `start` makes.

use crate::plan::{EventLog, Runner};

/// What a manager is started with.
#[allow(dead_code, reason = "the manager's side is still to come")]
pub(super) struct Manager {
    /// The command line over the file; `program` holds all of the program's words.
    pub(super) said: Runner,
    /// The file's `<environment>`: the client has put it into lar's own already.
    pub(super) environment: Vec<(String, String)>,
    /// The file's `<eventlog>`.
    pub(super) event_log: EventLog,
    /// What lar was called by, for messages.
    pub(super) name: String,
    /// The file.
    pub(super) config_path: Option<String>,
}

/// Runs it.
pub(super) fn run(manager: Manager) -> u8 {
    super::complain(format_args!("{}: no manager here yet", manager.name));
    1
}
