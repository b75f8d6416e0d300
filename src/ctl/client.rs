//! The client's end of the control socket: it sends one request, and hands over the reply line by
//! line.
//!
//! It waits for the socket and for Ctrl-C, and never asks twice: the manager answers when there is
//! something to say. It prints nothing; that is `cli::ctl`.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::place::{Place, bare};
use super::protocol::reply::Line;
use crate::exit::Errno;
use crate::sys::ear::{Ear, Heard};

/// A connection to a manager.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    place: Place,
    input: Vec<u8>,
    taken: usize,
    /// When to give up on a manager that says nothing; `None`: never.
    pub deadline: Option<Instant>,
}

/// Why there is no reply, or no more of it.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers at any of the places.
    NoManager(Vec<(Place, io::Error)>),
    /// Somebody else has the abstract name: neither root nor this user, or in another container.
    Stranger(Place, u32),
    /// The connection broke.
    Broken(Place, io::Error),
    /// The manager closed it without a last line.
    Closed(Place),
    /// A line that is not of this language.
    Garbled(Place, String),
    /// Ctrl-C. The work goes on.
    Interrupted,
    /// The manager has said nothing until the deadline, not even that it timed out.
    Silent(Place),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoManager(tried) => {
                f.write_str("no manager answers")?;
                for (at, (place, error)) in tried.iter().enumerate() {
                    let between = if at == 0 { " at " } else { ", nor at " };
                    write!(f, "{between}{place}: {}", bare(error))?;
                }
                Ok(())
            }
            ClientError::Stranger(place, uid) => write!(
                f,
                "who listens at {place} (user {uid}) is no manager of root or of this user, \
                 or in another container"
            ),
            ClientError::Broken(place, error) => {
                write!(f, "the connection to {place} broke: {}", bare(error))
            }
            ClientError::Closed(place) => {
                write!(
                    f,
                    "the manager at {place} closed the connection before its answer was complete"
                )
            }
            ClientError::Garbled(place, line) => {
                write!(f, "{place} does not speak lar's language; it said: {line:?}")
            }
            ClientError::Silent(place) => write!(f, "the manager at {place} does not answer"),
            ClientError::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// Connects to the first of `places` where a manager answers.
    pub fn open(places: &[Place]) -> Result<Connection, ClientError> {
        let mut tried = Vec::new();
        for place in places {
            let connected = place.connect();
            let ready = connected.and_then(|stream| stream.set_nonblocking(true).map(|()| stream));
            match ready {
                Ok(stream) => {
                    let place = place.clone();
                    check_peer(&stream, &place)?;
                    let input = Vec::new();
                    return Ok(Connection { stream, place, input, taken: 0, deadline: None });
                }
                Err(error) => tried.push((place.clone(), error)),
            }
        }
        Err(ClientError::NoManager(tried))
    }

    /// The pid of who made the socket, as it is in our pid namespace; `None` if it is in none that we see.
    pub fn peer(&self) -> Option<i32> {
        let peer = getsockopt(&self.stream, PeerCredentials).ok()?;
        Some(peer.pid()).filter(|&pid| pid > 0)
    }

    /// Sends a request's line.
    pub fn send(&mut self, line: &str) -> Result<(), ClientError> {
        // An empty queue takes 64 KiB at once, but nothing promises that.
        self.stream.set_nonblocking(false).map_err(|error| self.broken(error))?;
        let sent = self.stream.write_all(line.as_bytes());
        // A manager that refuses (too many clients) says why and closes: what it said is still to
        // be read.
        match sent {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(self.broken(error)),
            _ => {}
        }
        self.stream.set_nonblocking(true).map_err(|error| self.broken(error))
    }

    /// The next line of the reply.
    pub fn next(&mut self, ear: &mut Ear) -> Result<Line, ClientError> {
        loop {
            if let Some(line) = self.line() {
                let parsed = Line::parse(&line);
                return parsed.ok_or_else(|| ClientError::Garbled(self.place.clone(), line));
            }
            if !self.fill(ear)? {
                return Err(ClientError::Closed(self.place.clone()));
            }
        }
    }

    /// The next line of the reply, if it has come.
    pub fn line_now(&mut self) -> Result<Option<Line>, ClientError> {
        let Some(line) = self.line() else { return Ok(None) };
        let parsed = Line::parse(&line);
        parsed.map(Some).ok_or_else(|| ClientError::Garbled(self.place.clone(), line))
    }

    /// Reads what has come; false at the end.
    pub fn read_now(&mut self) -> Result<bool, ClientError> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(true),
                ErrorKind::ConnectionReset => Ok(false),
                _ => Err(self.broken(error)),
            },
        }
    }

    /// Sends as much of this as is taken at once; how much. What nobody takes any more counts as sent: why not is to be
    /// read.
    pub fn send_now(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        match self.stream.write(bytes) {
            Ok(count) => Ok(count),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock => Ok(0),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(bytes.len()),
                _ => Err(self.broken(error)),
            },
        }
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&mut self) {
        // Who has left need not hear it.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// That the manager has left before its last line.
    pub fn closed(&self) -> ClientError {
        ClientError::Closed(self.place.clone())
    }

    /// That it has said nothing for too long.
    pub fn silent(&self) -> ClientError {
        ClientError::Silent(self.place.clone())
    }

    /// Waits until the manager has closed the connection: until it has ended.
    pub fn drain(&mut self, ear: &mut Ear) -> Result<(), ClientError> {
        while self.fill(ear)? {}
        Ok(())
    }

    /// This error of the client's own, as one of the connection.
    pub fn broken(&self, error: io::Error) -> ClientError {
        ClientError::Broken(self.place.clone(), error)
    }

    fn line(&mut self) -> Option<String> {
        let rest = &self.input[self.taken..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            self.input.drain(..self.taken);
            self.taken = 0;
            return None;
        };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.taken += end + 1;
        Some(line)
    }

    /// Reads more; false at the end.
    fn fill(&mut self, ear: &mut Ear) -> Result<bool, ClientError> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    return Ok(true);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return Ok(false),
                    ErrorKind::WouldBlock => {
                        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                            return Err(ClientError::Silent(self.place.clone()));
                        }
                        match ear.wait(Some(self.stream.as_fd()), self.deadline) {
                            Ok(Heard::Signal(_)) => return Err(ClientError::Interrupted),
                            Ok(_) => {}
                            Err(Errno(number)) => {
                                return Err(self.broken(io::Error::from_raw_os_error(number)));
                            }
                        }
                    }
                    _ => return Err(self.broken(error)),
                },
            }
        }
    }
}

/// Anybody in the network namespace can take an abstract name. So whoever has it must be somebody
/// who could harm this user anyway; and visible from here, or it is the manager of another
/// container of the same pod.
fn check_peer(stream: &UnixStream, place: &Place) -> Result<(), ClientError> {
    if let Place::Path(_) = place {
        return Ok(());
    }
    let peer = getsockopt(stream, PeerCredentials);
    let peer = peer.map_err(|error| ClientError::Broken(place.clone(), error.into()))?;
    let known = peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw();
    match known && peer.pid() != 0 {
        true => Ok(()),
        false => Err(ClientError::Stranger(place.clone(), peer.uid())),
    }
}
