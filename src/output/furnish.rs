//! Output of instances that come, go, or are defined anew while lar runs.
//!
//! What an instance is to have is made first ([`Output::furnish`]), where a failure still changes nothing; it is its
//! own once the core has named it ([`Output::install`]). What it had before is read until its next process starts.

use std::collections::HashMap;

use super::place::Place;
use super::stream::{Desktop, HOLD, Stream};
use super::wiring::{Slot, Wiring, colours, pipe_size};
use super::{Desk, Output, READS, StreamId, Warning, Wire};
use crate::plan::{Format, InstanceId, OnFull, Process, Service};
use crate::sys::pipe;
use crate::time::Instant;
use crate::transcript::{Framer, Ring, Wall};

/// What an instance is to have here, once it is known which instance that is.
#[derive(Debug)]
pub struct Furniture(Desk);

impl Furniture {
    /// Its streams.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        self.0.streams()
    }
}

impl Output {
    /// Makes the pipes, and opens the files, of one instance, or of a run with this number. The error is a warning's:
    /// no pipe could be had.
    /// Warnings are of files that can't be written now, and are tried again.
    pub fn furnish(
        &mut self,
        service: &Service,
        (number, run): (u32, bool),
        process: &Process,
        now: Instant,
    ) -> Result<(Furniture, Vec<Warning>), Warning> {
        let used = |(id, place): (u32, &Place)| match self.shares.get(id as usize) {
            _ if place.is_stdout() => Some((String::new(), id)),
            Some(0) | None => None,
            Some(_) => Some((place.path.to_string(), id)),
        };
        let by_path: HashMap<String, u32> = (0..).zip(&self.places).filter_map(used).collect();
        let mut wiring = Wiring {
            foreground: self.foreground,
            places: std::mem::take(&mut self.places),
            by_path,
            shares: std::mem::take(&mut self.shares),
            fresh: Vec::new(),
            warnings: Vec::new(),
            colours: colours(),
        };
        let ways = wiring.ways(service, process);
        wiring.open(now);
        if self.null.is_none() {
            self.null = wiring.null(std::slice::from_ref(&ways));
        }
        let pipe = pipe_size(self.streams.iter().flatten().count() + 2);
        let mut streams = Vec::new();
        let (desk, sought) = (u32::MAX, super::sought(process));
        let slot = Slot { service, number, run, desk, pipe, sought };
        let desk = wiring.desk(slot, ways, &mut streams);
        let Wiring { places, shares, fresh, mut warnings, .. } = wiring;
        (self.places, self.shares) = (places, shares);
        let ails = |id: &u32| self.places.get(*id as usize).is_some_and(Place::ails);
        self.ailing.extend(fresh.into_iter().filter(ails));
        self.share_lines();
        let streams: Vec<StreamId> =
            streams.into_iter().map(|stream| self.shelve(stream)).collect();
        let wire = |wire: Wire| match wire {
            Wire::Stream(id) => streams.get(id.index()).map_or(Wire::Null, |id| Wire::Stream(*id)),
            other => other,
        };
        let furniture = Furniture(Desk {
            stdout: wire(desk.stdout),
            stderr: wire(desk.stderr),
            ring: desk.ring,
            read: 0,
        });
        self.make_room();
        match warnings.iter().position(|warning| matches!(warning, Warning::Pipe { .. })) {
            Some(at) => {
                self.discard(furniture);
                Err(warnings.swap_remove(at))
            }
            None => Ok((furniture, warnings)),
        }
    }

    /// What an instance's processes will get as fds 1 and 2.
    pub fn stdio_of(&self, furniture: &Furniture) -> (std::os::fd::RawFd, std::os::fd::RawFd) {
        self.fds(&furniture.0)
    }

    /// Lets what an instance writes be treated by another definition from now on, through the same pipes to the same
    /// places. A line that is not ended yet is ended.
    pub fn dress(
        &mut self,
        instance: InstanceId,
        service: &Service,
        number: u32,
        now: Instant,
        wall: Wall,
    ) {
        let Some(desk) = self.desks.get(instance.index()) else { return };
        let names = [(desk.stdout, "stdout"), (desk.stderr, "stderr")];
        let same =
            matches!((desk.stdout, desk.stderr), (Wire::Stream(a), Wire::Stream(b)) if a == b);
        for (wire, name) in names.into_iter().take(if same { 1 } else { 2 }) {
            let Wire::Stream(id) = wire else { continue };
            let Output { streams, places, page, notices, shares, foreground, .. } = self;
            let Some(stream) = streams.get_mut(id.index()).and_then(Option::as_mut) else {
                continue;
            };
            let place = stream.place.and_then(|place| places.get_mut(place as usize));
            let mut desktop = Desktop { place, page, notices, now, wall };
            let ending = stream.ending;
            stream.finish(&mut desktop);
            stream.ending = ending;
            if let Some(place) = desktop.place {
                place.set_up(service.output.format == Format::Json, None, true);
                // Whoever shares the file may want it put aside, too.
                let shared = stream.place.and_then(|place| shares.get(place as usize));
                if service.output.rotate.is_some() || shared.is_none_or(|shares| *shares <= 1) {
                    place.rotate_as(service.output.rotate);
                }
            }
            stream.firm = service.output.on_full == OnFull::Block;
            if stream.firm && stream.place.is_some() && stream.rest.capacity() == 0 {
                stream.rest.reserve_exact(HOLD);
            }
            let mut wiring = Wiring {
                foreground: *foreground,
                places: std::mem::take(places),
                by_path: HashMap::new(),
                shares: std::mem::take(shares),
                fresh: Vec::new(),
                warnings: Vec::new(),
                colours: colours(),
            };
            let slot =
                Slot { service, number, run: false, desk: instance.0, pipe: 0, sought: None };
            stream.framer = wiring.framer(slot, stream.place, name);
            (*places, *shares) = (wiring.places, wiring.shares);
        }
    }

    /// Gives an instance what was made for it. What it had is kept until [`Output::take_former`].
    pub fn install(&mut self, instance: InstanceId, furniture: Furniture) {
        let nothing = || Desk { stdout: Wire::Null, stderr: Wire::Null, ring: None, read: 0 };
        let size = self.desks.len().max(instance.index() + 1);
        self.desks.resize_with(size, nothing);
        self.found.reserve(size - self.found.len().min(size));
        for id in furniture.streams() {
            if let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::as_mut) {
                stream.desk = instance.0;
            }
        }
        if let Some(place) = self.desks.get_mut(instance.index()) {
            let old = std::mem::replace(place, furniture.0);
            self.former.extend(old.streams().map(|id| (instance, id)));
            place.read = old.read;
            // The latest lines stay to be read, unless there is to be another number of them.
            if let (Some(old), Some(new)) = (old.ring, &mut place.ring)
                && old.capacity() == new.capacity()
            {
                *new = old;
            }
        }
    }

    /// A stream that an instance had by a former definition, and does not need any more. To be released.
    pub fn take_former(&mut self, instance: InstanceId) -> Option<StreamId> {
        let at = self.former.iter().position(|(whose, _)| *whose == instance)?;
        Some(self.former.swap_remove(at).1)
    }

    /// Whether [`Output::take_former`] has any for somebody.
    pub fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// The latest output of an instance that is no more, to be kept by whoever still tells it: also what is in its
    /// pipes because their place holds back, as much as is there now.
    pub fn take_ring(&mut self, instance: InstanceId) -> Option<Ring> {
        let desk = self.desks.get_mut(instance.index())?;
        let mut ring = desk.ring.take()?;
        for id in desk.streams() {
            let Some(Some(stream)) = self.streams.get(id.index()) else { continue };
            let mut left = pipe::unread(&stream.reader);
            while left > 0 {
                let room = left.min(self.buffer.len());
                let (count, dry) = pipe::fill(&stream.reader, &mut self.buffer[..room], READS);
                ring.push(&self.buffer[..count]);
                left = if dry { 0 } else { left.saturating_sub(count) };
            }
        }
        Some(ring)
    }

    /// Leaves an instance that is no more without anything.
    pub fn clear(&mut self, instance: InstanceId) {
        if self.desks.get(instance.index()).is_some() {
            let nothing = Desk { stdout: Wire::Null, stderr: Wire::Null, ring: None, read: 0 };
            self.install(instance, Furniture(nothing));
        }
    }

    /// Undoes [`Output::furnish`]; for what was never watched.
    pub fn discard(&mut self, furniture: Furniture) {
        furniture.streams().for_each(|id| self.release(id));
    }

    /// Closes a stream that nobody watches any more. A file that it was the last to write to is closed with it.
    pub fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id.index()).and_then(Option::take) else { return };
        self.held.retain(|other| *other != id);
        self.woken.retain(|other| *other != id);
        self.ticking.retain(|(_, other)| *other != id);
        let Some(place) = stream.place else { return };
        let Some(shares) = self.shares.get_mut(place as usize) else { return };
        *shares = shares.saturating_sub(1);
        if *shares == 0
            && let Some(left) = self.places.get_mut(place as usize).filter(|it| !it.is_stdout())
        {
            *left = Place::file(place, "");
            self.ailing.retain(|other| *other != place);
        }
    }

    /// Whoever writes to a file as it comes, and is not alone with it any more, writes whole lines from now on.
    fn share_lines(&mut self) {
        for stream in self.streams.iter_mut().flatten().filter(|stream| stream.framer.passes()) {
            let shares = stream.place.and_then(|place| self.shares.get(place as usize));
            if shares.is_some_and(|shares| *shares > 1) {
                stream.framer = Framer::whole();
            }
        }
    }

    /// The number of places for streams.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Puts a stream where there is room.
    fn shelve(&mut self, stream: Stream) -> StreamId {
        match self.streams.iter().position(Option::is_none) {
            Some(at) => {
                self.streams[at] = Some(stream);
                StreamId(at as u32)
            }
            None => {
                self.streams.push(Some(stream));
                StreamId(self.streams.len() as u32 - 1)
            }
        }
    }

    /// Claims the memory that the restart path may need.
    fn make_room(&mut self) {
        let (streams, places) = (self.streams.len(), self.places.len());
        self.held.reserve(streams);
        self.woken.reserve(streams);
        self.ticking.reserve(streams);
        self.ailing.reserve(places);
        self.former.reserve(streams);
    }
}
