//! Whether a running instance still works, and whether it can be connected to.

use crate::plan::{Health, InstanceId, Probe, Restart, Standing};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Cause, Role, Told, Verb};
use crate::supervisor::state::{Again, Asking, Check, Reason, State};
use crate::time::{Duration, Instant};

impl Supervisor {
    /// How often it is asked, if it is.
    fn health_of(&self, id: InstanceId) -> Option<Health> {
        self.question(id, Role::Health).and(self.service_of(id).health)
    }

    /// Whether it says itself that it still works.
    fn beats(&self, id: InstanceId) -> bool {
        matches!(self.question(id, Role::Health), Some(Probe::Notify))
    }

    /// What is known of somebody who has just come up.
    pub(super) fn first_check(&self, now: Instant, id: InstanceId) -> Check {
        let run = self.roster.slots[id.index()].standing == Standing::Run;
        match self.health_of(id).filter(|_| !run) {
            Some(Health { every, .. }) => {
                let every = every.max(Duration::from_millis(1));
                Check { asking: Asking::Due(now + every), every, ..Check::NONE }
            }
            None => Check::NONE,
        }
    }

    /// Something is due of a running instance.
    pub(super) fn running_due(&mut self, now: Instant, id: InstanceId) {
        let slot = &self.roster.slots[id.index()];
        let State::Running { spawned, check, again, .. } = slot.state else { return };
        let over = slot.limit.is_some_and(|limit| spawned + limit <= now);
        match (again.asking, check.asking) {
            _ if over => {
                self.want(id, false);
                self.begin_stop(now, id, Reason::Asked, Cause::TimeLimit);
            }
            (Asking::Due(at), _) if at <= now => self.ask_again_running(now, id),
            (Asking::Asked(until), _) if until <= now => {
                self.cancel(id, Role::Probe);
                self.connected_or_not(now, id, false);
            }
            (_, Asking::Due(at)) if at <= now && self.beats(id) => self.checked(now, id, false),
            (_, Asking::Due(at)) if at <= now => self.ask_health(now, id),
            (_, Asking::Asked(until)) if until <= now => {
                self.cancel(id, Role::Health);
                self.checked(now, id, false);
            }
            _ => self.rearm(id),
        }
    }

    fn ask_health(&mut self, now: Instant, id: InstanceId) {
        let Some(Health { timeout, .. }) = self.health_of(id) else {
            return self.stop_checking(now, id);
        };
        let begun = self.begin_asking(id, Role::Health);
        if let State::Running { check, .. } = &mut self.roster.slots[id.index()].state {
            // The last question's process is killed, and not reaped yet: it is asked a little later.
            check.asking =
                if begun { Asking::Asked(now + timeout) } else { Asking::Due(now + check.every) };
        }
        self.rearm(id);
    }

    /// An answer about its health.
    pub(super) fn checked(&mut self, now: Instant, id: InstanceId, good: bool) {
        let Some(Health { failures: most, .. }) = self.health_of(id) else {
            return self.stop_checking(now, id);
        };
        let slot = &mut self.roster.slots[id.index()];
        let State::Running { check, .. } = &mut slot.state else { return };
        check.asking = Asking::Due(now + check.every);
        check.failures = if good { 0 } else { check.failures.saturating_add(1) };
        let failures = check.failures;
        let sick = !good && (check.sick || failures >= most);
        let changed = sick != check.sick;
        if !changed {
            return self.rearm(id);
        }
        let mut state = slot.state;
        if let State::Running { check, .. } = &mut state {
            check.sick = sick;
        }
        let cause = if sick { Cause::Unhealthy(failures) } else { Cause::Healthy };
        self.enter(now, id, state, cause);
        let slot = &self.roster.slots[id.index()];
        let stays = self.service_of(id).rules.restart == Restart::Never || slot.left;
        if sick && !stays && slot.wanted_up && slot.standing == Standing::Regular {
            self.begin_stop(now, id, Reason::Unhealthy(failures), cause);
        }
    }

    /// Another definition has come, by which nobody asks.
    fn stop_checking(&mut self, now: Instant, id: InstanceId) {
        let mut state = self.roster.slots[id.index()].state;
        let State::Running { check, .. } = &mut state else { return };
        let sick = check.sick;
        *check = Check::NONE;
        if sick {
            return self.enter(now, id, state, Cause::Healthy);
        }
        self.roster.slots[id.index()].state = state;
        self.rearm(id);
    }

    /// What it says of its health by itself.
    pub(super) fn said(&mut self, now: Instant, id: InstanceId, what: Told) {
        match what {
            Told::Ready => return self.said_ready(now, id),
            Told::Main(pid) => return self.said_main(now, id, pid),
            Told::Stopping | Told::Beat | Told::Trigger | Told::Every(_) => {}
        }
        let beats = self.beats(id);
        let most = self.health_of(id).unwrap_or_default().failures;
        let State::Running { check, .. } = &mut self.roster.slots[id.index()].state else {
            return; // before it is up, and on its way down, nobody asks
        };
        // Nor of one that is left running, or has said that it ends.
        let beats = beats && check.asking != Asking::Listening;
        match what {
            Told::Stopping => {
                check.asking = Asking::Listening;
                self.cancel(id, Role::Health);
                self.rearm(id);
            }
            Told::Beat if beats => self.checked(now, id, true),
            Told::Trigger if beats => {
                check.failures = check.failures.max(most - 1);
                self.checked(now, id, false);
            }
            Told::Every(every) if beats => {
                check.every = every.max(Duration::from_millis(1));
                check.asking = Asking::Due(now + check.every);
                self.rearm(id);
            }
            Told::Ready | Told::Main(_) | Told::Beat | Told::Trigger | Told::Every(_) => {}
        }
    }

    /// It is to be up, and asked again whether it can be connected to.
    pub(super) fn ensure(&mut self, now: Instant, id: InstanceId) {
        let slot = &mut self.roster.slots[id.index()];
        slot.ensure = slot.ticket;
        let asks = self.probe_of(id).is_some_and(Probe::asks);
        let slot = &mut self.roster.slots[id.index()];
        match &mut slot.state {
            State::Running { again, .. } if asks => {
                // Those who ask at the same time share one answer.
                if *again == Again::NO {
                    *again = Again { asking: Asking::Due(now), second: false };
                    self.rearm(id);
                }
            }
            State::Running { check, .. } => slot.ensured = Some((slot.ticket, !check.sick)),
            State::Armed => slot.ensured = Some((slot.ticket, true)),
            State::Stopped
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => self.start(now, id, Cause::Operator(Verb::Ensure)),
        }
    }

    fn ask_again_running(&mut self, now: Instant, id: InstanceId) {
        let timeout = self.service_of(id).probe_timeout;
        let later = now + self.ready_interval(id);
        let begun = self.begin_asking(id, Role::Probe);
        if let State::Running { again, .. } = &mut self.roster.slots[id.index()].state {
            again.asking = if begun { Asking::Asked(now + timeout) } else { Asking::Due(later) };
        }
        self.rearm(id);
    }

    /// An answer for those who want to connect. A bad one is asked for once more.
    pub(super) fn connected_or_not(&mut self, now: Instant, id: InstanceId, good: bool) {
        let later = now + self.ready_interval(id);
        let slot = &mut self.roster.slots[id.index()];
        let State::Running { again, .. } = &mut slot.state else { return };
        if good || again.second {
            *again = Again::NO;
            slot.ensured = Some((slot.ensure, good));
        } else {
            *again = Again { asking: Asking::Due(later), second: true };
        }
        self.rearm(id);
    }

    /// Up to which order `ensure` was answered, and how.
    pub fn ensured(&self, id: InstanceId) -> Option<(super::Ticket, bool)> {
        self.roster.slots[id.index()].ensured
    }

    /// Whether a question of `ensure` is under way.
    pub fn is_ensuring(&self, id: InstanceId) -> bool {
        matches!(self.roster.slots[id.index()].state, State::Running { again, .. } if again != Again::NO)
    }
}
