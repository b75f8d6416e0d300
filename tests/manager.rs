//! A manager of services from outside: readiness, the order of starts and stops, and its orderly end.

#[path = "support/lar.rs"]
mod lar;

use std::net::TcpListener;

use lar::{Lar, Scratch, program, skip};
use nix::sys::signal::{Signal, kill};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Opens a gate: a FIFO that a service reads before it goes on.
fn open_gate(lar: &Lar, name: &str) {
    std::fs::write(lar.dir.at(name), "go\n").unwrap();
}

/// A directory with FIFOs in it.
fn with_gates(names: &[&str]) -> Scratch {
    let dir = Scratch::new();
    for name in names {
        nix::unistd::mkfifo(&dir.at(name), nix::sys::stat::Mode::from_bits_truncate(0o666))
            .unwrap();
    }
    dir
}

/// Where in a list of lines the first one with this text is.
#[track_caller]
fn position(lines: &[String], text: &str) -> usize {
    let found = lines.iter().position(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("no line with {text:?} in {lines:#?}"))
}

#[track_caller]
fn in_this_order(lines: &[String], texts: &[&str]) {
    let positions: Vec<usize> = texts.iter().map(|text| position(lines, text)).collect();
    assert!(positions.is_sorted(), "{texts:?} are at {positions:?} in {lines:#?}");
}

/// `db` becomes ready only after its gate is opened; until then `api` waits.
fn dependent_waits(ready: &str, serve: &str) {
    let dir = with_gates(&["gate"]);
    dir.script("serve", &format!("#!/bin/sh\nread x < {{dir}}/gate\n{serve}\n"));
    let config = format!(
        "<service api>\n program sleep 1000\n requires db\n</service>\n\
         <service db>\n program {{dir}}/serve\n ready {ready}\n ready-interval 20ms\n</service>\n"
    );
    let mut lar = Lar::run_in(dir, "", &config, |_| {});
    lar.wait("db=starting api=waiting");
    open_gate(&lar, "gate");
    lar.wait("db=running api=running");
    assert_eq!(lar.shut_down(), 0);
    let lines = lar.err.rest();
    in_this_order(
        &lines,
        &["db: starting -> running", "api: waiting -> starting", "api: stopping -> stopped"],
    );
    in_this_order(&lines, &["api: stopping -> stopped", "db: running -> stopping"]);
}

#[test]
fn dependents_wait_for_a_tcp_port() {
    if program("socat").is_none() {
        return skip("socat is not installed");
    }
    let port = free_port();
    let serve = format!("exec socat TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork SYSTEM:true");
    dependent_waits(&format!("tcp 127.0.0.1:{port}"), &serve);
}

#[test]
fn dependents_wait_for_a_unix_socket() {
    if program("socat").is_none() {
        return skip("socat is not installed");
    }
    dependent_waits("unix {dir}/u", "exec socat UNIX-LISTEN:{dir}/u,fork SYSTEM:true");
}

#[test]
fn dependents_wait_for_a_command() {
    dependent_waits("command test -e {dir}/there", "touch {dir}/there\nexec sleep 1000");
}

#[test]
fn dependents_wait_for_a_notification_and_its_status_is_shown() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let dir = with_gates(&["gate"]);
    dir.write(
        "serve.py",
        "import os, socket, time\n\
         open('{dir}/gate').read()\n\
         s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         name = os.environ['NOTIFY_SOCKET']\n\
         s.connect('\\0' + name[1:] if name[0] == '@' else name)\n\
         s.send(b'STATUS=warming up')\n\
         s.send(b'READY=1\\nSTATUS=serving 3 rooms')\n\
         time.sleep(1000)\n",
    );
    let config = "<service db>\n program python3 {dir}/serve.py\n ready notify\n</service>\n\
         <service api>\n program sleep 1000\n requires db\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("db=starting api=waiting");
    open_gate(&lar, "gate");
    lar.wait("api=running");
    let status = lar.ask("--json status db").expect(0).out;
    assert!(status.contains("\"text\":\"serving 3 rooms\""), "{status}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_is_never_ready_dies_of_its_start_timeout_and_says_so() {
    let mut lar = Lar::start(
        "<service db>\n program sleep 1000\n ready command false\n ready-interval 20ms\n \
         start-timeout 200ms\n stop KILL\n backoff linear 1h max 1h jitter 0%\n</service>\n",
    );
    lar.wait("db=backoff");
    let why = lar.ask("why db").expect(0).out;
    assert!(why.contains("200ms") || why.contains("ready"), "{why}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_oneshot_is_waited_for_and_its_failure_is_named_by_its_dependents() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service good>\n program true\n type oneshot\n</service>\n\
         <service after-good>\n program sleep 1000\n requires good\n</service>\n\
         <service bad>\n program false\n type oneshot\n restart never\n</service>\n\
         <service after-bad>\n program sleep 1000\n requires bad\n</service>\n",
    );
    lar.wait("after-good=running good=exited after-bad=failed");
    let status = lar.ask("status after-bad").expect(3).out;
    assert!(status.contains("bad"), "the cause is named: {status}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn stops_go_in_reverse_order_one_after_the_other() {
    let service = |name: &str, requires: &str| {
        // Each says when it goes, with its own clock: the order of the words is the order of the ends.
        format!(
            "<service {name}>\n shell yes\n program trap 'echo {name} goes; exit 0' TERM; echo \
             {name} is here; while :; do sleep 1000 & wait; done\n {requires}\n prefix no\n</service>\n"
        )
    };
    let config = service("c", "requires b") + &service("b", "requires a") + &service("a", "");
    let mut lar = Lar::start(&config);
    for name in ["a", "b", "c"] {
        lar.wait(&format!("{name}=running"));
    }
    let mut here: Vec<String> = (0..3).map(|_| lar.out.next().unwrap()).collect();
    here.sort();
    assert_eq!(here, ["a is here", "b is here", "c is here"]);
    assert_eq!(lar.shut_down(), 0);
    assert_eq!(lar.out.rest()[3..], ["c goes", "b goes", "a goes"]);
}

const CHAIN: &str = "<service db>\n program sleep 1000\n</service>\n\
     <service api>\n program sleep 1000\n requires db\n</service>\n\
     <service web>\n program sleep 1000\n requires api\n</service>\n\
     <service other>\n program sleep 1000\n</service>\n";

#[test]
fn a_stop_that_would_break_dependents_is_refused() {
    let mut lar = Lar::start(CHAIN);
    lar.wait("web=running");
    let refused = lar.ask("stop db").expect(9);
    assert!(refused.err.contains("api"), "who is named: {refused:?}");
    lar.ask("status db api web").expect(0);
    let web = lar.pid_of("web");
    lar.ask("stop --force db").expect(0);
    lar.ask("status db").expect(3);
    assert_eq!(lar.pid_of("web"), web, "dependents run on");
    lar.ask("start db").expect(0);
    lar.ask("stop --with-dependents db").expect(0);
    lar.wait("db=stopped api=stopped web=stopped other=running");
    lar.ask("start web").expect(0);
    lar.wait("db=running api=running web=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn all_is_stopped_and_started_without_force() {
    let mut lar = Lar::start(CHAIN);
    lar.wait("web=running");
    lar.ask("stop all").expect(0);
    lar.wait("db=stopped api=stopped web=stopped other=stopped");
    lar.ask("start all").expect(0);
    lar.wait("db=running api=running web=running other=running");
    lar.ask("restart all").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn instances_and_groups_are_named_one_by_one() {
    let mut lar = Lar::start(
        "<service shop:web>\n program sleep 100%i\n instances 3\n</service>\n\
         <service shop:api>\n program sleep 1000\n</service>\n\
         <service cron>\n program sleep 1000\n</service>\n",
    );
    lar.wait("shop:*=running cron=running");
    let pids = || ["shop:web@1", "shop:web@2", "shop:web@3"].map(|name| lar.pid_of(name));
    let before = pids();
    // One of several is replaced; by its service's name, or alone, it stays down.
    let said = lar.ask("stop shop:web@2").expect(0).out;
    assert!(said.starts_with("shop:web@2: running"), "{said}");
    let after = pids();
    assert!(before[0] == after[0] && before[1] != after[1] && before[2] == after[2]);
    assert!(
        lar.ask("why shop:web@2").expect(0).out.contains("it was stopped alone, and is replaced")
    );
    lar.ask("stop shop:api@1").expect(0);
    lar.wait("shop:api=stopped");
    lar.ask("start shop:api").expect(0);
    lar.ask("stop shop:web shop:web@2").expect(0);
    lar.ask("stop shop:web@2").expect(0);
    lar.wait("shop:web=stopped");
    lar.ask("start shop:web").expect(0);
    lar.ask("stop shop:*").expect(0);
    lar.wait("shop:*=stopped cron=running");
    lar.ask("start shop:web").expect(0);
    let path = format!("/proc/{}/cmdline", lar.pid_of("shop:web@3"));
    // The kernel lets lar go on a moment before the program's arguments are in place.
    let arguments = || std::fs::read_to_string(&path).unwrap();
    let end = std::time::Instant::now() + lar::DEADLINE;
    while arguments().is_empty() && std::time::Instant::now() < end {}
    assert_eq!(arguments(), "sleep\x001003\0");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_service_deaf_to_term_is_killed_when_the_whole_end_takes_too_long() {
    let mut lar = Lar::with(
        "  shutdown-timeout 300ms",
        "<service deaf>\n shell yes\n program trap '' TERM; echo up; while :; do sleep 1000; done\n \
         stop TERM 1h KILL\n</service>\n",
    );
    lar.out.until("up");
    assert_eq!(lar.shut_down(), 1, "not every service stopped as asked");
}

#[test]
fn a_second_term_kills_now() {
    let mut lar = Lar::with(
        "  shutdown-timeout 1h",
        "<service deaf>\n shell yes\n program trap '' TERM; echo up; while :; do sleep 1000; done\n \
         stop TERM 1h KILL\n</service>\n",
    );
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    lar.err.until("deaf: running -> stopping");
    // Somebody runs out of patience. (What comes at once after the first is the same request.)
    let (mut again, end) = (0, std::time::Instant::now() + lar::DEADLINE);
    while !lar.dir.processes().is_empty() && std::time::Instant::now() < end {
        lar.signal(Signal::SIGTERM);
        again += 1;
        std::thread::yield_now();
    }
    assert_eq!(lar.end(), 1, "{again}");
    lar.nothing_left();
}

#[test]
fn orphans_in_sessions_of_their_own_do_not_outlive_lar() {
    let mut lar = Lar::start(
        "<service parent>\n shell yes\n program setsid sh -c 'trap \"\" TERM; setsid sleep 1001 & \
         echo up; sleep 1002' & setsid sleep 1003 & wait\n</service>\n",
    );
    lar.out.until("up");
    let main = lar.pid_of("parent");
    kill(main, Signal::SIGKILL).unwrap();
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_exits_leaves_no_zombie_and_a_pid_that_is_gone_is_not_shown() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service once>\n program true\n restart never\n</service>\n",
    );
    lar.wait("once=exited");
    let status = lar.ask("--json status once").out;
    assert!(status.contains("\"pid\":null"), "{status}");
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", lar.pid()));
    assert_eq!(children.unwrap_or_default(), "");
    lar.ask("kill TERM once").expect(3);
    assert_eq!(lar.shut_down(), 0);
}
