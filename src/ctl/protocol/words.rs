//! Shell-like words: how a request is written on its line.
//!
//! Blanks separate. `'…'` takes everything as it is; `"…"` takes everything but `\"` and `\\`;
//! outside of both a backslash takes the next character as it is. Nothing is expanded.

use core::fmt;

/// Why a line is not words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsError {
    /// This quote was opened and not closed.
    Open(char),
    /// The line ends with a backslash.
    Backslash,
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WordsError::Open(quote) => write!(f, "the quote {quote} is not closed"),
            WordsError::Backslash => f.write_str("nothing follows the last backslash"),
        }
    }
}

/// Splits a line into its words.
pub fn split(line: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
            match c {
                '\'' | '"' => quoted(&mut chars, c, &mut word)?,
                '\\' => word.push(chars.next().ok_or(WordsError::Backslash)?),
                _ => word.push(c),
            }
        }
        words.push(word);
    }
}

fn quoted(
    chars: &mut impl Iterator<Item = char>,
    quote: char,
    word: &mut String,
) -> Result<(), WordsError> {
    loop {
        match chars.next().ok_or(WordsError::Open(quote))? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => match chars.next().ok_or(WordsError::Open(quote))? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

/// A word, quoted if it has to be. It must not hold a newline: a request is one line.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "_-.:/@=+,%*".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        f.write_str("'")?;
        for (at, part) in self.0.split('\'').enumerate() {
            let between = if at == 0 { "" } else { "'\\''" };
            write!(f, "{between}{part}")?;
        }
        f.write_str("'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t ", &[]),
            ("status web", &["status", "web"]),
            (" a  b ", &["a", "b"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            ("a'b'\"c\"d", &["abcd"]),
            (r#""say \"hi\" \n \\""#, &[r#"say "hi" \n \"#]),
            (r"it\'s a\ b", &["it's", "a b"]),
            ("'' \"\"", &["", ""]),
            (r"'\'", &[r"\"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), *words, "{line}");
        }
    }

    #[test]
    fn what_is_left_open_is_an_error() {
        assert_eq!(split("a 'b"), Err(WordsError::Open('\'')));
        assert_eq!(split("a \"b\\"), Err(WordsError::Open('"')));
        assert_eq!(split("a \\"), Err(WordsError::Backslash));
    }
}
