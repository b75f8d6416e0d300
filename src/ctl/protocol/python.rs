//! Values as Python's `repr` writes them: zdaemon's replies and messages are full of these, and its clients read them.

use core::fmt;

/// A string: `'it'`, or `"it's"`.
pub struct Repr<'a>(pub &'a str);

/// A list of strings: `['sleep', '100']`.
pub struct List<'a>(pub &'a [String]);

/// A float: `5.0`, `1753000000.25`.
pub struct Float(pub f64);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') && !self.0.contains('"') { "\"" } else { "'" };
        f.write_str(quote)?;
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\'' if quote == "'" => f.write_str("\\'")?,
                ' '..='~' => write!(f, "{char}")?,
                _ if is_printable(char) => write!(f, "{char}")?,
                '\0'..='\u{ff}' => write!(f, "\\x{:02x}", char as u32)?,
                '\u{100}'..='\u{ffff}' => write!(f, "\\u{:04x}", char as u32)?,
                _ => write!(f, "\\U{:08x}", char as u32)?,
            }
        }
        f.write_str(quote)
    }
}

/// What Python calls printable. Rust leaves the same classes of characters as they are, but for a combining mark at
/// the very start of a string.
fn is_printable(char: char) -> bool {
    let mut bytes = [b'a'; 5];
    let length = 1 + char.encode_utf8(&mut bytes[1..]).len();
    let text = core::str::from_utf8(bytes.get(..length).unwrap_or(&[])).unwrap_or("");
    text.escape_debug().nth(1) == Some(char)
}

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, text) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{}", Repr(text))?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The shortest that reads back as the same number, in both languages, and never without a point.
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_python_does() {
        let pairs = [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("\"", "'\"'"),
            ("'\"", "'\\'\"'"),
            ("\\\n\r\t", "'\\\\\\n\\r\\t'"),
            ("\0\x1b\x7f\u{80}\u{a0}\u{ad}", "'\\x00\\x1b\\x7f\\x80\\xa0\\xad'"),
            ("größe €", "'größe €'"),
            ("\u{301}e\u{301}", "'\u{301}e\u{301}'"),
            ("\u{200b}\u{2028}\u{e000}", "'\\u200b\\u2028\\ue000'"),
            ("😀\u{e0001}", "'😀\\U000e0001'"),
        ];
        for (text, known) in pairs {
            assert_eq!(Repr(text).to_string(), known);
        }
    }

    #[test]
    fn lists_and_floats_look_like_pythons() {
        assert_eq!(List(&[]).to_string(), "[]");
        assert_eq!(List(&["a".into(), "it's".into()]).to_string(), "['a', \"it's\"]");
        let pairs = [(5.0, "5.0"), (1_753_000_000.25, "1753000000.25"), (0.1, "0.1")];
        for (number, known) in pairs {
            assert_eq!(Float(number).to_string(), known);
        }
    }
}
