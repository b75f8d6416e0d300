//! The daemon that a command is about: what the configuration says of it, and what it takes to run something of its.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::poll::PollFlags;

use super::failure::Failure;
use super::log::LogFile;
use super::watch::Watch;
use super::who::{self, Note, Standing};
use crate::check::{Answer, Probes};
use crate::exit::{Code, Errno, ExitStatus, Pid, Stage};
use crate::plan::{Kind, Plan, Probe, Process, Service};
use crate::signal::Signal;
use crate::sys::capture::Capture;
use crate::sys::lock::Lock;
use crate::sys::spawn::{Given, Image, Recipe, Spawner, words};
use crate::sys::{clock, fd, reap};
use crate::time::Instant;

/// The daemon.
pub(super) struct Subject {
    /// `web`, or `web@2`.
    pub(super) label: String,
    number: u32,
    pub(super) service: Service,
    pub(super) process: Process,
    pub(super) pid_file: String,
    pub(super) watch: Watch,
    given: Rc<Given>,
    spawner: Spawner,
    null: OwnedFd,
    probes: Probes,
}

/// How a command of its ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// By itself.
    Ended(ExitStatus),
    /// It did not get as far as to be its program.
    NotRun(Stage, Errno),
    /// It had no more time, and runs on.
    Overdue(Pid),
    /// Somebody has asked us to give up; it runs on.
    Asked(Pid, Signal),
}

/// Why a service of a manager can't be a daemon without one.
fn unfit(service: &Service, process: &Process) -> Option<&'static str> {
    let needs_manager = !service.sockets.is_empty()
        || !service.input.streams.is_empty()
        || !service.setup.pass_fds.is_empty();
    if service.kind == Kind::Oneshot {
        Some("a one-shot is no daemon")
    } else if needs_manager {
        Some("`sockets`, `streams` and `pass-fds` are a manager's to hold open")
    } else if process.pid_file.is_none() {
        Some("without `pid-file` nobody knows which process it is")
    } else if matches!(process.ready, Some(Probe::Notify | Probe::Fd(_))) {
        Some(
            "`ready notify` and `ready fd` are a manager's to hear; \
             `lar daemon` knows tcp, unix, http, file, log and command",
        )
    } else if matches!(process.ready, Some(Probe::Log(_))) && process.log_file.is_none() {
        Some("`ready log` is looked for in the file that `log-file` names, and there is none")
    } else {
        None
    }
}

impl Subject {
    /// `name` is a service's, with `@N` for one of several instances.
    pub(super) fn find(plan: &Plan, name: &str, missing: Code) -> Result<Subject, Failure> {
        let (service, number) = match name.rsplit_once('@') {
            Some((service, number)) if !number.is_empty() => (service, number.parse().ok()),
            _ => (name, None),
        };
        let unknown = || Failure::new(missing, unknown(plan, name));
        let service = plan.find(service).ok_or_else(unknown)?;
        let service = plan.service(service);
        let several = service.processes.len() > 1;
        if number.is_none() && (several || service.name != name) {
            let words =
                format!("it has {} instances: {name}@1 is the first", service.processes.len());
            return Err(Failure::new(Code::Usage, words));
        }
        let number = number.unwrap_or(1);
        let process =
            service.processes.get((number as usize).wrapping_sub(1)).ok_or_else(unknown)?;
        let label = service.label(number).to_string();
        Subject::new(label, number, service.clone(), process.clone())
    }

    fn new(
        label: String,
        number: u32,
        service: Service,
        process: Process,
    ) -> Result<Subject, Failure> {
        if let Some(why) = unfit(&service, &process) {
            return Err(Failure::new(Code::BadConfig, why));
        }
        let kernel = |what: &'static str| {
            move |errno: Errno| Failure::new(Code::Failed, format!("{what}: {errno}"))
        };
        // lar's own directory is where it was called.
        let pid_file = process.pid_file.clone().unwrap_or_default();
        let pid_file =
            std::path::absolute(&pid_file).ok().and_then(|path| path.to_str().map(str::to_owned));
        Ok(Subject {
            label,
            number,
            service,
            pid_file: pid_file.or_else(|| process.pid_file.clone()).unwrap_or_default(),
            process,
            watch: Watch::new().map_err(kernel("signalfd"))?,
            given: Rc::new(Given::collect()),
            spawner: Spawner::new().map_err(kernel("spawn stack"))?,
            null: fd::open_null().map_err(kernel("/dev/null"))?,
            probes: Probes::new(1),
        })
    }

    /// The user it is started as, if not lar's own.
    pub(super) fn user(&self) -> Option<u32> {
        self.service.setup.identity.as_ref().and_then(|identity| identity.uid)
    }

    /// Where its starts and stops are kept apart.
    pub(super) fn lock_path(&self) -> String {
        format!("{}.lock", self.pid_file)
    }

    /// Whether it runs. `lock` is what its last start was noted in.
    pub(super) fn standing(&self, lock: Option<&Lock>) -> Result<Standing, Failure> {
        let note = lock.and_then(|lock| Note::read(&lock.note()));
        who::standing(&self.pid_file, self.user(), note.as_ref())
            .map_err(|errno| Failure::new(Code::Failed, format!("{}: {errno}", self.pid_file)))
    }

    /// Starts its program, or with `words` another one in the same way; about `pid`, if that is known.
    pub(super) fn spawn(
        &mut self,
        words_of_task: Option<&[String]>,
        pid: Option<Pid>,
        (stdout, stderr): (RawFd, RawFd),
    ) -> Result<(Pid, Image), (Stage, Errno)> {
        let stdio = [self.null.as_raw_fd(), stdout, stderr];
        let extra = [
            ("LAR_SERVICE".to_owned(), self.service.name.clone()),
            ("LAR_INSTANCE".to_owned(), self.number.to_string()),
        ];
        let mut recipe = Recipe::new(&self.service.setup, &self.process, stdio);
        recipe.extra = &extra;
        if let Some(task) = words_of_task {
            (recipe.argv, recipe.executable) = (words(task), None);
            recipe.asks = pid.is_some();
        }
        let image = Image::new(&self.given, &recipe).map_err(|errno| (Stage::Exec, errno))?;
        if let Some(pid) = pid {
            image.tell_pid(pid);
        }
        let pid = self.spawner.spawn(&image)?;
        self.watch.forget(pid);
        Ok((pid, image))
    }

    /// Waits until a child has ended.
    pub(super) fn await_end(&mut self, pid: Pid, image: &Image, until: Option<Instant>) -> Outcome {
        let asked = self.watch.asked();
        loop {
            if let Some(status) = self.watch.end_of(pid) {
                return match image.failure() {
                    Some((stage, errno)) => Outcome::NotRun(stage, errno),
                    None => Outcome::Ended(status),
                };
            }
            match self.watch.asked() {
                // Who was asked before this began has begun it all the same.
                Some(signal) if asked.is_none() => return Outcome::Asked(pid, signal),
                _ if until.is_some_and(|until| clock::now() >= until) => {
                    return Outcome::Overdue(pid);
                }
                _ => self.watch.nap(until, None),
            };
        }
    }

    /// Runs one of its commands, and kills it if it takes too long. What it said is kept.
    pub(super) fn run(
        &mut self,
        task: &[String],
        pid: Option<Pid>,
        until: Option<Instant>,
    ) -> (Outcome, Vec<u8>) {
        let capture = Capture::new().ok();
        let output = capture.as_ref().map_or(2, Capture::fd);
        let outcome = match self.spawn(Some(task), pid, (output, output)) {
            Ok((pid, image)) => self.await_end(pid, &image, until),
            Err((stage, errno)) => Outcome::NotRun(stage, errno),
        };
        if let Outcome::Overdue(pid) | Outcome::Asked(pid, _) = outcome {
            // Gone already is as good.
            let _ = reap::kill_group(pid, Signal::KILL);
        }
        let said = capture.map_or(Vec::new(), |capture| {
            let said = capture.tail(super::failure::SHOWN);
            capture.close();
            said
        });
        (outcome, said)
    }

    /// Whether it is ready, as far as it can be asked: `None` if it has no `ready`. A question ends with `until`.
    pub(super) fn ask(
        &mut self,
        pid: Option<Pid>,
        log: Option<&mut LogFile>,
        until: Option<Instant>,
    ) -> Option<bool> {
        let probe = self.process.ready.clone()?;
        let own = clock::now() + self.service.probe_timeout;
        let until = Some(until.map_or(own, |until| until.min(own)));
        Some(match &probe {
            Probe::Command(task) => {
                let (outcome, _) = self.run(task, pid, until);
                matches!(outcome, Outcome::Ended(ExitStatus::SUCCESS))
            }
            Probe::Log(text) => log?.holds(text.as_bytes()),
            _ => self.connect(&probe, until),
        })
    }

    fn connect(&mut self, probe: &Probe, until: Option<Instant>) -> bool {
        let fd = match self.probes.begin(0, probe) {
            Answer::Now(ready) => return ready,
            // The fd is the question's own to close.
            Answer::Later(fd) => fd.try_clone_to_owned(),
            Answer::Unasked { .. } => return false,
        };
        let Ok(fd) = fd else { return false };
        let mut wanted = PollFlags::POLLOUT;
        let asked = self.watch.asked();
        let answer = loop {
            if self.watch.nap(until, Some((fd.as_fd(), wanted))) {
                match self.probes.advance(0) {
                    Some(answer) => break answer,
                    None => wanted = PollFlags::POLLIN, // it has asked, and hears now
                }
            }
            let late = until.is_some_and(|until| clock::now() >= until);
            if late || self.watch.asked() != asked {
                break false;
            }
        };
        self.probes.cancel(0);
        answer
    }
}

/// What is said of a name that is no service's.
fn unknown(plan: &Plan, name: &str) -> String {
    let names = || plan.services.iter().map(|service| service.name.as_str());
    match crate::nearest::nearest(name, names()) {
        Some(near) => format!("no such service; did you mean '{near}'?"),
        None => format!("no such service; there is {}", crate::nearest::list(names().take(8))),
    }
}
