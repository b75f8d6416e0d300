//! The options of single-program mode: those of `lar [options] -- PROGRAM`, and what else it takes to stand in for tini
//! and for dumb-init.

use crate::signal::Signal;
use crate::time::Duration;

/// The options of single-program mode (`lar [options] -- PROGRAM`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Single {
    /// The program's words, byte for byte; [`Process::argv`] has them as far as they can be shown.
    pub argv: Vec<Vec<u8>>,
    /// Forward signals to the program's whole group.
    pub group: bool,
    /// Signals that are replaced (or, with `None`, dropped) before they are forwarded.
    pub rewrite: Vec<(Signal, Option<Signal>)>,
    /// Exit codes that are replaced, after 128 + n.
    pub remap: Vec<(u8, u8)>,
    /// How long TERM is held back before it is forwarded (a load balancer's drain time).
    pub drain: Duration,
    /// Time between a forwarded TERM and KILL; `None` waits for ever.
    pub grace: Option<Duration>,
    /// The exit code if the program can't be executed for a reason other than "not found" and "not permitted";
    /// `None`: 126 as for the latter.
    pub not_executed: Option<u8>,
    /// Whether the signals of faults (SEGV, FPE…) are passed on too when somebody sends them. Else they end lar.
    pub faults: bool,
    /// Signals after which lar stops itself, as a shell expects it of its job. With a terminal it always stops when its
    /// program has stopped.
    pub stops: Vec<Signal>,
    /// What is done about orphans.
    pub leftovers: Leftovers,
}

/// What becomes of the processes that the program leaves behind when lar is not PID 1. As PID 1 it always ends all of
/// them: TERM, the grace time, KILL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// lar adopts them and ends them as PID 1 would.
    #[default]
    Adopt,
    /// Nothing.
    Leave,
    /// What is left of the program's group gets one TERM, rewritten as any other, and nobody waits for it.
    Tell,
}
