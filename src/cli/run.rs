//! `lar run 'NAME: COMMAND'...`: several commands in the foreground, without a file.

use std::ffi::OsString;

use super::machine::Machine;
use super::{complain, manager, usage_error};
use crate::config;
use crate::exit::Code;

/// What makes a command one for the shell: the rest is run as it is.
const SHELL: &[char] = &['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '{', '~'];

/// First words that only a shell understands.
const BUILTIN: [&str; 13] = [
    "cd", "exit", "exec", "export", ".", "set", "ulimit", "umask", "while", "for", "if", "until",
    "trap",
];

/// Starts them all and waits for their end.
pub fn main(args: Vec<OsString>) -> u8 {
    let mut text = String::new();
    for arg in args {
        let section = match arg.into_string() {
            Ok(arg) => section(&arg),
            Err(arg) => Err(format!("'{}' is not UTF-8", arg.to_string_lossy())),
        };
        match section {
            Ok(section) => text.push_str(&section),
            Err(message) => return usage_error(&message),
        }
    }
    if text.is_empty() {
        return usage_error("nothing to run: lar run 'NAME: COMMAND'...");
    }
    let reading = config::read("lar run", text.as_bytes(), &Machine::new());
    for diagnostic in &reading.diagnostics {
        complain(&diagnostic.to_string());
    }
    match reading.plan {
        Some(plan) => manager::start(plan, None, None),
        None => Code::Usage as u8,
    }
}

/// One command as a section of a file.
fn section(arg: &str) -> Result<String, String> {
    if arg.starts_with('-') {
        return Err(format!("unknown option '{arg}'"));
    }
    if arg.contains(['\n', '\r', '\0']) {
        return Err("a command is one line".into());
    }
    // A name may have a group (`shop:web`), so the colon that ends it is the one with a blank after it.
    let (name, command) = arg
        .split_once(": ")
        .ok_or_else(|| format!("'{arg}' is not 'NAME: COMMAND' (with a blank after the colon)"))?;
    let (name, command) = (name.trim(), command.trim());
    let first = command.split_whitespace().next().unwrap_or_default();
    let shell = command.contains(SHELL) || first.contains('=') || BUILTIN.contains(&first);
    let command = command.replace('%', "%%");
    let shell = if shell { "  shell yes\n" } else { "" };
    Ok(format!("<service {name}>\n{shell}  program {command}\n</service>\n"))
}
