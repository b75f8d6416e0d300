//! zdaemon's client as lar is it: what it prints and ends with, before managers in every state.

#[path = "zdaemon_client/cases.rs"]
mod cases;
#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;

use std::process::{Command, Stdio};

use desk::{Manager, State, asked};
use lar::{Lines, Scratch, code, ended};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Asks lar without a manager.
#[track_caller]
fn ask(dir: &Scratch, words: &[&str]) -> (i32, String, String) {
    let answer = asked(dir, desk::lar(dir, words));
    (answer.code, answer.out, answer.err)
}

#[test]
fn every_action_has_its_words_and_its_code_in_every_state() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let dir = Scratch::new();
        let manager = case.state.map(|state| Manager::listen(&dir, state, case.script));
        let words = [&["-p", "sleep 100"][..], case.line].concat();
        let answer = asked(&dir, desk::lar(&dir, &words));
        let sent = manager.as_ref().map_or(String::new(), Manager::sent);
        let found = (answer.code, answer.out.as_str(), answer.err.as_str(), sent.as_str());
        let expected = (case.code, case.out, "", case.sent);
        if found != expected {
            wrong.push(format!("{case:#?}\n gave {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_in_the_options_is_told_in_two_lines() {
    let dir = Scratch::new();
    for (words, message) in cases::MISTAKES {
        let words = [&["-p", "x"][..], words].concat();
        let expected = (2, String::new(), format!("Error: {message}\nFor help, use NAME -h\n"));
        assert_eq!(ask(&dir, &words), expected, "{words:?}");
    }
    let (code, _, err) = ask(&dir, &["status"]);
    assert_eq!((code, err.lines().next()), (2, Some("Error: no program specified; use -p or -C")));
}

#[test]
fn help_and_the_version_go_to_standard_output() {
    let dir = Scratch::new();
    assert_eq!(ask(&dir, &["--version", "x"]), (0, "5.2.1\n".into(), String::new()));
    let (code, out, err) = ask(&dir, &["-p", "x", "-h"]);
    assert!(code == 0 && err.is_empty() && out.contains("--backoff-limit SECONDS"), "{out}");
    let (code, _, err) = ask(&dir, &["-h", "-Q"]);
    assert_eq!((code, err.lines().next()), (2, Some("Error: option -Q not recognized")));
}

#[test]
fn a_manager_of_another_program_is_warned_of_and_a_longer_one_is_not() {
    let dir = Scratch::new();
    let _manager = Manager::listen(&dir, State::Up, &[]);
    let warned = "WARNING! zdrun is managing a different program!\n\
                  our program   = ['sleep', '101']\ndaemon's args = ['sleep', '100']\n\
                  program running; pid=PID\n";
    assert_eq!(ask(&dir, &["-p", "sleep 101", "status"]), (0, warned.into(), String::new()));
    let fine = "program running; pid=PID\n";
    assert_eq!(ask(&dir, &["-p", "sleep", "status"]), (0, fine.into(), String::new()));
}

#[test]
fn the_program_runs_in_the_foreground_and_its_code_is_not_ours() {
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho \"got $*\" \"$FROM_FILE\"\nexit 7\n");
    dir.write(
        "z.conf",
        "<environment>\nFROM_FILE yes\n</environment>\n<runner>\nprogram ./p one\n</runner>\n",
    );
    let expected = "./p one two  three\ngot one two  three yes\n".to_string();
    let answer = ask(&dir, &["-C", "z.conf", "fg", "two  three"]);
    assert_eq!(answer, (0, expected, String::new()));
    let (code, out, err) = ask(&dir, &["-p", "./missing", "foreground"]);
    assert_eq!((code, out.as_str()), (0, "./missing\n"));
    assert_eq!(err, "NAME: [Errno 2] No such file or directory: './missing'\n");
}

#[test]
fn show_prints_every_option_as_python_would() {
    let dir = Scratch::new();
    let (code, out, _) = ask(&dir, &["-p", "a 'b", "-m", "077", "-x", "", "-fz/", "-lx", "show"]);
    let lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("python:")).collect();
    let expected = "zdctl/zdrun options:|schemafile:   'schema.xml'|configfile:   None|zdrun:        None|\
        program:      ['a', \"'b\"]|backofflimit: 10|daemon:       1|forever:      1|sockname:     'zdsock'|\
        exitcodes:    []|user:         None|umask:        0o77|directory:    '/'|logfile:      'x'|\
        transcript:   '/dev/null'";
    assert_eq!((code, lines.join("|").as_str()), (0, expected));
    let (_, out, _) = ask(&dir, &["-p", "x", "show", "python"]);
    assert!(out.starts_with("Python info:\nVersion:      lar "), "{out}");
    let (_, out, _) = ask(&dir, &["-p", "x", "show", "all"]);
    assert!(out.contains("'/dev/null'\n\nPython info:\n"), "{out}");
    let unknown = "'ZDCmd' object has no attribute 'show_x'\nshow options -- show zdctl options\n\
                   show python -- show Python version and details\nshow all -- show all of the above\n";
    assert_eq!(ask(&dir, &["-p", "x", "show", "x"]), (0, unknown.into(), String::new()));
}

/// A client whose output is read as it comes; standard output, and the client.
fn client(dir: &Scratch, words: &[&str]) -> (Lines, std::process::Child) {
    let mut command: Command = desk::lar(dir, words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    (Lines::of(child.stdout.take().unwrap()), child)
}

fn interrupt(child: &mut std::process::Child) -> i32 {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    code(ended(child, lar::DEADLINE).expect("the client ends"))
}

#[test]
fn ctrl_c_ends_the_waiting_and_claims_nothing() {
    let dir = Scratch::new();
    let _manager = Manager::listen(&dir, State::Up, &[]);
    let mut child = desk::lar(&dir, &["-p", "sleep 100", "stop"]);
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut dot = [0; 2];
    std::io::Read::read_exact(&mut out, &mut dot).unwrap();
    assert_eq!(&dot, b". ");
    assert_eq!(interrupt(&mut child), 130);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    assert_eq!(rest.replace(". ", ""), "\n");
}

#[test]
fn ctrl_c_also_ends_the_question_to_a_manager_that_never_answers() {
    let dir = Scratch::new();
    let listener = std::os::unix::net::UnixListener::bind(dir.at("zdsock")).unwrap();
    let (_, mut child) = client(&dir, &["-p", "sleep 100", "status"]);
    let _connection = listener.accept().unwrap();
    assert_eq!(interrupt(&mut child), 130);
}

#[test]
fn logtail_shows_the_end_what_is_added_and_that_a_file_was_cut() {
    let dir = Scratch::new();
    let lines: String = (1..=12).map(|number| format!("line {number}\n")).collect();
    let log = dir.write("log", &lines);
    let (mut out, mut child) = client(&dir, &["-p", "x", "-l", "log", "logtail"]);
    out.until("line 12");
    let expected: Vec<String> = (3..=12).map(|number| format!("line {number}")).collect();
    assert_eq!(out.seen, expected);
    let mut file = std::fs::File::options().append(true).open(&log).unwrap();
    std::io::Write::write_all(&mut file, b"line 13\n").unwrap();
    out.until("line 13");
    file.set_len(0).unwrap();
    out.until("==> File truncated <==");
    std::io::Write::write_all(&mut file, b"new\n").unwrap();
    out.until("new");
    assert_eq!(interrupt(&mut child), 0);
    assert_eq!(out.next().as_deref(), Some(""));
    let (code, text, _) = ask(&dir, &["-p", "x", "logtail", "nofile"]);
    assert_eq!((code, text.as_str()), (0, "[Errno 2] No such file or directory: 'nofile'\n"));
    let (_, text, _) = ask(&dir, &["-p", "x", "logtail"]);
    assert_eq!(text, "No default log file specified; use logtail <logfile>\n");
}

#[test]
fn directories_are_made_for_the_user_that_everything_belongs_to() {
    use std::os::unix::fs::MetadataExt;
    let dir = Scratch::new();
    if !lar::root() {
        let refused = "Error: only root can use -u USER to change users\nFor help, use NAME -h\n";
        let answer = ask(&dir, &["-p", "x", "-u", "root", "status"]);
        assert_eq!(answer, (2, String::new(), refused.into()));
        return lar::skip("the rest needs root: it becomes another user");
    }
    let words = ["-p", "id -u", "-u", "nobody", "-z", "{dir}/run", "-s", "{dir}/sock/z", "fg"];
    let words = words.map(|word| dir.fill(word));
    let (code, out, err) = ask(&dir, &words.each_ref().map(String::as_str));
    let users = ::lar::sys::users::Users::load().unwrap();
    let nobody = users.by_name("nobody").expect("there is a nobody");
    assert_eq!((code, out, err), (0, format!("id -u\n{}\n", nobody.uid), String::new()));
    for made in ["run", "sock"] {
        let metadata = std::fs::metadata(dir.at(made)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (nobody.uid, nobody.gid), "{made}");
    }
}
