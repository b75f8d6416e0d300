//! A place in memory for what a program writes, to be read when it went wrong.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use crate::exit::Errno;
use crate::sys::checked;

/// A file without a name. Its writers may outlive us.
#[derive(Debug)]
pub struct Capture(File);

impl Capture {
    /// An empty one. EMFILE, ENOMEM, ENOSYS.
    pub fn new() -> Result<Capture, Errno> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is a C string that lives for ever; a new fd has no owner yet.
        let file = unsafe {
            let fd = checked(libc::memfd_create(c"output".as_ptr(), flags))?;
            File::from(OwnedFd::from_raw_fd(fd))
        };
        Ok(Capture(file))
    }

    /// What a program is given to write to.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// How many bytes were written.
    pub fn length(&self) -> u64 {
        self.0.metadata().map_or(0, |about| about.len())
    }

    /// The last `most` bytes of it.
    pub fn tail(&self, most: usize) -> Vec<u8> {
        let start = self.length().saturating_sub(most as u64);
        let mut bytes = vec![0; most];
        let mut length = 0;
        while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
            match self.0.read_at(room, start + length as u64) {
                Ok(count @ 1..) => length += count,
                _ => break,
            }
        }
        bytes.truncate(length);
        bytes
    }

    /// Takes no more from now on: a daemon that has kept it for its output would fill the memory with what nobody can
    /// read any more. Its writes fail, as to a terminal that has gone.
    pub fn close(self) {
        // SAFETY: this fcntl takes plain numbers.
        let _ = unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_GROW) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_tail_is_kept_until_it_is_closed_to_its_writers() {
        let capture = Capture::new().unwrap();
        let mut writer = capture.0.try_clone().unwrap();
        assert_eq!(capture.tail(10), b"");
        writer.write_all(b"it can't be\n").unwrap();
        assert_eq!((capture.length(), capture.tail(4)), (12, b" be\n".to_vec()));
        assert_eq!(capture.tail(100), b"it can't be\n");
        capture.close();
        let error = writer.write_all(b"more").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    }
}
