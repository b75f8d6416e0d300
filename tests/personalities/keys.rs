//! What is done at a terminal: rows in which keys are pressed.

use std::fmt::Display;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lar::{DEADLINE, code, ended};
use crate::namespace::namespace;
use crate::pty::{self, Session};
use crate::scene::{Act, Keys, Row, Scene};

const fn same(about: &'static str, keys: Keys) -> Row {
    Row { about, act: Act::Keys(keys), better: None }
}

const fn better(number: u8, about: &'static str, keys: Keys, outcome: &'static str) -> Row {
    Row { about, act: Act::Keys(keys), better: Some((number, outcome)) }
}

/// tini's rows.
pub const TINI: &[Row] = &[
    same("it has the terminal", |scene| has_terminal(scene, "--")),
    same("and a place there", |scene| places(scene, "--")),
    better(3, "also if its input comes from elsewhere", |scene| redirected(scene, "--"), GOT),
    better(3, "the same under a shell", |scene| redirected_job(scene, "--"), GOT),
    better(4, "Ctrl-Z stops the job, and fg continues it", |scene| stop_and_go(scene, "--"), WENT),
    better(4, "Ctrl-Z means nothing to PID 1", |scene| stop_pid_1(scene, "--"), "continued\n"),
    better(5, "a job in the background leaves the terminal", |scene| job(scene, "--"), JOB),
    better(5, "and is stopped when it reads", |scene| reading_job(scene, "--"), READ),
    same("a resize is told once", |scene| resize(scene, "--")),
    same("Ctrl-C comes once", |scene| interrupt(scene, "--")),
    same("a hang-up ends it", |scene| hang_up(scene, "--")),
    same("a shell in it has jobs", |scene| shell(scene, "--")),
];

/// dumb-init's rows.
pub const DUMB_INIT: &[Row] = &[
    same("it has the terminal", |scene| has_terminal(scene, "--")),
    same("and a place there", |scene| places(scene, "--")),
    same("beside init, if so told", |scene| places(scene, "-c")),
    better(3, "also if its input comes from elsewhere", |scene| redirected(scene, "--"), GOT),
    better(3, "the same under a shell", |scene| redirected_job(scene, "--"), GOT),
    same("with -c that is nothing new", |scene| redirected_job(scene, "-c")),
    same("Ctrl-Z stops the job, and fg continues it", |scene| stop_and_go(scene, "--")),
    same("with -c as well", |scene| stop_and_go(scene, "-c")),
    better(4, "Ctrl-Z means nothing to PID 1", |scene| stop_pid_1(scene, "--"), "continued\n"),
    same("a job in the background leaves the terminal", |scene| job(scene, "--")),
    better(5, "and is stopped when it reads", |scene| reading_job(scene, "--"), READ),
    same("with -c as well", |scene| reading_job(scene, "-c")),
    same("a resize is told once", |scene| resize(scene, "--")),
    better(11, "with -c as well", |scene| key_to_all(scene, "WINCH"), "1\n"),
    same("Ctrl-C comes once", |scene| interrupt(scene, "--")),
    better(11, "with -c as well", |scene| key_to_all(scene, "INT"), "1\n"),
    same("a hang-up ends it", |scene| hang_up(scene, "--")),
    same("with -c as well", |scene| hang_up(scene, "-c")),
    same("a shell in it has jobs", |scene| shell(scene, "--")),
    same("it is not told of the hand-over", |scene| hand_over(scene, "--")),
    better(6, "a hang-up before that is not lost", |scene| earlier_hang_up(scene, "--"), HELD),
];

const GOT: &str = "got hello\ncode 0\n";
const WENT: &str = "10 rounds\ncode 0\n";
const JOB: &str = "shell got hello\ncode 143\n";
const READ: &str = "stopped\ngot hello\n";
const HELD: &str = "up, HUP\n";

/// Answers to lines.
const ECHO: &str = r#"echo up; while read -r x; do echo "got $x"; done"#;

/// A terminal, and the program under test on it.
struct Stage<'a> {
    scene: &'a Scene,
    session: Session,
}

impl<'a> Stage<'a> {
    /// With an interactive shell.
    fn shell(scene: &'a Scene) -> Option<Stage<'a>> {
        let mut stage = Stage { scene, session: Session::shell() };
        // Whatever outlives the shell is found by its directory.
        stage.line("cd {dir}; echo he''re");
        stage.see("here\r\n")?;
        Some(stage)
    }

    /// With a command that leads the terminal's session.
    fn leader(scene: &'a Scene, words: &str) -> Stage<'a> {
        let words = scene.fill(&format!("cd {{dir}}; exec {words}"));
        Stage { scene, session: Session::start(Command::new("bash").args(["-c", &words])) }
    }

    fn line(&mut self, line: &str) {
        self.session.type_line(&self.scene.fill(line));
    }

    fn see(&mut self, text: &str) -> Option<String> {
        self.session.within(self.scene.patience, text)
    }

    /// The shell's only child.
    fn job(&self) -> Option<Pid> {
        let shell = self.session.pid();
        let children = format!("/proc/{shell}/task/{shell}/children");
        let children = std::fs::read_to_string(children).ok()?;
        children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    /// Waits until the program itself has stopped. Under dumb-init that may come after the shell has seen its job
    /// stop, and until then the program reads what is typed for the shell.
    fn stopped(&self) -> Option<()> {
        let job = self.job()?;
        let children = std::fs::read_to_string(format!("/proc/{job}/task/{job}/children")).ok()?;
        until_stopped(children.split_whitespace().next()?)
    }

    /// A key is pressed ten times, each time when the program has said that it knows of the last. How often it has
    /// said so.
    fn ten_times(
        &mut self,
        name: &str,
        mut press: impl FnMut(&mut Session, u32),
    ) -> Option<String> {
        self.see("up\r\n")?;
        for round in 0..10 {
            press(&mut self.session, round);
            self.see(&format!("{name}\r\n"))?;
        }
        kill(self.job()?, Signal::SIGTERM).ok()?;
        let rest = self.see("code 3\r\n")?;
        Some(format!("10 times, and {} more\n", rest.matches(name).count()))
    }
}

fn until_stopped(pid: impl Display) -> Option<()> {
    let status = format!("/proc/{pid}/status");
    let end = Instant::now() + DEADLINE;
    while !std::fs::read_to_string(&status).ok()?.contains("State:\tT") {
        (Instant::now() < end).then_some(())?;
    }
    Some(())
}

fn has_terminal(scene: &Scene, option: &str) -> Option<String> {
    let words = "sh -c 'stty -echo; echo up; read -r x; echo \"got $x\"; read -r x </dev/tty; echo \"got $x\"'";
    let mut stage = Stage::leader(scene, &format!("{{init}} {option} {words}"));
    stage.see("up\r\n")?;
    stage.line("one");
    let first = stage.see("got one\r\n")?;
    stage.line("two");
    let second = stage.see("got two\r\n")?;
    Some(format!("{first}|{second}|{}\n", code(stage.session.end())))
}

fn places(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::leader(scene, &format!("{{init}} {option} sh -c './places; echo end'"));
    stage.see("end\r\n")
}

const READER: &str = "sh -c 'echo up; read -r x </dev/tty && echo \"got $x\"' </dev/null";

fn redirected(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::leader(scene, &format!("{{init}} {option} {READER}"));
    stage.see("up\r\n")?;
    stage.line("hello");
    stage.see("got hello\r\n")?;
    Some(format!("got hello\ncode {}\n", code(stage.session.end())))
}

fn redirected_job(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} {READER}; echo \"code $?\""));
    stage.see("up\r\n")?;
    stage.line("hello");
    stage.see("got hello\r\n")?;
    stage.see("code 0\r\n")?;
    Some(GOT.into())
}

/// Each round stops the program as soon as it goes on: a CONT that comes late would undo that.
fn stop_and_go(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} bash -c '{ECHO}'"));
    stage.see("up\r\n")?;
    for round in 0..10 {
        stage.line(&format!("line {round}"));
        stage.see(&format!("got line {round}\r\n"))?;
        stage.session.press("\x1a");
        stage.see("Stopped")?;
        stage.stopped()?;
        stage.line("echo shell''-lives");
        stage.see("shell-lives\r\n")?;
        stage.line("fg");
    }
    stage.line("last");
    stage.see("got last\r\n")?;
    stage.session.press("\x04");
    stage.line("echo \"code $?\"");
    stage.see("code 0\r\n")?;
    Some(WENT.into())
}

fn stop_pid_1(scene: &Scene, option: &str) -> Option<String> {
    let Some(_) = namespace() else { return Some("continued\n".into()) };
    let mut stage = Stage::leader(scene, &format!("{{ns}} {{init}} {option} ./reporter CONT"));
    stage.see("up\r\n")?;
    stage.session.press("\x1a");
    stage.see("CONT\r\n")?;
    Some("continued\n".into())
}

fn job(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} sh -c 'echo up; exec sleep 1000' &"));
    stage.see("up\r\n")?;
    stage.line("read -r x; echo \"shell got $x\"");
    stage.line("hello");
    stage.see("shell got hello\r\n")?;
    stage.line("kill %1; wait %1; echo \"code $?\"");
    stage.see("code 143\r\n")?;
    Some(JOB.into())
}

fn reading_job(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} sh -c 'echo up; read -r x; echo \"got $x\"' &"));
    stage.see("up\r\n")?;
    // Each round is a process of its own; the shell looks at its jobs between two of them.
    stage.line("until [ -n \"$(jobs -s)\" ]; do sleep 0.05; done; echo seen''-stopped");
    stage.see("seen-stopped\r\n")?;
    stage.line("fg");
    stage.line("hello");
    stage.see("got hello\r\n")?;
    Some(READ.into())
}

fn resize(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} ./reporter; echo \"code $?\""));
    stage.ten_times("WINCH", |session, round| make_wide(session, 100 + round))
}

fn make_wide(session: &Session, columns: u32) {
    let words = ["-F", &session.terminal, "cols", &columns.to_string()];
    assert!(Command::new("stty").args(words).status().unwrap().success());
}

/// With -c the kernel tells init and program of a key. How often the program hears of it: init is held until it has
/// heard the kernel's.
fn key_to_all(scene: &Scene, name: &str) -> Option<String> {
    let mut stage = Stage::leader(scene, "{init} -c ./reporter");
    stage.see("up\r\n")?;
    let init = stage.session.pid();
    kill(init, Signal::SIGSTOP).ok()?;
    until_stopped(init)?;
    match name {
        "INT" => stage.session.press("\x03"),
        _ => make_wide(&stage.session, 101),
    }
    stage.see(&format!("{name}\r\n"))?;
    kill(init, Signal::SIGCONT).ok()?;
    // Lower numbers are read first: INT comes before this, WINCH before the next.
    let mut rest = stage.see("CONT\r\n")?;
    kill(init, Signal::SIGPWR).ok()?;
    rest += &stage.see("PWR\r\n")?;
    Some(format!("{}\n", 1 + rest.matches(name).count()))
}

fn interrupt(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::shell(scene)?;
    stage.line(&format!("{{init}} {option} ./reporter; echo \"code $?\""));
    stage.ten_times("INT", |session, _| session.press("\x03"))
}

fn hang_up(scene: &Scene, option: &str) -> Option<String> {
    let (mut keys, slave, _) = pty::open();
    let copy = || Stdio::from(slave.try_clone().expect("a copy"));
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(scene.init()).args([option, "sh", "-c", "echo up; exec sleep 1000"]);
    command.current_dir(&scene.dir.path).stdin(copy()).stdout(copy()).stderr(copy());
    let mut child = command.spawn().ok()?;
    drop((command, slave));
    // tini has warned before.
    let mut shown = String::new();
    while !shown.contains("up\r\n") {
        let mut bytes = [0; 1024];
        let count = keys.read(&mut bytes).ok()?;
        shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    drop(keys);
    let status = ended(&mut child, scene.patience)?;
    Some(format!("code {}\n", code(status)))
}

fn shell(scene: &Scene, option: &str) -> Option<String> {
    let bash = "env PS1= bash --norc --noprofile --noediting -i";
    let mut stage = Stage::leader(scene, &format!("{{init}} {option} {bash}"));
    stage.line("stty -echo; echo rea''dy");
    let before = stage.see("ready\r\n")?;
    stage.line("sh -c 'echo up; exec sleep 1000'");
    stage.see("up\r\n")?;
    stage.session.press("\x1a");
    stage.see("Stopped")?;
    stage.line("kill %1; fg; echo \"code $?\"; exit 5");
    stage.see("code 143\r\n")?;
    let complains = before.contains("job control");
    Some(format!("complains: {complains}\ncode {}\n", code(stage.session.end())))
}

fn hand_over(scene: &Scene, option: &str) -> Option<String> {
    let mut stage = Stage::leader(scene, &format!("{{init}} {option} ./reporter"));
    let mut all = stage.see("up\r\n")?;
    stage.session.press("\x03");
    all += &stage.see("INT\r\n")?;
    kill(stage.session.pid(), Signal::SIGTERM).ok()?;
    all += &stage.see("TERM\r\n")?;
    Some(format!("{all}code {}\n", code(stage.session.end())))
}

fn earlier_hang_up(scene: &Scene, option: &str) -> Option<String> {
    // A signal that is blocked and pending stays so over an exec.
    let block = "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGHUP));";
    let first = format!("perl -e '{block} kill HUP => $$; exec @ARGV'");
    let mut stage = Stage::leader(scene, &format!("{first} {{init}} {option} ./reporter"));
    let before = stage.see("up\r\n")?;
    if !before.contains("HUP\r\n") {
        stage.see("HUP\r\n")?;
    }
    Some(HELD.into())
}
