//! Python's notation: zdaemon's replies and messages are full of `repr`s, and its clients read them.

use core::fmt;

/// How much of a value a message about a number shows.
const SHOWN: usize = 200;

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

/// A [`Repr`] of its own.
pub fn repr(text: &str) -> String {
    Repr(text).to_string()
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

/// `int()` of a text to the base 8 or 10: blanks around it, a sign, `_` between digits and, to the base 8, `0o`
/// before them are taken. A number too large for an i64 is the largest one.
///
/// # Errors
/// Python's message.
pub fn int(text: &str, base: u32) -> Result<i64, String> {
    let word = text.trim();
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let prefixed = unsigned.strip_prefix("0o").or(unsigned.strip_prefix("0O"));
    let digits = match prefixed.filter(|_| base == 8) {
        Some(rest) => rest.strip_prefix('_').unwrap_or(rest),
        None => unsigned,
    };
    let good = |piece: &str| !piece.is_empty() && piece.chars().all(|c| c.is_digit(base));
    if !digits.split('_').all(good) {
        let shown: String = repr(text).chars().take(SHOWN).collect();
        return Err(format!("invalid literal for int() with base {base}: {shown}"));
    }
    let digits = digits.chars().filter_map(|c| c.to_digit(base));
    let value = digits.fold(0i64, |value, digit| {
        value.saturating_mul(i64::from(base)).saturating_add(i64::from(digit))
    });
    Ok(if word.starts_with('-') { -value } else { value })
}

/// The strings of a list that Python has printed; `None` for anything else.
pub fn strings(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut chars = inside.chars().peekable();
    let mut strings = Vec::new();
    loop {
        while chars.next_if(|char| char.is_whitespace() || *char == ',').is_some() {}
        let Some(quote) = chars.next() else { return Some(strings) };
        if !matches!(quote, '\'' | '"') {
            return None;
        }
        strings.push(string(&mut chars, quote)?);
    }
}

/// The rest of a string up to its quote.
fn string(chars: &mut impl Iterator<Item = char>, quote: char) -> Option<String> {
    let mut string = String::new();
    loop {
        let char = match chars.next()? {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code(chars, 2)?,
                'u' => code(chars, 4)?,
                'U' => code(chars, 8)?,
                other => other,
            },
            char if char == quote => return Some(string),
            char => char,
        };
        string.push(char);
    }
}

/// A character by its number. Half a pair is how Python keeps a byte that is no text.
fn code(chars: &mut impl Iterator<Item = char>, digits: usize) -> Option<char> {
    let digits: String = chars.take(digits).collect();
    let code = u32::from_str_radix(&digits, 16).ok()?;
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// A path from the root without `.`, `..` and doubled slashes, as os.path.abspath cuts it; nothing is looked up.
pub fn normal_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
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

    #[test]
    fn lists_of_strings_are_read_back() {
        for text in
            ["it's", "\"both\" '", "a\\b\n\t\r\x1b\u{ad}\u{2028}\u{10ffff}", "Wörter → 字", ""]
        {
            assert_eq!(strings(&format!("[{}]", repr(text))), Some(vec![text.to_string()]));
        }
        assert_eq!(strings("[]"), Some(vec![]));
        assert_eq!(strings("['a', \"b'c\"]"), Some(vec!["a".into(), "b'c".into()]));
        assert_eq!(strings("['\\udce9']"), Some(vec!["\u{fffd}".into()]));
        for broken in ["", "a", "['a'", "['a", "[1]", "['\\x4']"] {
            assert_eq!(strings(broken), None, "{broken}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        let cases = [(" 10 ", 10, 10), ("+1_000", 10, 1000), ("-3", 10, -3), ("010", 10, 10)];
        let octal = [("022", 8, 0o22), ("0o22", 8, 0o22), ("0O_2", 8, 2), ("-0o7", 8, -7)];
        for (text, base, number) in cases.into_iter().chain(octal) {
            assert_eq!(int(text, base), Ok(number), "{text}");
        }
        assert_eq!(int(&"9".repeat(30), 10), Ok(i64::MAX));
        for (text, base) in [("", 10), ("1__0", 10), ("_1", 10), ("1_", 10), ("0o1", 10), ("8", 8)]
        {
            assert!(int(text, base).is_err(), "{text}");
        }
        for text in ["0o", "0o__1", "- 1", "--1", "1.0"] {
            assert!(int(text, 8).is_err(), "{text}");
        }
        let message = int("it's", 10).unwrap_err();
        assert_eq!(message, "invalid literal for int() with base 10: \"it's\"");
    }
}
