//! lar in a container: the image FROM scratch, under podman with runc, as orchestrators run it.
//!
//! The static binary is tested here, too, because that is what the image is made of.

use std::process::Command;

#[path = "container/pod.rs"]
mod pod;
#[path = "container/podman.rs"]
mod podman;

use podman::{End, ready, run, skip, start, start_file};

/// No larger than this, in bytes. A program that does nothing has 1.0 MiB of its own (glibc, and what std needs to
/// print a panic); lar's share, the three personalities in it, is to be 0.5 MiB, and what it is above that is to go.
const LARGEST: u64 = (11 << 20) / 4;

fn sh(script: &str) -> End {
    run(&[], &["sh", "-c", script])
}

#[test]
fn the_static_binary_is_small_and_asks_no_name_service() {
    let bytes = std::fs::read(podman::binary()).unwrap();
    for name in ["getaddrinfo", "getpwnam", "getgrnam", "getgrouplist", "nsswitch", "libnss"] {
        let there = bytes.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(!there, "{name} is in the binary");
    }
    assert!(bytes.len() as u64 <= LARGEST, "{} bytes", bytes.len());
}

#[test]
fn a_root_with_nothing_but_lar_is_enough() {
    let root = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-root");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    std::fs::copy(podman::binary(), root.join("lar")).unwrap();
    let output = Command::new("chroot").arg(&root).args(["/lar", "--", "/lar", "version"]).output();
    let Ok(output) = output else { return skip("no chroot program") };
    let said = podman::text(&output.stderr);
    if said.contains("cannot change root") {
        return skip("chroot(2) needs root");
    }
    assert!(output.status.success(), "{said}");
    assert_eq!(podman::text(&output.stdout), format!("lar {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(said, "");
}

#[test]
fn the_image_from_scratch_runs() {
    if !ready() {
        return;
    }
    let end = podman::bare();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, format!("lar {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_exit_code_is_the_programs() {
    if !ready() {
        return;
    }
    assert_eq!(sh("exit 7").code, Some(7));
    assert_eq!(sh("kill -9 $$").code, Some(137));
    assert_eq!(sh("kill -TERM $$").code, Some(143));
}

#[test]
fn a_program_that_cannot_be_run_is_126_or_127_and_the_reason_is_told() {
    if !ready() {
        return;
    }
    let missing = run(&[], &["/bin/nothing"]);
    assert_eq!(missing.code, Some(127), "{missing:?}");
    assert!(missing.stderr.contains("No such file or directory"), "{missing:?}");
    let refused = run(&[], &["/etc/passwd"]);
    assert_eq!(refused.code, Some(126), "{refused:?}");
    assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
}

#[test]
fn a_critical_service_takes_the_container_with_it() {
    if !ready() {
        return;
    }
    let end = start_file(&[], "critical.conf").end();
    assert_eq!(end.code, Some(5), "{end:?}");
}

#[test]
fn the_main_services_death_by_a_signal_is_128_and_the_signal() {
    if !ready() {
        return;
    }
    let end = start_file(&[], "failed.conf").end();
    assert_eq!(end.code, Some(137), "{end:?}");
}

#[test]
fn term_reaches_the_program_and_its_exit_code_is_the_containers() {
    if !ready() {
        return;
    }
    let script = "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 1000 & wait; done";
    let container = start(&[], &["sh", "-c", script]);
    container.wait_for("up");
    container.signal("TERM");
    container.wait_for("told");
    assert_eq!(container.end().code, Some(3));
}

#[test]
fn services_stop_in_reverse_order_on_term() {
    if !ready() {
        return;
    }
    let container = start_file(&[], "shop.conf");
    container.wait_for("[api] serving");
    container.signal("TERM");
    container.wait_for("[api] farewell");
    container.wait_for("[db] farewell");
    let end = container.end();
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[test]
fn orphans_are_reaped() {
    if !ready() {
        return;
    }
    // Twenty orphans end at once; the program ends when no zombie is left.
    let script = "i=0; while [ $i -lt 20 ]; do (sleep 0.1 &); i=$((i+1)); done
        while cat /proc/[0-9]*/stat 2>/dev/null | grep -q 'sleep) [A-Z]'; do :; done; echo none";
    let script = script.replace("grep", "busybox grep");
    let end = sh(&script);
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), "none\n"), "{end:?}");
}

#[test]
fn lar_is_steered_in_a_read_only_root_by_a_user_without_any_rights() {
    if !ready() {
        return;
    }
    let container = start_file(
        &[
            "--read-only",
            "--read-only-tmpfs=false",
            "--user=1000:1000",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
        ],
        "shop.conf",
    );
    container.wait_for("[api] serving");
    let ctl = |words: &[&str]| container.exec(&[&["/sbin/lar", "ctl"], words].concat());
    let (code, status) = ctl(&["--plain", "status", "db", "api"]);
    assert_eq!(code, Some(0), "{status}");
    assert_eq!(status.matches("running").count(), 2, "{status}");
    assert_eq!(ctl(&["stop", "db"]).0, Some(9), "api requires db");
    assert_eq!(ctl(&["stop", "api"]).0, Some(0));
    container.wait_for("[api] farewell");
    assert_eq!(ctl(&["status", "api"]).0, Some(3));
    assert_eq!(ctl(&["start", "api"]).0, Some(0));
    container.wait_for("[api] serving");
    // podman may find the container gone before it has asked how its client ended, and then says 255.
    let (code, said) = ctl(&["shutdown"]);
    assert!(matches!(code, Some(0 | 255)), "{code:?}: {said}");
    assert_eq!(container.end().code, Some(0));
}

#[test]
fn a_single_program_needs_no_rights_either() {
    if !ready() {
        return;
    }
    let options = [
        "--read-only",
        "--user=1000:1000",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--memory=64m",
    ];
    let end = run(&options, &["sh", "-c", "id -u; exit 4"]);
    assert_eq!((end.code, end.stdout.as_str()), (Some(4), "1000\n"), "{end:?}");
}

#[test]
fn what_is_left_gets_term_then_a_grace_time_then_kill() {
    if !ready() {
        return;
    }
    // One daemon says farewell; the other is deaf, and must be gone when the container is.
    let script = "setsid sh -c 'trap \"echo farewell; exit\" TERM; echo a; while :; do sleep 1000 & wait; done' &
        setsid sh -c 'trap \"\" TERM; echo b; while :; do sleep 1000 & wait; done' &
        trap 'exit 6' TERM; wait";
    let container = start(&["--env=LAR_GRACE=1s"], &["sh", "-c", script]);
    container.wait_for("");
    container.wait_for("");
    container.signal("TERM");
    container.wait_for("farewell");
    assert_eq!(container.end().code, Some(6));
}

#[test]
fn the_cause_of_the_end_is_in_the_termination_log() {
    if !ready() {
        return;
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("termination-log");
    std::fs::write(&file, "").unwrap();
    let volume = format!("--volume={}:/dev/termination-log", file.display());
    let end = start_file(&[&volume], "critical.conf").end();
    assert_eq!(end.code, Some(5), "{end:?}");
    let cause = std::fs::read_to_string(&file).unwrap();
    assert!(cause.contains("exit code 5") && cause.contains("bread"), "{cause:?}");
}

#[test]
fn users_and_groups_are_the_images_own() {
    if !ready() {
        return;
    }
    let end = start_file(&[], "users.conf").end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.stdout.contains("1000:1000:1000 2000:app:/home/app"), "{end:?}");
}

#[test]
fn beside_another_init_lar_leaves_its_processes_alone() {
    if !ready() {
        return;
    }
    // With the host's processes in sight, kill(-1) would be the end of the machine.
    let script = "setsid sleep 1000 & exit 2";
    let end = run(&["--pid=host"], &["sh", "-c", script]);
    assert_eq!(end.code, Some(2), "{end:?}");
}
