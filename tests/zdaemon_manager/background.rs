//! The manager as a daemon, and what its program finds.

use std::os::unix::fs::PermissionsExt;

use super::*;
use zdrun::field;

/// Starts a manager in the background and waits for the half in the foreground. In `directory` of the test's.
#[track_caller]
pub fn start(dir: Scratch, directory: &str, arguments: &[&str]) -> Lar {
    let place = dir.at(directory);
    let mut lar = Lar::spawn(dir, zdrun(&place, arguments));
    assert_eq!(lar.end(), 0, "{:?}", lar.err.rest());
    lar
}

/// What the program can tell of itself.
const TELL: &str = r#"#!/bin/sh
pwd
umask
readlink /proc/$$/fd/0
ls /proc/self/fd | tr '\n' ' '; echo
sed -n 's/^Sig\(Blk\|Ign\|Cgt\):\t//p' /proc/$$/status | tr '\n' ' '; echo
cut -d' ' -f6 /proc/$$/stat | sed "s/^$$\$/own session/"
env | sed -n 's/^\(LAR_[A-Z_]*\|DAEMON_MANAGER_MODE\)=.*/\1/p' | sort | tr '\n' ' '; echo
echo oops >&2
exec sleep 100
"#;

#[test]
fn the_program_finds_what_it_should_and_no_more() {
    let dir = Scratch::new();
    std::fs::create_dir(dir.at("work")).unwrap();
    dir.script("tell", TELL);
    let (tell, work) = (dir.at("tell"), dir.at("work"));
    let (tell, work) = (tell.to_str().unwrap(), work.to_str().unwrap().to_owned());
    nix::unistd::mkfifo(&dir.at("work/log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo = std::fs::OpenOptions::new().read(true).write(true).open(dir.at("work/log")).unwrap();
    let mut lines = lar::Lines::of(fifo);
    // The transcript is meant relative to the directory; the socket is not.
    let lar = start(dir, ".", &["-s", "s", "-z", &work, "-m", "027", "-t", "log", tell]);
    lines.until("oops");
    // What is in the test's own environment is not of lar's making, and neither is its mark.
    let mut variables: Vec<String> =
        std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("LAR_")).collect();
    variables.push("LAR_BLACK_BOX".into());
    variables.sort_unstable();
    let variables = variables.join(" ") + " ";
    let (fds, signals) = ("0 1 2 3 ", "0000000000000000 0000000000000000 ");
    assert_eq!(lines.seen[..4], [&work, "0027", "/dev/null", fds], "{:?}", lines.seen);
    assert!(lines.seen[4].starts_with(signals), "{:?}", lines.seen);
    assert_eq!(lines.seen[5..], ["own session", &variables, "oops"], "{:?}", lines.seen);
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
}

#[test]
fn the_socket_is_there_when_the_foreground_is_done() {
    let lar = start(Scratch::new(), ".", &["-s", "s", "sleep", "100"]);
    let mode = std::fs::metadata(lar.dir.at("s")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let beside: Vec<_> =
        std::fs::read_dir(&lar.dir.path).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(beside, ["s"], "nothing beside it");
    assert_eq!(field(&lar, "should_be_up"), "1");
    let mut events = lar.events("main");
    assert_eq!(lar.raw(b"stop\n"), "Sent SIGTERM\n");
    events.lines.rest();
    let gone = lar.dir.at("s");
    assert!(!gone.exists(), "the connection ends when all else is done");
}

#[test]
fn a_directory_that_is_not_there_is_a_warning_in_the_transcript() {
    let dir = Scratch::new();
    let log = dir.at("log");
    let lar =
        start(dir, ".", &["-s", "s", "-t", log.to_str().unwrap(), "-z", "/tmp", "sleep", "100"]);
    lar.wait("main=running");
    assert_eq!(lar.dir.read("log"), "", "information is not shown");
    lar.raw(b"stop\n");
    let dir = Scratch::new();
    std::fs::create_dir(dir.at("gone")).unwrap();
    let gone = dir.at("gone");
    let tell = dir.script("tell", "#!/bin/sh\nrmdir {dir}/gone\nexec \"$@\"\n");
    // It is there when the options are read, and gone when it is to be entered.
    let mut command = Command::new(&tell);
    command.args([LAR, "zdaemon", "-s", "s", "-t", log_of(&dir).as_str(), "-z"]).arg(&gone);
    command.args(["sleep", "100"]).env("DAEMON_MANAGER_MODE", "1").current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    lar.end();
    let said = lar.err.rest();
    if said.is_empty() {
        let known = format!(
            "can't chdir into '{0}': [Errno 2] No such file or directory: '{0}'\n",
            gone.display()
        );
        assert_eq!(lar.dir.read("log"), known);
    } else {
        // Where zdaemon's options refuse it before.
        assert!(said[0].contains("is not an existing directory"), "{said:?}");
    }
}

fn log_of(dir: &Scratch) -> String {
    dir.at("log").to_str().unwrap().to_owned()
}

#[test]
fn without_a_log_only_trouble_is_told_and_the_transcript_has_it() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\necho out\nexit 3\n");
    let (go, log) = (dir.at("go"), log_of(&dir));
    let lar = start(dir, ".", &["-s", "s", "-b", "1", "-t", &log, go.to_str().unwrap()]);
    zdrun::gone(&lar.dir);
    let text = lar.dir.read("log");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["out", "restarting too frequently; quit"]);
}

#[test]
fn its_log_is_opened_before_it_goes_into_the_background() {
    let dir = Scratch::new();
    std::fs::create_dir(dir.at("work")).unwrap();
    dir.write(
        "zdaemon.conf",
        "<runner>\n program sleep 100\n socket-name {dir}/s\n directory {dir}/work\n</runner>\n\
         <eventlog>\n level debug\n <logfile>\n  path events\n  format %(levelname)s %(message)s\n \
         </logfile>\n</eventlog>\n",
    );
    let lar = start(dir, ".", &["-C", "zdaemon.conf", "sleep", "100"]);
    lar.wait("main=running");
    let (work, text) = (lar.dir.at("work"), lar.dir.read("events"));
    let known = [
        "DEBUG daemon manager forked; parent exiting".to_owned(),
        "INFO daemonizing the process".into(),
        format!("INFO set current directory: '{}'", work.display()),
        "INFO daemon manager started".into(),
    ];
    in_this_order(&text.lines().map(str::to_owned).collect::<Vec<_>>(), &known);
}

#[test]
fn a_transcript_is_opened_anew() {
    let dir = Scratch::new();
    dir.script("go", "#!/bin/sh\nexec <>{dir}/gate\nwhile read -r x; do echo \"$x\"; done\n");
    nix::unistd::mkfifo(&dir.at("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (go, log) = (dir.at("go"), log_of(&dir));
    let lar = start(dir, ".", &["-s", "s", "-t", &log, go.to_str().unwrap()]);
    let mut shown = lar.watch("logs -f main");
    std::fs::write(lar.dir.at("gate"), "one\n").unwrap();
    shown.until("one");
    std::fs::rename(lar.dir.at("log"), lar.dir.at("old")).unwrap();
    assert_eq!(lar.raw(b"reopen_transcript\n"), "");
    std::fs::write(lar.dir.at("gate"), "two\n").unwrap();
    shown.until("two");
    assert_eq!((lar.dir.read("old"), lar.dir.read("log")), ("one\n".into(), "two\n".into()));
}
