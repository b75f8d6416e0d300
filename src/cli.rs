//! The command line: which of its roles lar is called in.

pub mod check;
pub mod ctl;
pub mod daemon;
pub mod dumb_init;
pub mod editor;
mod getopt;
pub mod help;
pub mod machine;
pub mod manager;
pub mod run;
pub mod single;
mod source;
pub mod tini;
pub mod with_lock;
pub mod zdaemon;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::exit::Code;

/// What `lar help` and `lar --help` print.
const USAGE: &str = "\
lar: init, process supervisor, and its own control client

usage:
  lar [OPTIONS] -- PROGRAM [ARGS]    run one program: pass signals on, reap orphans, end as it does
  lar -C FILE [--daemon]             supervise the services of a file
  lar run [-i] 'NAME: COMMAND'...    supervise several commands without a file (-i: lar ctl send reaches them)
  lar run -f Procfile [-c web=2] [-e ENVFILE] [-d ROOT] [-p PORT] [NAME...]
                                     the same for a Procfile and its .env
  lar config --from-procfile [FILE]  print that as a file for -C
  lar ctl [VERB [NAME...]]           look at and steer a running manager
  lar daemon VERB NAME               start, stop, find a daemon without a manager: see `lar daemon --help`
  lar with-lock [--shared] [--no-wait] FILE -- COMMAND [ARGS]
                                     run a command while nobody else holds the lock on FILE
  lar check FILE                     look for errors in a file
  lar zdaemon|tini|dumb-init ...     stand in for that program; so does a link to lar that is called so
  lar help [TOPIC]                   topics: config, config KEY, exit-codes, options, ctl, daemon, with-lock

Without arguments, the file is /etc/lar.conf.
`lar help options` lists the options of the first form.
";

/// What a shell reports of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// A program that lar stands in for: its `main` gets the name it was called by, for messages, and the arguments.
type Personality = fn(String, Vec<OsString>) -> u8;

/// Which program lar is when it is called `name`, by a link or as `lar NAME`.
fn personality(name: &str) -> Option<Personality> {
    match name {
        "zdaemon" | "zdctl" | "zdrun" => Some(zdaemon::main),
        "tini" | "tini-static" | "docker-init" => Some(tini::main),
        "dumb-init" => Some(dumb_init::main),
        _ => None,
    }
}

/// The last part of the name that lar was called by.
fn called(name: &OsStr) -> String {
    let name = Path::new(name).file_name().unwrap_or_default();
    name.to_string_lossy().trim_end_matches(".py").to_owned()
}

/// The whole program; its exit code.
pub fn main() -> u8 {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let mut args: Vec<OsString> = args.collect();
    if let Some(main) = personality(&called(&name)) {
        return main(name.to_string_lossy().into_owned(), args);
    }
    if let Some(main) = args.first().and_then(|word| personality(word.to_str()?)) {
        let name = args.remove(0).to_string_lossy().into_owned();
        return main(name, args);
    }
    let first = args.first().map(|word| word.to_string_lossy().into_owned());
    match first.as_deref() {
        // One program, or one file, supervised: what a PID 1 is called with.
        None | Some("--configure" | "-d" | "--daemon" | "--foreground") => manager::main(args),
        Some(word) if word.starts_with("-C") || word.starts_with("--configure=") => {
            manager::main(args)
        }
        Some("-h" | "--help") => print(USAGE),
        Some("-V" | "--version" | "version") => {
            print(&format!("lar {}\n", env!("CARGO_PKG_VERSION")))
        }
        Some(word) if word.starts_with('-') => single::main(args),
        Some("run" | "check" | "config")
            if args.get(1).is_some_and(|it| it == "-h" || it == "--help") =>
        {
            print(USAGE)
        }
        Some("daemon") => daemon::main(args.split_off(1)),
        Some("with-lock") => with_lock::main(args.split_off(1)),
        Some("run") => run::main(args.split_off(1)),
        Some("config") => run::config(args.split_off(1)),
        Some(verb @ ("ctl" | "check" | "help")) => {
            // From here on lar is a command like any other: Ctrl-C and a closed pipe end it.
            crate::sys::signals::give_back();
            let rest = args.split_off(1);
            match verb {
                "ctl" => ctl::run(rest),
                "check" => check::main(rest),
                _ => help::main(rest),
            }
        }
        Some(word) => usage_error(&hint(word)),
    }
}

/// What somebody probably meant who wrote a word that is none of ours.
fn hint(word: &str) -> String {
    const WORDS: [&str; 8] =
        ["run", "ctl", "check", "config", "daemon", "with-lock", "help", "version"];
    if crate::ctl::protocol::command::Command::find(word).is_some() {
        return format!("unknown command '{word}'; to ask a running manager: lar ctl {word}");
    }
    let near = crate::nearest::nearest(word, WORDS);
    if let Some(near) = near {
        return format!("unknown command '{word}'; did you mean '{near}'?");
    }
    match Path::new(word).is_file() && word.ends_with(".conf") {
        true => format!("to supervise the services of a file: lar -C {word}"),
        false => format!("unknown command '{word}'; to run a program: lar -- {word}"),
    }
}

/// Prints to standard output. That nobody reads it is nobody's failure.
fn print(text: &str) -> u8 {
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    Code::Done as u8
}

/// One line to standard error.
fn complain(message: &str) {
    tell(&format!("lar: {message}"));
}

/// The same in the name of another program.
fn tell(words: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{words}\n").as_bytes());
}

/// A mistake in the arguments.
fn usage_error(message: &str) -> u8 {
    complain(message);
    complain("see `lar help`");
    Code::Usage as u8
}
