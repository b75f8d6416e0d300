//! The ready list: who stopped reading before the kernel had nothing more.
//!
//! epoll is edge-triggered here: it reports that bytes have come, not that some are left. So whoever stops
//! early, to let others have their turn, puts itself on this list; and while the list is not empty the loop does
//! not sleep.

use std::collections::VecDeque;

/// A queue in which each number stands at most once. Of a size fixed at load, or by an edit.
pub struct ReadyList {
    queue: VecDeque<u32>,
    queued: Vec<bool>,
}

impl ReadyList {
    /// A list for the numbers 0 to `size` - 1.
    pub fn new(size: usize) -> ReadyList {
        let queued = vec![false; size];
        ReadyList { queue: VecDeque::with_capacity(size), queued }
    }

    /// Makes room for the numbers 0 to `size` - 1.
    pub fn grow(&mut self, size: usize) {
        self.queued.resize(size.max(self.queued.len()), false);
        self.queue.reserve(self.queued.len() - self.queue.len());
    }

    /// Adds a number, unless it is there.
    pub fn add(&mut self, number: u32) {
        if let Some(queued @ false) = self.queued.get_mut(number as usize) {
            *queued = true;
            self.queue.push_back(number);
        }
    }

    /// The one that has waited longest.
    pub fn next(&mut self) -> Option<u32> {
        let number = self.queue.pop_front()?;
        self.queued[number as usize] = false;
        Some(number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the loop may sleep.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_once_and_in_order() {
        let mut list = ReadyList::new(3);
        for number in [2, 0, 2, 9, 0] {
            list.add(number);
        }
        assert_eq!(list.len(), 2);
        assert_eq!(list.next(), Some(2));
        list.add(2);
        assert_eq!((list.next(), list.next(), list.next()), (Some(0), Some(2), None));
        assert!(list.is_empty());
    }
}
