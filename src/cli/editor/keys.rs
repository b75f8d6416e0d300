//! From the bytes that a terminal sends to keys.

/// A key, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character to insert.
    Char(char),
    /// Enter.
    Enter,
    /// Tab.
    Complete,
    /// The cursor keys, or ^B ^F ^P ^N.
    Left,
    Right,
    Up,
    Down,
    /// Home and End, or ^A ^E.
    Home,
    End,
    /// Backspace or ^H: the character before the cursor.
    Backspace,
    /// Delete: the one under it.
    Delete,
    /// ^D: the same, or the end of the input.
    DeleteOrEnd,
    /// ^K, ^U and ^W: to the end, to the start, the word before the cursor.
    CutEnd,
    CutStart,
    CutWord,
    /// ^L.
    Redraw,
    /// ^C.
    Cancel,
    /// ^Z.
    Suspend,
}

/// What has been read of a key that is more than one byte.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
}

/// The longest sequence that is listened to; more is noise.
const LONGEST: usize = 16;

impl Decoder {
    /// The next byte; the key that it completes, unless that is one that means nothing here.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        // Enter and Ctrl-C are themselves behind the beginning of anything else, too, and so is a letter behind the
        // first byte of a character that it is no part of.
        let begun = self.bytes.first().copied();
        if byte < 0x20 || begun.is_some_and(|first| first >= 0x80) && byte < 0x80 {
            self.bytes.clear();
        }
        self.bytes.push(byte);
        let (complete, key) = match self.bytes[0] {
            0x1b => escape(&self.bytes),
            0x80.. => character(&self.bytes),
            byte => (true, control(byte)),
        };
        if complete || self.bytes.len() > LONGEST {
            self.bytes.clear();
        }
        key
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Cancel,
        0x04 => Key::DeleteOrEnd,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Complete,
        b'\r' | b'\n' => Key::Enter,
        0x0b => Key::CutEnd,
        0x0c => Key::Redraw,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::CutStart,
        0x17 => Key::CutWord,
        0x1a => Key::Suspend,
        0x20.. => Key::Char(char::from(byte)),
        _ => return None,
    })
}

/// `ESC [ … X`, `ESC O X` or `ESC X`: whether it is complete, and which key it is.
fn escape(bytes: &[u8]) -> (bool, Option<Key>) {
    let parameters = match bytes {
        [_] | [_, b'[' | b'O'] => return (false, None),
        [_, b'[' | b'O', rest @ ..] => rest,
        _ => return (true, None),
    };
    let Some((last @ 0x40..=0x7e, parameters)) = parameters.split_last() else {
        return (false, None);
    };
    let key = match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => return (true, None),
    };
    (true, Some(key))
}

/// A character of more than one byte; what is none is passed over.
fn character(bytes: &[u8]) -> (bool, Option<Key>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (true, text.chars().next().filter(|char| !char.is_control()).map(Key::Char)),
        Err(error) => (error.error_len().is_some(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|&byte| decoder.feed(byte)).collect()
    }

    #[test]
    fn letters_are_themselves_in_every_language() {
        assert_eq!(keys("aé字\u{1f600}".as_bytes()), ['a', 'é', '字', '\u{1f600}'].map(Key::Char));
        assert_eq!(keys(b"\xffa\xc3"), [Key::Char('a')]);
        assert_eq!(keys(b"x\xc3\r\xe5\xad9"), [Key::Char('x'), Key::Enter, Key::Char('9')]);
        assert_eq!(keys("\u{85}x".as_bytes()), [Key::Char('x')]);
    }

    #[test]
    fn cursor_keys_are_known_in_both_dialects() {
        let expected = [Key::Up, Key::Down, Key::Right, Key::Left, Key::Home, Key::End];
        assert_eq!(keys(b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F"), expected);
        assert_eq!(keys(b"\x1bOA\x1bOB\x1bOC\x1bOD\x1bOH\x1bOF"), expected);
        assert_eq!(keys(b"\x1b[1~\x1b[4~\x1b[3~"), [Key::Home, Key::End, Key::Delete]);
        assert_eq!(keys(b"\x1b[1;5C"), [Key::Right]);
    }

    #[test]
    fn what_means_nothing_is_passed_over() {
        assert_eq!(keys(b"\x1b[5~\x1bx\x00\x1b[99;99;99Ra"), [Key::Char('a')]);
        assert_eq!(keys(b"\x1b[\r\x1b\x03\x1b\x1b[A"), [Key::Enter, Key::Cancel, Key::Up]);
        let noise = [&b"\x1b["[..], &[b'1'; 15], b"a"].concat();
        assert_eq!(keys(&noise), [Key::Char('a')]);
    }
}
