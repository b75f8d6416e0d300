//! lar as tini and as dumb-init, beside the real programs: each row of the tables is done with both under the
//! same name,
//! and comes to the same, or to what lar does better.
//!
//! Defects are numbered as in the list of what other container inits get wrong. A row with a number has the
//! outcome
//! written out, and the real program must fall short of it: else the row is out of date.

#[path = "personalities/dumb_init.rs"]
mod dumb_init;
#[path = "personalities/keys.rs"]
mod keys;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/pty.rs"]
mod pty;
#[path = "personalities/scene.rs"]
mod scene;
#[path = "personalities/tini.rs"]
mod tini;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use lar::{LAR, Lar, Scratch, answer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scene::{Init, compare, namespace};

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
fn defect_06_a_signal_in_the_first_moments_is_never_lost() {
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
