//! What services are sent: `stdin pipe`, `send`, `attach` and `streams`, with real programs at the other end.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/pty.rs"]
mod pty;

#[path = "input/attach.rs"]
mod attach;
#[path = "input/streams.rs"]
mod streams;

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use lar::{Answer, Lar, Lines, Scratch, answer, code, ended};
use nix::sys::signal::Signal;

/// A service that reads lines and says what it got, and who it is.
const READER: &str = "program sh -c 'echo ready; while read -r line; do echo \"$LAR_INSTANCE got $line\"; done'\n\
                      stdin pipe\n";

/// A client that has been given all that it is to send.
struct Piped {
    child: Child,
    writer: JoinHandle<()>,
    out: Lines,
    err: Lines,
}

impl Piped {
    fn start(mut command: Command, input: &[u8]) -> Piped {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
        // A client that ends early does not read it all.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Piped { child, writer, out: Lines::of(out), err: Lines::of(err) }
    }

    fn end(mut self) -> Answer {
        let (out, err) = (self.out.rest().join("\n"), self.err.rest().join("\n"));
        let status = ended(&mut self.child, lar::DEADLINE).expect("the client ends");
        self.writer.join().unwrap();
        Answer { code: code(status), out, err }
    }
}

/// Runs a client with this as its standard input.
fn piped(lar: &Lar, line: &str, input: &[u8]) -> Answer {
    Piped::start(lar.client(&line.split_whitespace().collect::<Vec<_>>()), input).end()
}

#[test]
fn a_line_is_sent_to_its_standard_input() {
    let mut lar = Lar::start(&format!("<service web>\n{READER}</service>\n"));
    let sent = lar.ask("send web hello  world").expect(0);
    assert_eq!((sent.out.as_str(), sent.err.as_str()), ("", ""));
    lar.out.until("1 got hello world");
    // What looks like an option is text once text has begun, and after `--`.
    lar.ask("send web one -f --close").expect(0);
    lar.out.until("1 got one -f --close");
    lar.ask("send web -- -5").expect(0);
    lar.out.until("1 got -5");
    // What comes from a pipe is passed on as it is: here without a newline, which the next one brings.
    piped(&lar, "send web -", b"begun ").expect(0);
    piped(&lar, "send web", b"and ended\n").expect(0);
    lar.out.until("1 got begun and ended");
    // And what the wire carries is the same in one line, or as a body.
    assert_eq!(lar.raw(b"lar1 send web 'in the line'\n"), "name=web bytes=12\nok\n");
    lar.out.until("1 got in the line");
    let two = lar.raw(b"lar1 send web body=5\nfive\nlar1 send web body=4\nnow\n");
    assert_eq!(two, "name=web bytes=5\nok\nname=web bytes=4\nok\n");
    lar.out.until("1 got five");
    lar.out.until("1 got now");
    let json = lar.ask("send --json web x").expect(0).out;
    assert_eq!(
        json,
        "{\"version\":1,\"services\":[{\"name\":\"web\",\"bytes\":2,\"error\":null}]}\n"
    );
}

#[test]
fn all_instances_that_a_name_means_are_sent_it_and_each_is_told() {
    let mut lar =
        Lar::start(&format!("<service web>\n{READER}instances 3\nrestart never\n</service>\n"));
    lar.wait("web=running");
    assert_eq!(
        lar.ask("send web hi").expect(0).out,
        "web@1: 3 bytes\nweb@2: 3 bytes\nweb@3: 3 bytes\n"
    );
    for _ in 0..3 {
        lar.out.until("got hi");
    }
    lar.ask("send web@2 you").expect(0);
    lar.out.until("2 got you");
    // If one can't have it, nobody gets it.
    lar.ask("send --close web@3").expect(0);
    lar.wait("web@3=exited");
    let refused = lar.ask("send web nobody").expect(3);
    assert!(refused.err.contains("web@3 has no process; it is exited"), "{refused:?}");
    lar.ask("send web@1 last").expect(0);
    lar.out.until("1 got last");
    assert!(!lar.out.seen.iter().any(|line| line.contains("nobody")), "{:?}", lar.out.seen);
}

#[test]
fn who_can_not_be_sent_anything_is_told_what_to_do() {
    let lar = Lar::start(&format!(
        "<service web>\n{READER}</service>\n<service off>\n{READER}start manual\n</service>\n\
         <service plain>\nprogram sleep 1000\n</service>\n"
    ));
    for (line, code, text) in [
        ("send nobody x", 5, "no service is called nobody"),
        ("send plain x", 1, "say `stdin pipe`"),
        ("send --stream data web x", 1, "say `streams data`"),
        ("send off x", 3, "off has no process; it is stopped"),
        ("attach plain", 1, "logs -f plain"),
        ("attach off", 3, "off has no process"),
        ("attach web off", 2, "attach does not take off"),
        ("logs --stream stdin web", 1, "nothing can be read of its standard input"),
        ("send", 2, "send needs a name"),
    ] {
        let refused = lar.ask(line).expect(code);
        assert!(refused.err.contains(text), "{line}: {refused:?}");
    }
    // A body that nobody wants is passed over, and the next request is understood.
    let said = lar.raw(b"lar1 send nobody body=12\nlar1 status\nlar1 ping\n");
    assert!(said.starts_with("error code=unknown-service") && said.contains("pong=yes"), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
    let odd = lar.raw(b"lar1 send web body=many\nlar1 ping\n");
    assert!(odd.starts_with("error code=usage") && odd.lines().count() == 1, "{odd}");
    let short = lar.raw(b"lar1 send web body=100\nonly this");
    assert!(short.contains("before all the bytes that were announced"), "{short}");
}

#[test]
fn its_input_can_be_ended_and_its_next_process_has_another_one() {
    let mut lar = Lar::start(
        "<service count>\nprogram sh -c 'wc -c; exec sleep 1000'\nstdin pipe\nstop KILL 5s\n</service>\n",
    );
    lar.wait("count=running");
    lar.ask("send count twelve bytes").expect(0);
    piped(&lar, "send --close count -", b"7 bytes").expect(0);
    lar.out.until("20");
    let refused = lar.ask("send count more").expect(1);
    assert!(refused.err.contains("its input was ended (--close)"), "{refused:?}");
    lar.ask("restart count").expect(0);
    lar.ask("send --close count ab").expect(0);
    lar.out.until("3");
    lar.ask("restart count").expect(0);
    // With nothing but --close nothing is read from our own input.
    lar.ask("send --close count").expect(0);
    lar.out.until("0");
}

#[test]
fn a_program_that_closes_its_input_is_told_of() {
    let mut lar = Lar::start(
        "<service web>\nprogram sh -c 'read line; echo got $line; exec <&-; echo closed; exec sleep 1000'\n\
         stdin pipe\n</service>\n",
    );
    lar.ask("send web one").expect(0);
    lar.out.until("closed");
    let refused = lar.ask("send web two").expect(1);
    assert!(refused.err.contains("it has closed its input"), "{refused:?}");
    lar.crash("web");
    lar.ask("send web three").expect(0);
    lar.out.until("got three");
}

#[test]
fn a_megabyte_goes_through_a_slow_reader_whole() {
    let dir = Scratch::new();
    dir.script(
        "slow.py",
        "#!/usr/bin/env python3\nimport hashlib, os, select\nsum, count = hashlib.sha256(), 0\n\
         while True:\n    part = os.read(0, 4000)\n    if not part: break\n\
         \x20   sum.update(part)\n    count += len(part)\n\
         \x20   select.select([], [], [], 0.0005)\nprint(count, sum.hexdigest(), flush=True)\n\
         os.execvp('sleep', ['sleep', '1000'])\n",
    );
    let bytes: Vec<u8> =
        (0..1_048_576_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(dir.at("data"), &bytes).unwrap();
    let sum = answer(Command::new("sha256sum").arg(dir.at("data"))).out;
    let sum = sum.split(' ').next().unwrap().to_owned();
    let config = "<service slow>\nprogram {dir}/slow.py\nstdin pipe\nstop KILL 5s\n</service>\n\
                  <service quick>\nprogram cat\nstdin pipe\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("slow=running");
    let sender = Piped::start(lar.client(&["send", "--close", "slow", "-"]), &bytes);
    // Meanwhile lar does other things at once.
    for number in 0..20 {
        lar.ask(&format!("send quick number{number}")).expect(0);
    }
    sender.end().expect(0);
    lar.out.until(&format!("1048576 {sum}"));
}

#[test]
fn a_program_that_never_reads_holds_up_its_senders_and_nobody_else() {
    let mut lar = Lar::start(&format!(
        "<service deaf>\nprogram sleep 1000\nstdin pipe\n</service>\n<service web>\n{READER}</service>\n"
    ));
    lar.wait("deaf=running");
    let bytes = vec![b'x'; 300_000];
    let slow = piped(&lar, "send --timeout 300ms deaf", &bytes).expect(8);
    assert!(slow.err.contains("deaf has read nothing for 300ms"), "{slow:?}");
    // Its pipe and its buffer are full now.
    let full = lar.ask("send --timeout 200ms deaf more").expect(8);
    assert!(full.err.contains("has read nothing"), "{full:?}");
    let full = lar.ask("send --no-wait deaf more").expect(1);
    assert!(full.err.contains("no room in its buffer"), "{full:?}");
    lar.ask("send web works").expect(0);
    lar.out.until("got works");
    // What it never reads is dropped with it, and told.
    let old = lar.pid_of("deaf");
    nix::sys::signal::kill(old, Signal::SIGKILL).unwrap();
    let line = lar.err.until("were never read");
    let count: u64 =
        line.split("deaf: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((65_536..=131_072 + 16_384).contains(&count), "{line}");
    lar.wait("deaf=running");
    lar.ask("send deaf again").expect(0);
}

#[test]
fn a_restart_in_the_middle_ends_the_sending_and_the_next_process_reads_nothing_of_it() {
    let mut lar = Lar::start(
        "<service web>\nprogram sh -c 'read first; echo \"$$ got $first\"; exec sleep 1000'\nstdin pipe\n\
         stop KILL 5s\n</service>\n",
    );
    lar.wait("web=running");
    let bytes = [b"first\n".to_vec(), vec![b'x'; 500_000]].concat();
    let old = lar.pid_of("web");
    let sender = Piped::start(lar.client(&["send", "web"]), &bytes);
    // It has read the first line, and the rest is on its way.
    lar.out.until("got first");
    lar.ask("restart web").expect(0);
    let lost = sender.end().expect(1);
    let told = ["its process has ended", "it has closed its input"];
    assert!(told.iter().any(|text| lost.err.contains(text)), "{lost:?}");
    assert_ne!(lar.pid_of("web"), old);
    lar.ask("send web second").expect(0);
    lar.out.until("got second");
}

#[test]
fn twenty_clients_at_once_do_not_tear_each_others_lines() {
    let dir = Scratch::new();
    let config = "<service log>\nprogram cat\nstdin pipe\ntranscript {dir}/log.txt\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("log=running");
    const BLOCK: usize = 70_000;
    let mut clients = Vec::new();
    for number in 0..20_u8 {
        // More than the pipe takes at once.
        let file = lar.dir.at(&format!("block{number}"));
        let mut bytes = vec![b'a' + number; BLOCK - 1];
        bytes.push(b'\n');
        std::fs::write(&file, &bytes).unwrap();
        let mut command = lar.client(&["send", "log", "-"]);
        clients.push(command.stdin(std::fs::File::open(&file).unwrap()).spawn().unwrap());
    }
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
    lar.ask("send --close log").expect(0);
    lar.ask("wait log=backoff").expect(0);
    let text = lar.dir.read("log.txt");
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20);
    lines.sort_unstable();
    for (number, line) in (b'a'..).zip(lines) {
        assert!(
            line.len() == BLOCK - 1 && line.bytes().all(|byte| byte == number),
            "{}",
            &line[..20]
        );
    }
}

#[test]
fn without_an_fd_for_its_pipe_it_is_a_failed_start_and_is_tried_again() {
    // lar's own limit leaves no room for one more than what its start needs.
    let dir = Scratch::new();
    let config = "<service web>\nprogram cat\nstdin pipe\nstart manual\nbackoff linear 10ms max 10ms\n</service>\n\
                  <service other>\nprogram sleep 1000\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("other=running");
    let used = std::fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().count();
    let pid = lar.pid().to_string();
    // Room for the client, and for no pipe.
    let limit = |count: usize| {
        let limit = format!("--nofile={count}:4096");
        answer(Command::new("prlimit").args(["--pid", &pid, &limit])).expect(0);
    };
    let mut events = lar.watch("events -n 1");
    events.lines.next();
    limit(used + 2);
    let refused = lar.ask("start web").expect(11);
    assert!(refused.err.contains("Too many open files (stage fds)"), "{refused:?}");
    limit(1024);
    events.until("web: starting -> running");
    lar.ask("send web it works").expect(0);
}

#[test]
fn a_run_and_a_successor_have_an_input_of_their_own() {
    let mut lar = Lar::start(&format!(
        "<service web>\n{READER}rolling yes\nready command true\n</service>\n"
    ));
    lar.wait("web=running");
    let run = lar.ask("once --no-wait web").expect(0).out;
    assert!(run.starts_with("web+1"), "{run}");
    lar.wait("web+1=running");
    lar.ask("send web+1 run").expect(0);
    lar.out.until("0 got run");
    lar.ask("send --close web+1").expect(0);
    lar.ask("send web regular").expect(0);
    lar.out.until("1 got regular");
    let old = lar.pid_of("web");
    lar.ask("restart --rolling web").expect(0);
    assert_ne!(lar.pid_of("web"), old);
    lar.ask("send web successor").expect(0);
    lar.out.until("1 got successor");
}
