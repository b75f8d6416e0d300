//! `stop-command`.

use crate::{is_gone, log, start};

/// A program that only ends by USR1, and KILL.
const DEAF: (&str, &str) =
    ("main", "trap : TERM INT; trap 'exit 7' USR1; note main; while :; do sleep 0.05; done");

const STOP: &str = " stop-command {dir}/stop\n ready log main\n";

/// With a word when its traps are set.
fn deaf() -> (&'static str, String) {
    (DEAF.0, DEAF.1.replace("note main;", "note main; echo main;"))
}

#[test]
fn it_is_told_whom_it_is_to_end_and_no_signal_is_sent() {
    let main = deaf();
    let mut lar = start(&[(main.0, &main.1), ("stop", "note stop; kill -USR1 $LAR_PID")], STOP);
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    let mut signalled = lar.watch("events --since 0 --kind signalled,stopped web");
    lar.ask("stop --strict web").expect(0);
    let line = format!("stop web 1 pid={pid} code= signal=");
    assert_eq!(log(&lar)[1..], [line]);
    assert_eq!(lar.ask("why web").out.matches("exit status 7").count(), 1);
    let first = signalled.lines.next().unwrap();
    assert!(first.contains("-> stopped: exit status 7"), "{first}");
    // And before a restart; and when lar ends.
    lar.ask("start web").expect(0);
    lar.ask("restart web").expect(0);
    assert_eq!(log(&lar).len(), 5);
    assert_eq!(lar.shut_down(), 0);
    assert_eq!(log(&lar).len(), 6);
    assert!(!lar.err.rest().iter().any(|line| line.contains("warn")));
}

#[test]
fn it_may_wait_for_the_end_itself() {
    let main = deaf();
    let stop =
        "note stop; kill -USR1 $LAR_PID; while kill -0 $LAR_PID; do sleep 0.02; done; note done";
    let mut lar = start(&[(main.0, &main.1), ("stop", stop)], STOP);
    lar.wait("web=running");
    lar.ask("stop web").expect(0);
    assert_eq!(log(&lar).len(), 3, "{:?}", log(&lar));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn signals_follow_if_it_fails_and_that_is_told() {
    let main = deaf();
    for (body, how) in [
        ("note stop; exit 4", "stop-command: exit status 4; its signals follow"),
        ("note stop; kill -9 $$", "stop-command: killed by SIGKILL; its signals follow"),
    ] {
        let keys = format!("{STOP} stop USR1 1h KILL\n stop-timeout 1h\n");
        let mut lar = start(&[(main.0, &main.1), ("stop", body)], &keys);
        lar.wait("web=running");
        lar.ask("stop web");
        lar.wait("web=stopped");
        lar.err.until(how);
        lar.err.until("-> stopped: exit status 7");
        assert_eq!(lar.shut_down(), 0);
    }
}

#[test]
fn signals_follow_if_it_can_not_be_started() {
    let main = deaf();
    let keys = format!("{STOP} stop USR1 1h KILL\n stop-timeout 1h\n");
    let mut lar = start(&[(main.0, &main.1), ("stop", "")], &keys);
    lar.wait("web=running");
    std::fs::remove_file(lar.dir.at("stop")).unwrap();
    lar.ask("stop web");
    lar.wait("web=stopped");
    lar.err.until("stop-command: No such file or directory (stage exec); its signals follow");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn one_that_hangs_is_killed_with_its_group_and_the_signals_follow() {
    let main = deaf();
    let body = "note stop; sh -c 'trap : TERM; sleep 1000.1' & trap : TERM; while :; do sleep 1000.2; done";
    let keys = format!("{STOP} stop USR1 1h KILL\n stop-timeout 300ms\n");
    let mut lar = start(&[(main.0, &main.1), ("stop", body)], &keys);
    lar.wait("web=running");
    lar.ask("stop web");
    lar.wait("web=stopped");
    for word in ["1000.1", "1000.2", "/stop"] {
        assert!(is_gone(&lar, word), "{:#?}", lar.dir.processes());
    }
    lar.err.until("-> stopped: exit status 7");
    let told = |line: &&String| line.contains("warn") && line.contains("stop-command");
    assert!(lar.err.seen.iter().any(|line| told(&line)), "{:#?}", lar.err.seen);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn one_that_succeeds_and_ends_nobody_leaves_the_rest_of_its_time_and_then_signals_follow() {
    let main = deaf();
    let keys = format!("{STOP} stop USR1 1h KILL\n stop-timeout 300ms\n");
    let mut lar = start(&[(main.0, &main.1), ("stop", "note stop")], &keys);
    lar.wait("web=running");
    lar.ask("stop web");
    lar.wait("web=stopped");
    lar.err.until("-> stopped: exit status 7");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn one_that_goes_on_after_the_programs_end_is_bounded_too() {
    let main = deaf();
    let body = "note stop; kill -USR1 $LAR_PID; sleep 1000.1";
    let keys = format!("{STOP} stop-timeout 500ms\n");
    let mut lar = start(&[(main.0, &main.1), ("stop", body)], &keys);
    lar.wait("web=running");
    lar.ask("stop web");
    lar.wait("web=stopped");
    assert!(is_gone(&lar, "1000.1") && is_gone(&lar, "/stop"), "{:#?}", lar.dir.processes());
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn the_end_of_lar_waits_for_it_and_a_second_signal_does_not() {
    use nix::sys::signal::Signal::SIGTERM;
    let main = deaf();
    let body = "note stop; echo stopping; trap : TERM; while :; do sleep 1000.1; done";
    let keys = format!("{STOP} stop-timeout 1h\n");
    let mut lar = start(&[(main.0, &main.1), ("stop", body)], &keys);
    lar.wait("web=running");
    lar.signal(SIGTERM);
    lar.out.until("stopping");
    crate::insist(&mut lar);
    assert_eq!(lar.end(), 1);
    lar.nothing_left();
}
