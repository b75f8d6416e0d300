//! An image: everything a child needs between clone and exec, as the kernel wants it.
//!
//! Made when a plan is loaded, from words; read by the child, who only walks through arrays. What
//! depends on lar itself (is that user us already? which capabilities can be dropped?) is decided
//! here, so the child decides nothing.

use std::cell::Cell;
use std::ffi::c_char;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::rc::Rc;

use super::blanks::Blanks;
use super::passed::{Passed, PidText, listen_variables, passed};
use super::{Given, Report};
use crate::exit::{Errno, Pid, Stage};
use crate::plan::{self, Inherit, Process, Resource, Session, Setup};
use crate::sys::last_errno;
use crate::sys::signals::{Saved, Set};
use crate::sys::terminal::Terminal;

/// Where programs are looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variable that tells a readiness command which process it asks about.
const PID: &str = "LAR_PID";

/// The one that tells a program that the sockets are for itself: sd_listen_fds(3).
const LISTEN_PID: &str = "LISTEN_PID";

/// What an image is made from.
pub struct Recipe<'a> {
    /// What is done between clone and exec.
    pub setup: &'a Setup,
    /// The program's words. The first is searched on the child's PATH if it has no slash.
    /// Bytes, because the words of single-program mode come from somebody who may not speak UTF-8.
    pub argv: Vec<&'a [u8]>,
    /// The file that is executed, if it is not to be found by the first word.
    pub executable: Option<&'a str>,
    /// Variables set explicitly.
    pub environment: &'a [(String, String)],
    /// Variables of lar's own (NOTIFY_SOCKET, LAR_SERVICE…); they beat all others.
    pub extra: &'a [(String, String)],
    /// Variables that are different each time ([`Image::set_variable`]); they beat all others.
    pub blanks: &'a [&'a str],
    /// The working directory; `None` keeps lar's.
    pub directory: Option<&'a str>,
    /// What becomes of fds 0, 1 and 2. To be kept open for as long as the image is used.
    pub stdio: [RawFd; 3],
    /// Further fds of lar's, and the numbers from 3 up under which the child finds them; each number once. To be kept
    /// open, too.
    pub fds: Vec<(RawFd, RawFd)>,
    /// The names of the first of these, if they are listening sockets for LISTEN_FDS.
    pub listens: &'a [String],
    /// Whether it asks about another process: then it is told its pid by LAR_PID.
    pub asks: bool,
}

impl<'a> Recipe<'a> {
    /// The recipe for an instance's main process, without extra variables. For another program of
    /// the same instance (a probe), replace `argv` and `executable`.
    pub fn new(setup: &'a Setup, process: &'a Process, stdio: [RawFd; 3]) -> Recipe<'a> {
        Recipe {
            setup,
            argv: words(&process.argv),
            executable: process.executable.as_deref(),
            environment: &process.environment,
            extra: &[],
            blanks: &[],
            directory: process.directory.as_deref(),
            stdio,
            fds: Vec::new(),
            listens: &[],
            asks: false,
        }
    }
}

/// Words of a configuration as a recipe has them.
pub fn words(argv: &[String]) -> Vec<&[u8]> {
    argv.iter().map(String::as_bytes).collect()
}

/// Numbers to switch to.
pub(super) struct Ids {
    pub uid: Option<u32>,
    pub gid: u32,
    pub groups: Box<[u32]>,
}

/// Capability sets, as masks of 1 << number.
pub(super) struct Capabilities {
    /// What it keeps: permitted, effective, inheritable and ambient.
    pub keep: u64,
    /// What is taken from the bounding set.
    pub drop: u64,
}

/// What becomes of the session.
pub(super) enum Place {
    /// A session of its own.
    Session,
    /// A session of its own, with this terminal as far as it is free and a terminal at all.
    Leader(RawFd),
    /// A group of its own in lar's session.
    Group,
    /// The same, and the foreground of this terminal if that is lar's.
    Job(RawFd),
    /// Where lar is.
    Shared,
}

/// A resource and what prlimit64(2) takes.
pub(super) type LimitPair = (u32, [u64; 2]);

/// Everything prepared for one program of one instance.
pub struct Image {
    /// The bytes of all strings of this image, zero-terminated. Never changed after `new`: the
    /// pointers below point in here.
    _strings: Vec<u8>,
    /// Where the pid goes that it tells its program, if it does ([`Image::tell_pid`]).
    told_pid: Option<PidText>,
    /// Keeps the inherited variables, into which `envp` points.
    _given: Rc<Given>,
    /// Null-terminated, with a free place before the first word: a script without `#!` is run as
    /// `/bin/sh SCRIPT words…`, which the child writes here (see `restore_first_word`).
    pub(super) argv: Box<[Cell<*const c_char>]>,
    first_word: *const c_char,
    /// Null-terminated, also without its last ones, which are `blanks`.
    pub(super) envp: Box<[*const c_char]>,
    pub(super) blanks: Blanks,
    /// Full paths to try, in order.
    pub(super) candidates: Box<[*const c_char]>,
    pub(super) directory: Option<*const c_char>,
    /// Ready to be written to /proc: digits.
    pub(super) oom_score: Option<([u8; 6], usize)>,
    pub(super) ids: Option<Ids>,
    pub(super) limits: Box<[LimitPair]>,
    pub(super) umask: Option<u32>,
    pub(super) nice: Option<i32>,
    pub(super) ionice: Option<i32>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) no_new_privileges: bool,
    pub(super) stdio: [RawFd; 3],
    /// What it finds from 3 up, by that number.
    pub(super) fds: Box<[Passed]>,
    /// Where its pid goes, for LISTEN_PID.
    pub(super) listen_pid: Option<PidText>,
    /// Whether all other fds are closed. Else those of lar's own close at exec, and what it was given
    /// goes to the program.
    pub(super) closes_fds: bool,
    pub(super) place: Place,
    /// What the program is to find: its mask, and what is ignored.
    pub(super) signals: Saved,
    /// Only with `Spawn::Fork`.
    slot: Option<Slot>,
}

impl Image {
    /// Prepares a program. EINVAL if there is no first word, or a zero byte in a string; ENOMEM.
    pub fn new(given: &Rc<Given>, recipe: &Recipe) -> Result<Image, Errno> {
        let setup = recipe.setup;
        let program = *recipe.argv.first().ok_or(Errno(libc::EINVAL))?;
        let mut strings = Strings::default();
        let argv = strings.add_all(recipe.argv.iter().map(|&word| [word]))?;
        let listens = listen_variables(recipe.listens);
        let listen_pid = (!recipe.listens.is_empty()).then(|| PidText::new(LISTEN_PID));
        let told_pid = recipe.asks.then(|| PidText::new(PID));
        let variables = own_variables(given, recipe, &listens);
        let own = variables.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()]);
        let own = strings.add_all(own)?;
        let path = search_path(given, &variables, &setup.inherit);
        let candidates = match recipe.executable {
            Some(file) => vec![strings.add(&[file.as_bytes()])?],
            // The file without a name, which is not there.
            None if program.is_empty() => vec![strings.add(&[])?],
            None => strings.add_candidates(program, &path)?,
        };
        let directory = recipe.directory.map(|directory| strings.add(&[directory.as_bytes()]));
        let directory = directory.transpose()?;

        let mut strings = strings.bytes;
        // Before anything points into it.
        strings.shrink_to_fit();
        let at = |start: usize| strings.as_ptr().wrapping_add(start).cast::<c_char>();
        let words = argv.iter().map(|&start| Cell::new(at(start)));
        let ends = || std::iter::once(std::ptr::null());
        let pids = [&listen_pid, &told_pid];
        let blank = |name: &[u8]| {
            let pid = pids.into_iter().flatten().any(|text| text.is(name));
            pid || recipe.blanks.iter().any(|known| known.as_bytes() == name)
        };
        let mut envp: Vec<_> = own.iter().map(|&start| at(start)).collect();
        envp.extend(pids.into_iter().flatten().map(PidText::variable));
        envp.extend(inherited(given, setup, &variables, blank));
        let blanks = Blanks::new(envp.len(), recipe.blanks.len());
        envp.extend(recipe.blanks.iter().map(|_| std::ptr::null()).chain(ends()));
        Ok(Image {
            argv: ends().map(Cell::new).chain(words).chain(ends().map(Cell::new)).collect(),
            first_word: at(argv[0]),
            envp: envp.into(),
            blanks,
            candidates: candidates.iter().map(|&start| at(start)).collect(),
            directory: directory.map(at),
            oom_score: setup.oom_score_adj.map(digits),
            ids: ids(setup.identity.as_ref()),
            limits: limits(given, setup),
            umask: setup.umask,
            nice: setup.nice.map(i32::from),
            ionice: setup.ionice.map(|io| i32::from(io.class) << 13 | i32::from(io.level)),
            capabilities: setup.capabilities.map(capabilities),
            no_new_privileges: setup.no_new_privileges,
            stdio: recipe.stdio,
            fds: passed(&recipe.fds),
            listen_pid,
            closes_fds: setup.session == Session::Own,
            place: place(given, setup.session),
            signals: match setup.session {
                Session::Own => Saved { mask: Set::EMPTY, ignored: Set::EMPTY },
                Session::Given | Session::Job | Session::Leader | Session::Shared => given.signals,
            },
            slot: match setup.spawn {
                plan::Spawn::Vfork => None,
                plan::Spawn::Fork => Some(Slot::new()?),
            },
            _strings: strings,
            told_pid,
            _given: given.clone(),
        })
    }

    /// Tells the next child a pid, if there is a place for one ([`Recipe::asks`]). Allocates nothing.
    pub fn tell_pid(&self, pid: Pid) {
        if let Some(text) = &self.told_pid {
            text.set(pid.0.unsigned_abs());
        }
    }

    /// Why the last child of `Spawn::Fork` ended before it became its program; to be asked when it
    /// has exited. `None` if it did become it, and always with `Spawn::Vfork`, where the spawn
    /// itself tells.
    pub fn failure(&self) -> Option<(Stage, Errno)> {
        self.shared_report()?.get()
    }

    pub(super) fn spawn(&self) -> plan::Spawn {
        if self.slot.is_some() { plan::Spawn::Fork } else { plan::Spawn::Vfork }
    }

    pub(super) fn shared_report(&self) -> Option<&Report> {
        // SAFETY: the slot holds an initialised Report for as long as it lives; all its fields are
        // atomic.
        self.slot.as_ref().map(|slot| unsafe { slot.0.as_ref() })
    }

    /// Lets the next child read from this fd, to be kept open until then.
    pub fn read_from(&mut self, stdin: RawFd) {
        let [zeroth, ..] = &mut self.stdio;
        *zeroth = stdin;
    }

    /// Undoes what a child wrote to `argv` when it ran a script.
    pub(super) fn restore_first_word(&self) {
        if let Some(first) = self.argv.get(1) {
            first.set(self.first_word);
        }
    }

    /// Whether the child's credentials become others than lar's.
    pub(super) fn changes_credentials(&self) -> bool {
        self.ids.is_some() || self.capabilities.is_some()
    }
}

/// A page that is shared with children of fork.
struct Slot(NonNull<Report>);

impl Slot {
    fn new() -> Result<Slot, Errno> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let size = size_of::<Report>();
        // SAFETY: a new anonymous mapping, at a place of the kernel's choice, aliases nothing.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(last_errno());
        }
        // All zeros, as a new page is, is an empty Report.
        NonNull::new(page.cast()).map(Slot).ok_or(Errno(libc::ENOMEM))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` has mapped. A child that still runs has its own
        // mapping.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Report>()) };
    }
}

/// Zero-terminated strings in one piece of memory.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    /// Where it starts.
    fn add(&mut self, parts: &[&[u8]]) -> Result<usize, Errno> {
        let start = self.bytes.len();
        for part in parts {
            if part.contains(&0) {
                return Err(Errno(libc::EINVAL));
            }
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        Ok(start)
    }

    fn add_all<'s, const N: usize>(
        &mut self,
        all: impl Iterator<Item = [&'s [u8]; N]>,
    ) -> Result<Vec<usize>, Errno> {
        all.map(|parts| self.add(&parts)).collect()
    }

    /// The paths that execvp(3) would try. An empty place on PATH is the working directory.
    fn add_candidates(&mut self, program: &[u8], path: &[u8]) -> Result<Vec<usize>, Errno> {
        if program.contains(&b'/') {
            return Ok(vec![self.add(&[program])?]);
        }
        let places = path.split(|&byte| byte == b':');
        let add = |place: &[u8]| match place {
            [] => self.add(&[program]),
            place => self.add(&[place, b"/", program]),
        };
        places.map(add).collect()
    }
}

/// The variables that are not inherited, each name once; a later one never beats an earlier one.
fn own_variables<'a>(
    given: &Given,
    recipe: &Recipe<'a>,
    listens: &'a [(String, String)],
) -> Vec<(&'a str, &'a str)> {
    let setup = recipe.setup;
    let mut own: Vec<(&str, &str)> = Vec::new();
    let mut add = |name: &'a str, value: &'a str| {
        if !own.iter().any(|&(known, _)| known == name) {
            own.push((name, value));
        }
    };
    for (name, value) in listens.iter().chain(recipe.extra).chain(recipe.environment) {
        // A pid is put in at the spawn.
        let pid = !listens.is_empty() && name == LISTEN_PID || recipe.asks && name == PID;
        if !pid {
            add(name, value);
        }
    }
    if let Some(account) = setup.identity.as_ref().and_then(|identity| identity.account.as_ref()) {
        add("USER", &account.name);
        add("LOGNAME", &account.name);
        add("HOME", &account.home);
        // What an empty field in /etc/passwd means.
        add("SHELL", if account.shell.is_empty() { "/bin/sh" } else { &account.shell });
    }
    // Services always have a PATH; the program of single-program mode finds what lar found.
    let has_path = inherits(setup, b"PATH") && given.environment.get("PATH").is_some();
    if !has_path && setup.session == Session::Own {
        add("PATH", DEFAULT_PATH);
    }
    own
}

/// What speaks of lar itself: where it says that it is ready, and which sockets it was given.
const LARS_OWN: [&[u8]; 5] =
    [b"NOTIFY_SOCKET", b"LISTEN_PID", b"LISTEN_FDS", b"LISTEN_FDNAMES", b"LISTEN_PIDFDID"];

/// Whether a variable of lar's is handed on. One that speaks of lar itself a service gets only if it is asked for by
/// name.
fn inherits(setup: &Setup, name: &[u8]) -> bool {
    match &setup.inherit {
        Inherit::All => setup.session != Session::Own || !LARS_OWN.contains(&name),
        Inherit::Nothing => false,
        Inherit::Names(names) => names.iter().any(|known| known.as_bytes() == name),
    }
}

fn inherited(
    given: &Given,
    setup: &Setup,
    own: &[(&str, &str)],
    blank: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = *const c_char> {
    let listens = own.iter().any(|(name, _)| *name == "LISTEN_FDS");
    given.environment.iter().filter_map(move |variable| {
        let said = own.iter().any(|(name, _)| name.as_bytes() == variable.name);
        let pid = listens && variable.name == b"LISTEN_PID";
        let beaten = said || pid || blank(variable.name);
        (!beaten && inherits(setup, variable.name)).then_some(variable.pointer)
    })
}

/// The PATH that the child will have.
fn search_path(given: &Given, own: &[(&str, &str)], inherit: &Inherit) -> Vec<u8> {
    if let Some((_, path)) = own.iter().find(|(name, _)| *name == "PATH") {
        return path.as_bytes().to_vec();
    }
    let theirs = given.environment.get("PATH").filter(|_| *inherit != Inherit::Nothing);
    theirs.unwrap_or(DEFAULT_PATH.as_bytes()).to_vec()
}

/// Nothing, if lar is that user already: then nothing is to be switched, and an ordinary user could
/// not. The supplementary groups are root's to change; another user keeps those of its login.
fn ids(identity: Option<&plan::Identity>) -> Option<Ids> {
    let identity = identity?;
    let ours = nix::unistd::getresuid().ok().zip(nix::unistd::getresgid().ok());
    let same = ours.is_some_and(|(uids, gids)| {
        let is_user = |id: nix::unistd::Uid| identity.uid.is_none_or(|uid| id.as_raw() == uid);
        let is_group = |id: nix::unistd::Gid| id.as_raw() == identity.gid;
        [uids.real, uids.effective, uids.saved].into_iter().all(is_user)
            && [gids.real, gids.effective, gids.saved].into_iter().all(is_group)
    });
    if same && !nix::unistd::geteuid().is_root() {
        return None;
    }
    Some(Ids { uid: identity.uid, gid: identity.gid, groups: identity.groups.clone().into() })
}

/// Its own limits, and lar's original limit of open files if it says nothing of that.
fn limits(given: &Given, setup: &Setup) -> Box<[LimitPair]> {
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
    let own = setup.limits.iter();
    let own = own.map(|limit| (number(limit.resource), [value(limit.soft), value(limit.hard)]));
    let silent = !setup.limits.iter().any(|limit| limit.resource == Resource::Nofile);
    let files = given.files.filter(|_| silent);
    let files = files.map(|files| (number(Resource::Nofile), [files.soft, files.hard]));
    files.into_iter().chain(own).collect()
}

fn number(resource: Resource) -> u32 {
    match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Locks => libc::RLIMIT_LOCKS,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Rss => libc::RLIMIT_RSS,
        Resource::Rtprio => libc::RLIMIT_RTPRIO,
        Resource::Rttime => libc::RLIMIT_RTTIME,
        Resource::Sigpending => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    }
}

/// What is dropped is what lar's own bounding set has and `keep` has not, so that an unprivileged
/// lar whose container has dropped everything already needs no right for it.
fn capabilities(keep: u64) -> Capabilities {
    // SAFETY: this prctl takes plain numbers; -1 means that the kernel does not know such a
    // capability.
    let has = |&n: &u32| unsafe { libc::prctl(libc::PR_CAPBSET_READ, n, 0, 0, 0) } == 1;
    let drop = (0..64).filter(|&n| keep & 1 << n == 0).filter(has).fold(0, |set, n| set | 1 << n);
    Capabilities { keep, drop }
}

fn place(given: &Given, session: Session) -> Place {
    let terminal = given.terminal.as_ref().map(Terminal::as_raw_fd);
    match (session, terminal) {
        (Session::Own, _) | (Session::Given, None) => Place::Session,
        (Session::Given | Session::Job, Some(terminal)) => Place::Job(terminal),
        (Session::Job, None) => Place::Group,
        // A lar without a controlling terminal may have been given one that is nobody's yet: a console.
        (Session::Leader, terminal) => Place::Leader(terminal.unwrap_or(0)),
        (Session::Shared, _) => Place::Shared,
    }
}

/// At most `-1000`, or what else an i16 can be.
fn digits(number: i16) -> ([u8; 6], usize) {
    let text = number.to_string();
    let mut bytes = [0; 6];
    bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    (bytes, text.len())
}
