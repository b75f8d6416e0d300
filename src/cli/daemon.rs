//! `lar daemon VERB NAME`: a daemon without a manager, for init scripts and test suites. It starts one that goes into
//! the background (or puts it there), finds it again by its pid file, and stops it; nobody watches it in between.
//!
//! Who comes at the same time waits for the others at a lock beside the pid file: of fifty that need a daemon one
//! starts it, and all return when it can be used.

mod failure;
mod kill;
mod log;
mod said;
mod start;
mod stop;
mod subject;
mod watch;
mod who;

use std::ffi::OsString;

use lexopt::prelude::*;

use super::machine::Machine;
use super::{complain, manager, print, tell, usage_error};
use crate::config::{self, Severity};
use crate::exit::{Code, Errno, Pid};
use crate::plan::{Plan, Task};
use crate::sys::clock;
use crate::sys::lock::{Lock, Mode, Owner, Patience};

use failure::Failure;
use start::{Attempt, shown};
use stop::{Stopped, bad};
use subject::Subject;
use who::{Down, Standing};

/// What `lar daemon --help` prints.
pub(super) const USAGE: &str = "\
usage: lar daemon [-C FILE] [--strict] VERB NAME

Starts, finds and stops a daemon without a running manager. NAME is a <service> of FILE [/etc/lar.conf] with a
`pid-file`: of `type forking` if its program goes into the background by itself; any other program is put there, and
lar writes its pid file. Everything that runs is run as a manager would run it.

  start     start it; returns when it is ready (`ready`), or has failed and nothing of it is left
  stop      `stop-command`, then the signals of `stop`; returns when it is gone
  restart   `restart-command` if it runs, else stop and start
  ensure    return when it can be connected to (`ready`); start it if it does not run
  status    say whether it runs
  pid       print its pid

  -C FILE   the configuration
  --strict  `start` of what runs and `stop` of what is stopped end with 15

Commands about the same daemon take turns, by a lock on PID-FILE.lock.

exit codes: 0 done; it runs · 1 failed · 2 bad arguments · 3 not running (status, pid) · 4 no such service (status) ·
5 no such service · 6 bad configuration · 8 not ready in time, and ended · 10 not permitted · 11 start failed ·
12 stopped only by KILL · 13 it runs, but can't be connected to (ensure) · 15 already (--strict) · 128+n by signal n
";

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Restart,
    Ensure,
    Status,
    Pid,
}

const VERBS: [(&str, Verb); 6] = [
    ("start", Verb::Start),
    ("stop", Verb::Stop),
    ("restart", Verb::Restart),
    ("ensure", Verb::Ensure),
    ("status", Verb::Status),
    ("pid", Verb::Pid),
];

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    file: String,
    strict: bool,
    verb: Verb,
    name: String,
}

/// `lar daemon` with these arguments; its exit code.
pub fn main(args: Vec<OsString>) -> u8 {
    if args.iter().any(|word| word == "-h" || word == "--help") {
        return print(USAGE);
    }
    let request = match parse(args) {
        Ok(request) => request,
        Err(message) => return usage_error(&format!("daemon: {message}")),
    };
    let Some(plan) = read(&request.file) else { return Code::BadConfig as u8 };
    let missing = match request.verb {
        Verb::Status => Code::UnknownStatus,
        _ => Code::UnknownService,
    };
    let found = Subject::find(&plan, &request.name, missing);
    let label = found.as_ref().map_or(request.name.as_str(), |found| &found.label).to_owned();
    let done =
        found.and_then(|subject| Command { subject, strict: request.strict }.run(request.verb));
    done.unwrap_or_else(|failure| {
        complain(&failure.text(&label));
        failure.code
    })
}

fn parse(args: Vec<OsString>) -> Result<Request, String> {
    let (mut file, mut strict) = (manager::FILE.to_owned(), false);
    let (mut verb, mut name) = (None, None);
    let mut parser = lexopt::Parser::from_args(args);
    let plain = |error: lexopt::Error| error.to_string();
    while let Some(arg) = parser.next().map_err(plain)? {
        match arg {
            Short('C') | Long("configure") => {
                file = parser.value().and_then(|it| it.string()).map_err(plain)?;
            }
            Long("strict") => strict = true,
            Value(word) if verb.is_none() => {
                let word = word.string().map_err(plain)?;
                let known = VERBS.iter().find(|(known, _)| *known == word);
                verb = Some(known.map(|&(_, verb)| verb).ok_or_else(|| unknown_verb(&word))?);
            }
            Value(word) if name.is_none() => name = Some(word.string().map_err(plain)?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let verb = verb.ok_or("which verb? start, stop, restart, ensure, status, pid")?;
    let name = name.ok_or("which service?")?;
    Ok(Request { file, strict, verb, name })
}

fn unknown_verb(word: &str) -> String {
    match crate::nearest::nearest(word, VERBS.map(|(verb, _)| verb)) {
        Some(near) => format!("unknown verb '{word}'; did you mean '{near}'?"),
        None => format!("unknown verb '{word}': it is start, stop, restart, ensure, status or pid"),
    }
}

/// The configuration, if it has no errors. Its warnings are for `lar check`.
fn read(file: &str) -> Option<Plan> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            complain(&format!("{file}: {error}"));
            return None;
        }
    };
    let reading = config::read(file, &bytes, &Machine::new());
    let errors = reading.diagnostics.iter().filter(|it| it.severity == Severity::Error);
    errors.for_each(|error| tell(&error.to_string()));
    reading.plan
}

/// Errors by which a lock's file says that we may not write there: then there is nobody to keep apart from, or at
/// least nothing that we could do to it.
const READ_ONLY: [Errno; 3] = [Errno(1), Errno(13), Errno(30)];

/// One of the verbs, about one daemon.
struct Command {
    subject: Subject,
    strict: bool,
}

type Done = Result<u8, Failure>;

impl Command {
    fn run(mut self, verb: Verb) -> Done {
        match verb {
            Verb::Start => {
                let lock = self.lock()?;
                self.start(&lock)
            }
            Verb::Stop => {
                let lock = self.lock()?;
                self.stop(&lock)
            }
            Verb::Restart => self.restart(),
            Verb::Ensure => self.ensure(),
            Verb::Status => self.status(),
            Verb::Pid => self.pid(),
        }
    }

    /// Keeps everybody else away from it.
    fn lock(&self) -> Result<Lock, Failure> {
        let path = self.subject.lock_path();
        Lock::take(&path, Mode::Exclusive, Patience::Wait, Owner::Private).map_err(|errno| {
            let code = if READ_ONLY.contains(&errno) { Code::NotPermitted } else { Code::Failed };
            Failure::new(code, format!("{path}: {errno}; nothing was done"))
        })
    }

    /// Waits until nobody starts or stops it. Who may not write where the lock is may look all the same.
    fn shared(&self) -> Result<Option<Lock>, Failure> {
        let path = self.subject.lock_path();
        match Lock::take(&path, Mode::Shared, Patience::Wait, Owner::Private) {
            Ok(lock) => Ok(Some(lock)),
            Err(errno) if READ_ONLY.contains(&errno) => Ok(None),
            // Without a directory for its pid file it does not run.
            Err(Errno(2)) => Ok(None),
            Err(errno) => Err(Failure::new(Code::Failed, format!("{path}: {errno}"))),
        }
    }

    fn say(&self, words: std::fmt::Arguments) {
        print(&format!("{}: {words}\n", self.subject.label));
    }

    fn remark(&self, down: Down) {
        let words = down.to_string();
        if !words.is_empty() {
            complain(&format!("{}: {} {words}", self.subject.label, self.subject.pid_file));
        }
    }

    fn start(&mut self, lock: &Lock) -> Done {
        match self.subject.standing(Some(lock))? {
            Standing::Running(pid) => {
                self.say(format_args!("already running, pid {pid}"));
                Ok(if self.strict { Code::Already as u8 } else { Code::Done as u8 })
            }
            Standing::Down(down) => {
                self.remark(down);
                let pid = Attempt::new(&mut self.subject)?.start(lock)?;
                self.runs(pid)
            }
        }
    }

    fn runs(&self, pid: Pid) -> Done {
        self.say(format_args!("running, pid {pid}"));
        Ok(Code::Done as u8)
    }

    fn stop(&mut self, lock: &Lock) -> Done {
        let label = self.subject.label.clone();
        let mut tell = |failure: &Failure| complain(&failure.text(&label));
        match self.subject.stop(lock, &mut tell)? {
            Stopped::WasDown(down) => {
                self.remark(down);
                self.say(format_args!("not running"));
                Ok(if self.strict { Code::Already as u8 } else { Code::Done as u8 })
            }
            Stopped::Ended => {
                self.say(format_args!("stopped"));
                Ok(Code::Done as u8)
            }
            Stopped::Forced => {
                self.say(format_args!("stopped by KILL"));
                Ok(Code::Forced as u8)
            }
        }
    }

    /// In one go: nobody can come between the stop and the start.
    fn restart(&mut self) -> Done {
        let lock = self.lock()?;
        let running = match self.subject.standing(Some(&lock))? {
            Standing::Running(pid) => Some(pid),
            Standing::Down(_) => None,
        };
        let task = self.subject.process.task(Task::Restart).map(<[String]>::to_vec);
        let (Some(pid), Some(task)) = (running, task) else {
            if running.is_some() {
                self.stop(&lock)?;
            }
            return self.start(&lock);
        };
        let until = self.subject.service.start_timeout.map(|timeout| clock::now() + timeout);
        let (outcome, said) = self.subject.run(&task, Some(pid), until);
        if let Some(words) = bad(outcome) {
            let failure = Failure::new(Code::Failed, format!("restart-command: {words}"));
            return Err(failure.with("its output", said));
        }
        let pid = Attempt::new(&mut self.subject)?.follow(&lock)?;
        self.runs(pid)
    }

    /// Asks first as one of many; only if that was in vain it is started, by one.
    fn ensure(&mut self) -> Done {
        let shared = self.shared()?;
        if let Some(pid) = self.usable(shared.as_ref())? {
            return self.runs(pid);
        }
        drop(shared);
        let lock = self.lock()?;
        match self.subject.standing(Some(&lock))? {
            Standing::Down(down) => {
                self.remark(down);
                let pid = Attempt::new(&mut self.subject)?.start(&lock)?;
                self.runs(pid)
            }
            // Somebody else has started it meanwhile, or it does not answer.
            Standing::Running(pid) => match self.usable(Some(&lock))? {
                Some(pid) => self.runs(pid),
                None => {
                    let probe = self.subject.process.ready.as_ref().map_or(String::new(), shown);
                    let message = format!("it runs, pid {pid}, but `ready {probe}` has no answer");
                    Err(Failure::new(Code::CannotConnect, message))
                }
            },
        }
    }

    /// Its pid, if it runs and answers. What is only known while it starts (`ready log`) has no answer now.
    fn usable(&mut self, lock: Option<&Lock>) -> Result<Option<Pid>, Failure> {
        let Standing::Running(pid) = self.subject.standing(lock)? else { return Ok(None) };
        let answer = match self.subject.process.ready {
            Some(crate::plan::Probe::Log(_)) => None,
            _ => self.subject.ask(Some(pid), None, None),
        };
        if let Some(signal) = self.subject.watch.asked() {
            return Err(Failure::asked(signal, format!("aborted by {signal}")));
        }
        Ok((answer != Some(false)).then_some(pid))
    }

    fn status(&mut self) -> Done {
        let lock = self.shared()?;
        match self.subject.standing(lock.as_ref())? {
            Standing::Running(pid) => self.runs(pid),
            Standing::Down(down) => {
                self.remark(down);
                self.subject.clean_up(down);
                self.say(format_args!("not running"));
                Ok(Code::NotRunning as u8)
            }
        }
    }

    fn pid(&mut self) -> Done {
        let lock = self.shared()?;
        match self.subject.standing(lock.as_ref())? {
            Standing::Running(pid) => Ok(print(&format!("{pid}\n"))),
            Standing::Down(_) => Ok(Code::NotRunning as u8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(text: &str) -> Result<Request, String> {
        parse(text.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn a_verb_and_a_name_make_a_request() {
        let request = parse_words("-C x.conf stop web --strict").unwrap();
        let wanted =
            Request { file: "x.conf".into(), strict: true, verb: Verb::Stop, name: "web".into() };
        assert_eq!(request, wanted);
        assert_eq!(parse_words("pid web").unwrap().file, "/etc/lar.conf");
        for (bad, words) in [
            ("", "which verb"),
            ("start", "which service"),
            ("strat web", "did you mean 'start'"),
            ("start web db", "unexpected"),
            ("--bogus start web", "bogus"),
            ("start web -C", "-C"),
        ] {
            let message = parse_words(bad).unwrap_err();
            assert!(message.contains(words), "{bad}: {message}");
        }
    }
}
