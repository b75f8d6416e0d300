//! The core's changes in words: the event log, `ctl events` and `ctl why` all say the same.

use core::fmt;

use crate::exit::Stage;
use crate::plan::{InstanceId, ServiceId, Standing};
use crate::supervisor::Supervisor;
use crate::supervisor::event::{Cause, Change, Phase, Verb};
use crate::supervisor::state::Step;
use crate::time::Human;

/// `db: running -> backoff: exit status 1 after 3s; next try in 400ms`
pub struct Line<'a> {
    supervisor: &'a Supervisor,
    change: &'a Change,
}

/// `exit status 1 after 3s`
pub struct Why<'a> {
    supervisor: &'a Supervisor,
    instance: Option<InstanceId>,
    cause: Cause,
}

impl Supervisor {
    /// A change, as a line of the event log.
    pub fn describe<'a>(&'a self, change: &'a Change) -> Line<'a> {
        Line { supervisor: self, change }
    }

    /// Why an instance changed.
    pub fn describe_cause(&self, instance: Option<InstanceId>, cause: Cause) -> Why<'_> {
        Why { supervisor: self, instance, cause }
    }
}

impl Why<'_> {
    fn sockets(&self) -> &[String] {
        // Of somebody who is no more, nothing is known.
        self.instance.map_or(&[], |id| &self.supervisor.service_of(id).sockets)
    }

    /// Which step of a start took too long.
    fn timeout(&self, f: &mut fmt::Formatter<'_>, step: Step) -> fmt::Result {
        let process = self.instance.and_then(|id| self.supervisor.process(id));
        let pid_file = process.and_then(|process| process.pid_file.as_deref());
        let pid_file = pid_file.unwrap_or("MAINPID=");
        match step {
            Step::PreStart => f.write_str("start-timeout: pre-start took too long"),
            Step::Fork => f.write_str(
                "start-timeout: its program did not leave a daemon behind and exit (does it run in the foreground?)",
            ),
            Step::PidFile => write!(f, "start-timeout: no process id in {pid_file}"),
            Step::Foreign(pid) => {
                write!(f, "start-timeout: {pid_file} names {pid}, which is no process of its")
            }
            Step::Ready => f.write_str("not ready within its start-timeout"),
            Step::Silence => f.write_str("not ready, and silent for log-activity-timeout"),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { instance, from, to, cause, pid, next, .. } = *self.change;
        let why = self.supervisor.describe_cause(Some(instance), cause);
        let label = self.supervisor.label(instance);
        write!(f, "{label}: {} -> {}: {why}", from.word(), to.word())?;
        if let (Cause::Spawned, Some(pid)) = (cause, pid) {
            write!(f, ", pid {pid}")?;
        }
        let standing = self.supervisor.instance(instance).standing;
        match next {
            Some(next) => write!(f, "; next try in {}", Human(next)),
            None if standing == Standing::Next && to == Phase::Failed => {
                f.write_str("; the rolling restart is given up, what runs goes on")
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |id: ServiceId| &self.supervisor.service(id).name;
        match self.cause {
            Cause::Boot => f.write_str("starts at boot"),
            Cause::Operator(verb) => ordered(f, verb),
            Cause::Awaits => {
                f.write_str("waits for a connection on ")?;
                for (at, name) in self.sockets().iter().enumerate() {
                    write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Cause::Connection(at) => match self.sockets().get(usize::from(at)) {
                Some(name) => write!(f, "a connection on {name}"),
                None => f.write_str("a connection"), // it has other sockets since
            },
            Cause::Scheduled => f.write_str("waits for its time"),
            Cause::Timer => f.write_str("its time has come"),
            Cause::NeededBy(id) => write!(f, "needed by {}", name(id)),
            Cause::WaitsFor(id) => write!(f, "waits for {}", name(id)),
            Cause::DependenciesReady => f.write_str("what it waited for is ready"),
            Cause::DependencyFailed(id) => {
                write!(f, "requires {}, which ended for good", name(id))
            }
            Cause::RestartWith(id) => write!(f, "restarts with {}", name(id)),
            Cause::Spawned => f.write_str("spawned"),
            Cause::Ready => f.write_str("ready"),
            Cause::SpawnFailed(stage, errno) => {
                write!(f, "{stage}")?;
                let process = self.instance.and_then(|id| self.supervisor.process(id));
                let path = match stage {
                    Stage::Exec => process.and_then(|process| process.argv.first()),
                    Stage::Directory => process.and_then(|process| process.directory.as_ref()),
                    Stage::PidFile => process.and_then(|process| process.pid_file.as_ref()),
                    _ => None,
                };
                if let Some(path) = path {
                    write!(f, " {path}")?;
                }
                write!(f, ": {errno} (stage {stage})")
            }
            Cause::Prepares => f.write_str("pre-start runs"),
            Cause::Prepared => f.write_str("pre-start is done"),
            Cause::PreStart(outcome) => write!(f, "pre-start: {outcome}"),
            Cause::Forked => f.write_str("its program has left a daemon behind"),
            Cause::Found => f.write_str("its daemon was found"),
            Cause::Lost => f.write_str("its daemon is gone, nobody knows how it ended"),
            Cause::MainPid => f.write_str("it names another process as its main one"),
            Cause::StartTimeout(step) => self.timeout(f, step),
            Cause::Unhealthy(1) => f.write_str("a bad answer about its health"),
            Cause::Unhealthy(count) => write!(f, "{count} bad answers in a row"),
            Cause::Healthy => f.write_str("healthy again"),
            Cause::Exited(status, life) => write!(f, "{status} after {}", Human(life)),
            Cause::Retry => f.write_str("tries again"),
            Cause::Shutdown => f.write_str("the manager ends"),
            Cause::Succeeds => f.write_str("is to take over"),
            Cause::Replaced => f.write_str("its successor is ready"),
            Cause::CalledOff => f.write_str("is not needed any more"),
            Cause::TimeLimit => f.write_str("its time limit is over"),
            Cause::Left => f.write_str("the manager ends; it runs on without it"),
            Cause::Bygone => f.write_str("because of a service that was removed since"),
        }
    }
}

/// What an operator has ordered.
fn ordered(f: &mut fmt::Formatter<'_>, verb: Verb) -> fmt::Result {
    match verb {
        Verb::Start => f.write_str("start was ordered"),
        Verb::Stop => f.write_str("stop was ordered"),
        Verb::Restart => f.write_str("restart was ordered"),
        Verb::Clear => f.write_str("clear was ordered"),
        Verb::Kill(signal) => write!(f, "{signal} was ordered"),
        Verb::Remove => f.write_str("remove was ordered"),
        Verb::Scale => f.write_str("scale was ordered"),
        Verb::Apply => f.write_str("its configuration changed"),
        Verb::Roll => f.write_str("a rolling restart was ordered"),
        Verb::Replace => f.write_str("it was stopped alone, and is replaced"),
        Verb::Once => f.write_str("one run was ordered"),
        Verb::Reload => f.write_str("reload was ordered"),
        Verb::Ensure => f.write_str("ensure was ordered"),
    }
}
