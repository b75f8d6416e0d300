//! Starts, readiness, deaths and what follows them.

use super::*;
use lar::plan::{Flapping, GiveUp};

#[test]
fn boot_goes_in_order_and_waits_for_readiness() {
    let db = asked(service("db"), Probe::Notify);
    let web = requiring(service("web"), &[DB]);
    let mut play = boot(vec![db, web]);
    assert_eq!(play.phase(WEB), Phase::Waiting);
    play.spawned(DB);
    play.at(5000);
    assert_eq!((play.phase(DB), play.log()), (Phase::Starting, vec!["0 db spawn".to_string()]));
    play.ready(DB);
    play.spawned(WEB);
    assert_eq!(play.log(), ["5000 web spawn"]);
    assert_eq!(play.phase(WEB), Phase::Running);
}

#[test]
fn a_dead_service_waits_twice_as_long_each_time_and_a_healthy_life_forgives() {
    let mut play = boot(vec![service("db")]);
    for _ in 0..3 {
        play.spawned(DB);
        play.exits(DB, 1);
        let next = play.books.core.next_deadline().unwrap().as_nanos() / 1_000_000;
        play.at(next);
    }
    assert_eq!(play.log(), ["0 db spawn", "1000 db spawn", "3000 db spawn", "7000 db spawn"]);
    play.spawned(DB);
    play.at(17_000);
    play.exits(DB, 1);
    assert_eq!(play.log(), ["17000 db spawn"]);
    play.spawned(DB);
    play.at(26_999);
    play.exits(DB, 1);
    play.at(40_000);
    assert_eq!(play.log(), ["27999 db spawn"]);
    assert_eq!(play.books.core.instance(DB).restarts, 5);
}

#[test]
fn a_required_services_death_does_not_touch_its_dependents() {
    let mut play = boot(vec![service("db"), requiring(service("web"), &[DB])]);
    play.spawned(DB);
    play.spawned(WEB);
    play.log();
    play.exits(DB, 1);
    assert_eq!((play.phase(WEB), play.log()), (Phase::Running, vec![]));
}

#[test]
fn restart_with_takes_the_companion_along_and_starts_it_afterwards() {
    let order = Order { restart_with: vec![ServiceId(0)], ..Order::default() };
    let web = requiring(Service { order, ..service("web") }, &[DB]);
    let mut play = boot(vec![service("db"), web]);
    play.spawned(DB);
    play.spawned(WEB);
    play.log();
    play.exits(DB, 1);
    play.exits(WEB, 0);
    assert_eq!((play.phase(DB), play.phase(WEB)), (Phase::Backoff, Phase::Waiting));
    play.at(1000);
    play.spawned(DB);
    assert_eq!(play.log(), ["0 web SIGTERM", "1000 db spawn", "1000 web spawn"]);
    assert_eq!(play.books.core.instance(WEB).restarts, 0, "no death");
}

#[test]
fn a_failed_oneshot_fails_those_who_require_it() {
    let rules = Rules { restart: Restart::Never, ..oneshot("migrate").rules };
    let migrate = Service { rules, ..oneshot("migrate") };
    let web = requiring(service("web"), &[DB]);
    let log = requiring(service("log"), &[WEB]);
    let mut play = boot(vec![migrate, web, log, service("other")]);
    play.spawned(DB);
    play.exits(DB, 3);
    assert_eq!(play.phase(DB), Phase::Exited);
    assert_eq!((play.phase(WEB), play.phase(LOG)), (Phase::Failed, Phase::Failed));
    let cause = play.books.core.instance(WEB).cause;
    let why = play.books.core.describe_cause(Some(WEB), cause).to_string();
    assert_eq!(why, "requires migrate, which ended for good");
}

#[test]
fn a_oneshot_that_exited_with_0_is_up_and_is_not_run_again_by_start() {
    let mut play = boot(vec![oneshot("migrate"), requiring(service("web"), &[DB])]);
    play.spawned(DB);
    play.exits(DB, 0);
    play.spawned(WEB);
    play.order(DB, Verb::Start);
    assert_eq!(play.log(), ["0 migrate spawn", "0 web spawn"]);
    play.order(DB, Verb::Restart);
    assert_eq!(play.log(), ["0 migrate spawn"]);
}

#[test]
fn start_leaves_a_done_oneshot_alone_even_while_its_group_is_cleared() {
    let mut play = boot(vec![oneshot("migrate"), service("web")]);
    play.spawned(DB);
    play.ends(DB, ExitStatus::SUCCESS, true);
    play.order(DB, Verb::Start);
    play.log();
    play.tell(Event::GroupGone { instance: DB });
    assert_eq!((play.phase(DB), play.log()), (Phase::Exited, vec![]));
}

#[test]
fn a_start_timeout_is_a_death_with_life_0() {
    let db = Service { start_timeout: Some(secs(15)), ..asked(service("db"), Probe::Notify) };
    let mut play = boot(vec![db]);
    play.spawned(DB);
    play.at(15_000);
    assert_eq!(play.phase(DB), Phase::Stopping);
    play.exits(DB, 0);
    assert_eq!(play.phase(DB), Phase::Backoff, "15s of life, and yet not healthy");
    play.at(16_000);
    assert_eq!(play.log(), ["0 db spawn", "15000 db group SIGTERM", "16000 db spawn"]);
}

#[test]
fn a_probe_that_hangs_is_killed_and_asked_again() {
    let probe = Probe::Command(vec!["/bin/ping".into()]);
    let mut play = boot(vec![asked(service("db"), probe)]);
    play.spawned(DB);
    play.at(10);
    let pid = play.spawned_as(DB, Role::Probe);
    play.at(5010);
    let exit = |status| Event::Exited { pid, status, lingering: false };
    play.at(5150);
    play.tell(exit(ExitStatus::SUCCESS)); // it was too late
    assert_eq!(play.phase(DB), Phase::Starting);
    play.at(5210);
    let log = ["0 db spawn", "10 db ask", "5010 db group SIGKILL", "5210 db ask"];
    assert_eq!(play.log(), log);
    let pid = play.spawned_as(DB, Role::Probe);
    play.tell(Event::Exited { pid, status: ExitStatus::SUCCESS, lingering: false });
    assert_eq!(play.phase(DB), Phase::Running);
}

#[test]
fn a_second_probe_process_is_killed() {
    let mut play = boot(vec![asked(service("db"), Probe::Command(vec!["/bin/ping".into()]))]);
    play.spawned(DB);
    play.at(5200);
    play.log();
    play.spawned_as(DB, Role::Probe);
    play.spawned_as(DB, Role::Probe);
    assert_eq!(play.log(), ["5200 db group SIGKILL"]);
}

#[test]
fn the_question_is_taken_back_when_the_program_dies() {
    let mut play = boot(vec![asked(service("db"), Probe::Unix("/run/db".into()))]);
    play.spawned(DB);
    play.at(10);
    play.exits(DB, 1);
    play.tell(Event::Probed { instance: DB, role: Role::Probe, good: true });
    assert_eq!(play.phase(DB), Phase::Backoff);
    assert_eq!(play.log(), ["0 db spawn", "10 db ask", "10 db never mind"]);
}

#[test]
fn the_replacement_waits_until_the_old_group_is_gone_but_not_for_ever() {
    let mut play = boot(vec![service("db")]);
    for gone in [true, false] {
        play.spawned(DB);
        let start = play.books.now.as_nanos() / 1_000_000;
        play.at(start + 20_000);
        play.log();
        play.ends(DB, ExitStatus::killed(Signal::SEGV), true);
        assert_eq!((play.phase(DB), play.log()), (Phase::Stopping, vec![]));
        play.at(start + 20_400);
        if gone {
            play.tell(Event::GroupGone { instance: DB });
            assert_eq!(play.log(), ["20400 db spawn"]);
        }
    }
    play.at(50_000);
    assert_eq!(play.log(), ["41400 db spawn"], "a second after the death");
}

#[test]
fn a_failed_spawn_is_a_death_and_never_tried_again_at_once() {
    let rules = Rules { delay: Delay::None, ..Rules::default() };
    let mut play = boot(vec![Service { rules, ..service("db") }]);
    play.spawn_fails(DB, Stage::Clone, 11);
    assert_eq!(play.phase(DB), Phase::Backoff);
    play.at(99);
    play.at(100);
    assert_eq!(play.log(), ["0 db spawn", "100 db spawn"]);
}

#[test]
fn spawn_rate_bounds_what_no_delay_would_not() {
    let rules = Rules { delay: Delay::None, ..Rules::default() };
    let settings = Settings { spawn_rate: Some(10), ..Settings::default() };
    let mut play = boot_with(vec![Service { rules, ..service("db") }], settings);
    for at in [100, 200] {
        play.spawned(DB);
        play.exits(DB, 1);
        play.at(at);
    }
    assert_eq!(play.log(), ["0 db spawn", "100 db spawn", "200 db spawn"]);
}

#[test]
fn flapping_rests_and_then_gives_up_and_clear_tries_again() {
    let flapping = Flapping { deaths: 2, window: secs(1), cooldown: secs(7), rounds: Some(1) };
    let (delay, flapping) = (Delay::None, Some(flapping));
    let rules = Rules { delay, flapping, ..Rules::default() };
    let mut play = boot(vec![Service { rules, ..service("db") }, service("web")]);
    let die = |play: &mut Play| {
        play.spawned(DB);
        play.exits(DB, 1);
    };
    die(&mut play);
    die(&mut play);
    assert_eq!(play.phase(DB), Phase::Cooldown);
    play.log();
    play.at(7000);
    assert_eq!(play.log(), ["7000 db spawn"]);
    die(&mut play);
    die(&mut play);
    assert_eq!(play.phase(DB), Phase::Failed);
    play.log();
    play.order(DB, Verb::Clear);
    assert_eq!(play.log(), ["7000 db spawn"]);
}

#[test]
fn it_gives_up_after_so_many_deaths_in_a_row() {
    let rules = Rules { give_up: GiveUp::After(2), ..service("db").rules };
    let mut play = boot(vec![Service { rules, ..service("db") }, service("web")]);
    play.spawned(DB);
    play.exits(DB, 1);
    play.at(1000);
    play.spawned(DB);
    play.exits(DB, 1);
    play.at(100_000);
    assert_eq!(play.phase(DB), Phase::Failed);
}
