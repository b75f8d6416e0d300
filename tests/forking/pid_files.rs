//! What a PID file says is a claim: nobody is signalled who is not lar's own.

use std::fs;

use nix::unistd::{Pid, Uid, chown};

use crate::lar::{root, skip};
use crate::scene::{Bystander, LATE, SOON, Scene, daemon, directory, exists};

#[test]
fn a_foreign_process_that_a_pid_file_names_is_never_signalled() {
    let mut bystander = Bystander::new();
    let pid = bystander.pid();
    for more in ["", "--children 2 --ignore-term", "--same-session"] {
        let keys = format!("{SOON} start-abort-timeout 50ms\n");
        let Some(mut scene) = Scene::new(&format!("--pid {pid} {more}"), &keys) else { return };
        let words = format!("start-timeout: {{dir}}/pid names {pid}, which is no process of its");
        scene.fails(&[&words]);
        bystander.lives();
        scene.shut_down();
        bystander.lives();
    }
}

#[test]
fn lar_itself_or_another_service_is_no_daemon() {
    let Some(words) = daemon("--listen {dir}/socket") else { return };
    // Its parent is lar.
    for whom in ["$PPID", "1", "0", "-1", "99999999999999999999", "$(cat other)"] {
        let dir = directory();
        dir.write("other", "");
        dir.write("web", &format!("{words} --pid \"{whom}\""));
        let keys = format!("{SOON} after other\n");
        let keys = format!(
            "{keys}</service>\n<service other>\n program sh -c 'echo $$ >{{dir}}/other; exec sleep 1000'"
        );
        let mut scene = Scene::running(dir, "sh {dir}/web", &keys);
        let other = || scene.lar.dir.read("other").trim().to_owned();
        crate::scene::until("its pid", || !other().is_empty());
        let whose = scene.lar.pid_of("other");
        scene.fails(&["start-timeout: "]);
        assert_eq!(scene.lar.pid_of("other"), whose);
        scene.shut_down();
    }
}

#[test]
fn a_pid_file_from_before_is_removed_and_whom_it_names_is_left_alone() {
    let mut bystander = Bystander::new();
    let pid = bystander.pid();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let ended = Pid::from_raw(gone.id() as i32);
    for (text, said) in [
        (pid.to_string(), format!("pid names {pid}, a process that is none of its")),
        (ended.to_string(), format!("pid names {ended}, which is gone; the file is removed")),
        ("garbage".into(), String::new()),
        (String::new(), String::new()),
    ] {
        let dir = directory();
        dir.write("pid", &text);
        // Its number was given to whom it names long after it was written.
        let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        fs::File::open(dir.at("pid")).unwrap().set_modified(long_ago).unwrap();
        let options = "--listen {dir}/socket --pid-delay 200";
        let Some(mut scene) = Scene::within(dir, options, "") else { return };
        scene.lar.err.until(&said);
        let own = scene.runs();
        assert_ne!(own, pid);
        bystander.lives();
        scene.shut_down();
        bystander.lives();
    }
}

#[test]
fn nothing_is_started_beside_a_daemon_that_runs_outside_lar() {
    let mut bystander = Bystander::new();
    let pid = bystander.pid();
    let dir = directory();
    dir.write("pid", &pid.to_string());
    let Some(mut scene) = Scene::within(dir, "--starts {dir}/starts", SOON) else { return };
    let answer = scene.lar.ask("start web").expect(11);
    assert!(answer.err.contains("File exists (stage pid-file)"), "{answer:#?}");
    scene.lar.err.until(&format!("pid names {pid}, which runs outside lar; it is left alone"));
    assert_eq!(scene.lar.dir.read("pid"), pid.to_string(), "the file is that daemon's");
    assert!(!scene.lar.dir.at("starts").exists(), "something was started");
    bystander.lives();
    scene.shut_down();
    bystander.lives();
}

#[test]
fn a_daemon_that_takes_over_a_pid_file_that_it_can_not_remove_is_found() {
    // The launcher does it, before the daemon is there: until then it names somebody else.
    let mut bystander = Bystander::new();
    let Some(words) = daemon("--listen {dir}/socket --pid-delay 300") else { return };
    let dir = directory();
    dir.write("web", &format!("echo {} >pid; exec {words}", bystander.pid()));
    let mut scene = Scene::running(dir, "sh {dir}/web", "");
    scene.runs();
    bystander.lives();
    scene.shut_down();
    bystander.lives();
}

#[test]
fn a_link_or_a_fifo_is_no_pid_file() {
    let Some(words) = daemon("--listen {dir}/socket") else { return };
    let words = words.replace("{dir}/pid", "{dir}/real");
    for make in ["ln -s real pid", "mkfifo pid", "mkdir pid"] {
        let dir = directory();
        dir.write("web", &format!("{make}; exec {words}"));
        let mut scene = Scene::running(dir, "sh {dir}/web", SOON);
        scene.fails(&["start-timeout: no process id in {dir}/pid"]);
        scene.shut_down();
    }
}

/// A user without rights, and the daemon's files as that user's.
const NOBODY: u32 = 65534;

#[test]
fn another_users_pid_file_is_not_believed() {
    if !root() {
        return skip("needs root");
    }
    let Some(words) = daemon("--listen {dir}/socket --wait --children 2") else { return };
    let dir = directory();
    dir.write("web", &format!("{words}; chown {NOBODY} pid"));
    let mut scene = Scene::running(dir, "sh {dir}/web", SOON);
    scene.fails(&["start-timeout: no process id in {dir}/pid"]);
    scene.lar.err.until(&format!("belongs to user {NOBODY}, who may not say what is signalled"));
    scene.shut_down();
}

#[test]
fn the_services_own_user_may_write_it() {
    if !root() {
        return skip("needs root");
    }
    let keys = format!(" user {NOBODY}\n");
    let Some(mut scene) = Scene::new("", &keys) else { return };
    let pid = scene.runs();
    let about = fs::metadata(format!("/proc/{pid}")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&about), NOBODY);
    scene.lar.crash("web");
    scene.runs();
    scene.shut_down();
}

#[test]
fn who_runs_as_a_user_can_not_have_another_users_orphan_taken_for_its_daemon() {
    if !root() {
        return skip("needs root");
    }
    let dir = directory();
    chown(&dir.path, Some(Uid::from_raw(NOBODY)), None).unwrap();
    // Root's, lar's child since its parent has ended, and nobody's service.
    dir.write("orphan", "sleep 1000 & echo $! >{dir}/pid.orphan");
    dir.write("web", "cp pid.orphan pid");
    let keys = format!(
        "{SOON} user {NOBODY}\n ready none\n</service>\n\
         <service root>\n program sh {{dir}}/orphan\n type oneshot\n kill-mode process"
    );
    let mut scene = Scene::running(dir, "sh {dir}/web", &keys);
    scene.lar.wait("root=exited");
    let orphan: i32 = scene.lar.dir.read("pid.orphan").trim().parse().unwrap();
    scene.fails(&[&format!("start-timeout: {{dir}}/pid names {orphan}, which is no process of")]);
    assert!(exists(Pid::from_raw(orphan)), "it was killed");
    scene.shut_down();
}

#[test]
fn a_pid_file_that_comes_too_late_changes_nothing() {
    // The launcher has failed, and only then the number of somebody else comes.
    let mut bystander = Bystander::new();
    let dir = directory();
    dir.write("web", &format!("echo {} >pid; exit 1", bystander.pid()));
    let mut scene = Scene::running(dir, "sh {dir}/web", LATE);
    scene.fails(&["exit status 1"]);
    bystander.lives();
    scene.shut_down();
}
