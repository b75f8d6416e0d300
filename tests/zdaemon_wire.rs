//! zdaemon's own protocol on the manager's socket: every verb in every state, to the byte.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/zdrun.rs"]
mod zdrun;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;

use lar::{Lar, Scratch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use zdrun::{field, manage, manage_in, value, zdrun};

/// Says each TERM, and goes on.
const DEAF: &str =
    "#!/bin/sh\ntrap 'echo term' TERM\necho up\nwhile :; do sleep 1000 & wait; done\n";

#[track_caller]
fn says(lar: &Lar, command: &str, reply: &str) {
    assert_eq!(lar.raw(format!("{command}\n").as_bytes()), reply, "to {command}");
}

/// What a status says, but for the numbers that nobody knows before.
#[track_caller]
fn shows(lar: &Lar, known: &[(&str, &str)]) {
    let status = lar.raw(b"status\n");
    for (key, known) in known {
        assert_eq!(value(&status, key).as_deref(), Some(*known), "{key} in {status}");
    }
}

fn seconds(text: &str) -> f64 {
    text.parse().unwrap()
}

/// Kills the program, and asks as soon as it is in backoff.
#[track_caller]
fn in_backoff(lar: &Lar, ask: impl Fn() -> bool) {
    // The wait is a second: who is slower than that tries again.
    for _ in 0..20 {
        lar.wait("main=running");
        let mut events = lar.events("main");
        kill(lar.pid_of("main"), Signal::SIGKILL).unwrap();
        events.until(" -> backoff");
        if ask() {
            return;
        }
    }
    panic!("never quick enough");
}

#[test]
fn a_status_has_zdaemons_twelve_lines() {
    let lar = manage(" program sleep 100\n backoff-limit 7");
    let status = lar.raw(b"status\n");
    let keys: Vec<&str> = status.lines().map(|line| line.split_once('=').unwrap().0).collect();
    let known = "status now should_be_up delay backoff lasttime application testing manager backofflimit filename args";
    assert_eq!(keys.join(" "), known);
    let (program, manager) = (lar.pid_of("main").to_string(), lar.pid().to_string());
    let sleep = lar::program("sleep").unwrap();
    shows(
        &lar,
        &[
            ("status", "running"),
            ("should_be_up", "1"),
            ("delay", "0"),
            ("backoff", "0"),
            ("application", &program),
            ("testing", "0"),
            ("manager", &manager),
            ("backofflimit", "7"),
            ("filename", &format!("'{}'", sleep.display())),
            ("args", "['sleep', '100']"),
        ],
    );
    let now = seconds(&field(&lar, "now"));
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((since_epoch - now).abs() < 30.0, "{now}");
    let age = now - seconds(&field(&lar, "lasttime"));
    assert!((0.0..30.0).contains(&age), "{age}");
}

#[test]
fn while_the_program_runs() {
    let mut lar = manage(" program sleep 100");
    let first = lar.pid_of("main");
    says(&lar, "start", "Application already started\n");
    says(&lar, "kill 0", "Signal 0 sent\n");
    says(&lar, "kill 23", "Signal 23 sent\n");
    says(&lar, "kill 999", "Kill 999 failed: [Errno 22] Invalid argument\n");
    says(&lar, "kill -1", "Kill -1 failed: [Errno 22] Invalid argument\n");
    says(&lar, "kill HUP", "Bad signal 'HUP'\n");
    says(&lar, "reopen_transcript", "");
    assert_eq!(lar.pid_of("main"), first);
    let mut events = lar.events("main");
    says(&lar, "restart", "Sent SIGTERM; will restart later\n");
    events.until(" -> running");
    assert_ne!(lar.pid_of("main"), first);
    says(&lar, "stop", "Sent SIGTERM\n");
    assert_eq!(lar.end(), 0);
    assert!(!lar.dir.at("s").exists());
    lar.nothing_left();
}

#[test]
fn a_kill_is_a_death_that_the_governor_counts() {
    let lar = manage(" program sleep 100");
    let mut events = lar.events("main");
    says(&lar, "kill", "Signal 15 sent\n");
    events.until("killed by SIGTERM");
    events.until(" -> running");
    shows(&lar, &[("backoff", "1"), ("should_be_up", "1")]);
    // Whoever starts, forgives.
    says(&lar, "start", "Application already started\n");
    shows(&lar, &[("backoff", "0")]);
}

#[test]
fn while_the_program_waits_for_its_next_try() {
    let lar = manage(" program sleep 100\n backoff-limit 50");
    in_backoff(&lar, || {
        let status = lar.raw(b"status\n");
        if value(&status, "status").as_deref() != Some("stopped") {
            return false;
        }
        for (key, known) in [("should_be_up", "1"), ("application", "0"), ("testing", "0")] {
            assert_eq!(value(&status, key).as_deref(), Some(known), "{status}");
        }
        let [now, delay] = ["now", "delay"].map(|key| seconds(&value(&status, key).unwrap()));
        assert!((0.0..=50.0).contains(&(delay - now)), "{status}");
        assert_ne!(value(&status, "backoff").as_deref(), Some("0"), "{status}");
        true
    });
    for verb in ["start", "restart"] {
        in_backoff(&lar, || lar.raw(format!("{verb}\n").as_bytes()) == "Application started\n");
        lar.wait("main=running");
        shows(&lar, &[("backoff", "0"), ("delay", "0")]);
    }
    in_backoff(&lar, || lar.raw(b"kill\n") == "Application not running\n");
}

#[test]
fn a_stop_ends_a_manager_whose_program_is_down() {
    let mut lar = manage(" program sleep 100");
    in_backoff(&lar, || lar.raw(b"stop\n") == "Application already stopped\n");
    assert_eq!(lar.end(), 0);
    lar.err.until("INFO Exiting");
}

#[test]
fn while_the_program_does_not_go() {
    let dir = Scratch::new();
    dir.script("deaf", DEAF);
    let mut lar = manage_in(dir, " program {dir}/deaf\n stop-timeout 1000", |_| {});
    lar.out.until("up");
    says(&lar, "stop", "Sent SIGTERM\n");
    lar.out.until("term");
    shows(&lar, &[("status", "running"), ("should_be_up", "0")]);
    let ahead = seconds(&field(&lar, "delay")) - seconds(&field(&lar, "now"));
    assert!((900.0..=1000.0).contains(&ahead), "KILL is due: {ahead}");
    says(&lar, "stop", "Sent SIGTERM\n");
    lar.out.until("term");
    let pid = lar.pid_of("main");
    says(&lar, "restart", "Sent SIGTERM; will restart later\n");
    lar.out.until("term");
    shows(&lar, &[("status", "running"), ("should_be_up", "1")]);
    // A start calls it all off.
    says(&lar, "start", "Application already started\n");
    shows(&lar, &[("delay", "0"), ("backoff", "0"), ("application", &pid.to_string())]);
    says(&lar, "kill 9", "Signal 9 sent\n");
    lar.out.until("up");
    shows(&lar, &[("backoff", "1")]);
}

#[test]
fn while_the_start_test_runs() {
    let dir = Scratch::new();
    let mut lar =
        manage_in(dir, " program sleep 100\n start-test-program test -e {dir}/up", |_| {});
    lar.err.until("DEBUG start test failed");
    shows(&lar, &[("status", "running"), ("testing", "1")]);
    std::fs::write(lar.dir.at("up"), "").unwrap();
    lar.err.until("DEBUG start test succeeded");
    lar.wait("main=running");
    shows(&lar, &[("status", "running"), ("testing", "0")]);
}

#[test]
fn what_is_no_command_is_told_so() {
    let lar = manage(" program sleep 100");
    for (request, reply) in [
        (&b"\n"[..], "Empty command\n"),
        (b" \t\r\n", "Empty command\n"),
        (b"help\n", "Unknown command 'help'; 'help' for a list\n"),
        (b"exit\n", "Unknown command 'exit'; 'help' for a list\n"),
        (b"Status\n", "Unknown command 'Status'; 'help' for a list\n"),
        (b"it's\n", "Unknown command \"it's\"; 'help' for a list\n"),
        (b"", "Command not terminated by newline\n"),
        (b"status", "Command not terminated by newline\n"),
        (b"kill x\nstatus\n", "Bad signal 'x'\n"),
    ] {
        assert_eq!(lar.raw(request), reply, "{:?}", String::from_utf8_lossy(request));
    }
    assert!(lar.raw(b" status more \r\n").starts_with("status=running\n"));
    let mut long = vec![b'x'; 10_001];
    assert_eq!(lar.raw(&long), "Command exceeds 10 KB\n");
    long[9_999] = b'\n';
    assert!(lar.raw(&long[..10_000]).starts_with("Unknown command 'xxx"));
    says(&lar, "status\0", "Unknown command 'status\\x00'; 'help' for a list\n");
}

#[test]
fn a_client_that_says_nothing_keeps_nobody_out() {
    let lar = manage(" program sleep 100");
    let mut slow: Vec<_> = (0..3).map(|_| lar.connect()).collect();
    slow.iter_mut().for_each(|client| client.write_all(b"sta").unwrap());
    says(&lar, "start", "Application already started\n");
    for mut client in slow {
        client.write_all(b"rt\n").unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "Application already started\n", "and nobody is superseded");
    }
}

#[test]
fn both_languages_are_spoken_on_one_connection() {
    let lar = manage(" program sleep 100");
    let mut client = lar.connect();
    client.write_all(b"lar1 pid main\nlar1 nonsense\nkill 0\nlar1 ping\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    let lines: Vec<&str> = reply.lines().collect();
    assert_eq!(lines.len(), 4, "{reply}");
    assert!(lines[0].starts_with("name=main pid=") && lines[1] == "ok", "{reply}");
    assert!(lines[2].starts_with("error code=usage"), "{reply}");
    assert_eq!(lines[3], "Signal 0 sent", "the last, for that closes");
    assert_eq!(lar.ask("stop main").code, 0);
}

#[test]
fn a_manager_of_services_speaks_lars_language_only() {
    let lar = Lar::start("<service main>\n program sleep 100\n</service>\n");
    assert!(lar.raw(b"status\n").starts_with("error code=protocol"));
    assert!(lar.raw(b"stop\n").starts_with("error code=protocol"));
    assert_eq!(lar.raw(b""), "");
}

#[test]
fn lars_own_stop_ends_the_manager_too() {
    let mut lar = manage(" program sleep 100");
    lar.ask("stop main").expect(0);
    assert_eq!(lar.end(), 0);
    let mut lar = manage(" program sleep 100");
    lar.ask("shutdown").expect(0);
    assert_eq!(lar.end(), 0);
}

#[test]
fn words_are_quoted_as_python_does() {
    let Some(python) = lar::program("python3") else { return lar::skip("no python3") };
    let words = [
        "it's",
        "\"",
        "both ' and \"",
        "back\\slash",
        "new\nline",
        "tab\t",
        "\u{1b}[0m",
        "\u{7f}",
        "",
        "größe €",
        "e\u{301}",
        "\u{301}",
        "\u{200b}",
        "\u{a0}",
        "\u{2028}",
        "😀",
        "\u{e000}",
        "\u{10ffff}",
    ];
    let print = "import sys; print('args=%r' % sys.argv[1:])";
    let mut command = Command::new(python);
    command.arg("-c").arg(print).arg("sleep").arg("1000").args(words);
    let known = lar::answer(command.env("PYTHONIOENCODING", "utf-8")).expect(0).out;
    let dir = Scratch::new();
    dir.script("sleep", "#!/bin/sh\nexec sleep 1000\n");
    let mut command = zdrun(&dir.path, &["-s", "s", "-t", "log", "sleep", "1000"]);
    let path = format!("{}:{}", dir.path.display(), std::env::var("PATH").unwrap());
    command.args(words).env("PATH", path);
    let mut lar = Lar::spawn(dir, command);
    assert_eq!(lar.end(), 0, "the half in the foreground");
    let said = lar.raw(b"status\n");
    assert_eq!(said.lines().last(), known.lines().last());
    says(&lar, "stop", "Sent SIGTERM\n");
}

#[test]
fn a_reply_may_be_longer_than_any_buffer() {
    let dir = Scratch::new();
    let long = "x".repeat(100_000);
    let command = zdrun(&dir.path, &["-s", "s", "sh", "-c", "sleep 100", &long]);
    let mut lar = Lar::spawn(dir, command);
    assert_eq!(lar.end(), 0);
    let known = format!("args=['sh', '-c', 'sleep 100', '{long}']\n");
    assert!(lar.raw(b"status\n").ends_with(&known));
}

/// A program that dies between its fork and the moment its number is noted was lost by zdaemon for ever.
#[test]
fn no_dead_process_is_ever_claimed() {
    let lar = manage(" program true\n backoff-limit 1000\n exit-codes 77\n forever on");
    for _ in 0..300 {
        let reply = lar.raw(b"start\n");
        assert!(
            reply == "Application started\n" || reply == "Application already started\n",
            "{reply}"
        );
        let claimed: i32 = field(&lar, "application").parse().unwrap();
        // Once it is gone from /proc it was reaped, by the manager and nobody else: that must know.
        if claimed != 0 && kill(Pid::from_raw(claimed), None).is_err() {
            assert_ne!(field(&lar, "application"), claimed.to_string());
        }
    }
    let mut lar = lar;
    lar.raw(b"stop\n");
    assert_eq!(lar.end(), 0);
    lar.nothing_left();
}
