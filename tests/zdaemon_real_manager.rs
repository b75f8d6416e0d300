//! lar's zdaemon client before the real manager, which the real client has started.

#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/zdaemon.rs"]
mod zdaemon;

use desk::asked;
use lar::{Scratch, skip};

/// A directory with a real manager in it that runs `sleep 1000`; `None` where there can't be one.
fn managed(options: &[&str]) -> Option<Scratch> {
    let place = match zdaemon::installed() {
        Ok(place) => place,
        Err(why) => {
            skip(&why);
            return None;
        }
    };
    let dir = Scratch::new();
    let words = [&["-p", "sleep 1000"][..], options, &["start"]].concat();
    let answer = asked(&dir, desk::client(&dir, &zdaemon::real(&place), &words));
    assert_eq!(answer.out, "\ndaemon process started, pid=PID\n", "{answer:?}");
    Some(dir)
}

/// What lar's client answers: its exit code and its standard output.
#[track_caller]
fn ask(dir: &Scratch, words: &[&str]) -> (i32, String) {
    let answer = asked(dir, desk::lar(dir, &[&["-p", "sleep 1000"], words].concat()));
    assert_eq!(answer.err, "", "{words:?}");
    (answer.code, answer.out)
}

#[track_caller]
fn expect(dir: &Scratch, words: &[&str], code: i32, out: &str) {
    assert_eq!(ask(dir, words), (code, out.to_owned()), "{words:?}");
}

#[test]
fn a_real_manager_is_looked_at_and_its_program_restarted_and_stopped() {
    let Some(dir) = managed(&[]) else { return };
    expect(&dir, &["status"], 0, "program running; pid=PID\n");
    let (code, out) = ask(&dir, &["status", "-l"]);
    let keys: Vec<&str> = out.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = "program running; pid status now should_be_up delay backoff lasttime application testing \
                    manager backofflimit filename args";
    assert_eq!((code, keys.join(" ").as_str()), (0, expected));
    expect(&dir, &["start"], 0, "daemon process already running; pid=PID\n");
    expect(&dir, &["restart"], 0, "\ndaemon process restarted, pid=PID\n");
    expect(&dir, &["kill", "winch"], 0, "kill(PID, 28)\nsignal SIGWINCH sent to process PID\n");
    expect(&dir, &["stop"], 0, "\ndaemon process stopped\n");
    expect(&dir, &["wait"], 0, "\ndaemon process stopped\ndaemon manager not running\n");
    expect(&dir, &["status"], 3, "daemon manager not running\n");
}

#[test]
fn a_program_that_was_killed_is_started_again_by_a_real_manager() {
    let Some(dir) = managed(&[]) else { return };
    expect(&dir, &["kill", "KILL"], 0, "kill(PID, 9)\nsignal SIGKILL sent to process PID\n");
    let (code, out) = ask(&dir, &["wait"]);
    assert!(code == 0 && out.starts_with("\ndaemon process stopped\n"), "{out}");
    // It waits a second before that, unless it is told not to; that second may be over.
    let (code, out) = ask(&dir, &["start"]);
    assert!(code == 0 && out.ends_with("pid=PID\n"), "{out}");
    expect(&dir, &["stop"], 0, "\ndaemon process stopped\n");
}

#[test]
fn a_real_manager_opens_its_transcript_anew() {
    let Some(dir) = managed(&["-t", "log"]) else { return };
    assert!(dir.at("log").exists());
    std::fs::rename(dir.at("log"), dir.at("log.1")).unwrap();
    expect(&dir, &["reopen_transcript"], 0, "");
    // It answers one after the other, so it has done that when it answers this.
    expect(&dir, &["status"], 0, "program running; pid=PID\n");
    assert!(dir.at("log").exists());
    expect(&dir, &["stop"], 0, "\ndaemon process stopped\n");
}
