//! From the order to start to ready: the command before the program, the program, the daemon that it may leave behind,
//! and the silence that is one too long.

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, Kind, Probe, Standing, Task};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::aides::Attempt;
use crate::supervisor::event::{Action, Cause, Found, Outcome, Parting, Role, SignalTarget};
use crate::supervisor::state::{Again, Asking, Reason, Rest, Silence, State, Step, Then, Wait};
use crate::time::{Duration, Instant};

impl Supervisor {
    /// Asks for its process, unless that would be too soon after the last one (`spawn-rate`).
    pub(super) fn launch(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let gap = self.gap_before(cause);
        let soonest = self.roster.slots[id.index()].last_spawn.map(|last| last + gap);
        if let Some(until) = soonest.filter(|&until| until > now) {
            return self.enter(now, id, State::Backoff { until }, cause);
        }
        let prepares = self.has_task(id, Task::PreStart);
        let role = if prepares { Role::PreStart } else { Role::Main };
        self.roster.slots[id.index()].attempt =
            Attempt { launched: !prepares, ..Attempt::default() };
        self.enter(now, id, State::Spawning { role, deadline: None }, cause);
        self.push(Action::Spawn { instance: id, role });
    }

    /// Its program, or the command before it, runs.
    pub(super) fn spawned(&mut self, now: Instant, id: InstanceId, role: Role, pid: Pid) {
        match self.roster.slots[id.index()].state {
            State::Spawning { role: asked, deadline } if asked == role => {
                self.pids.insert(pid, (id, role));
                self.roster.slots[id.index()].last_spawn = Some(now);
                let timeout = self.service_of(id).start_timeout;
                let deadline = deadline.or(timeout.map(|timeout| now + timeout));
                if role == Role::PreStart {
                    let state = State::Preparing { pid, spawned: now, deadline };
                    self.enter(now, id, state, Cause::Prepares);
                } else {
                    self.renewed(id);
                    let state = self.first_state(now, id, pid, now, deadline);
                    self.enter(now, id, state, Cause::Spawned);
                }
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
            | State::Failed => {
                let target = SignalTarget::Process(pid);
                self.push(Action::Signal { instance: id, target, signal: Signal::KILL });
            }
        }
    }

    /// What an instance is whose program was started at `spawned` and is not known to be ready.
    pub(super) fn first_state(
        &self,
        now: Instant,
        id: InstanceId,
        pid: Pid,
        spawned: Instant,
        deadline: Option<Instant>,
    ) -> State {
        let run = self.roster.slots[id.index()].standing == Standing::Run;
        match self.service_of(id).kind {
            Kind::Forking if !run => State::Forking { pid, spawned, deadline },
            Kind::Simple | Kind::Forking | Kind::Oneshot => {
                self.second_state(now, id, pid, spawned, self.wait(now, id, deadline))
            }
        }
    }

    /// What it is once its main process is known.
    fn second_state(
        &self,
        now: Instant,
        id: InstanceId,
        pid: Pid,
        spawned: Instant,
        wait: Wait,
    ) -> State {
        let slot = &self.roster.slots[id.index()];
        if slot.standing == Standing::Run {
            return self.up(now, id, pid, spawned);
        }
        let asking = match (self.service_of(id).kind, self.probe_of(id)) {
            (Kind::Oneshot, _) => Asking::Listening,
            (Kind::Simple | Kind::Forking, None) => return self.up(now, id, pid, spawned),
            (Kind::Simple | Kind::Forking, Some(probe)) if probe.asks() => {
                Asking::Due(now + self.ready_interval(id).min(super::FIRST_PROBE))
            }
            (Kind::Simple | Kind::Forking, Some(_)) if slot.attempt.said => {
                return self.up(now, id, pid, spawned);
            }
            (Kind::Simple | Kind::Forking, Some(_)) => Asking::Listening,
        };
        State::Starting { pid, spawned, wait, asking }
    }

    /// Up.
    pub(super) fn up(&self, now: Instant, id: InstanceId, pid: Pid, spawned: Instant) -> State {
        State::Running { pid, spawned, check: self.first_check(now, id), again: Again::NO }
    }

    /// How long a start is waited for from now on.
    fn wait(&self, now: Instant, id: InstanceId, deadline: Option<Instant>) -> Wait {
        let silence = self.service_of(id).log_activity_timeout.map(|timeout| Silence {
            look: now + self.ready_interval(id).min(timeout),
            until: now + timeout,
        });
        Wait { deadline, silence }
    }

    /// Its program, or the command before it, could not be started.
    pub(super) fn spawn_failed(
        &mut self,
        now: Instant,
        id: InstanceId,
        role: Role,
        (stage, errno): (Stage, Errno),
    ) {
        match self.roster.slots[id.index()].state {
            State::Spawning { role: asked, .. } if asked == role => {
                let slot = &mut self.roster.slots[id.index()];
                slot.last_spawn = Some(now);
                slot.attempt.launched = false;
                let cause = match role {
                    Role::PreStart => Cause::PreStart(Outcome::NotStarted(stage, errno)),
                    _ => Cause::SpawnFailed(stage, errno),
                };
                self.fail_to_start(now, id, cause);
            }
            State::Stopped
            | State::Armed
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
            | State::Failed => {} // nobody asked for it
        }
    }

    /// A start that came to nothing: a death with life 0, if it is still wanted up.
    fn fail_to_start(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let then = match self.roster.slots[id.index()].wanted_up {
            true => self.death(now, id, Duration::ZERO, None),
            false => Then::Stop,
        };
        self.wind_up(now, id, None, super::steps::not_at_once(now, then), cause);
    }

    /// The command before its program has ended, and was reaped.
    pub(super) fn prepared(
        &mut self,
        now: Instant,
        id: InstanceId,
        outcome: Result<ExitStatus, (Stage, Errno)>,
    ) {
        let outcome = match outcome {
            Ok(status) => Outcome::Exited(status),
            Err((stage, errno)) => Outcome::NotStarted(stage, errno),
        };
        let slot = &mut self.roster.slots[id.index()];
        match slot.state {
            State::Preparing { deadline, .. } if outcome.good() && slot.wanted_up => {
                slot.attempt.launched = true;
                let state = State::Spawning { role: Role::Main, deadline };
                self.enter(now, id, state, Cause::Prepared);
                self.push(Action::Spawn { instance: id, role: Role::Main });
            }
            State::Preparing { .. } => self.fail_to_start(now, id, Cause::PreStart(outcome)),
            State::Stopping { reason, .. } => {
                let cause = match reason {
                    Reason::StartTimeout(step) => Cause::StartTimeout(step),
                    Reason::Asked
                    | Reason::Unhealthy(_)
                    | Reason::Companion(_)
                    | Reason::Stray(_) => slot.cause,
                };
                let then = self.after_stop(now, id, reason, Duration::ZERO);
                self.wind_up(now, id, None, then, cause);
            }
            // The pid table knows such a command only in the two states above.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Running { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// Its program has exited as it should, and has left a daemon behind: which process is that?
    pub(super) fn seek(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let slot = &self.roster.slots[id.index()];
        let (spawned, deadline) = match slot.state {
            State::Forking { spawned, deadline, .. } => (spawned, deadline),
            _ => (now, self.service_of(id).start_timeout.map(|timeout| now + timeout)),
        };
        let (next, wait) = (now + self.ready_interval(id), self.wait(now, id, deadline));
        let state = State::Seeking { spawned, next, foreign: None, wait };
        self.enter(now, id, state, cause);
        self.push(Action::Find { instance: id, anyhow: false });
    }

    /// A look for its daemon has led to this.
    pub(super) fn found(&mut self, now: Instant, id: InstanceId, what: Found) {
        // What is somebody's already is none of this one's.
        let what = match what {
            Found::Main(pid) if self.pids.get(pid).is_some() => Found::Foreign(pid),
            other => other,
        };
        match (self.roster.slots[id.index()].state, what) {
            (State::Seeking { spawned, wait, .. }, Found::Main(pid)) => {
                self.pids.insert(pid, (id, Role::Main));
                let state = self.second_state(now, id, pid, spawned, wait);
                self.enter(now, id, state, Cause::Found);
            }
            (State::Seeking { spawned, .. }, Found::Gone(pid, status))
                if !self.is_being_restarted(id) =>
            {
                let life = now.since(spawned);
                let slot = &mut self.roster.slots[id.index()];
                (slot.attempt.exit, slot.last_exit) = (status, status.or(slot.last_exit));
                slot.parting = Some(Parting { pid, status, spawned });
                let then = match slot.wanted_up {
                    true => self.death(now, id, life, status),
                    false => Then::Stop,
                };
                let cause = status.map_or(Cause::Lost, |status| Cause::Exited(status, life));
                self.wind_up(now, id, None, then, cause);
            }
            (State::Seeking { .. }, Found::Foreign(pid)) => self.note_foreign(id, Some(pid)),
            (State::Seeking { .. }, Found::Nothing | Found::Gone(..)) => {
                self.note_foreign(id, None);
            }
            (State::Clearing { rest: Rest::Strays, then, .. }, Found::Main(pid)) => {
                self.pids.insert(pid, (id, Role::Main));
                self.end_stray(now, id, pid, then);
            }
            (
                State::Clearing { rest: rest @ Rest::Strays, then, .. },
                Found::Nothing | Found::Foreign(_) | Found::Gone(..),
            ) => self.wind_up(now, id, Some(rest), then, self.roster.slots[id.index()].cause),
            // An answer to a question that nobody asks any more.
            (
                State::Stopped
                | State::Armed
                | State::Waiting
                | State::Spawning { .. }
                | State::Preparing { .. }
                | State::Forking { .. }
                | State::Starting { .. }
                | State::Running { .. }
                | State::Stopping { .. }
                | State::Clearing { .. }
                | State::Backoff { .. }
                | State::Cooldown { .. }
                | State::Exited { .. }
                | State::Failed,
                _,
            ) => {}
        }
    }

    fn note_foreign(&mut self, id: InstanceId, pid: Option<Pid>) {
        if let State::Seeking { foreign, .. } = &mut self.roster.slots[id.index()].state {
            *foreign = pid;
        }
    }

    /// Whether its log has grown.
    pub(super) fn looked(&mut self, now: Instant, id: InstanceId, active: bool) {
        let timeout = self.service_of(id).log_activity_timeout;
        match &mut self.roster.slots[id.index()].state {
            State::Starting { wait, .. } | State::Seeking { wait, .. } => {
                if let (Some(silence), Some(timeout), true) = (&mut wait.silence, timeout, active) {
                    silence.until = now + timeout;
                }
                self.rearm(id);
            }
            // It is ready, or over.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// Something is due of a start that is waited for; whether it was one of these.
    pub(super) fn wait_due(&mut self, now: Instant, id: InstanceId, wait: Wait) -> bool {
        let step = match self.roster.slots[id.index()].state {
            State::Seeking { foreign, .. } => foreign.map_or(Step::PidFile, Step::Foreign),
            _ => Step::Ready,
        };
        let Wait { deadline, silence } = wait;
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.give_up_start(now, id, step);
        } else if silence.is_some_and(|silence| silence.until <= now) {
            self.give_up_start(now, id, Step::Silence);
        } else if silence.is_some_and(|silence| silence.look <= now) {
            let again = now + self.ready_interval(id);
            if let State::Starting { wait, .. } | State::Seeking { wait, .. } =
                &mut self.roster.slots[id.index()].state
                && let Some(silence) = &mut wait.silence
            {
                silence.look = again;
            }
            self.rearm(id);
            self.push(Action::Look { instance: id });
        } else {
            return false;
        }
        true
    }

    /// A start took too long.
    pub(super) fn give_up_start(&mut self, now: Instant, id: InstanceId, step: Step) {
        let cause = Cause::StartTimeout(step);
        match self.roster.slots[id.index()].state.process() {
            Some(_) => self.begin_stop(now, id, Reason::StartTimeout(step), cause),
            None => self.fail_to_start(now, id, cause),
        }
    }

    /// Looks for its daemon again.
    pub(super) fn look_for_daemon(&mut self, now: Instant, id: InstanceId) {
        let again = now + self.ready_interval(id);
        if let State::Seeking { next, .. } = &mut self.roster.slots[id.index()].state {
            *next = again;
        }
        self.rearm(id);
        self.push(Action::Find { instance: id, anyhow: false });
    }

    /// READY=1, a line on its fd, or the text in its log.
    pub(super) fn said_ready(&mut self, now: Instant, id: InstanceId) {
        let listens = self.probe_of(id).is_some_and(|probe| !probe.asks());
        match self.roster.slots[id.index()].state {
            State::Starting { pid, spawned, .. } if listens => {
                let state = self.up(now, id, pid, spawned);
                self.enter(now, id, state, Cause::Ready);
            }
            // Before it is known whose process that is.
            State::Forking { .. } | State::Seeking { .. } => {
                self.roster.slots[id.index()].attempt.said = true;
            }
            // Ready on its way down, said again, or not asked for.
            State::Starting { .. }
            | State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// MAINPID=: another child of lar's is its main process.
    pub(super) fn said_main(&mut self, now: Instant, id: InstanceId, new: Pid) {
        if self.pids.get(new).is_some() {
            return; // it is that already, or somebody else's
        }
        let cause = Cause::MainPid;
        match self.roster.slots[id.index()].state {
            State::Seeking { .. } => self.found(now, id, Found::Main(new)),
            State::Starting { pid: old, spawned, wait, asking } => {
                self.exchange_main(id, old, new);
                self.enter(now, id, State::Starting { pid: new, spawned, wait, asking }, cause);
            }
            State::Running { pid: old, spawned, check, again } => {
                self.exchange_main(id, old, new);
                self.enter(now, id, State::Running { pid: new, spawned, check, again }, cause);
            }
            // A launcher's end is waited for; and what is on its way down is not exchanged.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => {}
        }
    }

    /// The old one is not looked after any more; it will be reaped as an orphan.
    fn exchange_main(&mut self, id: InstanceId, old: Pid, new: Pid) {
        self.pids.remove(old);
        self.pids.insert(new, (id, Role::Main));
    }

    /// How the instance is asked whether it is ready.
    pub(super) fn probe_of(&self, id: InstanceId) -> Option<&Probe> {
        self.process(id)?.ready.as_ref()
    }
}
