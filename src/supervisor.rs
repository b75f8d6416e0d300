//! The core.
pub mod event;
pub mod journal;

use crate::exit::{ExitStatus, Pid};
use crate::plan::{InstanceId, Label, Plan, ServiceId};
use crate::time::Instant;
pub use event::{Action, Cause, Change, Event, Phase, Role, SignalTarget, Ticket, Verb};

/// The state machine of everything that is supervised.
pub struct Supervisor {
    plan: Plan,
}

/// What can be said about an instance from outside.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Its service.
    pub service: ServiceId,
    /// Its number within the service, from 1.
    pub number: u32,
    /// What it is.
    pub phase: Phase,
    /// What the operator wants it to be.
    pub wanted_up: bool,
    /// Its main process.
    pub pid: Option<Pid>,
    /// Since when it is in this phase.
    pub since: Instant,
    /// When the main process was spawned.
    pub spawned: Option<Instant>,
    /// When the next try is due (`backoff`, `cooldown`).
    pub next: Option<Instant>,
    /// How the last main process ended.
    pub last_exit: Option<ExitStatus>,
    /// How often the main process was started again after a death.
    pub restarts: u64,
    /// The last order it got.
    pub ticket: Ticket,
    /// Whether its last stop needed KILL.
    pub forced: bool,
    /// Why it is in this phase.
    pub cause: Cause,
}

impl Supervisor {
    /// A supervisor of this plan, everything still down. The seed is for jitter.
    pub fn new(plan: Plan, _seed: u64) -> Supervisor {
        Supervisor { plan }
    }
    /// Tells it that something happened.
    pub fn handle(&mut self, _now: Instant, _event: Event) {}
    /// What is to be done next; drain to `None` before the next [`Supervisor::handle`].
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }
    /// When [`Event::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }
    /// What it supervises.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// All instances.
    pub fn instances(&self) -> impl DoubleEndedIterator<Item = InstanceId> + use<> {
        (0..0).map(InstanceId)
    }
    /// The instances of one service.
    pub fn instances_of(
        &self,
        _id: ServiceId,
    ) -> impl DoubleEndedIterator<Item = InstanceId> + use<> {
        (0..0).map(InstanceId)
    }
    /// One instance.
    pub fn instance(&self, _id: InstanceId) -> Instance {
        unreachable!()
    }
    /// Its name.
    pub fn label(&self, id: InstanceId) -> Label<'_> {
        let instance = self.instance(id);
        self.plan.service(instance.service).label(instance.number)
    }
    /// Who is to come after `id` because it requires, wants, or follows it. Each once.
    pub fn dependents(&self, _id: ServiceId) -> &[ServiceId] {
        &[]
    }
    /// Who requires `id`. Each once.
    pub fn requirers(&self, _id: ServiceId) -> &[ServiceId] {
        &[]
    }
    /// Its place in an order in which each comes after all it depends on.
    pub fn rank(&self, _id: ServiceId) -> u32 {
        0
    }
    /// Whether the manager is ending.
    pub fn shutting_down(&self) -> bool {
        false
    }
}
