//! What a service's instances add up to, so that its dependents need not look at each of them.

use crate::plan::Kind;
use crate::supervisor::state::State;

/// Counts over the instances of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Wanted up.
    pub wanted: u32,
    /// Wanted up, and ready.
    pub ready: u32,
    /// With a process, or what one left behind.
    pub busy: u32,
    /// Ended for good, and not as a one-shot that did its work.
    pub hopeless: u32,
    /// Dead, with a next try to come.
    pub resting: u32,
    /// To be started by a connection.
    pub armed: u32,
}

/// The answers that others wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// All that are wanted are ready.
    pub satisfied: bool,
    /// One has ended for good.
    pub hopeless: bool,
    /// No use waiting for it, for those who could do without: nothing wanted, or one is dead.
    pub settled: bool,
    /// On its way down: those it depends on wait for it.
    pub leaving: bool,
}

impl Tally {
    /// What one instance adds. `timed`, of one that runs again and again: whether it has succeeded once.
    pub fn of(kind: Kind, wanted: bool, state: &State, timed: Option<bool>) -> Tally {
        let done = satisfied_by(kind, state);
        let over = matches!(state, State::Exited { .. } | State::Failed) && !done;
        // Who will run again has not ended for good.
        let (hopeless, dead) = (over && timed.is_none(), over && timed.is_some());
        let up = satisfies(kind, state, timed);
        let resting = dead || matches!(state, State::Backoff { .. } | State::Cooldown { .. });
        Tally {
            wanted: wanted.into(),
            ready: (wanted && up).into(),
            busy: state.busy().into(),
            hopeless: hopeless.into(),
            resting: resting.into(),
            armed: matches!(state, State::Armed).into(),
        }
    }

    /// What somebody adds who runs beside the instances: only that it is on its way down.
    pub fn beside(wanted: bool, state: &State) -> Tally {
        Tally { busy: (!wanted && state.busy()).into(), ..Tally::default() }
    }

    /// Exchanges what one instance added for what it adds now.
    pub fn replace(&mut self, old: Tally, new: Tally) {
        self.wanted = self.wanted - old.wanted + new.wanted;
        self.ready = self.ready - old.ready + new.ready;
        self.busy = self.busy - old.busy + new.busy;
        self.hopeless = self.hopeless - old.hopeless + new.hopeless;
        self.resting = self.resting - old.resting + new.resting;
        self.armed = self.armed - old.armed + new.armed;
    }

    /// Whether a connection is to be looked for: all that are not down for good would be started by it. While one is
    /// up or on its way, whoever connects is left to that one.
    pub fn awaits(&self) -> bool {
        self.armed > 0 && self.armed + self.hopeless >= self.wanted
    }

    /// The answers that others wait for.
    pub fn summary(&self) -> Summary {
        Summary {
            satisfied: self.wanted > 0 && self.ready == self.wanted,
            hopeless: self.hopeless > 0,
            settled: self.wanted == 0 || self.hopeless + self.resting > 0,
            leaving: self.wanted == 0 && self.busy > 0,
        }
    }
}

/// Whether this is what its dependents need.
pub fn satisfies(kind: Kind, state: &State, timed: Option<bool>) -> bool {
    match (state, timed) {
        (_, Some(true)) => true,
        (State::Running { check, .. }, _) => !check.sick,
        // Who would be started by a connection may be connected to.
        (State::Armed, timed) => timed.is_none(),
        _ => satisfied_by(kind, state),
    }
}

/// Whether this is a one-shot that did its work.
pub fn satisfied_by(kind: Kind, state: &State) -> bool {
    match (kind, state) {
        (Kind::Oneshot, State::Exited { status }) => status.success(),
        _ => false,
    }
}
