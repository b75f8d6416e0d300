//! Rolling restarts against a real manager: the new process is ready before the old one is told to go.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::io::{BufRead, BufReader, Write};

use lar::Lar;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A service that says that it is ready once it finds the file `go`; until then it waits. It tells what becomes of it.
const WEB: &str = "<service web>
  program    sh {dir}/web %i
  ready      command sh {dir}/ready
  ready-interval 5ms
  start-timeout 60s
  stop       TERM 60s KILL
  prefix     yes
  transcript {dir}/log
  ring       16K
</service>
";

fn scene(config: &str) -> Lar {
    let dir = lar::Scratch::new();
    dir.write(
        "web",
        "trap \"echo $LAR_INSTANCE $1 bye; rm -f {dir}/up.$$; exit\" TERM\n\
         test -e {dir}/broken && { echo it is broken; exit 3; }\n\
         echo $LAR_INSTANCE $1 up; : >{dir}/up.$$; while :; do sleep 1000 & wait; done\n",
    );
    dir.write("ready", "test -e {dir}/go && test -e {dir}/up.$LAR_PID\n");
    dir.write("go", "");
    Lar::run_in(dir, "", config, |_| {})
}

fn with(keys: &str) -> String {
    WEB.replace("</service>", &format!("{keys}\n</service>"))
}

fn hold(lar: &Lar) {
    fs::remove_file(lar.dir.at("go")).unwrap();
}

fn release(lar: &Lar) {
    lar.dir.write("go", "");
}

fn alive(pid: Pid) -> bool {
    nix::sys::signal::kill(pid, None).is_ok()
}

#[test]
fn the_successor_is_ready_before_its_predecessor_is_told_to_go() {
    let mut lar = scene(WEB);
    lar.wait("web=running");
    let old = lar.pid_of("web");
    hold(&lar);
    let mut events = lar.events("web");
    let mut client = lar.watch("restart --rolling web");
    events.until("web/next: stopped -> starting: is to take over");
    let spawned = events.until("web/next: starting -> starting: spawned");
    assert!(alive(old) && lar.pid_of("web") == old, "{spawned}");
    assert!(lar.ask("status web").expect(0).out.contains("web/next"));
    assert_eq!(lar.ask("health").expect(0).out, "healthy: 1 of 1 up\n");
    release(&lar);
    events.until("starting -> running: ready");
    events.until("web/old: running -> stopping: its successor is ready");
    assert_eq!(client.end(), 0);
    assert!(client.lines.rest().join("\n").contains("web: running, pid"));
    let new = lar.pid_of("web");
    assert!(new != old && !alive(old));
    assert_eq!(lar.ask("status").expect(0).out.lines().count(), 2, "nobody is left beside it");
    // Both wrote to one file, whole lines, under the instance's name and number.
    let log = lar.dir.read("log");
    assert_eq!(log, "[web] 1 1 up\n[web] 1 1 up\n[web] 1 1 bye\n");
    assert_eq!(lar.ask("logs web").expect(0).out, "1 1 up\n", "the successor's own");
    // And it is an instance like any other.
    assert_ne!(lar.crash("web"), new);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn the_key_lets_restart_and_apply_roll_one_after_the_other() {
    let config = with("  instances 3\n  rolling yes");
    let mut lar = scene(&config);
    lar.wait("web=running");
    let pids = |lar: &Lar| ["web@1", "web@2", "web@3"].map(|name| lar.pid_of(name));
    let before = pids(&lar);
    let mut events = lar.events("web");
    lar.ask("restart web").expect(0);
    let after = pids(&lar);
    assert!((0..3).all(|at| before[at] != after[at]));
    for name in ["web@1", "web@2", "web@3"] {
        events.until(&format!("{name}/next: stopped -> starting"));
        events.until(&format!("{name}: starting -> running"));
        events.until(&format!("{name}/old: running -> stopping"));
        events.until(&format!("{name}/old: stopping -> stopped"));
    }
    let text =
        lar.dir.read("lar.conf").replace("  ring       16K", "  ring       32K\n  umask 077");
    fs::write(lar.dir.at("lar.conf"), text).unwrap();
    let table = lar.ask("apply --dry-run").expect(0).out;
    assert!(table.contains("umask: 022 => 077 (restart)"), "{table}");
    let mut events = lar.events("web");
    lar.ask("apply").expect(0);
    let applied = pids(&lar);
    assert!((0..3).all(|at| after[at] != applied[at]));
    for _ in 0..3 {
        events.until("/old: stopping -> stopped");
    }
    assert!(!events.lines.seen.iter().any(|line| line.contains("web@1: running -> stopping")));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_successor_that_fails_changes_nothing_and_everybody_is_told_why() {
    let mut lar = scene(&with("  instances 2"));
    lar.wait("web=running");
    let pids = |lar: &Lar| ["web@1", "web@2"].map(|name| lar.pid_of(name));
    let before = pids(&lar);
    lar.dir.write("broken", "");
    let failed = lar.ask("restart --rolling web").expect(11);
    assert!(failed.err.contains("web@1/next: failed: exit status 3"), "{failed:?}");
    assert!(
        failed.err.contains("what runs goes on") && failed.err.contains("it is broken"),
        "{failed:?}"
    );
    assert_eq!(pids(&lar), before);
    lar.err.until("web@1/next: starting -> failed: exit status 3");
    fs::remove_file(lar.dir.at("broken")).unwrap();
    // Neither does one that can't be started, nor one that is never ready.
    let text = lar.dir.read("lar.conf");
    let late = text.replace("start-timeout 60s", "start-timeout 100ms");
    fs::write(lar.dir.at("lar.conf"), &late).unwrap();
    lar.ask("apply").expect(0);
    hold(&lar);
    let failed = lar.ask("restart --rolling web@2").expect(11);
    assert!(failed.err.contains("web@2/next: failed: not ready within"), "{failed:?}");
    assert_eq!(pids(&lar), before);
    assert_eq!(lar.ask("status").expect(0).out.lines().count(), 3);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_successor_goes_with_who_is_stopped_scaled_away_or_removed() {
    let mut lar = scene(&with("  instances 2\n  rolling 2"));
    lar.wait("web=running");
    hold(&lar);
    let mut events = lar.events("web");
    let mut begin = |lar: &Lar| {
        let client = lar.watch("restart --rolling web");
        events.until("web@1/next: starting -> starting: spawned");
        events.until("web@2/next: starting -> starting: spawned");
        client
    };
    let mut client = begin(&lar);
    lar.ask("scale web 1").expect(0);
    lar.ask("stop web").expect(0);
    assert_eq!(client.end(), 14, "superseded");
    assert_eq!(lar.ask("--plain status").expect(0).out.lines().count(), 1, "only web@1, stopped");
    release(&lar);
    lar.ask("scale web 2").expect(0);
    lar.ask("start web").expect(0);
    hold(&lar);
    let mut client = begin(&lar);
    // Who calls the successor itself off ends it all.
    lar.ask("stop web@1/next").expect(0);
    assert_eq!(client.end(), 14);
    lar.wait("web=running");
    let mut client = begin(&lar);
    lar.ask("remove web").expect(0);
    assert_eq!(client.end(), 14);
    assert_eq!(lar.ask("--plain status").expect(0).out, "");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn the_end_of_the_manager_is_the_successors_end_too() {
    let mut lar = scene(WEB);
    lar.wait("web=running");
    hold(&lar);
    let mut events = lar.events("web");
    let _client = lar.watch("restart --rolling web");
    events.until("web/next: starting -> starting: spawned");
    assert_eq!(lar.shut_down(), 0);
    let log = lar.dir.read("log");
    assert_eq!(log.matches("bye").count(), log.matches("up").count(), "{log}");
}

#[test]
fn who_dies_meanwhile_is_started_again_by_its_own_rules_and_then_replaced() {
    let mut lar = scene(&with("  backoff none"));
    lar.wait("web=running");
    hold(&lar);
    let mut events = lar.events("web");
    let mut client = lar.watch("restart --rolling web");
    events.until("web/next: starting -> starting: spawned");
    lar.ask("kill KILL web").expect(0);
    events.until("web: running -> ");
    events.until("web: starting -> starting: spawned");
    release(&lar);
    events.until("web/old: ");
    assert_eq!(client.end(), 0);
    assert_eq!(lar.ask("--plain status").expect(0).out.lines().count(), 1);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_second_order_begins_anew_and_both_are_told_of_the_same_end() {
    let mut lar = scene(WEB);
    lar.wait("web=running");
    hold(&lar);
    let mut events = lar.events("web");
    let mut first = lar.watch("restart --rolling web");
    events.until("web/next: starting -> starting: spawned");
    let mut second = lar.watch("restart --rolling web");
    events.until("web/next: starting -> stopping: is not needed any more");
    events.until("web/next: starting -> starting: spawned");
    release(&lar);
    assert_eq!((first.end(), second.end()), (0, 0));
    // The first successor may have been ended before it could say a word.
    let up = lar.dir.read("log").matches(" up").count();
    assert!((2..=3).contains(&up), "{up}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_program_that_says_itself_that_it_is_ready_has_a_socket_of_its_own() {
    let Some(python) = lar::program("python3") else {
        return lar::skip("python3 is not installed");
    };
    let dir = lar::Scratch::new();
    dir.write(
        "notify.py",
        "import os, signal, socket, time\n\
         address = os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1)\n\
         print(os.environ['NOTIFY_SOCKET'], flush=True)\n\
         socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', address)\n\
         signal.pause()\n",
    );
    let config = format!(
        "<service web>\n program {} {{dir}}/notify.py\n ready notify\n instances 2\n prefix no\n</service>\n",
        python.display()
    );
    let mut lar = Lar::run_in(dir, "", &config, |_| {});
    lar.wait("web=running");
    lar.ask("restart --rolling web").expect(0);
    let mut sockets: Vec<String> = (0..4).map(|_| lar.out.next().unwrap()).collect();
    sockets.sort();
    sockets.dedup();
    assert_eq!(sockets.len(), 4, "each process had its own: {sockets:?}");
    lar.wait("web=running");
    let mut kept = lar.connect();
    let mut replies = BufReader::new(kept.try_clone().unwrap());
    let mut fds = || {
        // Once two more turns are over, lar has noticed that the clients before have gone.
        for _ in 0..2 {
            kept.write_all(b"lar1 ping\n").unwrap();
            let mut reply = String::new();
            while !reply.ends_with("ok\n") {
                assert_ne!(replies.read_line(&mut reply).unwrap(), 0, "{reply}");
            }
        }
        fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().count()
    };
    let before = fds();
    for _ in 0..5 {
        lar.ask("restart --rolling web").expect(0);
    }
    assert_eq!(fds(), before, "nothing is left of those who went");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_readiness_that_the_old_process_can_answer_is_no_use() {
    let service = |keys: &str| format!("<service web>\n program sleep 1000\n {keys}\n</service>\n");
    let dir = lar::Scratch::new();
    for (keys, why) in [
        ("rolling yes", "without `ready` nobody knows"),
        ("rolling 2\n ready tcp 127.0.0.1:1", "answered by the old process as well"),
        ("rolling 0", "rolling"),
        ("rolling yes\n type oneshot", "a one-shot"),
    ] {
        let file = dir.write("x.conf", &service(keys));
        let mut check = std::process::Command::new(lar::LAR);
        let checked = lar::answer(check.arg("check").arg(&file)).expect(6);
        assert!((checked.out + &checked.err).contains(why), "{keys}");
    }
    let mut lar = Lar::start(&service("ready none"));
    lar.wait("web=running");
    let refused = lar.ask("restart --rolling web").expect(1);
    assert!(refused.err.contains("a rolling restart needs `ready notify`"), "{refused:?}");
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 0);
}

#[test]
fn what_is_down_is_restarted_as_ever() {
    let mut lar = scene(&with("  start manual\n  rolling yes"));
    lar.ask("restart web").expect(0);
    lar.wait("web=running");
    assert_eq!(lar.ask("--plain status").expect(0).out.lines().count(), 1);
    assert_eq!(lar.shut_down(), 0);
}
