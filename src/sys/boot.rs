//! What kind of place this is: PID 1 or not.
//!
//! Only looked at, never changed: mounting and powering off are not in here.

/// Whether we are the init of our pid namespace. Only then may `kill(-1)` be used, and only then is
/// our end the end of everybody else.
pub fn is_pid1() -> bool {
    crate::sys::own_pid().0 == 1
}
