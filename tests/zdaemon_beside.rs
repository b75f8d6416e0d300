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
