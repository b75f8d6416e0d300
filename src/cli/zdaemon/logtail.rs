//! zdaemon's `logtail`: the end of a file, and then what is written to it, until Ctrl-C.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::client::{listen, say};
use super::errno::os_error;
use super::wire::Cut;
use crate::signal::Signal;
use crate::sys::ear::{Ear, Heard};

/// How many lines are shown at first,
const LINES: usize = 10;

/// and how far back they are looked for.
const REACH: u64 = 1024;

/// A file on another machine may grow without a word.
const LOOK: Duration = Duration::from_secs(1);

/// Shows the file until Ctrl-C; what is wrong with it is shown, too.
pub(super) fn follow(path: &str) -> Result<(), Cut> {
    let shown = match open(path) {
        Ok((file, regular)) => {
            let mut ear = listen(&[Signal::INT])?;
            if regular { tail(file, path, &mut ear) } else { copy(file, &mut ear) }
        }
        Err(error) => Err(error),
    };
    match shown {
        Ok(Some(signal)) if signal != Signal::INT => return Cut::by(signal),
        Ok(_) => say(""),
        Err(error) => say(os_error(&error, Some(path))),
    }
    Ok(())
}

/// The file, and whether it is one: a pipe has no end to look back from.
fn open(path: &str) -> io::Result<(File, bool)> {
    use std::os::unix::fs::OpenOptionsExt;
    // Not waiting for somebody at a pipe's other end.
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_dir() {
        true => Err(nix::errno::Errno::EISDIR.into()),
        false => Ok((file, metadata.is_file())),
    }
}

/// Until a signal comes: that one.
fn tail(mut file: File, path: &str, ear: &mut Ear) -> io::Result<Option<Signal>> {
    let watch = watch(path);
    let mut at = file.metadata()?.len();
    let from = at.saturating_sub(REACH);
    let bytes = section(&mut file, from, at)?;
    show(last_lines(&bytes, from == 0))?;
    loop {
        let size = file.metadata()?.len();
        if size < at {
            say("==> File truncated <==");
            at = 0;
        }
        while at < size {
            let bytes = section(&mut file, at, size.min(at + (64 << 10)))?;
            if bytes.is_empty() {
                break; // it has shrunk again
            }
            at += bytes.len() as u64;
            show(&bytes)?;
        }
        let until = Instant::now() + LOOK;
        if let Heard::Signal(heard) = wait(ear, watch.as_ref(), until)? {
            return Ok(Some(heard.signal));
        }
    }
}

/// What the kernel says when the file is written to; `None` if it does not.
fn watch(path: &str) -> Option<Inotify> {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    watch.add_watch(path, AddWatchFlags::IN_MODIFY).ok()?;
    Some(watch)
}

fn wait(ear: &mut Ear, watch: Option<&Inotify>, until: Instant) -> io::Result<Heard> {
    let heard = ear
        .wait(watch.map(AsFd::as_fd), Some(until))
        .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
    if let Some(watch) = watch {
        // What has happened is seen in the file itself.
        while watch.read_events().is_ok() {}
    }
    Ok(heard)
}

/// The bytes from one place to another; less if the file ends before.
fn section(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The latest lines of the end of a file: whole ones, so a beginning that is not the file's is left out.
fn last_lines(bytes: &[u8], whole: bool) -> &[u8] {
    let is_end = |byte: &u8| *byte == b'\n';
    let bytes = match bytes.iter().position(is_end) {
        _ if whole => bytes,
        Some(end) => &bytes[end + 1..],
        None => &[],
    };
    let ends = bytes.iter().enumerate().rev().filter(|(_, byte)| is_end(byte));
    // The newline that ends the latest line parts nothing.
    let parting = ends.filter(|(at, _)| at + 1 < bytes.len()).nth(LINES - 1);
    parting.map_or(bytes, |(at, _)| &bytes[at + 1..])
}

/// Everything that comes from a pipe, or until a signal comes: that one.
fn copy(mut file: File, ear: &mut Ear) -> io::Result<Option<Signal>> {
    let mut chunk = [0; 4096];
    loop {
        match ear.wait(Some(file.as_fd()), None) {
            Ok(Heard::Signal(heard)) => return Ok(Some(heard.signal)),
            Ok(_) => {}
            Err(errno) => return Err(io::Error::from_raw_os_error(errno.0)),
        }
        match file.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(count) => show(&chunk[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn show(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_lines_are_found() {
        let lines: String = (1..=12).map(|number| format!("{number}\n")).collect();
        assert_eq!(last_lines(lines.as_bytes(), true), &lines.as_bytes()[4..]);
        let open = format!("{lines}13");
        assert_eq!(last_lines(open.as_bytes(), true), &open.as_bytes()[6..]);
        assert_eq!(last_lines(b"a\nb\n", true), b"a\nb\n");
        assert_eq!(last_lines(b"a\nb\n", false), b"b\n");
        assert_eq!(last_lines(b"ab", false), b"");
        assert_eq!(last_lines(b"", true), b"");
    }
}
