//! What the tests of `sys` share: real children, started by lar's own spawn, and helpers that are
//! this test binary again.

#![allow(dead_code)] // each test file uses its own part of this

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lar::exit::{Errno, ExitStatus, Pid, Stage};
use lar::plan::{Process, Setup};
use lar::sys::reap;
use lar::sys::signals::{Saved, Set};
use lar::sys::spawn::{Environment, Given, Image, Recipe, Spawner};
use lar::sys::{fd, pipe};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

/// Generous: only a test that fails waits that long.
const DEADLINE: Duration = Duration::from_secs(30);

/// What lar was given, with this environment and a clean signal state.
pub fn given(variables: &[(&str, &str)]) -> Given {
    let pairs = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    Given {
        environment: Environment::new(pairs),
        signals: Saved { mask: Set::EMPTY, ignored: Set::EMPTY },
        files: None,
        terminal: None,
    }
}

/// A process that runs these words.
pub fn process(words: &[&str]) -> Process {
    Process { argv: words.iter().map(|&word| word.into()).collect(), ..Process::default() }
}

/// A pipe for what children write.
pub struct Pipe {
    pub read: OwnedFd,
    pub write: OwnedFd,
}

impl Pipe {
    pub fn new() -> Pipe {
        let (read, write) = pipe::make().expect("a pipe");
        Pipe { read, write }
    }
}

/// What a child wrote, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub pid: Pid,
    pub output: String,
    pub status: ExitStatus,
}

impl Outcome {
    /// The value behind `name:` in what /proc/PID/status says.
    pub fn field(&self, name: &str) -> &str {
        let mut lines = self.output.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {name} in {self:?}")).trim()
    }
}

/// Runs words with this setup to their end.
pub fn run(setup: &Setup, words: &[&str]) -> Result<Outcome, (Stage, Errno)> {
    run_process(given(&[("PATH", "/usr/bin:/bin")]), setup, &process(words))
}

/// Runs a process to its end, gathering both of its outputs.
pub fn run_process(
    given: Given,
    setup: &Setup,
    process: &Process,
) -> Result<Outcome, (Stage, Errno)> {
    let pipe = Pipe::new();
    let null = fd::open_null().expect("/dev/null");
    let write = pipe.write.as_raw_fd();
    let recipe = Recipe::new(setup, process, [null.as_raw_fd(), write, write]);
    let image = Image::new(&Rc::new(given), &recipe).expect("an image");
    let pid = Spawner::new().expect("a stack").spawn(&image)?;
    drop(pipe.write);
    let output = read_all(&pipe.read);
    Ok(Outcome { pid, output, status: wait(pid) })
}

/// Reads to the end.
pub fn read_all(from: &std::os::fd::OwnedFd) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let deadline = Instant::now() + DEADLINE;
    loop {
        match fd::read(from, &mut buffer) {
            Ok(0) => return String::from_utf8_lossy(&all).into_owned(),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(_) => await_readable(from, deadline),
        }
    }
}

/// Reads until the output ends with this text.
pub fn read_until(from: &std::os::fd::OwnedFd, end: &str) -> String {
    let mut all = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while !all.ends_with(end.as_bytes()) {
        let mut byte = [0];
        match fd::read(from, &mut byte) {
            Ok(0) => break,
            Ok(_) => all.push(byte[0]),
            Err(_) => await_readable(from, deadline),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn await_readable(fd: &std::os::fd::OwnedFd, deadline: Instant) {
    use std::os::fd::AsFd;
    let left = deadline.saturating_duration_since(Instant::now());
    assert!(!left.is_zero(), "nothing to read for {DEADLINE:?}");
    let timeout = PollTimeout::try_from(left).expect("half a minute");
    let _ = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout);
}

/// Waits until a child has ended, and reaps it.
pub fn wait(pid: Pid) -> ExitStatus {
    await_end(pid);
    reap::reap(pid).expect("it has ended")
}

/// Waits until a child has ended; it is not reaped.
pub fn await_end(pid: Pid) {
    let id = || Id::Pid(nix::unistd::Pid::from_raw(pid.0));
    let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(id(), how) == Err(nix::errno::Errno::EINTR) {}
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says why a test does nothing here.
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// The words that run this test binary again, in a process of its own, as the (ignored) test
/// `helper`.
const HELPER: [&str; 5] = ["helper", "--exact", "--ignored", "--nocapture", "--test-threads=1"];

/// The command for a helper that does what `role` says. It ends with 0, or says why not on its
/// standard error.
pub fn helper(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(HELPER).env("ROLE", role);
    command
}

/// Runs a helper that must end with 0.
pub fn run_helper(role: &str) {
    run_helper_with(role, Saved { mask: Set::EMPTY, ignored: Set::EMPTY });
}

/// Runs a helper that finds this signal state; all of its threads do, which a change from within
/// could not achieve.
pub fn run_helper_with(role: &str, signals: Saved) {
    let setup = Setup { session: lar::plan::Session::Given, ..Setup::default() };
    let outcome = run_process(Given { signals, ..Given::collect() }, &setup, &helper_process(role));
    let outcome = outcome.expect("it starts");
    assert!(outcome.status.success(), "{role}: {}: {}", outcome.status, outcome.output);
}

/// A helper as a process for lar's own spawn.
pub fn helper_process(role: &str) -> Process {
    let exe = std::env::current_exe().expect("this binary");
    let words: Vec<&str> = exe.to_str().into_iter().chain(HELPER).collect();
    Process { environment: vec![("ROLE".into(), role.into())], ..process(&words) }
}

/// In a helper: like assert, but says so on standard error and ends the process.
pub fn check(right: bool, what: &str) {
    if !right {
        eprintln!("not true: {what}");
        std::process::exit(1);
    }
}
