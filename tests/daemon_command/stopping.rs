//! Stops, restarts, and what is left alone.

use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};

use crate::lar::{root, skip};
use crate::scene::{Bystander, Scene, end, finish, lives};

#[test]
fn a_stop_returns_when_the_daemon_is_gone() {
    let Some(scene) = Scene::good("--term-delay 200", "") else { return };
    scene.ask("start").expect(0);
    scene.ask("stop").expect(0);
    scene.nothing_is_left();
    let again = scene.ask("stop").expect(0);
    assert_eq!(again.out, "web: not running\n");
    scene.ask("--strict stop").expect(15);
    assert_eq!(scene.ask("pid").expect(3).out, "");
    scene.ask("start").expect(0);
    assert_eq!(scene.starts(), 2);
}

#[test]
fn the_rungs_of_the_ladder_come_in_their_order() {
    let Some(scene) = Scene::good("--ignore-term", " stop TERM 100ms INT 1h\n") else { return };
    scene.ask("start").expect(0);
    assert_eq!(scene.ask("stop").expect(0).out, "web: stopped\n");
    scene.nothing_is_left();
}

#[test]
fn a_stop_that_needs_kill_says_so_and_takes_its_children_along() {
    // One that has forked twice leads no group.
    for options in ["--ignore-term --children 3", "--double-fork --ignore-term --children 3"] {
        let Some(scene) = Scene::good(options, " stop TERM 100ms KILL\n") else { return };
        scene.ask("start").expect(0);
        assert_eq!(scene.ask("stop").expect(12).out, "web: stopped by KILL\n");
        scene.will_be_gone();
        assert!(!scene.dir.at("pid").exists(), "its pid file is stale");
    }
    let Some(scene) = Scene::good("--ignore-term", " stop TERM 100ms never\n") else { return };
    scene.ask("start").expect(0);
    let answer = scene.ask("stop").expect(8);
    assert!(answer.err.contains("still runs after 100ms"), "{answer:#?}");
    end(scene.runs());
}

#[test]
fn stop_command_comes_before_any_signal() {
    let keys = " stop-command /bin/sh -c 'echo $LAR_PID > {dir}/told; kill -INT $LAR_PID'\n";
    let Some(scene) = Scene::good("--ignore-term", keys) else { return };
    scene.ask("start").expect(0);
    let pid = scene.runs();
    assert_eq!(scene.ask("stop").expect(0).out, "web: stopped\n");
    assert_eq!(scene.dir.read("told"), format!("{pid}\n"));
    scene.nothing_is_left();
}

#[test]
fn a_stop_command_that_fails_or_hangs_is_told_and_signals_follow() {
    let cases = [
        ("/bin/sh -c 'echo not me; exit 3'", "stop-command: exit status 3; signals follow"),
        ("sleep 1000", "stop-command: it took too long and was killed; signals follow"),
        ("true", "stop-command: it still runs after 200ms; signals follow"),
    ];
    for (command, words) in cases {
        let keys = format!(" stop-command {command}\n stop-timeout 200ms\n");
        let Some(scene) = Scene::good("", &keys) else { return };
        scene.ask("start").expect(0);
        let answer = scene.ask("stop").expect(0);
        assert!(answer.err.contains(words), "{answer:#?}");
        assert_eq!(answer.err.contains("  | not me"), command.contains("not me"));
        scene.nothing_is_left();
    }
}

#[test]
fn post_stop_comes_last() {
    let Some(scene) =
        Scene::good("", " post-stop /bin/sh -c 'test ! -e {dir}/pid && > {dir}/over'\n")
    else {
        return;
    };
    scene.ask("stop").expect(0);
    assert!(!scene.dir.at("over").exists(), "nothing was stopped");
    scene.ask("start").expect(0);
    scene.ask("stop").expect(0);
    assert!(scene.dir.at("over").exists());
}

#[test]
fn ctrl_c_ends_the_waiting_for_a_stop() {
    let Some(scene) = Scene::good("--ignore-term", " stop TERM 1h KILL\n") else { return };
    scene.ask("start").expect(0);
    let pid = scene.runs();
    let stop = scene.begin("stop");
    kill(nix::unistd::Pid::from_raw(stop.id() as i32), Signal::SIGTERM).unwrap();
    let answer = finish(stop);
    assert_eq!(answer.code, 143, "{answer:#?}");
    assert!(lives(pid));
    end(pid);
}

#[test]
fn a_restart_is_a_stop_and_a_start() {
    let Some(scene) = Scene::good("", "") else { return };
    scene.ask("restart").expect(0);
    let first = scene.runs();
    scene.ask("restart").expect(0);
    let second = scene.runs();
    assert_ne!(first, second);
    assert!(!lives(first) && scene.answers() && scene.starts() == 2);
    scene.ask("stop").expect(0);
    scene.nothing_is_left();
}

#[test]
fn restart_command_takes_the_place_of_both() {
    let keys = " restart-command /bin/sh -c 'echo $LAR_PID >> {dir}/again'\n";
    let Some(scene) = Scene::good("", keys) else { return };
    scene.ask("restart").expect(0);
    assert_eq!(scene.dir.read("again"), "", "what is down is just started");
    let pid = scene.runs();
    scene.ask("restart").expect(0);
    assert_eq!(scene.runs(), pid);
    assert_eq!((scene.dir.read("again"), scene.starts()), (format!("{pid}\n"), 1));
    let keys = " restart-command /bin/sh -c 'echo bad option; exit 2'\n";
    let Some(scene) = Scene::good("", keys) else { return };
    scene.ask("start").expect(0);
    let answer = scene.ask("restart").expect(1);
    assert!(answer.err.contains("restart-command: exit status 2"), "{answer:#?}");
    assert!(answer.err.contains("  | bad option"), "{answer:#?}");
    scene.runs();
}

#[test]
fn a_stale_pid_file_is_removed_and_one_without_a_pid_left_alone() {
    let Some(scene) = Scene::good("", "") else { return };
    scene.claim("4194305\n");
    let answer = scene.ask("status").expect(3);
    assert_eq!(answer.out, "web: not running\n");
    assert!(answer.err.contains("names process 4194305, which has ended"), "{answer:#?}");
    assert!(!scene.dir.at("pid").exists());
    for (text, words) in [("", "is empty"), ("gibberish\n", "holds no pid")] {
        scene.claim(text);
        let answer = scene.ask("status").expect(3);
        assert!(answer.err.contains(words), "{answer:#?}");
        assert_eq!(scene.dir.read("pid"), text);
        scene.ask("stop").expect(0);
    }
    // A start takes its place.
    scene.ask("start").expect(0);
    scene.runs();
}

#[test]
fn a_process_that_is_younger_than_its_pid_file_is_never_touched() {
    let Some(scene) = Scene::good("", "") else { return };
    let bystander = Bystander::new();
    scene.claim(&format!("{}\n", bystander.pid()));
    let file = std::fs::File::options().write(true).open(scene.dir.at("pid")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let answer = scene.ask("stop").expect(0);
    assert_eq!(answer.out, "web: not running\n");
    let words = "which was started after the file had been written: that is not it";
    assert!(answer.err.contains(words), "{answer:#?}");
    scene.ask("start").expect(0);
    scene.runs();
    assert!(lives(bystander.pid()), "a bystander was killed");
}

#[test]
fn a_pid_that_was_given_to_another_process_is_known_by_the_note_of_the_start() {
    let Some(scene) = Scene::good("", "") else { return };
    scene.ask("start").expect(0);
    let note = scene.dir.read("pid.lock");
    let words: Vec<&str> = note.split_whitespace().collect();
    assert_eq!(words[0], scene.pid().to_string());
    scene.ask("stop").expect(0);
    // The same pid, but another start.
    let bystander = Bystander::new();
    // Two starts may be of the same tick: this one was long before.
    let started = words[1].parse::<u64>().unwrap().saturating_sub(1000);
    scene.dir.write("pid.lock", &format!("{} {started} {}\n", bystander.pid(), words[2]));
    scene.claim(&format!("{}\n", bystander.pid()));
    let answer = scene.ask("status").expect(3);
    assert!(answer.err.contains("is another one than was started"), "{answer:#?}");
    scene.ask("stop").expect(0);
    assert!(lives(bystander.pid()));
}

#[test]
fn a_pid_file_of_another_user_and_a_process_of_another_user_are_not_believed() {
    if !root() {
        return skip("only root can give files and processes away");
    }
    let Some(scene) = Scene::good("", " user daemon\n") else { return };
    scene.ask("start").expect(0);
    scene.runs();
    scene.ask("stop").expect(0);
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap();
    let other = nix::unistd::User::from_name("bin").unwrap().unwrap();
    let bystander = Bystander::new();
    scene.claim(&format!("{}\n", bystander.pid()));
    std::os::unix::fs::chown(scene.dir.at("pid"), Some(other.uid.as_raw()), None).unwrap();
    let answer = scene.ask("stop").expect(0);
    let words = format!("belongs to user {}", other.uid);
    assert!(answer.err.contains(&words), "{answer:#?}");
    // The file is the service's own, but the process can't be.
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "bin", "--clear-groups", "sh", "-c", "echo up; exec sleep 1000"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    crate::lar::Lines::of(child.stdout.take().unwrap()).until("up");
    let foreign = Bystander(child);
    scene.claim(&format!("{}\n", foreign.pid()));
    std::os::unix::fs::chown(scene.dir.at("pid"), Some(daemon.uid.as_raw()), None).unwrap();
    let answer = scene.ask("stop").expect(0);
    let words = format!("which runs as user {}", other.uid);
    assert!(answer.err.contains(&words), "{answer:#?}");
    assert!(lives(bystander.pid()) && lives(foreign.pid()));
}

#[test]
fn others_may_look_but_not_touch() {
    if !root() {
        return skip("only root has a daemon that others may not stop");
    }
    let Some(scene) = Scene::good("", "") else { return };
    scene.ask("start").expect(0);
    let pid = scene.runs();
    let other = |verb: &str| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "bin", "--clear-groups"]).arg(crate::lar::LAR);
        command.args(["daemon", "-C"]).arg(scene.dir.at("lar.conf")).args([verb, "web"]);
        crate::lar::answer(command.current_dir(&scene.dir.path))
    };
    let looked = other("status");
    if looked.code >= 126 {
        return skip("another user can't run this binary");
    }
    assert_eq!(looked.expect(0).out, format!("web: running, pid {pid}\n"));
    let refused = other("stop").expect(10);
    assert!(refused.err.contains("pid.lock: Permission denied; nothing was done"), "{refused:#?}");
    // Even with the lock, the kernel would not have it.
    let lock = scene.dir.at("pid.lock");
    std::os::unix::fs::chown(
        lock,
        nix::unistd::User::from_name("bin").unwrap().map(|it| it.uid.as_raw()),
        None,
    )
    .unwrap();
    let refused = other("stop").expect(10);
    assert!(refused.err.contains("Operation not permitted"), "{refused:#?}");
    assert_eq!(scene.runs(), pid);
}
