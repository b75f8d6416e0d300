//! When a dead service is started again: data only, `supervisor::policy` gives it its meaning.

use crate::time::Duration;

/// When a dead service is started again. See `supervisor::policy`, which reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Which deaths are followed by a restart.
    pub restart: Restart,
    /// Exit codes that end the service for good, whatever `restart` says.
    pub exit_codes: Vec<u8>,
    /// A life at least this long clears the history.
    pub healthy_after: Duration,
    /// The wait before the next try.
    pub delay: Delay,
    /// No wait is longer.
    pub max: Duration,
    /// Each wait is changed by up to this share of it, in percent.
    pub jitter: u8,
    /// Too many deaths in a window.
    pub flapping: Option<Flapping>,
    /// When to stop trying.
    pub give_up: GiveUp,
    /// zdaemon's order: the governor decides before exit codes are looked at.
    pub governor_first: bool,
}

impl Default for Rules {
    /// Preset `lar`: double 200ms max 60s jitter 10%, cleared after 10s of life, never gives up.
    fn default() -> Rules {
        Rules {
            restart: Restart::Always,
            exit_codes: Vec::new(),
            healthy_after: Duration::from_secs(10),
            delay: Delay::Double { first: Duration::from_millis(200) },
            max: Duration::from_secs(60),
            jitter: 10,
            flapping: None,
            give_up: GiveUp::Never,
            governor_first: false,
        }
    }
}

/// Which deaths are followed by a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// All of them.
    Always,
    /// All but an exit with 0.
    OnFailure,
    /// None.
    Never,
}

/// How the wait before a restart grows with the number of deaths in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// No wait (but `spawn-rate` holds).
    None,
    /// first, first + step, first + 2 step…
    Linear {
        /// The first wait.
        first: Duration,
        /// What is added each time.
        step: Duration,
    },
    /// first, 2 first, 4 first…
    Double {
        /// The first wait.
        first: Duration,
    },
}

/// `flapping D in W cooldown C rounds R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// This many deaths; at least 1.
    pub deaths: u32,
    /// Within this time.
    pub window: Duration,
    /// Start a rest of this length.
    pub cooldown: Duration,
    /// After this many rests it gives up; `None` never.
    pub rounds: Option<u32>,
}

/// When to stop trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Never.
    Never,
    /// At this many deaths in a row.
    After(u32),
    /// When the wait reaches its maximum.
    AtMax,
}
