//! The interactive shell: the verbs without `lar ctl` before them. Each line is a connection of
//! its own, so that a shell left open holds nothing in the manager.

use std::io::{self, BufRead, Write};

use super::args::{self, Arguments};
use super::{ask, help};
use crate::ctl::protocol::words;
use crate::exit::Code;

/// Reads lines until `quit` or the end of the input. An error does not end it, and is not its exit
/// code.
pub fn run(arguments: &Arguments) -> u8 {
    let mut out = io::stdout();
    let mut line = String::new();
    loop {
        line.clear();
        let _ = write!(out, "lar> ").and_then(|()| out.flush());
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => {
                let _ = writeln!(out);
                return Code::Done as u8;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = writeln!(io::stderr(), "lar ctl: {error}");
                return Code::Failed as u8;
            }
        }
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
