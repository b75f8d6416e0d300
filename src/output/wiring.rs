//! From the plan to pipes, places and streams: done once, at load, where memory may be claimed and
//! files opened. What can't be had becomes a warning, never a service that does not run.

use std::collections::{HashMap, VecDeque};
use std::io::IsTerminal;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::geteuid;

use super::notice::{Notices, Warning};
use super::place::Place;
use super::search::Search;
use super::stream::{HOLD, Standing, Stream};
use super::{Desk, Output, StreamId, Wire};
use crate::plan::{self, Format, Label, OnFull, Plan, Process, Service, Target};
use crate::sys::{fd, pipe};
use crate::time::Instant;
use crate::transcript::{Frame, Framer, Page, Ring, Stamp};

/// What a pipe should hold, in bytes: what a service may write while lar does something else. The
/// kernel's own is 64 KiB; four times that halves the number of wake-ups and outlasts the longest
/// stall of a disk measured.
const PIPE: i32 = 256 * 1024;

/// What a user's pipes may hold together (pipe-user-pages-soft: 64 MiB). A user above it gets pipes
/// of two pages from then on, in all programs; so an unprivileged lar takes at most half.
const PIPES: usize = 32 * 1024 * 1024;

/// Where one output of one instance goes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Inherit,
    Null,
    Ring,
    Place(u32),
}

pub(super) struct Wiring {
    pub(super) foreground: bool,
    pub(super) places: Vec<Place>,
    pub(super) by_path: HashMap<String, u32>,
    /// How many streams each place has.
    pub(super) shares: Vec<u32>,
    /// Places that are to be opened.
    pub(super) fresh: Vec<u32>,
    pub(super) warnings: Vec<Warning>,
    /// See [`colours`].
    pub(super) colours: bool,
}

/// The instance that is being wired.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) service: &'a Service,
    pub(super) number: u32,
    /// Whether that is the number of a run.
    pub(super) run: bool,
    pub(super) desk: u32,
    /// The size of its pipes; 0 for the kernel's.
    pub(super) pipe: i32,
    /// What it writes when it is ready, if that is looked for.
    pub(super) sought: Option<&'a str>,
}

impl<'a> Slot<'a> {
    fn label(&self) -> Label<'a> {
        let standing = if self.run { plan::Standing::Run } else { plan::Standing::Regular };
        Label { standing, ..self.service.label(self.number) }
    }
}

/// The two ways of each instance, and which of them have a pipe of their own.
pub(super) struct Ways {
    stdout: Way,
    /// `None`: the same pipe.
    stderr: Option<Way>,
}

/// Whether stdout can show colours, and nobody minds them.
pub(super) fn colours() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub(super) fn build(plan: &Plan, foreground: bool, now: Instant) -> (Output, Vec<Warning>) {
    let mut wiring = Wiring {
        foreground,
        places: Vec::new(),
        by_path: HashMap::new(),
        shares: Vec::new(),
        fresh: Vec::new(),
        warnings: Vec::new(),
        colours: colours(),
    };
    let ways: Vec<Ways> = plan
        .services
        .iter()
        .flat_map(|service| service.processes.iter().map(move |process| (service, process)))
        .map(|(service, process)| wiring.ways(service, process))
        .collect();
    wiring.open(now);
    let piped = |way: &Way| matches!(way, Way::Ring | Way::Place(_));
    let all = |ways: &Ways| {
        usize::from(piped(&ways.stdout)) + usize::from(ways.stderr.as_ref().is_some_and(piped))
    };
    let count = ways.iter().map(all).sum::<usize>();
    let size = pipe_size(count);
    let null = wiring.null(&ways);
    let mut streams = Vec::with_capacity(count);
    let mut desks = Vec::with_capacity(ways.len());
    let mut next = ways.into_iter();
    for service in &plan.services {
        for ((number, process), ways) in (1..).zip(&service.processes).zip(next.by_ref()) {
            let (desk, sought) = (desks.len() as u32, super::sought(process));
            let slot = Slot { service, number, run: false, desk, pipe: size, sought };
            desks.push(wiring.desk(slot, ways, &mut streams));
        }
    }
    let mut ailing = Vec::with_capacity(wiring.places.len());
    ailing.extend((0..).zip(&wiring.places).filter(|(_, place)| place.ails()).map(|(id, _)| id));
    let output = Output {
        held: Vec::with_capacity(streams.len()),
        woken: VecDeque::with_capacity(streams.len()),
        ticking: VecDeque::with_capacity(streams.len()),
        ailing,
        foreground,
        places: wiring.places,
        shares: wiring.shares,
        streams: streams.into_iter().map(Some).collect(),
        desks,
        former: Vec::new(),
        null,
        buffer: vec![0; super::BUFFER],
        page: Page::new(),
        notices: Notices::new(),
        found: Vec::with_capacity(plan.instances()),
    };
    (output, wiring.warnings)
}

/// What each of `count` pipes may hold; 0 leaves them as they are.
pub(super) fn pipe_size(count: usize) -> i32 {
    if geteuid().is_root() {
        return PIPE;
    }
    match PIPES / count.max(1) {
        share if share >= PIPE as usize => PIPE,
        share if share >= PIPE as usize / 2 => PIPE / 2,
        _ => 0,
    }
}

impl Wiring {
    pub(super) fn ways(&mut self, service: &Service, process: &Process) -> Ways {
        let seen = service.output.ring > 0 || super::looks(service, process);
        let stdout = self.way(service, &process.transcript, seen);
        let stderr = match (&process.stderr, stdout) {
            (Some(target), _) => Some(self.way(service, target, seen)),
            (None, Way::Ring | Way::Place(_)) => None,
            (None, Way::Inherit | Way::Null) => Some(stdout),
        };
        Ways { stdout, stderr }
    }

    /// `seen`: what is kept nowhere is read all the same.
    fn way(&mut self, service: &Service, target: &Target, seen: bool) -> Way {
        let quiet = if seen { Way::Ring } else { Way::Null };
        match target {
            Target::Inherit => Way::Inherit,
            Target::None => quiet,
            Target::Default if !self.foreground => quiet,
            // A path is never empty, so this is a name that no path has.
            Target::Default | Target::Stdout => self.place(service, ""),
            // To open it anew would fail if it is a socket, and would not be one place with
            // `stdout`.
            Target::File(path) if path == "/dev/stdout" => self.place(service, ""),
            Target::File(path) => self.place(service, path),
        }
    }

    fn place(&mut self, service: &Service, path: &str) -> Way {
        let id = match self.by_path.get(path) {
            Some(id) => *id,
            None => self.new_place(path),
        };
        let output = &service.output;
        let (json, hold) = (output.format == Format::Json, output.on_full == OnFull::Block);
        self.places[id as usize].set_up(json, output.rotate, hold);
        self.shares[id as usize] += 1;
        Way::Place(id)
    }

    /// In a place that is nobody's, if there is one.
    fn new_place(&mut self, path: &str) -> u32 {
        let nobodys = |(at, shares): (usize, &u32)| *shares == 0 && !self.places[at].is_stdout();
        let free = self.shares.iter().enumerate().position(nobodys);
        let id = free.unwrap_or(self.places.len()) as u32;
        let place = match path {
            "" => Place::stdout(id),
            _ => Place::file(id, path),
        };
        match free {
            Some(at) => self.places[at] = place,
            None => {
                self.places.push(place);
                self.shares.push(0);
            }
        }
        self.by_path.insert(path.to_owned(), id);
        self.fresh.push(id);
        id
    }

    /// Opens what is new.
    pub(super) fn open(&mut self, now: Instant) {
        for id in &self.fresh {
            let place = &mut self.places[*id as usize];
            if let Err(errno) = place.open(now) {
                let path = place.path.to_string();
                self.warnings.push(Warning::Transcript { path, errno });
            }
            if place.may_stall() {
                place.set_up(false, None, true);
            }
        }
    }

    pub(super) fn null(&mut self, ways: &[Ways]) -> Option<OwnedFd> {
        let wanted = |ways: &Ways| ways.stdout == Way::Null || ways.stderr == Some(Way::Null);
        if !ways.iter().any(wanted) {
            return None;
        }
        fd::null_device()
            .map_err(|errno| {
                let errno = Errno::from_raw(errno.0);
                self.warnings.push(Warning::Null { errno });
            })
            .ok()
    }

    pub(super) fn desk(&mut self, slot: Slot<'_>, ways: Ways, streams: &mut Vec<Stream>) -> Desk {
        let mut wire = |way: Way, name: &'static str| {
            let place = match way {
                Way::Inherit => return Wire::Inherit,
                Way::Null => return Wire::Null,
                Way::Ring => None,
                Way::Place(id) => Some(id),
            };
            match self.stream(slot, place, name) {
                Ok(stream) => {
                    streams.push(stream);
                    Wire::Stream(StreamId(streams.len() as u32 - 1))
                }
                // EMFILE, most likely: lar's own fds are better than a service that does not run.
                Err(errno) => {
                    self.uncaptured(slot, errno);
                    Wire::Inherit
                }
            }
        };
        let stdout = wire(ways.stdout, "stdout");
        let stderr = match ways.stderr {
            Some(way) => wire(way, "stderr"),
            None => stdout,
        };
        let captured = [stdout, stderr].iter().any(|wire| matches!(wire, Wire::Stream(_)));
        let ring = slot.service.output.ring as usize;
        let ring = (captured && ring > 0).then(|| Ring::new(ring));
        Desk { stdout, stderr, ring, read: 0 }
    }

    /// Where there is no pipe for one, there is none for a thousand: they are told of together.
    fn uncaptured(&mut self, slot: Slot<'_>, errno: Errno) {
        let told = self.warnings.iter_mut().find_map(|warning| match warning {
            Warning::Pipe { more, .. } => Some(more),
            _ => None,
        });
        match told {
            Some(more) => *more += 1,
            None => {
                let label = slot.label().to_string();
                self.warnings.push(Warning::Pipe { label, errno, more: 0 });
            }
        }
    }

    fn stream(
        &mut self,
        slot: Slot<'_>,
        place: Option<u32>,
        name: &'static str,
    ) -> Result<Stream, Errno> {
        let service = slot.service;
        let (reader, writer) = pipe::make_to_capture()?;
        if slot.pipe > 0 {
            // Refused is fine: see `pipe::enlarge`.
            let _ = pipe::enlarge(&writer, slot.pipe);
        }
        if let Some(uid) = service.setup.identity.as_ref().and_then(|identity| identity.uid) {
            // Without the right to give it away, there is none to run as somebody else either.
            let _ = pipe::give(&writer, Some(uid), None);
        }
        let firm = service.output.on_full == OnFull::Block;
        let stalls = place.is_some_and(|id| self.places[id as usize].may_stall());
        let rest = if place.is_some() && (firm || stalls) { HOLD } else { 0 };
        Ok(Stream {
            desk: slot.desk,
            reader,
            writer,
            framer: self.framer(slot, place, name),
            search: slot.sought.map(|text| Box::new(Search::new(text))),
            place,
            firm,
            rest: Vec::with_capacity(rest),
            ending: None,
            standing: Standing::Awake,
            last: Instant::ZERO,
            quick: 0,
        })
    }

    pub(super) fn framer(
        &mut self,
        slot: Slot<'_>,
        place: Option<u32>,
        name: &'static str,
    ) -> Framer {
        let Some(id) = place else { return Framer::raw() };
        let Slot { service, run, desk, .. } = slot;
        let number = if run { 0 } else { slot.number };
        let output = &service.output;
        let stamp = output.timestamp.as_ref().map(|format| match Stamp::new(format) {
            Ok(stamp) => stamp,
            Err(_) => {
                self.warnings.push(Warning::Timestamp { format: format.clone() });
                Stamp::default()
            }
        });
        let stdout = self.places[id as usize].is_stdout();
        let prefix = output.prefix.unwrap_or(stdout);
        let label = prefix.then(|| slot.label().to_string());
        match (output.format, &stamp, &label) {
            (Format::Json, ..) => {
                let stamp = stamp.unwrap_or_default();
                Framer::dressed(Frame::json(stamp, &service.name, number, name))
            }
            (Format::Text, None, None) if self.shares[id as usize] > 1 => Framer::whole(),
            (Format::Text, None, None) => Framer::raw(),
            (Format::Text, ..) => {
                let colour = (output.colour && stdout && self.colours).then_some(desk);
                Framer::dressed(Frame::text(stamp, label.as_deref(), colour))
            }
        }
    }
}
