//! The rules of restarts, dependencies and kills as a real manager follows them.

#[path = "support/lar.rs"]
mod lar;

use std::fs;

use lar::{Lar, root, skip};
use nix::sys::signal::{Signal, kill};

#[test]
fn an_exit_code_that_means_done_ends_it_and_clear_or_start_begin_anew() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service job>\n shell yes\n program exit 3\n exit-codes 0,3\n</service>\n\
         <service picky>\n shell yes\n program exit 0\n restart on-failure\n</service>\n\
         <service once>\n shell yes\n program exit 1\n restart never\n</service>\n",
    );
    lar.wait("job=exited picky=exited once=exited");
    let mut events = lar.events("job");
    lar.ask("start --no-wait job").expect(0);
    events.until("exited -> starting");
    events.until("-> exited");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn who_gives_up_is_failed_until_it_is_cleared() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service bad>\n program false\n backoff none\n give-up after 3\n</service>\n",
    );
    lar.wait("bad=failed");
    let why = lar.ask("why bad").expect(0).out;
    assert!(why.contains("failed"), "{why}");
    lar.ask("health").expect(1);
    let mut events = lar.events("bad");
    lar.ask("clear bad").expect(0);
    events.until("failed -> starting");
    events.until("-> failed");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn flapping_rests_and_then_gives_up() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service bad>\n program false\n backoff none\n flapping 3 in 10s cooldown 100ms rounds 2\n \
         healthy-after 10s\n</service>\n",
    );
    lar.wait("bad=failed");
    let why = lar.ask("why bad").expect(0).out;
    let expected = "given up on: 3 deaths within 10s again, after 2 rests; `clear bad` or `start bad` tries again";
    assert!(why.contains(expected), "{why}");
    let mut events = lar.watch("--json events -n 100 --kind flapping,gave-up bad");
    for expected in
        ["\"flapping\",\"cooldown\"]", "\"flapping\",\"cooldown\"]", "\"gave-up\",\"failed\"]"]
    {
        let event = events.lines.next().unwrap();
        assert!(event.contains(expected) && event.contains("\"exit_code\":1"), "{event}");
    }
    drop(events);
    assert_eq!(lar.shut_down(), 0);
    let rests = lar.err.rest().iter().filter(|line| line.contains("-> cooldown")).count();
    assert_eq!(rests, 2);
}

#[test]
fn why_explains_a_rest_and_a_stop_during_it_sticks() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service bad>\n program false\n preset gaffer\n flapping 2 in 10s cooldown 1h rounds 5\n</service>\n\
         <service web>\n program sleep 1000\n requires bad\n start manual\n</service>\n\
         <service gone>\n program sleep 1000\n start manual\n</service>\n",
    );
    lar.wait("bad=cooldown");
    let why = lar.ask("why bad").expect(0).out;
    let expected = "2 deaths within 10s: it rests, 1 of 5 times; tried again in ";
    assert!(why.contains(expected), "{why}");
    assert!(why.contains("`clear bad` or `start bad` tries at once, `stop bad` ends it"), "{why}");
    let json = lar.ask("--json why bad").expect(0).out;
    assert!(json.contains("\"rests\":1") && json.contains("\"rests_max\":5"), "{json}");
    assert!(lar.ask("why gone").expect(0).out.contains("`start gone` starts it"));
    lar.ask("start --no-wait web").expect(0);
    lar.wait("web=waiting");
    assert!(lar.ask("why web").expect(0).out.contains("`why bad` says why that is not ready"));
    lar.ask("stop --force bad").expect(0);
    let status = lar.ask("--plain status bad").expect(3).out;
    assert!(status.contains("\tstopped\t"), "{status}");
    assert_eq!(lar.shut_down(), 0);
    assert!(!lar.err.rest().iter().any(|line| line.contains("stopped -> starting: tries again")));
}

#[test]
fn what_is_restarted_with_another_restarts_when_that_dies() {
    let mut lar = Lar::start(
        "<service db>\n program sleep 1000\n backoff none\n</service>\n\
         <service api>\n program sleep 1000\n requires db\n restart-with db\n</service>\n\
         <service web>\n program sleep 1000\n requires db\n</service>\n",
    );
    lar.wait("api=running web=running");
    let (api, web) = (lar.pid_of("api"), lar.pid_of("web"));
    let mut events = lar.events("api");
    kill(lar.pid_of("db"), Signal::SIGKILL).unwrap();
    events.until("-> running");
    lar.wait("db=running api=running");
    assert_ne!(lar.pid_of("api"), api);
    assert_eq!(lar.pid_of("web"), web, "others run on");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_is_required_starts_along_and_what_is_only_after_does_not() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service db>\n program sleep 1000\n start manual\n</service>\n\
         <service log>\n program sleep 1000\n start manual\n</service>\n\
         <service web>\n program sleep 1000\n start manual\n requires db\n after log\n</service>\n",
    );
    lar.wait("db=stopped log=stopped web=stopped");
    lar.ask("start web").expect(0);
    lar.wait("db=running web=running log=stopped");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_kill_mode_says_who_else_gets_the_signals() {
    // The main process and a child in its group each say what they are sent.
    let service = |mode: &str| {
        format!(
            "<service {mode}>\n shell yes\n program trap 'echo {mode} main; exit' TERM; \
             (trap 'echo {mode} child; exit' TERM; echo {mode} up; while :; do sleep 0.05; done) & \
             while :; do sleep 0.05; done\n \
             kill-mode {mode}\n prefix no\n stop TERM 5s KILL\n</service>\n"
        )
    };
    let mut lar = Lar::start(&(service("group") + &service("process") + &service("mixed")));
    for _ in 0..3 {
        lar.out.until(" up");
    }
    for mode in ["group", "process", "mixed"] {
        lar.ask(&format!("stop {mode}")).expect(0);
    }
    let said = lar.out.now().join("|");
    assert!(
        said.contains("group main") && said.contains("process main") && said.contains("mixed main")
    );
    assert!(!said.contains("process child") && !said.contains("mixed child"), "{said}");
    // Of `process`, the child is an orphan now, and lar's own end is its end.
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_stopped_process_is_stopped_all_the_same() {
    let mut lar =
        Lar::start("<service web>\n program sleep 1000\n stop TERM 20s KILL\n</service>\n");
    lar.wait("web=running");
    lar.ask("kill STOP web").expect(0);
    lar.ask("stop --strict web").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_service_has_its_own_session_a_clean_mask_and_no_foreign_files() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n umask 027\n directory /\n nice 5\n <limits>\n  nofile 100:200\n \
         </limits>\n <environment>\n  COLOUR blue\n </environment>\n</service>\n",
    );
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(u64::from_str_radix(&field("SigBlk:"), 16), Ok(0));
    assert_eq!(u64::from_str_radix(&field("SigIgn:"), 16), Ok(0));
    assert_eq!(field("Umask:"), "0027");
    let mut files: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|fd| fd.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["0", "1", "2"]);
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    for variable in ["COLOUR=blue", "LAR_SERVICE=web", "LAR_INSTANCE=1"] {
        assert!(environment.split('\0').any(|known| known == variable), "{environment}");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["100", "200"]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_service_of_another_user_has_that_users_ids_and_names() {
    if !root() {
        return skip("needs root");
    }
    let mut lar = Lar::start("<service web>\n program sleep 1000\n user nobody\n</service>\n");
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids.split_whitespace().skip(1).collect::<Vec<_>>(), ["65534"; 4]);
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.split('\0').any(|known| known == "USER=nobody"), "{environment}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_pid_file_that_can_not_be_written_is_only_a_warning() {
    let mut lar = Lar::with(
        "  pid-file /proc/no/such/file",
        "<service web>\n program sleep 1000\n</service>\n",
    );
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
    assert!(lar.err.rest().iter().any(|line| line.contains("/proc/no/such/file")));
}

#[test]
fn terms_that_come_as_a_pair_are_one_request() {
    // timeout(1) signals its child, and then the group that this is in.
    let mut lar = Lar::start(
        "<service web>\n shell yes\n program trap 'echo goes; exit 0' TERM; echo up; while :; do sleep 1000 & \
         wait; done\n prefix no\n</service>\n",
    );
    lar.out.until("up");
    lar.signal(Signal::SIGSTOP);
    lar.signal(Signal::SIGTERM);
    lar.signal(Signal::SIGQUIT);
    lar.signal(Signal::SIGCONT);
    assert_eq!(lar.end(), 0);
    lar.nothing_left();
    assert_eq!(lar.out.rest(), ["up", "goes"]);
}
