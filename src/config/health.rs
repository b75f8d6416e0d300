//! The keys that say when a service is up: readiness, health, a daemon's PID file, and the commands around its program.

use super::phrases;
use super::program;
use super::section::{Cursor, Values};
use super::value::{self, Wrong};
use crate::plan::{Health, Kind, Probe, Process, Service, Target, Task};
use crate::time::Duration;

/// From spawn to ready, where there is something to wait for and `start-timeout` is not said.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// The commands of a service, by their keys.
pub(super) const TASKS: [(&str, Task); 4] = [
    ("pre-start", Task::PreStart),
    ("stop-command", Task::Stop),
    ("restart-command", Task::Restart),
    ("post-stop", Task::PostStop),
];

type Read<T> = Result<T, Wrong>;

/// What `ready` says.
struct Ready {
    probe: Option<Probe>,
    timeout: Option<Duration>,
}

/// What may differ between instances.
pub(super) fn read(v: &mut Values, service: &mut Service, process: &mut Process) {
    if let Some(ready) = v.read("ready", ready) {
        service.probe_timeout = ready.timeout.unwrap_or(service.probe_timeout);
        process.ready = ready.probe;
        process.ready = process.ready.take().map(|probe| located(probe, process));
        command(v, "ready", process.ready.as_ref(), process, service);
    }
    if let Some((health, probe)) = v.read("health", health) {
        service.health = probe.as_ref().map(|_| health);
        process.health = probe.map(|probe| located(probe, process));
        command(v, "health", process.health.as_ref(), process, service);
    }
    let within = |path: String| program::within(process.directory.as_deref(), &path);
    process.pid_file = v.text("pid-file").map(within);
    process.log_file = v.text("log-file").map(within);
    for (key, task) in TASKS {
        if let Some(words) = v.read(key, words) {
            task_of(v, key, (task, words), process, service);
        }
    }
    match v.read("reload", reload) {
        Some(Reload::Signal(signal)) => service.reload = Some(signal),
        Some(Reload::Command(words)) => {
            task_of(v, "reload", (Task::Reload, words), process, service);
        }
        None => {}
    }
}

/// What `reload` does.
enum Reload {
    Signal(crate::signal::Signal),
    Command(Vec<String>),
}

fn reload(cursor: &mut Cursor) -> Read<Reload> {
    match cursor.skip("command") {
        true => words(cursor).map(Reload::Command),
        false => cursor.read("the signal", value::signal).map(Reload::Signal),
    }
}

fn task_of(
    v: &mut Values,
    key: &str,
    task: (Task, Vec<String>),
    process: &mut Process,
    service: &Service,
) {
    if let Some(word) = task.1.first() {
        program::check(v, key, word, process, &service.setup.inherit);
    }
    process.tasks.push(task);
}

fn command(v: &mut Values, key: &str, probe: Option<&Probe>, process: &Process, service: &Service) {
    if let Some(Probe::Command(words)) = probe
        && let Some(word) = words.first()
    {
        program::check(v, key, word, process, &service.setup.inherit);
    }
}

/// A command's own words, to the end of the line.
fn words(cursor: &mut Cursor) -> Read<Vec<String>> {
    let words: Vec<String> = cursor.rest().into_iter().map(|token| token.text).collect();
    match words.first().is_none_or(String::is_empty) {
        true => Err(Wrong::new("the command is missing")),
        false => Ok(words),
    }
}

/// `none`, or `[timeout TIME]` and a kind.
fn ready(cursor: &mut Cursor) -> Read<Ready> {
    let timeout = match cursor.skip("timeout") {
        true => Some(cursor.read("the time", value::time)?),
        false => None,
    };
    Ok(Ready { probe: probe(cursor)?, timeout })
}

/// `none`, or `[every TIME] [timeout TIME] [failures N]` in any order, and a kind.
fn health(cursor: &mut Cursor) -> Read<(Health, Option<Probe>)> {
    let (mut health, mut failures) = (Health::default(), None);
    loop {
        if cursor.skip("every") {
            health.every = cursor.read("the time", positive)?;
        } else if cursor.skip("timeout") {
            health.timeout = cursor.read("the time", positive)?;
        } else if cursor.skip("failures") {
            failures = Some(cursor.read("the number", |word| value::number(word, 1, u32::MAX))?);
        } else {
            break;
        }
    }
    let probe = probe(cursor)?;
    match &probe {
        Some(Probe::Log(_)) => Err(Wrong::new("what is in a log stays there: that is no health")),
        Some(Probe::Fd(_)) => Err(Wrong::new("an fd says once that it is ready, and nothing more")),
        // A beat that does not come is a sign as good as any.
        Some(Probe::Notify) => Ok(Health { failures: failures.unwrap_or(1), ..health }),
        _ => Ok(Health { failures: failures.unwrap_or(health.failures), ..health }),
    }
    .map(|health| (health, probe))
}

/// A time that is not zero.
fn positive(word: &str) -> Read<Duration> {
    match value::time(word)? {
        Duration::ZERO => Err(Wrong::new("this would ask without a pause")),
        time => Ok(time),
    }
}

/// What is asked, or listened for.
fn probe(cursor: &mut Cursor) -> Read<Option<Probe>> {
    let kinds = [
        ("tcp", 0),
        ("unix", 1),
        ("http", 2),
        ("file", 3),
        ("log", 4),
        ("command", 5),
        ("notify", 6),
        ("fd", 7),
        ("none", 8),
    ];
    Ok(Some(match cursor.read("what to ask", |word| value::choice(word, &kinds))? {
        0 => Probe::Tcp(cursor.read("HOST:PORT", phrases::address)?),
        1 => Probe::Unix(cursor.read("the socket's path", value::text)?),
        2 => Probe::Http(cursor.read("the URL", url)?),
        3 => Probe::File(cursor.read("the path", value::text)?),
        4 => Probe::Log(log(cursor)?),
        5 => Probe::Command(words(cursor)?),
        6 => Probe::Notify,
        7 => Probe::Fd(cursor.read("the number", |word| value::number(word, 3, 1 << 20))?),
        _ => return Ok(None),
    }))
}

/// The text to the end of the line, its words parted by one blank each.
fn log(cursor: &mut Cursor) -> Read<String> {
    let words: Vec<String> = cursor.rest().into_iter().map(|token| token.text).collect();
    match words.iter().all(String::is_empty) {
        true => Err(Wrong::new("the text is missing")),
        false => Ok(words.join(" ")),
    }
}

/// `http://127.0.0.1:8080/health`.
fn url(word: &str) -> Read<String> {
    if word.starts_with("https:") {
        return Err(Wrong::new("lar speaks no TLS").hint("as in: ready command curl -fsS URL"));
    }
    if word.contains('\0') {
        return Ok(word.to_string()); // a template: looked at once its number is put in
    }
    match crate::plan::http_parts(word) {
        Some(_) => Ok(word.to_string()),
        None => Err(Wrong::new(format!("`{word}` is not http://HOST[:PORT][/PATH]"))
            .hint("lar has no resolver (one would block it): 127.0.0.1, [::1] and localhost work")),
    }
}

/// What is the same for all instances, and what does not go together.
pub(super) fn check(v: &mut Values, service: &mut Service) {
    let any = |of: &dyn Fn(&Process) -> bool| service.processes.iter().any(of);
    let asked = any(&|process| process.ready.is_some());
    let (oneshot, forking) = (service.kind == Kind::Oneshot, service.kind == Kind::Forking);
    if asked && oneshot {
        v.wrong("ready", "a one-shot is ready when it has exited with 0, and not otherwise");
    }
    if oneshot && service.health.is_some() {
        v.wrong("health", "a one-shot has no health: it does its work and exits");
    }
    let looks = |process: &Process| matches!(process.ready, Some(Probe::Log(_)));
    if any(&|process| looks(process) && is_unseen(process)) {
        unseen(v, "ready");
    }
    let told = any(&|process| matches!(process.ready, Some(Probe::Notify)));
    let pid_file = any(&|process| process.pid_file.is_some());
    if forking && !told && !pid_file {
        v.wrong("type", "nothing says which process the daemon is that it leaves behind");
        v.report.hint("`pid-file PATH`, which it writes; or `ready notify`, if it sends MAINPID=");
    } else if pid_file && !forking {
        warn(
            v,
            "pid-file",
            "only `lar daemon` has a use for it: a manager knows the pid of its child",
        );
    }
    let prepared = any(&|process| process.task(Task::PreStart).is_some());
    v.set(&mut service.ready_interval, "ready-interval", positive);
    if asked || forking || prepared {
        service.start_timeout.get_or_insert(START_TIMEOUT);
    }
    v.set(&mut service.start_timeout, "start-timeout", phrases::optional_duration);
    v.set(&mut service.start_abort_timeout, "start-abort-timeout", value::time);
    v.set(&mut service.stop_timeout, "stop-timeout", value::time);
    v.set(&mut service.log_activity_timeout, "log-activity-timeout", phrases::optional_duration);
    let silent = |process: &Process| process.log_file.is_none() && is_unseen(process);
    if service.log_activity_timeout.is_some() && service.processes.iter().any(silent) {
        unseen(v, "log-activity-timeout");
    }
    fds(v, service);
}

fn unseen(v: &mut Values, key: &str) {
    v.wrong(key, "lar sees none of its output");
    v.report.hint("`transcript stdout` writes to the same place, and lar sees it");
}

/// Whether what a process writes goes past lar.
fn is_unseen(process: &Process) -> bool {
    let inherited = |target: &Target| *target == Target::Inherit;
    inherited(&process.transcript) && process.stderr.as_ref().is_none_or(inherited)
}

/// With a path that is meant as the program would understand it.
fn located(probe: Probe, process: &Process) -> Probe {
    let within = |path: &str| program::within(process.directory.as_deref(), path);
    match probe {
        Probe::File(path) => Probe::File(within(&path)),
        Probe::Unix(path) if !path.starts_with('@') => Probe::Unix(within(&path)),
        other => other,
    }
}

/// Says something that is odd about the value of a key.
fn warn(v: &mut Values, key: &str, message: &str) {
    if let Some(entry) = v.entry(key) {
        v.report.warn(&entry.at(0), message);
    }
}

/// An fd that it says it is ready on must not be one that it has for something else.
fn fds(v: &mut Values, service: &Service) {
    let first = 3 + service.sockets.len() as i32;
    let taken = |number: i32| {
        number < first + service.input.streams.len() as i32
            || service.setup.pass_fds.contains(&number)
    };
    let clash = |process: &Process| matches!(process.ready, Some(Probe::Fd(it)) if taken(it));
    if service.processes.iter().any(clash) {
        v.wrong("ready", "this fd is one of its `sockets`, `streams` or `pass-fds`");
    }
}

/// For the printed configuration: the key of one of its commands.
pub(super) fn key_of(task: Task) -> &'static str {
    TASKS.iter().find(|(_, known)| *known == task).map_or("reload", |(key, _)| key)
}
