//! Python's notation, as far as zdaemon's messages and replies show it.

use core::fmt::Write as _;

/// How much of a value a message about a number shows.
const SHOWN: usize = 200;

/// `repr()` of a text: quoted, with `'` unless only `"` spares escaping; what can't be printed is escaped.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut made = String::with_capacity(text.len() + 2);
    made.push(quote);
    for c in text.chars() {
        let code = u32::from(c);
        let _ = match c {
            '\n' => made.write_str("\\n"),
            '\r' => made.write_str("\\r"),
            '\t' => made.write_str("\\t"),
            '\\' => made.write_str("\\\\"),
            _ if c == quote => write!(made, "\\{c}"),
            _ if printable(c) => made.write_char(c),
            _ if code <= 0xff => write!(made, "\\x{code:02x}"),
            _ if code <= 0xffff => write!(made, "\\u{code:04x}"),
            _ => write!(made, "\\U{code:08x}"),
        };
    }
    made.push(quote);
    made
}

/// `str.isprintable()` of one character; of those that Unicode has not assigned, only the private ones are known.
fn printable(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0001}'..='\u{e007f}' | '\u{f0000}'..);
    c == ' ' || !(hidden || c.is_control() || c.is_whitespace())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_as_python_shows_them() {
        let cases = [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("\\\n\t\r\u{7}\u{7f}", "'\\\\\\n\\t\\r\\x07\\x7f'"),
            ("é\u{a0}\u{ad}\u{2028}\u{1f600}", "'é\\xa0\\xad\\u2028\u{1f600}'"),
            ("\u{f0000}", "'\\U000f0000'"),
        ];
        for (text, shown) in cases {
            assert_eq!(repr(text), shown);
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
