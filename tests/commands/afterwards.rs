//! `post-stop`.

use nix::sys::signal::{Signal, kill};

use crate::{is_gone, log, start};

/// Dies by whatever signal it gets, and by itself as `how` says.
const MAIN: (&str, &str) =
    ("main", "note main; echo main; test -e how && exit $(cat how); exec sleep 1000");

const POST: &str = " post-stop {dir}/post\n";

/// When it has run so far as to have noted that it runs.
const READY: &str = " ready log main\n";

#[test]
fn it_is_told_how_the_program_ended_before_the_next_one_starts() {
    let mut lar = start(&[MAIN, ("post", "sleep 0.05; note post")], &format!("{POST}{READY}"));
    lar.wait("web=running");
    let mut ends = Vec::new();
    for (signal, name) in [(Signal::SIGKILL, "SIGKILL"), (Signal::SIGUSR1, "SIGUSR1")] {
        let mut events = lar.events("web");
        kill(lar.pid_of("web"), signal).unwrap();
        events.until(" -> running");
        ends.push(format!("post web 1 pid= code= signal={name}"));
    }
    lar.ask("restart web").expect(0);
    ends.push("post web 1 pid= code= signal=SIGTERM".into());
    lar.ask("stop web").expect(0);
    ends.push("post web 1 pid= code= signal=SIGTERM".into());
    let main = "main web 1 pid= code= signal=".to_owned();
    let expected: Vec<String> = ends.into_iter().flat_map(|end| [main.clone(), end]).collect();
    assert_eq!(log(&lar), expected);
    // By itself, with a code.
    lar.dir.write("how", "3");
    lar.ask("start --no-wait web").expect(0);
    let mut events = lar.watch("events web");
    events.until("exit status 3");
    std::fs::remove_file(lar.dir.at("how")).unwrap();
    lar.wait("web=running");
    assert!(log(&lar).contains(&"post web 1 pid= code=3 signal=".to_owned()));
    // The last one is for the end of lar.
    let before = log(&lar).len();
    assert_eq!(lar.shut_down(), 0);
    assert_eq!(log(&lar).len(), before + 1);
}

#[test]
fn it_runs_after_a_start_that_has_failed_too() {
    let keys =
        format!("{POST} start manual\n ready file up\n start-timeout 200ms\n give-up after 1\n");
    let mut lar = start(&[MAIN, ("post", "note post")], &keys);
    assert_ne!(lar.ask("start web").code, 0);
    lar.wait("web=failed");
    let lines = log(&lar);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "post web 1 pid= code= signal=SIGTERM");
    // And after one whose program could not even be run.
    std::fs::remove_file(lar.dir.at("main")).unwrap();
    assert_ne!(lar.ask("start web").code, 0);
    lar.wait("web=failed");
    assert_eq!(log(&lar)[2..], ["post web 1 pid= code= signal="]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn its_failure_is_told_and_changes_nothing() {
    let mut lar = start(&[MAIN, ("post", "note post; exit 5")], POST);
    lar.wait("web=running");
    lar.crash("web");
    lar.err.until("web: post-stop: exit status 5; going on without it");
    lar.ask("stop web").expect(0);
    std::fs::remove_file(lar.dir.at("post")).unwrap();
    lar.ask("start web").expect(0);
    lar.crash("web");
    lar.err.until("web: post-stop: No such file or directory (stage exec); going on without it");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn one_that_hangs_is_bounded_and_gone_with_its_group_before_the_restart() {
    let body = "sh -c 'trap : TERM; sleep 1000.1' & trap : TERM; while :; do sleep 1000.2; done";
    let keys = format!("{POST} stop-timeout 300ms\n");
    let mut lar = start(&[MAIN, ("post", body)], &keys);
    lar.wait("web=running");
    for _ in 0..2 {
        lar.crash("web");
        for word in ["1000.1", "1000.2", "/post"] {
            assert!(is_gone(&lar, word), "{:#?}", lar.dir.processes());
        }
    }
    lar.ask("stop web");
    lar.wait("web=stopped");
    assert!(is_gone(&lar, "1000."), "{:#?}", lar.dir.processes());
    lar.shut_down();
}

#[test]
fn the_end_of_lar_waits_for_it_and_a_second_signal_does_not() {
    let body = "echo tidying; trap : TERM; while :; do sleep 1000.1; done";
    let keys = format!("{POST} stop-timeout 1h\n");
    let mut lar = start(&[MAIN, ("post", body)], &keys);
    lar.wait("web=running");
    lar.signal(Signal::SIGTERM);
    lar.out.until("tidying");
    crate::insist(&mut lar);
    assert_eq!(lar.end(), 1);
    lar.nothing_left();
}

#[test]
fn an_order_to_start_that_comes_meanwhile_is_carried_out_after_it() {
    let body = "echo tidying; read x <fifo; note post";
    let mut lar = start(&[MAIN, ("post", body)], &format!("{POST}{READY}"));
    nix::unistd::mkfifo(&lar.dir.at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    lar.wait("web=running");
    lar.ask("stop --no-wait web").expect(0);
    lar.out.until("tidying");
    let mut start = lar.watch("start web");
    lar.ask("start --no-wait web").expect(0);
    assert_eq!(log(&lar).len(), 1);
    std::fs::write(lar.dir.at("fifo"), "\n").unwrap();
    assert_eq!(start.end(), 0);
    let names: Vec<String> = log(&lar).iter().map(|line| line[..4].to_owned()).collect();
    assert_eq!(names, ["main", "post", "main"]);
    lar.ask("stop --no-wait web").expect(0);
    std::fs::write(lar.dir.at("fifo"), "\n").unwrap();
    lar.wait("web=stopped");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn two_hundred_restarts_with_all_commands_cost_lar_no_fd() {
    let keys = format!("{POST} pre-start {{dir}}/pre\n flapping no\n");
    let main = ("main", "exec sleep 1000");
    let mut lar = start(&[main, ("pre", "exit 0"), ("post", "exit 0")], &keys);
    // Clients come and go: what is counted are all others.
    let fds = |lar: &crate::lar::Lar| {
        let all = std::fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().flatten();
        let is_socket = |path| {
            std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        };
        all.filter(|entry| !is_socket(entry.path())).count()
    };
    lar.wait("web=running");
    lar.crash("web");
    let before = fds(&lar);
    let mut events = lar.events("web");
    for _ in 0..200 {
        kill(lar.pid_of("web"), Signal::SIGKILL).unwrap();
        events.until(" -> running");
    }
    assert_eq!(fds(&lar), before);
    drop(events);
    assert_eq!(lar.shut_down(), 0);
}
