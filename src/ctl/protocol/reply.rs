//! The lines of a reply as the client reads them.

use super::record::Fields;
use crate::exit::Code;

/// One line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A record; more follows.
    Record(Fields),
    /// The reply is complete: done.
    Ok,
    /// The reply is complete: not done.
    Error {
        /// What the client exits with. A word that it does not know (a newer manager's) counts as
        /// `failed`.
        code: Code,
        /// For people.
        message: String,
    },
}

impl Line {
    /// Reads a line without its newline; `None` if it is not of this language.
    pub fn parse(line: &str) -> Option<Line> {
        if line == "ok" {
            return Some(Line::Ok);
        }
        let Some(rest) = line.strip_prefix("error ") else {
            return Fields::parse(line).map(Line::Record);
        };
        let fields = Fields::parse(rest)?;
        let code = Code::from_word(&fields.text("code")?).unwrap_or(Code::Failed);
        Some(Line::Error { code, message: fields.text("message").unwrap_or_default() })
    }
}
