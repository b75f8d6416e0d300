//! `events`: what has happened, one record each, as it happens or as it is remembered.
//!
//! A reader that is too slow, or asks for what is not kept any more, gets a record that says how much is missing,
//! and then goes on. Nothing waits for a reader: what it has not read stays in the journal, as long as that keeps it.

use super::names::Targets;
use super::reply::{Step, millis};
use super::verbs::Refusal;
use super::view::View;
use crate::ctl::protocol::record::{Buffer, Record};
use crate::ctl::protocol::request::Request;
use crate::exit::{Code, ExitStatus};
use crate::plan::{Kinds, Whom};
use crate::supervisor::journal::{Entry, News};

/// The word for what is missing, in the place of an event's kinds.
const GAP: &str = "gap";

/// Which events are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    whom: Vec<Whom>,
    kinds: Kinds,
}

impl Filter {
    /// What the request says. That the names are known is seen to elsewhere.
    pub fn of(request: &Request) -> Filter {
        let whom = match request.names.is_empty() {
            true => vec![Whom::All],
            false => request.names.iter().map(|name| Whom::read(name)).collect(),
        };
        Filter { whom, kinds: request.kinds.unwrap_or(Kinds::ALL) }
    }

    fn takes(&self, entry: &Entry) -> bool {
        let label = entry.label();
        self.kinds.meets(entry.kinds()) && self.whom.iter().any(|whom| whom.means(&label))
    }
}

/// The number of the first event that is told.
pub fn first(request: &Request, filter: &Filter, view: &View) -> Result<u64, Refusal> {
    let next = view.journal.next();
    match request.since {
        Some(seq) if seq > next => {
            let message = format!(
                "there is no event {seq} yet, the next is {next}: is it another manager's?"
            );
            Err((Code::Failed, message))
        }
        Some(seq) => Ok(seq),
        None => {
            // Only those count that are meant: from the latest back.
            let meant = |seq: &u64| view.journal.get(*seq).is_some_and(|it| filter.takes(it));
            let replayed = (view.journal.oldest()..next).rev().filter(meant);
            let first = replayed.take(request.lines.unwrap_or(0) as usize).last();
            Ok(first.unwrap_or(next))
        }
    }
}

/// Writes the next event, from number `next` on.
pub fn step(filter: &Filter, next: &mut u64, view: &View, out: &mut Buffer) -> Step {
    let oldest = view.journal.oldest();
    if let lost @ 1.. = oldest.saturating_sub(*next) {
        let record = out.record().field("seq", *next).field("event", GAP).field("lost", lost);
        let fit = record.field("cause", format_args!("{lost} events are missing here")).finish();
        if fit {
            *next = oldest;
        }
        return Step::wrote(fit);
    }
    while *next < view.journal.next() {
        if let Some(entry) = view.journal.get(*next).filter(|entry| filter.takes(entry)) {
            let fit = event(entry, view, out);
            *next += u64::from(fit);
            return Step::wrote(fit);
        }
        *next += 1;
    }
    Step::Later
}

/// Writes the next change of `targets`, for somebody who waits for them. It is a courtesy: what is not kept any more
/// is left out.
pub fn progress(targets: &Targets, next: &mut u64, view: &View, out: &mut Buffer) -> Step {
    *next = (*next).max(view.journal.oldest());
    while *next < view.journal.next() {
        // What happens to its successor is about it, too.
        let peer =
            |id| view.supervisor.instance(id).peer.is_some_and(|peer| targets.contains(peer));
        let meant = |entry: &&Entry| {
            entry.change().is_some()
                && view.journal.is_current(view.supervisor, entry)
                && (targets.contains(entry.instance) || peer(entry.instance))
        };
        if let Some(entry) = view.journal.get(*next).filter(meant) {
            let fit = event(entry, view, out);
            *next += u64::from(fit);
            return Step::wrote(fit);
        }
        *next += 1;
    }
    Step::Later
}

/// The record of one event: of `events`, `why`, and of progress.
pub fn event(entry: &Entry, view: &View, out: &mut Buffer) -> bool {
    let record = out.record().field("seq", entry.seq).field("event", entry.kinds());
    let record = record.field("time_ms", millis(entry.wall.since_epoch()));
    let record = record.field("ago_ms", millis(view.now.since(entry.at)));
    let record = record.field("name", entry.label());
    let supervisor = view.supervisor;
    match &entry.news {
        News::Changed(change) => {
            let record = record.field("from", change.from.word()).field("to", change.to.word());
            let parting = change.parting;
            let pid = change.pid.or(parting.map(|parting| parting.pid));
            let record = ended(record.maybe("pid", pid), parting.and_then(|it| it.status));
            let record = record.maybe("life_ms", change.life().map(millis));
            let record = record.maybe("next_ms", change.next.map(millis));
            // Of somebody who is no more nothing can be looked up.
            let instance = Some(entry.instance);
            let instance = instance.filter(|_| view.journal.is_current(supervisor, entry));
            record.field("cause", supervisor.describe_cause(instance, change.cause))
        }
        News::Created => record.field("cause", "added"),
        News::Updated => record.field("cause", "has another configuration"),
        News::Removed => record.field("cause", "removed"),
        News::Signalled(pid, signal) => {
            let record = record.field("pid", pid).field("signal", signal);
            record.field("cause", format_args!("{signal} was sent"))
        }
    }
    .finish()
}

/// How a process has ended.
fn ended<'a>(record: Record<'a>, status: Option<ExitStatus>) -> Record<'a> {
    match status {
        None => record,
        Some(ExitStatus::Code(code)) => record.field("exit_code", code),
        Some(ExitStatus::Signal { signal, core }) => {
            record.field("signal", signal).maybe("core", core.then_some("yes"))
        }
    }
}
