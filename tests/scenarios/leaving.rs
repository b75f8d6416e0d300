//! `on-shutdown leave`: who runs on when the manager ends.

use super::*;

fn left(name: &str) -> Service {
    Service { leave: true, ..service(name) }
}

#[test]
fn what_is_left_running_is_sent_nothing_and_nobody_waits_for_it() {
    // web requires db, log requires web: db's stop does not wait for web, which stays.
    let web = requiring(left("web"), &[DB]);
    let mut play = boot(vec![service("db"), web, requiring(service("log"), &[WEB])]);
    for id in [DB, WEB, LOG] {
        play.spawned(id);
    }
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["0 db SIGTERM", "0 log SIGTERM"]);
    play.exits(LOG, 0);
    assert_eq!(play.log(), [""; 0]);
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 finish 0"]);
    assert!(play.books.core.is_left(WEB));
    assert_eq!(play.phase(WEB), Phase::Running);
    play.at(1_000_000);
    assert_eq!(play.log(), [""; 0]);
}

#[test]
fn a_second_request_to_end_does_not_kill_what_is_left_running() {
    let mut play = boot(vec![service("db"), left("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    play.tell(Event::Shutdown);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["0 db group SIGKILL"]);
}

#[test]
fn what_is_left_running_and_dies_before_the_end_is_not_started_again() {
    let mut play = boot(vec![service("db"), left("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    play.tell(Event::Shutdown);
    play.log();
    play.exits(WEB, 1);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Stopped, vec![]));
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 finish 0"]);
}

#[test]
fn who_is_starting_is_asked_no_more_and_who_has_no_process_is_not_started() {
    let ready = asked(left("db"), Probe::Unix("@db".into()));
    let ready = Service { start_timeout: Some(secs(5)), ..ready };
    let mut play = boot(vec![ready, left("web")]);
    play.spawned(DB);
    play.at(10);
    play.spawned(WEB);
    play.exits(WEB, 1);
    assert_eq!(play.phase(WEB), Phase::Backoff);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["10 db never mind", "10 finish 0"]);
    assert_eq!((play.phase(DB), play.phase(WEB)), (Phase::Running, Phase::Stopped));
    play.at(1_000_000);
    assert_eq!(play.log(), [""; 0], "no start-timeout either");
}

#[test]
fn what_the_manager_has_let_go_of_is_not_stopped_any_more() {
    let mut play = boot(vec![service("db"), left("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    play.tell(Event::Shutdown);
    play.tell(Event::Shutdown);
    play.log();
    play.order(WEB, Verb::Stop);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Running, vec![]));
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 finish 1"]);
}

#[test]
fn an_operators_stop_still_stops_it() {
    let mut play = boot(vec![left("db"), service("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    play.log();
    play.order(DB, Verb::Stop);
    assert_eq!(play.log(), ["0 db SIGTERM"]);
    play.tell(Event::Shutdown);
    play.log();
    play.exits(WEB, 0);
    assert_eq!(play.log(), [""; 0], "what is on its way down is waited for");
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 finish 0"]);
}

/// A service that is left, up; its successor was asked for.
fn rolling() -> Play {
    let mut play = boot(vec![asked(left("web"), Probe::Notify)]);
    play.spawned(DB);
    play.ready(DB);
    play.order(DB, Verb::Roll);
    play
}

fn succeed(play: &mut Play) {
    play.books.succeed(play.books.now, DB, true);
    play.note();
}

#[test]
fn a_successor_that_is_on_its_way_is_stopped_and_whom_it_was_to_follow_is_left() {
    let mut play = rolling();
    succeed(&mut play);
    play.spawned(WEB);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["0 web/next SIGTERM"]);
    assert_eq!(play.phase(DB), Phase::Running);
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["0 web/next gone", "0 finish 0"]);
    assert!(play.books.core.is_left(DB));
}

#[test]
fn a_successor_that_has_taken_over_is_left_and_the_old_one_is_waited_for() {
    let mut play = rolling();
    succeed(&mut play);
    play.spawned(WEB);
    play.ready(WEB);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), [""; 0], "the old one is on its way down already");
    assert!(play.books.core.is_left(WEB) && !play.books.core.is_left(DB));
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 web/old gone", "0 finish 0"]);
}

#[test]
fn no_successor_comes_once_the_manager_ends() {
    let mut play = rolling();
    play.log();
    play.tell(Event::Shutdown);
    succeed(&mut play);
    assert_eq!(play.log(), ["0 finish 0"]);
    assert!(play.books.core.is_left(DB));
}
