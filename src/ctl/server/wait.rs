//! Waiting for the result of an order. It is read off the core's state after every turn of the
//! loop; nothing is polled, and nothing is kept per instance but its number.

use super::names::Targets;
use super::view::View;
use super::work::Subscription;
use crate::exit::Code;
use crate::plan::InstanceId;
use crate::supervisor::{Cause, Instance, Phase, Ticket};
use crate::time::{Duration, Human, Instant};

/// A client that waits.
#[derive(Debug)]
pub struct Waiter {
    /// For whom.
    pub targets: Targets,
    /// For what, of each; the list is as long as `targets`, or holds one for all.
    pub goals: Vec<Goal>,
    /// The number of its order.
    pub ticket: Ticket,
    /// Until when.
    pub deadline: Instant,
    /// How long that is, for the message.
    pub patience: Duration,
    /// Whether a stop by KILL is an error.
    pub strict: bool,
    /// Changes that are sent meanwhile.
    pub progress: Option<Subscription>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To be up; not to be up in time, or to die, is an error.
    Started,
    /// To be down.
    Stopped,
    /// To be in this state, however that comes about.
    In(Phase),
    /// To be up, however that comes about.
    Up,
    /// To have no process, however that comes about.
    Down,
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

enum Progress {
    Pending,
    Reached,
    Lost(Code, String),
}

impl Waiter {
    /// The outcome, if there is one: every instance is where it should be, or one can't get there
    /// any more.
    pub fn outcome(&self, view: &View) -> Option<Result<(), (Code, String)>> {
        let mut pending = None;
        for (index, id) in self.targets.iter().enumerate() {
            match self.progress_of(view, id, self.goal(index)) {
                Progress::Reached => {}
                Progress::Pending => {
                    pending.get_or_insert(id);
                }
                Progress::Lost(code, message) => return Some(Err((code, message))),
            }
        }
        let Some(id) = pending else { return Some(Ok(())) };
        (view.now >= self.deadline).then(|| {
            let label = view.supervisor.label(id);
            let phase = view.supervisor.instance(id).phase.word();
            let after = Human(self.patience);
            Err((
                Code::TimedOut,
                format!("{label} is still {phase} after {after}; the work goes on"),
            ))
        })
    }

    fn goal(&self, index: usize) -> Goal {
        let goal = self.goals.get(index).or(self.goals.first());
        goal.copied().unwrap_or(Goal::Up)
    }

    fn progress_of(&self, view: &View, id: InstanceId, goal: Goal) -> Progress {
        let supervisor = view.supervisor;
        let instance = supervisor.instance(id);
        let reached = match goal {
            Goal::Started => return self.started(view, id, &instance),
            Goal::Stopped => return self.stopped(view, id, &instance),
            Goal::In(phase) => instance.phase == phase,
            Goal::Up => supervisor.is_up(id),
            Goal::Down => is_down(&instance),
        };
        if reached { Progress::Reached } else { Progress::Pending }
    }

    fn started(&self, view: &View, id: InstanceId, instance: &Instance) -> Progress {
        let label = view.supervisor.label(id);
        if instance.ticket > self.ticket && !instance.wanted_up {
            let message = format!("{label}: a later order stops it");
            return Progress::Lost(Code::Superseded, message);
        }
        if view.supervisor.shutting_down() {
            let message = format!("{label}: the manager is ending");
            return Progress::Lost(Code::Superseded, message);
        }
        match instance.phase {
            _ if view.supervisor.is_up(id) => Progress::Reached,
            Phase::Backoff if !died(view, id, instance.cause) => Progress::Pending,
            Phase::Backoff | Phase::Cooldown | Phase::Failed | Phase::Exited => {
                Progress::Lost(Code::StartFailed, failure(view, id, instance))
            }
            Phase::Stopped | Phase::Waiting | Phase::Starting => Progress::Pending,
            Phase::Running | Phase::Stopping => Progress::Pending,
        }
    }

    fn stopped(&self, view: &View, id: InstanceId, instance: &Instance) -> Progress {
        let label = view.supervisor.label(id);
        if instance.ticket > self.ticket && instance.wanted_up {
            let message = format!("{label}: a later order starts it");
            return Progress::Lost(Code::Superseded, message);
        }
        if !is_down(instance) {
            return Progress::Pending;
        }
        if self.strict && instance.forced {
            let message = format!("{label}: it was stopped only by KILL");
            return Progress::Lost(Code::Forced, message);
        }
        Progress::Reached
    }
}

/// Whether this instance, in `backoff`, is there because it died. The bound on spawns
/// (`spawn-rate`) sends also those there, for a moment, who were stopped in order to be started
/// again: that is no failure.
fn died(view: &View, id: InstanceId, cause: Cause) -> bool {
    if !matches!(cause, Cause::Exited(..)) {
        return matches!(cause, Cause::SpawnFailed(..) | Cause::StartTimeout);
    }
    let mut stopped_by = None;
    for change in view.journal.of(id).map(|entry| &entry.change) {
        match (change.from, change.to) {
            (_, Phase::Backoff) | (Phase::Stopping, Phase::Stopping) => {}
            (_, Phase::Stopping) => stopped_by = Some(change.cause),
            _ => stopped_by = None,
        }
    }
    !matches!(stopped_by, Some(Cause::Operator(_) | Cause::RestartWith(_)))
}

/// `web: backoff: exit status 1 after 3s; next try in 400ms`.
pub fn failure(view: &View, id: InstanceId, instance: &Instance) -> String {
    let label = view.supervisor.label(id);
    let (phase, cause) =
        (instance.phase.word(), view.supervisor.describe_cause(id, instance.cause));
    let mut text = format!("{label}: {phase}: {cause}");
    if let Some(next) = instance.next {
        text += &format!("; next try in {}", Human(next.since(view.now)));
    }
    text
}
