//! lar's zdaemon client beside the real one: the same command lines before the same scripted managers, and the same
//! output and exit code, unless the real one has a defect there.

#[path = "zdaemon_client/cases.rs"]
mod cases;
#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/zdaemon.rs"]
mod zdaemon;

use std::path::PathBuf;

use cases::Real;
use desk::{Manager, asked};
use lar::{Scratch, skip};

/// The real client; `None` where it can't be had.
fn real() -> Option<PathBuf> {
    match zdaemon::installed() {
        Ok(place) => Some(zdaemon::real(&place)),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// What both answer in a directory of their own each, and what their managers were sent.
fn both(
    real: &PathBuf,
    words: &[&str],
    prepare: impl Fn(&Scratch) -> Option<Manager>,
) -> [(i32, String, String, String); 2] {
    [None, Some(real)].map(|real| {
        let dir = Scratch::new();
        let manager = prepare(&dir);
        let command = match real {
            Some(real) => desk::client(&dir, real, words),
            None => desk::lar(&dir, words),
        };
        let answer = asked(&dir, command);
        let sent = manager.map_or(String::new(), |manager| manager.sent());
        (answer.code, answer.out, answer.err, sent)
    })
}

/// Every third case, from one of three on: the tests run beside each other, and the real one is slow.
fn compare(from: usize) {
    let Some(real) = real() else { return };
    let mut wrong = Vec::new();
    for case in cases::all().into_iter().skip(from).step_by(3) {
        let words = [&["-p", "sleep 100"][..], case.line].concat();
        let listen = |dir: &Scratch| Some(Manager::listen(dir, case.state?, case.script));
        let [ours, theirs] = both(&real, &words, listen);
        // A defect that has gone would be a reason to look again.
        if (ours == theirs) != (case.real == Real::Same) {
            wrong.push(format!(
                "{:?} {:?} {:?}\n{ours:#?}\n{theirs:#?}",
                case.line, case.state, case.real
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn actions_are_answered_as_the_real_one_does_1() {
    compare(0);
}

#[test]
fn actions_are_answered_as_the_real_one_does_2() {
    compare(1);
}

#[test]
fn actions_are_answered_as_the_real_one_does_3() {
    compare(2);
}

#[test]
fn mistakes_in_the_options_are_told_as_the_real_one_does() {
    let Some(real) = real() else { return };
    let mut wrong = Vec::new();
    for (words, _) in cases::MISTAKES {
        let words = [&["-p", "x"][..], words].concat();
        let [ours, theirs] = both(&real, &words, |_| None);
        if ours != theirs {
            wrong.push(format!("{words:?}\n{ours:#?}\n{theirs:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn help_and_show_are_the_same() {
    let Some(real) = real() else { return };
    let topics = "fg foreground help kill logreopen logtail reopen_transcript restart show start status stop wait EOF";
    let lines = topics.split(' ').map(|topic| vec!["help", topic]);
    let lines = lines.chain([vec!["help"], vec!["show", "x"], vec!["-h", "-Q"], vec!["--version"]]);
    for line in lines {
        let words = [&["-p", "x"][..], &line].concat();
        let [ours, theirs] = both(&real, &words, |_| None);
        assert_eq!(ours, theirs, "{line:?}");
    }
    let file =
        "<runner>\nprogram sleep '1 \"0\ndaemon off\nuser nobody\nbackoff-limit 7\n</runner>\n";
    for line in ["-fd -x3,4 -z/ -lx -s zs -m7 show", "-C z.conf show", "-C z.conf -b7 -dp x show"] {
        let words: Vec<&str> = match line.starts_with("-C") {
            true => line.split(' ').collect(),
            false => ["-p", "it's"].into_iter().chain(line.split(' ')).collect(),
        };
        let prepare = |dir: &Scratch| {
            dir.write("z.conf", file);
            None
        };
        // Which Python it is, and where its schema lies, is the real one's own.
        let own = |line: &&str| !line.starts_with("python:") && !line.starts_with("schemafile:");
        let [ours, theirs] = both(&real, &words, prepare).map(|(code, out, err, _)| {
            (code, out.lines().filter(own).collect::<Vec<_>>().join("\n"), err)
        });
        assert_eq!(ours, theirs, "{line}");
    }
}

/// Runs these lines one after the other in a directory, each by the same client; the answers. `{lar}` or the real
/// one makes the manager that they talk to.
fn play(
    real: Option<&PathBuf>,
    prepare: &dyn Fn(&Scratch),
    lines: &[&str],
) -> Vec<(i32, String, String)> {
    let dir = Scratch::new();
    prepare(&dir);
    let answers = lines.iter().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let command = match real {
            Some(real) => desk::client(&dir, real, &words),
            None => desk::lar(&dir, &words),
        };
        let answer = asked(&dir, command);
        (answer.code, answer.out, answer.err)
    });
    answers.collect()
}

/// The same life under both, each with its own manager; what lar answers.
#[track_caller]
fn live(prepare: impl Fn(&Scratch), lines: &[&str]) -> Option<Vec<(i32, String, String)>> {
    let real = real()?;
    let [ours, theirs] = [None, Some(&real)].map(|real| play(real, &prepare, lines));
    for (line, (ours, theirs)) in lines.iter().zip(ours.iter().zip(&theirs)) {
        assert_eq!(ours, theirs, "{line}");
    }
    Some(ours)
}

#[test]
fn a_programs_whole_life_is_told_in_the_same_words() {
    let lines = [
        "-C z.conf status",
        "-C z.conf start 100",
        "-C z.conf start",
        "-C z.conf status",
        "-C z.conf kill cont",
        "-C z.conf reopen_transcript",
        "-C z.conf restart 50",
        "-C z.conf kill winch",
        "-p sleep -s run/sock status",
        "-p other -s run/sock stop",
        "-C z.conf status",
        "-C z.conf restart 100",
    ];
    let file = "<runner>\nprogram sleep\nsocket-name run/sock\n</runner>\n";
    let prepare = |dir: &Scratch| {
        // As root, the real one can't make it.
        std::fs::create_dir(dir.at("run")).unwrap();
        dir.write("z.conf", file);
    };
    let Some(ours) = live(prepare, &lines) else { return };
    assert_eq!(ours[1].1, "\ndaemon process started, pid=PID\n");
    assert!(ours[9].1.ends_with("\ndaemon process stopped\n"), "{ours:?}");
}

#[test]
fn a_program_that_can_not_be_started_is_told_in_the_same_words() {
    let lines = ["-p nosuch start", "-p ./nosuch restart", "-p ./plain start", "-p nosuch status"];
    let prepare = |dir: &Scratch| drop(dir.write("plain", ""));
    let Some(real) = real() else { return };
    let [ours, theirs] = [None, Some(&real)].map(|real| play(real, &prepare, &lines));
    for (line, (ours, theirs)) in lines.iter().zip(ours.iter().zip(&theirs)) {
        // A restart that fails is a failure, here.
        let code = if line.contains("restart") { 1 } else { theirs.0 };
        assert_eq!(ours, &(code, theirs.1.clone(), theirs.2.clone()), "{line}");
    }
    assert!(ours[0].2.starts_with("Error: can't find program 'nosuch' on PATH ["), "{ours:?}");
}

#[test]
fn without_a_daemon_start_waits_for_the_program_and_hides_its_code() {
    let file = "<runner>\nprogram ./p\ndaemon off\nexit-codes 5\n</runner>\n";
    let prepare = |dir: &Scratch| {
        dir.write("z.conf", file);
        dir.script("p", "#!/bin/sh\necho out $*\necho err >&2\nexit 5\n");
    };
    let Some(ours) = live(prepare, &["-C z.conf start one", "-C z.conf status"]) else { return };
    assert_eq!(ours[0], (0, "out one\n".into(), "err\n".into()));
}
