//! Signal numbers and their names, without libc: the pure layers and the client speak of signals too.
//!
//! The numbers are those of every Linux port that lar is built for (x86, ARM, RISC-V, POWER, s390);
//! `sys::signals` has a test that compares them with libc's.

use core::fmt;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// The first real-time signal that a program may use. glibc keeps 32 and 33 to itself, and senders (podman,
/// systemd's `SIGRTMIN+3`) count from 34.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

const NAMES: [(u8, &str); 31] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];

/// Other names for the same numbers, understood but never printed.
const ALIASES: [(u8, &str); 3] = [(29, "POLL"), (6, "IOT"), (17, "CLD")];

#[allow(missing_docs)] // the names say it
impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const ILL: Signal = Signal(4);
    pub const TRAP: Signal = Signal(5);
    pub const ABRT: Signal = Signal(6);
    pub const BUS: Signal = Signal(7);
    pub const FPE: Signal = Signal(8);
    pub const KILL: Signal = Signal(9);
    pub const USR1: Signal = Signal(10);
    pub const SEGV: Signal = Signal(11);
    pub const USR2: Signal = Signal(12);
    pub const PIPE: Signal = Signal(13);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal(17);
    pub const CONT: Signal = Signal(18);
    pub const STOP: Signal = Signal(19);
    pub const TSTP: Signal = Signal(20);
    pub const TTIN: Signal = Signal(21);
    pub const TTOU: Signal = Signal(22);
    pub const WINCH: Signal = Signal(28);
    pub const PWR: Signal = Signal(30);
    pub const SYS: Signal = Signal(31);

    /// The signal with this number; `None` unless it is 1 to 64.
    pub const fn new(number: i32) -> Option<Signal> {
        if number >= 1 && number <= RTMAX as i32 { Some(Signal(number as u8)) } else { None }
    }

    /// `SIGRTMIN+n` as senders count it (from 34).
    pub const fn realtime(n: u8) -> Option<Signal> {
        if n <= RTMAX - RTMIN { Some(Signal(RTMIN + n)) } else { None }
    }

    /// Its number, as kill(2) takes it.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Reads `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3` or `SIGRTMAX-1`.
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse::<i32>() {
            return Signal::new(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = name.strip_prefix("RTMIN") {
            return Signal::realtime(offset_of(offset, '+')?);
        }
        if let Some(offset) = name.strip_prefix("RTMAX") {
            let below = offset_of(offset, '-')?;
            return (below <= RTMAX - RTMIN).then(|| Signal(RTMAX - below));
        }
        let found = NAMES.iter().chain(&ALIASES).find(|(_, known)| *known == name);
        found.map(|&(number, _)| Signal(number))
    }

    /// Every name that [`Signal::parse`] knows, for "did you mean".
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(_, name)| name)
    }
}

fn offset_of(text: &str, sign: char) -> Option<u8> {
    if text.is_empty() { Some(0) } else { text.strip_prefix(sign)?.parse().ok() }
}

/// `SIGTERM`, `SIGRTMIN+3`; the two that glibc keeps to itself as `SIG32`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RTMIN => f.write_str("SIGRTMIN"),
            number if number > RTMIN => write!(f, "SIGRTMIN+{}", number - RTMIN),
            number => match NAMES.iter().find(|&&(known, _)| known == number) {
                Some((_, name)) => write!(f, "SIG{name}"),
                None => write!(f, "SIG{number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_survives_printing_and_parsing() {
        for number in (1..=64).filter(|n| ![32, 33].contains(n)) {
            let signal = Signal::new(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal));
        }
    }

    #[test]
    fn names_are_taken_in_any_case_with_or_without_sig() {
        for text in ["TERM", "term", "SIGTERM", "sigterm", "15"] {
            assert_eq!(Signal::parse(text), Some(Signal::TERM), "{text}");
        }
        assert_eq!(Signal::parse("RTMIN+3").unwrap().number(), 37);
        assert_eq!(Signal::parse("SIGRTMAX-1").unwrap().number(), 63);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in ["", "0", "65", "-1", "TERMINATE", "RTMIN+31", "RTMAX+1", "SIG"] {
            assert_eq!(Signal::parse(text), None, "{text}");
        }
    }
}
