//! lar's own log (`<eventlog>`): to standard error, standard output, or files, each with its own
//! level and form.
//!
//! It never waits: what can't be written at once is dropped and counted, and the count goes before
//! the next line that gets through. It never sets O_NONBLOCK on an fd it inherited. After the first
//! record nothing allocates. It is not where output of services goes, and it does not rotate;
//! [`reopen`] serves those who do.
//!
//! env_logger formats one form for one target; so there is one of its loggers for each log file,
//! and `Fan` hands each record to all.

mod form;
mod sink;

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, OnceLock};

use env_logger::{Builder, Logger, Target};
use log::{LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;

use crate::plan::{EventLog, Level, LogFile};
use form::Form;
use sink::{Sink, Tap};

/// A log file that could not be opened. Its lines are counted as lost until [`reopen`] succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its path.
    pub path: String,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event log {}: can't be opened: {}", self.path, self.errno.desc())
    }
}

/// The target of records in zdaemon's words.
pub const ZDAEMON: &str = "zdaemon";

/// The target of those that Python logs as critical, a level that `log` has not.
pub const CRITICAL: &str = "zdaemon::critical";

static SINKS: OnceLock<Vec<Arc<Mutex<Sink>>>> = OnceLock::new();

/// Sets the log up, once; a second call only changes the level. Gives the files that could not be
/// opened.
pub fn init(event_log: &EventLog) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let usual = [LogFile {
        path: "STDERR".to_owned(),
        level: Level::Trace,
        format: None,
        date_format: None,
    }];
    let zdaemons = event_log.zdaemons;
    let silent = event_log.files.is_empty() && !zdaemons;
    let files = if silent { &usual[..] } else { &event_log.files[..] };
    if SINKS.get().is_none() {
        let (sinks, loggers) = files.iter().map(|file| one(file, &mut warnings)).unzip();
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
        // A panic elsewhere while a line was written leaves at worst half a line.
        let mut sink = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(path) = sink.path().map(str::to_owned) {
            results.push((path, sink.open()));
        }
    }
    results
}

fn one(file: &LogFile, warnings: &mut Vec<Warning>) -> (Arc<Mutex<Sink>>, Logger) {
    let mut sink = Sink::new(&file.path);
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
    let sink = Arc::new(Mutex::new(sink));
    let logger = Builder::new()
        .filter_level(filter(file.level))
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

impl Log for Fan {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.loggers.iter().any(|logger| logger.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        let own = record.level() == log::Level::Info && !record.target().starts_with(ZDAEMON);
        if !self.zdaemons || !own {
            return self.loggers.iter().for_each(|logger| logger.log(record));
        }
        if log::max_level() >= LevelFilter::Debug {
            let (args, target) = (*record.args(), record.target());
            let record =
                Record::builder().level(log::Level::Debug).target(target).args(args).build();
            self.loggers.iter().for_each(|logger| logger.log(&record));
        }
    }

    fn flush(&self) {}
}
