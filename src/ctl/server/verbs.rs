//! What each verb does: a request becomes events for the core, an order for the loop, or a reply.
//! Nothing is done here that can't be undone by an error: everything is checked before the first
//! event is pushed.

use std::collections::VecDeque;

use super::names::{Targets, resolve};
use super::reply::first_down;
use super::view::View;
use super::wait::{Goal, Waiter, is_down};
use super::work::{About, Logs, Source, Subscription, Verdict, Work};
use super::{Order, output};
use crate::ctl::protocol::command::Command;
use crate::ctl::protocol::request::Request;
use crate::exit::Code;
use crate::plan::{InstanceId, ServiceId};
use crate::supervisor::{Event, Phase, Supervisor, Ticket, Verb};
use crate::time::Duration;

/// How long a client waits that does not say how long: for most starts too long, and too short for
/// nobody who still watches.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is added to the time that lar itself may need by its rules (a stop ladder, a start
/// timeout), so that the rule's own outcome is reported, not a timeout a moment before it.
const GRACE: Duration = Duration::from_secs(5);

/// Why a request is not fulfilled.
pub type Refusal = (Code, String);

/// What a request may touch.
pub struct Turn<'a, 'v> {
    /// What there is.
    pub view: &'a View<'v>,
    /// What the core will be told.
    pub inbox: &'a mut VecDeque<Event>,
    /// What the loop will be asked for.
    pub order: &'a mut Option<Order>,
    /// The number of this request's events.
    pub ticket: Ticket,
}

/// Begins what is asked for.
pub fn begin(request: &Request, turn: Turn) -> Result<Work, Refusal> {
    let view = turn.view;
    let targets = match request.command {
        Command::Wait => return wait(request, view),
        _ => targets(request, view.supervisor)?,
    };
    let source = match request.command {
        Command::Status => return Ok(status(request, targets, view)),
        Command::Pid => return Ok(pid(request, targets, view)),
        Command::Health => return Ok(health(targets, view)),
        Command::Events => return Ok(events(request, targets, view)),
        Command::Logs => return logs(request, targets, view),
        Command::Start | Command::Stop | Command::Restart => return act(request, targets, turn),
        Command::Kill | Command::Reload => return signal(request, targets, turn),
        Command::Clear => {
            let ids: Vec<_> = targets.iter().collect();
            push(&ids, Verb::Clear, turn.ticket, turn.inbox);
            return Ok(done());
        }
        Command::Shutdown => {
            turn.inbox.push_back(Event::Shutdown);
            return Ok(if request.wait { Work::Ending } else { done() });
        }
        Command::Reopen => return Ok(order(Order::Reopen, turn)),
        Command::LogLevel => match request.level {
            Some(level) => return Ok(order(Order::LogLevel(level), turn)),
            None => Source::Manager(About::Level),
        },
        Command::List => Source::List(targets, 0),
        Command::Why => Source::Why(targets, 0, 0),
        Command::Tree => Source::Tree(targets, 0),
        Command::Config => Source::Config(targets, 0, 0, 0),
        Command::Ping => Source::Manager(About::Ping),
        Command::Version => Source::Manager(About::Version),
        Command::Wait => Source::Nothing,
    };
    Ok(Work::Reply(source, Verdict::Ok))
}

fn done() -> Work {
    Work::Reply(Source::Nothing, Verdict::Ok)
}

fn order(order: Order, turn: Turn) -> Work {
    *turn.order = Some(order);
    Work::Ordered
}

fn targets(request: &Request, supervisor: &Supervisor) -> Result<Targets, Refusal> {
    let code = match request.command {
        Command::Status => Code::UnknownStatus,
        _ => Code::UnknownService,
    };
    resolve(supervisor, &request.names).map_err(|message| (code, message))
}

fn push(ids: &[InstanceId], verb: Verb, ticket: Ticket, inbox: &mut VecDeque<Event>) {
    inbox.extend(ids.iter().map(|&instance| Event::Order { instance, verb, ticket }));
}

/// Of all, this is only a look; of named ones the verdict tells whether they are up.
fn status(request: &Request, targets: Targets, view: &View) -> Work {
    let down = targets.iter().find(|&id| !view.supervisor.is_up(id));
    let verdict = match down {
        Some(id) if !request.names.is_empty() => {
            let phase = view.supervisor.instance(id).phase.word();
            Verdict::Error(Code::NotRunning, format!("{} is {phase}", view.supervisor.label(id)))
        }
        _ => Verdict::Ok,
    };
    Work::Reply(Source::Status { targets, done: 0, line: None, output: false }, verdict)
}

fn pid(request: &Request, targets: Targets, view: &View) -> Work {
    if request.names.is_empty() {
        return Work::Reply(Source::Manager(About::Pid), Verdict::Ok);
    }
    let without = targets.iter().find(|&id| view.supervisor.instance(id).pid.is_none());
    let verdict = without.map_or(Verdict::Ok, |id| not_running(view.supervisor, id).into());
    Work::Reply(Source::Pids(targets, 0), verdict)
}

impl From<Refusal> for Verdict {
    fn from((code, message): Refusal) -> Verdict {
        Verdict::Error(code, message)
    }
}

fn not_running(supervisor: &Supervisor, id: InstanceId) -> Refusal {
    let phase = supervisor.instance(id).phase.word();
    (Code::NotRunning, format!("{} has no process; it is {phase}", supervisor.label(id)))
}

fn health(targets: Targets, view: &View) -> Work {
    let (mut up, mut wanted) = (0, 0);
    for id in targets.iter() {
        let instance = view.supervisor.instance(id);
        wanted += u32::from(instance.wanted_up);
        up += u32::from(instance.wanted_up && view.supervisor.is_up(id));
    }
    let down = first_down(view, &targets);
    let verdict = down.map_or(Verdict::Ok, |why| Verdict::Error(Code::Failed, why));
    Work::Reply(Source::Manager(About::Health { up, wanted }), verdict)
}

fn events(request: &Request, targets: Targets, view: &View) -> Work {
    let next = view.journal.next();
    let lines = u64::from(request.lines.unwrap_or(0));
    // Only those count that are meant: from the latest back.
    let oldest = view.journal.oldest();
    let meant = |seq: &u64| {
        let entry = view.journal.get(*seq);
        entry.is_some_and(|entry| targets.contains(entry.change.instance))
    };
    let replayed = (oldest..next).rev().filter(meant).take(lines as usize).last();
    Work::Events(Subscription { targets, next: replayed.unwrap_or(next) })
}

fn logs(request: &Request, targets: Targets, view: &View) -> Result<Work, Refusal> {
    let mut sent = Vec::new();
    for id in targets.iter() {
        let Some(ring) = (view.output)(id) else { continue };
        let lines = request.lines.or(request.follow.then_some(10));
        let from = lines.map_or_else(|| ring.since(0).0, |lines| output::tail(ring, lines));
        sent.push((id, from));
    }
    if sent.is_empty() {
        let whose = targets.get(0).map(|id| view.supervisor.label(id).to_string());
        let whose = whose.unwrap_or_else(|| "nobody".to_owned());
        let message = format!("{whose}: no output is kept (transcript inherit, or ring 0)");
        return Err((Code::Failed, message));
    }
    let verdict = if request.follow { Verdict::Never } else { Verdict::Ok };
    Ok(Work::Reply(Source::Logs(Logs { sent, follow: request.follow }), verdict))
}

fn signal(request: &Request, targets: Targets, turn: Turn) -> Result<Work, Refusal> {
    let supervisor = turn.view.supervisor;
    let mut events = Vec::new();
    for instance in targets.iter() {
        let service = supervisor.plan().service(supervisor.instance(instance).service);
        let signal = match request.command {
            Command::Reload => service.reload.ok_or_else(|| {
                let message = format!("{}: no reload signal is configured", service.name);
                (Code::Refused, message)
            })?,
            _ => request.signal,
        };
        if supervisor.instance(instance).pid.is_none() {
            return Err(not_running(supervisor, instance));
        }
        events.push(Event::Order { instance, verb: Verb::Kill(signal), ticket: turn.ticket });
    }
    turn.inbox.extend(events);
    Ok(done())
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
        let ids = resolve(view.supervisor, &[name.to_owned()]);
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
    let (ids, goals) = wanted.into_iter().unzip();
    // No order is newer than this one: nothing supersedes a look.
    Ok(waiter(request, Targets::Some(ids), goals, Ticket(u64::MAX), PATIENCE, view))
}

fn waiter(
    request: &Request,
    targets: Targets,
    goals: Vec<Goal>,
    ticket: Ticket,
    patience: Duration,
    view: &View,
) -> Work {
    let patience = request.timeout.unwrap_or(patience);
    let progress = Subscription { targets: targets.clone(), next: view.journal.next() };
    Work::Wait(Waiter {
        targets,
        goals,
        ticket,
        deadline: view.now + patience,
        patience,
        strict: request.strict,
        progress: request.progress.then_some(progress),
    })
}

fn act(request: &Request, targets: Targets, turn: Turn) -> Result<Work, Refusal> {
    let supervisor = turn.view.supervisor;
    let mut ids: Vec<InstanceId> = targets.iter().collect();
    let (verb, goal) = match request.command {
        Command::Stop => (Verb::Stop, Goal::Stopped),
        Command::Restart => (Verb::Restart, Goal::Started),
        _ => (Verb::Start, Goal::Started),
    };
    if supervisor.shutting_down() && goal == Goal::Started {
        return Err((Code::Refused, "the manager is ending".to_owned()));
    }
    if verb == Verb::Stop && request.with_dependents {
        ids = with_dependents(supervisor, &ids);
    } else if verb == Verb::Stop && !request.force {
        refuse_to_break(supervisor, &ids)?;
    }
    if request.strict && verb != Verb::Restart {
        refuse_already(supervisor, &ids, verb)?;
    }
    let rank = |id: &InstanceId| supervisor.rank(supervisor.instance(*id).service);
    let mut ordered = ids.clone();
    ordered.sort_by_key(rank);
    if verb == Verb::Stop {
        ordered.reverse();
    }
    push(&ordered, verb, turn.ticket, turn.inbox);
    if !request.wait {
        return Ok(done());
    }
    let patience = ids.iter().map(|&id| patience(supervisor, id, verb)).max();
    let patience = patience.unwrap_or(PATIENCE);
    let targets = Targets::Some(ids);
    Ok(waiter(request, targets, vec![goal], turn.ticket, patience, turn.view))
}

/// How long `verb` may take by the instance's own rules.
fn patience(supervisor: &Supervisor, id: InstanceId, verb: Verb) -> Duration {
    let service = supervisor.plan().service(supervisor.instance(id).service);
    let stop = service.stop.length().saturating_add(GRACE);
    let start = service.start_timeout.map_or(PATIENCE, |time| time.saturating_add(GRACE));
    match verb {
        Verb::Stop => stop.max(PATIENCE),
        Verb::Restart => stop.saturating_add(start.max(PATIENCE)),
        Verb::Start | Verb::Clear | Verb::Kill(_) => start.max(PATIENCE),
    }
}

fn refuse_already(supervisor: &Supervisor, ids: &[InstanceId], verb: Verb) -> Result<(), Refusal> {
    for &id in ids {
        let instance = supervisor.instance(id);
        let already = match verb {
            Verb::Stop => is_down(&instance) && !instance.wanted_up,
            _ => supervisor.is_up(id),
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
    let mut services: Vec<_> = ids.iter().map(|&id| supervisor.instance(id).service).collect();
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

fn refuse_to_break(supervisor: &Supervisor, ids: &[InstanceId]) -> Result<(), Refusal> {
    for service in emptied(supervisor, ids) {
        let broken =
            supervisor.requirers(service).iter().flat_map(|&id| supervisor.instances_of(id));
        let broken: Vec<_> = broken
            .filter(|id| ids.binary_search(id).is_err() && in_use(supervisor, *id))
            .map(|id| supervisor.label(id).to_string())
            .collect();
        if !broken.is_empty() {
            let name = &supervisor.plan().service(service).name;
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
fn with_dependents(supervisor: &Supervisor, ids: &[InstanceId]) -> Vec<InstanceId> {
    let mut ids = ids.to_vec();
    let mut services = emptied(supervisor, &ids);
    let mut next = 0;
    while let Some(&service) = services.get(next) {
        next += 1;
        for &requirer in supervisor.requirers(service) {
            if !services.contains(&requirer) {
                services.push(requirer);
                ids.extend(supervisor.instances_of(requirer));
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}
