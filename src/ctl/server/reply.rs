//! The records of replies, produced one by one as the client's buffer has room. Nothing here
//! allocates in proportion to a reply, and nothing is computed before it can be sent.

use super::names::Targets;
use super::output;
use super::view::View;
use super::wait::failure;
use super::work::{About, Source, Subscription};
use crate::ctl::protocol::record::Buffer;
use crate::ctl::protocol::request::level_word;
use crate::plan::{InstanceId, Kind, Plan, Service, ServiceId};
use crate::supervisor::Phase;
use crate::supervisor::journal::Entry;
use crate::time::{Duration, Instant};

/// The most of a service's own status text that a record carries, in bytes. A record must fit into
/// a client's buffer whatever a service says, even if each byte is escaped as four.
const STATUS_TEXT: usize = 1024;

/// The most of a configuration line that one record carries, in bytes; for the same reason.
const PIECE: usize = 2048;

/// The message of an error as far as it fits into a record: it may quote what a client said, at any length.
pub fn cut_message(message: &str) -> &str {
    cut(message, PIECE)
}

/// How far one step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record was written, or passed over; there may be more.
    Wrote,
    /// The buffer has no room for the next record.
    Full,
    /// There is nothing now, but there may be later.
    Later,
    /// That was all.
    Done,
}

impl Step {
    fn wrote(fit: bool) -> Step {
        if fit { Step::Wrote } else { Step::Full }
    }
}

/// Writes the next record of `source`.
pub fn step(source: &mut Source, view: &View, out: &mut Buffer) -> Step {
    match source {
        Source::Nothing => Step::Done,
        Source::Manager(about) => {
            let fit = manager(*about, view, out);
            if fit {
                *source = Source::Nothing;
            }
            Step::wrote(fit)
        }
        Source::Status { targets, done, line, output } => {
            let Some(id) = targets.get(*done) else { return Step::Done };
            status_step(id, view, out, done, line, *output)
        }
        Source::Pids(targets, done) => each(targets, done, |id| {
            let pid = view.supervisor.instance(id).pid;
            let name = view.supervisor.label(id);
            pid.is_none_or(|pid| out.record().field("name", name).field("pid", pid).finish())
        }),
        Source::List(targets, done) => each_service(targets, done, view, |service, _| {
            let record = out.record().field("name", &service.name);
            let record = record.maybe("group", service.group()).field("type", kind_word(service));
            record.field("instances", service.processes.len()).finish()
        }),
        Source::Tree(targets, done) => {
            each_service(targets, done, view, |service, id| tree(service, id, view, out))
        }
        Source::Why(targets, done, told) => why(targets, done, told, view, out),
        Source::Config(targets, done, line, bytes) => config(targets, done, line, bytes, view, out),
        Source::Logs(logs) => output::step(logs, view, out),
    }
}

fn each(targets: &Targets, done: &mut usize, write: impl FnOnce(InstanceId) -> bool) -> Step {
    let Some(id) = targets.get(*done) else { return Step::Done };
    let fit = write(id);
    *done += usize::from(fit);
    Step::wrote(fit)
}

/// As [`each`], but only for the first of each service's instances that is meant.
fn each_service(
    targets: &Targets,
    done: &mut usize,
    view: &View,
    write: impl FnOnce(&Service, ServiceId) -> bool,
) -> Step {
    let first = done.checked_sub(1).and_then(|before| targets.get(before));
    let before = first.map(|id| view.supervisor.instance(id).service);
    each(targets, done, |id| {
        let service = view.supervisor.instance(id).service;
        before == Some(service) || write(view.supervisor.plan().service(service), service)
    })
}

fn kind_word(service: &Service) -> &'static str {
    match service.kind {
        Kind::Simple => "simple",
        Kind::Oneshot => "oneshot",
    }
}

fn status_step(
    id: InstanceId,
    view: &View,
    out: &mut Buffer,
    done: &mut usize,
    line: &mut Option<u64>,
    output: bool,
) -> Step {
    let Some(position) = line else {
        let fit = status(id, view, out);
        if fit {
            let instance = view.supervisor.instance(id);
            let ended = [Phase::Backoff, Phase::Cooldown, Phase::Failed, Phase::Exited];
            let failed = ended.contains(&instance.phase) && !view.supervisor.is_up(id);
            let ring = (view.output)(id).filter(|_| output && failed);
            *line = ring.map(|ring| output::tail(ring, output::LAST_LINES));
            *done += usize::from(line.is_none());
        }
        return Step::wrote(fit);
    };
    let wrote = (view.output)(id).map_or(Step::Done, |ring| {
        output::line(&view.supervisor.label(id), ring, position, true, out)
    });
    if wrote == Step::Done {
        *done += 1;
        *line = None;
        return Step::Wrote;
    }
    wrote
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

/// The record of one instance. Fields without a value are left out.
fn status(id: InstanceId, view: &View, out: &mut Buffer) -> bool {
    let supervisor = view.supervisor;
    let instance = supervisor.instance(id);
    let service = supervisor.plan().service(instance.service);
    let ago = |since: Instant| millis(view.now.since(since));
    let text = cut((view.status_text)(id), STATUS_TEXT);
    let cause = supervisor.describe_cause(id, instance.cause);
    let record = out.record().field("name", supervisor.label(id));
    let record = record.maybe("group", service.group()).field("instance", instance.number);
    let record = record.field("type", kind_word(service));
    let record = record.field("state", instance.phase.word());
    let record = record.field("up", yes_no(supervisor.is_up(id)));
    let record = record.field("wanted", if instance.wanted_up { "up" } else { "down" });
    let record = record.maybe("pid", instance.pid).field("since_ms", ago(instance.since));
    let uptime = instance.pid.and(instance.spawned).map(ago);
    let record = record.maybe("uptime_ms", uptime).field("restarts", instance.restarts);
    let next = instance.next.map(|next| millis(next.since(view.now)));
    let record = record.maybe("next_ms", next).maybe("last_exit", instance.last_exit);
    let record = record.maybe("text", Some(text).filter(|text| !text.is_empty()));
    record.field("cause", cause).finish()
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// At most `most` bytes of `text`.
fn cut(text: &str, most: usize) -> &str {
    let ends = |end: &usize| text.is_char_boundary(*end);
    &text[..(0..=most.min(text.len())).rev().find(ends).unwrap_or(0)]
}

fn manager(about: About, view: &View, out: &mut Buffer) -> bool {
    let record = out.record();
    let record = match about {
        About::Ping => record.field("pong", "yes").field("pid", view.pid),
        About::Pid => record.field("name", "lar").field("pid", view.pid),
        About::Level => record.field("level", level_word(view.level)),
        About::Health { up, wanted } => {
            let healthy = record.field("healthy", yes_no(up == wanted));
            healthy.field("up", up).field("wanted", wanted)
        }
        About::Version => {
            let uptime = millis(view.now.since(view.started));
            let record = record.field("version", env!("CARGO_PKG_VERSION")).field("pid", view.pid);
            let record = record.field("uptime_ms", uptime);
            record
                .field("started_ms", millis(view.wall).saturating_sub(uptime))
                .maybe("config", view.config_path.map(|path| cut(path, PIECE)))
        }
    };
    record.finish()
}

struct Names<'a>(&'a Plan, &'a [ServiceId]);

/// Names separated by blanks: no name holds one.
impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, &id) in self.1.iter().enumerate() {
            let between = if at == 0 { "" } else { " " };
            write!(f, "{between}{}", self.0.service(id).name)?;
        }
        Ok(())
    }
}

/// The most names that one field lists; a service with more dependencies shows the first of them.
/// It keeps the record within the buffer: 4 lists of 48 names of 64 bytes.
const LISTED: usize = 48;

fn tree(service: &Service, id: ServiceId, view: &View, out: &mut Buffer) -> bool {
    let list = |ids: &[ServiceId]| ids.len().min(LISTED);
    let order = &service.order;
    let mut instances = view.supervisor.instances_of(id);
    // The one that most needs a look stands for all.
    let instance = instances
        .find(|&id| !view.supervisor.is_up(id))
        .or_else(|| view.supervisor.instances_of(id).next());
    let state = instance.map(|id| view.supervisor.instance(id).phase.word());
    let mut record = out.record().field("name", &service.name).maybe("state", state);
    for (key, ids) in [
        ("requires", &order.requires),
        ("wants", &order.wants),
        ("after", &order.after),
        ("restart_with", &order.restart_with),
    ] {
        let names = (!ids.is_empty()).then(|| Names(view.supervisor.plan(), &ids[..list(ids)]));
        record = record.maybe(key, names);
    }
    record.finish()
}

fn why(
    targets: &Targets,
    done: &mut usize,
    told: &mut usize,
    view: &View,
    out: &mut Buffer,
) -> Step {
    let Some(id) = targets.get(*done) else { return Step::Done };
    let fit = match view.journal.of(id).nth(*told) {
        Some(entry) => change(entry, view, out),
        // After its history comes what it is now.
        None => {
            let fit = status(id, view, out);
            if fit {
                (*done, *told) = (*done + 1, 0);
            }
            return Step::wrote(fit);
        }
    };
    *told += usize::from(fit);
    Step::wrote(fit)
}

/// The record of one change: of `events`, `why`, and of progress.
fn change(entry: &Entry, view: &View, out: &mut Buffer) -> bool {
    let change = &entry.change;
    let record = out.record().field("seq", entry.seq).field("time_ms", millis(entry.wall));
    let record = record.field("ago_ms", millis(view.now.since(change.at)));
    let record = record.field("name", view.supervisor.label(change.instance));
    let record = record.field("from", change.from.word()).field("to", change.to.word());
    let record = record.maybe("pid", change.pid).maybe("next_ms", change.next.map(millis));
    let cause = view.supervisor.describe_cause(change.instance, change.cause);
    record.field("cause", cause).finish()
}

fn config(
    targets: &Targets,
    done: &mut usize,
    line: &mut usize,
    bytes: &mut usize,
    view: &View,
    out: &mut Buffer,
) -> Step {
    // With `all`, index 0 is the manager's own part; the instances follow.
    let own = usize::from(matches!(targets, Targets::All(_)));
    let service = match done.checked_sub(own) {
        None => None,
        Some(index) => {
            let Some(id) = targets.get(index) else { return Step::Done };
            let service = view.supervisor.instance(id).service;
            let before = index.checked_sub(1).and_then(|index| targets.get(index));
            if before.is_some_and(|id| view.supervisor.instance(id).service == service) {
                *done += 1;
                return Step::Wrote;
            }
            Some(service)
        }
    };
    // Made anew for every line: configurations are short, and looked at seldom.
    let lines = (view.config)(service);
    let Some(text) = lines.get(*line) else {
        (*done, *line, *bytes) = (*done + 1, 0, 0);
        return Step::Wrote;
    };
    let rest = text.get(*bytes..).unwrap_or_default();
    let piece = cut(rest, PIECE);
    let part = (piece.len() < rest.len()).then_some("yes");
    let fit = out.record().field("line", piece).maybe("part", part).finish();
    if fit && part.is_some() {
        *bytes += piece.len();
    } else if fit {
        (*line, *bytes) = (*line + 1, 0);
    }
    Step::wrote(fit)
}

/// Writes the next change that a subscriber has not seen. `Err`: so many have fallen out of the
/// journal.
pub fn event(subscription: &mut Subscription, view: &View, out: &mut Buffer) -> Result<Step, u64> {
    let oldest = view.journal.oldest();
    if subscription.next < oldest {
        return Err(oldest - subscription.next);
    }
    while let Some(entry) = view.journal.get(subscription.next) {
        if subscription.targets.contains(entry.change.instance) {
            let fit = change(entry, view, out);
            subscription.next += u64::from(fit);
            return Ok(Step::wrote(fit));
        }
        subscription.next += 1;
    }
    Ok(Step::Later)
}

/// Why `health` and `status` say no: the first that should be up and is not.
pub fn first_down(view: &View, targets: &Targets) -> Option<String> {
    targets.iter().find_map(|id| {
        let instance = view.supervisor.instance(id);
        let down = instance.wanted_up && !view.supervisor.is_up(id);
        down.then(|| failure(view, id, &instance))
    })
}
