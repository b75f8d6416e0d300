//! The start report: why the program did not come up, told to whoever has started the manager.

use super::*;

/// Starts a manager (in the background, unless the file says otherwise) with a FIFO for its report, as fd 7.
#[track_caller]
fn reported(dir: Scratch, arguments: &[&str]) -> (Lar, lar::Lines) {
    nix::unistd::mkfifo(&dir.at("report"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (to, from) = std::sync::mpsc::channel();
    let path = dir.at("report");
    std::thread::spawn(move || to.send(std::fs::File::open(path).unwrap()));
    let mut command = Command::new("sh");
    command.args(["-c", "exec 7>report; LAR_START_REPORT=7 exec \"$@\"", "sh", LAR, "zdaemon"]);
    command.args(arguments).env("DAEMON_MANAGER_MODE", "1").current_dir(&dir.path);
    let lar = Lar::spawn(dir, command);
    let pipe = from.recv_timeout(lar::DEADLINE).unwrap();
    (lar, lar::Lines::of(pipe))
}

#[test]
fn a_program_that_fails_is_told_with_its_last_words() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\necho one\necho two >&2\nprintf three\nexit 3\n");
    let (mut lar, mut report) = reported(dir, &["-s", "s", "-b", "2", "./go"]);
    assert_eq!(lar.end(), 0, "the half in the foreground");
    let lines = report.rest();
    assert!(lines[0].starts_with("exit status 3 (2 times in 1"), "{lines:?}");
    assert_eq!(lines[1..], ["one", "two", "threeone", "two", "three"]);
}

#[test]
fn it_is_short_whatever_the_program_says() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\nseq 100000 100900\nexit 3\n");
    let (_lar, mut report) = reported(dir, &["-s", "s", "-b", "1", "./go"]);
    let lines = report.rest();
    assert_eq!((lines.len(), lines[0].as_str()), (21, "exit status 3"));
    assert_eq!((lines[1].as_str(), lines[20].as_str()), ("100881", "100900"));
}

#[test]
fn signals_and_programs_that_have_gone_are_told_in_zdaemons_words() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\nkill -SEGV $$\n");
    let (_lar, mut report) = reported(dir, &["-s", "s", "-b", "1", "./go"]);
    let lines = report.rest();
    assert!(lines[0].starts_with("terminated by SIGSEGV"), "{lines:?}");
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\nrm go\nexit 1\n");
    let (_lar, mut report) = reported(dir, &["-s", "s", "-b", "2", "./go"]);
    let lines = report.rest();
    assert!(
        lines[0].starts_with("can't exec './go': No such file or directory (2 times in"),
        "{lines:?}"
    );
}

#[test]
fn who_stops_a_manager_knows_why_it_ends() {
    let (mut lar, mut report) = reported(Scratch::new(), &["-s", "s", "sleep", "100"]);
    assert_eq!(lar.end(), 0);
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    assert_eq!(report.rest(), [""; 0]);
    let (mut lar, mut report) = reported(Scratch::new(), &["-s", "s", "sleep", "100"]);
    assert_eq!(lar.end(), 0);
    let manager: i32 = zdrun::field(&lar, "manager").parse().unwrap();
    kill(Pid::from_raw(manager), Signal::SIGTERM).unwrap();
    assert_eq!(report.rest(), [""; 0]);
}

#[test]
fn a_start_test_that_succeeds_closes_it() {
    let dir = Scratch::new();
    dir.write("zdaemon.conf", &config(" program sleep 100\n start-test-program true", "on"));
    let (mut lar, mut report) = reported(dir, &["-C", "zdaemon.conf", "sleep", "100"]);
    assert_eq!(report.rest(), [""; 0], "while the program runs");
    assert_eq!(lar.end(), 0);
    assert_eq!(zdrun::field(&lar, "testing"), "0");
}

#[test]
fn the_program_sees_nothing_of_it() {
    let words =
        ["-s", "s", "-b", "1", "sh", "-c", "ls /proc/self/fd; env | grep START_REPORT; exit 3"];
    let (_lar, mut report) = reported(Scratch::new(), &words);
    assert_eq!(report.rest()[1..], ["0", "1", "2", "3"], "3 is ls's own");
}

#[test]
fn a_number_that_is_none_harms_nobody() {
    let dir = Scratch::new();
    for number in ["", "x", "-1", "0", "99", "99999999999"] {
        let mut command = zdrun(&dir.path, &["-s", "s", "sh", "-c", "exit 0"]);
        answer(command.env("LAR_START_REPORT", number)).expect(0);
        zdrun::gone(&dir);
    }
}
