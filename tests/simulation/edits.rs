//! Operators who add, remove, scale and redefine services while everything goes wrong.

use lar::plan::{
    InstanceId, Kind, Process, Service, ServiceId, Settings, Standing, Start, Task, Timer, When,
};
use lar::signal::Signal;
use lar::supervisor::edit::{Fate, Revision, Which};
use lar::supervisor::{Cause, Change, Event, Phase, Ticket, Verb};

use crate::counts::Fault;
use crate::daemons::PidFile;
use crate::random::{self, ENDING};
use crate::world::{Happening, World};

/// As many services and instances as a world has at most: its pids are few.
const SERVICES: usize = 8;
const INSTANCES: usize = 24;

impl World<'_> {
    pub fn any_instance(&mut self) -> InstanceId {
        InstanceId(self.random.below(self.books.shadows.len() as u64) as u32)
    }

    /// An operator does something.
    pub fn operate(&mut self) {
        if self.random.chance(12) {
            return self.edit();
        }
        let instance = self.any_instance();
        let single = self.books.core.settings().single.is_some();
        if self.random.chance(if single { 50 } else { 4 }) {
            let mild = [Signal::HUP, Signal::QUIT, Signal::WINCH];
            let calm = !self.random.chance(10);
            let signal = if calm { mild[self.random.below(3) as usize] } else { Signal::TERM };
            // Sometimes it is rewritten on its way.
            let received = if self.random.chance(20) { self.random.pick(&mild) } else { signal };
            return self.tell(Event::Forward { instance, received, signal });
        }
        let verbs = [
            Verb::Start,
            Verb::Start,
            Verb::Stop,
            Verb::Restart,
            Verb::Clear,
            Verb::Roll,
            Verb::Reload,
            Verb::Ensure,
        ];
        let mut verb = self.random.pick(&verbs);
        // The server asks for nothing that is not there.
        if verb == Verb::Reload && !self.books.has(instance, Task::Reload) {
            verb = Verb::Restart;
        }
        if self.random.chance(15) {
            verb = Verb::Kill(self.random.pick(&ENDING));
        }
        self.books.tickets += 1;
        let ticket = Ticket(self.books.tickets);
        self.tell(Event::Order { instance, verb, ticket });
    }

    /// Changes who there is. As in the loop, not before all that was asked for is answered.
    pub fn edit(&mut self) {
        let settings = self.books.core.settings();
        if settings.single.is_some() || settings.runner.is_some() || !self.answers.is_empty() {
            return;
        }
        let now = self.books.now;
        let mut ids: Vec<ServiceId> = self.books.core.services().collect();
        ids.retain(|&id| !self.books.core.is_service_leaving(id));
        ids.sort_by_key(|&id| self.books.core.rank(id));
        if self.random.chance(35) {
            return self.run_once(&ids);
        }
        let which = if self.random.chance(50) { Which::Highest } else { Which::Oldest };
        if let Some(&id) = ids.get(self.random.below(8) as usize).filter(|_| self.few()) {
            let count = self.random.below(5) as u32;
            self.counts.fault(Fault::Scaled);
            self.books.scale(now, id, count, which);
        } else {
            let revision = self.revision(&ids);
            self.books.revise(now, revision);
        }
        self.obey();
    }

    /// One more run of somebody.
    fn run_once(&mut self, ids: &[ServiceId]) {
        let Some(&id) = ids.get(self.random.below(ids.len() as u64) as usize) else { return };
        if self.few() {
            self.counts.fault(Fault::Once);
            let service = self.books.core.service(id);
            if service.timer.is_some() {
                self.counts.fault(Fault::OnceBesideTimer);
            }
            if service.start == Start::OnDemand {
                self.counts.fault(Fault::OnceOnDemand);
            }
            let limit = self.random.chance(40).then(|| self.random.millis(3000));
            let process = Process { argv: vec!["/bin/run".into()], ..Process::default() };
            self.books.once(self.books.now, id, process, limit);
            self.obey();
        }
    }

    /// What a change says of those who are started by a timer or a connection, run beside others, or are left.
    pub fn note(&mut self, change: Change) {
        let service = self.books.core.instance(change.instance).service;
        let (core, defined) = (&self.books.core, self.books.core.service(service));
        let every = matches!(&defined.timer, Some(Timer { when: When::Every(_), .. }));
        let on_demand = defined.start == Start::OnDemand;
        let next = |id: InstanceId| core.instance(id).standing == Standing::Next;
        let succeeds = core.all_of(service).any(next);
        let due = matches!(self.told.back(), Some((_, Event::Tick | Event::Due { .. })));
        let mut note = |fault, here| {
            if here {
                self.counts.fault(fault);
            }
        };
        match change.cause {
            Cause::Awaits => note(Fault::Idle, change.from == Phase::Exited),
            Cause::TimeLimit => note(Fault::RunOverdue, true),
            Cause::Replaced => {
                note(Fault::Exchanged, true);
                note(Fault::ExchangedOnDemand, on_demand);
            }
            Cause::Timer => {
                note(Fault::RunEvery, every);
                note(Fault::RunAt, !every);
                note(Fault::RunQueued, !due);
            }
            Cause::Left => {
                note(Fault::Left, true);
                note(Fault::LeftWithSuccessor, succeeds);
            }
            _ => {}
        }
    }

    /// As in the loop: when all that was asked for is answered; or later.
    pub fn asked_to_renew(&mut self, instance: InstanceId) {
        self.counts.fault(Fault::Renewed);
        let late = self.faults && self.random.chance(10);
        if late {
            self.counts.fault(Fault::RenewedLate);
        }
        self.soon(if late { 500 } else { 0 }, Happening::Renew { instance });
    }

    /// A successor is prepared, if it can be.
    pub fn renew(&mut self, instance: InstanceId) {
        if !self.answers.is_empty() {
            return self.soon(0, Happening::Renew { instance });
        }
        let prepared = !self.faults || !self.random.chance(8);
        if !prepared {
            self.counts.fault(Fault::NoSuccessor);
        }
        if self.faults && self.random.chance(6) {
            self.soon(50, Happening::Shutdown); // while the successor is on its way
        }
        self.books.succeed(self.books.now, instance, prepared);
        self.obey();
    }

    fn few(&self) -> bool {
        self.books.core.instances().count() < INSTANCES
    }

    fn revision(&mut self, ids: &[ServiceId]) -> Revision {
        let mut revision = Revision::default();
        let few = ids.len() < SERVICES && self.few();
        if self.random.chance(20) {
            let plan = random::plan(&mut self.random);
            let Settings { exit_policy, shutdown_timeout, spawn_rate, .. } = plan.settings;
            let old = self.books.core.settings().clone();
            let new = Settings { exit_policy, shutdown_timeout, spawn_rate, ..old };
            revision.settings = Some(Box::new(new));
        }
        for &id in ids {
            match self.random.below(10) {
                0 => {
                    self.counts.fault(Fault::Removed);
                    revision.removed.push(id);
                }
                1 | 2 => {
                    self.counts.fault(Fault::Redefined);
                    let at = revision.fates.len() as u32;
                    let fate = self.change(id, at);
                    revision.fates.push(fate);
                }
                _ => revision.fates.push(Fate::Keep(id)),
            }
        }
        if few && self.random.chance(60) {
            self.counts.fault(Fault::Added);
            self.added += 1;
            let service = random::service(&mut self.random, revision.fates.len() as u32, false);
            let name = format!("new{}", self.added);
            revision.fates.push(Fate::New(Box::new(Service { name, ..service })));
        }
        revision
    }

    /// Another definition for a service; what runs is not left to one that it does not fit.
    fn change(&mut self, id: ServiceId, at: u32) -> Fate {
        let old = self.books.core.service(id).clone();
        let new = random::service(&mut self.random, at, false);
        let name = old.name.clone();
        let restart = self.random.chance(50);
        let service = match restart {
            true => Service { name, ..new },
            false => {
                // Only a one-shot has a timer.
                let timer = new.timer.clone().filter(|_| old.kind == Kind::Oneshot);
                let start_timeout = new.start_timeout.or(old.start_timeout);
                let (kind, processes) = (old.kind, old.processes);
                Service { name, kind, timer, processes, start_timeout, ..new }
            }
        };
        if service.timer != old.timer {
            self.counts.fault(Fault::Retimed);
        }
        Fate::Change { id, service: Box::new(service), restart }
    }

    /// Who is gone has nothing coming any more: the loop sees to that, too.
    pub fn gone(&mut self, gone: InstanceId) {
        self.coming.retain(|(_, what)| match *what {
            Happening::GroupGone { instance, .. }
            | Happening::Answer { instance, .. }
            | Happening::PidFile { instance, .. }
            | Happening::Renew { instance }
            | Happening::Spawn { instance, .. } => instance != gone,
            _ => true,
        });
        self.tokens[gone.index()] = [None; 2];
        self.pid_files[gone.index()] = PidFile::Missing;
        for child in self.children.iter_mut().filter(|child| child.instance == gone) {
            child.lost = true;
        }
    }

    /// Makes room for who is new.
    pub fn created(&mut self, instance: InstanceId) {
        let size = (instance.index() + 1).max(self.tokens.len());
        self.groups.resize(size, 0);
        self.tokens.resize(size, [None; 2]);
        self.pid_files.resize(size, PidFile::Missing);
    }
}
