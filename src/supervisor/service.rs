//! What each event does in each state. Every pair is written out; where nothing is to be done, that stands
//! there too.

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, Kind, Probe, Restart, Standing};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Parting, Role, SignalTarget, Ticket, Verb};
use crate::supervisor::state::{Asking, Reason, State, Then};
use crate::time::{Duration, Instant};

impl Supervisor {
    /// The main process runs.
    pub(super) fn spawned(&mut self, now: Instant, id: InstanceId, pid: Pid) {
        match self.roster.slots[id.index()].state {
            State::Spawning => {
                self.pids.insert(pid, (id, Role::Main));
                self.roster.slots[id.index()].last_spawn = Some(now);
                self.renewed(id);
                let state = self.first_state(now, id, pid, now);
                self.enter(now, id, state, Cause::Spawned);
                if self.ending.killing() {
                    self.kill_at_end(now, id);
                } else if !self.roster.slots[id.index()].wanted_up {
                    self.stop_when_free(now, id, self.stop_cause(id));
                }
            }
            // Nobody asked for it: it is not taken on. It will be reaped as an orphan.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {
                let target = SignalTarget::Process(pid);
                self.push(Action::Signal { instance: id, target, signal: Signal::KILL });
            }
        }
    }

    /// What an instance is whose process was made at `spawned` and is not known to be ready.
    fn first_state(&self, now: Instant, id: InstanceId, pid: Pid, spawned: Instant) -> State {
        let service = self.service_of(id);
        if self.roster.slots[id.index()].standing == Standing::Run {
            return State::Running { pid, spawned };
        }
        let asking = match (service.kind, self.probe_of(id)) {
            (Kind::Oneshot, _) | (_, Some(Probe::Notify)) => Asking::Listening,
            (_, None) => return State::Running { pid, spawned },
            (_, Some(_)) => Asking::Due(now + self.ready_interval(id).min(super::FIRST_PROBE)),
        };
        let deadline = service.start_timeout.map(|timeout| now + timeout);
        State::Starting { pid, spawned, deadline, asking }
    }

    /// The main process could not be started.
    pub(super) fn spawn_failed(
        &mut self,
        now: Instant,
        id: InstanceId,
        stage: Stage,
        errno: Errno,
    ) {
        match self.roster.slots[id.index()].state {
            State::Spawning => {
                self.roster.slots[id.index()].last_spawn = Some(now);
                let cause = Cause::SpawnFailed(stage, errno);
                let then = match self.roster.slots[id.index()].wanted_up {
                    true => self.death(now, id, Duration::ZERO, None),
                    false => Then::Stop,
                };
                self.go_on(now, id, super::steps::not_at_once(now, then), cause);
            }
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {} // nobody asked for it
        }
    }

    /// The main process has ended and was reaped: with this status, or without having become its program.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        id: InstanceId,
        outcome: Result<ExitStatus, (Stage, Errno)>,
        lingering: bool,
    ) {
        let slot = &mut self.roster.slots[id.index()];
        let (wanted_up, status) = (slot.wanted_up, outcome.ok());
        slot.last_exit = status.or(slot.last_exit);
        let timed_out =
            matches!(slot.state, State::Stopping { reason: Reason::StartTimeout, .. }) && wanted_up;
        let (then, life) = match slot.state {
            State::Starting { spawned, .. } | State::Running { spawned, .. } => {
                let life = if outcome.is_ok() { now.since(spawned) } else { Duration::ZERO };
                match wanted_up {
                    true => (self.death(now, id, life, status), life),
                    false => (Then::Stop, life), // it only waited for its turn
                }
            }
            State::Stopping { spawned, reason, .. } => {
                let then = match (wanted_up, reason) {
                    (false, _) => Then::Stop,
                    (true, Reason::Asked | Reason::Companion(_)) => Then::Start,
                    (true, Reason::StartTimeout) => self.death(now, id, Duration::ZERO, None),
                };
                (then, now.since(spawned))
            }
            // The pid table knows only processes of the three states above.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => return,
        };
        if let Some((pid, spawned)) = self.roster.slots[id.index()].state.process() {
            self.roster.slots[id.index()].parting = Some(Parting { pid, status, spawned });
        }
        self.cancel_probe(id);
        let slot = &self.roster.slots[id.index()];
        if wanted_up && slot.standing == Standing::Regular {
            self.restart_companions(now, slot.service);
        }
        match outcome {
            Err((stage, errno)) => {
                self.go_on(
                    now,
                    id,
                    super::steps::not_at_once(now, then),
                    Cause::SpawnFailed(stage, errno),
                );
            }
            Ok(status) => {
                // How lar ended it says less than why.
                let exited = Cause::Exited(status, life);
                let cause = if timed_out { Cause::StartTimeout } else { exited };
                let until = now + super::CLEARING_MAX;
                match lingering {
                    true => self.enter(now, id, State::Clearing { until, then }, cause),
                    false => self.go_on(now, id, then, cause),
                }
            }
        }
    }

    /// The last process of its group is gone.
    pub(super) fn group_gone(&mut self, now: Instant, id: InstanceId) {
        match self.roster.slots[id.index()].state {
            State::Clearing { then, .. } => {
                self.go_on(now, id, then, self.roster.slots[id.index()].cause)
            }
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {} // given up on before
        }
    }

    /// READY=1.
    pub(super) fn notified(&mut self, now: Instant, id: InstanceId) {
        let listens = matches!(self.probe_of(id), Some(Probe::Notify));
        match self.roster.slots[id.index()].state {
            State::Starting { pid, spawned, .. } if listens => {
                self.enter(now, id, State::Running { pid, spawned }, Cause::Ready);
            }
            // Ready on its way down, said again, or not asked for.
            State::Starting { .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// A probe has its answer.
    pub(super) fn probed(&mut self, now: Instant, id: InstanceId, ready: bool) {
        let again = now + self.ready_interval(id);
        match self.roster.slots[id.index()].state {
            State::Starting { pid, spawned, asking: Asking::Asked(_), .. } => {
                if ready {
                    self.enter(now, id, State::Running { pid, spawned }, Cause::Ready);
                    self.cancel_probe(id); // if it was not the probe's process that said so
                } else {
                    self.ask_again(id, again);
                }
            }
            // An answer to a question that was taken back.
            State::Starting { .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// A probe command runs.
    pub(super) fn probe_spawned(&mut self, id: InstanceId, pid: Pid) {
        let slot = &mut self.roster.slots[id.index()];
        let asked = matches!(slot.state, State::Starting { asking: Asking::Asked(_), .. });
        let first = slot.probe.is_none();
        if first {
            slot.probe = Some(pid);
            self.pids.insert(pid, (id, Role::Probe));
        }
        // A question that was taken back before its process was there; or one process too many, which
        // is not taken on and will be reaped as an orphan.
        if !asked || !first {
            let target = SignalTarget::Group(pid);
            self.push(Action::Signal { instance: id, target, signal: Signal::KILL });
        }
    }

    /// A probe command has ended.
    pub(super) fn probe_exited(&mut self, now: Instant, id: InstanceId, status: ExitStatus) {
        let slot = &mut self.roster.slots[id.index()];
        slot.probe = None;
        if slot.leaving && slot.state.at_rest() {
            self.vacating.push(id);
        }
        self.probed(now, id, status.success());
    }

    /// Its deadline has passed.
    pub(super) fn due(&mut self, now: Instant, id: InstanceId) {
        match self.roster.slots[id.index()].state {
            State::Starting { deadline: Some(deadline), .. } if deadline <= now => {
                self.begin_stop(now, id, Reason::StartTimeout, Cause::StartTimeout);
            }
            State::Starting { asking: Asking::Due(_), .. } => self.ask(now, id),
            State::Starting { asking: Asking::Asked(_), .. } => {
                self.cancel_probe(id);
                self.probed(now, id, false);
            }
            State::Stopping { .. } => self.climb(now, id),
            State::Clearing { then, .. } => {
                self.go_on(now, id, then, self.roster.slots[id.index()].cause)
            }
            State::Backoff { .. } | State::Cooldown { .. } => {
                self.start_when_free(now, id, Cause::Retry);
            }
            State::Running { .. } => {
                // Only a run has one.
                self.want(id, false);
                self.begin_stop(now, id, Reason::Asked, Cause::TimeLimit);
            }
            State::Starting { asking: Asking::Listening, .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning
            | State::Exited { .. }
            | State::Failed => {} // no deadline
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
            State::Spawning | State::Starting { .. } | State::Running { .. } => {}
            // zdaemon's manager calls the stop off; if the signal still has its effect, that is a death.
            State::Stopping { pid, spawned, .. } if self.ends_when_stopped() => {
                self.begin_run(now, id);
                let state = self.first_state(now, id, pid, spawned);
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
            State::Spawning => {} // `spawned` will see to it
            State::Armed
            | State::Waiting
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => self.enter(now, id, State::Stopped, cause),
            State::Starting { .. } | State::Running { .. } => self.stop_when_free(now, id, cause),
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
            State::Starting { .. } | State::Running { .. } => {
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
            | State::Spawning
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
            | State::Spawning
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
            State::Starting { .. } | State::Running { .. } if ends && (bounded || restarts) => {
                self.shut_down_with(now, Some(signal));
            }
            State::Starting { pid, .. }
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
            | State::Spawning
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
