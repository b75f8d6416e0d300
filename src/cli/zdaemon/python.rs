//! What zdaemon's texts owe to Python: how a string or a list is printed, how a number is read, how an error of
//! the system is told.

use std::fmt::Write;
use std::io;

/// A string as Python's `repr` prints it.
pub(super) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char == quote => out.extend(['\\', char]),
            _ if is_printable(char) => out.push(char),
            _ => {
                let code = u32::from(char);
                // Writing to a string can't fail.
                let _ = match code {
                    0..0x100 => write!(out, "\\x{code:02x}"),
                    0x100..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Rust and Python agree on what can be printed. Asked for behind a letter, since Rust also escapes an accent that
/// has nothing to stand on.
fn is_printable(char: char) -> bool {
    let shown = format!("a{char}").escape_debug().to_string();
    !shown.contains("\\u{") && !shown.contains("\\0")
}

/// `['sleep', '100']`.
pub(super) fn list<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(print).collect();
    format!("[{}]", items.join(", "))
}

/// The strings of a list that Python has printed; `None` for anything else.
pub(super) fn strings(text: &str) -> Option<Vec<String>> {
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

/// A whole number as Python's `int` reads it (base 8 or 10), or what it complains. Beyond 64 bits: the nearest.
pub(super) fn int(text: &str, base: u32) -> Result<i64, String> {
    let wrong = || format!("invalid literal for int() with base {base}: {}", repr(text));
    let bare = text.trim();
    let (negative, digits) = match bare.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, bare.strip_prefix('+').unwrap_or(bare)),
    };
    let prefix = |digits: &str| digits.get(..2).is_some_and(|it| it.eq_ignore_ascii_case("0o"));
    let digits = if base == 8 && prefix(digits) { &digits[2..] } else { digits };
    // Between two digits there may be one `_`; after a prefix, too.
    let digits = digits
        .strip_prefix('_')
        .filter(|_| base == 8 && bare.contains(['o', 'O']))
        .unwrap_or(digits);
    let mut value: i64 = 0;
    for group in digits.split('_') {
        if group.is_empty() {
            return Err(wrong());
        }
        for char in group.chars() {
            let digit = char.to_digit(base).ok_or_else(wrong)?;
            value = value.saturating_mul(i64::from(base)).saturating_add(i64::from(digit));
        }
    }
    Ok(if negative { -value } else { value })
}

/// `[Errno 2] No such file or directory: 'x'`.
pub(super) fn os_error(error: &io::Error, path: Option<&str>) -> String {
    let mut text = match error.raw_os_error() {
        Some(number) => {
            format!("[Errno {number}] {}", nix::errno::Errno::from_raw(number).desc())
        }
        None => error.to_string(),
    };
    if let Some(path) = path {
        let _ = write!(text, ": {}", repr(path));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_printed_as_python_prints_them() {
        let cases = [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("\"both\" '", "'\"both\" \\''"),
            ("a\\b\n\t\r\x1b\x7f", "'a\\\\b\\n\\t\\r\\x1b\\x7f'"),
            ("\0", "'\\x00'"),
            ("Wörter → 字", "'Wörter → 字'"),
            ("e\u{301}", "'e\u{301}'"),
            ("\u{a0}\u{ad}\u{2028}\u{e000}\u{10ffff}", "'\\xa0\\xad\\u2028\\ue000\\U0010ffff'"),
        ];
        for (text, printed) in cases {
            assert_eq!(repr(text), printed);
            assert_eq!(strings(&format!("[{printed}]")), Some(vec![text.to_string()]));
        }
    }

    #[test]
    fn lists_of_strings_are_read_back() {
        assert_eq!(strings("[]"), Some(vec![]));
        assert_eq!(strings("['a', \"b'c\"]"), Some(vec!["a".into(), "b'c".into()]));
        assert_eq!(strings("['\\udce9']"), Some(vec!["\u{fffd}".into()]));
        for broken in ["", "a", "['a'", "['a", "[1]", "['\\x4']"] {
            assert_eq!(strings(broken), None, "{broken}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        let fine = [("10", 10), (" 7 ", 7), ("-3", -3), ("+9", 9), ("1_000", 1000), ("007", 7)];
        for (text, value) in fine {
            assert_eq!(int(text, 10), Ok(value), "{text}");
        }
        for (text, value) in [("022", 0o22), ("0o22", 0o22), ("0O7", 7), ("0o_7", 7), ("0", 0)] {
            assert_eq!(int(text, 8), Ok(value), "{text}");
        }
        for text in ["", " ", "x", "1.5", "_1", "1_", "1__0", "0o22", "- 1", "--1"] {
            assert!(int(text, 10).is_err(), "{text}");
        }
        for text in ["8", "0o", "_7", "0x1"] {
            assert!(int(text, 8).is_err(), "{text}");
        }
        assert_eq!(int("x'", 8).unwrap_err(), "invalid literal for int() with base 8: \"x'\"");
        assert_eq!(int("99999999999999999999", 10), Ok(i64::MAX));
    }
}
