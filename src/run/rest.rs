//! The end: the services are down; what is left is asked to go, then made to, and lar goes last.
//!
//! As PID 1 everything in the namespace is ours, and kill(-1) reaches it. Otherwise it must never be used: what
//! lar has adopted is found by its parent, one generation at a time.

use std::collections::BTreeSet;

use log::{info, warn};

use super::signals::Single;
use super::voice::Note;
use super::{LAST_WORDS, Loop};
use crate::exit::Pid;
use crate::signal::Signal;
use crate::sys::{boot, clock, reap};
use crate::time::{Duration, Human, Instant};

/// How long what is left has between TERM and KILL: a runtime that wants us gone within 10 s must not have to
/// do it itself.
const GRACE: Duration = Duration::from_secs(3);

/// How long hooks are run at most for what happened last, if the whole end has so much time left.
const LAST_HOOKS: Duration = Duration::from_secs(30);

/// How long it has at least, when the services have used up all the time there was.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// How long lar waits after KILL: what is still there then hangs in the kernel.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// How long PID 1 waits, last of all, for its control clients to leave: they only have to see the end and exit.
const FAREWELL: Duration = Duration::from_millis(500);

/// What each of the last waits has, however late it is.
const AT_LEAST: Duration = Duration::from_millis(200);

/// How often KILL is repeated: the list of who is left can miss somebody while others are on their way out.
const AGAIN: Duration = Duration::from_millis(50);

/// Where Kubernetes looks for the cause of a container's end.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// How far the end is.
#[derive(Debug)]
pub(super) enum Rest {
    /// The services run.
    NotYet,
    /// The services are down; hooks are still run for what happened last, but not for longer than this.
    Telling { code: u8, until: Instant },
    /// What is left was sent TERM; KILL comes then.
    Asked { code: u8, kill_at: Instant, told: BTreeSet<Pid> },
    /// What is left was sent KILL; it is not waited for any longer then.
    Killed { code: u8, again: Instant, until: Instant },
    /// Nothing is left.
    Over { code: u8 },
}

impl Rest {
    /// The exit code, once nothing is left.
    pub(super) fn over(&self) -> Option<u8> {
        match self {
            Rest::Over { code } => Some(*code),
            Rest::NotYet | Rest::Telling { .. } | Rest::Asked { .. } | Rest::Killed { .. } => None,
        }
    }

    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match *self {
            Rest::Telling { until, .. } => Some(until),
            Rest::Asked { kill_at, .. } => Some(kill_at),
            Rest::Killed { again, until, .. } => Some(again.min(until)),
            Rest::NotYet | Rest::Over { .. } => None,
        }
    }

    /// Somebody does not want to wait any longer; whether there is something to be hurried.
    pub(super) fn hurry(&mut self) -> bool {
        match self {
            Rest::Asked { kill_at, .. } => {
                *kill_at = Instant::ZERO;
                true
            }
            Rest::Telling { until, .. } => {
                *until = Instant::ZERO;
                true
            }
            Rest::NotYet | Rest::Killed { .. } | Rest::Over { .. } => false,
        }
    }
}

impl Loop {
    /// The services are down.
    pub(super) fn begin_ending(&mut self, code: u8) {
        let code = self.single.as_ref().map_or(code, |single| single.remapped(code));
        // zdaemon's manager says with its code that a signal has ended it.
        let zdaemon = self.supervisor.settings().runner.is_some();
        let code = if zdaemon && self.killed { 1 } else { code };
        if self.single.as_ref().is_some_and(|single| !single.ends_leftovers()) {
            self.rest = Rest::Over { code };
            return;
        }
        let now = clock::now();
        if self.hooks.busy() && !self.impatient {
            self.rest = Rest::Telling { code, until: self.end_by(now, LAST_HOOKS) };
            return;
        }
        self.ask_the_rest(code, now);
    }

    /// What is left is asked to go.
    fn ask_the_rest(&mut self, code: u8, now: Instant) {
        self.rest = Rest::Asked { code, kill_at: self.kill_at(now), told: BTreeSet::new() };
        self.reap_again = true;
    }

    /// No hook runs or is to be run.
    pub(super) fn hooks_are_done(&mut self) {
        if let Rest::Telling { code, .. } = self.rest {
            self.ask_the_rest(code, clock::now());
        }
    }

    /// Hooks have had their time: those that run are left to what ends everything else.
    fn give_up_on_hooks(&mut self, code: u8, now: Instant) {
        match self.hooks.abandon() {
            0 => warn!("a hook takes too long at the end"),
            left => warn!("hooks take too long at the end; {left} events are left out"),
        }
        self.ask_the_rest(code, now);
    }

    /// When what is left is killed. The whole end is to take no longer than its limit, counted from when it was
    /// asked for: that is what fits into the runtime's own patience.
    fn kill_at(&self, now: Instant) -> Instant {
        if self.impatient {
            return now;
        }
        let settings = &self.supervisor.settings();
        let (grace, limit) = match &settings.single {
            Some(single) => {
                let limit = single.grace.map(|grace| single.drain.saturating_add(grace));
                (single.grace.unwrap_or(GRACE), limit)
            }
            None => (GRACE, settings.shutdown_timeout),
        };
        let began = self.ending_since.unwrap_or(now);
        let limit = began + limit.unwrap_or(Duration::MAX);
        (now + grace).min(limit).max(now + grace.min(LAST_CHANCE))
    }

    /// The end of a wait of at most `most`, which is cut short where the whole end has a limit: what comes after
    /// it (the exit code, the last output) must still fit in.
    fn end_by(&self, now: Instant, most: Duration) -> Instant {
        let limit = self.supervisor.settings().shutdown_timeout.unwrap_or(Duration::MAX);
        let limit = self.ending_since.unwrap_or(now) + limit;
        limit.clamp(now + AT_LEAST, now + most)
    }

    /// The main processes that run on without lar.
    fn spared(&self) -> Vec<Pid> {
        let left = self.supervisor.instances().filter(|&id| self.supervisor.is_left(id));
        left.filter_map(|id| self.supervisor.instance(id).pid).collect()
    }

    /// Looks whether anything is left, and sends what is due.
    pub(super) fn go_on_ending(&mut self, now: Instant) {
        let (code, due) = match self.rest {
            Rest::NotYet | Rest::Over { .. } => return,
            Rest::Telling { code, until } => {
                return if now >= until {
                    self.give_up_on_hooks(code, now)
                };
            }
            Rest::Asked { code, kill_at, .. } => (code, now >= kill_at),
            Rest::Killed { code, until, .. } => (code, now >= until),
        };
        let spared = self.spared();
        if !is_anybody_left(&spared) {
            self.rest = Rest::Over { code };
            return;
        }
        if self.reap_again && !due {
            return; // many are on their way out: those who are left are looked for afterwards
        }
        let signal = self.single.as_ref().map_or(Signal::TERM, Single::last_signal);
        match (&mut self.rest, due) {
            (Rest::Asked { told, .. }, false) => {
                if !ask(told, signal, &spared) {
                    warn!("without /proc, orphans can't be found; they are left behind");
                    self.rest = Rest::Over { code };
                }
            }
            (Rest::Asked { .. }, true) => {
                info!("what is left did not go within its grace time; sending SIGKILL");
                let until = self.end_by(now, AFTER_KILL);
                self.rest = Rest::Killed { code, again: now + AGAIN, until };
                kill(&spared);
            }
            (Rest::Killed { again, .. }, false) => {
                *again = now + AGAIN;
                kill(&spared);
            }
            (Rest::Killed { .. }, true) => {
                warn!("some processes do not even go after SIGKILL; leaving without them");
                self.rest = Rest::Over { code };
            }
            (Rest::NotYet | Rest::Telling { .. } | Rest::Over { .. }, _) => {}
        }
    }

    /// The last things: output is passed on, files are removed, the cause is told.
    pub(super) fn end(mut self, code: u8) -> u8 {
        self.note(Note::Over);
        let up = Human(clock::now().since(self.started));
        info!("the manager ends with exit code {code}, after {up}");
        let now = clock::now();
        let patience = self.end_by(now, LAST_WORDS).since(now);
        self.output.close(patience, now, clock::wall());
        self.report_output();
        self.tell_start_report();
        // A container's first process has its parent outside, whether it is PID 1 or not.
        if std::os::unix::process::parent_id() == 0 {
            let why = format!("lar: exit code {code} after {up}: {}\n", self.last_words());
            // Only where somebody has put it there for us; if it can't be written, nobody reads it. The
            // program may have said something there too.
            if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(TERMINATION_LOG) {
                let _ = std::io::Write::write_all(&mut file, why.as_bytes());
            }
        }
        if let Some(file) = self.pid_file.take() {
            file.remove();
        }
        if let Some(server) = self.server.as_mut().filter(|_| boot::is_pid1()) {
            server.farewell(FAREWELL);
        }
        code
    }

    /// What the service that matters most came to: the main or a critical one that failed, else the first.
    fn last_words(&self) -> String {
        let weight = |id: &crate::plan::InstanceId| {
            let instance = self.supervisor.instance(*id);
            let service = self.supervisor.service(instance.service);
            let failed = !instance.last_exit.is_some_and(|status| status.success());
            (service.main, service.critical && failed, failed)
        };
        let Some(id) = self.supervisor.instances().rev().max_by_key(weight) else {
            return "no services".into();
        };
        let (label, instance) = (self.supervisor.label(id), self.supervisor.instance(id));
        let why = self.supervisor.describe_cause(Some(id), instance.cause);
        format!("{label} is {}: {why}", instance.phase.word())
    }
}

/// Whether somebody is there who is to be ended.
fn is_anybody_left(spared: &[Pid]) -> bool {
    let others = |pids: Vec<Pid>| pids.into_iter().any(|pid| !is_spared(pid, spared));
    // Without /proc nobody else could be found.
    reap::has_children() && (spared.is_empty() || reap::children().is_some_and(others))
}

/// Whether it is, or belongs to, a service that is left running: each has its own session.
fn is_spared(pid: Pid, spared: &[Pid]) -> bool {
    !spared.is_empty()
        && (spared.contains(&pid) || reap::session_of(pid).is_some_and(|it| spared.contains(&it)))
}

/// TERM (or what else `signal` is) for all that is left and was not told yet. A process whose parent has just gone is
/// ours only now. `false` if nobody can say who is left.
fn ask(told: &mut BTreeSet<Pid>, signal: Signal, spared: &[Pid]) -> bool {
    if boot::is_pid1() {
        if told.insert(Pid(1)) {
            send_all(signal);
            send_all(Signal::CONT);
        }
        return true;
    }
    let Some(children) = reap::children() else { return false };
    for pid in children {
        if !is_spared(pid, spared) && told.insert(pid) {
            // ESRCH: gone meanwhile. EPERM: not ours to end, and left to whoever adopts it.
            let _ = reap::kill(pid, signal);
            let _ = reap::kill(pid, Signal::CONT);
        }
    }
    true
}

/// KILL for all that is left.
fn kill(spared: &[Pid]) {
    if boot::is_pid1() {
        return send_all(Signal::KILL);
    }
    let children = reap::children().unwrap_or_default().into_iter();
    for pid in children.filter(|&pid| !is_spared(pid, spared)) {
        let _ = reap::kill(pid, Signal::KILL); // as in `ask`
    }
}

/// To everything in our namespace; ESRCH if that is nothing.
fn send_all(signal: Signal) {
    let _ = reap::kill_all(signal);
}
