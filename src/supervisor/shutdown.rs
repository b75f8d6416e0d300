//! When the manager ends, how, and with which exit code.

use crate::exit::{Errno, ExitStatus, Stage};
use crate::plan::{ExitPolicy, InstanceId, Plan, Settings, Standing};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::deadlines::Owner;
use crate::supervisor::event::{Action, Cause, Role, Verb};
use crate::supervisor::roster::{Renewal, Slot};
use crate::supervisor::state::{Again, Check, How, Reason, State, Then};
use crate::time::{Duration, Instant};

/// How long an orderly end may take if nobody says: long enough for a database.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long lar waits after the last KILL. What has not gone by then hangs in the kernel.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// How the exit code is found when the program itself could not be executed: as shells do it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const ENOENT: Errno = Errno(2);
const ENOEXEC: Errno = Errno(8);
const EACCES: Errno = Errno(13);

/// What is known about the end.
pub(super) struct Ending {
    policy: ExitPolicy,
    timeout: Duration,
    progress: Progress,
    /// What somebody who asks for the end sent instead of the first rung's signal (single-program mode).
    signal: Option<Signal>,
    /// The exit policy's decision, until it is acted on.
    verdict: Option<u8>,
    /// Instances that are not at rest.
    live: i64,
    /// The same, of those who run beside them.
    beside: i64,
    /// Nothing was left but them when the exit policy was asked.
    waits: bool,
    /// Instances that have a process, or what one left behind.
    busy: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    /// It runs on.
    Running,
    /// Everything is being stopped, with this exit code if one is fixed.
    Stopping { code: Option<u8>, killed: bool },
    /// All that is left was sent KILL.
    Killing { code: Option<u8> },
    /// `Finish` was said.
    Finished,
}

impl Ending {
    pub(super) fn new(plan: &Plan) -> Ending {
        let main = plan.services.iter().any(|service| service.main);
        let usual = if main { ExitPolicy::Main } else { ExitPolicy::Critical };
        Ending {
            policy: plan.settings.exit_policy.unwrap_or(usual),
            timeout: plan.settings.shutdown_timeout.unwrap_or(TIMEOUT),
            progress: Progress::Running,
            signal: None,
            verdict: None,
            live: 0,
            beside: 0,
            waits: false,
            busy: 0,
        }
    }

    /// Takes over what an operator may change while it runs.
    pub(super) fn follow(&mut self, settings: &Settings, main: bool) {
        let usual = if main { ExitPolicy::Main } else { ExitPolicy::Critical };
        self.policy = settings.exit_policy.unwrap_or(usual);
        self.timeout = settings.shutdown_timeout.unwrap_or(TIMEOUT);
    }

    pub(super) fn begun(&self) -> bool {
        self.progress != Progress::Running
    }

    /// The signal that replaces the first rung's.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.signal
    }

    /// Whether there is no more patience.
    pub(super) fn killing(&self) -> bool {
        matches!(self.progress, Progress::Killing { .. } | Progress::Finished)
    }

    /// Counts an instance in (`by` 1) or out (-1).
    pub(super) fn count(&mut self, slot: &Slot, by: i64) {
        let state = &slot.state;
        match slot.standing {
            _ if state.at_rest() => {}
            Standing::Regular => self.live += by,
            Standing::Run | Standing::Next | Standing::Old => self.beside += by,
        }
        if state.busy() && !slot.left {
            self.busy += by;
        }
    }

    /// A process did not end by itself.
    pub(super) fn note_kill(&mut self) {
        if let Progress::Stopping { killed, .. } = &mut self.progress {
            *killed = true;
        }
    }
}

impl Supervisor {
    /// An instance is at rest: does the manager end with it?
    pub(super) fn judge(&mut self, id: InstanceId) {
        let slot = &self.roster.slots[id.index()];
        if slot.standing != Standing::Regular {
            return self.judge_rest();
        }
        let service = self.service(slot.service);
        if self.is_rearmed(id) {
            return; // at rest for this moment only
        }
        // What was stopped may be started again; only zdaemon's manager has nothing else to stay for.
        if slot.state == State::Stopped && !self.ends_when_stopped() {
            return;
        }
        let code = self.code_of(id);
        let again = self.comes_again(id);
        let nothing_left = self.ending.live == 0 && !self.anything_held();
        // Who runs beside them is let finish first.
        let waits = nothing_left && self.ending.beside > 0;
        let nothing_left = nothing_left && self.ending.beside == 0;
        let verdict = match self.ending.policy {
            ExitPolicy::Never => None,
            ExitPolicy::Main => {
                let rest = |id: InstanceId| self.roster.slots[id.index()].state.at_rest();
                let over = service.main && !again && self.instances_of(slot.service).all(rest);
                over.then_some(code)
            }
            ExitPolicy::Critical if service.critical && code != 0 => Some(code),
            ExitPolicy::Critical | ExitPolicy::All => nothing_left.then(|| self.worst_code()),
        };
        self.ending.waits = waits;
        self.ending.verdict = self.ending.verdict.or(verdict);
    }

    /// Somebody who ran beside the instances has ended: does the manager, which has only waited for that?
    fn judge_rest(&mut self) {
        if !self.ending.waits || self.ending.beside > 0 {
            return;
        }
        self.ending.waits = false;
        let bounded = [ExitPolicy::Critical, ExitPolicy::All].contains(&self.ending.policy);
        if bounded && self.ending.live == 0 && !self.anything_held() {
            self.ending.verdict = self.ending.verdict.or(Some(self.worst_code()));
        }
    }

    /// Every service's own instances.
    fn members(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.instances().filter(|id| self.roster.slots[id.index()].standing == Standing::Regular)
    }

    /// Whether it is zdaemon's manager, of one program.
    pub(super) fn ends_when_stopped(&self) -> bool {
        self.settings.runner.is_some()
    }

    /// Whether something will run again by itself, or an operator keeps something stopped, who may want to start it
    /// again. What never ran has the cause that it began with.
    fn anything_held(&self) -> bool {
        self.members().any(|id| {
            let slot = &self.roster.slots[id.index()];
            self.comes_again(id) || slot.state == State::Stopped && slot.cause != Cause::Boot
        })
    }

    /// The first code other than 0, in the order of the file; 0 if there is none.
    fn worst_code(&self) -> u8 {
        self.members().map(|id| self.code_of(id)).find(|&code| code != 0).unwrap_or(0)
    }

    /// The exit code that an instance at rest stands for.
    fn code_of(&self, id: InstanceId) -> u8 {
        let slot = &self.roster.slots[id.index()];
        let governed = self.service_of(id).rules.governor_first;
        match (slot.state, slot.cause) {
            (State::Exited { status }, _) => status.shell_code(),
            (State::Failed, _) if self.ends_when_stopped() => 1,
            (State::Failed, Cause::SpawnFailed(Stage::Exec, ENOENT)) => NOT_FOUND,
            (State::Failed, Cause::SpawnFailed(stage, errno)) => self.not_executed(stage, errno),
            (State::Failed, Cause::Exited(status, _)) if !governed => status.shell_code().max(1),
            (State::Failed, _) => 1,
            _ => 0,
        }
    }

    /// The code of a program that could not be started, though there is one.
    fn not_executed(&self, stage: Stage, errno: Errno) -> u8 {
        let single = self.settings.single.as_ref();
        let other = single.and_then(|single| single.not_executed);
        let plain = stage == Stage::Exec && [EACCES, ENOEXEC].contains(&errno);
        other.filter(|_| !plain).unwrap_or(NOT_EXECUTABLE)
    }

    /// The manager is asked to end; asked again, it does not wait any longer.
    pub(super) fn shut_down(&mut self, now: Instant) {
        self.shut_down_with(now, None);
    }

    /// The same, with another signal for the first rung (single-program mode), after any drain time.
    pub(super) fn shut_down_with(&mut self, now: Instant, signal: Option<Signal>) {
        match self.ending.progress {
            Progress::Running => {
                self.ending.signal = signal;
                self.begin_end(now, None);
            }
            Progress::Stopping { .. } => self.shutdown_overdue(now),
            Progress::Killing { .. } | Progress::Finished => {}
        }
    }

    /// All is wanted down first, so that each stop sees who else is on the way down.
    fn begin_end(&mut self, now: Instant, code: Option<u8>) {
        self.ending.progress = Progress::Stopping { code, killed: false };
        self.deadlines.set(Owner::Shutdown, Some(now + self.ending.timeout));
        for id in self.instances() {
            if self.stays(id) {
                self.change(id, |slot| slot.left = true);
            }
            self.want(id, false);
            self.roster.slots[id.index()].renewal = Renewal::No;
        }
        for id in self.instances() {
            if self.is_left(id) {
                self.leave(now, id);
                continue;
            }
            match self.roster.slots[id.index()].state {
                State::Armed | State::Waiting | State::Backoff { .. } | State::Cooldown { .. } => {
                    self.enter(now, id, State::Stopped, Cause::Shutdown);
                }
                State::Preparing { .. }
                | State::Forking { .. }
                | State::Seeking { .. }
                | State::Starting { .. }
                | State::Running { .. } => {
                    self.stop_when_free(now, id, Cause::Shutdown);
                }
                State::Stopping { .. } => self.go_down_because(id, Reason::Asked),
                State::Clearing { .. } => self.go_on_with(id, Then::Stop),
                State::Spawning { .. } => {} // `spawned` will see to it
                State::Stopped | State::Exited { .. } | State::Failed => {}
            }
        }
    }

    /// Whether it is up and runs on when the manager ends. What is on its way down is not called back.
    fn stays(&self, id: InstanceId) -> bool {
        let slot = &self.roster.slots[id.index()];
        let up = matches!(slot.state, State::Starting { .. } | State::Running { .. });
        up && slot.wanted_up && slot.standing == Standing::Regular && self.service_of(id).leave
    }

    /// Leaves it as it is: nobody asks any more whether it is ready.
    fn leave(&mut self, now: Instant, id: InstanceId) {
        self.cancel_all(id);
        if let Some((pid, spawned)) = self.roster.slots[id.index()].state.process() {
            let (check, again) = (Check::NONE, Again::NO);
            self.enter(now, id, State::Running { pid, spawned, check, again }, Cause::Left);
        }
    }

    /// Its time is up: KILL for all that is left; a little later lar goes without.
    pub(super) fn shutdown_overdue(&mut self, now: Instant) {
        match self.ending.progress {
            Progress::Running | Progress::Finished => {
                self.deadlines.set(Owner::Shutdown, None);
            }
            Progress::Stopping { code, .. } => {
                self.ending.progress = Progress::Killing { code };
                self.deadlines.set(Owner::Shutdown, Some(now + LAST_WAIT));
                for id in self.instances() {
                    self.kill_at_end(now, id);
                }
            }
            Progress::Killing { code } => self.finish(code, true),
        }
    }

    /// KILL, whatever rung its ladder is on.
    pub(super) fn kill_at_end(&mut self, now: Instant, id: InstanceId) {
        let slot = &self.roster.slots[id.index()];
        if slot.left {
            return;
        }
        for role in [Role::Stop, Role::PostStop] {
            self.kill_aide(id, role);
        }
        let state = self.roster.slots[id.index()].state;
        if let State::Seeking { .. } = state {
            return self.wind_up(now, id, None, Then::Stop, Cause::Shutdown);
        }
        let Some((pid, spawned)) = state.process() else { return };
        let service = self.service_of(id);
        let after_last = service.stop.rungs.len() + 1;
        let (_, target) = self.targets(id, pid);
        self.cancel_all(id);
        // What is no part of its group is looked for once more.
        let (reason, how) = (Reason::Asked, How::Ladder);
        let state = State::Stopping { pid, spawned, rung: after_last, until: None, reason, how };
        self.enter(now, id, state, Cause::Shutdown);
        self.signal_for_stop(id, target, Signal::KILL);
    }

    /// Acts on what the exit policy decided, and says `Finish` once nothing is left.
    pub(super) fn end_if_due(&mut self, now: Instant) {
        if let Some(code) = self.ending.verdict.take()
            && self.ending.progress == Progress::Running
        {
            self.begin_end(now, Some(code));
            self.calm(now);
        }
        match self.ending.progress {
            Progress::Stopping { code, killed } if self.ending.busy == 0 => {
                self.finish(code, killed);
            }
            Progress::Killing { code } if self.ending.busy == 0 => self.finish(code, true),
            Progress::Running
            | Progress::Stopping { .. }
            | Progress::Killing { .. }
            | Progress::Finished => {}
        }
    }

    fn finish(&mut self, code: Option<u8>, killed: bool) {
        self.ending.progress = Progress::Finished;
        self.deadlines.set(Owner::Shutdown, None);
        let code = code.unwrap_or_else(|| self.code_when_asked(killed));
        self.push(Action::Finish { code });
    }

    /// The exit code of an end that was asked for.
    fn code_when_asked(&self, killed: bool) -> u8 {
        if self.ends_when_stopped() {
            return 0;
        }
        if self.ending.policy != ExitPolicy::Main {
            return killed.into();
        }
        let main = self.members().filter(|&id| self.service_of(id).main && !self.is_left(id));
        let code = |id: InstanceId| match self.roster.slots[id.index()].state {
            state if state.process().is_some() => ExitStatus::killed(Signal::KILL).shell_code(),
            State::Exited { .. } | State::Failed => self.code_of(id),
            _ => self.roster.slots[id.index()].last_exit.map_or(0, |status| status.shell_code()),
        };
        main.map(code).find(|&code| code != 0).unwrap_or(0)
    }

    /// Why a stop that comes only now was asked for.
    pub(super) fn stop_cause(&self, id: InstanceId) -> Cause {
        let slot = &self.roster.slots[id.index()];
        match (self.ending.begun(), slot.leaving, self.is_service_leaving(slot.service)) {
            (true, _, _) => Cause::Shutdown,
            (false, true, true) => Cause::Operator(Verb::Remove),
            (false, true, false) => Cause::Operator(Verb::Scale),
            (false, false, _) => Cause::Operator(Verb::Stop),
        }
    }
}
