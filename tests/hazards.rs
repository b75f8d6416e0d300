//! The hazards that were once reproduced, live: groups that hold ports, pipes that are held on both ends, flags and
//! owners of pipes, and programs that can't be started yet.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::process::Command;

use lar::{Lar, Scratch, answer, program, root, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A master that listens, and forks workers that hold the port and much memory, so that they die slowly.
const MASTER: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
    int ready[2], fd = socket(AF_INET, SOCK_STREAM, 0);
    char byte;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16)) {
        dprintf(1, "refused: %s\n", strerror(errno));
        return 1;
    }
    if (pipe(ready))
        return 2;
    for (int worker = 0; worker < 2; worker++)
        if (fork() == 0) {
            volatile char *memory = malloc(12 << 20);
            for (int byte = 0; byte < 12 << 20; byte += 4096)
                memory[byte] = 1;
            write(ready[1], "x", 1);
            for (;;)
                pause();
        }
    for (int worker = 0; worker < 2; worker++)
        read(ready[0], &byte, 1);
    dprintf(1, "up %d\n", getpid());
    for (;;)
        pause();
}
"#;

#[test]
fn the_group_is_gone_before_the_replacement_binds_its_port() {
    if program("cc").is_none() {
        return skip("no C compiler");
    }
    let dir = Scratch::new();
    let source = dir.write("master.c", MASTER);
    answer(Command::new("cc").args(["-O1", "-w", "-o"]).arg(dir.at("master")).arg(source))
        .expect(0);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "<service web>\n program {{dir}}/master {port}\n backoff none\n prefix no\n</service>\n"
    );
    let mut lar = Lar::run_in(dir, "  spawn-rate none", &config, |_| {});
    for trial in 0..200 {
        let line = lar.out.next().unwrap();
        let Some(pid) = line.strip_prefix("up ") else { panic!("trial {trial}: {line}") };
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    lar.out.until("up ");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_grandchild_that_never_stops_writing_holds_nothing_up() {
    let mut lar = Lar::start(
        "<service noisy>\n shell yes\n program setsid yes & echo $$ >> {dir}/pids; exec sleep 1000\n \
         transcript /dev/null\n</service>\n",
    );
    lar.wait("noisy=running");
    // With two, and then three of them on the same pipe, the main process is replaced like any other.
    for _ in 0..2 {
        lar.crash("noisy");
        for _ in 0..20 {
            lar.ask("ping").expect(0);
        }
    }
    lar.ask("stop noisy").expect(0);
    lar.ask("ping").expect(0);
    lar.ask("start noisy").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_one_process_did_to_the_pipe_does_not_hurt_the_next() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let mut lar = Lar::start(
        "<service web>\n shell yes\n program if [ -e {dir}/second ]; then seq 1 300000; echo \"code \
         $?\"; exec sleep 1000; fi; touch {dir}/second; exec python3 -c 'import os; \
         os.set_blocking(1, False); os.set_blocking(2, False)'\n transcript {dir}/log\n</service>\n",
    );
    lar.watch("logs -f web").until("code ");
    // What is in the ring has been written before.
    let log = lar.dir.read("log");
    assert!(log.ends_with("300000\ncode 0\n"), "{:?}", &log[log.len().saturating_sub(300)..]);
    assert_eq!(log.lines().count(), 300_001);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn another_user_can_open_its_standard_output_by_name() {
    if !root() {
        return skip("needs root");
    }
    let mut lar = Lar::start(
        "<service web>\n shell yes\n program echo out > /dev/stdout; echo err > /dev/stderr; id -un; \
         exec sleep 1000\n user nobody\n prefix no\n</service>\n",
    );
    let lines: Vec<String> = (0..3).map(|_| lar.out.next().unwrap()).collect();
    assert_eq!(lines, ["out", "err", "nobody"]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_crash_during_a_stop_is_not_followed_by_a_restart() {
    let mut lar = Lar::start(
        "<service web>\n shell yes\n program trap 'kill -SEGV $$' TERM; echo up; while :; do sleep \
         1000 & wait; done\n</service>\n",
    );
    lar.out.until("up");
    let mut events = lar.events("");
    lar.ask("stop web").expect(0);
    events.until("killed by SIGSEGV");
    events.until("stopping -> stopped");
    lar.ask("status web").expect(3);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn nothing_said_around_a_death_is_lost() {
    // Each process says a line, and its last words without an end of line; then it is killed. What its successor
    // says comes after.
    let mut lar = Lar::with(
        "  spawn-rate none",
        "<service web>\n shell yes\n program n=$(cat {dir}/n); echo $((n + 1)) > {dir}/n; echo \"life $n\"; \
         printf 'last words of %%s' $n; [ $n -ge 50 ] && exec sleep 1000; kill -KILL $$\n backoff none\n \
         transcript {dir}/log\n timestamp no\n</service>\n"
            .replace("n=$(cat {dir}/n)", "n=$(cat {dir}/n 2>&- || echo 0)")
            .as_str(),
    );
    lar.watch("logs -f web").until("last words of 49");
    lar.watch("logs -f web").until("life 50");
    assert_eq!(lar.shut_down(), 0);
    let log = lar.dir.read("log");
    for life in 0..=50 {
        assert!(log.contains(&format!("life {life}\n")), "{life}: {log}");
        assert!(log.contains(&format!("last words of {life}")), "{life}: {log}");
    }
    assert_eq!(log.matches("life ").count(), 51);
}

/// What can't be started is shown with stage and errno, tried again, and runs once it can.
fn waits_until_repaired(lines: &str, before: impl Fn(&Lar), says: &str, repair: impl Fn(&Lar)) {
    let config = format!(
        "<service web>\n{lines}\n backoff linear 100ms max 100ms\n</service>\n\
         <service other>\n program sleep 1000\n</service>\n"
    );
    let dir = Scratch::new();
    dir.script("there", "#!/bin/sh\nexec sleep 1000\n");
    let mut lar = Lar::run_in(dir, "  exit-policy never", &config, |_| {});
    lar.wait("web=running other=running");
    lar.ask("stop web").expect(0);
    before(&lar);
    let mut events = lar.events("web");
    lar.ask("start web --timeout 20s").expect(11);
    for _ in 0..3 {
        let line = events.until("starting -> backoff");
        assert!(line.contains(says), "{line}");
    }
    lar.wait("web=backoff");
    let (status, why) = (lar.ask("status web"), lar.ask("why web").expect(0));
    assert!(status.out.contains(says) || why.out.contains(says), "{status:?}");
    assert!(why.out.contains("next try in") && why.out.contains(says), "{why:?}");
    repair(&lar);
    lar.wait("web=running other=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_program_that_is_missing_at_run_time_is_waited_for() {
    waits_until_repaired(
        " program {dir}/there",
        |lar| fs::rename(lar.dir.at("there"), lar.dir.at("away")).unwrap(),
        "No such file or directory (stage exec)",
        |lar| fs::rename(lar.dir.at("away"), lar.dir.at("there")).unwrap(),
    );
}

#[test]
fn a_program_that_is_not_executable_is_waited_for() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |lar: &Lar, mode| {
        fs::set_permissions(lar.dir.at("there"), fs::Permissions::from_mode(mode)).unwrap();
    };
    let says = "Permission denied (stage exec)";
    waits_until_repaired(
        " program {dir}/there",
        |lar| mode(lar, 0o644),
        says,
        |lar| mode(lar, 0o755),
    );
}

#[test]
fn a_script_without_its_first_line_is_the_shells_as_execvp_has_it() {
    let dir = Scratch::new();
    dir.script("there", "echo it is me, $1\nexec sleep 1000\n");
    let config = "<service web>\n program {dir}/there well\n prefix no\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    lar.out.until("it is me, well");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_directory_that_is_missing_at_run_time_is_waited_for() {
    let dir = Scratch::new();
    fs::create_dir(dir.at("home")).unwrap();
    let config = "<service web>\n program pwd -P\n type oneshot\n restart always\n directory {dir}/home\n \
                  backoff linear 100ms max 100ms\n prefix no\n</service>\n";
    let mut lar = Lar::run_in(dir, "  exit-policy never", config, |_| {});
    lar.out.until("/home");
    fs::remove_dir(lar.dir.at("home")).unwrap();
    lar.err.until("No such file or directory (stage directory)");
    fs::create_dir(lar.dir.at("home")).unwrap();
    lar.out.now();
    lar.out.until("/home");
    assert_eq!(lar.shut_down(), 0);
}
