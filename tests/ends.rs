//! How a manager comes to its end: exit policies and their codes, the background, and `lar run`.

#[path = "support/lar.rs"]
mod lar;

use std::process::Command;

use lar::{LAR, Lar, Scratch, answer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs a file to the manager's own end; the exit code.
#[track_caller]
fn ends_with(settings: &str, config: &str) -> i32 {
    let dir = Scratch::new();
    let settings = format!("<lar>\n socket-name {{dir}}/s\n{settings}\n</lar>\n");
    let file = dir.write("lar.conf", &(settings + config));
    let mut command = Command::new(LAR);
    command.arg("-C").arg(file);
    let mut lar = Lar::spawn(dir, command);
    let code = lar.end();
    lar.nothing_left();
    code
}

fn exits(name: &str, how: &str, more: &str) -> String {
    format!("<service {name}>\n shell yes\n program {how}\n restart never\n{more}\n</service>\n")
}

fn stays(name: &str, more: &str) -> String {
    format!("<service {name}>\n program sleep 1000\n{more}\n</service>\n")
}

#[test]
fn the_main_services_end_is_lars_end_with_its_code() {
    let side = stays("side", "");
    assert_eq!(ends_with("", &(exits("app", "exit 7", " main yes") + &side)), 7);
    assert_eq!(ends_with("", &(exits("app", "exit 0", " main yes") + &side)), 0);
    assert_eq!(ends_with("", &(exits("app", "kill -KILL $$", " main yes") + &side)), 137);
    assert_eq!(ends_with("", &(exits("app", "kill -SEGV $$", " main yes") + &side)), 139);
}

#[test]
fn a_critical_services_failure_is_lars_end_with_its_code() {
    let side = stays("side", "");
    assert_eq!(ends_with("", &(exits("app", "exit 9", " critical yes") + &side)), 9);
    let gives_up = "<service app>\n program false\n critical yes\n backoff none\n give-up after 2\n\
         </service>\n";
    assert_eq!(ends_with("", &(gives_up.to_owned() + &side)), 1);
}

#[test]
fn nothing_left_that_could_run_is_the_end_too() {
    assert_eq!(ends_with("", &(exits("a", "exit 0", "") + &exits("b", "exit 0", ""))), 0);
}

#[test]
fn a_critical_exit_with_0_is_no_failure() {
    let mut lar = Lar::start(&(exits("app", "exit 0", " critical yes") + &stays("side", "")));
    lar.wait("app=exited side=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn policy_all_ends_when_every_service_has_ended() {
    let both = exits("a", "exit 0", "") + &exits("b", "exit 4", "");
    assert_eq!(ends_with(" exit-policy all", &both), 4);
    let both = exits("a", "exit 0", "") + &exits("b", "exit 0", "");
    assert_eq!(ends_with(" exit-policy all", &both), 0);
}

#[test]
fn policy_never_ends_only_when_asked() {
    let mut lar = Lar::with(" exit-policy never", &exits("a", "exit 5", " critical yes"));
    lar.wait("a=exited");
    lar.ask("ping").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn ctl_shutdown_waits_until_the_manager_is_gone() {
    let mut lar = Lar::start(&stays("a", ""));
    lar.wait("a=running");
    lar.ask("shutdown").expect(0);
    lar.nothing_left();
    assert_eq!(lar.end(), 0);
    assert!(!lar.dir.at("s").exists(), "the socket is removed");
    lar.ask("ping").expect(7);
}

#[test]
fn a_main_service_that_is_stopped_on_request_gives_its_code() {
    let program = "trap 'exit 3' TERM; echo up; while :; do sleep 1000 & wait; done";
    let service = format!("<service app>\n shell yes\n program {program}\n main yes\n</service>\n");
    let mut lar = Lar::start(&service);
    lar.out.until("up");
    assert_eq!(lar.shut_down(), 3);
}

#[test]
fn int_quit_and_pwr_are_an_orderly_end_too() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPWR] {
        let mut lar = Lar::start(&stays("a", ""));
        lar.wait("a=running");
        lar.signal(signal);
        assert_eq!(lar.end(), 0, "{signal}");
        lar.nothing_left();
    }
}

/// Starts in the background; what the process that was started answers.
fn in_background(dir: &Scratch, settings: &str, config: &str, option: &[&str]) -> lar::Answer {
    let settings = format!("<lar>\n socket-name {{dir}}/s\n{settings}\n</lar>\n");
    let file = dir.write("lar.conf", &(settings + config));
    let mut command = Command::new(LAR);
    answer(command.arg("-C").arg(file).args(option).env("LAR_BLACK_BOX", &dir.path))
}

#[test]
fn in_the_background_the_exit_code_tells_of_the_start_and_the_pid_file_of_the_pid() {
    for (setting, option) in [("  daemon yes", &[][..]), ("", &["--daemon"][..])] {
        let dir = Scratch::new();
        let settings = format!("  pid-file {{dir}}/pid\n{setting}");
        let config = stays("web", "");
        in_background(&dir, &settings, &config, option).expect(0);
        // From its return on, it answers and its pid can be read.
        let pid: i32 = dir.read("pid").trim().parse().unwrap();
        let ctl = |words: &[&str]| {
            answer(Command::new(LAR).arg("ctl").arg("-s").arg(dir.at("s")).args(words))
        };
        assert_eq!(ctl(&["pid"]).expect(0).out.trim(), pid.to_string());
        ctl(&["wait", "web=running"]).expect(0);
        // A second one is refused, and what it says is heard.
        let second = in_background(&dir, &settings, &config, option);
        assert_eq!(second.code, 1, "{second:?}");
        assert!(second.err.contains("nothing was started"), "{second:?}");
        assert_eq!(dir.read("pid").trim(), pid.to_string(), "the pid file is still the first's");
        let session = nix::unistd::getsid(Some(Pid::from_raw(pid))).unwrap();
        assert_eq!(session.as_raw(), pid, "its own session");
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let gone = ctl(&["wait", "web=starting", "--timeout", "30s"]);
        assert_ne!(gone.code, 0);
        wait_gone(pid);
        assert!(!dir.at("pid").exists(), "the pid file is removed");
        assert_eq!(dir.processes(), []);
    }
}

/// Waits until a process that is not our child has gone. Each turn is a round through the scheduler.
fn wait_gone(pid: i32) {
    let end = std::time::Instant::now() + lar::DEADLINE;
    while kill(Pid::from_raw(pid), None).is_ok() && std::time::Instant::now() < end {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.contains(") Z ") {
            return; // whoever adopted it reaps late
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_background_start_that_fails_is_told_by_exit_code_and_message() {
    let dir = Scratch::new();
    let broken = in_background(&dir, "", "<service a>\n porgram x\n</service>\n", &["--daemon"]);
    assert_eq!(broken.code, 6, "{broken:?}");
    assert_eq!(dir.processes(), []);
}

#[test]
fn several_commands_run_without_a_file() {
    let dir = Scratch::new();
    let mut command = Command::new(LAR);
    command.args([
        "run",
        "web: sh -c 'echo \"I am $LAR_SERVICE\"; exec sleep 1000'",
        "worker: echo hi",
    ]);
    command.env("XDG_RUNTIME_DIR", &dir.path);
    let mut lar = Lar::spawn(dir, command);
    let mut said = vec![lar.out.until("I am"), lar.out.seen.join("|")];
    while !lar.out.seen.iter().any(|line| line.contains("hi")) {
        lar.out.next().unwrap();
    }
    said.extend(lar.out.seen.clone());
    assert!(said.iter().any(|line| line.ends_with("I am web")), "{said:?}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [&["run"][..], &["run", "web"], &["rnu", "x: y"], &["-C"], &["--deamon"]] {
        answer(Command::new(LAR).args(arguments)).expect(2);
    }
}
