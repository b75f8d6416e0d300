//! `lar ctl ensure`: whoever asks, and however many at once, there is one start, and who is answered can connect.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/misbehaving.rs"]
mod misbehaving;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Barrier;

use lar::{DEADLINE, Lar, code, ended, skip};
use misbehaving::misbehaving;
use nix::sys::signal::{Signal, kill};

/// How many clients speak the wire, and how many are programs.
const CLIENTS: (usize, usize) = (200, 8);

/// A daemon that leaves its launcher at once, and listens 300 ms later.
fn daemon() -> Option<String> {
    let Some(program) = misbehaving() else {
        skip("no C compiler");
        return None;
    };
    Some(format!(
        "<service web>\n type forking\n start manual\n pid-file {{dir}}/pid\n ready unix {{dir}}/web\n \
         program {} --starts {{dir}}/starts --pid-file {{dir}}/pid --listen {{dir}}/web \
         --listen-delay 300\n</service>\n",
        program.display()
    ))
}

/// The reply to one request.
fn reply(stream: UnixStream) -> String {
    let mut reply = String::new();
    for line in BufReader::new(stream).lines().map(Result::unwrap) {
        reply += &format!("{line}\n");
        if line == "ok" || line.starts_with("error ") {
            return reply;
        }
    }
    panic!("no last line: {reply}");
}

/// The last line of the reply to this one.
fn verdict(mut stream: UnixStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    reply(stream).lines().last().unwrap_or_default().to_owned()
}

/// Everybody asks at once; each that is told "ok" connects at once.
#[track_caller]
fn all_ensure(lar: &Lar) {
    let listener = lar.dir.at("web");
    let together = Barrier::new(CLIENTS.0);
    let mut programs: Vec<_> = (0..CLIENTS.1)
        .map(|_| lar.client(&["ensure", "web"]).stdout(Stdio::null()).spawn().unwrap())
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS.0 {
            let stream = lar.connect();
            scope.spawn(|| {
                together.wait();
                assert_eq!(verdict(stream, "lar1 ensure web\n"), "ok");
                UnixStream::connect(&listener).expect("it can be connected to");
            });
        }
    });
    for program in &mut programs {
        let end = ended(program, DEADLINE).expect("it ends");
        assert_eq!(code(end), 0);
        UnixStream::connect(&listener).expect("it can be connected to");
    }
}

#[test]
fn two_hundred_clients_share_one_start_and_each_can_connect() {
    let Some(config) = daemon() else { return };
    let mut lar = Lar::start(&config);
    lar.ask("status web").expect(3);
    all_ensure(&lar);
    assert_eq!(lar.dir.read("starts"), "start\n");
    // Now that it runs, they are answered without another one.
    all_ensure(&lar);
    assert_eq!(lar.dir.read("starts"), "start\n");
    // And once it has been stopped, there is a second one, and no third.
    lar.ask("stop web").expect(0);
    all_ensure(&lar);
    assert_eq!(lar.dir.read("starts"), "start\nstart\n");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_running_service_is_asked_again_and_an_answer_that_does_not_come_is_13() {
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n ready command test -e {dir}/open\n ready-interval 10ms\n \
         start manual\n</service>\n<service plain>\n program sleep 1000\n start manual\n</service>\n",
    );
    lar.dir.write("open", "");
    lar.ask("ensure web plain").expect(0);
    let pids = (lar.pid_of("web"), lar.pid_of("plain"));
    std::fs::remove_file(lar.dir.at("open")).unwrap();
    let answer = lar.ask("ensure web").expect(13);
    assert_eq!(answer.err, "lar ctl: web is running, but `ready` has no good answer now\n");
    let wire = verdict(lar.connect(), "lar1 ensure web\n");
    assert!(wire.starts_with("error code=cannot-connect "), "{wire}");
    lar.ask("ensure plain").expect(0);
    lar.dir.write("open", "");
    lar.ask("ensure web plain").expect(0);
    assert_eq!((lar.pid_of("web"), lar.pid_of("plain")), pids, "nothing was started for that");
    lar.ask("ensure nobody").expect(5);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_has_died_and_is_not_restarted_is_started_by_whoever_needs_it() {
    let Some(config) = daemon() else { return };
    let mut lar = Lar::with(
        "exit-policy never",
        &config.replace("start manual", "preset daemon-controller\n start manual"),
    );
    lar.ask("ensure web").expect(0);
    kill(lar.pid_of("web"), Signal::SIGKILL).unwrap();
    lar.wait("web=exited");
    lar.ask("ensure web").expect(0);
    assert_eq!(lar.dir.read("starts"), "start\nstart\n");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_start_that_fails_is_told_to_everybody_who_asked_for_it() {
    let mut lar = Lar::with(
        "exit-policy never",
        "<service web>\n shell yes\n program echo no port for you >&2; read line <{dir}/go; exit 3\n \
         start manual\n restart never\n ready command test -e {dir}/never\n</service>\n",
    );
    let go = lar.dir.at("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| lar.connect()).collect();
    for client in &mut clients {
        client.write_all(b"lar1 ensure web\n").unwrap();
    }
    // Whoever asks after them is answered after their orders are given.
    lar.ask("ping").expect(0);
    std::fs::write(go, "go\n").unwrap();
    for client in clients {
        let reply = reply(client);
        assert!(reply.contains("text=\"no port for you\"\n"), "{reply}");
        let last = "\nerror code=start-failed message=\"web: exited: exit status 3 after ";
        assert!(reply.contains(last), "{reply}");
    }
    assert_eq!(lar.err.now().iter().filter(|line| line.contains("spawned")).count(), 1);
    assert_eq!(lar.shut_down(), 0);
}
