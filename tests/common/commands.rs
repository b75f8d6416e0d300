//! What the books know of the commands around a program, of daemons and of health.

use lar::exit::Pid;
use lar::plan::{InstanceId, Standing, Task};
use lar::supervisor::state::StateKind;
use lar::supervisor::{Cause, Change, Found, Phase, Role};

use super::{Books, CLIMB, Climb, Process};

impl Books {
    /// Whether it has this command.
    pub fn has(&self, id: InstanceId, task: Task) -> bool {
        self.core.process(id).is_some_and(|process| process.task(task).is_some())
    }

    /// Whether its program may come, because the command before it has done its work.
    pub(super) fn follows(&mut self, id: InstanceId) -> bool {
        let shadow = &mut self.shadows[id.index()];
        let follows = std::mem::take(&mut shadow.prepared);
        if follows {
            assert!(!shadow.spawning, "spawned twice");
            (shadow.spawning, shadow.asked) = (true, Some(Role::Main));
        }
        follows
    }

    /// A command that is not the program is asked for.
    pub(super) fn audit_command(&mut self, id: InstanceId, role: Role) {
        let label = self.core.label(id).to_string();
        assert_eq!(self.process(id, role), None, "{label}: one {role:?} at a time");
        let task = role.task();
        let run = self.core.instance(id).standing == Standing::Run;
        assert!(task.is_none_or(|task| self.has(id, task) && !run), "{label}: no {role:?}");
        let now = self.now;
        let patience = self.service(id).stop_timeout;
        let (killing, redefined) = (self.kill_at.is_some_and(|at| at < now), self.redefined);
        let main = self.process(id, Role::Main);
        let shadow = &mut self.shadows[id.index()];
        match role {
            Role::Stop => {
                let climb =
                    shadow.climb.as_mut().unwrap_or_else(|| panic!("{label}: not stopping"));
                assert!(climb.rung == 0 && !climb.abort, "{label}: signals came before");
                assert!(
                    climb.due.is_some_and(|due| due <= now),
                    "{label}: before the drain is over"
                );
                (climb.due, climb.fresh, climb.command) = (Some(now + patience), false, true);
            }
            Role::PostStop => {
                assert!(main.is_none() && !killing, "{label}: afterwards comes after");
                let owes = shadow.owes || redefined;
                assert!(owes, "{label}: afterwards comes once");
                shadow.owes = false;
                shadow.afterwards = Some(now + patience);
            }
            Role::Restart | Role::Reload => assert!(main.is_some(), "{label}: {role:?} of nothing"),
            Role::Probe | Role::Health | Role::Main | Role::PreStart => {}
        }
    }

    /// The command that is to stop it has ended: if it failed, signals follow at once.
    pub(super) fn note_stop_command(&mut self, id: InstanceId, good: bool) {
        let now = self.now;
        if let Some(climb) = &mut self.shadows[id.index()].climb
            && !good
            && climb.rung == 0
            && climb.command
        {
            (climb.due, climb.command) = (Some(now), false);
        }
    }

    /// What belongs to the end of the last process is done before the next one comes.
    pub(super) fn audit_afterwards(&mut self, id: InstanceId, label: &str) {
        let shadow = &self.shadows[id.index()];
        let over = shadow.afterwards.is_none_or(|until| until <= self.now);
        assert!(over, "{label}: spawned before post-stop was done");
        // One that hangs in the kernel keeps the next one from being run; so does another definition.
        let hangs = self.process(id, Role::PostStop).is_some() || self.redefined;
        assert!(!shadow.owes || hangs || shadow.hung, "{label}: post-stop was left out");
    }

    /// Another process is an instance's main one, if the core takes it on: it may be somebody's already.
    pub(super) fn note_main_pid(&mut self, id: InstanceId, pid: Pid) {
        let takes = [StateKind::Starting, StateKind::Running, StateKind::Unhealthy];
        if !takes.contains(&self.kind(id)) || self.core.owner(pid).is_some() {
            return if self.kind(id) == StateKind::Seeking {
                self.note_found(id, Found::Main(pid));
            };
        }
        self.processes.retain(|p| (p.instance, p.role) != (id, Role::Main));
        self.adopt(id, pid);
    }

    /// A daemon was found, or something that it had left behind.
    pub(super) fn note_found(&mut self, id: InstanceId, what: Found) {
        let Found::Main(pid) = what else { return };
        if self.core.owner(pid).is_some() {
            return; // somebody's already
        }
        match self.kind(id) {
            StateKind::Seeking => self.adopt(id, pid),
            StateKind::Clearing if self.core.looks_for_strays(id) => {
                self.adopt(id, pid);
                let climb = Climb { due: Some(self.now), abort: true, stray: true, ..CLIMB };
                self.shadows[id.index()].climb = Some(climb);
            }
            _ => {}
        }
    }

    fn adopt(&mut self, instance: InstanceId, pid: Pid) {
        self.processes.retain(|p| p.pid != pid);
        self.processes.push(Process { pid, instance, role: Role::Main, adopted: true });
    }

    /// Only who is asked can be unhealthy, and only who was can be healthy again.
    pub(super) fn audit_health(&self, change: &Change, label: &str) {
        let Change { instance: id, from, to, cause, .. } = *change;
        let asked = self.core.process(id).is_some_and(|process| process.health.is_some());
        assert!(to != Phase::Unhealthy || asked, "{label}: nobody asks how it is");
        let well = [Cause::Healthy, Cause::Left].contains(&cause);
        let up = from == Phase::Unhealthy && to == Phase::Running;
        assert!(!up || well, "{label}: healthy by itself");
    }
}
