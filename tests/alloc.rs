//! The restart path allocates nothing and makes no fd: a thousand real restarts, counted.
//!
//! This program is two: started by cargo it is the test; started by itself it is lar with a counting allocator, whose
//! count is in a file that both have mapped. A second thousand runs the real binary under strace.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many restarts are counted, after some that are not: buffers that grow once have grown by then.
const RESTARTS: usize = 1000;
const WARM_UP: usize = 50;

/// Long enough for anything that works at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What tells the child that it is lar; its value is the file with the count.
const ROLE: &str = "LAR_TEST_ALLOCATIONS";

struct Counting;

static UNSEEN: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicPtr<AtomicU64> = AtomicPtr::new(&raw const UNSEEN as *mut AtomicU64);

fn count() {
    // SAFETY: it points to UNSEEN, or to the mapping made in `be_lar`; both live for ever.
    unsafe { (*COUNT.load(Ordering::Relaxed)).fetch_add(1, Ordering::Relaxed) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of GlobalAlloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if let Some(file) = std::env::var_os(ROLE) {
        be_lar(Path::new(&file));
    }
    let directory = std::env::temp_dir().join(format!("lar-alloc-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for manage in [services as Config, runner] {
        count_allocations(&directory, manage);
        count_syscalls(&directory, manage);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// lar, as the binary has it, with its allocations counted in a file.
fn be_lar(file: &Path) -> ! {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let length = std::num::NonZeroUsize::new(8).unwrap();
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the file has eight bytes, is never truncated, and the mapping is never unmapped.
    let page = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
    COUNT.store(page.as_ptr().cast(), Ordering::Relaxed);
    lar::sys::entry::prepare();
    std::process::exit(i32::from(lar::cli::main()));
}

/// A configuration for a directory, its socket and its log.
type Config = fn(&Path, &Path, &Path) -> String;

/// Two services: one is restarted at once and has streams, one through a backoff, both with their output captured. A
/// third one is started by somebody who waits for it, and never answered. And a hook that is run for each death as far
/// as it keeps up.
fn services(here: &Path, socket: &Path, log: &Path) -> String {
    let (here, socket, log) = (here.display(), socket.display(), log.display());
    format!(
        "<lar>\n  socket-name {socket}\n  spawn-rate none\n</lar>\n\
         <eventlog>\n  level info\n  <logfile>\n    path {log}\n  </logfile>\n</eventlog>\n\
         <defaults>\n  program sh -c 'echo up; exec sleep 1000'\n  restart always\n</defaults>\n\
         <socket one>\n  listen unix {here}/one\n</socket>\n\
         <socket two>\n  listen unix {here}/two\n</socket>\n\
         <service lazy>\n  program true\n  sockets one two\n  start on-demand\n  restart on-failure\n</service>\n\
         <service quick>\n  healthy-after 0s\n  streams ctrl data\n  transcript {here}/quick.log\n  \
         sockets two one\n</service>\n\
         <service slow>\n  backoff linear 1ms max 1ms\n  prefix yes\n  \
         transcript {here}/slow.log\n</service>\n\
         <on exited>\n  command true\n</on>\n",
    )
}

/// zdaemon's one program with a transcript, and a log that would be put aside. With a limit of 0 it never waits.
fn runner(here: &Path, socket: &Path, log: &Path) -> String {
    let program = here.join("program");
    std::fs::write(&program, "echo up\nexec sleep 1000\n").unwrap();
    let (here, socket, log) = (here.display(), socket.display(), log.display());
    format!(
        "<runner>\n  program sh {here}/program\n  socket-name {socket}\n  backoff-limit 0\n  daemon off\n  \
         transcript {here}/transcript.log\n</runner>\n\
         <eventlog>\n  <logfile>\n    path {log}\n    max-size 1GB\n    old-files 1\n  \
         </logfile>\n</eventlog>\n",
    )
}

/// A lar, and what it tells.
struct Manager {
    child: Child,
    events: BufReader<UnixStream>,
    socket: PathBuf,
    _waiting: Option<UnixStream>,
}

impl Drop for Manager {
    fn drop(&mut self) {
        ask(&self.socket, "shutdown");
        let _ = self.child.wait();
    }
}

impl Manager {
    fn start(directory: &Path, config: Config, mut command: Command) -> Manager {
        let socket = directory.join("socket");
        let (file, log) = (directory.join("lar.conf"), directory.join("lar.log"));
        std::fs::write(&file, config(directory, &socket, &log)).unwrap();
        let child = command
            .arg("-C")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let events = BufReader::new(connect(&socket));
        // What was up before somebody listened has told nobody: from here on every life is.
        for names in ["all", "quick", "slow"] {
            ask(&socket, &format!("kill KILL {names}"));
        }
        let _waiting = UnixStream::connect(directory.join("one")).ok();
        Manager { child, events, socket, _waiting }
    }

    /// Kills each service's process as soon as it runs, until there were so many restarts.
    fn restart(&mut self, times: usize) {
        for _ in 0..times {
            let pid = self.running();
            // ESRCH: the first one of all was killed already.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// The pid of the next instance that is told to run.
    fn running(&mut self) -> Pid {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.events.read_line(&mut line).unwrap(), 0, "the manager left");
            if !line.contains("to=running") || line.contains("name=lazy") {
                continue;
            }
            let fields = line.split_whitespace();
            let pid = fields.filter_map(|field| field.strip_prefix("pid=")).next().unwrap();
            return Pid::from_raw(pid.parse().unwrap());
        }
    }
}

/// Orders something; the reply is waited for and not looked at.
fn ask(socket: &Path, request: &str) {
    if let Ok(mut stream) = UnixStream::connect(socket) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.write_all(format!("lar1 {request}\n").as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Subscribes to the events of a manager that is just starting: waits for its socket by inotify.
fn connect(socket: &Path) -> UnixStream {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let inotify = Inotify::init(InitFlags::empty()).unwrap();
    inotify.add_watch(socket.parent().unwrap(), AddWatchFlags::IN_ALL_EVENTS).unwrap();
    loop {
        if let Ok(mut stream) = UnixStream::connect(socket) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"lar1 events\n").unwrap();
            return stream;
        }
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut fds, patience), Ok(1), "the manager makes no socket");
        inotify.read_events().unwrap();
    }
}

fn count_allocations(directory: &Path, config: Config) {
    let page = directory.join("count");
    std::fs::write(&page, [0; 8]).unwrap();
    let counted = File::open(&page).unwrap();
    let read = || {
        let mut bytes = [0; 8];
        counted.read_exact_at(&mut bytes, 0).unwrap();
        u64::from_ne_bytes(bytes)
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, &page);
    let mut manager = Manager::start(directory, config, command);
    manager.restart(WARM_UP);
    let before = read();
    assert!(before > 100, "the counter counts: lar has read a file and made tables");
    manager.restart(RESTARTS);
    let allocations = read() - before;
    println!("{RESTARTS} restarts: {allocations} allocations (before them: {before})");
    assert_eq!(allocations, 0);
}

/// What lar may not do between a death and the replacement's exec.
const FORBIDDEN: [&str; 16] = [
    "brk(",
    "mmap(",
    "mremap(",
    "munmap(",
    "open(",
    "openat(",
    "openat2(",
    "creat(",
    "pipe(",
    "pipe2(",
    "socket(",
    "socketpair(",
    "accept4(",
    "dup(",
    "eventfd2(",
    "memfd_create(",
];

fn count_syscalls(directory: &Path, config: Config) {
    let trace = directory.join("trace");
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("LAR_NO_SKIP").is_none(), "strace is needed");
        return println!("skipped: no strace that works here");
    }
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace).arg(env!("CARGO_BIN_EXE_lar"));
    let mut manager = Manager::start(directory, config, command);
    manager.restart(WARM_UP + RESTARTS);
    drop(manager);
    let text = std::fs::read_to_string(&trace).unwrap();
    let mut clones = 0;
    let mut found = Vec::new();
    for line in text.lines() {
        clones += usize::from(line.starts_with("clone("));
        let counted = (WARM_UP..WARM_UP + RESTARTS).contains(&clones);
        if counted && FORBIDDEN.iter().any(|call| line.starts_with(call)) {
            found.push(line);
        }
    }
    assert!(clones >= WARM_UP + RESTARTS, "only {clones} spawns were traced");
    assert_eq!(found, [""; 0], "calls between spawn {WARM_UP} and {}", WARM_UP + RESTARTS);
    println!("{RESTARTS} restarts: no memory was claimed, no fd was made");
}
