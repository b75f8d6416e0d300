//! `lar with-lock`: a program while nobody else holds a lock.

#[path = "support/lar.rs"]
mod lar;

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use lar::{DEADLINE, LAR, Lines, Scratch, answer, code, ended};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn with_lock(dir: &Scratch, words: &str) -> Command {
    let mut command = Command::new(LAR);
    command.arg("with-lock").args(words.split_whitespace()).current_dir(&dir.path);
    command
}

/// A `with-lock` that runs, with its pipes.
struct Held {
    child: Child,
    out: Lines,
}

impl Held {
    /// One whose command says `held` and then waits for the end of its input.
    fn start(dir: &Scratch, options: &str) -> Held {
        Held::run(dir, options, "echo held; cat")
    }

    fn run(dir: &Scratch, options: &str, script: &str) -> Held {
        let mut command = with_lock(dir, &format!("{options} lock --"));
        command.args(["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        Held { child, out }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Lets its command go on; how lar ended.
    fn end(mut self) -> i32 {
        drop(self.child.stdin.take());
        code(ended(&mut self.child, DEADLINE).expect("it ends"))
    }
}

fn is_free(dir: &Scratch) -> bool {
    let file = File::options().write(true).open(dir.at("lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
}

#[test]
fn the_command_runs_under_the_lock_and_lar_ends_as_it_does() {
    let dir = Scratch::new();
    let mut held = Held::run(&dir, "", "echo held; cat; exit 7");
    held.out.until("held");
    assert!(!is_free(&dir));
    let refused = answer(with_lock(&dir, "--no-wait lock -- touch ran").env("LAR_VERBOSE", "1"));
    assert!(refused.expect(15).err.contains("lock: somebody holds this lock"));
    answer(&mut with_lock(&dir, "--no-wait --shared lock -- touch ran")).expect(15);
    assert!(!dir.at("ran").exists());
    assert_eq!(held.end(), 7);
    assert!(is_free(&dir) && dir.at("lock").exists());
    answer(&mut with_lock(&dir, "--no-wait lock -- touch ran")).expect(0);
    assert!(dir.at("ran").exists());
}

#[test]
fn several_share_a_shared_lock_and_one_waits_for_all_of_them() {
    let dir = Scratch::new();
    let (mut one, mut two) = (Held::start(&dir, "--shared"), Held::start(&dir, "--shared"));
    one.out.until("held");
    two.out.until("held");
    let mut third = Held::start(&dir, "");
    assert_eq!(one.end(), 0);
    assert!(!is_free(&dir));
    assert!(third.out.now().is_empty(), "it has started too soon");
    assert_eq!(two.end(), 0);
    third.out.until("held");
    assert_eq!(third.end(), 0);
}

#[test]
fn ctrl_c_ends_the_waiting_and_nothing_is_run() {
    let dir = Scratch::new();
    let mut held = Held::start(&dir, "");
    held.out.until("held");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut waiting = Held::run(&dir, "", "touch ran");
        // Sent as soon as it waits: before that it would be passed on to the command.
        until_it_waits(waiting.pid());
        kill(waiting.pid(), signal).unwrap();
        let status = ended(&mut waiting.child, DEADLINE).expect("it ends");
        assert_eq!(code(status), 128 + signal as i32);
    }
    assert_eq!(held.end(), 0);
    assert!(!dir.at("ran").exists());
}

/// Until a process waits in flock(2): what it is blocked in stands in /proc.
fn until_it_waits(pid: Pid) {
    let end = std::time::Instant::now() + DEADLINE;
    let blocked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let pid = pid.to_string();
        locks.lines().any(|line| line.contains("->") && line.split(' ').any(|word| word == pid))
    };
    while !blocked() {
        assert!(std::time::Instant::now() < end, "it does not wait for the lock");
        std::thread::yield_now();
    }
}

#[test]
fn signals_reach_the_command() {
    let dir = Scratch::new();
    let script = "trap 'exit 9' TERM; echo held; while :; do read line || :; done";
    let mut held = Held::run(&dir, "", script);
    held.out.until("held");
    kill(held.pid(), Signal::SIGTERM).unwrap();
    // The shell looks at its traps when its command is over.
    held.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(held.end(), 9);
    let mut held = Held::run(&dir, "", "echo held; kill -KILL $$");
    held.out.until("held");
    assert_eq!(held.end(), 137);
}

#[test]
fn what_the_command_leaves_behind_does_not_hold_the_lock_and_lives_on() {
    let dir = Scratch::new();
    let fds = "ls -l /proc/self/fd | grep -c /lock";
    let script = format!("{fds}; (exec sleep 1000 <&- >&- 2>&-) & echo $!");
    let mut held = Held::run(&dir, "", &script);
    assert_eq!(held.out.next().as_deref(), Some("0"), "the command has the lock's fd");
    let left: i32 = held.out.next().unwrap().parse().unwrap();
    assert_eq!(held.end(), 0);
    assert!(is_free(&dir));
    kill(Pid::from_raw(left), Signal::SIGKILL).expect("it lives on");
}

#[test]
fn what_can_not_be_run_or_locked_has_a_code_of_its_own() {
    let dir = Scratch::new();
    answer(&mut with_lock(&dir, "lock -- /no/such/program")).expect(127);
    dir.write("text", "no program");
    answer(&mut with_lock(&dir, "lock -- ./text")).expect(126);
    let nowhere = answer(&mut with_lock(&dir, "no/such/lock -- touch ran")).expect(1);
    assert!(nowhere.err.contains("no/such/lock: No such file or directory"), "{nowhere:?}");
    for bad in ["", "lock", "lock --", "lock touch ran", "--sharde lock -- touch ran"] {
        let answer = answer(&mut with_lock(&dir, bad)).expect(2);
        assert!(answer.err.contains("with-lock: "), "{answer:?}");
    }
    assert!(!dir.at("ran").exists());
    assert!(answer(&mut with_lock(&dir, "--help")).expect(0).out.contains("usage: lar with-lock"));
}

#[test]
fn fifty_at_once_take_turns() {
    let dir = Scratch::new();
    dir.write("count", "0");
    // Read, wait for another process, write: without the lock most of the increments would be lost.
    let script = "n=$(cat count); /bin/true; echo $((n + 1)) > count";
    let mut all: Vec<Held> = (0..50).map(|_| Held::run(&dir, "", script)).collect();
    for held in all.drain(..) {
        assert_eq!(held.end(), 0);
    }
    assert_eq!(dir.read("count"), "50\n");
}
