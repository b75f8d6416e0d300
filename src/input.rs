//! What services are sent: a pipe to the standard input of each process that asks for one, and streams, which are pairs
//! of sockets.
//!
//! A pipe belongs to a process: it is made for the spawn and gone with the exit, so that nobody reads what was meant
//! for a predecessor, and closing it is the end of that one's input only. A stream belongs to the instance: it is made
//! once, and a restart makes none anew (unless somebody has shut it down); what a process has not read of it is taken
//! back at its exit, for the same reason.
//!
//! What the kernel does not take at once waits in a queue of bounded size, and is written as the program reads. Nothing
//! here waits, registers with epoll or logs; `run` does these.
//!
//! Invariants: a queue holds at most [`QUEUE`] bytes; nothing is claimed for a process that nobody sends anything, but
//! its pipe; nothing is allocated at a restart. SIGPIPE must be blocked or ignored.

mod channel;

use std::os::fd::RawFd;

use nix::errno::Errno;

use crate::plan::input::Look;
use crate::plan::{InstanceId, Plan, Service, Stdin};
use crate::transcript::Ring;
use channel::Channel;

/// What may wait for one program that does not read, in bytes: as much as the pipe itself holds.
pub const QUEUE: usize = 64 * 1024;

/// What is read of a stream at once, in bytes.
const BUFFER: usize = 16 * 1024;

/// One way into an instance; the index of its token in `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The ways into one instance: the first is its standard input, if that is a pipe.
#[derive(Debug, Default)]
struct Desk {
    stdin: Option<ChannelId>,
    streams: Vec<ChannelId>,
}

impl Desk {
    fn all(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.stdin.iter().chain(&self.streams).copied()
    }
}

/// What an instance is to have here, once it is known which instance that is.
#[derive(Debug)]
pub struct Kit(Option<Box<Desk>>);

/// See the top of this page.
#[derive(Debug)]
pub struct Input {
    /// By instance; most have none.
    desks: Vec<Option<Box<Desk>>>,
    channels: Vec<Option<Channel>>,
    /// What instances had by a former definition: open until their next process starts.
    former: Vec<(InstanceId, Box<Desk>)>,
    /// How many processes have had a way in.
    starts: u64,
    buffer: Vec<u8>,
}

impl Input {
    /// Makes the streams of a plan. EMFILE, ENFILE.
    pub fn new(plan: &Plan) -> Result<Input, Errno> {
        let mut input = Input {
            desks: Vec::with_capacity(plan.instances()),
            channels: Vec::new(),
            former: Vec::new(),
            starts: 0,
            buffer: Vec::new(),
        };
        for service in &plan.services {
            for _ in &service.processes {
                let kit = input.furnish(service)?;
                let instance = InstanceId(input.desks.len() as u32);
                input.install(instance, kit);
            }
        }
        Ok(input)
    }

    /// Makes what one instance of a service is to have. EMFILE, ENFILE.
    pub fn furnish(&mut self, service: &Service) -> Result<Kit, Errno> {
        if service.input.is_none() {
            return Ok(Kit(None));
        }
        let user = service.setup.identity.as_ref().and_then(|identity| identity.uid);
        let mut desk = Box::new(Desk::default());
        if service.input.stdin == Stdin::Pipe {
            desk.stdin = Some(self.shelve(Channel::stdin(user)));
        }
        for _ in &service.input.streams {
            match Channel::stream(user, service.output.ring as usize) {
                Ok(stream) => desk.streams.push(self.shelve(stream)),
                Err(errno) => {
                    self.discard(Kit(Some(desk)));
                    return Err(errno);
                }
            }
        }
        if !desk.streams.is_empty() {
            self.buffer.resize(BUFFER, 0);
        }
        Ok(Kit(Some(desk)))
    }

    fn shelve(&mut self, channel: Channel) -> ChannelId {
        let free = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
        match self.channels.get_mut(free) {
            Some(place) => *place = Some(channel),
            None => self.channels.push(Some(channel)),
        }
        ChannelId(free as u32)
    }

    /// Gives an instance what was made for it. What it had stays open for the process that has it.
    pub fn install(&mut self, instance: InstanceId, kit: Kit) {
        for id in kit.0.iter().flat_map(|desk| desk.all()) {
            if let Some(Some(channel)) = self.channels.get_mut(id.index()) {
                channel.instance = instance;
            }
        }
        let size = self.desks.len().max(instance.index() + 1);
        self.desks.resize_with(size, || None);
        if let Some(place) = self.desks.get_mut(instance.index()) {
            let old = std::mem::replace(place, kit.0);
            self.former.extend(old.map(|desk| (instance, desk)));
        }
        self.former.reserve(1);
    }

    /// Leaves an instance that is no more without anything. What it had is to be let go of.
    pub fn clear(&mut self, instance: InstanceId) {
        self.install(instance, Kit(None));
    }

    /// Undoes [`Input::furnish`]; for what is not watched.
    pub fn discard(&mut self, kit: Kit) {
        kit.0.iter().flat_map(|desk| desk.all()).for_each(|id| self.release(id));
    }

    /// What an instance had by a former definition, and does not need any more. To be released.
    pub fn take_former(&mut self, instance: InstanceId) -> Option<Kit> {
        let at = self.former.iter().position(|(whose, _)| *whose == instance)?;
        Some(Kit(Some(self.former.swap_remove(at).1)))
    }

    /// Closes a channel that nobody watches any more.
    pub fn release(&mut self, id: ChannelId) {
        if let Some(place) = self.channels.get_mut(id.index()) {
            *place = None;
        }
    }

    /// The number of places for channels.
    pub fn count(&self) -> usize {
        self.channels.len()
    }

    /// The channels of a kit, each with lar's end of it, if that is open.
    pub fn ends<'a>(
        &'a self,
        kit: &'a Kit,
    ) -> impl Iterator<Item = (ChannelId, Option<RawFd>)> + 'a {
        let end = |id: ChannelId| (id, self.channel(id).and_then(Channel::end));
        kit.0.iter().flat_map(|desk| desk.all()).map(end)
    }

    /// The streams' ends that an instance's processes get, in their order.
    pub fn streams_of(&self, kit: &Kit) -> Vec<RawFd> {
        self.streams_at(kit.0.as_deref())
    }

    /// The same of what an instance has.
    pub fn streams(&self, instance: InstanceId) -> Vec<RawFd> {
        self.streams_at(self.desk(instance))
    }

    fn streams_at(&self, desk: Option<&Desk>) -> Vec<RawFd> {
        let ids = desk.into_iter().flat_map(|desk| &desk.streams);
        ids.filter_map(|id| self.channel(*id)?.theirs()).collect()
    }

    /// Every stream, and lar's end of it.
    pub fn sources(&self) -> impl Iterator<Item = (ChannelId, RawFd)> + '_ {
        let all = (0..).zip(&self.channels);
        all.filter_map(|(id, channel)| Some((ChannelId(id), channel.as_ref()?.end()?)))
    }

    fn desk(&self, instance: InstanceId) -> Option<&Desk> {
        self.desks.get(instance.index())?.as_deref()
    }

    fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id.index())?.as_ref()
    }

    fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(id.index())?.as_mut()
    }

    /// The ways into an instance, by their numbers: 0 is its standard input.
    fn find(&self, instance: InstanceId, way: u32) -> Option<ChannelId> {
        let desk = self.desk(instance)?;
        match way.checked_sub(1) {
            None => desk.stdin,
            Some(stream) => desk.streams.get(stream as usize).copied(),
        }
    }

    /// Whether anything has to be done for a new process of this instance.
    pub fn any(&self, instance: InstanceId) -> bool {
        self.desk(instance).is_some()
    }

    /// Whether some instance still has channels of a former definition.
    pub fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// The channels of an instance; `None` past the last.
    pub fn nth(&self, instance: InstanceId, at: usize) -> Option<ChannelId> {
        self.desk(instance)?.all().nth(at)
    }

    /// Makes a channel ready for a process that is about to be started: its standard input's pipe is made, and a stream
    /// that was shut down is made anew. EMFILE, ENFILE.
    pub fn prepare(&mut self, id: ChannelId) -> Result<(), Errno> {
        self.channel_mut(id).map_or(Ok(()), Channel::prepare)
    }

    /// Whether [`Input::prepare`] will make it anew: what is there must not be watched any more then.
    pub fn renews(&self, id: ChannelId) -> bool {
        self.channel(id).is_some_and(Channel::renews)
    }

    /// What the process that is about to be started is to have as standard input, if that is a pipe.
    pub fn stdin(&self, instance: InstanceId) -> Option<RawFd> {
        self.channel(self.desk(instance)?.stdin?)?.theirs()
    }

    /// lar's end of a channel, if it is open.
    pub fn end(&self, id: ChannelId) -> Option<RawFd> {
        self.channel(id)?.end()
    }

    /// The process has been started, or could not be.
    pub fn started(&mut self, instance: InstanceId, up: bool) {
        self.starts += 1;
        let serial = self.starts;
        let mut at = 0;
        while let Some(id) = self.nth(instance, at) {
            at += 1;
            if let Some(channel) = self.channel_mut(id) {
                channel.started(up.then_some(serial));
            }
        }
    }

    /// A process of this instance has ended: what it has not read is dropped, and counted. What it wrote to its streams
    /// is to be read before.
    pub fn ended(&mut self, instance: InstanceId) -> usize {
        let mut lost = 0;
        let mut at = 0;
        while let Some(id) = self.nth(instance, at) {
            at += 1;
            lost += self.channel_mut(id).map_or(0, Channel::ended);
        }
        lost
    }

    /// Takes bytes for a program, as many as there is room for; how many. With `close`, no more will follow.
    pub fn push(&mut self, instance: InstanceId, way: u32, bytes: &[u8], close: bool) -> usize {
        let Some(id) = self.find(instance, way) else { return 0 };
        self.channel_mut(id).map_or(0, |channel| channel.push(bytes, close))
    }

    /// epoll says that a channel can be written to, or (`broken`) that nobody will read it. Whose it is, if its program
    /// has just closed it.
    pub fn ready(&mut self, id: ChannelId, broken: bool) -> Option<InstanceId> {
        let channel = self.channel_mut(id)?;
        channel.ready(broken).then_some(channel.instance)
    }

    /// Reads a stream once; whether there may be more: epoll will not say so again.
    pub fn read(&mut self, id: ChannelId) -> bool {
        let Input { channels, buffer, .. } = self;
        let channel = channels.get_mut(id.index()).and_then(Option::as_mut);
        channel.is_some_and(|channel| channel.read(buffer))
    }

    /// Reads what a process of this instance has left in its streams. Bounded: somebody else may go on writing.
    pub fn drain(&mut self, instance: InstanceId) {
        /// Reads, in buffers: more than a socket holds, by the kernel's default.
        const READS: usize = 32;
        let mut at = 0;
        while let Some(id) = self.nth(instance, at) {
            at += 1;
            for _ in 0..READS {
                if !self.read(id) {
                    break;
                }
            }
        }
    }

    /// How a way into an instance stands; `None` if there is none of this number.
    pub fn look(&self, instance: InstanceId, way: u32) -> Option<Look> {
        self.channel(self.find(instance, way)?).map(Channel::look)
    }

    /// What came last from a stream, if any of it is kept.
    pub fn ring(&self, instance: InstanceId, way: u32) -> Option<&Ring> {
        self.channel(self.find(instance, way)?)?.ring.as_ref()
    }
}
