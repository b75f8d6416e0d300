//! What nobody has asked for.

use lar::exit::{ExitStatus, Pid, Stage};
use lar::plan::InstanceId;
use lar::supervisor::state::StateKind;
use lar::supervisor::{Event, Found, Role, Told};
use lar::time::Duration;

use crate::counts::Fault;
use crate::random::ERRNOS;
use crate::world::{Happening, World};

impl World<'_> {
    /// One that is in a state in which few are, if there is any.
    fn rare_instance(&mut self) -> InstanceId {
        use StateKind::{Armed, Cooldown, Forking, Preparing, Seeking, Unhealthy};
        let rare = [Armed, Cooldown, Forking, Preparing, Seeking, Unhealthy];
        let rare = |id: &InstanceId| rare.contains(&self.books.kind(*id));
        let rare: Vec<_> = self.books.core.instances().filter(rare).collect();
        match !rare.is_empty() && self.random.chance(60) {
            true => self.random.pick(&rare),
            false => self.any_instance(),
        }
    }

    /// A process that a launcher might have left behind.
    pub fn child_of_nobody(&mut self, instance: InstanceId) -> Pid {
        let pid = self.birth_of(instance, Role::Main, true);
        let serial = self.children.last().map_or(0, |child| child.serial);
        self.soon(3000, Happening::Death { serial, status: ExitStatus::Code(4) });
        pid
    }

    /// Something that nobody asked for.
    pub fn stray(&mut self) {
        let instance = self.rare_instance();
        let ready = self.random.chance(50);
        if self.free.len() < 50 {
            return;
        }
        self.counts.fault(Fault::Stray);
        let event = match self.random.below(if self.faults { 14 } else { 1 }) {
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
                let role = self.random.pick(&Role::ALL);
                let pid = self.birth(instance, role);
                Event::Spawned { instance, role, pid }
            }
            4 | 5 => {
                let role = self.random.pick(&Role::ALL);
                let (stage, errno) = (Stage::Exec, self.random.pick(&ERRNOS));
                Event::SpawnFailed { instance, role, stage, errno }
            }
            6 => Event::GroupGone { instance },
            7 => Event::Told { instance, what: Told::Ready },
            8 => Event::Looked { instance, active: ready },
            9 => {
                let pid = self.child_of_nobody(instance);
                let found = [
                    Found::Main(pid),
                    Found::Nothing,
                    Found::Foreign(Pid(30_000)),
                    Found::Gone(Pid(30_000), None),
                    Found::Gone(Pid(30_000), Some(ExitStatus::Code(9))),
                ];
                Event::Found { instance, what: self.random.pick(&found) }
            }
            10 => return self.claim_main(instance),
            11 => {
                let every = Told::Every(Duration::from_millis(300));
                let told = [Told::Beat, Told::Trigger, Told::Stopping, every];
                Event::Told { instance, what: self.random.pick(&told) }
            }
            _ => {
                let role = self.random.pick(&[Role::Probe, Role::Health]);
                Event::Probed { instance, role, good: ready }
            }
        };
        self.tell(event);
    }
}
