//! Starts of which lar hears nothing for too long, and others that only take their time.

use crate::scene::{LATE, Scene, directory};

const SILENT: &str = "not ready, and silent for log-activity-timeout";

#[test]
fn a_log_that_does_not_grow_is_a_start_timeout() {
    for options in [
        "--listen-delay 3600000",
        "--log {dir}/log --log-delay 3600000",
        "--log {dir}/log --listen-delay 3600000",
        "--pid-delay 3600000 --ignore-term --children 2",
    ] {
        let keys = format!(
            "{LATE} start-abort-timeout 50ms\n log-file {{dir}}/log\n log-activity-timeout 300ms\n"
        );
        let Some(mut scene) = Scene::new(options, &keys) else { return };
        scene.fails(&[SILENT]);
        scene.shut_down();
    }
}

#[test]
fn a_log_that_grows_or_comes_into_being_is_a_sign_of_life() {
    let keys = format!("{LATE} log-file {{dir}}/log\n log-activity-timeout 2s\n");
    for (options, old) in [
        ("--log {dir}/log --log-every 50 --listen-delay 3000", None),
        ("--log {dir}/log --log-every 50 --listen-delay 3000", Some("old lines\n")),
        // Longer than it may be silent, in two halves.
        ("--log {dir}/log --log-delay 1200 --listen-delay 1200", None),
        ("--log {dir}/log --log-text '' --pid-delay 500 --log-delay 700 --listen-delay 1200", None),
    ] {
        let dir = directory();
        if let Some(old) = old {
            dir.write("log", old);
        }
        let options = format!("--listen {{dir}}/socket {options}");
        let Some(mut scene) = Scene::within(dir, &options, &keys) else { return };
        scene.lar.ask("start web").expect(0);
        scene.runs();
        assert_eq!(scene.starts(), 1);
        scene.shut_down();
    }
}

#[test]
fn without_a_log_file_it_is_the_transcript_that_must_grow() {
    let keys = format!("{LATE} log-activity-timeout 300ms\n");
    let Some(mut scene) = Scene::new("--keep-output --listen-delay 3600000", &keys) else { return };
    scene.fails(&[SILENT]);
    scene.shut_down();
    let dir = directory();
    // Says something, and again, and is ready after more than the time that it may be silent.
    let daemon =
        "echo $$ >pid; for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done; : >up; exec sleep 1000";
    dir.write("daemon", daemon);
    dir.write("web", "setsid sh {dir}/daemon 3>{dir}/hold &");
    let keys = format!("{LATE} log-activity-timeout 2s\n ready file {{dir}}/up\n");
    let mut scene = Scene::running(dir, "sh {dir}/web", &keys);
    scene.lar.ask("start web").expect(0);
    scene.runs();
    scene.shut_down();
}
