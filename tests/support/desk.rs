//! Where zdaemon's two clients, lar's and the real one, are put before the same things: a directory, and a manager
//! that says what a test wants it to say.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::lar::{Answer, LAR, Scratch, answer};

/// What a scripted manager says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The program runs.
    Up,
    /// It is another process by now.
    Other,
    /// It runs, but its start test has not passed.
    Testing,
    /// It runs, and is about to be stopped.
    Stopping,
    /// It does not run, but is going to.
    Backoff,
    /// It does not run, and is not to.
    Stopped,
    /// zdaemon 2's: it outlives its program.
    Old,
    /// It runs for one look, then all is over.
    Leaving,
    /// It is said to run, and there is no such process.
    Lost,
    /// The manager does not answer any more.
    Gone,
}

/// Which states follow when a verb comes; the last one stays.
pub type Script = &'static [(&'static str, &'static [State])];

/// A scripted manager, which ends with the test.
pub struct Manager {
    /// The verbs that have come, without `status`.
    pub sent: Arc<Mutex<Vec<String>>>,
    program: [Child; 2],
    pids: [u32; 2],
}

impl Manager {
    /// One that listens at `zdsock` of a directory. Its program's words are `sleep 100`.
    pub fn listen(dir: &Scratch, state: State, script: Script) -> Manager {
        let listener = UnixListener::bind(dir.at("zdsock")).unwrap();
        // They are real, so that they can be sent signals.
        let program =
            [(); 2].map(|()| Command::new("sleep").arg("100").spawn().expect("sleep starts"));
        let pids = [program[0].id(), program[1].id()];
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = sent.clone();
        std::thread::spawn(move || {
            let mut states = VecDeque::from([state]);
            while let Ok((stream, _)) = listener.accept() {
                serve(stream, &mut states, script, pids, &log);
            }
        });
        Manager { sent, program, pids }
    }

    /// The verbs that have come until now.
    pub fn sent(&self) -> String {
        self.sent.lock().unwrap().join(" ")
    }

    /// The program's process ids, as text.
    pub fn pids(&self) -> [String; 2] {
        self.pids.map(|pid| pid.to_string())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        for child in &mut self.program {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One connection: a line, and what is to be said to it. Whoever leaves early is of no interest.
fn serve(
    stream: UnixStream,
    states: &mut VecDeque<State>,
    script: Script,
    pids: [u32; 2],
    log: &Mutex<Vec<String>>,
) {
    let mut verb = String::new();
    if BufReader::new(&stream).read_line(&mut verb).is_err() {
        return;
    }
    let verb = verb.trim();
    if verb != "status" {
        if let Some((_, next)) = script.iter().find(|(known, _)| *known == verb) {
            *states = next.iter().copied().collect();
        }
        log.lock().unwrap().push(verb.to_owned());
        let _ = (&stream).write_all(b"done\n");
        return;
    }
    let state = states[0];
    if states.len() > 1 {
        states.pop_front();
    }
    if state == State::Leaving {
        states[0] = State::Gone;
    }
    if state != State::Gone {
        let _ = (&stream).write_all(reply(state, pids).as_bytes());
    }
}

/// The lines of a status, in the manager's order.
pub fn reply(state: State, pids: [u32; 2]) -> String {
    let pid = match state {
        State::Backoff | State::Stopped | State::Old | State::Gone => 0,
        State::Other => pids[1],
        // More than the kernel ever gives out.
        State::Lost => 4_194_305,
        State::Up | State::Testing | State::Stopping | State::Leaving => pids[0],
    };
    let wanted = !matches!(state, State::Stopping | State::Stopped | State::Old);
    let status = if pid == 0 { "stopped" } else { "running" };
    let life = match state {
        State::Old => "mood=1".to_owned(),
        _ => format!("should_be_up={}", u8::from(wanted)),
    };
    let testing = u8::from(state == State::Testing);
    format!(
        "status={status}\nnow=1000.5\n{life}\ndelay=0\nbackoff=0\nlasttime=1000.25\napplication={pid}\n\
         testing={testing}\nmanager=99\nbackofflimit=10\nfilename='/bin/sleep'\nargs=['sleep', '100']\n"
    )
}

/// lar in a directory, called as zdaemon.
pub fn lar(dir: &Scratch, words: &[&str]) -> Command {
    let link = dir.at("zdaemon");
    if !link.exists() {
        std::os::unix::fs::symlink(LAR, &link).unwrap();
    }
    client(dir, &link, words)
}

/// The client at `path` in a directory.
pub fn client(dir: &Scratch, path: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(words).current_dir(&dir.path).env("LAR_BLACK_BOX", &dir.path);
    command.stdin(Stdio::null()).env_remove("DAEMON_MANAGER_MODE");
    command
}

/// What a client has answered, with what differs from run to run taken out: its path is `NAME`, its directory
/// `DIR`, numbers of processes are `PID`, and how often it has waited is not seen.
#[track_caller]
pub fn asked(dir: &Scratch, mut command: Command) -> Answer {
    let program = PathBuf::from(command.get_program());
    let answer = answer(&mut command);
    let tidy = |text: &str| {
        let text = text.replace(program.to_str().unwrap(), "NAME");
        pids(&text.replace(dir.path.to_str().unwrap(), "DIR")).replace(". ", "")
    };
    Answer { code: answer.code, out: tidy(&answer.out), err: tidy(&answer.err) }
}

/// The numbers behind words that announce a process.
fn pids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|char: char| char.is_ascii_digit()) {
        let end =
            rest[at..].find(|char: char| !char.is_ascii_digit()).map_or(rest.len(), |to| at + to);
        out += &rest[..at];
        let announced = ["pid=", "process ", "kill(", "application=", "manager="];
        let is_pid = announced.iter().any(|word| out.ends_with(word)) && &rest[at..end] != "0";
        out += if is_pid { "PID" } else { &rest[at..end] };
        rest = &rest[end..];
    }
    out + rest
}
