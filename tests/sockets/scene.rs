//! A program that accepts, clients that connect, and managers with both.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::unistd::Pid;

use crate::lar::{self, Lar, Scratch};

/// What stands for the program that accepts, in a configuration.
pub const SERVER: &str = "{server}";

/// It is given its sockets by LISTEN_FDS, and answers with its pid.
const PROGRAM: &str = r#"
import fcntl, os, socket, sys
count = int(os.environ["LISTEN_FDS"])
sockets = [socket.socket(fileno=3 + at) for at in range(count)]
def answer():
    peer, _ = sockets[0].accept()
    peer.sendall(str(os.getpid()).encode())
    peer.close()
what = sys.argv[1]
assert os.environ["LISTEN_PID"] == str(os.getpid())
if what == "report":
    fds = [fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")]
    kinds = {socket.AF_UNIX: "unix", socket.AF_INET: "inet", socket.AF_INET6: "inet6"}
    blocking = all(not fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK for s in sockets)
    print("fds=" + ",".join(map(str, fds)), "names=" + os.environ["LISTEN_FDNAMES"],
          "pid=" + str(os.environ["LISTEN_PID"] == str(os.getpid())), f"count={count}",
          "kinds=" + ",".join(kinds[s.family] for s in sockets), f"blocking={blocking}",
          f"at={sockets[1].getsockname()[1]}", flush=True)
    while True:
        answer()
elif what == "serve":
    while True:
        answer()
elif what == "once":
    answer()
elif what == "fail-first":
    mark = os.path.join(os.path.dirname(sys.argv[0]), "failed")
    if not os.path.exists(mark):
        open(mark, "w").close()
        sys.exit(3)
    while True:
        answer()
elif what == "udp":
    while True:
        _, peer = sockets[0].recvfrom(64)
        sockets[0].sendto(str(os.getpid()).encode(), peer)
"#;

/// A configuration with the program put in.
pub fn filled(dir: &Scratch, config: &str) -> String {
    let program = dir.at("server.py");
    if !program.exists() {
        fs::write(&program, PROGRAM).unwrap();
    }
    // Without site packages: it starts faster.
    config.replace(SERVER, &format!("python3 -IS {}", program.display()))
}

/// A manager with the program at hand.
#[track_caller]
pub fn start(config: &str, prepare: impl FnOnce(&mut Command)) -> Lar {
    let dir = Scratch::new();
    let config = filled(&dir, config);
    Lar::run_in(dir, "", &config, prepare)
}

/// The same, of a configuration in which lar is started by the end of a shell's line.
#[track_caller]
pub fn shell(dir: Scratch, config: &str, line: &str) -> Lar {
    let text = format!("<lar>\n  socket-name {{dir}}/s\n</lar>\n{config}");
    let file = dir.write("lar.conf", &text);
    let line = dir.fill(&format!("{line} {} -C {}", lar::LAR, file.display()));
    let mut command = Command::new("bash");
    command.arg("-c").arg(line);
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("control: listening");
    lar
}

/// What lar says that can't open a socket.
#[track_caller]
pub fn refused(dir: &Scratch, listen: &str, line: &str) -> String {
    let config = format!(
        "<lar>\n socket-name {{dir}}/s\n</lar>\n<socket web>\n listen {listen}\n</socket>\n\
         <service web>\n program touch {{dir}}/started\n sockets web\n</service>\n"
    );
    let file = dir.write("lar.conf", &config);
    let line = format!("{line} {} -C {}", lar::LAR, file.display());
    let answer = lar::answer(Command::new("bash").arg("-c").arg(line)).expect(1);
    assert!(!dir.at("started").exists(), "{answer:?}");
    answer.err
}

/// Another configuration in place of the one that it was started with; the manager's own section stays.
pub fn rewrite(lar: &Lar, config: &str) {
    let path = lar.dir.at("lar.conf");
    let old = fs::read_to_string(&path).unwrap();
    let end = old.find("</lar>").map_or(0, |at| at + "</lar>\n".len());
    let config = lar.dir.fill(&filled(&lar.dir, config));
    fs::write(&path, format!("{}{config}", &old[..end])).unwrap();
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a process that was sent SIGSTOP has heard it.
pub fn until_stopped(pid: Pid) {
    let end = Instant::now() + lar::DEADLINE;
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    while !stat().rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")) {
        assert!(Instant::now() < end, "it does not stop: {}", stat());
        std::thread::yield_now();
    }
}

/// Somebody who has connected.
pub struct Client(UnixStream);

impl Client {
    /// Connects; never refused.
    #[track_caller]
    pub fn unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        stream.set_read_timeout(Some(lar::DEADLINE)).unwrap();
        Client(stream)
    }

    /// The pid of whoever answers.
    #[track_caller]
    pub fn answer(mut self) -> i32 {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("an answer");
        text.parse().unwrap_or_else(|_| panic!("no answer: {text:?}"))
    }
}
