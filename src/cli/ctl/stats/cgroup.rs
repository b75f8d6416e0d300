//! What a service's control group says of it (cgroup v2), where it has one of its own: that also counts processes that
//! have ended, and those that no longer descend from the service.
//!
//! lar makes no groups; an administrator, a runtime or the program itself may have. A group is a service's own if its
//! main process is in another one than its parent, and no other service's main process is in it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a group has used. What it does not say is `None`: without the memory controller it knows only CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// CPU time of all that ever were in it.
    pub cpu: Option<Duration>,
    /// Memory in bytes, without cached files that nobody has used lately: what `docker stats` shows, too.
    pub memory: Option<u64>,
}

/// The groups that are their main process's own; each with its process and that one's parent.
pub fn own(mains: &[(i32, i32)]) -> HashMap<i32, Charge> {
    let Some(root) = mount(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) else {
        return HashMap::new();
    };
    let of = |pid: i32| group(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?);
    let groups: Vec<(i32, i32, String)> =
        mains.iter().filter_map(|&(pid, parent)| Some((pid, parent, of(pid)?))).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    groups.iter().for_each(|(_, _, group)| *uses.entry(group).or_default() += 1);
    let alone = |(pid, parent, group): &(i32, i32, String)| {
        let inherited = || of(*parent).is_some_and(|theirs| theirs == *group);
        (uses.get(group.as_str()) == Some(&1) && group != "/" && !inherited())
            .then(|| (*pid, charge(&root.join(group.trim_start_matches('/')))))
    };
    groups.iter().filter_map(alone).collect()
}

/// Where cgroup2 is mounted as a whole, by proc_pid_mountinfo(5).
fn mount(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut fields = front.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        (back.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(place))
    })
}

/// The v2 group in a /proc/PID/cgroup, by cgroups(7).
fn group(table: &str) -> Option<String> {
    table.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn charge(group: &Path) -> Charge {
    let read = |name: &str| fs::read_to_string(group.join(name)).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let idle = field(&read("memory.stat"), "inactive_file").unwrap_or(0);
    Charge {
        cpu: field(&read("cpu.stat"), "usage_usec").map(Duration::from_micros),
        memory: read("memory.current")
            .trim()
            .parse()
            .ok()
            .map(|used: u64| used.saturating_sub(idle)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let table = "30 1 0:26 / /proc rw - proc proc rw\n41 31 0:38 /sub /mnt rw - cgroup2 none rw\n\
                     42 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount(table), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount("31 1 0:9 / /sys rw - sysfs sysfs rw\n"), None);
        assert_eq!(group("4:memory:/a\n0::/b/c\n").as_deref(), Some("/b/c"));
        assert_eq!(group("4:memory:/a\n"), None);
    }

    #[test]
    fn a_group_says_what_it_knows() {
        let dir = std::env::temp_dir().join(format!("lar-charge-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        assert_eq!(charge(&dir), Charge::default());
        write("cpu.stat", "usage_usec 1500000\nuser_usec 1\n");
        assert_eq!(charge(&dir).cpu, Some(Duration::from_millis(1500)));
        write("memory.current", "5000\n");
        assert_eq!(charge(&dir).memory, Some(5000));
        write("memory.stat", "anon 10\ninactive_file 2000\n");
        assert_eq!(charge(&dir).memory, Some(3000));
        fs::remove_dir_all(&dir).unwrap();
    }
}
