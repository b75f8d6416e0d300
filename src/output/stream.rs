//! One captured output: its pipe, and how its bytes become a transcript's.

use std::mem;
use std::os::fd::OwnedFd;

use super::notice::Notices;
use super::place::Place;
use super::search::Search;
use crate::time::Instant;
use crate::transcript::{Framer, Page, Wall};

/// How much is read at once from a stream that may have to hold back, in bytes: what it reads and
/// can't pass on is kept, so this is memory (touched only then). Other streams read a whole buffer.
pub(super) const HOLD: usize = 16 * 1024;

/// Whether a stream waits for its pipe, or for something else. In the queue of that name at most
/// once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// For its pipe.
    Awake,
    /// For a moment to pass, so that many small writes become one read.
    Ticking,
    /// For its place.
    Held,
}

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) desk: u32,
    pub(super) reader: OwnedFd,
    /// Kept for the next process; while it is open, the pipe never ends.
    pub(super) writer: OwnedFd,
    pub(super) framer: Framer,
    /// For the text that says that it is ready.
    pub(super) search: Option<Box<Search>>,
    pub(super) place: Option<u32>,
    pub(super) firm: bool,
    /// Bytes that were read and could not be passed on.
    pub(super) rest: Vec<u8>,
    /// How many bytes in the pipe are still the last process's; at 0 its unterminated line is
    /// ended.
    pub(super) ending: Option<usize>,
    pub(super) standing: Standing,
    pub(super) last: Instant,
    /// Small reads in a row.
    pub(super) quick: u8,
}

/// What every stream writes with.
pub(super) struct Desktop<'a> {
    pub(super) place: Option<&'a mut Place>,
    pub(super) page: &'a mut Page,
    pub(super) notices: &'a mut Notices,
    pub(super) now: Instant,
    pub(super) wall: Wall,
}

impl Stream {
    pub(super) fn may_hold(&self) -> bool {
        self.rest.capacity() > 0
    }

    /// How much of it is read in a turn, in bytes.
    pub(super) fn room(&self) -> usize {
        if self.may_hold() { HOLD } else { super::BUFFER }
    }

    pub(super) fn is_held(&self, desktop: &Desktop<'_>) -> bool {
        let holds = |place: &&mut Place| place.holds(self.firm);
        self.may_hold() && desktop.place.as_ref().is_some_and(holds)
    }

    /// Passes on what was kept. Gives whether nothing is left of it.
    pub(super) fn pass_rest(&mut self, desktop: &mut Desktop<'_>) -> bool {
        if self.is_held(desktop) {
            return false;
        }
        let mut rest = mem::take(&mut self.rest);
        let taken = self.pass(&rest, desktop);
        rest.drain(..taken);
        self.rest = rest;
        self.rest.is_empty() && !self.is_held(desktop)
    }

    /// Passes bytes on to the place. Gives how many it took: all, unless the stream is to be held
    /// back.
    pub(super) fn pass(&mut self, bytes: &[u8], desktop: &mut Desktop<'_>) -> usize {
        let Some(place) = &mut desktop.place else { return bytes.len() };
        if bytes.is_empty() {
            return 0;
        }
        if self.framer.passes() {
            place.write(bytes, self.firm, desktop.now, desktop.notices);
            return bytes.len();
        }
        self.framer.begin(desktop.wall, desktop.page);
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            taken += self.framer.feed(rest, desktop.page);
            let more = place.write(desktop.page.bytes(), self.firm, desktop.now, desktop.notices);
            desktop.page.clear();
            if !more && self.may_hold() {
                break;
            }
        }
        taken
    }

    /// Ends the unterminated line.
    pub(super) fn finish(&mut self, desktop: &mut Desktop<'_>) {
        self.ending = None;
        let Some(place) = &mut desktop.place else { return };
        self.framer.begin(desktop.wall, desktop.page);
        self.framer.finish(desktop.page);
        if !desktop.page.bytes().is_empty() {
            place.write(desktop.page.bytes(), self.firm, desktop.now, desktop.notices);
            desktop.page.clear();
        }
    }
}
