//! From kill -9 to the replacement's first instruction, beside a C program that does nothing but
//! `waitpid; vfork; execve`: what any supervisor adds comes on top of that.
//!
//! Both are killed in turn within one run, so that whatever else the machine does hits both. The medians' ratio
//! must stay below [`MOST`].

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// How often each is killed.
const ROUNDS: usize = 300;

/// How often it is tried until the ratio is good: another guest of the machine may have the worse half of one.
const ATTEMPTS: usize = 3;

/// The ratio that must not be exceeded.
const MOST: f64 = 1.5;

/// Long enough for anything that works at all.
const PATIENCE: u16 = 30_000;

/// How long a life is healthy; each kill comes after a longer one.
const HEALTHY: &str = "2ms";
const LIFE: Duration = Duration::from_millis(4);

/// One of the two, and the pipe on which its programs report.
struct Contender {
    child: Child,
    stamps: ChildStdout,
    delays: Vec<u64>,
}

impl Drop for Contender {
    fn drop(&mut self) {
        let orphan = self.program();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(pid) = orphan {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

impl Contender {
    fn start(command: &mut Command) -> Contender {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stamps = child.stdout.take().unwrap();
        let mut this = Contender { child, stamps, delays: Vec::new() };
        this.stamp();
        this
    }

    /// The time at which the next program started.
    fn stamp(&mut self) -> u64 {
        let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&self.stamps), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(PATIENCE)), Ok(1), "no replacement came");
        let mut bytes = [0; 8];
        self.stamps.read_exact(&mut bytes).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// The program that runs now.
    fn program(&self) -> Option<Pid> {
        let id = self.child.id();
        let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        list.split_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).next()
    }

    /// Kills the program once it has lived long enough, and notes how long its replacement took.
    fn round(&mut self) {
        let alive = Instant::now();
        let pid = self.program().expect("a program runs");
        while alive.elapsed() < LIFE {
            std::hint::spin_loop();
        }
        let killed = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        let started = self.stamp();
        self.delays.push(started.saturating_sub(killed.as_nanos() as u64));
    }
}

fn main() {
    let directory = std::env::temp_dir().join(format!("lar-latency-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
    let compile = |name: &str| {
        let target = directory.join(name);
        let source = sources.join(format!("{name}.c"));
        let mut gcc = Command::new("gcc");
        let done = gcc.args(["-O2", "-static", "-o"]).arg(&target).arg(source).status();
        done.is_ok_and(|status| status.success()).then_some(target)
    };
    let (Some(stamp), Some(bare)) = (compile("stamp"), compile("bare_loop")) else {
        assert!(std::env::var_os("LAR_NO_SKIP").is_none(), "gcc is needed");
        return println!("skipped: no gcc that links statically");
    };
    let config = directory.join("lar.conf");
    let socket = directory.join("socket");
    std::fs::write(
        &config,
        format!(
            "<lar>\n  socket-name {}\n</lar>\n<service stamp>\n  program {}\n  transcript inherit\n  \
             healthy-after {HEALTHY}\n</service>\n",
            socket.display(),
            stamp.display(),
        ),
    )
    .unwrap();
    let mut lar = Command::new(env!("CARGO_BIN_EXE_lar"));
    lar.arg("-C").arg(&config).stderr(Stdio::null());
    let mut lar = Contender::start(&mut lar);
    let mut bare = Contender::start(Command::new(&bare).arg(&stamp));
    let good = (0..ATTEMPTS).any(|_| attempt(&mut lar, &mut bare) <= MOST);
    drop((lar, bare));
    let _ = std::fs::remove_dir_all(&directory);
    assert!(cfg!(debug_assertions) || good);
}

/// Kills both in turn, and gives the ratio of the medians.
fn attempt(lar: &mut Contender, bare: &mut Contender) -> f64 {
    for _ in 0..ROUNDS {
        lar.round();
        bare.round();
    }
    let [ours, theirs] = [lar, bare].map(|one| {
        one.delays.sort_unstable();
        let at = |percent: usize| one.delays[one.delays.len() * percent / 100] as f64 / 1000.0;
        let quantiles = [10, 50, 90].map(at);
        one.delays.clear();
        quantiles
    });
    let ratio = ours[1] / theirs[1];
    println!("kill -9 to first instruction, p10/p50/p90 of {ROUNDS}, in microseconds:");
    println!("  lar        {ours:.0?}");
    println!("  bare loop  {theirs:.0?}");
    println!("  ratio of the medians {ratio:.2}, at most {MOST} (an unoptimised lar is let off)");
    ratio
}
