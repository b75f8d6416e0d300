//! What each signal to lar means.

use log::{info, warn};

use super::Loop;
use crate::exit::Pid;
use crate::plan::{InstanceId, Plan};
use crate::signal::Signal;
use crate::supervisor::Event;
use crate::sys::signals::Received;
use crate::sys::{clock, reap, terminal};
use crate::time::Duration;

/// How long after the first signal to end further ones are taken for the same request. timeout(1) signals its
/// child and then the group that this is in, a terminal's Ctrl-C may come along with its parent's own signal; only what
/// comes later is somebody who has run out of patience, and has the services killed. No person is that quick.
const SAME_REQUEST: Duration = Duration::from_millis(100);

/// The only instance of single-program mode.
const PROGRAM: InstanceId = InstanceId(0);

/// What single-program mode needs to know of its options.
pub(super) struct Single {
    rewrite: Vec<(Signal, Option<Signal>)>,
    remap: Vec<(u8, u8)>,
    /// Whether there is a terminal, so that a stopped program is to stop lar too.
    pub(super) job_control: bool,
}

impl Single {
    pub(super) fn new(plan: &Plan, terminal: bool) -> Option<Single> {
        let single = plan.settings.single.as_ref()?;
        let (rewrite, remap) = (single.rewrite.clone(), single.remap.clone());
        Some(Single { rewrite, remap, job_control: terminal })
    }

    /// What is passed on for a signal; `None` drops it.
    fn rewritten(&self, signal: Signal) -> Option<Signal> {
        match self.rewrite.iter().find(|&&(from, _)| from == signal) {
            Some(&(_, to)) => to,
            None => Some(signal),
        }
    }

    /// The exit code that stands for the program's.
    pub(super) fn remapped(&self, code: u8) -> u8 {
        self.remap.iter().find(|&&(from, _)| from == code).map_or(code, |&(_, to)| to)
    }
}

impl Loop {
    /// Drains the signalfd: epoll will not report what is left in it.
    pub(super) fn take_signals(&mut self) {
        while let Some(received) = self.signals.read() {
            let own = received.sender == Some(self.pid);
            match (received.signal, &self.single) {
                (Signal::CHLD, _) => self.reap(),
                // lar's own broken pipe, or the echo of its own stop.
                (Signal::PIPE | Signal::TSTP, _) if own => {}
                (signal, Some(single)) => {
                    if let Some(signal) = single.rewritten(signal) {
                        self.inbox.push_back(Event::Forward { instance: PROGRAM, signal });
                        self.digest();
                    }
                }
                (_, None) => self.take_signal(received),
            }
        }
    }

    /// A signal to a manager of services.
    fn take_signal(&mut self, received: Received) {
        let Received { signal, sender, .. } = received;
        let end = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::PWR];
        // What podman and others send to systemd: halt, power off, reboot.
        let systemd = [Signal::realtime(3), Signal::realtime(4), Signal::realtime(5)];
        if end.contains(&signal) || systemd.contains(&Some(signal)) {
            let now = clock::now();
            if self.asked_to_end.is_some_and(|first| now.since(first) < SAME_REQUEST) {
                return;
            }
            self.asked_to_end.get_or_insert(now);
            match sender {
                Some(pid) => info!("{signal} from pid {pid}: the manager ends"),
                None => info!("{signal}: the manager ends"),
            }
            self.inbox.push_back(Event::Shutdown);
            self.digest();
        } else if signal == Signal::USR1 {
            // Whatever could not be opened anew has been reported.
            let _ = self.reopen();
        } else if signal == Signal::USR2 {
            self.log_status();
        }
    }

    /// One line for each instance, in the event log.
    fn log_status(&self) {
        for id in self.supervisor.instances() {
            let instance = self.supervisor.instance(id);
            let (label, phase) = (self.supervisor.label(id), instance.phase.word());
            let why = self.supervisor.describe_cause(id, instance.cause);
            match instance.pid {
                Some(pid) => info!("status: {label}: {phase}, pid {pid}: {why}"),
                None => info!("status: {label}: {phase}: {why}"),
            }
        }
    }

    /// A program that was stopped from its terminal (Ctrl-Z) stops lar too, so that the shell sees it; and when the
    /// shell continues lar, the program goes on, with the terminal.
    pub(super) fn look_after_stops(&mut self) {
        while let Some((pid, signal)) = reap::stopped() {
            if self.supervisor.instance(PROGRAM).pid != Some(pid) {
                continue;
            }
            let had_terminal = self.take_terminal_from(pid);
            if terminal::suspend() {
                if let Some(terminal) = &self.given.terminal {
                    if terminal.is_ours() && terminal.give(pid).is_err() {
                        warn!("the terminal could not be given back to the program");
                    }
                }
                self.continue_group(pid);
            } else if signal == Signal::TSTP {
                // Nobody would ever continue us, as PID 1 for instance: then Ctrl-Z means nothing.
                if had_terminal {
                    if let Some(terminal) = &self.given.terminal {
                        let _ = terminal.give(pid);
                    }
                }
                self.continue_group(pid);
            }
        }
    }

    fn continue_group(&mut self, pid: Pid) {
        // ESRCH: it has ended meanwhile, and its exit comes next.
        let _ = reap::kill_group(pid, Signal::CONT);
    }

    /// Takes the terminal back from the program's group; whether it had it.
    pub(super) fn take_terminal_from(&self, pid: Pid) -> bool {
        let Some(terminal) = &self.given.terminal else { return false };
        // A terminal that has hung up is nobody's.
        terminal.foreground() == Ok(pid) && terminal.take_from(pid).is_ok()
    }
}
