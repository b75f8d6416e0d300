//! Who runs beside the instances of a service, as far as the loop has to do with it: runs (`once`), and successors in a
//! rolling restart.
//!
//! A successor is asked for by the core in the middle of a turn; it is made at the turn's end, when no event is on its
//! way, and the control server has told everything of everybody who is gone.

use log::warn;

use super::Loop;
use super::edit::Wanted;
use crate::ctl::server::{Departure, Once, Refusal, Server};
use crate::exit::Code;
use crate::plan::{InstanceId, Output, Process, Service, Standing};
use crate::supervisor::{Cause, Phase, Ticket};
use crate::sys::clock;

/// How much of a run's output is kept for whoever waits for it: more than one reading of its pipe, so that a client
/// that keeps up misses nothing.
const RING: u32 = 256 * 1024;

impl Loop {
    /// Runs a service's program once more. Who that is, and how it ended if it has by now.
    pub(super) fn once(
        &mut self,
        order: Once,
        ticket: Ticket,
    ) -> Result<(InstanceId, Option<Departure>), Refusal> {
        let failed = |why: &str| (Code::Failed, format!("{}: {why}; nothing was run", order.name));
        let Some(id) = self.supervisor.find(&order.name) else {
            return Err(failed("it is no more"));
        };
        let service = self.supervisor.service(id).clone();
        // No instance has the number 0: what `%i` makes is its own.
        let Some(process) = service.process(0) else { return Err(failed("it has no program")) };
        let process = with(process, &order);
        let ring = service.output.ring.max(RING);
        let service = &Service { output: Output { ring, ..service.output.clone() }, ..service };
        let number = self.supervisor.next_run(id);
        let wanted = Wanted { service, number, run: true, process: &process, instance: None };
        let kit = self.prepare(wanted).map_err(|why| failed(&why))?;
        self.edits.kits.push_back(kit);
        let run = self.supervisor.once(clock::now(), id, process, order.limit, ticket);
        let Some(run) = run else {
            self.discard_kits();
            return Err((Code::Refused, format!("{} is being removed", order.name)));
        };
        self.finish_edit();
        let gone = self.edits.gone.iter().find(|departure| departure.id == run).cloned();
        Ok((run, gone))
    }

    /// Makes the successors that the core has asked for.
    pub(super) fn renew_all(&mut self) {
        if self.edits.renewals.is_empty() {
            return;
        }
        self.tell_server();
        for _ in 0..self.edits.renewals.len() {
            if let Some(of) = self.edits.renewals.pop_front() {
                self.renew(of);
                self.finish_edit();
            }
        }
    }

    fn renew(&mut self, of: InstanceId) {
        let now = clock::now();
        if self.supervisor.awaits_successor(of)
            && let Err(why) = self.prepare_successor(of)
        {
            let label = self.supervisor.label(of).to_string();
            let why = format!("{why}; the rolling restart is given up, what runs goes on");
            warn!("{label}: no successor: {why}");
            self.edits.gone.push(Departure {
                // Nobody's: there never was one.
                id: InstanceId(u32::MAX),
                label,
                standing: Standing::Next,
                peer: Some(of),
                phase: Phase::Failed,
                why: format!("no successor: {why}"),
                exit: None,
                limit: false,
                ring: None,
            });
            return self.supervisor.no_successor(now, of);
        }
        self.supervisor.succeed(now, of);
    }

    fn prepare_successor(&mut self, of: InstanceId) -> Result<(), String> {
        let instance = self.supervisor.instance(of);
        let service = &self.supervisor.service(instance.service).clone();
        let Some(process) = &self.supervisor.process(of).cloned() else {
            return Err("there is nothing to run".into());
        };
        let number = instance.number;
        let kit = self.prepare(Wanted { service, number, run: false, process, instance: None })?;
        self.edits.kits.push_back(kit);
        Ok(())
    }

    /// What is to be told of somebody who is no more.
    pub(super) fn departure(&mut self, id: InstanceId) -> Departure {
        let instance = self.supervisor.instance(id);
        let beside = instance.standing != Standing::Regular;
        let limited = |cause: Cause| cause == Cause::TimeLimit;
        let why = self.supervisor.describe_cause(Some(id), instance.cause);
        let tail = match (instance.standing, instance.phase) {
            (Standing::Next, Phase::Failed) => {
                "; the rolling restart is given up, what runs goes on"
            }
            _ => "",
        };
        Departure {
            id,
            label: self.supervisor.label(id).to_string(),
            standing: instance.standing,
            peer: instance.peer,
            phase: instance.phase,
            why: format!("{}: {why}{tail}", instance.phase.word()),
            exit: instance.last_exit,
            limit: beside
                && self
                    .journal
                    .of(id)
                    .any(|entry| entry.change().is_some_and(|it| limited(it.cause))),
            ring: if beside { self.output.take_ring(id) } else { None },
        }
    }

    /// Lets those who follow a service follow whoever has come to it.
    pub(super) fn join_those_who_came(&mut self, server: &mut Server) {
        let come = std::mem::take(&mut self.edits.come);
        for &id in come.iter().filter(|id| self.supervisor.has(**id)) {
            let instance = self.supervisor.instance(id);
            let others: Vec<InstanceId> = match instance.peer {
                Some(of) => vec![of],
                None => {
                    let members = self.supervisor.instances_of(instance.service);
                    members.filter(|other| !come.contains(other)).collect()
                }
            };
            server.join(id, &others);
        }
    }

    /// Tells the control server who has come, and who is gone, before somebody else can have that number.
    pub(super) fn tell_server(&mut self) {
        let Some(mut server) = self.server.take() else {
            self.edits.gone.clear();
            return self.edits.come.clear();
        };
        self.forget_gone(&mut server);
        self.server = Some(server);
    }
}

/// A service's process with what was ordered in addition.
fn with(mut process: Process, order: &Once) -> Process {
    process.ready = None;
    for (name, value) in &order.environment {
        process.environment.retain(|(known, _)| known != name);
        process.environment.push((name.clone(), value.clone()));
    }
    if let [shell, flag, line] = &mut process.argv[..]
        && (shell.as_str(), flag.as_str()) == ("/bin/sh", "-c")
        && !order.words.is_empty()
    {
        // To the shell, what follows its line are the names $0, $1…
        line.push_str(" \"$@\"");
        process.argv.push("sh".into());
    }
    process.argv.extend(order.words.iter().cloned());
    process
}
