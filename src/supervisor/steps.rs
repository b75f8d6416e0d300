//! The moves between states: what `service` decides is done here, in one way each.

use crate::exit::ExitStatus;
use crate::plan::{InstanceId, ServiceId, Standing, Start};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::deadlines::Owner;
use crate::supervisor::event::{Action, Cause, Change, Role, SignalTarget};
use crate::supervisor::kinds;
use crate::supervisor::policy::{self, Verdict};
use crate::supervisor::roster::Slot;
use crate::supervisor::state::{Asking, Reason, State, Then};
use crate::supervisor::timer::Runs;
use crate::time::{Duration, Instant};

impl Supervisor {
    /// Everything that starts at boot is wanted up, then started in order: an `after` must see what is
    /// wanted before anything runs. Who starts with a connection is armed.
    pub(super) fn boot(&mut self, now: Instant) {
        for id in self.instances() {
            self.roster.slots[id.index()].since = now;
        }
        for service in self.services() {
            if self.service(service).start != Start::Manual {
                for id in self.instances_of(service) {
                    self.want(id, true);
                }
                self.mark_pulled(service);
            }
        }
        self.start_pulled(now, Cause::Boot);
    }

    /// Starts what `service` requires and wants, and so on: all are wanted first, then started in order.
    pub(super) fn pull(&mut self, now: Instant, service: ServiceId) {
        self.mark_pulled(service);
        self.start_pulled(now, Cause::NeededBy(service));
    }

    /// Puts a service on the list of those to be started, once.
    pub(super) fn mark_pulled(&mut self, service: ServiceId) {
        let group = &mut self.roster.groups[service.index()];
        if !group.pulled {
            group.pulled = true;
            self.pulling.push(service);
        }
    }

    /// Starts the services on the list, and before them what they require and want. The list grows while it
    /// is walked; it is no recursion because nobody bounds how deep a graph is. Who starts with a connection needs
    /// nothing before that.
    pub(super) fn start_pulled(&mut self, now: Instant, cause: Cause) {
        let roots = self.pulling.len();
        let mut at = 0;
        while at < self.pulling.len() {
            let service = self.pulling[at];
            let lazy = cause != Cause::NeededBy(service) && self.is_lazy(service);
            let group = &self.roster.groups[service.index()];
            let needs = if lazy || group.leaving { 0 } else { group.links.pulled.len() };
            for next in 0..needs {
                let dependency = self.roster.groups[service.index()].links.pulled[next];
                let lacking = |id: InstanceId| {
                    let slot = &self.roster.slots[id.index()];
                    let down = !slot.wanted_up || slot.state.at_rest() && !self.satisfies(id);
                    down && !slot.leaving
                };
                if self.instances_of(dependency).any(lacking) {
                    self.mark_pulled(dependency);
                }
            }
            if at >= roots {
                for id in self.instances_of(service) {
                    self.want(id, true);
                }
            }
            at += 1;
        }
        let mut list = core::mem::take(&mut self.pulling);
        list.sort_unstable_by_key(|&service| self.roster.groups[service.index()].links.rank);
        for service in list.drain(..) {
            self.roster.groups[service.index()].pulled = false;
            // `pull`'s root is started by its caller, and only the instance that was asked for.
            let root = cause == Cause::NeededBy(service);
            let lazy = self.is_lazy(service);
            for id in self.instances_of(service).filter(|_| !root) {
                let slot = &self.roster.slots[id.index()];
                match slot.wanted_up {
                    true if lazy || slot.state == State::Armed => self.arm(now, id),
                    // That others need it is no order to do its work again.
                    true if matches!(slot.state, State::Exited { .. }) && self.is_up(id) => {}
                    true => self.start_alone(now, id, cause),
                    false => {}
                }
            }
        }
        self.pulling = list;
    }

    /// All deadlines that have passed, in their order. Each is followed by a later one or by none.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some((_, owner)) = self.deadlines.first().filter(|&(at, _)| at <= now) {
            match owner {
                Owner::Shutdown => self.shutdown_overdue(now),
                Owner::Instance(id) => match self.roster.slots[id.index()].runs.due {
                    Some(due) if due <= now => self.run_due(now, id),
                    Some(_) | None => self.due(now, id),
                },
            }
        }
    }

    /// Sets what is wanted of an instance; of one that is to be forgotten nothing is.
    pub(super) fn want(&mut self, id: InstanceId, up: bool) {
        self.change(id, |slot| {
            slot.wanted_up = up && !slot.leaving;
            if !slot.wanted_up {
                slot.runs = Runs::default();
            }
        });
        if !up {
            self.rearm(id);
        }
    }

    /// The one place where a state changes.
    pub(super) fn enter(&mut self, now: Instant, id: InstanceId, state: State, cause: Cause) {
        let before = self.roster.slots[id.index()].state;
        let (from, to) = (before.phase(), state.phase());
        self.change(id, |slot| {
            slot.state = state;
            slot.cause = cause;
            if from != to {
                slot.since = now;
            }
        });
        self.rearm(id);
        let standing = self.roster.slots[id.index()].standing;
        if standing == Standing::Next && matches!(state, State::Running { .. }) {
            self.arriving.push(id);
        }
        let next = match state {
            State::Backoff { until } | State::Cooldown { until } => Some(until.since(now)),
            _ => None,
        };
        let pid = state.process().map(|(pid, _)| pid);
        let flapped = self.roster.slots[id.index()].history.gave_up(&self.service_of(id).rules);
        let parting = self.roster.slots[id.index()].parting.take();
        let kinds = kinds::of(&before, &state, cause, parting, flapped);
        let change = Change { instance: id, at: now, from, to, cause, pid, next, parting, kinds };
        self.push(Action::Changed(change));
        if state.at_rest() {
            self.judge(id);
        }
        let slot = &mut self.roster.slots[id.index()];
        if standing != Standing::Regular && state.at_rest() {
            (slot.leaving, slot.wanted_up) = (true, false);
        }
        if slot.leaving && state.at_rest() {
            self.vacating.push(id);
        }
    }

    /// Applies a change to an instance and keeps the books: its service's tally, who waits for that, and whom
    /// it keeps up.
    pub(super) fn change(&mut self, id: InstanceId, apply: impl FnOnce(&mut Slot)) {
        let service = self.roster.slots[id.index()].service;
        let before = (self.share(id), self.summary(service));
        self.ending.count(&self.roster.slots[id.index()], -1);
        apply(&mut self.roster.slots[id.index()]);
        self.ending.count(&self.roster.slots[id.index()], 1);
        let share = self.share(id);
        let group = &mut self.roster.groups[service.index()];
        group.tally.replace(before.0, share);
        let summary = group.tally.summary();
        if summary == before.1 {
            return;
        }
        if !group.touched {
            group.touched = true;
            self.touched.push(service);
        }
        if summary.leaving == before.1.leaving {
            return;
        }
        for at in 0..self.roster.groups[service.index()].links.dependencies.len() {
            let dependency = self.roster.groups[service.index()].links.dependencies[at];
            let group = &mut self.roster.groups[dependency.index()];
            match summary.leaving {
                true => group.blockers += 1,
                false => group.blockers -= 1,
            }
            if group.blockers == 0 && !group.released {
                group.released = true;
                self.released.push(dependency);
            }
        }
    }

    /// Looks after those who waited for what has changed, until nothing changes any more.
    pub(super) fn propagate(&mut self, now: Instant) {
        loop {
            if let Some(service) = self.touched.pop() {
                self.roster.groups[service.index()].touched = false;
                for at in 0..self.roster.groups[service.index()].links.dependents.len() {
                    let dependent = self.roster.groups[service.index()].links.dependents[at];
                    for id in self.all_of(dependent) {
                        if self.roster.slots[id.index()].state == State::Waiting {
                            self.start_when_free(now, id, Cause::DependenciesReady);
                        }
                    }
                }
            } else if let Some(service) = self.released.pop() {
                self.roster.groups[service.index()].released = false;
                for id in self.instances_of(service) {
                    let slot = &self.roster.slots[id.index()];
                    if slot.state.live() && !slot.wanted_up && !slot.left {
                        self.stop_when_free(now, id, self.stop_cause(id));
                    }
                }
            } else {
                break;
            }
        }
    }

    /// A signal for its main process. A death that follows counts as one.
    pub(super) fn kill(&mut self, id: InstanceId, signal: Signal) {
        let state = self.roster.slots[id.index()].state;
        if matches!(state, State::Preparing { .. }) {
            return; // that is not its main process
        }
        if let Some((pid, _)) = state.process() {
            let target = SignalTarget::Process(pid);
            self.push(Action::Signal { instance: id, target, signal });
        }
    }

    /// Sets the deadline anew, from the state.
    pub(super) fn rearm(&mut self, id: InstanceId) {
        let slot = &self.roster.slots[id.index()];
        let deadline = match (slot.limit, slot.state) {
            (Some(limit), State::Running { spawned, .. }) => {
                Some(slot.state.deadline().map_or(spawned + limit, |at| at.min(spawned + limit)))
            }
            (_, state) => state.deadline(),
        };
        let errand = slot.errands.now.and_then(|errand| errand.until);
        let first = deadline.into_iter().chain(slot.runs.due).chain(errand).min();
        self.deadlines.set(Owner::Instance(id), first);
    }

    /// Starts an instance that is wanted up as soon as what it depends on allows.
    pub(super) fn start_when_free(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let service = self.roster.slots[id.index()].service;
        let order = &self.service(service).order;
        let hopeless = |&&on: &&ServiceId| self.summary(on).hopeless;
        if let Some(&on) = order.requires.iter().find(hopeless) {
            return self.enter(now, id, State::Failed, Cause::DependencyFailed(on));
        }
        let missing = |&&on: &&ServiceId| !self.summary(on).satisfied;
        let open = |&&on: &&ServiceId| !self.summary(on).satisfied && !self.summary(on).settled;
        let soft = order.wants.iter().chain(&order.after).chain(&order.restart_with);
        let waits_for = order.requires.iter().find(missing).or_else(|| {
            let mut soft = soft;
            soft.find(open)
        });
        match waits_for.copied() {
            None => self.launch(now, id, cause),
            Some(_) if self.roster.slots[id.index()].state == State::Waiting => {}
            Some(on) => self.enter(now, id, State::Waiting, Cause::WaitsFor(on)),
        }
    }

    /// A death that nobody asked for: what the rules make of it.
    pub(super) fn death(
        &mut self,
        now: Instant,
        id: InstanceId,
        life: Duration,
        status: Option<ExitStatus>,
    ) -> Then {
        let slot = &mut self.roster.slots[id.index()];
        match (slot.standing, status) {
            (Standing::Regular, _) => {}
            (Standing::Run, Some(status)) => return Then::Leave(status),
            (Standing::Run | Standing::Next | Standing::Old, _) => return Then::GiveUp,
        }
        let rules = &self.roster.groups[slot.service.index()].service.rules;
        let verdict = policy::decide(rules, &mut slot.history, now, life, status, &mut self.jitter);
        let then = match verdict {
            Verdict::Leave => Then::Leave(status.unwrap_or(ExitStatus::SUCCESS)),
            Verdict::Again => Then::Start,
            Verdict::Backoff(wait) => Then::Backoff(now + wait),
            Verdict::Cooldown(wait) => Then::Cooldown(now + wait),
            Verdict::GiveUp => Then::GiveUp,
        };
        if !matches!(then, Then::Leave(_) | Then::GiveUp) {
            slot.restarts += 1;
        }
        then
    }

    /// Goes on after the end of a process.
    pub(super) fn go_on(&mut self, now: Instant, id: InstanceId, then: Then, cause: Cause) {
        let next_due = self.is_next_due(id, then);
        match then {
            Then::Stop => self.enter(now, id, State::Stopped, cause),
            Then::Start => self.start_when_free(now, id, cause),
            Then::Backoff(until) => self.enter(now, id, State::Backoff { until }, cause),
            Then::Cooldown(until) => self.enter(now, id, State::Cooldown { until }, cause),
            Then::Leave(status) => {
                self.enter(now, id, State::Exited { status }, cause);
                self.after_leaving(now, id);
            }
            Then::GiveUp => self.enter(now, id, State::Failed, cause),
        }
        if next_due && !self.ending.begun() {
            self.run_now(now, id);
        }
    }

    /// Those that are restarted along with `service`, because it died or is restarted.
    pub(super) fn restart_companions(&mut self, now: Instant, service: ServiceId) {
        for at in 0..self.roster.groups[service.index()].links.companions.len() {
            for id in self.instances_of(self.roster.groups[service.index()].links.companions[at]) {
                let slot = &self.roster.slots[id.index()];
                if slot.state.live() && slot.wanted_up {
                    let reason = Reason::Companion(service);
                    self.begin_stop(now, id, reason, Cause::RestartWith(service));
                }
            }
        }
    }

    /// Asks whether it is ready.
    pub(super) fn ask(&mut self, now: Instant, id: InstanceId) {
        let timeout = self.service_of(id).probe_timeout;
        let again = now + self.ready_interval(id);
        if !self.begin_asking(id, Role::Probe) {
            return self.ask_again(id, again); // the last one's process is not reaped yet
        }
        if let State::Starting { asking, .. } = &mut self.roster.slots[id.index()].state {
            *asking = Asking::Asked(now + timeout);
        }
        self.rearm(id);
    }

    /// The next question comes then.
    pub(super) fn ask_again(&mut self, id: InstanceId, at: Instant) {
        if let State::Starting { asking, .. } = &mut self.roster.slots[id.index()].state {
            *asking = Asking::Due(at);
        }
        self.rearm(id);
    }

    /// The time between two questions; never zero, or a tick would not come to its end.
    pub(super) fn ready_interval(&self, id: InstanceId) -> Duration {
        self.service_of(id).ready_interval.max(Duration::from_millis(1))
    }

    /// Changes what comes when the rest of its group is gone.
    pub(super) fn go_on_with(&mut self, id: InstanceId, next: Then) {
        if let State::Clearing { then, .. } = &mut self.roster.slots[id.index()].state {
            *then = next;
        }
    }
}

/// See [`super::SPAWN_RETRY_MIN`]: a failed spawn is never tried again within the same moment.
pub(super) fn not_at_once(now: Instant, then: Then) -> Then {
    match then {
        Then::Start => Then::Backoff(now + super::SPAWN_RETRY_MIN),
        other => other,
    }
}
