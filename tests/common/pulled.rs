//! What comes up with a service.

use lar::plan::{InstanceId, ServiceId, Start, Timer, When};
use lar::supervisor::Supervisor;
use lar::supervisor::state::StateKind;

use super::Books;

impl Books {
    /// Whoever waited for that may be spawned; a run of what has a timer may begin, and pull up what it needs.
    pub(super) fn note_connection(&mut self, service: ServiceId) {
        let comes = |id: &InstanceId| {
            let timed = self.core.service(service).timer.is_some();
            let again = timed && self.core.instance(*id).wanted_up;
            again || self.core.state_kind(*id) == StateKind::Armed
        };
        let armed: Vec<InstanceId> = self.core.instances_of(service).filter(comes).collect();
        if !self.core.shutting_down() {
            armed.into_iter().for_each(|id| self.note_start(id));
        }
    }

    /// A run of whoever has a timer may be due.
    pub(super) fn note_tick(&mut self) {
        self.core.services().for_each(|service| self.note_due(service));
    }

    /// The same of one service: it begins now, or after the run that goes on.
    pub(super) fn note_due(&mut self, service: ServiceId) {
        let Some(queue) = self.core.service(service).timer.as_ref().map(|timer| timer.queue) else {
            return;
        };
        self.note_connection(service);
        self.core.instances_of(service).for_each(|id| self.shadows[id.index()].queued |= queue);
    }

    /// A process has ended, or what it left behind: the run that was due meanwhile may begin, and like any run it
    /// pulls up what it needs, also what an operator has stopped since.
    pub(super) fn note_end_of_run(&mut self, id: InstanceId) {
        let comes = self.shadows[id.index()].queued && self.core.has(id);
        if comes && self.core.instance(id).wanted_up && !self.core.shutting_down() {
            self.note_start(id);
        }
    }

    /// It may be spawned, and so may all that it pulls up.
    pub(super) fn note_start(&mut self, id: InstanceId) {
        let pulled = pulled_by(&self.core, self.core.instance(id).service);
        self.note_pulled(id, pulled);
    }

    pub(super) fn note_pulled(&mut self, id: InstanceId, pulled: Vec<ServiceId>) {
        self.shadows[id.index()].held = false;
        let service = self.core.instance(id).service;
        for pulled in pulled {
            for other in self.core.instances_of(pulled).filter(|_| pulled != service) {
                self.shadows[other.index()].held = self.core.is_leaving(other);
            }
        }
    }
}

/// Whether a service is only armed when others need it: it starts on demand, or at its time, and nothing of it is
/// there.
fn is_lazy(core: &Supervisor, id: ServiceId) -> bool {
    let at = matches!(&core.service(id).timer, Some(Timer { when: When::At(_), .. }));
    let down = [StateKind::Stopped, StateKind::Armed, StateKind::Exited, StateKind::Failed];
    (core.service(id).start == Start::OnDemand || at)
        && core
            .instances_of(id)
            .all(|id| core.is_leaving(id) || down.contains(&core.state_kind(id)))
}

/// What starting `root` starts as well, as things stand.
pub fn pulled_by(core: &Supervisor, root: ServiceId) -> Vec<ServiceId> {
    walk(core, root, |id| is_lazy(core, id))
}

/// The same, of things that stood otherwise when it was started: whatever it may have started.
pub fn pulled_at_most(core: &Supervisor, root: ServiceId) -> Vec<ServiceId> {
    walk(core, root, |_| false)
}

/// The same, also on the way of somebody who is gone by now: `before` is what each pulled up before.
pub fn pulled_through(
    core: &Supervisor,
    before: &[Vec<ServiceId>],
    root: ServiceId,
) -> Vec<ServiceId> {
    let mut list = pulled_at_most(core, root);
    let mut at = 0;
    while at < list.len() {
        let known = before.get(list[at].index()).into_iter().flatten().copied();
        let here = core.services().any(|id| id == list[at]);
        let now = if here { pulled_at_most(core, list[at]) } else { Vec::new() };
        for pulled in known.chain(now) {
            if !list.contains(&pulled) {
                list.push(pulled);
            }
        }
        at += 1;
    }
    list
}

fn walk(core: &Supervisor, root: ServiceId, ends: impl Fn(ServiceId) -> bool) -> Vec<ServiceId> {
    let mut list = vec![root];
    let mut at = 0;
    while at < list.len() {
        let order = &core.service(list[at]).order;
        for &next in order.requires.iter().chain(&order.wants) {
            if !list.contains(&next) && !ends(next) {
                list.push(next);
            }
        }
        at += 1;
    }
    list
}
