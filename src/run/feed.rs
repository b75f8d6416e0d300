//! What services are sent: their pipes and streams in the loop.

use std::io;
use std::os::fd::RawFd;

use log::warn;
use mio::unix::SourceFd;
use mio::{Interest, Registry, event::Event as Readiness};

use super::Loop;
use super::token::Source;
use crate::ctl::server::{Done, Feed};
use crate::exit::Errno;
use crate::input::{ChannelId, Kit};
use crate::plan::InstanceId;

impl Loop {
    /// Makes an instance's ways in ready for the process that is about to be started.
    pub(super) fn open_input(&mut self, instance: InstanceId) -> Result<(), Errno> {
        while let Some(kit) = self.input.take_former(instance) {
            self.close_input(kit);
        }
        if !self.input.any(instance) {
            return Ok(());
        }
        let mut at = 0;
        while let Some(id) = self.input.nth(instance, at) {
            at += 1;
            let fresh = self.input.renews(id);
            if let (true, Some(fd)) = (fresh, self.input.end(id)) {
                let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
            }
            let made = self.input.prepare(id).map_err(Errno::from);
            let watched = match (fresh, self.input.end(id)) {
                (true, Some(fd)) => self.watch_channel(id, fd),
                _ => Ok(()),
            };
            if let Err(errno) = made.and(watched) {
                self.input.started(instance, false);
                return Err(errno);
            }
        }
        let stdin = self.input.stdin(instance);
        if let (Some(stdin), Some(Some(images))) = (stdin, self.images.get_mut(instance.index())) {
            images.main.read_from(stdin);
        }
        Ok(())
    }

    /// Watches lar's end of a channel.
    pub(super) fn watch_channel(&mut self, id: ChannelId, fd: RawFd) -> Result<(), Errno> {
        let done = watch(self.poll.registry(), id, fd);
        done.map_err(|error| Errno(error.raw_os_error().unwrap_or(EIO)))
    }

    /// What epoll says of a channel.
    pub(super) fn channel_ready(&mut self, id: ChannelId, event: &Readiness) {
        let broken = event.is_error() || event.is_write_closed();
        if let Some(instance) = self.input.ready(id, broken) {
            log::debug!("{}: it reads no more of what it is sent", self.supervisor.label(instance));
        }
        if event.is_readable() || event.is_read_closed() {
            self.lively.add(id.0);
        }
    }

    /// Reads the streams that have something, each once; then it is the others' turn.
    pub(super) fn read_streams(&mut self) {
        for _ in 0..self.lively.len() {
            if let Some(id) = self.lively.next()
                && self.input.read(ChannelId(id))
            {
                self.lively.add(id);
            }
        }
    }

    /// The process of an instance has ended: what it left in its streams is kept, what it did not read is not.
    pub(super) fn end_input(&mut self, instance: InstanceId) {
        if !self.input.any(instance) {
            return;
        }
        self.input.drain(instance);
        let lost = self.input.ended(instance);
        if lost > 0 {
            let label = self.supervisor.label(instance);
            warn!("{label}: {lost} bytes that were sent to it were never read; they are dropped");
        }
    }

    /// Hands bytes to programs. Each takes what it has room for.
    pub(super) fn feed(&mut self, feed: &Feed) -> Done {
        let Feed { whom, bytes, close } = feed;
        let taken = whom.iter().map(|&(instance, way)| {
            self.input.push(instance, way, bytes, *close);
            self.input.look(instance, way).map_or(0, |look| look.taken)
        });
        Done { taken: taken.collect(), ..Done::default() }
    }

    /// Lets go of an instance's ways in.
    pub(super) fn close_input(&mut self, kit: Kit) {
        let ends: Vec<_> = self.input.ends(&kit).collect();
        for (id, fd) in ends {
            if let Some(fd) = fd {
                // Closing alone would not do while a child that is being made holds a copy.
                let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
            }
            self.input.release(id);
        }
    }

    /// Makes an instance's ways in, watched. What has gone wrong is the error.
    pub(super) fn furnish_input(&mut self, service: &crate::plan::Service) -> Result<Kit, String> {
        let made = self.input.furnish(service);
        let kit = made.map_err(|errno| format!("its streams can't be made: {}", errno.desc()))?;
        self.lively.grow(self.input.count());
        let ends: Vec<_> = self.input.ends(&kit).collect();
        for (id, fd) in ends {
            if let Some(fd) = fd
                && let Err(errno) = self.watch_channel(id, fd)
            {
                self.close_input(kit);
                return Err(format!("its streams can't be watched: {errno}"));
            }
        }
        Ok(kit)
    }
}

/// Lets epoll tell what is written on a channel, and that there is room in it.
pub(super) fn watch(registry: &Registry, id: ChannelId, fd: RawFd) -> io::Result<()> {
    let both = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut SourceFd(&fd), Source::Channel(id.0).token(), both)
}

/// What the kernel would not say.
const EIO: i32 = 5;
