//! What went wrong, in words and as an exit code.

use crate::exit::Code;
use crate::signal::Signal;

/// The most bytes that are shown of what a daemon said, of each place where it did.
pub(super) const SHOWN: usize = 16 * 1024;

/// Something that went wrong, and what the daemon itself said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
    /// Where it was said, and what.
    pub(super) said: Vec<(String, Vec<u8>)>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code: code.exit(), message: message.into(), said: Vec::new() }
    }

    /// Somebody has asked lar to end.
    pub(super) fn asked(signal: Signal, message: impl Into<String>) -> Failure {
        Failure { code: 128 + signal.number() as u8, message: message.into(), said: Vec::new() }
    }

    /// With what was said there, if anything was.
    pub(super) fn with(mut self, place: impl Into<String>, said: Vec<u8>) -> Failure {
        if !said.trim_ascii().is_empty() {
            self.said.push((place.into(), said));
        }
        self
    }

    /// For standard error, without `lar: ` before it: the message, then what was said, each line marked as not lar's.
    pub(super) fn text(&self, label: &str) -> String {
        let mut text = format!("{label}: {}", self.message);
        for (place, said) in &self.said {
            text.push_str(&format!("\n{place}:"));
            let said = String::from_utf8_lossy(said);
            for line in said.trim_end().lines() {
                // A terminal must not do what a daemon's log says.
                let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
                text.push_str(&format!("\n  | {line}"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_said_is_told_apart_from_what_lar_says() {
        let failure = Failure::new(Code::StartFailed, "start failed: exit status 1")
            .with("its output", b"one\x1b[2J\ntwo\n\n".to_vec())
            .with("its log", b" \n".to_vec());
        let words = "web: start failed: exit status 1\nits output:\n  | one[2J\n  | two";
        assert_eq!(failure.text("web"), words);
        assert_eq!(Failure::asked(Signal::INT, "").code, 130);
    }
}
