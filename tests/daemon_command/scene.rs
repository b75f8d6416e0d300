//! A directory with one daemon, `web`, that does as the test says, and `lar daemon` on it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::lar::{Answer, DEADLINE, LAR, Scratch, answer, code, ended, skip};
use crate::misbehaving::misbehaving;

/// The directory, and a hold on whatever is started in it.
pub struct Scene {
    pub dir: Scratch,
    hold: File,
}

/// `web` listens here.
const READY: &str = " ready unix {dir}/socket\n";

impl Scene {
    /// A daemon with these options of `misbehaving`, that is ready when its socket answers; with these keys more, or
    /// others than usual. `None`, with a word about it, without a compiler.
    pub fn new(options: &str, keys: &str) -> Option<Scene> {
        let Some(program) = misbehaving() else {
            skip("no C compiler");
            return None;
        };
        let dir = Scratch::new();
        mkfifo(&dir.at("hold"), Mode::S_IRWXU).unwrap();
        fs::set_permissions(dir.at("hold"), fs::Permissions::from_mode(0o666)).unwrap();
        let flags = OFlag::O_NONBLOCK.bits();
        let hold = File::options().read(true).custom_flags(flags).open(dir.at("hold")).unwrap();
        let scene = Scene { dir, hold };
        let usual = "--pid-file {dir}/pid --starts {dir}/starts --hold {dir}/hold";
        // A key may stand in a section once.
        let or = |key: &str, line: &str| {
            let there = keys.lines().any(|line| line.split_whitespace().next() == Some(key));
            if there { String::new() } else { line.to_owned() }
        };
        let config = format!(
            "<service web>\n program {} {usual} {options}\n{}{}{}{}{keys}\n</service>\n",
            program.display(),
            or("type", " type forking\n"),
            or("pid-file", " pid-file {dir}/pid\n"),
            or("ready", READY),
            or("ready-interval", " ready-interval 20ms\n"),
        );
        scene.dir.write("lar.conf", &config);
        Some(scene)
    }

    /// One that listens where it is asked.
    pub fn good(options: &str, keys: &str) -> Option<Scene> {
        Scene::new(&format!("--listen {{dir}}/socket {options}"), keys)
    }

    /// `lar daemon` with these words, about `web`; not started yet.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(LAR);
        command.args(["daemon", "-C"]).arg(self.dir.at("lar.conf")).args(words.split(' '));
        command.current_dir(&self.dir.path).arg("web");
        command
    }

    #[track_caller]
    pub fn ask(&self, words: &str) -> Answer {
        answer(&mut self.command(words))
    }

    /// A start that runs while the test goes on.
    pub fn begin(&self, words: &str) -> Child {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// What the pid file says.
    #[track_caller]
    pub fn pid(&self) -> Pid {
        let text = self.dir.read("pid");
        Pid::from_raw(text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no pid")))
    }

    /// Whether somebody accepts connections.
    pub fn answers(&self) -> bool {
        UnixStream::connect(self.dir.at("socket")).is_ok()
    }

    /// How often the daemon was started.
    pub fn starts(&self) -> usize {
        self.dir.read("starts").lines().count()
    }

    /// That no process is left of all that were started. A process that has ended has closed its end of the FIFO.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let left = (&self.hold).read(&mut [0]);
        assert_eq!(left.ok(), Some(0), "left: {:#?}", self.dir.processes());
    }

    /// The same, soon: of processes that are not lar's own nobody learns when KILL has ended them.
    #[track_caller]
    pub fn will_be_gone(&self) {
        until("all of them to die", || (&self.hold).read(&mut [0]).ok() == Some(0));
    }

    /// That it runs: its pid file names a process that lives, and status says so.
    #[track_caller]
    pub fn runs(&self) -> Pid {
        let pid = self.pid();
        assert!(lives(pid), "{pid} does not live");
        let status = self.ask("status").expect(0);
        assert_eq!(status.out, format!("web: running, pid {pid}\n"));
        pid
    }

    /// Writes the pid file in place of the daemon.
    pub fn claim(&self, text: &str) {
        fs::write(self.dir.at("pid"), text).unwrap();
    }
}

/// Whether a process is there and has not ended. PID 1 of a container may reap nobody.
pub fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next());
    kill(pid, None).is_ok() && state.is_some_and(|state| state != 'Z')
}

/// Kills a process, and returns when it is dead.
#[track_caller]
pub fn end(pid: Pid) {
    kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until(&format!("{pid} to die"), || !lives(pid));
}

/// How a command ended, and what it said.
#[track_caller]
pub fn finish(mut child: Child) -> Answer {
    let status = ended(&mut child, DEADLINE).expect("it ends");
    let all = |pipe: &mut dyn Read| {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    };
    let out = all(child.stdout.as_mut().unwrap());
    let err = all(child.stderr.as_mut().unwrap());
    Answer { code: code(status), out, err }
}

/// Returns when there is such a file.
#[track_caller]
pub fn until_exists(path: &Path) {
    until(&path.display().to_string(), || path.exists());
}

#[track_caller]
fn until(what: &str, so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + DEADLINE;
    while !so() {
        assert!(std::time::Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A process that has nothing to do with any of this.
pub struct Bystander(pub Child);

impl Bystander {
    pub fn new() -> Bystander {
        Bystander(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
