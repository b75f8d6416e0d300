//! The signals that zdaemon's `kill` knows: those that Python has a name for.

use crate::python;
use crate::signal::Signal;

/// Names that Python has beside the usual ones, as far as it has not more than one for a number.
const OTHERS: [&str; 5] = ["CLD", "IOT", "POLL", "RTMAX", "RTMIN"];

/// A name in any case, with or without `SIG`, or a number; what it is called, and the signal.
pub(super) fn parse(text: &str) -> Option<(String, Signal)> {
    if let Ok(number) = python::int(text, 10) {
        let signal = Signal::new(i32::try_from(number).ok()?)?;
        let name = match signal.number() {
            34 => "SIGRTMIN".to_string(),
            64 => "SIGRTMAX".to_string(),
            1..32 => signal.to_string(),
            _ => return None,
        };
        return Some((name, signal));
    }
    let upper = text.strip_prefix("Signals.").unwrap_or(text).to_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = Signal::names().chain(OTHERS).any(|name| name == bare);
    let signal = Signal::parse(bare).filter(|_| known)?;
    Some((format!("SIG{bare}"), signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        let cases = [
            ("TERM", "SIGTERM", 15),
            ("sigterm", "SIGTERM", 15),
            ("SigTerm", "SIGTERM", 15),
            ("Signals.SIGHUP", "SIGHUP", 1),
            ("cld", "SIGCLD", 17),
            ("17", "SIGCHLD", 17),
            ("29", "SIGIO", 29),
            ("6", "SIGABRT", 6),
            ("16", "SIGSTKFLT", 16),
            ("34", "SIGRTMIN", 34),
            ("64", "SIGRTMAX", 64),
            ("rtmax", "SIGRTMAX", 64),
            ("+9", "SIGKILL", 9),
        ];
        for (text, name, number) in cases {
            let signal = Signal::new(number).unwrap();
            assert_eq!(parse(text), Some((name.to_string(), signal)), "{text}");
        }
    }

    #[test]
    fn what_python_has_no_name_for_is_refused() {
        let wrong = ["0", "-9", "33", "35", "63", "65", "9 9", "_ign", "SIG_IGN", "woohoo", "SIG"];
        for text in wrong.into_iter().chain(["RTMIN+1", "RTMAX-1", "NSIG", "signals.SIGHUP"]) {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
