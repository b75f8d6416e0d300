//! getopt_long(3), as the programs that lar stands in for read their command lines: options bundled or not, values
//! attached or not, long names shortened, options behind words or not.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a program understands.
pub(super) struct Options {
    /// Its letters; one with a value is followed by a colon.
    pub(super) letters: &'static str,
    /// Long names, with the letters that they stand for.
    pub(super) names: &'static [(&'static str, char)],
    /// Whether options may stand behind words, up to `--`.
    pub(super) permutes: bool,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Letters and their values (empty for those without one), in the order in which they were given.
    pub(super) given: Vec<(char, OsString)>,
    /// The first mistake, after those: as getopt tells it, without the program's name.
    pub(super) mistake: Option<String>,
    /// The words that are no options.
    pub(super) words: Vec<OsString>,
}

impl Options {
    /// Reads a command line up to its first mistake.
    pub(super) fn read(&self, args: Vec<OsString>) -> Found {
        let mut found = Found::default();
        let mut rest = args.into_iter();
        while let Some(arg) = rest.next() {
            let done = match arg.as_bytes() {
                b"--" => break,
                [b'-', b'-', long @ ..] if !self.names.is_empty() => {
                    self.long(long, &mut rest, &mut found)
                }
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

    /// Whether a letter is known, and if so, whether it has a value.
    fn knows(&self, letter: char) -> Option<bool> {
        let mut letters = self.letters.chars().skip_while(|&known| known != letter);
        (letter != ':').then_some(())?;
        letters.next()?;
        Some(letters.next() == Some(':'))
    }

    fn short(
        &self,
        letters: &[u8],
        rest: &mut impl Iterator<Item = OsString>,
        found: &mut Found,
    ) -> Result<(), String> {
        let mut letters = letters.iter();
        while let Some(&letter) = letters.next() {
            let letter = char::from(letter);
            let attached = letters.as_slice();
            let value = match self.knows(letter) {
                None => return Err(format!("invalid option -- '{letter}'")),
                Some(false) => {
                    found.given.push((letter, OsString::new()));
                    continue;
                }
                Some(true) if !attached.is_empty() => Some(OsString::from_vec(attached.to_vec())),
                Some(true) => rest.next(),
            };
            let missing = || format!("option requires an argument -- '{letter}'");
            found.given.push((letter, value.ok_or_else(missing)?));
            return Ok(());
        }
        Ok(())
    }

    fn long(
        &self,
        word: &[u8],
        rest: &mut impl Iterator<Item = OsString>,
        found: &mut Found,
    ) -> Result<(), String> {
        let mut parts = word.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        let attached = parts.next().map(|value| OsStr::from_bytes(value).to_owned());
        let near: Vec<_> =
            self.names.iter().filter(|(known, _)| known.as_bytes().starts_with(name)).collect();
        let exact = near.iter().find(|(known, _)| known.len() == name.len());
        let &&(name, letter) = match (exact, &near[..]) {
            (Some(exact), _) => exact,
            (None, [one]) => one,
            (None, []) => {
                return Err(format!("unrecognized option '--{}'", String::from_utf8_lossy(word)));
            }
            (None, several) => {
                let all: String = several.iter().map(|(name, _)| format!(" '--{name}'")).collect();
                let word = String::from_utf8_lossy(word);
                return Err(format!("option '--{word}' is ambiguous; possibilities:{all}"));
            }
        };
        let value = match (self.knows(letter), attached) {
            (Some(true), Some(value)) => value,
            (Some(true), None) => {
                rest.next().ok_or_else(|| format!("option '--{name}' requires an argument"))?
            }
            (_, Some(_)) => return Err(format!("option '--{name}' doesn't allow an argument")),
            (_, None) => OsString::new(),
        };
        found.given.push((letter, value));
        Ok(())
    }
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

    fn read(letters: &'static str, permutes: bool, line: &str) -> Found {
        let names = &[("verbose", 'v'), ("version", 'V'), ("rewrite", 'r')];
        let names = if permutes { &[][..] } else { &names[..] };
        let args = line.split_whitespace().map(OsString::from).collect();
        Options { letters, names, permutes }.read(args)
    }

    fn shown(found: &Found) -> String {
        let given: Vec<String> = found
            .given
            .iter()
            .map(|(letter, value)| format!("{letter}{}", value.display()))
            .collect();
        let words: Vec<_> = found.words.iter().map(|word| word.to_string_lossy()).collect();
        format!(
            "{}|{}|{}",
            given.join(" "),
            words.join(" "),
            found.mistake.as_deref().unwrap_or("")
        )
    }

    #[test]
    fn options_are_found_behind_words_only_if_they_may_stand_there() {
        for (line, permuted, stopped) in [
            ("-v a -v b", "v v|a b|", "v|a -v b|"),
            ("-vr1 a -- -v", "v r1|a -v|", "v r1|a -- -v|"),
            ("-r 1 -- -v", "r1|-v|", "r1|-v|"),
            ("- -v", "v|-|", "|- -v|"),
            ("-- -- a", "|-- a|", "|-- a|"),
            ("-vz -v", "v||invalid option -- 'z'", "v||invalid option -- 'z'"),
            ("-v: a", "v||invalid option -- ':'", "v||invalid option -- ':'"),
            ("-r", "||option requires an argument -- 'r'", "||option requires an argument -- 'r'"),
        ] {
            assert_eq!(shown(&read("vr:V", true, line)), permuted, "{line}");
            assert_eq!(shown(&read("vr:V", false, line)), stopped, "{line}");
        }
    }

    #[test]
    fn long_names_may_be_shortened_until_they_mean_two() {
        for (line, expected) in [
            ("--verbose --rewrite=1 a", "v r1|a|"),
            ("--verb --rew 1 a", "v r1|a|"),
            ("--ver", "||option '--ver' is ambiguous; possibilities: '--verbose' '--version'"),
            ("--nope=1", "||unrecognized option '--nope=1'"),
            ("--verbose=1", "||option '--verbose' doesn't allow an argument"),
            ("--rewrite", "||option '--rewrite' requires an argument"),
        ] {
            assert_eq!(shown(&read("vr:V", false, line)), expected, "{line}");
        }
        assert_eq!(shown(&read("v", true, "--verbose")), "||invalid option -- '-'");
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
