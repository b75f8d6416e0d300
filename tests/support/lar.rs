//! A running lar for black-box tests: the real binary on a configuration of its own, in a directory of its own.
//!
//! Everything is waited for by reading pipes with a deadline; nothing sleeps. Whatever a test started is killed when
//! its [`Lar`] is dropped, however the test ends: processes are found by a variable that all of them inherit, and
//! by the test's directory.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// How long anything may take before the test fails. Generous: it is no measurement.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The binary under test.
pub const LAR: &str = env!("CARGO_BIN_EXE_lar");

/// The variable by which a test finds all its processes.
const MARK: &str = "LAR_BLACK_BOX";

/// Says that a test can't run here, and why. Where everything must run (LAR_NO_SKIP=1) that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("LAR_NO_SKIP").is_none(), "skipped where nothing may be: {why}");
    println!("skipped: {why}");
}

/// Whether the tests run as root.
pub fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where a program is, if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let extra = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A directory that is gone when the test is, with every process that names it.
pub struct Scratch {
    /// Where.
    pub path: PathBuf,
}

impl Scratch {
    /// A new one. Short, because a socket's path is; open to all, because services run as other users.
    pub fn new() -> Scratch {
        use std::os::unix::fs::PermissionsExt;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lar-t{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Scratch { path }
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file in it, with `{dir}` replaced by the directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, self.fill(text)).unwrap();
        path
    }

    /// A program in it that anybody may run.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// What a file holds; empty if there is none.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.at(name)).unwrap_or_default()).into_owned()
    }

    /// `{dir}` replaced, and `{lar}` by the binary under test.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.path.to_str().unwrap()).replace("{lar}", LAR)
    }

    /// Every process that belongs to this test, by its environment, its arguments or its directory.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        let here = self.path.to_str().unwrap();
        let own = std::process::id() as i32;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let file = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let (arguments, environment) = (file("cmdline"), file("environ"));
            let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', " ");
            let marked = format!("{MARK}={here} ");
            let ours = (text(&environment) + " ").contains(&marked)
                || text(&arguments).contains(&format!("{here}/"))
                || directory.starts_with(&self.path);
            if ours && pid != own {
                found.push((Pid::from_raw(pid), text(&arguments)));
            }
        }
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Twice: one that forked while it was looked for has a child now.
        for _ in 0..2 {
            for (pid, _) in self.processes() {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The lines of a pipe, as they come.
pub struct Lines {
    from: Receiver<String>,
    /// What has come so far.
    pub seen: Vec<String>,
}

impl Lines {
    /// Reads them from now on, in the background.
    pub fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (to, from) = channel();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                if to.send(text).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Lines { from, seen: Vec::new() }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> Option<String> {
        match self.from.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line came; so far: {:#?}", self.seen),
        }
    }

    /// The next line that holds this text; the lines before it are passed over.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}); so far: {:#?}", self.seen),
            }
        }
    }

    /// Everything to the end.
    pub fn rest(&mut self) -> Vec<String> {
        while self.next().is_some() {}
        self.seen.clone()
    }

    /// What has come until now, without waiting.
    pub fn now(&mut self) -> &[String] {
        self.seen.extend(self.from.try_iter());
        &self.seen
    }
}

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code; 128 + n for a signal.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Answer {
    /// That it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Answer {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// The code of an end as a shell has it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs a command to its end, and kills it if that takes too long.
#[track_caller]
pub fn answer(command: &mut Command) -> Answer {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let Some(status) = ended(&mut child, DEADLINE * 2) else {
        let _ = child.kill();
        let _ = child.wait();
        let (out, err) = (out.recv_timeout(DEADLINE), err.recv_timeout(DEADLINE));
        panic!("{command:?} does not end; {out:?} {err:?}");
    };
    let all = |from: Receiver<String>| from.recv_timeout(DEADLINE).expect("its pipe is held open");
    Answer { code: code(status), out: all(out), err: all(err) }
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = to.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    from
}

/// How a child ended, if it does in time. It is reaped here and nowhere else, so its pid stays its own until then.
pub fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let pid = Pid::from_raw(child.id() as i32);
    let (to, from) = channel();
    std::thread::spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
        let _ = to.send(());
    });
    from.recv_timeout(within).ok()?;
    child.wait().ok()
}

/// A manager that runs.
pub struct Lar {
    /// Its directory.
    pub dir: Scratch,
    /// What it writes to standard output: transcripts of `stdout`.
    pub out: Lines,
    /// What it writes to standard error: the event log, unless the configuration says otherwise.
    pub err: Lines,
    child: Child,
    status: Option<ExitStatus>,
}

impl Lar {
    /// Starts it on the services of `config`. `{dir}` in it is the test's directory.
    #[track_caller]
    pub fn start(config: &str) -> Lar {
        Lar::with("", config)
    }

    /// The same, with further lines for `<lar>`. Returns when it answers.
    #[track_caller]
    pub fn with(settings: &str, config: &str) -> Lar {
        Lar::run_in(Scratch::new(), settings, config, |_| {})
    }

    /// Starts it in a directory that has been prepared; `prepare` may change the command. Returns when it
    /// answers: it says that it listens or, where its log goes elsewhere, is asked until it does.
    #[track_caller]
    pub fn run_in(
        dir: Scratch,
        settings: &str,
        config: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Lar {
        let settings = format!("<lar>\n  socket-name {{dir}}/s\n{settings}\n</lar>\n");
        let file = dir.write("lar.conf", &(settings + config));
        let mut command = Command::new(LAR);
        command.arg("-C").arg(file);
        prepare(&mut command);
        let mut lar = Lar::spawn(dir, command);
        if !config.contains("<eventlog>") {
            lar.err.until("control: listening");
        }
        let end = Instant::now() + DEADLINE;
        while lar.ask("ping").code != 0 {
            assert!(Instant::now() < end, "nobody answers; it said {:#?}", lar.err.now());
        }
        lar
    }

    /// Starts a command that is, or becomes, lar. Returns at once.
    #[track_caller]
    pub fn spawn(dir: Scratch, mut command: Command) -> Lar {
        command.env(MARK, &dir.path).env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Lar { dir, out, err, child, status: None }
    }

    /// Its process, or of whatever was started in its place.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// `lar ctl` with these arguments, not started yet.
    pub fn client<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(LAR);
        command.arg("ctl").arg("-s").arg(self.dir.at("s")).args(arguments);
        command
    }

    /// Asks it something.
    #[track_caller]
    pub fn ctl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Answer {
        answer(&mut self.client(arguments))
    }

    /// The same, the arguments separated by blanks.
    #[track_caller]
    pub fn ask(&self, line: &str) -> Answer {
        self.ctl(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Waits until all of these are so: `wait("web=running db=up")`.
    #[track_caller]
    pub fn wait(&self, states: &str) {
        let answer = self.ask(&format!("wait --timeout 30s {states}"));
        if answer.code != 0 {
            let status = self.ask("status");
            panic!("{states}: {answer:#?}\n{}\n{}", status.out, status.err);
        }
    }

    /// The main process of an instance.
    #[track_caller]
    pub fn pid_of(&self, name: &str) -> Pid {
        let answer = self.ctl(&["pid", name]).expect(0);
        Pid::from_raw(answer.out.trim().parse().unwrap_or_else(|_| panic!("{answer:?}")))
    }

    /// Kills an instance's main process with SIGKILL, and waits until another one is up; its pid.
    #[track_caller]
    pub fn crash(&self, name: &str) -> Pid {
        let old = self.pid_of(name);
        let mut events = self.events(name);
        kill(old, Signal::SIGKILL).unwrap();
        events.until(" -> running");
        let new = self.pid_of(name);
        assert_ne!(old, new);
        new
    }

    /// A client that goes on, as `lar ctl events` does.
    #[track_caller]
    pub fn watch(&self, line: &str) -> Watch {
        let mut command = self.client(&line.split_whitespace().collect::<Vec<_>>());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Watch { lines, err, child }
    }

    /// Every change of these (of all, if none is named) from now on. It needs one that has been: what comes of
    /// it is the sign that the manager has heard us.
    #[track_caller]
    pub fn events(&self, names: &str) -> Watch {
        let mut watch = self.watch(&format!("events -n 1 {names}"));
        watch.lines.next().expect("a first event");
        watch
    }

    /// A connection of one's own.
    pub fn connect(&self) -> std::os::unix::net::UnixStream {
        let stream = std::os::unix::net::UnixStream::connect(self.dir.at("s")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends one raw request on a connection of its own; everything that comes back until the end.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Sends lar itself a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end; its exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        if self.status.is_none() {
            self.status = ended(&mut self.child, DEADLINE);
        }
        match self.status {
            Some(status) => code(status),
            None => panic!("lar does not end; it said {:#?}", self.err.now()),
        }
    }

    /// Asks it to end, and waits; its exit code. Nothing of the test's may be left then.
    #[track_caller]
    pub fn shut_down(&mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        let code = self.end();
        self.nothing_left();
        code
    }

    /// That no process of the test's is there any more.
    #[track_caller]
    pub fn nothing_left(&self) {
        // The test's own clients may still be about to notice that it is gone.
        let mut left = self.dir.processes();
        left.retain(|(_, arguments)| !arguments.starts_with(&format!("{LAR} ctl ")));
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Drop for Lar {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = kill(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("lar said: {:#?}", self.err.now());
        }
    }
}

/// A client that goes on.
pub struct Watch {
    /// What it shows.
    pub lines: Lines,
    /// What it complains about.
    pub err: Lines,
    child: Child,
}

impl Watch {
    /// The next line that holds this text.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        self.lines.until(text)
    }

    /// Waits for its end; its exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        code(ended(&mut self.child, DEADLINE).expect("the client does not end"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
