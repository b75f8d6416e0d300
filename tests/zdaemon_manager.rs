//! The life of zdaemon's manager: how it starts, what it says, how it ends, and with which code.

#[path = "zdaemon_manager/background.rs"]
mod background;
#[path = "zdaemon_manager/classic.rs"]
mod classic;
#[path = "zdaemon_manager/eventlog.rs"]
mod eventlog;
#[path = "zdaemon_manager/governor.rs"]
mod governor;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "zdaemon_manager/report.rs"]
mod report;
#[path = "zdaemon_manager/sockets.rs"]
mod sockets;
#[path = "support/zdrun.rs"]
mod zdrun;

use std::process::Command;
use std::time::{Duration, Instant};

use lar::{LAR, Lar, Scratch, answer};
use namespace::namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use zdrun::{config, manage, manage_in, zdrun};

/// Is deaf to TERM.
const DEAF: &str = "#!/bin/sh\ntrap '' TERM\necho up\nwhile :; do sleep 1000 & wait; done\n";

/// The lines of its log that came until now, and those up to its end.
fn log(lar: &mut Lar) -> Vec<String> {
    lar.err.rest()
}

#[track_caller]
fn in_this_order(lines: &[String], known: &[String]) {
    let mut rest = lines.iter();
    for text in known {
        assert!(rest.any(|line| line == text), "no {text:?} in its place in {lines:#?}");
    }
}

#[test]
fn signals_end_it_with_1_and_its_program_with_it() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let mut lar = manage(" program sleep 100");
        lar.err.until("spawned process");
        lar.signal(signal);
        assert_eq!(lar.end(), 1, "{signal}");
        assert!(!lar.dir.at("s").exists(), "{signal}");
        lar.nothing_left();
        let lines = log(&mut lar);
        let known = [
            format!("CRITICAL daemon manager killed by {signal}"),
            "INFO pid".into(), // see below
        ];
        in_this_order(&lines, &known[..1]);
        assert!(
            lines.iter().any(|line| line.starts_with(&known[1]) && line.ends_with("by SIGTERM"))
        );
        assert!(!lines.iter().any(|line| line.contains("Exiting")), "{lines:#?}");
    }
}

#[test]
fn a_signal_gives_the_program_its_stop_timeout_and_not_more() {
    let dir = Scratch::new();
    dir.script("deaf", DEAF);
    let mut lar = manage_in(dir, " program {dir}/deaf\n stop-timeout 1", |_| {});
    lar.out.until("up");
    let began = Instant::now();
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 1);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    lar.nothing_left();
    lar.err.until("terminated by SIGKILL");
}

#[test]
fn a_stop_kills_after_its_timeout() {
    let dir = Scratch::new();
    dir.script("deaf", DEAF);
    let mut lar = manage_in(dir, " program {dir}/deaf\n stop-timeout 1", |_| {});
    lar.out.until("up");
    let began = Instant::now();
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    assert_eq!(lar.end(), 0);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    lar.err.until("terminated by SIGKILL");
}

#[test]
fn usr2_tells_the_status_and_usr1_opens_logs_anew() {
    let mut lar = manage(" program sleep 100");
    lar.err.until("spawned process");
    lar.signal(Signal::SIGUSR2);
    lar.err.until("DEBUG status: main: running, pid");
    lar.signal(Signal::SIGUSR1);
    lar.err.until("DEBUG logs and transcripts were opened anew");
}

#[test]
fn what_it_says_of_a_whole_life_are_zdaemons_lines() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\ntest -e {dir}/second && exec sleep 100\n>{dir}/second\nexit 3\n");
    let mut lar = manage_in(dir, " program {dir}/go", |_| {});
    let first = lar.err.until("spawned process");
    let first = first.rsplit('=').next().unwrap().to_owned();
    lar.err.until("spawned process");
    let second = lar.pid_of("main");
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    assert_eq!(lar.end(), 0);
    let lines = log(&mut lar);
    let said: Vec<&String> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
    let known = [
        "INFO daemon manager started".to_owned(),
        format!("INFO spawned process pid={first}"),
        "INFO sleep 1 to avoid rapid restarts".into(),
        format!("INFO pid {first}: exit status 3"),
        format!("INFO spawned process pid={second}"),
        format!("INFO pid {second}: terminated by SIGTERM"),
        "INFO Exiting".into(),
    ];
    assert_eq!(said, known.iter().collect::<Vec<_>>());
    in_this_order(&lines, &[format!("DEBUG controlled process {first} exited")]);
}

#[test]
fn a_file_in_lars_own_hands_is_managed_in_the_same_way() {
    let dir = Scratch::new();
    dir.write("zdaemon.conf", &config(" program sleep 100", "off"));
    let mut command = Command::new(LAR);
    command.arg("-C").arg(dir.at("zdaemon.conf"));
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("INFO daemon manager started");
    lar.err.until("INFO spawned process");
    assert!(lar.raw(b"status\n").starts_with("status=running\n"));
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    assert_eq!(lar.end(), 0);
    lar.err.until("INFO Exiting");
}

#[test]
fn a_program_that_can_not_be_run_is_a_usage_error() {
    let dir = Scratch::new();
    dir.write("data", "");
    std::fs::create_dir(dir.at("bin")).unwrap();
    let call = |words: &[&str]| {
        let mut command = zdrun(&dir.path, words);
        command.env("PATH", format!("{}:/no/such", dir.at("bin").display()));
        answer(&mut command)
    };
    let name = format!("{LAR} zdaemon");
    let help = format!("\nFor help, use {name} -h\n");
    for (words, message) in [
        (&[][..], "no program specified (use positional args)".to_owned()),
        (&["./none"], "can't stat program './none'".into()),
        (&["./data"], "no permission to run program './data'".into()),
        (
            &["no-such-program"],
            format!(
                "can't find program 'no-such-program' on PATH ['{}', '/no/such']",
                dir.at("bin").display()
            ),
        ),
    ] {
        let answer = call(words).expect(2);
        assert_eq!((answer.out, answer.err), (String::new(), format!("Error: {message}{help}")));
    }
    let left: Vec<_> =
        std::fs::read_dir(&dir.path).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(left.len(), 2, "nothing was made: {left:?}");
}

#[track_caller]
fn as_pid_1(runner: &str, daemon: &str) -> Option<Lar> {
    let words = namespace()?;
    let dir = Scratch::new();
    dir.script(
        "go",
        "#!/bin/sh\necho here is $$ below $PPID\n(setsid sleep 1000 &)\nexec sleep 100\n",
    );
    dir.write("zdaemon.conf", &config(&format!(" program {{dir}}/go\n{runner}"), daemon));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(LAR).args(["zdaemon", "-C", "zdaemon.conf"]).arg(dir.at("go"));
    command.env("DAEMON_MANAGER_MODE", "1").current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("spawned process");
    Some(lar)
}

#[test]
fn as_pid_1_it_stays_in_the_foreground_and_ends_what_is_left() {
    for daemon in ["on", "off"] {
        let Some(mut lar) = as_pid_1("", daemon) else { return };
        lar.out.until("here is 2 below 1");
        assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
        assert_eq!(lar.end(), 0);
        lar.nothing_left();
    }
}

#[test]
fn as_pid_1_a_signal_stops_the_program_and_is_told_by_the_code() {
    let Some(mut lar) = as_pid_1("", "off") else { return };
    lar.out.until("here is 2 below 1");
    let unshare = lar.pid();
    let children =
        std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
    let init: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(init), Signal::SIGTERM).unwrap();
    assert_eq!(lar.end(), 1);
    lar.err.until("CRITICAL daemon manager killed by SIGTERM");
    lar.nothing_left();
}
