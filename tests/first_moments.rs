//! The first moments of a PID 1: from which on a signal to it is held, and how many are lost before.
//!
//! Until a process that is PID 1 has set its mask or its handlers, the kernel drops what is sent to it, whatever init
//! it is. lar says when it had set its mask (`signals are held since`, with `--verbose`): none that is sent later may
//! be lost. Each round starts an init in a pid namespace of its own, sees its exec by a pipe that this closes, and
//! sends TERM at a random moment of the next 3 ms. Whether that was lost is decided by order alone: once the program
//! is up, PWR is sent too. Of two signals that wait the kernel delivers the one with the lower number first, so the
//! program's end by TERM means that it came through, and the end by PWR that it did not.
//!
//! `LAR_MOMENTS=BINARY` plays the large form with that binary (`make moments`).

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, CpuSet, clone, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, pipe2};

/// Within this time after the exec the signal is sent.
const WINDOW: u64 = 3_000_000;

/// Into how many parts the table divides it.
const PARTS: usize = 6;

/// Long enough for anything that works at all, in milliseconds.
const PATIENCE: u16 = 30_000;

/// What runs under each init: says that it is up, and waits for its end.
const PROGRAM: [&str; 3] = ["/bin/sh", "-c", "echo; exec sleep 1000"];

/// An init under test.
struct Init {
    name: &'static str,
    words: Vec<CString>,
    rounds: Vec<Round>,
}

/// What came of one start. Times are nanoseconds after the exec.
struct Round {
    /// Just before TERM was sent.
    sent: i64,
    /// When the init's signals were held, if it says so.
    held: Option<i64>,
    lost: bool,
}

impl Init {
    fn new(name: &'static str, path: &OsStr, options: &[&str]) -> Init {
        let word = |bytes: &[u8]| CString::new(bytes).unwrap();
        let mut words = vec![word(path.as_bytes())];
        words.extend(options.iter().chain(&PROGRAM).map(|it| word(it.as_bytes())));
        Init { name, words, rounds: Vec::new() }
    }
}

/// Kills what is still there when a round fails.
struct Running(Pid);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
fn now() -> i64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap()).as_nanos() as i64
}

/// The CPUs that this process had at first.
fn cpus() -> &'static [usize] {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    CPUS.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
        (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).collect()
    })
}

/// Keeps this process on one CPU.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    let _ = set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
}

/// Starts an init as PID 1. The pipes are: closed by its exec; its standard output; its standard error.
fn start(words: &[CString], flags: CloneFlags) -> Result<(Running, [File; 3]), Errno> {
    let pipes: Vec<(OwnedFd, OwnedFd)> =
        (0..3).map(|_| pipe2(OFlag::O_CLOEXEC)).collect::<Result<_, Errno>>()?;
    let null = File::open("/dev/null").unwrap();
    let environment = [c"PATH=/usr/bin:/bin"];
    let cpus = cpus();
    let child = || {
        // On the measuring one's own CPU it would take turns with it.
        if let [_, .., theirs] = cpus[..] {
            pin(theirs);
        }
        let stdio = dup2_stdin(&null)
            .and_then(|()| dup2_stdout(&pipes[1].1))
            .and_then(|()| dup2_stderr(&pipes[2].1));
        if stdio.is_ok() {
            let _ = execve(&words[0], words, &environment);
        }
        127
    };
    let mut stack = vec![0; 256 * 1024];
    // SAFETY: without CLONE_VM the child is a copy, as after fork, of a process with one thread.
    let pid = unsafe { clone(Box::new(child), &mut stack, flags, Some(libc::SIGCHLD)) }?;
    let [first, second, third] = <[_; 3]>::try_from(pipes).unwrap();
    Ok((Running(pid), [first.0, second.0, third.0].map(File::from)))
}

/// Waits, without sleeping, until the other end of a pipe is closed; when that was.
fn closed(pipe: &mut File) -> i64 {
    fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let started = now();
    loop {
        match pipe.read(&mut [0]) {
            Ok(_) => return now(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(now() - started < 30_000_000_000, "no exec");
        std::hint::spin_loop();
    }
}

/// The next byte of a pipe, or nothing at its end.
fn byte(pipe: &mut File) -> Option<u8> {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(PATIENCE)), Ok(1), "neither output nor an end");
    let mut bytes = [0];
    (pipe.read(&mut bytes).unwrap() == 1).then_some(bytes[0])
}

/// One start of an init, with a TERM this many nanoseconds after its exec.
fn round(init: &Init, flags: CloneFlags, delay: i64) -> Round {
    let (running, [mut execed, mut up, mut errors]) = start(&init.words, flags).unwrap();
    let exec = closed(&mut execed);
    while now() - exec < delay {
        std::hint::spin_loop();
    }
    let sent = now() - exec;
    kill(running.0, Signal::SIGTERM).unwrap();
    if byte(&mut up).is_some() {
        kill(running.0, Signal::SIGPWR).unwrap();
        while byte(&mut up).is_some() {}
    }
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    let status = waitpid(running.0, None).unwrap();
    std::mem::forget(running);
    let lost = match status {
        WaitStatus::Exited(_, code) if code == 128 + libc::SIGTERM => false,
        WaitStatus::Exited(_, code) if code == 128 + libc::SIGPWR => true,
        other => panic!("{}: TERM after {sent} ns: {other:?}\n{said}", init.name),
    };
    let held = said.split_once("signals are held since ").map(|(_, rest)| {
        let (secs, nanos) = rest.split(' ').next().unwrap().split_once('.').unwrap();
        secs.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap() - exec
    });
    Round { sent, held, lost }
}

/// splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The inits that are installed, lar first.
fn inits(lar: &OsStr) -> Vec<Init> {
    let mut inits = vec![Init::new("lar", lar, &["--verbose", "--"])];
    let others: [(&str, &str, &[&str]); 6] = [
        ("tini", "tini", &["--"]),
        ("tini-static", "tini-static", &["--"]),
        ("tini -g", "tini", &["-g", "--"]),
        ("dumb-init", "dumb-init", &["--"]),
        ("dumb-init -c", "dumb-init", &["-c", "--"]),
        ("catatonit", "catatonit", &["--"]),
    ];
    for (name, program, options) in others {
        let places = ["/usr/bin", "/bin", "/usr/local/bin", "/sbin"];
        let mut paths = places.iter().map(|place| format!("{place}/{program}"));
        if let Some(path) = paths.find(|path| std::path::Path::new(path).is_file()) {
            inits.push(Init::new(name, OsStr::new(&path), options));
        }
    }
    inits
}

/// The share of the rounds that were lost, as the table shows it.
fn share<'a>(rounds: impl Iterator<Item = &'a Round>) -> String {
    let (mut all, mut lost) = (0, 0);
    rounds.for_each(|round| {
        all += 1;
        lost += usize::from(round.lost);
    });
    if all == 0 { "-".into() } else { format!("{:.0}%", 100.0 * lost as f64 / all as f64) }
}

fn print(inits: &[Init]) {
    let part = WINDOW as i64 / PARTS as i64;
    println!("TERM at a random moment of the first 3 ms after the exec of a PID 1");
    print!(
        "{:14}{:>7}{:>7}{:>15}  lost by the moment, in ms:",
        "", "starts", "lost", "last lost at"
    );
    (1..=PARTS).for_each(|n| print!("{:>6}", format!("<{:.1}", n as f64 * part as f64 / 1e6)));
    println!();
    for init in inits {
        let lost = share(init.rounds.iter());
        let last = init.rounds.iter().filter(|it| it.lost).map(|it| it.sent).max();
        let last = last.map_or("-".into(), |nanos| format!("{} us", nanos / 1000));
        print!("{:14}{:>7}{lost:>7}{last:>15}{:28}", init.name, init.rounds.len(), "");
        for n in 0..PARTS as i64 {
            let within = |it: &&Round| (n * part..(n + 1) * part).contains(&it.sent);
            print!("{:>6}", share(init.rounds.iter().filter(within)));
        }
        println!();
    }
}

fn main() {
    if let [ours, _, ..] = cpus()[..] {
        pin(ours);
    }
    let large = std::env::var_os("LAR_MOMENTS");
    let lar = large.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_lar").into());
    let (ours, theirs) = if large.is_some() { (1000, 250) } else { (150, 30) };
    let mut flags = CloneFlags::CLONE_NEWPID;
    flags.set(CloneFlags::CLONE_NEWUSER, !nix::unistd::geteuid().is_root());
    if let Err(errno) = start(&[c"/bin/true".into()], flags) {
        assert!(std::env::var_os("LAR_NO_SKIP").is_none(), "no pid namespaces: {errno}");
        return println!("skipped: no pid namespaces: {errno}");
    }
    let seed = std::process::id().into();
    println!("seed {seed}");
    let (mut state, mut inits) = (seed, inits(&lar));
    for number in 0..ours {
        for (index, init) in inits.iter_mut().enumerate() {
            // The others' rounds are spread over those of lar.
            if index == 0 || number * theirs / ours != (number + 1) * theirs / ours {
                let delay = (random(&mut state) % WINDOW) as i64;
                let round = round(init, flags, delay);
                init.rounds.push(round);
            }
        }
    }
    print(&inits);
    let rounds = &inits[0].rounds;
    let mut held: Vec<i64> = rounds.iter().map(|it| it.held.expect("lar says when")).collect();
    held.sort_unstable();
    let [median, most] = [50, 90].map(|percent| held[held.len() * percent / 100] / 1000);
    let before = |it: &&Round| it.held.is_some_and(|held| it.sent <= held);
    let (early, late): (Vec<&Round>, Vec<&Round>) = rounds.iter().partition(before);
    let lost = late.iter().filter(|it| it.lost).count();
    println!("lar holds signals after {median} us (p90 {most} us) from its exec on");
    println!("  of {} sent before that {} are lost", early.len(), share(early.iter().copied()));
    println!("  of {} sent after that {lost} are lost", late.len());
    assert!(late.len() > rounds.len() / 10, "lar was never asked after the moment");
    assert_eq!(lost, 0, "a signal that was sent when lar held them was lost");
}
