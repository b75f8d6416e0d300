//! What kind of place this is: PID 1 or not, a container or a machine.
//!
//! Only looked at, never changed: mounting and powering off are not in here.

use std::path::Path;

/// Whether we are the init of our pid namespace. Only then may `kill(-1)` be used, and only then is
/// our end the end of everybody else.
pub fn is_pid1() -> bool {
    crate::sys::own_pid().0 == 1
}

/// Whether the signs of a container are there: what docker, podman, LXC and systemd-nspawn leave. A
/// container that shows none is taken for a machine, so `--container` overrides this.
pub fn in_container() -> bool {
    std::env::var_os("container").is_some_and(|value| !value.is_empty())
        || ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists())
}
