//! zdaemon's own options: data only. A `<runner>` says them, and so does zdaemon's command line.

/// What is said about zdaemon's one program; `None` where nothing is. The accessors have zdaemon's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runner {
    /// The program's words (`-p`).
    pub program: Option<Vec<String>>,
    /// Seconds (`-b`).
    pub backoff_limit: Option<u32>,
    /// Whether the manager goes into the background (`-d`).
    pub daemon: Option<bool>,
    /// Whether it never gives up (`-f`).
    pub forever: Option<bool>,
    /// The control socket (`-s`).
    pub socket_name: Option<String>,
    /// The exit codes that end the manager (`-x`).
    pub exit_codes: Option<Vec<i32>>,
    /// Whom everything runs as, a name or a number (`-u`).
    pub user: Option<String>,
    /// `-m`.
    pub umask: Option<u32>,
    /// The manager's directory (`-z`).
    pub directory: Option<String>,
    /// What `logtail` shows (`-l`).
    pub logfile: Option<String>,
    /// Where the output goes (`-t`).
    pub transcript: Option<String>,
    /// The client's limit of a start, in seconds (`-T`).
    pub start_timeout: Option<u32>,
    /// Seconds from TERM to KILL; without a file nothing is killed.
    pub stop_timeout: Option<u32>,
    /// A command that exits with 0 once the program can be used.
    pub start_test_program: Option<Vec<String>>,
    /// The shell's prompt.
    pub prompt: Option<String>,
    /// Whether no command means the shell (zdaemon 2).
    pub default_to_interactive: Option<bool>,
    /// Whether a stop leaves the manager running (zdaemon 2).
    pub hang_around: Option<bool>,
    /// Named for zdaemon's sake, and not used.
    pub python: Option<String>,
    /// Named for zdaemon's sake, and not used.
    pub zdrun: Option<String>,
}

impl Runner {
    /// zdaemon's `backoff-limit`.
    pub const BACKOFF_LIMIT: u32 = 10;
    /// zdaemon's `socket-name`.
    pub const SOCKET_NAME: &str = "zdsock";
    /// zdaemon's `exit-codes`.
    pub const EXIT_CODES: [i32; 2] = [0, 2];
    /// zdaemon's `umask`.
    pub const UMASK: u32 = 0o022;
    /// zdaemon's `transcript`.
    pub const TRANSCRIPT: &str = "/dev/null";
    /// zdaemon's `start-timeout` and, in a file, `stop-timeout`.
    pub const TIMEOUT: u32 = 300;

    /// What is said here, and for the rest what `file` says: a command line goes before its file.
    pub fn over(self, file: &Runner) -> Runner {
        let file = file.clone();
        Runner {
            program: self.program.or(file.program),
            backoff_limit: self.backoff_limit.or(file.backoff_limit),
            daemon: self.daemon.or(file.daemon),
            forever: self.forever.or(file.forever),
            socket_name: self.socket_name.or(file.socket_name),
            exit_codes: self.exit_codes.or(file.exit_codes),
            user: self.user.or(file.user),
            umask: self.umask.or(file.umask),
            directory: self.directory.or(file.directory),
            logfile: self.logfile.or(file.logfile),
            transcript: self.transcript.or(file.transcript),
            start_timeout: self.start_timeout.or(file.start_timeout),
            stop_timeout: self.stop_timeout.or(file.stop_timeout),
            start_test_program: self.start_test_program.or(file.start_test_program),
            prompt: self.prompt.or(file.prompt),
            default_to_interactive: self.default_to_interactive.or(file.default_to_interactive),
            hang_around: self.hang_around.or(file.hang_around),
            python: self.python.or(file.python),
            zdrun: self.zdrun.or(file.zdrun),
        }
    }

    /// Seconds.
    pub fn backoff_limit(&self) -> u32 {
        self.backoff_limit.unwrap_or(Runner::BACKOFF_LIMIT)
    }

    /// Whether the manager goes into the background.
    pub fn daemon(&self) -> bool {
        self.daemon.unwrap_or(true)
    }

    /// Whether it never gives up.
    pub fn forever(&self) -> bool {
        self.forever.unwrap_or(false)
    }

    /// The control socket.
    pub fn socket_name(&self) -> &str {
        self.socket_name.as_deref().unwrap_or(Runner::SOCKET_NAME)
    }

    /// The exit codes that end the manager.
    pub fn exit_codes(&self) -> &[i32] {
        self.exit_codes.as_deref().unwrap_or(&Runner::EXIT_CODES)
    }

    /// File mode creation mask.
    pub fn umask(&self) -> u32 {
        self.umask.unwrap_or(Runner::UMASK)
    }

    /// Where the output goes.
    pub fn transcript(&self) -> &str {
        self.transcript.as_deref().unwrap_or(Runner::TRANSCRIPT)
    }

    /// Seconds.
    pub fn start_timeout(&self) -> u32 {
        self.start_timeout.unwrap_or(Runner::TIMEOUT)
    }
}
