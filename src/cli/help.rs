//! `lar help config [KEY]`, `lar help exit-codes` and the other topics: pages made from the tables that the
//! program itself uses.

use std::ffi::OsString;
use std::io::Write;

use super::single;
use crate::config::keys;
use crate::exit::Code;
use crate::nearest;

/// The pages there are.
const TOPICS: [&str; 6] = ["config", "exit-codes", "options", "ctl", "daemon", "with-lock"];

/// `lar help [TOPIC [KEY]]`.
pub fn main(args: Vec<OsString>) -> u8 {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["run" | "check"] => print(super::USAGE),
        ["daemon"] => print(super::daemon::USAGE),
        ["with-lock"] => print(super::with_lock::USAGE),
        ["config"] => config(None),
        ["config", key] => config(Some(key)),
        ["exit-codes"] => exit_codes(),
        ["options"] => options(),
        ["ctl", verb @ ..] => {
            let words = ["help"].iter().chain(verb).map(Into::into);
            super::ctl::run(words.collect())
        }
        [topic, ..] => {
            let near = nearest::nearest(topic, TOPICS);
            let near = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            super::usage_error(&format!("there is no help about '{topic}'{near}"))
        }
    }
}

/// Prints the options of single-program mode.
fn options() -> u8 {
    let lines = single::OPTIONS.iter().map(|option| {
        format!("--{} {}\n    {} [{}]\n", option.name, option.value, option.doc, option.variable)
    });
    print(&lines.collect::<String>())
}

/// Prints the page about every key of a configuration file, or about one; returns the exit code.
pub fn config(key: Option<&str>) -> u8 {
    match key.map(keys::help_one) {
        None => print(&keys::help()),
        Some(Ok(text)) => print(&text),
        Some(Err(near)) => {
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            super::complain(&format!("there is no key `{}`{near}", key.unwrap_or_default()));
            Code::Usage as u8
        }
    }
}

/// Prints what lar's exit codes mean; returns its own.
pub fn exit_codes() -> u8 {
    let mut codes = Code::ALL.to_vec();
    codes.sort_by_key(|code| code.exit());
    let lines = codes.iter().map(|code| format!("{:>3}  {}\n", code.exit(), code.meaning()));
    print(&lines.collect::<String>())
}

/// A reader that has left (`lar help config | head`) is no error.
fn print(text: &str) -> u8 {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Code::Done as u8
}
