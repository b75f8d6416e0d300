//! Histories written by hand, and those that the simulation has found: what a sentence says,
//! played.
//!
//! A test compares the log of what the core asked for: the time in milliseconds, who, and what.

#[path = "scenarios/beside.rs"]
mod beside;
#[path = "common/books.rs"]
mod books;
#[path = "scenarios/ending.rs"]
mod ending;
#[path = "scenarios/flapping.rs"]
mod flapping;
#[path = "scenarios/leaving.rs"]
mod leaving;
#[path = "scenarios/orders.rs"]
mod orders;
#[path = "scenarios/starting.rs"]
mod starting;
#[path = "scenarios/timers.rs"]
mod timers;

use books::Books;
use lar::exit::{Errno, ExitStatus, Pid, Stage};
use lar::plan::{
    Delay, InstanceId, Kind, Ladder, Order, Plan, Probe, Process, Restart, Rules, Service,
    ServiceId, Settings,
};
use lar::signal::Signal;
use lar::supervisor::{Action, Event, Phase, Role, SignalTarget, Told, Verb};
use lar::time::{Duration, Instant};

/// The first services of each scenario.
const DB: InstanceId = InstanceId(0);
const WEB: InstanceId = InstanceId(1);
const LOG: InstanceId = InstanceId(2);

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A history under way.
struct Play {
    books: Books,
    log: Vec<String>,
    pid: i32,
}

/// One instance, up at once, TERM 10s KILL, backoff 1s without jitter, healthy after 10s.
fn service(name: &str) -> Service {
    let process = Process { argv: vec!["/bin/it".into()], ..Process::default() };
    let delay = Delay::Double { first: secs(1) };
    let rules = Rules { jitter: 0, delay, ..Rules::default() };
    Service {
        name: name.into(),
        rules,
        stop: Ladder::simple(Signal::TERM, secs(10)),
        processes: vec![process],
        ..Service::default()
    }
}

fn asked(mut service: Service, ready: Probe) -> Service {
    service.processes.iter_mut().for_each(|process| process.ready = Some(ready.clone()));
    service
}

fn oneshot(name: &str) -> Service {
    let rules = Rules { restart: Restart::OnFailure, ..service(name).rules };
    Service { kind: Kind::Oneshot, rules, ..service(name) }
}

fn requiring(service: Service, on: &[InstanceId]) -> Service {
    let requires = on.iter().map(|id| ServiceId(id.0)).collect();
    Service { order: Order { requires, ..service.order }, ..service }
}

/// Without `spawn-rate`, for most histories play within one millisecond.
fn boot(services: Vec<Service>) -> Play {
    boot_with(services, Settings { spawn_rate: None, ..Settings::default() })
}

fn boot_with(services: Vec<Service>, settings: Settings) -> Play {
    let books = Books::new(Plan { settings, services, ..Plan::default() }, 1);
    let mut play = Play { books, log: Vec::new(), pid: 100 };
    play.tell(Event::Boot);
    play
}

impl Play {
    fn tell(&mut self, event: Event) {
        self.books.tell(self.books.now, event);
        self.note();
    }

    fn note(&mut self) {
        for &action in &self.books.actions {
            let label = |id| self.books.core.label(id).to_string();
            let what = match action {
                Action::Spawn { instance, role: Role::Main } => label(instance) + " spawn",
                Action::Spawn { instance, role: Role::Probe } => label(instance) + " ask",
                Action::Spawn { instance, role } => label(instance) + " spawn " + role.word(),
                Action::Find { instance, .. } => label(instance) + " find",
                Action::Look { instance } => label(instance) + " look",
                Action::Signal { signal: Signal::CONT, .. } | Action::Changed(_) => continue,
                Action::Signal { instance, target, signal } => {
                    let group = matches!(target, SignalTarget::Group(_));
                    let whom = if group { " group " } else { " " };
                    format!("{}{whom}{signal}", label(instance))
                }
                Action::Probe { instance, .. } => label(instance) + " ask",
                Action::CancelProbe { instance, .. } => label(instance) + " never mind",
                Action::Created { instance } => label(instance) + " created",
                Action::Redefined { instance } => label(instance) + " redefined",
                Action::Gone { instance } => label(instance) + " gone",
                Action::Renew { instance } => label(instance) + " renew",
                Action::Finish { code } => format!("finish {code}"),
            };
            self.log.push(format!("{} {what}", self.books.now.as_nanos() / 1_000_000));
        }
    }

    /// Lets time pass, ticking whenever that is due.
    fn at(&mut self, millis: u64) {
        let end = Instant::ZERO + Duration::from_millis(millis);
        while let Some(due) = self.books.core.next_deadline().filter(|&due| due <= end) {
            self.books.now = due.max(self.books.now);
            self.tell(Event::Tick);
        }
        self.books.now = end;
    }

    fn spawned_as(&mut self, instance: InstanceId, role: Role) -> Pid {
        self.pid += 1;
        let pid = Pid(self.pid);
        self.tell(Event::Spawned { instance, role, pid });
        pid
    }

    fn spawned(&mut self, instance: InstanceId) -> Pid {
        self.spawned_as(instance, Role::Main)
    }

    fn spawn_fails(&mut self, instance: InstanceId, stage: Stage, errno: i32) {
        let (role, errno) = (Role::Main, Errno(errno));
        self.tell(Event::SpawnFailed { instance, role, stage, errno });
    }

    fn ready(&mut self, instance: InstanceId) {
        self.tell(Event::Told { instance, what: Told::Ready });
    }

    fn ends(&mut self, id: InstanceId, status: ExitStatus, lingering: bool) {
        let pid = self.books.process(id, Role::Main).expect("it has a process");
        self.tell(Event::Exited { pid, status, lingering });
    }

    fn exits(&mut self, id: InstanceId, code: u8) {
        self.ends(id, ExitStatus::Code(code), false);
    }

    fn order(&mut self, id: InstanceId, verb: Verb) {
        self.books.order(id, verb);
        self.note();
    }

    fn phase(&self, id: InstanceId) -> Phase {
        self.books.core.instance(id).phase
    }

    /// What was asked for since the last time.
    fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}
