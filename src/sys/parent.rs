//! The process that started lar, and its end.

use crate::exit::{Errno, Pid};
use crate::signal::Signal;
use crate::sys::{checked, own_pid, reap};

/// Whoever is our parent now; `Pid(0)` if it is outside of our pid namespace. Asked for as early as can be, it is
/// whoever has started us.
pub fn now() -> Pid {
    Pid(nix::unistd::getppid().as_raw())
}

/// Has `signal` sent to us when our parent ends. If that was `parent` and has ended already, it is sent at once: the
/// kernel would have nothing to tell any more.
pub fn signal_at_end_of(parent: Pid, signal: Signal) -> Result<(), Errno> {
    let number = signal.number();
    // SAFETY: this prctl takes plain numbers and touches no memory.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, number, 0, 0, 0) })?;
    if now() == parent { Ok(()) } else { reap::kill(own_pid(), signal) }
}
