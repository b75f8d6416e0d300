//! Whether a running service still works, and which process it is: with real programs, real servers and real clients.

use std::fs;

use super::lar::{Lar, program, skip};
use super::notify::{say, talk};
use super::{free_port, go, scene, start};

#[test]
fn a_server_whose_answers_turn_bad_is_restarted_and_who_is_up_again_is_healthy() {
    let Some(python) = program("python3") else { return skip("python3 is not installed") };
    let port = free_port();
    let keys = format!(
        "ready http http://127.0.0.1:{port}/\n health every 20ms timeout 20s failures 2 http \
         http://127.0.0.1:{port}/up\n backoff none\n transcript {{dir}}/log"
    );
    let script = format!(
        "{{ read x <go; exec >/dev/null; : >up; exec {} -m http.server --bind 127.0.0.1 {port}; }} 2>&1",
        python.display()
    );
    let mut lar = start(scene(), &keys, &script);
    go(&lar);
    lar.wait("web=running shop=running");
    let old = lar.pid_of("web");
    let mut events = lar.events("web");
    fs::remove_file(lar.dir.at("up")).unwrap();
    events.until("unhealthy: 2 bad answers in a row");
    events.until("starting -> starting: spawned");
    go(&lar);
    events.until("starting -> running: ready");
    assert_ne!(lar.pid_of("web"), old);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn who_says_that_it_does_not_work_or_says_nothing_more_is_restarted() {
    for (health, words) in [
        ("health every 1h notify", "WATCHDOG=1|WATCHDOG=trigger"),
        ("health every 1h notify", "WATCHDOG_USEC=20000|WATCHDOG=1"),
    ] {
        let Some(mut lar) = talk(&format!("ready notify\n {health}\n backoff none")) else {
            return;
        };
        say(&mut lar, "READY=1");
        lar.wait("web=running shop=running");
        let mut events = lar.events("web");
        super::say(&lar, "words", words); // it may not live to tell that this is through
        events.until("unhealthy");
        events.until("starting -> starting: spawned");
        lar.wait("web=starting");
        assert_eq!(lar.shut_down(), 0);
    }
}

/// Starts a service that leaves a daemon behind and names it; its script goes on with the daemon's number in `$!`.
fn daemon(keys: &str, then: &str) -> Option<Lar> {
    if program("systemd-notify").is_none() {
        skip("systemd-notify is not installed");
        return None;
    }
    let script = format!("sleep 1000 & echo $! >pid\n{then}");
    Some(start(scene(), keys, &script))
}

fn written(lar: &Lar) -> String {
    lar.dir.read("pid").trim().to_owned()
}

#[test]
fn a_daemon_may_be_named_before_its_launcher_has_left_it() {
    let keys = "type forking\n ready notify";
    let then = "systemd-notify MAINPID=$! READY=1 || exit 9; read x <go; exit 0";
    let Some(mut lar) = daemon(keys, then) else { return };
    lar.wait("web=starting shop=waiting");
    go(&lar);
    lar.wait("web=running shop=running");
    assert_eq!(lar.pid_of("web").to_string(), written(&lar));
    let old = lar.pid_of("web");
    let mut events = lar.events("web");
    lar.ask("kill KILL web").expect(0);
    events.until("spawned");
    go(&lar);
    events.until("-> running");
    assert_ne!(lar.pid_of("web"), old);
    assert_eq!(lar.pid_of("web").to_string(), written(&lar));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_program_hands_over_to_the_child_that_it_has_named() {
    let then = "systemd-notify MAINPID=$! READY=1 || exit 9; read x <end; exit 3";
    let Some(mut lar) = daemon("ready notify", then) else { return };
    lar.wait("web=running shop=running");
    let first = lar.pid_of("web");
    assert_ne!(first.to_string(), written(&lar), "not before it is lar's");
    let mut events = lar.events("web");
    super::say(&lar, "end", "");
    events.until("it names another process as its main one");
    assert_eq!(lar.pid_of("web").to_string(), written(&lar));
    assert!(lar.ask("--json status web").expect(0).out.contains("\"restarts\":0"));
    assert_eq!(lar.shut_down(), 0);
}
