//! What lar is to do: the configuration, resolved. Names are numbers here, users are ids, every substitution
//! is done; nothing below this page reads a file or looks up a name again.
//!
//! `config` makes a plan from a file, `cli` from a command line. The core owns it; `run` reads it to build
//! its images, pipes and files once.

use core::fmt;
use core::net::SocketAddr;

use crate::signal::Signal;
use crate::time::Duration;

/// Everything a manager is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The manager's own settings (`<lar>`).
    pub settings: Settings,
    /// The services in the order of the file; [`ServiceId`] is the index.
    pub services: Vec<Service>,
    /// Where lar's own log goes (`<eventlog>`).
    pub event_log: EventLog,
}

impl Plan {
    /// The service with this number.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// The number of the service called `name`; case does not matter.
    pub fn find(&self, name: &str) -> Option<ServiceId> {
        let at = self.services.iter().position(|service| service.name.eq_ignore_ascii_case(name));
        at.map(|index| ServiceId(index as u32))
    }

    /// Every service's number, in the order of the file.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = ServiceId> + use<> {
        (0..self.services.len() as u32).map(ServiceId)
    }

    /// How many processes the plan wants at most, main ones only.
    pub fn instances(&self) -> usize {
        self.services.iter().map(|service| service.processes.len()).sum()
    }
}

/// A service's index in [`Plan::services`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// An instance's index in the manager's table of instances: all of the first service's, then the second's…
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u32);

impl ServiceId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl InstanceId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How an instance is called: `web`, or `web@2` when its service has several.
#[derive(Clone, Copy)]
pub struct Label<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The instance's number, from 1.
    pub number: u32,
    /// Whether the service has more than one.
    pub several: bool,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.several {
            true => write!(f, "{}@{}", self.service, self.number),
            false => f.write_str(self.service),
        }
    }
}

/// A configured program and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `web`, or `shop:web` when it belongs to the group `shop`.
    pub name: String,
    /// Runs on, or ends when its work is done.
    pub kind: Kind,
    /// Whether it starts with the manager.
    pub start: Start,
    /// What is done between clone and exec.
    pub setup: Setup,
    /// Other services it has to do with.
    pub order: Order,
    /// Time between two probes of its readiness.
    pub ready_interval: Duration,
    /// How long one probe may take.
    pub probe_timeout: Duration,
    /// From spawn to ready (a one-shot: to its end); `None` waits for ever.
    pub start_timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: Ladder,
    /// Who gets the stop signals.
    pub kill_mode: KillMode,
    /// What happens when it dies.
    pub rules: Rules,
    /// Whether its failure ends the manager (exit policy `critical`).
    pub critical: bool,
    /// Whether its end is the manager's end (exit policy `main`).
    pub main: bool,
    /// The signal that `ctl reload` sends.
    pub reload: Option<Signal>,
    /// How its output is treated.
    pub output: Output,
    /// One for each instance, the first is number 1. Never empty.
    pub processes: Vec<Process>,
}

impl Service {
    /// The group's name, if it has one.
    pub fn group(&self) -> Option<&str> {
        self.name.split_once(':').map(|(group, _)| group)
    }

    /// The label of its instance `number` (from 1).
    pub fn label(&self, number: u32) -> Label<'_> {
        Label { service: &self.name, number, several: self.processes.len() > 1 }
    }
}

impl Default for Service {
    /// A service as `<service>` makes it when nothing is said: preset `lar`, no process yet.
    fn default() -> Service {
        Service {
            name: String::new(),
            kind: Kind::Simple,
            start: Start::Boot,
            setup: Setup::default(),
            order: Order::default(),
            ready_interval: Duration::from_millis(100),
            probe_timeout: Duration::from_secs(5),
            start_timeout: None,
            stop: Ladder::default(),
            kill_mode: KillMode::Mixed,
            rules: Rules::default(),
            critical: false,
            main: false,
            reload: None,
            output: Output::default(),
            processes: Vec::new(),
        }
    }
}

/// What may differ between the instances of a service (`%i`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// The program's words; never empty. The first is searched on PATH if it has no slash.
    pub argv: Vec<String>,
    /// Variables set explicitly; they beat inherited ones. Without duplicates.
    pub environment: Vec<(String, String)>,
    /// Its working directory; `None` keeps lar's.
    pub directory: Option<String>,
    /// How lar learns that it is ready; `None`: spawned is ready (a one-shot: when it has exited with 0).
    pub ready: Option<Probe>,
    /// Where its standard output goes.
    pub transcript: Target,
    /// Where its standard error goes, if not the same way.
    pub stderr: Option<Target>,
}

/// A question that tells whether an instance is ready.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// Somebody accepts connections at this address.
    Tcp(SocketAddr),
    /// Somebody accepts connections on this socket (`@name`: an abstract one).
    Unix(String),
    /// This command exits with 0.
    Command(Vec<String>),
    /// It sends READY=1 to $NOTIFY_SOCKET.
    Notify,
}

/// Whether a service runs on or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs until it is stopped.
    Simple,
    /// Does its work and exits; ready once it has exited with 0.
    Oneshot,
}

/// When a service is first wanted up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the manager.
    Boot,
    /// When somebody says so.
    Manual,
}

/// The services a service has to do with. `group:*` is resolved; no duplicates; no cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Started along; must be ready first; if one fails for good, so does this.
    pub requires: Vec<ServiceId>,
    /// Started along; waited for until ready or settled.
    pub wants: Vec<ServiceId>,
    /// Not started along; waited for if it is wanted up.
    pub after: Vec<ServiceId>,
    /// When it dies or is restarted, this is restarted too. Ordered like `after`.
    pub restart_with: Vec<ServiceId>,
}

impl Order {
    /// All that must come before, each once or more.
    pub fn all(&self) -> impl Iterator<Item = ServiceId> + '_ {
        let soft = self.after.iter().chain(&self.restart_with);
        self.requires.iter().chain(&self.wants).chain(soft).copied()
    }
}

/// How a service is stopped: wait `drain`, then each rung's signal and its time, then KILL if `kill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// Time between the order and the first signal.
    pub drain: Duration,
    /// Signals and how long each may take. Never empty.
    pub rungs: Vec<Rung>,
    /// Whether SIGKILL follows; else lar waits for ever.
    pub kill: bool,
}

/// One step of a [`Ladder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// What is sent (and SIGCONT after it, so that a stopped process hears it).
    pub signal: Signal,
    /// How long it may take.
    pub wait: Duration,
}

impl Ladder {
    /// `SIGNAL TIME KILL`.
    pub fn simple(signal: Signal, wait: Duration) -> Ladder {
        Ladder { drain: Duration::ZERO, rungs: vec![Rung { signal, wait }], kill: true }
    }

    /// The longest it can take until KILL is sent.
    pub fn length(&self) -> Duration {
        self.rungs.iter().fold(self.drain, |sum, rung| sum.saturating_add(rung.wait))
    }
}

impl Default for Ladder {
    /// TERM 10s KILL: what container runtimes do.
    fn default() -> Ladder {
        Ladder::simple(Signal::TERM, Duration::from_secs(10))
    }
}

/// Who gets the signals of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillMode {
    /// The ladder goes to the main process, the last KILL to its group; so does one after its death.
    Mixed,
    /// Everything goes to the group.
    Group,
    /// Everything goes to the main process only; what it leaves behind is left alone.
    Process,
}

/// When a dead service is started again. See `supervisor::policy`, which reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Which deaths are followed by a restart.
    pub restart: Restart,
    /// Exit codes that end the service for good, whatever `restart` says.
    pub exit_codes: Vec<u8>,
    /// A life at least this long clears the history.
    pub healthy_after: Duration,
    /// The wait before the next try.
    pub delay: Delay,
    /// No wait is longer.
    pub max: Duration,
    /// Each wait is changed by up to this share of it, in percent.
    pub jitter: u8,
    /// Too many deaths in a window.
    pub flapping: Option<Flapping>,
    /// When to stop trying.
    pub give_up: GiveUp,
    /// zdaemon's order: the governor decides before exit codes are looked at.
    pub governor_first: bool,
}

impl Default for Rules {
    /// Preset `lar`: double 200ms max 60s jitter 10%, cleared after 10s of life, never gives up.
    fn default() -> Rules {
        Rules {
            restart: Restart::Always,
            exit_codes: Vec::new(),
            healthy_after: Duration::from_secs(10),
            delay: Delay::Double { first: Duration::from_millis(200) },
            max: Duration::from_secs(60),
            jitter: 10,
            flapping: None,
            give_up: GiveUp::Never,
            governor_first: false,
        }
    }
}

/// Which deaths are followed by a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// All of them.
    Always,
    /// All but an exit with 0.
    OnFailure,
    /// None.
    Never,
}

/// How the wait before a restart grows with the number of deaths in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// No wait (but `spawn-rate` holds).
    None,
    /// first, first + step, first + 2 step…
    Linear {
        /// The first wait.
        first: Duration,
        /// What is added each time.
        step: Duration,
    },
    /// first, 2 first, 4 first…
    Double {
        /// The first wait.
        first: Duration,
    },
}

/// `flapping D in W cooldown C rounds R`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// This many deaths; at least 1.
    pub deaths: u32,
    /// Within this time.
    pub window: Duration,
    /// Start a rest of this length.
    pub cooldown: Duration,
    /// After this many rests it gives up; `None` never.
    pub rounds: Option<u32>,
}

/// When to stop trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Never.
    Never,
    /// At this many deaths in a row.
    After(u32),
    /// When the wait reaches its maximum.
    AtMax,
}

/// What is done between clone and exec.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Whom it runs as; `None` keeps lar's.
    pub identity: Option<Identity>,
    /// File mode creation mask; `None` keeps lar's.
    pub umask: Option<u32>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Its nice value, -20 to 19.
    pub nice: Option<i8>,
    /// Its I/O priority.
    pub ionice: Option<IoNice>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// No setuid program can raise its rights.
    pub no_new_privileges: bool,
    /// The capabilities it may have, as a mask of 1 << number; `None` leaves them alone.
    pub capabilities: Option<u64>,
    /// How the child is made.
    pub spawn: Spawn,
    /// Which of lar's variables it gets.
    pub inherit: Inherit,
    /// Its session and terminal.
    pub session: Session,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            identity: None,
            umask: Some(0o022),
            limits: Vec::new(),
            nice: None,
            ionice: None,
            oom_score_adj: None,
            no_new_privileges: false,
            capabilities: None,
            spawn: Spawn::Vfork,
            inherit: Inherit::All,
            session: Session::Own,
        }
    }
}

/// Whom a process runs as, looked up at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user id; `None` keeps lar's.
    pub uid: Option<u32>,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The user's name and home for USER, LOGNAME, HOME and SHELL, if the user is in /etc/passwd.
    pub account: Option<Account>,
}

/// What /etc/passwd says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: String,
    /// Login shell; may be empty.
    pub shell: String,
}

/// A resource limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which.
    pub resource: Resource,
    /// What the process is held to.
    pub soft: Option<u64>,
    /// How far it may raise that.
    pub hard: Option<u64>,
}

/// The resources of setrlimit(2).
#[allow(missing_docs)] // the kernel's names
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// An I/O priority, as ioprio_set(2) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoNice {
    /// 1 real-time, 2 best-effort, 3 idle.
    pub class: u8,
    /// 0 (highest) to 7.
    pub level: u8,
}

/// How a child is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawn {
    /// Sharing lar's memory until it execs: fastest; lar stands still until then.
    Vfork,
    /// With a copy of it: for programs on a file system that may hang.
    Fork,
}

/// Which of lar's variables a service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// All.
    All,
    /// None.
    Nothing,
    /// These.
    Names(Vec<String>),
}

/// A child's session, terminal and signal state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Its own session, clean signal mask and default dispositions: every service.
    Own,
    /// Single-program mode: exactly the mask and ignored signals that lar was given. With a controlling
    /// terminal the child stays in lar's session in a group of its own; without one it gets its own session.
    Given,
}

/// How an instance's output is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `[web@2] ` before each line; `None`: yes on stdout, no in files.
    pub prefix: Option<bool>,
    /// A time before each line, in this format (strftime's words, UTC).
    pub timestamp: Option<String>,
    /// Text, or one JSON object a line.
    pub format: Format,
    /// When a file is put aside.
    pub rotate: Option<Rotate>,
    /// How many of the latest bytes are kept for `ctl logs`; 0 keeps none.
    pub ring: u32,
    /// What happens when the target takes no more.
    pub on_full: OnFull,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            prefix: None,
            timestamp: None,
            format: Format::Text,
            rotate: None,
            ring: 16 * 1024,
            on_full: OnFull::Drop,
        }
    }
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// As the manager runs: [`Target::Stdout`] in the foreground, else [`Target::None`].
    #[default]
    Default,
    /// A file, opened for appending.
    File(String),
    /// lar's own standard output.
    Stdout,
    /// The process gets lar's own fd; lar sees nothing of it.
    Inherit,
    /// Nowhere; the ring is kept.
    None,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Text,
    /// One JSON object each.
    Json,
}

/// `rotate SIZE keep N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The size in bytes at which a file is put aside.
    pub size: u64,
    /// How many old files are kept.
    pub keep: u32,
}

/// What happens when the target takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Bytes are dropped and counted.
    Drop,
    /// The service is held back.
    Block,
}

/// The manager's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where the control socket is; `None`: the usual places. `@name` is an abstract one.
    pub socket: Option<String>,
    /// The control socket's mode.
    pub socket_mode: u32,
    /// Who else may use it.
    pub allow: Vec<Allow>,
    /// When the manager ends; `None`: `main` if a service says so, else `critical`.
    pub exit_policy: Option<ExitPolicy>,
    /// How long an orderly shutdown may take; `None`: 9s as PID 1 of a container, else 60s.
    pub shutdown_timeout: Option<Duration>,
    /// Where the manager's pid is written.
    pub pid_file: Option<String>,
    /// Whether it goes into the background.
    pub daemon: bool,
    /// The manager's own directory once it is a daemon (zdaemon's `directory`).
    pub directory: Option<String>,
    /// Spawns of one instance per second at most; `None` lifts the bound.
    pub spawn_rate: Option<u32>,
    /// Single-program mode.
    pub single: Option<Single>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            socket: None,
            socket_mode: 0o600,
            allow: Vec::new(),
            exit_policy: None,
            shutdown_timeout: None,
            pid_file: None,
            daemon: false,
            directory: None,
            spawn_rate: Some(1000),
            single: None,
        }
    }
}

/// When the manager ends by itself, and with which code (DESIGN: section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitPolicy {
    /// With the main service, and its code.
    Main,
    /// When a critical service fails, or nothing is left that could run.
    Critical,
    /// When every service has ended for good.
    All,
    /// Only when asked to.
    Never,
}

/// One line of `allow`: who may use the control socket, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// How far.
    pub level: Access,
    /// Who.
    pub who: Who,
}

/// What a client of the control socket may do; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    View,
    /// Start, stop, signal.
    Operate,
    /// Change the manager itself.
    Admin,
}

/// A user or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user id.
    User(u32),
    /// A primary or supplementary group id.
    Group(u32),
}

/// The options of single-program mode (`lar [options] -- PROGRAM`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Single {
    /// The program's words, byte for byte; [`Process::argv`] has them as far as they can be shown.
    pub argv: Vec<Vec<u8>>,
    /// Forward signals to the program's whole group.
    pub group: bool,
    /// Signals that are replaced (or, with `None`, dropped) before they are forwarded.
    pub rewrite: Vec<(Signal, Option<Signal>)>,
    /// Exit codes that are replaced, after 128 + n.
    pub remap: Vec<(u8, u8)>,
    /// How long TERM is held back before it is forwarded (a load balancer's drain time).
    pub drain: Duration,
    /// Time between a forwarded TERM and KILL; `None` waits for ever.
    pub grace: Option<Duration>,
}

/// Where lar's own log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    /// What is logged.
    pub level: Level,
    /// Where to; empty: standard error.
    pub files: Vec<LogFile>,
}

impl Default for EventLog {
    fn default() -> EventLog {
        EventLog { level: Level::Info, files: Vec::new() }
    }
}

/// One `<logfile>` of an `<eventlog>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// A path, or `STDERR`, or `STDOUT`.
    pub path: String,
    /// Less than this is not written here.
    pub level: Level,
    /// zdaemon's line format; `None` is lar's.
    pub format: Option<String>,
    /// strftime's words for `%(asctime)s`.
    pub date_format: Option<String>,
}

/// How much is logged; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing at all.
    Off,
    /// What needs somebody's attention.
    Error,
    /// What may.
    Warn,
    /// The lives of services.
    Info,
    /// What lar does for them.
    Debug,
    /// Every event.
    Trace,
}
