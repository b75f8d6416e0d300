//! Ten thousand services in one manager, beside a thousand: boot, status, mass kill and recovery, shutdown, memory.
//!
//! What one service costs may not grow with their number: the time per service of the crowd must stay within
//! [`MOST`] times that of the few. Both are measured in one run; what else the machine does hits one of them at times,
//! so there are [`ATTEMPTS`], of which the least counts. Then the same for services whose output is captured.

#[path = "support/lar.rs"]
mod lar;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lar::{Lar, Scratch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, mkfifo};

const FEW: usize = 1000;
const CROWD: usize = 10_000;
/// Captured output takes two fds for each.
const CAPTURED: usize = 2000;

/// How much more one of the crowd may cost than one of the few.
const MOST: f64 = 1.5;
/// How often it is tried until that is so.
const ATTEMPTS: usize = 3;
/// A ratio of less than this for each service is below what the clock and the client's own exec can tell apart.
const GRAIN: Duration = Duration::from_micros(20);

/// Longer than this nothing may stand still.
const PATIENCE: u16 = 60_000;

/// What is measured, in this order.
const PARTS: [&str; 4] = ["boot", "status", "mass kill and recovery", "shutdown"];

/// What so many services cost.
struct Figures {
    count: usize,
    times: [Duration; PARTS.len()],
    /// Of lar alone, in KiB.
    memory: u64,
}

impl Figures {
    /// The least of each: what else the machine did is not ours.
    fn least(self, other: Figures) -> Figures {
        let times = std::array::from_fn(|at| self.times[at].min(other.times[at]));
        Figures { times, memory: self.memory.min(other.memory), ..self }
    }
}

/// Where each program tells that it has started: with one byte.
struct Roll {
    fifo: File,
}

impl Roll {
    fn new(path: &Path) -> Roll {
        mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        let flags = nix::libc::O_NONBLOCK;
        Roll {
            fifo: OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap(),
        }
    }

    /// Waits until so many have started.
    fn call(&mut self, mut missing: usize) {
        let mut bytes = [0; 4096];
        while missing > 0 {
            let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&self.fifo), PollFlags::POLLIN)];
            assert_eq!(
                poll(&mut fds, PollTimeout::from(PATIENCE)),
                Ok(1),
                "{missing} did not start"
            );
            let room = missing.min(bytes.len());
            missing -= self.fifo.read(&mut bytes[..room]).unwrap();
        }
    }
}

fn main() {
    let dir = Scratch::new();
    let Some(settler) = compile(&dir) else { return lar::skip("no gcc that links statically") };
    let room = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NPROC).unwrap().0;
    let pids: usize =
        fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    if pids < CROWD * 2 || room < CROWD as u64 * 2 {
        return lar::skip("too few processes are allowed");
    }
    let quiet = "transcript none\n ring 0";
    let mut best: Option<(Figures, Figures)> = None;
    let good = (0..ATTEMPTS).any(|_| {
        let (few, crowd) = (measure(&settler, FEW, quiet), measure(&settler, CROWD, quiet));
        let (few, crowd) = match best.take() {
            Some((a, b)) => (a.least(few), b.least(crowd)),
            None => (few, crowd),
        };
        let (few, crowd) = best.insert((few, crowd));
        compare(few, crowd)
    });
    println!("with captured output:");
    let (few, many) = (measure(&settler, FEW, ""), measure(&settler, CAPTURED, ""));
    compare(&few, &many);
    assert!(good, "one of {CROWD} costs more than {MOST} times what one of {FEW} does");
}

/// A program that tells that it is there, and stays.
fn compile(dir: &Scratch) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/settler.c");
    let target = dir.at("settler");
    let done = Command::new("gcc").args(["-O2", "-static", "-o"]).arg(&target).arg(source).status();
    done.is_ok_and(|status| status.success()).then_some(target)
}

/// One manager, from its start to its end.
fn measure(settler: &Path, count: usize, output: &str) -> Figures {
    let dir = Scratch::new();
    let mut roll = Roll::new(&dir.at("roll"));
    let program = format!("{} {}", settler.display(), dir.at("roll").display());
    let mut config = format!("<defaults>\n healthy-after 1ms\n {output}\n</defaults>\n");
    for number in 0..count {
        config += &format!("<service s{number:05}>\n program {program}\n</service>\n");
    }
    let began = Instant::now();
    let mut lar = Lar::run_in(dir, " spawn-rate none", &config, |_| {});
    roll.call(count);
    lar.wait("all=running");
    let boot = began.elapsed();
    let (listed, status) = timed(|| lar.ask("status").expect(0).out);
    assert_eq!(listed.lines().filter(|line| line.contains(" running ")).count(), count);
    let children = children(lar.pid());
    assert_eq!(children.len(), count);
    let ((), recovery) = timed(|| {
        children.iter().for_each(|&pid| kill(pid, Signal::SIGKILL).unwrap());
        roll.call(count);
        lar.wait("all=running");
    });
    let memory = private_dirty(lar.pid());
    let ((), shutdown) = timed(|| {
        lar.ask("shutdown").expect(0);
        assert_eq!(lar.end(), 0);
    });
    let times = [boot, status, recovery, shutdown];
    Figures { count, times, memory }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed())
}

/// The children of a process that has one thread.
fn children(pid: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace().map(|word| Pid::from_raw(word.parse().unwrap())).collect()
}

fn private_dirty(pid: Pid) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Prints both, and says whether the larger crowd costs as little for each as the smaller one.
fn compare(few: &Figures, many: &Figures) -> bool {
    println!("microseconds for each service of {:>5}  of {:>5}   ratio", few.count, many.count);
    let mut good = true;
    for (at, part) in PARTS.iter().enumerate() {
        let each = |figures: &Figures| figures.times[at] / figures.count as u32;
        let ratio = each(many).as_secs_f64() / each(few).as_secs_f64();
        good &= ratio <= MOST || each(many) <= GRAIN;
        let micros = |figures| each(figures).as_secs_f64() * 1e6;
        println!("  {part:<28}{:>8.1}{:>11.1}{ratio:>8.2}", micros(few), micros(many));
    }
    let more = (many.memory.saturating_sub(few.memory)) as f64 / (many.count - few.count) as f64;
    println!(
        "  memory: {} KiB, {} KiB; {more:.2} KiB for each further one",
        few.memory, many.memory
    );
    good
}
