//! Where a daemon's words go while it is started, and what they were.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::exit::Code;
use crate::plan::{Kind, Process, Service, Target};
use crate::sys::capture::Capture;
use crate::sys::fd;

use super::failure::{Failure, SHOWN};
use super::log::LogFile;

/// All of it.
pub(super) struct Said {
    stdout: Sink,
    /// If that is another one.
    stderr: Option<Sink>,
    /// What `log-file` names.
    log: Option<LogFile>,
    /// Whether it names what can't be read again.
    log_passes: bool,
}

/// What it writes to.
enum Sink {
    /// Memory; the last length that was seen.
    Memory(Capture, u64),
    /// A file of its own.
    File(OwnedFd, LogFile),
    /// lar's standard output or error.
    Through(RawFd),
    /// /dev/null.
    Nowhere(OwnedFd),
}

/// Names of lar's own standard output and error: what is written there can't be read again.
const PASSING: [&str; 6] =
    ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2"];

impl Said {
    /// From now on.
    pub(super) fn new(service: &Service, process: &Process) -> Result<Said, Failure> {
        let log = process.log_file.as_deref();
        let log_passes =
            log.is_some_and(|path| PASSING.contains(&path) || LogFile::is_passing(path));
        // Who logs to where lar's output goes wants to see that, and all else that is said.
        let passes = log_passes || process.transcript == Target::Inherit;
        let stdout = sink(&process.transcript, 1, service.kind, passes)?;
        let stderr = process.stderr.as_ref();
        let stderr = match (stderr, &stdout) {
            (Some(target), _) => Some(sink(target, 2, service.kind, passes)?),
            (None, Sink::Through(_)) => Some(Sink::Through(2)),
            (None, _) => None,
        };
        let log = log.filter(|_| !log_passes).map(LogFile::new);
        Ok(Said { stdout, stderr, log, log_passes })
    }

    /// The file that `log-file` names.
    pub(super) fn log(&mut self) -> Option<&mut LogFile> {
        self.log.as_mut()
    }

    /// What it is given for standard output and error.
    pub(super) fn stdio(&self) -> (RawFd, RawFd) {
        let stdout = self.stdout.fd();
        (stdout, self.stderr.as_ref().map_or(stdout, Sink::fd))
    }

    /// Whether it has said anything since this was asked last.
    pub(super) fn stirred(&mut self) -> bool {
        let log = self.log.as_mut().is_some_and(LogFile::stirred);
        let stdout = self.stdout.stirred();
        self.stderr.as_mut().is_some_and(Sink::stirred) | stdout | log
    }

    /// Puts what it has said into a failure.
    pub(super) fn add_to(&self, failure: Failure) -> Failure {
        let sinks = std::iter::once(&self.stdout).chain(&self.stderr);
        let mut failure = failure;
        for sink in sinks {
            failure = match sink {
                Sink::Memory(capture, _) => failure.with("its output", capture.tail(SHOWN)),
                Sink::File(_, file) => add_file(failure, "its output in", file),
                Sink::Through(_) | Sink::Nowhere(_) => failure,
            };
        }
        if let Some(log) = &self.log {
            failure = add_file(failure, "its log", log);
        }
        if failure.said.is_empty() {
            failure.message.push_str(self.silence());
        }
        failure
    }

    /// Why there is nothing to be shown.
    fn silence(&self) -> &'static str {
        match &self.stdout {
            Sink::Nowhere(_) if self.log.is_none() => {
                " (its output is not kept; `transcript PATH` would)"
            }
            Sink::Through(_) if self.log.is_none() || self.log_passes => {
                " (what it said has passed through)"
            }
            _ => " (it has said nothing)",
        }
    }

    /// It has started: nobody reads any more what it says into memory.
    pub(super) fn close(self) {
        for sink in [Some(self.stdout), self.stderr].into_iter().flatten() {
            if let Sink::Memory(capture, _) = sink {
                capture.close();
            }
        }
    }
}

fn add_file(failure: Failure, what: &str, file: &LogFile) -> Failure {
    failure.with(format!("{what} {}", file.path), file.news(SHOWN).unwrap_or_default())
}

impl Sink {
    fn fd(&self) -> RawFd {
        match self {
            Sink::Memory(capture, _) => capture.fd(),
            Sink::File(fd, _) | Sink::Nowhere(fd) => fd.as_raw_fd(),
            Sink::Through(fd) => *fd,
        }
    }

    fn stirred(&mut self) -> bool {
        match self {
            Sink::Memory(capture, last) => {
                let before = std::mem::replace(last, capture.length());
                before != *last
            }
            Sink::File(_, file) => file.stirred(),
            Sink::Through(_) | Sink::Nowhere(_) => false,
        }
    }
}

/// Where a target leads to for a daemon without a manager: nobody is there to copy anything. The launcher's words are
/// kept in memory until it is known how the start went. A program that stays in the foreground would write there for
/// all its life, so it gets /dev/null.
fn sink(target: &Target, own: RawFd, kind: Kind, passes: bool) -> Result<Sink, Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Code::Failed, format!("{what}: {error}; nothing was started"))
    };
    match target {
        Target::File(path) => {
            let log = LogFile::new(path);
            let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
            let mut options = OpenOptions::new();
            let options = options.append(true).create(true).mode(0o644).custom_flags(flags);
            let file = options.open(path).map_err(|error| failed(path, &error))?;
            Ok(Sink::File(file.into(), log))
        }
        _ if passes => Ok(Sink::Through(own)),
        Target::Stdout | Target::Inherit => Ok(Sink::Through(own)),
        Target::Default | Target::None if kind == Kind::Forking => {
            let capture = Capture::new().map_err(|errno| failed("memfd", &errno))?;
            Ok(Sink::Memory(capture, 0))
        }
        Target::Default | Target::None => {
            let null = fd::open_null().map_err(|errno| failed("/dev/null", &errno))?;
            Ok(Sink::Nowhere(null))
        }
    }
}
