//! Reaping, groups, and lar's own signals, each in a process of its own: they are a process's own
//! business as a whole.

#[path = "support/children.rs"]
mod support;

use std::fs;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::rc::Rc;

use lar::exit::{Errno, ExitStatus, Pid};
use lar::plan::Setup;
use lar::signal::Signal;
use lar::sys::fd;
use lar::sys::signals::{self, Saved, Set, SignalFd};
use lar::sys::spawn::{Image, Recipe, Spawner};
use lar::sys::{daemon, reap};
use support::Pipe;
use support::{
    await_end, check, given, helper as command, is_root, process, run_helper, run_helper_with, skip,
};

/// Starts words whose standard output is the pipe.
fn start(pipe: &Pipe, words: &[&str]) -> Pid {
    let setup = Setup::default();
    let process = process(words);
    let recipe = Recipe::new(&setup, &process, [0, pipe.write.as_raw_fd(), 2]);
    let given = Rc::new(given(&[("PATH", "/usr/bin:/bin")]));
    let image = Image::new(&given, &recipe).expect("an image");
    Spawner::new().expect("a stack").spawn(&image).expect("it starts")
}

fn pipe() -> Pipe {
    Pipe::new()
}

fn await_group(group: Pid) {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let how = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let _ = waitid(Id::PGid(nix::unistd::Pid::from_raw(group.0)), how);
}

#[test]
fn a_group_is_killed_before_its_leader_is_reaped_and_then_waited_for() {
    run_helper("group");
}

fn group() {
    check(reap::become_subreaper() == Ok(()), "a subreaper");
    let pipe = pipe();
    // The worker outlives its parent, in the same group.
    let leader = start(&pipe, &["sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"]);
    let worker = support::read_until(&pipe.read, "\n").trim().parse().map(Pid).expect("a pid");
    check(reap::next().is_none(), "all live");
    check(reap::is_our_child(leader) && !reap::is_our_child(worker), "whose child is who");
    check(!reap::group_is_empty(leader), "a group of two");

    check(reap::kill(leader, Signal::KILL) == Ok(()), "the leader is killed");
    await_end(leader);
    check(reap::next() == Some(leader), "the leader is dead");
    check(reap::next() == Some(leader), "looking does not take it away");
    check(reap::kill_group(leader, Signal::KILL) == Ok(()), "the group is killed");
    let killed = Some(ExitStatus::killed(Signal::KILL));
    check(reap::reap(leader) == killed, "the leader's status");
    check(reap::reap(leader).is_none(), "only once");
    check(!reap::group_is_empty(leader), "the worker is still in the group");
    check(reap::is_our_child(worker), "the worker is adopted");
    await_group(leader);
    check(reap::next() == Some(worker), "the worker is dead");
    check(reap::reap(worker) == killed, "the worker's status");
    check(reap::group_is_empty(leader), "nobody is left");
    check(!reap::has_children(), "no child at all");
}

#[test]
fn orphans_are_found_and_others_children_are_not() {
    run_helper("orphans");
}

fn orphans() {
    check(reap::become_subreaper() == Ok(()), "a subreaper");
    let pipe = pipe();
    // A daemon: another session, and its parent is gone.
    let parent = start(&pipe, &["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' &"]);
    let orphan = support::read_until(&pipe.read, "\n").trim().parse().map(Pid).expect("a pid");
    support::wait(parent);
    let children = reap::children();
    check(children == Some(vec![orphan]), &format!("{children:?} is the orphan {orphan}"));
    check(reap::parent_of(orphan) == Some(lar::sys::own_pid()), "adopted");
    check(reap::kill(orphan, Signal::KILL) == Ok(()), "killed");
    support::wait(orphan);
    check(reap::children() == Some(vec![]), "nobody is left");
}

#[test]
fn a_stop_is_told_once() {
    run_helper("stopped");
}

fn stopped() {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let pid = start(&pipe(), &["sh", "-c", "kill -STOP $$; exit 5"]);
    let how = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    let _ = waitid(Id::Pid(nix::unistd::Pid::from_raw(pid.0)), how);
    check(reap::next().is_none(), "a stop is no end");
    check(reap::stopped() == Some((pid, Signal::STOP)), "told");
    check(reap::stopped().is_none(), "told once");
    check(reap::kill(pid, Signal::CONT) == Ok(()), "continued");
    check(support::wait(pid) == ExitStatus::Code(5), "it went on");
}

#[test]
fn exit_codes_are_learned_even_if_sigchld_was_ignored_at_the_start() {
    let ignored = [Signal::CHLD, Signal::HUP, Signal::PIPE].into_iter().fold(Set::EMPTY, Set::with);
    run_helper_with("ignored", Saved { mask: blocked(), ignored });
}

fn ignored_at_start() {
    let saved = signals::take_over();
    check(saved == signals::take_over() && saved == signals::saved(), "saved once");
    check(saved.ignored.contains(Signal::HUP), "what was ignored is known");
    check(saved.mask == blocked(), "what was blocked is known");
    let mut reader = SignalFd::new().expect("an fd");
    let pid = start(&pipe(), &["sh", "-c", "exit 7"]);
    check(support::wait(pid) == ExitStatus::Code(7), "the code is learned");
    let signal = reader.read().map(|received| received.signal);
    check(signal == Some(Signal::CHLD), &format!("announced: {signal:?}"));
    check(reader.read().is_none(), "drained");

    // A service does not inherit any of this.
    let pipe = pipe();
    let pid = start(&pipe, &["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]);
    check(support::wait(pid).success(), "it runs");
    drop(pipe.write);
    let zeros = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    check(support::read_all(&pipe.read) == zeros, "a clean state");
}

/// All but faults, and the two that glibc unblocks in a thread, as a test has one.
fn blocked() -> Set {
    [32, 33].into_iter().filter_map(Signal::new).fold(signals::handled(), Set::without)
}

#[test]
fn every_signal_waits_to_be_read() {
    run_helper_with("signals", Saved { mask: blocked(), ignored: Set::EMPTY });
}

fn all_signals() {
    signals::take_over();
    let own = lar::sys::own_pid();
    let mut sent = Vec::new();
    for signal in blocked().iter() {
        check(reap::kill(own, signal) == Ok(()), "sent");
        sent.push(signal);
    }
    let mut reader = SignalFd::new().expect("an fd");
    let mut got = Vec::new();
    while let Some(received) = reader.read() {
        check(received.sender == Some(own) && received.code == 0, &format!("{received:?}"));
        got.push(received.signal);
    }
    // SIGCONT clears pending stops and stops clear it: they are sent in ascending order, so CONT is
    // lost.
    sent.retain(|&signal| signal != Signal::CONT);
    got.sort();
    check(got == sent, &format!("{got:?}"));

    let (read, write) = nix::unistd::pipe().expect("a pipe");
    drop(read);
    check(fd::write(&write, b"x") == Err(Errno(nix::libc::EPIPE)), "a closed pipe is an errno");
    let pipe = reader.read();
    check(pipe.is_none_or(|got| got.sender == Some(own)), &format!("our own PIPE: {pipe:?}"));
}

#[test]
fn missing_standard_fds_are_made_good_even_without_devices() {
    if !is_root() {
        return skip("only root can chroot");
    }
    run_helper("fds");
}

fn closed_fds() {
    let empty = std::env::temp_dir().join(format!("lar-empty-{}", std::process::id()));
    fs::create_dir_all(&empty).expect("a directory");
    let spare = nix::unistd::dup(std::io::stderr()).expect("a copy");
    nix::unistd::chroot(&empty).expect("root");
    for fd in 0..3 {
        let _ = nix::unistd::close(fd);
    }
    fd::make_standard_fds_good();
    let end = fd::read(fd::standard(fd::Standard::Input), &mut [0]);
    let broken = fd::write(fd::standard(fd::Standard::Output), b"x");
    let still = fd::write(fd::standard(fd::Standard::Error), b"x");
    let _ = nix::unistd::dup2_stderr(&spare);
    check(end == Ok(0), &format!("standard input is at its end: {end:?}"));
    check(broken == Err(Errno(nix::libc::EPIPE)), &format!("nobody reads: {broken:?}"));
    check(still == Err(Errno(nix::libc::EPIPE)), &format!("nobody reads: {still:?}"));
}

#[test]
fn the_binary_starts_with_its_standard_fds_closed() {
    let exe = env!("CARGO_BIN_EXE_lar");
    let status =
        Command::new("sh").args(["-c", "exec \"$0\" --version <&- >&- 2>&-", exe]).status();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.unwrap().signal(), None);
}

#[test]
fn the_foreground_process_ends_with_the_code_that_the_daemon_reports() {
    for (role, code) in [("daemon-0", 0), ("daemon-6", 6), ("daemon-dies", 1)] {
        let status = command(role).output().unwrap().status;
        assert_eq!(status.code(), Some(code), "{role}");
    }
}

fn background(code: Option<u8>) -> ! {
    let startup = daemon::go_to_background().expect("a fork");
    check(nix::unistd::getsid(None) == Ok(nix::unistd::getpid()), "a session of its own");
    if let Some(code) = code {
        check(startup.report(code) == Ok(()), "reported");
        let name = fs::read_link("/proc/self/fd/1").expect("a name");
        check(name.as_os_str() == "/dev/null", "lets go of standard output");
    }
    std::process::exit(0)
}

#[test]
fn the_limit_of_open_files_is_raised_and_what_it_was_is_known() {
    run_helper("files");
}

fn files() {
    use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};
    let (_, hard) = getrlimit(RLIMIT_NOFILE).expect("a limit");
    setrlimit(RLIMIT_NOFILE, 64, hard).expect("lowered");
    let before = fd::raise_file_limit().expect("raised");
    check(before.soft == 64, &format!("{before:?}"));
    check(getrlimit(RLIMIT_NOFILE) == Ok((hard, hard)), "as high as it goes");
    check(fd::raise_file_limit().is_none(), "nothing more to raise");
}

#[test]
fn a_pid_file_is_removed_only_while_it_is_ours() {
    let path = std::env::temp_dir().join(format!("lar-pid-{}", std::process::id()));
    let name = path.to_str().unwrap();
    let file = daemon::PidFile::write(name).unwrap();
    assert_eq!(fs::read_to_string(name).unwrap(), format!("{}\n", std::process::id()));
    file.remove();
    assert!(!path.exists());
    let file = daemon::PidFile::write(name).unwrap();
    fs::write(name, "1\n").unwrap();
    file.remove();
    assert!(path.exists());
    fs::remove_file(name).unwrap();
    let missing = daemon::PidFile::write("/no/such/file").err();
    assert_eq!(missing, Some(Errno(nix::libc::ENOENT)));
}

#[test]
#[ignore = "not a test: what helpers run"]
fn helper() {
    match std::env::var("ROLE").as_deref() {
        Ok("group") => group(),
        Ok("orphans") => orphans(),
        Ok("stopped") => stopped(),
        Ok("ignored") => ignored_at_start(),
        Ok("signals") => all_signals(),
        Ok("fds") => closed_fds(),
        Ok("files") => files(),
        Ok("daemon-0") => background(Some(0)),
        Ok("daemon-6") => background(Some(6)),
        Ok("daemon-dies") => background(None),
        role => check(false, &format!("a role: {role:?}")),
    }
    std::process::exit(0)
}
