//! The interactive shells: zdaemon's and `lar ctl`'s, on a real terminal and without one.

#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/pty.rs"]
mod pty;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use desk::{Manager, Script, State};
use lar::{LAR, Lar, Scratch};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pty::Session;

/// zdaemon's shell for `sleep 100` on a terminal, up to its first prompt.
fn shell(dir: &Scratch, words: &[&str]) -> Session {
    let socket = dir.at("zdsock");
    let words = [&["-p", "sleep 100", "-s", socket.to_str().unwrap()], words].concat();
    let mut session = Session::start(&desk::lar(dir, &words));
    session.until("program: sleep 100\r\n");
    session.until("zdaemon> ");
    session
}

/// What the shell prints when these lines come from a pipe, and its exit code.
#[track_caller]
fn piped(dir: &Scratch, words: &[&str], lines: &str) -> (i32, String) {
    let mut command = desk::lar(dir, words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
    (lar::code(child.wait().unwrap()), out)
}

#[test]
fn lines_from_a_pipe_are_obeyed_one_after_the_other() {
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho \"got $*\"\n");
    let lines = "\nbogus\nfg a  b\nshow nothing\n!echo $((6*7))\nshell cat\nof cat\n";
    let (code, out) = piped(&dir, &["-i", "-p", "./p"], lines);
    let expected = "program: ./p\ndaemon manager not running\n\
        zdaemon> daemon manager not running\n\
        zdaemon> *** Unknown syntax: bogus\n\
        zdaemon> ./p a b\ngot a b\n\
        zdaemon> 'ZDCmd' object has no attribute 'show_nothing'\nshow options -- show zdctl options\n\
        show python -- show Python version and details\nshow all -- show all of the above\n\
        zdaemon> 42\n\
        zdaemon> of cat\n\
        zdaemon> \n";
    assert_eq!((code, out.as_str()), (0, expected));
}

#[test]
fn an_action_before_the_shell_comes_first_and_the_prompt_is_the_files() {
    let dir = Scratch::new();
    dir.write("z.conf", "<runner>\nprogram sleep 100\nprompt my>\n</runner>\n");
    let (code, out) = piped(&dir, &["-C", "z.conf", "-i", "stop"], "quit\nstatus\n");
    let expected = "daemon manager not running\nprogram: sleep 100\ndaemon manager not running\n\
                    my> daemon manager not running\n";
    assert_eq!((code, out.as_str()), (0, expected));
}

#[test]
fn options_are_read_anew() {
    let dir = Scratch::new();
    dir.write("z.conf", "<runner>\nprogram sleep 100\n</runner>\n");
    dir.write("y.conf", "<runner>\nprogram cat\nprompt new>\n</runner>\n");
    let lines = "reload\nreload -b 7\nshow\nreload -C y.conf\nreload -p x\n";
    let (_, out) = piped(&dir, &["-C", "z.conf", "-i"], lines);
    let lines: Vec<&str> =
        out.lines().filter(|line| line.contains('>') || line.contains("backoff")).collect();
    let expected = [
        "zdaemon> Configuration reloaded from z.conf",
        "zdaemon> Configuration reloaded from z.conf",
        "zdaemon> zdctl/zdrun options:",
        "backofflimit: 7",
        "zdaemon> Configuration reloaded from y.conf",
        "new> Configuration reloaded from y.conf",
        "new> ",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn options_that_are_wrong_are_not_taken() {
    let dir = Scratch::new();
    let mut command = desk::lar(&dir, &["-i", "-p", "sleep 1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = b"reload -Q\nreload status\nreload -h\nreload -p y\n";
    child.stdin.take().unwrap().write_all(lines).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.matches("zdaemon> Configuration not reloaded\n").count(), 2, "{out}");
    assert!(out.contains("Configuration reloaded without a config file\n"), "{out}");
    let errors: Vec<&str> = err.lines().filter(|line| line.starts_with("Error")).collect();
    let positional = "Error: positional arguments are not supported";
    assert_eq!(errors, ["Error: option -Q not recognized", positional]);
}

/// What `quit` says and sends to a manager in this state.
fn quit(state: State, script: Script) -> (String, String) {
    let dir = Scratch::new();
    let manager = Manager::listen(&dir, state, script);
    let (code, out) = piped(&dir, &["-i", "-p", "sleep 100"], "quit\n");
    assert_eq!(code, 0);
    let said = out.split_once("zdaemon> ").map_or("", |(_, said)| said);
    (said.replace(". ", ""), manager.sent())
}

#[test]
fn quit_takes_a_manager_along_that_has_no_program() {
    let stopped = "daemon process not running; stopping daemon manager\n\ndaemon manager stopped\n";
    let cases: [(State, Script, &str, &str); 3] = [
        (State::Up, &[], "daemon process and daemon manager still running\n", ""),
        (State::Backoff, &[("stop", &[State::Backoff, State::Gone])], stopped, "stop"),
        (State::Old, &[("exit", &[State::Old, State::Gone])], stopped, "exit"),
    ];
    for (state, script, said, sent) in cases {
        assert_eq!(quit(state, script), (said.into(), sent.into()), "{state:?}");
    }
}

#[test]
fn without_an_action_there_is_a_shell_on_a_terminal_only() {
    let dir = Scratch::new();
    let mut session = shell(&dir, &[]);
    session.press("\x04");
    session.until("\r\n");
    assert!(session.end().success());
    dir.write("z.conf", "<runner>\nprogram sleep 100\ndefault-to-interactive no\n</runner>\n");
    let file = dir.at("z.conf");
    let mut session = Session::start(&desk::lar(&dir, &["-C", file.to_str().unwrap()]));
    session.until("Error: either -i or an action argument is required\r\n");
    assert_eq!(session.end().code(), Some(2));
}

#[test]
fn a_program_is_started_watched_and_stopped_from_the_shell() {
    let dir = Scratch::new();
    let mut session = shell(&dir, &[]);
    session.press("start\r");
    session.until("daemon process started, pid=");
    session.until("zdaemon> ");
    session.press("\r");
    session.until("program running; pid=");
    session.press("stop\r");
    session.until("daemon process stopped\r\n");
    session.until("zdaemon> ");
    session.press("quit\r");
    session.until("daemon manager not running\r\n");
    assert!(session.end().success());
}

#[test]
fn a_line_can_be_edited_completed_and_called_back() {
    let dir = Scratch::new();
    let mut session = shell(&dir, &[]);
    // Typed, moved about in, cut; in the end it is `kill 0`.
    session.press("xx kill 9\x01\x1b[3~\x1b[3~\x04\x05\x7f0 rest\x17\x7f\r");
    session.until("invalid signal '0'\r\n\r\x1b[Kzdaemon> ");
    session.press("\x1b[A\x1b[D\x0bHUP\r");
    session.until("daemon process not running\r\n\r\x1b[Kzdaemon> ");
    session.press("\x1b[A\x1b[A\x1b[B\x7f\x7f\x7f33\r");
    session.until("invalid signal '33'\r\n\r\x1b[Kzdaemon> ");
    session.press("reop\t\r");
    session.until("daemon manager not running\r\n\r\x1b[Kzdaemon> ");
    session.press("show x\x15help r\t\t");
    session.until("reload  reopen_transcript  restart\r\n");
    session.press("\x03");
    session.until("^C\r\n\r\x1b[Kzdaemon> ");
    session.press("\x1b[A\x0c");
    session.until("zdaemon> reopen_transcript");
    session.press("\x15wörter\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x08\x1b[Fe\r");
    session.until("*** Unknown syntax: örtere\r\n\r\x1b[Kzdaemon> ");
    session.press("quit\r");
    assert!(session.end().success());
}

#[test]
fn ctrl_c_ends_the_waiting_and_not_the_shell() {
    let dir = Scratch::new();
    let _manager = Manager::listen(&dir, State::Up, &[]);
    let mut session = shell(&dir, &[]);
    session.press("stop\r");
    session.until(". ");
    session.press("\x03");
    session.until("\r\n\r\x1b[Kzdaemon> ");
    session.press("fg\r");
    session.until("please stop it first.\r\n");
    // Ctrl-C is for the command only once there is one: dash forgets one that comes while it is about to start it.
    session.press("!echo \"it \"is up; exec cat\r");
    session.until("it is up\r\n");
    session.press("marco\n");
    session.until("marco\r\nmarco\r\n");
    session.press("\x03");
    session.until("\r\n\r\x1b[Kzdaemon> ");
    session.press("quit\r");
    session.until("still running\r\n");
    assert!(session.end().success());
}

/// Runs `zdaemon` from an interactive bash, and returns what `stty` says when it is gone.
fn terminal_after(end: impl FnOnce(&mut Session, Pid)) -> String {
    let dir = Scratch::new();
    let mut session = Session::shell();
    session.type_line("stty -g | md5sum");
    let before = session.until("  -\r\n");
    desk::lar(&dir, &["--version"]).output().unwrap();
    let link = dir.at("zdaemon");
    session.type_line(&format!("cd {}; {} -p 'sleep 100'", dir.path.display(), link.display()));
    session.until("zdaemon> ");
    let found = dir.processes();
    let shell = found.iter().find(|(_, words)| words.starts_with(link.to_str().unwrap()));
    let pid = shell.unwrap_or_else(|| panic!("no shell in {found:?}")).0;
    end(&mut session, pid);
    session.type_line("echo gone; stty -g | md5sum");
    session.until("gone\r\n");
    let after = session.until("  -\r\n");
    assert_eq!(before, after);
    after
}

#[test]
fn the_terminal_is_as_before_when_the_shell_has_gone() {
    terminal_after(|session, _| session.press("quit\r"));
    terminal_after(|session, _| session.press("\x04"));
    terminal_after(|session, pid| {
        kill(pid, Signal::SIGTERM).unwrap();
        session.until("Terminated");
    });
}

#[test]
fn ctrl_z_stops_the_shell_and_fg_brings_it_back() {
    terminal_after(|session, _| {
        session.press("sta\x1a");
        session.until("Stopped");
        session.type_line("fg");
        session.until("zdaemon> sta");
        session.press("tus\r");
        session.until("daemon manager not running\r\n");
        session.press("quit\r");
    });
}

#[test]
fn lars_own_shell_completes_verbs_and_the_names_of_services() {
    let lar = Lar::start(
        "<service web>\nprogram sleep 1000\n</service>\n<service worker>\nprogram sleep 1000\n</service>\n",
    );
    let mut command = Command::new(LAR);
    command.arg("ctl").arg("-s").arg(lar.dir.at("s"));
    let mut session = Session::start(&command);
    session.until("lar> ");
    session.press("statu\two\t\r");
    session.until("lar> status worker");
    session.until("running");
    session.press("stop w\t\t");
    session.until("web  worker\r\n");
    session.press("\x15quit\r");
    assert!(session.end().success());
}
