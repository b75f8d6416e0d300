//! Starts that fail: what is said of them, and that nothing is left.

use crate::scene::{LATE, SOON, Scene, directory, number};

#[test]
fn a_timeout_says_in_which_step_and_all_that_was_started_is_ended() {
    let stays = "start-timeout: its program did not leave a daemon behind and exit";
    let no_pid = "start-timeout: no process id in {dir}/pid";
    let cases = [
        ("--foreground", stays),
        ("--fork-delay 3600000", stays),
        ("--linger 3600000", stays),
        ("--pid-delay 3600000", no_pid),
        ("--pid-delay 3600000 --same-session", no_pid),
        ("--pid-delay 3600000 --double-fork", no_pid),
        ("--pid ''", no_pid),
        ("--pid garbage", no_pid),
        ("--listen-delay 3600000", "not ready within its start-timeout"),
    ];
    for (options, words) in cases {
        for more in ["", "--children 2", "--ignore-term --children 2"] {
            let options = format!("{options} {more}");
            let keys = format!("{SOON} start-abort-timeout 50ms\n");
            let Some(mut scene) = Scene::new(&options, &keys) else { return };
            scene.fails(&[words]);
            assert_eq!(scene.starts(), 1);
            scene.shut_down();
        }
    }
}

#[test]
fn who_heeds_term_is_not_killed_and_who_does_not_has_its_time() {
    let daemon = ("--listen-delay 3600000", "not ready within");
    let launcher = ("--foreground", "did not leave a daemon behind");
    for (options, words) in [daemon, launcher] {
        let keys = format!("{SOON} start-abort-timeout 1h\n");
        let Some(mut scene) = Scene::new(&format!("{options} --term-delay 50"), &keys) else {
            return;
        };
        scene.fails(&[words]);
        let events = scene.lar.ask("logs web");
        assert_eq!(events.out, "");
        scene.shut_down();
        let killed = |line: &&String| line.contains("SIGKILL");
        assert_eq!(scene.lar.err.seen.iter().find(killed), None);

        let keys = format!("{SOON} start-abort-timeout 300ms\n");
        let Some(mut scene) = Scene::new(&format!("{options} --ignore-term"), &keys) else {
            return;
        };
        let mut events = scene.lar.watch("events --json --since 0 --kind signalled web");
        scene.fails(&[words]);
        let at = |line: String, signal: &str| {
            assert!(line.contains(signal), "{line}");
            number(&line, "time_ms")
        };
        let asked = at(events.until("SIGTERM"), "SIGTERM");
        let killed = at(events.until("SIGKILL"), "SIGKILL");
        assert!((290..20_000).contains(&(killed - asked)), "{} ms", killed - asked);
        scene.shut_down();
    }
}

#[test]
fn a_launcher_that_fails_is_told_with_its_words() {
    for (options, how) in [
        ("--exit 3", "exit status 3"),
        ("--crash 11", "SIGSEGV"),
        ("--crash 9", "SIGKILL"),
        ("--exit 255 --double-fork", "exit status 255"),
    ] {
        let options = format!("--say 'no such database' {options}");
        let Some(mut scene) = Scene::new(&options, LATE) else { return };
        scene.fails(&[how, "no such database"]);
        assert!(!scene.lar.dir.at("socket").exists());
        scene.shut_down();
    }
}

#[test]
fn a_launcher_that_fails_after_it_has_forked_leaves_nothing() {
    let dir = directory();
    // The daemon is good, and well known; but its launcher says that it is not.
    let Some(words) = crate::scene::daemon("--wait --listen {dir}/socket --children 2") else {
        return;
    };
    dir.write("web", &format!("{words}; exit 4"));
    let mut scene = Scene::running(dir, "sh {dir}/web", LATE);
    scene.fails(&["exit status 4"]);
    scene.shut_down();
}

#[test]
fn a_daemon_that_dies_on_its_way_up_is_not_waited_for() {
    for (options, how) in [
        ("--die-after-pid 7", "exit status 7"),
        ("--die-after-pid 7 --double-fork", "exit status 7"),
        ("--die-before-listen 8", "exit status 8"),
        ("--listen-delay 50 --die-before-listen 9 --children 2", "exit status 9"),
    ] {
        let Some(mut scene) = Scene::new(options, LATE) else { return };
        scene.fails(&[how]);
        assert_eq!(scene.starts(), 1);
        scene.shut_down();
    }
}

#[test]
fn a_daemon_that_dies_before_it_wrote_its_pid_is_not_waited_for_either() {
    for options in ["", "--double-fork", "--linger 100", "--pid-delay 100"] {
        let options = format!("{options} --die-before-pid 5");
        let Some(mut scene) = Scene::new(&options, LATE) else { return };
        scene.fails(&["exit status 5"]);
        scene.shut_down();
    }
    // As long as it has children, it may be one of them.
    let Some(mut scene) = Scene::new("--die-before-pid 5 --children 2", SOON) else { return };
    scene.fails(&["start-timeout: no process id in {dir}/pid"]);
    scene.shut_down();
    // Nor one that has removed its PID file by then.
    let Some(words) = crate::scene::daemon("--die-after-pid 6 --linger 100") else { return };
    let dir = directory();
    dir.write("web", &format!("{words}; rm pid"));
    let mut scene = Scene::running(dir, "sh {dir}/web", LATE);
    scene.fails(&["exit status 6"]);
    scene.shut_down();
}

#[test]
fn other_services_daemons_are_not_taken_for_a_dead_one() {
    // Of the same kind, with children in sessions of their own, and at the same time.
    let Some(words) = crate::scene::daemon("--die-before-pid 5") else { return };
    let other = "setsid sh -c 'exec sleep 1000' 3>{dir}/hold & echo $! >{dir}/pid.other\n";
    let dir = directory();
    dir.write("other", other);
    let keys = format!(
        "{LATE} requires other\n pid-file {{dir}}/pid\n</service>\n\
         <service other>\n program sh {{dir}}/other\n type forking\n \
         pid-file {{dir}}/pid.other\n kill-mode process\n backoff none"
    );
    let mut scene = Scene::running(dir, &words, &keys);
    scene.lar.wait("other=running");
    // One that nobody looks after any more.
    let left = scene.lar.pid_of("other");
    scene.lar.dir.write("other", &other.replace("exec sleep", "sleep 2000 & exec sleep"));
    scene.lar.ask("restart other").expect(0);
    scene.lar.crash("other");
    assert!(!crate::scene::exists(left));
    let answer = scene.lar.ask("start web");
    assert!(format!("{answer:?}").contains("exit status 5"), "{answer:#?}");
    scene.lar.wait("web=failed other=running");
    scene.shut_down();
}

#[test]
fn a_start_that_has_failed_is_tried_again_by_the_rules() {
    // The third one succeeds.
    let Some(words) = crate::scene::daemon("--listen {dir}/socket") else { return };
    let dir = directory();
    dir.write(
        "web",
        &format!("echo >>tries; test $(wc -l <tries) = 3 || set -- --pid ''\nexec {words} \"$@\""),
    );
    let keys = " start-timeout 1s\n backoff none\n";
    let mut scene = Scene::running(dir, "sh {dir}/web", keys);
    scene.runs();
    assert_eq!(scene.starts(), 3);
    let mut events = scene.events();
    for _ in 0..2 {
        events.until("no process id in");
    }
    scene.shut_down();
}
