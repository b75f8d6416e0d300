//! An instance's other processes: the commands that ask about it, and those that an operator or its own life calls
//! for.
//!
//! Invariants: at most one process of each role at a time; each is in the table of pids until it is reaped. One that
//! is not needed any more is killed, with its group, and still counts until then.

use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, Kind, Probe, Standing, Task};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Action, Outcome, Role, SignalTarget, Ticket};
use crate::supervisor::state::{Asking, How, Rest, State};
use crate::time::{Duration, Instant};

/// How long a command may take that an operator has asked for, if its service has no start-timeout.
const ERRAND: Duration = Duration::from_secs(15);

/// The processes of an instance but its main one, by their roles.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aides([Option<Pid>; Role::ALL.len()]);

impl Aides {
    pub(super) fn get(&self, role: Role) -> Option<Pid> {
        self.0[role as usize]
    }

    fn set(&mut self, role: Role, pid: Option<Pid>) {
        self.0[role as usize] = pid;
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Role, Pid)> {
        Role::ALL.into_iter().filter_map(|role| Some((role, self.get(role)?)))
    }
}

/// What is known of the start that led to what an instance is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempt {
    /// Whether its program was started.
    pub(super) launched: bool,
    /// Whether it said that it is ready before anybody could hear it.
    pub(super) said: bool,
    /// How its main process ended.
    pub(super) exit: Option<ExitStatus>,
}

/// Commands that operators have asked for: one at a time, and the next one after it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Errands {
    pub(super) now: Option<Errand>,
    next: Option<(Role, Ticket)>,
    /// What came of the last one.
    pub(super) done: Option<(Ticket, Outcome)>,
}

/// A command that an operator has asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    pub(super) role: Role,
    ticket: Ticket,
    /// When it has had its time; `None`: it has, and was killed.
    pub(super) until: Option<Instant>,
}

impl Supervisor {
    /// Whether it has this command, in what it is.
    pub(super) fn has_task(&self, id: InstanceId, task: Task) -> bool {
        let run = self.roster.slots[id.index()].standing == Standing::Run;
        !run && self.process(id).is_some_and(|process| process.task(task).is_some())
    }

    /// What is asked by this role.
    pub(super) fn question(&self, id: InstanceId, role: Role) -> Option<&Probe> {
        let process = self.process(id)?;
        if role == Role::Health { process.health.as_ref() } else { process.ready.as_ref() }
    }

    /// How many processes an instance of a service may have at a time.
    pub(super) fn most_processes(service: &crate::plan::Service) -> usize {
        let of = |process: &crate::plan::Process| {
            let asks = [&process.ready, &process.health];
            let commands = asks.iter().filter(|it| matches!(it, Some(Probe::Command(_)))).count();
            1 + commands + process.tasks.len() + usize::from(service.kind == Kind::Forking)
        };
        service.processes.first().map_or(1, of)
    }

    /// Begins to ask; `false` if the last question's process is not reaped yet.
    pub(super) fn begin_asking(&mut self, id: InstanceId, role: Role) -> bool {
        if self.roster.slots[id.index()].aides.get(role).is_some() {
            return false;
        }
        let command = matches!(self.question(id, role), Some(Probe::Command(_)));
        self.push(match command {
            true => Action::Spawn { instance: id, role },
            false => Action::Probe { instance: id, role },
        });
        true
    }

    /// Whether a question of this role is under way.
    fn asked(&self, id: InstanceId, role: Role) -> bool {
        let asking = match (role, self.roster.slots[id.index()].state) {
            (Role::Probe, State::Starting { asking, .. }) => asking,
            (Role::Probe, State::Running { again, .. }) => again.asking,
            (Role::Health, State::Running { check, .. }) => check.asking,
            _ => Asking::Listening,
        };
        let watched = matches!(self.question(id, role), Some(Probe::Notify));
        matches!(asking, Asking::Asked(_)) && !watched
    }

    /// Takes a question back.
    pub(super) fn cancel(&mut self, id: InstanceId, role: Role) {
        if self.roster.slots[id.index()].aides.get(role).is_some() {
            self.kill_aide(id, role);
        } else if self.asked(id, role) {
            self.push(Action::CancelProbe { instance: id, role });
        }
    }

    /// Takes everything back that only makes sense while it is up.
    pub(super) fn cancel_all(&mut self, id: InstanceId) {
        for role in [Role::Probe, Role::Health] {
            self.cancel(id, role);
        }
        for role in [Role::Restart, Role::Reload] {
            self.kill_aide(id, role);
        }
        self.roster.slots[id.index()].errands.next = None;
    }

    /// KILL for one of its commands, and its group.
    pub(super) fn kill_aide(&mut self, id: InstanceId, role: Role) {
        if let Some(pid) = self.roster.slots[id.index()].aides.get(role) {
            let target = SignalTarget::Group(pid);
            self.push(Action::Signal { instance: id, target, signal: Signal::KILL });
        }
    }

    /// Whether a process of this role is waited for.
    fn expects(&self, id: InstanceId, role: Role) -> bool {
        let slot = &self.roster.slots[id.index()];
        match role {
            Role::Probe | Role::Health => {
                let command = matches!(self.question(id, role), Some(Probe::Command(_)));
                command && self.asked(id, role)
            }
            Role::Stop => matches!(
                slot.state,
                State::Stopping { how: How::CommandRuns, .. }
                    | State::Clearing { rest: Rest::Command, .. }
            ),
            Role::PostStop => {
                matches!(slot.state, State::Clearing { rest: Rest::PostStop, .. })
            }
            Role::Restart | Role::Reload => {
                slot.errands.now.is_some_and(|errand| errand.role == role && errand.until.is_some())
            }
            Role::Main | Role::PreStart => false,
        }
    }

    /// One of its commands runs.
    pub(super) fn aide_spawned(&mut self, id: InstanceId, role: Role, pid: Pid) {
        let expected = self.expects(id, role);
        let slot = &mut self.roster.slots[id.index()];
        if expected && slot.aides.get(role).is_none() {
            slot.aides.set(role, Some(pid));
            self.pids.insert(pid, (id, role));
            if self.ending.killing() {
                self.kill_aide(id, role);
            }
        } else {
            // What was not needed any more before its process was there; or one process too many. It
            // is not taken on and will be reaped as an orphan.
            let target = SignalTarget::Group(pid);
            self.push(Action::Signal { instance: id, target, signal: Signal::KILL });
        }
    }

    /// One of its commands could not be started.
    pub(super) fn aide_not_spawned(
        &mut self,
        now: Instant,
        id: InstanceId,
        role: Role,
        (stage, errno): (Stage, Errno),
    ) {
        if self.expects(id, role) {
            self.aide_done(now, id, role, Outcome::NotStarted(stage, errno));
        }
    }

    /// One of its commands has ended, and was reaped.
    pub(super) fn aide_exited(
        &mut self,
        now: Instant,
        id: InstanceId,
        role: Role,
        status: ExitStatus,
    ) {
        let slot = &mut self.roster.slots[id.index()];
        slot.aides.set(role, None);
        if slot.leaving && slot.state.at_rest() && slot.aides.is_empty() {
            self.vacating.push(id);
        }
        self.aide_done(now, id, role, Outcome::Exited(status));
    }

    /// What follows from the end of one of its commands.
    fn aide_done(&mut self, now: Instant, id: InstanceId, role: Role, outcome: Outcome) {
        match role {
            Role::Probe | Role::Health => self.probed(now, id, role, outcome.good()),
            Role::Stop => self.stop_command_done(now, id, outcome),
            Role::PostStop => {
                if let State::Clearing {
                    rest: Rest::PostStop | Rest::PostStopKilled, then, ..
                } = self.roster.slots[id.index()].state
                {
                    self.go_on(now, id, then, self.roster.slots[id.index()].cause);
                }
            }
            Role::Restart | Role::Reload => self.errand_done(now, id, role, outcome),
            Role::Main | Role::PreStart => {}
        }
    }

    fn stop_command_done(&mut self, now: Instant, id: InstanceId, outcome: Outcome) {
        if !outcome.good() {
            let slot = &mut self.roster.slots[id.index()];
            slot.stop_failed = slot.stop_failed.or(Some(outcome));
        }
        match self.roster.slots[id.index()].state {
            // It has done what it could: the main process has the rest of the time.
            State::Stopping { how: How::CommandRuns, .. } if !outcome.good() => {
                self.climb(now, id);
            }
            State::Clearing {
                rest: rest @ (Rest::Command | Rest::CommandKilled), then, ..
            } => {
                self.wind_up(now, id, Some(rest), then, self.roster.slots[id.index()].cause);
            }
            _ => {}
        }
    }

    /// The stop command has had its time.
    pub(super) fn end_stop_command(&mut self, id: InstanceId) {
        let slot = &mut self.roster.slots[id.index()];
        if slot.aides.get(Role::Stop).is_some() {
            slot.stop_failed = slot.stop_failed.or(Some(Outcome::TimedOut));
            self.kill_aide(id, Role::Stop);
        }
    }

    /// An operator wants one of its commands run. Those that come while one runs share the next one.
    pub(super) fn send_on_errand(&mut self, now: Instant, id: InstanceId, role: Role) {
        let ticket = self.roster.slots[id.index()].ticket;
        // Another definition may have come since it was asked for.
        let running = role.task().is_some_and(|task| self.has_task(id, task))
            && matches!(self.roster.slots[id.index()].state, State::Running { .. });
        let busy = self.roster.slots[id.index()].aides.get(role).is_some();
        let patience = self.service_of(id).start_timeout.unwrap_or(ERRAND);
        let errands = &mut self.roster.slots[id.index()].errands;
        if !running {
            errands.done = Some((ticket, Outcome::NotUp));
        } else if errands.now.is_some() || busy {
            errands.next = Some((role, ticket));
        } else {
            errands.now = Some(Errand { role, ticket, until: Some(now + patience) });
            self.rearm(id);
            self.push(Action::Spawn { instance: id, role });
        }
    }

    /// Whether a command that was asked for by this order, or a later one, is under way or yet to come.
    pub fn is_on_errand(&self, id: InstanceId, order: Ticket) -> bool {
        let errands = &self.roster.slots[id.index()].errands;
        errands.now.is_some_and(|errand| errand.ticket >= order)
            || errands.next.is_some_and(|(_, ticket)| ticket >= order)
    }

    /// Whether an operator's order can be a command of its own to it.
    pub fn has_command(&self, id: InstanceId, task: Task) -> bool {
        self.roster.slots[id.index()].standing == Standing::Regular && self.has_task(id, task)
    }

    /// It has had its time.
    pub(super) fn errand_overdue(&mut self, id: InstanceId) {
        let Some(errand) = &mut self.roster.slots[id.index()].errands.now else { return };
        let role = errand.role;
        errand.until = None;
        self.rearm(id);
        self.kill_aide(id, role);
    }

    fn errand_done(&mut self, now: Instant, id: InstanceId, role: Role, outcome: Outcome) {
        let errands = &mut self.roster.slots[id.index()].errands;
        let Some(errand) = errands.now.take_if(|errand| errand.role == role) else { return };
        let outcome = if errand.until.is_none() { Outcome::TimedOut } else { outcome };
        errands.done = Some((errand.ticket, outcome));
        let next = errands.next.take();
        self.rearm(id);
        if let Some((role, ticket)) = next {
            let last = std::mem::replace(&mut self.roster.slots[id.index()].ticket, ticket);
            self.send_on_errand(now, id, role);
            self.roster.slots[id.index()].ticket = last;
        }
    }

    /// Whether its restart command is at work, which may exchange its daemon for another.
    pub fn is_being_restarted(&self, id: InstanceId) -> bool {
        let errand = self.roster.slots[id.index()].errands.now;
        errand.is_some_and(|errand| errand.role == Role::Restart && errand.until.is_some())
    }
}
