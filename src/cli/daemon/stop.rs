//! Stopping a daemon: its own command, the rungs of its ladder, KILL; over when it is gone.

use nix::poll::PollFlags;

use crate::exit::{Code, Errno, Pid};
use crate::plan::{KillMode, Task};
use crate::signal::Signal;
use crate::sys::lock::Lock;
use crate::sys::{clock, pidfile, process};
use crate::time::{Duration, Human, Instant};

use super::failure::Failure;
use super::kill::{Held, Quarry};
use super::subject::{Outcome, Subject};
use super::who::{Down, Standing};

/// What came of a stop.
pub(super) enum Stopped {
    /// There was nothing to stop.
    WasDown(Down),
    /// It has ended as it was asked to.
    Ended,
    /// KILL was needed.
    Forced,
}

/// How long the kernel may take to end what was sent KILL.
const KILLED: Duration = Duration::from_secs(10);

/// EPERM.
const FORBIDDEN: Errno = Errno(1);

impl Subject {
    /// Stops it, and returns when it is gone; `tell` hears what did not go well on the way. The lock is the caller's.
    pub(super) fn stop(
        &mut self,
        lock: &Lock,
        tell: &mut dyn FnMut(&Failure),
    ) -> Result<Stopped, Failure> {
        let Some(quarry) = self.quarry(lock)? else {
            let Standing::Down(down) = self.standing(Some(lock))? else {
                return Err(Failure::new(Code::Failed, "it is being started by somebody else"));
            };
            self.clean_up(down);
            return Ok(Stopped::WasDown(down));
        };
        let forced = self.end(&quarry, tell)?;
        // Left by a daemon that does not remove it; a successor's is not touched.
        let _ = pidfile::remove_of(&self.pid_file, self.user(), quarry.pid);
        if let Some(task) = self.process.task(Task::PostStop).map(<[String]>::to_vec) {
            let until = clock::now() + self.service.stop_timeout;
            let (outcome, said) = self.run(&task, Some(quarry.pid), Some(until));
            if let Some(words) = bad(outcome) {
                tell(
                    &Failure::new(Code::Failed, format!("post-stop: {words}"))
                        .with("its output", said),
                );
            }
        }
        Ok(if forced { Stopped::Forced } else { Stopped::Ended })
    }

    /// Removes the file of a daemon that has ended.
    pub(super) fn clean_up(&self, down: Down) {
        if let Down::Stale(pid) = down {
            // It may be another user's to remove; then it stays stale.
            let _ = pidfile::remove_of(&self.pid_file, self.user(), pid);
        }
    }

    /// Takes hold of it, if it runs.
    fn quarry(&self, lock: &Lock) -> Result<Option<Quarry>, Failure> {
        let Standing::Running(pid) = self.standing(Some(lock))? else { return Ok(None) };
        let quarry = Quarry::new(pid);
        // Between the look and the hold it may have ended, and somebody may have its pid.
        Ok(match self.standing(Some(lock))? {
            Standing::Running(again) if again == pid => Some(quarry),
            _ => None,
        })
    }

    /// Ends it; whether KILL was needed.
    fn end(&mut self, quarry: &Quarry, tell: &mut dyn FnMut(&Failure)) -> Result<bool, Failure> {
        let now = clock::now();
        if self.wait_for_end(quarry, now + self.service.stop.drain)? {
            return Ok(false);
        }
        if let Some(task) = self.process.task(Task::Stop).map(<[String]>::to_vec) {
            let until = clock::now() + self.service.stop_timeout;
            let (outcome, said) = self.run(&task, Some(quarry.pid), Some(until));
            let gone = match bad(outcome) {
                None => self.wait_for_end(quarry, until)?,
                Some(words) => {
                    let failure = Failure::new(
                        Code::Failed,
                        format!("stop-command: {words}; signals follow"),
                    );
                    tell(&failure.with("its output", said));
                    quarry.is_gone()
                }
            };
            if gone {
                return Ok(false);
            }
            if bad(outcome).is_none() {
                let timeout = Human(self.service.stop_timeout);
                let words = format!("stop-command: it still runs after {timeout}; signals follow");
                tell(&Failure::new(Code::Failed, words));
            }
        }
        self.descend(quarry)
    }

    /// The ladder.
    fn descend(&mut self, quarry: &Quarry) -> Result<bool, Failure> {
        let ladder = self.service.stop.clone();
        for rung in &ladder.rungs {
            let to_all = self.service.kill_mode == KillMode::Group;
            for signal in [rung.signal, Signal::CONT] {
                let sent = if to_all { quarry.kill_group(signal) } else { quarry.kill(signal) };
                sent.map_err(|errno| refused(quarry.pid, errno))?;
            }
            if self.wait_for_end(quarry, clock::now() + rung.wait)? {
                return Ok(rung.signal == Signal::KILL);
            }
        }
        if !ladder.kill {
            let message =
                format!("it still runs after {}, pid {}", Human(ladder.length()), quarry.pid);
            return Err(Failure::new(Code::TimedOut, message));
        }
        let alone = self.service.kill_mode == KillMode::Process;
        let family = if alone { None } else { process::descendants(quarry.pid) };
        // Held as long as they are still its children.
        let family = Held::new(&family.unwrap_or_default(), quarry.pid);
        let sent = match alone {
            true => quarry.kill(Signal::KILL),
            false => quarry.kill_group(Signal::KILL),
        };
        sent.map_err(|errno| refused(quarry.pid, errno))?;
        family.kill(Signal::KILL);
        match self.wait_for_end(quarry, clock::now() + KILLED)? {
            true => Ok(true),
            false => {
                let message = format!("process {} survives KILL", quarry.pid);
                Err(Failure::new(Code::Failed, message))
            }
        }
    }

    /// Waits until it has ended, at most until then; whether it has.
    fn wait_for_end(&mut self, quarry: &Quarry, until: Instant) -> Result<bool, Failure> {
        loop {
            if quarry.is_gone() {
                return Ok(true);
            }
            if let Some(signal) = self.watch.asked() {
                let message = format!("stop aborted by {signal}; pid {} may still run", quarry.pid);
                return Err(Failure::asked(signal, message));
            }
            let now = clock::now();
            if now >= until {
                return Ok(false);
            }
            match quarry.handle() {
                Some(handle) => self.watch.nap(Some(until), Some((handle.fd(), PollFlags::POLLIN))),
                None => self.watch.nap(Some(until.min(now + self.service.ready_interval)), None),
            };
        }
    }
}

/// What went wrong with a command, if something did.
pub(super) fn bad(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Ended(status) if status.success() => None,
        Outcome::Ended(status) => Some(status.to_string()),
        Outcome::NotRun(stage, errno) => Some(format!("{errno} (stage {stage})")),
        Outcome::Overdue(_) => Some("it took too long and was killed".into()),
        Outcome::Asked(_, signal) => Some(format!("killed, because of {signal}")),
    }
}

fn refused(pid: Pid, errno: Errno) -> Failure {
    let code = if errno == FORBIDDEN { Code::NotPermitted } else { Code::Failed };
    Failure::new(code, format!("stop failed: process {pid}: {errno}"))
}
