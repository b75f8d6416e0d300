//! `streams`: two-way fds that are made once and outlive processes.

use std::collections::BTreeSet;

use super::lar::{Lar, Scratch};

/// A program that answers on its stream, and says on its output what it is.
const ECHO: &str = "#!/usr/bin/env python3
import os, socket, sys
names = os.environ['LAR_STREAMS'].split()
number = lambda name: os.environ['LAR_STREAM_' + name.upper().replace('-', '_')]
print('streams', *(f'{name}={number(name)}' for name in names), flush=True)
control = socket.socket(fileno=int(os.environ['LAR_STREAM_CTRL']))
lines, answers = control.makefile('r'), control.makefile('w')
for line in lines:
    line = line.strip()
    if line == 'shut':
        control.shutdown(socket.SHUT_WR)
        print('is shut', flush=True)
        continue
    if line == 'die':
        os._exit(1)
    answers.write(f'{os.getpid()} heard {line}\\n')
    answers.flush()
print('the end', flush=True)
os.execvp('sleep', ['sleep', '1000'])
";

const SERVICE: &str = "<service app>\nprogram {dir}/echo.py\nstreams ctrl my-data\nstop KILL 5s\n\
                       backoff linear 10ms max 10ms\n</service>\n";

fn start() -> Lar {
    let dir = Scratch::new();
    dir.script("echo.py", ECHO);
    Lar::run_in(dir, "", SERVICE, |_| {})
}

#[test]
fn a_stream_is_an_fd_that_is_told_by_a_variable_and_goes_both_ways() {
    let mut lar = start();
    lar.out.until("streams ctrl=3 my-data=4");
    let pid = lar.pid_of("app");
    lar.ask("send --stream ctrl app hello").expect(0);
    let mut heard = lar.watch("logs -f --stream ctrl app");
    heard.until(&format!("{pid} heard hello"));
    // The program has these and no others.
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let fds: BTreeSet<String> =
        fds.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let wanted = ["0", "1", "2", "3", "4"].map(str::to_owned);
    assert!(fds.is_superset(&BTreeSet::from(wanted)) && fds.len() == 5, "{fds:?}");
    let refused = lar.ask("send --stream crtl app x").expect(1);
    assert!(refused.err.contains("did you mean ctrl?"), "{refused:?}");
    let refused = lar.ask("send app x").expect(1);
    assert!(refused.err.contains("reads /dev/null"), "{refused:?}");
}

#[test]
fn one_can_attach_to_a_stream() {
    let lar = start();
    lar.wait("app=running");
    let pid = lar.pid_of("app");
    let done = super::piped(&lar, "attach --close --stream ctrl app", b"one\ntwo\ndie\n").expect(0);
    assert_eq!(done.out, format!("{pid} heard one\n{pid} heard two"));
}

#[test]
fn it_outlives_processes_and_what_one_did_not_read_its_successor_does_not_either() {
    let mut lar = start();
    lar.wait("app=running");
    let mut heard = lar.watch("logs -f --stream ctrl app");
    let first = lar.pid_of("app");
    lar.ask("send --stream ctrl app one").expect(0);
    heard.until(&format!("{first} heard one"));
    // Nobody reads the other stream.
    lar.ask("send --stream my-data app stale").expect(0);
    let second = lar.crash("app");
    lar.err.until("app: 6 bytes that were sent to it were never read");
    lar.ask("send --stream ctrl app two").expect(0);
    heard.until(&format!("{second} heard two"));
    // Both told on the same stream.
    let all = lar.ask("logs --stream ctrl app").expect(0).out;
    assert_eq!(all, format!("{first} heard one\n{second} heard two\n"));
}

#[test]
fn what_was_shut_down_is_made_anew_for_the_next_process() {
    let mut lar = start();
    lar.wait("app=running");
    lar.ask("send --stream ctrl app shut").expect(0);
    lar.out.until("is shut");
    let new = lar.crash("app");
    let mut heard = lar.watch("logs -f --stream ctrl app");
    lar.ask("send --stream ctrl app again").expect(0);
    heard.until(&format!("{new} heard again"));
    // And by our side.
    lar.ask("send --close --stream ctrl app last").expect(0);
    heard.until(&format!("{new} heard last"));
    lar.out.until("the end");
    let refused = lar.ask("send --stream ctrl app x").expect(1);
    assert!(refused.err.contains("its input was ended"), "{refused:?}");
    let new = lar.crash("app");
    lar.ask("send --stream ctrl app here").expect(0);
    heard.until(&format!("{new} heard here"));
}

#[test]
fn instances_that_come_later_and_services_that_change_have_theirs() {
    let mut lar = start();
    lar.wait("app=running");
    lar.ask("scale app 2").expect(0);
    lar.ask("send --stream ctrl app@2 second").expect(0);
    let mut heard = lar.watch("logs -f --stream ctrl app@2");
    heard.until("heard second");
    let text = std::fs::read_to_string(lar.dir.at("lar.conf")).unwrap();
    let text = text.replace("streams ctrl my-data", "streams first ctrl");
    std::fs::write(lar.dir.at("lar.conf"), text).unwrap();
    let before = fds(&lar);
    lar.ask("apply").expect(0);
    lar.out.until("streams first=3 ctrl=4");
    lar.ask("send --stream ctrl app@1 moved").expect(0);
    let mut heard = lar.watch("logs -f --stream ctrl app@1");
    heard.until("heard moved");
    drop(heard);
    lar.ask("scale app 1").expect(0);
    lar.ask("scale app 2").expect(0);
    lar.ask("ping").expect(0);
    assert_eq!(fds(&lar), before, "none is left behind");
}

/// How many fds lar has, without its clients'.
fn fds(lar: &Lar) -> usize {
    let end = std::time::Instant::now() + super::lar::DEADLINE;
    loop {
        let count = || {
            let all = std::fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().flatten();
            all.filter_map(|entry| std::fs::read_link(entry.path()).ok())
                .filter(|link| link.to_string_lossy().starts_with("socket:"))
                .count()
        };
        // A client that has just ended may still be there: one more question, and it is not.
        lar.ask("ping").expect(0);
        let (first, second) = (count(), {
            lar.ask("ping").expect(0);
            count()
        });
        if first == second || end < std::time::Instant::now() {
            return second;
        }
    }
}
