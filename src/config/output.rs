//! The keys about what a service writes.

use super::phrases;
use super::section::Values;
use super::value::{self, Wrong};
use super::words;
use crate::plan::{Format, OnFull, Output, Target};

/// The largest ring: every instance has one, and a slip of the unit should not end in an OOM kill.
const LARGEST_RING: u64 = 1 << 30;

/// What `format` takes.
pub(super) const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

/// What `on-full` takes.
pub(super) const ON_FULL: [(&str, OnFull); 2] = [("drop", OnFull::Drop), ("block", OnFull::Block)];

/// How lines are treated.
pub(super) fn read(v: &mut Values) -> Output {
    let mut output = Output { timestamp: timestamp(v), ..Output::default() };
    let prefix = |word: &str| match word {
        "color" | "colour" => Ok((true, true)),
        _ => value::boolean(word).map(|yes| (yes, false)),
    };
    if let Some((prefix, colour)) = v.word("prefix", prefix) {
        (output.prefix, output.colour) = (Some(prefix), colour);
    }
    v.choose(&mut output.format, "format", &FORMATS);
    v.set_read(&mut output.rotate, "rotate", phrases::rotate);
    let ring = |word: &str| match value::size(word)? {
        size if size <= LARGEST_RING => Ok(size as u32),
        _ => Err(Wrong::new(format!("a ring of {word} is too large; 1G is the most"))),
    };
    v.set(&mut output.ring, "ring", ring);
    v.choose(&mut output.on_full, "on-full", &ON_FULL);
    output
}

/// The rest of the line, nothing put in: its `%` are strftime's.
fn timestamp(v: &mut Values) -> Option<String> {
    let entry = v.entry("timestamp")?;
    if let Ok(yes) = value::boolean(&entry.value) {
        return yes.then(|| phrases::RFC_3339.to_string());
    }
    let format = match entry.value.starts_with(['"', '\'']).then(|| words::split(&entry.value)) {
        None => entry.value.clone(),
        Some(Ok(words)) if words.len() == 1 => words.into_iter().map(|word| word.text).collect(),
        Some(Ok(_)) => {
            v.wrong("timestamp", "more follows after the closing quote");
            return None;
        }
        Some(Err((at, sign))) => {
            v.report.error(&entry.at(at), format!("this {sign} is never closed"));
            return None;
        }
    };
    if !format.contains('%') {
        v.wrong("timestamp", format!("`{format}` is neither yes, no nor a format"));
        v.report.hint("as in: timestamp %Y-%m-%dT%H:%M:%S");
        return None;
    }
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        let word = if letter == '%' { letters.next().unwrap_or(' ') } else { '%' };
        if !phrases::TIME_WORDS.contains(word) {
            v.wrong("timestamp", format!("`%{word}` is no part of a time"));
            let known: Vec<String> = phrases::TIME_WORDS.chars().map(|c| format!("%{c}")).collect();
            v.report.hint(format!("there are {}", known.join(" ")));
            return None;
        }
    }
    Some(format)
}

/// Where `transcript` sends the current instance's output.
pub(super) fn transcript(v: &mut Values) -> Target {
    v.word("transcript", target).unwrap_or_default()
}

/// Where `stderr` sends it, if elsewhere.
pub(super) fn stderr(v: &mut Values) -> Option<Target> {
    let own = |word: &str| match word {
        "transcript" => Ok(None),
        _ => target(word).map(Some),
    };
    v.word("stderr", own).flatten()
}

fn target(word: &str) -> Result<Target, Wrong> {
    match word {
        "default" => Ok(Target::Default),
        "stdout" => Ok(Target::Stdout),
        "inherit" => Ok(Target::Inherit),
        "none" | "/dev/null" => Ok(Target::None),
        _ if word.ends_with('/') => Err(Wrong::new(format!("`{word}` is a directory"))),
        _ => {
            let words = ["stdout", "inherit", "none", "default"];
            let near = crate::nearest::nearest(word, words);
            match near.filter(|_| !word.contains(['/', '.'])) {
                Some(near) => Err(Wrong::new(format!("`{word}` looks like a slip of `{near}`"))
                    .hint(format!("if it is a file: ./{word}"))),
                None => value::text(word).map(Target::File),
            }
        }
    }
}
