//! When a one-shot runs again: data only.

use crate::time::Duration;

/// When a one-shot runs by itself, once it is wanted up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its times.
    pub when: When,
    /// Whether a run that is due during another one comes right after that; else it is dropped.
    pub queue: bool,
}

/// The times of a timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// At once, and this long after each start. Never zero.
    Every(Duration),
    /// At these times of the day, in minutes, ascending; by local time. Never empty.
    At(Vec<u16>),
}
