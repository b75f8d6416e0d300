//! Rust source as the rules of `tidy.rs` look at it: without comments and literals, with what is only there
//! for tests known. Not a parser; just enough of a lexer never to take a word in a string for code.

use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Below the package, as in `src/run/token.rs`.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// The same, byte for byte as long, with comments and the insides of literals blanked out.
    pub code: String,
    /// The byte ranges of `#[cfg(test)]` items.
    tests: Vec<(usize, usize)>,
}

impl Source {
    /// Every Rust file below `directory` of the package, by name.
    pub fn all(directory: &str) -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        find(&root.join(directory), &mut paths);
        paths.sort();
        let read = |path: &PathBuf| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            Source::new(name, &std::fs::read_to_string(path).unwrap())
        };
        paths.iter().map(read).collect()
    }

    /// A file with this text.
    pub fn new(name: &str, text: &str) -> Source {
        let code = blank(text);
        let tests = test_items(&code);
        Source { name: name.into(), text: text.into(), code, tests }
    }

    /// The line that a byte is in, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text[..at].bytes().filter(|&byte| byte == b'\n').count()
    }

    /// `file:line: what`.
    pub fn complaint(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.name, self.line(at))
    }

    /// Whether a byte belongs to a `#[cfg(test)]` item.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|&(from, to)| (from..to).contains(&at))
    }

    /// Where this stands in the code: words only whole, anything else as it is.
    pub fn places<'a>(&'a self, what: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(what).map(|(at, _)| at).filter(move |&at| {
            let (before, after) = (&self.code[..at], &self.code[at + what.len()..]);
            let (first, last) = (what.chars().next().unwrap(), what.chars().last().unwrap());
            let glued = (in_word(first) && before.ends_with(in_word))
                || (in_word(last) && after.starts_with(in_word));
            !glued
        })
    }

    /// Every path that starts with `root::`, in an expression or in a `use` with braces, whole, with where it
    /// starts.
    pub fn paths(&self, root: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for at in self.places(root) {
            let rest = &self.code[at + root.len()..];
            if self.code[..at].ends_with("::") || !rest.starts_with("::") {
                continue;
            }
            let mut leaves = Vec::new();
            branch(&rest[2..], String::new(), &mut leaves);
            found.extend(leaves.into_iter().map(|leaf| (at, leaf)));
        }
        found
    }

    /// Every function with a body: where it starts, and how many lines it has.
    pub fn functions(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for at in self.places("fn") {
            let rest = &self.code[at..];
            // `fn(u8) -> u8` is a type, and `fn f();` has no body.
            let named = rest[2..].trim_start().starts_with(|c: char| c.is_alphabetic() || c == '_');
            if let Some(end) = named.then(|| end_of_item(rest)).flatten() {
                found.push((at, self.line(at + end) - self.line(at) + 1));
            }
        }
        found
    }
}

fn find(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The leaves of a tree of paths: `a::{b, c::d}` has `a::b` and `a::c::d`. Returns how much of the text it was.
fn branch(text: &str, before: String, leaves: &mut Vec<String>) -> usize {
    let word = text.len() - text.trim_start_matches(in_word).len();
    let path = before + &text[..word];
    let mut at = word;
    if !text[at..].starts_with("::") && !text[at..].starts_with('{') {
        leaves.push(path);
        return at;
    }
    if word > 0 {
        at += 2;
        return at + branch(&text[at..], path + "::", leaves);
    }
    at += 1;
    loop {
        at += text[at..].len() - text[at..].trim_start_matches([' ', '\n', ',']).len();
        if text[at..].is_empty() || text[at..].starts_with('}') {
            return at + 1;
        }
        let used = branch(&text[at..], path.clone(), leaves);
        // `name as other`, or `*`: neither matters here.
        let rest = &text[at + used..];
        at += used + rest.find([',', '}']).unwrap_or(rest.len());
    }
}

/// Where an item that starts here ends: at its `;`, or with its braces. `None` if it has no braces.
fn end_of_item(code: &str) -> Option<usize> {
    let (mut round, mut curly) = (0, 0);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' if curly == 1 => return Some(at),
            b'}' => curly -= 1,
            b';' if round == 0 && curly == 0 => return None,
            _ => {}
        }
    }
    None
}

fn test_items(code: &str) -> Vec<(usize, usize)> {
    let marks = code.match_indices("#[cfg(test)]");
    let item = |(at, mark): (usize, &str)| {
        let rest = &code[at + mark.len()..];
        let end = end_of_item(rest).or_else(|| rest.find(';')).unwrap_or(rest.len());
        (at, at + mark.len() + end)
    };
    marks.map(item).collect()
}

/// Blanks out comments, and what is between the quotes of literals. Newlines stay.
fn blank(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, len) = match first {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (0, comment(rest)),
            '"' => (0, quoted(rest)),
            'r' if raw(rest).is_some() && !text[..text.len() - rest.len()].ends_with(in_word) => {
                (0, raw(rest).unwrap())
            }
            '\'' => (0, character(rest)),
            other => (other.len_utf8(), other.len_utf8()),
        };
        out.extend_from_slice(&rest.as_bytes()[..kept]);
        out.extend(rest[kept..len].bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }));
        rest = &rest[len..];
    }
    String::from_utf8(out).unwrap()
}

/// The length of a block comment; they nest.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text.as_bytes()[at..];
        match rest {
            [] => return at,
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

/// The length of a string literal.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string literal, if one starts here.
fn raw(text: &str) -> Option<usize> {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let inside = text[1 + hashes..].strip_prefix('"')?;
    let end = inside.find(&format!("\"{}", "#".repeat(hashes)))?;
    Some(1 + hashes + 1 + end + 1 + hashes)
}

/// The length of a character literal; a lifetime's quote is just itself.
fn character(text: &str) -> usize {
    let mut chars = text[1..].char_indices();
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => 1 + text[3..].find('\'').map_or(0, |at| at + 3),
        (Some(_), Some((at, '\''))) => at + 2,
        _ => 1,
    }
}
