//! The interactive shell: the verbs without `lar ctl` before them. Each line is a connection of
//! its own, so that a shell left open holds nothing in the manager.

use std::io::{self, Write};

use super::args::{self, Arguments};
use super::{ask, help, names, stats};
use crate::cli::editor::{Editor, Typed};
use crate::ctl::protocol::command::{COMMANDS, Takes};
use crate::ctl::protocol::words;
use crate::exit::Code;

/// Reads lines until `quit` or the end of the input. An error does not end it, and is not its exit
/// code.
pub fn run(arguments: &Arguments) -> u8 {
    let mut editor = Editor::new();
    loop {
        let line = match editor.read("lar> ", &|line| complete(line, || names(arguments))) {
            Ok(Typed::Line(line)) => line,
            Ok(Typed::Cancelled) => continue,
            Ok(Typed::End) => {
                let _ = writeln!(io::stdout());
                return Code::Done as u8;
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "lar ctl: {error}");
                return Code::Failed as u8;
            }
        };
        match words::split(&line) {
            Ok(words) if matches!(words.first().map(String::as_str), Some("quit" | "exit")) => {
                return Code::Done as u8;
            }
            Ok(words) => obey(arguments, words),
            Err(error) => {
                let _ = writeln!(io::stderr(), "{error}");
            }
        }
    }
}

/// What the last word of a line may become: a verb, then the verb's options and the names of services.
fn complete(line: &str, names: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let (before, word) = line.rsplit_once(' ').unwrap_or(("", line));
    let verbs = || COMMANDS.iter().map(|spec| spec.name.to_owned()).collect::<Vec<_>>();
    let looks = || stats::VERBS.iter().map(|(name, ..)| (*name).to_owned()).collect::<Vec<_>>();
    let mut words = match before.split_whitespace().next() {
        None => [verbs(), looks(), vec!["help".to_owned(), "quit".to_owned()]].concat(),
        Some("help") => [verbs(), looks()].concat(),
        Some(verb) if looks().iter().any(|look| look == verb) => names(),
        Some(verb) => match COMMANDS.iter().find(|spec| spec.name == verb) {
            Some(spec) if word.starts_with('-') => {
                spec.flags.iter().map(|flag| format!("--{}", flag.name())).collect()
            }
            Some(spec) if !matches!(spec.takes, Takes::Nothing | Takes::Level) => names(),
            _ => Vec::new(),
        },
    };
    words.retain(|it| it.starts_with(word));
    words
}

fn obey(arguments: &Arguments, words: Vec<String>) {
    let mut read = match args::read(words.into_iter().map(Into::into).collect()) {
        Ok(read) => read,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            return;
        }
    };
    let first = read.words.first().map(String::as_str);
    if read.help || matches!(first, Some("help" | "?")) {
        if let Some(topic) = read.words.get(1) {
            help::show(Some(topic));
            return;
        }
        let _ = help::verbs(&mut io::stdout());
        let _ = writeln!(io::stdout(), "  {:<24} leave this shell", "quit");
        return;
    }
    if read.words.is_empty() {
        read.words.push("status".to_owned());
    }
    read.socket = read.socket.or_else(|| arguments.socket.clone());
    if read.layout == args::Layout::Columns {
        read.layout = arguments.layout;
    }
    ask(&read, read.words.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> String {
        complete(line, || vec!["web".into(), "worker".into()]).join(" ")
    }

    #[test]
    fn verbs_options_and_names_are_completed() {
        assert_eq!(completed("sta"), "status start stats");
        assert_eq!(completed("q"), "quit");
        assert_eq!(completed("stop w"), "web worker");
        assert_eq!(completed("stop web --f"), "--force");
        assert_eq!(completed("help sho"), "");
        assert_eq!(completed("help sh"), "shutdown");
        assert_eq!(completed("ping w"), "");
        assert_eq!(completed("nonsense w"), "");
    }
}
