//! Python's getopt: letters may stand together, long names may be shortened, and the first word that is no option
//! ends the options. lexopt knows other rules.

/// An option that may be given.
pub(super) struct Spec {
    /// `b` of `-b`.
    pub(super) short: Option<char>,
    /// `backoff-limit`; empty if it has a letter only.
    pub(super) long: &'static str,
    /// Whether a value belongs to it.
    pub(super) takes: bool,
}

/// An option that was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Which one of the specs.
    pub(super) which: usize,
    /// As messages name it: `-b` or, in full, `--backoff-limit`.
    pub(super) name: String,
    /// Empty for one that takes none.
    pub(super) value: String,
}

/// The options at the beginning of `words`, and what comes behind them.
pub(super) fn parse(words: &[String], specs: &[Spec]) -> Result<(Vec<Given>, Vec<String>), String> {
    let mut given = Vec::new();
    let mut words = words.iter();
    loop {
        let rest = words.as_slice();
        let Some(word) = words.next() else { break };
        if word == "--" {
            break;
        }
        if let Some(name) = word.strip_prefix("--") {
            given.push(long(name, specs, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|it| !it.is_empty()) {
            short(letters, specs, &mut words, &mut given)?;
        } else {
            return Ok((given, rest.to_vec()));
        }
    }
    Ok((given, words.as_slice().to_vec()))
}

type Words<'a> = std::slice::Iter<'a, String>;

/// `--name`, `--name=value`, `--name value`, with any beginning of the name that only it has.
fn long(word: &str, specs: &[Spec], words: &mut Words) -> Result<Given, String> {
    let (typed, value) = match word.split_once('=') {
        Some((typed, value)) => (typed, Some(value)),
        None => (word, None),
    };
    let mut found: Vec<usize> = (0..specs.len())
        .filter(|&at| !specs[at].long.is_empty() && specs[at].long.starts_with(typed))
        .collect();
    if let Some(exact) = found.iter().copied().find(|&at| specs[at].long == typed) {
        found = vec![exact];
    }
    let which = match found[..] {
        [] => return Err(format!("option --{typed} not recognized")),
        [which] => which,
        _ => return Err(format!("option --{typed} not a unique prefix")),
    };
    let Spec { long, takes, .. } = specs[which];
    let value = match (takes, value) {
        (true, Some(value)) => value.to_owned(),
        (true, None) => {
            words.next().cloned().ok_or_else(|| format!("option --{long} requires argument"))?
        }
        (false, None) => String::new(),
        (false, Some(_)) => return Err(format!("option --{long} must not have an argument")),
    };
    Ok(Given { which, name: format!("--{long}"), value })
}

/// `-dfb10`: the first letter that takes a value has the rest of the word for one, or else the next word.
fn short(
    letters: &str,
    specs: &[Spec],
    words: &mut Words,
    given: &mut Vec<Given>,
) -> Result<(), String> {
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let which = specs.iter().position(|spec| spec.short == Some(letter));
        let which = which.ok_or_else(|| format!("option -{letter} not recognized"))?;
        let name = format!("-{letter}");
        if !specs[which].takes {
            given.push(Given { which, name, value: String::new() });
            continue;
        }
        let value = match letters.as_str() {
            "" => {
                words.next().cloned().ok_or_else(|| format!("option {name} requires argument"))?
            }
            rest => rest.to_owned(),
        };
        given.push(Given { which, name, value });
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: [Spec; 5] = [
        Spec { short: Some('b'), long: "backoff-limit", takes: true },
        Spec { short: Some('d'), long: "daemon", takes: false },
        Spec { short: Some('s'), long: "socket-name", takes: true },
        Spec { short: Some('S'), long: "schema", takes: true },
        Spec { short: Some('X'), long: "", takes: true },
    ];

    /// The options as `NAME=VALUE`, then `|`, then the words.
    fn read(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        match parse(&words, &SPECS) {
            Ok((given, words)) => {
                let given: Vec<String> =
                    given.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
                format!("{}|{}", given.join(" "), words.join(" "))
            }
            Err(error) => error,
        }
    }

    #[test]
    fn options_are_found_however_they_are_written() {
        let cases = [
            ("-b 1 status", "-b=1|status"),
            ("-b1 -d", "-b=1 -d=|"),
            ("-db1 x", "-d= -b=1|x"),
            ("-bd x", "-b=d|x"),
            ("--backoff-limit=1 x", "--backoff-limit=1|x"),
            ("--backoff-limit 1 x", "--backoff-limit=1|x"),
            ("--ba=1=2 x", "--backoff-limit=1=2|x"),
            ("--soc= x", "--socket-name=|x"),
            ("-Xa/b=c -b -d", "-X=a/b=c -b=-d|"),
            ("start -d", "|start -d"),
            ("-d -- -b", "-d=|-b"),
            ("-d - -b", "-d=|- -b"),
            ("-d ", "-d=|"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_getopts_words() {
        let cases = [
            ("-Q", "option -Q not recognized"),
            ("-dQ", "option -Q not recognized"),
            ("--bogus", "option --bogus not recognized"),
            ("--bogus=1", "option --bogus not recognized"),
            ("--s x", "option --s not a unique prefix"),
            ("--=x", "option -- not a unique prefix"),
            ("-b", "option -b requires argument"),
            ("-db", "option -b requires argument"),
            ("--back", "option --backoff-limit requires argument"),
            ("--dae=1", "option --daemon must not have an argument"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
