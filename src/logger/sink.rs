//! Where lines of the event log end up. A write never waits.
//!
//! A file that would grow too large is put aside when the line comes that would make it so. This opens a file: the one
//! place where a restart may do so, because it was the restart that had something to say, and only once in `max-size`
//! bytes. A line is never lost by it: if a file can't be put aside, it goes on growing.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;

use super::form;
use super::post::Post;
use crate::plan::{LogFile, Syslog, SyslogAddress};
use crate::sys::fd::Standard;
use crate::sys::outlet::Outlet;
use crate::sys::pipe;
use crate::sys::rotation::Rotation;
use crate::transcript::Stamp;

/// The longest line, in bytes; a longer one is cut. What poll promises to take whole (PIPE_BUF):
/// one byte more could block lar on a log that nobody reads.
const LINE: usize = 4096;

/// syslog(3)'s number of a warning.
const WARNING: u8 = 4;

/// One target.
#[derive(Debug)]
pub(super) struct Sink {
    /// What messages call it.
    name: Arc<str>,
    handle: Handle,
    lost: u64,
    /// Whether the latest line got through, or the failure has been told.
    ailing: bool,
    /// What has to be told elsewhere.
    news: Option<News>,
    /// Made once: the line that confesses a loss.
    note: String,
}

#[derive(Debug)]
enum Handle {
    /// Standard output or error.
    Own(Outlet),
    /// Opened by us, and not blocking.
    File(File),
    /// Somebody else's log; none if there can't be a socket.
    Post(Option<Post>, u8),
}

/// A file that we have opened.
#[derive(Debug)]
struct File {
    path: String,
    open: Option<OwnedFd>,
    /// Opened for the first line only.
    delay: bool,
    rotation: Option<Rotation>,
    /// Whether it has a size that means something.
    regular: bool,
    size: u64,
    /// Whether its last line was written in part only.
    torn: bool,
}

/// What happens to a target and can't be told there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Its lines are lost from now on.
    Failed(Errno),
    /// It can't be put aside.
    NotRotated(Errno),
}

impl Sink {
    fn new(name: &str, handle: Handle) -> Sink {
        let note = String::with_capacity(256);
        Sink { name: name.into(), handle, lost: 0, ailing: false, news: None, note }
    }

    /// `STDERR`, `STDOUT`, or a file, which is not open yet.
    pub(super) fn file(file: &LogFile) -> Sink {
        let handle = match file.path.as_str() {
            "STDERR" => Handle::Own(Outlet::new(Standard::Error)),
            "STDOUT" => Handle::Own(Outlet::new(Standard::Output)),
            path => Handle::File(File::new(path, file)),
        };
        Sink::new(&file.path, handle)
    }

    /// A syslog.
    ///
    /// # Errors
    /// Nobody listens there; whoever does later gets what is said then.
    pub(super) fn post(syslog: &Syslog) -> (Sink, Result<(), Errno>) {
        let name = match &syslog.address {
            SyslogAddress::Path(path) => path.clone(),
            SyslogAddress::Udp(address) => address.to_string(),
        };
        let post = Post::new(&syslog.address);
        let result = post.as_ref().map_err(|errno| *errno).and_then(Post::probe);
        let mut sink = Sink::new(&name, Handle::Post(post.ok(), syslog.facility));
        sink.ailing = result.is_err();
        (sink, result)
    }

    /// What messages call it.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Whether lines get through.
    pub(super) fn is_well(&self) -> bool {
        !self.ailing
    }

    /// What is to be told, once.
    pub(super) fn news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// Opens the file, unless that is for the first line to do; an error counts as told.
    pub(super) fn open(&mut self) -> Result<(), Errno> {
        match &mut self.handle {
            Handle::File(file) if !file.delay => file.reopen().inspect_err(|_| self.ailing = true),
            _ => Ok(()),
        }
    }

    /// Opens the file anew, and then lets the old one go. One that rotates is put aside, as ZConfig has it, unless
    /// that has been done or there is nothing in it. `None` for what is no file, or not open yet.
    pub(super) fn reopen(&mut self) -> Option<Result<(), Errno>> {
        let Handle::File(file) = &mut self.handle else { return None };
        if file.delay && file.open.is_none() {
            return None;
        }
        Some(file.renew())
    }

    /// Writes one line, or counts it as lost.
    fn line(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        if self.lost > 0 && self.confess().is_err() {
            self.lost += 1;
            return;
        }
        let mut cut = [if last == 0 { 0 } else { b'\n' }; LINE];
        let bytes = match bytes.get(..LINE - 1).filter(|_| bytes.len() > LINE) {
            Some(part) => {
                cut[..LINE - 1].copy_from_slice(part);
                &cut[..]
            }
            None => bytes,
        };
        if let Handle::File(file) = &mut self.handle
            && let Err(errno) = file.make_room(bytes.len())
        {
            self.news = Some(News::NotRotated(errno));
        }
        match self.put(bytes) {
            Ok(()) => self.ailing = false,
            Err(errno) => {
                self.lost += 1;
                // A reader that is slow now and then is no news.
                if !self.ailing && errno != Errno::EAGAIN {
                    self.news = Some(News::Failed(errno));
                }
                self.ailing |= errno != Errno::EAGAIN;
            }
        }
    }

    /// Writes how many lines were lost.
    fn confess(&mut self) -> Result<(), Errno> {
        self.note.clear();
        let lost = self.lost;
        // Writing to a string never fails.
        let _ = match &self.handle {
            Handle::Post(_, facility) => {
                let priority = facility * 8 + WARNING;
                write!(self.note, "<{priority}>root {lost} lines of this log were lost\0")
            }
            Handle::Own(_) | Handle::File(_) => {
                let time = Stamp::default().render(form::now());
                writeln!(self.note, "{time} warn {lost} lines of this log were lost")
            }
        };
        let note = std::mem::take(&mut self.note);
        let result = self.put(note.as_bytes());
        self.note = note;
        result?;
        self.lost = 0;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        match &mut self.handle {
            Handle::Own(outlet) => put(bytes, |rest| outlet.write(rest)).1,
            Handle::File(file) => file.put(bytes),
            Handle::Post(Some(post), _) => post.send(bytes),
            Handle::Post(None, _) => Err(Errno::EBADF),
        }
    }
}

impl File {
    fn new(path: &str, said: &LogFile) -> File {
        // lar may go elsewhere, and the file is still meant where it was.
        let absolute =
            std::path::absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned));
        let path = absolute.unwrap_or_else(|| path.to_owned());
        let rotation = said.rotate.map(|rotate| Rotation::new(&path, rotate));
        let delay = said.delay;
        File { path, open: None, delay, rotation, regular: false, size: 0, torn: false }
    }

    fn reopen(&mut self) -> Result<(), Errno> {
        let new = pipe::append(&self.path)?;
        let stat = fstat(&new)?;
        self.regular = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        self.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.torn = false;
        self.open = Some(new);
        Ok(())
    }

    fn renew(&mut self) -> Result<(), Errno> {
        if let (Some(rotation), Some(open)) = (&self.rotation, &self.open) {
            let here = nix::sys::stat::stat(self.path.as_str()).ok();
            let same = here.zip(fstat(open).ok()).is_some_and(|(here, open)| {
                (here.st_dev, here.st_ino) == (open.st_dev, open.st_ino) && here.st_size > 0
            });
            if same && self.regular {
                rotation.shift(&self.path)?;
            }
        }
        self.reopen()
    }

    /// Puts the file aside if this many bytes more make it too large, at the size at which Python does. An error is
    /// only given when it was tried.
    fn make_room(&mut self, more: usize) -> Result<(), Errno> {
        let Some(rotation) = &self.rotation else { return Ok(()) };
        let over = |size: u64| size > 0 && size + more as u64 >= rotation.size;
        let Some(open) = self.open.as_ref().filter(|_| self.regular && over(self.size)) else {
            return Ok(());
        };
        // Somebody else may have truncated it.
        if let Ok(stat) = fstat(open) {
            self.size = self.size.min(u64::try_from(stat.st_size).unwrap_or(0));
        }
        if !over(self.size) {
            return Ok(());
        }
        let done = rotation.shift(&self.path);
        done.and_then(|()| self.reopen()).inspect_err(|_| {
            // Not tried again before it has grown as much once more.
            self.size = 0;
        })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if self.delay && self.open.is_none() {
            self.reopen()?;
        }
        let Some(open) = &self.open else { return Err(Errno::EBADF) };
        if self.torn {
            put(b"\n", |rest| write(open, rest)).1?;
            self.torn = false;
        }
        let (done, result) = put(bytes, |rest| write(open, rest));
        self.size += done as u64;
        self.torn = done > 0 && result.is_err();
        result
    }
}

/// All of it, or as much as can be written at once.
fn put(
    bytes: &[u8],
    mut write: impl FnMut(&[u8]) -> Result<usize, Errno>,
) -> (usize, Result<(), Errno>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match write(rest) {
            Err(Errno::EINTR) => {}
            Err(errno) => return (done, Err(errno)),
            Ok(0) => return (done, Err(Errno::ENOSPC)), // to go on would be to spin
            Ok(count) => done += count,
        }
    }
    (done, Ok(()))
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
        let mut sink = Sink::file(&LogFile::new(path, crate::plan::Level::Trace));
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
        let mut sink = Sink::file(&LogFile::new(path, crate::plan::Level::Trace));
        sink.open().unwrap();
        sink.line(&[b'x'; 9000]);
        let mut buffer = vec![0; 1 << 16];
        let (count, _) = pipe::fill(&reader, &mut buffer, 100);
        assert_eq!((count, buffer[count - 1]), (LINE, b'\n'));
    }

    /// A directory of its own, and a file in it.
    fn place(name: &str) -> (std::path::PathBuf, String) {
        let dir = std::env::temp_dir().join(format!("lar-sink-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("log").to_str().unwrap().to_owned();
        (dir, path)
    }

    fn rotating(path: &str) -> Sink {
        let rotate = Some(crate::plan::Rotate { size: 10, keep: 2 });
        Sink::file(&LogFile { rotate, ..LogFile::new(path, crate::plan::Level::Trace) })
    }

    #[test]
    fn a_full_disk_is_told_once_and_again_after_it_was_well() {
        let mut sink = Sink::file(&LogFile::new("/dev/full", crate::plan::Level::Trace));
        sink.open().unwrap();
        sink.line(b"one\n");
        assert_eq!(sink.news(), Some(News::Failed(Errno::ENOSPC)));
        sink.line(b"two\n");
        assert_eq!((sink.news(), sink.lost, sink.is_well()), (None, 2, false));
        if let Handle::File(file) = &mut sink.handle {
            file.open = Some(pipe::append("/dev/null").unwrap());
        }
        sink.line(b"three\n");
        assert_eq!((sink.news(), sink.lost, sink.is_well()), (None, 0, true));
        if let Handle::File(file) = &mut sink.handle {
            file.open = Some(pipe::append("/dev/full").unwrap());
        }
        sink.line(b"four\n");
        assert_eq!(sink.news(), Some(News::Failed(Errno::ENOSPC)));
    }

    #[test]
    fn a_line_that_was_torn_is_ended_before_the_next() {
        let (dir, path) = place("torn");
        let mut sink = Sink::file(&LogFile::new(&path, crate::plan::Level::Trace));
        sink.open().unwrap();
        sink.line(b"ha");
        if let Handle::File(file) = &mut sink.handle {
            file.torn = true;
        }
        sink.line(b"next\n");
        sink.line(b"last\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ha\nnext\nlast\n");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_can_not_be_put_aside_grows_and_loses_nothing() {
        let (dir, path) = place("stuck");
        let mut sink = rotating(&path);
        sink.open().unwrap();
        // Nothing can take the place of a directory that is not empty.
        std::fs::create_dir_all(dir.join("log.1/full")).unwrap();
        std::fs::create_dir_all(dir.join("log.2/full")).unwrap();
        let mut told = 0;
        for _ in 0..6 {
            sink.line(b"12345\n");
            told += usize::from(matches!(sink.news(), Some(News::NotRotated(_))));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12345\n".repeat(6));
        assert!((1..6).contains(&told), "{told}");
        assert!(sink.is_well());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn reopening_puts_a_file_aside_that_rotates() {
        let (dir, path) = place("renew");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let mut sink = rotating(&path);
        sink.open().unwrap();
        assert_eq!(sink.reopen(), Some(Ok(())));
        assert!(!dir.join("log.1").exists(), "there was nothing in it");
        sink.line(b"one\n");
        assert_eq!(sink.reopen(), Some(Ok(())));
        sink.line(b"two\n");
        std::fs::rename(dir.join("log"), dir.join("moved")).unwrap();
        assert_eq!(sink.reopen(), Some(Ok(())));
        sink.line(b"three\n");
        let all = ["log", "moved", "log.1", "log.2"].map(read);
        assert_eq!(all, ["three\n", "two\n", "one\n", ""]);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_delayed_file_is_there_with_its_first_line() {
        let (dir, path) = place("delay");
        let delay = LogFile { delay: true, ..LogFile::new(&path, crate::plan::Level::Trace) };
        let mut sink = Sink::file(&delay);
        sink.open().unwrap();
        assert_eq!(sink.reopen(), None);
        assert!(!dir.join("log").exists());
        sink.line(b"one\n");
        assert_eq!(sink.reopen(), Some(Ok(())));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
