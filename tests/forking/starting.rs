//! Starts that succeed, however the daemon goes about it.

use crate::lar::{program, skip};
use crate::scene::{Scene, children, daemon, directory};

#[test]
fn the_main_process_is_the_daemon_and_not_its_launcher() {
    let Some(mut scene) = Scene::new("", "") else { return };
    let pid = scene.runs();
    let mut events = scene.events();
    let spawned = events.until(": spawned, pid ");
    assert!(!spawned.ends_with(&format!(" {pid}")), "{spawned}");
    events.until("web: starting -> starting: its program has left a daemon behind");
    events.until("web: starting -> starting: its daemon was found");
    events.until("web: starting -> running: ready");
    assert_eq!(scene.starts(), 1);
    scene.shut_down();
}

#[test]
fn who_is_slow_to_fork_to_write_its_pid_or_to_listen_is_waited_for() {
    for options in [
        "--fork-delay 200",
        "--pid-delay 200",
        "--listen-delay 200",
        "--fork-delay 50 --pid-delay 100 --listen-delay 100 --wait --linger 50",
    ] {
        let Some(mut scene) = Scene::new(options, "") else { return };
        scene.runs();
        assert_eq!(scene.starts(), 1);
        scene.shut_down();
    }
}

#[test]
fn a_daemon_may_fork_twice_or_stay_in_its_launchers_session() {
    for options in ["--double-fork", "--same-session", "--same-session --double-fork"] {
        let options = format!("{options} --children 2");
        let Some(mut scene) = Scene::new(&options, "") else { return };
        let pid = scene.runs();
        assert_eq!(children(pid).len(), 2);
        let new = scene.lar.crash("web");
        assert_eq!(scene.runs(), new);
        assert_eq!(scene.starts(), 2);
        scene.lar.ask("stop web").expect(0);
        scene.nothing_is_left();
        scene.shut_down();
    }
}

#[test]
fn without_a_question_it_is_up_when_it_is_found() {
    let Some(mut scene) = Scene::within(directory(), "--pid-delay 100", " ready none\n") else {
        return;
    };
    scene.runs();
    scene.events().until("web: starting -> running: its daemon was found");
    scene.shut_down();
}

#[test]
fn instances_have_a_pid_file_each() {
    let Some(words) = daemon("--double-fork") else { return };
    let words = words.replace("{dir}/pid", "{dir}/pid.%i");
    let keys = " instances 2\n pid-file {dir}/pid.%i\n ready none\n";
    let mut scene = Scene::running(directory(), &words, keys);
    scene.lar.wait("web=running");
    for name in ["1", "2"] {
        let (label, file) = (format!("web@{name}"), format!("pid.{name}"));
        let is_so = || scene.lar.pid_of(&label).to_string() == scene.lar.dir.read(&file).trim();
        assert!(is_so());
        scene.lar.crash(&label);
        assert!(is_so());
    }
    scene.shut_down();
}

#[test]
fn a_daemon_may_name_itself_by_the_real_systemd_notify() {
    if program("systemd-notify").is_none() {
        return skip("systemd-notify is not installed");
    }
    // The one that says so need not be the main process.
    let script = "setsid sh -c 'exec sleep 1000' 3>{dir}/hold & daemon=$!\n\
                  systemd-notify --ready --pid=$daemon; echo $daemon >named\n";
    let dir = directory();
    dir.write("web", script);
    let keys = " ready notify\n pid-file {dir}/unused\n";
    let mut scene = Scene::running(dir, "sh {dir}/web", keys);
    scene.lar.wait("web=running");
    let named = |scene: &Scene| scene.lar.dir.read("named").trim().to_owned();
    assert_eq!(scene.lar.pid_of("web").to_string(), named(&scene));
    let new = scene.lar.crash("web");
    assert_eq!(new.to_string(), named(&scene));
    scene.lar.ask("stop web").expect(0);
    scene.nothing_is_left();
    scene.shut_down();
}
