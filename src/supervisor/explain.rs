//! What to make of it: why an instance is not up, by which of its rules, and what an operator can do about that.

use core::fmt;

use super::Supervisor;
use super::event::{Cause, Phase, Role};
use super::state::{Check, How, Rest, State};
use crate::plan::{GiveUp, InstanceId, Kind, Restart};
use crate::time::{Human, Instant};

/// `2 deaths within 1s: it rests (3 of 5 times) for 6s more; `clear web` tries at once, `stop web` ends it`
pub struct Advice<'a> {
    supervisor: &'a Supervisor,
    instance: InstanceId,
    now: Instant,
}

/// `not ready yet`, `1 of 3 answers bad`
pub struct Doing<'a> {
    supervisor: &'a Supervisor,
    instance: InstanceId,
}

impl Supervisor {
    /// What an instance is doing that its phase does not say: which step of a start or a stop it is at, or how it has
    /// answered lately.
    pub fn doing(&self, id: InstanceId) -> Option<Doing<'_>> {
        let slot = &self.roster.slots[id.index()];
        let speaks = match slot.state {
            State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. } => true,
            State::Running { check, .. } => {
                slot.errands.now.is_some() || check.failures > 0 && !check.sick
            }
            State::Stopping { how, .. } => how == How::CommandRuns,
            State::Clearing { .. } => true,
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => false,
        };
        speaks.then_some(Doing { supervisor: self, instance: id })
    }

    /// Of an instance that is up and asked about its health: `ok`, `failing` (some bad answers, not too many yet) or
    /// `unhealthy`.
    pub fn health_word(&self, id: InstanceId) -> Option<&'static str> {
        self.question(id, Role::Health)?;
        match self.roster.slots[id.index()].state {
            State::Running { check: Check { sick: true, .. }, .. } => Some("unhealthy"),
            State::Running { check: Check { failures: 0, .. }, .. } => Some("ok"),
            State::Running { .. } => Some("failing"),
            _ => None,
        }
    }

    /// How often in a row it has rested because it flapped, and how often it may.
    pub fn rests(&self, id: InstanceId) -> Option<(u32, Option<u32>)> {
        let flapping = self.service_of(id).rules.flapping?;
        Some((self.roster.slots[id.index()].history.rounds(), flapping.rounds))
    }

    /// What to make of an instance that is not up; `None` if there is nothing to say.
    pub fn advice(&self, id: InstanceId, now: Instant) -> Option<Advice<'_>> {
        let speaks = match self.instance(id).phase {
            Phase::Stopped | Phase::Backoff | Phase::Cooldown | Phase::Failed => true,
            Phase::Waiting | Phase::Exited | Phase::Unhealthy => true,
            Phase::Starting | Phase::Running | Phase::Stopping => false,
        };
        speaks.then_some(Advice { supervisor: self, instance: id, now })
    }
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.supervisor.label(self.instance);
        let slot = &self.supervisor.roster.slots[self.instance.index()];
        match slot.state {
            State::Cooldown { until } => {
                self.flapping(f)?;
                write!(f, "; tried again in {}", Human(until.since(self.now)))?;
                self.at_once(f)
            }
            State::Backoff { until } => {
                match slot.history.row() {
                    0 => f.write_str("its next start is held back for a moment")?,
                    1 => f.write_str("one death so far")?,
                    row => write!(f, "{row} deaths in a row")?,
                }
                if let GiveUp::After(most) = self.supervisor.service_of(self.instance).rules.give_up
                {
                    write!(f, ", given up on after {most}")?;
                }
                write!(f, "; tried again in {}", Human(until.since(self.now)))?;
                self.at_once(f)
            }
            State::Failed => self.failed(f),
            State::Waiting => match slot.cause {
                Cause::WaitsFor(on) => {
                    let on = &self.supervisor.service(on).name;
                    write!(f, "`why {on}` says why that is not ready")
                }
                _ => f.write_str("it starts as soon as what it depends on is ready"),
            },
            State::Exited { .. } => {
                let done = self.supervisor.is_up(self.instance);
                match (done, self.supervisor.service_of(self.instance).kind) {
                    (true, Kind::Oneshot) => {
                        write!(f, "its work is done; `restart {label}` does it again")
                    }
                    _ => write!(
                        f,
                        "its rules (`restart`, `exit-codes`) leave it; `start {label}` starts it"
                    ),
                }
            }
            State::Running { .. } => write!(
                f,
                "`restart never` leaves it as it is; a good answer makes it healthy again, `restart {label}` starts it \
                 anew"
            ),
            State::Stopped => write!(f, "`start {label}` starts it"),
            State::Armed => write!(f, "the next connection starts it, and so does `start {label}`"),
            State::Spawning { .. }
            | State::Preparing { .. }
            | State::Forking { .. }
            | State::Seeking { .. }
            | State::Starting { .. }
            | State::Stopping { .. }
            | State::Clearing { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = &self.supervisor.roster.slots[self.instance.index()];
        let service = self.supervisor.service_of(self.instance);
        match slot.state {
            State::Spawning { role: Role::PreStart, .. } | State::Preparing { .. } => {
                f.write_str("pre-start runs")
            }
            State::Spawning { .. } => f.write_str("its program is being started"),
            State::Forking { .. } => f.write_str("its program has not left a daemon behind yet"),
            State::Seeking { foreign, .. } => {
                let process = self.supervisor.process(self.instance);
                let path = process.and_then(|process| process.pid_file.as_deref());
                match (path, foreign) {
                    (Some(path), Some(pid)) => {
                        write!(f, "{path} names {pid}, which is no process of its")
                    }
                    (Some(path), None) => write!(f, "waits for its process id in {path}"),
                    (None, _) => f.write_str("waits for its process id (MAINPID=)"),
                }
            }
            State::Starting { .. } if service.kind == Kind::Oneshot => f.write_str("not done yet"),
            State::Starting { .. } => f.write_str("not ready yet"),
            State::Running { check, .. } => match slot.errands.now {
                Some(errand) => write!(f, "{} runs", errand.role.word()),
                None => {
                    let most = service.health.unwrap_or_default().failures;
                    write!(f, "{} of {most} answers bad", check.failures)
                }
            },
            State::Stopping { .. } => f.write_str("stop-command runs"),
            State::Clearing { rest, .. } => f.write_str(match rest {
                Rest::Group => "the rest of its process group is ending",
                Rest::Command | Rest::CommandKilled => "stop-command runs",
                Rest::Strays => "what it left behind is looked for",
                Rest::PostStop | Rest::PostStopKilled => "post-stop runs",
            }),
            State::Stopped
            | State::Armed
            | State::Waiting
            | State::Backoff { .. }
            | State::Cooldown { .. }
            | State::Exited { .. }
            | State::Failed => Ok(()),
        }
    }
}

impl Advice<'_> {
    fn at_once(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.supervisor.label(self.instance);
        write!(f, "; `clear {label}` or `start {label}` tries at once, `stop {label}` ends it")
    }

    /// `2 deaths within 1s: it rests, 3 of 5 times`.
    fn flapping(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(flapping) = self.supervisor.service_of(self.instance).rules.flapping else {
            return f.write_str("it died too often"); // by rules that it has no longer
        };
        write!(f, "{} deaths within {}: ", flapping.deaths, Human(flapping.window))?;
        let rounds = self.supervisor.roster.slots[self.instance.index()].history.rounds();
        match flapping.rounds {
            None => write!(f, "it rests, for the {rounds}. time"),
            Some(most) => write!(f, "it rests, {rounds} of {most} times"),
        }
    }

    fn failed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.supervisor.label(self.instance);
        let slot = &self.supervisor.roster.slots[self.instance.index()];
        let rules = &self.supervisor.service_of(self.instance).rules;
        match slot.cause {
            Cause::DependencyFailed(on) => {
                let on = &self.supervisor.service(on).name;
                write!(f, "`why {on}` says why; `start {label}` tries both again")?;
                return Ok(());
            }
            _ if slot.history.gave_up(rules) => {
                let (deaths, window) = rules
                    .flapping
                    .map_or((0, Human(Default::default())), |it| (it.deaths, Human(it.window)));
                let rounds = slot.history.rounds();
                write!(
                    f,
                    "given up on: {deaths} deaths within {window} again, after {rounds} rests"
                )?;
            }
            Cause::SpawnFailed(..) | Cause::StartTimeout(_) | Cause::PreStart(_)
                if rules.restart == Restart::Never =>
            {
                f.write_str("it did not come up, and `restart never` does not try again")?;
            }
            _ => match rules.give_up {
                GiveUp::AtMax => {
                    write!(f, "given up on: the wait reached its maximum of {}", Human(rules.max))?;
                }
                GiveUp::After(_) | GiveUp::Never => {
                    write!(f, "given up on after {} deaths in a row", slot.history.row())?;
                }
            },
        }
        write!(f, "; `clear {label}` or `start {label}` tries again")
    }
}
