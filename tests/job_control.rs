//! Single-program mode on a terminal, as a shell's job: the real binary, a real bash, a real pseudo-terminal.
//!
//! `tests/terminal.rs` has the same from the inside. Defects are numbered as in the list of what other
//! container inits get wrong.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "support/pty.rs"]
mod pty;

use std::process::Command;

use lar::LAR;
use pty::Session;

/// A program that says when it is continued, and answers to lines on the terminal.
const ECHO: &str =
    r#"trap "echo continued" CONT; echo up; while read -r x; do echo "got $x"; done"#;

#[test]
fn defect_03_the_terminal_works_when_standard_input_is_redirected() {
    let mut shell = Session::shell();
    shell.type_line(&format!(
        "{LAR} -- sh -c 'echo up; read -r x </dev/tty; echo \"got $x\"' </dev/null; echo \"code $?\""
    ));
    shell.until("up\r\n");
    shell.type_line("hello");
    shell.until("got hello\r\n");
    shell.until("code 0\r\n");
}

#[test]
fn defect_04_ctrl_z_stops_lar_too_and_fg_brings_the_program_back() {
    let mut shell = Session::shell();
    shell.type_line(&format!("{LAR} -- bash -c '{ECHO}'"));
    shell.until("up\r\n");
    for round in 0..3 {
        shell.type_line(&format!("line {round}"));
        shell.until(&format!("got line {round}\r\n"));
        shell.press("\x1a");
        shell.until("Stopped");
        shell.type_line("echo shell''-lives");
        shell.until("shell-lives\r\n");
        shell.type_line("fg");
        shell.until("continued\r\n");
    }
    shell.type_line("last");
    shell.until("got last\r\n");
    shell.press("\x04");
    shell.type_line("echo \"code $?\"");
    shell.until("code 0\r\n");
}

#[test]
fn defect_04_ctrl_z_means_nothing_to_the_program_of_a_pid_1() {
    let Some(words) = namespace::namespace() else { return };
    let mut words = words.to_vec();
    words.extend([LAR, "--", "bash", "-c", ECHO].map(str::to_owned));
    let mut session = Session::start(Command::new(&words[0]).args(&words[1..]));
    session.until("up\r\n");
    session.press("\x1a");
    session.until("continued\r\n");
    session.type_line("still here");
    session.until("got still here\r\n");
    session.press("\x04");
    assert!(session.end().success());
}

#[test]
fn defect_05_a_job_in_the_background_does_not_take_the_terminal() {
    let mut shell = Session::shell();
    shell.type_line(&format!("{LAR} -- sh -c 'echo up; exec sleep 1000' &"));
    shell.until("up\r\n");
    shell.type_line("read -r x; echo \"shell got $x\"");
    shell.type_line("hello");
    shell.until("shell got hello\r\n");
    shell.type_line("kill %1; wait %1; echo \"code $?\"");
    shell.until("code 143\r\n");
}

#[test]
fn defect_11_a_resize_is_one_signal() {
    let mut shell = Session::shell();
    let program = r#"trap "echo resized" WINCH; echo up; while read -r x; do echo "got $x"; done"#;
    shell.type_line(&format!("{LAR} -- bash -c '{program}'; echo \"code $?\""));
    shell.until("up\r\n");
    let resize = |columns: &str| {
        let mut stty = Command::new("stty");
        assert!(stty.args(["-F", &shell.terminal, "cols", columns]).status().unwrap().success());
    };
    resize("101");
    // bash runs the trap when its `read` is done.
    shell.type_line("one");
    shell.type_line("two");
    let first = shell.until("got one\r\n");
    let all = first + &shell.until("got two\r\n");
    assert_eq!(all.matches("resized").count(), 1, "{all:?}");
    shell.press("\x04");
    shell.until("code 0\r\n");
}

#[test]
fn ctrl_c_reaches_the_program_once() {
    let mut shell = Session::shell();
    let program = r#"trap "echo interrupted" INT; echo up; while [ "$x" != end ]; do read -r x && echo "got $x"; done"#;
    shell.type_line(&format!("{LAR} -- bash -c '{program}'; echo \"code $?\""));
    shell.until("up\r\n");
    shell.press("\x03");
    // bash runs the trap at once, or (if the signal comes just before the call) when its `read` is done.
    shell.type_line("on");
    let first = shell.until("got on\r\n");
    shell.type_line("and on");
    let all = first + &shell.until("got and on\r\n");
    assert_eq!(all.matches("interrupted").count(), 1, "{all:?}");
    shell.type_line("end");
    shell.until("code 0\r\n");
}

#[test]
fn fg_gives_the_terminal_to_a_program_that_ran_in_the_background() {
    let mut shell = Session::shell();
    // It runs on in the background; its first read comes only when it is told to.
    let program = r#"trap "go=1" USR1; echo up; while [ -z "$go" ]; do sleep 0.05; done; read -r x; echo "got $x""#;
    shell.type_line(&format!("{LAR} -- bash -c '{program}' &"));
    shell.until("up\r\n");
    shell.type_line("lar=$!; (kill -USR1 $lar) ; fg");
    shell.type_line("hello");
    shell.until("got hello\r\n");
    shell.type_line("echo \"code $?\"");
    shell.until("code 0\r\n");
}

#[test]
fn a_program_in_the_background_that_reads_stops_lar_and_fg_lets_it_read() {
    let mut shell = Session::shell();
    shell.type_line(&format!("{LAR} -- sh -c 'echo up; read -r x; echo \"got $x\"' &"));
    shell.until("up\r\n");
    // The shell says so before its next command, once it has seen it.
    shell.type_line("until [ -n \"$(jobs -s)\" ]; do sleep 0.05; done; echo seen''-stopped");
    shell.until("seen-stopped\r\n");
    shell.type_line("fg");
    shell.type_line("hello");
    shell.until("got hello\r\n");
}

#[test]
fn the_terminal_is_given_back_to_a_script_that_goes_on() {
    let mut shell = Session::shell();
    let script = format!("{LAR} -- true; echo after; read -r x; echo \"script got $x\"");
    shell.type_line(&format!("sh -c '{script}'"));
    shell.until("after\r\n");
    shell.type_line("hello");
    shell.until("script got hello\r\n");
}

#[test]
fn each_process_of_a_restarted_program_has_the_terminal() {
    let mut shell = Session::shell();
    let program = "read -r x </dev/tty; echo \"got $x\"; [ \"$x\" = end ]";
    shell.type_line(&format!(
        "{LAR} --restart on-failure --backoff none -- sh -c '{program}' 2>/dev/null; echo \"code $?\""
    ));
    for line in ["one", "two", "end"] {
        shell.type_line(line);
        shell.until(&format!("got {line}\r\n"));
    }
    shell.until("code 0\r\n");
}

#[test]
fn a_hang_up_ends_the_program_and_lar() {
    let mut session = Session::start(Command::new(LAR).args(["--", "sh", "-c", "echo up; cat"]));
    session.until("up\r\n");
    let pid = session.pid();
    // lar leads the session here: only it is told of the hang-up.
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    assert_eq!(lar::code(session.end()), 129);
}

#[test]
fn the_program_finds_the_signal_state_that_lar_was_given_on_a_terminal_too() {
    let mut shell = Session::shell();
    let grep = "grep -E '^(SigBlk|SigIgn|SigCgt)' /proc/self/status";
    let env = "env --block-signal=USR1,TTIN --ignore-signal=HUP,TTOU,CHLD";
    shell.type_line(&format!("{env} {grep}; echo plain''-end"));
    let plain = shell.until("plain-end\r\n");
    shell.type_line(&format!("{env} {LAR} -- {grep}; echo lar''-end"));
    assert_eq!(shell.until("lar-end\r\n"), plain);
    assert!(plain.contains("SigBlk"), "{plain}");
}
