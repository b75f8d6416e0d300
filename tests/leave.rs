//! `on-shutdown leave` against a real manager: what is left behind runs on, and nothing else does.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/namespace.rs"]
mod namespace;

use std::fs;
use std::process::Command;

use lar::{Lar, Lines, Scratch, answer};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

#[test]
fn what_is_left_behind_runs_on_and_can_write_and_everything_else_is_ended() {
    let dir = Scratch::new();
    mkfifo(&dir.at("out"), Mode::S_IRWXU).unwrap();
    // It leaves orphans of its own session behind, which lar has adopted; they stay, too.
    let config = "<service daemon>\n shell yes\n on-shutdown leave\n transcript none\n ring 0\n \
                  program exec 3>{dir}/out; sh -c 'sleep 1001 & echo ready >&3'; \
                  trap 'echo still here; echo told >&3; exit 0' USR1; \
                  while :; do sleep 0.05; done\n</service>\n\
                  <service web>\n shell yes\n program setsid sleep 1002 & exec sleep 1003\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    let mut out = Lines::of(fs::File::open(lar.dir.at("out")).unwrap());
    out.until("ready");
    lar.wait("daemon=running web=running");
    let pid = lar.pid_of("daemon");
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 0);
    let told = lar.err.rest();
    let expected = "daemon: running -> running: the manager ends; it runs on without it";
    assert!(told.iter().any(|line| line.contains(expected)), "{told:#?}");
    let mut left: Vec<String> =
        lar.dir.processes().into_iter().map(|(_, arguments)| arguments.trim().to_owned()).collect();
    left.retain(|arguments| arguments.starts_with("sleep 1"));
    assert_eq!(left, ["sleep 1001"], "what it started stays with it, others' daemons do not");
    kill(pid, Signal::SIGUSR1).unwrap();
    out.until("told");
}

#[test]
fn an_operators_stop_stops_it_all_the_same() {
    let mut lar = Lar::start(
        "<service daemon>\n program sleep 1000\n on-shutdown leave\n transcript inherit\n</service>\n\
         <service web>\n program sleep 1000\n</service>\n",
    );
    lar.wait("daemon=running");
    lar.ask("stop daemon").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_manager_ends_at_once_if_all_is_left_running() {
    let mut lar = Lar::start(
        "<service daemon>\n program sleep 1000\n instances 2\n on-shutdown leave\n transcript inherit\n</service>\n",
    );
    lar.wait("daemon=running");
    let pids: Vec<Pid> = ["daemon@1", "daemon@2"].map(|name| lar.pid_of(name)).into();
    lar.ask("shutdown").expect(0);
    assert_eq!(lar.end(), 0);
    for pid in pids {
        kill(pid, Signal::SIGKILL).unwrap_or_else(|error| panic!("{pid} is gone: {error}"));
    }
}

#[test]
fn captured_output_is_refused_with_what_to_say_instead() {
    let dir = Scratch::new();
    for (keys, good) in [
        ("", false),
        ("transcript stdout", false),
        ("transcript /tmp/x.log", false),
        ("transcript none", false),
        ("transcript inherit\n stderr /tmp/x.log", false),
        ("transcript none\n ring 0", true),
        ("transcript inherit", true),
        ("transcript none\n ring 0\n stderr inherit", true),
    ] {
        let text = format!("<service d>\n program true\n on-shutdown leave\n {keys}\n</service>\n");
        let file = dir.write("lar.conf", &text);
        let mut command = Command::new(lar::LAR);
        let told = answer(command.arg("check").arg(file)).expect(if good { 0 } else { 6 });
        let said = told.out + &told.err;
        let expected = "what it writes would go through lar, which will not be there";
        assert_eq!(said.contains(expected), !good, "{keys}: {said}");
    }
}

#[test]
fn pid_1_leaves_nothing_and_says_so_before_it_starts() {
    let Some(words) = namespace::namespace() else { return };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    let dir = Scratch::new();
    let text = "<service d>\n program true\n on-shutdown leave\n transcript inherit\n</service>\n";
    let file = dir.write("lar.conf", text);
    command.arg(lar::LAR).arg("-C").arg(file);
    let told = answer(&mut command).expect(6);
    assert!(
        told.err.contains("PID 1 can leave nothing running: the kernel ends it all"),
        "{told:?}"
    );
}
