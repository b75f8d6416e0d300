//! Which hook is run next, for which event, and for how long.
//!
//! A hook is run for one event at a time, and for the others in their order; it never keeps anybody waiting. So what
//! it is not quick enough for has to go: [`QUEUED`] events wait for it, and of more the oldest are left out, counted
//! and told. It knows no process and no clock; `run::hooks` has both. Nothing here allocates but when the
//! configuration changes.

use crate::exit::{ExitStatus, Pid};
use crate::plan::Hook;
use crate::supervisor::journal::Entry;
use crate::time::Instant;

/// How many events wait for one hook.
pub const QUEUED: usize = 64;

/// All hooks. `T` is what it takes to run one.
#[derive(Debug)]
pub struct Hooks<T> {
    list: Vec<Slot<T>>,
}

/// One hook.
#[derive(Debug)]
struct Slot<T> {
    hook: Hook,
    what: T,
    queue: Queue,
    running: Option<Run>,
    /// Whether the configuration has it no longer: it is let go of as soon as its process has ended.
    retired: bool,
    /// How many events were left out since it last kept up, and whether that has been told.
    lost: u64,
    told: bool,
    /// How often in a row it did not work.
    failures: u64,
}

/// A hook's process.
#[derive(Clone, Copy, Debug)]
struct Run {
    pid: Pid,
    /// When it has had enough time; `None`: it was killed for that.
    until: Option<Instant>,
}

/// The numbers of events, first in first out.
#[derive(Debug)]
struct Queue {
    seqs: [u64; QUEUED],
    first: usize,
    length: usize,
}

/// What came of a hook's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended as it should.
    Good,
    /// The same, after so many times when it did not.
    GoodAgain(u64),
    /// It did not, for the first time in a row.
    Failed(ExitStatus),
    /// The same, because it was killed for taking too long.
    TimedOut,
    /// It did not work, and that has been told.
    FailedAgain,
}

/// What is to be told of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It does not keep up: from here on events are left out.
    Behind,
    /// It has caught up; so many were left out.
    Missed(u64),
}

impl Queue {
    const EMPTY: Queue = Queue { seqs: [0; QUEUED], first: 0, length: 0 };

    /// Adds one; whether the oldest had to go.
    fn push(&mut self, seq: u64) -> bool {
        let full = self.length == QUEUED;
        if full {
            self.pop();
        }
        if let Some(place) = self.seqs.get_mut((self.first + self.length) % QUEUED) {
            *place = seq;
            self.length += 1;
        }
        full
    }

    fn pop(&mut self) -> Option<u64> {
        self.length = self.length.checked_sub(1)?;
        let seq = self.seqs.get(self.first).copied();
        self.first = (self.first + 1) % QUEUED;
        seq
    }
}

impl<T> Slot<T> {
    fn new(hook: Hook, what: T) -> Slot<T> {
        let (queue, running, retired) = (Queue::EMPTY, None, false);
        Slot { hook, what, queue, running, retired, lost: 0, told: false, failures: 0 }
    }
}

impl<T> Hooks<T> {
    /// These hooks, each with what it takes to run it.
    pub fn new(hooks: Vec<(Hook, T)>) -> Hooks<T> {
        Hooks { list: hooks.into_iter().map(|(hook, what)| Slot::new(hook, what)).collect() }
    }

    /// The hooks of the configuration.
    pub fn rules(&self) -> impl Iterator<Item = &Hook> {
        self.list.iter().filter(|slot| !slot.retired).map(|slot| &slot.hook)
    }

    /// Other hooks in their place. Who is among them stays as it is; of who is not, nothing is left but the process.
    pub fn replace(&mut self, hooks: Vec<(Hook, T)>) {
        let mut old = core::mem::take(&mut self.list);
        for (hook, what) in hooks {
            let same = |slot: &Slot<T>| !slot.retired && slot.hook == hook;
            self.list.push(match old.iter().position(same) {
                Some(at) => old.remove(at),
                None => Slot::new(hook, what),
            });
        }
        old.retain(|slot| slot.running.is_some());
        for mut slot in old {
            (slot.retired, slot.queue) = (true, Queue::EMPTY);
            self.list.push(slot);
        }
    }

    /// Something has happened.
    pub fn offer(&mut self, entry: &Entry) {
        let kinds = entry.kinds();
        for slot in self.list.iter_mut().filter(|slot| !slot.retired) {
            if slot.hook.heeds(kinds, &entry.label()) {
                slot.lost += u64::from(slot.queue.push(entry.seq));
            }
        }
    }

    /// A hook that is to be run now, and the number of the event that it is for. It counts as run from here on only
    /// if [`Hooks::started`] follows.
    pub fn take(&mut self) -> Option<(usize, u64)> {
        self.list.iter_mut().enumerate().find_map(|(index, slot)| {
            let idle = slot.running.is_none() && !slot.retired;
            Some((index, if idle { slot.queue.pop()? } else { return None }))
        })
    }

    /// A hook, and what it takes to run it.
    pub fn get_mut(&mut self, index: usize) -> Option<(&Hook, &mut T)> {
        self.list.get_mut(index).map(|slot| (&slot.hook, &mut slot.what))
    }

    /// Its process runs.
    pub fn started(&mut self, index: usize, pid: Pid, now: Instant) {
        if let Some(slot) = self.list.get_mut(index) {
            slot.running = Some(Run { pid, until: Some(now + slot.hook.timeout) });
        }
    }

    /// It could not be started; whether that is the first time in a row.
    pub fn not_started(&mut self, index: usize) -> bool {
        let Some(slot) = self.list.get_mut(index) else { return false };
        slot.failures += 1;
        slot.failures == 1
    }

    /// What it was to be run for is not remembered any more.
    pub fn missed(&mut self, index: usize) {
        if let Some(slot) = self.list.get_mut(index) {
            slot.lost += 1;
        }
    }

    /// Whether this is the process of a hook, not yet reaped.
    pub fn owns(&self, pid: Pid) -> bool {
        self.list.iter().any(|slot| slot.running.is_some_and(|run| run.pid == pid))
    }

    /// A process has ended and was reaped. Whose it was, and what that comes to; `tell` may look at the hook.
    pub fn ended(&mut self, pid: Pid, status: ExitStatus, tell: impl FnOnce(&Hook, Outcome)) {
        let is = |slot: &Slot<T>| slot.running.is_some_and(|run| run.pid == pid);
        let Some(at) = self.list.iter().position(is) else { return };
        let Some(slot) = self.list.get_mut(at) else { return };
        let killed = slot.running.take().is_some_and(|run| run.until.is_none());
        let outcome = match (status.success() && !killed, slot.failures) {
            (true, 0) => Outcome::Good,
            (true, failures) => {
                slot.failures = 0;
                Outcome::GoodAgain(failures)
            }
            (false, failures) => {
                slot.failures += 1;
                match (failures, killed) {
                    (0, true) => Outcome::TimedOut,
                    (0, false) => Outcome::Failed(status),
                    _ => Outcome::FailedAgain,
                }
            }
        };
        tell(&slot.hook, outcome);
        if slot.retired {
            self.list.swap_remove(at);
        }
    }

    /// A process that has had its time, and is to be killed with its group. Each is told once.
    pub fn overdue(&mut self, now: Instant) -> Option<Pid> {
        self.list.iter_mut().find_map(|slot| {
            let run = slot.running.as_mut()?;
            run.until.filter(|&until| until <= now)?;
            run.until = None;
            Some(run.pid)
        })
    }

    /// When [`Hooks::overdue`] has somebody.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().filter_map(|slot| slot.running?.until).min()
    }

    /// Whether a hook runs or is to be run.
    pub fn busy(&self) -> bool {
        self.list.iter().any(|slot| slot.running.is_some() || slot.queue.length > 0)
    }

    /// Lets go of all events that wait; how many these were.
    pub fn abandon(&mut self) -> usize {
        let queues = self.list.iter_mut().map(|slot| &mut slot.queue);
        queues.map(|queue| core::mem::replace(queue, Queue::EMPTY).length).sum()
    }

    /// What is to be told next, and of which hook.
    pub fn poll_notice(&mut self) -> Option<(&Hook, Notice)> {
        self.list.iter_mut().find_map(|slot| {
            let caught_up = slot.queue.length == 0;
            let notice = match (slot.lost, slot.told, caught_up) {
                (0, _, _) | (_, true, false) => return None,
                (_, false, false) => {
                    slot.told = true;
                    Notice::Behind
                }
                (lost, _, true) => {
                    (slot.lost, slot.told) = (0, false);
                    Notice::Missed(lost)
                }
            };
            Some((&slot.hook, notice))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{EventKind, InstanceId, Standing, Whom};
    use crate::supervisor::journal::{Name, News};
    use crate::time::{Duration, Wall};
    use std::rc::Rc;

    fn entry(seq: u64, service: &str, news: News) -> Entry {
        let name = Rc::new(Name { service: service.into(), number: 1 });
        let (at, wall, several) = (Instant::ZERO, Wall(0), false);
        let standing = Standing::Regular;
        Entry { seq, at, wall, instance: InstanceId(0), name, several, standing, news }
    }

    fn on(kind: EventKind, whom: &str) -> Hook {
        Hook { on: Some(kind), whom: vec![Whom::read(whom)], ..Hook::default() }
    }

    fn ended(hooks: &mut Hooks<()>, pid: i32, status: ExitStatus) -> Option<Outcome> {
        let mut outcome = None;
        hooks.ended(Pid(pid), status, |_, it| outcome = Some(it));
        outcome
    }

    const BAD: ExitStatus = ExitStatus::Code(3);

    #[test]
    fn a_hook_is_run_for_what_it_heeds_one_after_the_other() {
        let created = on(EventKind::Created, "web");
        let mut hooks = Hooks::new(vec![(created, ()), (Hook::default(), ())]);
        hooks.offer(&entry(0, "web", News::Created));
        hooks.offer(&entry(1, "db", News::Created));
        hooks.offer(&entry(2, "web", News::Removed));
        hooks.offer(&entry(3, "WEB", News::Created));
        assert_eq!(hooks.take(), Some((0, 0)));
        hooks.started(0, Pid(7), Instant::ZERO);
        assert_eq!(hooks.take(), Some((1, 0)));
        hooks.started(1, Pid(8), Instant::ZERO);
        assert_eq!(hooks.take(), None, "each has a process");
        assert_eq!(ended(&mut hooks, 7, ExitStatus::SUCCESS), Some(Outcome::Good));
        assert_eq!(hooks.take(), Some((0, 3)));
        assert!(hooks.owns(Pid(8)) && !hooks.owns(Pid(7)) && hooks.busy());
        assert_eq!(hooks.abandon(), 3);
        assert_eq!(ended(&mut hooks, 8, ExitStatus::SUCCESS), Some(Outcome::Good));
        assert!(!hooks.busy());
        assert_eq!(ended(&mut hooks, 8, BAD), None, "somebody else's");
    }

    #[test]
    fn of_more_than_fit_the_oldest_are_left_out_and_counted() {
        let mut hooks = Hooks::new(vec![(Hook::default(), ())]);
        hooks.started(0, Pid(7), Instant::ZERO);
        (0..100).for_each(|seq| hooks.offer(&entry(seq, "web", News::Updated)));
        assert_eq!(hooks.poll_notice().map(|(_, notice)| notice), Some(Notice::Behind));
        assert_eq!(hooks.poll_notice(), None, "once");
        ended(&mut hooks, 7, ExitStatus::SUCCESS);
        let taken: Vec<u64> = core::iter::from_fn(|| hooks.take()).map(|(_, seq)| seq).collect();
        assert_eq!(taken, (36..100).collect::<Vec<u64>>());
        hooks.missed(0);
        assert_eq!(hooks.poll_notice().map(|(_, notice)| notice), Some(Notice::Missed(37)));
        assert_eq!(hooks.poll_notice(), None);
    }

    #[test]
    fn a_failure_is_told_once_in_a_row() {
        let mut hooks = Hooks::new(vec![(Hook::default(), ())]);
        let mut run = |status| {
            hooks.started(0, Pid(7), Instant::ZERO);
            ended(&mut hooks, 7, status)
        };
        assert_eq!(run(BAD), Some(Outcome::Failed(BAD)));
        assert_eq!(run(BAD), Some(Outcome::FailedAgain));
        assert_eq!(run(ExitStatus::SUCCESS), Some(Outcome::GoodAgain(2)));
        assert_eq!(run(ExitStatus::SUCCESS), Some(Outcome::Good));
        assert!(hooks.not_started(0) && !hooks.not_started(0));
    }

    #[test]
    fn what_takes_too_long_is_killed_once() {
        let timeout = Duration::from_secs(5);
        let mut hooks = Hooks::new(vec![(Hook { timeout, ..Hook::default() }, ())]);
        hooks.started(0, Pid(7), Instant::ZERO);
        let end = Instant::ZERO + timeout;
        assert_eq!(hooks.next_deadline(), Some(end));
        assert_eq!(hooks.overdue(Instant::ZERO), None);
        assert_eq!(hooks.overdue(end), Some(Pid(7)));
        assert_eq!((hooks.overdue(end), hooks.next_deadline()), (None, None));
        let killed = ExitStatus::killed(crate::signal::Signal::KILL);
        assert_eq!(ended(&mut hooks, 7, killed), Some(Outcome::TimedOut));
    }

    #[test]
    fn other_hooks_take_the_place_of_those_that_are_gone_and_the_same_stay() {
        let (a, b) = (on(EventKind::Created, "a"), on(EventKind::Created, "b"));
        let mut hooks = Hooks::new(vec![(a.clone(), 1), (b.clone(), 2)]);
        hooks.started(0, Pid(7), Instant::ZERO);
        hooks.started(1, Pid(8), Instant::ZERO);
        hooks.offer(&entry(0, "a", News::Created));
        hooks.offer(&entry(1, "b", News::Created));
        let c = on(EventKind::Created, "c");
        hooks.replace(vec![(c.clone(), 3), (b.clone(), 4)]);
        assert_eq!(hooks.rules().collect::<Vec<_>>(), [&c, &b]);
        assert_eq!(hooks.get_mut(1).map(|(_, what)| *what), Some(2), "the same");
        assert!(hooks.owns(Pid(7)), "its process is still to be reaped");
        hooks.offer(&entry(2, "a", News::Created));
        hooks.ended(Pid(7), BAD, |hook, _| assert_eq!(hook, &a));
        assert!(!hooks.owns(Pid(7)));
        hooks.ended(Pid(8), BAD, |hook, _| assert_eq!(hook, &b));
        assert_eq!(hooks.take(), Some((1, 1)), "what waited for it still does");
        assert_eq!(hooks.take(), None, "nothing is left of the one that is gone");
    }
}
