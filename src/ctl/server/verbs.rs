//! What each verb does: a request becomes events for the core, an order for the loop, or a reply.
//! Nothing is done here that can't be undone by an error: everything is checked before the first
//! event is pushed.

use std::collections::VecDeque;

use super::events::{self, Filter};
use super::names::{Targets, Whom, resolve};
use super::patience::{PATIENCE, patience_of_all};
use super::view::View;
use super::wait::{Goal, Waiter, is_down};
use super::work::{Logs, Output, Reply, Verdict, What, Work};
use super::{ClientId, Order, change, feed, health, output};
use crate::ctl::protocol::command::Command;
use crate::ctl::protocol::request::Request;
use crate::exit::Code;
use crate::plan::{InstanceId, ServiceId, Standing, Task};
use crate::supervisor::{Event, Phase, Supervisor, Ticket, Verb};
use crate::time::Duration;

/// Why a request is not fulfilled.
pub type Refusal = (Code, String);

/// What a request may touch.
pub struct Turn<'a, 'v> {
    /// What there is.
    pub view: &'a View<'v>,
    /// What the core will be told.
    pub inbox: &'a mut VecDeque<Event>,
    /// What the loop will be asked for.
    pub orders: &'a mut VecDeque<(ClientId, Order)>,
    /// Whose request it is.
    pub client: ClientId,
    /// The number of this request's events.
    pub ticket: Ticket,
}

impl Turn<'_, '_> {
    fn tell(&mut self, instance: InstanceId, verb: Verb) {
        self.inbox.push_back(Event::Order { instance, verb, ticket: self.ticket });
    }

    fn order(self, order: Order) -> Work {
        self.orders.push_back((self.client, order));
        Work::Held
    }
}

/// Begins what is asked for.
pub fn begin(request: &Request, mut turn: Turn) -> Result<Work, Refusal> {
    let view = turn.view;
    match request.command {
        Command::Wait => return wait(request, view),
        Command::Add => {
            let edit = change::definition(request)?;
            return Ok(change::order(edit, request, turn));
        }
        _ => {}
    }
    let targets = targets(request, view.supervisor)?;
    if let Some(edit) = change::begin(request, &targets, &turn)? {
        return Ok(change::order(edit, request, turn));
    }
    let of = |what| Reply::of(what, targets.clone(), Verdict::Ok);
    let reply = match request.command {
        Command::Start | Command::Stop | Command::Restart | Command::Ensure => {
            return act(request, targets, turn);
        }
        Command::Kill => signal(request, &targets, turn)?,
        Command::Reload => return reload(request, &targets, turn),
        Command::Clear => {
            targets.iter().for_each(|id| turn.tell(id, Verb::Clear));
            Reply::end(Verdict::Ok)
        }
        Command::Shutdown => {
            turn.inbox.push_back(Event::Shutdown);
            Reply::end(if request.wait { Verdict::Ending } else { Verdict::Ok })
        }
        Command::Reopen => return Ok(turn.order(Order::Reopen)),
        Command::LogLevel => match request.level {
            Some(level) => return Ok(turn.order(Order::LogLevel(level))),
            None => Reply::own(What::Level, Verdict::Ok),
        },
        Command::Ping => Reply::own(What::Ping, Verdict::Ok),
        Command::Version => Reply::own(What::Version, Verdict::Ok),
        Command::Health => health::reply(request, targets, view),
        Command::Pid => pid(request, targets, view),
        Command::Send | Command::Attach => return feed::begin(request, &targets, &turn),
        Command::Status => status(request, targets, view),
        Command::Events => events(request, targets, view)?,
        Command::Logs => logs(request, targets, view)?,
        Command::List => of(What::List),
        Command::Why => of(What::Why),
        Command::Tree => of(What::Tree),
        // Who means everything means the manager's own part, too.
        Command::Config => Reply { own: matches!(targets, Targets::All(_)), ..of(What::Config) },
        Command::Wait
        | Command::Scale
        | Command::Once
        | Command::Remove
        | Command::Apply
        | Command::Add => Reply::end(Verdict::Ok), // seen to above
    };
    Ok(Work::Reply(reply))
}

fn targets(request: &Request, supervisor: &Supervisor) -> Result<Targets, Refusal> {
    let code = match request.command {
        Command::Status => Code::UnknownStatus,
        _ => Code::UnknownService,
    };
    let whom = match request.command {
        Command::Status | Command::Why | Command::Events | Command::Logs | Command::Stop => {
            Whom::Everybody
        }
        _ => Whom::Instances,
    };
    resolve(supervisor, &request.names, whom).map_err(|message| (code, message))
}

/// Of all, this is only a look; of named ones the verdict tells whether they are up.
fn status(request: &Request, targets: Targets, view: &View) -> Reply {
    // Who runs beside the instances counts only if nobody else is meant.
    let instances = targets.iter().any(|id| regular(view.supervisor, id));
    let counts = |id: &InstanceId| regular(view.supervisor, *id) || !instances;
    let down = targets.iter().filter(counts).find(|&id| !view.supervisor.is_up(id));
    let down = down.filter(|_| !request.names.is_empty());
    let verdict = down.map_or(Ok(()), |id| {
        let phase = view.supervisor.instance(id).phase.word();
        Err((Code::NotRunning, format!("{} is {phase}", view.supervisor.label(id))))
    });
    Reply::of(What::Status { output: Output::None }, targets, verdict.into())
}

/// Whether it is one of its service's own.
pub fn regular(supervisor: &Supervisor, id: InstanceId) -> bool {
    supervisor.instance(id).standing == Standing::Regular
}

fn pid(request: &Request, targets: Targets, view: &View) -> Reply {
    if request.names.is_empty() {
        return Reply::own(What::Pid, Verdict::Ok);
    }
    let verdict = targets.iter().try_for_each(|id| has_process(view.supervisor, id));
    Reply::of(What::Pid, targets, verdict.into())
}

pub fn has_process(supervisor: &Supervisor, id: InstanceId) -> Result<(), Refusal> {
    let instance = supervisor.instance(id);
    let phase = instance.phase.word();
    let refusal = || format!("{} has no process; it is {phase}", supervisor.label(id));
    instance.pid.map(|_| ()).ok_or_else(|| (Code::NotRunning, refusal()))
}

fn events(request: &Request, targets: Targets, view: &View) -> Result<Reply, Refusal> {
    let filter = Filter::of(request);
    let at = events::first(request, &filter, view)?;
    Ok(Reply { at, ..Reply::of(What::Events(filter), targets, Verdict::Never) })
}

fn logs(request: &Request, targets: Targets, view: &View) -> Result<Reply, Refusal> {
    let lines = request.lines.or(request.follow.then_some(10));
    if let (Some(name), Some(id)) = (&request.stream, targets.get(0)) {
        feed::known(name, id, view)?;
    }
    let stream = request.stream.as_deref();
    let begin = |id| {
        let ring = output::ring(id, stream, view)?;
        Some((id, lines.map_or_else(|| ring.since(0).0, |lines| output::tail(ring, lines))))
    };
    let sent: Vec<_> = targets.iter().filter_map(begin).collect();
    if sent.is_empty() {
        let whose = targets.get(0).map(|id| view.supervisor.label(id).to_string());
        let whose = whose.unwrap_or_else(|| "nobody".to_owned());
        let message = format!("{whose}: no output is kept (transcript inherit, or ring 0)");
        return Err((Code::Failed, message));
    }
    let verdict = if request.follow { Verdict::Never } else { Verdict::Ok };
    Ok(Reply::of(
        What::Logs(Logs { sent, follow: request.follow, stream: request.stream.clone() }),
        targets,
        verdict,
    ))
}

fn signal(request: &Request, targets: &Targets, mut turn: Turn) -> Result<Reply, Refusal> {
    targets.iter().try_for_each(|id| has_process(turn.view.supervisor, id))?;
    targets.iter().for_each(|id| turn.tell(id, Verb::Kill(request.signal)));
    Ok(Reply::end(Verdict::Ok))
}

/// A command is waited for; that a signal is sent is all there is to it.
fn reload(request: &Request, targets: &Targets, mut turn: Turn) -> Result<Work, Refusal> {
    let supervisor = turn.view.supervisor;
    let mut orders = Vec::new();
    for id in targets.iter() {
        let service = supervisor.service(supervisor.instance(id).service);
        let verb = match (supervisor.has_command(id, Task::Reload), service.reload) {
            (true, _) => Verb::Reload,
            (false, Some(signal)) => Verb::Kill(signal),
            (false, None) => {
                let message =
                    format!("{}: no reload signal or command is configured", service.name);
                return Err((Code::Failed, message));
            }
        };
        has_process(supervisor, id)?;
        orders.push((id, verb, Goal::Reloaded));
    }
    orders.iter().for_each(|&(id, verb, _)| turn.tell(id, verb));
    orders.retain(|(_, verb, _)| *verb == Verb::Reload);
    if orders.is_empty() || !request.wait {
        return Ok(Work::Reply(Reply::end(Verdict::Ok)));
    }
    Ok(await_orders(request, orders, turn))
}

/// Waits until what was ordered is so.
fn await_orders(request: &Request, mut orders: Vec<(InstanceId, Verb, Goal)>, turn: Turn) -> Work {
    let patience = patience_of_all(turn.view.supervisor, &orders);
    orders.sort_unstable_by_key(|&(id, ..)| id);
    let wanted = orders.into_iter().map(|(id, _, goal)| (id, goal)).collect();
    waiter(request, wanted, turn.ticket, patience, turn.view)
}

fn wait(request: &Request, view: &View) -> Result<Work, Refusal> {
    let mut wanted: Vec<(InstanceId, Goal)> = Vec::new();
    for word in &request.names {
        let (name, state) = word.split_once('=').unwrap_or((word, ""));
        let Some(goal) = Goal::parse(state) else {
            let states = Phase::ALL.map(Phase::word).join(", ");
            let message = format!("{word}: the states are {states}; up, down, ready");
            return Err((Code::Usage, message));
        };
        let ids = resolve(view.supervisor, &[name.to_owned()], Whom::Instances);
        let ids = ids.map_err(|message| (Code::UnknownService, message))?;
        wanted.extend(ids.iter().map(|id| (id, goal)));
    }
    wanted.sort_by_key(|&(id, _)| id);
    if let Some(twice) = wanted.windows(2).find(|two| two[0].0 == two[1].0 && two[0].1 != two[1].1)
    {
        let label = view.supervisor.label(twice[0].0);
        return Err((Code::Usage, format!("{label} can't be in two states")));
    }
    wanted.dedup();
    // No order is newer than this one: nothing supersedes a look.
    Ok(waiter(request, wanted, Ticket(u64::MAX), PATIENCE, view))
}

fn waiter(
    request: &Request,
    wanted: Vec<(InstanceId, Goal)>,
    ticket: Ticket,
    patience: Duration,
    view: &View,
) -> Work {
    let patience = request.timeout.unwrap_or(patience);
    let (ids, goals) = wanted.into_iter().unzip();
    Work::Wait(Waiter {
        targets: Targets::Some(ids),
        goals,
        ticket,
        deadline: view.now + patience,
        patience,
        strict: request.strict,
        progress: request.progress.then(|| view.journal.next()),
        lost: None,
        lines: Vec::new(),
        begun: view.now,
        failed: None,
        tail: None,
    })
}

fn act(request: &Request, targets: Targets, mut turn: Turn) -> Result<Work, Refusal> {
    let supervisor = turn.view.supervisor;
    let mut ids: Vec<InstanceId> = targets.iter().collect();
    ids.sort_unstable();
    let verb = match request.command {
        Command::Stop => Verb::Stop,
        Command::Restart => Verb::Restart,
        Command::Ensure => Verb::Ensure,
        _ => Verb::Start,
    };
    if supervisor.shutting_down() && verb != Verb::Stop {
        return Err((Code::Refused, "the manager is ending".to_owned()));
    }
    let replaced = if verb == Verb::Stop { replaced(request, supervisor)? } else { Vec::new() };
    ids.retain(|id| !replaced.contains(id));
    if verb == Verb::Stop && request.with_dependents {
        ids = with_dependents(supervisor, &ids);
    } else if verb == Verb::Stop && !request.force {
        refuse_to_break(supervisor, &ids)?;
    }
    if request.strict && verb != Verb::Restart {
        refuse_already(supervisor, &ids, verb)?;
    }
    let rank = |id: &InstanceId| supervisor.rank(supervisor.instance(*id).service);
    let mut ordered = ids;
    ordered.sort_by_key(rank);
    if verb == Verb::Stop {
        ordered.reverse();
    }
    let mut orders = Vec::with_capacity(ordered.len() + replaced.len());
    for id in ordered {
        orders.push(order_for(request, supervisor, id, verb)?);
    }
    orders.extend(replaced.into_iter().map(|id| (id, Verb::Replace, Goal::Started)));
    orders.iter().for_each(|&(id, verb, _)| turn.tell(id, verb));
    if !request.wait {
        return Ok(Work::Reply(Reply::end(Verdict::Ok)));
    }
    Ok(await_orders(request, orders, turn))
}

/// What an instance is told, and what is waited for then.
fn order_for(
    request: &Request,
    supervisor: &Supervisor,
    id: InstanceId,
    verb: Verb,
) -> Result<(InstanceId, Verb, Goal), Refusal> {
    let service = supervisor.instance(id).service;
    let rolls = request.rolling || supervisor.service(service).rolling > 0;
    match verb {
        Verb::Stop if regular(supervisor, id) => Ok((id, verb, Goal::Stopped)),
        Verb::Stop => Ok((id, verb, Goal::Gone)),
        _ if !regular(supervisor, id) => {
            let label = supervisor.label(id);
            let message = format!("{label} is no instance: it can be stopped, and sent signals");
            Err((Code::Usage, message))
        }
        Verb::Restart if rolls && supervisor.can_roll(service) => {
            Ok((id, Verb::Roll, Goal::Renewed))
        }
        Verb::Restart if request.rolling => {
            let name = &supervisor.service(service).name;
            let message = format!(
                "{name}: a rolling restart needs `ready notify`, `fd`, `log` or `command`, \
                 which the old process can't answer for the new one"
            );
            Err((Code::Failed, message))
        }
        Verb::Restart if supervisor.has_command(id, Task::Restart) => {
            Ok((id, verb, Goal::Restarted))
        }
        Verb::Ensure => Ok((id, verb, Goal::Ensured)),
        verb => Ok((id, verb, Goal::Started)),
    }
}

/// Those that a stop replaces: who is one of several, named by its number, and up or on its way. All of a service are
/// stopped by its name.
fn replaced(request: &Request, supervisor: &Supervisor) -> Result<Vec<InstanceId>, Refusal> {
    let unknown = |message| (Code::UnknownService, message);
    let (numbered, whole): (Vec<String>, Vec<String>) =
        request.names.iter().cloned().partition(|name| name.contains('@'));
    if numbered.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<_> =
        resolve(supervisor, &numbered, Whom::Instances).map_err(unknown)?.iter().collect();
    if !whole.is_empty() {
        let whole = resolve(supervisor, &whole, Whom::Instances).map_err(unknown)?;
        ids.retain(|id| !whole.contains(*id));
    }
    ids.retain(|&id| {
        let instance = supervisor.instance(id);
        let rests = [Phase::Stopped, Phase::Exited, Phase::Failed].contains(&instance.phase);
        let several = supervisor.count(instance.service) > 1;
        regular(supervisor, id) && instance.wanted_up && !rests && several
    });
    Ok(ids)
}

fn refuse_already(supervisor: &Supervisor, ids: &[InstanceId], verb: Verb) -> Result<(), Refusal> {
    for &id in ids.iter().filter(|id| regular(supervisor, **id)) {
        let instance = supervisor.instance(id);
        let already = match verb {
            Verb::Stop => is_down(&instance) && !instance.wanted_up,
            _ => supervisor.is_up(id) && instance.phase != Phase::Stopped,
        };
        if already {
            let phase = instance.phase.word();
            let message = format!("{} is already {phase}", supervisor.label(id));
            return Err((Code::Already, message));
        }
    }
    Ok(())
}

/// The services of which no instance would be left wanted up if `ids` were stopped.
fn emptied(supervisor: &Supervisor, ids: &[InstanceId]) -> Vec<ServiceId> {
    // Nobody depends on who runs beside the instances.
    let members = ids.iter().filter(|id| regular(supervisor, **id));
    let mut services: Vec<_> = members.map(|&id| supervisor.instance(id).service).collect();
    services.sort_unstable();
    services.dedup();
    let stays =
        |id: &InstanceId| ids.binary_search(id).is_err() && supervisor.instance(*id).wanted_up;
    services.retain(|&service| !supervisor.instances_of(service).any(|id| stays(&id)));
    services
}

fn in_use(supervisor: &Supervisor, id: InstanceId) -> bool {
    matches!(supervisor.instance(id).phase, Phase::Starting | Phase::Running)
}

pub fn refuse_to_break(supervisor: &Supervisor, ids: &[InstanceId]) -> Result<(), Refusal> {
    for service in emptied(supervisor, ids) {
        let broken = supervisor.requirers(service).iter().flat_map(|&id| supervisor.all_of(id));
        let broken: Vec<_> = broken
            .filter(|id| ids.binary_search(id).is_err() && in_use(supervisor, *id))
            .map(|id| supervisor.label(id).to_string())
            .collect();
        if !broken.is_empty() {
            let name = &supervisor.service(service).name;
            let mut message = format!("{name} is required by {}", listed(&broken));
            message += "; stop --with-dependents stops them too, --force does not care";
            return Err((Code::Refused, message));
        }
    }
    Ok(())
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// `ids` and whatever requires what they leave empty, and so on; ascending.
pub fn with_dependents(supervisor: &Supervisor, ids: &[InstanceId]) -> Vec<InstanceId> {
    let mut ids = ids.to_vec();
    let mut services = emptied(supervisor, &ids);
    let mut next = 0;
    while let Some(&service) = services.get(next) {
        next += 1;
        for &requirer in supervisor.requirers(service) {
            if !services.contains(&requirer) {
                services.push(requirer);
                ids.extend(supervisor.all_of(requirer));
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}
