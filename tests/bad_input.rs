//! Nonsense at the control socket and in the configuration: answered, counted, cut off; never the manager's end, and
//! never at the others' cost.

#[path = "support/lar.rs"]
mod lar;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use lar::{LAR, Lar, Scratch, answer};

const ONE: &str = "<service web>\n program sleep 1000\n</service>\n";

/// A conversation on one connection.
struct Talk(BufReader<UnixStream>);

impl Talk {
    fn with(lar: &Lar) -> Talk {
        Talk(BufReader::new(lar.connect()))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line; empty at the end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    /// A round trip.
    fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.send(b"lar1 ping\n");
        let (pong, ok) = (self.line(), self.line());
        assert!(pong.starts_with("pong=yes") && ok == "ok\n", "{pong}{ok}");
        start.elapsed()
    }
}

#[test]
fn a_bad_request_is_an_error_record_and_the_connection_goes_on() {
    let lar = Lar::start(ONE);
    let bad: [(&[u8], &str); 14] = [
        (b"lar1 ping \xff\xfe\n", "code=protocol"),
        (b"lar1 xyzzy\n", "no verb is called xyzzy"),
        (b"lar1 stop\n", "code=usage"),
        (b"lar1 stop --frce web\n", "did you mean --force?"),
        (b"lar1 stop nobody\n", "code=unknown-service"),
        (b"lar1 ping 'unfinished\n", "code="),
        (b"lar1\n", "code="),
        (b"lar1 \n", "code="),
        (b"lar2 ping\n", "code=protocol"),
        (b"GET / HTTP/1.1\n", "code=protocol"),
        (b"lar1 kill 99 web\n", "code="),
        (b"lar1 logs -n 99999999999999999999 web\n", "code=usage"),
        (b"lar1 wait web=stopped --timeout 1y\n", "code=usage"),
        (b"lar1 pi\x00ng \x1b[31m\n", "code="),
    ];
    let mut talk = Talk::with(&lar);
    for (request, says) in bad {
        talk.send(request);
        let line = talk.line();
        let shown = String::from_utf8_lossy(request);
        assert!(line.starts_with("error ") && line.contains(says), "{shown:?}: {line:?}");
        assert!(!line.contains('\x1b') && !line.contains('\0'), "{line:?}");
        talk.ping();
    }
    talk.send(b"\n\n   \n");
    talk.ping();
}

#[test]
fn a_request_that_is_too_long_is_refused_and_its_connection_goes_on() {
    let lar = Lar::start(ONE);
    let mut talk = Talk::with(&lar);
    let mut request = b"lar1 stop ".to_vec();
    request.resize(70_000, b'x');
    talk.send(&request);
    let line = talk.line();
    assert!(line.contains("code=protocol") && line.contains("65536"), "{line:?}");
    // Its rest is passed over.
    talk.send(&request);
    talk.send(b"\nlar1 ping\n");
    assert!(talk.line().starts_with("pong=yes") && talk.line() == "ok\n");
    let mut longest = b"lar1 stop ".to_vec();
    longest.resize(65_000, b'x');
    longest.push(b'\n');
    let reply = lar.raw(&longest);
    assert!(reply.contains("code=unknown-service"), "{reply}");
    lar.ask("ping").expect(0);
}

#[test]
fn half_a_request_is_an_error_when_its_sender_is_done_and_nothing_when_they_are_gone() {
    let lar = Lar::start(ONE);
    let reply = lar.raw(b"lar1 stop we");
    assert!(reply.starts_with("error code=protocol"), "{reply}");
    for _ in 0..100 {
        let mut stream = lar.connect();
        stream.write_all(b"lar1 stop we").unwrap();
    }
    for _ in 0..100 {
        drop(lar.connect());
    }
    // It may not have seen yet that the last of them have gone, and have no place for one more.
    let end = std::time::Instant::now() + lar::DEADLINE;
    while lar.ask("status web").code == 1 && std::time::Instant::now() < end {}
    lar.ask("status web").expect(0);
}

#[test]
fn one_client_too_many_is_told_and_the_others_are_served() {
    let lar = Lar::start(ONE);
    let mut talks = vec![Talk::with(&lar)];
    // Whoever asked before has left once this one was answered twice.
    talks[0].ping();
    talks[0].ping();
    talks.extend((1..::lar::ctl::server::CLIENTS).map(|_| Talk::with(&lar)));
    for talk in &mut talks {
        talk.ping();
    }
    let mut one_more = Talk::with(&lar);
    assert!(one_more.line().contains("too many clients"));
    assert_eq!(one_more.line(), "");
    let refused = lar.ask("ping");
    assert_eq!(refused.code, 1, "{refused:?}");
    for talk in &mut talks {
        talk.ping();
    }
    drop(talks.pop());
    // Its place is free as soon as the manager has seen it go: another one's answer comes later than that.
    talks[0].ping();
    talks[0].ping();
    lar.ask("ping").expect(0);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn clients_that_hang_do_not_slow_the_others() {
    let lar = Lar::with("  exit-policy never", ONE);
    let mut talk = Talk::with(&lar);
    let pings = |talk: &mut Talk| median((0..1000).map(|_| talk.ping()).collect());
    let alone = pings(&mut talk);
    let mut hanging = Vec::new();
    for request in
        ["lar1 stop we", "lar1 events\n", "lar1 wait web=stopped\n", "", "lar1 logs -f\n"]
    {
        let mut one = Talk::with(&lar);
        one.send(request.as_bytes());
        hanging.push(one);
    }
    // One that asks much and reads nothing.
    let mut greedy = Talk::with(&lar);
    greedy.0.get_ref().set_nonblocking(true).unwrap();
    let _ = greedy.0.get_mut().write_all("lar1 config\n".repeat(20_000).as_bytes());
    hanging.push(greedy);
    let crowded = pings(&mut talk);
    assert!(
        crowded < alone * 4 + Duration::from_micros(50),
        "{alone:?} alone, {crowded:?} in a crowd"
    );
    drop(hanging);
}

#[test]
fn a_reader_of_events_that_is_too_slow_is_told_how_many_it_missed() {
    let lar = Lar::with(
        "  spawn-rate none\n  exit-policy never",
        "<service spin>\n program true\n backoff none\n</service>\n\
         <service last>\n program sleep 1000\n start manual\n</service>\n\
         <eventlog>\n level error\n</eventlog>\n",
    );
    let mut slow = Talk::with(&lar);
    slow.send(b"lar1 events\n");
    let mut quick = lar.events("spin");
    // Far more than any socket buffer holds.
    let seen = (0..6000).take_while(|_| quick.lines.next().is_some()).count();
    assert_eq!(seen, 6000);
    lar.ask("stop spin").expect(0);
    lar.ask("start last").expect(0);
    // It is read only now, and learns what it missed and what came last.
    let (mut gaps, mut lines) = (0, 0);
    loop {
        let line = slow.line();
        assert!(!line.is_empty(), "it is not cut off");
        lines += 1;
        gaps += u64::from(line.contains(" event=gap lost="));
        if line.contains("name=last ") && line.contains("to=running") {
            break;
        }
    }
    assert!(gaps > 0 && lines < 6000, "{gaps} gaps in {lines} lines");
}

#[test]
fn a_reader_of_logs_that_is_too_slow_is_told_what_is_missing() {
    let lar = Lar::start(
        "<service noisy>\n program seq 1 3000000\n type oneshot\n transcript /dev/null\n start manual\n</service>\n\
         <service idle>\n program sleep 1000\n</service>\n",
    );
    let mut slow = Talk::with(&lar);
    slow.send(b"lar1 logs --follow noisy\n");
    Talk::with(&lar).ping();
    lar.ask("start noisy").expect(0);
    lar.wait("noisy=exited");
    // It is read only now.
    let mut lost = false;
    let mut lines = 0;
    loop {
        let line = slow.line();
        lost |= line.contains("lost_bytes=");
        if line.is_empty() || line.contains("3000000") {
            lost |= line.is_empty();
            break;
        }
        lines += 1;
    }
    assert!(lost, "what is missing is counted");
    assert!(lines < 3_000_000);
}

#[test]
fn every_mistake_in_a_file_is_told_at_once_and_nothing_is_started() {
    let dir = Scratch::new();
    let file = dir.write(
        "lar.conf",
        "<lar>\n socket-name {dir}/s\n</lar>\n\
         %include {dir}/not-there.conf\n\
         <service good>\n shell yes\n program touch {dir}/started\n</service>\n\
         <service a>\n porgram sleep 1\n</service>\n\
         <service b>\n program sleep 1\n instances many\n</service>\n\
         <service c>\n program sleep 1\n user no-such-user-here\n</service>\n\
         <service d>\n program sleep 1\n requires e\n</service>\n\
         <service e>\n program sleep 1\n requires d\n</service>\n\
         <service GOOD>\n program sleep 1\n</service>\n\
         <service f>\n program no-such-program-here\n</service>\n\
         <service g>\n program sleep 1\n requires nobody\n</service>\n",
    );
    let mut command = Command::new(LAR);
    let answer = answer(command.arg("-C").arg(&file)).expect(6);
    let expected = [
        "not-there.conf",
        "`porgram`",
        "`program`",
        "many",
        "no-such-user-here",
        "d -> e",
        "GOOD",
        "no-such-program-here",
        "nobody",
        "nothing was started",
    ];
    for text in expected {
        assert!(answer.err.contains(text), "{text:?} is not in {}", answer.err);
    }
    assert!(!dir.at("started").exists() && !dir.at("s").exists());
    let place = format!("{}:10:", file.display());
    assert!(answer.err.contains(&place), "{place} is not in {}", answer.err);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_a_bad_configuration() {
    let dir = Scratch::new();
    answer(Command::new(LAR).arg("-C").arg(dir.at("none"))).expect(6);
    std::fs::write(dir.at("binary"), b"\xff\xfe\x00<service").unwrap();
    answer(Command::new(LAR).arg("-C").arg(dir.at("binary"))).expect(6);
    answer(Command::new(LAR).arg("-C").arg(&dir.path)).expect(6);
    dir.write("empty", "");
    let empty = answer(Command::new(LAR).arg("-C").arg(dir.at("empty")));
    assert_eq!(empty.code, 6, "{empty:?}");
}
