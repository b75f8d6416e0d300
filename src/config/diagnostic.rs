//! What is wrong with a file, and where: the place, the line, a caret and a hint.
//!
//! Not here: whether a reading failed is decided by its errors alone; there is no third severity.

use core::fmt;
use std::rc::Rc;

use super::lines::Spot;
use crate::nearest;

/// More than this says nothing more to a reader, and a file of garbage must not fill the memory.
const MOST: usize = 500;

/// How many columns of a source line are shown: a line of a megabyte is not printed to a console.
const WIDTH: usize = 120;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no plan.
    Error,
    /// There is one, but it may not be what was meant.
    Warning,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path, as it was given or included.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The line itself. Shared: a line of a megabyte may hold many errors.
    pub source: Rc<str>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is, unless it is the whole.
    pub place: Option<Place>,
    /// What it is, in one line without a full stop.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// The first line of the text alone: `file:line:col: error: what`.
    pub fn headline(&self) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match &self.place {
            None => format!("{word}: {}", shown(&self.message)),
            Some(Place { file, line, column, .. }) => {
                format!("{}:{line}:{column}: {word}: {}", shown(file), shown(&self.message))
            }
        }
    }
}

/// The headline, the source line with a caret under the column, and the hint.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(place) = &self.place {
            let (source, caret) = excerpt(&place.source, place.column as usize - 1);
            write!(f, "\n    {source}\n    {caret}^")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", shown(hint)),
            None => Ok(()),
        }
    }
}

/// What can be printed of a line around its `at`th character, and the blanks before a caret below it. A tab
/// stays a tab in both, so that the caret stands right whatever the terminal makes of tabs.
fn excerpt(source: &str, at: usize) -> (String, String) {
    let chars: Vec<char> = source.trim_end().chars().map(printable).collect();
    let from = if at < WIDTH - 20 { 0 } else { at + 20 - WIDTH };
    let end = chars.len().min(from + WIDTH);
    let mut text: String = chars.get(from..end).unwrap_or_default().iter().collect();
    if end < chars.len() {
        text.push('…');
    }
    let mut before: String =
        (from..at).map(|index| if chars.get(index) == Some(&'\t') { '\t' } else { ' ' }).collect();
    if from > 0 {
        text.insert(0, '…');
        before.push(' ');
    }
    (text, before)
}

/// Control characters in a file must not steer the terminal that shows its errors.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

/// A message made from a file's text, fit for one line of a terminal.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(400).map(printable).collect();
    if shown.len() < text.len() && text.chars().count() > 400 {
        shown.push('…');
    }
    shown
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// With its line's number in reading order.
    found: Vec<(u32, Diagnostic)>,
    failed: bool,
    dropped: usize,
    /// Whether the latest was kept, so that a hint for it has somewhere to go.
    kept: bool,
    /// What ZConfig says of the first line that it can't read, with that line's number in reading order.
    zconfig: Option<(u32, String)>,
}

impl Report {
    /// Notes an error.
    pub(super) fn error(&mut self, spot: &Spot, message: impl Into<String>) {
        self.failed = true;
        self.add(Severity::Error, spot, message.into());
    }

    /// Notes a warning.
    pub(super) fn warn(&mut self, spot: &Spot, message: impl Into<String>) {
        self.add(Severity::Warning, spot, message.into());
    }

    /// Adds a hint to what was noted last, if it has none yet.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        if let (true, Some((_, last))) = (self.kept, self.found.last_mut()) {
            last.hint.get_or_insert(hint.into());
        }
    }

    /// Adds to what was noted last what was probably meant by `word`, if one of `known` is near to it.
    pub(super) fn near<'a>(&mut self, word: &str, known: impl IntoIterator<Item = &'a str>) {
        let near = if self.kept { nearest::nearest(word, known) } else { None };
        if let Some(near) = near {
            self.hint(format!("did you mean `{near}`?"));
        }
    }

    /// Notes what ZConfig says of a line, whether or not it is an error here. The lines come in reading order.
    pub(super) fn zconfig(&mut self, order: u32, message: impl Into<String>) {
        self.zconfig.get_or_insert_with(|| (order, message.into()));
    }

    /// What ZConfig says of the first line that it can't read.
    pub(super) fn zconfigs(&self) -> Option<(u32, String)> {
        self.zconfig.clone()
    }

    /// Whether there was an error.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Whether nothing more is kept, so that a hint need not be looked for.
    pub(super) fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    fn add(&mut self, severity: Severity, spot: &Spot, message: String) {
        self.kept = false;
        if self.full() {
            self.dropped += 1;
            return;
        }
        let place = Some(spot.place());
        let diagnostic = Diagnostic { severity, place, message, hint: None };
        // What `<defaults>` says is read once for each service, but is wrong only once.
        let again = self
            .found
            .iter()
            .any(|(_, old)| old.place == diagnostic.place && old.message == diagnostic.message);
        if again {
            return;
        }
        self.kept = true;
        self.found.push((spot.line.order, diagnostic));
    }

    /// Everything, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let column = |d: &Diagnostic| d.place.as_ref().map_or(0, |place| place.column);
        self.found.sort_by_key(|(order, diagnostic)| (*order, column(diagnostic)));
        let mut found: Vec<Diagnostic> = self.found.into_iter().map(|(_, found)| found).collect();
        if self.dropped > 0 {
            let severity = if self.failed { Severity::Error } else { Severity::Warning };
            let message = format!("and {} more", self.dropped);
            found.push(Diagnostic { severity, place: None, message, hint: None });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_column_behind_tabs_too() {
        assert_eq!(excerpt("\tuser\tnobdy", 6), ("\tuser\tnobdy".into(), "\t    \t".into()));
        assert_eq!(excerpt("ab\u{7}c", 3), ("ab\u{fffd}c".into(), "   ".into()));
    }

    #[test]
    fn a_long_line_is_shown_around_its_caret() {
        let line = format!("{}X{}", "a".repeat(10_000), "b".repeat(10_000));
        let (text, before) = excerpt(&line, 10_000);
        assert!(text.chars().count() <= WIDTH + 2);
        assert_eq!(text.chars().nth(before.chars().count()), Some('X'));
    }
}
