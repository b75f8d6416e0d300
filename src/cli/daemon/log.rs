//! Files that a daemon writes to, looked at from outside: do they grow, and what was written since its start?

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// The most bytes of a file that are looked at for a text at a time.
const CHUNK: usize = 64 * 1024;

/// One of them, as it was when this was made.
pub(super) struct LogFile {
    pub(super) path: String,
    /// Where its text begins, and of which file: what was there before is old news.
    start: Option<State>,
    last: Option<State>,
    /// How far it was searched.
    searched: u64,
    /// The end of that, in which a text may have begun.
    carry: Vec<u8>,
}

/// What tells one look at a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl State {
    /// `None` if it can't be looked at, or is none that keeps what is written to it.
    fn of(path: &str) -> Option<State> {
        fs::metadata(path).ok().filter(Metadata::is_file).map(|about| State {
            inode: about.ino(),
            size: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        })
    }
}

impl LogFile {
    /// From now on; there need be no such file yet.
    pub(super) fn new(path: &str) -> LogFile {
        let now = State::of(path);
        let searched = now.map_or(0, |state| state.size);
        LogFile { path: path.into(), start: now, last: now, searched, carry: Vec::new() }
    }

    /// Whether it is one from which nothing can be read again: a terminal, a pipe.
    pub(super) fn is_passing(path: &str) -> bool {
        fs::metadata(path).is_ok_and(|about| !about.is_file())
    }

    /// Whether anything has happened to it since this was asked last; that it is there now counts.
    pub(super) fn stirred(&mut self) -> bool {
        let before = std::mem::replace(&mut self.last, State::of(&self.path));
        before != self.last
    }

    /// Where new text starts. A file that is another one, or is shorter than it was, is new as a whole.
    fn first_new(&self) -> u64 {
        match (self.start, State::of(&self.path)) {
            (Some(then), Some(now)) if then.inode == now.inode && then.size <= now.size => {
                then.size
            }
            _ => 0,
        }
    }

    /// The last `most` bytes of what was written since it was made; `None` if that can't be read.
    pub(super) fn news(&self, most: usize) -> Option<Vec<u8>> {
        let mut file = open(&self.path)?;
        let size = file.metadata().ok()?.len();
        let from = self.first_new().max(size.saturating_sub(most as u64));
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Whether this text was written to it since it was made. Each byte is looked at once.
    pub(super) fn holds(&mut self, text: &[u8]) -> bool {
        let Some(mut file) = open(&self.path) else { return false };
        let first = self.first_new();
        let size = file.metadata().map_or(0, |about| about.len());
        if self.searched < first || self.searched > size || self.start.is_some() && first == 0 {
            // It is another file than the one that was searched, or starts anew.
            (self.searched, self.start) = (first, None);
            self.carry.clear();
        }
        if file.seek(SeekFrom::Start(self.searched)).is_err() {
            return false;
        }
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            self.searched += count as u64;
            self.carry.extend(buffer.iter().take(count));
            if self.carry.windows(text.len()).any(|window| window == text) {
                return true;
            }
            let keep = self.carry.len().min(text.len().saturating_sub(1));
            self.carry.drain(..self.carry.len() - keep);
        }
        false
    }
}

/// Nothing but a regular file, and no waiting for one.
fn open(path: &str) -> Option<File> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn append(path: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_what_is_new_counts_whatever_becomes_of_the_file() {
        let path = std::env::temp_dir().join(format!("lar-daemon-log-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let _ = fs::remove_file(path);
        let mut late = LogFile::new(path);
        assert!(!late.stirred() && late.news(100).is_none() && !late.holds(b"ready"));
        append(path, "old ready\n");
        assert!(late.stirred() && !late.stirred(), "that it is there now is news, once");
        assert_eq!(late.news(100).unwrap(), b"old ready\n");
        assert!(late.holds(b"ready"));
        let mut log = LogFile::new(path);
        assert!(!log.stirred() && !log.holds(b"ready"));
        assert_eq!(log.news(100).unwrap(), b"");
        append(path, "now rea");
        assert!(log.stirred() && !log.holds(b"ready"));
        append(path, "dy\n");
        assert!(log.holds(b"ready"), "in two pieces");
        assert_eq!(log.news(100).unwrap(), b"now ready\n");
        assert_eq!(log.news(6).unwrap(), b"ready\n");
        fs::write(path, "new\n").unwrap();
        assert_eq!(log.news(100).unwrap(), b"new\n", "cut off");
        fs::remove_file(path).unwrap();
        let mut log = LogFile::new(path);
        append(path, "x");
        assert!(!log.holds(b"y"));
        fs::remove_file(path).unwrap();
        assert!(LogFile::is_passing("/dev/null") && !LogFile::is_passing(path));
    }

    #[test]
    fn a_rotated_file_is_searched_from_its_start() {
        let path = std::env::temp_dir().join(format!("lar-daemon-rotate-{}", std::process::id()));
        let path = path.to_str().unwrap();
        fs::write(path, "a long line that was there\n").unwrap();
        let mut log = LogFile::new(path);
        assert!(!log.holds(b"ready"));
        let aside = format!("{path}.1");
        fs::rename(path, &aside).unwrap();
        append(path, "ready\n");
        assert!(log.stirred() && log.holds(b"ready"));
        fs::remove_file(path).unwrap();
        fs::remove_file(aside).unwrap();
    }
}
