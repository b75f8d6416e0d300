//! Replacing real HTTP servers while they are used: a rolling restart of four of them, on a listener that lar owns, may
//! not cost one request; nor may one that is abandoned because the new version never becomes ready.

#[path = "support/lar.rs"]
mod lar;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use lar::{Lar, Scratch, program, skip};

/// How often all four are replaced.
const ROUNDS: usize = 20;

/// Serves what it is told on the listener that it is given, in a thread for each connection. On TERM it takes no more
/// of them, and ends when those it has are served: what waits in the listener's queue is for its siblings. With a
/// second word it never says that it is ready, and serves nobody.
const SERVER: &str = r#"
import os, select, signal, socket, sys, threading
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1"
assert os.environ["LISTEN_FDNAMES"] == "web"
listener = socket.socket(fileno=3)
listener.setblocking(False)
wake, woken = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: os.write(woken, b"."))
answer = (sys.argv[1] + "\n").encode()
head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer)

def serve(client):
    client.setblocking(True)
    request = b""
    while b"\r\n\r\n" not in request:
        more = client.recv(4096)
        if not more:
            return
        request += more
    client.sendall(head + answer)
    client.shutdown(socket.SHUT_WR)
    client.recv(1)
    client.close()

if len(sys.argv) > 2:
    os.read(wake, 1)
    sys.exit()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
threads = []
while wake not in select.select([listener, wake], [], [])[0]:
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        continue
    threads = [thread for thread in threads if thread.is_alive()]
    threads.append(threading.Thread(target=serve, args=(client,)))
    threads[-1].start()
for thread in threads:
    thread.join()
"#;

/// Asks without a pause until its standard input ends, then says how often, and how often in vain. Its first answer
/// it tells at once.
const LOAD: &str = r#"
import os, select, socket, sys
asked = failed = 0
answers = set()
while not select.select([0], [], [], 0)[0]:
    asked += 1
    try:
        client = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
        client.sendall(b"GET / HTTP/1.1\r\nHost: lar\r\n\r\n")
        reply = b""
        while more := client.recv(4096):
            reply += more
        client.close()
        assert reply.startswith(b"HTTP/1.1 200 OK\r\n"), reply
        answers.add(reply.split(b"\r\n\r\n")[1].decode().strip())
    except Exception as error:
        failed += 1
        print("failed:", repr(error), flush=True)
    if asked == 1:
        print("asking", flush=True)
print("asked", asked, "failed", failed, "answers", *sorted(answers), flush=True)
"#;

/// A process that asks for as long as it lives.
struct Load {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Load {
    fn start(lar: &Lar, port: u16) -> Load {
        let mut command = Command::new("python3");
        command.arg(lar.dir.at("load.py")).arg(port.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert_eq!(first, "asking\n");
        Load { child, lines }
    }

    /// How many requests it has made. None may have failed, and all were answered by these versions.
    fn end_of(mut self, versions: &[&str]) -> usize {
        drop(self.child.stdin.take());
        let mut last = String::new();
        for line in self.lines.by_ref().lines() {
            last = line.unwrap();
            assert!(!last.starts_with("failed"), "{last}");
        }
        self.child.wait().unwrap();
        let words: Vec<&str> = last.split(' ').collect();
        assert_eq!(words[2..5], ["failed", "0", "answers"], "{last}");
        assert_eq!(words[5..], *versions);
        words[1].parse().unwrap()
    }
}

/// Four servers that roll, and the port of their listener.
fn servers() -> Option<(Lar, u16)> {
    if program("python3").is_none() {
        skip("python3 is not installed");
        return None;
    }
    // One that is free now; lar takes it before anybody else is likely to.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = Scratch::new();
    dir.write("server.py", SERVER);
    dir.write("load.py", LOAD);
    Some((Lar::run_in(dir, "", &config(port, "one"), |_| {}), port))
}

fn config(port: u16, version: &str) -> String {
    format!(
        "<socket web>\n listen tcp 127.0.0.1:{port}\n</socket>\n\
         <service web>\n program python3 {{dir}}/server.py {version}\n sockets web\n instances 4\n rolling yes\n \
         ready notify\n stop TERM 20s KILL\n</service>\n"
    )
}

/// Another configuration takes the place of the one that it was started with.
fn rewrite(lar: &Lar, port: u16, version: &str) {
    let settings = "<lar>\n  socket-name {dir}/s\n\n</lar>\n";
    lar.dir.write("lar.conf", &(settings.to_owned() + &config(port, version)));
}

fn pids(lar: &Lar) -> Vec<nix::unistd::Pid> {
    (1..=4).map(|number| lar.pid_of(&format!("web@{number}"))).collect()
}

#[test]
fn no_request_fails_while_four_servers_are_replaced_twenty_times() {
    let Some((lar, port)) = servers() else { return };
    lar.wait("web=running");
    let load = Load::start(&lar, port);
    let mut before = pids(&lar);
    for round in 0..ROUNDS {
        lar.ask("restart --timeout 120s --rolling web").expect(0);
        let after = pids(&lar);
        assert!(
            before.iter().all(|old| !after.contains(old)),
            "round {round}: {before:?} {after:?}"
        );
        before = after;
    }
    rewrite(&lar, port, "two");
    lar.ask("apply --timeout 120s").expect(0);
    lar.wait("web=running");
    println!("{} requests", load.end_of(&["one", "two"]));
}

#[test]
fn no_request_fails_when_the_new_version_never_becomes_ready() {
    let Some((lar, port)) = servers() else { return };
    lar.wait("web=running");
    let load = Load::start(&lar, port);
    let before = pids(&lar);
    rewrite(&lar, port, "two never-ready\n start-timeout 1s");
    let answer = lar.ask("apply --timeout 120s");
    assert_ne!(answer.code, 0, "{answer:?}");
    assert_eq!(pids(&lar), before, "the old ones run on");
    println!("{} requests", load.end_of(&["one"]));
}
