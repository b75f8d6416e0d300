//! lar as zdaemon: the client that people and scripts call, and the manager that it makes. One program in two roles,
//! as the original; which one is said by a variable.
//!
//! What the client prints, and what it ends with, is zdaemon 5.2.1's to the word, but for its defects. The shell is
//! zdaemon 2's.

mod classic;
mod client;
mod commands;
mod errno;
mod help;
mod kill;
pub(super) mod log;
mod logtail;
pub(super) mod manager;
mod options;
mod paths;
mod shell;
mod show;
mod start;
mod user;
mod wire;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use self::client::{Client, complain, say};
use self::commands::Next;
use self::manager::Manager;
use self::options::{Options, Role, Stop};
use self::user::Trouble;
use self::wire::{Cut, Status};
use crate::exit::Code;
use crate::sys::{signals, variables};

/// Everything that zdaemon is called with; its exit code.
pub fn main(name: String, args: Vec<OsString>) -> u8 {
    // As `lar zdaemon`, `name` is a word of lar's and not what lar was called by.
    let zeroth = std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned();
    let (name, word) = match zeroth == name {
        true => (name, None),
        false => (format!("{zeroth} {name}"), Some(name)),
    };
    if args.first().is_some_and(|word| word == "--classic") {
        return classic::main(name, args.into_iter().skip(1).collect());
    }
    let asked = variables::take(start::MANAGER).is_some_and(|value| !value.is_empty());
    let zdrun = super::called(word.as_deref().unwrap_or(&name).as_ref()) == "zdrun";
    let role = if asked || zdrun { Role::Manager } else { Role::Client };
    match role {
        // A command like any other: Ctrl-C and a closed pipe end it.
        Role::Client => signals::give_back_but(start::held()),
        Role::Manager => start::take_held(),
    }
    let read = words(args).and_then(|line| Ok((Options::read(role, &line)?, line)));
    let (options, line) = match read {
        Ok(read) => read,
        Err(stop) => return stopped(&name, stop),
    };
    match role {
        Role::Manager => manager::run(Manager {
            said: options.runner,
            environment: options.environment,
            event_log: options.event_log,
            warnings: options.warnings,
            name,
            config_path: options.config,
        }),
        Role::Client => {
            client(Client { name, word, line, options, shell: false, status: Status::default() })
        }
    }
}

fn words(args: Vec<OsString>) -> Result<Vec<String>, Stop> {
    let text = |arg: OsString| {
        arg.into_string()
            .map_err(|arg| Stop::Wrong(format!("{} is not UTF-8", arg.to_string_lossy())))
    };
    args.into_iter().map(text).collect()
}

/// Ends without having done anything.
fn stopped(name: &str, stop: Stop) -> u8 {
    match stop {
        Stop::Wrong(message) => {
            complain(format_args!("Error: {message}\nFor help, use {name} -h"));
            Code::Usage as u8
        }
        Stop::Print(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            Code::Done as u8
        }
    }
}

fn client(mut client: Client) -> u8 {
    let interactive = client.options.interactive || client.options.words.is_empty();
    if interactive && !client.options.interactive {
        // Scripts know zdaemon 3 and later; somebody at a terminal gets the shell that zdaemon had before.
        let by_default = client.options.runner.default_to_interactive.unwrap_or(true);
        let why = match (std::io::stdin().is_terminal(), by_default) {
            (true, true) => None,
            (true, false) => Some("either -i or an action argument is required"),
            (false, _) => Some("an action argument is required"),
        };
        if let Some(why) = why {
            return stopped(&client.name, Stop::Wrong(why.into()));
        }
    }
    if let Err(cut) = client.refresh() {
        return cut.told();
    }
    client.warn();
    if let Err(trouble) = user::prepare(&client.options) {
        let code = trouble.code();
        match trouble {
            Trouble::Usage(message) => stopped(&client.name, Stop::Wrong(message)),
            Trouble::Refused(message) => {
                complain(format_args!("Error: {message}"));
                code as u8
            }
        };
        return code as u8;
    }
    let mut code = Code::Done as u8;
    if !client.options.words.is_empty() {
        let line = client.options.words.join(" ");
        code = match client.obey(&line) {
            Ok(Next::Done(code)) => code,
            Ok(Next::Leave) => return Code::Done as u8,
            Err(cut @ Cut::Ended(_)) => return cut.told(),
            Err(cut) => {
                if cut == Cut::Interrupted {
                    say("");
                }
                cut.told()
            }
        };
    }
    if interactive { shell::run(&mut client) } else { code }
}
