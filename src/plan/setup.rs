//! What is done between clone and exec: data only, `sys::spawn` does it.

/// What is done between clone and exec.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Whom it runs as; `None` keeps lar's.
    pub identity: Option<Identity>,
    /// File mode creation mask; `None` keeps lar's.
    pub umask: Option<u32>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Its nice value, -20 to 19.
    pub nice: Option<i8>,
    /// Its I/O priority.
    pub ionice: Option<IoNice>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i16>,
    /// No setuid program can raise its rights.
    pub no_new_privileges: bool,
    /// The capabilities it may have, as a mask of 1 << number; `None` leaves them alone.
    pub capabilities: Option<u64>,
    /// How the child is made.
    pub spawn: Spawn,
    /// Which of lar's variables it gets.
    pub inherit: Inherit,
    /// Fds that lar was given and that it finds under the same numbers.
    pub pass_fds: Vec<i32>,
    /// Its session and terminal.
    pub session: Session,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            identity: None,
            umask: Some(0o022),
            limits: Vec::new(),
            nice: None,
            ionice: None,
            oom_score_adj: None,
            no_new_privileges: false,
            capabilities: None,
            spawn: Spawn::Vfork,
            inherit: Inherit::All,
            pass_fds: Vec::new(),
            session: Session::Own,
        }
    }
}

/// Whom a process runs as, looked up at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Real, effective and saved user id; `None` keeps lar's.
    pub uid: Option<u32>,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The user's name and home for USER, LOGNAME, HOME and SHELL, if the user is in /etc/passwd.
    pub account: Option<Account>,
}

/// What /etc/passwd says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: String,
    /// Login shell; may be empty.
    pub shell: String,
}

/// A resource limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which.
    pub resource: Resource,
    /// What the process is held to.
    pub soft: Option<u64>,
    /// How far it may raise that.
    pub hard: Option<u64>,
}

/// The resources of setrlimit(2).
#[allow(missing_docs)] // the kernel's names
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// An I/O priority, as ioprio_set(2) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoNice {
    /// 1 real-time, 2 best-effort, 3 idle.
    pub class: u8,
    /// 0 (highest) to 7.
    pub level: u8,
}

/// How a child is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawn {
    /// Sharing lar's memory until it execs: fastest; lar stands still until then.
    Vfork,
    /// With a copy of it: for programs on a file system that may hang.
    Fork,
}

/// Which of lar's variables a service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// All.
    All,
    /// None.
    Nothing,
    /// These.
    Names(Vec<String>),
}

/// A child's session, terminal and signal state. All but [`Session::Own`] are for single-program mode, where the child
/// starts with exactly the mask and the ignored signals that lar was given, and with its open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Its own session, clean signal mask and default dispositions: every service.
    Own,
    /// lar's way: with a controlling terminal, as `Job`; without one its own session.
    Given,
    /// tini's way: a process group of its own in lar's session, and the foreground if that is lar's.
    Job,
    /// dumb-init's way: its own session, and with it the terminal, which lar has let go of.
    Leader,
    /// `dumb-init -c`: lar's session and lar's process group.
    Shared,
}
