//! Starting a daemon: over when it can be used, or when nothing is left of it.
//!
//! Four steps: its `pre-start` command, its launcher (until that has forked and exits), its pid file, its readiness.
//! lar makes itself the reaper of all orphans meanwhile. So the daemon is its descendant even before anybody knows its
//! pid, its end is seen at once, and a start that is given up leaves no process behind, whatever it has forked.

use core::fmt;

use crate::exit::{Code, Errno, ExitStatus, Pid, Stage};
use crate::plan::{Kind, Probe, Task};
use crate::signal::Signal;
use crate::sys::lock::Lock;
use crate::sys::pidfile::{self, PidFile};
use crate::sys::process::{self, Handle};
use crate::sys::{clock, own_pid, reap};
use crate::time::{Duration, Human, Instant};

use super::failure::Failure;
use super::kill::Held;
use super::said::Said;
use super::subject::{Outcome, Subject};
use super::who::{self, Note};

/// How far a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    PreStart,
    Fork,
    PidFile,
    Ready,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::PreStart => "pre-start",
            Step::Fork => "fork",
            Step::PidFile => "pid-file",
            Step::Ready => "ready",
        })
    }
}

/// Why a start came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    NotRun(Step, Stage, Errno),
    Failed(Step, ExitStatus),
    /// Its time is up, or (with a time) the log's.
    TimedOut(Step),
    Silent(Step, Duration),
    Asked(Signal),
    /// The daemon has ended; how, if it was lar's to reap.
    Ended(Option<Pid>, Option<ExitStatus>),
    PidFile(Errno),
    NotWritten(Errno),
}

/// How long the kernel may take to end what was sent KILL: as good as for ever, but not for ever.
const KILLED: Duration = Duration::from_secs(10);

/// One start.
pub(super) struct Attempt<'a> {
    subject: &'a mut Subject,
    /// Children that lar had before.
    strangers: Vec<Pid>,
    /// When it began, in ticks since boot: who is older is none of its. `None` if it is not lar that starts it.
    began: Option<u64>,
    /// When it must be ready.
    until: Option<Instant>,
    said: Said,
    /// When it last gave a sign of life.
    stirred: Instant,
    launcher: Option<Pid>,
    /// What the pid file has said, and since when: one that is half written is not judged.
    reading: Option<(PidFile, Instant)>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(subject: &'a mut Subject) -> Result<Attempt<'a>, Failure> {
        let now = clock::now();
        let said = Said::new(&subject.service, &subject.process)?;
        let until = subject.service.start_timeout.map(|timeout| now + timeout);
        Ok(Attempt {
            strangers: reap::children().unwrap_or_default(),
            began: Some(process::ticks()),
            until,
            said,
            stirred: now,
            launcher: None,
            reading: None,
            subject,
        })
    }

    /// Starts it; its pid. The lock is held by the caller, and the daemon is noted in it.
    pub(super) fn start(mut self, lock: &Lock) -> Result<Pid, Failure> {
        let path = &self.subject.pid_file;
        pidfile::remove(path).map_err(|errno| {
            Failure::new(Code::Failed, format!("{path}: {errno}; nothing was started"))
        })?;
        if let Err(errno) = reap::become_subreaper() {
            let message = format!("can't become a reaper: {errno}; nothing was started");
            return Err(Failure::new(Code::Failed, message));
        }
        match self.steps() {
            Ok(pid) => {
                self.note(pid, lock);
                self.said.close();
                Ok(pid)
            }
            Err(trouble) => {
                let left = self.abort();
                let failure = self.failure(trouble, "start");
                Err(self.said.add_to(match left {
                    0 => failure,
                    left => Failure {
                        message: format!(
                            "{}; {left} of its processes survive KILL",
                            failure.message
                        ),
                        ..failure
                    },
                }))
            }
        }
    }

    /// Waits for one that is there already, or that another command has started: its pid.
    pub(super) fn follow(mut self, lock: &Lock) -> Result<Pid, Failure> {
        self.began = None;
        match self.pid().and_then(|pid| self.ready(pid).map(|()| pid)) {
            Ok(pid) => {
                self.note(pid, lock);
                Ok(pid)
            }
            Err(trouble) => {
                let failure = self.failure(trouble, "restart");
                Err(self.said.add_to(failure))
            }
        }
    }

    /// A note that can't be made is one that is not there: then the file's time has to do.
    fn note(&self, pid: Pid, lock: &Lock) {
        if let Some(note) = Note::of(pid) {
            let _ = lock.set_note(&note.line());
        }
    }

    fn steps(&mut self) -> Result<Pid, Trouble> {
        if let Some(task) = self.subject.process.task(Task::PreStart).map(<[String]>::to_vec) {
            self.launch(Step::PreStart, Some(&task))?;
        }
        let pid = match self.subject.service.kind {
            Kind::Simple => self.daemonize()?,
            Kind::Forking | Kind::Oneshot => {
                self.launch(Step::Fork, None)?;
                self.stirred = clock::now();
                self.pid()?
            }
        };
        self.ready(pid).map(|()| pid)
    }

    /// Runs its `pre-start`, or its program, which is to fork and exit.
    fn launch(&mut self, step: Step, task: Option<&[String]>) -> Result<(), Trouble> {
        let not_run = |(stage, errno)| Trouble::NotRun(step, stage, errno);
        let stdio = self.said.stdio();
        let (pid, image) = self.subject.spawn(task, None, stdio).map_err(not_run)?;
        self.launcher = Some(pid);
        match self.subject.await_end(pid, &image, self.until) {
            Outcome::Ended(ExitStatus::SUCCESS) => Ok(()),
            Outcome::Ended(status) => Err(Trouble::Failed(step, status)),
            Outcome::NotRun(stage, errno) => Err(Trouble::NotRun(step, stage, errno)),
            Outcome::Overdue(_) => Err(Trouble::TimedOut(step)),
            Outcome::Asked(_, signal) => Err(Trouble::Asked(signal)),
        }
    }

    /// Starts a program that stays in the foreground, and writes its pid for it.
    fn daemonize(&mut self) -> Result<Pid, Trouble> {
        let stdio = self.said.stdio();
        let not_run = |(stage, errno)| Trouble::NotRun(Step::Fork, stage, errno);
        let (pid, _) = self.subject.spawn(None, None, stdio).map_err(not_run)?;
        self.stirred = clock::now();
        pidfile::write(&self.subject.pid_file, pid).map_err(Trouble::NotWritten)?;
        Ok(pid)
    }

    /// Waits for the pid file: whom it names.
    fn pid(&mut self) -> Result<Pid, Trouble> {
        loop {
            let (path, user) = (&self.subject.pid_file, self.subject.user());
            let says = pidfile::read(path, user).map_err(Trouble::PidFile)?;
            if let PidFile::Pid(pid) = says
                && self.is_its(pid)
            {
                return Ok(pid);
            }
            let now = clock::now();
            let since = match self.reading {
                Some((before, since)) if before == says => since,
                _ => self.reading.insert((says, now)).1,
            };
            if now.since(since) >= self.subject.service.ready_interval
                && let Some(trouble) = self.hopeless(says)
            {
                return Err(trouble);
            }
            self.pause(Step::PidFile)?;
        }
    }

    /// Whether this process lives and is what was started: a descendant of ours; or at least younger than the start, if
    /// the launcher has somebody else start it.
    fn is_its(&mut self, pid: Pid) -> bool {
        let Some(began) = self.began else { return !self.has_ended(pid) };
        let younger = || process::facts(pid).is_none_or(|facts| facts.started > began);
        !self.has_ended(pid) && (process::descends(pid, own_pid()) || younger())
    }

    /// Whether it has ended; how is known then, if it was ours to reap.
    fn has_ended(&mut self, pid: Pid) -> bool {
        let lives = process::lives(pid);
        self.subject.watch.collect();
        !lives || self.subject.watch.end_of(pid).is_some()
    }

    /// Whether a pid file that says this will never say anything else.
    fn hopeless(&mut self, says: PidFile) -> Option<Trouble> {
        if let PidFile::Pid(pid) = says
            && self.has_ended(pid)
        {
            return Some(Trouble::Ended(Some(pid), self.subject.watch.end_of(pid)));
        }
        self.subject.watch.collect();
        let watch = &self.subject.watch;
        // Nobody is left who could write it, if we are the parent of all who are.
        let alone = self.began.is_some() && self.is_alone();
        let last = watch.last_end().filter(|&(pid, _)| Some(pid) != self.launcher);
        alone.then_some(Trouble::Ended(None, last.map(|(_, status)| status)))
    }

    /// Waits until it is ready; it must live then.
    fn ready(&mut self, pid: Pid) -> Result<(), Trouble> {
        let handle = Handle::open(pid).ok();
        loop {
            let ready = self.subject.ask(Some(pid), self.said.log(), self.until);
            if self.has_ended(pid) {
                return Err(Trouble::Ended(Some(pid), self.subject.watch.end_of(pid)));
            }
            if ready != Some(false) {
                return Ok(());
            }
            self.pause_beside(Step::Ready, handle.as_ref())?;
        }
    }

    fn pause(&mut self, step: Step) -> Result<(), Trouble> {
        self.pause_beside(step, None)
    }

    /// Waits until it is time to look again, or something has happened.
    fn pause_beside(&mut self, step: Step, handle: Option<&Handle>) -> Result<(), Trouble> {
        let asked = self.subject.watch.asked();
        if let Some(signal) = asked {
            return Err(Trouble::Asked(signal));
        }
        let now = clock::now();
        if self.until.is_some_and(|until| now >= until) {
            return Err(Trouble::TimedOut(step));
        }
        if self.said.stirred() {
            self.stirred = now;
        }
        let patience = self.subject.service.log_activity_timeout;
        let silent = patience.map(|patience| self.stirred + patience);
        if let (Some(patience), Some(silent)) = (patience, silent)
            && now >= silent
        {
            return Err(Trouble::Silent(step, patience));
        }
        let look = now + self.subject.service.ready_interval;
        let until = [self.until, silent].into_iter().flatten().fold(look, Instant::min);
        let beside = handle.map(|handle| (handle.fd(), nix::poll::PollFlags::POLLIN));
        self.subject.watch.nap(Some(until), beside);
        Ok(())
    }

    /// Everybody who descends from what was started, also who has ended and is not reaped; `None` without /proc.
    fn left(&self) -> Option<Vec<Pid>> {
        let all = process::descendants(own_pid())?;
        // Those of strangers are strangers.
        let strangers = self.strangers.iter().copied();
        let theirs: Vec<Pid> = strangers.filter_map(process::descendants).flatten().collect();
        let its = |pid: &Pid| !self.strangers.contains(pid) && !theirs.contains(pid);
        Some(all.into_iter().filter(its).collect())
    }

    /// Whether nobody is left of all that was started. The dead who are not reaped count: who has forked as its last
    /// deed may have a child that a look just before has missed.
    fn is_alone(&self) -> bool {
        match self.strangers.is_empty() {
            true => !reap::has_children(),
            false => self.left().is_none_or(|left| left.is_empty()),
        }
    }

    /// Ends all that was started: TERM, `start-abort-timeout`, KILL. Who asks a second time does not want to wait.
    /// How many are left all the same.
    fn abort(&mut self) -> usize {
        let mut told: Vec<Pid> = Vec::new();
        let mut killing = clock::now() + self.subject.service.start_abort_timeout;
        let over = loop {
            self.subject.watch.collect();
            let left = self.left().unwrap_or_else(|| self.launcher.into_iter().collect());
            let now = clock::now();
            if self.is_alone() || now >= killing + KILLED {
                break left;
            }
            if self.subject.watch.asked_again() {
                killing = killing.min(now);
            }
            if now >= killing {
                Held::new(&left, own_pid()).kill(Signal::KILL);
            } else {
                let new: Vec<Pid> = left.into_iter().filter(|pid| !told.contains(pid)).collect();
                let held = Held::new(&new, own_pid());
                held.kill(Signal::TERM);
                held.kill(Signal::CONT);
                told.extend(new);
            }
            let next = if now < killing { killing } else { killing + KILLED };
            // A grandchild's end is told to its parent, not to us.
            let look = now + self.subject.service.ready_interval;
            self.subject.watch.nap(Some(next.min(look)), None);
        };
        let (path, user) = (&self.subject.pid_file, self.subject.user());
        if let Ok(PidFile::Pid(pid)) = pidfile::read(path, user)
            && !process::lives(pid)
        {
            // Stale, which whoever reads it has to expect anyway.
            let _ = pidfile::remove_of(path, user, pid);
        }
        over.into_iter().filter(|&pid| process::lives(pid)).count()
    }

    fn failure(&self, trouble: Trouble, what: &str) -> Failure {
        let timeout = self.subject.service.start_timeout.unwrap_or_default();
        let path = &self.subject.pid_file;
        let failed = |why: String| Failure::new(Code::StartFailed, format!("{what} failed: {why}"));
        let timed_out = |step: Step, how: String| {
            let message =
                format!("{what} timed out: {how} (step {step}: {})", self.waits_for(step));
            Failure::new(Code::TimedOut, message)
        };
        match trouble {
            Trouble::NotRun(step, stage, errno) => {
                let word = match step {
                    Step::PreStart => self.subject.process.task(Task::PreStart),
                    _ => Some(self.subject.process.argv.as_slice()),
                };
                let word = word.and_then(<[String]>::first).map_or("", String::as_str);
                failed(format!("{word}: {errno} (stage {stage})"))
            }
            Trouble::Failed(Step::PreStart, status) => failed(format!("pre-start: {status}")),
            Trouble::Failed(_, status) => failed(status.to_string()),
            Trouble::TimedOut(step) => timed_out(step, format!("after {}", Human(timeout))),
            Trouble::Silent(step, patience) => {
                timed_out(step, format!("its log is silent for {}", Human(patience)))
            }
            Trouble::Asked(signal) => Failure::asked(signal, format!("{what} aborted by {signal}")),
            Trouble::Ended(pid, status) => {
                let who = pid.map_or("the daemon".into(), |pid| format!("the daemon, pid {pid},"));
                let how = status.map_or(String::new(), |status| format!(": {status}"));
                let file = match self.reading {
                    _ if pid.is_some() => String::new(),
                    Some((PidFile::Missing, _)) | None => " before it wrote its pid file".into(),
                    Some(_) => format!(" ({})", self.waits_for(Step::PidFile)),
                };
                failed(format!("{who} has ended{file}{how}"))
            }
            Trouble::PidFile(errno) => failed(format!("{path}: {errno}")),
            Trouble::NotWritten(errno) => failed(format!("{path} can't be written: {errno}")),
        }
    }

    /// What has not come about in a step.
    fn waits_for(&self, step: Step) -> String {
        match step {
            Step::PreStart => "its pre-start command runs on".into(),
            Step::Fork => "it has not left its launcher, which runs on".into(),
            Step::PidFile => {
                let path = &self.subject.pid_file;
                match self.reading {
                    Some((PidFile::Pid(pid), _)) => {
                        format!("{path} names process {pid}, which was not started now")
                    }
                    Some((says, _)) => format!("{path} {}", who::words(says)),
                    None => path.clone(),
                }
            }
            Step::Ready => match &self.subject.process.ready {
                Some(probe) => format!("no answer to `ready {}`", shown(probe)),
                None => "it is not ready".into(),
            },
        }
    }
}

/// A probe as it stands in the file.
pub(super) fn shown(probe: &Probe) -> String {
    match probe {
        Probe::Tcp(text) => format!("tcp {text}"),
        Probe::Unix(text) => format!("unix {text}"),
        Probe::Http(text) => format!("http {text}"),
        Probe::File(text) => format!("file {text}"),
        Probe::Log(text) => format!("log {text}"),
        Probe::Command(words) => format!("command {}", words.join(" ")),
        Probe::Notify => "notify".into(),
        Probe::Fd(number) => format!("fd {number}"),
    }
}
