//! What becomes of those that die: rows 22 to 24.

use super::lar::{LAR, Lar, answer};

/// Row 22: procmon's sequence, in advance and in life.
#[test]
fn delays_double_until_a_life_was_healthy() {
    let config = "<service web>\nprogram false\npreset procmon\n</service>\n";
    let dir = super::lar::Scratch::new();
    let file = dir.write("lar.conf", config);
    let mut check = std::process::Command::new(LAR);
    let shown = answer(check.args(["check", "--schedule"]).arg(file)).expect(0).out;
    let times = ["1s", "2s", "4s", "8s", "16s", "32s"];
    let mut rest = shown.as_str();
    for time in times {
        let at = rest.find(time).unwrap_or_else(|| panic!("{time} in {shown}"));
        rest = &rest[at + time.len()..];
    }
    let lar = Lar::start(
        "<service web>\nshell yes\nprogram test -e {dir}/good && sleep 0.3; exit 1\n\
         backoff double 10ms max 10s jitter 0%\nhealthy-after 250ms\n</service>\n",
    );
    let mut events = lar.events("web");
    let mut waited = Vec::new();
    while waited.len() < 4 {
        let line = events.until("next try in ");
        waited.push(line.rsplit("next try in ").next().unwrap().to_owned());
    }
    let millis: Vec<u64> =
        waited.iter().map(|time| time.trim_end_matches("ms").parse().unwrap()).collect();
    assert!(millis.windows(2).all(|two| two[1] == two[0] * 2), "{waited:?}");
    std::fs::write(lar.dir.at("good"), "").unwrap();
    // A healthy life is followed by no wait.
    events.until("running -> starting");
}

/// Row 23.
#[test]
fn too_many_deaths_are_followed_by_a_rest_and_then_by_giving_up() {
    let lar = Lar::with(
        "exit-policy never",
        "<service bad>\nprogram false\npreset gaffer\nflapping 2 in 1s cooldown 50ms rounds 5\n</service>\n",
    );
    lar.wait("bad=failed");
    let why = lar.ask("why bad").expect(0).out;
    assert!(why.contains("cooldown"), "{why}");
    let mut events = lar.watch("events -n 1000 bad");
    let mut rests = 0;
    while !events.lines.next().unwrap().contains("-> failed") {
        rests = events.lines.seen.iter().filter(|line| line.contains("-> cooldown")).count();
    }
    assert_eq!(rests, 5);
}

/// Row 24.
#[test]
fn a_program_that_can_not_be_started_is_a_death_and_says_why() {
    let dir = super::lar::Scratch::new();
    dir.script("there", "#!/bin/sh\nexec sleep 1000\n");
    let config = "<service web>\nprogram {dir}/there\nbackoff double 10ms max 1h\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("web=running");
    std::fs::rename(lar.dir.at("there"), lar.dir.at("gone")).unwrap();
    let failed = lar.ask("restart web").expect(11);
    assert!(failed.err.contains("No such file or directory (stage exec)"), "{failed:?}");
    let status = lar.ask("status web").out;
    assert!(status.contains("backoff") && status.contains("next try in"), "{status}");
    std::fs::rename(lar.dir.at("gone"), lar.dir.at("there")).unwrap();
    lar.ask("start web").expect(0);
}
