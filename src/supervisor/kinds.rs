//! Of which kinds a change is. It only looks: nothing follows from a kind.

use crate::plan::{EventKind, Kinds};
use crate::supervisor::event::{Cause, Parting, Phase, Verb};
use crate::supervisor::state::State;

/// The kinds of a step from `before` to `after`; `flapped`: whether the rules about flapping have the last word.
pub(super) fn of(
    before: &State,
    after: &State,
    cause: Cause,
    parting: Option<Parting>,
    flapped: bool,
) -> Kinds {
    let clearing = |state: &State| matches!(state, State::Clearing { .. });
    let entered = before.phase() != after.phase();
    let died = matches!(
        cause,
        Cause::Exited(..)
            | Cause::SpawnFailed(..)
            | Cause::StartTimeout(_)
            | Cause::PreStart(_)
            | Cause::Unhealthy(_)
            | Cause::Lost
    );
    let gave_up = entered && died && matches!(after, State::Failed);
    let again =
        matches!(cause, Cause::Operator(Verb::Restart | Verb::Apply) | Cause::RestartWith(_));
    let cooldown = entered && matches!(after, State::Cooldown { .. });
    let kinds = Kinds::NONE
        .with_if(cause == Cause::Spawned, EventKind::Spawned)
        .with_if(parting.is_some(), EventKind::Exited)
        .with_if((parting.is_some() || clearing(before)) && !clearing(after), EventKind::Reaped)
        .with_if(cause == Cause::Ready, EventKind::Ready)
        .with_if(cooldown || gave_up && flapped, EventKind::Flapping)
        .with_if(gave_up, EventKind::GaveUp)
        .with_if(entered && again && after.phase() == Phase::Stopping, EventKind::Restarting)
        .with_if(cause == Cause::Left, EventKind::Left);
    // What goes on in the same state, as with KILL at the end, is of that state's kind if of no other.
    kinds.with_if(entered || kinds == Kinds::NONE, entry(after.phase()))
}

/// The kind of being in a state from now on.
const fn entry(phase: Phase) -> EventKind {
    match phase {
        Phase::Stopped => EventKind::Stopped,
        Phase::Waiting => EventKind::Waiting,
        Phase::Starting => EventKind::Starting,
        Phase::Running => EventKind::Running,
        Phase::Unhealthy => EventKind::Unhealthy,
        Phase::Stopping => EventKind::Stopping,
        Phase::Backoff => EventKind::Backoff,
        Phase::Cooldown => EventKind::Cooldown,
        Phase::Exited => EventKind::Finished,
        Phase::Failed => EventKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{ExitStatus, Pid};
    use crate::supervisor::event::Role;
    use crate::supervisor::state::{Again, Check, Rest, Then};
    use crate::time::{Duration, Instant};

    const RUNS: State = State::Running {
        pid: Pid(7),
        spawned: Instant::ZERO,
        check: Check::NONE,
        again: Again::NO,
    };

    const SPAWNS: State = State::Spawning { role: Role::Main, deadline: None };

    fn kinds(before: &State, after: &State, cause: Cause, ended: bool) -> String {
        let (status, spawned) = (Some(ExitStatus::Code(1)), Instant::ZERO);
        let parting = ended.then_some(Parting { pid: Pid(7), status, spawned });
        of(before, after, cause, parting, false).to_string()
    }

    #[test]
    fn one_step_may_be_of_several_kinds_and_each_end_is_told_once() {
        let died = Cause::Exited(ExitStatus::Code(1), Duration::from_secs(1));
        let clearing =
            State::Clearing { rest: Rest::Group, until: Instant::ZERO, then: Then::Start };
        let backoff = State::Backoff { until: Instant::ZERO };
        let cooldown = State::Cooldown { until: Instant::ZERO };
        for (before, after, cause, ended, expected) in [
            (&State::Stopped, &SPAWNS, Cause::Boot, false, "starting"),
            (&SPAWNS, &RUNS, Cause::Spawned, false, "spawned,running"),
            (&RUNS, &backoff, died, true, "exited,reaped,backoff"),
            (&RUNS, &clearing, died, true, "exited,stopping"),
            (&clearing, &cooldown, died, false, "reaped,flapping,cooldown"),
            (&RUNS, &State::Failed, died, true, "exited,reaped,gave-up,failed"),
        ] {
            assert_eq!(kinds(before, after, cause, ended), expected);
        }
    }
}
