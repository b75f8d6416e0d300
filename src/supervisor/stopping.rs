//! How something that is up is brought down: its own command, the rungs of its ladder, KILL.

use crate::exit::Pid;
use crate::plan::{InstanceId, KillMode, Runner, Standing, Task};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Cause, Role, SignalTarget};
use crate::supervisor::state::{How, Reason, State, Then};
use crate::time::{Duration, Instant};

impl Supervisor {
    /// Stops an instance that is up as soon as nobody who depends on it is still on the way down.
    pub(super) fn stop_when_free(&mut self, now: Instant, id: InstanceId, cause: Cause) {
        let slot = &self.roster.slots[id.index()];
        // Nobody depends on who runs beside the instances.
        let free = self.roster.groups[slot.service.index()].blockers == 0;
        if free || slot.standing != Standing::Regular {
            self.begin_stop(now, id, Reason::Asked, cause);
        }
    }

    /// Puts an instance that is up on its stop ladder.
    pub(super) fn begin_stop(
        &mut self,
        now: Instant,
        id: InstanceId,
        reason: Reason,
        cause: Cause,
    ) {
        let state = self.roster.slots[id.index()].state;
        let slot = &mut self.roster.slots[id.index()];
        (slot.forced, slot.stop_failed) = (false, None);
        let Some((pid, spawned)) = state.process() else {
            if let State::Seeking { .. } = state {
                let then = if slot.wanted_up { Then::Start } else { Then::Stop };
                self.wind_up(now, id, None, then, cause);
            }
            return;
        };
        self.cancel_all(id);
        // It is for a service that has come so far as to have something to stop.
        let up = matches!(state, State::Starting { .. } | State::Running { .. });
        let ours = matches!(reason, Reason::Asked | Reason::Companion(_) | Reason::Unhealthy(_));
        let how = match reason {
            Reason::StartTimeout(_) | Reason::Stray(_) => How::Abort,
            _ if up && ours && self.has_task(id, Task::Stop) => How::CommandDue,
            _ => How::Ladder,
        };
        let drain = if how == How::Abort { Duration::ZERO } else { self.service_of(id).stop.drain };
        let until = Some(now + drain);
        let state = State::Stopping { pid, spawned, rung: 0, until, reason, how };
        self.enter(now, id, state, cause);
        if drain.is_zero() {
            self.climb(now, id);
        }
    }

    /// The next rung of the stop ladder: its own command and its time; a signal and its time; after the last of them
    /// KILL; then nothing. What did not come up in time, or was left behind, has a ladder of one rung.
    pub(super) fn climb(&mut self, now: Instant, id: InstanceId) {
        let State::Stopping { pid, rung, how, .. } = self.roster.slots[id.index()].state else {
            return;
        };
        match how {
            // Another definition may have come since.
            How::CommandDue if self.has_task(id, Task::Stop) => {
                return self.run_stop_command(now, id);
            }
            How::CommandDue => {}
            How::CommandRuns => self.end_stop_command(id),
            How::Ladder | How::Abort => {}
        }
        let instead = self.ending.signal().filter(|_| rung == 0);
        let service = self.service_of(id);
        let (soft, hard) = self.targets(id, pid);
        let aborts = how == How::Abort;
        let ladder =
            if aborts { service.stop.rungs.get(..1) } else { Some(&service.stop.rungs[..]) };
        let (due, wait) = match ladder.and_then(|rungs| rungs.get(rung)) {
            Some(step) if aborts => (Some((hard, step.signal)), Some(service.start_abort_timeout)),
            Some(step) => (Some((soft, instead.unwrap_or(step.signal))), Some(step.wait)),
            None if service.stop.kill || aborts => (Some((hard, Signal::KILL)), self.kill_again()),
            None => (None, None),
        };
        if let State::Stopping { rung, until, how, .. } = &mut self.roster.slots[id.index()].state {
            *rung += 1;
            *until = wait.map(|wait| now + wait);
            *how = if aborts { How::Abort } else { How::Ladder };
        }
        self.rearm(id);
        if let Some((target, signal)) = due {
            self.signal_for_stop(id, target, signal);
        }
    }

    fn run_stop_command(&mut self, now: Instant, id: InstanceId) {
        let patience = self.service_of(id).stop_timeout;
        // One that was killed, and is not reaped yet: there is no second one beside it.
        let busy = self.roster.slots[id.index()].aides.get(Role::Stop).is_some();
        if let State::Stopping { until, how, .. } = &mut self.roster.slots[id.index()].state {
            *how = if busy { How::Ladder } else { How::CommandRuns };
            *until = Some(if busy { now } else { now + patience });
        }
        self.rearm(id);
        if !busy {
            self.push(Action::Spawn { instance: id, role: Role::Stop });
        }
    }

    /// How long after a KILL the next one comes, if it does: zdaemon's manager does not let go.
    fn kill_again(&self) -> Option<Duration> {
        let limit = |runner: &Runner| Duration::from_secs(runner.backoff_limit().max(1).into());
        self.settings.runner.as_deref().map(limit)
    }

    /// Who gets the rungs' signals, and who gets KILL.
    pub(super) fn targets(&self, id: InstanceId, pid: Pid) -> (SignalTarget, SignalTarget) {
        let (process, group) = (SignalTarget::Process(pid), SignalTarget::Group(pid));
        if self.settings.single.as_ref().is_some_and(|single| single.group) {
            return (group, group);
        }
        match self.service_of(id).kill_mode {
            KillMode::Mixed => (process, group),
            KillMode::Group => (group, group),
            KillMode::Process => (process, process),
        }
    }

    /// A signal that is to end something; a stopped process must be continued to hear it.
    pub(super) fn signal_for_stop(&mut self, id: InstanceId, target: SignalTarget, signal: Signal) {
        self.push(Action::Signal { instance: id, target, signal });
        match signal {
            Signal::KILL => {
                self.roster.slots[id.index()].forced = true;
                self.ending.note_kill();
            }
            Signal::CONT => {}
            _ => self.push(Action::Signal { instance: id, target, signal: Signal::CONT }),
        }
    }

    /// Changes why an instance is on its way down.
    pub(super) fn go_down_because(&mut self, id: InstanceId, why: Reason) {
        if let State::Stopping { reason, .. } = &mut self.roster.slots[id.index()].state {
            *reason = why;
        }
    }
}
