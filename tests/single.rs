//! `lar [OPTIONS] -- PROGRAM` from outside: exit codes, signals, every option and its variable, and what the program
//! finds. On a terminal: `tests/job_control.rs`. As PID 1: `tests/pid1.rs`.
//!
//! Defects are numbered as in the list of what other container inits get wrong.

#[path = "support/lar.rs"]
mod lar;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::Instant;

use lar::{Answer, LAR, Lar, Scratch, answer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs lar with these words to its end.
#[track_caller]
fn run(words: &[&str]) -> Answer {
    answer(Command::new(LAR).args(words))
}

/// Starts lar with these words in the background.
fn start(words: &[&str]) -> Lar {
    let mut command = Command::new(LAR);
    command.args(words);
    Lar::spawn(Scratch::new(), command)
}

/// The program under lar, once it has said that it is up.
fn program(lar: &Lar) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", lar.pid());
    let children = std::fs::read_to_string(children).expect("the kernel lists children");
    Pid::from_raw(children.split_whitespace().next().expect("a child").parse().unwrap())
}

#[test]
fn the_exit_code_is_the_programs() {
    for code in [0, 1, 7, 127, 255] {
        run(&["--", "sh", "-c", &format!("exit {code}")]).expect(code);
    }
    for signal in [1, 6, 9, 11, 15, 34, 64] {
        let words = format!("ulimit -c 0; kill -{signal} $$");
        run(&["--", "bash", "-c", &words]).expect(128 + signal);
    }
}

#[test]
fn defect_01_an_ignored_sigchld_does_not_hide_the_exit_code() {
    let words = ["--ignore-signal=CHLD", LAR, "--", "sh", "-c", "exit 7"];
    answer(Command::new("env").args(words)).expect(7);
}

#[test]
fn defect_02_the_program_finds_exactly_the_mask_and_the_ignored_signals_that_lar_was_given() {
    let env = ["--block-signal=USR1,TSTP,RTMIN", "--ignore-signal=HUP,CHLD,PIPE,TTOU,URG"];
    let grep = ["grep", "-E", "^(SigBlk|SigIgn|SigCgt)", "/proc/self/status"];
    let plain = answer(Command::new("env").args(env).args(grep));
    let under = answer(Command::new("env").args(env).args([LAR, "--"]).args(grep));
    assert_eq!(plain.out, under.out);
    assert!(plain.out.contains("SigBlk:\t0000000200080200"), "{plain:?}");
}

#[test]
fn defect_07_neither_fds_nor_the_directory_are_held() {
    let dir = Scratch::new();
    let words = r#"exec 7</dev/null 8>"$0/held"; cd "$0"; exec "$1" -- sh -c 'pwd; cat'"#;
    let mut child = Command::new("sh")
        .args(["-c", words, dir.path.to_str().unwrap(), LAR])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = lar::Lines::of(child.stdout.take().unwrap());
    assert_eq!(lines.next().as_deref(), dir.path.to_str(), "the program's own is kept");
    let place = format!("/proc/{}", child.id());
    assert_eq!(std::fs::read_link(format!("{place}/cwd")).unwrap().to_str(), Some("/"));
    for fd in std::fs::read_dir(format!("{place}/fd")).unwrap().flatten() {
        let target = std::fs::read_link(fd.path()).unwrap_or_default();
        let number: i32 = fd.file_name().to_str().unwrap().parse().unwrap();
        let own = target.to_str().is_some_and(|name| name.starts_with("anon_inode:"));
        assert!(number < 3 || own || target == OsStr::new("/dev/null"), "{number}: {target:?}");
        assert!(!target.starts_with(&dir.path), "{number}: {target:?}");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn defect_08_nothing_wakes_lar_while_nothing_happens() {
    let mut lar = start(&["--", "sh", "-c", "echo up; exec sleep 1000"]);
    lar.out.until("up");
    let status = format!("/proc/{}/status", lar.pid());
    let switches = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let count = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        (count("voluntary_ctxt_switches:"), count("nonvoluntary_ctxt_switches:"))
    };
    // It has gone to sleep when an answer to a signal has come and gone.
    while !std::fs::read_to_string(&status).unwrap().contains("State:\tS") {
        std::thread::yield_now();
    }
    let before = switches();
    // A process that takes its time is an event to wait for; lar has no part in it.
    assert!(Command::new("sleep").arg("2").status().unwrap().success());
    assert_eq!(switches(), before);
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 143);
}

#[test]
fn defect_09_a_program_that_cannot_be_executed_is_126_or_127_with_the_reason() {
    let dir = Scratch::new();
    let text = |name: &str, text: &str| dir.script(name, text).to_str().unwrap().to_owned();
    let interpreter = text("interpreter", "#!/no/such/interpreter\n");
    let plain = dir.write("plain", "text").to_str().unwrap().to_owned();
    let missing = dir.at("missing").to_str().unwrap().to_owned();
    let below = format!("{plain}/x");
    let here = dir.path.to_str().unwrap().to_owned();
    for (program, code, reason) in [
        (&*missing, 127, "No such file or directory"),
        ("no-such-program-anywhere", 127, "No such file or directory"),
        ("--weird", 127, "No such file or directory"),
        (&interpreter, 127, "No such file or directory"),
        (&plain, 126, "Permission denied"),
        (&below, 126, "Not a directory"),
        (&here, 126, "Permission denied"),
    ] {
        let answer = run(&["--", program]).expect(code);
        assert!(answer.err.contains(reason) && answer.err.contains(program), "{answer:?}");
        assert_eq!(answer.out, "");
    }
    let script = text("script", "echo \"script $1\"; exit 9\n");
    assert_eq!(run(&["--", &script, "word"]).expect(9).out, "script word\n");
}

#[test]
fn defect_12_lars_own_lines_never_go_to_standard_output() {
    let answer = run(&["-v", "--", "echo", "hello"]).expect(0);
    assert_eq!(answer.out, "hello\n");
    assert!(answer.err.contains("exit status 0"), "{answer:?}");
    assert_eq!(run(&["--", "echo", "hello"]).expect(0).err, "", "silent unless asked");
}

/// Every number that lar passes on. 32 and 33 too, but no libc lets a shell block them.
fn forwarded() -> impl Iterator<Item = i32> {
    let left = [4, 5, 6, 7, 8, 9, 11, 17, 19, 31, 32, 33];
    (1..=64).filter(move |number| !left.contains(number))
}

#[test]
fn every_signal_arrives_exactly_once() {
    let exe = std::env::current_exe().unwrap();
    let helper = ["helper", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = Command::new("env");
    command.args(["--block-signal", LAR, "--"]).arg(exe).args(helper);
    let mut lar = Lar::spawn(Scratch::new(), command);
    lar.out.until("listening");
    for number in forwarded() {
        raise(&lar, number);
        assert_eq!(lar.out.until("got "), format!("got {number}"));
    }
    raise(&lar, 17);
    for _ in 0..5 {
        raise(&lar, 64); // these queue
    }
    raise(&lar, 15);
    assert_eq!(lar.end(), 0);
    let all = lar.out.rest();
    let count = |number: i32| all.iter().filter(|line| **line == format!("got {number}")).count();
    for number in forwarded() {
        let expected = match number {
            64 => 6,
            15 => 2,
            _ => 1,
        };
        assert_eq!(count(number), expected, "signal {number} in {all:?}");
    }
    assert_eq!(count(17), 0, "{all:?}");
}

/// By kill(1) of bash, because nix has no real-time signals.
fn raise(lar: &Lar, number: i32) {
    let words = format!("kill -{number} {}", lar.pid());
    assert!(Command::new("bash").args(["-c", &words]).status().unwrap().success());
}

#[test]
#[ignore = "not a test: the program of every_signal_arrives_exactly_once"]
fn helper() {
    use mio::unix::SourceFd;
    use std::os::fd::AsRawFd;
    // Everything is blocked, in all threads: that is how the program was started.
    let mut signals = ::lar::sys::signals::SignalFd::new().expect("a signalfd");
    let (mut poll, mut events) = (mio::Poll::new().unwrap(), mio::Events::with_capacity(1));
    let fd = signals.as_raw_fd();
    let (token, readable) = (mio::Token(0), mio::Interest::READABLE);
    poll.registry().register(&mut SourceFd(&fd), token, readable).unwrap();
    println!("\nlistening");
    let mut terms = 0;
    while terms < 2 {
        while let Some(received) = signals.read() {
            println!("got {}", received.signal.number());
            terms += i32::from(received.signal == ::lar::signal::Signal::TERM);
        }
        if terms < 2 {
            let _ = poll.poll(&mut events, None);
        }
    }
    std::process::exit(0);
}

#[test]
fn a_broken_pipe_of_the_program_is_not_lars() {
    let words = format!("{LAR} -- sh -c 'while :; do echo y; done' | head -n 1");
    let script = format!("set -o pipefail; {words}");
    let answer = answer(Command::new("bash").args(["-c", &script]));
    assert_eq!((answer.code, &*answer.out), (141, "y\n"), "{answer:?}");
}

#[test]
fn signals_go_to_the_program_alone_or_to_its_group() {
    let members = r#"trap 'echo main' HUP; (trap 'echo member' HUP; echo up; while :; do sleep 1000 & wait $!; done) &
        while :; do wait; done"#;
    for (options, both) in [(&["--"][..], false), (&["-g", "--"], true), (&["--group", "--"], true)]
    {
        let words: Vec<&str> = options.iter().copied().chain(["bash", "-c", members]).collect();
        let mut lar = start(&words);
        lar.out.until("up");
        lar.signal(Signal::SIGHUP);
        lar.out.until("main");
        if both && !lar.out.seen.iter().any(|line| line == "member") {
            lar.out.until("member");
        }
        kill(program(&lar), Signal::SIGKILL).unwrap();
        assert_eq!(lar.end(), 137);
        assert_eq!(lar.out.rest().iter().any(|line| line == "member"), both);
    }
}

#[test]
fn rewritten_signals_arrive_as_others_or_not_at_all() {
    for words in [
        &["--rewrite", "TERM:QUIT,HUP:"][..],
        &["--rewrite=TERM:SIGUSR1", "--rewrite", "term:3", "--rewrite", "1:0"],
    ] {
        let words: Vec<&str> = words.iter().copied().chain(["--", "perl", "-e", PERL]).collect();
        let mut lar = start(&words);
        lar.out.until("up");
        lar.signal(Signal::SIGHUP);
        lar.signal(Signal::SIGTERM);
        assert_eq!(lar.end(), 3);
        assert_eq!(lar.out.rest(), ["up", "QUIT"]);
    }
}

/// Says which signal it got, and ends with 3 on QUIT, INT or TERM.
const PERL: &str = r#"$| = 1;
for my $n (qw(HUP USR1 QUIT INT TERM)) {
    $SIG{$n} = sub { print "$n\n"; exit 3 if $n =~ /QUIT|INT|TERM/ }
}
print "up\n"; sleep 1000 while 1"#;

#[test]
fn exit_codes_are_remapped_after_signals_became_codes() {
    let sigterm = ["--", "sh", "-c", "kill $$"];
    run(&[&["--remap", "143:0"][..], &sigterm].concat()).expect(0);
    run(&[&["--remap", "1:2,143:5"][..], &sigterm].concat()).expect(5);
    run(&[&["--remap", "143:0", "--remap", "143:9"][..], &sigterm].concat()).expect(9);
    run(&["--remap", "0:4", "--", "true"]).expect(4);
    run(&["--remap", "3:4,4:5", "--", "sh", "-c", "exit 3"]).expect(4);
}

#[test]
fn a_drain_time_holds_the_end_back_and_then_the_signal_itself_is_sent() {
    for (signal, name) in [(Signal::SIGINT, "INT"), (Signal::SIGTERM, "TERM")] {
        let mut lar = start(&["--drain", "300ms", "--", "perl", "-e", PERL]);
        lar.out.until("up");
        let sent = Instant::now();
        lar.signal(signal);
        lar.signal(Signal::SIGHUP); // is not held back
        lar.out.until("HUP");
        lar.out.until(name);
        assert!(sent.elapsed().as_millis() >= 300, "{:?}", sent.elapsed());
        assert_eq!(lar.end(), 3);
    }
    let mut lar = start(&["--drain", "1h", "--rewrite", "TERM:QUIT", "--", "perl", "-e", PERL]);
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    lar.signal(Signal::SIGHUP);
    lar.out.until("HUP");
    lar.signal(Signal::SIGTERM); // asked for twice: at once
    lar.out.until("QUIT");
    assert_eq!(lar.end(), 3);
}

#[test]
fn a_program_that_ignores_term_is_killed_after_its_grace() {
    let deaf = "trap '' TERM INT; echo up; while :; do sleep 1000; done";
    let mut lar = start(&["--grace", "200ms", "--", "sh", "-c", deaf]);
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 137);
    lar.nothing_left();
    // Without a grace time nobody is killed, however often it is asked.
    let mut lar = start(&[
        "--",
        "sh",
        "-c",
        "trap 'echo term' TERM; echo up; while :; do sleep 1000 & wait $!; kill $!; done",
    ]);
    lar.out.until("up");
    for _ in 0..3 {
        lar.signal(Signal::SIGTERM);
        lar.out.until("term");
    }
    kill(program(&lar), Signal::SIGKILL).unwrap();
    assert_eq!(lar.end(), 137);
}

#[test]
fn grace_with_a_group_reaches_the_group() {
    let words = "trap '' TERM; (trap 'echo member; exit' TERM; echo up; sleep 1000 & wait) &
        while :; do sleep 1000; done";
    let mut lar = start(&["--group", "--grace", "300ms", "--", "bash", "-c", words]);
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    lar.out.until("member");
    assert_eq!(lar.end(), 137);
    lar.nothing_left();
}

#[test]
fn a_failed_program_is_started_again_and_term_ends_it_without_another_start() {
    let dir = Scratch::new();
    let fails_twice = dir.fill("echo run >>{dir}/runs; [ $(wc -l <{dir}/runs) -ge 3 ] || exit 1");
    run(&["--restart", "on-failure", "--backoff", "none", "--", "sh", "-c", &fails_twice])
        .expect(0);
    assert_eq!(dir.read("runs").lines().count(), 3);

    let mut lar = start(&["--restart", "always", "--backoff", "none", "--", "perl", "-e", PERL]);
    lar.out.until("up");
    kill(program(&lar), Signal::SIGKILL).unwrap();
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    lar.out.until("TERM");
    assert_eq!(lar.end(), 3);
    assert_eq!(lar.out.rest(), ["up", "up", "TERM"]);

    let mut lar =
        start(&["--restart", "always", "--backoff", "double 50s jitter 10%", "--", "false"]);
    lar.err.until("backoff");
    lar.signal(Signal::SIGINT);
    assert_eq!(lar.end(), 1, "in backoff there is nobody to pass it on to");
    let give_up = ["--restart", "always", "--backoff", "none", "--give-up", "after 3"];
    let answer =
        run(&[&give_up[..], &["--healthy-after", "1h", "--", "sh", "-c", "echo; exit 4"]].concat());
    assert_eq!((answer.code, answer.out.lines().count()), (4, 3), "{answer:?}");
}

#[test]
fn a_socket_makes_it_steerable() {
    let dir = Scratch::new();
    let mut command = Command::new(LAR);
    // Relative paths are those of where lar was started, although it leaves.
    command.args(["--socket", "s", "--", "sh", "-c", "echo up; exec sleep 1000"]);
    command.current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    lar.out.until("up");
    let status = lar.ask("status").expect(0);
    assert!(status.out.contains("main") && status.out.contains("running"), "{status:?}");
    lar.ask("restart main").expect(0);
    lar.out.until("up");
    lar.ask("kill USR1 main").expect(0);
    assert_eq!(lar.end(), 138);
}

#[test]
fn the_directory_is_where_the_program_starts() {
    let dir = Scratch::new();
    std::fs::create_dir(dir.at("sub")).unwrap();
    let pwd = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(LAR);
        command.args(words).args(["--", "sh", "-c", "pwd -P"]);
        answer(command.envs(variables.iter().copied()).current_dir(&dir.path)).expect(0).out
    };
    let here = dir.path.canonicalize().unwrap();
    let here = here.to_str().unwrap();
    assert_eq!(pwd(&[], &[]), format!("{here}\n"));
    assert_eq!(pwd(&["--directory", "/"], &[]), "/\n");
    assert_eq!(pwd(&["--directory", "sub"], &[]), format!("{here}/sub\n"));
    assert_eq!(pwd(&[], &[("LAR_DIRECTORY", "sub")]), format!("{here}/sub\n"));
    assert_eq!(pwd(&["--directory=/"], &[("LAR_DIRECTORY", "sub")]), "/\n");
    let answer = run(&["--directory", "/no/such/place", "--", "true"]).expect(126);
    assert!(answer.err.contains("No such file or directory"), "{answer:?}");
}

#[test]
fn a_directory_that_only_others_may_enter_by_name_is_kept() {
    if !lar::root() {
        return lar::skip("needs root to become another user");
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = Scratch::new();
    let private = dir.at("private");
    std::fs::create_dir_all(private.join("sub")).unwrap();
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = ["--reuid", "65534", "--regid", "65534", "--clear-groups", LAR, "--", "echo", "ok"];
    let mut command = Command::new("setpriv");
    let answer = answer(command.args(words).current_dir(private.join("sub"))).expect(0);
    assert_eq!(answer.out, "ok\n");
}

#[test]
fn arguments_that_are_no_utf8_are_passed_on_as_they_are() {
    let odd = OsStr::from_bytes(b"a\xff\xfeb");
    let mut command = Command::new(LAR);
    let output = command.args(["--", "printf", "%s"]).arg(odd).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, odd.as_bytes());
    let mut command = Command::new(LAR);
    answer(command.arg("--").arg(odd)).expect(127);
}

#[test]
fn fds_that_lar_was_given_are_the_programs() {
    let script = |words: &str| {
        let words = words.replace("lar", LAR);
        answer(Command::new("bash").args(["-c", &words])).expect(0).out
    };
    assert_eq!(script("lar -- cat <(echo one) <(echo two)"), "one\ntwo\n");
    assert_eq!(script("lar -- sh -c 'echo three >&7' 7>&1"), "three\n");
    let list = "exec 5>&- 6>&- 8>&- 9>&-; lar -- ls /proc/self/fd 7</dev/null";
    assert_eq!(script(list), script(&list.replace("lar -- ", "")), "and none of lar's own");
    let again = "lar --restart on-failure --backoff none -- sh -c 'read x <&7; echo $x; [ $x = b ]' \
        2>/dev/null 7< <(echo a; echo b)";
    assert_eq!(script(again), "a\nb\n", "one that is started again finds them again");
}

#[test]
fn environment_and_umask_are_the_programs_own() {
    let words = ["-i", "A=1", "NOTIFY_SOCKET=/x", "PATH=/usr/bin:/bin"];
    let plain = answer(Command::new("env").args(words).arg("env")).out;
    // What is said to lar by a variable is for lar.
    let under = answer(Command::new("env").args(words).args(["LAR_VERBOSE=no", LAR, "--", "env"]));
    let under = under.out;
    assert_eq!(plain, under);
    let umask = format!("umask 0; ulimit -n 77; {LAR} -- sh -c 'umask; ulimit -n'");
    assert_eq!(answer(Command::new("sh").args(["-c", &umask])).out, "0000\n77\n");
}

#[test]
fn a_rewritten_term_still_ends_the_program_after_its_grace_and_its_restarts() {
    let script = "trap '' WINCH; echo up; while :; do sleep 1000; done";
    let mut lar =
        start(&["--rewrite", "TERM:WINCH", "--grace", "300ms", "--", "bash", "-c", script]);
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 137);
    let script = "trap 'exit 0' WINCH; echo up; while :; do sleep 1000 & wait; done";
    let words = ["--rewrite", "TERM:WINCH", "--restart", "always", "--", "bash", "-c", script];
    let mut lar = start(&words);
    lar.out.until("up");
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 0);
}
