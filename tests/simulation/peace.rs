//! Liveness: once nothing misbehaves any more, everything must become what its rules make of it.

use lar::exit::ExitStatus;
use lar::plan::{InstanceId, Kind, Restart, ServiceId, Standing};
use lar::supervisor::state::StateKind;
use lar::supervisor::{Phase, Role};
use lar::time::Duration;

use crate::world::{Happening, World};

impl World<'_> {
    /// Faults off: within a bounded time every service is what its rules make of it.
    pub fn find_peace(&mut self) {
        self.faults = false;
        self.coming.retain(|(_, what)| {
            !matches!(
                what,
                Happening::Operator
                    | Happening::Connection
                    | Happening::Stray
                    | Happening::Shutdown
            )
        });
        for at in 0..self.children.len() {
            let child = &mut self.children[at];
            (child.deaf, child.unkillable) = (false, false);
            let (serial, told) = (child.serial, child.told_to_end);
            self.soon(1000, Happening::Ready { serial });
            let status = ExitStatus::SUCCESS;
            let instance = self.children[at].instance;
            let aide = self.children[at].role != Role::Main;
            let oneshot = self.books.service(instance).kind == Kind::Oneshot;
            let run = self.books.core.instance(instance).standing == Standing::Run;
            self.begin_beating(instance, serial);
            let owner = self.books.core.owner(self.children[at].pid);
            let launcher = owner.is_some() && self.books.kind(instance) == StateKind::Forking;
            if told || oneshot || run || aide || launcher {
                self.soon(1000, Happening::Death { serial, status });
            }
        }
        let end = self.books.now + Duration::from_secs(3 * 3600);
        while self.books.finished.is_none() && !self.at_peace() {
            let still = self.coming.is_empty() && self.answers.is_empty();
            if still && self.books.core.next_deadline().is_none() {
                break;
            }
            assert!(self.books.now < end, "no peace: {}", self.describe());
            self.step();
        }
        let peace = self.at_peace() || self.books.core.shutting_down();
        assert!(peace, "nothing moves: {}", self.describe());
    }

    fn describe(&self) -> String {
        let core = &self.books.core;
        let word = |id| {
            let peace = if self.is_at_peace(id) { "" } else { "HERE: " };
            format!("{peace}{} {:?}", core.label(id), core.instance(id))
        };
        core.instances().map(word).collect::<Vec<_>>().join("\n")
    }

    fn at_peace(&self) -> bool {
        self.books.core.instances().all(|id| self.is_at_peace(id))
    }

    fn is_at_peace(&self, id: InstanceId) -> bool {
        let instance = self.books.core.instance(id);
        if self.books.core.renews(id) {
            // Only if what its successor depends on is held up; or its turn comes after somebody of whom that is true.
            let next = |next: &InstanceId| {
                let next = self.books.core.instance(*next);
                (next.standing, next.peer) == (Standing::Next, Some(id))
            };
            let all = || self.books.core.all_of(instance.service);
            match all().find(next) {
                Some(next) => return self.is_at_peace(next),
                None => {
                    let next = |id: &InstanceId| {
                        self.books.core.instance(*id).standing == Standing::Next
                            && self.is_at_peace(*id)
                    };
                    if self.books.core.awaits_successor(id) || !all().any(|id| next(&id)) {
                        return false;
                    }
                }
            }
        }
        match instance.phase {
            // Who runs beside the instances is forgotten when it is over.
            _ if instance.standing != Standing::Regular && instance.phase != Phase::Waiting => {
                false
            }
            _ if instance.wanted_up && (self.loops(id) || self.is_dragged(instance.service)) => {
                true
            }
            Phase::Running => instance.wanted_up,
            Phase::Unhealthy => false,
            Phase::Stopped => {
                instance.wanted_up == (self.books.core.state_kind(id) == StateKind::Armed)
            }
            Phase::Exited | Phase::Failed => true,
            Phase::Waiting => {
                let order = &self.books.service(id).order;
                let hopeless = order.requires.iter().any(|&on| self.has_ended(on));
                !hopeless && order.all().any(|on| self.is_held_up(on))
            }
            Phase::Starting | Phase::Backoff | Phase::Cooldown => self.loops(id),
            Phase::Stopping => false,
        }
    }

    /// Not ready, and rightly so: an operator keeps it down, or has scaled it to nothing, or it waits itself, or never
    /// ends.
    fn is_held_up(&self, on: ServiceId) -> bool {
        let rightly = |id| {
            let phase = self.books.core.instance(id).phase;
            [Phase::Stopped, Phase::Waiting].contains(&phase) || self.loops(id)
        };
        let none = self.books.core.instances_of(on).next().is_none();
        (none || self.books.core.instances_of(on).any(rightly)) && !self.books.satisfied(on)
    }

    /// Ended for good: whoever requires it must not wait for it.
    fn has_ended(&self, on: ServiceId) -> bool {
        if self.books.core.service(on).timer.is_some() {
            return false;
        }
        let ended = |id| {
            let phase = self.books.core.instance(id).phase;
            [Phase::Exited, Phase::Failed].contains(&phase) && !self.books.core.is_up(id)
        };
        self.books.core.instances_of(on).any(ended)
    }

    /// Restarted along with one that is done again and again, or with somebody who is.
    fn is_dragged(&self, service: ServiceId) -> bool {
        self.books.core.service(service).order.restart_with.iter().any(|&with| {
            self.books.core.instances_of(with).any(|id| self.loops(id)) || self.is_dragged(with)
        })
    }

    /// A one-shot that is done again and again.
    fn loops(&self, id: InstanceId) -> bool {
        let service = self.books.service(id);
        // zdaemon's order: a quick exit with 0 rests first, however often.
        let again = service.rules.restart == Restart::Always || service.rules.governor_first;
        service.kind == Kind::Oneshot && (again || service.timer.is_some())
    }
}
