//! What a program finds open besides its standard fds, and how it is told.

use std::cell::Cell;
use std::ffi::c_char;
use std::os::fd::RawFd;

/// A variable whose value is a pid: written at the spawn, by lar, or by the child if it is its own.
pub(super) struct PidText {
    line: Vec<Cell<u8>>,
    /// Where the digits begin, behind `NAME=`.
    start: usize,
}

impl PidText {
    /// As many digits as a pid can have.
    const DIGITS: usize = 10;

    pub(super) fn new(name: &str) -> PidText {
        let zeros = std::iter::repeat_n(0, PidText::DIGITS + 1);
        let line = name.bytes().chain([b'=']).chain(zeros).map(Cell::new).collect();
        PidText { line, start: name.len() + 1 }
    }

    /// Whether the variable is called so.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        let own = self.line.iter().take(self.start - 1);
        own.map(Cell::get).eq(name.iter().copied())
    }

    /// `NAME=…`, a C string.
    pub(super) fn variable(&self) -> *const c_char {
        self.line.as_ptr().cast()
    }

    /// Async-signal safe.
    pub(super) fn set(&self, pid: u32) {
        let mut length: usize = 1;
        let mut rest = pid / 10;
        while rest > 0 {
            (length, rest) = (length + 1, rest / 10);
        }
        let mut rest = pid;
        let places = self.line.iter().skip(self.start);
        for (at, place) in places.enumerate() {
            // From the first digit on; what is left of a longer number is wiped out.
            let power = 10_u32.checked_pow((length - 1).saturating_sub(at) as u32).unwrap_or(1);
            place.set(if at < length { b'0' + (rest / power) as u8 } else { 0 });
            rest %= power;
        }
    }
}

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

/// What sd_listen_fds(3) looks for, but for the pid.
pub(super) fn listen_variables(names: &[String]) -> Vec<(String, String)> {
    match names.len() {
        0 => Vec::new(),
        count => vec![
            ("LISTEN_FDS".into(), count.to_string()),
            ("LISTEN_FDNAMES".into(), names.join(":")),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_written_over_the_one_before() {
        let text = PidText::new("LISTEN_PID");
        assert!(text.is(b"LISTEN_PID") && !text.is(b"LISTEN_PI") && !text.is(b"LISTEN_PIDS"));
        for pid in [1, 42, 4_194_304, 7, u32::MAX, 10, 99, 100] {
            text.set(pid);
            let bytes: Vec<u8> = text.line.iter().map(Cell::get).collect();
            let end = bytes.iter().position(|&byte| byte == 0).unwrap();
            assert_eq!(bytes[..end], *format!("LISTEN_PID={pid}").as_bytes());
            assert!(bytes[end..].iter().all(|&byte| byte == 0));
        }
    }
}
