//! lar as tini and as dumb-init, beside the real programs: each row of the tables is done with both under the same
//! name, and comes to the same, or to what lar does better.
//!
//! A row of the second kind has the outcome written out, and the number of what is better, with lar and not with one
//! or both of the others:
//!
//!  1. SIGCHLD may be ignored at the start.
//!  2. The program has the signal mask that init was given, and ignores what that ignored.
//!  3. /dev/tty works and is in the foreground, wherever standard input comes from.
//!  4. Ctrl-Z and `fg` work under a shell, and mean nothing to PID 1.
//!  5. A job in the background leaves the terminal alone.
//!  6. No signal is lost between init's exec and the program's.
//!  7. Init holds neither files nor a directory that only the program wants.
//!  8. Init is not woken up while nothing happens.
//!  9. A program that can't be executed is an exit code of 126 or 127, and a line that says why.
//! 10. PID 1 asks all that is left to go, waits, and kills it, before it goes.
//! 11. A key, or a terminal's new size, is one signal and not two.
//! 12. Init's own lines are on standard error.
//!
//! The real program must fall short of such an outcome, or the row is out of date.

#[path = "personalities/dumb_init.rs"]
mod dumb_init;
#[path = "personalities/keys.rs"]
mod keys;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/pty.rs"]
mod pty;
#[path = "personalities/scene.rs"]
mod scene;
#[path = "personalities/tini.rs"]
mod tini;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use lar::{LAR, Lar, Scratch, answer};
use namespace::namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scene::{Init, Row, compare};

const TINI: [&[Row]; 6] =
    [tini::OPTIONS, tini::ENDS, tini::SURROUNDINGS, tini::SIGNALS, tini::PID_1, keys::TINI];

const DUMB_INIT: [&[Row]; 6] = [
    dumb_init::OPTIONS,
    dumb_init::ENDS,
    dumb_init::SURROUNDINGS,
    dumb_init::SIGNALS,
    dumb_init::PID_1,
    keys::DUMB_INIT,
];

#[test]
fn each_is_compared_in_more_than_fifty_ways() {
    for (name, tables) in [("tini", TINI), ("dumb-init", DUMB_INIT)] {
        let rows: Vec<&Row> = tables.into_iter().flatten().collect();
        let better = rows.iter().filter(|row| row.better.is_some()).count();
        let line = format!("{name}: {} rows; in {better} of them lar is better\n", rows.len());
        // Not by print!, which shows nothing if all is well.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        assert!(rows.len() > 50, "{line}");
    }
}

#[test]
fn tinis_options_and_variables_are_understood() {
    compare(Init::Tini, tini::OPTIONS);
}

#[test]
fn tinis_program_ends_and_fails_as_under_tini() {
    compare(Init::Tini, tini::ENDS);
}

#[test]
fn tinis_program_finds_what_it_would_find_under_tini() {
    compare(Init::Tini, tini::SURROUNDINGS);
}

#[test]
fn tini_passes_signals_on() {
    compare(Init::Tini, tini::SIGNALS);
}

#[test]
fn tini_as_pid_1_leaves_nobody_behind_unasked() {
    if namespace().is_some() {
        compare(Init::Tini, tini::PID_1);
    }
}

#[test]
fn dumb_inits_options_and_variables_are_understood() {
    compare(Init::DumbInit, dumb_init::OPTIONS);
}

#[test]
fn dumb_inits_program_ends_and_fails_as_under_dumb_init() {
    compare(Init::DumbInit, dumb_init::ENDS);
}

#[test]
fn dumb_inits_program_finds_what_it_would_find_under_dumb_init() {
    compare(Init::DumbInit, dumb_init::SURROUNDINGS);
}

#[test]
fn dumb_init_passes_signals_on() {
    compare(Init::DumbInit, dumb_init::SIGNALS);
}

#[test]
fn dumb_init_as_pid_1_leaves_nobody_behind_unasked() {
    if namespace().is_some() {
        compare(Init::DumbInit, dumb_init::PID_1);
    }
}

#[test]
fn tini_shares_the_terminal_with_its_program() {
    compare(Init::Tini, keys::TINI);
}

#[test]
fn dumb_init_shares_the_terminal_with_its_program() {
    compare(Init::DumbInit, keys::DUMB_INIT);
}

/// The names under which lar is one of the two, and what must be before the program there.
const NAMES: [(&str, &str); 6] = [
    ("tini", "--"),
    ("tini-static", "--"),
    ("docker-init", "--"),
    ("/usr/bin/tini", "--"),
    ("dumb-init", "--"),
    ("/usr/local/bin/dumb-init", "-c"),
];

#[test]
fn every_name_of_theirs_is_known() {
    for (name, option) in NAMES {
        let called = |words: &[&str]| answer(Command::new(LAR).arg0(name).args(words));
        called(&[option, "sh", "-c", "exit 7"]).expect(7);
        let usage = called(&[]).expect(1);
        assert!(usage.err.contains(" (lar ") || usage.err.contains("usage: "), "{usage:?}");
    }
    for name in ["tini", "dumb-init"] {
        answer(Command::new(LAR).args([name, "--", "sh", "-c", "exit 7"])).expect(7);
    }
}

#[test]
fn docker_and_podman_understand_the_version() {
    let answer = answer(Command::new(LAR).arg0("docker-init").arg("--version")).expect(0);
    // As Docker reads it: what comes first, up to " - ", is the version.
    let line = answer.out.trim_end();
    let (version, build) = line.split_once(" - ").expect("two parts");
    assert_eq!(version.strip_prefix("tini version "), Some("0.19.0"));
    assert_eq!(build, concat!("lar.", env!("CARGO_PKG_VERSION")));
    assert_eq!(answer.err, "");
}

#[test]
fn a_signal_in_the_first_moments_is_never_lost() {
    let Some(namespace) = namespace() else { return };
    let calls: [&[&str]; 5] = [
        &["tini", "--"],
        &["tini", "-g", "--"],
        &["dumb-init"],
        &["dumb-init", "-c"],
        &["dumb-init", "-r", "15:3"],
    ];
    for trial in 0..150u64 {
        let words = calls[trial as usize % calls.len()];
        let mut command = Command::new(&namespace[0]);
        command.args(&namespace[1..]).arg(LAR).args(words).args(["sleep", "1000"]);
        let mut lar = Lar::spawn(Scratch::new(), command);
        let init = masked(lar.pid());
        // Anywhere between lar's first instructions and the program's.
        let until = Instant::now() + Duration::from_micros(trial * 7919 % 4000);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        kill(init, Signal::SIGTERM).unwrap();
        let code = if words.contains(&"15:3") { 131 } else { 143 };
        assert_eq!(lar.end(), code, "trial {trial}: {words:?}");
    }
}

/// Waits until lar is there as PID 1 and has blocked its signals: earlier the kernel drops what is sent to a
/// PID 1.
fn masked(unshare: Pid) -> Pid {
    let end = Instant::now() + lar::DEADLINE;
    while Instant::now() < end {
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let Some(Ok(init)) = children.split_whitespace().next().map(str::parse) else { continue };
        let status = std::fs::read_to_string(format!("/proc/{init}/status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let blocked = field("SigBlk:").and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        let blocked = blocked.is_some_and(|mask| mask & 1 << 14 != 0 && mask & 1 << 9 != 0);
        if field("Name:").is_some_and(|name| name.trim() == "lar") && blocked {
            return Pid::from_raw(init);
        }
    }
    panic!("lar does not come");
}
