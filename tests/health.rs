//! Health, and the commands around a program, as operators and probes see them: `health`, `status`, `reload`,
//! `restart`, and the exit codes by which failures are told apart.

#[path = "support/lar.rs"]
mod lar;

use std::fs;

use lar::{Lar, Scratch};

fn sick() -> Lar {
    let dir = Scratch::new();
    dir.write("fine", "");
    let config = "<service web>\n program sleep 1000\n restart never\n \
        health every 20ms timeout 5s failures 3 command test -e {dir}/fine\n</service>\n\
        <service db>\n program sleep 1000\n</service>\n\
        <service setup>\n type oneshot\n program true\n</service>\n\
        <service later>\n program sleep 1000\n start manual\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("web=running db=running setup=exited");
    lar
}

#[test]
fn health_is_one_line_and_an_exit_code() {
    let mut lar = sick();
    let say = |line: &str, code: i32| {
        let answer = lar.ask(line).expect(code);
        assert_eq!(answer.err, "", "one line is all there is");
        answer.out
    };
    assert_eq!(say("health", 0), "healthy: 3 of 3 up\n");
    assert_eq!(say("health web", 0), "web: running\n");
    assert_eq!(say("health setup", 0), "setup: exited\n");
    assert_eq!(say("health web db", 0), "healthy: 2 of 2 up\n");
    assert_eq!(say("health later", 1), "later: stopped: boot\n".replace("boot", "starts at boot"));
    fs::remove_file(lar.dir.at("fine")).unwrap();
    lar.wait("web=unhealthy");
    assert_eq!(say("health web", 1), "web: unhealthy: 3 bad answers in a row\n");
    let all = "unhealthy: 2 of 3 up; web: unhealthy: 3 bad answers in a row\n";
    assert_eq!(say("health", 1), all);
    assert_eq!(say("health db", 0), "db: running\n");
    lar.dir.write("fine", "");
    lar.wait("web=running");
    assert_eq!(say("health web", 0), "web: running\n");
    lar.ask("health nobody").expect(5);
    assert_eq!(lar.shut_down(), 0);
    lar.ask("health").expect(7);
}

#[test]
fn the_unhealthy_are_seen_everywhere() {
    let mut lar = sick();
    let record = lar.raw(b"lar1 status web\n");
    assert!(record.contains(" health=ok ") && !record.contains(" doing="), "{record}");
    assert!(!lar.raw(b"lar1 status db\n").contains("health="), "nobody asks about it");
    let mut events = lar.events("web");
    fs::remove_file(lar.dir.at("fine")).unwrap();
    assert!(events.until("-> unhealthy").ends_with("3 bad answers in a row"));
    let status = lar.ask("status web").expect(3).out;
    assert!(status.contains("unhealthy") && status.contains("3 bad answers in a row"), "{status}");
    assert!(lar.raw(b"lar1 status web\n").contains(" health=unhealthy "));
    assert!(lar.ask("status --json web").out.contains("\"health\":\"unhealthy\""));
    let metrics = lar.ask("metrics web").expect(0).out;
    let gauge = "lar_state{service=\"web\",instance=\"1\",lar_state=\"unhealthy\"} 1\n";
    assert!(metrics.contains(gauge) && metrics.contains("lar_up{"), "{metrics}");
    assert!(lar.ask("stats web").out.contains("unhealthy"));
    let why = lar.ask("why web").expect(0).out;
    assert!(why.contains("`restart web` starts it anew"), "{why}");
    let kinds = lar.ask("events --help").out;
    assert!(kinds.contains("unhealthy"), "{kinds}");
    // It is not usable, and so it is neither started nor to be connected to.
    lar.ask("start web").expect(1);
    lar.ask("ensure web").expect(13);
    lar.dir.write("fine", "");
    events.until("unhealthy -> running: healthy again");
    lar.ask("ensure web").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn an_unhealthy_service_is_restarted_by_its_rules() {
    let dir = Scratch::new();
    dir.write("fine", "");
    let mut lar = Lar::run_in(
        dir,
        "",
        "<service web>\n program sleep 1000\n healthy-after 0s\n \
         health every 20ms failures 2 command test -e {dir}/fine\n</service>\n",
        |_| {},
    );
    lar.wait("web=running");
    let (old, mut events) = (lar.pid_of("web"), lar.events("web"));
    fs::remove_file(lar.dir.at("fine")).unwrap();
    events.until("running -> unhealthy: 2 bad answers in a row");
    lar.dir.write("fine", "");
    events.until("starting -> running");
    assert_ne!(lar.pid_of("web"), old);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_reload_command_is_waited_for_and_what_it_says_is_shown() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n \
         reload command sh -c 'echo line 7 is wrong; test -e {dir}/fine'\n</service>\n\
         <service by-signal>\n program sleep 1000\n reload USR1\n restart never\n</service>\n\
         <service never>\n program sleep 1000\n</service>\n",
    );
    lar.wait("web=running by-signal=running never=running");
    let pid = lar.pid_of("web");
    let answer = lar.ask("reload web").expect(1);
    assert!(answer.err.starts_with("lar ctl: web: reload command: exit status 1\n"), "{answer:?}");
    assert!(answer.err.contains("  | line 7 is wrong\n"), "{answer:?}");
    lar.ask("reload --no-wait web").expect(0);
    lar.dir.write("fine", "");
    lar.ask("reload web").expect(0);
    lar.ask("reload web by-signal").expect(0);
    lar.wait("by-signal=exited");
    assert_eq!(lar.pid_of("web"), pid);
    let answer = lar.ask("reload never").expect(1);
    assert!(answer.err.contains("no reload signal or command is configured"), "{answer:?}");
    lar.ask("reload by-signal").expect(3);
    lar.ask("stop web").expect(0);
    lar.ask("reload web").expect(3);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_restart_command_takes_the_place_of_stop_and_start() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n \
         restart-command sh -c 'echo old hinges >&2; test -e {dir}/fine'\n</service>\n",
    );
    lar.wait("web=running");
    let pid = lar.pid_of("web");
    let answer = lar.ask("restart web").expect(1);
    assert!(answer.err.starts_with("lar ctl: web: restart-command: exit status 1\n"), "{answer:?}");
    assert!(answer.err.contains("  | old hinges\n"), "{answer:?}");
    lar.dir.write("fine", "");
    lar.ask("restart web").expect(0);
    assert_eq!(lar.pid_of("web"), pid, "its command did it");
    lar.ask("stop web").expect(0);
    fs::remove_file(lar.dir.at("fine")).unwrap();
    lar.ask("restart web").expect(0);
    assert_ne!(lar.pid_of("web"), pid, "what is down is started");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_stop_command_that_fails_is_an_error_for_the_strict() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n stop-command sh -c 'echo nobody home; exit 4'\n</service>\n\
         <service slow>\n program sleep 1000\n stop-command sleep 1000\n stop-timeout 50ms\n</service>\n\
         <service deaf>\n shell yes\n program trap '' TERM; : >{dir}/deaf; while :; do sleep 1; done\n \
         ready command test -e {dir}/deaf\n stop TERM 50ms KILL\n</service>\n",
    );
    lar.wait("web=running slow=running deaf=running");
    lar.ask("stop web").expect(0);
    lar.ask("start web").expect(0);
    let answer = lar.ask("stop --strict web").expect(1);
    let wanted = "lar ctl: web: stop-command: exit status 4; it was stopped by signals\n";
    assert!(answer.err.starts_with(wanted), "{answer:?}");
    assert!(answer.err.contains("  | nobody home\n"), "{answer:?}");
    let answer = lar.ask("stop --strict slow").expect(1);
    assert!(answer.err.contains("slow: stop-command: took too long and was killed"), "{answer:?}");
    let answer = lar.ask("stop --strict deaf").expect(12);
    assert!(answer.err.contains("deaf: it was stopped only by KILL"), "{answer:?}");
    lar.ask("stop --strict web").expect(15);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn each_failure_of_a_start_has_its_code_and_names_its_step() {
    let dir = Scratch::new();
    let gone = dir.script("gone", "#!/bin/sh\n");
    let mut lar = Lar::run_in(
        dir,
        "exit-policy never",
        "<defaults>\n start manual\n restart never\n start-timeout 100ms\n ready-interval 10ms\n</defaults>\n\
         <service late>\n program sh -c 'echo not in the mood; exec sleep 1000'\n \
         ready command test -e {dir}/never\n</service>\n\
         <service before>\n program sleep 1000\n pre-start sleep 1000\n</service>\n\
         <service refused>\n program sleep 1000\n pre-start sh -c 'echo no disk; exit 9'\n</service>\n\
         <service stays>\n type forking\n program sleep 1000\n pid-file {dir}/stays.pid\n</service>\n\
         <service anonymous>\n type forking\n program true\n pid-file {dir}/anonymous.pid\n</service>\n\
         <service missing>\n program {dir}/gone\n</service>\n",
        |_| {},
    );
    fs::remove_file(gone).unwrap();
    let late = lar.ask("start late").expect(8);
    assert!(
        late.err.starts_with("lar ctl: late: failed: not ready within its start-timeout"),
        "{late:?}"
    );
    assert!(late.err.contains("  | not in the mood\n"), "{late:?}");
    let wire = lar.raw(b"lar1 start late\n");
    assert!(wire.contains("\nerror code=start-timeout message="), "{wire}");
    let patience = lar.ask("start --timeout 1ms late").expect(8);
    assert!(patience.err.contains("the work goes on"), "{patience:?}");
    for (name, code, words) in [
        ("before", 8, "start-timeout: pre-start took too long"),
        ("refused", 11, "pre-start: exit status 9"),
        ("stays", 8, "did not leave a daemon behind"),
        ("anonymous", 8, "no process id in "),
        ("missing", 11, "No such file or directory"),
    ] {
        let answer = lar.ask(&format!("start {name}")).expect(code);
        assert!(answer.err.contains(words), "{answer:?}");
    }
    assert!(lar.ask("start refused").err.contains("  | no disk\n"));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_is_new_in_its_own_log_is_shown_when_a_start_fails() {
    let dir = Scratch::new();
    dir.write("own.log", "of yesterday\n");
    let mut lar = Lar::run_in(
        dir,
        "exit-policy never",
        "<service web>\n start manual\n restart never\n log-file {dir}/own.log\n ready command test -e {dir}/never\n \
         program sh -c 'echo on the way; echo bad key in line 3 >>{dir}/own.log; exit 2'\n</service>\n",
        |_| {},
    );
    let answer = lar.ask("start web").expect(11);
    assert!(answer.err.ends_with("  | on the way\n  | bad key in line 3\n"), "{answer:?}");
    let answer = lar.ask("start web").expect(11);
    assert_eq!(answer.err.matches("bad key in line 3").count(), 1, "{answer:?}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_a_start_or_a_stop_is_at_is_told() {
    let dir = Scratch::new();
    nix::unistd::mkfifo(&dir.at("go"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let mut lar = Lar::run_in(
        dir,
        "",
        "<service web>\n program sleep 1000\n pre-start sh -c 'read line <{dir}/go'\n \
         ready command test -e {dir}/ready\n start-timeout 60s\n</service>\n",
        |_| {},
    );
    lar.wait("web=starting");
    assert!(lar.ask("status web").out.contains("pre-start runs"));
    assert_eq!(lar.ask("health web").expect(1).out, "web: starting: pre-start runs\n");
    let mut events = lar.events("web");
    fs::write(lar.dir.at("go"), "go\n").unwrap();
    events.until("starting -> starting: spawned");
    assert_eq!(lar.ask("health web").expect(1).out, "web: starting: not ready yet\n");
    let answer = lar.ask("start --timeout 1ms web").expect(8);
    assert!(answer.err.contains("web is still starting (not ready yet) after 1ms"), "{answer:?}");
    lar.dir.write("ready", "");
    lar.wait("web=running");
    assert_eq!(lar.ask("health web").expect(0).out, "web: running\n");
    assert_eq!(lar.shut_down(), 0);
}
