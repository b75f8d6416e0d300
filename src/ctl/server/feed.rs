//! `send` and `attach`: from a client to programs.
//!
//! Their bytes follow the request's line. They are read from the client only as there is room for them, so a program
//! that reads slowly slows down its sender and nobody else; and what one client sends is not mixed with what others
//! send, unless its end was not known when it began (a terminal, a pipe).

use super::events;
use super::names::Targets;
use super::output;
use super::peer::Peer;
use super::reply::{self, Step};
use super::verbs::{Refusal, Turn, has_process};
use super::view::View;
use super::work::{Reply, Verdict, What, Work};
use super::{ClientId, Order, Server};
use crate::ctl::protocol::record::Buffer;
use crate::ctl::protocol::request::{self, Request};
use crate::exit::Code;
use crate::nearest::nearest;
use crate::plan::input::{Door, Look};
use crate::plan::{InstanceId, Service};
use crate::time::{Duration, Human, Instant};

/// How long nothing may move until a sender is told so, if it does not say how long itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most of what a program writes that one record carries, in bytes; each may be escaped as four.
const PART: usize = 2048;

/// How many lines of what was before are shown to somebody who attaches.
const TAIL: u32 = 10;

/// Bytes for programs: something that only the loop can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// To whom, and by which way each.
    pub whom: Vec<(InstanceId, u32)>,
    /// What.
    pub bytes: Vec<u8>,
    /// Whether nothing more will come.
    pub close: bool,
}

/// One program that is sent something.
#[derive(Debug)]
pub struct Target {
    id: InstanceId,
    way: u32,
    label: String,
    /// The process it is for.
    serial: u64,
    /// How many bytes it has been sent, and where the last of them is.
    sent: u64,
    end: u64,
    /// Why it does not get the rest.
    lost: Option<String>,
}

/// What is being sent.
#[derive(Debug)]
pub struct Sending {
    targets: Vec<Target>,
    ticket: u64,
    close: bool,
    wait: bool,
    patience: Duration,
    /// When the sender is told that nothing moves; later if something does.
    pub deadline: Instant,
    moved: u64,
    /// Whether part of it has been taken: nobody else comes in between.
    begun: bool,
    /// Whether the loop has all of it.
    handed: bool,
    /// Whether its end is known only when it comes.
    open: bool,
    /// Whether what has come has to wait: for others, or for room.
    waits: bool,
    /// Whether that may be over in the next turn.
    again: bool,
    /// Whether the programs' output goes to the client, too.
    attached: Option<Attached>,
}

/// What somebody who is attached is shown.
#[derive(Debug)]
struct Attached {
    /// Up to where.
    position: u64,
    /// The number of the next change.
    next: u64,
    /// How much of what was typed nobody was there to read.
    dropped: u64,
}

/// What came of it, for each program.
#[derive(Debug)]
pub struct Sent {
    label: String,
    bytes: u64,
    lost: Option<String>,
}

/// Begins to send, or says why that can't be. Nothing is sent to anybody if one of them can't have it.
pub fn begin(request: &Request, targets: &Targets, turn: &Turn) -> Result<Work, Refusal> {
    let view = turn.view;
    let way = request.stream.as_deref().unwrap_or("stdin");
    let targets: Result<Vec<Target>, Refusal> =
        targets.iter().map(|id| target(id, way, request.attaches(), view)).collect();
    let targets = targets?;
    let attached = match (request.attaches(), &targets[..]) {
        (false, _) => None,
        (true, [only]) => Some(attach(request, only, view)?),
        (true, several) => {
            let names: Vec<&str> = several.iter().map(|it| it.label.as_str()).take(4).collect();
            let message = format!("attach needs one of its instances, as in {}", names.join(", "));
            return Err((Code::Usage, message));
        }
    };
    let patience = request.timeout.unwrap_or(PATIENCE);
    Ok(Work::Send(Box::new(Sending {
        targets,
        ticket: turn.ticket.0,
        close: request.close,
        wait: request.wait,
        patience,
        deadline: view.now + patience,
        moved: 0,
        begun: false,
        handed: false,
        open: request.body == request::Body::Open,
        waits: false,
        again: false,
        attached,
    })))
}

fn target(id: InstanceId, way: &str, attaches: bool, view: &View) -> Result<Target, Refusal> {
    let supervisor = view.supervisor;
    let service = supervisor.service(supervisor.instance(id).service);
    let label = supervisor.label(id).to_string();
    let number = number(way, &label, service, attaches)?;
    has_process(supervisor, id)?;
    let look = (view.way)(id, number).unwrap_or(CLOSED);
    match look.door {
        Door::Open => {
            Ok(Target { id, way: number, label, serial: look.serial, sent: 0, end: 0, lost: None })
        }
        door => Err((Code::Failed, format!("{label}: {}", refusal(door)))),
    }
}

/// The number of the way into a service that is called `name`.
fn number(name: &str, label: &str, service: &Service, attaches: bool) -> Result<u32, Refusal> {
    if let Some(number) = service.input.way(name) {
        return Ok(number);
    }
    let streams = service.input.streams.iter().map(String::as_str);
    let message = match (name, nearest(name, streams)) {
        ("stdin", _) => {
            let look =
                if attaches { format!(", or only look: logs -f {label}") } else { "".into() };
            format!("{label} reads /dev/null; say `stdin pipe` in its section{look}")
        }
        (_, Some(near)) => format!("{label} has no stream {name}; did you mean {near}?"),
        (_, None) => format!("{label} has no stream {name}; say `streams {name}` in its section"),
    };
    Err((Code::Failed, message))
}

/// That an instance has a stream of this name.
pub fn known(name: &str, id: InstanceId, view: &View) -> Result<(), Refusal> {
    let service = view.supervisor.service(view.supervisor.instance(id).service);
    let label = view.supervisor.label(id).to_string();
    let number = number(name, &label, service, true)?;
    match number {
        0 => Err((Code::Failed, format!("{label}: nothing can be read of its standard input"))),
        _ => Ok(()),
    }
}

/// What is not there.
const CLOSED: Look = Look { serial: 0, door: Door::Nobody, taken: 0, written: 0, room: 0 };

fn refusal(door: Door) -> &'static str {
    match door {
        Door::Open => "it is open",
        Door::Nobody => "its process has ended; the next one has another input",
        Door::Finished => "its input was ended (--close); its next process has another one",
        Door::Refused => "it has closed its input; its next process has another one",
    }
}

fn attach(request: &Request, target: &Target, view: &View) -> Result<Attached, Refusal> {
    let Some(ring) = ring(target.id, target.way, view) else {
        let label = &target.label;
        let message = format!(
            "{label}: no output is kept (transcript inherit, or ring 0); only `send` can be used"
        );
        return Err((Code::Failed, message));
    };
    let position = output::tail(ring, request.lines.unwrap_or(TAIL));
    Ok(Attached { position, next: view.journal.next(), dropped: 0 })
}

fn ring<'a>(id: InstanceId, way: u32, view: &View<'a>) -> Option<&'a crate::transcript::Ring> {
    if way == 0 { (view.output)(id) } else { (view.stream)(id, way) }
}

impl Sending {
    /// Who gets something here.
    pub fn whom(&self) -> impl Iterator<Item = (InstanceId, u32)> + '_ {
        self.live().map(|target| (target.id, target.way))
    }

    /// Whether part of it has been taken: nobody else comes in between.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Its request's number.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Whoever waits is looked at again in the next turn.
    pub fn hurry(&mut self) {
        self.again = self.waits;
    }

    /// Whether it is to be looked at at once.
    pub fn is_hurried(&self) -> bool {
        self.again
    }

    fn live(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.lost.is_none())
    }

    /// Whether a client that reads no more is kept for what it has sent before.
    pub fn lingers(&self, more: bool) -> bool {
        match &self.attached {
            None => true,
            Some(_) => more && !self.waits,
        }
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Instant> {
        let moves = self.attached.is_none() && (!self.open || self.waits || self.handed);
        moves.then_some(self.deadline)
    }

    /// Whether more of the body is to be read from the client.
    pub fn reads(&self) -> bool {
        !self.handed
    }

    /// Up to where the programs have been given it.
    pub fn taken(&mut self, ends: &[u64]) {
        let live = self.targets.iter_mut().filter(|target| target.lost.is_none());
        live.zip(ends).for_each(|(target, end)| target.end = *end);
    }

    /// Somebody is no more.
    pub fn forget(&mut self, gone: InstanceId) {
        for target in self.targets.iter_mut().filter(|target| target.id == gone) {
            target.lost = Some("it was removed".into());
        }
    }

    /// Notes who does not get the rest.
    fn look(&mut self, view: &View) {
        let (handed, attached) = (self.handed, self.attached.is_some());
        for target in self.targets.iter_mut().filter(|target| target.lost.is_none() && !attached) {
            let look = (view.way)(target.id, target.way).unwrap_or(CLOSED);
            let same = look.serial == target.serial;
            let lost = match look.door {
                _ if same && handed && look.written >= target.end => None,
                _ if !same => Some(refusal(Door::Nobody)),
                Door::Open => None,
                Door::Finished if handed => None,
                door => Some(refusal(door)),
            };
            target.lost = lost.map(str::to_owned);
        }
    }
}

impl Server {
    /// Lets clients hand on what they send to programs: one at a time to each, who asked first comes first.
    pub(super) fn feed(&mut self, view: &View) {
        let sending = |(slot, peer): (usize, &Option<Box<Peer>>)| match &peer.as_ref()?.work {
            Work::Send(sending) => Some((!sending.begun(), sending.ticket(), slot)),
            _ => None,
        };
        let mut line: Vec<_> = self.peers.iter().enumerate().filter_map(sending).collect();
        line.sort_unstable();
        let (mut before, mut fed) = (Vec::new(), false);
        for (_, _, slot) in line {
            let Some(peer) = self.peers.get_mut(slot).and_then(Option::as_mut) else { continue };
            peer.gather();
            let its = next(peer, &before, view);
            if let Work::Send(sending) = &peer.work
                && (sending.begun() || !matches!(its, Next::Nothing))
            {
                before.extend(sending.whom());
            }
            if let Next::Feed(feed) = its {
                let client = ClientId { slot, serial: peer.serial };
                self.orders.push_back((client, Order::Feed(feed)));
                fed = true;
            }
        }
        // Who had to wait for somebody who is done comes next, and nothing else would say so.
        for peer in self.peers.iter_mut().flatten().filter(|_| fed) {
            if let Work::Send(sending) = &mut peer.work {
                sending.hurry();
            }
        }
    }
}

/// What the next bytes of a client come to.
pub enum Next {
    /// There are none.
    Nothing,
    /// They have to wait for others, or for room.
    Waits,
    /// These go to programs.
    Feed(Feed),
}

/// Takes the next bytes for programs from a client, unless `others` come first there.
pub fn next(peer: &mut Peer, others: &[(InstanceId, u32)], view: &View) -> Next {
    let (have, whole, full) = (peer.gathered(), peer.is_whole(), peer.is_full());
    let Work::Send(sending) = &mut peer.work else { return Next::Nothing };
    (sending.waits, sending.again) = (false, false);
    sending.look(view);
    // In line are only those who have all they want to send, or much of it: who is slow holds up nobody.
    let ready = whole || full || sending.open && have > 0;
    if sending.handed || !ready {
        return Next::Nothing;
    }
    let whom: Vec<_> = sending.whom().collect();
    if whom.is_empty() {
        return Next::Nothing;
    }
    if whom.iter().any(|it| others.contains(it)) {
        sending.waits = true;
        return Next::Waits;
    }
    let room = |&(id, way): &(InstanceId, u32)| match (view.way)(id, way).unwrap_or(CLOSED) {
        Look { door: Door::Open, room, .. } => room,
        _ => usize::MAX, // nobody is there to whom it could come
    };
    let count = whom.iter().map(room).min().unwrap_or(0).min(have);
    if count == 0 && have > 0 {
        sending.waits = true;
        return Next::Waits;
    }
    let last = whole && count == have;
    sending.begun = !last && !sending.open;
    sending.handed = last;
    let close = last && sending.close;
    for target in sending.targets.iter_mut().filter(|target| target.lost.is_none()) {
        target.sent += count as u64;
    }
    let open = |&(id, way): &(InstanceId, u32)| {
        (view.way)(id, way).is_some_and(|look| look.door == Door::Open)
    };
    if let Some(attached) = sending.attached.as_mut().filter(|_| !whom.iter().any(open)) {
        attached.dropped += count as u64;
        let _ = peer.take_body(count);
        return Next::Nothing;
    }
    let bytes = peer.take_body(count);
    match bytes.is_empty() && !close {
        true => Next::Nothing,
        false => Next::Feed(Feed { whom, bytes, close }),
    }
}

/// Goes on with what a client is told.
pub fn step(peer: &mut Peer, view: &View) -> Step {
    let (whole, ended) = (peer.is_whole(), peer.ended());
    let Peer { work, output, .. } = peer;
    let Work::Send(sending) = work else { return Step::Done };
    sending.look(view);
    let ways = sending.live().filter_map(|it| (view.way)(it.id, it.way));
    let moved = ways.fold(0, |sum: u64, look| sum.wrapping_add(look.written));
    if moved != sending.moved || sending.deadline().is_none() {
        (sending.moved, sending.deadline) = (moved, view.now + sending.patience);
    }
    if sending.attached.is_some() {
        return match show(sending, view, output) {
            Step::Done => {
                let verdict = verdict(sending);
                finish(peer, verdict)
            }
            step => step,
        };
    }
    if sending.live().next().is_none() {
        let verdict = verdict(sending);
        return finish(peer, verdict);
    }
    if ended && !whole && !sending.handed {
        let message = "its end came before all the bytes that were announced".to_owned();
        return finish(peer, Verdict::Error(Code::Usage.word(), message));
    }
    let there = |it: &Target| (view.way)(it.id, it.way).is_some_and(|look| look.written >= it.end);
    if sending.handed && (!sending.wait || sending.live().all(there)) {
        let verdict = verdict(sending);
        return finish(peer, verdict);
    }
    if !sending.wait && sending.waits {
        let message = "it reads too slowly: there is no room in its buffer (--no-wait)".to_owned();
        return finish(peer, Verdict::Error(Code::Failed.word(), message));
    }
    if sending.deadline <= view.now {
        let slow = sending.live().find(|it| !there(it) || !sending.handed);
        let label = slow.map_or("it", |it| it.label.as_str());
        let message = format!(
            "{label} has read nothing for {}; what lar has taken for it stays in line",
            Human(sending.patience)
        );
        return finish(peer, Verdict::Error(Code::TimedOut.word(), message));
    }
    Step::Later
}

fn verdict(sending: &Sending) -> Verdict {
    let lost = sending.targets.iter().find_map(|it| Some((&it.label, it.lost.as_ref()?)));
    match lost {
        None => Verdict::Ok,
        Some((label, why)) => Verdict::Error(Code::Failed.word(), format!("{label}: {why}")),
    }
}

/// Ends it: what came of it for each program, then the last line.
fn finish(peer: &mut Peer, verdict: Verdict) -> Step {
    let Work::Send(sending) = &mut peer.work else { return Step::Done };
    let attached = sending.attached.is_some();
    let targets = std::mem::take(&mut sending.targets).into_iter().filter(|_| !attached);
    let sent = targets.map(|it| Sent { label: it.label, bytes: it.sent, lost: it.lost });
    peer.work = Work::Reply(Reply::own(What::Sent(sent.collect()), verdict));
    Step::Wrote
}

/// The record number `at` of what came of it.
pub fn record(sent: &[Sent], at: u64, out: &mut Buffer) -> reply::Told {
    let Some(Sent { label, bytes, lost }) = sent.get(at as usize) else { return Ok(None) };
    let record = out.record().field("name", label).field("bytes", bytes);
    reply::told(record.maybe("error", lost.as_ref()).finish(), Some(at + 1))
}

/// Shows what is new to somebody who is attached: what its program writes, as it comes, and what becomes of it.
fn show(sending: &mut Sending, view: &View, out: &mut Buffer) -> Step {
    let Sending { targets, attached: Some(attached), handed, .. } = sending else {
        return Step::Done;
    };
    let Some(target) = targets.first().filter(|it| it.lost.is_none()) else { return Step::Done };
    if let Some(ring) = ring(target.id, target.way, view) {
        let (from, head, tail) = ring.since(attached.position);
        if from > attached.position {
            let lost = out.record().field("name", &target.label);
            let fit = lost.field("lost_bytes", from - attached.position).finish();
            attached.position = if fit { from } else { attached.position };
            return Step::wrote(fit);
        }
        let part = if head.is_empty() { tail } else { head };
        let part = part.get(..PART).unwrap_or(part);
        if !part.is_empty() {
            let fit = out.record().field("name", &target.label).bytes("data", part).finish();
            attached.position += if fit { part.len() as u64 } else { 0 };
            return Step::wrote(fit);
        }
    }
    if attached.dropped > 0 {
        let record = out.record().field("name", &target.label);
        let fit = record.field("dropped", attached.dropped).finish();
        attached.dropped = if fit { 0 } else { attached.dropped };
        return Step::wrote(fit);
    }
    let who = Targets::Some(vec![target.id]);
    match events::progress(&who, &mut attached.next, view, out) {
        Step::Later | Step::Done => {}
        step => return step,
    }
    // Who can't say anything more stays until the process that heard it last is gone.
    let look = (view.way)(target.id, target.way).unwrap_or(CLOSED);
    let gone = look.serial != target.serial || look.door == Door::Nobody;
    if *handed && gone { Step::Done } else { Step::Later }
}
