//! Services that start with the first connection (`start on-demand`).
//!
//! Such a service is down and armed: wanted up, as soon as somebody connects. For those that depend on it that is as
//! good as up, since whoever connects is answered, so nobody starts it but a connection or an operator. It is
//! armed again when it has done what there was to do: exited with 0, and its rules leave it there. After a stop, and
//! after it ended for good in any other way, it stays down until an operator starts it.

use crate::plan::{InstanceId, ServiceId, Standing, Start};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Cause, Ticket, Verb};
use crate::supervisor::state::State;
use crate::time::{Duration, Instant};

/// The least time between a spawn and one that follows from a connection: a program that ends well without accepting
/// what waits for it would else be started as often as `spawn-rate` allows.
const GAP: Duration = Duration::from_millis(100);

impl Supervisor {
    /// Whether a connection to one of its sockets is to be told ([`Event::Connection`](super::Event::Connection)).
    pub fn awaits(&self, service: ServiceId) -> bool {
        self.roster.groups.get(service.index()).is_some_and(|group| group.tally.awaits())
    }

    /// Somebody connects to one of its sockets.
    pub(super) fn connected(&mut self, now: Instant, service: ServiceId, socket: u16) {
        if service.index() >= self.roster.groups.len() || !self.on_demand(service) {
            return;
        }
        for id in self.instances_of(service) {
            match self.roster.slots[id.index()].state {
                State::Armed => self.start(now, id, Cause::Connection(socket)),
                // Up, or will be, or is to stay down: the connection waits.
                State::Stopped
                | State::Waiting
                | State::Spawning { .. }
                | State::Preparing { .. }
                | State::Forking { .. }
                | State::Seeking { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Stopping { .. }
                | State::Clearing { .. }
                | State::Backoff { .. }
                | State::Cooldown { .. }
                | State::Exited { .. }
                | State::Failed => {}
            }
        }
    }

    /// How long after its last spawn it may be spawned for this cause.
    pub(super) fn gap_before(&self, cause: Cause) -> Duration {
        let gap = match self.settings.spawn_rate {
            Some(rate) => Duration::from_secs(1) / rate.max(1),
            None => Duration::ZERO,
        };
        if matches!(cause, Cause::Connection(_)) { gap.max(GAP) } else { gap }
    }

    fn on_demand(&self, service: ServiceId) -> bool {
        self.service(service).start == Start::OnDemand
    }

    /// Whether it waits for something to happen before it is started.
    fn arms(&self, service: ServiceId) -> bool {
        self.on_demand(service) || self.waits_for_its_time(service)
    }

    /// Whether it is to be armed where others are started because somebody needs them: nothing of it is there.
    pub(super) fn is_lazy(&self, service: ServiceId) -> bool {
        let down = |id: InstanceId| {
            let slot = &self.roster.slots[id.index()];
            slot.leaving || slot.state.at_rest() || slot.state == State::Armed
        };
        self.arms(service) && self.instances_of(service).all(down)
    }

    /// It waits for a connection, or for its time, from now on.
    pub(super) fn arm(&mut self, now: Instant, id: InstanceId) {
        let cause = match self.timed(id) {
            None => Cause::Awaits,
            Some(_) => Cause::Scheduled,
        };
        let slot = &self.roster.slots[id.index()];
        let done = cause == Cause::Scheduled && self.is_up(id);
        if slot.wanted_up && slot.state.at_rest() && !done {
            self.roster.slots[id.index()].history.clear();
            self.enter(now, id, State::Armed, cause);
        }
    }

    /// Whether it has just ended so that the next connection starts it again.
    pub(super) fn is_rearmed(&self, id: InstanceId) -> bool {
        let slot = &self.roster.slots[id.index()];
        let idle = matches!(slot.state, State::Exited { status } if status.success());
        let regular = slot.standing == Standing::Regular;
        idle && regular && slot.wanted_up && !self.ending.begun() && self.on_demand(slot.service)
    }

    /// Its rules leave it where it is: what follows from that.
    pub(super) fn after_leaving(&mut self, now: Instant, id: InstanceId) {
        if self.is_rearmed(id) {
            self.enter(now, id, State::Armed, Cause::Awaits);
        }
    }

    /// It is told anew when it starts: who waits for a connection that is not to be waited for any more starts, or is
    /// put down; who never was wanted may be started by one now.
    pub(super) fn follow_start(&mut self, now: Instant, service: ServiceId, ticket: Ticket) {
        let cause = Cause::Operator(Verb::Apply);
        let (start, arms) = (self.service(service).start, self.arms(service));
        for id in self.instances_of(service) {
            let slot = &self.roster.slots[id.index()];
            if slot.leaving {
                continue;
            }
            match (slot.state, start) {
                (State::Armed, _) if arms => {}
                (State::Armed, Start::Boot) => {
                    self.roster.slots[id.index()].ticket = ticket;
                    self.start(now, id, cause);
                }
                (State::Armed, Start::Manual) => self.stop(now, id, cause),
                (State::Stopped, Start::OnDemand) if slot.cause == Cause::Boot => {
                    self.want(id, true);
                    self.arm(now, id);
                }
                _ => {}
            }
        }
    }
}
