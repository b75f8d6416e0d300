//! zdaemon's actions, each before each state of a manager: what is printed, the exit code, and what the manager is
//! sent. The manager is a scripted one, so every state stays for as long as a test looks.

#![allow(dead_code, reason = "each test file uses another part of it")]

use crate::desk::{Script, State};

/// Whether the real zdaemon does the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Real {
    /// To the byte.
    Same,
    /// It has a defect here, or can't be asked.
    Differs(&'static str),
}

/// One action before one state.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The words behind `-p "sleep 100"`.
    pub line: &'static [&'static str],
    /// The manager; `None`: there is none.
    pub state: Option<State>,
    /// What it becomes.
    pub script: Script,
    /// The exit code.
    pub code: i32,
    /// Standard output; nothing may be on standard error.
    pub out: &'static str,
    /// What the manager gets besides questions.
    pub sent: &'static str,
    /// The real one's.
    pub real: Real,
}

use Real::{Differs, Same};
use State::*;

const fn case(
    line: &'static [&'static str],
    state: Option<State>,
    code: i32,
    out: &'static str,
) -> Case {
    Case { line, state, script: &[], code, out, sent: "", real: Same }
}

const fn then(case: Case, script: Script, sent: &'static str) -> Case {
    Case { script, sent, ..case }
}

const fn but(case: Case, why: &'static str) -> Case {
    Case { real: Differs(why), ..case }
}

const DOWN: &str = "daemon manager not running\n";
const LOST: &str = "\ndaemon manager not running\n";
const NOT: &str = "daemon process not running\n";
const IDLE: &str = "daemon manager running; daemon process not running\n";
const UP: &str = "program running; pid=PID\n";
const STARTED: &str = "\ndaemon process started, pid=PID\n";
const STOPPED: &str = "\ndaemon process stopped\n";
const RESTARTED: &str = "\ndaemon process restarted, pid=PID\n";
const RAW: &str = "status=running\nnow=1000.5\nshould_be_up=1\ndelay=0\nbackoff=0\nlasttime=1000.25\n\
    application=PID\ntesting=0\nmanager=PID\nbackofflimit=10\nfilename='/bin/sleep'\nargs=['sleep', '100']\n\n";
const RAW_STOPPED: &str = "status=stopped\nnow=1000.5\nshould_be_up=0\ndelay=0\nbackoff=0\nlasttime=1000.25\n\
    application=0\ntesting=0\nmanager=PID\nbackofflimit=10\nfilename='/bin/sleep'\nargs=['sleep', '100']\n\n";

/// `start` and `restart` without a manager make one: that is tried elsewhere.
pub fn all() -> Vec<Case> {
    let statuses = [
        case(&["status"], None, 3, DOWN),
        case(&["status"], Some(Up), 0, UP),
        case(&["status"], Some(Testing), 0, UP),
        case(&["status"], Some(Stopping), 0, UP),
        case(&["status"], Some(Backoff), 0, IDLE),
        case(&["status"], Some(Stopped), 0, IDLE),
        case(&["status"], Some(Old), 0, IDLE),
        case(&["status"], Some(Gone), 3, DOWN),
        case(&["status", "-l"], None, 3, DOWN),
        case(&["status", "-l"], Some(Up), 0, concat_up()),
        case(&["status-l"], Some(Stopped), 0, concat_stopped()),
        case(&["status", "x"], Some(Up), 1, "status argument must be absent or -l\n"),
        case(&[""], None, 0, DOWN),
        case(&[" ", ""], Some(Up), 0, UP),
    ];
    let starts = [
        case(&["start"], Some(Up), 0, "daemon process already running; pid=PID\n"),
        case(&["start", "5"], Some(Testing), 0, "daemon process already running; pid=PID\n"),
        then(case(&["start"], Some(Backoff), 0, STARTED), &[("start", &[Backoff, Up])], "start"),
        then(case(&["start"], Some(Stopped), 0, STARTED), &[("start", &[Testing, Up])], "start"),
        then(case(&["start"], Some(Backoff), 1, LOST), &[("start", &[Backoff, Gone])], "start"),
        then(
            case(&["-T", "0", "start"], Some(Backoff), 1, "\nProgram took too long to start\n"),
            &[("start", &[Testing])],
            "start",
        ),
        case(&["start"], Some(Stopping), 0, "daemon process already running; pid=PID\n"),
        then(case(&["start"], Some(Old), 0, STARTED), &[("start", &[Up])], "start"),
        case(&["--daemon", "start"], Some(Up), 0, "daemon process already running; pid=PID\n"),
    ];
    let stops = [
        case(&["stop"], None, 0, DOWN),
        case(&["stop"], Some(Stopped), 0, NOT),
        then(case(&["stop"], Some(Up), 0, STOPPED), &[("stop", &[Stopping, Gone])], "stop"),
        then(case(&["stop"], Some(Up), 0, STOPPED), &[("stop", &[Stopping, Stopped])], "stop"),
        then(case(&["stop"], Some(Testing), 0, STOPPED), &[("stop", &[Stopping, Gone])], "stop"),
        then(case(&["stop"], Some(Stopping), 0, STOPPED), &[("stop", &[Gone])], "stop"),
        then(case(&["stop"], Some(Backoff), 0, STOPPED), &[("stop", &[Gone])], "stop"),
        then(case(&["stop", "x"], Some(Old), 0, STOPPED), &[("stop", &[Gone])], "stop"),
    ];
    let waits = [
        case(&["wait"], None, 0, "\ndaemon process stopped\ndaemon manager not running\n"),
        case(&["wait"], Some(Backoff), 0, waited()),
        case(&["wait"], Some(Stopped), 0, waited()),
        case(&["wait"], Some(Leaving), 0, "\ndaemon process stopped\ndaemon manager not running\n"),
        case(
            &["wait", "x"],
            Some(Gone),
            0,
            "\ndaemon process stopped\ndaemon manager not running\n",
        ),
    ];
    [&statuses[..], &starts, &stops, &restarts(), &waits, &signals(), &words()].concat()
}

fn restarts() -> Vec<Case> {
    vec![
        then(
            case(&["restart"], Some(Up), 0, RESTARTED),
            &[("restart", &[Up, Backoff, Other])],
            "restart",
        ),
        then(
            case(&["-T0", "restart"], Some(Up), 1, "\nProgram took too long to start\n"),
            &[("restart", &[Backoff])],
            "restart",
        ),
        but(
            then(case(&["restart"], Some(Up), 1, LOST), &[("restart", &[Up, Gone])], "restart"),
            "ends with 0",
        ),
        then(case(&["restart"], Some(Backoff), 0, STARTED), &[("start", &[Up])], "start"),
        then(case(&["restart"], Some(Stopped), 0, STARTED), &[("start", &[Up])], "start"),
        then(
            case(&["restart", "x"], Some(Testing), 0, RESTARTED),
            &[("restart", &[Up, Other])],
            "restart",
        ),
        then(
            case(&["restart"], Some(Stopping), 0, RESTARTED),
            &[("restart", &[Stopping, Other])],
            "restart",
        ),
        but(
            then(case(&["restart"], Some(Backoff), 1, LOST), &[("start", &[Gone])], "start"),
            "ends with 0",
        ),
    ]
}

fn signals() -> Vec<Case> {
    let both = "daemon manager not running\ndaemon process not running\n";
    let term = "kill(PID, 15)\nsignal SIGTERM sent to process PID\n";
    let usr2 = "kill(PID, 12)\nsignal SIGUSR2 sent to process PID\n";
    let kill = "kill(PID, 9)\nsignal SIGKILL sent to process PID\n";
    let min = "kill(PID, 34)\nsignal SIGRTMIN sent to process PID\n";
    let cont = "kill(PID, 18)\nsignal SIGCONT sent to process PID\n";
    let max = "kill(PID, 64)\nsignal SIGRTMAX sent to process PID\n";
    vec![
        case(&["kill"], None, 0, NOT),
        case(&["kill"], Some(Backoff), 0, NOT),
        case(&["kill"], Some(Up), 0, term),
        case(&["kill", "usr2"], Some(Up), 0, usr2),
        case(&["kill", "9"], Some(Up), 0, kill),
        case(&["kill", "64"], Some(Up), 0, max),
        case(&["kill", "34"], Some(Up), 0, min),
        case(&["kill", "Signals.SIGCONT"], Some(Testing), 0, cont),
        case(&["kill", "sigcont"], Some(Stopping), 0, cont),
        case(&["kill"], Some(Lost), 0, "kill(PID, 15)\nError: [Errno 3] No such process\n"),
        case(&["kill", "33"], Some(Up), 0, "invalid signal '33'\n"),
        case(&["kill", "65"], Some(Up), 0, "invalid signal '65'\n"),
        case(&["kill", "-9"], Some(Up), 0, "invalid signal '-9'\n"),
        case(&["kill", "1_0"], Some(Up), 0, "kill(PID, 10)\nsignal SIGUSR1 sent to process PID\n"),
        case(&["kill", "SIG_DFL"], Some(Up), 0, "invalid signal 'SIG_DFL'\n"),
        case(&["kill", "nosuch"], Some(Stopped), 0, "invalid signal 'nosuch'\n"),
        case(&["kill", "9", "9"], Some(Up), 0, "invalid signal '9 9'\n"),
        case(&["kill", "it's"], None, 0, "invalid signal \"it's\"\n"),
        case(&["kill", "0"], Some(Up), 0, "invalid signal '0'\n"),
        case(&["kill", "SIG_IGN"], Some(Up), 0, "invalid signal 'SIG_IGN'\n"),
        case(&["reopen_transcript"], None, 0, DOWN),
        then(case(&["reopen_transcript"], Some(Up), 0, ""), &[], "reopen_transcript"),
        then(case(&["reopen_transcript"], Some(Backoff), 0, ""), &[], "reopen_transcript"),
        then(case(&["reopen_transcript", "x"], Some(Testing), 0, ""), &[], "reopen_transcript"),
        then(case(&["reopen_transcript"], Some(Stopped), 0, ""), &[], "reopen_transcript"),
        case(&["reopen_transcript"], Some(Gone), 0, DOWN),
        case(&["logreopen"], None, 0, both),
        then(case(&["logreopen"], Some(Up), 0, usr2), &[], "reopen_transcript"),
        then(case(&["logreopen"], Some(Backoff), 0, NOT), &[], "reopen_transcript"),
        case(&["logreopen"], Some(Gone), 0, both),
    ]
}

fn words() -> Vec<Case> {
    let busy = "To run the program in the foreground, please stop it first.\n";
    vec![
        case(&["fg"], Some(Up), 0, busy),
        case(&["foreground", "x"], Some(Testing), 0, busy),
        case(&["fg"], Some(Stopping), 0, busy),
        case(&["logtail"], Some(Up), 0, "No default log file specified; use logtail <logfile>\n"),
        case(&["logtail", "no"], None, 0, "[Errno 2] No such file or directory: 'no'\n"),
        case(&["logtail", "/"], None, 0, "[Errno 21] Is a directory: '/'\n"),
        case(&["nonsense", "x"], Some(Up), 0, "*** Unknown syntax: nonsense x\n"),
        case(&["!ls"], None, 0, "*** Unknown syntax: !ls\n"),
        case(&["EOF"], None, 0, "*** Unknown syntax: EOF\n"),
        case(&["quit"], Some(Backoff), 0, "*** Unknown syntax: quit\n"),
        case(&["?x"], None, 0, "*** No help on x\n"),
        case(
            &["help", "restart"],
            Some(Up),
            0,
            "restart -- Stop and then start the daemon process.\n",
        ),
    ]
}

const fn waited() -> &'static str {
    "\ndaemon process stopped\ndaemon manager running; daemon process not running\n"
}

fn concat_up() -> &'static str {
    Box::leak(format!("{UP}{RAW}").into_boxed_str())
}

fn concat_stopped() -> &'static str {
    Box::leak(format!("{IDLE}{RAW_STOPPED}").into_boxed_str())
}

/// Words behind `-p x`, and what is said about them on standard error, in the first of two lines.
pub const MISTAKES: [(&[&str], &str); 30] = [
    (&["-Q"], "option -Q not recognized"),
    (&["-dQ"], "option -Q not recognized"),
    (&["--bogus"], "option --bogus not recognized"),
    (&["--s", "x"], "option --s not a unique prefix"),
    (&["-b"], "option -b requires argument"),
    (&["--umask"], "option --umask requires argument"),
    (&["--forever=1"], "option --forever must not have an argument"),
    (&["-b", "x"], "invalid value for -b 'x': invalid literal for int() with base 10: 'x'"),
    (&["-T", "1.5"], "invalid value for -T '1.5': invalid literal for int() with base 10: '1.5'"),
    (&["-x", "1,a"], "invalid value for -x '1,a': invalid literal for int() with base 10: 'a'"),
    (&["-x", "1,"], "invalid value for -x '1,': invalid literal for int() with base 10: ''"),
    (
        &["--exit=q"],
        "invalid value for --exit-codes 'q': invalid literal for int() with base 10: 'q'",
    ),
    (&["-m", "8"], "invalid value for -m '8': invalid literal for int() with base 8: '8'"),
    (
        &["-s", "/no/such/s"],
        "invalid value for -s '/no/such/s': The directory named as part of the path /no/such/s does not exist.",
    ),
    (&["-z", "/no/x"], "invalid value for -z '/no/x': /no/x is not an existing directory"),
    (&["-z", "no"], "invalid value for -z 'no': no is not an existing directory"),
    (&["-b1", "-b2"], "conflicting command line option '-b'"),
    (&["-b1", "--backoff=2"], "conflicting command line option '--backoff-limit'"),
    (&["-C", "a", "-C", "b"], "conflicting command line option '-C'"),
    (&["-p", "y"], "conflicting command line option '-p'"),
    (
        &["-X", "a/b=c", "status"],
        "configuration overrides (-X) cannot be used without a configuration file",
    ),
    (&[], "an action argument is required"),
    (&["--"], "an action argument is required"),
    (&["-u", "nosuch", "status"], "username 'nosuch' not found"),
    (&["-u", "54321", "status"], "uid '54321' not found"),
    (&["-u", "-5", "status"], "uid '-5' not found"),
    (
        &["-C", "nofile", "status"],
        "error opening file DIR/nofile: [Errno 2] No such file or directory: 'DIR/nofile'",
    ),
    (
        &["-C", "file:///nofile", "status"],
        "error opening file /nofile: [Errno 2] No such file or directory: '/nofile'",
    ),
    (&["-C", "/etc", "status"], "error opening file /etc: [Errno 21] Is a directory: '/etc'"),
    (&["-b", "x", "-h"], "invalid value for -b 'x': invalid literal for int() with base 10: 'x'"),
];
