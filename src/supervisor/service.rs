//! What each event does in each state. Every pair is written out; where nothing is to be done, that stands
//! there too.

use crate::plan::{InstanceId, Kind, Restart, Standing, Task};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Role, SignalTarget, Ticket, Verb};
use crate::supervisor::state::{Again, Asking, Check, Reason, State, Step, Then};
use crate::time::Instant;

impl Supervisor {
    /// A question has its answer.
    pub(super) fn probed(&mut self, now: Instant, id: InstanceId, role: Role, good: bool) {
        let again = now + self.ready_interval(id);
        match self.roster.slots[id.index()].state {
            State::Starting { pid, spawned, asking: Asking::Asked(_), .. }
                if role == Role::Probe =>
            {
                if good {
                    self.cancel(id, role); // if it was not the probe's process that said so
                    let state = self.up(now, id, pid, spawned);
                    self.enter(now, id, state, Cause::Ready);
                } else {
                    self.ask_again(id, again);
                }
            }
            State::Running { again: Again { asking: Asking::Asked(_), .. }, .. }
                if role == Role::Probe =>
            {
                self.cancel(id, role);
                self.connected_or_not(now, id, good);
            }
            State::Running { check: Check { asking: Asking::Asked(_), .. }, .. }
                if role == Role::Health =>
            {
                self.cancel(id, role);
                self.checked(now, id, good);
            }
            // An answer to a question that was taken back.
            State::Starting { .. }
            | State::Running { .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// Its deadline has passed.
    pub(super) fn due(&mut self, now: Instant, id: InstanceId) {
        let errand = self.roster.slots[id.index()].errands.now.and_then(|errand| errand.until);
        if errand.is_some_and(|until| until <= now) {
            return self.errand_overdue(id);
        }
        match self.roster.slots[id.index()].state {
            State::Preparing { .. } => self.give_up_start(now, id, Step::PreStart),
            State::Forking { .. } => self.give_up_start(now, id, Step::Fork),
            State::Seeking { wait, .. } => {
                if !self.wait_due(now, id, wait) {
                    self.look_for_daemon(now, id);
                }
            }
            State::Starting { wait, asking, .. } => match asking {
                _ if self.wait_due(now, id, wait) => {}
                Asking::Due(_) => self.ask(now, id),
                Asking::Asked(_) => {
                    self.cancel(id, Role::Probe);
                    self.probed(now, id, Role::Probe, false);
                }
                Asking::Listening => self.rearm(id),
            },
            State::Running { .. } => self.running_due(now, id),
            State::Stopping { .. } => self.climb(now, id),
            State::Clearing { rest, then, .. } => self.clearing_due(now, id, rest, then),
            State::Backoff { .. } | State::Cooldown { .. } => {
                self.start_when_free(now, id, Cause::Retry);
            }
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Exited { .. }
            | State::Failed => self.rearm(id), // no deadline
        }
    }

    /// An operator wants something of it.
    pub(super) fn order(&mut self, now: Instant, id: InstanceId, verb: Verb, ticket: Ticket) {
        if !matches!(verb, Verb::Kill(_)) {
            self.roster.slots[id.index()].ticket = ticket;
        }
        let cause = Cause::Operator(verb);
        if self.roster.slots[id.index()].standing != Standing::Regular {
            return self.order_beside(now, id, verb);
        }
        match verb {
            Verb::Start => self.start(now, id, cause),
            // Who is to be forgotten, or is one too many, is put on that list where it is decided.
            Verb::Stop | Verb::Remove | Verb::Scale => self.stop(now, id, cause),
            Verb::Restart | Verb::Apply | Verb::Replace => self.restart(now, id, verb),
            Verb::Roll => self.roll(now, id, verb),
            Verb::Reload => self.send_on_errand(now, id, Role::Reload),
            Verb::Ensure => self.ensure(now, id),
            Verb::Once => {} // there is no instance before it: see `once`
            Verb::Clear => self.clear(now, id),
            Verb::Kill(signal) => self.kill(id, signal),
        }
    }

    /// It is wanted up, and what it needs with it. At the manager's end nothing is.
    pub(super) fn start(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        if self.ending.begun() || self.is_leaving(id) {
            return;
        }
        self.want(id, true);
        self.pull(now, self.roster.slots[id.index()].service);
        self.start_alone(now, id, cause);
    }

    /// It is wanted up; what it needs was seen to.
    pub(super) fn start_alone(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let asked = matches!(cause, Cause::Operator(_));
        match self.roster.slots[id.index()].state {
            State::Stopped | State::Failed | State::Backoff { .. } | State::Cooldown { .. } => {
                self.begin_run(now, id);
                self.start_when_free(now, id, cause);
            }
            State::Armed => {
                self.begin_run(now, id);
                self.start_when_free(now, id, cause);
            }
            State::Waiting => self.start_when_free(now, id, cause),
            // A one-shot that did its work; what has a timer is run again by who says so.
            State::Exited { .. } if self.is_up(id) && !(asked && self.comes_again(id)) => {}
            State::Exited { .. } => {
                self.begin_run(now, id);
                self.start_when_free(now, id, cause);
            }
            // Up, or will be: what was to come after it is forgotten.
            State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. } => {}
            // zdaemon's manager calls the stop off; if the signal still has its effect, that is a death.
            State::Stopping { pid, spawned, .. } if self.ends_when_stopped() => {
                self.begin_run(now, id);
                let deadline = self.service_of(id).start_timeout.map(|timeout| now + timeout);
                let state = self.first_state(now, id, pid, spawned, deadline);
                self.enter(now, id, state, cause);
            }
            State::Stopping { .. } => self.go_down_because(id, Reason::Asked),
            // A one-shot that did its work is left alone here, too.
            State::Clearing { then: Then::Leave(status), .. }
                if self.service_of(id).kind == Kind::Oneshot && status.success() => {}
            State::Clearing { .. } => {
                self.begin_run(now, id);
                self.go_on_with(id, Then::Start);
            }
        }
    }

    /// It is wanted down, and stays so.
    pub(super) fn stop(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        if self.is_left(id) {
            return; // the manager ends, and has let go of it
        }
        self.want(id, false);
        self.call_off(now, id);
        match self.roster.slots[id.index()].state {
            State::Stopped => self.judge(id),
            State::Spawning { .. } => {} // `spawned` will see to it
            State::Armed
            | State::Waiting
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => self.enter(now, id, State::Stopped, cause),
            State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. } => self.stop_when_free(now, id, cause),
            State::Stopping { .. } => self.go_down_because(id, Reason::Asked),
            State::Clearing { .. } => self.go_on_with(id, Then::Stop),
        }
    }

    /// It is stopped, if it is up, and started again. No death.
    pub(super) fn restart(&mut self, now: Instant, id: InstanceId, verb: Verb) {
        if self.ending.begun() || self.is_leaving(id) {
            return;
        }
        let cause = Cause::Operator(verb);
        self.call_off(now, id);
        match self.roster.slots[id.index()].state {
            State::Running { .. } if verb == Verb::Restart && self.has_task(id, Task::Restart) => {
                self.want(id, true);
                self.pull(now, self.roster.slots[id.index()].service);
                self.send_on_errand(now, id, Role::Restart);
            }
            State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. } => {
                self.want(id, true);
                self.begin_run(now, id);
                self.pull(now, self.roster.slots[id.index()].service);
                self.begin_stop(now, id, Reason::Asked, cause);
            }
            State::Exited { .. } => {
                // A one-shot that did its work is the one case in which `start` would leave it alone.
                self.want(id, true);
                self.begin_run(now, id);
                self.pull(now, self.roster.slots[id.index()].service);
                self.start_when_free(now, id, cause);
            }
            State::Stopping { .. } if self.ends_when_stopped() => {
                self.want(id, true);
                self.begin_run(now, id);
                self.go_down_because(id, Reason::Asked);
            }
            State::Armed if verb == Verb::Apply => {} // the next connection starts what is new
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Failed => self.start(now, id, cause),
        }
    }

    /// Its deaths are forgotten; a wait ends now, and what had failed is tried again.
    fn clear(&mut self, now: Instant, id: InstanceId) {
        let cause = Cause::Operator(Verb::Clear);
        self.roster.slots[id.index()].history.clear();
        match self.roster.slots[id.index()].state {
            State::Backoff { .. } | State::Cooldown { .. } => self.start_when_free(now, id, cause),
            State::Failed => self.start(now, id, cause),
            State::Clearing {
                then: Then::Backoff(_) | Then::Cooldown(_) | Then::GiveUp, ..
            } => {
                self.go_on_with(id, Then::Start);
            }
            State::Clearing { then: Then::Stop | Then::Start | Then::Leave(_), .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Exited { .. } => {}
        }
    }

    /// `received` is for the program (single-program mode), which gets it as `signal`.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        id: InstanceId,
        received: Signal,
        signal: Signal,
    ) {
        let Some(single) = self.settings.single.as_ref() else { return };
        let ends = [Signal::TERM, Signal::INT, Signal::QUIT].contains(&received);
        let bounded = single.grace.is_some() || !single.drain.is_zero();
        let restarts = self.service_of(id).rules.restart != Restart::Never;
        let group = single.group;
        match self.roster.slots[id.index()].state {
            // With a time limit, or when the program would be started again, it is a request to end.
            State::Preparing { .. }
            | State::Forking { .. }
            | State::Starting { .. }
            | State::Running { .. }
                if ends && (bounded || restarts) =>
            {
                self.shut_down_with(now, Some(signal));
            }
            State::Preparing { pid, .. }
            | State::Forking { pid, .. }
            | State::Starting { pid, .. }
            | State::Running { pid, .. }
            | State::Stopping { pid, .. } => {
                let target =
                    if group { SignalTarget::Group(pid) } else { SignalTarget::Process(pid) };
                self.push(Action::Signal { instance: id, target, signal });
                // On its way down for a restart: the end that was asked for may not be lost in it.
                let stopping =
                    matches!(self.roster.slots[id.index()].state, State::Stopping { .. });
                if ends && stopping && !self.ending.begun() {
                    self.shut_down_with(now, Some(signal));
                }
            }
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Seeking { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {
                if ends {
                    self.shut_down_with(now, Some(signal)); // nobody to pass it on to
                }
            }
        }
    }
}
