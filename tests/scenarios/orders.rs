//! What operators ask for, and what becomes of it.

use super::*;

/// db, and web that requires it; both up, the log empty.
fn pair() -> Play {
    let mut play = boot(vec![service("db"), requiring(service("web"), &[DB])]);
    play.spawned(DB);
    play.spawned(WEB);
    play.log();
    play
}

#[test]
fn crash_during_stop_does_not_restart() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.ends(WEB, ExitStatus::killed(Signal::SEGV), false);
    play.at(100_000);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Stopped, vec!["0 web SIGTERM".to_string()]));
}

#[test]
fn a_stop_climbs_its_ladder_to_the_groups_kill() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.at(30_000);
    assert_eq!(play.log(), ["0 web SIGTERM", "10000 web group SIGKILL"]);
    assert!(play.books.core.instance(WEB).forced);
}

#[test]
fn a_ladder_has_a_drain_time_several_rungs_and_may_never_kill() {
    let mut db = service("db");
    db.stop = Ladder { drain: secs(3), kill: false, ..Ladder::simple(Signal::INT, secs(5)) };
    db.stop.rungs.extend(Ladder::simple(Signal::TERM, secs(60)).rungs);
    let mut play = boot(vec![db]);
    play.spawned(DB);
    play.order(DB, Verb::Stop);
    play.at(1_000_000);
    assert_eq!(play.log(), ["0 db spawn", "3000 db SIGINT", "8000 db SIGTERM"]);
    assert_eq!(play.phase(DB), Phase::Stopping);
}

#[test]
fn every_stop_signal_but_kill_is_followed_by_cont() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    let signal = |action: &Action| match *action {
        Action::Signal { signal, .. } => Some(signal),
        _ => None,
    };
    let signals: Vec<Signal> = play.books.actions.iter().filter_map(signal).collect();
    assert_eq!(signals, [Signal::TERM, Signal::CONT]);
}

#[test]
fn a_stop_ends_a_backoff_and_sticks() {
    let mut play = pair();
    play.exits(WEB, 1);
    assert_eq!(play.phase(WEB), Phase::Backoff);
    play.order(WEB, Verb::Stop);
    assert_eq!(play.phase(WEB), Phase::Stopped);
    play.at(100_000);
    assert_eq!(play.log(), [""; 0]);
}

#[test]
fn a_start_ends_a_backoff_at_once() {
    let mut play = pair();
    play.exits(WEB, 1);
    play.at(100);
    play.order(WEB, Verb::Start);
    assert_eq!(play.log(), ["100 web spawn"]);
}

#[test]
fn a_start_during_a_stop_starts_again_once_it_is_down() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.order(WEB, Verb::Start);
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["0 web SIGTERM", "0 web spawn"]);
    play.spawned(WEB);
    assert_eq!(play.books.core.instance(WEB).restarts, 0);
}

#[test]
fn a_stop_supersedes_a_start_that_still_waits() {
    let mut play =
        boot(vec![asked(service("db"), Probe::Notify), requiring(service("web"), &[DB])]);
    play.spawned(DB);
    play.order(WEB, Verb::Stop);
    play.ready(DB);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Stopped, vec!["0 db spawn".to_string()]));
}

#[test]
fn a_stop_before_the_spawn_is_answered_stops_what_was_spawned() {
    let mut play = boot(vec![service("db")]);
    play.order(DB, Verb::Stop);
    play.spawned(DB);
    assert_eq!(play.log(), ["0 db spawn", "0 db SIGTERM"]);
}

#[test]
fn a_restart_is_no_death_and_has_no_delay() {
    let mut play = pair();
    play.order(WEB, Verb::Restart);
    play.exits(WEB, 1);
    assert_eq!(play.log(), ["0 web SIGTERM", "0 web spawn"]);
    play.spawned(WEB);
    assert_eq!(play.books.core.instance(WEB).restarts, 0);
}

#[test]
fn stopping_a_dependency_waits_for_its_dependents_on_their_way_down() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.order(DB, Verb::Stop);
    play.at(4000);
    assert_eq!((play.phase(DB), play.log()), (Phase::Running, vec!["0 web SIGTERM".to_string()]));
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["4000 db SIGTERM"]);
}

#[test]
fn a_stop_that_waits_for_its_turn_is_taken_back_by_a_start() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.order(DB, Verb::Stop);
    play.order(DB, Verb::Start);
    play.exits(WEB, 0);
    play.at(100_000);
    assert_eq!((play.phase(DB), play.log()), (Phase::Running, vec!["0 web SIGTERM".to_string()]));
}

#[test]
fn a_start_pulls_up_what_is_required_in_order() {
    let mut play = pair();
    play.order(WEB, Verb::Stop);
    play.order(DB, Verb::Stop);
    play.exits(WEB, 0);
    play.exits(DB, 0);
    play.log();
    play.order(WEB, Verb::Start);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Waiting, vec!["0 db spawn".to_string()]));
    play.spawned(DB);
    assert_eq!(play.log(), ["0 web spawn"]);
}

#[test]
fn a_restart_pulls_up_what_was_stopped_under_it() {
    let mut play = pair();
    play.order(DB, Verb::Stop);
    play.exits(DB, 0);
    play.log();
    play.order(WEB, Verb::Restart);
    play.spawned(DB);
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["0 db spawn", "0 web SIGTERM", "0 web spawn"]);
}

#[test]
fn an_operators_kill_counts_as_a_death() {
    let mut play = pair();
    play.order(WEB, Verb::Kill(Signal::KILL));
    play.ends(WEB, ExitStatus::killed(Signal::KILL), false);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Backoff, vec!["0 web SIGKILL".to_string()]));
}

#[test]
fn orphans_are_nobodys_business() {
    let mut play = pair();
    let (pid, status) = (Pid(7777), ExitStatus::Code(1));
    play.tell(Event::Exited { pid, status, lingering: false });
    assert_eq!(play.log(), [""; 0]);
    play.tell(Event::Spawned { instance: WEB, role: Role::Main, pid });
    assert_eq!(play.log(), ["0 web SIGKILL"]);
}
