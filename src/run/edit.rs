//! Who comes and goes while lar runs: what the loop has for an instance is made, exchanged and let go of.
//!
//! What a change needs is made first, and only then is the core told: so a failure (no fd left, no such user) refuses
//! the change before anything has happened. The core's `Created` and `Redefined` then take what is ready; `Gone` gives
//! everything back. An edit comes only from the control server's turn, when no event is on its way: so whoever gets
//! the number of somebody who is gone hears nothing that was meant for that one.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsRawFd;

use log::{info, warn};
use mio::Interest;
use mio::unix::SourceFd;

use super::build::{Sitter, image};
use super::ears::Hearing;
use super::token::Source;
use super::{Images, Loop};
use crate::ctl::server::Departure;
use crate::input;
use crate::output::{self, Furniture, StreamId};
use crate::plan::{InstanceId, Process, Service, ServiceId, Standing, Timer, When};
use crate::supervisor::Ticket;
use crate::supervisor::edit::{Fate, Revision, Which};
use crate::supervisor::journal::News;
use crate::sys::clock;

/// Everything for one instance, before the core has named it.
pub(super) struct Kit {
    service: String,
    number: u32,
    images: Images,
    /// `None`: it keeps what it has.
    furniture: Option<Furniture>,
    ear: Hearing,
    /// `None`: it keeps what it has.
    input: Option<input::Kit>,
}

/// What the loop keeps for changes of who there is.
#[derive(Default)]
pub(super) struct Edits {
    /// What was prepared for instances that the core is about to name.
    pub(super) kits: VecDeque<Kit>,
    /// Instances that are to have a successor.
    pub(super) renewals: VecDeque<InstanceId>,
    /// Instances that are no more, until the control server has heard of it.
    pub(super) gone: Vec<Departure>,
    /// Who has come, until the control server has heard of it.
    pub(super) come: Vec<InstanceId>,
    /// Whether some instance still has pipes of a former definition.
    pub(super) former: bool,
    /// Services that were added and are in no file; in small letters.
    pub(super) added: BTreeSet<String>,
}

impl Edits {
    /// Whether there is something to be done, or to be told, in a turn that comes at once.
    pub(super) fn untold(&self) -> bool {
        !self.renewals.is_empty() || !self.gone.is_empty() || !self.come.is_empty()
    }
}

/// What is to be prepared.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) service: &'a Service,
    pub(super) number: u32,
    /// Whether that is the number of a run.
    pub(super) run: bool,
    pub(super) process: &'a Process,
    /// For whom, if for somebody who is there already.
    pub(super) instance: Option<InstanceId>,
}

impl Loop {
    /// Changes who there is, or refuses to, with the reason.
    pub(super) fn revise(&mut self, revision: Revision, ticket: Ticket) -> Result<(), String> {
        let mut wanted: Vec<(&Service, u32, Option<InstanceId>)> = Vec::new();
        for fate in &revision.fates {
            match fate {
                Fate::Keep(_) => {}
                Fate::New(service) => {
                    let count = service.processes.len() as u32;
                    wanted.extend((1..=count).map(|number| (&**service, number, None)));
                }
                Fate::Change { id, service, .. } => {
                    let number = |id| (self.supervisor.instance(id).number, id);
                    let there = self.supervisor.instances_of(*id).map(number);
                    wanted.extend(there.map(|(number, id)| (&**service, number, Some(id))));
                    let (old, new) =
                        (self.supervisor.service(*id).processes.len(), service.processes.len());
                    let more = new.saturating_sub(self.supervisor.count(*id) as usize);
                    let more = if old == new { 0 } else { more };
                    let fresh = self.supervisor.fresh_numbers(*id, more);
                    wanted.extend(fresh.into_iter().map(|number| (&**service, number, None)));
                }
            }
        }
        self.prepare_all(&wanted)?;
        let now = clock::now();
        let before: Vec<ServiceId> = self.supervisor.services().collect();
        if !self.supervisor.revise(now, revision, ticket) {
            self.discard_kits();
            return Err("the manager is ending".into());
        }
        for id in self.supervisor.services().filter(|id| !before.contains(id)) {
            self.journal.forget_service(id);
        }
        self.finish_edit();
        Ok(())
    }

    /// Lets a service have so many instances, or refuses to, with the reason.
    pub(super) fn scale(
        &mut self,
        id: ServiceId,
        count: u32,
        which: Which,
        ticket: Ticket,
    ) -> Result<(), String> {
        let service = self.supervisor.service(id).clone();
        let more = (count as usize).saturating_sub(self.supervisor.count(id) as usize);
        let fresh = self.supervisor.fresh_numbers(id, more).into_iter();
        let wanted: Vec<_> = fresh.map(|number| (&service, number, None)).collect();
        self.prepare_all(&wanted)?;
        self.supervisor.scale(clock::now(), id, count, which, ticket);
        self.finish_edit();
        Ok(())
    }

    /// Stops one instance for good.
    pub(super) fn drop_instance(&mut self, id: InstanceId, ticket: Ticket) {
        self.supervisor.drop_instance(clock::now(), id, ticket);
        self.finish_edit();
    }

    /// Who is there has changed: what is kept for services by their numbers follows.
    pub(super) fn follow_services(&mut self) {
        self.remap_sockets();
        self.follow_timers();
    }

    /// Does what the core asks for after an edit.
    pub(super) fn finish_edit(&mut self) {
        self.follow_services();
        while let Some(action) = self.supervisor.poll_action() {
            self.perform(action);
        }
        self.discard_kits();
        self.digest();
        self.watch_all_sockets();
        self.digest();
    }

    fn prepare_all(
        &mut self,
        wanted: &[(&Service, u32, Option<InstanceId>)],
    ) -> Result<(), String> {
        for &(service, number, instance) in wanted {
            let prepared = match service.process(number) {
                Some(process) => {
                    let process = &process;
                    self.prepare(Wanted { service, number, run: false, process, instance })
                }
                None => Err("there is nothing to run".into()),
            };
            match prepared {
                Ok(kit) => self.edits.kits.push_back(kit),
                Err(why) => {
                    self.discard_kits();
                    return Err(format!("{}: {why}; nothing was changed", service.label(number)));
                }
            }
        }
        Ok(())
    }

    /// Everything that an instance will need. What it has already, and can keep, is not made anew.
    pub(super) fn prepare(&mut self, wanted: Wanted) -> Result<Kit, String> {
        let Wanted { service, number, run, process, instance } = wanted;
        let sockets = self.sockets.of(service)?;
        if matches!(&service.timer, Some(Timer { when: When::At(_), .. })) {
            let ready = self.timers.make_ready(self.poll.registry());
            ready.map_err(|errno| format!("no timer for its time of the day: {errno}"))?;
        }
        let keeps = instance.is_some_and(|id| self.keeps_output(id, service, process));
        let furniture = if keeps { None } else { Some(self.furnish(wanted)?) };
        let ear = match self.ear(service, process, instance) {
            Ok(ear) => ear,
            Err(why) => {
                self.take_away(furniture);
                return Err(why);
            }
        };
        let keeps = instance.is_some_and(|id| self.keeps_input(id, service));
        let input = match if keeps { None } else { Some(self.furnish_input(service)) }.transpose() {
            Ok(input) => input,
            Err(why) => {
                self.take_away(furniture);
                self.close_ear(ear);
                return Err(why);
            }
        };
        let streams = match (&input, instance) {
            (Some(kit), _) => self.input.streams_of(kit),
            (None, Some(id)) => self.input.streams(id),
            (None, None) => Vec::new(),
        };
        let stdio = match (&furniture, instance) {
            (Some(furniture), _) => self.output.stdio_of(furniture),
            (None, Some(id)) => self.output.stdio(id),
            (None, None) => (1, 2),
        };
        let hears = self.ears.chosen(ear, instance);
        let settings = self.supervisor.settings();
        let streams = &streams[..];
        let sitter =
            Sitter { settings, service, number, run, process, ear: hears, stdio, streams, sockets };
        match image(&self.given, &sitter, self.null.as_raw_fd()) {
            Ok(images) => {
                let service = service.name.clone();
                Ok(Kit { service, number, images, furniture, ear, input })
            }
            Err(errno) => {
                self.take_away(furniture);
                self.close_ear(ear);
                input.into_iter().for_each(|kit| self.close_input(kit));
                Err(format!("can't be prepared: {errno}"))
            }
        }
    }

    /// Whether an instance's output goes on as it does.
    fn keeps_output(&self, id: InstanceId, service: &Service, process: &Process) -> bool {
        let old = self.supervisor.service(self.supervisor.instance(id).service);
        let user = |service: &Service| service.setup.identity.as_ref().and_then(|it| it.uid);
        let same = |before: &Process| {
            (&before.transcript, &before.stderr) == (&process.transcript, &process.stderr)
                && output::sought(before) == output::sought(process)
                && output::looks(old, before) == output::looks(service, process)
        };
        old.output.ring == service.output.ring
            && user(old) == user(service)
            && self.supervisor.process(id).is_some_and(same)
    }

    /// Whether what an instance is sent goes on as it does.
    fn keeps_input(&self, id: InstanceId, service: &Service) -> bool {
        let old = self.supervisor.service(self.supervisor.instance(id).service);
        let user = |service: &Service| service.setup.identity.as_ref().and_then(|it| it.uid);
        let ring = |service: &Service| match service.input.streams.is_empty() {
            true => 0,
            false => service.output.ring,
        };
        old.input == service.input && user(old) == user(service) && ring(old) == ring(service)
    }

    /// The pipes of an instance, watched.
    fn furnish(&mut self, wanted: Wanted) -> Result<Furniture, String> {
        let Wanted { service, number, run, process, .. } = wanted;
        let furnished = self.output.furnish(service, (number, run), process, clock::now());
        let (furniture, warnings) = furnished.map_err(|warning| warning.to_string())?;
        warnings.iter().for_each(|warning| warn!("{warning}"));
        self.pipes.resize(self.output.stream_count(), None);
        self.ready.grow(self.pipes.len());
        let mut failed = None;
        for (id, fd) in self.output.sources() {
            let Some(place @ None) = self.pipes.get_mut(id.index()) else { continue };
            let (token, mut source) = (Source::Output(id.0).token(), SourceFd(&fd));
            match self.poll.registry().register(&mut source, token, Interest::READABLE) {
                Ok(()) => *place = Some((fd, true)),
                Err(error) => failed = Some(format!("its output can't be watched: {error}")),
            }
        }
        match failed {
            None => Ok(furniture),
            Some(why) => {
                self.take_away(Some(furniture));
                Err(why)
            }
        }
    }

    /// There is a new instance.
    pub(super) fn created(&mut self, instance: InstanceId) {
        let size = (instance.index() + 1).max(self.images.len());
        self.images.resize_with(size, || None);
        self.ears.grow(size);
        self.questions.grow(size);
        self.journal.enlist(&self.supervisor, instance);
        self.lingering.reserve(size - self.lingering.len().min(size));
        self.inbox.reserve(size * 2 + 64);
        self.launch.grow(size);
        self.equip(instance);
        self.record(instance, News::Created);
        self.edits.come.push(instance);
        if self.supervisor.instance(instance).standing == Standing::Regular {
            info!("{}: added", self.supervisor.label(instance));
        }
    }

    /// An instance is to run something else from its next start on.
    pub(super) fn redefined(&mut self, instance: InstanceId) {
        self.equip(instance);
        self.record(instance, News::Updated);
        info!("{}: has another configuration", self.supervisor.label(instance));
    }

    /// Gives an instance what was prepared for it.
    fn equip(&mut self, instance: InstanceId) {
        let viewed = self.supervisor.instance(instance);
        let name = &self.supervisor.service(viewed.service).name;
        let its = |kit: &Kit| kit.number == viewed.number && kit.service == *name;
        // They are asked for in the order in which they were made.
        let at = self.edits.kits.iter().position(its);
        let Some(kit) = at.and_then(|at| self.edits.kits.remove(at)) else {
            // Without an image its start fails, and says so.
            return warn!("{}: nothing was prepared for it", self.supervisor.label(instance));
        };
        let Kit { images, furniture, ear, input, .. } = kit;
        if let Some(input) = input {
            self.input.install(instance, input);
        }
        if let Some(place) = self.images.get_mut(instance.index()) {
            *place = Some(images);
        }
        match furniture {
            Some(furniture) => {
                self.edits.former = true;
                self.output.install(instance, furniture);
            }
            None => {
                let service = self.supervisor.service(viewed.service);
                let (now, wall) = (clock::now(), clock::wall());
                self.output.dress(instance, service, viewed.number, now, wall);
            }
        }
        self.take_ear(instance, ear);
    }

    /// An instance is no more.
    pub(super) fn gone(&mut self, instance: InstanceId) {
        let departure = self.departure(instance);
        self.output.clear(instance);
        self.input.clear(instance);
        while let Some(kit) = self.input.take_former(instance) {
            self.close_input(kit);
        }
        self.edits.former = true;
        self.let_go_of_former(instance);
        self.questions.forget(instance);
        self.launch.forget(instance);
        self.lingering.retain(|&(_, whose)| whose != instance);
        self.take_ear(instance, Hearing::Now(None));
        if let Some(place) = self.images.get_mut(instance.index()) {
            *place = None;
        }
        self.drop_extra_sockets();
        self.record(instance, News::Removed);
        if departure.standing == Standing::Regular {
            info!("{}: removed", departure.label);
        }
        self.edits.gone.push(departure);
    }

    /// Closes the pipes that an instance had by a former definition.
    pub(super) fn let_go_of_former(&mut self, instance: InstanceId) {
        while let Some(stream) = self.output.take_former(instance) {
            self.close_stream(stream);
        }
        self.edits.former = self.output.has_former();
    }

    fn close_stream(&mut self, stream: StreamId) {
        if let Some((fd, true)) = self.pipes.get_mut(stream.index()).and_then(Option::take) {
            // Closing alone would not do while a child that is being made holds a copy.
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
        self.output.release(stream);
    }

    fn take_away(&mut self, furniture: Option<Furniture>) {
        let streams: Vec<StreamId> = furniture.iter().flat_map(Furniture::streams).collect();
        streams.into_iter().for_each(|stream| self.close_stream(stream));
    }

    /// Lets go of what nobody has taken.
    pub(super) fn discard_kits(&mut self) {
        while let Some(Kit { furniture, ear, input, .. }) = self.edits.kits.pop_front() {
            self.take_away(furniture);
            self.close_ear(ear);
            input.into_iter().for_each(|kit| self.close_input(kit));
        }
    }
}
