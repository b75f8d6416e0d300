//! Single-program mode on a terminal, on a pseudo-terminal of the test's own: who has the
//! foreground, and job control.

#[path = "support/children.rs"]
mod support;

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use lar::exit::{ExitStatus, Pid};
use lar::plan::{Session, Setup};
use lar::signal::Signal;
use lar::sys::fd;
use lar::sys::signals::{Saved, Set};
use lar::sys::spawn::{Given, Image, Recipe, Spawner};
use lar::sys::terminal::{self, Terminal};
use lar::sys::{own_pid, reap, signals};
use support::{Pipe, check, run_helper};

/// Makes a new pseudo-terminal our controlling one. We lead a session already: spawned without a
/// terminal, a helper gets one. The master is held to our end: its close is a hang-up.
fn acquire() -> &'static OwnedFd {
    let pair = nix::pty::openpty(None, None).expect("a pseudo-terminal");
    let name = nix::unistd::ttyname(&pair.slave).expect("its name");
    // Opened by a session leader without O_NOCTTY, it becomes its controlling terminal.
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(name);
    std::mem::forget(opened.expect("it opens"));
    Box::leak(Box::new(pair.master))
}

/// Our own, as lar would find it at its start.
fn given() -> Rc<Given> {
    Rc::new(Given { terminal: Terminal::open(), ..support::given(&[("PATH", "/usr/bin:/bin")]) })
}

/// Starts words in single-program mode; standard input is /dev/null.
fn start(given: &Rc<Given>, pipe: &Pipe, words: &[&str]) -> Pid {
    let setup = Setup { session: Session::Given, ..Setup::default() };
    let process = support::process(words);
    let null = fd::open_null().expect("/dev/null");
    let stdio = [null.as_raw_fd(), pipe.write.as_raw_fd(), 2];
    let image = Image::new(given, &Recipe::new(&setup, &process, stdio)).expect("an image");
    Spawner::new().expect("a stack").spawn(&image).expect("it starts")
}

/// Fields 5, 6 and 8 of /proc/PID/stat, as cat(1) sees itself: group, session, the terminal's
/// foreground group.
fn places(given: &Rc<Given>) -> (Pid, [Pid; 3]) {
    let pipe = Pipe::new();
    let pid = start(given, &pipe, &["cat", "/proc/self/stat"]);
    let line = support::read_until(&pipe.read, "\n");
    support::wait(pid);
    let fields: Vec<i32> =
        line.rsplit(')').next().unwrap_or("").split_whitespace().flat_map(str::parse).collect();
    // The letter of the state is no number: parent, group, session, terminal, foreground.
    (pid, [fields[1], fields[2], fields[4]].map(Pid))
}

#[test]
fn the_program_gets_the_foreground_though_its_stdin_is_redirected_and_gives_it_back() {
    run_helper("foreground");
}

fn foreground() {
    acquire();
    signals::take_over();
    let given = given();
    let terminal = given.terminal.as_ref().expect("a terminal");
    check(terminal.is_ours(), "a session leader has the foreground");
    for _ in 0..2 {
        let (pid, places) = places(&given);
        check(places == [pid, own_pid(), pid], &format!("{pid}: {places:?}"));
        check(!terminal.is_ours(), "the program's group had it to its end");
        check(terminal.take_from(pid) == Ok(()), "taken back");
        check(terminal.is_ours(), "ours again");
    }
}

#[test]
fn a_terminal_that_is_somebody_elses_is_not_taken() {
    run_helper("background");
}

fn background() {
    acquire();
    signals::take_over();
    let given = given();
    let terminal = given.terminal.as_ref().expect("a terminal");
    // A shell's other job: it has the foreground until its end.
    let pipe = Pipe::new();
    let other = start(&given, &pipe, &["sh", "-c", "echo ready; exec sleep 1000"]);
    support::read_until(&pipe.read, "\n");
    check(terminal.foreground() == Ok(other), "the other has the foreground");

    let (pid, places) = places(&given);
    check(places == [pid, own_pid(), other], &format!("{pid}: {places:?}"));
    check(terminal.take_from(pid) == Ok(()), "nothing to take");
    check(terminal.foreground() == Ok(other), "the other still has it");
    check(reap::kill(other, Signal::KILL) == Ok(()), "killed");
    support::wait(other);
}

#[test]
fn without_a_terminal_the_program_gets_its_own_session() {
    run_helper("none");
}

fn none() {
    check(Terminal::open().is_none(), "no terminal");
    let (pid, places) = places(&given());
    check(places[..2] == [pid, pid], &format!("{pid}: {places:?}"));
    check(!terminal::suspend(), "nobody would continue us");
}

#[test]
fn ctrl_z_stops_the_program_then_us_and_a_continue_brings_both_back() {
    run_helper("suspend");
}

/// Plays the shell; the one in the middle, which plays lar, is a helper too.
fn suspend() {
    use std::io::Write;
    let master = acquire();
    signals::take_over();
    let given = given();
    let terminal = given.terminal.as_ref().expect("a terminal");
    let pipe = Pipe::new();
    let middle = support::helper_process("middle");
    let words: Vec<&str> =
        ["env", "ROLE=middle"].into_iter().chain(middle.argv.iter().map(String::as_str)).collect();
    // All of its threads block what lar, with its one, blocks.
    let signals = Saved { mask: signals::handled(), ignored: Set::EMPTY };
    let blocking = Given { signals, terminal: Terminal::open(), ..Given::collect() };
    let lar = start(&Rc::new(blocking), &pipe, &words);
    support::read_until(&pipe.read, "program runs\n");
    std::fs::File::from(master.try_clone().expect("a copy")).write_all(b"\x1a").expect("^Z");
    await_stop(lar);
    check(reap::stopped() == Some((lar, Signal::STOP)), "the one in the middle stops too");
    // fg
    check(terminal.give(lar) == Ok(()), "foreground");
    check(reap::kill_group(lar, Signal::CONT) == Ok(()), "continued");
    let rest = support::read_until(&pipe.read, "program ends\n");
    check(rest.ends_with("program ends\n"), &format!("the program goes on: {rest}"));
    check(support::wait(lar) == ExitStatus::SUCCESS, "the one in the middle ends well");
}

fn middle() {
    signals::take_over();
    signals::announce_stops(true);
    let given = given();
    let terminal = given.terminal.as_ref().expect("a terminal");
    let setup = Setup { session: Session::Given, ..Setup::default() };
    // It reads the terminal: only the foreground may.
    let words = support::process(&["sh", "-c", "echo program runs; exec cat /dev/tty"]);
    let image = Image::new(&given, &Recipe::new(&setup, &words, [0, 1, 2])).expect("an image");
    let program = Spawner::new().expect("a stack").spawn(&image).expect("it starts");
    await_stop(program);
    check(reap::stopped() == Some((program, Signal::TSTP)), "the program has stopped");
    check(terminal.take_from(program) == Ok(()), "taken back");
    check(terminal::suspend(), "we were stopped, and continued");
    check(terminal.is_ours(), "the shell has given us the foreground");
    check(terminal.give(program) == Ok(()), "given on");
    check(reap::kill_group(program, Signal::CONT) == Ok(()), "continued");
    check(reap::kill(program, Signal::TERM) == Ok(()), "ended");
    check(support::wait(program) == ExitStatus::killed(Signal::TERM), "it heard that");
    println!("program ends");
}

fn await_stop(pid: Pid) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let how = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    let _ = waitid(Id::Pid(nix::unistd::Pid::from_raw(pid.0)), how);
}

#[test]
#[ignore = "not a test: what helpers run"]
fn helper() {
    match std::env::var("ROLE").as_deref() {
        Ok("foreground") => foreground(),
        Ok("background") => background(),
        Ok("none") => none(),
        Ok("suspend") => suspend(),
        Ok("middle") => middle(),
        role => check(false, &format!("a role: {role:?}")),
    }
    std::process::exit(0)
}
