//! One way into an instance.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::QUEUE;
use crate::plan::InstanceId;
use crate::plan::input::{Door, Look};
use crate::sys::{duplex, fd, pipe};
use crate::transcript::Ring;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) instance: InstanceId,
    /// What came from the program last; of streams.
    pub(super) ring: Option<Ring>,
    is_stream: bool,
    /// Whom a pipe is given to, so that the program can open /dev/stdin.
    user: Option<u32>,
    ours: Option<OwnedFd>,
    /// Of standard input only while a process is being started.
    theirs: Option<OwnedFd>,
    door: Door,
    serial: u64,
    queue: VecDeque<u8>,
    /// Whether the end follows what is in the queue.
    closing: bool,
    /// Whether a stream is no more what it was: one direction has been shut down.
    worn: bool,
    written: u64,
    /// What the process of now will never read.
    lost: usize,
}

impl Channel {
    pub(super) fn stdin(user: Option<u32>) -> Channel {
        Channel {
            instance: InstanceId(u32::MAX),
            ring: None,
            is_stream: false,
            user,
            ours: None,
            theirs: None,
            door: Door::Nobody,
            serial: 0,
            queue: VecDeque::new(),
            closing: false,
            worn: false,
            written: 0,
            lost: 0,
        }
    }

    pub(super) fn stream(user: Option<u32>, ring: usize) -> Result<Channel, Errno> {
        let (ours, theirs) = duplex::pair()?;
        let ring = (ring > 0).then(|| Ring::new(ring));
        let stdin = Channel::stdin(user);
        Ok(Channel { ring, is_stream: true, ours: Some(ours), theirs: Some(theirs), ..stdin })
    }

    pub(super) fn end(&self) -> Option<RawFd> {
        self.ours.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub(super) fn theirs(&self) -> Option<RawFd> {
        self.theirs.as_ref().map(AsRawFd::as_raw_fd)
    }

    pub(super) fn renews(&self) -> bool {
        self.worn || !self.is_stream
    }

    pub(super) fn prepare(&mut self) -> Result<(), Errno> {
        if !self.is_stream {
            let (theirs, ours) = duplex::pipe()?;
            // Without the right to give it away, there is none to run as somebody else either.
            let _ = self.user.map(|user| pipe::give(&theirs, Some(user), None));
            (self.ours, self.theirs) = (Some(ours), Some(theirs));
            return Ok(());
        }
        let (Some(ours), Some(theirs)) = (&mut self.ours, &mut self.theirs) else { return Ok(()) };
        if self.worn {
            duplex::renew(ours, theirs)?;
            self.worn = false;
        }
        // What the last process set on it; a failure leaves it as it is.
        let _ = pipe::restore(&*theirs);
        Ok(())
    }

    /// The number of the process that was started; `None`: it could not be.
    pub(super) fn started(&mut self, serial: Option<u64>) {
        if !self.is_stream {
            self.theirs = None; // so that the end is seen when the program closes it
        }
        match serial {
            Some(serial) => (self.serial, self.door) = (serial, Door::Open),
            None => {
                self.ended();
            }
        }
    }

    /// Nobody is there any more; how much was not read.
    pub(super) fn ended(&mut self) -> usize {
        let mut lost = std::mem::take(&mut self.lost) + std::mem::take(&mut self.queue).len();
        lost += match (&self.ours, &self.theirs) {
            (Some(ours), _) if !self.is_stream && self.door != Door::Nobody => pipe::unread(ours),
            (_, Some(theirs)) if self.is_stream => duplex::discard(theirs),
            _ => 0,
        };
        if !self.is_stream {
            (self.ours, self.theirs) = (None, None);
        }
        (self.door, self.closing) = (Door::Nobody, false);
        lost
    }

    pub(super) fn look(&self) -> Look {
        let waiting = self.queue.len();
        Look {
            serial: self.serial,
            door: if self.closing { Door::Finished } else { self.door },
            taken: self.written + waiting as u64,
            written: self.written,
            room: QUEUE.saturating_sub(waiting),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8], close: bool) -> usize {
        if self.door != Door::Open || self.closing {
            return 0;
        }
        let bytes = bytes.get(..self.look().room).unwrap_or(bytes);
        let done = if self.queue.is_empty() { self.put(bytes) } else { 0 };
        if self.door == Door::Open {
            self.queue.extend(bytes.get(done..).unwrap_or(&[]));
            self.closing = close;
            self.flush();
        }
        bytes.len()
    }

    /// Whether the program has just closed it.
    pub(super) fn ready(&mut self, broken: bool) -> bool {
        let before = self.door;
        // What epoll says may be of a pipe that is closed by now.
        if broken && before == Door::Open && self.ours.as_ref().is_some_and(duplex::is_broken) {
            self.refuse();
        }
        self.flush();
        before == Door::Open && self.door == Door::Refused
    }

    /// Writes what is in the queue, as far as it is taken, and then the end, if that is to follow.
    fn flush(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        while self.door == Door::Open {
            let (head, _) = queue.as_slices();
            let (all, done) = (head.len(), self.put(head));
            queue.drain(..done);
            if all == 0 || done < all {
                break;
            }
        }
        if self.door != Door::Open {
            self.lost += queue.len();
        } else if !queue.is_empty() {
            self.queue = queue;
        } else if self.closing {
            (self.door, self.closing) = (Door::Finished, false);
            self.worn = true;
            match &self.ours {
                Some(stream) if self.is_stream => duplex::finish(stream),
                _ => self.ours = None,
            }
        }
    }

    /// Writes as much as is taken at once; how much.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let (Some(ours), Some(rest @ [_, ..])) = (&self.ours, bytes.get(done..)) {
            match duplex::put(ours, rest, self.is_stream) {
                Ok(count) => done += count,
                Err(Errno::EAGAIN) => break,
                // EPIPE, ECONNRESET: nobody reads it any more.
                Err(_) => {
                    self.refuse();
                    break;
                }
            }
        }
        self.written += done as u64;
        done
    }

    /// The program reads no more.
    fn refuse(&mut self) {
        self.lost += self.ours.as_ref().filter(|_| !self.is_stream).map_or(0, pipe::unread);
        (self.door, self.closing) = (Door::Refused, false);
        match self.is_stream {
            true => self.worn = true,
            false => self.ours = None,
        }
    }

    /// Reads a stream once into its ring; whether there may be more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(ours) = self.ours.as_ref().filter(|_| self.is_stream) else { return false };
        match fd::read(ours, buffer) {
            Ok(0) | Err(crate::exit::Errno(104)) => {
                self.worn = true; // the program has said that nothing more comes
                false
            }
            Ok(count) => {
                if let (Some(ring), Some(bytes)) = (&mut self.ring, buffer.get(..count)) {
                    ring.push(bytes);
                }
                true
            }
            Err(_) => false,
        }
    }
}
