//! The records of replies, produced one by one as the client's buffer has room. Nothing here
//! allocates in proportion to a reply (but `config`, for one service at a time), and nothing is
//! computed before it can be sent.

use super::output;
use super::view::View;
use super::work::{Output, Reply, What};
use super::{events, feed};
use crate::ctl::protocol::record::{Buffer, Record};
use crate::ctl::protocol::request::level_word;
use crate::plan::{InstanceId, Kind, Service, ServiceId};
use crate::supervisor::Phase;
use crate::supervisor::Supervisor;
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
    /// Whether it `fit`.
    pub fn wrote(fit: bool) -> Step {
        if fit { Step::Wrote } else { Step::Full }
    }
}

/// The buffer has no room for the record.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// Where the next record of the same subject begins; `None` if there is none.
pub type Told = Result<Option<u64>, Full>;

/// The record was written if it `fit`; then that is what comes.
pub fn told(fit: bool, next: Option<u64>) -> Told {
    if fit { Ok(next) } else { Err(Full) }
}

/// Writes the next record of a reply.
pub fn step(reply: &mut Reply, view: &View, out: &mut Buffer) -> Step {
    let Reply { what, own, targets, done, at, pieces, .. } = reply;
    let told = match what {
        What::Nothing => return Step::Done,
        What::Events(filter) => return events::step(filter, at, view, out),
        What::Logs(logs) => return output::step(logs, view, out),
        What::Config if *own => config(None, *at, pieces, view, out),
        What::Lines if *own => piece(*at, pieces, out),
        What::Sent(sent) if *own => feed::record(sent, *at, out),
        What::Aftermath(tail) if *own => tail.line(out),
        What::Lines | What::Sent(_) => return Step::Done,
        _ if *own => told(manager(what, view, out), None),
        _ => {
            let Some(id) = targets.get(*done) else { return Step::Done };
            if !view.supervisor.has(id) {
                (*done, *at) = (*done + 1, 0);
                pieces.clear();
                return Step::Wrote;
            }
            let before = done.checked_sub(1).and_then(|before| targets.get(before));
            instance(what, id, before, *at, pieces, view, out)
        }
    };
    match told {
        Err(Full) => return Step::Full,
        Ok(Some(next)) => *at = next,
        Ok(None) => {
            *at = 0;
            pieces.clear();
            *done += usize::from(!std::mem::take(own));
        }
    }
    Step::Wrote
}

/// One record of an instance, or of its service unless that was told with the one `before`.
fn instance(
    what: &What,
    id: InstanceId,
    before: Option<InstanceId>,
    at: u64,
    pieces: &mut Vec<(String, bool)>,
    view: &View,
    out: &mut Buffer,
) -> Told {
    let service_of = |id| view.supervisor.instance(id).service;
    let service = service_of(id);
    match what {
        What::Status { output } => status_and_output(id, at, *output, pieces, view, out),
        What::Aftermath(_) => status_and_output(id, at, Output::Failed, pieces, view, out),
        What::Why => match view.journal.of(id).nth(at as usize) {
            Some(entry) => told(events::event(entry, view, out), Some(at + 1)),
            // After its history comes what it is now.
            None => told(explained(id, view, out), None),
        },
        What::Pid => {
            let pid = view.supervisor.instance(id).pid;
            let name = view.supervisor.label(id);
            let write = |pid| out.record().field("name", name).field("pid", pid).finish();
            told(pid.is_none_or(write), None)
        }
        _ if before.map(service_of) == Some(service) => Ok(None),
        What::Config => config(Some(service), at, pieces, view, out),
        What::Tree => told(tree(service, view, out), None),
        _ => told(list(view.supervisor.service(service), out), None),
    }
}

fn list(service: &Service, out: &mut Buffer) -> bool {
    let record = out.record().field("name", &service.name).maybe("group", service.group());
    record.field("type", kind_word(service)).field("instances", service.processes.len()).finish()
}

fn kind_word(service: &Service) -> &'static str {
    match service.kind {
        Kind::Simple => "simple",
        Kind::Forking => "forking",
        Kind::Oneshot => "oneshot",
    }
}

/// Whether its last output is told.
fn tells_output(id: InstanceId, whose: Output, supervisor: &Supervisor) -> bool {
    match whose {
        Output::None => false,
        Output::Failed => {
            let phase = supervisor.instance(id).phase;
            let ended = [Phase::Backoff, Phase::Cooldown, Phase::Failed, Phase::Exited];
            ended.contains(&phase) && !supervisor.is_up(id)
        }
        Output::Command(order) => {
            let errand = supervisor.errand(id).filter(|(ticket, _)| *ticket >= order);
            errand.is_some_and(|(_, outcome)| !outcome.good())
                || supervisor.stop_failure(id).is_some()
        }
    }
}

/// From here on, `at` counts the new lines of an instance's own log file: no output is ever that long.
const LOG: u64 = 1 << 62;

/// Its record, and perhaps its last output: from 1 on, `at` is a position in that, plus 1. Then what it has written to
/// its own log file.
fn status_and_output(
    id: InstanceId,
    at: u64,
    whose: Output,
    pieces: &mut Vec<(String, bool)>,
    view: &View,
    out: &mut Buffer,
) -> Told {
    let ring = (view.output)(id);
    let Some(position) = at.checked_sub(1) else {
        let tells = tells_output(id, whose, view.supervisor);
        let tail = ring.map_or(LOG, |ring| output::tail(ring, output::LAST_LINES) + 1);
        return told(status(id, view, out), tells.then_some(tail));
    };
    if at >= LOG {
        return own_log(id, at - LOG, pieces, view, out);
    }
    let Some(ring) = ring else { return Ok(None) };
    let next = output::line(&view.supervisor.label(id), ring, position, true, out)?;
    Ok(Some(next.map_or(LOG, |position| position + 1)))
}

/// The new line number `at` of its own log file.
fn own_log(
    id: InstanceId,
    at: u64,
    pieces: &mut Vec<(String, bool)>,
    view: &View,
    out: &mut Buffer,
) -> Told {
    if at == 0 && pieces.is_empty() {
        *pieces = cut_up(&(view.log)(id));
    }
    let Some((piece, more)) = pieces.get(at as usize) else { return Ok(None) };
    let record = out.record().field("name", view.supervisor.label(id)).field("text", piece);
    told(record.maybe("part", more.then_some("yes")).finish(), Some(LOG + at + 1))
}

/// As records have it.
pub fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

/// The record of one instance. Fields without a value are left out.
fn status(id: InstanceId, view: &View, out: &mut Buffer) -> bool {
    state(id, view, out).finish()
}

/// The same, with what to make of it.
fn explained(id: InstanceId, view: &View, out: &mut Buffer) -> bool {
    let record = state(id, view, out);
    let rests = view.supervisor.rests(id);
    let record = record.field("deaths", view.supervisor.instance(id).deaths);
    let record = record.maybe("rests", rests.map(|(rests, _)| rests));
    let record = record.maybe("rests_max", rests.and_then(|(_, most)| most));
    record.maybe("advice", view.supervisor.advice(id, view.now)).finish()
}

fn state<'a>(id: InstanceId, view: &View, out: &'a mut Buffer) -> Record<'a> {
    let supervisor = view.supervisor;
    let instance = supervisor.instance(id);
    let service = supervisor.service(instance.service);
    let ago = |since: Instant| millis(view.now.since(since));
    let text = cut((view.status_text)(id), STATUS_TEXT);
    let cause = supervisor.describe_cause(Some(id), instance.cause);
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
    let record = record.maybe("health", supervisor.health_word(id));
    record.maybe("doing", supervisor.doing(id)).field("cause", cause)
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// At most `most` bytes of `text`.
fn cut(text: &str, most: usize) -> &str {
    let ends = |end: &usize| text.is_char_boundary(*end);
    &text[..(0..=most.min(text.len())).rev().find(ends).unwrap_or(0)]
}

/// One record about the manager itself.
fn manager(what: &What, view: &View, out: &mut Buffer) -> bool {
    let record = out.record();
    let record = match what {
        What::Ping => record.field("pong", "yes").field("pid", view.pid),
        What::Level => record.field("level", level_word(view.level)),
        What::Health { up, wanted, text } => {
            let record = record.field("healthy", yes_no(up == wanted));
            let text = text.as_deref().map(cut_message);
            record.field("up", up).field("wanted", wanted).maybe("text", text)
        }
        What::Version => {
            let uptime = millis(view.now.since(view.started));
            let started = millis(view.wall).saturating_sub(uptime);
            let path = view.config_path.map(|path| cut(path, PIECE));
            let record = record.field("version", env!("CARGO_PKG_VERSION")).field("pid", view.pid);
            record.field("uptime_ms", uptime).field("started_ms", started).maybe("config", path)
        }
        _ => record.field("name", "lar").field("pid", view.pid),
    };
    record.finish()
}

struct Names<'a>(&'a Supervisor, &'a [ServiceId]);

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

fn tree(id: ServiceId, view: &View, out: &mut Buffer) -> bool {
    let supervisor = view.supervisor;
    let service = supervisor.service(id);
    let order = &service.order;
    // The one that most needs a look stands for all.
    let down = supervisor.instances_of(id).find(|&id| !supervisor.is_up(id));
    let instance = down.or_else(|| supervisor.instances_of(id).next());
    let state = instance.map(|id| supervisor.instance(id).phase.word());
    let mut record = out.record().field("name", &service.name).maybe("state", state);
    for (key, ids) in [
        ("requires", &order.requires),
        ("wants", &order.wants),
        ("after", &order.after),
        ("restart_with", &order.restart_with),
    ] {
        let listed = &ids[..ids.len().min(LISTED)];
        record = record.maybe(key, (!ids.is_empty()).then_some(Names(supervisor, listed)));
    }
    record.finish()
}

/// The record number `at` of a configuration, whose `pieces` are made with the first one.
fn config(
    service: Option<ServiceId>,
    at: u64,
    pieces: &mut Vec<(String, bool)>,
    view: &View,
    out: &mut Buffer,
) -> Told {
    if at == 0 && pieces.is_empty() {
        *pieces = cut_up(&(view.config)(service));
    }
    piece(at, pieces, out)
}

/// The record number `at` of lines in pieces.
fn piece(at: u64, pieces: &[(String, bool)], out: &mut Buffer) -> Told {
    let Some((piece, more)) = pieces.get(at as usize) else { return Ok(None) };
    let record = out.record().field("line", piece).maybe("part", more.then_some("yes"));
    told(record.finish(), Some(at + 1))
}

/// Lines in pieces that fit into a record, each with whether its line goes on.
pub fn cut_up(lines: &[String]) -> Vec<(String, bool)> {
    let pieces = lines.iter().flat_map(|line| in_pieces(line));
    pieces.map(|(piece, more)| (piece.to_owned(), more)).collect()
}

/// A line in pieces that fit into a record, each with whether the line goes on.
fn in_pieces(line: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let piece = cut(line, PIECE);
        rest = Some(&line[piece.len()..]).filter(|rest| !rest.is_empty());
        Some((piece, rest.is_some()))
    })
}
