//! What the kernel refuses: no more files, no more processes, no more disk, interrupted calls, no place for the
//! socket. Each is reported once, counted, tried again, and over when its cause is. The faults are injected into
//! the real binary by strace, where they can't be had for real.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::process::Command;

use lar::{LAR, Lar, Scratch, program, root, skip};
use nix::sys::signal::{Signal, kill};

const TWO: &str = "<service web>\n program sleep 1000\n</service>\n\
     <service talks>\n shell yes\n program while :; do echo line; sleep 0.02; done\n transcript \
     {dir}/talk\n</service>\n";

/// Starts lar with faults injected into lar itself, not into what it starts. `None` where that can't be done.
fn with_faults(inject: &[&str], config: &str) -> Option<Lar> {
    if program("strace").is_none() {
        skip("strace is not installed");
        return None;
    }
    let probe = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("strace may not trace here");
        return None;
    }
    let dir = Scratch::new();
    let settings = "<lar>\n socket-name {dir}/s\n exit-policy never\n</lar>\n";
    let file = dir.write("lar.conf", &(settings.to_owned() + config));
    // The tracer is the grandchild, so that the child is lar itself.
    let mut command = Command::new("strace");
    command.args(["-D", "-q", "-o", "/dev/null"]);
    let calls: Vec<&str> = inject.iter().filter_map(|rule| rule.split(':').next()).collect();
    command.arg("-e").arg(format!("trace={}", calls.join(",")));
    for rule in inject {
        command.arg("-e").arg(format!("inject={rule}"));
    }
    command.arg(LAR).arg("-C").arg(file);
    Some(Lar::spawn(dir, command))
}

/// Asks a traced lar to end; its exit code. (The tracer is still there then.)
#[track_caller]
fn ends(lar: &mut Lar) -> i32 {
    lar.signal(Signal::SIGTERM);
    lar.end()
}

/// Asks until it answers: whoever injects faults can't count on the first time.
#[track_caller]
fn until_it_answers(lar: &Lar) {
    let end = std::time::Instant::now() + lar::DEADLINE;
    while lar.ask("ping").code != 0 {
        assert!(std::time::Instant::now() < end);
    }
}

#[test]
fn a_clone_that_is_refused_is_a_backoff_and_tried_again() {
    for (errno, text) in
        [("EAGAIN", "Resource temporarily unavailable"), ("ENOMEM", "Cannot allocate memory")]
    {
        let rule = format!("clone:error={errno}:when=1..3");
        let Some(mut lar) =
            with_faults(&[&rule], "<service web>\n program sleep 1000\n</service>\n")
        else {
            return;
        };
        for _ in 0..3 {
            let line = lar.err.until("starting -> backoff");
            assert!(line.contains(text) && line.contains("(stage clone)"), "{line}");
        }
        until_it_answers(&lar);
        lar.wait("web=running");
        let why = lar.ask("why web").expect(0).out;
        assert!(why.contains(text), "{why}");
        assert_eq!(ends(&mut lar), 0);
    }
}

#[test]
fn a_readiness_command_that_can_not_be_cloned_is_asked_again() {
    let config = "<service web>\n program sleep 1000\n ready command true\n ready-interval 20ms\n</service>\n";
    let Some(mut lar) = with_faults(&["clone:error=EAGAIN:when=2..4"], config) else { return };
    until_it_answers(&lar);
    lar.wait("web=running");
    assert_eq!(ends(&mut lar), 0);
}

#[test]
fn interrupted_calls_are_made_again() {
    let rules = [
        "epoll_wait:error=EINTR:when=2+2",
        "waitid:error=EINTR:when=1+3",
        "read:error=EINTR:when=20+3",
        "write:error=EINTR:when=2+3",
        "accept4:error=EINTR:when=1+2",
        "recvfrom:error=EINTR:when=1+2",
        "sendto:error=EINTR:when=1+2",
    ];
    let Some(mut lar) = with_faults(&rules, TWO) else { return };
    until_it_answers(&lar);
    lar.wait("web=running talks=running");
    for _ in 0..5 {
        lar.crash("web");
        lar.crash("talks");
    }
    lar.watch("logs -f talks").until("line");
    assert!(lar.dir.read("talk").lines().all(|line| line == "line"));
    assert_eq!(ends(&mut lar), 0);
}

#[test]
fn a_poll_that_fails_does_not_end_the_loop() {
    let Some(mut lar) = with_faults(&["epoll_wait:error=ENOMEM:when=3..6"], TWO) else { return };
    until_it_answers(&lar);
    lar.wait("web=running");
    lar.crash("web");
    assert_eq!(ends(&mut lar), 0);
}

#[test]
fn clients_that_can_not_be_accepted_are_reported_once_and_served_later() {
    let Some(mut lar) = with_faults(&["accept4:error=EMFILE:when=2..5"], TWO) else { return };
    until_it_answers(&lar);
    lar.ask("ping").expect(0);
    lar.ask("ping").expect(0);
    lar.wait("web=running");
    assert_eq!(ends(&mut lar), 0);
    let lines = lar.err.rest();
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("can't accept a client: Too many open files"), 1, "{lines:#?}");
    assert_eq!(count("works again"), 1, "{lines:#?}");
}

#[test]
fn without_free_files_services_are_restarted_and_control_comes_back() {
    let dir = Scratch::new();
    let config =
        "<lar>\n socket-name {dir}/s\n</lar>\n<service web>\n program sleep 1000\n</service>\n";
    let file = dir.write("lar.conf", config);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 16 && ulimit -Hn 16 && exec \"$0\" -C \"$1\"", LAR]).arg(file);
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("web: starting -> running");
    let old = lar.pid_of("web");
    // More than it has files for; most of them stay in the backlog.
    let crowd: Vec<_> = (0..24).map(|_| lar.connect()).collect();
    lar.err.until("can't accept a client: Too many open files");
    kill(old, Signal::SIGKILL).unwrap();
    lar.err.until("-> running: spawned, pid");
    drop(crowd);
    lar.ask("ping").expect(0);
    assert_ne!(lar.pid_of("web"), old);
    assert_eq!(lar.shut_down(), 0);
    let lines = lar.err.rest();
    let reports = lines.iter().filter(|line| line.contains("Too many open files")).count();
    assert_eq!(reports, 1, "{lines:#?}");
}

#[test]
fn a_transcript_that_is_always_full_stops_neither_the_service_nor_lar() {
    let mut lar = Lar::start(
        "<service talks>\n shell yes\n program seq 1 200000; echo done > {dir}/done; exec sleep 1000\n \
         transcript /dev/full\n</service>\n",
    );
    lar.watch("logs -f talks").until("200000");
    lar.crash("talks");
    lar.watch("logs -f talks").until("200000");
    assert_eq!(lar.shut_down(), 0);
    let lines = lar.err.rest();
    let reports = lines.iter().filter(|line| line.contains("warn /dev/full")).collect::<Vec<_>>();
    assert!(
        (1..=3).contains(&reports.len()),
        "reported once, and once more with a count: {lines:#?}"
    );
    assert!(reports[0].contains("No space left on device"), "{reports:#?}");
}

#[test]
fn a_transcript_goes_on_with_a_count_when_there_is_room_again() {
    if !root() {
        return skip("needs root to mount a small file system");
    }
    let dir = Scratch::new();
    fs::create_dir(dir.at("small")).unwrap();
    let config = "<lar>\n socket-name {dir}/s\n</lar>\n<service talks>\n shell yes\n program seq 1 \
                  100000; until [ -e {dir}/more ]; do sleep 0.05; done; while :; do echo more; sleep \
                  0.05; done\n transcript {dir}/small/log\n</service>\n";
    let file = dir.write("lar.conf", config);
    let mut command = Command::new("unshare");
    command.args([
        "-m",
        "sh",
        "-c",
        "mount -t tmpfs -o size=64k none \"$2\" && exec \"$0\" -C \"$1\"",
        LAR,
    ]);
    command.arg(file).arg(dir.at("small"));
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("No space left on device");
    lar.watch("logs -f talks").until("100000");
    lar.wait("talks=running");
    let inside = format!("/proc/{}/root{}", lar.pid(), lar.dir.at("small/log").display());
    let before = fs::read(&inside).unwrap();
    assert!(before.starts_with(b"1\n2\n3\n"));
    fs::OpenOptions::new().write(true).open(&inside).unwrap().set_len(0).unwrap();
    lar.dir.write("more", "");
    // The report of the end of it; then the file says itself what is missing from it.
    lar.err.until("bytes were lost");
    // The first ten are from before.
    let mut logs = lar.watch("logs -f talks");
    (0..20).for_each(|_| drop(logs.lines.next().unwrap()));
    let after = fs::read_to_string(&inside).unwrap();
    assert!(after.contains("bytes of output lost"), "{after}");
    assert!(after.ends_with("more\n"), "{after}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn without_a_place_for_the_socket_services_run_and_control_comes_with_the_place() {
    let dir = Scratch::new();
    let config = "<lar>\n socket-name {dir}/later/s\n</lar>\n<service web>\n program sleep 1000\n</service>\n";
    let file = dir.write("lar.conf", config);
    let mut command = Command::new(LAR);
    command.arg("-C").arg(file);
    let mut lar = Lar::spawn(dir, command);
    let report = lar.err.until("there is no control");
    assert!(
        report.contains("No such file or directory") && report.contains("next try in"),
        "{report}"
    );
    lar.err.until("web: starting -> running");
    fs::create_dir(lar.dir.at("later")).unwrap();
    lar.err.until("control: listening at");
    let mut command = Command::new(LAR);
    lar::answer(command.args(["ctl", "ping", "-s"]).arg(lar.dir.at("later/s"))).expect(0);
    assert_eq!(lar.shut_down(), 0);
    let lines = lar.err.rest();
    assert_eq!(lines.iter().filter(|line| line.contains("there is no control")).count(), 1);
}

#[test]
fn captured_output_does_not_cost_the_last_fd_of_its_clients() {
    let mut config = String::from("<defaults>\n transcript none\n start manual\n</defaults>\n");
    for number in 0..200 {
        config += &format!("<service s{number}>\n program sleep 1000\n</service>\n");
    }
    let dir = Scratch::new();
    let mut lar = Lar::run_in(dir, "", &config, |command| {
        let mut limited = std::process::Command::new("prlimit");
        limited.arg("--nofile=256:256").arg(command.get_program()).args(command.get_args());
        *command = limited;
    });
    let told: Vec<String> =
        lar.err.now().iter().filter(|line| line.contains("not captured")).cloned().collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("Too many open files") && told[0].contains("more pipes"), "{told:?}");
    let watchers: Vec<_> = (0..10).map(|_| lar.watch("events")).collect();
    lar.ask("start s0 s199").expect(0);
    lar.wait("s0=running s199=running");
    assert!(lar.ask("status").expect(0).out.contains("s199"));
    drop(watchers);
}
