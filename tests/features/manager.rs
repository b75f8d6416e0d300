//! The manager itself: rows 30, 42, 55 and 63 to 65.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use nix::sys::signal::{Signal, kill};

use super::lar::{LAR, Lar, Scratch, answer};

/// Row 30.
#[test]
fn what_does_not_start_with_the_manager_starts_when_it_is_asked_for() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = Scratch::new();
    dir.script("serve.py", SERVE);
    let config = format!(
        "<service manual>\nprogram sleep 1000\nstart manual\n</service>\n\
         <service boot>\nprogram sleep 1000\n</service>\n\
         <socket web>\nlisten tcp 127.0.0.1:{port}\n</socket>\n\
         <service web>\nprogram {{dir}}/serve.py\nsockets web\nstart on-demand\n</service>\n"
    );
    let lar = Lar::run_in(dir, "", &config, |_| {});
    lar.wait("boot=running");
    lar.ask("status manual").expect(3);
    let down = lar.ask("status web").out;
    assert!(down.contains("stopped"), "{down}");
    lar.ask("start manual").expect(0);
    assert!(said(connect(port)).starts_with("pid "));
    lar.wait("web=running");
}

/// A server on fd 3 that says who it is.
const SERVE: &str = "#!/usr/bin/env python3
import os, socket
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.sendall(f'pid {os.getpid()} {os.environ[\"LISTEN_FDS\"]}\\n'.encode())
    connection.close()
";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(super::lar::DEADLINE)).unwrap();
    stream
}

fn said(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// Row 42.
#[test]
fn a_socket_is_opened_once_and_passed_on() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = Scratch::new();
    dir.script("serve.py", SERVE);
    let config = format!(
        "<socket web>\nlisten tcp 127.0.0.1:{port}\n</socket>\n\
         <service web>\nprogram {{dir}}/serve.py\nsockets web\nstreams ctrl\nbackoff none\n</service>\n"
    );
    let lar = Lar::run_in(dir, "", &config, |_| {});
    lar.wait("web=running");
    for _ in 0..5 {
        assert_eq!(said(connect(port)), format!("pid {} 1\n", lar.pid_of("web")));
        // Nobody is refused while it is down: who connects then is answered by the next process.
        lar.ask("stop web").expect(0);
        let early = connect(port);
        lar.ask("start web").expect(0);
        assert_eq!(said(early), format!("pid {} 1\n", lar.pid_of("web")));
    }
    // Streams come after the sockets.
    let environ = std::fs::read(format!("/proc/{}/environ", lar.pid_of("web"))).unwrap();
    assert!(String::from_utf8_lossy(&environ).contains("LAR_STREAM_CTRL=4\0"));
}

/// Row 55.
#[test]
fn a_procfile_is_run_with_its_variables_and_as_many_of_each_as_asked_for() {
    let dir = Scratch::new();
    dir.write(
        "Procfile",
        "web: echo \"web $PORT $COLOUR\"; exec sleep 1000\nwork: sleep 1000\nnot a line of it\n",
    );
    dir.write(".env", "COLOUR=\"dark red\"\n");
    dir.write("more.env", "COLOUR=green\n");
    let mut command = Command::new(LAR);
    command
        .args(["run", "-s", "s", "-f", "Procfile", "-c", "web=2", "-e", "more.env"])
        .current_dir(&dir.path);
    let mut lar = Lar::spawn(dir, command);
    let mut lines = [lar.out.until("] web"), lar.out.until("] web")];
    lines.sort();
    assert_eq!(lines, ["[web@1] web 5000 green", "[web@2] web 5001 green"]);
    lar.wait("web=running work=running");
    assert_eq!(lar.ask("list").expect(0).out, "web\nwork\n");
    assert_eq!(lar.shut_down(), 0);
}

/// Row 63.
#[test]
fn one_command_is_run_with_its_options() {
    // It ends as the program does, and passes signals on.
    assert_eq!(answer(Command::new(LAR).args(["--", "sh", "-c", "exit 3"])).code, 3);
    let mut command = Command::new(LAR);
    command.args([
        "--verbose",
        "--restart",
        "always",
        "--backoff",
        "double 20ms max 1s",
        "--healthy-after",
        "1h",
    ]);
    command.args(["--", "sh", "-c", "echo life; exit 1"]);
    let mut lar = Lar::spawn(Scratch::new(), command);
    for _ in 0..3 {
        lar.out.until("life");
    }
    lar.signal(Signal::SIGTERM);
    lar.end();
    let mut command = Command::new(LAR);
    command.args([
        "--",
        "sh",
        "-c",
        "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    let mut lar = Lar::spawn(Scratch::new(), command);
    lar.out.until("ready");
    lar.signal(Signal::SIGTERM);
    lar.out.until("got it");
    assert_eq!(lar.end(), 5);
}

/// Row 64.
#[test]
fn what_is_to_be_left_runs_on_when_the_manager_ends() {
    let mut lar = Lar::start(
        "<service left>\nprogram sleep 1000\non-shutdown leave\ntranscript none\nring 0\n</service>\n\
         <service other>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("left=running other=running");
    let (left, other) = (lar.pid_of("left"), lar.pid_of("other"));
    lar.signal(Signal::SIGTERM);
    assert_eq!(lar.end(), 0);
    assert!(kill(left, None).is_ok(), "it runs on");
    assert!(kill(other, None).is_err());
    kill(left, Signal::SIGKILL).unwrap();
}

/// Row 65.
#[test]
fn it_is_a_daemon_with_a_pid_file_and_says_as_much_as_asked_for() {
    let dir = Scratch::new();
    let file = dir.write(
        "lar.conf",
        "<lar>\nsocket-name {dir}/s\npid-file {dir}/pid\n</lar>\n<service web>\nprogram sleep 1000\n</service>\n\
         <eventlog>\nlevel debug\n<logfile>\npath {dir}/log\n</logfile>\n</eventlog>\n",
    );
    dir.write("pid", "999999\n");
    let mut command = Command::new(LAR);
    command.arg("-C").arg(&file).arg("--daemon").env("LAR_BLACK_BOX", &dir.path);
    answer(&mut command).expect(0);
    let pid: i32 = dir.read("pid").trim().parse().expect("an old pid file is replaced");
    let ctl = |words: &[&str]| {
        answer(Command::new(LAR).arg("ctl").arg("-s").arg(dir.at("s")).args(words))
    };
    ctl(&["wait", "web=running"]).expect(0);
    assert_eq!(ctl(&["pid"]).expect(0).out.trim(), pid.to_string());
    assert!(dir.read("log").contains("web: starting -> running"));
    ctl(&["loglevel", "error"]).expect(0);
    let length = dir.read("log").len();
    ctl(&["restart", "web"]).expect(0);
    let log = dir.read("log");
    assert!(!log[length..].contains("web: "), "{log}");
    ctl(&["shutdown"]).expect(0);
    ctl(&["ping"]).expect(7);
    assert!(!dir.at("pid").exists());
}
