//! The manager's end of the control socket, inside its loop.
//!
//! It looks at everything and changes nothing itself. In each turn of the loop: [`Server::ready`]
//! for each of its tokens that epoll named; [`Server::serve`], which reads requests and turns them
//! into [`Event`]s and [`Order`]s; then, when the core has handled the events and its actions are
//! drained, [`Server::settle`], which sees the outcome and writes replies. While [`Server::busy`],
//! the loop must not sleep.
//!
//! Invariants: a client costs a fixed amount of memory and at most one request a turn, so that
//! nobody who talks much, reads slowly or hangs can slow the loop; a socket that can't be made, or
//! a client that can't be accepted, is a warning and another try, never the manager's end.

mod access;
mod change;
mod door;
mod events;
mod feed;
mod health;
pub mod linked;
pub mod listen;
mod names;
mod once;
mod order;
mod output;
mod patience;
mod peer;
mod pump;
mod reply;
mod verbs;
pub mod view;
mod wait;
mod work;
mod zdaemon;

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::AsRawFd;

use mio::event::Event as Readiness;
use mio::unix::SourceFd;
use mio::{Registry, Token};

pub use self::feed::Feed;
pub use self::listen::BindError;
use self::listen::Bound;
pub use self::once::Departure;
pub use self::order::{Done, Edit, Once, Order};
use self::peer::{Input, Peer};
pub use self::verbs::Refusal;
use self::verbs::{Turn, begin};
pub use self::view::View;
use self::work::{Reply, Text, Verdict, What, Work};
use super::place::Place;

use super::protocol::request::{Request, RequestError};
use crate::exit::Code;
use crate::plan::{Allow, InstanceId, Settings};
use crate::supervisor::{Event, Ticket};
use crate::time::{Duration, Instant};

/// How many clients are served at once: a test suite of many processes may `ensure` the same service. Each may cost
/// 80 KiB and an fd, so all of them 20 MiB: bounded also when somebody opens connections and forgets them. The next
/// one is told, and let go.
pub const CLIENTS: usize = 256;

/// How many of [`CLIENTS`] are kept for those who may do everything: whoever else is allowed something
/// can't keep the operator out by connecting.
const KEPT: usize = 4;

/// How many of the loop's tokens the server uses: the listener's and one for each client.
pub const TOKENS: usize = CLIENTS + 1;

/// The first and the longest time until a failed bind or accept is tried again; it doubles in
/// between. Long enough to cost nothing, short enough that an operator who has made room does not
/// wonder.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Whom an order came from; harmless when they have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId {
    slot: usize,
    serial: u64,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    places: Vec<Place>,
    /// Whether zdaemon's clients are served too, at zdaemon's kind of place.
    zdaemon: bool,
    mode: u32,
    allow: Vec<Allow>,
    owner: u32,
    first: usize,
    bound: Option<Bound>,
    // Whether connections may be waiting: edge-triggered epoll does not say it twice.
    acceptable: bool,
    retry: Option<Instant>,
    delay: Duration,
    failures: u64,
    peers: [Option<Box<Peer>>; CLIENTS],
    orders: VecDeque<(ClientId, Order)>,
    serial: u64,
    ticket: u64,
}

impl Server {
    /// A server as the settings have it, with the tokens `first..first + TOKENS`. A place that
    /// can't be used is a warning, and tried again; a place that another manager has is an error,
    /// because two of them would supervise the same things. `runtime` is $XDG_RUNTIME_DIR.
    pub fn new(
        settings: &Settings,
        runtime: Option<std::ffi::OsString>,
        registry: &Registry,
        first: Token,
        now: Instant,
    ) -> Result<Server, BindError> {
        let owner = nix::unistd::geteuid().as_raw();
        let places = match &settings.socket {
            Some(name) => vec![Place::named(name)],
            None => Place::usual(owner, runtime),
        };
        // Whoever is allowed something must be able to connect; the credentials decide the rest.
        let open = !settings.allow.is_empty() && settings.socket_mode == 0o600;
        let mut server = Server {
            places,
            zdaemon: settings.runner.is_some(),
            mode: if open { 0o666 } else { settings.socket_mode },
            allow: settings.allow.clone(),
            owner,
            first: first.0,
            bound: None,
            acceptable: false,
            retry: None,
            delay: RETRY.0,
            failures: 0,
            peers: [const { None }; CLIENTS],
            orders: VecDeque::with_capacity(CLIENTS),
            serial: 0,
            ticket: 0,
        };
        match server.bind(registry) {
            Err(taken @ BindError::Taken(_)) => return Err(taken),
            // Without it a zdaemon could never be stopped.
            Err(unusable) if server.zdaemon => return Err(unusable),
            Err(unusable) => server.fail(now, &format!("{unusable}; there is no control")),
            Ok(()) => {}
        }
        Ok(server)
    }

    /// Where it listens, if it does.
    pub fn place(&self) -> Option<&Place> {
        self.bound.as_ref().map(|bound| &bound.place)
    }

    /// Whether this token is one of its own.
    pub fn owns(&self, token: Token) -> bool {
        (self.first..self.first + TOKENS).contains(&token.0)
    }

    /// Notes what epoll says of one of its tokens.
    pub fn ready(&mut self, event: &Readiness) {
        match event.token().0.checked_sub(self.first) {
            Some(0) => self.acceptable = true,
            Some(slot) => {
                let peer = self.peers.get_mut(slot - 1).and_then(Option::as_mut);
                if let Some(peer) = peer {
                    let hung_up = event.is_write_closed();
                    peer.ready(event.is_readable(), event.is_writable(), hung_up);
                }
            }
            None => {}
        }
    }

    /// Whether there is work that epoll will not announce: the loop's timeout must be 0.
    pub fn busy(&self) -> bool {
        let accept = self.acceptable && self.retry.is_none() && self.bound.is_some();
        accept || self.peers.iter().flatten().any(|peer| peer.busy())
    }

    /// When [`Server::serve`] and [`Server::settle`] have to be called without any readiness.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.peers.iter().flatten().filter_map(|peer| peer.deadline()).chain(self.retry).min()
    }

    /// Accepts clients and begins their requests, at most one of each. What they want of the core
    /// goes to `inbox`, what they want of the loop to [`Server::poll_order`].
    pub fn serve(&mut self, registry: &Registry, view: &View, inbox: &mut VecDeque<Event>) {
        self.accept(registry, view.now);
        for slot in 0..CLIENTS {
            let Some(mut peer) = self.peers[slot].take() else { continue };
            if let Some(input) = peer.next() {
                self.request(slot, &mut peer, input, view, inbox);
            }
            self.peers[slot] = Some(peer);
        }
        self.feed(view);
    }

    /// What a client wants of the loop next.
    pub fn poll_order(&mut self) -> Option<(ClientId, Order)> {
        self.orders.pop_front()
    }

    /// The loop has done, or could not do, what this client ordered.
    pub fn answer(&mut self, client: ClientId, result: Result<Done, Refusal>, view: &View) {
        let peer = self.peers.get_mut(client.slot).and_then(Option::as_mut);
        let Some(peer) = peer.filter(|peer| peer.serial == client.serial) else { return };
        let ordered = match &peer.work {
            Work::Held => None,
            Work::Ordered(ordered) => Some(*ordered),
            Work::Idle | Work::Reply(_) | Work::Text(_) | Work::Wait(_) | Work::Run(_) => return,
            Work::Send(_) => {
                if let (Work::Send(sending), Ok(done)) = (&mut peer.work, result) {
                    sending.taken(&done.taken);
                }
                return;
            }
        };
        if peer.foreign {
            peer.work = Work::Text(Text::new(String::new()));
            return;
        }
        peer.work = match (result, ordered) {
            (Ok(done), Some(ordered)) => change::await_done(done, ordered, view),
            (Ok(done), None) => Work::Reply(Reply::lines(&done.lines, Verdict::Ok)),
            (Err(refusal), _) => Work::Reply(Reply::end(Err(refusal).into())),
        };
    }

    /// Somebody is no more: nobody waits for that one, or tells of it, any longer.
    pub fn forget(&mut self, gone: &Departure) {
        for peer in self.peers.iter_mut().flatten() {
            match &mut peer.work {
                Work::Wait(waiter) => waiter.forget(gone),
                Work::Reply(reply) => reply.forget(gone.id),
                Work::Run(run) => run.forget(gone),
                Work::Send(sending) => sending.forget(gone.id),
                Work::Idle | Work::Held | Work::Ordered(_) | Work::Text(_) => {}
            }
        }
    }

    /// Somebody has come to a service: who follows all the `others` there follows that one, too.
    pub fn join(&mut self, come: InstanceId, others: &[InstanceId]) {
        for peer in self.peers.iter_mut().flatten() {
            if let Work::Reply(reply) = &mut peer.work
                && reply.verdict == Verdict::Never
                && reply.targets.join(come, others)
                && let What::Logs(logs) = &mut reply.what
            {
                logs.sent.push((come, 0));
            }
        }
    }

    /// Looks at the outcome of this turn: goes on with every reply, and lets go of who is done.
    pub fn settle(&mut self, registry: &Registry, view: &View) {
        for slot in &mut self.peers {
            let Some(peer) = slot else { continue };
            pump::go_on(peer, view);
            if peer.finished(view.now) {
                // Closing alone would not do while a child that is being made holds a copy of the
                // fd.
                let _ = registry.deregister(&mut SourceFd(&peer.stream.as_raw_fd()));
                *slot = None;
                if self.retry.is_some() {
                    self.retry = Some(view.now); // there is an fd again
                }
            }
        }
    }

    /// The end as PID 1: closes every connection and gives the clients up to `patience` to leave. A client in our
    /// own namespace is killed along with it, and whoever asked for the end would be told so. The one function
    /// here that waits; call it when nothing else is left to do.
    pub fn farewell(&mut self, patience: Duration) {
        let start = std::time::Instant::now();
        let closed =
            |peer: &&mut Box<Peer>| peer.stream.shutdown(std::net::Shutdown::Write).is_ok();
        for peer in self.peers.iter_mut().flatten().filter(closed) {
            let mut gone = peer.stream.set_nonblocking(false).is_err();
            while !gone {
                let left = patience.saturating_sub(start.elapsed());
                // A timeout of zero would mean "for ever", and is refused.
                gone = peer.stream.set_read_timeout(Some(left)).is_err()
                    || !matches!((&peer.stream).read(&mut [0; 64]), Ok(1..));
            }
        }
    }

    fn request(
        &mut self,
        slot: usize,
        peer: &mut Peer,
        input: Input,
        view: &View,
        inbox: &mut VecDeque<Event>,
    ) {
        let request = match input {
            Input::Line(line) if line.trim().is_empty() => return,
            Input::Line(line) => Request::read(&line).map_err(|error| {
                // How much of what follows was meant for a program, nobody knows.
                peer.stop_reading(line.contains(" body="));
                match error {
                    RequestError::Greeting => ("protocol", error.to_string()),
                    error => (Code::Usage.word(), error.to_string()),
                }
            }),
            Input::Wrong(message) => Err(("protocol", message.to_owned())),
            Input::Refused(reply) => {
                peer.work = Work::Text(Text::new(reply.to_owned()));
                return;
            }
            Input::Foreign(line) => {
                self.ticket += 1;
                let (client, orders) = (ClientId { slot, serial: peer.serial }, &mut self.orders);
                let turn = Turn { view, inbox, orders, client, ticket: Ticket(self.ticket) };
                peer.work = zdaemon::begin(&line, peer.access, turn);
                return;
            }
        };
        if let Ok(request) = &request {
            peer.await_body(request.body, request.text.as_deref());
        }
        let request = request.and_then(|request| {
            let name = request.command.spec().name;
            match peer.access >= request.access() {
                true => Ok(request),
                false => {
                    Err((Code::NotPermitted.word(), format!("you are not permitted to {name}")))
                }
            }
        });
        peer.work = match request {
            Ok(request) => {
                self.ticket += 1;
                let (client, orders) = (ClientId { slot, serial: peer.serial }, &mut self.orders);
                let turn = Turn { view, inbox, orders, client, ticket: Ticket(self.ticket) };
                let work = begin(&request, turn);
                work.unwrap_or_else(|refusal| Work::Reply(Reply::end(Err(refusal).into())))
            }
            Err((code, message)) => Work::Reply(Reply::end(Verdict::Error(code, message))),
        };
    }
}
