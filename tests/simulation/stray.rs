//! What nobody has asked for.

use lar::exit::{ExitStatus, Stage};
use lar::supervisor::{Event, Role};

use crate::counts::Fault;
use crate::random::ERRNOS;
use crate::world::World;

impl World<'_> {
    /// Something that nobody asked for.
    pub fn stray(&mut self) {
        let instance = self.any_instance();
        let ready = self.random.chance(50);
        if self.free.len() < 50 {
            return;
        }
        self.counts.fault(Fault::Stray);
        let event = match self.random.below(if self.faults { 10 } else { 1 }) {
            0 | 1 => {
                self.counts.fault(Fault::UnknownPid);
                let (pid, status) = (self.free[0], ExitStatus::Code(7));
                Event::Exited { pid, status, lingering: false }
            }
            2 => {
                let pid = self.birth(instance, Role::Main);
                Event::Spawned { instance, role: Role::Main, pid }
            }
            3 => {
                let pid = self.birth(instance, Role::Probe);
                Event::Spawned { instance, role: Role::Probe, pid }
            }
            4 | 5 => {
                let role = if ready { Role::Main } else { Role::Probe };
                let (stage, errno) = (Stage::Exec, self.random.pick(&ERRNOS));
                Event::SpawnFailed { instance, role, stage, errno }
            }
            6 => Event::GroupGone { instance },
            7 => Event::Notified { instance },
            _ => Event::Probed { instance, ready },
        };
        self.tell(event);
    }
}
