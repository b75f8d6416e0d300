//! What a run has seen: which (state, event) pairs, which faults, how many events.

use lar::exit::Pid;
use lar::plan::InstanceId;
use lar::supervisor::state::StateKind;
use lar::supervisor::{Event, Found, Role, Told, Verb};

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

list!(Kind: Boot Tick SpawnedMain SpawnedPreStart SpawnedProbe SpawnedHealth SpawnedCommand FailedMain FailedPreStart
    FailedProbe FailedCommand ExitedMain ExitedPreStart ExitedAide ExitedUnknown
    ExecFailedMain GroupGone Ready Beat Trigger Every Stopping MainPid FoundNothing FoundMain FoundForeign FoundGone
    LookedYes LookedNo ProbedYes ProbedNo HealthYes HealthNo Start Stop Restart Roll Clear Kill Reload Ensure Forward
    Connection Due Shutdown);

list!(Fault: SpawnEnoent SpawnEagain SpawnLate DeafToTerm Unkillable DiedWhileStopping NeverReady
    LateReady ProbeHangs ProbeAnswersLate ProbeSpawnFails PidReused ExitsCoalesced UnknownPid
    GroupLingers GroupLingersLong ClockJump Stray SecondShutdown StoppedByNobody
    ExecFailsLate Added Removed Redefined Scaled Once RunOverdue Renewed RenewedLate NoSuccessor Exchanged Idle
    RunEvery RunAt RunQueued Retimed OnceBesideTimer OnceOnDemand ExchangedOnDemand Left LeftWithSuccessor
    NeverForks LauncherFails FailsAfterFork NoPidFile ForeignPidFile LatePidFile OwnedPidFile DaemonDiesEarly StrayFound
    SilentLog CommandHangs CommandFails CommandSpawnFails ExchangedByCommand BeatsStop MainPid);

/// Every state, in the order of its number.
const STATES: [StateKind; StateKind::COUNT] = [
    StateKind::Stopped,
    StateKind::Armed,
    StateKind::Waiting,
    StateKind::Spawning,
    StateKind::Preparing,
    StateKind::Forking,
    StateKind::Seeking,
    StateKind::Starting,
    StateKind::Running,
    StateKind::Unhealthy,
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

/// Whether the contract allows this pair: a main process belongs to some states only, and `Boot`
/// comes once and first.
fn possible(state: StateKind, kind: Kind) -> bool {
    use StateKind::{Forking, Preparing, Running, Starting, Stopping, Unhealthy};
    match kind {
        Kind::ExitedMain | Kind::ExecFailedMain => {
            [Forking, Starting, Running, Unhealthy, Stopping].contains(&state)
        }
        Kind::ExitedPreStart => [Preparing, Stopping].contains(&state),
        Kind::Boot => state == StateKind::Stopped,
        _ => true,
    }
}

/// A process that has come, could not come, or has ended, by its role.
fn by_role(role: Role, [main, pre_start, probe, health, command]: [Kind; 5]) -> Kind {
    match role {
        Role::Main => main,
        Role::PreStart => pre_start,
        Role::Probe => probe,
        Role::Health => health,
        Role::Stop | Role::Restart | Role::Reload | Role::PostStop => command,
    }
}

fn sort(books: &Books, event: Event) -> (Kind, Option<InstanceId>) {
    use Kind::{
        ExecFailedMain, ExitedAide, ExitedMain, ExitedPreStart, FailedCommand, FailedMain,
        FailedPreStart, FailedProbe, SpawnedCommand, SpawnedHealth, SpawnedMain, SpawnedPreStart,
        SpawnedProbe,
    };
    let owner = |pid: Pid| books.core.owner(pid);
    let spawned = [SpawnedMain, SpawnedPreStart, SpawnedProbe, SpawnedHealth, SpawnedCommand];
    let failed = [FailedMain, FailedPreStart, FailedProbe, FailedProbe, FailedCommand];
    let exited = [ExitedMain, ExitedPreStart, ExitedAide, ExitedAide, ExitedAide];
    let unlike = [ExecFailedMain, ExitedPreStart, ExitedAide, ExitedAide, ExitedAide];
    let ended = |pid, kinds| match owner(pid) {
        Some((instance, role)) => (by_role(role, kinds), Some(instance)),
        None => (Kind::ExitedUnknown, None),
    };
    match event {
        Event::Boot => (Kind::Boot, None),
        Event::Tick => (Kind::Tick, None),
        Event::Spawned { instance, role, .. } => (by_role(role, spawned), Some(instance)),
        Event::SpawnFailed { instance, role, .. } => (by_role(role, failed), Some(instance)),
        Event::Exited { pid, .. } => ended(pid, exited),
        Event::ExecFailed { pid, .. } => ended(pid, unlike),
        Event::Told { instance, what } => (told(what), Some(instance)),
        Event::Found { instance, what } => (found(what), Some(instance)),
        Event::Looked { instance, active: true } => (Kind::LookedYes, Some(instance)),
        Event::Looked { instance, active: false } => (Kind::LookedNo, Some(instance)),
        Event::GroupGone { instance } => (Kind::GroupGone, Some(instance)),
        Event::Probed { instance, role, good } => {
            let kind = match (role == Role::Health, good) {
                (false, true) => Kind::ProbedYes,
                (false, false) => Kind::ProbedNo,
                (true, true) => Kind::HealthYes,
                (true, false) => Kind::HealthNo,
            };
            (kind, Some(instance))
        }
        Event::Order { instance, verb, .. } => match verb {
            Verb::Start => (Kind::Start, Some(instance)),
            Verb::Stop | Verb::Remove | Verb::Scale | Verb::Once => (Kind::Stop, Some(instance)),
            Verb::Roll => (Kind::Roll, Some(instance)),
            Verb::Restart | Verb::Apply | Verb::Replace => (Kind::Restart, Some(instance)),
            Verb::Clear => (Kind::Clear, Some(instance)),
            Verb::Kill(_) => (Kind::Kill, Some(instance)),
            Verb::Reload => (Kind::Reload, Some(instance)),
            Verb::Ensure => (Kind::Ensure, Some(instance)),
        },
        Event::Forward { instance, .. } => (Kind::Forward, Some(instance)),
        Event::Connection { .. } => (Kind::Connection, None),
        Event::Due { .. } => (Kind::Due, None),
        Event::Shutdown => (Kind::Shutdown, None),
    }
}

fn told(what: Told) -> Kind {
    match what {
        Told::Ready => Kind::Ready,
        Told::Beat => Kind::Beat,
        Told::Trigger => Kind::Trigger,
        Told::Every(_) => Kind::Every,
        Told::Stopping => Kind::Stopping,
        Told::Main(_) => Kind::MainPid,
    }
}

fn found(what: Found) -> Kind {
    match what {
        Found::Nothing => Kind::FoundNothing,
        Found::Main(_) => Kind::FoundMain,
        Found::Foreign(_) => Kind::FoundForeign,
        Found::Gone(..) => Kind::FoundGone,
    }
}
