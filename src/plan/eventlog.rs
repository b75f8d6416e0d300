//! Where lar's own log goes, and how much of it.

use super::Rotate;

/// Where lar's own log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    /// What is logged.
    pub level: Level,
    /// Where to; if there is neither a file nor a syslog: standard error.
    pub files: Vec<LogFile>,
    /// And to whom.
    pub syslogs: Vec<Syslog>,
    /// Whether it is a zdaemon's: what only lar would say is left to level debug, and without a file nothing is
    /// logged.
    pub zdaemons: bool,
}

impl Default for EventLog {
    fn default() -> EventLog {
        EventLog { level: Level::Info, files: Vec::new(), syslogs: Vec::new(), zdaemons: false }
    }
}

/// One `<logfile>` of an `<eventlog>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// A path, or `STDERR`, or `STDOUT`.
    pub path: String,
    /// Less than this is not written here.
    pub level: Level,
    /// zdaemon's line format; `None` is lar's.
    pub format: Option<String>,
    /// strftime's words for `%(asctime)s`.
    pub date_format: Option<String>,
    /// When it is put aside; `None`: never.
    pub rotate: Option<Rotate>,
    /// Whether it is opened for the first line, and not before.
    pub delay: bool,
}

impl LogFile {
    /// Everything of this level and above, in lar's form.
    pub fn new(path: impl Into<String>, level: Level) -> LogFile {
        let path = path.into();
        LogFile { path, level, format: None, date_format: None, rotate: None, delay: false }
    }
}

/// One `<syslog>` of an `<eventlog>`: each line is a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Who gets them.
    pub address: SyslogAddress,
    /// syslog(3)'s number, 0 to 23.
    pub facility: u8,
    /// Less than this is not sent.
    pub level: Level,
    /// zdaemon's line format.
    pub format: String,
    /// strftime's words for `%(asctime)s`.
    pub date_format: Option<String>,
}

/// Where a syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket in the file system, as `/dev/log`.
    Path(String),
    /// By UDP.
    Udp(core::net::SocketAddr),
}

/// How much is logged; each includes the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing at all.
    Off,
    /// What needs somebody's attention.
    Error,
    /// What may.
    Warn,
    /// The lives of services.
    Info,
    /// What lar does for them.
    Debug,
    /// Every event.
    Trace,
}
