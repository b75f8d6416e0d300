//! Several at once: the lock, `ensure`, and what can't be asked for at all.

use std::fs::File;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lar::{LAR, answer};
use crate::scene::{Scene, end, finish, until_exists};

#[test]
fn of_fifty_that_need_it_at_once_one_starts_it_and_all_can_use_it() {
    let Some(scene) = Scene::good("--listen-delay 300", " start-timeout 30s\n") else { return };
    let begun = std::time::Instant::now();
    // Each connects as soon as its `ensure` has returned.
    let one = || (scene.ask("ensure"), scene.answers());
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("fifty at once: {:?}", begun.elapsed());
    let pid = scene.runs();
    for (answer, connected) in answers {
        assert_eq!(answer.code, 0, "{answer:#?}");
        assert_eq!(answer.out, format!("web: running, pid {pid}\n"));
        assert!(connected, "its ensure has returned, but nobody accepts connections");
    }
    assert_eq!(scene.starts(), 1, "it was started more than once");
}

#[test]
fn who_looks_waits_until_a_start_is_over() {
    let Some(scene) = Scene::good("--listen-delay 500", "") else { return };
    let start = scene.begin("start");
    until_exists(&scene.dir.at("starts"));
    let status = scene.ask("status").expect(0);
    assert!(scene.answers(), "status did not wait");
    assert_eq!(status.out, finish(start).out);
}

#[test]
fn two_starts_at_once_are_one() {
    let Some(scene) = Scene::good("--listen-delay 200", "") else { return };
    let (one, two) = (scene.begin("start"), scene.begin("start"));
    let (one, two) = (finish(one), finish(two));
    assert_eq!((one.code, two.code, scene.starts()), (0, 0, 1));
    let already = [one, two].iter().filter(|it| it.out.contains("already running")).count();
    assert_eq!(already, 1);
}

#[test]
fn waiting_for_the_lock_ends_with_ctrl_c() {
    let Some(scene) = Scene::good("", "") else { return };
    let file = File::create(scene.dir.at("pid.lock")).unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    for verb in ["start", "status", "ensure"] {
        let waiting = scene.begin(verb);
        kill(Pid::from_raw(waiting.id() as i32), Signal::SIGINT).unwrap();
        assert_eq!(finish(waiting).code, 130);
    }
    drop(lock);
    assert_eq!(scene.starts(), 0);
    scene.ask("ensure").expect(0);
}

#[test]
fn ensure_tells_a_daemon_that_does_not_answer_from_one_that_does_not_run() {
    let Some(scene) = Scene::good("", "") else { return };
    scene.ask("ensure").expect(0);
    scene.ask("ensure").expect(0);
    let pid = scene.runs();
    std::fs::remove_file(scene.dir.at("socket")).unwrap();
    let answer = scene.ask("ensure").expect(13);
    let words = scene.dir.fill("but `ready unix {dir}/socket` has no answer");
    assert!(answer.err.contains(&words), "{answer:#?}");
    assert_eq!((scene.runs(), scene.starts()), (pid, 1));
    end(pid);
    scene.ask("ensure").expect(0);
    assert_eq!(scene.starts(), 2);
}

#[test]
fn ensure_fails_as_a_start_does() {
    let Some(scene) = Scene::good("--exit 3 --say sorry", "") else { return };
    let answer = scene.ask("ensure").expect(11);
    assert!(answer.err.contains("  | sorry"), "{answer:#?}");
    let Some(scene) = Scene::new("", " start-timeout 200ms\n") else { return };
    scene.ask("ensure").expect(8);
    scene.nothing_is_left();
}

#[test]
fn what_can_not_be_asked_for_has_a_code_of_its_own() {
    let Some(scene) = Scene::good("", "") else { return };
    let file = scene.dir.at("lar.conf");
    let lar = |words: &[&str]| {
        let mut command = Command::new(LAR);
        answer(command.arg("daemon").arg("-C").arg(&file).args(words))
    };
    assert!(lar(&["start", "wbe"]).expect(5).err.contains("did you mean 'web'?"));
    lar(&["status", "db"]).expect(4);
    lar(&["pid", "db"]).expect(5);
    lar(&["start"]).expect(2);
    lar(&["strat", "web"]).expect(2);
    lar(&["start", "web@2"]).expect(5);
    assert!(lar(&["--help"]).expect(0).out.contains("usage: lar daemon"));
    let there = scene.dir.read("lar.conf");
    for (from, to, words) in [
        ("type forking", "type oneshot", "a one-shot"),
        ("type forking", "instances many", "instances"),
        (&scene.dir.fill("ready unix {dir}/socket"), "ready notify", "manager's to hear"),
        ("pid-file ", "x-pid-file ", "pid-file"),
    ] {
        scene.dir.write("lar.conf", &there.replace(from, to));
        let answer = lar(&["start", "web"]).expect(6);
        assert!(answer.err.contains(words), "{to}: {answer:#?}");
    }
    std::fs::remove_file(&file).unwrap();
    lar(&["start", "web"]).expect(6);
    assert_eq!(scene.starts(), 0);
}

#[test]
fn instances_are_daemons_of_their_own() {
    let keys = " instances 2\n pid-file {dir}/pid%i\n ready unix {dir}/socket%i\n";
    let options = "--pid-file {dir}/pid%i --listen {dir}/socket%i";
    let Some(scene) = Scene::new(options, keys) else { return };
    let lar = |verb: &str, name: &str| {
        let mut command = Command::new(LAR);
        let file = scene.dir.at("lar.conf");
        answer(command.arg("daemon").arg("-C").arg(file).args([verb, name]))
    };
    assert!(lar("start", "web").expect(2).err.contains("web@1"));
    let second = lar("start", "web@2").expect(0);
    assert!(second.out.starts_with("web@2: running, pid "));
    lar("status", "web@1").expect(3);
    lar("start", "web@1").expect(0);
    lar("stop", "web@2").expect(0);
    lar("status", "web@1").expect(0);
    lar("status", "web@2").expect(3);
    lar("stop", "web@1").expect(0);
    scene.nothing_is_left();
}
