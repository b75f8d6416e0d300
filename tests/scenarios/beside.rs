//! Who runs beside the instances: runs, and successors in a rolling restart.

use lar::plan::{ExitPolicy, Standing};

use super::*;

/// The first extra of a scenario with one, or two, instances.
const SECOND: InstanceId = InstanceId(1);
const THIRD: InstanceId = InstanceId(2);

fn web(instances: usize) -> Service {
    let mut web = asked(service("web"), Probe::Notify);
    web.processes = vec![web.processes[0].clone(); instances];
    web
}

fn ready(play: &mut Play, id: InstanceId) {
    play.spawned(id);
    play.tell(Event::Told { instance: id, what: lar::supervisor::Told::Ready });
}

/// All its instances up, the log empty.
fn up(instances: usize) -> Play {
    let mut play = boot(vec![web(instances)]);
    (0..instances as u32).for_each(|id| ready(&mut play, InstanceId(id)));
    play.log();
    play
}

fn succeed(play: &mut Play, of: InstanceId, prepared: bool) {
    play.books.succeed(play.books.now, of, prepared);
    play.note();
}

fn once(play: &mut Play, limit: Option<Duration>) {
    let process = Process { argv: vec!["/bin/run".into()], ..Process::default() };
    play.books.once(play.books.now, ServiceId(0), process, limit);
    play.note();
}

#[test]
fn a_successor_takes_over_when_it_is_ready_and_the_next_ones_turn_comes_when_the_old_one_is_gone() {
    let mut play = up(2);
    play.order(InstanceId(0), Verb::Roll);
    play.order(SECOND, Verb::Roll);
    assert_eq!(play.log(), ["0 web@1 renew"]);
    succeed(&mut play, InstanceId(0), true);
    play.spawned(THIRD);
    assert_eq!(play.log(), ["0 web@1/next created", "0 web@1/next spawn"]);
    assert_eq!(play.phase(InstanceId(0)), Phase::Running);
    play.tell(Event::Told { instance: THIRD, what: lar::supervisor::Told::Ready });
    assert_eq!(play.log(), ["0 web@1/old SIGTERM"]);
    let members: Vec<InstanceId> = play.books.core.instances_of(ServiceId(0)).collect();
    assert_eq!(members, [THIRD, SECOND]);
    play.ends(InstanceId(0), ExitStatus::SUCCESS, false);
    assert_eq!(play.log(), ["0 web@1/old gone", "0 web@2 renew"]);
}

#[test]
fn a_successor_that_fails_is_not_tried_again_and_ends_the_rolling_restart() {
    for fails in ["exits", "can't be spawned", "is late", "can't be prepared"] {
        let mut play = boot(vec![Service { start_timeout: Some(secs(5)), ..web(2) }]);
        (0..2).for_each(|id| ready(&mut play, InstanceId(id)));
        play.order(InstanceId(0), Verb::Roll);
        play.order(SECOND, Verb::Roll);
        succeed(&mut play, InstanceId(0), fails != "can't be prepared");
        match fails {
            "exits" => {
                play.spawned(THIRD);
                play.exits(THIRD, 1);
            }
            "can't be spawned" => {
                let (stage, errno) = (Stage::Exec, Errno(2));
                let role = Role::Main;
                play.tell(Event::SpawnFailed { instance: THIRD, role, stage, errno });
            }
            "is late" => {
                play.spawned(THIRD);
                play.at(6000);
                play.ends(THIRD, ExitStatus::killed(Signal::TERM), false);
            }
            _ => {}
        }
        play.at(100_000);
        let core = &play.books.core;
        assert!(!core.has(THIRD) && !core.renews(InstanceId(0)) && !core.renews(SECOND), "{fails}");
        assert!(core.instances().all(|id| core.is_up(id)), "{fails}");
        assert_eq!(core.instances().count(), 2);
    }
}

#[test]
fn an_instance_that_dies_before_its_turn_is_new_and_not_exchanged() {
    let mut play = up(2);
    play.order(InstanceId(0), Verb::Roll);
    play.order(SECOND, Verb::Roll);
    play.exits(SECOND, 1);
    play.at(2000);
    ready(&mut play, SECOND);
    assert!(!play.books.core.renews(SECOND) && play.books.core.renews(InstanceId(0)));
}

#[test]
fn a_stop_a_restart_and_a_scale_call_the_successor_off() {
    for verb in [Verb::Stop, Verb::Restart, Verb::Replace, Verb::Scale] {
        let mut play = up(1);
        play.order(InstanceId(0), Verb::Roll);
        succeed(&mut play, InstanceId(0), true);
        play.spawned(SECOND);
        play.log();
        match verb {
            Verb::Scale => {
                play.books.scale(
                    play.books.now,
                    ServiceId(0),
                    0,
                    lar::supervisor::edit::Which::Highest,
                );
                play.note();
            }
            verb => play.order(InstanceId(0), verb),
        }
        assert_eq!(play.log(), ["0 web/next SIGTERM", "0 web SIGTERM"], "{verb:?}");
        // Whatever it says now, it does not take over any more.
        play.tell(Event::Told { instance: SECOND, what: lar::supervisor::Told::Ready });
        assert_eq!(play.books.core.instance(SECOND).standing, Standing::Next);
    }
}

#[test]
fn companions_are_restarted_when_a_successor_takes_over() {
    let mut log = service("log");
    log.order.restart_with = vec![ServiceId(0)];
    let mut play = boot(vec![web(1), log]);
    ready(&mut play, InstanceId(0));
    play.spawned(SECOND);
    play.log();
    play.order(InstanceId(0), Verb::Roll);
    succeed(&mut play, InstanceId(0), true);
    ready(&mut play, THIRD);
    assert_eq!(play.log()[3..], ["0 log SIGTERM", "0 web/old SIGTERM"]);
}

#[test]
fn a_run_is_over_when_it_ends_and_does_not_change_its_service() {
    let mut play = up(1);
    play.order(InstanceId(0), Verb::Stop);
    play.ends(InstanceId(0), ExitStatus::SUCCESS, false);
    play.log();
    once(&mut play, None);
    assert_eq!(play.log(), ["0 web+1 created", "0 web+1 spawn"]);
    play.spawned(SECOND);
    assert_eq!(play.phase(SECOND), Phase::Running, "it is not asked whether it is ready");
    once(&mut play, None);
    play.log();
    play.exits(SECOND, 1);
    assert_eq!(play.log(), ["0 web+1 gone"]);
    play.at(100_000);
    assert_eq!(play.log(), [""; 0]);
    assert_eq!(play.phase(InstanceId(0)), Phase::Stopped);
}

#[test]
fn a_run_that_takes_too_long_is_stopped_by_the_ladder() {
    let mut play = up(1);
    once(&mut play, Some(secs(3)));
    play.spawned(SECOND);
    play.log();
    play.at(30_000);
    assert_eq!(play.log(), ["3000 web+1 SIGTERM", "13000 web+1 group SIGKILL"]);
}

#[test]
fn a_manager_with_nothing_left_ends_with_its_last_run() {
    let settings = Settings {
        spawn_rate: None,
        exit_policy: Some(ExitPolicy::Critical),
        ..Settings::default()
    };
    let mut task = oneshot("task");
    task.rules.restart = Restart::Never;
    let mut play = boot_with(vec![task], settings);
    play.spawned(InstanceId(0));
    once(&mut play, None);
    play.spawned(SECOND);
    play.exits(InstanceId(0), 4);
    play.log();
    play.exits(SECOND, 9);
    assert_eq!(play.log(), ["0 task+1 gone", "0 finish 4"]);
}

#[test]
fn a_manager_that_has_never_run_anything_is_not_ended_by_a_run() {
    let mut task = oneshot("task");
    task.start = lar::plan::Start::Manual;
    let mut play = boot(vec![task]);
    once(&mut play, None);
    play.spawned(SECOND);
    play.exits(SECOND, 0);
    assert_eq!(play.books.finished, None);
}

#[test]
fn nobody_outlives_the_end() {
    let mut play = up(1);
    once(&mut play, None);
    play.spawned(SECOND);
    play.order(InstanceId(0), Verb::Roll);
    succeed(&mut play, InstanceId(0), true);
    play.spawned(THIRD);
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.log(), ["0 web SIGTERM", "0 web+1 SIGTERM", "0 web/next SIGTERM"]);
    for id in [InstanceId(0), SECOND] {
        play.ends(id, ExitStatus::SUCCESS, false);
    }
    assert_eq!(play.books.finished, None);
    play.ends(THIRD, ExitStatus::SUCCESS, false);
    assert_eq!(play.books.finished, Some(0));
}
