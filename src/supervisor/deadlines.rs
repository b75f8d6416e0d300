//! The earliest deadline of all: an indexed binary heap sized when somebody comes.
//!
//! Each owner (an instance, or the shutdown) has at most one deadline, derived from its state and set anew
//! after each change. So there are no timers that could be forgotten or go stale.

use crate::plan::InstanceId;
use crate::time::Instant;

const ABSENT: u32 = u32::MAX;

/// The heap.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// A binary heap, the earliest first.
    heap: Vec<(Instant, u32)>,
    /// Where in it each owner's deadline is.
    place: Vec<u32>,
}

/// Who has a deadline: the manager's own end, or an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The end of the shutdown.
    Shutdown,
    /// This instance.
    Instance(InstanceId),
}

impl Owner {
    fn index(self) -> usize {
        match self {
            Owner::Shutdown => 0,
            Owner::Instance(id) => id.index() + 1,
        }
    }

    fn of(index: u32) -> Owner {
        match index.checked_sub(1) {
            None => Owner::Shutdown,
            Some(id) => Owner::Instance(InstanceId(id)),
        }
    }
}

impl Deadlines {
    /// A heap without owners.
    pub fn new() -> Deadlines {
        Deadlines::default()
    }

    /// Makes room for this many owners; those that are there stay.
    pub fn make_room(&mut self, owners: usize) {
        if owners > self.place.len() {
            self.place.resize(owners, ABSENT);
            self.heap.reserve(owners - self.heap.len());
        }
    }

    /// The earliest deadline and its owner.
    pub fn first(&self) -> Option<(Instant, Owner)> {
        self.heap.first().map(|&(at, owner)| (at, Owner::of(owner)))
    }

    /// Sets, changes or (with `None`) removes the deadline of `owner`.
    pub fn set(&mut self, owner: Owner, deadline: Option<Instant>) {
        let owner = owner.index();
        let place = self.place[owner];
        match (deadline, place) {
            (None, ABSENT) => {}
            (None, place) => self.remove(place as usize),
            (Some(at), ABSENT) => {
                self.heap.push((at, owner as u32));
                self.up(self.heap.len() - 1);
            }
            (Some(at), place) => {
                self.heap[place as usize].0 = at;
                self.settle(place as usize);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.place[self.heap[at].1 as usize] = ABSENT;
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.settle(at);
        }
    }

    /// Moves the entry at `at` to where it belongs, up or down.
    fn settle(&mut self, at: usize) {
        let at = self.up(at);
        self.down(at);
    }

    fn up(&mut self, mut at: usize) -> usize {
        while at > 0 && self.heap[at] < self.heap[(at - 1) / 2] {
            self.heap.swap(at, (at - 1) / 2);
            self.note(at);
            at = (at - 1) / 2;
        }
        self.note(at);
        at
    }

    fn down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                return self.note(at);
            }
            self.heap.swap(at, least);
            self.note(at);
            at = least;
        }
    }

    fn note(&mut self, at: usize) {
        self.place[self.heap[at].1 as usize] = at as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_agrees_with_a_plain_table_over_many_random_steps() {
        let mut heap = Deadlines::new();
        heap.make_room(20);
        heap.make_room(51);
        let mut table = [None; 50];
        let mut random = 99u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let owner = (random >> 33) as usize % 50;
            let at = Instant::from_nanos(random >> 50);
            let deadline = (random & 4 == 0).then_some(at);
            let whose = if owner == 0 {
                Owner::Shutdown
            } else {
                Owner::Instance(InstanceId(owner as u32))
            };
            heap.set(whose, deadline);
            table[owner] = deadline;
            let first = table.iter().flatten().min().copied();
            assert_eq!(heap.first().map(|(at, _)| at), first);
            if let Some((at, owner)) = heap.first() {
                let index = match owner {
                    Owner::Shutdown => 0,
                    Owner::Instance(id) => id.index(),
                };
                assert_eq!(table[index], Some(at));
            }
        }
    }
}
