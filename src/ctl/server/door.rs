//! The way in: the socket is bound, and clients are accepted. What can't be had now is tried again later.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use log::{info, warn};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::listen::{BindError, Bound};
use super::peer::Peer;
use super::{CLIENTS, KEPT, RETRY, Server, TOKENS, access, linked};
use crate::ctl::place::{Place, bare};
use crate::exit::Code;
use crate::plan::Access;
use crate::time::Instant;

impl Server {
    pub(super) fn bind(&mut self, registry: &Registry) -> Result<(), BindError> {
        let bound = match self.places.first() {
            Some(Place::Path(path)) if self.zdaemon => linked::at(path, self.mode)?,
            _ => Bound::first(&self.places, self.mode)?,
        };
        let token = Token(self.first);
        if let Err(error) = register(registry, &bound.listener, token, Interest::READABLE) {
            return Err(BindError::Unusable(bound.place.clone(), error));
        }
        info!("control: listening at {}", bound.place);
        (self.bound, self.acceptable) = (Some(bound), true);
        Ok(())
    }

    /// Counts a failure, says the first of a row, and sets the next try.
    pub(super) fn fail(&mut self, now: Instant, what: &str) {
        if self.failures == 0 {
            warn!("control: {what}; next try in {}", crate::time::Human(self.delay));
        }
        self.failures += 1;
        self.retry = Some(now + self.delay);
        self.delay = (self.delay * 2).min(RETRY.1);
    }

    fn succeed(&mut self) {
        if self.failures > 1 {
            warn!("control: works again, after {} failures", self.failures);
        }
        (self.failures, self.delay, self.retry) = (0, RETRY.0, None);
    }

    pub(super) fn accept(&mut self, registry: &Registry, now: Instant) {
        if self.retry.is_some_and(|at| at > now) {
            return;
        }
        if self.bound.is_none() {
            match self.bind(registry) {
                Ok(()) => self.succeed(),
                Err(error) => return self.fail(now, &error.to_string()),
            }
        }
        // Bounded by the backlog: who fills it anew meanwhile is taken in the next turn.
        for _ in 0..TOKENS {
            let Some(bound) = self.bound.as_ref().filter(|_| self.acceptable) else { return };
            match bound.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, registry),
                Err(error) => match error.kind() {
                    // Only now is it over: one fd that was freed for one client of many is no recovery.
                    ErrorKind::WouldBlock => {
                        self.acceptable = false;
                        self.succeed();
                    }
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    // EMFILE, ENFILE, ENOMEM: the client stays in the backlog, and epoll will not
                    // name it again.
                    _ => {
                        let text = format!("can't accept a client: {}", bare(&error));
                        return self.fail(now, &text);
                    }
                },
            }
        }
    }

    fn welcome(&mut self, mut stream: UnixStream, registry: &Registry) {
        if let Err(error) = stream.set_nonblocking(true) {
            warn!("control: can't accept a client: {}", bare(&error));
            return;
        }
        let Some(access) = access::of(&stream, self.owner, &self.allow) else {
            let code = Code::NotPermitted.word();
            let _ =
                writeln!(stream, "error code={code} message=\"nothing is permitted to you here\"");
            return;
        };
        let slots = CLIENTS - if access == Access::Admin { 0 } else { KEPT };
        let Some(slot) = self.peers.iter().take(slots).position(Option::is_none) else {
            let _ = stream.write(b"error code=failed message=\"too many clients\"\n");
            return;
        };
        let token = Token(self.first + 1 + slot);
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = register(registry, &stream, token, both) {
            warn!("control: can't watch a client: {}", bare(&error));
            return;
        }
        self.serial += 1;
        self.peers[slot] = Some(Box::new(Peer::new(stream, access, self.serial, self.zdaemon)));
    }
}

fn register(
    registry: &Registry,
    source: &impl AsRawFd,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    registry.register(&mut SourceFd(&source.as_raw_fd()), token, interest)
}
