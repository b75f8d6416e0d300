//! Shell-like words: blanks part them, `"…"` and `'…'` hold them together, `\` takes the next character as it
//! is. No shell: no variables, no wildcards, no operators.
//!
//! Within `"…"` a `\` is special before `"` and `\` only; within `'…'` never.

/// A word, and where in the text each of its bytes was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes.
    pub(super) text: String,
    /// Where the word starts.
    pub(super) at: usize,
    /// For each byte of `text`, where it was.
    offsets: Vec<usize>,
}

impl Word {
    /// Where byte `index` of the text was.
    pub(super) fn place(&self, index: usize) -> usize {
        self.offsets.get(index).copied().unwrap_or(self.at)
    }

    fn push(&mut self, c: char, at: usize) {
        self.text.push(c);
        self.offsets.resize(self.text.len(), at);
    }
}

/// The words of `text`, or where a quote starts that never ends, and the quote.
pub(super) fn split(text: &str) -> Result<Vec<Word>, (usize, char)> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let fresh = || Word { text: String::new(), at, offsets: Vec::new() };
        let word = word.get_or_insert_with(fresh);
        match c {
            '\\' => match chars.next() {
                Some((_, next)) => word.push(next, at),
                None => return Err((at, '\\')),
            },
            '"' | '\'' => loop {
                match chars.next() {
                    None => return Err((at, c)),
                    Some((_, end)) if end == c => break,
                    Some((inside, '\\')) if c == '"' => {
                        let next = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                        word.push(next.map_or('\\', |(_, next)| next), inside);
                    }
                    Some((inside, other)) => word.push(other, inside),
                }
            },
            _ => word.push(c, at),
        }
    }
    words.extend(word);
    Ok(words)
}

/// `word`, quoted if it has to be, so that [`split`] gives it back.
pub(super) fn quote(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | '#');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_a_shells_words() {
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            ("  a\tb  ", &["a", "b"]),
            (r#"nginx -g 'daemon off;'"#, &["nginx", "-g", "daemon off;"]),
            (r#"a"b c"d'e f'"#, &["ab cde f"]),
            (r#"a\ b \"c"#, &["a b", "\"c"]),
            (r#""a\"b\\c\d" '\'"#, &["a\"b\\c\\d", "\\"]),
            (r#""" ''"#, &["", ""]),
            ("$HOME *;|", &["$HOME", "*;|"]),
        ];
        for (text, words) in cases {
            assert_eq!(texts(text), words, "{text}");
        }
    }

    #[test]
    fn a_quote_without_end_is_found_where_it_starts() {
        assert_eq!(split("a 'b"), Err((2, '\'')));
        assert_eq!(split("a b\"c"), Err((3, '"')));
        assert_eq!(split("a\\"), Err((1, '\\')));
    }

    #[test]
    fn bytes_are_found_where_they_were() {
        let words = split(r#"x "é\"%z""#).unwrap();
        let at = words[1].text.find('%').unwrap();
        assert_eq!(words[1].place(at), 7);
    }

    #[test]
    fn quoting_and_splitting_undo_each_other() {
        for word in ["", "a", "a b", "a\"b", "it's", "\\", "#x", "é\t", "{\"a\": [1, 2]}"] {
            assert_eq!(texts(&format!("x {} y", quote(word))), ["x", word, "y"]);
        }
    }
}
