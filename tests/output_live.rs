//! Output of real services through the real binary: forms, shared files, reopening, rotation, and who is behind.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::process::Command;

use lar::{LAR, Lar, Scratch};
use nix::sys::signal::Signal;

/// A service that says a line whenever it is sent USR1, and counts.
fn on_request(more: &str) -> String {
    format!(
        "<service web>\n shell yes\n program n=0; trap 'n=$((n + 1)); echo line $n' USR1; echo up; while \
         :; do sleep 1000 & wait; done\n transcript {{dir}}/log\n{more}\n</service>\n"
    )
}

/// Makes it say its next line, and waits until lar has it.
fn say(lar: &Lar, number: u32) {
    lar.ask("kill USR1 web").expect(0);
    lar.watch("logs -f web").until(&format!("line {number}"));
}

#[test]
fn a_transcript_is_moved_away_and_opened_anew_by_signal_and_by_order() {
    let mut lar = Lar::start(&on_request(""));
    lar.watch("logs -f web").until("up");
    fs::rename(lar.dir.at("log"), lar.dir.at("log.1")).unwrap();
    say(&lar, 1);
    assert!(lar.dir.read("log.1").ends_with("up\nline 1\n"), "the old file goes on until then");
    lar.ask("reopen").expect(0);
    say(&lar, 2);
    assert_eq!(lar.dir.read("log"), "line 2\n");
    fs::rename(lar.dir.at("log"), lar.dir.at("log.2")).unwrap();
    lar.signal(Signal::SIGUSR1);
    lar.err.until("opened anew");
    lar.err.until("opened anew");
    say(&lar, 3);
    assert_eq!(lar.dir.read("log"), "line 3\n");
    assert_eq!(lar.dir.read("log.2"), "line 2\n");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_transcript_that_can_not_be_opened_anew_is_kept_and_the_order_fails() {
    let mut lar = Lar::start(&on_request(""));
    lar.watch("logs -f web").until("up");
    fs::rename(lar.dir.at("log"), lar.dir.at("old")).unwrap();
    fs::create_dir(lar.dir.at("log")).unwrap();
    let failed = lar.ask("reopen").expect(1);
    assert!(failed.err.contains("Is a directory"), "{failed:?}");
    say(&lar, 1);
    assert!(lar.dir.read("old").ends_with("line 1\n"));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn forms_are_prefix_time_and_json() {
    let service = |name: &str, more: &str| {
        format!(
            "<service {name}>\n shell yes\n program echo 'say \"hi\"'; echo oops >&2; printf 'no end'\n \
             type oneshot\n transcript {{dir}}/{name}\n{more}\n</service>\n"
        )
    };
    let config = service("raw", "")
        + &service("prefixed", " prefix yes")
        + &service("timed", " timestamp %Y-%m-%d")
        + &service("json", " format json")
        + &service("split", " stderr {dir}/split.err");
    let mut lar = Lar::with("  exit-policy never", &config);
    lar.wait("raw=exited prefixed=exited timed=exited json=exited split=exited");
    let lines = |name: &str| lar.dir.read(name).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("raw"), ["say \"hi\"", "oops", "no end"]);
    assert!(
        lines("prefixed").iter().all(|line| line.contains("prefixed")),
        "{:?}",
        lines("prefixed")
    );
    assert!(lines("prefixed")[2].ends_with("no end"));
    let timed = lines("timed");
    assert!(
        timed.iter().all(|line| line.starts_with("20") && line.as_bytes()[10] == b' '),
        "{timed:?}"
    );
    let json = lines("json");
    assert_eq!(json.len(), 3);
    assert!(json[0].starts_with('{') && json[0].contains(r#"say \"hi\""#), "{json:?}");
    assert_eq!(lines("split"), ["say \"hi\"", "no end"]);
    assert_eq!(lines("split.err"), ["oops"]);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn instances_that_share_a_file_do_not_tear_each_others_lines() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service web>\n shell yes\n program for n in $(seq 1 3000); do echo \"instance %i says number $n \
         of many\"; done\n type oneshot\n instances 4\n transcript {dir}/log\n</service>\n",
    );
    lar.wait("web=exited");
    let log = lar.dir.read("log");
    assert_eq!(log.lines().count(), 4 * 3000);
    for line in log.lines() {
        assert!(line.starts_with("instance ") && line.ends_with(" of many"), "{line:?}");
    }
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_file_that_grows_is_rotated_and_no_line_is_lost() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service web>\n program seq 100001 140000\n type oneshot\n transcript {dir}/log\n \
         rotate 100K keep 9\n</service>\n",
    );
    lar.wait("web=exited");
    let mut all = String::new();
    for number in (1..=9).rev() {
        all += &lar.dir.read(&format!("log.{number}"));
    }
    all += &lar.dir.read("log");
    let numbers: Vec<u32> = all.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(100_001..=140_000), "{} lines", numbers.len());
    assert!(lar.dir.at("log.1").exists());
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn inherited_output_is_lars_own_and_none_is_nowhere() {
    let mut lar = Lar::with(
        "  exit-policy never",
        "<service own>\n shell yes\n program echo direct\n type oneshot\n transcript inherit\n</service>\n\
         <service quiet>\n shell yes\n program echo nothing\n type oneshot\n transcript none\n</service>\n",
    );
    lar.wait("own=exited quiet=exited");
    let refused = lar.ask("logs own").expect(1);
    assert!(refused.err.contains("no output is kept"), "{refused:?}");
    assert_eq!(lar.shut_down(), 0);
    assert_eq!(lar.out.rest(), ["direct"]);
}

#[test]
fn a_standard_output_that_nobody_reads_holds_up_neither_lar_nor_the_end() {
    let dir = Scratch::new();
    let file = dir.write(
        "lar.conf",
        "<lar>\n socket-name {dir}/s\n</lar>\n<service noisy>\n program yes\n</service>\n",
    );
    // The pipe is held open by this test, and never read.
    let (read, write) = nix::unistd::pipe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" -C \"$1\" > \"$2\"", LAR]).arg(file);
    command.arg(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&write)
    ));
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("noisy: starting -> running");
    drop(write);
    for _ in 0..50 {
        lar.ask("ping").expect(0);
    }
    lar.crash("noisy");
    assert_eq!(lar.shut_down(), 0);
    drop(read);
}

#[test]
fn an_event_log_goes_where_it_is_told_and_is_opened_anew() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n</service>\n<eventlog>\n level info\n <logfile>\n  path \
         {dir}/events\n  format %(levelname)s|%(message)s\n </logfile>\n</eventlog>\n",
    );
    lar.wait("web=running");
    assert!(lar.dir.read("events").to_lowercase().contains("info|web: stopped -> starting"));
    fs::rename(lar.dir.at("events"), lar.dir.at("events.1")).unwrap();
    lar.ask("reopen").expect(0);
    lar.ask("stop web").expect(0);
    assert!(lar.dir.read("events").contains("web: running -> stopping"));
    assert!(!lar.dir.read("events.1").contains("web: running -> stopping"));
    lar.ask("start web").expect(0);
    assert_eq!(lar.shut_down(), 0);
    assert_eq!(lar.err.rest(), [] as [&str; 0]);
}

#[test]
fn a_terminal_that_nobody_reads_does_not_hold_lar_up() {
    // Once as any terminal, once as the controlling one of lar's own session.
    for session in ["env", "setsid"] {
        let terminal = nix::pty::openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&terminal.slave).unwrap();
        let wrap = |command: &mut Command| {
            let mut outer = Command::new(session);
            outer.args(["sh", "-c", "exec \"$0\" \"$@\" >$TERMINAL"]).env("TERMINAL", &path);
            outer.arg(command.get_program()).args(command.get_args());
            *command = outer;
        };
        let config = "<service noisy>\n program yes\n transcript stdout\n</service>\n";
        let mut lar = Lar::run_in(Scratch::new(), "", config, wrap);
        lar.wait("noisy=running");
        // The terminal takes a few KiB; after that each write would sleep.
        lar.err.until("its reader has stopped");
        for _ in 0..50 {
            lar.ask("ping").expect(0);
        }
        assert_eq!(lar.shut_down(), 0);
        drop(terminal);
    }
}
