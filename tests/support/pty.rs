//! An interactive bash on a pseudo-terminal of the test's own: what is typed, and what is shown.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Only a test that fails waits that long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A new terminal: its master, its slave, and its name. Both are closed at every exec: a child of another test would
/// hold them open, or be surprised by them.
pub fn open() -> (File, File, String) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).expect("a pseudo-terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
    let name = ptsname_r(&master).expect("its name");
    let mut slave = OpenOptions::new();
    slave.read(true).write(true).custom_flags(flags.bits());
    let slave = slave.open(&name).expect("its other side");
    (File::from(OwnedFd::from(master)), slave, name)
}

/// A session on a terminal.
pub struct Session {
    keys: File,
    shown: Receiver<Vec<u8>>,
    /// What has been shown and not been looked for yet.
    rest: String,
    child: Child,
    /// The terminal's name.
    pub terminal: String,
}

impl Session {
    /// A shell with job control.
    pub fn shell() -> Session {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "");
        let mut session = Session::start(&bash);
        // What is typed is not to be taken for what is shown.
        session.type_line("stty -echo; echo rea''dy");
        session.until("ready\r\n");
        session
    }

    /// A command as the terminal's session leader.
    pub fn start(command: &Command) -> Session {
        let (keys, slave, terminal) = open();
        let copy = || Stdio::from(slave.try_clone().expect("a copy"));
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
        leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leader.stdin(copy()).stdout(copy()).stderr(copy());
        let child = leader.spawn().expect("setsid starts");
        let mut screen = keys.try_clone().expect("a copy");
        let (to, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if to.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Session { keys, shown, rest: String::new(), child, terminal }
    }

    /// Types these keys: `\x1a` is Ctrl-Z, `\x03` Ctrl-C.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.press(&format!("{line}\n"));
    }

    /// Waits until this is shown; what comes before it is passed over, and returned.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        match self.within(DEADLINE, text) {
            Some(before) => before,
            None => panic!("{text:?} is not shown, but {:?}", self.rest),
        }
    }

    /// The same; `None` if it is not shown in time.
    pub fn within(&mut self, patience: Duration, text: &str) -> Option<String> {
        let end = Instant::now() + patience;
        loop {
            if let Some(at) = self.rest.find(text) {
                let before = self.rest[..at].to_owned();
                self.rest.drain(..at + text.len());
                return Some(before);
            }
            let bytes = self.shown.recv_timeout(end.saturating_duration_since(Instant::now()));
            self.rest.push_str(&String::from_utf8_lossy(&bytes.ok()?));
        }
    }

    /// The session leader.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits for the leader's end.
    #[track_caller]
    pub fn end(&mut self) -> std::process::ExitStatus {
        // The reading end of the screen is done when nobody has the terminal open any more.
        self.child.wait().expect("it ends")
    }
}

impl Drop for Session {
    /// Kills everything that is in the terminal's session.
    fn drop(&mut self) {
        let session = self.pid();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(pid) = pid.map(Pid::from_raw) else { continue };
            if nix::unistd::getsid(Some(pid)) == Ok(session) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
    }
}
