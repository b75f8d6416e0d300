//! One-shots that run again and again, with a real manager.

#[path = "support/lar.rs"]
mod lar;

use std::time::{SystemTime, UNIX_EPOCH};

use lar::{Lar, Scratch};

/// A TZ in which it is so many seconds before 03:00 now.
fn before_three(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 86_400;
    // How far the wall clock is to be ahead of UTC; POSIX counts the other way.
    let ahead = (3 * 3600 + 86_400 - seconds - now) % 86_400;
    format!("LAR-{}:{:02}:{:02}", ahead / 3600, ahead / 60 % 60, ahead % 60)
}

#[test]
fn a_one_shot_runs_at_once_and_again_that_long_after_each_start() {
    let mut lar = Lar::start(
        "<service tick>\n type oneshot\n every 200ms\n program echo tick\n prefix no\n</service>\n\
         <service user>\n program sleep 1000\n requires tick\n</service>\n",
    );
    lar.wait("user=running");
    let mut events = lar.events("tick");
    for _ in 0..3 {
        events.until("tick: exited -> starting: its time has come");
        events.until("tick: starting -> exited: exit status 0");
    }
    let shown = lar.ask("status tick").expect(0).out;
    assert!(shown.contains("next run in"), "{shown}");
    lar.ask("health").expect(0);
    // A stop sticks, and a start runs it at once.
    lar.ask("stop --force tick").expect(0);
    let shown = lar.ask("status tick").expect(3).out;
    assert!(!shown.contains("next run"), "{shown}");
    lar.ask("start tick").expect(0);
    events.until("tick: stopped -> starting: start was ordered");
    events.until("tick: exited -> starting: its time has come");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_run_that_is_due_during_another_is_left_out_or_comes_right_after() {
    let config = |overlap: &str| {
        format!(
            "<service long>\n type oneshot\n every 300ms\n overlap {overlap}\n shell yes\n prefix no\n \
             program echo up; read line < {{dir}}/go\n</service>\n\
             <service clock>\n type oneshot\n every 300ms\n program true\n</service>\n"
        )
    };
    for (overlap, next) in
        [("skip", "long: exited -> starting: its time has come"), ("queue", "its time has come")]
    {
        let dir = Scratch::new();
        nix::unistd::mkfifo(&dir.at("go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut lar = Lar::run_in(dir, "", &config(overlap), |_| {});
        lar.out.until("up");
        // While it runs, others become due: the clock of another one says when.
        let mut events = lar.events("long");
        let mut clock = lar.events("clock");
        for _ in 0..3 {
            clock.until("its time has come");
        }
        assert_eq!(lar.out.now().iter().filter(|line| *line == "up").count(), 1, "one at a time");
        std::fs::write(lar.dir.at("go"), "on\n").unwrap();
        events.until("long: starting -> exited: exit status 0");
        let ended = std::time::Instant::now();
        events.until(next);
        if overlap == "queue" {
            lar.out.until("up");
            assert!(ended.elapsed().as_millis() < 250, "right after, not at the next time");
        }
    }
}

#[test]
fn a_run_that_fails_is_tried_again_by_its_rules_and_the_next_one_begins_afresh() {
    let mut lar = Lar::start(
        "<service bad>\n type oneshot\n every 500ms\n program false\n give-up after 2\n \
         backoff linear 10ms max 1h jitter 0%\n</service>\n\
         <service user>\n program sleep 1000\n requires bad\n</service>\n",
    );
    let mut events = lar.events("bad");
    for _ in 0..2 {
        events.until("bad: failed -> starting: its time has come");
        let line = events.until("bad: starting -> backoff");
        assert!(line.contains("next try in 10ms"), "its deaths were forgotten: {line}");
        events.until("bad: starting -> failed");
    }
    // It may succeed yet: whoever requires it waits.
    lar.wait("user=waiting");
    lar.ask("health").expect(1);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_time_of_the_day_comes_on_the_local_clock() {
    let zone = before_three(3);
    let mut lar = Lar::run_in(
        Scratch::new(),
        "",
        "<service nightly>\n type oneshot\n at 03:00 15:00\n shell yes\n prefix no\n \
         program echo it is $(date +%%H:%%M)\n</service>\n\
         <service user>\n program sleep 1000\n requires nightly\n</service>\n",
        |command| {
            command.env("TZ", &zone);
        },
    );
    // Not when lar starts; and nothing else keeps the manager.
    lar.wait("nightly=stopped user=waiting");
    let shown = lar.ask("status nightly").expect(3).out;
    assert!(shown.contains("waits for its time") && shown.contains("next run in"), "{shown}");
    lar.ask("health nightly").expect(0);
    lar.out.until("it is 03:00");
    lar.wait("user=running nightly=exited");
    let shown = lar.ask("status nightly").expect(0).out;
    assert!(shown.contains("next run in 11h 59m"), "{shown}");
    // Said again, it is run again.
    lar.ask("start nightly").expect(0);
    lar.out.until("it is 03:0");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_manager_stays_for_what_will_run_again_and_follows_another_timer() {
    let config = |timer: &str| {
        format!("<service once>\n type oneshot\n program true\n {timer}\n</service>\n")
    };
    let mut lar = Lar::start(&config("every 1h"));
    lar.wait("once=exited");
    let file = lar.dir.at("lar.conf");
    let old = std::fs::read_to_string(&file).unwrap();
    let mut events = lar.events("once");
    std::fs::write(&file, old.replace("every 1h", "every 100ms")).unwrap();
    let told = lar.ask("apply").expect(0).out;
    assert!(told.contains("once: every: 1h => 100ms (live)"), "{told}");
    events.until("once: exited -> starting: its time has come");
    events.until("once: starting -> exited");
    std::fs::write(&file, old.replace("every 1h", "at 12:00")).unwrap();
    lar.ask("apply").expect(0);
    let shown = lar.ask("status once").expect(0).out;
    assert!(shown.contains("next run in"), "{shown}");
    std::fs::write(&file, old.replace("every 1h", "")).unwrap();
    lar.ask("apply").expect(0);
    let shown = lar.ask("status once").expect(0).out;
    assert!(!shown.contains("next run in"), "{shown}");
    assert_eq!(lar.shut_down(), 0);
}
