//! The loop: the only place where the core meets the kernel.
//!
//! One thread, one epoll. A turn is: wait; note what is ready; feed the core, one event at a time, and do
//! what it asks for; let the control server see the outcome. From the line in [`run`] that says so, nothing returns an
//! error: a failure becomes an event for the core, or a counted warning and another try.
//!
//! Where to find what: `build` makes everything that is made once, `perform` does what the core asks for, `reaper`
//! turns SIGCHLD into exits, `signals` says what each signal means, `hooks` runs commands for what has happened, `rest`
//! ends what is left when the services are down, `report` tells whoever started lar why the program did not come up,
//! `edit` makes what those need who come while it runs, `beside` what runs and successors need, `questions` and
//! `ears` ask and hear how they are.
//!
//! Invariants: only this module reaps. A child is reaped and its exit handled before the next one is looked at, so a
//! pid in the core's books is never somebody else's. Actions are drained before the next event. While the ready list is
//! not empty, the loop does not sleep.

mod beside;
mod build;
mod daemons;
mod ears;
mod edit;
mod feed;
mod hooks;
mod launch;
pub mod orders;
mod perform;
mod questions;
mod ready;
mod reaper;
mod report;
mod rest;
mod signals;
mod sockets;
mod timers;
mod token;
pub mod voice;

use std::collections::VecDeque;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

use log::{debug, info, warn};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};

use crate::config::print;
use crate::config::print_settings::{settings_lines, socket_lines};
use crate::ctl::server::{Done, Order, Refusal, Server, View};
use crate::exit::{Code, Pid};
use crate::input::{ChannelId, Input};
use crate::output::{Output, Pace, StreamId};
use crate::plan::{InstanceId, Level, Plan};
use crate::supervisor::hooks::Hooks;
use crate::supervisor::journal::Journal;
use crate::supervisor::{Event, Role, Supervisor, Told};
use crate::sys::clock;
use crate::sys::daemon::{PidFile, Startup};
use crate::sys::listener::Listener;
use crate::sys::signals::{SignalFd, held_since};
use crate::sys::spawn::{Given, Image, Spawner};
use crate::time::{Duration, Instant};
pub use build::StartError;
use ears::Ears;
use questions::Questions;
use ready::ReadyList;
pub use report::StartReport;
use rest::Rest;
use sockets::Sockets;
use timers::Timers;
use token::Source;
use voice::{Note, Voice};

/// How many readiness reports are taken from epoll at a time: what is more comes in the next turn.
const EVENTS: usize = 256;

/// How many exits are handled before the others have their turn: a storm of deaths must not keep the
/// control socket waiting. The rest is done in the next turn, which comes at once.
const REAPS: usize = 64;

/// How many messages of one instance are read in a turn.
const MESSAGES: usize = 16;

/// How long a standard output that holds back is waited for at the very end, for the services' last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a manager is started with.
pub struct Start {
    /// What it is to do.
    pub plan: Plan,
    /// Where that came from, if from a file.
    pub config_path: Option<String>,
    /// Where it can be read again.
    pub source: Option<Box<dyn orders::Source>>,
    /// Whether it has a terminal or a container's log at its standard output.
    pub foreground: bool,
    /// Whether it has a control socket.
    pub control: bool,
    /// In the background: whoever waits for the start to be reported.
    pub startup: Option<Startup>,
    /// What lar was given and hands on.
    pub given: Given,
    /// Fds that lar was given for its program (single-program mode), or for its services.
    pub inherited: Vec<OwnedFd>,
    /// Whose words it speaks, if not lar's own.
    pub voice: Option<Box<dyn Voice>>,
    /// Who wants to know why the program did not start, if somebody does.
    pub report: Option<StartReport>,
}

/// The programs of one instance.
struct Images {
    main: Image,
    /// Its other commands.
    aides: Vec<(Role, Image)>,
    /// Whom it has named as its main process (MAINPID=).
    main_pid: Option<Pid>,
    /// Whom its PID file has named that was none of its.
    foreign: Option<Pid>,
    /// How many orphans had been reaped when its daemon was last looked for among lar's children.
    orphans: Option<u64>,
    /// What its daemon looks like.
    portrait: Option<daemons::Portrait>,
    /// Its log, when it was last looked at.
    mark: daemons::Mark,
    /// How much of the log file that it writes itself there was before its last start.
    log_from: u64,
    /// What the program finds open, which the image names by number.
    _listeners: Vec<Rc<Listener>>,
}

/// The loop and all it owns.
struct Loop {
    supervisor: Supervisor,
    /// What has happened that the core has not been told yet.
    inbox: VecDeque<Event>,
    poll: Poll,
    signals: SignalFd,
    spawner: Spawner,
    images: Vec<Option<Images>>,
    /// What the images read from; it must stay open.
    null: OwnedFd,
    output: Output,
    input: Input,
    /// Streams to be read in the next turn.
    lively: ReadyList,
    questions: Questions,
    ears: Ears,
    /// What lar listens on for services.
    sockets: Sockets,
    timers: Timers,
    server: Option<Server>,
    journal: Journal,
    hooks: Hooks<Image>,
    /// Each stream's pipe, if there is such a stream, and whether epoll watches it.
    pipes: Vec<Option<(RawFd, bool)>>,
    /// Streams to be read in the next turn.
    ready: ReadyList,
    edits: edit::Edits,
    launch: launch::Launch,
    orphans: daemons::Orphans,
    /// Groups whose leader was reaped while others were still there.
    lingering: Vec<(Pid, InstanceId)>,
    /// Whether children may be waiting although no SIGCHLD will say so.
    reap_again: bool,
    single: Option<signals::Single>,
    rest: Rest,
    /// Since when the manager is ending.
    ending_since: Option<Instant>,
    /// Whether the end was asked for twice.
    impatient: bool,
    given: Rc<Given>,
    voice: Option<Box<dyn Voice>>,
    level: Level,
    /// What the configuration last said of that.
    file_level: Level,
    source: Option<Box<dyn orders::Source>>,
    started: Instant,
    config_path: Option<String>,
    /// Told at the end, unless it is dropped before.
    report: Option<StartReport>,
    /// Whether a signal, and nothing else, is the cause of the end.
    killed: bool,
    /// When the first signal to end came.
    asked_to_end: Option<Instant>,
    pid_file: Option<PidFile>,
    pid: Pid,
}

/// Runs a manager to its end; its exit code. An error means that nothing was started.
pub fn run(start: Start) -> Result<u8, StartError> {
    let (mut this, startup) = Loop::build(start)?;
    if let Some(since) = held_since() {
        let (secs, nanos) = (since.as_nanos() / 1_000_000_000, since.as_nanos() % 1_000_000_000);
        debug!("signals are held since {secs}.{nanos:09} (CLOCK_MONOTONIC)");
    }
    if let Some(startup) = startup
        && let Err(errno) = startup.report(0)
    {
        warn!("standard output and error are kept: {errno}");
    }
    this.note(Note::Started);
    // From here on it may be PID 1 with children: nothing returns an error any more.
    this.inbox.push_back(Event::Boot);
    let mut events = Events::with_capacity(EVENTS);
    loop {
        this.digest();
        this.control();
        this.run_hooks();
        if let Some(code) = this.rest.over() {
            return Ok(this.end(code));
        }
        this.renew_all();
        this.wait(&mut events);
        this.launch();
        this.question();
        this.take(&events);
        this.pass_time();
    }
}

impl Loop {
    /// Lets whoever lar speaks for say what happened.
    fn note(&self, note: Note) {
        if let Some(voice) = &self.voice {
            voice.note(note);
        }
    }

    /// Sleeps until something is to be done.
    fn wait(&mut self, events: &mut Events) {
        let timeout = self.timeout(clock::now());
        if let Err(error) = self.poll.poll(events, timeout) {
            // EINTR is the only one that Linux documents for an epoll that exists.
            if error.kind() != std::io::ErrorKind::Interrupted {
                warn!("poll: {error}; going on");
            }
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let serving = self.server.as_ref();
        let lists = [&self.ready, &self.ears.loud, &self.lively];
        let listed = lists.iter().any(|list| !list.is_empty()) || self.edits.untold();
        let waiting = self.launch.busy() || self.questions.busy();
        let busy = self.reap_again || listed || waiting;
        if busy || serving.is_some_and(Server::busy) {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.supervisor.next_deadline(),
            self.output.next_deadline(),
            serving.and_then(Server::next_deadline),
            self.rest.deadline(),
            self.hooks.next_deadline(),
        ];
        deadlines.into_iter().flatten().min().map(|at| at.since(now))
    }

    /// Takes what epoll reports.
    fn take(&mut self, events: &Events) {
        for event in events {
            match Source::of(event.token()) {
                Source::Control => {
                    if let Some(server) = &mut self.server {
                        server.ready(event);
                    }
                }
                Source::Signals => self.take_signals(),
                Source::Output(stream) => self.ready.add(stream),
                Source::Probe(index) => self.go_on_with_probe(InstanceId(index), Role::Probe),
                Source::Health(index) => self.go_on_with_probe(InstanceId(index), Role::Health),
                Source::Notify(index) => self.ears.loud.add(index),
                Source::Channel(index) => self.channel_ready(ChannelId(index), event),
                Source::Clock => self.look_at_the_clock(),
                Source::Demand(place) => {
                    self.demand(place as usize);
                    self.digest();
                }
            }
        }
        if self.reap_again {
            self.reap();
        }
        for _ in 0..self.ears.loud.len() {
            if let Some(ear) = self.ears.loud.next() {
                self.hear(ear);
            }
        }
        self.read_streams();
        for _ in 0..self.ready.len() {
            if let Some(stream) = self.ready.next() {
                self.read(StreamId(stream));
            }
        }
    }

    /// One buffer of a service's output.
    fn read(&mut self, stream: StreamId) {
        let now = clock::now();
        match self.output.readable(stream, now, clock::wall()) {
            Pace::More => self.ready.add(stream.0),
            Pace::Drained => self.watch_output(stream, true),
            Pace::Later => self.watch_output(stream, false),
        }
        self.report_output();
        self.digest();
    }

    /// Watches a stream's pipe, or not while it waits for its tick: then its writes wake nobody up. A pipe that has
    /// bytes when it is watched again is reported at once.
    fn watch_output(&mut self, stream: StreamId, yes: bool) {
        let Some(Some((fd, watched))) = self.pipes.get_mut(stream.index()) else { return };
        if *watched == yes {
            return;
        }
        let (registry, mut source) = (self.poll.registry(), SourceFd(fd));
        let done = match yes {
            true => {
                registry.register(&mut source, Source::Output(stream.0).token(), Interest::READABLE)
            }
            false => registry.deregister(&mut source),
        };
        match done {
            Ok(()) => *watched = yes,
            // ENOMEM, ENOSPC: without a watch it would never be read again, so it is read in every turn.
            Err(_) if yes => self.ready.add(stream.0),
            Err(_) => {}
        }
    }

    /// What is due by the clock.
    fn pass_time(&mut self) {
        let now = clock::now();
        if self.supervisor.next_deadline().is_some_and(|at| at <= now) {
            self.inbox.push_back(Event::Tick);
            self.digest();
        }
        if self.output.next_deadline().is_some_and(|at| at <= now) {
            while let Some(stream) = self.output.due(now) {
                self.ready.add(stream.0);
            }
            self.report_output();
        }
        self.hurry_hooks(now);
        self.go_on_ending(now);
    }

    /// Feeds the core what has happened, and does what it asks for: all actions of an event before the next.
    fn digest(&mut self) {
        while let Some(event) = self.inbox.pop_front() {
            let now = clock::now();
            self.supervisor.handle(now, event);
            if self.supervisor.shutting_down() {
                self.ending_since.get_or_insert(now);
            }
            while let Some(action) = self.supervisor.poll_action() {
                self.perform(action);
            }
        }
    }

    /// Reads requests, does what they want, and replies.
    fn control(&mut self) {
        let Some(mut server) = self.server.take() else { return self.tell_server() };
        let mut inbox = std::mem::take(&mut self.inbox);
        let registry = self.poll.registry();
        self.with_view(|view| server.serve(registry, view, &mut inbox));
        self.inbox = inbox;
        self.digest();
        self.forget_gone(&mut server);
        let mut next = server.poll_order();
        if next.is_some() {
            // What was of somebody who is gone is told before somebody else has that number.
            let registry = self.poll.registry();
            self.with_view(|view| server.settle(registry, view));
        }
        while let Some((client, order)) = next {
            let result = self.obey(order);
            self.forget_gone(&mut server);
            self.with_view(|view| server.answer(client, result, view));
            next = server.poll_order();
        }
        let registry = self.poll.registry();
        self.with_view(|view| server.settle(registry, view));
        self.server = Some(server);
    }

    /// Something that only the loop can do.
    fn obey(&mut self, order: Order) -> Result<Done, Refusal> {
        match order {
            Order::Edit(edit, ticket) => self.edit(edit, ticket),
            Order::Feed(feed) => Ok(self.feed(&feed)),
            Order::Reopen => {
                self.reopen().map(|()| Done::default()).map_err(|why| (Code::Failed, why))
            }
            Order::LogLevel(level) => {
                self.level = level;
                crate::logger::set_level(level);
                info!("the event log now says {level:?}");
                Ok(Done::default())
            }
        }
    }

    /// Tells the control server who is no more, and who has come, before somebody else can have that number.
    fn forget_gone(&mut self, server: &mut Server) {
        for gone in std::mem::take(&mut self.edits.gone) {
            server.forget(&gone);
        }
        self.join_those_who_came(server);
    }

    /// Opens all transcripts and logs anew. Every one that failed is named.
    fn reopen(&mut self) -> Result<(), String> {
        let mut failed = Vec::new();
        for (path, result) in self.output.reopen(clock::now()) {
            if let Err(errno) = result {
                failed.push(format!("{path}: {}", errno.desc()));
            }
        }
        for (path, result) in crate::logger::reopen() {
            if let Err(errno) = result {
                failed.push(format!("{path}: {}", errno.desc()));
            }
        }
        self.report_output();
        if failed.is_empty() {
            info!("logs and transcripts were opened anew");
            return Ok(());
        }
        let failed = failed.join("; ");
        warn!("not opened anew, the old file is kept: {failed}");
        Err(failed)
    }

    /// Shows everything to the control server.
    fn with_view(&self, show: impl FnOnce(&View)) {
        show(&View {
            now: clock::now(),
            wall: clock::wall().since_epoch(),
            supervisor: &self.supervisor,
            journal: &self.journal,
            output: &|id| self.output.ring(id),
            log: &|id| self.new_in_log(id),
            stream: &|id, way| self.input.ring(id, way),
            way: &|id, way| self.input.look(id, way),
            status_text: &|id| {
                // What a process said of itself goes with it.
                let runs = self.supervisor.instance(id).pid.is_some();
                if runs { self.ears.status(id) } else { "" }
            },
            config: &|id| match id {
                Some(id) => print::lines(self.supervisor.service(id), &|id| {
                    self.supervisor.service(id).name.clone()
                }),
                None => {
                    let main = |id| self.supervisor.service(id).main;
                    let main = self.supervisor.services().any(main);
                    let mut lines = settings_lines(self.supervisor.settings(), self.level, main);
                    lines.extend(self.hooks.rules().flat_map(print::hook));
                    lines.extend(socket_lines(self.sockets.plans()));
                    lines
                }
            },
            started: self.started,
            pid: self.pid,
            config_path: self.config_path.as_deref(),
            level: self.level,
        });
    }

    /// Says what output has to report, and queues for the core who is ready by it.
    fn report_output(&mut self) {
        while let Some(instance) = self.output.poll_found() {
            self.inbox.push_back(Event::Told { instance, what: Told::Ready });
        }
        while let Some(notice) = self.output.poll_notice() {
            warn!("{}", self.output.tell(notice));
        }
    }
}
