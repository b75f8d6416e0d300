//! One more run of a service (`once`), against a real manager: its words, its output, its end, and that it counts for
//! nothing.

#[path = "support/lar.rs"]
mod lar;

use std::time::Instant;

use lar::Lar;
use nix::sys::signal::{Signal, kill};

/// What it does is said by its words.
const JOB: &str = "<service job>\n program sh -c 'eval \"${1:-exec sleep 1000}\"; shift; \"$@\"' sh\n start manual\n \
    instances 2\n <environment>\n  A service\n  B kept\n </environment>\n</service>\n\
    <service db>\n program sleep 1000\n</service>\n";

#[test]
fn a_run_has_its_own_words_and_variables_and_its_code_is_the_clients() {
    let mut lar = Lar::start(JOB);
    let script = "echo \"$A $B $C $LAR_SERVICE $LAR_INSTANCE $LAR_RUN\"; echo oops >&2; printf 'no end'; exit 3";
    let ran = lar.ctl(&["once", "-e", "A=run", "job", "--env=C=a b", "--", script]).expect(3);
    assert_eq!(ran.out, "run kept a b job 0 1\noops\nno end");
    assert_eq!(ran.err, "");
    assert_eq!(
        lar.ctl(&["once", "job", "--", "true", "echo", "-n", "--", "a b"]).expect(0).out,
        "-- a b"
    );
    lar.ctl(&["once", "job", "--", "kill -TERM $$"]).expect(143);
    // It is none of the instances, which are down; and it is gone.
    assert_eq!(lar.ask("status job").expect(3).out.matches("stopped").count(), 2);
    let gone = lar.ask("status job+1").expect(4);
    assert!(gone.err.contains("job+1 does not run"), "{gone:?}");
    let said = lar.err.until("job+1: running -> exited");
    assert!(said.contains("exit status 3 after"), "{said}");
    lar.out.until("[job+1] run kept a b job 0 1");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn much_output_comes_whole_and_in_order() {
    let lar = Lar::start(JOB);
    let ran = lar.ctl(&[
        "once",
        "job",
        "--",
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done",
    ]);
    let lines: Vec<&str> = ran.out.lines().collect();
    let all: Vec<String> = (0..20_000).map(|number| format!("line {number}")).collect();
    match ran.err.is_empty() {
        true => assert!(lines == all, "{} lines", lines.len()),
        // A slow machine: what was missed is told, and the rest is in order.
        false => {
            assert!(ran.err.contains("are missing here") && lines.last() == Some(&"line 19999"))
        }
    }
    assert_eq!(ran.code, 0);
}

#[test]
fn several_run_at_once_and_can_be_named() {
    let mut lar = Lar::start(JOB);
    let started =
        lar.ctl(&["once", "--no-wait", "job", "--", "echo one; exec sleep 1000"]).expect(0);
    assert!(started.out.starts_with("job+1: running, pid "), "{started:?}");
    lar.ctl(&["once", "--no-wait", "job", "--", "echo two; exec sleep 1001"]).expect(0);
    let mut said = [lar.out.next().unwrap(), lar.out.next().unwrap()];
    said.sort();
    assert_eq!(said, ["[job+1] one", "[job+2] two"]);
    assert!(lar.ask("status").expect(0).out.contains("job+2"));
    assert_eq!(lar.ask("logs job+2").expect(0).out, "two\n");
    assert!(lar.ask("logs job").expect(0).out.contains("[job+1] one"));
    assert!(lar.ask("why job+1").expect(0).out.contains("one run was ordered"));
    // Not counted: none of the service's instances is up.
    lar.ask("status job").expect(3);
    assert_eq!(lar.ask("health").expect(0).out, "healthy: 1 of 1 up\n");
    let mut waits = lar.watch("wait job+1=exited");
    lar.ask("kill KILL job+2").expect(0);
    lar.err.until("-> exited: killed by SIGKILL");
    lar.ask("restart job+1").expect(2);
    lar.ask("stop job+1").expect(0);
    lar.ask("status job+1").expect(4);
    assert_eq!(waits.end(), 14, "it was stopped, and has not exited by itself");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_client_that_leaves_does_not_end_the_run() {
    let mut lar = Lar::start(JOB);
    let script = "trap 'echo told; exit 7' TERM; echo up; while :; do sleep 1000 & wait; done";
    let mut client = lar.client(&["once", "job", "--", script]);
    client.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = client.stderr(std::process::Stdio::piped()).spawn().unwrap();
    lar::Lines::of(child.stdout.take().unwrap()).until("up");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGINT).unwrap();
    let status = lar::ended(&mut child, lar::DEADLINE).expect("it is interrupted");
    assert_eq!(lar::code(status), 130);
    let mut err = lar::Lines::of(child.stderr.take().unwrap());
    err.until("no longer waiting; the work goes on");
    assert!(lar.ask("status job+1").expect(0).out.contains("running"));
    lar.ask("stop job+1").expect(0);
    lar.out.until("told");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_time_limit_ends_a_run_by_the_services_ladder() {
    let lar = Lar::start(&format!("<defaults>\n stop INT 100ms KILL\n</defaults>\n{JOB}"));
    let start = Instant::now();
    let script = "trap '' INT; echo up; while :; do sleep 1000; done";
    let over = lar.ctl(&["once", "--timeout", "300ms", "job", "--", script]).expect(8);
    assert!(start.elapsed().as_millis() >= 400, "the limit, then the ladder");
    assert_eq!(over.out, "up\n");
    assert!(over.err.contains("job+1: its time limit was over"), "{over:?}");
    lar.ctl(&["once", "--timeout", "30s", "job", "--", "exit 4"]).expect(4);
}

#[test]
fn runs_end_with_their_service_and_with_the_manager_but_not_by_scale_and_apply() {
    let mut lar = Lar::start(JOB);
    let begin = |name: &str| {
        lar.ctl(&["once", "--no-wait", name, "--", "exec sleep 1000"]).expect(0);
    };
    begin("job");
    lar.ask("start job").expect(0);
    lar.ask("scale job 0").expect(0);
    lar.ask("scale job 3").expect(0);
    lar.ask("restart job").expect(0);
    lar.ask("apply").expect(0);
    assert!(lar.ask("status job+1").expect(0).out.contains("running"));
    lar.ask("stop job").expect(0);
    lar.ask("status job+1").expect(4);
    begin("job");
    lar.ask("remove job").expect(0);
    lar.ask("status job").expect(4);
    lar.ctl(&["add", "job", "--", "sh", "-c", "eval \"$1\"", "sh"]).expect(9);
    lar.ctl(&["add", "other", "--", "sh", "-c", "eval \"$1\"", "sh"]).expect(0);
    begin("other");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_a_run_requires_is_started_first_and_what_it_uses_is_not_stopped() {
    let mut lar = Lar::start(
        "<service db>\n program sleep 1000\n start manual\n</service>\n\
         <service bad>\n program false\n start manual\n type oneshot\n restart never\n</service>\n\
         <service web>\n program sh -c 'eval \"$1\"' sh\n start manual\n requires db\n</service>\n\
         <service none>\n program sh\n start manual\n requires bad\n</service>\n",
    );
    lar.ctl(&["once", "--no-wait", "web", "--", "exec sleep 1000"]).expect(0);
    lar.wait("db=running");
    let refused = lar.ask("stop db").expect(9);
    assert!(refused.err.contains("db is required by web+1"), "{refused:?}");
    lar.ask("stop --with-dependents db").expect(0);
    lar.ask("status web+1").expect(4);
    let failed = lar.ask("once none").expect(11);
    assert!(failed.err.contains("requires bad, which ended for good"), "{failed:?}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_manager_that_has_nothing_left_waits_for_its_runs() {
    let mut lar = Lar::start(
        "<service task>\n program sh -c 'eval \"${2:-exec sleep 1000}\"' sh x\n type oneshot\n \
         restart never\n</service>\n",
    );
    lar.wait("task=starting");
    let script = "echo up; read line <{dir}/go; exit 5";
    nix::unistd::mkfifo(&lar.dir.at("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = lar.dir.fill(script);
    let mut run = lar.client(&["once", "task", "--", &script]);
    let mut child = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = lar::Lines::of(child.stdout.take().unwrap());
    out.until("up");
    lar.ask("kill KILL task").expect(0);
    lar.err.until("-> exited: killed by SIGKILL");
    lar.ask("ping").expect(0);
    std::fs::write(lar.dir.at("go"), "go\n").unwrap();
    assert_eq!(lar.end(), 137, "the task's own code, as without the run");
    assert_eq!(lar::code(lar::ended(&mut child, lar::DEADLINE).unwrap()), 5);
    drop(out.rest());
}

#[test]
fn nonsense_is_refused_before_anything_runs() {
    let lar = Lar::start(JOB);
    for (wrong, code) in [
        ("once", 2),
        ("once job@1", 2),
        ("once job db", 2),
        ("once nobody", 5),
        ("once -e novalue job", 2),
        ("once -e =x job", 2),
        ("once --timeout soon job", 2),
    ] {
        lar.ask(wrong).expect(code);
    }
    assert!(!lar.ask("status").expect(0).out.contains('+'));
}

#[test]
fn a_runs_own_words_and_variables_are_for_who_may_change_the_manager() {
    if !lar::root() {
        return lar::skip("only root can be another user");
    }
    let lar = Lar::with("  allow operate user 65534", JOB);
    let ask = |words: &[&str]| {
        use std::os::unix::process::CommandExt;
        let mut client = lar.client(words);
        lar::answer(client.uid(65534).gid(65534))
    };
    ask(&["once", "--no-wait", "db"]).expect(0);
    ask(&["once", "--no-wait", "db", "--", "1"]).expect(10);
    ask(&["once", "--no-wait", "-e", "LD_PRELOAD=x", "db"]).expect(10);
}
