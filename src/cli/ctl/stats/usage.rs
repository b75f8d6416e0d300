//! What processes use, from /proc: one look at all of them, added up for each main process. Where that has a control
//! group of its own, the group knows better.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use super::cgroup;
use nix::unistd::{SysconfVar, sysconf};

/// What some processes use together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time, of children that have ended, too.
    pub cpu: Duration,
    /// Resident memory in bytes; what several share is counted for each.
    pub resident: u64,
    /// Virtual memory in bytes.
    pub size: u64,
    /// How many they are.
    pub processes: u32,
}

impl Usage {
    /// Both together.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu + other.cpu,
            resident: self.resident + other.resident,
            size: self.size + other.size,
            processes: self.processes + other.processes,
        }
    }

    /// The lesser of each.
    pub fn least(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu.min(other.cpu),
            resident: self.resident.min(other.resident),
            size: self.size.min(other.size),
            processes: self.processes.min(other.processes),
        }
    }

    /// The greater of each.
    pub fn most(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu.max(other.cpu),
            resident: self.resident.max(other.resident),
            size: self.size.max(other.size),
            processes: self.processes.max(other.processes),
        }
    }
}

/// A process: its parent, its group, and what it uses.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    parent: i32,
    group: i32,
    usage: Usage,
}

/// What everybody used at one time.
pub struct Look {
    of: HashMap<i32, Usage>,
}

impl Look {
    /// Looks, on behalf of the processes `mains`. Whoever is in the group of one of them, or descends from it, counts
    /// for it. What is in /proc can't be listed: the error.
    pub fn take(mains: &[i32]) -> io::Result<Look> {
        let ticks = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100).max(1) as u64;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry.ok().and_then(|entry| entry.file_name().to_str()?.parse().ok())
            else {
                continue;
            };
            // Whoever ends meanwhile uses nothing.
            let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
            if let Some(process) = parse(&stat, ticks, page) {
                processes.insert(pid, process);
            }
        }
        let parent = |pid: &i32| Some((*pid, processes.get(pid)?.parent));
        let parents: Vec<(i32, i32)> = mains.iter().filter_map(parent).collect();
        let mut of = add_up(mains, &processes);
        for (pid, charge) in cgroup::own(&parents) {
            if let Some(usage) = of.get_mut(&pid) {
                usage.cpu = charge.cpu.unwrap_or(usage.cpu);
                usage.resident = charge.memory.unwrap_or(usage.resident);
            }
        }
        Ok(Look { of })
    }

    /// What belongs to this main process; `None` if it has ended.
    pub fn of(&self, main: i32) -> Option<Usage> {
        self.of.get(&main).copied().filter(|usage| usage.processes > 0)
    }
}

fn add_up(mains: &[i32], processes: &HashMap<i32, Process>) -> HashMap<i32, Usage> {
    let mut of: HashMap<i32, Usage> = mains.iter().map(|&pid| (pid, Usage::default())).collect();
    for (&pid, process) in processes {
        let mut at = Some((pid, *process));
        // Who has left the group is found by its ancestors. A chain is never longer than there are processes, but
        // numbers that were used again meanwhile could make a ring of it.
        for _ in 0..processes.len() {
            let Some((pid, ancestor)) = at else { break };
            let owner = [pid, ancestor.group].into_iter().find(|id| of.contains_key(id));
            if let Some(usage) = owner.and_then(|owner| of.get_mut(&owner)) {
                *usage = usage.plus(process.usage);
                break;
            }
            at = processes.get(&ancestor.parent).map(|parent| (ancestor.parent, *parent));
        }
    }
    of
}

/// /proc/PID/stat, see proc_pid_stat(5).
fn parse(stat: &[u8], ticks: u64, page: u64) -> Option<Process> {
    // The name in front may hold anything, but a `)` is behind it.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first one here is the third one there.
    let number = |at: usize| fields.get(at - 3)?.parse::<i64>().ok();
    let positive = |at| number(at).map(|number| number.max(0) as u64);
    if *fields.first()? == "Z" {
        return None;
    }
    let cpu = [14, 15, 16, 17].into_iter().map(positive).sum::<Option<u64>>()?;
    let usage = Usage {
        cpu: Duration::from_millis(cpu.saturating_mul(1000) / ticks),
        size: positive(23)?,
        resident: positive(24)?.saturating_mul(page),
        processes: 1,
    };
    Some(Process { parent: number(4)? as i32, group: number(5)? as i32, usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 20 30 20 0 3 0 1000 8192000 200 \
                        18446744073709551615 1 1";

    #[test]
    fn a_line_of_the_kernels_is_read_behind_the_name() {
        let process = parse(STAT.as_bytes(), 100, 4096).unwrap();
        assert_eq!((process.parent, process.group), (1, 7));
        let usage = Usage {
            cpu: Duration::from_millis(2500),
            resident: 200 * 4096,
            size: 8_192_000,
            processes: 1,
        };
        assert_eq!(process.usage, usage);
        assert_eq!(parse(STAT.replace(") S", ") Z").as_bytes(), 100, 4096), None);
        assert_eq!(parse(b"7 (a", 100, 4096), None);
        assert_eq!(parse(b"7 (a) S 1", 100, 4096), None);
    }

    #[test]
    fn descendants_and_members_count_for_the_main_process() {
        let one = Usage { cpu: Duration::ZERO, resident: 10, size: 0, processes: 1 };
        let process = |parent, group| Process { parent, group, usage: one };
        let processes = HashMap::from([
            (10, process(1, 10)),  // a main process
            (11, process(10, 10)), // its worker
            (12, process(11, 12)), // that one's, in a group of its own
            (13, process(1, 10)),  // an orphan of the group
            (20, process(1, 20)),  // another main process
            (30, process(1, 30)),  // somebody else
            (40, process(41, 40)), // numbers used again
            (41, process(40, 41)),
        ]);
        let of = add_up(&[10, 20, 99], &processes);
        assert_eq!([10, 20, 99].map(|pid| of[&pid].processes), [4, 1, 0]);
        assert_eq!(of[&10].resident, 40);
    }

    #[test]
    fn we_use_something_ourselves() {
        let own = std::process::id() as i32;
        let usage = Look::take(&[own]).unwrap().of(own).unwrap();
        assert!(usage.resident > 0 && usage.size >= usage.resident && usage.processes >= 1);
    }
}
