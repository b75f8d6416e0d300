//! Daemons that were found: how they end, what they leave behind, and how they are stopped.

use nix::sys::signal::{Signal, kill};

use crate::scene::{Scene, children, daemon, directory, exists, until};

#[test]
fn how_a_daemon_ended_is_known_and_it_is_started_again() {
    for options in ["", "--double-fork", "--same-session"] {
        let Some(mut scene) = Scene::new(options, "") else { return };
        let mut events = scene.lar.watch("events --json --since 0 --kind exited web");
        for (signal, name) in [
            (Signal::SIGKILL, "\"SIGKILL\""),
            (Signal::SIGUSR1, "\"SIGUSR1\""),
            (Signal::SIGSEGV, "\"SIGSEGV\""),
        ] {
            let pid = scene.runs();
            let mut running = scene.events();
            kill(pid, signal).unwrap();
            let ended = events.until(&format!("\"signal\":{name}"));
            assert!(ended.contains(&format!("\"pid\":{pid},")), "{ended}");
            for word in ["left a daemon", "found", "ready"] {
                running.until(word);
            }
            until("another one", || scene.lar.dir.read("pid").trim() != pid.to_string());
        }
        scene.shut_down();
    }
    // And a code.
    let Some(mut scene) = Scene::new("--die-after-listen 9", " give-up after 1\n") else { return };
    let mut events = scene.lar.watch("events --json --since 0 --kind exited web");
    events.until("\"exit_code\":9");
    scene.lar.wait("web=failed");
    scene.nothing_is_left();
    scene.shut_down();
}

#[test]
fn the_children_of_a_dead_daemon_are_gone_before_the_next_one_comes() {
    for options in ["", "--double-fork", "--same-session", "--ignore-term"] {
        let deaf = options.contains("--ignore-term");
        let options = format!("{options} --children 3");
        let Some(mut scene) = Scene::new(&options, " stop TERM 50ms KILL\n") else { return };
        for _ in 0..3 {
            let old = scene.runs();
            let left = children(old);
            assert_eq!(left.len(), 3);
            scene.lar.crash("web");
            assert!(left.into_iter().all(|pid| !exists(pid)), "they run beside the next one");
        }
        assert_eq!(scene.end(), i32::from(deaf));
    }
}

#[test]
fn what_a_daemon_left_behind_in_sessions_of_their_own_is_found_by_its_variables() {
    // Two workers, each in a session of its own, the second deaf; the daemon writes its pid when they are there.
    let script = "setsid sh -c 'echo $$ >a; exec sleep 1000' &\n\
                  setsid sh -c 'trap : TERM; echo $$ >b; while :; do sleep 1000; done' &\n\
                  while ! test -s a || ! test -s b; do sleep 0.01; done\n\
                  echo $$ >pid; exec sleep 1000";
    for how in ["crash", "stop", "restart"] {
        let dir = directory();
        dir.write("daemon", script);
        dir.write("web", "rm -f a b; setsid sh {dir}/daemon 3>{dir}/hold &");
        let keys = " ready none\n start-abort-timeout 100ms\n";
        let mut scene = Scene::running(dir, "sh {dir}/web", keys);
        scene.runs();
        let workers = ["a", "b"].map(|name| {
            nix::unistd::Pid::from_raw(scene.lar.dir.read(name).trim().parse().unwrap())
        });
        match how {
            "crash" => drop(scene.lar.crash("web")),
            "stop" => drop(scene.lar.ask("stop web").expect(0)),
            _ => drop(scene.lar.ask("restart web").expect(0)),
        }
        assert!(!workers.into_iter().any(exists), "{how}: {:#?}", scene.lar.dir.processes());
        // One is deaf.
        assert_eq!(scene.end(), i32::from(how != "stop"));
    }
}

#[test]
fn what_has_lost_its_variables_is_known_by_its_program_and_where_it_runs() {
    // One worker is the daemon's, the other runs elsewhere, for a service that has let go of it.
    let worker = |file: &str| {
        format!(
            "env -i PATH=$PATH setsid sh -c 'echo $$ >{{dir}}/{file}; read x <{{dir}}/block' &\n"
        )
    };
    let dir = directory();
    nix::unistd::mkfifo(&dir.at("block"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let there = "while ! test -s a; do sleep 0.01; done; echo $$ >pid; read x <block";
    dir.write("daemon", &format!("{}{there}", worker("a")));
    dir.write("web", "rm -f a; setsid sh {dir}/daemon 3>{dir}/hold &");
    dir.write("other", &format!("cd /tmp\n{}", worker("b")));
    let keys = " ready none\n</service>\n<service other>\n program sh {dir}/other\n type oneshot\n \
                kill-mode process";
    let mut scene = Scene::running(dir, "sh {dir}/web", keys);
    scene.runs();
    until("the other one", || !scene.lar.dir.read("b").is_empty());
    let pid = |scene: &Scene, name: &str| {
        nix::unistd::Pid::from_raw(scene.lar.dir.read(name).trim().parse().unwrap())
    };
    for _ in 0..3 {
        let own = pid(&scene, "a");
        scene.lar.crash("web");
        assert!(!exists(own), "it runs beside the next one's");
        assert!(exists(pid(&scene, "b")), "it is none of the daemon's");
    }
    scene.shut_down();
}

#[test]
fn kill_mode_process_leaves_the_children_alone() {
    let keys = " kill-mode process\n";
    let Some(mut scene) = Scene::new("--children 2", keys) else { return };
    let workers = children(scene.runs());
    scene.lar.crash("web");
    assert!(workers.iter().all(|&pid| exists(pid)));
    scene.lar.ask("stop web").expect(0);
    assert!(workers.iter().all(|&pid| exists(pid)));
    scene.shut_down();
}

#[test]
fn a_daemon_is_stopped_by_its_ladder() {
    let Some(mut scene) = Scene::new("--children 2", "") else { return };
    let pid = scene.runs();
    scene.lar.ask("stop --strict web").expect(0);
    assert!(!exists(pid));
    scene.nothing_is_left();
    assert!(!scene.lar.dir.at("pid").exists(), "it has ended by itself");
    scene.lar.ask("start web").expect(0);
    scene.runs();
    scene.shut_down();

    for (options, keys) in [
        ("--ignore-term --children 2", " stop TERM 100ms KILL\n"),
        ("--ignore-term --same-session --children 2", " stop TERM 50ms INT 1h KILL\n"),
    ] {
        let Some(mut scene) = Scene::new(options, keys) else { return };
        let pid = scene.runs();
        scene.lar.ask("stop web").expect(0);
        assert!(!exists(pid));
        scene.nothing_is_left();
        scene.shut_down();
    }
}

#[test]
fn a_restart_stops_the_daemon_first() {
    let Some(mut scene) = Scene::new("--term-delay 100 --children 2", "") else { return };
    for round in 1..4 {
        let old = scene.runs();
        assert_eq!(scene.starts(), round);
        scene.lar.ask("restart web").expect(0);
        assert!(!exists(old));
        assert_ne!(scene.runs(), old);
    }
    scene.shut_down();
}

#[test]
fn a_stop_in_the_middle_of_a_start_leaves_nothing() {
    for (options, step) in [
        ("--fork-delay 3600000", "spawned"),
        ("--linger 3600000", "spawned"),
        ("--pid-delay 3600000", "left a daemon"),
        ("--pid garbage --double-fork", "left a daemon"),
        ("--listen-delay 3600000", "was found"),
    ] {
        for more in ["", "--children 2 --ignore-term"] {
            let options = format!("{options} {more} --mark {{dir}}/mark");
            let keys = " start-timeout 1h\n start-abort-timeout 50ms\n stop TERM 50ms KILL\n";
            let Some(mut scene) = Scene::new(&options, keys) else { return };
            scene.events().until(step);
            until("the program", || scene.lar.dir.at("mark").exists());
            scene.lar.ask("stop web").expect(0);
            scene.lar.wait("web=stopped");
            scene.nothing_is_left();
            assert_eq!(scene.starts(), 1);
            scene.shut_down();
        }
    }
}

#[test]
fn the_end_of_lar_in_the_middle_of_a_start_leaves_nothing() {
    for (options, step, code) in [
        ("--fork-delay 3600000", "spawned", 0),
        ("--pid-delay 3600000", "left a daemon", 0),
        ("--pid-delay 3600000 --ignore-term --children 2 --double-fork", "left a daemon", 1),
        ("--listen-delay 3600000 --same-session --children 2", "was found", 0),
        ("--listen-delay 3600000 --ignore-term --children 2", "was found", 1),
    ] {
        let options = format!("{options} --mark {{dir}}/mark");
        let keys = " start-timeout 1h\n start-abort-timeout 50ms\n stop TERM 50ms KILL\n";
        let Some(mut scene) = Scene::new(&options, keys) else { return };
        scene.events().until(step);
        until("the program", || scene.lar.dir.at("mark").exists());
        // Who is to be deaf may not have come so far.
        assert!(scene.end() <= code, "{options}");
    }
}

#[test]
fn a_hundred_deaths_cost_lar_no_fd_and_no_process() {
    let Some(words) = daemon("--listen {dir}/socket --children 1") else { return };
    let keys = " ready-interval 2ms\n flapping no\n";
    let mut scene = Scene::running(directory(), &words, keys);
    let fds = |scene: &Scene| {
        let all = std::fs::read_dir(format!("/proc/{}/fd", scene.lar.pid())).unwrap().flatten();
        // Clients come and go.
        let is_client = |path| {
            std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        };
        all.filter(|entry| !is_client(entry.path())).count()
    };
    scene.runs();
    scene.lar.crash("web");
    let before = fds(&scene);
    for _ in 0..100 {
        scene.lar.crash("web");
    }
    // One may be open for a moment; one for each death would be a hundred.
    let after = fds(&scene);
    assert!(after < before + 10, "{before} before, {after} after");
    let pid = scene.runs();
    until("all that is left to be reaped", || children(scene.lar.pid()) == [pid]);
    scene.shut_down();
}
