//! One-shots that run again and again, together with all that may happen besides.

use lar::plan::{Timer, When};
use lar::supervisor::edit::{Fate, Revision, Which};

use super::*;

fn timed(name: &str, every: u64, queue: bool) -> Service {
    let timer = Some(Timer { when: When::Every(secs(every)), queue });
    Service { timer, ..oneshot(name) }
}

fn revise(play: &mut Play, fates: Vec<Fate>) {
    play.books.revise(play.books.now, Revision { fates, ..Revision::default() });
    play.note();
}

fn change(service: Service) -> Fate {
    Fate::Change { id: ServiceId(0), service: Box::new(service), restart: false }
}

#[test]
fn a_one_shot_that_is_left_running_has_no_next_run() {
    let job = Service { leave: true, ..timed("job", 60, true) };
    let mut play = boot(vec![job, service("web")]);
    play.spawned(DB);
    play.spawned(WEB);
    assert!(play.books.core.instance(DB).next.is_some());
    play.log();
    play.tell(Event::Shutdown);
    assert_eq!(play.books.core.instance(DB).next, None);
    play.exits(DB, 0);
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["0 web SIGTERM", "0 finish 0"]);
    play.at(1_000_000);
    assert_eq!(play.log(), [""; 0]);
}

#[test]
fn who_has_done_its_work_does_not_do_it_again_because_a_new_service_needs_it() {
    let mut job = timed("job", 3600, false);
    job.processes = vec![job.processes[0].clone(); 2];
    let mut play = boot(vec![job]);
    for id in [DB, WEB] {
        play.spawned(id);
        play.exits(id, 0);
    }
    play.order(WEB, Verb::Start);
    play.spawned(WEB);
    play.log();
    // One of two instances is on its way out; the other has succeeded.
    play.books.scale(play.books.now, ServiceId(0), 1, Which::Highest);
    play.note();
    assert_eq!(play.log(), ["0 job@2 SIGTERM"]);
    let web = Box::new(requiring(service("web"), &[DB]));
    revise(&mut play, vec![Fate::Keep(ServiceId(0)), Fate::New(web)]);
    assert_eq!(play.log(), ["0 web created", "0 web spawn"]);
    assert_eq!(play.phase(DB), Phase::Exited);
}

#[test]
fn what_was_done_before_there_was_a_timer_counts_for_those_who_depend_on_it() {
    let mut play = boot(vec![oneshot("job"), requiring(service("web"), &[DB])]);
    play.spawned(DB);
    play.exits(DB, 0);
    play.spawned(WEB);
    revise(&mut play, vec![change(timed("job", 60, false)), Fate::Keep(ServiceId(1))]);
    play.log();
    play.at(60_000);
    assert_eq!(play.log(), ["60000 job spawn"]);
    play.spawned(DB);
    // The run that goes on now is nothing that web, which dies, has to wait for.
    play.exits(WEB, 1);
    assert_eq!(play.log(), ["60000 web spawn"]);
}

#[test]
fn a_run_that_was_queued_begins_with_what_it_needs_also_if_that_was_stopped_meanwhile() {
    let job = requiring(timed("job", 60, true), &[DB]);
    let mut play = boot(vec![service("db"), job]);
    play.spawned(DB);
    play.spawned(WEB);
    play.at(60_000);
    play.order(DB, Verb::Stop);
    play.exits(DB, 0);
    play.log();
    play.exits(WEB, 0);
    assert_eq!(play.log(), ["60000 db spawn"]);
    play.spawned(DB);
    assert_eq!(play.log(), ["60000 job spawn"]);
}

#[test]
fn a_single_run_goes_on_beside_a_timer_and_ends_without_changing_it() {
    let mut play = boot(vec![timed("job", 60, false)]);
    play.spawned(DB);
    play.exits(DB, 0);
    play.log();
    let process = Process { argv: vec!["/bin/run".into()], ..Process::default() };
    play.books.once(play.books.now, ServiceId(0), process, None);
    play.note();
    let run = InstanceId(1);
    assert_eq!(play.log(), ["0 job+1 created", "0 job+1 spawn"]);
    play.spawned(run);
    let due = play.books.core.instance(DB).next;
    assert_eq!(play.books.core.instance(run).next, None);
    play.at(60_000);
    assert_eq!(play.log(), ["60000 job spawn"]);
    assert_eq!(due, Some(Instant::ZERO + secs(60)));
    play.ends(run, ExitStatus::SUCCESS, false);
    assert_eq!(play.log(), ["60000 job+1 gone"]);
}
