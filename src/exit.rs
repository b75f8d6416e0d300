//! How processes end, and the codes that lar itself ends with.

use core::fmt;

use crate::signal::Signal;

/// A process id as the kernel gives it; always above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub i32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit, with this code.
    Code(u8),
    /// It was killed by this signal.
    Signal {
        /// Which one.
        signal: Signal,
        /// Whether the kernel wrote a core file.
        core: bool,
    },
}

impl ExitStatus {
    /// Exit code 0.
    pub const SUCCESS: ExitStatus = ExitStatus::Code(0);

    /// A death by `signal`, without a core file.
    pub const fn killed(signal: Signal) -> ExitStatus {
        ExitStatus::Signal { signal, core: false }
    }

    /// What a shell would report: the code, or 128 + the signal's number.
    pub const fn shell_code(self) -> u8 {
        match self {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal { signal, .. } => 128 + signal.number() as u8,
        }
    }

    /// Whether it ended with code 0.
    pub const fn success(self) -> bool {
        matches!(self, ExitStatus::Code(0))
    }
}

/// `exit status 3` or `killed by SIGSEGV (core dumped)`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal { signal, core: false } => write!(f, "killed by {signal}"),
            ExitStatus::Signal { signal, core: true } => {
                write!(f, "killed by {signal} (core dumped)")
            }
        }
    }
}

/// An errno value, with Linux's text for those that starting a process can give (`sys` has a test that
/// compares them with the C library's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// The texts. The numbers are the same on every port that lar is built for.
pub const ERRNO_TEXTS: [(i32, &str); 30] = [
    (1, "Operation not permitted"),
    (2, "No such file or directory"),
    (3, "No such process"),
    (4, "Interrupted system call"),
    (5, "Input/output error"),
    (6, "No such device or address"),
    (7, "Argument list too long"),
    (8, "Exec format error"),
    (9, "Bad file descriptor"),
    (10, "No child processes"),
    (11, "Resource temporarily unavailable"),
    (12, "Cannot allocate memory"),
    (13, "Permission denied"),
    (14, "Bad address"),
    (16, "Device or resource busy"),
    (17, "File exists"),
    (19, "No such device"),
    (20, "Not a directory"),
    (21, "Is a directory"),
    (22, "Invalid argument"),
    (23, "Too many open files in system"),
    (24, "Too many open files"),
    (25, "Inappropriate ioctl for device"),
    (26, "Text file busy"),
    (28, "No space left on device"),
    (30, "Read-only file system"),
    (36, "File name too long"),
    (38, "Function not implemented"),
    (40, "Too many levels of symbolic links"),
    (116, "Stale file handle"),
];

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ERRNO_TEXTS.iter().find(|&&(number, _)| number == self.0) {
            Some((_, text)) => f.write_str(text),
            None => write!(f, "errno {}", self.0),
        }
    }
}

macro_rules! stages {
    ($($(#[$doc:meta])* $stage:ident = $word:literal,)*) => {
        /// The step of a start that failed. One list: the child counts through it, people read it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Stage { $($(#[$doc])* $stage,)* }

        impl Stage {
            /// Every stage, in the order of the list.
            pub const ALL: &'static [Stage] = &[$(Stage::$stage,)*];

            /// The word for it in messages, `why` and JSON.
            pub const fn word(self) -> &'static str {
                match self { $(Stage::$stage => $word,)* }
            }
        }
    };
}

stages! {
    /// clone(2) or fork(2) itself: EAGAIN, ENOMEM.
    Clone = "clone",
    /// setsid(2) or setpgid(2).
    Session = "session",
    /// Resetting signal dispositions.
    Signals = "signals",
    /// Writing oom_score_adj.
    OomScore = "oom-score-adj",
    /// setrlimit(2).
    Limits = "limits",
    /// setpriority(2).
    Nice = "nice",
    /// ioprio_set(2).
    IoNice = "ionice",
    /// chdir(2).
    Directory = "directory",
    /// dup2(2) of the standard fds.
    Fds = "fds",
    /// Taking the terminal.
    Terminal = "terminal",
    /// setgroups(2).
    Groups = "groups",
    /// setresgid(2).
    Group = "group",
    /// setresuid(2).
    User = "user",
    /// Bounding and ambient capabilities.
    Capabilities = "capabilities",
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges = "no-new-privileges",
    /// execve(2).
    Exec = "exec",
    /// Before any process: the PID file names a daemon that runs outside lar.
    PidFile = "pid-file",
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $word:literal, $meaning:literal;)*) => {
        /// How `lar` and `lar ctl` end (LSB's exit codes for init scripts, extended). On the wire an error carries
        /// its word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Code { $(#[doc = $meaning] $name = $code,)* }

        impl Code {
            /// Every code; those with a number of their own in ascending order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// What a process exits with. Two words may share one: a script that asks how a start went need not care
            /// whose patience was over.
            pub const fn exit(self) -> u8 {
                match self {
                    Code::StartTimeout => Code::TimedOut as u8,
                    code => code as u8,
                }
            }

            /// The word for it on the wire (`error code=unknown-service`).
            pub const fn word(self) -> &'static str {
                match self { $(Code::$name => $word,)* }
            }

            /// One line about it, for `lar help exit-codes`.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }

            /// The code with this word.
            pub fn from_word(word: &str) -> Option<Code> {
                Code::ALL.iter().copied().find(|code| code.word() == word)
            }
        }
    };
}

codes! {
    Done = 0, "done", "done; all that was named is up";
    Failed = 1, "failed", "failed";
    Usage = 2, "usage", "bad arguments";
    NotRunning = 3, "not-running", "not running (status)";
    UnknownStatus = 4, "unknown-status", "no such service (status)";
    UnknownService = 5, "unknown-service", "no such service (all other verbs)";
    BadConfig = 6, "bad-config", "the configuration has errors";
    NoManager = 7, "no-manager", "no manager is running";
    TimedOut = 8, "timed-out", "timed out; the work goes on";
    Refused = 9, "refused", "refused: it would break services that depend on it";
    NotPermitted = 10, "not-permitted", "not permitted";
    StartFailed = 11, "start-failed", "the service did not start";
    Forced = 12, "forced", "stopped only by KILL (with --strict)";
    CannotConnect = 13, "cannot-connect", "cannot connect to the service (ensure)";
    Superseded = 14, "superseded", "superseded by a later order";
    Already = 15, "already", "already as asked (with --strict)";
    StartTimeout = 16, "start-timeout", "the service was not ready within its start-timeout";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_read_like_a_shells() {
        assert_eq!(ExitStatus::Code(3).shell_code(), 3);
        assert_eq!(ExitStatus::killed(Signal::TERM).shell_code(), 143);
        assert_eq!(ExitStatus::killed(Signal::new(64).unwrap()).shell_code(), 192);
        let dumped = ExitStatus::Signal { signal: Signal::SEGV, core: true };
        assert_eq!(dumped.to_string(), "killed by SIGSEGV (core dumped)");
    }

    #[test]
    fn code_words_are_unique_and_found_again() {
        for &code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(code));
        }
        assert_eq!((Code::StartTimeout.exit(), Code::Already.exit()), (8, 15));
    }
}
