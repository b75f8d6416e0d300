//! What each signal to lar means.

use std::os::fd::OwnedFd;

use log::{info, warn};

use super::Loop;
use super::voice::Note;
use crate::exit::Pid;
use crate::plan::{InstanceId, Leftovers, Plan, Restart, Session};
use crate::signal::Signal;
use crate::supervisor::Event;
use crate::sys::signals::{self, Received};
use crate::sys::{boot, clock, reap, terminal};
use crate::time::Duration;

/// How long after the first signal to end further ones are taken for the same request. timeout(1) signals its
/// child and then the group that this is in, a terminal's Ctrl-C may come along with its parent's own signal; only what
/// comes later is somebody who has run out of patience, and has the services killed. No person is that quick.
const SAME_REQUEST: Duration = Duration::from_millis(100);

/// What a terminal sends to a whole process group: of keys, of a new size, of forbidden reading and writing.
const FROM_KEYS: [Signal; 6] =
    [Signal::INT, Signal::QUIT, Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::WINCH];

/// The only instance of single-program mode.
const PROGRAM: InstanceId = InstanceId(0);

/// What single-program mode needs to know of its options.
pub(super) struct Single {
    rewrite: Vec<(Signal, Option<Signal>)>,
    remap: Vec<(u8, u8)>,
    stops: Vec<Signal>,
    leftovers: Leftovers,
    /// Whether there is a terminal, so that a stopped program is to stop lar too.
    pub(super) job_control: bool,
    /// Whether the program is in lar's own process group, and the terminal tells both.
    told_along: bool,
    /// What lar was given for the program.
    inherited: Vec<OwnedFd>,
    /// Whether another process will want that too.
    restarts: bool,
}

impl Single {
    pub(super) fn new(plan: &Plan, terminal: bool, inherited: Vec<OwnedFd>) -> Option<Single> {
        let single = plan.settings.single.as_ref()?;
        let restarts = plan.services.iter().any(|service| service.rules.restart != Restart::Never);
        let is = |session| plan.services.iter().any(|service| service.setup.session == session);
        Some(Single {
            rewrite: single.rewrite.clone(),
            remap: single.remap.clone(),
            stops: single.stops.clone(),
            leftovers: single.leftovers,
            job_control: terminal && !is(Session::Leader),
            told_along: terminal && is(Session::Shared),
            inherited,
            restarts,
        })
    }

    /// The program runs and has what lar was given: lar lets go of it, or the reader of a pipe would never see its
    /// end.
    pub(super) fn let_go(&mut self) {
        if !self.restarts {
            self.inherited.clear();
        }
    }

    /// What is passed on for a signal; `None` drops it. The last rule about it counts.
    fn rewritten(&self, signal: Signal) -> Option<Signal> {
        match self.rewrite.iter().rev().find(|&&(from, _)| from == signal) {
            Some(&(_, to)) => to,
            None => Some(signal),
        }
    }

    /// Whether the program has got this from the kernel as well, with all of its process group. Of a hang-up the kernel
    /// tells only a session's leader.
    fn knows(&self, received: &Received) -> bool {
        let to_all = match received.signal {
            Signal::HUP | Signal::CONT => !terminal::leads_session(),
            signal => FROM_KEYS.contains(&signal),
        };
        self.told_along && received.by_kernel() && to_all
    }

    /// What is left of the program's group gets this when the program has ended.
    pub(super) fn farewell(&self) -> Option<Signal> {
        match self.leftovers {
            // PID 1 tells everybody.
            Leftovers::Tell if !boot::is_pid1() => self.rewritten(Signal::TERM),
            Leftovers::Tell | Leftovers::Adopt | Leftovers::Leave => None,
        }
    }

    /// Whether what is left is ended before lar goes.
    pub(super) fn ends_leftovers(&self) -> bool {
        self.leftovers == Leftovers::Adopt || boot::is_pid1()
    }

    /// What is left gets this, and KILL after its grace time.
    pub(super) fn last_signal(&self) -> Signal {
        let rewritten = self.rewritten(Signal::TERM).filter(|_| self.leftovers == Leftovers::Tell);
        rewritten.unwrap_or(Signal::TERM)
    }

    /// The exit code that stands for the program's.
    pub(super) fn remapped(&self, code: u8) -> u8 {
        self.remap.iter().rev().find(|&&(from, _)| from == code).map_or(code, |&(_, to)| to)
    }
}

impl Loop {
    /// Drains the signalfd: epoll will not report what is left in it.
    pub(super) fn take_signals(&mut self) {
        while let Some(received) = self.signals.read() {
            let own = received.sender == Some(self.pid);
            match (received.signal, &self.single) {
                // lar's own broken pipe, or the echo of its own stop.
                (Signal::PIPE | Signal::TSTP, _) if own => {}
                (Signal::CHLD, _) => {
                    self.note(Note::Received(received.signal));
                    self.reap();
                }
                (_, Some(_)) => self.pass_on(&received),
                (signal, None) => {
                    self.note(Note::Received(signal));
                    self.take_signal(received);
                }
            }
        }
    }

    /// A signal to the program of single-program mode.
    fn pass_on(&mut self, received: &Received) {
        let Some(single) = &self.single else { return };
        let signal = received.signal;
        let passed_on = single.rewritten(signal);
        let known = single.knows(received) && passed_on == Some(signal);
        let (stops, job_control) = (single.stops.contains(&signal), single.job_control);
        self.note(Note::Received(signal));
        // The program is gone, and somebody at the keyboard does not want to wait for the rest.
        if [Signal::INT, Signal::QUIT].contains(&signal) && self.rest.hurry() {
            return;
        }
        if !known {
            self.note(Note::Forwarded(signal, passed_on));
            if let Some(other) = passed_on {
                if self.supervisor.instance(PROGRAM).pid.is_none() {
                    self.note(Note::Gone(other));
                }
                let received = signal;
                self.inbox.push_back(Event::Forward { instance: PROGRAM, received, signal: other });
                self.digest();
            }
        }
        // With a terminal it is the program's own stop that counts: until then it reads what is typed for the shell.
        if stops && !job_control {
            self.note(Note::Suspending);
            terminal::suspend_alone();
        }
    }

    /// A signal to a manager of services.
    fn take_signal(&mut self, received: Received) {
        let Received { signal, sender, .. } = received;
        let end = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::PWR];
        // What podman and others send to systemd: halt, power off, reboot.
        let systemd = [Signal::realtime(3), Signal::realtime(4), Signal::realtime(5)];
        let zdaemon = self.supervisor.settings().runner.is_some();
        let hangs_up = zdaemon && signal == Signal::HUP;
        if end.contains(&signal) || systemd.contains(&Some(signal)) || hangs_up {
            let now = clock::now();
            if self.asked_to_end.is_some_and(|first| now.since(first) < SAME_REQUEST) {
                return;
            }
            self.asked_to_end.get_or_insert(now);
            match sender {
                Some(pid) => info!("{signal} from pid {pid}: the manager ends"),
                None => info!("{signal}: the manager ends"),
            }
            self.note(Note::Ending(signal));
            self.killed |= !self.supervisor.shutting_down();
            if self.supervisor.shutting_down() {
                self.impatient = true;
                self.rest.hurry();
            }
            self.inbox.push_back(Event::Shutdown);
            self.digest();
        } else if signal == Signal::HUP {
            self.apply_by_signal();
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
            let why = self.supervisor.describe_cause(Some(id), instance.cause);
            match instance.pid {
                Some(pid) => info!("status: {label}: {phase}, pid {pid}: {why}"),
                None => info!("status: {label}: {phase}: {why}"),
            }
        }
    }

    /// A program that was stopped from its terminal (Ctrl-Z) stops lar too, so that the shell sees it; and when the
    /// shell continues lar, the program goes on, with the terminal.
    pub(super) fn look_after_stops(&mut self) {
        let shared = self.single.as_ref().is_some_and(|single| single.told_along);
        while let Some((pid, signal)) = reap::stopped() {
            if self.supervisor.instance(PROGRAM).pid != Some(pid) {
                continue;
            }
            if shared {
                // The shell deals with the whole group, and there is nothing to be handed over.
                if self.suspend() && !reap::has_gone_on(pid) {
                    let _ = reap::kill(pid, Signal::CONT); // as in `continue_group`
                }
                continue;
            }
            if [Signal::TTIN, Signal::TTOU].contains(&signal) && self.give_terminal(pid) {
                // `fg` for a job that ran in the background: a shell tells only lar, by the foreground.
                self.continue_group(pid);
                continue;
            }
            let had_terminal = self.take_terminal_from(pid);
            if self.suspend() {
                self.give_terminal(pid);
                self.continue_group(pid);
                continue;
            }
            // Nobody would ever continue us, as PID 1 for instance: then Ctrl-Z means nothing, and who stopped the
            // program in another way continues it in the same.
            if had_terminal {
                self.give_terminal(pid);
            }
            if signal == Signal::TSTP {
                self.continue_group(pid);
            }
        }
    }

    /// Stops lar until somebody continues it; `false` at once if nobody would.
    ///
    /// The CONT that ends this is acted on by our caller, at once, and is not passed on as well: that would come later,
    /// and undo a stop that the program has got meanwhile.
    fn suspend(&mut self) -> bool {
        self.note(Note::Suspending);
        if !terminal::suspend() {
            return false;
        }
        let as_it_is = |single: &Single| single.rewritten(Signal::CONT) == Some(Signal::CONT);
        if self.single.as_ref().is_some_and(as_it_is) && signals::discard(Signal::CONT) {
            self.note(Note::Received(Signal::CONT));
            self.note(Note::Forwarded(Signal::CONT, Some(Signal::CONT)));
        }
        true
    }

    /// Gives the terminal to the program's group if it is lar's to give; whether it was.
    fn give_terminal(&self, pid: Pid) -> bool {
        let ours = self.given.terminal.as_ref().filter(|terminal| terminal.is_ours());
        let given = ours.map(|terminal| terminal.give(pid));
        if let Some(Err(errno)) = given {
            warn!("the terminal could not be given to the program: {errno}");
        }
        given == Some(Ok(()))
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
