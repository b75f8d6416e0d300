//! How `start` makes a manager: it runs lar anew, as zdaemon does with itself, and says why if nothing came of it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Pid, pipe2};

use super::client::{Client, complain, listen};
use super::errno::os_error;
use super::options::Options;
use super::wire::Cut;
use crate::exit::Code;
use crate::plan::Runner;
use crate::signal::Signal;
use crate::sys::ear::Heard;
use crate::sys::signals::{self, Received, Set};
use crate::sys::{boot, terminal, variables};

/// Tells a zdaemon that it is the manager.
pub(super) const MANAGER: &str = "DAEMON_MANAGER_MODE";

/// The number of the fd to which the manager says why its program did not start.
pub(super) const REPORT: &str = "LAR_START_REPORT";

/// The numbers of the signals that a client has blocked for the manager that it becomes.
const HELD: &str = "LAR_HELD_SIGNALS";

/// The manager closes the report when it ends; a fault of its must not keep the client.
const PATIENCE: Duration = Duration::from_secs(2);

/// A manager that is being started.
pub(super) struct Starter {
    child: Child,
    report: OwnedFd,
}

impl Starter {
    /// Starts it; it goes into the background by itself.
    pub(super) fn spawn(client: &Client, extra: &[String]) -> io::Result<Starter> {
        let (report, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&write, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let mut command = command(client, extra);
        command.env(REPORT, write.as_raw_fd().to_string());
        signals::hand_on(&mut command, Set::EMPTY);
        Ok(Starter { child: command.spawn()?, report })
    }

    /// Whether the process that was started has ended: then the manager is in the background, or there is none.
    pub(super) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Says on standard error what the manager has left to be said.
    pub(super) fn explain(self, name: &str) -> Result<(), Cut> {
        let mut ear = listen(&[Signal::INT])?;
        let until = Instant::now() + PATIENCE;
        let mut text = Vec::new();
        let mut pipe = std::fs::File::from(self.report);
        let mut chunk = [0; 4096];
        while let Ok(Heard::Ready) = ear.wait(Some(pipe.as_fd()), Some(until)) {
            match pipe.read(&mut chunk) {
                Ok(count @ 1..) => text.extend_from_slice(&chunk[..count]),
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        if let Some(reason) = lines.next() {
            complain(format_args!("{name}: the program does not run: {reason}"));
        }
        for line in lines {
            complain(format_args!("  {line}"));
        }
        Ok(())
    }
}

/// What a PID 1 may not miss before the manager is there: with the default action the kernel drops it. These stay
/// blocked for the client's whole life, and what has come is there for the manager, which is executed in its place.
pub(super) fn held() -> Set {
    match boot::is_pid1() {
        true => [Signal::TERM, Signal::HUP, Signal::INT].into_iter().fold(Set::EMPTY, Set::with),
        false => Set::EMPTY,
    }
}

/// The manager's end of it: what the client has blocked is not blocked for the program.
pub(super) fn take_held() {
    let Some(text) = variables::take(HELD) else { return };
    let text = text.to_string_lossy().into_owned();
    let numbers = text.split(',').filter_map(|number| number.parse().ok());
    signals::were_held(numbers.filter_map(Signal::new).fold(Set::EMPTY, Set::with));
}

/// Runs a manager that does not go into the background, and waits for its end. As PID 1 the client becomes the
/// manager: then there is one process less, and nobody between the signals and who obeys them.
pub(super) fn stay(client: &Client, extra: &[String]) -> Result<(), Cut> {
    let mut command = command(client, extra);
    let result = match boot::is_pid1() {
        true => {
            let held = held();
            let own = held.minus(signals::saved().mask);
            let numbers: Vec<_> = own.iter().map(|signal| signal.number().to_string()).collect();
            command.env(HELD, numbers.join(","));
            signals::hand_on(&mut command, held);
            Err(command.exec())
        }
        false => attend(&mut command, true)?,
    };
    if let Err(error) = result {
        failed(&client.name, &error);
    }
    Ok(())
}

/// Says that lar itself can't be run.
pub(super) fn failed(name: &str, error: &io::Error) -> u8 {
    complain(format_args!("{name}: can't run the manager: {}", os_error(error, None)));
    Code::Failed as u8
}

/// Runs a command on the same terminal and waits for its end. Ctrl-C is the command's business; whether it was pressed
/// is returned. With `forward`, and always as PID 1, a request to end is passed on.
pub(super) fn attend(command: &mut Command, forward: bool) -> Result<io::Result<bool>, Cut> {
    let mut wanted = vec![Signal::INT, Signal::QUIT, Signal::CHLD];
    if forward || boot::is_pid1() {
        wanted.extend([Signal::TERM, Signal::HUP, Signal::USR1, Signal::USR2]);
    }
    // Before there is a child: what came in between would end the client, and leave the child to nobody.
    let mut ear = listen(&wanted)?;
    signals::hand_on(command, Set::EMPTY);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    // What has come until now may have come before the child: it is passed on even if the terminal sent it.
    let so_far = Instant::now();
    let (mut typed, mut early) = (false, true);
    let status = loop {
        match child.try_wait() {
            Ok(None) => {}
            end => break end.ok().flatten(),
        }
        let Ok(Heard::Signal(heard)) = ear.wait(None, early.then_some(so_far)) else {
            early = false;
            continue;
        };
        typed |= heard.signal == Signal::INT;
        if heard.signal != Signal::CHLD && (early || !is_known(&heard)) {
            let pid = Pid::from_raw(child.id().cast_signed());
            let signal = nix::sys::signal::Signal::try_from(heard.signal.number()).ok();
            // Not reaped yet, so the number is the child's; it may have ended, which is fine.
            let _ = nix::sys::signal::kill(pid, signal);
        }
    };
    // The key may have ended it before it was heard here.
    let died = status.and_then(|status| status.signal()) == Some(Signal::INT.number());
    Ok(Ok(typed || died))
}

/// Whether the child has got it, too: the terminal tells its whole foreground. Of a hang-up it tells the session's
/// leader only.
fn is_known(heard: &Received) -> bool {
    heard.by_kernel() && !(heard.signal == Signal::HUP && terminal::leads_session())
}

/// lar, as the manager of these options' program and `extra` words.
fn command(client: &Client, extra: &[String]) -> Command {
    let zeroth = std::env::args_os().next().unwrap_or_default();
    let mut command = Command::new(own_file(&zeroth));
    command.arg0(zeroth).env(MANAGER, "1").args(&client.word);
    command.args(manager_options(&client.options));
    if client.program().first().is_some_and(|word| word.starts_with('-')) {
        command.arg("--");
    }
    command.args(client.program()).args(extra);
    command
}

/// The file that lar is run from. By name, since the process is called by what it is executed by; even if the file
/// has been replaced since, the link still leads to it. Without /proc, as the shell found it.
fn own_file(zeroth: &OsString) -> OsString {
    let link = "/proc/self/exe";
    let same = |path: &std::path::PathBuf| {
        use std::os::unix::fs::MetadataExt;
        let id = |it: std::fs::Metadata| (it.dev(), it.ino());
        let ids = [path.as_path(), link.as_ref()].map(|path| std::fs::metadata(path).map(id).ok());
        ids[0].is_some() && ids[0] == ids[1]
    };
    match std::env::current_exe() {
        Ok(path) if same(&path) => path.into(),
        Ok(_) => link.into(),
        Err(_) => zeroth.clone(),
    }
}

/// A key of `<runner>` that an option says, too: the option, and its value where there is one.
type Key = (&'static str, fn(&Runner) -> Option<String>);

const KEYS: [Key; 7] = [
    ("-b", |it| Some(it.backoff_limit().to_string())),
    ("-s", |it| Some(it.socket_name().to_string())),
    ("-u", |it| it.user.clone()),
    ("-t", |it| Some(it.transcript().to_string())),
    ("-m", |it| Some(format!("{:#o}", it.umask()))),
    ("-x", |it| Some(it.exit_codes().iter().map(i32::to_string).collect::<Vec<_>>().join(","))),
    ("-z", |it| it.directory.clone()),
];

/// The options that the manager has to be given: what the command line says otherwise than the file, or, without
/// one, everything. zdaemon forgets `-X`, `-m 0` and a `-d` against the file's `daemon off`.
pub(super) fn manager_options(options: &Options) -> Vec<String> {
    let (file, all) = (options.file.as_ref(), &options.runner);
    let mut words = vec!["-S".to_string(), options.schema.clone()];
    let mut add = |option: &str, value: String| words.extend([option.to_string(), value]);
    if let Some(name) = &options.config {
        add("-C", name.clone());
    }
    for said in &options.overrides {
        add("-X", said.clone());
    }
    for (option, get) in KEYS {
        let value = get(all);
        if file.is_none_or(|file| get(file) != value)
            && let Some(value) = value
        {
            add(option, value);
        }
    }
    for (flag, option) in [(options.typed.forever, "-f"), (options.typed.daemon, "-d")] {
        words.extend(flag.map(|_| option.to_string()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::zdaemon::options::Role;

    fn options(line: &str) -> Options {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        Options::read(Role::Client, &words).unwrap()
    }

    #[test]
    fn without_a_file_the_manager_is_told_everything() {
        let words = manager_options(&options("-p sleep start")).join(" ");
        assert_eq!(words, "-S schema.xml -b 10 -s zdsock -t /dev/null -m 0o22 -x 0,2");
        let words =
            manager_options(&options("-p x -m 0 -fd --ex= -b1 -uwww -z/ -s/s -tt -Sx a")).join(" ");
        assert_eq!(words, "-S x -b 1 -s /s -u www -t t -m 0o0 -x  -z / -f -d");
    }

    #[test]
    fn with_a_file_it_is_told_what_differs() {
        let mut options = options("-p sleep -fd -m 0 -b 3 -t /dev/null start");
        options.config = Some("f.conf".into());
        options.overrides = vec!["runner/backoff-limit=7".into()];
        options.file =
            Some(Runner { umask: Some(0o22), backoff_limit: Some(3), ..Runner::default() });
        let words = manager_options(&options).join(" ");
        assert_eq!(words, "-S schema.xml -C f.conf -X runner/backoff-limit=7 -m 0o0 -f -d");
    }
}
