//! What the server may look at while it answers: everything, but by shared reference only. What it
//! wants changed goes out as events and orders.

use crate::exit::Pid;
use crate::plan::input::Look;
use crate::plan::{InstanceId, Level, ServiceId};
use crate::supervisor::Supervisor;
use crate::supervisor::journal::Journal;
use crate::time::{Duration, Instant};
use crate::transcript::ring::Ring;

/// The manager as the server sees it, for one turn of the loop.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock, since the epoch. For display only.
    pub wall: Duration,
    /// The core, with every event of this turn handled.
    pub supervisor: &'a Supervisor,
    /// What has happened lately.
    pub journal: &'a Journal,
    /// The latest output of an instance; `None` if lar does not see it or keeps none.
    pub output: &'a dyn Fn(InstanceId) -> Option<&'a Ring>,
    /// What the log file that it writes itself has been given since its last start: the last lines.
    pub log: &'a dyn Fn(InstanceId) -> Vec<String>,
    /// The latest output of one of its streams, by its number from 1.
    pub stream: &'a dyn Fn(InstanceId, u32) -> Option<&'a Ring>,
    /// How a way into an instance stands: 0 is its standard input, then come its streams.
    pub way: &'a dyn Fn(InstanceId, u32) -> Option<Look>,
    /// What an instance says of itself (sd_notify's STATUS=); empty if nothing.
    pub status_text: &'a dyn Fn(InstanceId) -> &'a str,
    /// The configuration of one service, or of the manager itself, as lines of text.
    pub config: &'a dyn Fn(Option<ServiceId>) -> Vec<String>,
    /// When the manager started.
    pub started: Instant,
    /// The manager's own pid.
    pub pid: Pid,
    /// Where its configuration came from, if from a file.
    pub config_path: Option<&'a str>,
    /// What the event log says now.
    pub level: Level,
}
