//! The verbs that change who there is: `scale`, `add`, `remove`, `apply`, and `stop --scale-down`. What can be refused
//! by looking is refused here; the loop does the rest, and says what is to be waited for.

use super::names::Targets;
use super::once::Run;
use super::patience::patience;
use super::verbs::{Refusal, Turn, refuse_to_break, with_dependents};
use super::view::View;
use super::wait::{Goal, Waiter};
use super::work::{Ordered, Output, Reply, Verdict, What, Work};
use super::{Done, Edit, Once, Order};
use crate::ctl::protocol::command::Command;
use crate::ctl::protocol::request::{Count, INSTANCES, Request};
use crate::ctl::protocol::words::Quoted;
use crate::exit::Code;
use crate::plan::{InstanceId, ServiceId};
use crate::supervisor::edit::Which;
use crate::supervisor::{Supervisor, Verb};
use crate::time::Duration;

/// Begins a change; `None` if the request is none.
pub fn begin(request: &Request, targets: &Targets, turn: &Turn) -> Result<Option<Edit>, Refusal> {
    let supervisor = turn.view.supervisor;
    let edit = match request.command {
        Command::Scale => scale(request, targets, supervisor)?,
        Command::Once => Edit::Once(once(request, supervisor)?),
        Command::Remove => remove(request, targets, supervisor)?,
        Command::Stop if request.scale_down => fewer(request, targets, supervisor)?,
        Command::Apply => Edit::Apply { dry_run: request.dry_run },
        _ => return Ok(None),
    };
    if supervisor.shutting_down() {
        return Err((Code::Refused, "the manager is ending".into()));
    }
    Ok(Some(edit))
}

/// Hands a change to the loop.
pub fn order(edit: Edit, request: &Request, turn: Turn) -> Work {
    let Turn { ticket, .. } = turn;
    turn.orders.push_back((turn.client, Order::Edit(edit, ticket)));
    let Request { wait, timeout, progress, .. } = *request;
    Work::Ordered(Ordered { wait, timeout, progress, ticket, begun: turn.view.now })
}

/// The definition in an `add`, as the text of a file.
pub fn definition(request: &Request) -> Result<Edit, Refusal> {
    let usage = |message: String| (Code::Usage, message);
    let Some((name, words)) = request.names.split_first() else {
        return Err(usage("add needs a name".into()));
    };
    let save = request.save;
    if name == "-" {
        return Ok(Edit::Add { text: words.join("\n") + "\n", save });
    }
    let end = words.iter().position(|word| word == "--");
    let (pairs, program) = match end {
        Some(end) => (&words[..end], &words[end + 1..]),
        None => (words, &[][..]),
    };
    let mut text = format!("<service {name}>\n");
    for pair in pairs.chunks(2) {
        let [key, value] = pair else {
            let key = Quoted(&pair[0]).to_string();
            return Err(usage(format!("{key} has no value; the program comes after `--`")));
        };
        text += &format!("  {key} {value}\n");
    }
    if !program.is_empty() {
        let words: Vec<String> = program.iter().map(|word| shell_word(word)).collect();
        text += &format!("  program {}\n", words.join(" "));
    }
    if text.lines().count() != 1 + pairs.len() / 2 + usize::from(!program.is_empty()) {
        return Err(usage("a word holds a newline".into()));
    }
    Ok(Edit::Add { text: text + "</service>\n", save })
}

/// A word as the configuration takes it: as it is, whatever it holds.
fn shell_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''").replace('%', "%%"))
}

fn services(targets: &Targets, supervisor: &Supervisor) -> Vec<ServiceId> {
    let mut ids: Vec<_> = targets.iter().map(|id| supervisor.instance(id).service).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The service that a single name means, whether it has instances now or none.
fn one_service<'a>(
    request: &'a Request,
    supervisor: &Supervisor,
) -> Result<(&'a str, ServiceId), Refusal> {
    let name = request.names.first().map_or("", String::as_str);
    let Some(id) = supervisor.find(name) else {
        let message = format!("{} is not the name of one service", Quoted(name));
        return Err((Code::Usage, message));
    };
    if supervisor.is_service_leaving(id) {
        return Err((Code::Refused, format!("{name} is being removed")));
    }
    single(supervisor)?;
    Ok((name, id))
}

/// So many instances of a service.
fn scale(request: &Request, targets: &Targets, supervisor: &Supervisor) -> Result<Edit, Refusal> {
    let (name, id) = one_service(request, supervisor)?;
    let now = i64::from(supervisor.count(id));
    let wanted = match request.count {
        Some(Count::To(count)) => i64::from(count),
        Some(Count::By(by)) => now + i64::from(by),
        None => now,
    };
    let count = u32::try_from(wanted.max(0)).unwrap_or(INSTANCES);
    if count > INSTANCES {
        return Err((Code::Usage, format!("a service has at most {INSTANCES} instances")));
    }
    let all: Vec<InstanceId> = targets.iter().collect();
    if count == 0 && !request.force {
        refuse_to_break(supervisor, &sorted(all))?;
    }
    let which = if request.oldest { Which::Oldest } else { Which::Highest };
    let save = request.save;
    if save && count == 0 {
        let message = "a file has one instance at least; `start manual` keeps a service down";
        return Err((Code::Usage, message.into()));
    }
    Ok(Edit::Scale { name: name.to_owned(), count, which, save })
}

/// A run of the service that a single name means.
fn once(request: &Request, supervisor: &Supervisor) -> Result<Once, Refusal> {
    let (name, _) = one_service(request, supervisor)?;
    Ok(Once {
        name: name.to_owned(),
        words: request.arguments.clone(),
        environment: request.variables.clone(),
        limit: request.limit,
    })
}

fn sorted(mut ids: Vec<InstanceId>) -> Vec<InstanceId> {
    ids.sort_unstable();
    ids
}

/// What is one program only, or a zdaemon's, stays so.
fn single(supervisor: &Supervisor) -> Result<(), Refusal> {
    let settings = supervisor.settings();
    match settings.single.is_some() || settings.runner.is_some() {
        true => Err((Code::Refused, "this manager has one program, and no more".into())),
        false => Ok(()),
    }
}

fn remove(request: &Request, targets: &Targets, supervisor: &Supervisor) -> Result<Edit, Refusal> {
    single(supervisor)?;
    if let Some(name) = request.names.iter().find(|name| name.contains('@')) {
        let message =
            format!("{} is an instance; `stop --scale-down` takes one away", Quoted(name));
        return Err((Code::Usage, message));
    }
    let mut ids = sorted(targets.iter().collect());
    if request.with_dependents {
        ids = with_dependents(supervisor, &ids);
    } else if !request.force {
        refuse_to_break(supervisor, &ids)?;
    }
    let mut services = services(&Targets::Some(ids), supervisor);
    // Those without any instance are known by their names only.
    services.extend(request.names.iter().filter_map(|name| supervisor.find(name)));
    let name = |id: ServiceId| supervisor.service(id).name.clone();
    Ok(Edit::Remove(services.into_iter().map(name).collect()))
}

fn fewer(request: &Request, targets: &Targets, supervisor: &Supervisor) -> Result<Edit, Refusal> {
    single(supervisor)?;
    let ids = sorted(targets.iter().collect());
    if !request.force {
        refuse_to_break(supervisor, &ids)?;
    }
    Ok(Edit::Drop(ids.into_iter().map(|id| (id, supervisor.born(id))).collect()))
}

/// What follows a change: its lines, or the wait for who comes and goes.
pub fn await_done(done: Done, ordered: Ordered, view: &View) -> Work {
    let Done { lines, up, gone, renewed, run, .. } = done;
    match run {
        Some((id, over)) if ordered.wait || over.is_some() => return Work::Run(Run::new(id, over)),
        Some((id, _)) => {
            let targets = Targets::Some(vec![id]);
            return Work::Reply(Reply::of(
                What::Status { output: Output::None },
                targets,
                Verdict::Ok,
            ));
        }
        None => {}
    }
    if !ordered.wait || up.is_empty() && gone.is_empty() && renewed.is_empty() {
        return Work::Reply(Reply::lines(&lines, Verdict::Ok));
    }
    let supervisor = view.supervisor;
    let longest = |ids: &[InstanceId], verb| {
        ids.iter().map(|&id| patience(supervisor, id, verb)).max().unwrap_or(Duration::ZERO)
    };
    let patience = longest(&gone, Verb::Stop).max(longest(&up, Verb::Apply));
    // One after the other.
    let turns = renewed.iter().map(|&id| self::patience(supervisor, id, Verb::Roll));
    let patience = turns.fold(patience, Duration::saturating_add);
    let patience = ordered.timeout.unwrap_or(patience);
    let goals = up.iter().map(|_| Goal::Started).chain(gone.iter().map(|_| Goal::Gone));
    let goals = goals.chain(renewed.iter().map(|_| Goal::Renewed)).collect();
    Work::Wait(Waiter {
        targets: Targets::Some(up.into_iter().chain(gone).chain(renewed).collect()),
        goals,
        ticket: ordered.ticket,
        deadline: view.now + patience,
        patience,
        strict: false,
        progress: ordered.progress.then(|| view.journal.next()),
        lost: None,
        lines,
        begun: ordered.begun,
        failed: None,
        tail: None,
    })
}
