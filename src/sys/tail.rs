//! The end of a file that somebody else writes.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

/// What a file holds from byte `from` on, but the last `most` bytes of it only; from its beginning if it is shorter
/// than that by now. What is no regular file is refused: a device has no end, a FIFO would wait, and a link may lead
/// to what its maker must not read.
pub fn since(path: &str, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let from = if about.len() < from { 0 } else { from };
    file.seek(SeekFrom::Start(from.max(about.len().saturating_sub(most))))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_left_out_and_so_is_what_is_too_long() {
        let path = std::env::temp_dir().join(format!("lar-tail-{}", std::process::id()));
        let name = path.to_str().unwrap();
        std::fs::write(&path, "old\nnew\n").unwrap();
        assert_eq!(since(name, 4, 100).unwrap(), b"new\n");
        assert_eq!(since(name, 8, 100).unwrap(), b"");
        assert_eq!(since(name, 0, 3).unwrap(), b"ew\n");
        assert_eq!(since(name, 9, 100).unwrap(), b"old\nnew\n", "it was begun anew");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(since(name, 0, 100).is_err(), "a link");
        std::fs::remove_file(&path).unwrap();
        assert!(since("/dev/zero", 0, 100).is_err());
    }
}
