//! Which process is whose: a table from pid to (instance, role), sized when somebody comes.
//!
//! Open addressing with linear probing; a removal shifts what follows it back, so there are no tombstones
//! and the table never needs to be rebuilt. Twice as many places as processes can be: probes stay short.

use crate::exit::Pid;
use crate::plan::InstanceId;
use crate::supervisor::event::Role;

/// Whose process it is, and what for.
pub type Owner = (InstanceId, Role);

/// The table.
#[derive(Debug)]
pub struct Pids {
    places: Box<[Option<(Pid, Owner)>]>,
    used: usize,
}

impl Pids {
    /// A table for at most `processes` processes at a time.
    pub fn new(processes: usize) -> Pids {
        let places = (processes.max(1) * 2).next_power_of_two();
        Pids { places: vec![None; places].into_boxed_slice(), used: 0 }
    }

    /// Makes room for this many processes at a time; those that are there stay.
    pub fn make_room(&mut self, processes: usize) {
        let larger = Pids::new(processes);
        if larger.places.len() > self.places.len() {
            let old = std::mem::replace(self, larger);
            for (pid, owner) in old.places.iter().flatten() {
                self.insert(*pid, *owner);
            }
        }
    }

    /// Whose process this is.
    pub fn get(&self, pid: Pid) -> Option<Owner> {
        let at = self.find(pid)?;
        self.places[at].map(|(_, owner)| owner)
    }

    /// Notes whose process this is. A pid that is already there is somebody's mistake (it was not reaped): the
    /// newer owner wins. A full table takes nothing (the process is then reaped as unknown).
    pub fn insert(&mut self, pid: Pid, owner: Owner) {
        if let Some(at) = self.find(pid) {
            self.places[at] = Some((pid, owner));
            return;
        }
        if self.used + 1 >= self.places.len() {
            return;
        }
        let mut at = self.home(pid);
        while self.places[at].is_some() {
            at = self.after(at);
        }
        self.places[at] = Some((pid, owner));
        self.used += 1;
    }

    /// Forgets a process.
    pub fn remove(&mut self, pid: Pid) -> Option<Owner> {
        let mut hole = self.find(pid)?;
        let removed = self.places[hole].take();
        self.used -= 1;
        let mut at = self.after(hole);
        while let Some((next, _)) = self.places[at] {
            // An entry may move back into the hole unless its home lies after the hole, up to itself.
            let home = self.home(next);
            let stays =
                if hole < at { hole < home && home <= at } else { hole < home || home <= at };
            if !stays {
                self.places[hole] = self.places[at].take();
                hole = at;
            }
            at = self.after(at);
        }
        removed.map(|(_, owner)| owner)
    }

    /// How many processes there are.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn find(&self, pid: Pid) -> Option<usize> {
        let mut at = self.home(pid);
        while let Some((known, _)) = self.places[at] {
            if known == pid {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    fn home(&self, pid: Pid) -> usize {
        // Fibonacci hashing: neighbouring pids, which is what the kernel hands out, land far apart.
        let hash = (pid.0 as u32 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.places.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_a_plain_list_over_many_random_steps() {
        let mut table = Pids::new(1);
        table.make_room(40);
        let mut list: Vec<(Pid, Owner)> = Vec::new();
        let mut random = 12345u64;
        for step in 0..200_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let pid = Pid((random >> 40) as i32 % 97 + 1);
            let owner = (InstanceId(step as u32), Role::Main);
            if random >> 33 & 1 == 0 && list.len() < 40 && !list.iter().any(|&(p, _)| p == pid) {
                table.insert(pid, owner);
                list.push((pid, owner));
            } else {
                let at = list.iter().position(|&(p, _)| p == pid);
                assert_eq!(table.remove(pid), at.map(|at| list.swap_remove(at).1));
            }
            assert_eq!(table.len(), list.len());
            let known = list.iter().find(|&&(p, _)| p == pid);
            assert_eq!(table.get(pid), known.map(|&(_, owner)| owner));
        }
    }

    #[test]
    fn a_full_table_takes_no_more_and_still_answers() {
        let mut table = Pids::new(1);
        for pid in 1..10 {
            table.insert(Pid(pid), (InstanceId(0), Role::Main));
        }
        assert_eq!(table.get(Pid(999)), None);
        assert!(table.len() < 4);
    }
}
