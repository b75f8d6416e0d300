//! getopt, as the programs that lar stands in for read their command lines: options bundled or not, values attached
//! or not, long names shortened. Whether options may stand behind words, and what a mistake is called, is up to the
//! program; lexopt knows other rules.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An option that may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// `b` of `-b`; an ASCII one.
    pub(super) letter: Option<char>,
    /// `backoff-limit` of `--backoff-limit`; empty if it has a letter only.
    pub(super) name: &'static str,
    /// Whether a value belongs to it.
    pub(super) takes: bool,
}

impl Spec {
    /// One without a value.
    pub(super) const fn flag(letter: char, name: &'static str) -> Spec {
        Spec { letter: Some(letter), name, takes: false }
    }

    /// One with a value.
    pub(super) const fn valued(letter: char, name: &'static str) -> Spec {
        Spec { letter: Some(letter), name, takes: true }
    }
}

/// What a program understands.
pub(super) struct Options<'a> {
    /// Its options. If none has a name, `--x` is three letters.
    pub(super) known: &'a [Spec],
    /// Whether options may stand behind words, up to `--`; else the first word ends them.
    pub(super) permutes: bool,
}

/// An option that was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Its place among the known ones.
    pub(super) which: usize,
    /// Which one.
    pub(super) spec: Spec,
    /// Whether it was given by its name.
    pub(super) by_name: bool,
    /// Empty for one without a value.
    pub(super) value: OsString,
}

/// What ends the reading of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// There is no such letter.
    Letter(char),
    /// There is no such name. As typed: the name, and all that follows the dashes.
    Name(String, String),
    /// More than one name begins like that. As typed, and these names.
    Ambiguous(String, String, Vec<&'static str>),
    /// No value follows this letter.
    LetterAlone(char),
    /// No value follows this name.
    NameAlone(&'static str),
    /// A value follows this name, which has none.
    Valued(&'static str),
}

impl Mistake {
    /// As the C library tells it, behind the program's name.
    pub(super) fn in_c(&self) -> String {
        match self {
            Mistake::Letter(letter) => format!("invalid option -- '{letter}'"),
            Mistake::Name(_, word) => format!("unrecognized option '--{word}'"),
            Mistake::Ambiguous(_, word, names) => {
                let names: String = names.iter().map(|name| format!(" '--{name}'")).collect();
                format!("option '--{word}' is ambiguous; possibilities:{names}")
            }
            Mistake::LetterAlone(letter) => format!("option requires an argument -- '{letter}'"),
            Mistake::NameAlone(name) => format!("option '--{name}' requires an argument"),
            Mistake::Valued(name) => format!("option '--{name}' doesn't allow an argument"),
        }
    }

    /// As Python tells it.
    pub(super) fn in_python(&self) -> String {
        match self {
            Mistake::Letter(letter) => format!("option -{letter} not recognized"),
            Mistake::Name(name, _) => format!("option --{name} not recognized"),
            Mistake::Ambiguous(name, ..) => format!("option --{name} not a unique prefix"),
            Mistake::LetterAlone(letter) => format!("option -{letter} requires argument"),
            Mistake::NameAlone(name) => format!("option --{name} requires argument"),
            Mistake::Valued(name) => format!("option --{name} must not have an argument"),
        }
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order in which they were given.
    pub(super) given: Vec<Given>,
    /// The first mistake, after those.
    pub(super) mistake: Option<Mistake>,
    /// The words that are no options.
    pub(super) words: Vec<OsString>,
}

type Words = std::vec::IntoIter<OsString>;

impl Options<'_> {
    /// Reads a command line up to its first mistake.
    pub(super) fn read(&self, args: Vec<OsString>) -> Found {
        let named = self.known.iter().any(|spec| !spec.name.is_empty());
        let mut found = Found::default();
        let mut rest = args.into_iter();
        while let Some(arg) = rest.next() {
            let done = match arg.as_bytes() {
                b"--" => break,
                [b'-', b'-', long @ ..] if named => self.long(long, &mut rest, &mut found),
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.short(letters, &mut rest, &mut found)
                }
                _ => {
                    found.words.push(arg);
                    if !self.permutes {
                        break;
                    }
                    Ok(())
                }
            };
            if let Err(mistake) = done {
                found.mistake = Some(mistake);
                return found;
            }
        }
        found.words.extend(rest);
        found
    }

    /// `-dfb10`: the first letter that takes a value has the rest of the word for one, or else the next word.
    fn short(&self, word: &[u8], rest: &mut Words, found: &mut Found) -> Result<(), Mistake> {
        let mut letters = word;
        // What is known is ASCII, so there is a whole character where we are.
        while let Some(letter) = text(letters).chars().next() {
            let known = self.known.iter().enumerate();
            let known = known.into_iter().find(|(_, spec)| spec.letter == Some(letter));
            let (which, &spec) = known.ok_or(Mistake::Letter(letter))?;
            letters = letters.get(1..).unwrap_or_default();
            let value = match (spec.takes, letters) {
                (false, _) => OsString::new(),
                (true, []) => rest.next().ok_or(Mistake::LetterAlone(letter))?,
                (true, attached) => OsString::from_vec(attached.to_vec()),
            };
            found.given.push(Given { which, spec, by_name: false, value });
            if spec.takes {
                break;
            }
        }
        Ok(())
    }

    /// `--name`, `--name=value`, `--name value`, with any beginning of the name that only it has.
    fn long(&self, word: &[u8], rest: &mut Words, found: &mut Found) -> Result<(), Mistake> {
        let mut parts = word.splitn(2, |&byte| byte == b'=');
        let typed = parts.next().unwrap_or_default();
        let attached = parts.next().map(|value| OsStr::from_bytes(value).to_owned());
        let begins = |spec: &Spec| !spec.name.is_empty() && spec.name.as_bytes().starts_with(typed);
        let near = self.known.iter().enumerate().filter(|(_, spec)| begins(spec));
        let near: Vec<(usize, &Spec)> = near.collect();
        let exact = near.iter().find(|(_, spec)| spec.name.len() == typed.len());
        let as_typed = || (text(typed).into_owned(), text(word).into_owned());
        let (which, &spec) = match (exact, &near[..]) {
            (Some(&exact), _) => exact,
            (None, &[one]) => one,
            (None, []) => {
                let (name, word) = as_typed();
                return Err(Mistake::Name(name, word));
            }
            (None, several) => {
                let (name, word) = as_typed();
                let names = several.iter().map(|(_, spec)| spec.name).collect();
                return Err(Mistake::Ambiguous(name, word, names));
            }
        };
        let value = match (spec.takes, attached) {
            (true, Some(value)) => value,
            (true, None) => rest.next().ok_or(Mistake::NameAlone(spec.name))?,
            (false, Some(_)) => return Err(Mistake::Valued(spec.name)),
            (false, None) => OsString::new(),
        };
        found.given.push(Given { which, spec, by_name: true, value });
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The number that a C program's `strtol` or `%d` finds at the start of a text, and what comes after it.
pub(super) fn number(text: &str) -> Option<(i32, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(text.len() - unsigned.len() + digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE_NAMED: [Spec; 3] = [Spec::flag('v', ""), Spec::valued('r', ""), Spec::flag('V', "")];

    const NAMED: [Spec; 7] = [
        Spec::flag('v', "verbose"),
        Spec::flag('V', "version"),
        Spec::valued('r', "rewrite"),
        Spec::valued('b', "backoff-limit"),
        Spec::flag('d', "daemon"),
        Spec::valued('X', ""),
        Spec { letter: None, name: "print", takes: false },
    ];

    /// The options as `NAME=VALUE`, then `|`, then the words, then `|` and the mistake.
    fn read(known: &[Spec], permutes: bool, line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let found = Options { known, permutes }.read(args);
        let given = |it: &Given| {
            let letter = it.spec.letter.map_or(String::new(), |letter| letter.into());
            let name = if it.by_name { it.spec.name } else { &letter };
            let equals = if it.spec.takes { "=" } else { "" };
            assert_eq!(known[it.which], it.spec);
            format!("{name}{equals}{}", it.value.display())
        };
        let given: Vec<String> = found.given.iter().map(given).collect();
        let words: Vec<_> = found.words.iter().map(|word| word.to_string_lossy()).collect();
        let mistake = found.mistake.map_or(String::new(), |mistake| mistake.in_c());
        format!("{}|{}|{mistake}", given.join(" "), words.join(" "))
    }

    #[test]
    fn options_are_found_behind_words_only_if_they_may_stand_there() {
        for (line, permuted, stopped) in [
            ("-v a -v b", "v v|a b|", "v|a -v b|"),
            ("-vr1 a -- -v", "v r=1|a -v|", "v r=1|a -- -v|"),
            ("-r 1 -- -v", "r=1|-v|", "r=1|-v|"),
            ("-rv -r -v", "r=v r=-v||", "r=v r=-v||"),
            ("- -v", "v|-|", "|- -v|"),
            ("-- -- a", "|-- a|", "|-- a|"),
            ("-v ", "v||", "v||"),
            ("-vz -v", "v||invalid option -- 'z'", "v||invalid option -- 'z'"),
            ("-vé", "v||invalid option -- 'é'", "v||invalid option -- 'é'"),
            ("-v: a", "v||invalid option -- ':'", "v||invalid option -- ':'"),
            ("-r", "||option requires an argument -- 'r'", "||option requires an argument -- 'r'"),
            ("--verbose", "||invalid option -- '-'", "||invalid option -- '-'"),
        ] {
            assert_eq!(read(&NONE_NAMED, true, line), permuted, "{line}");
            assert_eq!(read(&NONE_NAMED, false, line), stopped, "{line}");
        }
    }

    #[test]
    fn names_may_be_shortened_until_they_mean_two() {
        for (line, expected) in [
            ("--verbose --rewrite=1 a", "verbose rewrite=1|a|"),
            ("--verb --rew 1 a", "verbose rewrite=1|a|"),
            ("--ba=1=2 --print x", "backoff-limit=1=2 print|x|"),
            ("--backoff-limit= x", "backoff-limit=|x|"),
            ("-Xa/b=c -b -d", "X=a/b=c b=-d||"),
        ] {
            assert_eq!(read(&NAMED, false, line), expected, "{line}");
        }
    }

    #[test]
    fn a_mistake_is_told_in_c_and_in_python() {
        for (line, c, python) in [
            ("-Q", "invalid option -- 'Q'", "option -Q not recognized"),
            ("-dQ", "invalid option -- 'Q'", "option -Q not recognized"),
            ("--bogus=1", "unrecognized option '--bogus=1'", "option --bogus not recognized"),
            (
                "--ver=1",
                "option '--ver=1' is ambiguous; possibilities: '--verbose' '--version'",
                "option --ver not a unique prefix",
            ),
            ("-db", "option requires an argument -- 'b'", "option -b requires argument"),
            (
                "--back",
                "option '--backoff-limit' requires an argument",
                "option --backoff-limit requires argument",
            ),
            (
                "--dae=1",
                "option '--daemon' doesn't allow an argument",
                "option --daemon must not have an argument",
            ),
        ] {
            let found = Options { known: &NAMED, permutes: false }.read(vec![line.into()]);
            let mistake = found.mistake.unwrap();
            assert_eq!((mistake.in_c().as_str(), mistake.in_python().as_str()), (c, python));
        }
        let found = Options { known: &NAMED, permutes: false }.read(vec!["--=x".into()]);
        assert_eq!(found.mistake.unwrap().in_python(), "option -- not a unique prefix");
    }

    #[test]
    fn what_is_no_text_is_a_value_or_a_word_all_the_same() {
        let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let args = vec![odd(b"-vr\xff"), odd(b"--rew=\xfe"), odd(b"\xfd")];
        let found = Options { known: &NAMED, permutes: false }.read(args);
        let values: Vec<&OsStr> = found.given.iter().map(|it| &*it.value).collect();
        assert_eq!(values, [OsStr::new(""), &odd(b"\xff"), &odd(b"\xfe")]);
        assert_eq!(found.words, [odd(b"\xfd")]);
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!(number(" +15:2x"), Some((15, ":2x")));
        assert_eq!(number("-1"), Some((-1, "")));
        for text in ["", "x1", "-", "99999999999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
