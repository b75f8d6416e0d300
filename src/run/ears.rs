//! What services say of themselves: the loop's side of `check::notify` and `check::line`.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use log::{debug, warn};
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry};

use super::build::{StartError, processes};
use super::daemons::runs_as;
use super::ready::ReadyList;
use super::token::Source;
use super::{Loop, MESSAGES};
use crate::check::line::{self, Line};
use crate::check::notify;
use crate::exit::Pid;
use crate::plan::{InstanceId, Plan, Probe, Process, Service};
use crate::supervisor::{Event, Role, Told};
use crate::sys::{pipe, reap};

/// How many generations lie at most between a program and the daemon that it leaves behind.
const GENERATIONS: usize = 8;

/// By what an instance is heard.
pub(super) struct Ear {
    /// Nobody's until the core has named the instance.
    whose: Option<InstanceId>,
    /// As whom its programs run, if not as lar does.
    user: Option<u32>,
    notify: Option<notify::Listener>,
    line: Option<Line>,
    /// Who is to be its main process as soon as it is lar's child.
    heir: Option<Pid>,
    /// Whether it was told that a MAINPID= is none.
    warned: bool,
}

/// The ears of all instances.
pub(super) struct Ears {
    ears: Vec<Option<Ear>>,
    /// Each instance's.
    of: Vec<Option<u32>>,
    /// Those to be heard in this turn, or in the next.
    pub(super) loud: ReadyList,
    /// What a message says; empty between two.
    told: Vec<Told>,
}

/// What becomes of an instance's ear with another definition.
#[derive(Clone, Copy)]
pub(super) enum Hearing {
    /// It stays.
    Same,
    /// This one takes its place, or none.
    Now(Option<u32>),
}

impl Ear {
    /// Where its program says something of itself.
    pub(super) fn notify(&self) -> Option<&notify::Listener> {
        self.notify.as_ref()
    }

    /// The fd on which its program says that it is ready.
    pub(super) fn line(&self) -> Option<RawFd> {
        self.line.as_ref().map(Line::writer)
    }

    fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let notify = self.notify.iter().map(notify::Listener::fd);
        notify.chain(self.line.iter().map(Line::fd))
    }

    /// Whether it is what such a process needs.
    fn suits(&self, user: Option<u32>, process: &Process) -> bool {
        let kinds = (self.notify.is_some(), self.line.is_some());
        self.user == user && kinds == wanted(process)
    }

    /// Hears one message; `false`: there is none.
    fn hear(&mut self, told: &mut Vec<Told>) -> bool {
        if self.notify.as_mut().is_some_and(|notify| notify.hear(told)) {
            return true;
        }
        match self.line.as_mut().map(Line::hear) {
            Some(line::Heard::Line) => {
                told.push(Told::Ready);
                true
            }
            Some(line::Heard::Other) => true,
            Some(line::Heard::Nothing) | None => false,
        }
    }
}

/// Whether a process needs a notify socket, and a pipe.
fn wanted(process: &Process) -> (bool, bool) {
    let asked = [&process.ready, &process.health];
    let notify = asked.into_iter().flatten().any(|probe| *probe == Probe::Notify);
    (notify, matches!(process.ready, Some(Probe::Fd(_))))
}

impl Ears {
    /// Those of a plan's instances, watched.
    pub(super) fn new(plan: &Plan, poll: &Poll) -> Result<Ears, StartError> {
        let count = plan.instances();
        let mut ears = Ears {
            ears: Vec::new(),
            of: Vec::with_capacity(count),
            loud: ReadyList::new(0),
            told: Vec::with_capacity(MESSAGES),
        };
        for (service, number, process) in processes(plan) {
            let fail = |why| StartError::Instance(service.label(number).to_string(), why);
            let index = ears.make(poll.registry(), service, process).map_err(fail)?;
            ears.of.push(None);
            ears.give(InstanceId(ears.of.len() as u32 - 1), index);
        }
        Ok(ears)
    }

    /// Makes an ear for such a process, if it needs one. What could not be had is the error.
    fn make(
        &mut self,
        registry: &Registry,
        service: &Service,
        process: &Process,
    ) -> Result<Option<u32>, String> {
        let (by_notify, by_line) = wanted(process);
        if !by_notify && !by_line {
            return Ok(None);
        }
        let user = user_of(service);
        let failed = |what: &str, errno: nix::errno::Errno| format!("no {what}: {}", errno.desc());
        let notify = by_notify.then(|| notify::Listener::new(user)).transpose();
        let notify = notify.map_err(|errno| failed("notify socket", errno))?;
        let line = by_line.then(Line::new).transpose();
        let line = line.map_err(|errno| failed("pipe for its readiness", errno))?;
        if let Some(line) = &line {
            // For a program that opens /dev/fd/N. Without the right to, there is none to run as somebody else either.
            let _ = user.map(|user| pipe::give(line.end(), Some(user), None));
        }
        let ear = Ear { whose: None, user, notify, line, heir: None, warned: false };
        let free = self.ears.iter().position(Option::is_none);
        let index = free.unwrap_or(self.ears.len());
        let token = Source::Notify(index as u32).token();
        for fd in ear.fds() {
            // What was registered is forgotten when it is closed.
            registry
                .register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)
                .map_err(|error| format!("what it says can't be watched: {error}"))?;
        }
        match self.ears.get_mut(index) {
            Some(place) => *place = Some(ear),
            None => self.ears.push(Some(ear)),
        }
        self.loud.grow(self.ears.len());
        Ok(Some(index as u32))
    }

    /// Makes room for so many instances.
    pub(super) fn grow(&mut self, instances: usize) {
        self.of.resize(instances.max(self.of.len()), None);
    }

    /// An instance's.
    pub(super) fn of(&self, instance: InstanceId) -> Option<&Ear> {
        self.at(*self.of.get(instance.index())?)
    }

    fn of_mut(&mut self, instance: InstanceId) -> Option<&mut Ear> {
        let index = (*self.of.get(instance.index())?)?;
        self.ears.get_mut(index as usize)?.as_mut()
    }

    fn at(&self, index: Option<u32>) -> Option<&Ear> {
        self.ears.get(index? as usize)?.as_ref()
    }

    /// The one that an instance is to have; `None` stands for somebody who is not there yet.
    pub(super) fn chosen(&self, hearing: Hearing, instance: Option<InstanceId>) -> Option<&Ear> {
        match hearing {
            Hearing::Now(index) => self.at(index),
            Hearing::Same => self.of(instance?),
        }
    }

    /// Gives an instance its ear. The one it had, if it had one.
    fn give(&mut self, instance: InstanceId, index: Option<u32>) -> Option<u32> {
        let place = self.of.get_mut(instance.index())?;
        let old = std::mem::replace(place, index);
        if let Some(Some(ear)) = index.and_then(|at| self.ears.get_mut(at as usize)) {
            ear.whose = Some(instance);
        }
        old
    }

    fn close(&mut self, registry: &Registry, index: Option<u32>) {
        let place = index.and_then(|index| self.ears.get_mut(index as usize));
        if let Some(ear) = place.and_then(Option::take) {
            for fd in ear.fds() {
                // Closing alone would not do while a child that is being made holds a copy.
                let _ = registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
            }
        }
    }

    /// An instance is about to be started: nobody speaks for it any more.
    pub(super) fn reset(&mut self, instance: InstanceId) {
        let Some(ear) = self.of_mut(instance) else { return };
        (ear.heir, ear.warned) = (None, false);
        ear.notify.iter_mut().for_each(notify::Listener::reset);
        ear.line.iter_mut().for_each(Line::reset);
    }

    /// What an instance last said of itself; empty if nothing.
    pub(super) fn status(&self, instance: InstanceId) -> &str {
        let ear = self.of(instance);
        ear.and_then(Ear::notify).map_or("", notify::Listener::status)
    }
}

fn user_of(service: &Service) -> Option<u32> {
    service.setup.identity.as_ref().and_then(|identity| identity.uid)
}

impl Loop {
    /// What an instance says of itself: a few messages, then it is the others' turn. Anybody may send to its socket.
    /// What a message led to is done before the next is taken: who sends a barrier relies on that.
    pub(super) fn hear(&mut self, index: u32) {
        for _ in 0..MESSAGES {
            let Some(Some(ear)) = self.ears.ears.get_mut(index as usize) else { return };
            let mut told = std::mem::take(&mut self.ears.told);
            let heard = ear.hear(&mut told);
            if let Some(instance) = ear.whose {
                for what in told.drain(..) {
                    if self.is_believed(instance, what) {
                        self.inbox.push_back(Event::Told { instance, what });
                    }
                }
            }
            told.clear();
            self.ears.told = told;
            if !heard {
                return;
            }
            self.digest();
        }
        self.ears.loud.add(index);
    }

    /// Whether the core is to be told. That another process is the main one is looked into: lar will signal that.
    fn is_believed(&mut self, instance: InstanceId, what: Told) -> bool {
        let Told::Main(pid) = what else { return true };
        if self.may_be_main(instance, pid) {
            self.name_daemon(instance, Some(pid));
            return true;
        }
        // A daemon may say so while its parent, who waits for that, is still there.
        let main = self.supervisor.instance(instance).pid;
        let label = self.supervisor.label(instance);
        let Some(ear) = self.ears.of_mut(instance) else { return false };
        if main.is_some_and(|main| descends(pid, main)) {
            debug!("{label}: MAINPID={pid} counts once it is lar's child");
            ear.heir = Some(pid);
            self.name_daemon(instance, Some(pid));
        } else if !std::mem::replace(&mut ear.warned, true) {
            warn!("{label}: MAINPID={pid} is no process of its own that is lar's child; ignored");
        }
        false
    }

    /// Whether a process may become an instance's main one: a child of ours, and nobody else's.
    fn may_be_main(&self, instance: InstanceId, pid: Pid) -> bool {
        let free = match self.supervisor.owner(pid) {
            Some(owner) => owner == (instance, Role::Main),
            None => !self.hooks.owns(pid),
        };
        let user = self.ears.of(instance).and_then(|ear| ear.user);
        free && reap::is_our_child(pid) && runs_as(user, pid)
    }

    /// A process has ended and is about to be reaped. If it is an instance's main one, whom it named its heir is lar's
    /// child by now, and takes its place before anything is made of that end.
    pub(super) fn look_for_heir(&mut self, pid: Pid) {
        let Some((instance, Role::Main)) = self.supervisor.owner(pid) else { return };
        let heir = self.ears.of_mut(instance).and_then(|ear| ear.heir.take());
        if let Some(pid) = heir.filter(|&pid| self.may_be_main(instance, pid)) {
            self.inbox.push_back(Event::Told { instance, what: Told::Main(pid) });
            self.digest();
        }
    }

    /// By what an instance is to be heard with another definition. The error says what could not be had.
    pub(super) fn ear(
        &mut self,
        service: &Service,
        process: &Process,
        instance: Option<InstanceId>,
    ) -> Result<Hearing, String> {
        let old = instance.and_then(|id| self.ears.of(id));
        if old.is_some_and(|ear| ear.suits(user_of(service), process)) {
            return Ok(Hearing::Same);
        }
        self.ears.make(self.poll.registry(), service, process).map(Hearing::Now)
    }

    /// Gives an instance the ear that was made for it.
    pub(super) fn take_ear(&mut self, instance: InstanceId, hearing: Hearing) {
        if let Hearing::Now(index) = hearing {
            let old = self.ears.give(instance, index);
            self.ears.close(self.poll.registry(), old);
        }
    }

    /// Lets go of an ear that nobody has taken.
    pub(super) fn close_ear(&mut self, hearing: Hearing) {
        if let Hearing::Now(index) = hearing {
            self.ears.close(self.poll.registry(), index);
        }
    }
}

/// Whether a process is another's child's child, or its child's.
fn descends(pid: Pid, from: Pid) -> bool {
    let parents = std::iter::successors(Some(pid), |&pid| reap::parent_of(pid));
    parents.skip(1).take(GENERATIONS).any(|pid| pid == from)
}
