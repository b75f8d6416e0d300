//! The options of `lar [OPTIONS] -- PROGRAM` and their variables: which one counts, and what is said about
//! mistakes. What they do: `tests/single.rs`.

#[path = "support/lar.rs"]
mod lar;

use std::process::Command;

use lar::{Answer, LAR, answer};

/// Runs lar with these words to its end.
#[track_caller]
fn run(words: &[&str]) -> Answer {
    answer(Command::new(LAR).args(words))
}

/// The same, with these variables.
#[track_caller]
fn run_with(variables: &[(&str, &str)], words: &[&str]) -> Answer {
    answer(Command::new(LAR).args(words).envs(variables.iter().copied()))
}

#[test]
fn every_option_has_a_variable_and_the_command_line_wins() {
    let exit = |code: &str| format!("exit {code}");
    run_with(&[("LAR_REMAP", "3:4")], &["--", "sh", "-c", &exit("3")]).expect(4);
    run_with(&[("LAR_REMAP", "3:4")], &["--remap", "3:5", "--", "sh", "-c", &exit("3")]).expect(5);
    let always = [("LAR_RESTART", "always"), ("LAR_BACKOFF", "none"), ("LAR_GIVE_UP", "after 2")];
    let answer = run_with(&always, &["--", "sh", "-c", "echo run; exit 4"]).expect(4);
    assert_eq!(answer.out, "run\nrun\n");
    let answer = run_with(&always, &["--restart", "never", "--", "sh", "-c", "echo run; exit 4"]);
    assert_eq!(answer.expect(4).out, "run\n");
    let answer = run_with(&[("LAR_VERBOSE", "1")], &["--", "true"]).expect(0);
    assert!(answer.err.contains("exit status 0"), "{answer:?}");
    assert_eq!(run_with(&[("LAR_VERBOSE", "1")], &["--verbose=no", "--", "true"]).err, "");
    // An empty variable is none.
    let empty = ["GROUP", "REWRITE", "REMAP", "DRAIN", "GRACE", "RESTART", "BACKOFF", "GIVE_UP"];
    let names: Vec<String> = empty.iter().map(|name| format!("LAR_{name}")).collect();
    let empty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    run_with(&empty, &["--", "sh", "-c", "exit 6"]).expect(6);
}

#[test]
fn variables_are_for_this_lar_and_not_for_one_within() {
    let script = format!("env | grep -c ^LAR_GRACE; exec {LAR} -- sh -c 'exit 3'");
    let answer =
        run_with(&[("LAR_REMAP", "3:4"), ("LAR_GRACE", "1s")], &["--", "sh", "-c", &script]);
    assert_eq!(answer.expect(4).out, "0\n");
}

#[test]
fn mistakes_are_named_and_nothing_is_started() {
    for (words, message) in [
        (&["--grop", "--", "echo"][..], "unknown option '--grop'; did you mean '--group'?"),
        (&["-x", "--", "echo"], "unknown option '-x'"),
        (&["--group", "echo"], "unexpected 'echo': the program comes after --"),
        (&["--group"], "no program: the options are followed by -- PROGRAM"),
        (&["--"], "no program after --"),
        (&["--grace", "--", "echo"], "--grace needs a value: TIME"),
        (&["--grace"], "--grace needs a value: TIME"),
        (&["--grace", "soon", "--", "echo"], "--grace: `soon` is not a time"),
        (&["--drain", "5", "--", "echo"], "--drain: "),
        (&["--rewrite", "TERM", "--", "echo"], "--rewrite: 'TERM' is not FROM:TO"),
        (&["--rewrite", "TERM:NOPE", "--", "echo"], "--rewrite: 'TERM:NOPE' is not FROM:TO"),
        (&["--remap", "1:256", "--", "echo"], "--remap: '1:256' is not FROM:TO"),
        (&["--group=perhaps", "--", "echo"], "--group: 'perhaps' is neither yes nor no"),
        (&["--restart", "sometimes", "--", "echo"], "--restart: `sometimes` is none of"),
        (&["--backoff", "often", "--", "echo"], "--backoff: `often` is none of"),
        (&["--give-up", "soon", "--", "echo"], "--give-up: "),
        (&["--healthy-after", "x", "--", "echo"], "--healthy-after: "),
    ] {
        let answer = run(words).expect(2);
        assert!(answer.err.starts_with(&format!("lar: {message}")), "{words:?}: {answer:?}");
        assert_eq!(answer.out, "", "{words:?}");
    }
    for (variable, value) in [("LAR_GRACE", "x"), ("LAR_GROUP", "x"), ("LAR_BACKOFF", "x")] {
        let answer = run_with(&[(variable, value)], &["--", "echo"]).expect(2);
        assert!(answer.err.starts_with(&format!("lar: {variable}: ")), "{answer:?}");
    }
}
