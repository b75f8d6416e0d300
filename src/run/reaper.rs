//! From SIGCHLD to exits: everybody who has ended is reaped, children and orphans alike.

use super::perform::image;
use super::signals::Single;
use super::voice::Note;
use super::{Loop, REAPS};
use crate::exit::Pid;
use crate::signal::Signal;
use crate::supervisor::{Event, Outcome, Phase, Role};
use crate::sys::reap::own_group;
use crate::sys::{clock, reap};

impl Loop {
    /// Reaps until none is left (or it is the others' turn). One at a time: its exit is handled before the next
    /// is looked at, because a pid is free for reuse from its reaping on.
    pub(super) fn reap(&mut self) {
        self.reap_again = false;
        for _ in 0..REAPS {
            let Some(pid) = reap::next() else {
                self.note(Note::Drained);
                return self.look_after_groups();
            };
            self.reap_one(pid);
        }
        self.reap_again = true;
        self.look_after_groups();
    }

    fn reap_one(&mut self, pid: Pid) {
        self.look_for_heir(pid);
        let owner = self.supervisor.owner(pid);
        let hook = owner.is_none() && self.hooks.owns(pid);
        let status = || reap::status_of(pid);
        let clears = hook || self.supervisor.kills_group(pid, status);
        let daemon = owner.is_some_and(|(instance, _)| self.supervisor.is_daemon(instance, pid));
        let group = if daemon { reap::group_of(pid).unwrap_or(pid) } else { pid };
        if clears && daemon {
            let _ = reap::kill_group_of(pid, Signal::KILL); // as below
        } else if clears {
            // Before the leader is reaped: afterwards the group's number may be somebody else's.
            // ESRCH and EPERM leave nothing to do: whoever is left is reported as lingering below.
            let _ = reap::kill_group(pid, Signal::KILL);
        }
        if let Some((instance, Role::Main)) = owner {
            // The shell, or the next process, is to find the terminal as lar found it.
            self.take_terminal_from(pid);
            if let Some(signal) = self.single.as_ref().and_then(Single::farewell) {
                // While it still holds the group's number, as above. What was stopped must be continued to hear it.
                let _ = reap::kill_group(pid, signal);
                let _ = reap::kill_group(pid, Signal::CONT);
            }
            self.output.drain(instance, clock::now(), clock::wall());
            self.report_output();
            self.end_input(instance);
        }
        let Some(status) = reap::reap(pid) else { return };
        if owner.is_none() {
            self.orphans.note(pid, status, clock::now());
        }
        if hook {
            return self.hook_ended(pid, status);
        }
        // A child of `spawn fork` that never became its program says so only now.
        let failure =
            owner.and_then(|(instance, role)| image(&mut self.images, instance, role)?.failure());
        self.note(match failure {
            Some((stage, errno)) => Note::Failed(stage, errno),
            None => Note::Reaped(pid, status, matches!(owner, Some((_, Role::Main)))),
        });
        if let Some((instance, Role::Probe)) = owner
            && self.supervisor.instance(instance).phase == Phase::Starting
        {
            self.note(Note::Tested(status.success()));
        }
        if let Some((instance, role)) = owner
            && !status.success()
        {
            self.tell_command(instance, role, Outcome::Exited(status));
        }
        let lingering = clears && group != own_group() && !reap::group_is_empty(group);
        if let (true, Some((instance, Role::Main))) = (lingering, owner) {
            // An older group that was given up on must not answer for this one.
            self.lingering.retain(|&(_, other)| other != instance);
            self.lingering.push((group, instance));
        }
        self.inbox.push_back(match failure {
            Some((stage, errno)) => Event::ExecFailed { pid, stage, errno },
            None => Event::Exited { pid, status, lingering },
        });
        self.digest();
    }

    /// Tells the core which lingering groups are gone.
    fn look_after_groups(&mut self) {
        let mut at = 0;
        while let Some(&(pid, instance)) = self.lingering.get(at) {
            if reap::group_is_empty(pid) {
                self.lingering.swap_remove(at);
                self.inbox.push_back(Event::GroupGone { instance });
                self.digest();
            } else {
                at += 1;
            }
        }
        if self.single.as_ref().is_some_and(|single| single.job_control) {
            self.look_after_stops();
        }
    }
}
