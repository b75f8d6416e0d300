//! One-shots that run again and again (`every`, `at`).
//!
//! `every` is reckoned here, on the monotonic clock: the next run is due that long after the last one began. `at` is
//! reckoned outside, by the wall clock, which the core does not know: it is told when such a service is due.
//!
//! A run goes from its begin to the end that its restart rules leave it with; tries in between belong to it. When the
//! next one is due and nothing runs, it begins afresh, with its deaths forgotten, also where the last one had given up
//! or waits for another try. Who depends on it waits for its first success, and never again.
//!
//! Invariant: only who is wanted up is due.

use crate::plan::{InstanceId, ServiceId, Standing, Timer, When};
use crate::supervisor::Supervisor;
use crate::supervisor::event::Cause;
use crate::supervisor::state::{State, Then};
use crate::time::{Duration, Instant};

/// What is known of an instance's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    /// When the last one began.
    begun: Option<Instant>,
    /// When the next one is due, if that is reckoned here.
    pub(super) due: Option<Instant>,
    /// Whether one was due meanwhile, and comes right after this one.
    queued: bool,
    /// Whether one has succeeded since it was wanted up.
    pub(super) succeeded: bool,
}

impl Supervisor {
    fn timer(&self, service: ServiceId) -> Option<&Timer> {
        self.service(service).timer.as_ref()
    }

    /// The same of an instance. Who runs beside the instances has none.
    fn timer_of(&self, id: InstanceId) -> Option<&Timer> {
        let slot = &self.roster.slots[id.index()];
        self.timer(slot.service).filter(|_| slot.standing == Standing::Regular)
    }

    /// Of a service with a timer: whether a run has succeeded since it was wanted up.
    pub(super) fn timed(&self, id: InstanceId) -> Option<bool> {
        self.timer_of(id).map(|_| self.roster.slots[id.index()].runs.succeeded)
    }

    /// Whether it first runs when its time comes, and not when it is wanted up.
    pub(super) fn waits_for_its_time(&self, service: ServiceId) -> bool {
        matches!(self.timer(service), Some(Timer { when: When::At(_), .. }))
    }

    /// Whether it will run again by itself.
    pub(super) fn comes_again(&self, id: InstanceId) -> bool {
        self.roster.slots[id.index()].wanted_up && self.timer_of(id).is_some()
    }

    /// The next run of this service is expected then: for those who look, since the core does not know such times.
    pub fn foresee(&mut self, service: ServiceId, at: Option<Instant>) {
        if let Some(group) = self.roster.groups.get_mut(service.index()) {
            group.expected = at;
        }
    }

    /// When it runs next by itself.
    pub(super) fn next_due(&self, id: InstanceId) -> Option<Instant> {
        let slot = &self.roster.slots[id.index()];
        let expected = self.roster.groups[slot.service.index()].expected;
        slot.runs.due.or(expected.filter(|_| self.comes_again(id)))
    }

    /// Its deaths are forgotten: what comes now is another run.
    pub(super) fn begin_run(&mut self, now: Instant, id: InstanceId) {
        let slot = &mut self.roster.slots[id.index()];
        slot.history.clear();
        slot.runs.begun = Some(now);
        slot.runs.queued = false;
        self.reckon(now, id);
    }

    /// The time of the next run, from the last one's.
    fn reckon(&mut self, now: Instant, id: InstanceId) {
        let slot = &self.roster.slots[id.index()];
        let wanted = slot.wanted_up && !self.ending.begun();
        let every = match self.timer_of(id) {
            Some(Timer { when: When::Every(every), .. }) if wanted => Some(*every),
            _ => None,
        };
        let begun = slot.runs.begun.unwrap_or(now);
        let due = every.map(|every| next_of(begun + every, every, now));
        self.roster.slots[id.index()].runs.due = due;
        self.rearm(id);
    }

    /// Its service is due, by a clock that the core does not know.
    pub(super) fn timer_elapsed(&mut self, now: Instant, service: ServiceId) {
        if service.index() < self.roster.groups.len() && self.waits_for_its_time(service) {
            for id in self.instances_of(service) {
                self.run_due(now, id);
            }
        }
    }

    /// A run of it is due.
    pub(super) fn run_due(&mut self, now: Instant, id: InstanceId) {
        if !self.comes_again(id) || self.ending.begun() {
            return;
        }
        let slot = &self.roster.slots[id.index()];
        match slot.state {
            State::Armed
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => self.run_now(now, id),
            State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. } => {
                let queue = self.timer_of(id).is_some_and(|timer| timer.queue);
                self.roster.slots[id.index()].runs.queued |= queue;
                self.reckon(now, id);
            }
            // The run that waits for what it needs is this one.
            State::Waiting | State::Stopped => self.reckon(now, id),
        }
    }

    /// It begins a run.
    pub(super) fn run_now(&mut self, now: Instant, id: InstanceId) {
        self.begin_run(now, id);
        self.pull(now, self.roster.slots[id.index()].service);
        self.start_when_free(now, id, Cause::Timer);
    }

    /// A process has ended, and this follows: whether a run that was due meanwhile comes at once.
    pub(super) fn is_next_due(&mut self, id: InstanceId, then: Then) -> bool {
        if matches!(then, Then::Leave(status) if status.success()) && self.timed(id) == Some(false)
        {
            self.change(id, |slot| slot.runs.succeeded = true);
        }
        let queued = &mut self.roster.slots[id.index()].runs.queued;
        std::mem::take(queued) && !matches!(then, Then::Stop | Then::Start)
    }

    /// The definition of its timer is another one.
    pub(super) fn follow_timer(&mut self, now: Instant, service: ServiceId) {
        for id in self.instances_of(service) {
            // What it did before it had a timer counts for those who depend on it, also when it runs again.
            if self.timed(id) == Some(false) && self.is_up(id) {
                self.change(id, |slot| slot.runs.succeeded = true);
            }
            self.roster.slots[id.index()].runs.queued = false;
            self.reckon(now, id);
        }
    }
}

/// The first of the times `first`, `first + every`… that is still to come.
fn next_of(first: Instant, every: Duration, now: Instant) -> Instant {
    if first > now {
        return first;
    }
    let every = every.as_nanos().max(1);
    let missed = now.since(first).as_nanos() / every + 1;
    let later = u64::try_from(missed.saturating_mul(every)).unwrap_or(u64::MAX);
    first + Duration::from_nanos(later)
}
