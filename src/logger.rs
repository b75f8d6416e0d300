//! lar's own log (`<eventlog>`): to standard error, standard output, files or a syslog, each with its
//! own level and form.
//!
//! It never waits: what can't be written at once is dropped and counted, and the count goes before
//! the next line that gets through. It never sets O_NONBLOCK on an fd it inherited. After the first
//! record nothing allocates. It is not where output of services goes. That a target fails is told once to
//! the others, or on standard error if there are none.
//!
//! env_logger formats one form for one target; so there is one of its loggers for each log file,
//! and `Fan` hands each record to all.

mod form;
mod post;
mod sink;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use env_logger::{Builder, Logger, Target};
use log::{LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;

use crate::plan::{EventLog, Level, LogFile, Syslog};
use crate::sys::fd::Standard;
use crate::sys::outlet::Outlet;
use form::Form;
use sink::{News, Sink, Tap};

/// A log file that could not be opened, or a syslog that nobody is there to hear. Its lines are counted as lost
/// until [`reopen`] succeeds, or somebody hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its path or address.
    pub path: String,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.errno.desc();
        write!(f, "event log {}: can't be opened: {why}; going on without it", self.path)
    }
}

/// The target of records in zdaemon's words.
pub const ZDAEMON: &str = "zdaemon";

/// The target of those that Python logs as critical, a level that `log` has not.
pub const CRITICAL: &str = "zdaemon::critical";

static SINKS: OnceLock<Vec<Arc<Mutex<Sink>>>> = OnceLock::new();

/// Sets the log up, once; a second call only changes the level. Gives the files that could not be
/// opened; if that is all of them, standard error takes their place.
pub fn init(event_log: &EventLog) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let usual = [LogFile::new("STDERR", Level::Trace)];
    let zdaemons = event_log.zdaemons;
    let silent = event_log.files.is_empty() && event_log.syslogs.is_empty() && !zdaemons;
    let files = if silent { &usual[..] } else { &event_log.files[..] };
    if SINKS.get().is_none() {
        let mut all: Vec<_> = files.iter().map(|file| one(file, &mut warnings)).collect();
        all.extend(event_log.syslogs.iter().map(|syslog| post(syslog, &mut warnings)));
        // Nobody could hear lar, not even why it ends.
        if warnings.len() == all.len() && !all.is_empty() && !zdaemons {
            all.push(one(&usual[0], &mut warnings));
        }
        let (sinks, loggers) = all.into_iter().unzip();
        let _ = SINKS.set(sinks);
        // Refused only if somebody else's logger is there; then lar's lines are theirs.
        let _ = log::set_boxed_logger(Box::new(Fan { loggers, zdaemons }));
    }
    set_level(event_log.level);
    warnings
}

/// Changes what is logged at all; a log file's own level holds besides.
pub fn set_level(level: Level) {
    log::set_max_level(filter(level));
}

/// Opens every log file anew, the new one before the old one is let go. Each path with its result.
pub fn reopen() -> Vec<(String, Result<(), Errno>)> {
    let mut results = Vec::new();
    for sink in SINKS.get().into_iter().flatten() {
        let mut sink = locked(sink);
        if let Some(result) = sink.reopen() {
            results.push((sink.name().to_string(), result));
        }
    }
    results
}

/// A panic elsewhere while a line was written leaves at worst half a line.
fn locked(sink: &Mutex<Sink>) -> MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn one(file: &LogFile, warnings: &mut Vec<Warning>) -> (Arc<Mutex<Sink>>, Logger) {
    let mut sink = Sink::file(file);
    if let Err(errno) = sink.open() {
        warnings.push(Warning { path: file.path.clone(), errno });
    }
    let terminal = match file.path.as_str() {
        "STDERR" => std::io::stderr().is_terminal(),
        "STDOUT" => std::io::stdout().is_terminal(),
        _ => false,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let form = Form::new(file.format.as_deref(), file.date_format.as_deref(), colour);
    logger(sink, file.level, form)
}

fn post(syslog: &Syslog, warnings: &mut Vec<Warning>) -> (Arc<Mutex<Sink>>, Logger) {
    let (sink, result) = Sink::post(syslog);
    if let Err(errno) = result {
        warnings.push(Warning { path: sink.name().to_string(), errno });
    }
    let form = Form::syslog(&syslog.format, syslog.date_format.as_deref(), syslog.facility);
    logger(sink, syslog.level, form)
}

fn logger(sink: Sink, level: Level, form: Form) -> (Arc<Mutex<Sink>>, Logger) {
    let sink = Arc::new(Mutex::new(sink));
    let logger = Builder::new()
        .filter_level(filter(level))
        .format(move |out, record| form.write(out, record))
        .target(Target::Pipe(Box::new(Tap(Arc::clone(&sink)))))
        .build();
    (sink, logger)
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::Off,
        Level::Error => LevelFilter::Error,
        Level::Warn => LevelFilter::Warn,
        Level::Info => LevelFilter::Info,
        Level::Debug => LevelFilter::Debug,
        Level::Trace => LevelFilter::Trace,
    }
}

/// Every record to every log.
struct Fan {
    loggers: Vec<Logger>,
    /// Whether only what is said in zdaemon's words is information.
    zdaemons: bool,
}

impl Fan {
    /// To every log; then what has happened to one of them, to the others.
    fn tell(&self, record: &Record<'_>) {
        self.loggers.iter().for_each(|logger| logger.log(record));
        for sink in SINKS.get().into_iter().flatten() {
            let (news, name) = {
                let mut sink = locked(sink);
                (sink.news(), sink.name())
            };
            match news {
                Some(News::Failed(errno)) => {
                    let why = errno.desc();
                    self.warn(format_args!(
                        "event log {name}: {why}; lines are lost until one can be written"
                    ));
                }
                Some(News::NotRotated(errno)) => {
                    let why = errno.desc();
                    self.warn(format_args!(
                        "event log {name}: can't be put aside: {why}; it goes on growing"
                    ));
                }
                None => {}
            }
        }
    }

    /// A warning about the log itself, which must not lead to another.
    fn warn(&self, text: fmt::Arguments<'_>) {
        let warning = Record::builder().level(log::Level::Warn).target(ZDAEMON).args(text).build();
        self.loggers.iter().for_each(|logger| logger.log(&warning));
        let well = |sink: &Arc<Mutex<Sink>>| locked(sink).is_well();
        if !SINKS.get().into_iter().flatten().any(well) {
            let mut line = Vec::new();
            let _ = writeln!(line, "lar: {text}");
            let _ = Outlet::new(Standard::Error).write(&line);
        }
    }
}

impl Log for Fan {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.loggers.iter().any(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        let own = record.level() == log::Level::Info && !record.target().starts_with(ZDAEMON);
        if !self.zdaemons || !own {
            return self.tell(record);
        }
        if log::max_level() >= LevelFilter::Debug {
            let (args, target) = (*record.args(), record.target());
            let record =
                Record::builder().level(log::Level::Debug).target(target).args(args).build();
            self.tell(&record);
        }
    }

    fn flush(&self) {}
}
