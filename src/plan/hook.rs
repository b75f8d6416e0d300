//! `<on EVENT>`: data only, `supervisor::hooks` says when it is run.

use super::{EventKind, Kinds, Label, Process, Setup, Whom};
use crate::time::Duration;
use core::fmt;

/// A command that is run when something happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// What has to happen; `None`: anything.
    pub on: Option<EventKind>,
    /// To whom. Never empty.
    pub whom: Vec<Whom>,
    /// What is done between clone and exec.
    pub setup: Setup,
    /// Its words and its working directory.
    pub process: Process,
    /// How long it may take; then it gets KILL, with its process group.
    pub timeout: Duration,
}

impl Hook {
    /// Whether it is to be run for this.
    pub fn heeds(&self, kinds: Kinds, label: &Label) -> bool {
        self.on.is_none_or(|kind| kinds.has(kind)) && self.whom.iter().any(|whom| whom.means(label))
    }

    /// The word in its section's header.
    pub fn word(&self) -> &'static str {
        self.on.map_or(Hook::ANY, EventKind::word)
    }

    /// The word for whatever happens.
    pub const ANY: &str = "any";
}

impl Default for Hook {
    /// Whatever happens to whomever.
    fn default() -> Hook {
        Hook {
            on: None,
            whom: vec![Whom::All],
            setup: Setup::default(),
            process: Process::default(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// `on exited`.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}", self.word())
    }
}
