//! Everything that is made once, before the first service starts: what fails here is told and nothing runs.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use log::warn;
use mio::unix::SourceFd;
use mio::{Interest, Poll};

use super::ears::{Ear, Ears};
use super::edit::Edits;
use super::questions::Questions;
use super::signals::Single;
use super::sockets::{Closed, Sockets, fds};
use super::timers::Timers;
use super::token::{CONTROL, Source};
use super::{Images, Loop, ReadyList, Rest, Start};
use super::{feed, hooks};
use crate::check::notify;
use crate::ctl::server::{BindError, Server};
use crate::exit::Errno;
use crate::input::Input;
use crate::output::{Output, StreamId};
use crate::plan::{self, InstanceId, Leftovers, Plan, Probe, Process, Service, Settings};
use crate::supervisor::journal::Journal;
use crate::supervisor::{Event, Role, Supervisor};
use crate::sys::daemon::{PidFile, Startup};
use crate::sys::listener::Listener;
use crate::sys::signals::SignalFd;
use crate::sys::spawn::{Given, Image, Recipe, Spawner, words};
use crate::sys::{boot, clock, fd, own_pid, reap, signals};
use crate::time::Instant;

/// Why nothing was started.
#[derive(Debug)]
pub enum StartError {
    /// Something the kernel would not give us.
    Kernel(&'static str, Errno),
    /// The same, from the standard library.
    Io(&'static str, std::io::Error),
    /// Another manager has the control socket.
    Socket(BindError),
    /// A socket for services can't be opened.
    Listener(Closed),
    /// An instance's program can't be prepared.
    Image(String, Errno),
    /// The same, for another reason.
    Instance(String, String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Kernel(what, errno) => write!(f, "{what}: {errno}; nothing was started"),
            StartError::Io(what, error) => write!(f, "{what}: {error}; nothing was started"),
            StartError::Socket(error) => write!(f, "{error}; nothing was started"),
            StartError::Listener(closed) => write!(f, "{closed}; nothing was started"),
            StartError::Instance(label, why) => write!(f, "{label}: {why}; nothing was started"),
            StartError::Image(label, errno) => {
                write!(f, "{label}: can't be prepared: {errno}; nothing was started")
            }
        }
    }
}

impl Loop {
    /// Makes everything. In the order in which failures should be told.
    pub(super) fn build(start: Start) -> Result<(Loop, Option<Startup>), StartError> {
        let Start { mut plan, config_path, foreground, control, startup, mut given, .. } = start;
        let Start { inherited, voice, report, source, .. } = start;
        let started = clock::now();
        given.files = fd::raise_file_limit();
        let (program, services) = share_out(&plan, inherited);
        let single = Single::new(&plan, given.terminal.is_some(), program);
        take_place(&plan, single.as_ref());
        let given = Rc::new(given);
        let poll = Poll::new().map_err(|error| StartError::Io("epoll", error))?;
        let signals = take_signals(&plan, &poll)?;
        let server = control.then(|| serve(&plan, &poll, started)).transpose()?;
        let (sockets, timers) = provide(&plan, &poll, services)?;
        let (output, pipes) = capture(&plan, &poll, foreground, started)?;
        let input = connect(&plan, &poll)?;
        let null = empty_input()?;
        let ears = Ears::new(&plan, &poll)?;
        let images = paint(&plan, &given, (&output, &input), &sockets, &ears, null.as_raw_fd())?;
        let hooks = hooks::first(&given, &mut plan, null.as_raw_fd())?;
        let spawner = Spawner::new().map_err(|errno| StartError::Kernel("spawn stack", errno))?;
        let instances = plan.instances();
        let level = plan.event_log.level;
        let supervisor = Supervisor::new(plan, clock::wall().0 ^ (own_pid().0 as u64) << 40);
        let mut this = Loop {
            pid_file: supervisor.settings().pid_file.as_deref().and_then(write_pid),
            inbox: inbox(instances),
            journal: Journal::new(&supervisor),
            hooks,
            supervisor,
            poll,
            signals,
            spawner,
            images,
            null,
            output,
            lively: ReadyList::new(input.count()),
            input,
            questions: Questions::new(instances),
            ears,
            sockets,
            timers,
            server,
            ready: ReadyList::new(pipes.len()),
            pipes,
            edits: Edits::default(),
            orphans: super::daemons::Orphans::new(),
            lingering: Vec::with_capacity(instances),
            launch: super::launch::Launch::new(instances),
            reap_again: false,
            single,
            rest: Rest::NotYet,
            ending_since: None,
            impatient: false,
            given,
            voice,
            report,
            killed: false,
            level,
            file_level: level,
            source,
            started,
            config_path,
            asked_to_end: None,
            pid: own_pid(),
        };
        this.follow_services();
        Ok((this, startup))
    }
}

/// Of the fds that lar was given, those for the program of single-program mode, and those for services.
fn share_out(plan: &Plan, inherited: Vec<OwnedFd>) -> (Vec<OwnedFd>, Vec<OwnedFd>) {
    match plan.settings.single {
        Some(_) => (inherited, Vec::new()),
        None => (Vec::new(), inherited),
    }
}

/// Where signals to lar are read from.
fn take_signals(plan: &Plan, poll: &Poll) -> Result<SignalFd, StartError> {
    let signals = match plan.settings.single.as_ref().is_some_and(|single| single.faults) {
        true => SignalFd::with_faults(),
        false => SignalFd::new(),
    };
    let signals = signals.map_err(|errno| StartError::Kernel("signalfd", errno))?;
    watch(poll, signals.as_raw_fd(), Source::Signals)?;
    Ok(signals)
}

/// What there is for services beside their processes: sockets, and timers.
fn provide(plan: &Plan, poll: &Poll, given: Vec<OwnedFd>) -> Result<(Sockets, Timers), StartError> {
    let sockets = Sockets::open(&plan.sockets, given).map_err(StartError::Listener)?;
    let timers = Timers::of(plan, poll.registry());
    Ok((sockets, timers.map_err(|errno| StartError::Kernel("timerfd", errno))?))
}

/// Takes lar's place among processes: whoever's parent ends becomes ours, as PID 1 has it anyway, unless that is not
/// wanted; and the stops of a program that shares our terminal are told.
fn take_place(plan: &Plan, single: Option<&Single>) {
    signals::announce_stops(single.is_some_and(|single| single.job_control));
    let options = plan.settings.single.as_ref();
    let leftovers = options.map_or(Leftovers::Adopt, |single| single.leftovers);
    if leftovers == Leftovers::Adopt
        && !boot::is_pid1()
        && let Err(errno) = reap::become_subreaper()
    {
        warn!("orphans go to PID 1: can't become their reaper: {errno}");
    }
}

fn serve(plan: &Plan, poll: &Poll, now: Instant) -> Result<Server, StartError> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    Server::new(&plan.settings, runtime, poll.registry(), CONTROL, now).map_err(StartError::Socket)
}

fn watch(poll: &Poll, fd: RawFd, source: Source) -> Result<(), StartError> {
    poll.registry()
        .register(&mut SourceFd(&fd), source.token(), Interest::READABLE)
        .map_err(|error| StartError::Io("epoll", error))
}

/// With room for one answer to each action of an event, and what the control server adds.
fn inbox(instances: usize) -> VecDeque<Event> {
    VecDeque::with_capacity(instances * 2 + 64)
}

/// Each stream's pipe, and whether it is watched.
type Pipes = Vec<Option<(RawFd, bool)>>;

/// The pipes from services, watched.
fn capture(
    plan: &Plan,
    poll: &Poll,
    foreground: bool,
    now: Instant,
) -> Result<(Output, Pipes), StartError> {
    let (output, warnings) = Output::new(plan, foreground, now);
    warnings.iter().for_each(|warning| warn!("{warning}"));
    let one = |(stream, fd): (StreamId, RawFd)| {
        watch(poll, fd, Source::Output(stream.0))?;
        Ok(Some((fd, true)))
    };
    let pipes = output.sources().map(one).collect::<Result<Pipes, StartError>>()?;
    Ok((output, pipes))
}

/// The ways into services, watched.
fn connect(plan: &Plan, poll: &Poll) -> Result<Input, StartError> {
    let failed = |errno| StartError::Kernel("streams", Errno(errno as i32));
    let input = Input::new(plan).map_err(failed)?;
    for (channel, fd) in input.sources() {
        feed::watch(poll.registry(), channel, fd)
            .map_err(|error| StartError::Io("epoll", error))?;
    }
    Ok(input)
}

/// A pid file that can't be written is a warning: the services matter more.
fn write_pid(path: &str) -> Option<PidFile> {
    PidFile::write(path)
        .map_err(|errno| warn!("pid file {path}: {errno}; going on without it"))
        .ok()
}

/// Every instance's process, in the order of their numbers.
pub(super) fn processes(plan: &Plan) -> impl Iterator<Item = (&Service, u32, &Process)> {
    plan.services.iter().flat_map(|service| {
        (1..).zip(&service.processes).map(move |(number, process)| (service, number, process))
    })
}

/// The images of all instances.
fn paint(
    plan: &Plan,
    given: &Rc<Given>,
    (output, input): (&Output, &Input),
    sockets: &Sockets,
    ears: &Ears,
    null: RawFd,
) -> Result<Vec<Option<Images>>, StartError> {
    let mut images = Vec::with_capacity(plan.instances());
    for service in &plan.services {
        for (number, process) in (1u32..).zip(&service.processes) {
            let instance = InstanceId(images.len() as u32);
            let (stdio, streams) = (output.stdio(instance), input.streams(instance));
            let settings = &plan.settings;
            let (run, ear, streams) = (false, ears.of(instance), &streams[..]);
            let fail = |why| StartError::Instance(service.label(number).to_string(), why);
            let sockets = sockets.of(service).map_err(fail)?;
            let sitter =
                Sitter { settings, service, number, run, process, ear, stdio, streams, sockets };
            let painted = image(given, &sitter, null);
            let fail = |errno| StartError::Image(service.label(number).to_string(), errno);
            images.push(Some(painted.map_err(fail)?));
        }
    }
    Ok(images)
}

/// What an image is made for.
pub(super) struct Sitter<'a> {
    pub(super) settings: &'a Settings,
    pub(super) service: &'a Service,
    pub(super) number: u32,
    /// Whether that is the number of a run.
    pub(super) run: bool,
    pub(super) process: &'a Process,
    /// By what it is heard, if it is.
    pub(super) ear: Option<&'a Ear>,
    /// Its standard output and standard error.
    pub(super) stdio: (RawFd, RawFd),
    /// What it listens on.
    pub(super) sockets: Vec<Rc<Listener>>,
    /// Its ends of its streams.
    pub(super) streams: &'a [RawFd],
}

/// The first fd of its streams: after the standard ones and its sockets.
fn first_stream(service: &Service) -> RawFd {
    3 + service.sockets.len() as RawFd
}

/// The images of one instance.
pub(super) fn image(given: &Rc<Given>, sitter: &Sitter, null: RawFd) -> Result<Images, Errno> {
    let Sitter { settings, service, process, stdio: (stdout, stderr), streams, .. } = *sitter;
    let extra = extra(sitter);
    let stdin = if settings.single.is_some() { 0 } else { null };
    let mut recipe = Recipe::new(&service.setup, process, [stdin, stdout, stderr]);
    recipe.extra = &extra;
    if let Some(single) = &settings.single {
        recipe.argv = single.argv.iter().map(Vec::as_slice).collect();
    }
    recipe.fds = fds(&sitter.sockets, &service.setup.pass_fds);
    recipe.fds.extend(streams.iter().copied().zip(first_stream(service)..));
    if let (Some(Probe::Fd(number)), Some(fd)) = (&process.ready, sitter.ear.and_then(Ear::line)) {
        recipe.fds.push((fd, *number));
    }
    recipe.listens = &service.sockets;
    let main = Image::new(given, &recipe)?;
    // Who only asks has nothing to say, and nothing to accept.
    (recipe.fds, recipe.listens) = (Vec::new(), &[]);
    recipe.stdio[0] = null;
    recipe.executable = None;
    let mut aides = Vec::new();
    for (role, argv) in commands(process) {
        recipe.argv = words(argv);
        // Whom it asks about, or ends; the one before and the one after have nobody.
        let alone = matches!(role, Role::PreStart | Role::PostStop);
        recipe.asks = settings.runner.is_none() && !alone;
        recipe.blanks = if role == Role::PostStop { &AFTERWARDS } else { &[] };
        aides.push((role, Image::new(given, &recipe)?));
    }
    let mark = super::daemons::Mark::default();
    let (main_pid, orphans, portrait) = (None, None, None);
    let _listeners = sitter.sockets.clone();
    Ok(Images {
        main,
        aides,
        main_pid,
        foreign: None,
        orphans,
        portrait,
        mark,
        log_from: 0,
        _listeners,
    })
}

/// What tells the command for afterwards how the program has ended.
const AFTERWARDS: [&str; 3] = ["LAR_EXIT_CODE", "LAR_SIGNAL", "LAR_CORE"];

/// The words of its other commands.
fn commands(process: &Process) -> impl Iterator<Item = (Role, &[String])> {
    let asks = [(Role::Probe, &process.ready), (Role::Health, &process.health)];
    let asks = asks.into_iter().filter_map(|(role, probe)| match probe {
        Some(Probe::Command(argv)) => Some((role, argv.as_slice())),
        _ => None,
    });
    let roles = Role::ALL.into_iter();
    asks.chain(roles.filter_map(|role| Some((role, process.task(role.task()?)?))))
}

/// What services read from: /dev/null or, in a root without one, a pipe that nobody writes to.
fn empty_input() -> Result<OwnedFd, StartError> {
    fd::open_null().map_err(|errno| StartError::Kernel("/dev/null", errno))
}

/// The variables that lar itself sets.
fn extra(sitter: &Sitter) -> Vec<(String, String)> {
    let Sitter { settings, service, number, run, ear, process, .. } = *sitter;
    let mut extra = vec![];
    // zdaemon's program finds what zdaemon was given, and no more.
    let zdaemon = settings.runner.is_some();
    if service.setup.session == crate::plan::Session::Own && !zdaemon {
        extra.push(("LAR_SERVICE".into(), service.name.clone()));
        // A run is none of the instances.
        let instance = if run { 0 } else { number };
        extra.push(("LAR_INSTANCE".into(), instance.to_string()));
        if run {
            extra.push(("LAR_RUN".into(), number.to_string()));
        }
    }
    let streams = &service.input.streams;
    for (stream, fd) in streams.iter().zip(first_stream(service)..) {
        extra.push((plan::input::variable(stream), fd.to_string()));
    }
    if !streams.is_empty() {
        extra.push(("LAR_STREAMS".into(), streams.join(" ")));
    }
    if let Some(Ok(address)) = ear.and_then(Ear::notify).map(notify::Listener::address) {
        extra.push(("NOTIFY_SOCKET".into(), address));
    }
    if let (Some(Probe::Notify), Some(health)) = (&process.health, &service.health) {
        extra.push(("WATCHDOG_USEC".into(), health.every.as_micros().to_string()));
    }
    extra
}
