//! One connected client: its socket, its two buffers, and what is being done for it.
//!
//! Its memory is bounded: the input by `MAX_REQUEST`, grown as it arrives; the output is one
//! [`Buffer`] of fixed size. Its socket is watched edge-triggered, so `readable` and `writable`
//! remember what epoll will not say twice; they are cleared only by EAGAIN.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use super::work::Work;
use crate::ctl::protocol::record::Buffer;
use crate::ctl::protocol::request::Body;
use crate::ctl::protocol::{GREETING, MAX_REQUEST, zdaemon};
use crate::plan::Access;
use crate::time::{Duration, Instant};

/// Bytes of a reply that may wait for one client. Longer replies are produced as it reads; what a
/// subscriber does not read in time waits in the journal. 256 clients that read nothing cost 4 MiB.
pub const OUTPUT: usize = 16 * 1024;

/// How long a client that was cut off may take to read the reason: it may have been stopped by Ctrl-Z. It costs no more
/// than any other client that is silent.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How much of what a client sends to programs is read ahead, in bytes: then it waits for them.
const BODY: usize = 16 * 1024;

/// Bytes read from one client in one turn of the loop.
const CHUNK: usize = 4096;

const TOO_LONG: &str = "a request has at most 65536 bytes";
const _: () = assert!(MAX_REQUEST == 65536);

/// A connected client.
#[derive(Debug)]
pub struct Peer {
    /// Its socket; not blocking.
    pub stream: UnixStream,
    /// What it may do; `None`: nothing.
    pub access: Access,
    /// What is being done for it.
    pub work: Work,
    /// What it is to get.
    pub output: Buffer,
    /// Tells it from another client in the same slot later.
    pub serial: u64,
    /// Whether more could be written at once.
    pub go_on: bool,
    /// Whether what is being done for it was asked for in zdaemon's language.
    pub foreign: bool,
    /// Whether it may use that.
    zdaemon: bool,
    /// Whether it has asked for anything.
    asked: bool,
    input: Vec<u8>,
    // How much of `input` is known to hold no newline.
    scanned: usize,
    readable: bool,
    writable: bool,
    eof: bool,
    skipping: bool,
    gone: bool,
    // What of the input follows a request's line and belongs to that.
    body: Body,
    // Set once the last line is in `output`: nothing else is done any more.
    closing: Option<Instant>,
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, without its newline.
    Line(String),
    /// A line that is not in lar's language, without its newline.
    Foreign(Vec<u8>),
    /// What is none in zdaemon's, and the reply to it.
    Refused(&'static str),
    /// What can't be a request, and why.
    Wrong(&'static str),
}

impl Peer {
    /// A client that has just connected; whether it may speak zdaemon's language besides lar's.
    pub fn new(stream: UnixStream, access: Access, serial: u64, zdaemon: bool) -> Peer {
        Peer {
            stream,
            access,
            work: Work::Idle,
            output: Buffer::new(OUTPUT),
            serial,
            go_on: false,
            foreign: false,
            zdaemon,
            asked: false,
            input: Vec::new(),
            scanned: 0,
            readable: true,
            writable: true,
            eof: false,
            skipping: false,
            gone: false,
            body: Body::Bytes(0),
            closing: None,
        }
    }

    /// What epoll said.
    pub fn ready(&mut self, readable: bool, writable: bool, hung_up: bool) {
        self.readable |= readable;
        self.writable |= writable;
        if hung_up {
            self.leave();
        }
    }

    /// It reads no more. What it has asked for before is still done: `printf 'lar1 stop web\n'`
    /// into the socket need not wait for the answer.
    fn leave(&mut self) {
        (self.gone, self.readable) = (true, true);
    }

    /// The next request, if one is complete and the last one is done. Reads one chunk at most.
    pub fn next(&mut self) -> Option<Input> {
        if !matches!(self.work, Work::Idle) || self.closing.is_some() {
            return None;
        }
        if self.has_body() {
            self.pass_over();
            return None;
        }
        if let Some(input) = self.line() {
            return Some(input);
        }
        self.fill();
        self.line()
    }

    /// What follows the line of the request that is begun: `text`, if that stood in the line.
    pub fn await_body(&mut self, body: Body, text: Option<&str>) {
        self.body = body;
        if let Some(text) = text {
            self.input.splice(0..0, text.bytes());
            (self.body, self.scanned) = (Body::Bytes(text.len() as u64), 0);
        }
    }

    /// Whether nothing more that it says is a request.
    pub fn stop_reading(&mut self, yes: bool) {
        if yes {
            self.body = Body::Open;
        }
    }

    fn has_body(&self) -> bool {
        match self.body {
            Body::Bytes(left) => left > 0,
            Body::Open => true,
        }
    }

    /// Passes over what is left of the body of a request that is done.
    fn pass_over(&mut self) {
        self.fill();
        let _ = self.take_body(self.gathered());
        if self.eof && self.input.is_empty() {
            self.body = Body::Bytes(0);
        }
    }

    /// Reads more of the body of a request, up to a bound.
    pub fn gather(&mut self) {
        while self.gathers() && self.readable {
            self.fill();
        }
    }

    fn gathers(&self) -> bool {
        let wanted = matches!(&self.work, Work::Send(sending) if sending.reads());
        wanted && !self.eof && !self.is_whole() && !self.is_full()
    }

    /// How much of the body is there.
    pub fn gathered(&self) -> usize {
        match self.body {
            Body::Bytes(left) => self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            Body::Open => self.input.len(),
        }
    }

    /// Whether all that is still to come of the body is there.
    pub fn is_whole(&self) -> bool {
        match self.body {
            Body::Bytes(left) => self.input.len() as u64 >= left,
            Body::Open => self.eof,
        }
    }

    /// Whether no more of the body is read before some of it is taken.
    pub fn is_full(&self) -> bool {
        self.input.len() >= BODY
    }

    /// Whether the client will say nothing more.
    pub fn ended(&self) -> bool {
        self.eof
    }

    /// Takes the first bytes of the body.
    pub fn take_body(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.gathered());
        self.scanned = 0;
        if let Body::Bytes(left) = &mut self.body {
            *left -= count as u64;
        }
        self.input.drain(..count).collect()
    }

    /// Whether there is something to do without waiting for epoll.
    pub fn busy(&self) -> bool {
        let idle = matches!(self.work, Work::Idle) && self.closing.is_none();
        let more = self.readable && !self.eof || self.input.len() > self.scanned;
        let hurried = matches!(&self.work, Work::Send(sending) if sending.is_hurried());
        self.go_on || idle && more || self.gathers() && self.readable || hurried
    }

    fn fill(&mut self) {
        if !self.readable || self.eof {
            return;
        }
        let mut chunk = [0; CHUNK];
        match self.stream.read(&mut chunk) {
            Ok(0) => (self.eof, self.readable) = (true, false),
            Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => (self.eof, self.readable, self.gone) = (true, false, true),
        }
    }

    fn line(&mut self) -> Option<Input> {
        let newline = self.input[self.scanned..].iter().position(|&byte| byte == b'\n');
        let Some(end) = newline.map(|at| self.scanned + at) else {
            return self.no_line();
        };
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) {
            return None; // the end of what was too long; the next line comes with the next turn
        }
        self.asked = true;
        self.foreign = self.zdaemon && !line.starts_with(GREETING.as_bytes());
        if self.foreign {
            let fits = line.len() <= zdaemon::MAX_COMMAND;
            return Some(if fits {
                Input::Foreign(line)
            } else {
                Input::Refused(zdaemon::TOO_LONG)
            });
        }
        if line.len() >= MAX_REQUEST {
            return Some(Input::Wrong(TOO_LONG));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = String::from_utf8(line);
        Some(text.map_or(Input::Wrong("a request is UTF-8"), Input::Line))
    }

    /// What is to be said of input without a newline so far.
    fn no_line(&mut self) -> Option<Input> {
        self.scanned = self.input.len();
        if self.zdaemon && !self.skipping && !self.input.starts_with(GREETING.as_bytes()) {
            let refused = match self.scanned {
                length if length > zdaemon::MAX_COMMAND => zdaemon::TOO_LONG,
                length if self.eof && (length > 0 || !self.asked) => zdaemon::UNTERMINATED,
                _ => return None,
            };
            self.input.clear();
            (self.scanned, self.foreign, self.asked) = (0, true, true);
            return Some(Input::Refused(refused));
        }
        let wrong = if self.scanned >= MAX_REQUEST || self.skipping {
            // The rest of the line will be passed over.
            let told = std::mem::replace(&mut self.skipping, true);
            (!told).then_some(Input::Wrong(TOO_LONG))
        } else if self.eof && !self.input.is_empty() {
            Some(Input::Wrong("the request has no end"))
        } else {
            return None;
        };
        self.input.clear();
        self.scanned = 0;
        wrong
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self) {
        while self.writable && !self.output.is_empty() && !self.gone {
            match self.stream.write(self.output.pending()) {
                Ok(count) => self.output.consume(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.leave(),
            }
        }
        if self.gone {
            self.output.consume(usize::MAX);
            let more = !self.input.is_empty() || self.readable && !self.eof;
            // What it has sent before it left is still passed on.
            if !matches!(&self.work, Work::Send(sending) if sending.lingers(more)) {
                self.work = Work::Idle;
            }
        }
    }

    /// Says why, and lets it go once it has read that.
    pub fn cut_off(&mut self, now: Instant, code: &str, message: &str) {
        let line = self.output.last_record().word("error").field("code", code);
        line.field("message", message).finish();
        self.hang_up(now);
    }

    /// Lets it go once it has read what it is to get.
    pub fn hang_up(&mut self, now: Instant) {
        self.work = Work::Idle;
        self.closing = Some(now + LAST_WORDS);
    }

    /// Whether it is to be forgotten.
    pub fn finished(&self, now: Instant) -> bool {
        let answered = matches!(self.work, Work::Idle) && self.output.is_empty();
        let closed = self.eof && self.input.is_empty() && answered;
        let cut_off = self.closing.is_some_and(|by| self.output.is_empty() || by <= now);
        closed || cut_off
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.work {
            Work::Wait(waiter) => Some(waiter.deadline),
            Work::Send(sending) => sending.deadline(),
            _ => self.closing,
        }
    }
}
