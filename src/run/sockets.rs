//! The sockets that lar listens on for its services, and the fds that it was given for them.
//!
//! They are opened once. Each image holds those that its program is given, so one that the configuration does not name
//! any more stays open for as long as somebody may still be started with it. A socket is known by where it listens:
//! what says the same after a change is the very same one, and nobody who waits there notices.
//!
//! The loop looks whether somebody waits only for a service that is to be started by that, and stops looking as soon
//! as it is on its way: who waits then is its business.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use log::{info, warn};
use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::Loop;
use super::token::Source;
use crate::config::diff::differences;
use crate::config::keys::Kind;
use crate::config::print_settings::one_socket;
use crate::ctl::place::bare;
use crate::plan::{InstanceId, Listen, Plan, Service, ServiceId, Socket, Start};
use crate::supervisor::{Event, Supervisor};
use crate::sys::listener::Listener;

/// A socket that can't be opened.
#[derive(Debug)]
pub struct Closed {
    name: String,
    listen: Listen,
    error: io::Error,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {}: can't listen on {}: {}", self.name, self.listen, bare(&self.error))
    }
}

/// One socket.
#[derive(Clone)]
struct Entry {
    socket: Socket,
    listener: Rc<Listener>,
    /// Whether it came with a service that was added, and is in no file.
    extra: bool,
    /// Whether epoll watches it.
    watched: bool,
    /// Services that may be started by a connection to it, and which of their sockets it is.
    starts: Vec<(ServiceId, u16)>,
}

/// All of them. A place in the table is a number for epoll, and stays the same while the socket is there.
#[derive(Default)]
pub(super) struct Sockets {
    entries: Vec<Option<Entry>>,
    /// For each service, the places of the sockets that may start it.
    of: Vec<Vec<usize>>,
    /// What lar was given for its services.
    given: Vec<OwnedFd>,
}

impl Sockets {
    /// Opens all that a plan names.
    pub(super) fn open(wanted: &[Socket], given: Vec<OwnedFd>) -> Result<Sockets, Closed> {
        let mut sockets = Sockets { given, ..Sockets::default() };
        for socket in wanted {
            sockets.add(socket, false)?;
        }
        Ok(sockets)
    }

    fn add(&mut self, socket: &Socket, extra: bool) -> Result<(), Closed> {
        let listener = Listener::open(socket).map_err(|error| Closed {
            name: socket.name.clone(),
            listen: socket.listen.clone(),
            error,
        })?;
        let entry = Entry {
            socket: socket.clone(),
            listener: Rc::new(listener),
            extra,
            watched: false,
            starts: Vec::new(),
        };
        match self.entries.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(entry),
            None => self.entries.push(Some(entry)),
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        self.all().find(|entry| entry.socket.name.eq_ignore_ascii_case(name))
    }

    /// What is said of each.
    pub(super) fn plans(&self) -> impl Iterator<Item = &Socket> {
        self.all().map(|entry| &entry.socket)
    }

    /// The sockets of a service, in its order, and then the fds that it is passed. What is missing is the error.
    pub(super) fn of(&self, service: &Service) -> Result<Vec<Rc<Listener>>, String> {
        for fd in &service.setup.pass_fds {
            if !self.given.iter().any(|given| given.as_raw_fd() == *fd) {
                return Err(format!(
                    "fd {fd} is not open: lar was not started with it for a service"
                ));
            }
        }
        let one = |name: &String| {
            let entry = self.named(name).ok_or_else(|| format!("there is no socket {name}"))?;
            Ok(Rc::clone(&entry.listener))
        };
        service.sockets.iter().map(one).collect()
    }

    /// Where each socket stands for whom, as it is now.
    fn remap(&mut self, supervisor: &Supervisor) {
        self.entries.iter_mut().flatten().for_each(|entry| entry.starts.clear());
        self.of.clear();
        for id in supervisor.services() {
            let service = supervisor.service(id);
            if service.start != Start::OnDemand {
                continue;
            }
            for (at, name) in (0u16..).zip(&service.sockets) {
                let mut places = self.entries.iter_mut().enumerate();
                let found = places.find_map(|(place, entry)| {
                    Some((place, entry.as_mut().filter(|entry| entry.socket.name == *name)?))
                });
                let Some((place, entry)) = found else { continue };
                entry.starts.push((id, at));
                if self.of.len() <= id.index() {
                    self.of.resize(id.index() + 1, Vec::new());
                }
                self.of[id.index()].push(place);
            }
        }
    }

    /// Watches a socket exactly if somebody is to be started by a connection; an error to do so.
    fn watch(
        &mut self,
        place: usize,
        supervisor: &Supervisor,
        registry: &Registry,
    ) -> io::Result<()> {
        let Some(Some(entry)) = self.entries.get_mut(place) else { return Ok(()) };
        let wanted = entry.starts.iter().any(|&(service, _)| supervisor.awaits(service));
        if entry.watched == wanted {
            return Ok(());
        }
        let fd = entry.listener.as_fd().as_raw_fd();
        match wanted {
            // Who waits already is reported at once.
            true => {
                let token = Source::Demand(place as u32).token();
                registry.register(&mut SourceFd(&fd), token, Interest::READABLE)?;
            }
            false => drop(registry.deregister(&mut SourceFd(&fd))),
        }
        entry.watched = wanted;
        Ok(())
    }

    /// The table for another configuration, with what is the same taken over. `keeps` names what is needed although
    /// no file names it.
    fn follow(&self, wanted: &[Socket], keeps: &dyn Fn(&str) -> bool) -> Result<Sockets, Closed> {
        let mut next = Sockets::default();
        for entry in &self.entries {
            let same = entry.as_ref().and_then(|entry| {
                let said = wanted.iter().find(|socket| socket.listen == entry.socket.listen);
                let extra = entry.extra && said.is_none();
                let kept = (extra && keeps(&entry.socket.name)).then_some(&entry.socket);
                let socket = said.or(kept)?.clone();
                Some(Entry { socket, extra, starts: Vec::new(), ..entry.clone() })
            });
            next.entries.push(same);
        }
        for socket in wanted {
            if !self.all().any(|entry| entry.socket.listen == socket.listen) {
                next.add(socket, false)?;
            }
        }
        Ok(next)
    }

    /// What would change with a configuration, one line each.
    pub(super) fn compare(&self, plan: &Plan, lines: &mut Vec<String>) {
        let old = |socket: &Socket| {
            let same = |entry: &&Entry| entry.socket.listen == socket.listen;
            let entry = self.all().find(same).or_else(|| self.named(&socket.name));
            entry.map(|entry| &entry.socket)
        };
        for socket in &plan.sockets {
            let name = &socket.name;
            let Some(old) = old(socket) else {
                lines.push(format!("socket {name}: added"));
                continue;
            };
            if old.name != *name {
                lines.push(format!("socket {}: called {name}", old.name));
            }
            let changes = differences(Kind::Socket, &one_socket(old), &one_socket(socket));
            lines.extend(changes.iter().map(|change| format!("socket {name}: {change}")));
        }
        for entry in self.all().filter(|entry| !entry.extra) {
            let name = &entry.socket.name;
            let stays = |socket: &Socket| {
                socket.listen == entry.socket.listen || socket.name.eq_ignore_ascii_case(name)
            };
            if !plan.sockets.iter().any(stays) {
                lines.push(format!("socket {name}: removed"));
            }
        }
    }

    /// The socket of this service that listens somewhere else by another plan.
    pub(super) fn moved<'a>(&self, service: &'a Service, plan: &Plan) -> Option<&'a str> {
        let moved = |name: &&String| {
            let new = plan.sockets.iter().find(|socket| socket.name == **name);
            let old = self.named(name);
            old.zip(new).is_some_and(|(old, new)| old.socket.listen != new.listen)
        };
        service.sockets.iter().find(moved).map(String::as_str)
    }
}

impl Loop {
    /// Opens what another configuration names. What there was is given back: for [`Loop::keep_sockets`] if the change
    /// is made, for [`Loop::restore_sockets`] if not.
    pub(super) fn change_sockets(
        &mut self,
        plan: &Plan,
        keeps: &dyn Fn(&str) -> bool,
    ) -> Result<Sockets, String> {
        let next = self.sockets.follow(&plan.sockets, keeps);
        let mut next = next.map_err(|closed| format!("{closed}; nothing was changed"))?;
        next.given = std::mem::take(&mut self.sockets.given);
        Ok(std::mem::replace(&mut self.sockets, next))
    }

    /// Nothing was changed: what was opened for it is closed again.
    pub(super) fn restore_sockets(&mut self, former: Sockets) {
        let given = std::mem::take(&mut self.sockets.given);
        self.sockets = Sockets { given, ..former };
    }

    /// Everything was changed: lets go of sockets that are not named any more, and lets the others follow what is said
    /// of them.
    pub(super) fn keep_sockets(&mut self, former: Sockets) {
        for old in former.all() {
            let is_it = |entry: &&Entry| Rc::ptr_eq(&entry.listener, &old.listener);
            let Some(new) = self.sockets.all().find(is_it) else {
                if old.watched {
                    let fd = old.listener.as_fd().as_raw_fd();
                    let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
                }
                info!("socket {}: closed", old.socket.name);
                continue;
            };
            if new.socket == old.socket {
                continue;
            }
            if let Err(error) = new.listener.follow(&new.socket) {
                let (name, why) = (&new.socket.name, bare(&error));
                warn!("socket {name}: not all of its definition could be followed: {why}");
            }
        }
    }

    /// Opens what a new service needs and is not there yet.
    pub(super) fn add_sockets(&mut self, service: &Service, plan: &Plan) -> Result<(), String> {
        let wanted = |name: &String| plan.sockets.iter().find(|socket| socket.name == *name);
        for socket in service.sockets.iter().filter_map(wanted) {
            let known = self.sockets.named(&socket.name);
            let known = known.or(self.sockets.all().find(|it| it.socket.listen == socket.listen));
            match known.map(|entry| &entry.socket) {
                None => self.sockets.add(socket, true).map_err(|closed| closed.to_string())?,
                Some(known) if known.name == socket.name && known.listen == socket.listen => {}
                Some(_) => {
                    let name = &socket.name;
                    return Err(format!("socket {name} is another one in the file: apply first"));
                }
            }
        }
        Ok(())
    }

    /// Sockets that came with services which are no more go with them.
    pub(super) fn drop_extra_sockets(&mut self) {
        for place in &mut self.sockets.entries {
            let Some(entry) = place.as_ref().filter(|entry| entry.extra) else { continue };
            let name = &entry.socket.name;
            let mut services = self.supervisor.services();
            if !services.any(|id| self.supervisor.service(id).sockets.contains(name)) {
                let fd = entry.listener.as_fd().as_raw_fd();
                if entry.watched {
                    let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
                }
                *place = None;
            }
        }
    }

    /// After a change of who there is, before anything follows from it.
    pub(super) fn remap_sockets(&mut self) {
        self.sockets.remap(&self.supervisor);
    }

    /// The same, once everything has followed.
    pub(super) fn watch_all_sockets(&mut self) {
        for place in 0..self.sockets.entries.len() {
            self.watch_socket(place);
        }
    }

    /// An instance has changed: whether its sockets are to be watched may be another matter now. Nothing is allocated
    /// here.
    pub(super) fn watch_sockets_of(&mut self, instance: InstanceId) {
        let service = self.supervisor.instance(instance).service;
        let count = self.sockets.of.get(service.index()).map_or(0, Vec::len);
        for at in 0..count {
            let places = self.sockets.of.get(service.index());
            if let Some(&place) = places.and_then(|places| places.get(at)) {
                self.watch_socket(place);
            }
        }
    }

    fn watch_socket(&mut self, place: usize) {
        let watched = self.sockets.watch(place, &self.supervisor, self.poll.registry());
        if let (Err(error), Some(Some(entry))) = (watched, self.sockets.entries.get(place)) {
            let name = &entry.socket.name;
            warn!("socket {name} can't be watched: {error}; what it should start is started now");
            self.demand(place);
        }
    }

    /// Somebody waits at a socket.
    pub(super) fn demand(&mut self, place: usize) {
        let Some(Some(entry)) = self.sockets.entries.get(place) else { return };
        for &(service, socket) in &entry.starts {
            if self.supervisor.awaits(service) {
                self.inbox.push_back(Event::Connection { service, socket });
            }
        }
    }
}

/// As a recipe has them: from 3 up the listeners, and each passed fd under its number.
pub(super) fn fds(listeners: &[Rc<Listener>], passed: &[RawFd]) -> Vec<(RawFd, RawFd)> {
    let listeners = listeners.iter().map(|listener| listener.as_fd().as_raw_fd());
    let listeners = listeners.zip(3..);
    listeners.chain(passed.iter().map(|&fd| (fd, fd))).collect()
}
