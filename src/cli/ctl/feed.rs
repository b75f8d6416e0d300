//! `send` and `attach`: what is typed, or comes through a pipe, on its way to programs, and what they answer.
//!
//! One connection carries both directions: after the request's line come the bytes, and the half-close that ends
//! them is not the client's leaving.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::args::{Arguments, Layout};
use super::print::Printer;
use super::{complain, lost, places};
use crate::cli::INTERRUPTED;
use crate::ctl::client::{ClientError, Connection};
use crate::ctl::protocol::record::Fields;
use crate::ctl::protocol::reply::Line;
use crate::ctl::protocol::request::{self, Request};
use crate::exit::{Code, Errno};
use crate::signal::Signal;
use crate::sys::ear::{Ear, Heard, Wish};
use crate::sys::fd::{self, Standard};

/// How much is read ahead of what the manager takes, in bytes.
const AHEAD: usize = 64 * 1024;

/// Nothing is there yet.
const EAGAIN: i32 = 11;

/// How much longer than its own patience the manager is waited for.
const SILENCE: Duration = Duration::from_secs(5);

/// What is sent, as far as it is there.
struct Source {
    bytes: Vec<u8>,
    done: usize,
    /// Whether standard input goes on with it.
    input: bool,
    /// The terminal that is read in its place.
    terminal: Option<OwnedFd>,
    /// Whether the end is told by a half-close.
    open: bool,
}

impl Source {
    fn all(bytes: Vec<u8>) -> Source {
        Source { bytes, done: 0, input: false, terminal: None, open: false }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.done..).unwrap_or(&[])
    }

    /// What is read.
    fn input(&self) -> BorrowedFd<'_> {
        self.terminal.as_ref().map_or(fd::standard(Standard::Input), AsFd::as_fd)
    }

    /// Reads more of standard input; whether there was any.
    fn read(&mut self) -> bool {
        self.bytes.drain(..self.done);
        self.done = 0;
        let mut chunk = [0; 16 * 1024];
        match fd::read(self.input(), &mut chunk) {
            Err(Errno(EAGAIN)) => true,
            Ok(count @ 1..) => {
                self.bytes.extend_from_slice(chunk.get(..count).unwrap_or(&[]));
                true
            }
            // What can't be read is at its end: a terminal that has hung up.
            Ok(0) | Err(_) => {
                self.input = false;
                false
            }
        }
    }
}

/// Sends what a request is about, and shows the reply; the exit code.
pub(super) fn run(arguments: &Arguments, request: &Request) -> u8 {
    let source = match source(request) {
        Ok(source) => source,
        Err(error) => return complain(Code::Usage, &format!("standard input: {error}")),
    };
    let Some(line) = line(request, &source) else {
        return complain(Code::Usage, "the arguments are too long, or hold a newline");
    };
    let mut talk = match Talk::begin(arguments, request, source) {
        Ok(talk) => talk,
        Err(error) => return lost(request, &error),
    };
    match talk.converse(&line) {
        Ok(code) => code,
        Err(ClientError::Interrupted) if request.attaches() => talk.leave(),
        Err(ClientError::Interrupted) => {
            let _ = writeln!(io::stderr(), "lar ctl: not all may have been sent");
            INTERRUPTED
        }
        Err(error) => lost(request, &error),
    }
}

/// Where the bytes come from: the words of the command line, or standard input.
fn source(request: &Request) -> io::Result<Source> {
    let stdin = || Source {
        input: true,
        terminal: fd::terminal_input(),
        open: true,
        ..Source::all(Vec::new())
    };
    match &request.text {
        _ if request.attaches() => Ok(stdin()),
        Some(text) if text != "-\n" => Ok(Source::all(text.clone().into_bytes())),
        None if request.close => Ok(Source::all(Vec::new())),
        _ => {
            let mut file = File::from(fd::standard(Standard::Input).try_clone_to_owned()?);
            // Of a file the size is known, so that nothing of others comes in between.
            if !file.metadata()?.is_file() {
                return Ok(stdin());
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Source::all(bytes))
        }
    }
}

/// The request as it is sent.
fn line(request: &Request, source: &Source) -> Option<String> {
    let mut words = vec![request.command.spec().name.to_owned()];
    words.extend(request.stream.iter().map(|stream| format!("--stream={stream}")));
    words.extend(request.lines.map(|lines| format!("--lines={lines}")));
    words.extend(request.close.then(|| "--close".to_owned()));
    words.extend((!request.wait).then(|| "--no-wait".to_owned()));
    words.extend(request.timeout.map(|time| format!("--timeout={}ms", time.as_millis())));
    words.extend(request.names.first().cloned());
    if !request.attaches() {
        let length = source.bytes.len();
        words.push(if source.open { "body=*".into() } else { format!("body={length}") });
    }
    request::line(&words)
}

/// One conversation.
struct Talk<'a> {
    request: &'a Request,
    connection: Connection,
    ear: Ear,
    source: Source,
    layout: Layout,
    printer: Printer,
    terminal: bool,
}

impl<'a> Talk<'a> {
    fn begin(
        arguments: &Arguments,
        request: &'a Request,
        source: Source,
    ) -> Result<Talk<'a>, ClientError> {
        let connection = Connection::open(&places(arguments))?;
        let ear = Ear::open(&[Signal::INT]);
        let ear = ear.map_err(|errno| connection.broken(io::Error::from_raw_os_error(errno.0)))?;
        let (layout, printer) = (arguments.layout, Printer::new(arguments.layout, request));
        let terminal = source.input && io::stdin().is_terminal();
        Ok(Talk { request, connection, ear, source, layout, printer, terminal })
    }

    fn converse(&mut self, line: &str) -> Result<u8, ClientError> {
        self.connection.send(line)?;
        if self.request.attaches() && self.terminal {
            let name = self.request.names.first().map_or("", String::as_str);
            let end = if self.request.close { "Ctrl-D ends its input" } else { "Ctrl-D leaves" };
            let _ = writeln!(io::stderr(), "lar ctl: attached to {name}; {end}, Ctrl-C leaves");
        }
        loop {
            while let Some(line) = self.connection.line_now()? {
                match line {
                    Line::Record(fields) => {
                        if self.show(&fields).is_err() {
                            return Ok(Code::Done as u8); // nobody reads on
                        }
                    }
                    Line::Ok => {
                        let _ = self.printer.finish(None);
                        return Ok(Code::Done as u8);
                    }
                    Line::Error { code, message } => {
                        let _ = self.printer.finish(Some((code, &message)));
                        return Ok(code.exit());
                    }
                }
            }
            self.pass_on()?;
            if let Some(code) = self.wait()? {
                return Ok(code);
            }
        }
    }

    /// Sends what there is, as far as the manager takes it, and the end.
    fn pass_on(&mut self) -> Result<(), ClientError> {
        while !self.source.rest().is_empty() {
            match self.connection.send_now(self.source.rest())? {
                0 => return Ok(()),
                count => self.source.done += count,
            }
        }
        if std::mem::take(&mut self.source.open) && !self.source.input {
            self.connection.end_sending();
        } else {
            self.source.open = self.source.input;
        }
        Ok(())
    }

    /// Waits until something can be done; the exit code if somebody has left by the keyboard.
    fn wait(&mut self) -> Result<Option<u8>, ClientError> {
        let sends = !self.source.rest().is_empty();
        let reads = self.source.input && self.source.rest().len() < AHEAD;
        let stdin = self.source.input();
        let fds: [(BorrowedFd, Wish); 2] = [
            (self.connection.as_fd(), if sends { Wish::Both } else { Wish::Read }),
            (stdin, if reads { Wish::Read } else { Wish::Nothing }),
        ];
        let until = self.request.timeout.filter(|_| !self.source.input && !self.request.attaches());
        let until = until.and_then(|time| Instant::now().checked_add(time.saturating_add(SILENCE)));
        let (heard, ready) = self
            .ear
            .wait_for(fds, until)
            .map_err(|errno| self.connection.broken(io::Error::from_raw_os_error(errno.0)))?;
        match heard {
            Heard::Signal(_) => return Err(ClientError::Interrupted),
            Heard::Silence => return Err(self.connection.silent()),
            Heard::Ready => {}
        }
        let [answers, typed] = ready;
        if answers && !self.connection.read_now()? {
            return Err(self.connection.closed());
        }
        if typed
            && !self.source.read()
            && self.terminal
            && self.request.attaches()
            && !self.request.close
        {
            return Ok(Some(self.leave()));
        }
        Ok(None)
    }

    /// What an attached client shows is the program's own bytes; what lar says comes on standard error.
    fn show(&mut self, fields: &Fields) -> io::Result<()> {
        if !self.request.attaches() || self.layout == Layout::Json {
            return self.printer.record(fields);
        }
        let mut err = io::stderr();
        let name = fields.text("name").unwrap_or_default();
        if let Some(bytes) = fields.bytes("data") {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            return out.flush();
        }
        if let Some(lost) = fields.number("lost_bytes") {
            return writeln!(err, "lar ctl: {name}: {lost} bytes are missing here");
        }
        if let Some(dropped) = fields.number("dropped") {
            return writeln!(
                err,
                "lar ctl: {name}: nobody reads that; {dropped} bytes are dropped"
            );
        }
        self.printer.record(fields)
    }

    /// Leaves the program as it is.
    fn leave(&self) -> u8 {
        if self.terminal {
            let name = self.request.names.first().map_or("", String::as_str);
            let _ = writeln!(io::stderr(), "lar ctl: detached; {name} runs on");
        }
        Code::Done as u8
    }
}
