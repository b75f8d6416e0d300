//! lar as dumb-init: the same options, variables, exit codes and lines. What dumb-init gets wrong (README) is done as
//! `lar -- PROGRAM` does it.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::IsTerminal;

use super::getopt::{Found, Options, Spec, number};
use super::single::{Belongings, Program, start};
use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{Leftovers, Restart, Rules, Session, Single};
use crate::run::voice::{Lines, Note, Voice};
use crate::signal::Signal;
use crate::supervisor::{Change, Supervisor};
use crate::sys::terminal::leads_session;

/// What `--version` prints: first the version whose behaviour this is.
const VERSION: &str = concat!("dumb-init v1.2.5 (lar ", env!("CARGO_PKG_VERSION"), ")");

/// What this program's mistakes end with.
const FAILED: u8 = 1;

/// The highest signal that can be rewritten.
const LAST: i32 = 31;

const OPTIONS: [Spec; 5] = [
    Spec::flag('h', "help"),
    Spec::flag('c', "single-child"),
    Spec::valued('r', "rewrite"),
    Spec::flag('v', "verbose"),
    Spec::flag('V', "version"),
];

const USAGE: &str = "
Runs COMMAND in a session of its own, passes signals on to its process group, reaps orphans, and ends as it does.

options:

  -c, --single-child: leave COMMAND in this session, and pass signals on to it alone
  -r, --rewrite FROM:TO: pass on signal TO for signal FROM (numbers from 1 to 31), or none if TO is 0; may be repeated
  -v, --verbose: say on standard error what is done
  -h, --help: print this
  -V, --version: print the version

variables:

  DUMB_INIT_DEBUG=1: as -v
  DUMB_INIT_SETSID=0: as -c
";

/// Signals that stop a job: dumb-init stops with its program.
const STOPS: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// No terminal: what the kernel answers when one is to be let go of.
const ENOTTY: Errno = Errno(25);

/// What the command line and the variables come to.
struct Draft {
    says_all: bool,
    /// Whether the program gets a session of its own.
    setsid: bool,
    rewrite: Vec<(Signal, Option<Signal>)>,
}

/// Everything that dumb-init is called with; its exit code.
pub fn main(name: String, args: Vec<OsString>) -> u8 {
    let found = Options { known: &OPTIONS, permutes: false }.read(args);
    let (mut draft, argv) = match read(&name, found) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|it| it == value);
    let (debug, shared) = (is("DUMB_INIT_DEBUG", "1"), is("DUMB_INIT_SETSID", "0"));
    draft.says_all |= debug;
    draft.setsid &= !shared;
    let given = Belongings::take();
    let lines = draft.says_all.then(Lines::new);
    let say = |words: &str| lines.iter().for_each(|lines| put(lines, format_args!("{words}")));
    if debug {
        say("Running in debug mode.");
    }
    if shared {
        say("Not running in setsid mode.");
    }
    let session = if draft.setsid { hand_off(&given, say) } else { Session::Shared };
    let attached = given.terminal.is_some() || std::io::stdin().is_terminal();
    let rules = Rules { restart: Restart::Never, ..Rules::default() };
    let single = single(&draft);
    let voice = DumbInit {
        program: argv.first().map(|word| word.to_string_lossy().into()).unwrap_or_default(),
        leads: session == Session::Leader,
        attached,
        rewrite: single.rewrite.clone(),
        code: Cell::new(None),
        lines,
    };
    let plan = Program { argv, directory: None, session, rules, single }.plan();
    start(plan, given, Some(Box::new(voice)))
}

/// Lets go of the terminal, so that the program's session can have it; which session that is.
///
/// Only a session's leader can do that. Started by an interactive shell, dumb-init puts its program into a session
/// without a terminal all the same: then /dev/tty can't be opened, and a program in the background reads what is typed
/// for the shell. So lar does there what it does without another name: the program gets a group of its own in the
/// shell's session, and the foreground if lar has it.
fn hand_off(given: &Belongings, say: impl Fn(&str)) -> Session {
    let unable = |Errno(number): Errno| {
        let text = Errno(number);
        say(&format!("Unable to detach from controlling tty (errno={number} {text})."));
    };
    let Some(terminal) = &given.terminal else {
        unable(ENOTTY);
        return Session::Leader;
    };
    if !leads_session() {
        say("Not the session leader: the child stays in this session, to have its terminal.");
        return Session::Job;
    }
    match terminal.let_go() {
        Ok(swallowed) => {
            say("Detached from controlling tty, ignoring the first SIGHUP and SIGCONT we receive.");
            for signal in swallowed.iter().map(Signal::number) {
                say(&format!("Received signal {signal}."));
                say(&format!("Ignoring tty hand-off signal {signal}."));
            }
            Session::Leader
        }
        Err(errno) => {
            unable(errno);
            Session::Job
        }
    }
}

fn single(draft: &Draft) -> Single {
    // The kernel does not let keys stop the leader of a session that nobody looks after; STOP does.
    let presets = STOPS.iter().filter(|_| draft.setsid).map(|&stop| (stop, Some(Signal::STOP)));
    Single {
        group: draft.setsid,
        rewrite: presets.chain(draft.rewrite.iter().copied()).collect(),
        faults: true,
        stops: STOPS.to_vec(),
        leftovers: if draft.setsid { Leftovers::Tell } else { Leftovers::Leave },
        ..Single::default()
    }
}

/// The command line; or the exit code, if that is all.
fn read(name: &str, found: Found) -> Result<(Draft, Vec<OsString>), u8> {
    let mut draft = Draft { says_all: false, setsid: true, rewrite: Vec::new() };
    for given in found.given {
        match given.spec.letter.unwrap_or_default() {
            'h' => {
                super::tell(&format!("{VERSION}\nusage: {name} [OPTIONS] COMMAND [ARGS]\n{USAGE}"));
                return Err(0);
            }
            'V' => {
                super::tell(VERSION);
                return Err(0);
            }
            'c' => draft.setsid = false,
            'v' => draft.says_all = true,
            _ => match rule(&given.value.to_string_lossy()) {
                Some(rule) => draft.rewrite.push(rule),
                None => {
                    super::tell(&format!(
                        "usage: -r FROM:TO, two signals by their numbers, 1 to {LAST}; TO may be 0\nsee {name} --help"
                    ));
                    return Err(FAILED);
                }
            },
        }
    }
    if let Some(mistake) = &found.mistake {
        super::tell(&format!("{name}: {}", mistake.in_c()));
        return Err(FAILED);
    }
    if found.words.is_empty() {
        super::tell(&format!("usage: {name} [OPTIONS] COMMAND [ARGS]\nsee {name} --help"));
        return Err(FAILED);
    }
    Ok((draft, found.words))
}

/// `FROM:TO`. What follows the second number is not looked at, as with sscanf(3).
fn rule(text: &str) -> Option<(Signal, Option<Signal>)> {
    let (from, rest) = number(text)?;
    let (to, _) = number(rest.strip_prefix(':')?)?;
    let known = (1..=LAST).contains(&from) && (0..=LAST).contains(&to);
    known.then_some(())?;
    Some((Signal::new(from)?, Signal::new(to)))
}

fn put(lines: &Lines, words: Arguments) {
    lines.say(format_args!("[dumb-init] {words}"));
}

/// What dumb-init says of what happens.
struct DumbInit {
    program: String,
    /// Whether the program leads a session of its own.
    leads: bool,
    /// Whether there is a terminal for it.
    attached: bool,
    /// What is passed on instead; the last rule about a signal counts.
    rewrite: Vec<(Signal, Option<Signal>)>,
    /// What the program ended with, once it has run.
    code: Cell<Option<u8>>,
    /// Without `-v` there is nothing to say but why nothing was started.
    lines: Option<Lines>,
}

impl DumbInit {
    fn say(&self, words: Arguments) {
        self.lines.iter().for_each(|lines| put(lines, words));
    }

    fn started(&self, pid: Pid) {
        self.say(format_args!("Child spawned with PID {pid}."));
        if self.leads && !self.attached {
            let Errno(number) = ENOTTY;
            self.say(format_args!(
                "Unable to attach to controlling tty (errno={number} {ENOTTY})."
            ));
        }
        if self.leads {
            self.say(format_args!("setsid complete."));
        }
    }

    fn failed(&self, stage: Stage, errno: Errno) {
        let own = self.lines.is_none().then(Lines::new);
        let Some(lines) = self.lines.as_ref().or(own.as_ref()) else { return };
        match stage {
            Stage::Clone => put(lines, format_args!("Unable to fork. Exiting.")),
            Stage::Exec => put(lines, format_args!("{}: {errno}", self.program)),
            stage => put(lines, format_args!("{}: {errno} ({stage})", self.program)),
        }
    }

    fn forwarded(&self, signal: Signal, passed_on: Option<Signal>) {
        let number = passed_on.map_or(0, Signal::number);
        if self.rewrite.iter().any(|&(from, _)| from == signal) {
            self.say(format_args!("Translating signal {} to {number}.", signal.number()));
        }
        match number {
            0 => self.say(format_args!("Not forwarding signal 0 to children (ignored).")),
            _ => self.say(format_args!("Forwarded signal {number} to children.")),
        }
    }

    fn reaped(&self, pid: Pid, status: ExitStatus, main: bool) {
        match status {
            ExitStatus::Code(code) => {
                self.say(format_args!("A child with PID {pid} exited with exit status {code}."));
            }
            ExitStatus::Signal { signal, .. } => {
                let signal = signal.number();
                let words =
                    format_args!("A child with PID {pid} was terminated by signal {signal}.");
                self.say(words);
            }
        }
        if main {
            self.code.set(Some(status.shell_code()));
            let last = self.rewrite.iter().rev().find(|&&(from, _)| from == Signal::TERM);
            self.forwarded(Signal::TERM, last.map_or(Some(Signal::TERM), |&(_, to)| to));
        }
    }
}

impl Voice for DumbInit {
    fn note(&self, note: Note) {
        match note {
            Note::Spawned(pid) => self.started(pid),
            Note::Failed(stage, errno) => self.failed(stage, errno),
            Note::Received(signal) => {
                self.say(format_args!("Received signal {}.", signal.number()))
            }
            Note::Forwarded(signal, passed_on) => self.forwarded(signal, passed_on),
            Note::Reaped(pid, status, main) => self.reaped(pid, status, main),
            Note::Suspending => self.say(format_args!("Suspending self due to TTY signal.")),
            Note::Over => self.code.get().iter().for_each(|code| {
                self.say(format_args!("Child exited with status {code}. Goodbye."));
            }),
            Note::Started | Note::Gone(_) | Note::Tested(_) | Note::Drained | Note::Ending(_) => {}
        }
    }

    /// The program's life is told by the notes.
    fn changed(&self, _: &Supervisor, _: &Change) -> bool {
        true
    }
}
