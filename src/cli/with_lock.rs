//! `lar with-lock FILE -- COMMAND`: one program, while nobody else holds a lock.
//!
//! lar holds the lock and stays as the program's parent, so that the program has no fd of it: if it had, each daemon
//! that it leaves behind would have it, too, and nobody would get the lock again for as long as that lives. So the lock
//! is free when the program has ended, not when all that it has started has; and, if somebody kills lar, at once.

use std::ffi::OsString;

use super::single::{Belongings, Program, start};
use super::{complain, print, usage_error};
use crate::exit::{Code, Errno};
use crate::plan::{Leftovers, Restart, Rules, Session, Single};
use crate::sys::lock::{Lock, Mode, Owner, Patience};

/// What `lar with-lock --help` prints.
pub(super) const USAGE: &str = "\
usage: lar with-lock [--shared] [--no-wait] FILE -- COMMAND [ARGS]

Runs a command while it holds a lock (flock) on FILE, which is made if there is none and is never removed. Signals are
passed on to the command, and lar ends as it does. The lock is free again when the command has ended; what it leaves
running in the background does not hold it.

  --shared    a lock that others may hold shared at the same time
  --no-wait   if somebody holds it, run nothing and end with 15

exit codes: the command's own; 126 and 127 if it can't be run; 15 with --no-wait; 1 if FILE can't be locked; 2 for bad
arguments
";

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    mode: Mode,
    patience: Patience,
    file: String,
    argv: Vec<OsString>,
}

/// `lar with-lock` with these arguments; its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    if args.first().is_some_and(|word| word == "-h" || word == "--help") {
        return print(USAGE);
    }
    let request = match parse(args) {
        Ok(request) => request,
        Err(message) => return usage_error(&format!("with-lock: {message}")),
    };
    // Before there is a lock: what lar was given, its program is given, and the lock is none of that.
    let given = Belongings::take();
    let Request { mode, patience, file, argv } = request;
    let _held = match Lock::take(&file, mode, patience, Owner::Public) {
        Ok(lock) => lock,
        Err(errno) if errno == BUSY && patience == Patience::Refuse => {
            complain(&format!("{file}: somebody holds this lock; nothing was run"));
            return Code::Already as u8;
        }
        Err(errno) => {
            complain(&format!("{file}: {errno}; nothing was run"));
            return Code::Failed as u8;
        }
    };
    let single = Single { leftovers: Leftovers::Leave, ..Single::default() };
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let program = Program { argv, directory: None, session: Session::Given, rules, single };
    start(program.plan(), given, None)
}

/// EWOULDBLOCK: somebody has the lock.
const BUSY: Errno = Errno(11);

fn parse(args: Vec<OsString>) -> Result<Request, String> {
    let (mut mode, mut patience) = (Mode::Exclusive, Patience::Wait);
    let mut rest = args.into_iter();
    let file = loop {
        let word = rest.next().ok_or("which file?")?;
        match word.to_str() {
            Some("--shared" | "-s") => mode = Mode::Shared,
            Some("--no-wait" | "-n") => patience = Patience::Refuse,
            Some("--") => return Err("which file? It comes before --".into()),
            Some(option) if option.starts_with('-') => {
                let near = crate::nearest::nearest(option, ["--shared", "--no-wait"]);
                let near = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
                return Err(format!("unknown option '{option}'{near}"));
            }
            Some("") => return Err("the file's name is empty".into()),
            Some(file) => break file.to_owned(),
            None => return Err(format!("not UTF-8: {}", word.to_string_lossy())),
        }
    };
    match rest.next() {
        Some(word) if word == "--" => {}
        Some(word) => {
            return Err(format!("unexpected '{}': the command comes after --", word.display()));
        }
        None => return Err("which command? It comes after FILE --".into()),
    }
    let argv: Vec<OsString> = rest.collect();
    match argv.is_empty() {
        true => Err("no command after --".into()),
        false => Ok(Request { mode, patience, file, argv }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(text: &str) -> Result<Request, String> {
        parse(text.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn options_come_first_then_the_file_then_the_command() {
        let request = parse_words("--shared --no-wait f -- ls --shared").unwrap();
        assert_eq!((request.mode, request.patience), (Mode::Shared, Patience::Refuse));
        assert_eq!((request.file.as_str(), request.argv.len()), ("f", 2));
        for bad in ["", "--", "f", "f --", "f ls", "-- ls", "--wait f -- ls", "f g -- ls"] {
            assert!(parse_words(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_held_lock_is_known_by_its_errno() {
        assert_eq!(BUSY, nix::errno::Errno::EWOULDBLOCK.into());
    }
}
