//! The house of all captured output: pipes from the services, places where their bytes go, rings of
//! the latest.
//!
//! Each captured output has one pipe for as long as the manager runs. lar holds both ends: what a
//! process wrote before it died is still there, and its successor writes into the same pipe.
//! Nothing here registers with epoll, reads a clock or logs; `run` does these, and is told with
//! [`Pace`] when to come again.
//!
//! Who has a pipe: an instance whose output goes to a file, to lar's standard output, or nowhere
//! but with a ring (`ring 0` and `transcript none` is /dev/null: no pipe, no fd, whatever the
//! number of instances), or where lar looks at it: see [`looks`].
//!
//! Invariants: nothing here waits, but for a write to a regular file; nothing allocates after
//! [`Output::new`], but an edit (`furnish`), `reopen` and a rotation; one buffer a stream and turn; a stream that
//! stopped reading before its pipe was empty is on the caller's ready list ([`Pace::More`]) or in
//! one queue of ours ([`Pace::Later`]), never nowhere; what is dropped is counted. SIGPIPE must be
//! blocked or ignored.

mod furnish;
mod notice;
mod place;
mod search;
mod stream;
mod wiring;

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::plan::{InstanceId, Plan, Probe, Process, Service};
use crate::sys::pipe;
use crate::time::{Duration, Instant};
use crate::transcript::{Page, Ring, Wall};
pub use furnish::Furniture;
use notice::Notices;
pub use notice::{News, Notice, Told, Warning};
use place::Place;
use stream::{Desktop, Standing, Stream};

/// The one buffer that everything is read into, in bytes: what one stream may take of a turn of the
/// loop, so it protects the others from one that writes without end. More was measured to gain
/// nothing.
const BUFFER: usize = 64 * 1024;

/// Reads of one stream in one turn. The usual turn needs two, the second to see that the pipe is
/// empty; a writer of single bytes would otherwise keep us for as many as fit in the buffer.
const READS: usize = 4;

/// A read of less than this, in bytes, within [`SOON`] of the one before counts as small: it cost a
/// wake-up and brought a line or so.
const SMALL: usize = 8 * 1024;

/// See [`SMALL`].
const SOON: Duration = Duration::from_millis(2);

/// After this many small reads in a row a stream is read by the tick. Less would delay (and take
/// off epoll) a service that prints three lines as it starts.
const QUICK: u8 = 8;

/// The tick, under load: a line may come this much later. Measured with a program that writes lines
/// of 100 bytes one by one as fast as it can: 0.8 ms of CPU time a MB, where `cat > file` takes 2
/// to 3, at no less speed. The least that epoll can wait, as a pipe that fills up meanwhile holds
/// its service back.
const TICK: Duration = Duration::from_millis(1);

/// One captured output; the index of its token in `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(pub u32);

impl StreamId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// When to come again with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pace {
    /// In the next turn: there is more. Put it on the ready list.
    More,
    /// When epoll says so: its pipe was empty. Register it, if it was taken off epoll.
    Drained,
    /// When [`Output::due`] hands it out. Until then its pipe need not be watched; taken off epoll,
    /// it costs no wake-up for each write.
    Later,
}

/// What one turn of a stream came to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    /// So many bytes, and there may be more.
    Read(usize),
    /// So many bytes, and the pipe was empty.
    Dry(usize),
    /// It has to wait for its place.
    Held,
    /// What its last process wrote is passed on.
    Ended,
}

/// Where an output of an instance goes.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Inherit,
    Null,
    Stream(StreamId),
}

/// What an instance has here.
#[derive(Debug)]
struct Desk {
    stdout: Wire,
    stderr: Wire,
    ring: Option<Ring>,
    /// How many bytes were read from it so far.
    read: u64,
}

/// The text that a process is to write when it is ready, if that is how it says so.
pub fn sought(process: &Process) -> Option<&str> {
    match &process.ready {
        Some(Probe::Log(text)) => Some(text),
        _ => None,
    }
}

/// Whether lar has to see what a process writes, whether or not it is kept: for its readiness, or because it may not be
/// silent for long.
pub fn looks(service: &Service, process: &Process) -> bool {
    let timed = service.log_activity_timeout.is_some() && process.log_file.is_none();
    timed || sought(process).is_some()
}

/// See the top of this page.
#[derive(Debug)]
pub struct Output {
    foreground: bool,
    places: Vec<Place>,
    /// How many streams each place has; with none it is nobody's, and may become another.
    shares: Vec<u32>,
    streams: Vec<Option<Stream>>,
    desks: Vec<Desk>,
    /// Streams of former definitions: read until their instance has its next process.
    former: Vec<(InstanceId, StreamId)>,
    null: Option<OwnedFd>,
    /// Places that can't be written now.
    ailing: Vec<u32>,
    /// Streams that wait for their place.
    held: Vec<StreamId>,
    /// Streams whose place may take bytes again.
    woken: VecDeque<StreamId>,
    /// Streams that wait for the tick, the earliest first.
    ticking: VecDeque<(Instant, StreamId)>,
    buffer: Vec<u8>,
    page: Page,
    notices: Notices,
    /// Who has written what was looked for; each once.
    found: Vec<InstanceId>,
}

impl Output {
    /// Makes the pipes and opens the files of a plan, and says what could not be had: those
    /// services run all the same, and files are tried again. `foreground` decides what
    /// [`Target::Default`] is.
    ///
    /// [`Target::Default`]: crate::plan::Target::Default
    pub fn new(plan: &Plan, foreground: bool, now: Instant) -> (Output, Vec<Warning>) {
        wiring::build(plan, foreground, now)
    }

    /// What an instance's processes get as fds 1 and 2: ours to keep, theirs to duplicate.
    pub fn stdio(&self, instance: InstanceId) -> (RawFd, RawFd) {
        self.desks.get(instance.index()).map_or((1, 2), |desk| self.fds(desk))
    }

    fn fds(&self, desk: &Desk) -> (RawFd, RawFd) {
        let fd = |wire: Wire, own: RawFd| match wire {
            Wire::Inherit => own,
            Wire::Null => self.null.as_ref().map_or(own, AsRawFd::as_raw_fd),
            Wire::Stream(id) => {
                let stream = self.streams.get(id.index()).and_then(Option::as_ref);
                stream.map_or(own, |stream| stream.writer.as_raw_fd())
            }
        };
        (fd(desk.stdout, 1), fd(desk.stderr, 2))
    }

    /// Every stream and the fd to watch for it (readable, edge-triggered).
    pub fn sources(&self) -> impl Iterator<Item = (StreamId, RawFd)> + '_ {
        let all = (0..).zip(&self.streams);
        all.filter_map(|(id, stream)| Some((StreamId(id), stream.as_ref()?.reader.as_raw_fd())))
    }

    /// The latest output of an instance, if it is captured and has a ring.
    pub fn ring(&self, instance: InstanceId) -> Option<&Ring> {
        self.desks.get(instance.index())?.ring.as_ref()
    }

    /// How many bytes were read of an instance's output since there is one.
    pub fn activity(&self, instance: InstanceId) -> u64 {
        self.desks.get(instance.index()).map_or(0, |desk| desk.read)
    }

    /// Somebody who has written, since its last start, what was looked for ([`sought`]). Told once.
    pub fn poll_found(&mut self) -> Option<InstanceId> {
        self.found.pop()
    }

    /// Whose stream it is.
    pub fn owner(&self, id: StreamId) -> Option<InstanceId> {
        self.streams.get(id.index()).and_then(Option::as_ref).map(|stream| InstanceId(stream.desk))
    }

    /// Makes an instance's pipes as its next process expects them, whatever the last one did to
    /// them. One system call each; a failure leaves them as they are. From then on the text that says that it is ready
    /// is looked for.
    pub fn before_spawn(&mut self, instance: InstanceId) {
        let Some(desk) = self.desks.get(instance.index()) else { return };
        for id in desk.streams() {
            if let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut) {
                let _ = pipe::restore(&stream.writer);
                if let Some(search) = &mut stream.search {
                    search.start(pipe::unread(&stream.reader));
                }
            }
        }
    }

    /// Reads one buffer of a stream and passes it on. `wall` is the time of the lines that end in
    /// it.
    pub fn readable(&mut self, id: StreamId, now: Instant, wall: Wall) -> Pace {
        match self.streams.get(id.index()).and_then(Option::as_ref) {
            Some(stream) if stream.standing == Standing::Awake => {}
            Some(_) => return Pace::Later,
            None => return Pace::Drained,
        }
        let turn = self.turn(id, now, wall);
        let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut) else {
            return Pace::Drained;
        };
        let gap = if stream.quick < QUICK { SOON } else { SOON + TICK * 2 };
        let soon = now.since(stream.last) < gap;
        stream.last = now;
        let (count, usual) = match turn {
            Turn::Read(count) => (count, Pace::More),
            Turn::Dry(count) => (count, Pace::Drained),
            Turn::Ended => return Pace::More,
            Turn::Held => {
                self.hold(id);
                return Pace::Later;
            }
        };
        // What the tick gathered is large: that is no reason to leave it.
        if count >= SMALL {
            return usual;
        }
        if count == 0 || !soon {
            stream.quick = 0;
            return usual;
        }
        if stream.quick < QUICK {
            stream.quick += 1;
            return usual;
        }
        stream.standing = Standing::Ticking;
        self.ticking.push_back((now + TICK, id));
        Pace::Later
    }

    /// A process of this instance has ended: passes on what it left in the pipes, and ends its
    /// unterminated line. Bounded by what is in the pipes now: a grandchild that goes on writing
    /// can't keep us. If the place holds back, the rest follows when it takes bytes again.
    pub fn drain(&mut self, instance: InstanceId, now: Instant, wall: Wall) {
        let Some(desk) = self.desks.get(instance.index()) else { return };
        let streams = desk.streams();
        let mut at = 0;
        while let Some(&(whose, id)) = self.former.get(at) {
            at += 1;
            if whose == instance {
                self.drain_stream(id, now, wall);
            }
        }
        for id in streams {
            self.drain_stream(id, now, wall);
        }
    }

    fn drain_stream(&mut self, id: StreamId, now: Instant, wall: Wall) {
        if let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut) {
            stream.ending = Some(pipe::unread(&stream.reader));
            self.until_ended(id, now, wall);
        }
    }

    /// Turns until what a stream's last process wrote is passed on, or is held back.
    fn until_ended(&mut self, id: StreamId, now: Instant, wall: Wall) {
        while self
            .streams
            .get(id.index())
            .and_then(Option::as_ref)
            .is_some_and(|stream| stream.ending.is_some())
        {
            match self.turn(id, now, wall) {
                Turn::Read(_) | Turn::Dry(_) | Turn::Ended => {}
                Turn::Held => return self.hold(id),
            }
        }
    }

    /// When [`Output::due`] has something to do; `None` if nothing waits for time.
    pub fn next_deadline(&self) -> Option<Instant> {
        let woken = self.woken.front().map(|_| Instant::ZERO);
        let tick = self.ticking.front().map(|(at, _)| *at);
        let places = self.ailing.iter().filter_map(|id| self.places.get(*id as usize));
        let retry = places.map(Place::next).min();
        [woken, tick, retry].into_iter().flatten().min()
    }

    /// Tries the places whose time has come, and gives a stream to read now; until `None`.
    pub fn due(&mut self, now: Instant) -> Option<StreamId> {
        self.retry(now);
        let id = match self.woken.pop_front() {
            Some(id) => id,
            None => {
                self.ticking.front().filter(|(at, _)| *at <= now)?;
                self.ticking.pop_front()?.1
            }
        };
        if let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut) {
            stream.standing = Standing::Awake;
        }
        Some(id)
    }

    /// Opens every file anew, the new one before the old one is let go. Each path with its result.
    pub fn reopen(&mut self, now: Instant) -> Vec<(String, Result<(), Errno>)> {
        let used = self.places.iter_mut().zip(&self.shares).filter(|(_, shares)| **shares > 0);
        let files = used.map(|(place, _)| place).filter(|place| !place.is_stdout());
        files.map(|place| (place.path.to_string(), place.reopen(now))).collect()
    }

    /// The next thing to report; `None` if there is none.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop()
    }

    /// A notice as a message.
    pub fn tell(&self, notice: Notice) -> Told<'_> {
        let place = self.places.get(notice.place as usize);
        Told { name: place.map_or("output", |place| &place.path), news: notice.news }
    }

    /// At the manager's end: passes on what is in all pipes, and gives a standard output that holds
    /// back up to `wait` to take it. The one function here that waits; call it when nothing else is
    /// left to do.
    pub fn close(&mut self, wait: Duration, now: Instant, wall: Wall) {
        for id in 0..self.desks.len() as u32 {
            self.drain(InstanceId(id), now, wall);
        }
        let start = std::time::Instant::now();
        while start.elapsed() < wait && self.places.iter().any(Place::can_recover_soon) {
            let now = now + start.elapsed();
            self.places.iter_mut().for_each(|place| place.hurry(now, 10));
            while let Some(id) = self.due(now) {
                self.until_ended(id, now, wall);
            }
        }
    }

    fn turn(&mut self, id: StreamId, now: Instant, wall: Wall) -> Turn {
        let Output { streams, places, desks, buffer, page, notices, ailing, .. } = self;
        let Some(stream) = streams.get_mut(id.index()).and_then(Option::as_mut) else {
            return Turn::Dry(0);
        };
        let place = stream.place.and_then(|place| places.get_mut(place as usize));
        let well = place.as_ref().is_some_and(|place| !place.ails());
        let mut desktop = Desktop { place, page, notices, now, wall };
        let desk = desks.get_mut(stream.desk as usize);
        let (turn, has_found) = one_turn(stream, &mut desktop, desk, buffer);
        if let (true, Some(place), Some(number)) = (well, desktop.place, stream.place)
            && place.ails()
        {
            ailing.push(number);
        }
        if has_found {
            stream.search.iter_mut().for_each(|search| search.stop());
            let instance = InstanceId(stream.desk);
            self.has_found(instance);
        }
        turn
    }

    /// The text is there: neither of its streams is searched any more.
    fn has_found(&mut self, instance: InstanceId) {
        self.found.push(instance);
        let Some(desk) = self.desks.get(instance.index()) else { return };
        for id in desk.streams() {
            let stream = self.streams.get_mut(id.index()).and_then(Option::as_mut);
            stream.and_then(|stream| stream.search.as_mut()).into_iter().for_each(|it| it.stop());
        }
    }

    fn hold(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut)
            && stream.standing == Standing::Awake
        {
            stream.standing = Standing::Held;
            self.held.push(id);
        }
    }

    fn retry(&mut self, now: Instant) {
        let Output { places, streams, ailing, held, woken, notices, .. } = self;
        ailing.retain(|id| {
            let Some(place) = places.get_mut(*id as usize) else { return false };
            if place.retry(now, notices) {
                held.retain(|stream| {
                    let waits = streams
                        .get(stream.index())
                        .and_then(Option::as_ref)
                        .is_none_or(|s| s.place != Some(*id));
                    if !waits {
                        woken.push_back(*stream);
                    }
                    waits
                });
            }
            place.ails()
        });
    }
}

impl Desk {
    /// Its streams, each once.
    fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        let id = |wire: Wire| if let Wire::Stream(id) = wire { Some(id) } else { None };
        let (stdout, stderr) = (id(self.stdout), id(self.stderr));
        stdout.into_iter().chain(stderr.filter(|id| stdout != Some(*id)))
    }
}

/// One read, passed on. Whether what is looked for was in it, too.
fn one_turn(
    stream: &mut Stream,
    desktop: &mut Desktop<'_>,
    desk: Option<&mut Desk>,
    buffer: &mut [u8],
) -> (Turn, bool) {
    if !stream.pass_rest(desktop) {
        return (Turn::Held, false);
    }
    if stream.ending == Some(0) {
        stream.finish(desktop);
        return (Turn::Ended, false);
    }
    let room = stream.room().min(stream.ending.unwrap_or(BUFFER)).min(buffer.len());
    let (count, dry) = pipe::fill(&stream.reader, &mut buffer[..room], READS);
    let bytes = &buffer[..count];
    if let Some(desk) = desk {
        desk.read += count as u64;
        if let Some(ring) = &mut desk.ring {
            ring.push(bytes);
        }
    }
    let found = stream.search.as_mut().is_some_and(|search| search.find(bytes));
    let taken = stream.pass(bytes, desktop);
    stream.rest.extend_from_slice(bytes.get(taken..).unwrap_or(&[]));
    if let Some(left) = &mut stream.ending {
        *left = if dry { 0 } else { left.saturating_sub(count) };
    }
    let turn = match (stream.is_held(desktop), dry) {
        (true, _) => Turn::Held,
        (false, true) => Turn::Dry(count),
        (false, false) => Turn::Read(count),
    };
    (turn, found)
}
