//! lar's zdaemon client with the manager that it makes: that all of what the client is told reaches the program, and
//! what is said when the program does not come up.

#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;

use std::process::{Command, Stdio};

use desk::asked;
use lar::{LAR, Lines, Scratch, code, ended, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[track_caller]
fn ask(dir: &Scratch, line: &str) -> (i32, String, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let answer = asked(dir, desk::lar(dir, &words));
    (answer.code, answer.out, answer.err)
}

#[track_caller]
fn expect(dir: &Scratch, line: &str, code: i32, out: &str) {
    assert_eq!(ask(dir, line), (code, out.into(), String::new()), "{line}");
}

const STARTED: &str = "\ndaemon process started, pid=PID\n";
const STOPPED: &str = "\ndaemon process stopped\n";
const LOST: &str = "\ndaemon manager not running\n";

/// A program that tells how it was started, then stays.
const TELL: &str = "#!/bin/sh\n{ echo \"words $*\"; umask; id -u; env; ls -l /proc/self/fd; pwd; } >{dir}/told.new\n\
                    mv {dir}/told.new {dir}/told\nexec sleep 1000\n";

#[test]
fn a_program_that_dies_at_once_has_not_started_and_the_reason_is_told() {
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho no database >&2\nexit 3\n");
    let (code, out, err) = ask(&dir, "-p ./p -b 2 start");
    assert_eq!((code, out.as_str()), (1, LOST));
    let mut lines = err.lines();
    let first = lines.next().unwrap_or_default();
    assert!(
        first.starts_with("NAME: the program does not run: exit status 3 (2 times in "),
        "{err}"
    );
    assert_eq!(lines.collect::<Vec<_>>(), ["  no database"; 2]);
    // The same for a restart, which is a failure, too.
    let (code, out, err) = ask(&dir, "-p ./p -b 1 restart");
    assert_eq!((code, out.as_str()), (1, LOST));
    assert!(err.starts_with("NAME: the program does not run: exit status 3"), "{err}");
}

#[test]
fn what_the_client_is_told_reaches_the_manager_and_the_program() {
    let dir = Scratch::new();
    dir.script("p", TELL);
    dir.write(
        "z.conf",
        "<environment>\nMY_NAME my value\n</environment>\n<runner>\nprogram {dir}/p one\ndirectory {dir}/run\n\
         backoff-limit 5\numask 077\ndaemon off\n</runner>\n",
    );
    expect(&dir, "-C z.conf -X runner/backoff-limit=3 -m 0 -d start two -x", 0, STARTED);
    let told = dir.read("told");
    let has = |line: &str| assert!(told.lines().any(|it| it == line), "no {line:?} in {told}");
    has("words one two -x");
    has("0000");
    has("MY_NAME=my value");
    has(dir.at("run").to_str().unwrap());
    for not in ["DAEMON_MANAGER_MODE", "LAR_START_REPORT"] {
        assert!(!told.contains(not), "{not} in {told}");
    }
    // 0 to 2, and the directory that ls reads.
    assert_eq!(told.lines().filter(|line| line.contains(" -> ")).count(), 4, "{told}");
    let (_, out, _) = ask(&dir, "-C z.conf status -l");
    assert!(
        out.contains("\nbackofflimit=3\n") && out.contains("args=['DIR/p', 'one', 'two', '-x']"),
        "{out}"
    );
    expect(&dir, "-C z.conf stop", 0, STOPPED);
    expect(&dir, "-C z.conf status", 3, "daemon manager not running\n");
}

#[test]
fn a_start_waits_for_its_test_and_no_longer_than_it_is_told_to() {
    let dir = Scratch::new();
    dir.write(
        "z.conf",
        "<runner>\nprogram sleep 1000\nstart-test-program test -e {dir}/ready\nstart-timeout 1\n</runner>\n",
    );
    expect(&dir, "-C z.conf start", 1, "\nProgram took too long to start\n");
    let (code, out, _) = ask(&dir, "-C z.conf status -l");
    assert!(code == 0 && out.contains("\ntesting=1\n"), "it runs on: {out}");
    dir.write("ready", "");
    expect(&dir, "-C z.conf -T 30 restart", 0, "\ndaemon process restarted, pid=PID\n");
    expect(&dir, "-C z.conf stop", 0, STOPPED);
}

#[test]
fn lar_by_its_own_name_starts_itself_as_zdaemon() {
    let dir = Scratch::new();
    let call = |words: &[&str]| {
        let words = [&["zdaemon", "-p", "sleep 1000"], words].concat();
        asked(&dir, desk::client(&dir, LAR.as_ref(), &words))
    };
    assert_eq!(call(&["start"]).out, STARTED);
    assert_eq!(call(&["status"]).out, "program running; pid=PID\n");
    assert_eq!(call(&["stop"]).out, STOPPED);
    assert_eq!(
        call(&["-Q"]).err,
        "Error: option -Q not recognized\nFor help, use NAME zdaemon -h\n"
    );
}

#[test]
fn everything_belongs_to_the_user_that_is_named() {
    use std::os::unix::fs::MetadataExt;
    if !lar::root() {
        return skip("only root can become another user");
    }
    let dir = Scratch::new();
    dir.script("p", TELL);
    // Others may not enter the directory that the tests are built in.
    std::fs::copy(LAR, dir.at("zdaemon")).unwrap();
    expect(&dir, &dir.fill("-p ./p -u nobody -s run/z -t {dir}/run/log start"), 0, STARTED);
    let users = ::lar::sys::users::Users::load().unwrap();
    let uid = users.by_name("nobody").expect("there is a nobody").uid;
    for path in ["run", "run/z", "run/log", "told"] {
        assert_eq!(std::fs::metadata(dir.at(path)).unwrap().uid(), uid, "{path}");
    }
    assert!(dir.read("told").lines().any(|line| line == uid.to_string()));
    expect(&dir, "-p ./p -u nobody -s run/z stop", 0, STOPPED);
}

#[test]
fn a_start_without_a_daemon_passes_signals_on() {
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho up\nexec sleep 1000\n");
    dir.write("z.conf", "<runner>\nprogram ./p\ndaemon off\n</runner>\n");
    let mut command: Command = desk::lar(&dir, &["-C", "z.conf", "start"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = Lines::of(child.stdout.take().unwrap());
    out.until("up");
    expect(&dir, "-C z.conf status", 0, "program running; pid=PID\n");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let status = ended(&mut child, lar::DEADLINE).expect("the client ends");
    assert_eq!(code(status), 0);
    let left = dir.processes();
    assert!(left.is_empty(), "{left:?}");
}

/// lar as zdaemon behind these words of `env`.
fn behind(dir: &Scratch, env: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(env).args([LAR, "zdaemon"]).args(words).current_dir(&dir.path);
    command
}

#[test]
fn a_client_that_is_to_ignore_its_children_hears_of_their_ends_and_hands_that_on() {
    let dir = Scratch::new();
    // Not a shell, which may change it.
    dir.write(
        "z.conf",
        "<runner>\nprogram grep SigIgn: /proc/self/status\ndaemon off\n</runner>\n",
    );
    for action in ["fg", "start"] {
        let words = ["-C", "z.conf", action];
        let answer = lar::answer(&mut behind(&dir, &["--ignore-signal=CHLD"], &words)).expect(0);
        if action == "start" {
            continue; // the manager gives its program a clean slate
        }
        let ignored = answer.out.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
        let ignored = u64::from_str_radix(ignored.expect("grep ran"), 16).unwrap();
        assert!(ignored & 1 << (Signal::SIGCHLD as i32 - 1) != 0, "{answer:?}");
    }
}

#[test]
fn a_term_in_the_first_moments_leaves_nobody_behind() {
    for trial in 0..40u64 {
        let dir = Scratch::new();
        dir.script("p", "#!/bin/sh\nexec sleep 1000\n");
        dir.write(
            "z.conf",
            "<runner>\nprogram {dir}/p\nsocket-name {dir}/s\ndaemon off\n</runner>\n",
        );
        let conf = dir.at("z.conf");
        let mut command = behind(&dir, &[], &["-C", conf.to_str().unwrap(), "start"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Around the moment in which the manager is made.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let end = std::time::Instant::now() + lar::DEADLINE;
        while std::fs::read_to_string(&children).is_ok_and(|text| text.is_empty()) {
            assert!(std::time::Instant::now() < end, "no manager");
        }
        let until = std::time::Instant::now() + std::time::Duration::from_micros(trial * 50);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        ended(&mut child, lar::DEADLINE).expect("the client ends");
        let left = dir.processes();
        assert!(left.is_empty(), "trial {trial}: {left:?}");
    }
}

#[test]
fn a_client_that_can_not_wait_says_so_and_has_failed() {
    if lar::program("prlimit").is_none() {
        return skip("there is no prlimit");
    }
    let dir = Scratch::new();
    let log = dir.write("log", "line\n");
    let mut command = Command::new("prlimit");
    // One for the file, none for the signals.
    command.args(["--nofile=4", LAR, "zdaemon", "-p", "sleep", "logtail"]).arg(log);
    let answer = lar::answer(command.current_dir(&dir.path)).expect(1);
    assert!(answer.err.starts_with("Error: can't wait: "), "{answer:?}");
}
