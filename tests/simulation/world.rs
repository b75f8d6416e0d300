//! A world around a supervisor: a virtual clock, a kernel with few pids that it hands out again
//! soon, children that behave badly, operators that change their minds. All of it follows from one
//! seed.
//!
//! The kernel is strict: a signal to a reaped pid is found by `books`.

use std::collections::VecDeque;

use lar::exit::{ExitStatus, Pid, Stage};
use lar::plan::{InstanceId, Kind, Probe, Standing};
use lar::signal::Signal;
use lar::supervisor::{Action, Event, Phase, Role, SignalTarget, Told};
use lar::time::{Duration, Instant};

use crate::books::Books;
use crate::counts::{Counts, Fault};
use crate::daemons::PidFile;
use crate::random::{self, ERRNOS, Random};

/// Pids run from 2 to this: few, so that they come back.
const LAST_PID: i32 = 300;

pub struct Child {
    pub pid: Pid,
    /// Unlike a pid, never used again.
    pub serial: u64,
    pub instance: InstanceId,
    pub deaf: bool,
    pub unkillable: bool,
    /// How long what it leaves of its group lives on.
    pub members: Option<Duration>,
    pub told_to_end: bool,
    /// Whether its instance is no more.
    pub lost: bool,
    /// Whether a launcher has left it behind.
    pub daemon: bool,
    pub role: Role,
    pub ended: Option<ExitStatus>,
}

#[derive(Clone, Copy, Debug)]
pub enum Happening {
    Death { serial: u64, status: ExitStatus },
    Reap,
    GroupGone { instance: InstanceId, serial: u64 },
    Ready { serial: u64 },
    Answer { instance: InstanceId, role: Role, token: u64, good: bool },
    PidFile { instance: InstanceId, pid: Pid, serial: u64 },
    Beat { serial: u64 },
    Spawn { instance: InstanceId, role: Role },
    Renew { instance: InstanceId },
    Operator,
    Connection,
    Stray,
    Shutdown,
}

pub struct World<'a> {
    pub books: Books,
    pub counts: &'a mut Counts,
    pub random: Random,
    seed: u64,
    pub faults: bool,
    pub children: Vec<Child>,
    pub coming: Vec<(Instant, Happening)>,
    pub answers: VecDeque<Event>,
    /// What was seen at a look: told before anything else can happen.
    pub looks: VecDeque<Event>,
    /// The latest group left behind by each instance, and its latest question.
    pub groups: Vec<u64>,
    pub tokens: Vec<[Option<u64>; 2]>,
    pub pid_files: Vec<PidFile>,
    serial: u64,
    /// How many services were added.
    pub added: u64,
    pub free: Vec<Pid>,
    /// Whether a pid was somebody's before.
    used: Vec<bool>,
    pub told: VecDeque<(Instant, Event)>,
}

/// The place of a question.
fn which(role: Role) -> usize {
    usize::from(role == Role::Health)
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the world of LAR_WORLD={} broke; its plan:", self.seed);
            println!("{:#?}", self.books.plan());
            for (at, event) in &self.told {
                println!("{:>14} ms {event:?}", at.as_nanos() as f64 / 1e6);
            }
            println!("asked for at last: {:#?}", self.books.actions);
        }
    }
}

impl<'a> World<'a> {
    pub fn new(seed: u64, counts: &'a mut Counts) -> World<'a> {
        let mut random = Random::new(seed);
        let books = Books::new(random::plan(&mut random), seed);
        let instances = books.shadows.len();
        counts.worlds += 1;
        World {
            books,
            counts,
            random,
            seed,
            faults: true,
            children: Vec::new(),
            coming: Vec::new(),
            answers: VecDeque::new(),
            looks: VecDeque::new(),
            groups: vec![0; instances],
            tokens: vec![[None; 2]; instances],
            pid_files: vec![PidFile::Missing; instances],
            serial: 0,
            added: 0,
            free: (2..=LAST_PID).rev().map(Pid).collect(),
            used: vec![false; LAST_PID as usize + 1],
            told: VecDeque::new(),
        }
    }

    /// A whole life: chaos; then either the end, or peace in which all must come up.
    pub fn live(&mut self) {
        self.books.now = Instant::ZERO + self.random.millis(5000);
        self.tell(Event::Boot);
        self.soon(3000, Happening::Operator);
        self.soon(3000, Happening::Connection);
        self.soon(3000, Happening::Stray);
        let steps = self.random.below(700) + 50;
        for _ in 0..steps {
            self.step();
        }
        if self.random.chance(40) {
            self.soon(100, Happening::Shutdown);
            if self.random.chance(40) {
                self.soon(3000, Happening::Shutdown);
            }
        } else if !self.books.core.shutting_down() {
            return self.find_peace();
        }
        for _ in 0..10_000 {
            if self.books.finished.is_none() {
                self.step();
            }
        }
        assert!(self.books.finished.is_some(), "an end that does not come");
        self.counts.finished += 1;
        for _ in 0..20 {
            self.step();
        }
    }

    pub fn soon(&mut self, millis: u64, what: Happening) {
        let at = self.books.now + self.random.millis(millis);
        self.coming.push((at, what));
    }

    /// Lets time go on to whatever comes first.
    pub fn step(&mut self) {
        if let Some(event) = self.answers.pop_front() {
            return self.tell(event);
        }
        let first = (0..self.coming.len()).min_by_key(|&at| self.coming[at].0);
        let (happens, due) = (first.map(|at| self.coming[at].0), self.books.core.next_deadline());
        let Some(mut now) = happens.into_iter().chain(due).min() else {
            // Nothing ever happens again: an operator may still come.
            return if self.faults {
                self.soon(1000, Happening::Stray)
            };
        };
        now = now.max(self.books.now);
        if self.faults && self.random.below(1000) < 3 {
            self.counts.fault(Fault::ClockJump);
            now = now + self.random.millis(7_200_000);
        }
        let late = self.faults && self.random.chance(5);
        match first {
            Some(at) if self.coming[at].0 <= now && (late || due.is_none_or(|due| due > now)) => {
                let (_, what) = self.coming.swap_remove(at);
                self.books.now = now;
                self.happen(what);
            }
            _ => {
                self.books.now = now;
                self.tell(Event::Tick);
            }
        }
    }

    pub fn tell(&mut self, event: Event) {
        self.told.push_back((self.books.now, event));
        if self.told.len() > 60 {
            self.told.pop_front();
        }
        self.counts.event(&self.books, event);
        self.books.tell(self.books.now, event);
        self.obey();
    }

    /// Does what the core has asked for.
    pub fn obey(&mut self) {
        for at in 0..self.books.actions.len() {
            match self.books.actions[at] {
                Action::Spawn { instance, role } => self.asked_to_spawn(instance, role),
                Action::Signal { target, signal, .. } => self.signal(target, signal),
                Action::Probe { instance, role } => self.probe(instance, role),
                Action::CancelProbe { instance, role } => {
                    self.tokens[instance.index()][which(role)] = None;
                }
                Action::Find { instance, anyhow } => self.find(instance, anyhow),
                Action::Look { instance } => self.look(instance),
                Action::Changed(change) => {
                    let line = self.books.core.describe(&change).to_string();
                    assert!(!line.is_empty());
                    self.note(change);
                }
                Action::Created { instance } => self.created(instance),
                Action::Renew { instance } => self.asked_to_renew(instance),
                Action::Gone { instance } => self.gone(instance),
                Action::Redefined { .. } | Action::Finish { .. } => {}
            }
        }
        if let Some(event) = self.looks.pop_front() {
            self.tell(event);
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Death { serial, status } => self.die(serial, status),
            Happening::Reap => self.reap(),
            Happening::GroupGone { instance, serial } => {
                if self.groups[instance.index()] == serial {
                    self.tell(Event::GroupGone { instance });
                }
            }
            Happening::Ready { serial } => {
                let child = self.children.iter().find(|child| child.serial == serial);
                if let Some(instance) =
                    child.filter(|c| c.ended.is_none() && !c.lost).map(|c| c.instance)
                {
                    self.tell(Event::Told { instance, what: Told::Ready });
                }
            }
            Happening::PidFile { instance, pid, serial } => {
                if self.children.iter().any(|child| child.serial == serial && !child.lost) {
                    self.pid_files[instance.index()] = PidFile::Names(pid, serial);
                }
            }
            Happening::Beat { serial } => self.beat(serial),
            Happening::Answer { instance, role, token, good } => {
                let awaited = self.tokens[instance.index()][which(role)] == Some(token);
                if !awaited {
                    self.counts.fault(Fault::ProbeAnswersLate);
                }
                if awaited || self.random.chance(30) {
                    self.tell(Event::Probed { instance, role, good });
                }
            }
            Happening::Spawn { instance, role } => {
                let event = self.spawn(instance, role);
                self.tell(event);
            }
            Happening::Renew { instance } => self.renew(instance),
            Happening::Operator => {
                self.operate();
                self.soon(600, Happening::Operator);
            }
            Happening::Connection => {
                self.connect();
                self.soon(4000, Happening::Connection);
            }
            Happening::Stray => {
                self.stray();
                self.soon(1000, Happening::Stray);
            }
            Happening::Shutdown => {
                if self.books.core.shutting_down() {
                    self.counts.fault(Fault::SecondShutdown);
                }
                self.tell(Event::Shutdown);
            }
        }
    }

    fn asked_to_spawn(&mut self, instance: InstanceId, role: Role) {
        if self.faults && self.random.chance(10) {
            self.counts.fault(Fault::SpawnLate);
            return self.soon(800, Happening::Spawn { instance, role });
        }
        let event = self.spawn(instance, role);
        self.answers.push_back(event);
    }

    fn spawn(&mut self, instance: InstanceId, role: Role) -> Event {
        let used_up = self.free.is_empty();
        if used_up || self.faults && self.random.chance(7) {
            let errno = self.random.pick(&ERRNOS);
            let fault = if errno.0 == 2 { Fault::SpawnEnoent } else { Fault::SpawnEagain };
            let other = match role {
                Role::Main => fault,
                Role::Probe | Role::Health => Fault::ProbeSpawnFails,
                _ => Fault::CommandSpawnFails,
            };
            self.counts.fault(other);
            let stage = if errno.0 == 11 { Stage::Clone } else { Stage::Exec };
            return Event::SpawnFailed { instance, role, stage, errno };
        }
        let pid = self.birth(instance, role);
        Event::Spawned { instance, role, pid }
    }

    pub fn birth(&mut self, instance: InstanceId, role: Role) -> Pid {
        let pid = self.birth_of(instance, role, false);
        let serial = self.serial;
        match role {
            Role::Main => self.begin_life(instance, serial),
            Role::Probe | Role::Health => self.begin_probe(serial),
            _ => self.begin_task(instance, role, serial),
        }
        pid
    }

    /// One more process.
    pub fn birth_of(&mut self, instance: InstanceId, role: Role, daemon: bool) -> Pid {
        // The number that was freed last, or the one that was freed first.
        let last = self.free.len() - 1;
        let at = if self.random.chance(60) { last } else { 0 };
        let pid = self.free.remove(at);
        if std::mem::replace(&mut self.used[pid.0 as usize], true) {
            self.counts.fault(Fault::PidReused);
        }
        self.serial += 1;
        let serial = self.serial;
        let members = match self.random.below(100) {
            0..12 if self.faults => Some(self.random.millis(900)),
            12..16 if self.faults => Some(Duration::from_secs(3)),
            _ => None,
        };
        self.children.push(Child {
            pid,
            serial,
            instance,
            deaf: self.faults && self.random.chance(15),
            unkillable: self.faults && self.random.chance(3),
            members,
            told_to_end: false,
            lost: false,
            daemon,
            role,
            ended: None,
        });
        pid
    }

    fn begin_life(&mut self, instance: InstanceId, serial: u64) {
        let run = self.books.core.instance(instance).standing == Standing::Run;
        match self.books.service(instance).kind {
            Kind::Forking if !run => self.begin_launch(instance, serial),
            Kind::Simple | Kind::Forking | Kind::Oneshot => self.live_on(instance, serial),
        }
    }

    /// How a main process lives and ends.
    pub fn live_on(&mut self, instance: InstanceId, serial: u64) {
        self.begin_beating(instance, serial);
        let codes = [0, 0, 1, 2, 3].map(ExitStatus::Code);
        let (mut status, oneshot) =
            (self.random.pick(&codes), self.books.service(instance).kind == Kind::Oneshot);
        if self.random.chance(15) {
            status = ExitStatus::killed(Signal::SEGV);
        }
        let run = self.books.core.instance(instance).standing == Standing::Run;
        match (self.faults, oneshot || run) {
            (false, true) => {
                self.soon(1000, Happening::Death { serial, status: ExitStatus::SUCCESS })
            }
            (false, false) => {}
            (true, _) => {
                let life = self.random.pick(&[5, 300, 2000, 12_000, 12_000, 600_000]);
                self.soon(life, Happening::Death { serial, status });
            }
        }
        if matches!(self.books.probe(instance), Some(Probe::Notify)) {
            match self.random.below(100) {
                0..12 if self.faults => self.counts.fault(Fault::NeverReady),
                12..30 if self.faults => {
                    self.counts.fault(Fault::LateReady);
                    self.soon(6000, Happening::Ready { serial });
                }
                _ => self.soon(300, Happening::Ready { serial }),
            }
        }
    }

    fn begin_probe(&mut self, serial: u64) {
        if self.faults && self.random.chance(12) {
            return self.counts.fault(Fault::ProbeHangs);
        }
        let good = !self.faults || self.random.chance(50);
        let status = ExitStatus::Code(if good { 0 } else { 1 });
        let most = if self.faults { 300 } else { 100 };
        self.soon(most, Happening::Death { serial, status });
    }

    fn probe(&mut self, instance: InstanceId, role: Role) {
        self.serial += 1;
        let token = self.serial;
        self.tokens[instance.index()][which(role)] = Some(token);
        if self.faults && self.random.chance(5) {
            return self.counts.fault(Fault::ProbeHangs);
        }
        let most = if self.faults && self.random.chance(15) { 6000 } else { 150 };
        let chance = if role == Role::Health { 75 } else { 50 };
        let good = !self.faults || self.random.chance(chance);
        self.soon(most, Happening::Answer { instance, role, token, good });
    }

    fn signal(&mut self, target: SignalTarget, signal: Signal) {
        let (SignalTarget::Process(pid) | SignalTarget::Group(pid)) = target;
        let Some(child) = self.children.iter_mut().find(|child| child.pid == pid) else { return };
        let (serial, status) = (child.serial, ExitStatus::killed(signal));
        match signal {
            Signal::KILL if child.unkillable => {
                self.counts.fault(Fault::Unkillable);
                self.soon(8000, Happening::Death { serial, status });
            }
            Signal::KILL => self.soon(3, Happening::Death { serial, status }),
            Signal::TERM | Signal::INT | Signal::QUIT | Signal::HUP if child.deaf => {
                child.told_to_end = true;
                self.counts.fault(Fault::DeafToTerm);
            }
            Signal::TERM | Signal::INT | Signal::QUIT | Signal::HUP => {
                child.told_to_end = true;
                let code = self.random.chance(50);
                let status = if code { ExitStatus::SUCCESS } else { status };
                self.soon(1500, Happening::Death { serial, status });
            }
            _ => {}
        }
    }

    fn die(&mut self, serial: u64, status: ExitStatus) {
        let Some(child) = self.children.iter_mut().find(|child| child.serial == serial) else {
            return;
        };
        if child.ended.is_some() {
            return;
        }
        child.ended = Some(status);
        match self.books.core.instance(child.instance).phase {
            Phase::Stopping => self.counts.fault(Fault::DiedWhileStopping),
            _ => self.counts.fault(Fault::StoppedByNobody),
        }
        let delay = if self.faults { self.random.pick(&[0, 0, 30, 2000]) } else { 0 };
        self.soon(delay, Happening::Reap);
    }

    /// Somebody connects to any service, also where nobody looks; or its time has come.
    fn connect(&mut self) {
        let services: Vec<_> = self.books.core.services().collect();
        if !services.is_empty() {
            let (service, socket) = (self.random.pick(&services), self.random.below(3) as u16);
            match self.random.chance(60) {
                true => self.tell(Event::Connection { service, socket }),
                false => self.tell(Event::Due { service }),
            }
        }
    }
}
