//! The real zdaemon client before lar's manager, and whole lives of real programs as those who run Zope lead them.

#[path = "support/desk.rs"]
mod desk;
#[path = "support/lar.rs"]
mod lar;
#[path = "support/zdaemon.rs"]
mod zdaemon;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use desk::asked;
use lar::{DEADLINE, Lines, Scratch, program, skip};

/// The real client; `None` where it can't be had.
fn real() -> Option<PathBuf> {
    match zdaemon::installed() {
        Ok(place) => Some(zdaemon::real(&place)),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// What a client answers: the real one, or lar's.
#[track_caller]
fn expect(dir: &Scratch, real: Option<&PathBuf>, line: &str, code: i32, out: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let command = match real {
        Some(real) => desk::client(dir, real, &words),
        None => desk::lar(dir, &words),
    };
    let answer = asked(dir, command);
    let expected = (code, out.to_owned(), String::new());
    assert_eq!((answer.code, answer.out, answer.err), expected, "{line}");
}

const STARTED: &str = "\ndaemon process started, pid=PID\n";
const RUNNING: &str = "program running; pid=PID\n";
const STOPPED: &str = "\ndaemon process stopped\n";
const LOST: &str = "daemon manager not running\n";

/// Every change of the program from now on, and the latest one before, which has been read.
fn events(dir: &Scratch) -> Lines {
    let mut stream = UnixStream::connect(dir.at("zdsock")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"lar1 events -n 1\n").unwrap();
    let mut lines = Lines::of(stream);
    lines.until("main");
    lines
}

#[test]
fn the_real_client_is_answered_by_lars_manager() {
    let Some(real) = real() else { return };
    let dir = Scratch::new();
    let theirs = |line: &str, code, out: &str| expect(&dir, Some(&real), line, code, out);
    dir.script("p", "#!/bin/sh\ntrap '' USR2\necho up $1\nexec sleep 1000\n");
    theirs("-p ./p status", 3, LOST);
    expect(&dir, None, "-p ./p -t log start 1", 0, STARTED);
    theirs("-p ./p status", 0, RUNNING);
    let words = ["-p", "./p", "status", "-l"];
    let long = asked(&dir, desk::client(&dir, &real, &words));
    let keys: Vec<&str> =
        long.out.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key).collect();
    let expected = "program running; pid status now should_be_up delay backoff lasttime application testing \
                    manager backofflimit filename args";
    assert_eq!((long.code, keys.join(" ").as_str()), (0, expected), "{}", long.out);
    assert!(
        long.out.ends_with("\nbackofflimit=10\nfilename='./p'\nargs=['./p', '1']\n\n"),
        "{}",
        long.out
    );
    theirs("-p ./p start", 0, "daemon process already running; pid=PID\n");
    theirs("-p ./p foreground", 0, "To run the program in the foreground, please stop it first.\n");
    theirs("-p ./p restart", 0, "\ndaemon process restarted, pid=PID\n");
    theirs("-p ./p kill winch", 0, "kill(PID, 28)\nsignal SIGWINCH sent to process PID\n");
    std::fs::rename(dir.at("log"), dir.at("log.1")).unwrap();
    theirs("-p ./p reopen_transcript", 0, "");
    let other = "WARNING! zdrun is managing a different program!\nour program   = ['other']\n\
                 daemon's args = ['./p', '1']\nprogram running; pid=PID\n";
    theirs("-p other status", 0, other);
    assert_eq!((dir.read("log.1"), dir.read("log")), ("up 1\nup 1\n".into(), String::new()));
    // With a program that has just gone, it waits for the rest of a second.
    let mut changes = events(&dir);
    theirs("-p ./p kill 9", 0, "kill(PID, 9)\nsignal SIGKILL sent to process PID\n");
    changes.until("backoff");
    changes.until("running");
    theirs("-p ./p stop", 0, STOPPED);
    theirs("-p ./p wait", 0, &format!("{STOPPED}{LOST}"));
    theirs("-p ./p stop", 0, LOST);
    assert!(!dir.at("zdsock").exists() && dir.processes().is_empty(), "{:?}", dir.processes());
}

#[test]
fn the_real_client_waits_for_a_program_that_keeps_dying() {
    let Some(real) = real() else { return };
    let dir = Scratch::new();
    let theirs = |line: &str, code, out: &str| expect(&dir, Some(&real), line, code, out);
    dir.script("p", "#!/bin/sh\ntest -e {dir}/good && exec sleep 1000\nexit 3\n");
    // In the foreground half the manager is there, whatever becomes of the program.
    let mut manager =
        desk::client(&dir, &dir.at("zdaemon"), &["-s", "zdsock", "-d", "-b", "60", "./p"]);
    std::os::unix::fs::symlink(lar::LAR, dir.at("zdaemon")).unwrap();
    manager.env("DAEMON_MANAGER_MODE", "1");
    assert!(manager.status().unwrap().success());
    let mut changes = events(&dir);
    changes.until("next_ms=4000");
    theirs("-p ./p status", 0, "daemon manager running; daemon process not running\n");
    theirs("-p ./p kill", 0, "daemon process not running\n");
    // From here on it stays, whether the client or the end of the wait starts it.
    dir.write("good", "");
    let answer = asked(&dir, desk::client(&dir, &real, &["-p", "./p", "start"]));
    let known = [STARTED, "daemon process already running; pid=PID\n"];
    assert!(answer.code == 0 && known.contains(&answer.out.as_str()), "{answer:?}");
    theirs("-p ./p stop", 0, STOPPED);
}

#[test]
fn the_real_client_starts_lars_manager_and_knows_nothing_of_it() {
    let Some(real) = real() else { return };
    let dir = Scratch::new();
    std::os::unix::fs::symlink(lar::LAR, dir.at("zdrun")).unwrap();
    let file = "<runner>\nprogram sleep 1000\npython /usr/bin/env\nzdrun {dir}/zdrun\n\
                backoff-limit 4\n</runner>\n";
    dir.write("z.conf", file);
    let theirs = |line: &str, code, out: &str| expect(&dir, Some(&real), line, code, out);
    theirs("-C z.conf start", 0, STARTED);
    assert!(dir.processes().iter().any(|(_, words)| words.contains("/zdrun ")));
    theirs("-C z.conf status", 0, RUNNING);
    theirs("-C z.conf -b 4 stop", 0, STOPPED);
    theirs("-C z.conf status", 3, LOST);
}

/// A whole life; `ask` is what the program itself has to answer at any time it runs.
#[track_caller]
fn live(dir: &Scratch, mut ask: impl FnMut(&Scratch, u32)) {
    let lars = |line: &str, code, out: &str| expect(dir, None, line, code, out);
    lars("-C z.conf status", 3, LOST);
    lars("-C z.conf start", 0, STARTED);
    ask(dir, 1);
    lars("-C z.conf status", 0, RUNNING);
    std::fs::rename(dir.at("log"), dir.at("log.1")).unwrap();
    lars("-C z.conf reopen_transcript", 0, "");
    // Answered by the same loop, after it.
    lars("-C z.conf status", 0, RUNNING);
    ask(dir, 2);
    let mut events = events(dir);
    let signal = "kill(PID, 9)\nsignal SIGKILL sent to process PID\n";
    lars("-C z.conf kill kill", 0, signal);
    events.until("backoff");
    events.until("running");
    ask(dir, 3);
    lars("-C z.conf status", 0, RUNNING);
    lars("-C z.conf stop", 0, STOPPED);
    lars("-C z.conf status", 3, LOST);
    assert!(dir.processes().is_empty(), "{:?}", dir.processes());
    assert!(!dir.at("zdsock").exists());
}

#[test]
fn redis_lives_its_life() {
    if program("redis-server").is_none() || program("redis-cli").is_none() {
        return skip("no redis");
    }
    let dir = Scratch::new();
    dir.write(
        "z.conf",
        "<runner>\n program redis-server --port 0 --unixsocket {dir}/redis --dir {dir} --save\n \
         start-test-program redis-cli -s {dir}/redis ping\n transcript {dir}/log\n</runner>\n",
    );
    live(&dir, |dir, _| {
        let mut stream = UnixStream::connect(dir.at("redis")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+PONG\r\n");
    });
    // The first life began in the old file; all else is in the new one.
    let (old, new) = (dir.read("log.1"), dir.read("log"));
    assert_eq!(old.matches("Server initialized").count(), 1, "{old}");
    assert_eq!(new.matches("Server initialized").count(), 1, "{new}");
    assert!(!old.contains("Received SIGTERM") && new.contains("Received SIGTERM"), "{old}{new}");
}

const NGINX: &str = "daemon off; pid {dir}/pid; error_log stderr notice; worker_processes 2;\nevents {}\nhttp {\n \
    log_format short '$request'; access_log /dev/stdout short;\n \
    client_body_temp_path {dir}/1; proxy_temp_path {dir}/2;\n fastcgi_temp_path {dir}/3; \
    uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5;\n server { listen 127.0.0.1:PORT; \
    location / { return 200 yes; } }\n}\n";

#[test]
fn nginx_lives_its_life() {
    if program("nginx").is_none() {
        return skip("no nginx");
    }
    let dir = Scratch::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    dir.write("nginx.conf", &NGINX.replace("PORT", &port.to_string()));
    dir.script(
        "answers",
        &format!("#!/bin/sh\nexec 2>/dev/null\n: </dev/tcp/127.0.0.1/{port}\n")
            .replace("/bin/sh", "/bin/bash"),
    );
    dir.write(
        "z.conf",
        "<runner>\n program nginx -p {dir} -e stderr -c {dir}/nginx.conf\n start-test-program {dir}/answers\n \
         transcript {dir}/log\n</runner>\n",
    );
    live(&dir, |_, number| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET /{number} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nyes"), "{answer}");
    });
    let (old, new) = (dir.read("log.1"), dir.read("log"));
    let requests = |text: &str| ["GET /1 ", "GET /2 ", "GET /3 "].map(|line| text.contains(line));
    assert_eq!(
        (requests(&old), requests(&new)),
        ([true, false, false], [false, true, true]),
        "{old}\n{new}"
    );
}
