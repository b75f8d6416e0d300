//! Too many deaths in a while, and every way out of the rest that follows.

use lar::plan::{Flapping, Kinds};
use lar::supervisor::edit::{Fate, Revision};

use super::*;

/// The rules of gaffer: 2 deaths in 1s, a rest of 7s, 5 of these.
fn gaffer() -> Service {
    let flapping = Flapping { deaths: 2, window: secs(1), cooldown: secs(7), rounds: Some(5) };
    let rules = Rules {
        delay: Delay::None,
        healthy_after: secs(1),
        flapping: Some(flapping),
        jitter: 0,
        ..Rules::default()
    };
    Service { rules, ..service("db") }
}

fn die(play: &mut Play) {
    play.spawned(DB);
    play.exits(DB, 1);
}

/// db rests until 7000, the log empty; web runs.
fn resting() -> Play {
    let mut play = boot(vec![gaffer(), service("web")]);
    play.spawned(WEB);
    die(&mut play);
    die(&mut play);
    assert_eq!(play.phase(DB), Phase::Cooldown);
    play.log();
    play
}

/// What `why` says of db.
fn advice(play: &Play) -> String {
    let core = &play.books.core;
    core.advice(DB, play.books.now).map(|advice| advice.to_string()).unwrap_or_default()
}

/// The kinds of what the last event led to.
fn kinds(play: &Play) -> Vec<String> {
    let told = play.books.actions.iter().filter_map(|action| match action {
        Action::Changed(change) => Some(change.kinds),
        _ => None,
    });
    told.map(|kinds: Kinds| kinds.to_string()).collect()
}

#[test]
fn two_deaths_in_a_second_rest_seven_seconds_and_five_rests_are_all() {
    let mut play = boot(vec![gaffer(), service("web")]);
    play.spawned(WEB);
    play.log();
    for round in 1..=5 {
        die(&mut play);
        assert_eq!(kinds(&play), ["exited,reaped,starting"], "one death is no flapping");
        die(&mut play);
        assert_eq!(kinds(&play), ["exited,reaped,flapping,cooldown"]);
        assert_eq!(play.books.core.rests(DB), Some((round, Some(5))));
        let expected =
            format!("2 deaths within 1s: it rests, {round} of 5 times; tried again in 7s; ");
        assert!(advice(&play).starts_with(&expected), "{}", advice(&play));
        play.at(7000 * u64::from(round));
    }
    die(&mut play);
    die(&mut play);
    assert_eq!(kinds(&play), ["exited,reaped,flapping,gave-up,failed"]);
    let said = "given up on: 2 deaths within 1s again, after 5 rests; `clear db` or `start db` tries again";
    assert_eq!(advice(&play), said);
    let spawns =
        |play: &mut Play| play.log().iter().filter(|line| line.ends_with("db spawn")).count();
    assert_eq!(spawns(&mut play), 11, "the one after the boot was before; two in each round");
    play.at(1_000_000);
    assert_eq!(spawns(&mut play), 0);
    assert_eq!(play.phase(WEB), Phase::Running, "nobody else was touched");
}

#[test]
fn a_healthy_life_forgets_the_rests() {
    let mut play = resting();
    play.at(7000);
    play.spawned(DB);
    play.at(8500);
    play.exits(DB, 1);
    assert_eq!(play.books.core.rests(DB), Some((0, Some(5))));
    assert_eq!(play.phase(DB), Phase::Starting);
}

#[test]
fn a_stop_during_the_rest_sticks() {
    let mut play = resting();
    play.order(DB, Verb::Stop);
    assert_eq!((play.phase(DB), play.books.core.next_deadline()), (Phase::Stopped, None));
    play.at(1_000_000);
    assert_eq!((play.phase(DB), play.log()), (Phase::Stopped, vec![]));
}

#[test]
fn a_start_during_the_rest_is_no_second_one_when_that_is_over() {
    let mut play = resting();
    play.order(DB, Verb::Start);
    play.spawned(DB);
    assert_eq!(play.books.core.next_deadline(), None);
    play.at(1_000_000);
    assert_eq!(play.log(), ["0 db spawn"]);
    assert_eq!(play.books.core.rests(DB), Some((0, Some(5))), "its deaths are forgotten");
}

#[test]
fn clear_ends_the_rest_at_once_and_forgets_the_deaths() {
    let mut play = resting();
    play.order(DB, Verb::Clear);
    play.spawned(DB);
    play.at(1_000_000);
    assert_eq!(play.log(), ["0 db spawn"]);
}

#[test]
fn a_remove_during_the_rest_leaves_nothing_to_come() {
    let mut play = resting();
    let removed = vec![ServiceId(0)];
    let fates = vec![Fate::Keep(ServiceId(1))];
    play.books.revise(play.books.now, Revision { fates, removed, settings: None });
    play.note();
    assert_eq!(play.books.core.next_deadline(), None);
    play.at(1_000_000);
    assert_eq!(play.log(), ["0 db gone"]);
}

#[test]
fn an_apply_that_restarts_during_the_rest_starts_once() {
    let mut play = resting();
    let mut service = gaffer();
    service.processes[0].argv = vec!["/bin/other".into()];
    let fate = Fate::Change { id: ServiceId(0), service: Box::new(service), restart: true };
    let fates = vec![fate, Fate::Keep(ServiceId(1))];
    play.books.revise(play.books.now, Revision { fates, ..Revision::default() });
    play.note();
    play.spawned(DB);
    assert_eq!(play.books.core.next_deadline(), None);
    play.at(1_000_000);
    assert_eq!(play.log(), ["0 db redefined", "0 db spawn"]);
}
