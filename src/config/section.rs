//! What one section says: its keys checked against the table, its values as substituted words, asked for by
//! the key's name.

use super::diagnostic::Report;
use super::keys::{self, Kind};
use super::lines::{Define, Entry, Section, Spot};
use super::value::{self, Wrong};
use super::world::World;
use super::{substitute, words};

/// Every section there is.
pub(super) const ALL: [&str; 11] = [
    "service",
    "socket",
    "defaults",
    "lar",
    "runner",
    "environment",
    "eventlog",
    "limits",
    "logfile",
    "syslog",
    "on",
];

/// What substitution may draw on.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) defines: &'a [Define],
    pub(super) world: &'a dyn World,
    /// The service's name, for `%n` and `%g`.
    pub(super) name: Option<&'a str>,
    /// The instance's number, for `%i`.
    pub(super) number: Option<Number>,
}

/// What `%i` stands for.
#[derive(Clone, Copy)]
pub(super) enum Number {
    /// This number.
    Is(u32),
    /// Whatever number an instance may get: a NUL, to be replaced by it.
    Any,
}

impl<'a> Scope<'a> {
    /// A scope outside of any service.
    pub(super) fn new(defines: &'a [Define], world: &'a dyn World) -> Scope<'a> {
        Scope { defines, world, name: None, number: None }
    }
}

/// A word of a value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) spot: Spot,
}

/// The words of a value, taken one after another. Remembers where it was when something is wrong.
pub(super) struct Cursor {
    tokens: std::vec::IntoIter<Token>,
    /// Where an error would be shown.
    pub(super) spot: Spot,
    end: Spot,
}

impl Cursor {
    pub(super) fn new(tokens: Vec<Token>, end: Spot) -> Cursor {
        let spot = tokens.first().map_or_else(|| end.clone(), |token| token.spot.clone());
        Cursor { tokens: tokens.into_iter(), spot, end }
    }

    /// The next word without taking it.
    pub(super) fn peek(&self) -> Option<&str> {
        self.tokens.as_slice().first().map(|token| token.text.as_str())
    }

    /// The next word.
    pub(super) fn take(&mut self) -> Option<String> {
        let token = self.tokens.next();
        self.spot = token.as_ref().map_or_else(|| self.end.clone(), |token| token.spot.clone());
        token.map(|token| token.text)
    }

    /// The next word, which must be there: it is `what`.
    pub(super) fn want(&mut self, what: &str) -> Result<String, Wrong> {
        self.take().ok_or_else(|| Wrong::new(format!("{what} is missing")))
    }

    /// Takes the next word if it is `word`.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        is && self.take().is_some()
    }

    /// The next word as `parse` reads it; it is `what`.
    pub(super) fn read<T>(
        &mut self,
        what: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        parse(&self.want(what)?)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Vec<Token> {
        self.tokens.by_ref().collect()
    }
}

/// The keys of a section (and of the defaults below it), ready to be asked.
pub(super) struct Values<'a, 'r> {
    pub(super) kind: Kind,
    pub(super) entries: Vec<&'a Entry>,
    pub(super) scope: Scope<'a>,
    pub(super) report: &'r mut Report,
}

impl<'a> Values<'a, '_> {
    /// The line of a key.
    pub(super) fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().copied().find(|entry| entry.key.eq_ignore_ascii_case(key))
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// All lines of a key that may be repeated.
    pub(super) fn all(&self, key: &str) -> Vec<&'a Entry> {
        let same = |entry: &&&'a Entry| entry.key.eq_ignore_ascii_case(key);
        self.entries.iter().filter(same).copied().collect()
    }

    /// The words of a key, over all of its lines; `None` if it is not there or wrong.
    pub(super) fn tokens(&mut self, key: &str) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut good = true;
        let entries = self.all(key);
        for entry in &entries {
            match tokens_of(entry, &self.scope, self.report) {
                Some(more) => tokens.extend(more),
                None => good = false,
            }
        }
        (good && !entries.is_empty()).then_some(tokens)
    }

    /// The value of a key as `parse` reads its words; `None` if it is not there or wrong.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&mut Cursor) -> Result<T, Wrong>,
    ) -> Option<T> {
        let mut cursor = self.cursor(key)?;
        let read = parse(&mut cursor);
        self.finish(key, cursor, read)
    }

    fn finish<T>(&mut self, key: &str, cursor: Cursor, read: Result<T, Wrong>) -> Option<T> {
        match read {
            Ok(value) => self.at_end(key, cursor).then_some(value),
            Err(wrong) => {
                self.misread(key, cursor, wrong);
                None
            }
        }
    }

    // What does not depend on the value's type stands apart: the rest is compiled once for each key.

    #[inline(never)]
    fn cursor(&mut self, key: &str) -> Option<Cursor> {
        let tokens = self.tokens(key)?;
        let last = self.all(key).pop()?;
        Some(Cursor::new(tokens, last.at(last.value.len())))
    }

    /// The first word of a key; that there is none is reported.
    #[inline(never)]
    fn one(&mut self, key: &str) -> Option<(String, Cursor)> {
        let mut cursor = self.cursor(key)?;
        match cursor.want("a value") {
            Ok(word) => Some((word, cursor)),
            Err(wrong) => {
                self.misread(key, cursor, wrong);
                None
            }
        }
    }

    /// Whether all words have been read; else what is there too much is reported.
    #[inline(never)]
    fn at_end(&mut self, key: &str, mut cursor: Cursor) -> bool {
        let Some(more) = cursor.take() else { return true };
        let wrong = Wrong::new(format!("unexpected `{more}`"));
        let wrong = match more.starts_with('#') {
            true => wrong.hint("a comment stands on a line of its own"),
            false => wrong,
        };
        self.misread(key, cursor, wrong);
        false
    }

    #[inline(never)]
    fn misread(&mut self, key: &str, cursor: Cursor, wrong: Wrong) {
        wrong.report(&cursor.spot, self.report);
        self.report.hint(keys::find(self.kind, key).map_or(String::new(), keys::usage));
    }

    /// The value of a key that is one word.
    pub(super) fn word<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (word, cursor) = self.one(key)?;
        self.finish(key, cursor, parse(&word))
    }

    /// Puts the value of a key that is one word into `place`, which keeps what it has if there is none.
    pub(super) fn set<T>(
        &mut self,
        place: &mut T,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) {
        if let Some(value) = self.word(key, parse) {
            *place = value;
        }
    }

    /// As [`Values::set`], of several words.
    pub(super) fn set_read<T>(
        &mut self,
        place: &mut T,
        key: &str,
        parse: impl Fn(&mut Cursor) -> Result<T, Wrong>,
    ) {
        if let Some(value) = self.read(key, parse) {
            *place = value;
        }
    }

    /// As [`Values::set`], one of a few words.
    pub(super) fn choose<T: Copy>(&mut self, place: &mut T, key: &str, choices: &[(&str, T)]) {
        self.set(place, key, |word| value::choice(word, choices));
    }

    /// The value of a key that is any one word but the empty one.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.word(key, value::text)
    }

    /// Reports something about the value of a key.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        if let Some(entry) = self.entry(key) {
            self.report.error(&entry.at(0), message);
        }
    }
}

/// The substituted words of one line.
pub(super) fn tokens_of(entry: &Entry, scope: &Scope, report: &mut Report) -> Option<Vec<Token>> {
    let split = words::split(&entry.value).map_err(|(at, sign)| {
        let wrong = match sign {
            '\\' => Wrong::new("a `\\` at the end of a line stands for nothing")
                .hint("there is no continuation: a value is on one line"),
            _ => Wrong::new(format!("this {sign} is never closed"))
                .hint(format!("a plain {sign} is written \\{sign}")),
        };
        wrong.at(at)
    });
    let split = entry.good(split, report)?;
    let mut tokens = Vec::with_capacity(split.len());
    let mut good = true;
    for word in split {
        // `jitter 10%` is a percentage, not a lone sign.
        let percentage =
            word.text.strip_suffix('%').filter(|_| entry.key.eq_ignore_ascii_case("backoff"));
        if percentage.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            tokens.push(Token { spot: entry.at(word.at), text: word.text });
            continue;
        }
        match substitute::percent(&word.text, scope, entry.defines) {
            Ok(text) => tokens.push(Token { text, spot: entry.at(word.at) }),
            Err(wrong) => {
                let at = word.place(wrong.at.unwrap_or(0));
                wrong.report(&entry.at(at), report);
                good = false;
            }
        }
    }
    good.then_some(tokens)
}

/// The lines of a section whose keys the table knows. Everything else is reported, and so is a repetition and
/// a section within that is not one of `inner`.
pub(super) fn known<'a>(
    section: &'a Section,
    kind: Kind,
    inner: &[&str],
    report: &mut Report,
) -> Vec<&'a Entry> {
    let mut known: Vec<&Entry> = Vec::new();
    for entry in &section.entries {
        let lower = entry.key.to_lowercase();
        if lower.starts_with("x-") {
            continue;
        }
        let Some(key) = keys::find(kind, &lower) else {
            unknown_key(entry, section, kind, report);
            continue;
        };
        match known.iter().find(|old| old.key.eq_ignore_ascii_case(&lower)) {
            Some(first) if !key.list => {
                let line = first.spot.line.number;
                let message = format!("`{}` stands here twice; first on line {line}", entry.key);
                report.error(&entry.spot, message);
            }
            _ => known.push(entry),
        }
    }
    for section in &section.sections {
        if !inner.contains(&section.kind.as_str()) {
            super::unknown_section(section, inner, report);
        }
    }
    known
}

fn unknown_key(entry: &Entry, section: &Section, kind: Kind, report: &mut Report) {
    let name = &section.kind;
    if let Some(place) = keys::moved(kind, &entry.key) {
        report.error(&entry.spot, format!("`{}` has no place in `<{name}>`", entry.key));
        return report.hint(place);
    }
    report.error(&entry.spot, format!("`<{name}>` has no key `{}`", entry.key));
    if !report.full() {
        report.near(&entry.key, keys::all(kind).map(|key| key.name));
        report.hint(keys::home(&entry.key));
    }
}
