//! What a program finds open besides its standard fds, and how it is told.

use std::cell::Cell;
use std::os::fd::RawFd;

/// An fd of lar's, and where the child finds it.
pub(super) struct Passed {
    pub source: RawFd,
    pub target: RawFd,
    /// Where it is kept meanwhile, if its number is another one's target. Written by the child.
    pub held: Cell<RawFd>,
}

/// As the child walks through them: by their targets.
pub(super) fn passed(fds: &[(RawFd, RawFd)]) -> Box<[Passed]> {
    let one =
        |&(source, target): &(RawFd, RawFd)| Passed { source, target, held: Cell::new(source) };
    let mut passed: Vec<Passed> = fds.iter().map(one).collect();
    passed.sort_by_key(|fd| fd.target);
    passed.into()
}
