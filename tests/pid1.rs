//! lar as PID 1 of a namespace of its own, and as a process that only adopts its orphans: everybody is reaped, and
//! nobody is left behind when it goes.
//!
//! Defects are numbered as in the list of what other container inits get wrong.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/namespace.rs"]
mod namespace;

use std::process::Command;
use std::time::{Duration, Instant};

use lar::{Answer, LAR, Lar, Scratch, answer};
use namespace::namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A command in a new namespace, whose PID 1 it is.
fn command(namespace: &[String], words: &[&str]) -> Command {
    let mut command = Command::new(&namespace[0]);
    command.args(&namespace[1..]).args(words);
    command
}

#[track_caller]
fn run(namespace: &[String], words: &[&str]) -> Answer {
    answer(&mut command(namespace, words))
}

/// The namespace's PID 1, as it is called out here.
fn init_of(unshare: Pid) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"));
    children.ok()?.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
}

#[test]
fn exit_codes_come_through() {
    let Some(ns) = namespace() else { return };
    let words = ["--", "sh", "-c", "echo $PPID; exit 7"];
    let answer = run(ns, &[&[LAR], &words[..]].concat()).expect(7);
    assert_eq!(answer.out, "1\n");
    run(ns, &[LAR, "--", "sh", "-c", "kill -9 $$"]).expect(137);
    run(ns, &[LAR, "--", "/no/such/program"]).expect(127);
    run(ns, &["env", "--ignore-signal=CHLD", LAR, "--", "sh", "-c", "exit 7"]).expect(7);
}

#[test]
fn an_ordinary_user_can_do_the_same() {
    if !lar::root() {
        return; // then all other tests here show it
    }
    let words =
        ["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur", "--pid"];
    let user = |tail: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(words).args(["--fork", "--mount-proc", "--kill-child"]).args(tail);
        answer(command.current_dir("/"))
    };
    if user(&["true"]).code != 0 {
        return lar::skip("no user namespaces for an ordinary user");
    }
    let dir = Scratch::new();
    let copy = dir.at("lar");
    std::fs::copy(LAR, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let words = format!("{DAEMON} exit 5");
    user(&["env", &format!("dir={}", dir.path.display()), copy, "--", "sh", "-c", &words])
        .expect(5);
    assert_eq!(dir.read("bye"), "bye\n");
}

#[test]
fn a_read_only_root_without_any_right_is_enough() {
    if lar::program("bwrap").is_none() {
        return lar::skip("bwrap is not installed");
    }
    let bwrap = |tail: &[&str]| {
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
        command.args(["--as-pid-1", "--die-with-parent", "--cap-drop", "ALL"]).args(tail);
        answer(&mut command)
    };
    if bwrap(&["true"]).code != 0 {
        return lar::skip("bwrap does not work here");
    }
    let words = "echo $PPID; setsid sleep 1000 & exit 3";
    assert_eq!(bwrap(&[LAR, "--", "sh", "-c", words]).expect(3).out, "1\n");
    bwrap(&[LAR, "--", "sh", "-c", "kill $$"]).expect(143);
}

/// Makes 2000 orphans and goes on when all of them are gone from /proc.
const ORPHANS: &str = r#"
i=0; while [ $i -lt 2000 ]; do (: &); i=$((i + 1)); done; (exec sleep 0.01 &)
while cat /proc/[0-9]*/stat 2>/dev/null | grep -q ') Z '; do :; done; echo clean; exit 4"#;

#[test]
fn thousands_of_orphans_are_reaped() {
    let Some(ns) = namespace() else { return };
    assert_eq!(run(ns, &[LAR, "--", "sh", "-c", ORPHANS]).expect(4).out, "clean\n");
}

#[test]
fn orphans_are_adopted_and_reaped_when_lar_is_not_pid_1() {
    let Some(ns) = namespace() else { return };
    // The shell in between keeps lar from being PID 1; nobody but lar is a reaper there.
    let words = format!("'{LAR}' -- sh -c \"$0\"; exit $?");
    assert_eq!(run(ns, &["sh", "-c", &words, ORPHANS]).expect(4).out, "clean\n");
}

/// Becomes a daemon of the second generation, which says so when it is there, and writes a file when it is asked to go.
const DAEMON: &str = r#"
mkfifo "$dir/up"
(setsid sh -c '(setsid sh -c "trap \"echo bye >$dir/bye; exit\" TERM
    echo up >$dir/up; while :; do sleep 1000 & wait; done" &) &' &)
read -r x <"$dir/up"; "#;

/// The same, but deaf to TERM.
const DEAF: &str = r#"
mkfifo "$dir/up"
(setsid sh -c '(setsid sh -c "trap \"\" TERM; echo up >$dir/up; while :; do sleep 1000; done" &) &' &)
read -r x <"$dir/up"; "#;

#[test]
fn defect_10_what_is_left_is_asked_to_go_before_pid_1_goes() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    let words = format!("{DAEMON} exit 3");
    let mut command = command(ns, &[LAR, "--", "sh", "-c", &words]);
    answer(command.env("dir", &dir.path)).expect(3);
    assert_eq!(dir.read("bye"), "bye\n");
    assert_eq!(dir.processes(), []);
}

#[test]
fn defect_10_what_does_not_go_is_killed_after_its_grace() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    let words = format!("{DEAF} exit 3");
    let mut command = command(ns, &[LAR, "--grace", "400ms", "--", "sh", "-c", &words]);
    let began = Instant::now();
    answer(command.env("dir", &dir.path)).expect(3);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    assert_eq!(dir.processes(), []);
}

#[test]
fn a_term_from_outside_ends_the_program_and_then_what_it_left() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    let words = format!("{DAEMON} echo up; exec sleep 1000");
    let mut unshare = command(ns, &[LAR, "--", "sh", "-c", &words]);
    unshare.env("dir", &dir.path);
    let mut lar = Lar::spawn(dir, unshare);
    lar.out.until("up");
    kill(init_of(lar.pid()).expect("PID 1"), Signal::SIGTERM).unwrap();
    assert_eq!(lar.end(), 143);
    assert_eq!(lar.dir.read("bye"), "bye\n");
}

#[test]
fn as_a_mere_process_it_ends_its_own_orphans_and_nobody_else() {
    let Some(ns) = namespace() else { return };
    for (daemon, bye) in [(DAEMON, "bye\n"), (DEAF, "")] {
        let dir = Scratch::new();
        let program = format!("{daemon} exit 3");
        let words = format!(
            "sleep 1000 & bystander=$!; '{LAR}' --grace 300ms -- sh -c \"$0\"; code=$?
             kill -0 $bystander && echo spared; ps=$(cat /proc/[0-9]*/stat | wc -l); echo $ps; exit $code"
        );
        let mut command = command(ns, &["sh", "-c", &words, &program]);
        let answer = answer(command.env("dir", &dir.path)).expect(3);
        // The shell, the bystander, and those who count.
        let lines: Vec<&str> = answer.out.lines().collect();
        assert_eq!(lines[0], "spared");
        assert!(lines[1].parse::<i32>().unwrap() <= 5, "{answer:?}");
        assert_eq!(dir.read("bye"), bye);
    }
}

#[test]
fn it_works_without_proc() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    let hidden = format!("mount -t tmpfs none /proc && exec '{LAR}' --grace 300ms -- sh -c \"$0\"");
    let mut first = command(ns, &["sh", "-c", &hidden, &format!("{DAEMON} exit 3")]);
    answer(first.env("dir", &dir.path)).expect(3);
    assert_eq!(dir.read("bye"), "bye\n", "kill(-1) needs no list");
    // Not as PID 1: nobody can be found, and it says so instead of waiting.
    let dir = Scratch::new();
    let hidden = format!("mount -t tmpfs none /proc; '{LAR}' -- sh -c \"$0\"; exit $?");
    let mut second = command(ns, &["sh", "-c", &hidden, &format!("{DAEMON} exit 3")]);
    let answer = answer(second.env("dir", &dir.path)).expect(3);
    assert!(answer.err.contains("without /proc"), "{answer:?}");
}

/// A file with three services, the last of which is what `deaf` says.
fn services(dir: &Scratch, deaf: bool) -> String {
    let trap = if deaf { "trap '' TERM" } else { "trap 'echo c >>{dir}/order; exit' TERM" };
    let last = format!("{trap}\necho up-c\nwhile :; do sleep 1000 & wait $!; done\n");
    dir.script("c", &format!("#!/bin/bash\n{last}"));
    for name in ["a", "b"] {
        let trap = format!("trap 'echo {name} >>{{dir}}/order; exit' TERM");
        let text = format!(
            "#!/bin/bash\n{trap}\necho up-{name}\nwhile :; do sleep 1000 & wait $!; done\n"
        );
        dir.script(name, &text);
    }
    let text = "<lar>\n  socket-name {dir}/s\n</lar>
<service a>\n  program {dir}/a\n</service>
<service b>\n  program {dir}/b\n  after a\n</service>
<service c>\n  program {dir}/c\n  after b\n  stop TERM 30s KILL\n</service>\n";
    dir.write("lar.conf", text).to_str().unwrap().to_owned()
}

fn manager(ns: &[String], deaf: bool) -> (Lar, Pid) {
    let dir = Scratch::new();
    let file = services(&dir, deaf);
    let mut lar = Lar::spawn(dir, command(ns, &[LAR, "-C", &file]));
    let mut up = 0;
    while up < 3 {
        up += i32::from(lar.out.next().expect("three services").contains("up-"));
    }
    let init = init_of(lar.pid()).expect("PID 1");
    (lar, init)
}

#[test]
fn a_manager_as_pid_1_stops_its_services_in_order() {
    let Some(ns) = namespace() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut lar, init) = manager(ns, false);
        kill(init, signal).unwrap();
        assert_eq!(lar.end(), 0);
        assert_eq!(lar.dir.read("order"), "c\nb\na\n");
        lar.nothing_left();
    }
}

#[test]
fn a_second_term_kills_what_is_still_there() {
    let Some(ns) = namespace() else { return };
    let (mut lar, init) = manager(ns, true);
    let began = Instant::now();
    kill(init, Signal::SIGTERM).unwrap();
    lar.err.until("stopping");
    // What comes at once is taken for the same request; a process that takes its time is an event to wait for.
    assert!(Command::new("sleep").arg("0.2").status().unwrap().success());
    kill(init, Signal::SIGTERM).unwrap();
    lar.end();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    lar.nothing_left();
}

#[test]
fn the_cause_of_the_end_is_left_in_the_termination_log() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    let log = dir.write("log", "the program's own words\n");
    let log = log.to_str().unwrap();
    let script = "mount -t tmpfs none /dev && : >/dev/termination-log &&
        mount --bind \"$0\" /dev/termination-log && exec \"$@\"";
    let words = ["sh", "-c", script, log, LAR, "--", "sh", "-c", "kill -9 $$"];
    run(ns, &words).expect(137);
    let text = dir.read("log");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("the program's own words"));
    let line = lines.next().unwrap_or_default();
    assert!(line.starts_with("lar: exit code 137 after "), "{text:?}");
    assert!(line.contains("killed by SIGKILL"), "{text:?}");
}

#[test]
fn defect_06_a_signal_in_the_first_moments_is_never_lost() {
    let Some(ns) = namespace() else { return };
    let mut reached = 0;
    for trial in 0..200u64 {
        let words: &[&str] = match trial % 2 {
            0 => &[LAR, "--", "sleep", "1000"],
            _ => &[LAR, "--group", "--", "sleep", "1000"],
        };
        let mut lar = Lar::spawn(Scratch::new(), command(ns, words));
        let init = masked(lar.pid());
        // Anywhere between lar's first instructions and the program's.
        let until = Instant::now() + Duration::from_micros(trial * 7919 % 4000);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        kill(init, Signal::SIGTERM).unwrap();
        assert_eq!(lar.end(), 143, "trial {trial}");
        reached += 1;
    }
    assert_eq!(reached, 200);
}

/// Waits until lar is there as PID 1 and has blocked its signals: earlier the kernel drops what is sent to a PID 1.
fn masked(unshare: Pid) -> Pid {
    holds(unshare, 1 << 14 | 1 << 9)
}

/// Waits until lar is there as PID 1 with these blocked.
fn holds(unshare: Pid, mask: u64) -> Pid {
    let end = Instant::now() + lar::DEADLINE;
    while Instant::now() < end {
        let Some(init) = init_of(unshare) else { continue };
        let status = std::fs::read_to_string(format!("/proc/{init}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        let blocked = field("SigBlk:").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        let blocked = blocked.is_some_and(|blocked| blocked & mask == mask);
        if field("Name:").as_deref() == Some("lar") && blocked {
            return init;
        }
    }
    panic!("lar does not come");
}

/// A `<runner>` in the foreground, and lar's zdaemon for it in a namespace of its own.
fn zdaemon(ns: &[String], program: &str, words: &[&str]) -> Lar {
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho up\nexec sleep 1000\n");
    let text = "\nsocket-name {dir}/s\ndaemon off\n</runner>\n";
    let file = dir.write("z.conf", &format!("<runner>\nprogram {program}{text}"));
    let mut command = command(ns, &[LAR, "zdaemon", "-C", file.to_str().unwrap()]);
    command.args(words);
    Lar::spawn(dir, command)
}

#[test]
fn zdaemon_loses_no_term_on_its_way_to_become_the_manager() {
    let Some(ns) = namespace() else { return };
    for trial in 0..40u64 {
        let mut lar = zdaemon(ns, "sleep 1000", &["start"]);
        let init = holds(lar.pid(), 1 << 14);
        let until = Instant::now() + Duration::from_micros(trial * 7919 % 8000);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        kill(init, Signal::SIGTERM).unwrap();
        let code = lar.end();
        // 1: the manager was there already, and says what ended it.
        assert!([1, 143].contains(&code), "trial {trial}: {code}");
    }
}

#[test]
fn what_zdaemon_holds_back_as_pid_1_is_not_blocked_for_the_program() {
    let Some(ns) = namespace() else { return };
    for action in ["start", "fg"] {
        let mut lar = zdaemon(ns, "grep SigBlk: /proc/self/status", &[action]);
        assert_eq!(lar.out.until("SigBlk:\t"), "SigBlk:\t0000000000000000", "{action}");
        assert_eq!(lar.end(), 0);
    }
}

#[test]
fn every_action_of_zdaemons_that_waits_hears_a_term_as_pid_1() {
    let Some(ns) = namespace() else { return };
    let mut lar = zdaemon(ns, "{dir}/p", &["fg"]);
    lar.out.until("up");
    kill(init_of(lar.pid()).unwrap(), Signal::SIGTERM).unwrap();
    lar.end();
    lar.nothing_left();
    let mut lar = zdaemon(ns, "sleep 1000", &["logtail", "/etc/passwd"]);
    lar.out.until(":");
    kill(init_of(lar.pid()).unwrap(), Signal::SIGTERM).unwrap();
    assert_eq!(lar.end(), 143);
}

#[test]
fn zdaemon_passes_on_a_term_from_outside_of_its_namespace() {
    let Some(ns) = namespace() else { return };
    let dir = Scratch::new();
    dir.script("p", "#!/bin/sh\necho up\nexec sleep 1000\n");
    let text = "<runner>\nprogram {dir}/p\nsocket-name {dir}/s\ndaemon off\n</runner>\n";
    let file = dir.write("z.conf", text);
    let words = format!("'{LAR}' zdaemon -C '{}' start; echo end $?", file.display());
    let mut lar = Lar::spawn(dir, command(ns, &["sh", "-c", &words]));
    lar.out.until("up");
    let client = init_of(init_of(lar.pid()).expect("the shell")).expect("the client");
    kill(client, Signal::SIGTERM).unwrap();
    assert_eq!(lar.out.until("end"), "end 0");
    lar.end();
}
