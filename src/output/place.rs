//! One place where output goes: a file, or lar's own standard output.
//!
//! It is not told of lines: it writes what it is given. Invariants: nothing here waits; a byte that
//! is given is written, or held back in order, or counted as lost, and a loss is written down as a
//! line once there is room; an error changes how the place is (`Health`), and never reaches the
//! service.

use std::fmt::Write as _;
use std::mem;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::write;

use super::notice::{News, Notices};
use crate::plan::Rotate;
use crate::sys::fd::Standard;
use crate::sys::outlet::Outlet;
use crate::sys::pipe;
use crate::sys::rotation::Rotation;
use crate::time::{Duration, Instant};
use crate::transcript::frame::PAGE;

/// The most that is written at once to what may block: poll says that this much goes through whole,
/// and no other writer's bytes come between. POSIX names it PIPE_BUF; on Linux it is one page.
const ATOM: usize = 4096;

/// How long a reader that has stopped (of standard output, or of a FIFO) holds services back before
/// output is dropped. Long enough for a container runtime that is busy, so that a burst is not
/// lost; short enough that a runtime that hangs can't stall every service for good.
const PATIENCE: Duration = Duration::from_secs(1);

/// First and longest time between two tries of a place whose reader has stopped. The first is the
/// least that epoll can wait, as most readers are only a moment late; the longest bounds what a
/// dead one costs, and is below `ERROR`'s first, by which `fail` knows a relapse.
const STALL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(500));

/// The same for an error: a full disk stays full for longer than a moment, and an operator who has
/// made room should not wait long.
const ERROR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A place that was good for this long and fails again is tried anew after the first time; a disk
/// that fills up again at once is not.
const CALM: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Handle {
    Stdout(Outlet),
    File(Option<OwnedFd>),
}

#[derive(Clone, Copy, Debug)]
enum Health {
    Good,
    /// It would block; `given_up` once that took too long.
    Stalled {
        since: Instant,
        given_up: bool,
    },
    Broken {
        errno: Errno,
    },
}

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Place {
    id: u32,
    pub(super) path: Box<str>,
    handle: Handle,
    health: Health,
    next: Instant,
    step: Duration,
    good_since: Instant,
    lost: u64,
    /// What was given and could not be written yet. Its capacity is all it ever has.
    held: Vec<u8>,
    /// Whether what is held is owed to a service that would rather stall than lose it.
    firm: bool,
    /// Whether the last byte written was not a newline.
    open: bool,
    json: bool,
    size: u64,
    regular: bool,
    rotation: Option<Rotation>,
}

impl Place {
    pub(super) fn stdout(id: u32) -> Place {
        let held = Vec::with_capacity(PAGE);
        let path = "standard output".into();
        Place { held, ..Place::new(id, path, Handle::Stdout(Outlet::new(Standard::Output))) }
    }

    /// A file; not open yet: see [`Place::open`].
    pub(super) fn file(id: u32, path: &str) -> Place {
        Place::new(id, path.into(), Handle::File(None))
    }

    fn new(id: u32, path: Box<str>, handle: Handle) -> Place {
        Place {
            id,
            path,
            handle,
            health: Health::Good,
            next: Instant::ZERO,
            step: Duration::ZERO,
            good_since: Instant::ZERO,
            lost: 0,
            held: Vec::new(),
            firm: false,
            open: false,
            json: false,
            size: 0,
            regular: false,
            rotation: None,
        }
    }

    /// At load: whether the loss is written as JSON, when the file is put aside, and whether it
    /// must be able to hold back.
    pub(super) fn set_up(&mut self, json: bool, rotate: Option<Rotate>, hold: bool) {
        self.json |= json;
        if let (None, Some(rotate)) = (&self.rotation, rotate) {
            self.rotation = Some(Rotation::new(&self.path, rotate));
        }
        if hold && self.held.capacity() == 0 {
            self.held.reserve_exact(PAGE);
        }
    }

    /// When the file is put aside from now on.
    pub(super) fn rotate_as(&mut self, rotate: Option<Rotate>) {
        self.rotation = rotate.map(|rotate| Rotation::new(&self.path, rotate));
    }

    pub(super) fn is_stdout(&self) -> bool {
        matches!(self.handle, Handle::Stdout(_))
    }

    pub(super) fn ails(&self) -> bool {
        !matches!(self.health, Health::Good)
    }

    /// Whether it may say "later" rather than "no": what a write to it can block on has a reader.
    pub(super) fn may_stall(&self) -> bool {
        !self.regular
    }

    /// Whether a stream must wait with its next bytes. `firm`: it would rather stall than lose any.
    pub(super) fn holds(&self, firm: bool) -> bool {
        match self.health {
            Health::Good => false,
            Health::Stalled { given_up, .. } => firm || !given_up,
            Health::Broken { .. } => firm,
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Opens the file at load. A failure makes it ail.
    pub(super) fn open(&mut self, now: Instant) -> Result<(), Errno> {
        self.reopen(now).inspect_err(|errno| {
            self.health = Health::Broken { errno: *errno };
            self.step = ERROR.0;
            self.next = now + self.step;
        })
    }

    /// Opens the file anew and then lets the old one go; on an error the old one stays. A place
    /// that ails is tried at once.
    pub(super) fn reopen(&mut self, now: Instant) -> Result<(), Errno> {
        self.next = now;
        let Handle::File(file) = &mut self.handle else { return Ok(()) };
        let new = pipe::append(&self.path)?;
        let stat = fstat(&new)?;
        self.regular = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        self.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.open = false;
        *file = Some(new);
        Ok(())
    }

    /// Takes bytes. Gives whether more may follow at once; what is taken is taken in any case.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        firm: bool,
        now: Instant,
        notices: &mut Notices,
    ) -> bool {
        if self.ails() {
            self.lost += bytes.len() as u64;
            return !self.holds(firm);
        }
        let (done, result) = self.put_rotating(bytes, notices);
        let Err(errno) = result else { return true };
        let rest = bytes.get(done..).unwrap_or(&[]);
        let room = match firm || errno == Errno::EAGAIN {
            true => rest.len().min(self.held.capacity() - self.held.len()),
            false => 0,
        };
        self.held.extend_from_slice(&rest[..room]);
        self.firm = firm;
        self.lost += (rest.len() - room) as u64;
        self.fail(errno, now, notices);
        !self.holds(firm)
    }

    fn fail(&mut self, errno: Errno, now: Instant, notices: &mut Notices) {
        if errno == Errno::EAGAIN {
            self.health = Health::Stalled { since: now, given_up: false };
            self.step = STALL.0;
        } else {
            let relapse = now.since(self.good_since) < CALM && self.step >= ERROR.0;
            self.step = if relapse { (self.step * 2).min(ERROR.1) } else { ERROR.0 };
            self.health = Health::Broken { errno };
            if !relapse {
                notices.push(self.id, News::Failed { errno, retry: self.step });
            }
        }
        self.next = now + self.step;
    }

    /// Tries again, if it is time. Gives whether streams that wait should look again.
    pub(super) fn retry(&mut self, now: Instant, notices: &mut Notices) -> bool {
        if !self.ails() || now < self.next {
            return false;
        }
        let owed = self.lost;
        let errno = match self.resume(now) {
            Ok(()) => {
                self.health = Health::Good;
                self.good_since = now;
                if owed > 0 {
                    notices.push(self.id, News::Recovered { lost: owed });
                }
                return true;
            }
            Err(errno) => errno,
        };
        match &mut self.health {
            Health::Stalled { since, given_up } if errno == Errno::EAGAIN => {
                let over = !*given_up && now.since(*since) >= PATIENCE;
                *given_up |= over;
                self.step = (self.step * 2).min(STALL.1);
                self.next = now + self.step;
                if over {
                    notices.push(self.id, News::Stalled);
                    self.let_go();
                }
                over
            }
            Health::Broken { .. } if errno != Errno::EAGAIN => {
                self.health = Health::Broken { errno };
                self.step = (self.step * 2).min(ERROR.1);
                self.next = now + self.step;
                false
            }
            _ => {
                self.fail(errno, now, notices);
                if self.ails() && !self.holds(false) {
                    self.let_go();
                }
                true
            }
        }
    }

    /// What is held for nobody who insists on it is lost now.
    fn let_go(&mut self) {
        if !self.firm {
            self.lost += self.held.len() as u64;
            self.held.clear();
        }
    }

    /// Writes what is owed: first what was held back, then how much was lost.
    fn resume(&mut self, now: Instant) -> Result<(), Errno> {
        if let Health::Broken { errno } = self.health {
            let same = matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG);
            if !same || matches!(self.handle, Handle::File(None)) {
                self.reopen(now)?;
            }
        }
        let mut held = mem::take(&mut self.held);
        let (done, result) = self.put(&held);
        held.drain(..done);
        self.held = held;
        result?;
        if self.lost == 0 {
            return Ok(());
        }
        let mut line = Line { bytes: [0; 192], len: 0 };
        // The room is enough for any number.
        let _ = self.confess(&mut line);
        let (_, result) = self.put(line.bytes.get(..line.len).unwrap_or(&[]));
        result?;
        self.lost = 0;
        Ok(())
    }

    fn confess(&self, line: &mut Line) -> std::fmt::Result {
        let cause = match self.health {
            Health::Broken { errno } => errno.desc(),
            Health::Good | Health::Stalled { .. } => "the reader had stopped",
        };
        if self.open {
            line.write_char('\n')?;
        }
        let lost = self.lost;
        match self.json {
            true => writeln!(
                line,
                "{{\"service\":\"lar\",\"lost\":{lost},\"text\":\"{lost} bytes of output lost: {cause}\"}}"
            ),
            false => writeln!(line, "lar: {lost} bytes of output lost: {cause}"),
        }
    }

    fn put_rotating(&mut self, bytes: &[u8], notices: &mut Notices) -> (usize, Result<(), Errno>) {
        if !self.too_large(bytes.len()) {
            return self.put(bytes);
        }
        // A line that has begun is ended in the old file.
        let head = match self.open {
            true => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None => return self.put(bytes),
            },
            false => 0,
        };
        let (first, rest) = bytes.split_at(head);
        let (done, result) = self.put(first);
        if result.is_err() {
            return (done, result);
        }
        if let Err(errno) = self.rotate() {
            notices.push(self.id, News::NotRotated { errno });
            // Not tried again before it has grown as much once more.
            self.size = 0;
        }
        let (more, result) = self.put(rest);
        (done + more, result)
    }

    fn too_large(&mut self, more: usize) -> bool {
        let Some(rotation) = &self.rotation else { return false };
        let over = |size: u64| size > 0 && size + more as u64 > rotation.size;
        if !self.regular || !over(self.size) {
            return false;
        }
        // Somebody else may have truncated it.
        if let Handle::File(Some(file)) = &self.handle
            && let Ok(stat) = fstat(file)
        {
            self.size = self.size.min(u64::try_from(stat.st_size).unwrap_or(0));
        }
        over(self.size)
    }

    fn rotate(&mut self) -> Result<(), Errno> {
        let Some(rotation) = &self.rotation else { return Ok(()) };
        rotation.shift(&self.path)?;
        let next = self.next;
        self.reopen(next)
    }

    fn put(&mut self, bytes: &[u8]) -> (usize, Result<(), Errno>) {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match self.write_some(rest) {
                // Not an error by the letter; but to go on would be to spin.
                Ok(0) => return (done, Err(Errno::ENOSPC)),
                Ok(count) => {
                    self.size += count as u64;
                    self.open = rest.get(count - 1) != Some(&b'\n');
                    done += count;
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return (done, Err(errno)),
            }
        }
        (done, Ok(()))
    }

    fn write_some(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.handle {
            Handle::File(Some(file)) if self.regular => write(file, bytes),
            Handle::File(Some(file)) => write(file, atom(bytes)),
            Handle::File(None) => Err(Errno::EBADF),
            Handle::Stdout(stdout) => stdout.write(atom(bytes)),
        }
    }

    /// Whether it is worth waiting for at the manager's end.
    pub(super) fn can_recover_soon(&self) -> bool {
        self.is_stdout() && matches!(self.health, Health::Stalled { given_up: false, .. })
    }

    /// At the manager's end: waits up to `millis` for a reader, and makes the next try due.
    pub(super) fn hurry(&mut self, now: Instant, millis: i32) {
        self.next = now;
        if let (Handle::Stdout(stdout), true) = (&self.handle, self.ails()) {
            stdout.writable(millis);
        }
    }
}

/// As many whole lines as one atom takes; if none ends in it, all of it.
fn atom(bytes: &[u8]) -> &[u8] {
    let Some(part) = bytes.get(..ATOM) else { return bytes };
    match part.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => &part[..=at],
        None => part,
    }
}

/// Text on the stack.
struct Line {
    bytes: [u8; 192],
    len: usize,
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
