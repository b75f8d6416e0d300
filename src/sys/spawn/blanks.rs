//! Variables of a program that are different each time it is run.
//!
//! An image is prepared once, and running it claims no memory. So there is a piece of memory of fixed size for these
//! lines, and places for them at the end of the environment: what does not fit is cut.

use std::ffi::c_char;
use std::fmt::{Arguments, Write};

use super::image::Image;

/// Bytes for all such lines of an image. Names, numbers and words take less than 1 KiB; the rest is for a text.
const BYTES: usize = 2048;

/// The lines, and where the environment has places for them.
#[derive(Default)]
pub(super) struct Blanks {
    /// Empty if no variable of this image is different each time.
    bytes: Box<[u8]>,
    used: usize,
    /// The first of the places.
    first: usize,
    /// How many there are.
    places: usize,
    /// How many are taken.
    taken: usize,
}

impl Blanks {
    /// So many places in the environment, from `first` on, with a null after the last.
    pub(super) fn new(first: usize, places: usize) -> Blanks {
        let bytes = if places == 0 { 0 } else { BYTES };
        Blanks { bytes: vec![0; bytes].into_boxed_slice(), used: 0, first, places, taken: 0 }
    }
}

impl Image {
    /// Takes back all variables that were set for the last run.
    pub fn clear_variables(&mut self) {
        (self.blanks.used, self.blanks.taken) = (0, 0);
        if let Some(place) = self.envp.get_mut(self.blanks.first) {
            *place = std::ptr::null();
        }
    }

    /// Sets a variable for the next run. A value that does not fit is cut at the end of a letter, and what no
    /// variable can hold in it is a `?`; without a place there is none.
    pub fn set_variable(&mut self, name: &str, value: Arguments) {
        let Blanks { bytes, used, first, places, taken } = &mut self.blanks;
        if *taken == *places {
            return;
        }
        // The zero byte after the last line has its place always.
        let end = bytes.len().saturating_sub(1);
        let Some(free) = bytes.get_mut(*used..end) else { return };
        let mut line = Line { free, length: 0 };
        if line.write_str(name).is_err() || line.write_str("=").is_err() {
            return;
        }
        let _ = line.write_fmt(value); // what does not fit is left out
        let (start, length) = (*used, line.length);
        let Some(zero) = bytes.get_mut(start + length) else { return };
        *zero = 0;
        *used += length + 1;
        let pointer = bytes.as_ptr().wrapping_add(start).cast::<c_char>();
        let at = *first + *taken;
        if let Some([place, next]) = self.envp.get_mut(at..at + 2) {
            (*place, *next) = (pointer, std::ptr::null());
            *taken += 1;
        }
    }
}

/// A line as it grows.
struct Line<'a> {
    free: &'a mut [u8],
    length: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.free.len() - self.length;
        let whole = |end: &usize| text.is_char_boundary(*end);
        let end = (0..=room.min(text.len())).rev().find(whole).unwrap_or(0);
        let Some(place) = self.free.get_mut(self.length..self.length + end) else {
            return Err(std::fmt::Error);
        };
        for (to, from) in place.iter_mut().zip(text.bytes()) {
            *to = if from == 0 { b'?' } else { from };
        }
        self.length += end;
        if end < text.len() { Err(std::fmt::Error) } else { Ok(()) }
    }
}
