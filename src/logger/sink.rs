//! Where lines of the event log end up. A write never waits.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::unistd::write;

use super::form;
use crate::sys::fd::Standard;
use crate::sys::outlet::Outlet;
use crate::sys::pipe;
use crate::transcript::Stamp;

/// The longest line, in bytes; a longer one is cut. What poll promises to take whole (PIPE_BUF):
/// one byte more could block lar on a log that nobody reads.
const LINE: usize = 4096;

/// One target.
#[derive(Debug)]
pub(super) struct Sink {
    handle: Handle,
    lost: u64,
    /// Made once: the line that confesses a loss.
    note: String,
}

#[derive(Debug)]
enum Handle {
    /// Standard output or error.
    Own(Outlet),
    /// Opened by us, and not blocking.
    File(String, Option<OwnedFd>),
}

impl Sink {
    /// `STDERR`, `STDOUT`, or a path. A file is not open yet.
    pub(super) fn new(path: &str) -> Sink {
        let handle = match path {
            "STDERR" => Handle::Own(Outlet::new(Standard::Error)),
            "STDOUT" => Handle::Own(Outlet::new(Standard::Output)),
            _ => Handle::File(path.to_owned(), None),
        };
        Sink { handle, lost: 0, note: String::with_capacity(256) }
    }

    /// The path, if it is a file.
    pub(super) fn path(&self) -> Option<&str> {
        match &self.handle {
            Handle::File(path, _) => Some(path),
            Handle::Own(_) => None,
        }
    }

    /// Opens the file (anew), and then lets the old one go.
    pub(super) fn open(&mut self) -> Result<(), Errno> {
        if let Handle::File(path, file) = &mut self.handle {
            *file = Some(pipe::append(path)?);
        }
        Ok(())
    }

    /// Writes one line, or counts it as lost.
    fn line(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.lost > 0 {
            self.note.clear();
            let time = Stamp::default().render(form::now());
            // Writing to a string never fails.
            let _ = writeln!(self.note, "{time} warn {} lines of this log were lost", self.lost);
            if self.put(self.note.as_bytes()).is_err() {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        let whole = bytes.len() <= LINE;
        let result = match bytes.get(..LINE - 1).filter(|_| !whole) {
            Some(part) => {
                let mut cut = [b'\n'; LINE];
                cut[..LINE - 1].copy_from_slice(part);
                self.put(&cut)
            }
            None => self.put(bytes),
        };
        if result.is_err() {
            self.lost += 1;
        }
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let result = match &self.handle {
                Handle::File(_, Some(file)) => write(file, rest),
                Handle::File(_, None) => Err(Errno::EBADF),
                Handle::Own(outlet) => outlet.write(rest),
            };
            match result {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                Ok(0) => return Err(Errno::ENOSPC), // to go on would be to spin
                Ok(count) => rest = rest.get(count..).unwrap_or(&[]),
            }
        }
        Ok(())
    }
}

/// What env_logger writes to: it writes each record at once.
pub(super) struct Tap(pub(super) Arc<Mutex<Sink>>);

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_drops_lines_and_says_how_many() {
        let (reader, writer) = pipe::make().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let mut sink = Sink::new(&path);
        sink.open().unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        while sink.lost < 3 {
            sink.line(&line);
        }
        let mut buffer = vec![0; 1 << 20];
        let (count, dry) = pipe::fill(&reader, &mut buffer, 100);
        assert!(dry && buffer[..count].ends_with(b"x\n"), "only whole lines were written");
        sink.line(b"next\n");
        let (count, _) = pipe::fill(&reader, &mut buffer, 100);
        let text = String::from_utf8_lossy(&buffer[..count]);
        assert!(text.ends_with(" warn 3 lines of this log were lost\nnext\n"), "{text}");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        let (reader, writer) = pipe::make().unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
        let mut sink = Sink::new(&path);
        sink.open().unwrap();
        sink.line(&[b'x'; 9000]);
        let mut buffer = vec![0; 1 << 16];
        let (count, _) = pipe::fill(&reader, &mut buffer, 100);
        assert_eq!((count, buffer[count - 1]), (LINE, b'\n'));
    }
}
