//! The words after `lar ctl`: the client's own options are taken out, the rest is a request.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::ctl::protocol::command::Flag;
use crate::signal::Signal;

/// How a reply is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// For people.
    Columns,
    /// For scripts: one record a line, tabs between its fields, `-` for none.
    Plain,
    /// For programs.
    Json,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Where the manager is, if said.
    pub socket: Option<String>,
    /// How the reply is shown.
    pub layout: Layout,
    /// How often to look again, for the verbs that look.
    pub watch: Option<String>,
    /// Whether only help is wanted.
    pub help: bool,
    /// The request: the verb, its options and names.
    pub words: Vec<String>,
}

/// Reads them. What is wrong with the request itself is found later, by the function the manager
/// uses, too.
pub fn read(words: Vec<OsString>) -> Result<Arguments, String> {
    let mut parser = lexopt::Parser::from_args(words);
    let mut arguments = Arguments {
        socket: None,
        layout: Layout::Columns,
        watch: None,
        help: false,
        words: Vec::new(),
    };
    loop {
        // Whatever follows a new service's name is its own, and so is what follows the `--` of a run.
        let own = match parser.try_raw_args() {
            Some(rest) => names_new(&arguments.words) || runs(&arguments.words, rest.peek()),
            None => false,
        };
        if own && let Ok(rest) = parser.raw_args() {
            for word in rest {
                let odd = |word: OsString| format!("{} is not UTF-8", word.to_string_lossy());
                arguments.words.push(word.into_string().map_err(odd)?);
            }
        }
        match next(&mut parser, &mut arguments)? {
            Some(word) => arguments.words.push(word),
            None => break,
        }
    }
    // To the manager the verb comes first, wherever its options stand.
    if let Some(verb) = arguments.words.iter().position(|word| !word.starts_with('-')) {
        arguments.words[..=verb].rotate_right(1);
    }
    Ok(arguments)
}

/// Whether what follows these words is none of ours: after `add NAME`, and after the first word of a text.
fn names_new(words: &[String]) -> bool {
    let mut plain = words.iter().filter(|word| *word == "-" || !word.starts_with('-'));
    match plain.next().map(String::as_str) {
        Some("add") => plain.next().is_some(),
        // Its text.
        Some("send") => plain.nth(1).is_some() || words.iter().any(|word| word == "--"),
        _ => false,
    }
}

/// Whether these words are a `once`, and the next word is the last that is not the program's.
fn runs(words: &[String], next: Option<&std::ffi::OsStr>) -> bool {
    let verb = words.iter().find(|word| !word.starts_with('-'));
    verb.is_some_and(|verb| verb == "once") && next.is_some_and(|word| word == "--")
}

/// Whether a word with a dash is no option: `kill -9 web`, `scale web -1`.
fn dashed(before: &[String], word: &std::ffi::OsStr) -> bool {
    let Some(rest) = word.to_str().and_then(|word| word.strip_prefix('-')) else { return false };
    match before.first().map(String::as_str) {
        // To lexopt it would be gone.
        Some("send") => rest == "-",
        Some("kill") => before.len() == 1 && Signal::parse(rest).is_some(),
        Some("scale") => !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

/// The next word of the request.
fn next(parser: &mut lexopt::Parser, arguments: &mut Arguments) -> Result<Option<String>, String> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| format!("{} is not UTF-8", word.to_string_lossy()))
    };
    loop {
        // To lexopt these would be letters.
        if let Some(mut raw) = parser.try_raw_args()
            && let Some(word) = raw.next_if(|word| dashed(&arguments.words, word))
        {
            return text(word).map(Some);
        }
        let Some(argument) = parser.next().map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let flag = match argument {
            Value(word) => return text(word).map(Some),
            Short('s') | Long("socket") => {
                let value = parser.value().map_err(|error| error.to_string())?;
                arguments.socket = Some(text(value)?);
                continue;
            }
            Long("json") => {
                arguments.layout = Layout::Json;
                continue;
            }
            Long("watch") => {
                let value = parser.value().map_err(|error| error.to_string())?;
                arguments.watch = Some(text(value)?);
                continue;
            }
            Long("plain") => {
                arguments.layout = Layout::Plain;
                continue;
            }
            Short('h') | Long("help") => {
                arguments.help = true;
                continue;
            }
            Short(letter) => match Flag::ALL.iter().find(|flag| flag.letter() == Some(letter)) {
                Some(flag) => flag,
                None => return Ok(Some(format!("-{letter}"))),
            },
            Long(name) => match Flag::ALL.iter().find(|flag| flag.name() == name) {
                Some(flag) => flag,
                None => {
                    let word = format!("--{name}");
                    let _ = parser.optional_value();
                    return Ok(Some(word));
                }
            },
        };
        if flag.value().is_none() {
            return Ok(Some(format!("--{}", flag.name())));
        }
        let value = parser.value().map_err(|error| error.to_string())?;
        return Ok(Some(format!("--{}={}", flag.name(), text(value)?)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        read(line.split(' ').map(OsString::from).collect()).unwrap().words
    }

    #[test]
    fn the_clients_own_options_are_taken_out_wherever_they_stand() {
        let given = "-s /x status --json web";
        let read = read(given.split(' ').map(OsString::from).collect()).unwrap();
        assert_eq!(read.socket.as_deref(), Some("/x"));
        assert_eq!(read.layout, Layout::Json);
        assert_eq!(read.words, ["status", "web"]);
    }

    #[test]
    fn the_requests_options_are_passed_on_in_their_long_form() {
        assert_eq!(words("logs -fn5 web"), ["logs", "--follow", "--lines=5", "web"]);
        assert_eq!(words("stop --timeout 5s web"), ["stop", "--timeout=5s", "web"]);
        assert_eq!(words("--timeout 5s stop web"), ["stop", "--timeout=5s", "web"]);
        assert_eq!(words("kill -9 web"), ["kill", "-9", "web"]);
        assert_eq!(words("kill -HUP web"), ["kill", "-HUP", "web"]);
        assert_eq!(words("stop --frce web"), ["stop", "--frce", "web"]);
    }
}
