//! A manager with one daemon, `web`, that does as the test says.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::lar::{Answer, DEADLINE, Lar, Scratch, Watch, skip};
use crate::misbehaving::misbehaving;

/// A start whose time is up soon, and is not tried again.
pub const SOON: &str = " start manual\n start-timeout 300ms\n give-up after 1\n";

/// One that is to fail long before its time is up.
pub const LATE: &str = " start manual\n start-timeout 1h\n give-up after 1\n";

/// The manager, and a hold on whatever is started in its directory.
pub struct Scene {
    pub lar: Lar,
    hold: File,
}

/// A directory with the FIFO that tells when all are gone.
pub fn directory() -> Scratch {
    let dir = Scratch::new();
    mkfifo(&dir.at("hold"), Mode::S_IRWXU).unwrap();
    fs::set_permissions(dir.at("hold"), fs::Permissions::from_mode(0o666)).unwrap();
    dir
}

impl Scene {
    /// A daemon with these options of `misbehaving`, that listens at its socket and is ready when that answers; with
    /// these keys more, or others than usual. `None`, with a word about it, without a compiler.
    pub fn new(options: &str, keys: &str) -> Option<Scene> {
        Scene::within(directory(), &format!("--listen {{dir}}/socket {options}"), keys)
    }

    /// The same in a directory that has been prepared; it listens only if it is told to.
    pub fn within(dir: Scratch, options: &str, keys: &str) -> Option<Scene> {
        let program = daemon(options)?;
        Some(Scene::running(dir, &program, keys))
    }

    /// The same with another program.
    #[track_caller]
    pub fn running(dir: Scratch, program: &str, keys: &str) -> Scene {
        let flags = OFlag::O_NONBLOCK.bits();
        let hold = File::options().read(true).custom_flags(flags).open(dir.at("hold")).unwrap();
        // A key may stand in a section once.
        let or = |key: &str, line: &str| {
            let there = keys.lines().any(|line| line.split_whitespace().next() == Some(key));
            if there { String::new() } else { line.to_owned() }
        };
        let config = format!(
            "<service web>\n program {program}\n type forking\n directory {{dir}}\n prefix no\n\
             {}{}{}{}{}{keys}\n</service>\n",
            or("pid-file", " pid-file {dir}/pid\n"),
            or("ready", " ready unix {dir}/socket\n"),
            or("ready-interval", " ready-interval 10ms\n"),
            or("backoff", " backoff none\n"),
            or("start-timeout", " start-timeout 30s\n"),
        );
        let lar = Lar::run_in(dir, " exit-policy never", &config, |_| {});
        Scene { lar, hold }
    }

    /// What happens, from the first event on.
    pub fn events(&self) -> Watch {
        self.lar.watch("events --since 0 web")
    }

    /// A start that fails and says all this, why too; nothing is left then.
    #[track_caller]
    pub fn fails(&self, words: &[&str]) -> Answer {
        let answer = self.lar.ask("start web");
        assert_ne!(answer.code, 0, "{answer:#?}");
        self.lar.wait("web=failed");
        self.nothing_is_left();
        let why = self.lar.ask("why web").expect(0).out;
        let said = format!("{}{}", answer.out, answer.err);
        for word in words.iter().map(|word| self.lar.dir.fill(word)) {
            assert!(said.contains(&word), "{word:?} is missing: {answer:#?}\n{why}");
        }
        assert!(why.contains(&self.lar.dir.fill(words[0])), "{} is missing: {why}", words[0]);
        answer
    }

    /// What the pid file says.
    #[track_caller]
    pub fn pid(&self) -> Pid {
        let text = self.lar.dir.read("pid");
        Pid::from_raw(text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no pid")))
    }

    /// That it runs, by lar's word and by its own; its pid.
    #[track_caller]
    pub fn runs(&self) -> Pid {
        self.lar.wait("web=running");
        assert_eq!(self.lar.pid_of("web"), self.pid());
        self.pid()
    }

    /// How often the daemon was started.
    pub fn starts(&self) -> usize {
        self.lar.dir.read("starts").lines().count()
    }

    /// That no process is left of all that were started. One that has ended has closed its end of the FIFO.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let left = (&self.hold).read(&mut [0]);
        assert_eq!(left.ok(), Some(0), "left: {:#?}", self.lar.dir.processes());
    }

    /// Asks the manager to end; that needs no KILL, and leaves nothing.
    #[track_caller]
    pub fn shut_down(&mut self) {
        assert_eq!(self.end(), 0);
    }

    /// Asks the manager to end, which leaves nothing; its exit code: 1 if something heeded nothing but KILL.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let code = self.lar.shut_down();
        self.nothing_is_left();
        code
    }
}

/// The daemon's words in a configuration.
pub fn daemon(options: &str) -> Option<String> {
    let Some(program) = misbehaving() else {
        skip("no C compiler");
        return None;
    };
    let usual = "--pid-file {dir}/pid --starts {dir}/starts --hold {dir}/hold";
    Some(format!("{} {usual} {options}", program.display()))
}

/// The children of a process.
pub fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Whether there is such a process, be it dead and not reaped.
pub fn exists(pid: Pid) -> bool {
    kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}

/// The number of a field in a line of `events --json`.
#[track_caller]
pub fn number(line: &str, key: &str) -> u64 {
    let field = format!("\"{key}\":");
    let at = line.find(&field).unwrap_or_else(|| panic!("no {key} in {line}")) + field.len();
    let digits: String = line[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{key} is no number in {line}"))
}

/// Returns when it is so.
#[track_caller]
pub fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A process that has nothing to do with any of this.
pub struct Bystander(Child);

impl Bystander {
    pub fn new() -> Bystander {
        Bystander(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }

    /// That nobody has done anything to it.
    #[track_caller]
    pub fn lives(&mut self) {
        assert!(matches!(self.0.try_wait(), Ok(None)), "it was killed");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
