//! What lar is to do: the configuration, resolved. Names are numbers here, users are ids, every substitution
//! is done; nothing below this page reads a file or looks up a name again.
//!
//! `config` makes a plan from a file, `cli` from a command line. The core owns it; `run` reads it to build
//! its images, pipes and files once.

mod eventlog;
mod health;
mod hook;
pub mod input;
mod kinds;
mod label;
mod order;
mod output;
mod rules;
mod runner;
mod setup;
mod single;
mod socket;
mod timer;

use crate::signal::Signal;
use crate::time::Duration;
pub use eventlog::{EventLog, Level, LogFile, Syslog, SyslogAddress};
pub use health::{Health, Probe, Task, http_parts};
pub use hook::Hook;
pub use input::{Input, Stdin};
pub use kinds::{EventKind, Kinds, Whom};
pub use label::{Label, Standing};
pub use order::Order;
pub use output::{Format, OnFull, Output, Rotate, Target};
pub use rules::{Delay, Flapping, GiveUp, Restart, Rules};
pub use runner::Runner;
pub use setup::{Account, Identity, Inherit, IoNice, Limit, Resource, Session, Setup, Spawn};
pub use single::{Leftovers, Single};
pub use socket::{Address, Listen, Socket};
pub use timer::{Timer, When};

/// Everything a manager is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The manager's own settings (`<lar>`).
    pub settings: Settings,
    /// The services in the order of the file; [`ServiceId`] is the index.
    pub services: Vec<Service>,
    /// Where lar's own log goes (`<eventlog>`).
    pub event_log: EventLog,
    /// What is run when something happens (`<on EVENT>`).
    pub hooks: Vec<Hook>,
    /// What lar listens on for its services (`<socket>`), in the order of the file.
    pub sockets: Vec<Socket>,
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

/// A configured program and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `web`, or `shop:web` when it belongs to the group `shop`.
    pub name: String,
    /// Runs on, or ends when its work is done.
    pub kind: Kind,
    /// Whether it starts with the manager.
    pub start: Start,
    /// When it runs again by itself; only of one-shots.
    pub timer: Option<Timer>,
    /// What is done between clone and exec.
    pub setup: Setup,
    /// The names of the sockets it is given, in the order of their fds, which are 3 and the next ones.
    pub sockets: Vec<String>,
    /// Other services it has to do with.
    pub order: Order,
    /// Time between two probes of its readiness.
    pub ready_interval: Duration,
    /// How long one probe may take.
    pub probe_timeout: Duration,
    /// From spawn to ready (a one-shot: to its end); `None` waits for ever.
    pub start_timeout: Option<Duration>,
    /// How long what was not ready in time may take to end, before KILL.
    pub start_abort_timeout: Duration,
    /// How long it may be silent while it is not ready; `None`: for ever.
    pub log_activity_timeout: Option<Duration>,
    /// How often it is asked whether it still works; `None`: never.
    pub health: Option<Health>,
    /// How long its stop and post-stop commands may take each.
    pub stop_timeout: Duration,
    /// How it is stopped.
    pub stop: Ladder,
    /// Who gets the stop signals.
    pub kill_mode: KillMode,
    /// Whether it runs on when the manager ends.
    pub leave: bool,
    /// What happens when it dies.
    pub rules: Rules,
    /// Whether its failure ends the manager (exit policy `critical`).
    pub critical: bool,
    /// Whether its end is the manager's end (exit policy `main`).
    pub main: bool,
    /// How many of its instances a restart exchanges at a time, each for one that is ready first; 0: it stops them,
    /// and starts them again.
    pub rolling: u32,
    /// The signal that `ctl reload` sends, if that runs no command ([`Task::Reload`]).
    pub reload: Option<Signal>,
    /// How its output is treated.
    pub output: Output,
    /// What it can be sent.
    pub input: Input,
    /// One for each instance, the first is number 1. Never empty.
    pub processes: Vec<Process>,
    /// How they differ, if they do, for instances that are added later: a NUL, which no word can hold, stands for
    /// the number.
    pub template: Option<Box<Process>>,
}

impl Service {
    /// The group's name, if it has one.
    pub fn group(&self) -> Option<&str> {
        self.name.split_once(':').map(|(group, _)| group)
    }

    /// What its instance `number` (from 1) runs; also one that the plan did not ask for.
    pub fn process(&self, number: u32) -> Option<Process> {
        let known = self.processes.get((number as usize).wrapping_sub(1));
        match (known, &self.template) {
            (Some(process), _) => Some(process.clone()),
            (None, Some(template)) => Some(template.numbered(number)),
            (None, None) => self.processes.first().cloned(),
        }
    }

    /// Whether one of its processes can be exchanged for another while it runs: only if the new one answers for itself
    /// when it is asked whether it is ready.
    pub fn can_roll(&self) -> bool {
        let own = |process: &Process| {
            matches!(
                process.ready,
                Some(Probe::Notify | Probe::Command(_) | Probe::Fd(_) | Probe::Log(_))
            )
        };
        self.kind == Kind::Simple && self.processes.iter().all(own)
    }

    /// The label of its instance `number` (from 1).
    pub fn label(&self, number: u32) -> Label<'_> {
        let several = self.processes.len() > 1 || number > 1;
        Label { service: &self.name, number, several, standing: Standing::Regular }
    }
}

impl Default for Service {
    /// A service as `<service>` makes it when nothing is said: preset `lar`, no process yet.
    fn default() -> Service {
        Service {
            name: String::new(),
            kind: Kind::Simple,
            start: Start::Boot,
            timer: None,
            setup: Setup::default(),
            sockets: Vec::new(),
            order: Order::default(),
            ready_interval: Duration::from_millis(100),
            probe_timeout: Duration::from_secs(5),
            start_timeout: None,
            start_abort_timeout: Duration::from_secs(10),
            log_activity_timeout: None,
            health: None,
            stop_timeout: Duration::from_secs(15),
            stop: Ladder::default(),
            kill_mode: KillMode::Mixed,
            leave: false,
            rules: Rules::default(),
            critical: false,
            main: false,
            rolling: 0,
            reload: None,
            output: Output::default(),
            input: Input::default(),
            processes: Vec::new(),
            template: None,
        }
    }
}

/// What may differ between the instances of a service (`%i`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// The program's words; never empty. The first is searched on PATH if it has no slash.
    pub argv: Vec<String>,
    /// The file that is executed, if it is not to be found by the first word.
    pub executable: Option<String>,
    /// Variables set explicitly; they beat inherited ones. Without duplicates.
    pub environment: Vec<(String, String)>,
    /// Its working directory; `None` keeps lar's.
    pub directory: Option<String>,
    /// How lar learns that it is ready; `None`: spawned is ready (a one-shot: when it has exited with 0).
    pub ready: Option<Probe>,
    /// How lar learns that it still works. Only if [`Service::health`] says how often.
    pub health: Option<Probe>,
    /// Where a daemon that forks writes its process id.
    pub pid_file: Option<String>,
    /// The file that [`Service::log_activity_timeout`] looks at; `None`: what it writes to its transcript.
    pub log_file: Option<String>,
    /// Its other commands.
    pub tasks: Vec<(Task, Vec<String>)>,
    /// Where its standard output goes.
    pub transcript: Target,
    /// Where its standard error goes, if not the same way.
    pub stderr: Option<Target>,
}

impl Process {
    /// The words of one of its other commands.
    pub fn task(&self, task: Task) -> Option<&[String]> {
        self.tasks.iter().find(|(known, _)| *known == task).map(|(_, words)| words.as_slice())
    }

    /// A template with the number put in.
    fn numbered(&self, number: u32) -> Process {
        let number = number.to_string();
        let put = |text: &String| text.replace('\0', &number);
        let all = |words: &Vec<String>| words.iter().map(put).collect();
        let target = |target: &Target| match target {
            Target::File(path) => Target::File(put(path)),
            other => other.clone(),
        };
        Process {
            argv: all(&self.argv),
            executable: self.executable.as_ref().map(put),
            environment: self
                .environment
                .iter()
                .map(|(name, it)| (name.clone(), put(it)))
                .collect(),
            directory: self.directory.as_ref().map(put),
            ready: self.ready.as_ref().map(|probe| probe.map(put)),
            health: self.health.as_ref().map(|probe| probe.map(put)),
            pid_file: self.pid_file.as_ref().map(put),
            log_file: self.log_file.as_ref().map(put),
            tasks: self.tasks.iter().map(|(task, words)| (*task, all(words))).collect(),
            transcript: target(&self.transcript),
            stderr: self.stderr.as_ref().map(target),
        }
    }
}

/// Whether a service runs on or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs until it is stopped.
    Simple,
    /// Leaves a daemon behind and exits with 0; the daemon's own process is found by its PID file, or by MAINPID=.
    Forking,
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
    /// With the first connection to one of its sockets.
    OnDemand,
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
    /// zdaemon's options: the manager of a `<runner>`, which ends with its program, also when that is stopped.
    pub runner: Option<Box<Runner>>,
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
            runner: None,
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
