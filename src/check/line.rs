//! A line on an fd says that a service is ready (s6's protocol).
//!
//! The pipe is made once and lar holds both ends, so nothing is made at a start. What the line says does not matter.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::sys::pipe;

/// How much is read at once, in bytes: usually there is one.
const CHUNK: usize = 512;

/// One instance's pipe.
pub struct Line {
    reader: OwnedFd,
    /// Kept for the next process; while it is open, the pipe never ends.
    writer: OwnedFd,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The end of a line.
    Line,
    /// Something else; there may be more.
    Other,
    /// Nothing more for now.
    Nothing,
}

impl Line {
    /// A pipe. EMFILE near the limit of open files.
    pub fn new() -> Result<Line, Errno> {
        let (reader, writer) = pipe::make_to_capture()?;
        Ok(Line { reader, writer })
    }

    /// What is to be polled.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// The program's end.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// The same, by its number.
    pub fn writer(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Reads some. Call until [`Heard::Nothing`].
    pub fn hear(&mut self) -> Heard {
        let mut bytes = [0; CHUNK];
        let (count, dry) = pipe::fill(&self.reader, &mut bytes, 1);
        match bytes.iter().take(count).any(|&byte| byte == b'\n') {
            true => Heard::Line,
            false if count == 0 && dry => Heard::Nothing,
            false => Heard::Other,
        }
    }

    /// Forgets what a former process wrote and did to the pipe, so that it can't speak for the next one.
    pub fn reset(&mut self) {
        let mut left = pipe::unread(&self.reader);
        let mut bytes = [0; CHUNK];
        while left > 0 {
            let (count, dry) = pipe::fill(&self.reader, &mut bytes, 1);
            left = if dry { 0 } else { left.saturating_sub(count) };
        }
        // As for output, a failure leaves it as it is.
        let _ = pipe::restore(&self.writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::unistd::write;

    #[test]
    fn the_end_of_a_line_is_what_counts() {
        let mut line = Line::new().unwrap();
        assert_eq!(line.hear(), Heard::Nothing);
        write(&line.writer, b"almost").unwrap();
        assert_eq!((line.hear(), line.hear()), (Heard::Other, Heard::Nothing));
        write(&line.writer, b" there\nand more").unwrap();
        assert_eq!((line.hear(), line.hear()), (Heard::Line, Heard::Nothing));
        let long = [vec![b'x'; CHUNK * 2], b"\n".to_vec()].concat();
        write(&line.writer, &long).unwrap();
        assert_eq!(
            [line.hear(), line.hear(), line.hear()],
            [Heard::Other, Heard::Other, Heard::Line]
        );
    }

    #[test]
    fn what_a_former_process_left_is_forgotten() {
        let mut line = Line::new().unwrap();
        write(&line.writer, &[b'\n'; CHUNK * 3 + 1]).unwrap();
        fcntl(&line.writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        line.reset();
        assert_eq!(line.hear(), Heard::Nothing);
        let flags = OFlag::from_bits_retain(fcntl(&line.writer, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
    }
}
