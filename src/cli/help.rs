//! `lar help config [KEY]` and `lar help exit-codes`: pages made from the tables that the program itself uses.

use std::io::Write;

use crate::config::keys;
use crate::exit::Code;

/// Prints the page about every key of a configuration file, or about one; returns the exit code.
pub fn config(key: Option<&str>) -> u8 {
    match key.map(keys::help_one) {
        None => print(&keys::help()),
        Some(Ok(text)) => print(&text),
        Some(Err(near)) => {
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            eprintln!("lar: there is no key `{}`{near}", key.unwrap_or_default());
            Code::Usage as u8
        }
    }
}

/// Prints what lar's exit codes mean; returns its own.
pub fn exit_codes() -> u8 {
    let lines = Code::ALL.iter().map(|code| format!("{:>3}  {}\n", *code as u8, code.meaning()));
    print(&lines.collect::<String>())
}

/// A reader that has left (`lar help config | head`) is no error.
fn print(text: &str) -> u8 {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Code::Done as u8
}
