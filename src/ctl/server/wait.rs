//! Waiting for the result of an order. It is read off the core's state after every turn of the
//! loop; nothing is polled, and nothing is kept per instance but its number.

use super::names::Targets;
use super::once::{Departure, Tail};
use super::verbs::Refusal;
use super::view::View;
use crate::exit::Code;
use crate::plan::{InstanceId, Standing};
use crate::supervisor::journal::Entry;
use crate::supervisor::{Cause, Instance, Phase, Role, Ticket};
use crate::time::{Duration, Human, Instant};

/// A client that waits.
#[derive(Debug)]
pub struct Waiter {
    /// For whom.
    pub targets: Targets,
    /// For what, of each; the list is as long as `targets`.
    pub goals: Vec<Goal>,
    /// The number of its order.
    pub ticket: Ticket,
    /// Until when.
    pub deadline: Instant,
    /// How long that is, for the message.
    pub patience: Duration,
    /// Whether a stop by KILL is an error.
    pub strict: bool,
    /// The number of the next change to send meanwhile, if they are wanted.
    pub progress: Option<u64>,
    /// Who was removed that should have come up.
    pub lost: Option<String>,
    /// What is told at the end in place of what they are.
    pub lines: Vec<String>,
    /// When it began.
    pub begun: Instant,
    /// Why a rolling restart was given up, and the last output of the successor that failed.
    pub failed: Option<String>,
    /// See `failed`.
    pub tail: Option<Tail>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To be up; not to be up in time, or to die, is an error.
    Started,
    /// To be up, and to have answered since that it can be connected to.
    Ensured,
    /// To have been restarted, by its own command or by a stop and a start.
    Restarted,
    /// To have been reloaded by its own command.
    Reloaded,
    /// To have a new process, by way of a successor that takes over; that it fails is an error.
    Renewed,
    /// To be down.
    Stopped,
    /// To be in this state, however that comes about.
    In(Phase),
    /// To be up, however that comes about.
    Up,
    /// To have no process, however that comes about.
    Down,
    /// To be no more.
    Gone,
}

impl Goal {
    /// Reads the STATE of `wait NAME=STATE`.
    pub fn parse(word: &str) -> Option<Goal> {
        match word {
            "up" | "ready" => Some(Goal::Up),
            "down" => Some(Goal::Down),
            word => Phase::from_word(word).map(Goal::In),
        }
    }
}

/// Whether an instance is down: no main process, and none on its way.
pub fn is_down(instance: &Instance) -> bool {
    let resting = matches!(instance.phase, Phase::Stopped | Phase::Exited | Phase::Failed);
    resting && instance.pid.is_none()
}

impl Waiter {
    /// The outcome, if there is one: every instance is where it should be, or one can't get there
    /// any more.
    pub fn outcome(&self, view: &View) -> Option<Result<(), Refusal>> {
        if let Some(why) = &self.failed {
            return Some(Err((Code::StartFailed, why.clone())));
        }
        if let Some(label) = &self.lost {
            return Some(Err((Code::Superseded, format!("{label}: it was removed"))));
        }
        let mut pending = None;
        for (id, &goal) in self.targets.iter().zip(&self.goals) {
            match self.reached(view, id, goal) {
                Ok(true) => {}
                Ok(false) => pending = pending.or(Some(id)),
                Err(lost) => return Some(Err(lost)),
            }
        }
        let Some(id) = pending else { return Some(Ok(())) };
        (view.now >= self.deadline).then(|| {
            let label = view.supervisor.label(id);
            let phase = view.supervisor.instance(id).phase.word();
            let after = Human(self.patience);
            let doing = view.supervisor.doing(id).map(|doing| format!(" ({doing})"));
            let doing = doing.unwrap_or_default();
            let message =
                format!("{label} is still {phase}{doing} after {after}; the work goes on");
            Err((Code::TimedOut, message))
        })
    }

    /// Does not wait any longer for somebody who is no more; or goes on with who took over.
    pub fn forget(&mut self, gone: &Departure) {
        let goal = |id| {
            let at = self.targets.iter().position(|target| target == id)?;
            self.goals.get(at).copied().map(|goal| (at, goal))
        };
        let renewed = gone.peer.and_then(goal).is_some_and(|(_, goal)| goal == Goal::Renewed);
        if renewed && gone.standing == Standing::Next && gone.phase == Phase::Failed {
            self.failed = Some(format!("{}: {}", gone.label, gone.why));
            self.tail = Tail::of(gone);
        }
        let Some((at, goal)) = goal(gone.id) else { return };
        match (goal, gone.peer.filter(|_| gone.standing == Standing::Old)) {
            (Goal::Stopped | Goal::Down | Goal::Gone, _) => {}
            (Goal::In(phase), _) if phase == gone.phase => {}
            // Whoever took over was ready for it, and has read its configuration.
            (goal, Some(heir)) => {
                self.targets.exchange(gone.id, heir);
                if !matches!(goal, Goal::Up | Goal::In(_)) {
                    self.goals[at] = Goal::Started;
                }
                return;
            }
            (_, None) => self.lost = Some(gone.label.clone()),
        }
        self.targets.forget(gone.id);
        self.goals.remove(at);
    }

    /// Whether an instance is where it should be; an error if it can't get there any more.
    fn reached(&self, view: &View, id: InstanceId, goal: Goal) -> Result<bool, Refusal> {
        let instance = view.supervisor.instance(id);
        match goal {
            Goal::Started => self.started(view, id, &instance),
            Goal::Ensured => self.ensured(view, id, &instance),
            Goal::Restarted => self.restarted(view, id, &instance),
            Goal::Reloaded => self.reloaded(view, id, &instance),
            Goal::Renewed => self.renewed(view, id, &instance),
            Goal::Stopped => self.stopped(view, id, &instance),
            Goal::In(phase) => Ok(instance.phase == phase),
            Goal::Up => Ok(view.supervisor.is_up(id)),
            Goal::Down => Ok(is_down(&instance)),
            Goal::Gone => Ok(false), // then it is not waited for any more: see `forget`
        }
    }

    /// An error if a later order, or the manager's end, stops what is to be up.
    fn overruled(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<(), Refusal> {
        let label = view.supervisor.label(id);
        if instance.ticket > self.ticket && !instance.wanted_up {
            return Err((Code::Superseded, format!("{label}: a later order stops it")));
        }
        if view.supervisor.shutting_down() {
            return Err((Code::Superseded, format!("{label}: the manager is ending")));
        }
        Ok(())
    }

    fn started(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        self.overruled(view, id, instance)?;
        match instance.phase {
            // What has a timer may be up for its last run; this one is asked about.
            Phase::Starting | Phase::Waiting | Phase::Stopping => Ok(false),
            _ if view.supervisor.is_up(id) => Ok(true),
            Phase::Backoff if !died(view, id, instance.cause) => Ok(false),
            Phase::Backoff | Phase::Cooldown | Phase::Failed | Phase::Exited => {
                let code = match instance.cause {
                    Cause::StartTimeout(_) => Code::StartTimeout,
                    _ => Code::StartFailed,
                };
                Err((code, failure(view, id)))
            }
            // It is left like that by its rules.
            Phase::Unhealthy => Err((Code::Failed, failure(view, id))),
            Phase::Stopped | Phase::Running => Ok(false),
        }
    }

    /// What was not up comes up only when it is ready; what was, is asked again.
    fn ensured(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        self.overruled(view, id, instance)?;
        let supervisor = view.supervisor;
        if supervisor.is_ensuring(id) {
            return Ok(false);
        }
        let answer = supervisor.ensured(id).filter(|(ticket, _)| *ticket >= self.ticket);
        let runs = matches!(instance.phase, Phase::Running | Phase::Unhealthy);
        match answer {
            Some((_, true)) if runs => Ok(true),
            Some((_, false)) if instance.phase == Phase::Unhealthy => {
                Err((Code::CannotConnect, failure(view, id)))
            }
            Some((_, false)) if runs => {
                let label = supervisor.label(id);
                let message = format!("{label} is running, but `ready` has no good answer now");
                Err((Code::CannotConnect, message))
            }
            // It has died since, or was on its way: see below.
            _ => self.started(view, id, instance),
        }
    }

    /// What came of a command that this order, or a later one, has asked for; `None` if it was never run.
    fn errand(&self, view: &View, id: InstanceId, what: Role) -> Option<Result<bool, Refusal>> {
        let supervisor = view.supervisor;
        if supervisor.is_on_errand(id, self.ticket) {
            return Some(Ok(false));
        }
        let (_, outcome) = supervisor.errand(id).filter(|(ticket, _)| *ticket >= self.ticket)?;
        Some(match outcome.good() {
            true => Ok(true),
            false => {
                let message = format!("{}: {}: {outcome}", supervisor.label(id), what.word());
                Err((Code::Failed, message))
            }
        })
    }

    fn restarted(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        self.overruled(view, id, instance)?;
        match self.errand(view, id, Role::Restart) {
            Some(Ok(true)) | None => self.started(view, id, instance),
            Some(pending_or_bad) => pending_or_bad,
        }
    }

    fn reloaded(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        self.overruled(view, id, instance)?;
        self.errand(view, id, Role::Reload).unwrap_or_else(|| {
            let label = view.supervisor.label(id);
            Err((Code::Failed, format!("{label}: it ended before its reload command was run")))
        })
    }

    fn renewed(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        if view.supervisor.shutting_down() {
            let label = view.supervisor.label(id);
            return Err((Code::Superseded, format!("{label}: the manager is ending")));
        }
        // Who had a successor is waited for until it is no more.
        if instance.standing == Standing::Old || view.supervisor.renews(id) {
            return Ok(false);
        }
        let former = instance.spawned.is_some_and(|spawned| spawned < self.begun);
        if instance.phase == Phase::Running && former {
            let label = view.supervisor.label(id);
            return Err((Code::Superseded, format!("{label}: its rolling restart was called off")));
        }
        self.started(view, id, instance)
    }

    fn stopped(&self, view: &View, id: InstanceId, instance: &Instance) -> Result<bool, Refusal> {
        let label = view.supervisor.label(id);
        // From its own order on it is not wanted up, unless somebody wants it again: by name, or because
        // what requires it is started.
        if instance.ticket >= self.ticket && instance.wanted_up {
            return Err((Code::Superseded, format!("{label}: a later order starts it")));
        }
        let down = is_down(instance);
        if down && self.strict {
            let failed = view.supervisor.stop_failure(id);
            let failed = failed.map(|outcome| format!("{}: {outcome}; ", Role::Stop.word()));
            let because = failed.as_deref().unwrap_or_default();
            if instance.forced {
                let message = format!("{label}: {because}it was stopped only by KILL");
                return Err((Code::Forced, message));
            }
            if failed.is_some() {
                return Err((Code::Failed, format!("{label}: {because}it was stopped by signals")));
            }
        }
        Ok(down)
    }
}

/// Whether this instance, in `backoff`, is there because it died. The bound on spawns
/// (`spawn-rate`) sends also those there, for a moment, who were stopped in order to be started
/// again: that is no failure.
fn died(view: &View, id: InstanceId, cause: Cause) -> bool {
    if !matches!(cause, Cause::Exited(..)) {
        return matches!(
            cause,
            Cause::SpawnFailed(..)
                | Cause::StartTimeout(_)
                | Cause::PreStart(_)
                | Cause::Unhealthy(_)
                | Cause::Lost
        );
    }
    let mut stopped_by = None;
    for change in view.journal.of(id).filter_map(Entry::change) {
        match (change.from, change.to) {
            (_, Phase::Backoff) | (Phase::Stopping, Phase::Stopping) => {}
            (_, Phase::Stopping) => stopped_by = Some(change.cause),
            _ => stopped_by = None,
        }
    }
    !matches!(stopped_by, Some(Cause::Operator(_) | Cause::RestartWith(_)))
}

/// `web: backoff: exit status 1 after 3s; next try in 400ms`.
pub fn failure(view: &View, id: InstanceId) -> String {
    let instance = view.supervisor.instance(id);
    let (label, phase) = (view.supervisor.label(id), instance.phase.word());
    if let Some(doing) = view.supervisor.doing(id) {
        return format!("{label}: {phase}: {doing}");
    }
    let cause = view.supervisor.describe_cause(Some(id), instance.cause);
    let next = instance.next.map(|next| Human(next.since(view.now)));
    let next = next.map(|next| format!("; next try in {next}")).unwrap_or_default();
    format!("{label}: {phase}: {cause}{next}")
}
