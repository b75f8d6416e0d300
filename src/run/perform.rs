//! Doing what the core asks for.

use log::{info, warn};

use super::voice::Note;
use super::{Images, Loop};
use crate::exit::{Errno, ExitStatus, Stage};
use crate::plan::InstanceId;
use crate::signal::Signal;
use crate::supervisor::journal::News;
use crate::supervisor::{Action, Cause, Change, Event, Outcome, Phase, Role, SignalTarget};
use crate::sys::spawn::Image;
use crate::sys::{clock, reap};

/// No such process: it has ended, and its exit is on the way.
const ESRCH: Errno = Errno(3);
const EINVAL: Errno = Errno(22);

impl Loop {
    /// One action. What it leads to is queued for the core, never told it from here.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { instance, role } if !self.launch.now(instance, role) => {}
            Action::Spawn { instance, role } => {
                let event = self.spawn(instance, role);
                self.inbox.push_back(event);
            }
            Action::Signal { instance, target, signal } => self.signal(instance, target, signal),
            Action::Probe { instance, role } => self.ask(instance, role),
            Action::CancelProbe { instance, role } => self.cancel_probe(instance, role),
            Action::Find { instance, anyhow } => self.find_daemon(instance, anyhow),
            Action::Look { instance } => self.look_at_log(instance),
            Action::Changed(change) => self.tell(&change),
            Action::Created { instance } => self.created(instance),
            Action::Redefined { instance } => self.redefined(instance),
            Action::Renew { instance } => self.edits.renewals.push_back(instance),
            Action::Gone { instance } => self.gone(instance),
            Action::Finish { code } => self.begin_ending(code),
        }
    }

    /// Starts a process from its image. Nothing is allocated here, and no fd is made.
    pub(super) fn spawn(&mut self, instance: InstanceId, role: Role) -> Event {
        if role == Role::Main {
            if let Err((stage, errno)) = self.forget_daemon(instance) {
                self.note(Note::Failed(stage, errno));
                return Event::SpawnFailed { instance, role, stage, errno };
            }
            if let Err(errno) = self.open_input(instance) {
                self.note(Note::Failed(Stage::Fds, errno));
                return Event::SpawnFailed { instance, role, stage: Stage::Fds, errno };
            }
            if self.edits.former {
                self.let_go_of_former(instance);
            }
            self.output.before_spawn(instance);
            self.mark_log(instance);
            self.ears.reset(instance);
        }
        let asked = self.supervisor.instance(instance).pid.filter(|_| role != Role::Main);
        let ended = self.supervisor.exit_of_attempt(instance).filter(|_| role == Role::PostStop);
        let spawned = match image(&mut self.images, instance, role) {
            Some(image) => {
                if let Some(pid) = asked {
                    image.tell_pid(pid);
                }
                image.clear_variables();
                tell_end(image, ended);
                self.spawner.spawn(image)
            }
            None => Err((Stage::Exec, EINVAL)), // the core asks only for what the plan has
        };
        if role == Role::Main {
            self.input.started(instance, spawned.is_ok());
        }
        match spawned {
            Ok(pid) => {
                if let Some(single) = &mut self.single {
                    single.let_go();
                }
                if role == Role::Main {
                    self.note(Note::Spawned(pid));
                }
                Event::Spawned { instance, role, pid }
            }
            Err((stage, errno)) => {
                match role {
                    Role::Main => self.note(Note::Failed(stage, errno)),
                    _ => self.tell_command(instance, role, Outcome::NotStarted(stage, errno)),
                }
                Event::SpawnFailed { instance, role, stage, errno }
            }
        }
    }

    /// One of its commands did not do its work. Of the one before its program the core tells.
    pub(super) fn tell_command(&self, instance: InstanceId, role: Role, outcome: Outcome) {
        let next = match (role, outcome) {
            (Role::Main | Role::PreStart, _) => return,
            // That a question is answered with no is told by what follows from it.
            (Role::Probe | Role::Health, Outcome::Exited(_)) => return,
            (Role::Probe, _) => "asked again",
            (Role::Health, _) => "that is a bad answer",
            (Role::Stop, _) => "its signals follow",
            (Role::Restart | Role::Reload, _) => "what runs is left as it is",
            (Role::PostStop, _) => "going on without it",
        };
        let (label, role) = (self.supervisor.label(instance), role.word());
        warn!("{label}: {role}: {outcome}; {next}");
    }

    /// Sends a signal. That somebody has just ended is no failure: the exit comes next.
    fn signal(&mut self, instance: InstanceId, target: SignalTarget, signal: Signal) {
        let sent = match target {
            SignalTarget::Process(pid) => reap::kill(pid, signal),
            // A daemon need not lead the group that it is in.
            SignalTarget::Group(pid) if self.supervisor.is_daemon(instance, pid) => {
                reap::kill_group_of(pid, signal)
            }
            SignalTarget::Group(pid) => reap::kill_group(pid, signal),
        };
        match sent {
            Ok(()) => {
                let (SignalTarget::Process(pid) | SignalTarget::Group(pid)) = target;
                let viewed = self.supervisor.instance(instance);
                // What follows each signal of a stop says nothing: see `signal_for_stop`.
                let silent = signal == Signal::CONT && viewed.phase == Phase::Stopping;
                if viewed.pid == Some(pid) && !silent {
                    self.record(instance, News::Signalled(pid, signal));
                }
            }
            Err(ESRCH) => {}
            Err(errno) => {
                let label = self.supervisor.label(instance);
                warn!("{label}: {signal} could not be sent: {errno}; its deadline still holds");
            }
        }
    }

    /// The one place where the lives of services are logged and noted.
    fn tell(&mut self, change: &Change) {
        if change.to == Phase::Running && change.cause == Cause::Ready {
            self.report = None; // its start test has succeeded: it has started
        }
        let said = self.voice.as_ref().is_some_and(|voice| voice.changed(&self.supervisor, change));
        let line = self.supervisor.describe(change);
        match change.to {
            _ if said => {}
            Phase::Unhealthy | Phase::Backoff | Phase::Cooldown | Phase::Failed => warn!("{line}"),
            Phase::Stopped
            | Phase::Waiting
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping
            | Phase::Exited => info!("{line}"),
        }
        self.record(change.instance, News::Changed(*change));
        self.watch_sockets_of(change.instance);
    }

    /// Notes what has happened, for those who ask or listen.
    pub(super) fn record(&mut self, instance: InstanceId, news: News) {
        let (now, wall) = (clock::now(), clock::wall());
        let at = if let News::Changed(change) = &news { change.at } else { now };
        self.journal.record(&self.supervisor, instance, news, at, wall);
        if let Some(entry) = self.journal.latest() {
            self.hooks.offer(entry);
        }
    }
}

/// The program of an instance that plays this role.
pub(super) fn image(
    images: &mut [Option<Images>],
    instance: InstanceId,
    role: Role,
) -> Option<&mut Image> {
    let images = images.get_mut(instance.index())?.as_mut()?;
    if role == Role::Main {
        return Some(&mut images.main);
    }
    images.aides.iter_mut().find(|(known, _)| *known == role).map(|(_, image)| image)
}

/// Tells a command how the program has ended.
fn tell_end(image: &mut Image, status: Option<ExitStatus>) {
    match status {
        Some(ExitStatus::Code(code)) => image.set_variable("LAR_EXIT_CODE", format_args!("{code}")),
        Some(ExitStatus::Signal { signal, core }) => {
            image.set_variable("LAR_SIGNAL", format_args!("{signal}"));
            image.set_variable("LAR_CORE", format_args!("{}", u8::from(core)));
        }
        None => {}
    }
}
