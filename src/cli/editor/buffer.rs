//! The line that is being edited, and those before it.

use super::keys::Key;

/// A line with a cursor.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    text: Vec<char>,
    at: usize,
}

impl Buffer {
    /// A line with the cursor at its end.
    pub(super) fn of(text: &str) -> Buffer {
        let text: Vec<char> = text.chars().collect();
        Buffer { at: text.len(), text }
    }

    /// The whole line.
    pub(super) fn line(&self) -> String {
        self.text.iter().collect()
    }

    /// The line up to the cursor.
    pub(super) fn before(&self) -> String {
        self.text[..self.at].iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts text in at the cursor.
    pub(super) fn insert(&mut self, text: &str) {
        for char in text.chars() {
            self.text.insert(self.at, char);
            self.at += 1;
        }
    }

    /// Does what a key says that only concerns the line.
    pub(super) fn press(&mut self, key: Key) {
        match key {
            Key::Char(char) => {
                self.text.insert(self.at, char);
                self.at += 1;
            }
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = self.text.len().min(self.at + 1),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Backspace if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            Key::Delete | Key::DeleteOrEnd if self.at < self.text.len() => {
                self.text.remove(self.at);
            }
            Key::CutEnd => self.text.truncate(self.at),
            Key::CutStart => self.cut(0),
            Key::CutWord => {
                let blank = |at: &usize| self.text[at - 1].is_whitespace();
                let back = (1..=self.at).rev();
                let word = back.clone().find(|at| !blank(at)).unwrap_or(0);
                self.cut((1..=word).rev().find(blank).unwrap_or(0));
            }
            _ => {}
        }
    }

    /// Takes out what is between there and the cursor.
    fn cut(&mut self, from: usize) {
        self.text.drain(from..self.at);
        self.at = from;
    }

    /// What of the line is shown in so many columns, and where the cursor is in that.
    pub(super) fn window(&self, columns: usize) -> (String, usize) {
        let columns = columns.max(1);
        let from = (self.at + 1).saturating_sub(columns);
        let shown = self.text.iter().skip(from).take(columns).collect();
        (shown, self.at - from)
    }
}

/// The lines before, and which of them is looked at.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    at: usize,
    /// What was being typed when the looking began.
    fresh: String,
}

/// How many lines are kept.
const KEPT: usize = 500;

impl History {
    /// Keeps a line, unless it is empty or the same again.
    pub(super) fn keep(&mut self, line: &str) {
        if !line.trim().is_empty() && self.lines.last().is_none_or(|last| last != line) {
            self.lines.push(line.to_owned());
            if self.lines.len() > KEPT {
                self.lines.remove(0);
            }
        }
        self.begin();
    }

    /// Stands behind the latest line.
    pub(super) fn begin(&mut self) {
        self.at = self.lines.len();
    }

    /// The line before the one that is looked at; `None` if there is none.
    pub(super) fn up(&mut self, current: String) -> Option<Buffer> {
        if self.at == self.lines.len() {
            self.fresh = current;
        }
        self.at = self.at.checked_sub(1)?;
        self.lines.get(self.at).map(|line| Buffer::of(line))
    }

    /// The line after it; in the end the one that was being typed.
    pub(super) fn down(&mut self) -> Option<Buffer> {
        if self.at >= self.lines.len() {
            return None;
        }
        self.at += 1;
        Some(Buffer::of(self.lines.get(self.at).unwrap_or(&self.fresh)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, keys: &[Key]) -> String {
        let mut buffer = Buffer::of(text);
        keys.iter().for_each(|&key| buffer.press(key));
        let line: Vec<char> = buffer.line().chars().collect();
        let (before, behind) = line.split_at(buffer.at);
        [before.iter().collect::<String>(), behind.iter().collect()].join("|")
    }

    #[test]
    fn keys_move_and_cut() {
        use Key::*;
        let cases: [(&str, &[Key], &str); 14] = [
            ("ab", &[], "ab|"),
            ("ab", &[Left, Char('x')], "ax|b"),
            ("ab", &[Home, Left, Delete], "|b"),
            ("ab", &[Right, End, Delete], "ab|"),
            ("äb", &[Left, Backspace], "|b"),
            ("ab", &[Home, Backspace], "|ab"),
            ("ab cd", &[Left, CutEnd], "ab c|"),
            ("ab cd", &[Left, CutStart], "|d"),
            ("ab cd", &[CutWord], "ab |"),
            ("ab cd  ", &[CutWord, CutWord], "|"),
            ("  ab", &[CutWord], "  |"),
            ("  ", &[CutWord], "|"),
            ("ab", &[Home, DeleteOrEnd], "|b"),
            ("", &[Left, Right, Delete, CutWord, CutEnd, CutStart], "|"),
        ];
        for (text, keys, expected) in cases {
            assert_eq!(after(text, keys), expected, "{text:?} {keys:?}");
        }
    }

    #[test]
    fn a_long_line_is_shown_around_its_cursor() {
        let mut buffer = Buffer::of("0123456789");
        assert_eq!(buffer.window(80), ("0123456789".into(), 10));
        assert_eq!(buffer.window(5), ("6789".into(), 4));
        buffer.press(Key::Home);
        assert_eq!(buffer.window(5), ("01234".into(), 0));
        assert_eq!(buffer.window(0), ("0".into(), 0));
    }

    #[test]
    fn the_history_goes_up_and_comes_back_to_what_was_typed() {
        let mut history = History::default();
        for line in ["one", "two", "two", " "] {
            history.keep(line);
        }
        let line = |buffer: Option<Buffer>| buffer.map(|buffer| buffer.line());
        assert_eq!(line(history.down()), None);
        assert_eq!(line(history.up("new".into())), Some("two".into()));
        assert_eq!(line(history.up("two".into())), Some("one".into()));
        assert_eq!(line(history.up("one".into())), None);
        assert_eq!(line(history.down()), Some("two".into()));
        assert_eq!(line(history.down()), Some("new".into()));
        assert_eq!(line(history.down()), None);
    }
}
