//! What a run has seen: which (state, event) pairs, which faults, how many events.

use lar::exit::Pid;
use lar::plan::InstanceId;
use lar::supervisor::state::StateKind;
use lar::supervisor::{Event, Role, Verb};

use crate::books::Books;

macro_rules! list {
    ($name:ident: $($word:ident)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($word,)* }

        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$word,)*];
        }
    };
}

list!(Kind: Boot Tick SpawnedMain SpawnedProbe FailedMain FailedProbe ExitedMain ExitedProbe
    ExitedUnknown ExecFailedMain GroupGone Notified ProbedYes ProbedNo Start Stop Restart Roll Clear Kill Forward
    Connection Due Shutdown);

list!(Fault: SpawnEnoent SpawnEagain SpawnLate DeafToTerm Unkillable DiedWhileStopping NeverReady
    LateReady ProbeHangs ProbeAnswersLate ProbeSpawnFails PidReused ExitsCoalesced UnknownPid
    GroupLingers GroupLingersLong ClockJump Stray SecondShutdown StoppedByNobody
    ExecFailsLate Added Removed Redefined Scaled Once RunOverdue Renewed RenewedLate NoSuccessor Exchanged Idle
    RunEvery RunAt RunQueued Retimed OnceBesideTimer OnceOnDemand ExchangedOnDemand Left LeftWithSuccessor);

/// Every state, in the order of its number.
const STATES: [StateKind; StateKind::COUNT] = [
    StateKind::Stopped,
    StateKind::Armed,
    StateKind::Waiting,
    StateKind::Spawning,
    StateKind::Starting,
    StateKind::Running,
    StateKind::Stopping,
    StateKind::Clearing,
    StateKind::Backoff,
    StateKind::Cooldown,
    StateKind::Exited,
    StateKind::Failed,
];

pub struct Counts {
    pairs: [[u64; Kind::ALL.len()]; StateKind::COUNT],
    faults: [u64; Fault::ALL.len()],
    /// Events that are not ticks.
    pub events: u64,
    pub ticks: u64,
    pub worlds: u64,
    pub finished: u64,
}

impl Counts {
    pub fn new() -> Counts {
        Counts {
            pairs: [[0; Kind::ALL.len()]; StateKind::COUNT],
            faults: [0; Fault::ALL.len()],
            events: 0,
            ticks: 0,
            worlds: 0,
            finished: 0,
        }
    }

    pub fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    /// Notes an event, before it is told. One that names no instance is met by all of them.
    pub fn event(&mut self, books: &Books, event: Event) {
        if event == Event::Tick {
            self.ticks += 1;
        } else {
            self.events += 1;
        }
        let (kind, instance) = sort(books, event);
        match instance {
            Some(id) => self.pairs[books.kind(id) as usize][kind as usize] += 1,
            None => {
                for id in books.core.instances() {
                    self.pairs[books.kind(id) as usize][kind as usize] += 1;
                }
            }
        }
    }

    /// Prints all of it, and panics if anything was not seen.
    pub fn report(&self) {
        println!(
            "{} worlds, {} ended; {} events and {} ticks",
            self.worlds, self.finished, self.events, self.ticks
        );
        for &fault in Fault::ALL {
            println!("  fault {fault:?}: {}", self.faults[fault as usize]);
        }
        let mut missing = Vec::new();
        for state in STATES {
            let row = self.pairs[state as usize];
            println!("  {state:?}: {row:?}");
            for &kind in Kind::ALL {
                if row[kind as usize] == 0 && possible(state, kind) {
                    missing.push((state, kind));
                }
            }
        }
        assert!(missing.is_empty(), "pairs never visited: {missing:?}");
        for &fault in Fault::ALL {
            assert!(self.faults[fault as usize] > 0, "{fault:?} never happened");
        }
    }
}

/// Whether the contract allows this pair: a main process belongs to three states only, and `Boot`
/// comes once and first.
fn possible(state: StateKind, kind: Kind) -> bool {
    match kind {
        Kind::ExitedMain | Kind::ExecFailedMain => {
            [StateKind::Starting, StateKind::Running, StateKind::Stopping].contains(&state)
        }
        Kind::Boot => state == StateKind::Stopped,
        _ => true,
    }
}

fn sort(books: &Books, event: Event) -> (Kind, Option<InstanceId>) {
    let owner = |pid: Pid| books.core.owner(pid);
    match event {
        Event::Boot => (Kind::Boot, None),
        Event::Tick => (Kind::Tick, None),
        Event::Spawned { instance, role: Role::Main, .. } => (Kind::SpawnedMain, Some(instance)),
        Event::Spawned { instance, .. } => (Kind::SpawnedProbe, Some(instance)),
        Event::SpawnFailed { instance, role: Role::Main, .. } => (Kind::FailedMain, Some(instance)),
        Event::SpawnFailed { instance, .. } => (Kind::FailedProbe, Some(instance)),
        Event::Exited { pid, .. } => match owner(pid) {
            Some((instance, Role::Main)) => (Kind::ExitedMain, Some(instance)),
            Some((instance, Role::Probe)) => (Kind::ExitedProbe, Some(instance)),
            None => (Kind::ExitedUnknown, None),
        },
        Event::ExecFailed { pid, .. } => match owner(pid) {
            Some((instance, Role::Main)) => (Kind::ExecFailedMain, Some(instance)),
            Some((instance, Role::Probe)) => (Kind::ExitedProbe, Some(instance)),
            None => (Kind::ExitedUnknown, None),
        },
        Event::GroupGone { instance } => (Kind::GroupGone, Some(instance)),
        Event::Notified { instance } => (Kind::Notified, Some(instance)),
        Event::Probed { instance, ready: true } => (Kind::ProbedYes, Some(instance)),
        Event::Probed { instance, ready: false } => (Kind::ProbedNo, Some(instance)),
        Event::Order { instance, verb, .. } => match verb {
            Verb::Start => (Kind::Start, Some(instance)),
            Verb::Stop | Verb::Remove | Verb::Scale | Verb::Once => (Kind::Stop, Some(instance)),
            Verb::Roll => (Kind::Roll, Some(instance)),
            Verb::Restart | Verb::Apply | Verb::Replace => (Kind::Restart, Some(instance)),
            Verb::Clear => (Kind::Clear, Some(instance)),
            Verb::Kill(_) => (Kind::Kill, Some(instance)),
        },
        Event::Forward { instance, .. } => (Kind::Forward, Some(instance)),
        Event::Connection { .. } => (Kind::Connection, None),
        Event::Due { .. } => (Kind::Due, None),
        Event::Shutdown => (Kind::Shutdown, None),
    }
}
