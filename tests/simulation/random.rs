//! Random numbers (splitmix64), and random plans made of them.

use lar::exit::Errno;
use lar::plan::{
    Delay, ExitPolicy, Flapping, GiveUp, Health, KillMode, Kind, Ladder, Order, Plan, Probe,
    Process, Restart, Rules, Rung, Runner, Service, ServiceId, Settings, Single, Start, Task,
    Timer, When,
};
use lar::signal::Signal;
use lar::time::Duration;

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True with this chance in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

pub const ENDING: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::KILL];
pub const ERRNOS: [Errno; 4] = [Errno(2), Errno(11), Errno(12), Errno(13)];

pub fn plan(random: &mut Random) -> Plan {
    let (single, runner) = (random.chance(12), random.chance(8));
    let services = if single || runner { 1 } else { random.below(6) + 1 };
    let services: Vec<Service> =
        (0..services as u32).map(|at| service(random, at, single || runner)).collect();
    if runner && !single {
        return zdaemon(random, services);
    }
    let grace = random.chance(50).then(|| random.millis(5000));
    let drain = if random.chance(30) { random.millis(2000) } else { Duration::ZERO };
    let policies = [ExitPolicy::Main, ExitPolicy::Critical, ExitPolicy::All, ExitPolicy::Never];
    let patience = random.pick(&[2, 9, 60]);
    let settings = Settings {
        exit_policy: random.chance(85).then(|| random.pick(&policies)),
        shutdown_timeout: random.chance(80).then(|| Duration::from_secs(patience)),
        spawn_rate: random.pick(&[Some(1000), Some(1000), Some(5), None]),
        single: single.then(|| Single {
            group: random.chance(50),
            grace,
            drain,
            ..Single::default()
        }),
        ..Settings::default()
    };
    Plan { settings, services, ..Plan::default() }
}

/// A `<runner>`: one program that runs on.
fn zdaemon(random: &mut Random, mut services: Vec<Service>) -> Plan {
    for service in &mut services {
        (service.kind, service.start, service.timer) = (Kind::Simple, Start::Boot, None);
    }
    let backoff_limit = Some(random.below(4) as u32);
    let settings = Settings {
        exit_policy: Some(ExitPolicy::Main),
        shutdown_timeout: Some(Duration::from_secs(random.pick(&[2, 10]))),
        runner: Some(Box::new(Runner { backoff_limit, ..Runner::default() })),
        ..Settings::default()
    };
    Plan { settings, services, ..Plan::default() }
}

pub fn service(random: &mut Random, at: u32, single: bool) -> Service {
    let oneshot = random.chance(20);
    let ready =
        [Probe::Notify, Probe::Unix("@ready".into()), Probe::Command(vec!["/bin/ping".into()])];
    let ready = random.chance(60).then(|| ready[random.below(3) as usize].clone());
    let forking = !oneshot && !single && random.chance(25);
    let (health, health_probe) = health(random, !oneshot && !single);
    let process = Process {
        argv: vec!["/bin/it".into()],
        ready,
        health: health_probe,
        pid_file: forking.then(|| "/it.pid".into()),
        tasks: if single { Vec::new() } else { tasks(random) },
        ..Process::default()
    };
    let instances = if single { 1 } else { random.pick(&[1, 1, 1, 2, 3]) };
    let mut rules = rules(random);
    if oneshot && random.chance(80) {
        rules.restart = Restart::OnFailure;
    }
    if health.is_some() && random.chance(40) {
        rules.restart = Restart::Never; // it stays unhealthy then
    }
    let intervals = [0, 50, 100, 1000].map(Duration::from_millis);
    let timeouts = [200, 1000, 5000].map(Duration::from_millis);
    let start = match random.below(100) {
        _ if single => Start::Boot,
        0..70 => Start::Boot,
        70..85 => Start::Manual,
        _ => Start::OnDemand,
    };
    let timed = oneshot && !single && start != Start::OnDemand && random.chance(65);
    Service {
        name: format!("s{at}"),
        timer: timed.then(|| timer(random)),
        kind: match (oneshot, forking) {
            (true, _) => Kind::Oneshot,
            (false, true) => Kind::Forking,
            (false, false) => Kind::Simple,
        },
        health,
        log_activity_timeout: random
            .chance(15)
            .then(|| Duration::from_millis(300) + random.millis(3000)),
        start_abort_timeout: random.millis(3000),
        stop_timeout: random.millis(4000),
        start,
        sockets: vec!["web".into(), "admin".into()],
        order: order(random, at),
        ready_interval: random.pick(&intervals),
        probe_timeout: random.pick(&timeouts),
        start_timeout: (forking || random.chance(50))
            .then(|| Duration::from_millis(800) + random.millis(3000)),
        stop: ladder(random),
        kill_mode: random.pick(&[KillMode::Mixed, KillMode::Group, KillMode::Process]),
        leave: !single && random.chance(20),
        rules,
        critical: random.chance(8),
        main: single || random.chance(8),
        processes: vec![process; instances],
        rolling: random.pick(&[0, 0, 1, 2]),
        ..Service::default()
    }
}

fn health(random: &mut Random, can: bool) -> (Option<Health>, Option<Probe>) {
    if !can || !random.chance(35) {
        return (None, None);
    }
    let every = random.pick(&[50, 500, 5000]);
    let health = Health {
        every: Duration::from_millis(every) + random.millis(every),
        timeout: Duration::from_millis(250) + random.millis(1000),
        failures: random.below(3) as u32 + 1,
    };
    let probes = [
        Probe::Notify,
        Probe::Http("http://[::1]/".into()),
        Probe::Command(vec!["/bin/ask".into()]),
    ];
    (Some(health), Some(probes[random.below(3) as usize].clone()))
}

fn tasks(random: &mut Random) -> Vec<(Task, Vec<String>)> {
    let all = [Task::PreStart, Task::Stop, Task::Restart, Task::Reload, Task::PostStop];
    let has = all.into_iter().filter(|_| random.chance(35));
    has.map(|task| (task, vec!["/bin/task".into()])).collect()
}

fn timer(random: &mut Random) -> Timer {
    let most = random.pick(&[500, 5000, 30_000]);
    let every = Duration::from_millis(1) + random.millis(most);
    let when = match random.chance(50) {
        true => When::Every(every),
        false => When::At(vec![90]),
    };
    Timer { when, queue: random.chance(50) }
}

/// Whom it depends on: only services before it, so there is no cycle.
fn order(random: &mut Random, at: u32) -> Order {
    let mut order = Order::default();
    for on in (0..at).map(ServiceId) {
        match random.below(12) {
            0..=2 => order.requires.push(on),
            3 => order.wants.push(on),
            4 => order.after.push(on),
            5 => order.restart_with.push(on),
            6 => {
                order.requires.push(on);
                order.restart_with.push(on);
            }
            _ => {}
        }
    }
    order
}

fn ladder(random: &mut Random) -> Ladder {
    let signals = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::KILL];
    let rung =
        |random: &mut Random| Rung { signal: random.pick(&signals), wait: random.millis(4000) };
    Ladder {
        drain: if random.chance(25) { random.millis(3000) } else { Duration::ZERO },
        rungs: (0..random.below(3) + 1).map(|_| rung(random)).collect(),
        kill: random.chance(85),
    }
}

/// One of the presets, or a mixture of all.
fn rules(random: &mut Random) -> Rules {
    let secs = Duration::from_secs;
    let double = Delay::Double { first: secs(1) };
    let flapping = Flapping { deaths: 2, window: secs(1), cooldown: secs(7), rounds: Some(5) };
    let limit = random.pick(&[0, 1, 3, 10]);
    let zdaemon = Rules {
        exit_codes: vec![0, 2],
        healthy_after: secs(limit),
        delay: Delay::Linear { first: secs(1), step: secs(1) },
        max: secs(limit),
        jitter: 0,
        give_up: random.pick(&[GiveUp::Never, GiveUp::AtMax]),
        governor_first: true,
        ..Rules::default()
    };
    let (procmon_max, second) = (secs(3600), secs(1));
    match random.below(6) {
        0 => Rules::default(),
        1 => zdaemon,
        2 => Rules { healthy_after: second, delay: double, max: procmon_max, ..Rules::default() },
        3 => Rules {
            healthy_after: second,
            delay: Delay::None,
            flapping: Some(flapping),
            ..Rules::default()
        },
        4 => Rules { restart: Restart::Never, ..Rules::default() },
        _ => Rules {
            restart: random.pick(&[Restart::Always, Restart::OnFailure, Restart::Never]),
            exit_codes: if random.chance(30) { vec![3] } else { vec![] },
            healthy_after: random.pick(&[Duration::ZERO, second, secs(10)]),
            delay: random.pick(&[Delay::None, double]),
            max: random.pick(&[Duration::ZERO, second, secs(60)]),
            jitter: random.pick(&[0, 10, 100]),
            flapping: random.chance(40).then(|| Flapping {
                deaths: random.below(4) as u32 + 1,
                window: random.millis(10_000),
                cooldown: random.millis(9000),
                rounds: random.chance(50).then(|| random.below(3) as u32),
            }),
            give_up: random.pick(&[GiveUp::Never, GiveUp::After(3), GiveUp::AtMax]),
            governor_first: random.chance(10),
        },
    }
}
