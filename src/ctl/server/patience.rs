//! How long a client waits: long enough that the outcome by a service's own rules is what it is told, not a timeout a
//! moment before.

use super::wait::Goal;
use crate::plan::{InstanceId, Task};
use crate::supervisor::{Supervisor, Verb};
use crate::time::Duration;

/// How long a client waits that does not say how long: for most starts too long, and too short for
/// nobody who still watches.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is added to the time that lar itself may need by its rules (a stop ladder, a start
/// timeout), so that the rule's own outcome is reported, not a timeout a moment before it.
const GRACE: Duration = Duration::from_secs(5);

/// How long all of this may take: what rolls does so one after the other.
pub fn patience_of_all(supervisor: &Supervisor, orders: &[(InstanceId, Verb, Goal)]) -> Duration {
    let of = |rolls: bool| {
        let those = orders.iter().filter(move |(_, verb, _)| (*verb == Verb::Roll) == rolls);
        those.map(|&(id, verb, _)| patience(supervisor, id, verb))
    };
    let together = of(false).max();
    let turns = of(true).fold(Duration::ZERO, Duration::saturating_add);
    match (together, turns.is_zero()) {
        (None, true) => PATIENCE,
        (together, _) => together.unwrap_or(Duration::ZERO).max(turns),
    }
}

/// How long `verb` may take by the instance's own rules.
pub fn patience(supervisor: &Supervisor, id: InstanceId, verb: Verb) -> Duration {
    let service = supervisor.service(supervisor.instance(id).service);
    let sum = |times: &[Duration]| times.iter().fold(GRACE, |sum, time| sum.saturating_add(*time));
    let command = |task: Task| {
        let process = supervisor.process(id);
        let there = process.is_some_and(|process| process.task(task).is_some());
        if there { service.stop_timeout } else { Duration::ZERO }
    };
    let after = command(Task::PostStop);
    let stop = sum(&[command(Task::Stop), service.stop.length(), after]);
    // What is before the program counts for its start-timeout; what was not ready in time is ended then.
    let start = service.start_timeout;
    let start = start.map_or(PATIENCE, |time| sum(&[time, service.start_abort_timeout, after]));
    let start = start.max(PATIENCE);
    match verb {
        Verb::Stop | Verb::Remove | Verb::Scale => stop.max(PATIENCE),
        Verb::Restart | Verb::Apply | Verb::Replace | Verb::Roll => stop.saturating_add(start),
        Verb::Start | Verb::Clear | Verb::Kill(_) | Verb::Once | Verb::Reload | Verb::Ensure => {
            start
        }
    }
}
