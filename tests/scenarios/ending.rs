//! How the manager ends, and with which code.

use super::*;
use lar::plan::{ExitPolicy, GiveUp, Runner, Single, Start};

fn policy(policy: ExitPolicy) -> Settings {
    Settings { exit_policy: Some(policy), ..Settings::default() }
}

fn trio() -> Play {
    let log = requiring(service("log"), &[WEB]);
    let mut play = boot(vec![service("db"), requiring(service("web"), &[DB]), log]);
    for id in [DB, WEB, LOG] {
        play.spawned(id);
    }
    play.log();
    play
}

/// A program of single-program mode, running.
fn single(single: Single, restart: Restart) -> Play {
    let rules = Rules { restart, ..service("main").rules };
    let main = Service { main: true, rules, ..service("main") };
    let settings = Settings { single: Some(single), ..Settings::default() };
    let mut play = boot_with(vec![main], settings);
    play.spawned(DB);
    play.log();
    play
}

#[test]
fn shutdown_stops_in_reverse_order() {
    let mut play = trio();
    play.tell(Event::Shutdown);
    play.exits(LOG, 0);
    play.at(1000);
    play.exits(WEB, 0);
    play.exits(DB, 1);
    let log = ["0 log SIGTERM", "0 web SIGTERM", "1000 db SIGTERM", "1000 finish 0"];
    assert_eq!(play.log(), log);
}

#[test]
fn shutdown_has_a_deadline_and_then_a_last_one() {
    let mut play = trio();
    play.tell(Event::Shutdown);
    play.at(59_999);
    play.log();
    play.at(70_000);
    let log = ["log", "web", "db"].map(|name| format!("60000 {name} group SIGKILL"));
    let mut said = play.log();
    assert_eq!(said.pop().unwrap(), "62000 finish 1");
    said.sort();
    let mut log = log.to_vec();
    log.sort();
    assert_eq!(said, log);
}

#[test]
fn a_second_shutdown_kills_at_once() {
    let mut play = trio();
    play.tell(Event::Shutdown);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log().len(), 3);
    for id in [DB, WEB, LOG] {
        play.ends(id, ExitStatus::killed(Signal::KILL), false);
    }
    assert_eq!(play.log(), ["0 finish 1"]);
}

#[test]
fn what_is_spawned_after_the_last_kill_is_killed_too() {
    let mut play = boot(vec![service("db")]);
    play.tell(Event::Shutdown);
    play.tell(Event::Shutdown);
    play.spawned(DB);
    assert_eq!(play.log(), ["0 db spawn", "0 db group SIGKILL"]);
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    assert_eq!(play.log(), ["0 finish 1"]);
}

#[test]
fn a_stop_that_needed_kill_is_not_as_asked() {
    let mut play = boot(vec![service("db")]);
    play.spawned(DB);
    play.tell(Event::Shutdown);
    play.at(10_000);
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    let log = ["0 db spawn", "0 db SIGTERM", "10000 db group SIGKILL", "10000 finish 1"];
    assert_eq!(play.log(), log);
}

#[test]
fn nothing_starts_once_the_end_has_begun() {
    let mut play = trio();
    play.tell(Event::Shutdown);
    play.exits(LOG, 0);
    play.log();
    play.order(LOG, Verb::Start);
    play.order(LOG, Verb::Restart);
    play.order(WEB, Verb::Restart);
    play.exits(WEB, 0);
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 db SIGTERM", "0 finish 0"]);
}

#[test]
fn policy_main_ends_with_the_mains_code() {
    for (status, code) in [
        (ExitStatus::Code(0), 0),
        (ExitStatus::Code(7), 7),
        (ExitStatus::killed(Signal::SEGV), 139),
    ] {
        let rules = Rules { restart: Restart::Never, ..Rules::default() };
        let main = Service { main: true, rules, ..service("main") };
        let mut play = boot(vec![main, service("web")]);
        play.spawned(DB);
        play.spawned(WEB);
        play.log();
        play.ends(DB, status, false);
        play.exits(WEB, 0);
        assert_eq!(play.log(), ["0 web SIGTERM".to_string(), format!("0 finish {code}")]);
    }
}

#[test]
fn a_main_program_that_cannot_be_executed_is_127_or_126() {
    for (errno, code) in [(2, 127), (13, 126)] {
        let rules = Rules { restart: Restart::Never, ..Rules::default() };
        let mut play = boot(vec![Service { main: true, rules, ..service("main") }]);
        play.spawn_fails(DB, Stage::Exec, errno);
        assert_eq!(play.log(), ["0 main spawn".to_string(), format!("0 finish {code}")]);
    }
}

#[test]
fn policy_critical_ends_with_the_critical_services_code() {
    for lingering in [false, true] {
        let rules = Rules { give_up: GiveUp::After(1), ..Rules::default() };
        let db = Service { critical: true, rules, ..service("db") };
        let mut play = boot(vec![db, service("web")]);
        play.spawned(DB);
        play.spawned(WEB);
        play.log();
        play.ends(DB, ExitStatus::Code(7), lingering);
        play.tell(Event::GroupGone { instance: DB });
        play.exits(WEB, 0);
        assert_eq!(play.log(), ["0 web SIGTERM", "0 finish 7"], "lingering: {lingering}");
    }
}

#[test]
fn policy_critical_ends_when_nothing_is_left_that_could_run() {
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let service = |name| Service { rules: rules.clone(), ..service(name) };
    for (code, finish) in [(0, 0), (3, 3)] {
        let mut play = boot(vec![service("db"), service("web")]);
        play.spawned(DB);
        play.spawned(WEB);
        play.log();
        play.exits(DB, code);
        assert_eq!(play.log(), [""; 0]);
        play.exits(WEB, 0);
        assert_eq!(play.log(), [format!("0 finish {finish}")]);
    }
}

#[test]
fn policy_all_waits_for_all_and_policy_never_for_an_order() {
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let db = Service { critical: true, rules, ..service("db") };
    let mut play = boot_with(vec![db.clone(), service("web")], policy(ExitPolicy::All));
    play.spawned(DB);
    play.spawned(WEB);
    play.exits(DB, 4);
    assert!(!play.books.core.shutting_down());
    let mut play = boot_with(vec![db], policy(ExitPolicy::Never));
    play.spawned(DB);
    play.exits(DB, 4);
    play.at(1_000_000);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["1000000 finish 0"]);
}

#[test]
fn a_service_that_an_operator_holds_keeps_the_manager() {
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let mut play = boot(vec![Service { rules, ..service("db") }, service("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    play.order(WEB, Verb::Stop);
    play.exits(WEB, 0);
    play.exits(DB, 0);
    assert!(!play.books.core.shutting_down());
}

#[test]
fn clearing_what_never_ran_does_not_hold_it() {
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let manual = Service { start: Start::Manual, ..service("manual") };
    let mut play = boot(vec![Service { rules, ..service("db") }, manual]);
    play.spawned(DB);
    play.order(WEB, Verb::Clear);
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 db spawn", "0 finish 0"]);
}

/// A signal that lar got, for the program, as it is.
fn passed_on(signal: Signal) -> Event {
    Event::Forward { instance: DB, received: signal, signal }
}

#[test]
fn a_single_program_gets_every_signal_as_it_is() {
    let mut play = single(Single { group: true, ..Single::default() }, Restart::Never);
    play.tell(passed_on(Signal::HUP));
    play.tell(passed_on(Signal::TERM));
    play.at(1_000_000);
    play.ends(DB, ExitStatus::killed(Signal::TERM), false);
    let log = ["0 main group SIGHUP", "0 main group SIGTERM", "1000000 finish 143"];
    assert_eq!(play.log(), log);
}

#[test]
fn a_single_program_with_a_grace_time_is_killed_after_it() {
    let grace = Single { grace: Some(secs(10)), ..Single::default() };
    let mut play = single(grace, Restart::Never);
    play.tell(passed_on(Signal::INT));
    play.at(10_000);
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    let log = ["0 main SIGINT", "10000 main group SIGKILL", "10000 finish 137"];
    assert_eq!(play.log(), log);
}

#[test]
fn a_rewritten_term_is_still_a_request_to_end_and_a_signal_that_becomes_one_is_none() {
    let grace = Single { grace: Some(secs(10)), ..Single::default() };
    let mut play = single(grace, Restart::Always);
    let (received, signal) = (Signal::USR1, Signal::TERM);
    play.tell(Event::Forward { instance: DB, received, signal });
    play.at(20_000);
    let (received, signal) = (Signal::TERM, Signal::WINCH);
    play.tell(Event::Forward { instance: DB, received, signal });
    play.at(30_000);
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    let log =
        ["0 main SIGTERM", "20000 main SIGWINCH", "30000 main group SIGKILL", "30000 finish 137"];
    assert_eq!(play.log(), log);
}

#[test]
fn a_term_during_a_restart_still_ends_a_single_program() {
    let mut play = single(Single::default(), Restart::Never);
    play.order(DB, Verb::Restart);
    play.tell(passed_on(Signal::TERM));
    play.exits(DB, 0);
    assert_eq!(play.log(), ["0 main SIGTERM", "0 main SIGTERM", "0 finish 0"]);
}

#[test]
fn a_term_in_backoff_ends_a_single_program() {
    let mut play = single(Single::default(), Restart::Always);
    play.exits(DB, 5);
    play.tell(passed_on(Signal::TERM));
    assert_eq!(play.log(), ["0 finish 5"]);
}

/// zdaemon's one program with these seconds from TERM to KILL, running.
fn runner(stop_timeout: u64) -> Play {
    let runner = Some(Box::new(Runner { backoff_limit: Some(3), ..Runner::default() }));
    let settings = Settings { runner, ..policy(ExitPolicy::Main) };
    let stop = Ladder::simple(Signal::TERM, secs(stop_timeout));
    let governed = Rules { governor_first: true, give_up: GiveUp::After(2), ..service("").rules };
    let main = Service { main: true, stop, rules: governed, ..service("main") };
    let mut play = boot_with(vec![main], settings);
    play.spawned(DB);
    play.log();
    play
}

#[test]
fn zdaemons_manager_ends_with_0_when_its_program_was_stopped() {
    let mut play = runner(10);
    play.order(DB, Verb::Stop);
    play.exits(DB, 7);
    assert_eq!(play.log(), ["0 main SIGTERM", "0 finish 0"]);
    let mut play = runner(10);
    play.exits(DB, 7);
    assert_eq!(play.phase(DB), Phase::Backoff);
    play.order(DB, Verb::Stop);
    assert_eq!(play.log(), ["0 finish 0"], "in backoff, too");
    let mut play = runner(10);
    play.exits(DB, 7);
    play.at(1000);
    play.order(DB, Verb::Stop);
    play.spawn_fails(DB, Stage::Exec, 2);
    assert_eq!(play.log(), ["1000 main spawn", "1000 finish 0"], "and while it is being made");
}

#[test]
fn zdaemons_manager_stays_if_a_start_comes_before_its_program_is_gone() {
    let mut play = runner(10);
    play.order(DB, Verb::Stop);
    play.at(1000);
    play.order(DB, Verb::Start);
    assert_eq!(play.phase(DB), Phase::Running);
    play.at(60_000);
    assert_eq!(play.log(), ["0 main SIGTERM"], "the pending KILL is called off");
    play.exits(DB, 143);
    assert_eq!(play.log(), ["60000 main spawn"], "a death like any other");
    let mut play = runner(10);
    for verb in [Verb::Stop, Verb::Restart] {
        play.order(DB, verb);
    }
    play.at(10_000);
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    assert_eq!(play.log(), ["0 main SIGTERM", "10000 main group SIGKILL", "10000 main spawn"]);
}

#[test]
fn zdaemons_manager_kills_until_its_program_is_gone() {
    let mut play = runner(2);
    play.order(DB, Verb::Stop);
    play.at(9000);
    let kills = [2000, 5000, 8000].map(|at| format!("{at} main group SIGKILL"));
    assert_eq!(play.log(), [&["0 main SIGTERM".to_owned()], &kills[..]].concat());
    play.ends(DB, ExitStatus::killed(Signal::KILL), false);
    assert_eq!(play.log(), ["9000 finish 0"]);
}

#[test]
fn zdaemons_manager_ends_with_1_when_it_gives_up_whatever_the_cause() {
    let mut play = runner(2);
    play.exits(DB, 7);
    play.at(1000);
    play.spawn_fails(DB, Stage::Exec, 2);
    assert_eq!(play.log(), ["1000 main spawn", "1000 finish 1"]);
}
