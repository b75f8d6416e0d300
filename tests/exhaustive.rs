//! Every sequence of events to a depth, for one service and for two of which one depends on the
//! other. The rules are those of `books`; here nothing is random, and nothing is left out.

#[path = "common/books.rs"]
mod books;

use books::Books;
use lar::exit::{Errno, ExitStatus, Pid, Stage};
use lar::plan::{
    Delay, ExitPolicy, Flapping, GiveUp, InstanceId, Kind, Order, Plan, Probe, Process, Restart,
    Rules, Service, ServiceId, Settings, Start, Timer, When,
};
use lar::signal::Signal;
use lar::supervisor::edit::{Fate, Revision, Which};
use lar::supervisor::state::StateKind;
use lar::supervisor::{Event, Role, Told, Verb};
use lar::time::{Duration, Instant};

/// What can happen to one instance, or (the last two) to all.
const ALPHABET: [Letter; 13] = [
    Letter::Spawned,
    Letter::SpawnFailed,
    Letter::Succeeds,
    Letter::Fails,
    Letter::Lingers,
    Letter::GroupGone,
    Letter::Ready,
    Letter::Order(Verb::Start),
    Letter::Order(Verb::Stop),
    Letter::Order(Verb::Restart),
    Letter::Order(Verb::Clear),
    Letter::Tick,
    Letter::Shutdown,
];

#[derive(Clone, Copy)]
enum Letter {
    Spawned,
    SpawnFailed,
    Succeeds,
    Fails,
    Lingers,
    GroupGone,
    Ready,
    Order(Verb),
    Tick,
    Shutdown,
    Connection,
    Due,
    Grow,
    Shrink,
    Remove,
    Add,
    Once,
    /// Whoever is to have a successor gets one, or can't have one.
    Succeed,
    NoSuccessor,
}

/// What can happen to those who run beside an instance.
const BESIDE: [Letter; 13] = [
    Letter::Spawned,
    Letter::SpawnFailed,
    Letter::Fails,
    Letter::Lingers,
    Letter::Ready,
    Letter::Order(Verb::Stop),
    Letter::Order(Verb::Restart),
    Letter::Order(Verb::Roll),
    Letter::Tick,
    Letter::Shutdown,
    Letter::Once,
    Letter::Succeed,
    Letter::NoSuccessor,
];

/// What can happen when who there is changes, too.
const EDITS: [Letter; 12] = [
    Letter::Spawned,
    Letter::Succeeds,
    Letter::Lingers,
    Letter::GroupGone,
    Letter::Order(Verb::Start),
    Letter::Order(Verb::Stop),
    Letter::Order(Verb::Restart),
    Letter::Tick,
    Letter::Grow,
    Letter::Shrink,
    Letter::Remove,
    Letter::Add,
];

/// Whether a letter is about nobody: to say it once is enough.
fn nobodys(letter: Letter) -> bool {
    use Letter::{
        Add, Connection, Due, Grow, NoSuccessor, Once, Remove, Shrink, Shutdown, Succeed, Tick,
    };
    matches!(letter, Tick | Shutdown | Connection | Due | Grow | Shrink | Remove | Add)
        || matches!(letter, Once | Succeed | NoSuccessor)
}

/// Changes who there is; false if there is nothing to be changed.
fn edit(books: &mut Books, letter: Letter) -> bool {
    let now = books.now + Duration::from_millis(1);
    let there = books.core.services().next();
    let staying = there.filter(|id| !books.core.is_service_leaving(*id));
    let count = staying.map_or(0, |id| books.core.count(id));
    let revision = match (letter, staying) {
        (Letter::Grow, Some(id)) if count < 2 => {
            books.scale(now, id, count + 1, Which::Highest);
            return true;
        }
        (Letter::Shrink, Some(id)) if count > 0 => {
            books.scale(now, id, count - 1, Which::Oldest);
            return true;
        }
        (Letter::Once, Some(id)) if books.core.instances().count() < 3 => {
            let process = Process { argv: vec!["/bin/run".into()], ..Process::default() };
            books.once(now, id, process, Some(Duration::from_secs(1)));
            return true;
        }
        (Letter::Succeed | Letter::NoSuccessor, Some(id)) => {
            let of = books.core.instances_of(id).find(|&of| books.core.awaits_successor(of));
            if let Some(of) = of {
                books.succeed(now, of, matches!(letter, Letter::Succeed));
            }
            return of.is_some();
        }
        (Letter::Remove, Some(id)) => Revision { removed: vec![id], ..Revision::default() },
        (Letter::Add, None) if there.is_none() => {
            let service = Box::new(service(Kind::Simple, Restart::Always));
            Revision { fates: vec![Fate::New(service)], ..Revision::default() }
        }
        _ => return false,
    };
    books.revise(now, revision);
    true
}

/// Plays a letter; false if there is nothing that it could mean now.
fn play(books: &mut Books, id: InstanceId, letter: Letter, serial: i32) -> bool {
    let now = books.now + Duration::from_millis(1);
    if !nobodys(letter) && !books.core.has(id) {
        return false;
    }
    let shadow = books.shadows.get(id.index()).copied().unwrap_or_default();
    let main = books.process(id, Role::Main);
    let exit = |status, lingering| main.map(|pid| Event::Exited { pid, status, lingering });
    let role = Role::Main;
    let event = match letter {
        Letter::Spawned => {
            let pid = Pid(serial);
            shadow.spawning.then_some(Event::Spawned { instance: id, role, pid })
        }
        Letter::SpawnFailed => {
            let (stage, errno) = (Stage::Exec, Errno(2));
            let failed = Event::SpawnFailed { instance: id, role, stage, errno };
            shadow.spawning.then_some(failed)
        }
        Letter::Succeeds => exit(ExitStatus::SUCCESS, false),
        Letter::Fails => exit(ExitStatus::Code(1), false),
        Letter::Lingers => exit(ExitStatus::killed(Signal::SEGV), true),
        Letter::GroupGone => {
            let clearing = books.kind(id) == StateKind::Clearing;
            clearing.then_some(Event::GroupGone { instance: id })
        }
        Letter::Ready => main.map(|_| Event::Told { instance: id, what: Told::Ready }),
        Letter::Order(verb) => {
            books.now = now;
            books.order(id, verb);
            return true;
        }
        Letter::Tick => {
            let due = books.core.next_deadline();
            if let Some(due) = due {
                books.tell(due.max(now), Event::Tick);
            }
            return due.is_some();
        }
        Letter::Shutdown => Some(Event::Shutdown),
        Letter::Due => Some(Event::Due { service: ServiceId(0) }),
        // To the first service.
        Letter::Connection => Some(Event::Connection { service: ServiceId(0), socket: 0 }),
        Letter::Grow | Letter::Shrink | Letter::Remove | Letter::Add => return edit(books, letter),
        Letter::Once | Letter::Succeed | Letter::NoSuccessor => return edit(books, letter),
    };
    if let Some(event) = event {
        books.tell(now, event);
    }
    event.is_some()
}

/// Boots, and brings everything up if that is where the words are to begin.
fn begin(plan: &Plan, up: bool) -> Books {
    let mut books = Books::new(plan.clone(), 1);
    books.tell(Instant::ZERO, Event::Boot);
    for id in books.core.instances().filter(|_| up) {
        play(&mut books, id, Letter::Spawned, 100 + id.0 as i32);
        let oneshot = books.service(id).kind == Kind::Oneshot;
        play(&mut books, id, if oneshot { Letter::Succeeds } else { Letter::Ready }, 0);
        assert!(books.core.is_up(id));
    }
    books
}

/// Plays every word of `depth` letters; one that says nothing at some point is not gone into
/// further. Returns how many words and how many events there were.
fn every_word(
    plan: &Plan,
    alphabet: &[Letter],
    instances: u32,
    up: bool,
    depth: usize,
) -> (u64, u64) {
    let letters: Vec<(InstanceId, Letter)> = (0..instances)
        .flat_map(|id| alphabet.iter().map(move |&letter| (InstanceId(id), letter)))
        .filter(|(id, letter)| id.0 == 0 || !nobodys(*letter))
        .collect();
    let (mut word, mut words, mut events) = (vec![0; depth], 0, 0);
    loop {
        let mut books = begin(plan, up);
        let dumb = word.iter().enumerate().position(|(at, &letter)| {
            let (id, letter) = letters[letter];
            events += 1;
            !play(&mut books, id, letter, at as i32 + 1)
        });
        words += 1;
        // The next word; what follows a letter that says nothing is skipped.
        let mut at = dumb.unwrap_or(depth - 1);
        word[at + 1..].fill(0);
        loop {
            word[at] += 1;
            if word[at] < letters.len() {
                break;
            }
            word[at] = 0;
            if at == 0 {
                return (words, events);
            }
            at -= 1;
        }
    }
}

fn service(kind: Kind, restart: Restart) -> Service {
    let rules = Rules {
        restart,
        flapping: Some(Flapping {
            deaths: 2,
            window: Duration::from_secs(60),
            cooldown: Duration::from_secs(7),
            rounds: Some(1),
        }),
        ..Rules::default()
    };
    let ready = Some(Probe::Notify);
    let process = Process { argv: vec!["/bin/it".into()], ready, ..Process::default() };
    let start_timeout = Some(Duration::from_secs(5));
    Service { kind, rules, start_timeout, processes: vec![process], ..Service::default() }
}

/// `depths`: how deep from boot, and how deep from when all is up.
fn check(name: &str, depths: [usize; 2], services: Vec<Service>) {
    let settings = Settings { exit_policy: Some(ExitPolicy::Critical), ..Settings::default() };
    check_with(name, depths, settings, services);
}

fn check_with(name: &str, depths: [usize; 2], settings: Settings, services: Vec<Service>) {
    let plan = Plan { settings, services, ..Plan::default() };
    for (up, from, depth) in [(false, "boot", depths[0]), (true, "when all is up", depths[1])] {
        let (words, events) = every_word(&plan, &ALPHABET, plan.instances() as u32, up, depth);
        println!("{name}, from {from}, {depth} deep: {words} histories, {events} events");
    }
}

#[test]
fn every_history_of_one_service_keeps_the_rules() {
    check("always", [5, 5], vec![service(Kind::Simple, Restart::Always)]);
    check("never", [5, 5], vec![service(Kind::Simple, Restart::Never)]);
    check("one-shot", [5, 5], vec![service(Kind::Oneshot, Restart::OnFailure)]);
}

#[test]
fn every_history_of_zdaemons_program_keeps_the_rules() {
    let rules = Rules {
        exit_codes: vec![0, 2],
        healthy_after: Duration::from_secs(2),
        delay: Delay::Linear { first: Duration::from_secs(1), step: Duration::from_secs(1) },
        max: Duration::from_secs(2),
        jitter: 0,
        give_up: GiveUp::AtMax,
        governor_first: true,
        ..Rules::default()
    };
    let (simple, exit_policy) = (service(Kind::Simple, Restart::Always), Some(ExitPolicy::Main));
    let asked = Service { rules, main: true, start_timeout: None, ..simple };
    let mut plain = asked.clone();
    plain.processes[0].ready = None;
    for (name, service) in [("runner", plain), ("runner with a start test", asked)] {
        let runner = Some(Box::default());
        let settings = Settings { exit_policy, runner, ..Settings::default() };
        check_with(name, [5, 5], settings, vec![service]);
    }
}

#[test]
fn every_history_of_a_service_and_its_dependent_keeps_the_rules() {
    let on = vec![ServiceId(0)];
    let requires = Order { requires: on.clone(), ..Order::default() };
    let along = Order { restart_with: on, ..requires.clone() };
    let db = service(Kind::Simple, Restart::Always);
    let migrate = service(Kind::Oneshot, Restart::OnFailure);
    let web = |order: &Order| Service { order: order.clone(), ..db.clone() };
    check("requires", [4, 4], vec![db.clone(), web(&requires)]);
    check("requires, restart-with", [4, 4], vec![db.clone(), web(&along)]);
    check("requires a one-shot", [4, 4], vec![migrate, web(&requires)]);
}

/// What can happen to a service that starts on demand.
const DEMAND: [Letter; 11] = [
    Letter::Spawned,
    Letter::SpawnFailed,
    Letter::Succeeds,
    Letter::Fails,
    Letter::Lingers,
    Letter::GroupGone,
    Letter::Order(Verb::Start),
    Letter::Order(Verb::Stop),
    Letter::Tick,
    Letter::Shutdown,
    Letter::Connection,
];

#[test]
fn every_history_of_a_service_on_demand_and_who_depends_on_whom_keeps_the_rules() {
    let lazy = |order: Order| {
        let mut lazy = service(Kind::Simple, Restart::OnFailure);
        lazy.processes[0].ready = None;
        Service { start: Start::OnDemand, sockets: vec!["web".into()], order, ..lazy }
    };
    let on = |at| Order { requires: vec![ServiceId(at)], ..Order::default() };
    let plain = |order| Service { order, ..service(Kind::Simple, Restart::Always) };
    let alone = vec![lazy(Order::default())];
    let required = vec![lazy(Order::default()), plain(on(0))];
    let requiring = vec![lazy(on(1)), plain(Order::default())];
    for (name, depth, services) in
        [("alone", 5, alone), ("required", 4, required), ("requiring", 4, requiring)]
    {
        let settings = Settings { exit_policy: Some(ExitPolicy::All), ..Settings::default() };
        let plan = Plan { settings, services, ..Plan::default() };
        let instances = plan.instances() as u32;
        let (words, events) = every_word(&plan, &DEMAND, instances, false, depth);
        println!("on demand, {name}, {depth} deep: {words} histories, {events} events");
    }
}

#[test]
fn every_history_of_a_service_that_is_scaled_removed_and_added_again_keeps_the_rules() {
    let services = vec![service(Kind::Simple, Restart::Always)];
    let plan = Plan { services, ..Plan::default() };
    for (up, depth) in [(false, 5), (true, 4)] {
        let (words, events) = every_word(&plan, &EDITS, 2, up, depth);
        println!("edits, {depth} deep: {words} histories, {events} events");
    }
}

#[test]
fn every_history_of_those_who_run_beside_an_instance_keeps_the_rules() {
    let services = vec![service(Kind::Simple, Restart::Always)];
    let plan = Plan { services, ..Plan::default() };
    let (words, events) = every_word(&plan, &BESIDE, 3, true, 4);
    println!("beside an instance, 4 deep: {words} histories, {events} events");
}

/// What can happen to a one-shot with a timer.
const RUNS: [Letter; 11] = [
    Letter::Spawned,
    Letter::SpawnFailed,
    Letter::Succeeds,
    Letter::Fails,
    Letter::Lingers,
    Letter::GroupGone,
    Letter::Order(Verb::Start),
    Letter::Order(Verb::Stop),
    Letter::Order(Verb::Restart),
    Letter::Tick,
    Letter::Due,
];

#[test]
fn every_history_of_a_one_shot_with_a_timer_and_its_dependent_keeps_the_rules() {
    let on = Order { requires: vec![ServiceId(0)], ..Order::default() };
    let web = Service { order: on, ..service(Kind::Simple, Restart::Always) };
    let every = When::Every(Duration::from_millis(300));
    for (queue, when, depth) in
        [(true, every.clone(), 5), (false, every, 4), (true, When::At(vec![0]), 4)]
    {
        let timer = Some(Timer { when: when.clone(), queue });
        let oneshot = Service { timer, ..service(Kind::Oneshot, Restart::OnFailure) };
        for (depth, services) in [(depth, vec![oneshot.clone()]), (3, vec![oneshot, web.clone()])] {
            let plan = Plan { services, ..Plan::default() };
            let instances = plan.instances() as u32;
            let (words, events) = every_word(&plan, &RUNS, instances, false, depth);
            println!("{when:?}, queue {queue}, {depth} deep: {words} histories, {events} events");
        }
    }
}
