//! Starts: what they wait for, how they fail, and that nothing is left of those that do.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::lar::{Answer, DEADLINE, Lines, answer};
use crate::scene::{Bystander, Scene, finish, lives, until_exists};

/// A start that is to fail long before its time is up.
const LATE: &str = " start-timeout 1h\n";

/// A start whose time is up soon.
const SOON: &str = " start-timeout 300ms\n";

#[track_caller]
fn says(answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(answer.err.contains(word), "{word:?} is missing: {answer:#?}");
    }
}

/// A start that fails with this code, says all this, and leaves nothing behind.
#[track_caller]
fn fails(scene: &Scene, code: i32, words: &[&str]) -> Answer {
    let answer = scene.ask("start").expect(code);
    says(&answer, words);
    scene.nothing_is_left();
    assert_eq!(scene.ask("status").expect(3).out, "web: not running\n");
    answer
}

#[test]
fn a_start_returns_when_the_daemon_can_be_used() {
    let Some(scene) = Scene::good("--fork-delay 50 --pid-delay 100 --listen-delay 200", "") else {
        return;
    };
    let started = scene.ask("start").expect(0);
    assert!(scene.answers(), "it can't be used yet");
    assert_eq!(started.out, format!("web: running, pid {}\n", scene.pid()));
    let pid = scene.runs();
    assert_eq!(scene.ask("pid").expect(0).out, format!("{pid}\n"));
    let again = scene.ask("start").expect(0);
    assert_eq!(again.out, format!("web: already running, pid {pid}\n"));
    scene.ask("--strict start").expect(15);
    assert_eq!(scene.starts(), 1);
    assert_eq!(scene.ask("stop").expect(0).out, "web: stopped\n");
    scene.nothing_is_left();
    assert!(scene.dir.at("pid.lock").exists() && !scene.dir.at("pid").exists());
}

#[test]
fn a_launcher_that_fails_is_told_with_its_own_words() {
    let log = "--log {dir}/log";
    for (options, how) in [
        ("--exit 3", "exit status 3"),
        ("--crash 11", "killed by SIGSEGV"),
        ("--crash 9", "SIGKILL"),
    ] {
        let options = format!("{log} --say 'no such database' {options}");
        let Some(scene) = Scene::good(&options, &format!("{LATE} log-file {{dir}}/log\n")) else {
            return;
        };
        scene.dir.write("log", "an old line\n");
        let answer =
            fails(&scene, 11, &["web: start failed:", how, "its output:\n  | no such database\n"]);
        assert!(!answer.err.contains("old line"), "{answer:#?}");
    }
    let Some(scene) = Scene::good("--exit 1", LATE) else { return };
    fails(&scene, 11, &["exit status 1 (it has said nothing)"]);
}

#[test]
fn new_log_text_is_told_and_old_text_is_not() {
    let options = "--log {dir}/log --log-text 'can not bind' --die-before-listen 4";
    let keys = format!("{LATE} log-file {{dir}}/log\n");
    for old in [Some("an old line\n"), None] {
        let Some(scene) = Scene::good(options, &keys) else { return };
        if let Some(old) = old {
            scene.dir.write("log", old);
        }
        let answer = fails(&scene, 11, &["has ended: exit status 4", "/log:\n  | can not bind"]);
        assert!(!answer.err.contains("old line"), "{answer:#?}");
    }
}

#[test]
fn a_program_that_can_not_be_run_is_a_failed_start() {
    let Some(scene) = Scene::good("", "") else { return };
    scene.dir.script("web", "#!/no/such/interpreter\n");
    let keys = " type forking\n pid-file {dir}/pid\n";
    scene
        .dir
        .write("lar.conf", &format!("<service web>\n program {{dir}}/web\n{keys}</service>\n"));
    fails(&scene, 11, &["/web: No such file or directory (stage exec)"]);
}

#[test]
fn a_timeout_says_in_which_step() {
    let cases = [
        ("--foreground", "step fork"),
        ("--fork-delay 3600000", "step fork"),
        ("--pid-delay 3600000", "step pid-file: {dir}/pid is not there"),
        ("--pid ''", "step pid-file: {dir}/pid is empty"),
        ("--pid garbage", "step pid-file: {dir}/pid holds no pid"),
        ("--listen-delay 3600000", "step ready: no answer to `ready unix {dir}/socket`"),
    ];
    for (options, step) in cases {
        let Some(scene) = Scene::good(options, SOON) else { return };
        let step = scene.dir.fill(step);
        fails(&scene, 8, &["start timed out: after 300ms", &step]);
        assert_eq!(scene.starts(), 1);
    }
}

#[test]
fn a_daemon_that_dies_is_not_waited_for() {
    let cases = [
        ("--die-before-pid 5", "has ended before it wrote its pid file: exit status 5"),
        ("--double-fork --die-before-pid 5", "before it wrote its pid file: exit status 5"),
        ("--die-after-pid 6", "has ended: exit status 6"),
        ("--listen-delay 100 --die-before-listen 7", "has ended: exit status 7"),
    ];
    for (options, how) in cases {
        let Some(scene) = Scene::good(options, LATE) else { return };
        fails(&scene, 11, &["start failed: the daemon", how]);
    }
}

#[test]
fn a_pid_file_that_names_nobody_fails_the_start() {
    // No kernel gives this pid.
    let Some(scene) = Scene::good("--pid 4194305", LATE) else { return };
    fails(&scene, 11, &["the daemon, pid 4194305, has ended"]);
}

#[test]
fn a_pid_file_that_names_somebody_else_is_not_believed() {
    let bystander = Bystander::new();
    let options = format!("--pid {}", bystander.pid());
    let Some(scene) = Scene::good(&options, SOON) else { return };
    // Started after the file was written, it would be the daemon for all that a look at it can tell.
    let answer = scene.ask("start").expect(8);
    let words = format!("names process {}, which was not started now", bystander.pid());
    says(&answer, &["step pid-file", &words]);
    scene.nothing_is_left();
    assert!(lives(bystander.pid()), "a bystander was killed");
}

#[test]
fn whoever_ignores_term_is_killed() {
    let keys = format!("{SOON} start-abort-timeout 200ms\n");
    for options in ["--ignore-term --foreground", "--ignore-term --pid-delay 3600000 --children 3"]
    {
        let Some(scene) = Scene::good(options, &keys) else { return };
        fails(&scene, 8, &["start timed out"]);
    }
    // Who ends by itself has its time.
    let keys = format!("{SOON} start-abort-timeout 1h\n");
    let Some(scene) = Scene::new("--term-delay 100 --children 2 --same-session", &keys) else {
        return;
    };
    fails(&scene, 8, &["step ready"]);
}

#[test]
fn silence_is_a_timeout_and_a_log_that_grows_is_none() {
    let keys = format!("{LATE} log-file {{dir}}/log\n log-activity-timeout 400ms\n");
    let Some(scene) = Scene::new("--log {dir}/log", &keys) else { return };
    fails(&scene, 8, &["start timed out: its log is silent for 400ms (step ready"]);
    let Some(scene) = Scene::new("--log {dir}/log --pid-delay 3600000", &keys) else { return };
    fails(&scene, 8, &["silent for 400ms (step pid-file"]);
    let growing = "--log {dir}/log --log-every 50 --listen-delay 1500";
    let Some(scene) = Scene::good(growing, &keys) else { return };
    scene.ask("start").expect(0);
    // That the file is made is a sign of life, too: without it, this would be silent for 500 ms.
    let created = "--log {dir}/log --log-delay 250 --listen-delay 250";
    let Some(scene) = Scene::good(created, &keys) else { return };
    scene.ask("start").expect(0);
    scene.runs();
}

#[test]
fn without_a_log_file_its_output_is_a_sign_of_life() {
    let keys = format!("{LATE} transcript {{dir}}/out\n log-activity-timeout 400ms\n");
    let Some(scene) = Scene::new("--say hello --keep-output", &keys) else { return };
    fails(&scene, 8, &["silent for 400ms", "its output in", "  | hello"]);
    let options = "--log /dev/stdout --log-every 50 --listen-delay 1500 --keep-output";
    let Some(scene) = Scene::good(options, &keys) else { return };
    scene.ask("start").expect(0);
}

#[test]
fn pre_start_comes_first_and_its_failure_is_the_starts() {
    let keys = " pre-start /bin/sh -c 'echo made > {dir}/made; test ! -e {dir}/starts'\n";
    let Some(scene) = Scene::good("", keys) else { return };
    scene.ask("start").expect(0);
    assert_eq!(scene.dir.read("made"), "made\n");
    let keys = " pre-start /bin/sh -c 'echo no room >&2; exit 9'\n";
    let Some(scene) = Scene::good("", keys) else { return };
    fails(&scene, 11, &["start failed: pre-start: exit status 9", "  | no room"]);
    assert_eq!(scene.starts(), 0);
    let Some(scene) = Scene::good("", &format!("{SOON} pre-start sleep 1000\n")) else { return };
    fails(&scene, 8, &["step pre-start"]);
    assert!(scene.dir.processes().is_empty() && scene.starts() == 0);
}

#[test]
fn a_program_that_stays_is_put_into_the_background() {
    let Some(scene) = Scene::new(
        "--foreground --listen {dir}/socket --listen-delay 100 --pid-file {dir}/own",
        " type simple\n",
    ) else {
        return;
    };
    scene.ask("start").expect(0);
    assert!(scene.answers());
    let pid = scene.runs();
    assert_eq!(scene.dir.read("own"), scene.dir.read("pid"));
    let session = nix::unistd::getsid(Some(pid)).unwrap();
    assert_eq!(session, pid, "it has no session of its own");
    scene.ask("stop").expect(0);
    scene.nothing_is_left();
    assert!(!scene.dir.at("pid").exists());
}

#[test]
fn a_program_that_stays_is_told_of_when_it_dies() {
    let options = "--foreground --say 'no such port' --die-before-listen 3 --pid-file {dir}/own";
    let keys = format!(" type simple\n transcript {{dir}}/out\n{LATE}");
    let Some(scene) = Scene::new(options, &keys) else { return };
    scene.dir.write("out", "an old line\n");
    let answer = fails(&scene, 11, &["has ended: exit status 3", "out:\n  | no such port"]);
    assert!(!answer.err.contains("old line"));
    let Some(scene) = Scene::new(options, &format!(" type simple\n{LATE}")) else { return };
    fails(&scene, 11, &["its output is not kept; `transcript PATH` would"]);
}

#[test]
fn output_that_the_daemon_keeps_does_not_hold_the_start_up() {
    let Some(scene) = Scene::good("--keep-output --say hello", "") else { return };
    let answer = scene.ask("start").expect(0);
    assert_eq!(answer.err, "", "a start that went well has nothing to tell");
    let pid = scene.runs();
    let out = std::fs::read_link(format!("/proc/{pid}/fd/1")).unwrap();
    assert!(out.display().to_string().contains("memfd:output"), "{}", out.display());
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open: Vec<String> = fds
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .map(|path| path.display().to_string())
        .collect();
    assert!(!open.iter().any(|path| path.ends_with(".lock")), "it has the lock: {open:?}");
}

#[test]
fn a_log_at_standard_output_passes_through() {
    let options = "--log /dev/stdout --keep-output --log-text 'I am here' --die-before-listen 1";
    let keys = format!(" log-file /dev/stdout\n{LATE}");
    let Some(scene) = Scene::good(options, &keys) else { return };
    let answer = fails(&scene, 11, &["(what it said has passed through)"]);
    assert!(answer.out.contains("I am here"), "{answer:#?}");
}

#[test]
fn ctrl_c_ends_a_start_and_all_that_it_has_started() {
    for options in ["--fork-delay 3600000", "--pid-delay 3600000", "--listen-delay 3600000"] {
        let Some(scene) = Scene::good(options, LATE) else { return };
        let start = scene.begin("start");
        until_exists(&scene.dir.at("starts"));
        kill(nix::unistd::Pid::from_raw(start.id() as i32), Signal::SIGINT).unwrap();
        let answer = finish(start);
        assert_eq!(answer.code, 130, "{answer:#?}");
        says(&answer, &["start aborted by SIGINT"]);
        scene.nothing_is_left();
    }
}

#[test]
fn who_asks_twice_does_not_wait_for_the_daemon() {
    let keys = format!("{LATE} start-abort-timeout 1h\n");
    let Some(scene) = Scene::good("--ignore-term --foreground", &keys) else { return };
    let mut start = scene.begin("start");
    until_exists(&scene.dir.at("starts"));
    let lar = nix::unistd::Pid::from_raw(start.id() as i32);
    // Two of one kind that come at once are one; different ones are two.
    kill(lar, Signal::SIGINT).unwrap();
    kill(lar, Signal::SIGTERM).unwrap();
    let err = Lines::of(start.stderr.take().unwrap());
    let status = crate::lar::ended(&mut start, DEADLINE).expect("it ends");
    assert_eq!(crate::lar::code(status), 130);
    let mut err = err;
    err.until("aborted by SIG");
    scene.nothing_is_left();
}

#[test]
fn every_way_to_ask_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = format!("--listen {port}");
    let slow = "--listen-delay 150";
    let cases = [
        (format!("{tcp} {slow}"), format!("ready tcp 127.0.0.1:{port}")),
        (format!("{tcp} {slow}"), format!("ready http http://127.0.0.1:{port}/")),
        (format!("--listen {{dir}}/socket {slow}"), "ready file {dir}/socket".into()),
        (
            format!("--listen {{dir}}/socket {slow}"),
            "ready command /bin/sh -c 'echo $LAR_PID > {dir}/asked; test -S {dir}/socket'".into(),
        ),
        (
            "--log {dir}/log --log-delay 150 --log-text 'now I am up' --listen {dir}/socket".into(),
            "ready log I am up\n log-file {dir}/log".into(),
        ),
    ];
    for (options, ready) in cases {
        let Some(scene) = Scene::new(&options, &format!(" {ready}\n")) else { return };
        scene.dir.write("log", "I am up, said another one\n");
        scene.ask("start").expect(0);
        let pid = scene.runs();
        assert!(!ready.contains("socket'") || scene.dir.read("asked") == format!("{pid}\n"));
        assert!(!ready.contains(" log ") || scene.dir.read("log").contains("now I am up"));
        scene.ask("ensure").expect(0);
        scene.ask("stop").expect(0);
        scene.nothing_is_left();
    }
}

#[test]
fn a_question_that_hangs_has_its_own_time() {
    let ready = " ready timeout 100ms command /bin/sh -c 'test -e {dir}/asked && exit 0; \
                 touch {dir}/asked; exec sleep 1000'\n";
    let Some(scene) = Scene::new("", &format!("{ready}{LATE}")) else { return };
    let begun = Instant::now();
    scene.ask("start").expect(0);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    scene.runs();
}

#[test]
fn without_ready_its_pid_file_is_enough() {
    let Some(scene) = Scene::new("--pid-delay 100", " ready none\n") else { return };
    scene.ask("start").expect(0);
    scene.runs();
    scene.ask("ensure").expect(0);
    scene.ask("stop").expect(0);
}

#[test]
fn everything_is_run_as_a_manager_would() {
    let check = "pwd; umask; echo $COLOUR; echo $LAR_SERVICE; ulimit -n";
    let keys = format!(
        " directory {{dir}}\n umask 027\n pre-start /bin/sh -c '({check}) > {{dir}}/said'\n \
         <environment>\n COLOUR red\n </environment>\n <limits>\n nofile 99\n </limits>\n"
    );
    let Some(scene) = Scene::good("", &keys) else { return };
    scene.ask("start").expect(0);
    let here = std::fs::canonicalize(&scene.dir.path).unwrap();
    let wanted = format!("{}\n0027\nred\nweb\n99\n", here.display());
    assert_eq!(scene.dir.read("said"), wanted);
    let checked = answer(Command::new(crate::lar::LAR).arg("check").arg(scene.dir.at("lar.conf")));
    checked.expect(0);
}
