//! A loop for the control server without a kernel below: the real core, a virtual clock, and
//! processes that are only numbers. Everything happens in one thread and at once, so nothing is
//! ever waited for.

#![allow(dead_code)] // each test uses some of it

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use lar::ctl::server::{Done, Order, Server, View};
use lar::exit::{Code, Errno, ExitStatus, Pid, Stage};
use lar::plan::{InstanceId, Level, Plan, Process, Service, ServiceId, Settings};
use lar::signal::Signal;
use lar::supervisor::journal::{Journal, News};
use lar::supervisor::{Action, Event, Role, SignalTarget, Supervisor};
use lar::time::{Duration, Instant, Wall};
use lar::transcript::ring::Ring;
use mio::{Events, Poll, Token};

/// A directory of its own for each test, removed at the end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lar-ctl-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn socket(&self) -> String {
        self.0.join("lar.sock").to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A service called `name` that requires these (by index).
pub fn service(name: &str, requires: &[u32]) -> Service {
    let process = Process { argv: vec![format!("/bin/{name}")], ..Process::default() };
    let mut service =
        Service { name: name.to_owned(), processes: vec![process], ..Service::default() };
    service.order.requires = requires.iter().map(|&id| ServiceId(id)).collect();
    service
}

pub struct World {
    pub now: Instant,
    pub supervisor: Supervisor,
    pub journal: Journal,
    pub server: Server,
    pub poll: Poll,
    pub rings: Vec<Option<Ring>>,
    pub processes: HashMap<i32, InstanceId>,
    /// Services that can't be started.
    pub broken: HashSet<String>,
    /// Whether processes ignore all signals but KILL.
    pub deaf: bool,
    pub orders: Vec<Order>,
    pub directory: Directory,
    pids: i32,
}

pub const FIRST: Token = Token(100);

impl World {
    pub fn new(services: Vec<Service>) -> World {
        World::with(services, Settings::default())
    }

    pub fn with(services: Vec<Service>, mut settings: Settings) -> World {
        let directory = Directory::new();
        settings.socket.get_or_insert(directory.socket());
        settings.exit_policy = Some(lar::plan::ExitPolicy::Never);
        let poll = Poll::new().unwrap();
        let now = Instant::from_nanos(1_000_000_000);
        let server = Server::new(&settings, None, poll.registry(), FIRST, now).unwrap();
        let plan = Plan { settings, services, ..Plan::default() };
        let rings = plan.services.iter().flat_map(|service| {
            let ring = service.output.ring as usize;
            service.processes.iter().map(move |_| (ring > 0).then(|| Ring::new(ring)))
        });
        let rings = rings.collect();
        let supervisor = Supervisor::new(plan, 1);
        let mut world = World {
            now,
            rings,
            journal: Journal::new(&supervisor),
            supervisor,
            server,
            poll,
            processes: HashMap::new(),
            broken: HashSet::new(),
            deaf: false,
            orders: Vec::new(),
            directory,
            pids: 1000,
        };
        world.handle(Event::Boot);
        world
    }

    /// One event, and all that follows from it.
    pub fn handle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.supervisor.handle(self.now, event);
            while let Some(action) = self.supervisor.poll_action() {
                match action {
                    Action::Spawn { instance, role: Role::Main } => {
                        events.push_back(self.spawn(instance));
                    }
                    Action::Signal { target, signal, .. } => {
                        let (SignalTarget::Process(pid) | SignalTarget::Group(pid)) = target;
                        let heard = signal == Signal::KILL || !self.deaf && signal == Signal::TERM;
                        if heard && self.processes.remove(&pid.0).is_some() {
                            let status = ExitStatus::killed(signal);
                            events.push_back(Event::Exited { pid, status, lingering: false });
                        }
                    }
                    Action::Changed(change) => {
                        let (news, wall) =
                            (News::Changed(change), Wall(1_767_225_600 * 1_000_000_000));
                        let core = &self.supervisor;
                        self.journal.record(core, change.instance, news, change.at, wall);
                    }
                    _ => {}
                }
            }
        }
    }

    fn spawn(&mut self, instance: InstanceId) -> Event {
        let service = self.supervisor.instance(instance).service;
        let role = Role::Main;
        if self.broken.contains(&self.supervisor.service(service).name) {
            return Event::SpawnFailed { instance, role, stage: Stage::Exec, errno: Errno(2) };
        }
        self.pids += 1;
        self.processes.insert(self.pids, instance);
        Event::Spawned { instance, role, pid: Pid(self.pids) }
    }

    pub fn id(&self, name: &str) -> InstanceId {
        let all = self.supervisor.instances();
        all.into_iter().find(|&id| self.supervisor.label(id).to_string() == name).unwrap()
    }

    /// The process of this instance ends.
    pub fn die(&mut self, name: &str, status: ExitStatus) {
        let pid = self.supervisor.instance(self.id(name)).pid.unwrap();
        self.processes.remove(&pid.0);
        self.handle(Event::Exited { pid, status, lingering: false });
    }

    pub fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.handle(Event::Tick);
    }

    pub fn print(&mut self, name: &str, text: &str) {
        let id = self.id(name);
        self.rings[id.index()].as_mut().unwrap().push(text.as_bytes());
    }

    /// One turn of the loop, as `run` does it.
    pub fn turn(&mut self) {
        self.turn_after(Duration::ZERO);
    }

    /// The same, but it waits for the sockets first, at most this long.
    pub fn turn_after(&mut self, timeout: Duration) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(timeout)).unwrap();
        events.iter().for_each(|event| self.server.ready(event));
        let mut inbox = VecDeque::new();
        self.look(|server, poll, view| server.serve(poll.registry(), view, &mut inbox));
        inbox.into_iter().for_each(|event| self.handle(event));
        while let Some((client, order)) = self.server.poll_order() {
            let failed = "/var/log: no such directory".to_owned();
            let result = match &order {
                Order::Reopen => Err((Code::Failed, failed)),
                Order::LogLevel(_) => Ok(Done::default()),
                Order::Feed(feed) => {
                    let taken = vec![0; feed.whom.len()];
                    Ok(Done { taken, ..Done::default() })
                }
                Order::Edit(..) => Err((Code::Refused, "nobody edits here".to_owned())),
            };
            self.orders.push(order);
            self.look(|server, _, view| server.answer(client, result, view));
        }
        self.look(|server, poll, view| server.settle(poll.registry(), view));
    }

    fn look(&mut self, use_it: impl FnOnce(&mut Server, &Poll, &View)) {
        let World { server, poll, supervisor, journal, rings, now, .. } = self;
        let config = |id: Option<ServiceId>| match id {
            Some(id) => vec![format!("service {}", id.0), "x".repeat(5000)],
            None => vec!["<lar>".to_owned()],
        };
        use_it(
            server,
            poll,
            &View {
                now: *now,
                wall: Duration::from_secs(1_767_225_600),
                supervisor,
                journal,
                output: &|id| rings[id.index()].as_ref(),
                log: &|_| Vec::new(),
                stream: &|_, _| None,
                way: &|_, _| None,
                status_text: &|_| "",
                config: &config,
                started: Instant::ZERO,
                pid: Pid(1),
                config_path: Some("/etc/lar.conf"),
                level: Level::Info,
            },
        );
    }

    /// As many turns as can matter.
    pub fn turns(&mut self) {
        self.advance(Duration::from_millis(1)); // what `spawn-rate` holds back goes on
        self.turn();
        let mut left = 10_000;
        while self.server.busy() {
            self.turn();
            left -= 1;
            assert!(left > 0, "the server spins");
        }
        self.turn();
    }

    pub fn client(&mut self) -> Client {
        let stream = UnixStream::connect(self.server.place().unwrap().to_string()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Client { stream, seen: Vec::new(), closed: false }
    }

    /// A client that is let in at once: of many, not all find room before the door.
    pub fn accepted(&mut self) -> Client {
        let client = self.client();
        self.turn();
        client
    }

    /// The whole reply to a request on a connection of its own.
    pub fn ask(&mut self, request: &str) -> Vec<String> {
        let mut client = self.client();
        client.send(&format!("lar1 {request}\n"));
        client.reply(self)
    }

    /// The last line of it.
    pub fn verdict(&mut self, request: &str) -> String {
        self.ask(request).pop().unwrap()
    }
}

pub struct Client {
    pub stream: UnixStream,
    pub seen: Vec<u8>,
    pub closed: bool,
}

impl Client {
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads what is there.
    pub fn read(&mut self) {
        let mut chunk = [0; 65536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.closed = true,
                Ok(count) => self.seen.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.closed = true,
            }
        }
    }

    /// What has come so far, and is now taken.
    pub fn lines(&mut self, world: &mut World) -> Vec<String> {
        for _ in 0..3 {
            world.turns();
            self.read();
        }
        let end = self.seen.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let text: Vec<u8> = self.seen.drain(..end).collect();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    /// The lines up to and with the last of a reply.
    pub fn reply(&mut self, world: &mut World) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..1000 {
            world.turns();
            self.read();
            while let Some(end) = self.seen.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                lines.push(String::from_utf8(line).unwrap().trim_end().to_owned());
                let last = lines.last().unwrap();
                if last == "ok" || last.starts_with("error ") {
                    return lines;
                }
            }
        }
        panic!("no last line: {lines:?}");
    }
}
