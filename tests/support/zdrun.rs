//! lar as zdaemon's manager, in the foreground, with its log on standard error. Its socket is where [`Lar`] looks for
//! it, so all of that one's methods work, too.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::path::Path;
use std::process::Command;

use crate::lar::{LAR, Lar, Scratch};

/// A manager of this `<runner>` (its keys, but socket-name and daemon); returns when it has a socket.
#[track_caller]
pub fn manage(runner: &str) -> Lar {
    manage_in(Scratch::new(), runner, |_| {})
}

/// The same in a directory that has been prepared; `prepare` may change the command.
#[track_caller]
pub fn manage_in(dir: Scratch, runner: &str, prepare: impl FnOnce(&mut Command)) -> Lar {
    dir.write("zdaemon.conf", &config(runner, "off"));
    let mut command = zdrun(&dir.path, &["-C", "zdaemon.conf"]);
    // As zdaemon has it, the file's own `program` is the client's business.
    let program = runner.lines().find_map(|line| line.trim().strip_prefix("program "));
    command.args(dir.fill(program.expect("a program")).split_whitespace());
    prepare(&mut command);
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("daemon manager started");
    lar
}

/// A whole file: the log goes to standard error, level and message.
pub fn config(runner: &str, daemon: &str) -> String {
    format!(
        "<runner>\n{runner}\n socket-name {{dir}}/s\n daemon {daemon}\n</runner>\n\
         <eventlog>\n level debug\n <logfile>\n  path STDERR\n  level debug\n  \
         format %(levelname)s %(message)s\n </logfile>\n</eventlog>\n"
    )
}

/// The manager as zdaemon's clients call it.
pub fn zdrun(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(LAR);
    command.arg("zdaemon").args(arguments).env("DAEMON_MANAGER_MODE", "1");
    command.current_dir(directory);
    command
}

/// A field of the status.
#[track_caller]
pub fn field(lar: &Lar, key: &str) -> String {
    let status = lar.raw(b"status\n");
    value(&status, key).unwrap_or_else(|| panic!("no {key} in {status:?}"))
}

/// The same of a status that was asked for before.
pub fn value(status: &str, key: &str) -> Option<String> {
    let line = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    status.lines().find_map(line)
}

/// Waits for the end of the manager in `dir`, which is nobody's child here: its connections are closed last of all.
#[track_caller]
pub fn gone(dir: &Scratch) {
    use std::io::{Read, Write};
    let Ok(mut client) = std::os::unix::net::UnixStream::connect(dir.at("s")) else { return };
    client.set_read_timeout(Some(crate::lar::DEADLINE)).unwrap();
    let _ = client.write_all(b"lar1 events\n");
    let _ = client.read_to_end(&mut Vec::new());
    assert!(!dir.at("s").exists());
}
