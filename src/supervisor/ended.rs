//! From the end of a process to what comes after it: the rest of its group, the command that was to stop it, what a
//! daemon left behind, and the command for afterwards. Only then it is started again, or left.

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, KillMode, Kind, Standing, Task};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Parting, Role};
use crate::supervisor::state::{How, Reason, Rest, State, Then};
use crate::time::{Duration, Instant};

impl Supervisor {
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
        let good = status.is_some_and(ExitStatus::success);
        if !(good && matches!(slot.state, State::Forking { .. })) {
            slot.last_exit = status.or(slot.last_exit); // a launcher's success is no end
        }
        let exchanged = self.service_of(id).kind == Kind::Forking && self.is_being_restarted(id);
        let (then, life, reason) = match self.roster.slots[id.index()].state {
            State::Forking { .. } if good && wanted_up => {
                return self.seek(now, id, Cause::Forked);
            }
            State::Starting { .. } | State::Running { .. } if wanted_up && exchanged => {
                // Its restart command exchanges it.
                self.cancel(id, Role::Probe);
                self.cancel(id, Role::Health);
                return self.seek(now, id, Cause::Forked);
            }
            State::Forking { spawned, .. }
            | State::Starting { spawned, .. }
            | State::Running { spawned, .. } => {
                let life = if outcome.is_ok() { now.since(spawned) } else { Duration::ZERO };
                match wanted_up {
                    true => (self.death(now, id, life, status), life, None),
                    false => (Then::Stop, life, None), // it only waited for its turn
                }
            }
            State::Stopping { spawned, reason, .. } => {
                let life = now.since(spawned);
                (self.after_stop(now, id, reason, life), life, Some(reason))
            }
            // The pid table knows only processes of the states above.
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Spawning { .. }
            | State::Preparing { .. }
            | State::Seeking { .. }
            | State::Clearing { .. }
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => return,
        };
        let cause = self.part(now, id, outcome, reason, life, wanted_up);
        let then = match outcome {
            Err(_) => super::steps::not_at_once(now, then),
            Ok(_) => then,
        };
        match lingering {
            true => {
                let until = now + super::CLEARING_MAX;
                self.cancel_all(id);
                let state = State::Clearing { rest: Rest::Group, until, then };
                self.enter(now, id, state, cause);
            }
            false => self.wind_up(now, id, None, then, cause),
        }
    }

    /// Notes how the main process has parted, restarts those who go along with it, and says why it ended.
    fn part(
        &mut self,
        now: Instant,
        id: InstanceId,
        outcome: Result<ExitStatus, (Stage, Errno)>,
        reason: Option<Reason>,
        life: Duration,
        wanted_up: bool,
    ) -> Cause {
        let slot = &mut self.roster.slots[id.index()];
        let (stray, before) = (matches!(reason, Some(Reason::Stray(_))), slot.cause);
        let status = outcome.ok();
        if !stray {
            slot.attempt.exit = status;
        }
        if let Some((pid, spawned)) = slot.state.process() {
            slot.parting = Some(Parting { pid, status, spawned });
        }
        if wanted_up && !stray && slot.standing == Standing::Regular {
            let service = slot.service;
            self.restart_companions(now, service);
        }
        match (outcome, reason) {
            (Err((stage, errno)), _) => Cause::SpawnFailed(stage, errno),
            // How lar ended it says less than why.
            (Ok(_), Some(Reason::StartTimeout(step))) if wanted_up => Cause::StartTimeout(step),
            (Ok(_), Some(Reason::Unhealthy(count))) if wanted_up => Cause::Unhealthy(count),
            (Ok(_), Some(Reason::Stray(_))) => before,
            (Ok(status), _) => Cause::Exited(status, life),
        }
    }

    /// What comes after a stop for this reason.
    pub(super) fn after_stop(
        &mut self,
        now: Instant,
        id: InstanceId,
        reason: Reason,
        life: Duration,
    ) -> Then {
        match (self.roster.slots[id.index()].wanted_up, reason) {
            (false, _) => Then::Stop,
            (true, Reason::Asked | Reason::Companion(_)) => Then::Start,
            (true, Reason::StartTimeout(_)) => self.death(now, id, Duration::ZERO, None),
            (true, Reason::Unhealthy(_)) => self.death(now, id, life, None),
            (true, Reason::Stray(then)) => then,
        }
    }

    /// Sees to what belongs to an end, from what comes after `done` on, and then goes on.
    pub(super) fn wind_up(
        &mut self,
        now: Instant,
        id: InstanceId,
        done: Option<Rest>,
        then: Then,
        cause: Cause,
    ) {
        if done.is_none() {
            self.cancel_all(id);
        }
        let Some((rest, until)) = self.next_rest(now, id, done) else {
            return self.go_on(now, id, then, cause);
        };
        let state = State::Clearing { rest, until, then };
        match self.roster.slots[id.index()].state {
            State::Clearing { .. } => {
                self.change(id, |slot| slot.state = state);
                self.rearm(id);
            }
            _ => self.enter(now, id, state, cause),
        }
        match rest {
            Rest::Group | Rest::Command | Rest::CommandKilled | Rest::PostStopKilled => {}
            Rest::Strays => self.push(Action::Find { instance: id, anyhow: true }),
            Rest::PostStop => self.push(Action::Spawn { instance: id, role: Role::PostStop }),
        }
    }

    /// What is to be seen to after `done`, and until when.
    fn next_rest(
        &self,
        now: Instant,
        id: InstanceId,
        done: Option<Rest>,
    ) -> Option<(Rest, Instant)> {
        let slot = &self.roster.slots[id.index()];
        if slot.left {
            return None; // nothing of it is lar's business any more
        }
        let service = self.service_of(id);
        let calm = !self.ending.killing();
        let open = |rest: Rest| done.is_none_or(|done| done < rest);
        let command = slot.aides.get(Role::Stop).is_some();
        if open(Rest::Command) && command && calm {
            let until = match slot.state {
                State::Stopping { how: How::CommandRuns, until, .. } => until,
                _ => None,
            };
            return Some((Rest::Command, until.unwrap_or(now + service.stop_timeout)));
        }
        // Of a daemon that is still looked for, the main process itself is not known.
        let forks = service.kind == Kind::Forking && service.kill_mode != KillMode::Process
            || matches!(slot.state, State::Seeking { .. });
        if open(Rest::Strays) && forks && slot.attempt.launched && slot.standing != Standing::Run {
            return Some((Rest::Strays, now + super::CLEARING_MAX));
        }
        let free = slot.aides.get(Role::PostStop).is_none();
        if open(Rest::PostStop) && calm && free && self.has_task(id, Task::PostStop) {
            return Some((Rest::PostStop, now + service.stop_timeout));
        }
        None
    }

    /// What was to be seen to has had its time.
    pub(super) fn clearing_due(&mut self, now: Instant, id: InstanceId, rest: Rest, then: Then) {
        let (role, killed) = match rest {
            Rest::Command => (Role::Stop, Rest::CommandKilled),
            Rest::PostStop => (Role::PostStop, Rest::PostStopKilled),
            Rest::Group | Rest::Strays | Rest::CommandKilled | Rest::PostStopKilled => {
                let cause = self.roster.slots[id.index()].cause;
                return self.wind_up(now, id, Some(rest), then, cause);
            }
        };
        if self.roster.slots[id.index()].aides.get(role).is_some() {
            match role {
                Role::Stop => self.end_stop_command(id),
                _ => self.kill_aide(id, role),
            }
            let until = now + super::CLEARING_MAX;
            self.change(id, |slot| slot.state = State::Clearing { rest: killed, until, then });
            return self.rearm(id);
        }
        self.wind_up(now, id, Some(rest), then, self.roster.slots[id.index()].cause);
    }

    /// The last process of its group is gone.
    pub(super) fn group_gone(&mut self, now: Instant, id: InstanceId) {
        match self.roster.slots[id.index()].state {
            State::Clearing { rest: rest @ Rest::Group, then, .. } => {
                self.wind_up(now, id, Some(rest), then, self.roster.slots[id.index()].cause);
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
            | State::Failed => {} // given up on before
        }
    }

    /// Ends what a daemon has left behind.
    pub(super) fn end_stray(&mut self, now: Instant, id: InstanceId, pid: Pid, then: Then) {
        let reason = Reason::Stray(then);
        let (until, how) = (Some(now), How::Abort);
        let state = State::Stopping { pid, spawned: now, rung: 0, until, reason, how };
        self.change(id, |slot| slot.state = state);
        match self.ending.killing() {
            true => self.kill_at_end(now, id),
            false => self.climb(now, id),
        }
    }
}
