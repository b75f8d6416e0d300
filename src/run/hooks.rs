//! Running the commands of `<on EVENT>` sections. Which one and when is decided by `supervisor::hooks`.
//!
//! A command is started between two turns of the loop, from an image that was made with the configuration: what has
//! happened is in its environment, written into places that are there already. So a restart costs no memory with
//! hooks either. Its processes are nobody's instance, and nothing that happens to them is an event.

use std::rc::Rc;

use log::{debug, info, warn};

use super::{Loop, StartError};
use crate::exit::{Errno, ExitStatus, Pid};
use crate::plan::{Hook, Plan};
use crate::signal::Signal;
use crate::supervisor::Supervisor;
use crate::supervisor::hooks::{Hooks, Notice, Outcome};
use crate::supervisor::journal::{Entry, Journal, News};
use crate::sys::spawn::{Given, Image, Recipe};
use crate::sys::{clock, reap};
use crate::time::{Human, Instant};
use std::os::fd::RawFd;

/// The variables that tell what has happened. Those that say nothing this time are not set.
const VARIABLES: [&str; 17] = [
    "LAR_EVENT",
    "LAR_EVENTS",
    "LAR_SEQ",
    "LAR_TIME_MS",
    "LAR_NAME",
    "LAR_SERVICE",
    "LAR_GROUP",
    "LAR_INSTANCE",
    "LAR_FROM",
    "LAR_STATE",
    "LAR_PID",
    "LAR_EXIT_CODE",
    "LAR_SIGNAL",
    "LAR_CORE",
    "LAR_LIFE_MS",
    "LAR_NEXT_MS",
    "LAR_CAUSE",
];

/// What lar writes to, and a hook too.
const STDERR: RawFd = 2;

/// What it takes to run a hook.
pub(super) fn image(given: &Rc<Given>, hook: &Hook, null: RawFd) -> Result<Image, Errno> {
    let mut recipe = Recipe::new(&hook.setup, &hook.process, [null, STDERR, STDERR]);
    recipe.blanks = &VARIABLES;
    Image::new(given, &recipe)
}

impl Loop {
    /// Starts what is to be run and can be, and tells what is to be told.
    pub(super) fn run_hooks(&mut self) {
        while let Some((index, seq)) = self.hooks.take() {
            self.run_hook(index, seq);
        }
        while let Some((hook, notice)) = self.hooks.poll_notice() {
            match notice {
                Notice::Behind => {
                    warn!("{hook}: its command is too slow; the oldest events are left out");
                }
                Notice::Missed(lost) => warn!("{hook}: {lost} events were left out"),
            }
        }
        if !self.hooks.busy() {
            self.hooks_are_done();
        }
    }

    fn run_hook(&mut self, index: usize, seq: u64) {
        let Some(entry) = self.journal.get(seq) else { return self.hooks.missed(index) };
        let Some((hook, image)) = self.hooks.get_mut(index) else { return };
        tell(image, hook, entry, &self.supervisor, &self.journal);
        match self.spawner.spawn(image) {
            Ok(pid) => {
                debug!("{hook}: runs for event {seq}, pid {pid}");
                self.hooks.started(index, pid, clock::now());
            }
            Err((stage, errno)) => {
                if self.hooks.not_started(index)
                    && let Some((hook, _)) = self.hooks.get_mut(index)
                {
                    let word = hook.process.argv.first().map_or("", String::as_str);
                    warn!("{hook}: {word}: {errno} (stage {stage}); not told again until it works");
                }
            }
        }
    }

    /// A hook's process has ended and was reaped.
    pub(super) fn hook_ended(&mut self, pid: Pid, status: ExitStatus) {
        self.hooks.ended(pid, status, |hook, outcome| {
            let word = hook.process.argv.first().map_or("", String::as_str);
            match outcome {
                Outcome::Good | Outcome::FailedAgain => {}
                Outcome::GoodAgain(failures) => {
                    info!("{hook}: {word} works again, after {failures} failures");
                }
                Outcome::Failed(status) => {
                    warn!("{hook}: {word}: {status}; not told again until it works");
                }
                Outcome::TimedOut => {
                    let timeout = Human(hook.timeout);
                    warn!("{hook}: {word} took longer than {timeout} and was killed");
                }
            }
        });
    }

    /// Kills what has had its time.
    pub(super) fn hurry_hooks(&mut self, now: Instant) {
        while let Some(pid) = self.hooks.overdue(now) {
            // ESRCH: it has ended meanwhile, and its exit comes next.
            let _ = reap::kill_group(pid, Signal::KILL);
        }
    }
}

/// The images of a configuration's hooks; the error names the hook.
pub(super) fn images(
    given: &Rc<Given>,
    hooks: Vec<Hook>,
    null: RawFd,
) -> Result<Vec<(Hook, Image)>, (String, Errno)> {
    let one = |hook: Hook| match image(given, &hook, null) {
        Ok(image) => Ok((hook, image)),
        Err(errno) => Err((hook.to_string(), errno)),
    };
    hooks.into_iter().map(one).collect()
}

/// Those that a manager starts with; the plan is told once.
pub(super) fn first(
    given: &Rc<Given>,
    plan: &mut Plan,
    null: RawFd,
) -> Result<Hooks<Image>, StartError> {
    let images = images(given, std::mem::take(&mut plan.hooks), null);
    images.map(Hooks::new).map_err(|(hook, errno)| StartError::Image(hook, errno))
}

/// Puts what has happened into a hook's environment. The text comes last: if something is cut, it is that.
fn tell(image: &mut Image, hook: &Hook, entry: &Entry, core: &Supervisor, journal: &Journal) {
    image.clear_variables();
    let mut set = |name: &str, value: std::fmt::Arguments| image.set_variable(name, value);
    let kinds = entry.kinds();
    if let Some(kind) = hook.on.or(kinds.iter().next()) {
        set("LAR_EVENT", format_args!("{}", kind.word()));
    }
    set("LAR_EVENTS", format_args!("{kinds}"));
    set("LAR_SEQ", format_args!("{}", entry.seq));
    set("LAR_TIME_MS", format_args!("{}", entry.wall.since_epoch().as_millis()));
    set("LAR_NAME", format_args!("{}", entry.label()));
    set("LAR_SERVICE", format_args!("{}", entry.name.service));
    if let Some((group, _)) = entry.name.service.split_once(':') {
        set("LAR_GROUP", format_args!("{group}"));
    }
    set("LAR_INSTANCE", format_args!("{}", entry.name.number));
    let mut pid = None;
    match &entry.news {
        News::Changed(change) => {
            set("LAR_FROM", format_args!("{}", change.from.word()));
            set("LAR_STATE", format_args!("{}", change.to.word()));
            pid = change.pid.or(change.parting.map(|parting| parting.pid));
            if let Some(parting) = change.parting {
                match parting.status {
                    None => {}
                    Some(ExitStatus::Code(code)) => set("LAR_EXIT_CODE", format_args!("{code}")),
                    Some(ExitStatus::Signal { signal, core }) => {
                        set("LAR_SIGNAL", format_args!("{signal}"));
                        if core {
                            set("LAR_CORE", format_args!("yes"));
                        }
                    }
                }
            }
            if let Some(life) = change.life() {
                set("LAR_LIFE_MS", format_args!("{}", life.as_millis()));
            }
            if let Some(next) = change.next {
                set("LAR_NEXT_MS", format_args!("{}", next.as_millis()));
            }
            let instance = Some(entry.instance).filter(|_| journal.is_current(core, entry));
            set("LAR_CAUSE", format_args!("{}", core.describe_cause(instance, change.cause)));
        }
        News::Signalled(whose, signal) => {
            pid = Some(*whose);
            set("LAR_SIGNAL", format_args!("{signal}"));
        }
        News::Created | News::Updated | News::Removed => {}
    }
    if let Some(pid) = pid {
        set("LAR_PID", format_args!("{pid}"));
    }
}
