//! What output has to report, as values: the loop asks for them and logs them; output itself logs
//! nothing.

use std::collections::VecDeque;
use std::fmt;

use nix::errno::Errno;

use crate::time::{Duration, Human};

/// How many reports may wait. The loop takes them every turn; this bounds a disk with a thousand
/// transcripts that fills up at once. What comes on top is counted.
const WAITING: usize = 64;

/// Something that somebody should know about a place where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which place; [`Output::tell`](super::Output::tell) knows its name.
    pub place: u32,
    /// What about it.
    pub news: News,
}

/// What happened to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It can't be written. Reported once, until it could be written for a while.
    Failed {
        /// Why.
        errno: Errno,
        /// When it is tried again.
        retry: Duration,
    },
    /// Whoever reads it has stopped; from now on output for it is dropped.
    Stalled,
    /// It can be written again.
    Recovered {
        /// How many bytes were dropped meanwhile.
        lost: u64,
    },
    /// It has grown too large but could not be put aside; it goes on growing.
    NotRotated {
        /// Why.
        errno: Errno,
    },
    /// So many reports were dropped.
    Overflow {
        /// How many.
        count: u64,
    },
}

/// A notice and the name of its place, as a message.
#[derive(Debug)]
pub struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) news: News,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.news {
            News::Failed { errno, retry } => {
                write!(f, "{name}: can't be written; next try in {}: ", Human(retry))?;
                f.write_str(errno.desc())
            }
            News::Stalled => write!(f, "{name}: its reader has stopped; output is dropped"),
            News::Recovered { lost } => write!(f, "{name}: written again; {lost} bytes were lost"),
            News::NotRotated { errno } => write!(f, "{name}: can't be rotated: {}", errno.desc()),
            News::Overflow { count } => write!(f, "{count} more reports about output"),
        }
    }
}

/// The reports that wait.
#[derive(Debug)]
pub(super) struct Notices {
    queue: VecDeque<Notice>,
    dropped: u64,
}

impl Notices {
    pub(super) fn new() -> Notices {
        Notices { queue: VecDeque::with_capacity(WAITING), dropped: 0 }
    }

    pub(super) fn push(&mut self, place: u32, news: News) {
        if self.queue.len() < WAITING {
            self.queue.push_back(Notice { place, news });
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<Notice> {
        if let Some(notice) = self.queue.pop_front() {
            return Some(notice);
        }
        match std::mem::take(&mut self.dropped) {
            0 => None,
            count => Some(Notice { place: u32::MAX, news: News::Overflow { count } }),
        }
    }
}

/// Something that could not be set up at load. The service runs all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A transcript could not be opened; it is tried again.
    Transcript {
        /// Its path.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// No pipe could be made for this instance, so its output is not captured.
    Pipe {
        /// Its label.
        label: String,
        /// Why.
        errno: Errno,
        /// How many more pipes could not be had.
        more: usize,
    },
    /// /dev/null could not be opened; what would go there goes to lar's own fds.
    Null {
        /// Why.
        errno: Errno,
    },
    /// This time format has a word that is not known; the default is used.
    Timestamp {
        /// The format.
        format: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Transcript { path, errno } => {
                write!(f, "transcript {path}: can't be opened; next try in 1s: {}", errno.desc())
            }
            Warning::Pipe { label, errno, more } => {
                write!(f, "{label}: output is not captured, no pipe: {}", errno.desc())?;
                match more {
                    0 => Ok(()),
                    _ => write!(
                        f,
                        "; and so for {more} more pipes: `ring 0` with `transcript none` needs none"
                    ),
                }
            }
            Warning::Null { errno } => write!(f, "/dev/null: can't be opened: {}", errno.desc()),
            Warning::Timestamp { format } => {
                write!(f, "timestamp {format}: not understood; the default is used")
            }
        }
    }
}
