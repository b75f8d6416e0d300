//! What has happened lately: the latest changes of each instance (`ctl why`), and all events of all of them (`ctl
//! events`, hooks).
//!
//! Not the event log, and not part of the core's decisions: it only remembers. Everything is allocated at load, or by
//! an edit; [`Journal::record`] allocates nothing, because it stands on the restart path. An entry keeps the name of
//! whom it is about, for as long as it is there: a place may soon be somebody else's.

use std::rc::Rc;

use super::Supervisor;
use super::event::Change;
use crate::exit::Pid;
use crate::plan::{EventKind, InstanceId, Kinds, Label, ServiceId, Standing};
use crate::signal::Signal;
use crate::time::{Instant, Wall};

/// How many changes of each instance are kept. A crash and its restart are four, so `why` shows
/// the latest two; the memory of 10 000 instances stays below 15 MB.
pub const KEPT: usize = 8;

/// How many events of all are kept at least, for subscribers that are behind: two for each
/// instance, so that a whole boot within one turn of the loop does not outrun a client that reads.
const LATEST: usize = 256;

/// What an instance is called.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    /// Its service's name.
    pub service: Box<str>,
    /// Its number, from 1.
    pub number: u32,
}

/// Something that happened to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is in another state.
    Changed(Change),
    /// It is new.
    Created,
    /// It has another configuration.
    Updated,
    /// It is no more.
    Removed,
    /// Its main process was sent a signal.
    Signalled(Pid, Signal),
}

/// One remembered event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, counted from 0 since the manager's start.
    pub seq: u64,
    /// When it was.
    pub at: Instant,
    /// The same by the wall clock. For display only.
    pub wall: Wall,
    /// Whom it is about.
    pub instance: InstanceId,
    /// What that one is called.
    pub name: Rc<Name>,
    /// Whether its number belongs to its name.
    pub several: bool,
    /// What it was to its service.
    pub standing: Standing,
    /// What.
    pub news: News,
}

impl Entry {
    /// Its name as people see it.
    pub fn label(&self) -> Label<'_> {
        let Name { service, number } = &*self.name;
        Label { service, number: *number, several: self.several, standing: self.standing }
    }

    /// The step from one state to another, if it is one.
    pub fn change(&self) -> Option<&Change> {
        match &self.news {
            News::Changed(change) => Some(change),
            News::Created | News::Updated | News::Removed | News::Signalled(..) => None,
        }
    }

    /// Of which kinds it is.
    pub fn kinds(&self) -> Kinds {
        match self.news {
            News::Changed(change) => change.kinds,
            News::Created => Kinds::of(EventKind::Created),
            News::Updated => Kinds::of(EventKind::Updated),
            News::Removed => Kinds::of(EventKind::Removed),
            News::Signalled(..) => Kinds::of(EventKind::Signalled),
        }
    }
}

/// The latest events.
#[derive(Debug)]
pub struct Journal {
    names: Vec<Option<Rc<Name>>>,
    of_each: Vec<Option<Entry>>,
    counts: Vec<u64>,
    latest: Vec<Option<Entry>>,
    next: u64,
    /// What was there before is not kept.
    first: u64,
}

impl Journal {
    /// An empty journal of everybody there is.
    pub fn new(supervisor: &Supervisor) -> Journal {
        let mut journal = Journal {
            names: Vec::new(),
            of_each: Vec::new(),
            counts: Vec::new(),
            latest: vec![None; LATEST.max(supervisor.instances().len() * 2)],
            next: 0,
            first: 0,
        };
        supervisor.instances().for_each(|id| journal.enlist(supervisor, id));
        journal
    }

    /// Remembers what has happened; the oldest falls out.
    pub fn record(
        &mut self,
        supervisor: &Supervisor,
        instance: InstanceId,
        news: News,
        at: Instant,
        wall: Wall,
    ) {
        let index = instance.index();
        let Some(Some(name)) = self.names.get(index) else { return };
        let Label { several, standing, .. } = supervisor.label(instance);
        let (seq, name) = (self.next, Rc::clone(name));
        let entry = Entry { seq, at, wall, instance, name, several, standing, news };
        if let (Some(count), News::Changed(_)) = (self.counts.get_mut(index), news) {
            let slot = index * KEPT + (*count % KEPT as u64) as usize;
            *count += 1;
            if let Some(place) = self.of_each.get_mut(slot) {
                *place = Some(entry.clone());
            }
        }
        let length = self.latest.len() as u64;
        if let Some(place) = self.latest.get_mut((seq % length) as usize) {
            *place = Some(entry);
        }
        self.next += 1;
    }

    /// The latest changes of one instance, oldest first.
    pub fn of(&self, instance: InstanceId) -> impl Iterator<Item = &Entry> {
        let index = instance.index();
        let count = self.counts.get(index).copied().unwrap_or(0);
        let oldest = count.saturating_sub(KEPT as u64);
        let slot = move |n: u64| index * KEPT + (n % KEPT as u64) as usize;
        (oldest..count).filter_map(move |n| self.of_each.get(slot(n))?.as_ref())
    }

    /// Takes somebody on who is new, and makes room. What is kept of all stays; of whoever had this place before,
    /// `why` says nothing any more.
    pub fn enlist(&mut self, supervisor: &Supervisor, instance: InstanceId) {
        let instances = (instance.index() + 1).max(self.counts.len());
        self.names.resize(instances, None);
        self.counts.resize(instances, 0);
        self.of_each.resize(instances * KEPT, None);
        let label = supervisor.label(instance);
        let name = Name { service: label.service.into(), number: label.number };
        self.names[instance.index()] = Some(Rc::new(name));
        self.counts[instance.index()] = 0;
        if instances * 2 > self.latest.len() {
            // In leaps: who adds a thousand adds them one by one.
            let length = (instances * 2).next_power_of_two();
            let mut latest = vec![None; length];
            self.first = self.oldest();
            for entry in self.latest.drain(..).flatten() {
                let place = (entry.seq % length as u64) as usize;
                latest[place] = Some(entry);
            }
            self.latest = latest;
        }
    }

    /// Whether this is about somebody who is still there, and not about one who had the same place before.
    pub fn is_current(&self, supervisor: &Supervisor, entry: &Entry) -> bool {
        let name = self.names.get(entry.instance.index()).and_then(Option::as_ref);
        supervisor.has(entry.instance) && name.is_some_and(|name| Rc::ptr_eq(name, &entry.name))
    }

    /// Lets go of a service that is no more, because another gets its number.
    pub fn forget_service(&mut self, gone: ServiceId) {
        for entry in self.latest.iter_mut().chain(&mut self.of_each).flatten() {
            if let News::Changed(change) = &mut entry.news {
                change.cause.forget(gone);
            }
        }
    }

    /// The event that was remembered last.
    pub fn latest(&self) -> Option<&Entry> {
        self.get(self.next.checked_sub(1)?)
    }

    /// The number that the next event will get.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the oldest event that is kept.
    pub fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.latest.len() as u64).max(self.first)
    }

    /// The event with this number, if it is kept.
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        let slot = (seq % self.latest.len() as u64) as usize;
        self.latest.get(slot)?.as_ref().filter(|entry| entry.seq == seq)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Cause, Phase};
    use super::*;
    use crate::plan::{Plan, Process, Service};

    #[test]
    fn an_entry_stays_small_for_each_instance_has_ten() {
        let size = size_of::<Option<Entry>>();
        assert!(size <= 128, "{size}");
    }

    fn supervisor() -> Supervisor {
        let process = Process { argv: vec!["/bin/it".into()], ..Process::default() };
        let (name, processes) = ("web".to_owned(), vec![process; 2]);
        let services = vec![Service { name, processes, ..Service::default() }];
        Supervisor::new(Plan { services, ..Plan::default() }, 1)
    }

    fn change(at: u64) -> News {
        News::Changed(Change {
            instance: InstanceId(0),
            at: Instant::from_nanos(at),
            from: Phase::Starting,
            to: Phase::Running,
            cause: Cause::Ready,
            pid: None,
            next: None,
            parting: None,
            kinds: Kinds::of(EventKind::Ready),
        })
    }

    fn note(journal: &mut Journal, core: &Supervisor, instance: u32, at: u64) {
        let id = InstanceId(instance);
        journal.record(core, id, change(at), Instant::from_nanos(at), Wall(0));
    }

    #[test]
    fn each_instance_keeps_its_own_latest() {
        let core = supervisor();
        let mut journal = Journal::new(&core);
        (0..20).for_each(|at| note(&mut journal, &core, 0, at));
        note(&mut journal, &core, 1, 99);
        let signalled = News::Signalled(Pid(7), Signal::TERM);
        journal.record(&core, InstanceId(1), signalled, Instant::ZERO, Wall(0));
        let nanos = |id| -> Vec<u64> {
            journal.of(InstanceId(id)).map(|entry| entry.at.as_nanos()).collect()
        };
        assert_eq!(nanos(0), (12..20).collect::<Vec<_>>());
        assert_eq!(nanos(1), [99], "a signal is no change");
        assert_eq!(journal.of(InstanceId(7)).count(), 0);
        let latest = journal.get(21).map(|entry| entry.label().to_string());
        assert_eq!(latest.as_deref(), Some("web@2"));
    }

    #[test]
    fn a_reader_learns_what_it_missed() {
        let core = supervisor();
        let mut journal = Journal::new(&core);
        (0..300).for_each(|at| note(&mut journal, &core, 0, at));
        assert_eq!((journal.oldest(), journal.next()), (44, 300));
        assert_eq!(journal.get(43), None);
        assert_eq!(journal.get(44).map(|entry| entry.at.as_nanos()), Some(44));
        assert_eq!(journal.get(300), None);
    }
}
