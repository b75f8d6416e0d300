//! When the program is started again, when it is given up, and what its exit code comes to.

use super::*;

/// The times (ms) at which it ran, by the manager's own events.
fn starts(text: &str) -> Vec<u64> {
    let running = text.lines().filter(|line| line.contains("to=running"));
    let time = |line: &str| {
        let field = line.split(' ').find_map(|field| field.strip_prefix("time_ms="));
        field.unwrap().parse().unwrap()
    };
    running.map(time).collect()
}

/// All events of a manager that ends by itself.
fn events(lar: &Lar) -> Vec<u64> {
    use std::io::{Read, Write};
    let mut client = lar.connect();
    client.write_all(b"lar1 events -n 1000\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    starts(&text)
}

#[test]
fn with_limit_4_it_runs_at_0_1_3_and_6_seconds() {
    let mut lar = manage(" program false\n backoff-limit 4");
    let at = events(&lar);
    assert_eq!(lar.end(), 1);
    let waits: Vec<u64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 3, "{at:?}");
    for (wait, least) in waits.iter().zip([1000, 2000, 3000]) {
        // Milliseconds are cut off at both ends.
        assert!(*wait + 1 >= least, "{waits:?}");
    }
    let lines = log(&mut lar);
    in_this_order(
        &lines,
        &[
            "INFO sleep 1 to avoid rapid restarts".into(),
            "INFO sleep 2 to avoid rapid restarts".into(),
            "INFO sleep 3 to avoid rapid restarts".into(),
            "CRITICAL restarting too frequently; quit".into(),
        ],
    );
    assert!(!lar.dir.at("s").exists());
}

#[test]
fn forever_means_that_the_wait_stays_at_the_limit() {
    let lar = manage(" program false\n backoff-limit 2\n forever on\n");
    let mut watch = lar.watch("events -n 1000 main");
    for _ in 0..4 {
        watch.until(" -> running");
    }
    let text = lar.raw(b"lar1 version\n");
    assert!(text.ends_with("ok\n"), "it goes on: {text}");
    let waits: Vec<String> = {
        let mut lar = lar;
        lar.err.until("sleep 2 to avoid");
        lar.err.until("sleep 2 to avoid");
        lar.err.seen.iter().filter(|line| line.contains("sleep")).cloned().collect()
    };
    assert_eq!(waits[0], "INFO sleep 1 to avoid rapid restarts");
}

#[test]
fn a_limit_of_1_gives_up_even_a_quick_exit_with_0() {
    let mut lar = manage(" program true\n backoff-limit 1");
    assert_eq!(lar.end(), 1);
    lar.err.until("CRITICAL restarting too frequently; quit");
}

#[test]
fn a_limit_of_0_never_waits_and_never_gives_up() {
    let mut lar = manage(" program false\n backoff-limit 0");
    for _ in 0..20 {
        lar.err.until("spawned process");
    }
    assert!(!lar.err.seen.iter().any(|line| line.contains("sleep")), "{:?}", lar.err.seen);
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 1);
}

#[test]
fn an_exit_code_of_the_list_ends_it_with_that_code() {
    for (codes, exit, known) in [("", "0", 0), ("", "2", 2), (" exit-codes 7,300", "7", 7)] {
        let dir = Scratch::new();
        dir.script("go", "#!/bin/sh\nexit $1\n");
        let mut lar =
            manage_in(dir, &format!(" program {{dir}}/go {exit}\n{codes}\n forever on"), |_| {});
        assert_eq!(lar.end(), known);
        let line = format!("exit status {exit}; exiting now");
        lar.err.until(&line);
        assert!(!lar.err.rest().iter().any(|line| line.contains("Exiting")));
    }
}

#[test]
fn codes_that_are_not_listed_and_signals_never_end_it() {
    for codes in [" exit-codes", " exit-codes 2"] {
        let dir = Scratch::new();
        dir.script("go", "#!/bin/sh\nkill -KILL $$\n");
        let mut lar =
            manage_in(dir, &format!(" program {{dir}}/go\n{codes}\n backoff-limit 2"), |_| {});
        assert_eq!(lar.end(), 1);
        lar.err.until("terminated by SIGKILL");
    }
    let mut lar = manage(" program true\n exit-codes\n backoff-limit 2");
    assert_eq!(lar.end(), 1);
    let lines = log(&mut lar);
    assert_eq!(lines.iter().filter(|line| line.ends_with("exit status 0")).count(), 2, "{lines:?}");
}

#[test]
fn a_code_during_a_stop_or_a_restart_does_not_count() {
    let dir = Scratch::new();
    dir.script(
        "go",
        "#!/bin/sh\ntrap 'exit 2' TERM\necho up\nwhile :; do sleep 1000 & wait; done\n",
    );
    let mut lar = manage_in(dir, " program {dir}/go", |_| {});
    lar.out.until("up");
    assert_eq!(lar.raw(b"restart\n"), "Sent SIGTERM; will restart later\n");
    lar.out.until("up");
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    assert_eq!(lar.end(), 0);
    let lines = log(&mut lar);
    assert!(!lines.iter().any(|line| line.contains("exiting now")), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with(": exit status 2")).count(), 2);
}
