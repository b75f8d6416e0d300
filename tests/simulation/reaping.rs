//! Children end, and are reaped.

use lar::exit::{Errno, Stage};
use lar::supervisor::Event;
use lar::time::Duration;

use crate::counts::Fault;
use crate::world::{Child, Happening, World};

impl World<'_> {
    /// SIGCHLD is a hint: all that have ended are reaped, one after the other.
    pub fn reap(&mut self) {
        let ended = self.children.iter().filter(|child| child.ended.is_some()).count();
        if ended > 1 {
            self.counts.fault(Fault::ExitsCoalesced);
        }
        loop {
            let ended: Vec<usize> =
                (0..self.children.len()).filter(|&at| self.children[at].ended.is_some()).collect();
            if ended.is_empty() {
                return;
            }
            let at = ended[self.random.below(ended.len() as u64) as usize];
            let Child { pid, ended, .. } = self.children[at];
            let kills_group = self.books.core.kills_group(pid, || ended);
            let child = self.children.swap_remove(at);
            let Child { pid, instance, serial, .. } = child;
            let Some(status) = child.ended else { return };
            self.free.push(pid);
            let members = child.members.filter(|_| kills_group);
            if let Some(longer) = members {
                let long = longer > Duration::from_secs(1);
                let fault = if long { Fault::GroupLingersLong } else { Fault::GroupLingers };
                self.counts.fault(fault);
                self.groups[instance.index()] = serial;
                let gone = self.books.now + longer;
                self.coming.push((gone, Happening::GroupGone { instance, serial }));
            }
            let failed = self.faults && members.is_none() && self.random.chance(5);
            let event = match failed {
                true => {
                    self.counts.fault(Fault::ExecFailsLate);
                    let (stage, errno) = (Stage::Exec, Errno(2));
                    Event::ExecFailed { pid, stage, errno }
                }
                false => Event::Exited { pid, status, lingering: members.is_some() },
            };
            self.tell(event);
        }
    }
}
