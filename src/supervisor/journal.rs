//! What has happened lately: the latest changes of each instance (`ctl why`) and of all (`ctl
//! events`).
//!
//! Not the event log, and not part of the core's decisions: it only remembers. Everything is
//! allocated at load, or by an edit; [`Journal::record`] allocates nothing, because it stands on the restart path.

use super::event::Change;
use crate::plan::{InstanceId, ServiceId};
use crate::time::Duration;

/// How many changes of each instance are kept. A crash and its restart are four, so `why` shows
/// the latest two; the memory of 10 000 instances stays below 10 MB.
pub const KEPT: usize = 8;

/// How many changes of all are kept at least, for subscribers that are behind: two for each
/// instance, so that a whole boot within one turn of the loop does not outrun a client that reads.
const LATEST: usize = 256;

/// One remembered change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, counted from 0 since the manager's start.
    pub seq: u64,
    /// When it was, by the wall clock, since the epoch. For display only.
    pub wall: Duration,
    /// What.
    pub change: Change,
}

/// The latest changes.
#[derive(Debug)]
pub struct Journal {
    of_each: Vec<Option<Entry>>,
    counts: Vec<u64>,
    latest: Vec<Option<Entry>>,
    next: u64,
    /// What was there before is not kept.
    first: u64,
}

impl Journal {
    /// A journal for this many instances.
    pub fn new(instances: usize) -> Journal {
        Journal {
            of_each: vec![None; instances * KEPT],
            counts: vec![0; instances],
            latest: vec![None; LATEST.max(instances * 2)],
            next: 0,
            first: 0,
        }
    }

    /// Remembers a change; the oldest falls out.
    pub fn record(&mut self, change: Change, wall: Duration) {
        let entry = Some(Entry { seq: self.next, wall, change });
        let length = self.latest.len() as u64;
        self.latest[(self.next % length) as usize] = entry;
        self.next += 1;
        let index = change.instance.index();
        if let Some(count) = self.counts.get_mut(index) {
            self.of_each[index * KEPT + (*count % KEPT as u64) as usize] = entry;
            *count += 1;
        }
    }

    /// The latest changes of one instance, oldest first.
    pub fn of(&self, instance: InstanceId) -> impl Iterator<Item = &Entry> {
        let index = instance.index();
        let count = self.counts.get(index).copied().unwrap_or(0);
        let oldest = count.saturating_sub(KEPT as u64);
        let slot = move |n: u64| index * KEPT + (n % KEPT as u64) as usize;
        (oldest..count).filter_map(move |n| self.of_each.get(slot(n))?.as_ref())
    }

    /// Makes room for this many instances. Changes that are kept stay.
    pub fn grow(&mut self, instances: usize) {
        if instances <= self.counts.len() {
            return;
        }
        self.counts.resize(instances, 0);
        self.of_each.resize(instances * KEPT, None);
        if instances * 2 > self.latest.len() {
            // In leaps: who adds a thousand adds them one by one.
            let length = (instances * 2).next_power_of_two();
            let mut latest = vec![None; length];
            for entry in self.latest.iter().flatten() {
                latest[(entry.seq % length as u64) as usize] = Some(*entry);
            }
            self.first = self.oldest();
            self.latest = latest;
        }
    }

    /// Forgets an instance that is no more, because another gets its number.
    pub fn forget(&mut self, instance: InstanceId) {
        match self.counts.get_mut(instance.index()) {
            Some(count @ 1..) => *count = 0,
            _ => return,
        }
        for entry in &mut self.latest {
            if entry.is_some_and(|entry| entry.change.instance == instance) {
                *entry = None;
            }
        }
    }

    /// Lets go of a service that is no more, because another gets its number.
    pub fn forget_service(&mut self, gone: ServiceId) {
        for entry in self.latest.iter_mut().chain(&mut self.of_each).flatten() {
            entry.change.cause.forget(gone);
        }
    }

    /// The number that the next change will get.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the oldest change that is kept.
    pub fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.latest.len() as u64).max(self.first)
    }

    /// The change with this number, if it is kept.
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        let slot = (seq % self.latest.len() as u64) as usize;
        self.latest[slot].as_ref().filter(|entry| entry.seq == seq)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Cause, Phase};
    use super::*;
    use crate::time::Instant;

    fn change(instance: u32, at: u64) -> Change {
        Change {
            instance: InstanceId(instance),
            at: Instant::from_nanos(at),
            from: Phase::Starting,
            to: Phase::Running,
            cause: Cause::Ready,
            pid: None,
            next: None,
        }
    }

    #[test]
    fn each_instance_keeps_its_own_latest() {
        let mut journal = Journal::new(2);
        (0..20).for_each(|at| journal.record(change(0, at), Duration::ZERO));
        journal.record(change(1, 99), Duration::ZERO);
        let nanos = |id| -> Vec<u64> {
            journal.of(InstanceId(id)).map(|entry| entry.change.at.as_nanos()).collect()
        };
        assert_eq!(nanos(0), (12..20).collect::<Vec<_>>());
        assert_eq!(nanos(1), [99]);
        assert_eq!(journal.of(InstanceId(7)).count(), 0);
    }

    #[test]
    fn a_reader_learns_what_it_missed() {
        let mut journal = Journal::new(1);
        (0..300).for_each(|at| journal.record(change(0, at), Duration::ZERO));
        assert_eq!((journal.oldest(), journal.next()), (44, 300));
        assert_eq!(journal.get(43), None);
        assert_eq!(journal.get(44).map(|entry| entry.change.at.as_nanos()), Some(44));
        assert_eq!(journal.get(300), None);
    }
}
