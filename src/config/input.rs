//! The keys about what a service is sent.

use super::section::{Cursor, Values};
use super::value::Wrong;
use crate::plan::{Input, Stdin, input};

/// What `stdin` takes.
pub(super) const STDINS: [(&str, Stdin); 2] = [("null", Stdin::Null), ("pipe", Stdin::Pipe)];

/// More is a slip: each costs two fds for every instance.
const MOST: usize = 16;

/// As long as a name of a variable may reasonably be.
const LONGEST: usize = 32;

/// What `lar ctl send` and `logs` call the ways that every service has.
const TAKEN: [&str; 3] = ["stdin", "stdout", "stderr"];

/// The ways into a service.
pub(super) fn read(v: &mut Values) -> Input {
    let mut input = Input::default();
    v.choose(&mut input.stdin, "stdin", &STDINS);
    v.set_read(&mut input.streams, "streams", streams);
    input
}

fn streams(cursor: &mut Cursor) -> Result<Vec<String>, Wrong> {
    let mut names: Vec<String> = vec![name(&cursor.want("a name")?)?];
    while let Some(word) = cursor.take() {
        let new = name(&word)?;
        let variable = input::variable(&new);
        if let Some(old) = names.iter().find(|old| input::variable(old) == variable) {
            return Err(match *old == new {
                true => Wrong::new(format!("there is a stream `{new}` already")),
                false => Wrong::new(format!("`{old}` and `{new}` would both be {variable}")),
            });
        }
        if names.len() == MOST {
            return Err(Wrong::new(format!("{MOST} streams are the most")));
        }
        names.push(new);
    }
    Ok(names)
}

fn name(word: &str) -> Result<String, Wrong> {
    if TAKEN.contains(&word) {
        return Err(Wrong::new(format!("`{word}` is no stream's name: each process has one")));
    }
    let good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let starts = word.starts_with(|letter: char| letter.is_ascii_alphabetic());
    match starts && word.chars().all(good) && word.len() <= LONGEST {
        true => Ok(word.to_owned()),
        false => Err(Wrong::new(format!("`{word}` can't be the name of a stream"))
            .hint("a letter, then letters, digits, `_` and `-`: it becomes part of a variable")),
    }
}
