//! `pre-start`.

use crate::{is_gone, log, start};

/// A program that does nothing.
const MAIN: (&str, &str) = ("main", "note main; echo main; exec sleep 1000");

const PRE: &str = " pre-start {dir}/pre\n";

/// When it has run so far as to have noted that it runs.
const READY: &str = " ready log main\n";

#[test]
fn it_runs_before_each_start_and_is_told_for_whom() {
    let mut lar = start(&[MAIN, ("pre", "note pre")], &format!("{PRE}{READY}"));
    lar.wait("web=running");
    lar.crash("web");
    lar.ask("restart web").expect(0);
    let both = ["pre web 1 pid= code= signal=", "main web 1 pid= code= signal="];
    assert_eq!(log(&lar), [both; 3].concat());
    let mut events = lar.watch("events --since 0 web");
    events.until("web: starting -> starting: pre-start runs");
    events.until("web: starting -> starting: pre-start is done");
    events.until("web: starting -> starting: spawned");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn each_instance_has_its_own() {
    let keys = format!("{PRE} instances 3\n");
    let mut lar = start(&[MAIN, ("pre", "note pre")], &keys);
    lar.wait("web=running");
    for number in 1..=3 {
        let line = format!("pre web {number} pid= code= signal=");
        assert_eq!(log(&lar).iter().filter(|it| **it == line).count(), 1, "{:?}", log(&lar));
    }
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn who_needs_the_service_waits_for_it_too() {
    let keys = format!(
        "{PRE}{READY}</service>\n<service shop>\n \
         program sh -c 'echo shop >>{{dir}}/log; echo shop; exec sleep 1000'\n requires web\n ready log shop"
    );
    let mut lar = start(&[MAIN, ("pre", "sleep 0.2; note pre")], &keys);
    lar.wait("shop=running");
    let first: Vec<String> = log(&lar).iter().map(|line| line[..3].to_owned()).collect();
    assert_eq!(first, ["pre", "mai", "sho"]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn its_failure_is_a_failed_start_told_with_its_words() {
    for (body, how) in [
        ("note pre; echo no such database >&2; exit 3", "pre-start: exit status 3"),
        ("note pre; echo no such database; kill -9 $$", "pre-start: killed by SIGKILL"),
    ] {
        let keys = format!("{PRE} start manual\n give-up after 2\n post-stop {{dir}}/post\n");
        let mut lar = start(&[MAIN, ("pre", body), ("post", "note post")], &keys);
        let answer = lar.ask("start web");
        assert_ne!(answer.code, 0);
        let said = format!("{}{}", answer.out, answer.err);
        assert!(said.contains(how) && said.contains("no such database"), "{answer:#?}");
        lar.wait("web=failed");
        assert!(lar.ask("why web").out.contains(how));
        // Its program has never run; what was begun is tidied up all the same.
        let names: Vec<String> =
            log(&lar).iter().map(|line| line.split(' ').next().unwrap().into()).collect();
        assert_eq!(names, ["pre", "post", "pre", "post"]);
        assert_eq!(lar.shut_down(), 0);
    }
}

#[test]
fn one_that_can_not_be_started_is_a_failed_start() {
    let keys = format!("{PRE} give-up after 1\n");
    let mut lar = start(&[MAIN, ("pre", "")], &keys);
    lar.wait("web=running");
    std::fs::remove_file(lar.dir.at("pre")).unwrap();
    lar.ask("restart web");
    lar.wait("web=failed");
    let why = lar.ask("why web").out;
    assert!(why.contains("pre-start: No such file or directory (stage exec)"), "{why}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn it_has_the_time_of_the_start_and_is_gone_with_all_its_children() {
    // In its own group, one that heeds no TERM.
    let body = "sh -c 'trap : TERM; while :; do sleep 1000.1; done' & trap : TERM; note pre; while :; do wait; done";
    let keys = format!(
        "{PRE} start manual\n start-timeout 300ms\n start-abort-timeout 100ms\n give-up after 1\n"
    );
    let mut lar = start(&[MAIN, ("pre", body)], &keys);
    let answer = lar.ask("start web");
    assert_ne!(answer.code, 0);
    lar.wait("web=failed");
    assert!(is_gone(&lar, "1000.1") && is_gone(&lar, "/pre"), "{:#?}", lar.dir.processes());
    let why = lar.ask("why web").out;
    assert!(why.contains("start-timeout: pre-start took too long"), "{why}");
    assert_eq!(log(&lar).len(), 1, "the program was not started");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn its_time_is_the_programs_too() {
    // Half of it each, and a little more.
    let keys = format!(
        "{PRE} start manual\n start-timeout 1s\n give-up after 1\n ready file {{dir}}/up\n"
    );
    let main = ("main", "note main; sleep 0.7; : >{dir}/up; exec sleep 1000");
    let mut lar = start(&[main, ("pre", "sleep 0.6")], &keys);
    assert_ne!(lar.ask("start web").code, 0);
    lar.wait("web=failed");
    let why = lar.ask("why web").out;
    assert!(why.contains("not ready within its start-timeout"), "{why}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_stop_does_not_wait_for_it() {
    let keys = format!("{PRE} start-timeout 1h\n stop-command {{dir}}/stop\n");
    let scripts = [MAIN, ("pre", "note pre; sleep 1000.1"), ("stop", "note stop")];
    let mut lar = start(&scripts, &keys);
    lar.watch("events --since 0 web").until("pre-start runs");
    lar.ask("stop web").expect(0);
    assert!(is_gone(&lar, "1000.1") && is_gone(&lar, "/pre"), "{:#?}", lar.dir.processes());
    assert!(!log(&lar).iter().any(|line| line.starts_with("stop") || line.starts_with("main")));
    lar.ask("start --no-wait web").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_it_left_behind_is_gone_before_the_program_runs() {
    let body = "sleep 1000.1 & note pre";
    let mut lar = start(&[MAIN, ("pre", body)], PRE);
    lar.wait("web=running");
    assert!(is_gone(&lar, "1000.1"), "{:#?}", lar.dir.processes());
    assert_eq!(lar.shut_down(), 0);
}
