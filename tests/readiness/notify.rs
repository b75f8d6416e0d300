//! What services say of themselves: the real systemd-notify, and words it does not know.

use super::lar::{Lar, program, skip};
use super::{go, scene, start};

#[test]
fn the_real_systemd_notify_is_understood() {
    if program("systemd-notify").is_none() {
        return skip("systemd-notify is not installed");
    }
    // It waits until what it said is taken (BARRIER=1), and would complain if nobody took it.
    let script = "systemd-notify --status='loading 1 of 2' || exit; echo said; read x <go\n\
         systemd-notify --ready --status='serving 3 rooms' || exit; echo done; exec sleep 1000";
    let mut lar = start(scene(), "ready notify", script);
    lar.out.until("said");
    lar.wait("web=starting shop=waiting");
    assert!(status(&lar).contains("loading 1 of 2"), "{}", status(&lar));
    go(&lar);
    lar.wait("web=running shop=running");
    lar.out.until("done");
    assert!(status(&lar).contains("serving 3 rooms"), "{}", status(&lar));
    assert_eq!(lar.shut_down(), 0);
}

fn status(lar: &Lar) -> String {
    lar.ask("--json status web").out
}

/// A program in Python that says each line that comes through the fifo, and tells when the barrier after it is open.
fn speaker(python: &std::path::Path) -> String {
    format!(
        "exec {} -u -c \"
import os, socket
address = os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(address)
print('usec', os.environ.get('WATCHDOG_USEC'))
for line in os.fdopen(os.open('words', os.O_RDWR)):
    r, w = os.pipe()
    s.send(line.strip().replace('|', chr(10)).encode())
    socket.send_fds(s, [b'BARRIER=1'], [w] * 100)
    os.close(w)
    print('through', os.read(r, 1) == b'')
    os.close(r)
\"",
        python.display()
    )
}

/// Lets the speaker say something, and waits until that is done.
pub fn say(lar: &mut Lar, words: &str) {
    super::say(lar, "words", words);
    lar.out.until("through True");
}

/// A service that is the speaker.
pub fn talk(keys: &str) -> Option<Lar> {
    let Some(python) = program("python3") else {
        skip("python3 is not installed");
        return None;
    };
    let dir = scene();
    Some(start(dir, keys, &speaker(&python)))
}

#[test]
fn who_reloads_is_seen_to_until_it_is_ready_again() {
    let Some(mut lar) = talk("ready notify") else { return };
    say(&mut lar, "READY=1|STATUS=serving");
    lar.wait("web=running shop=running");
    say(&mut lar, "RELOADING=1|MONOTONIC_USEC=1");
    assert!(status(&lar).contains("reloading: serving"), "{}", status(&lar));
    say(&mut lar, "READY=1");
    assert!(status(&lar).contains("serving") && !status(&lar).contains("reloading"));
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn fds_that_are_sent_along_are_never_lars() {
    let Some(mut lar) = talk("ready notify") else { return };
    let fds = |lar: &Lar| std::fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().count();
    say(&mut lar, "STATUS=begun");
    let before = fds(&lar);
    for _ in 0..20 {
        say(&mut lar, "FDSTORE=1");
    }
    assert_eq!(fds(&lar), before);
    say(&mut lar, "READY=1");
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn nobody_elses_process_becomes_its_main_one() {
    let Some(mut lar) = talk("ready notify") else { return };
    say(&mut lar, "READY=1");
    lar.wait("shop=running");
    let (own, other) = (lar.pid_of("web"), lar.pid_of("shop"));
    let foreign = std::process::id();
    say(&mut lar, &format!("MAINPID={own}|STATUS=own"));
    say(&mut lar, &format!("MAINPID={other}|MAINPID={foreign}|STATUS=other"));
    say(&mut lar, &format!("MAINPID={foreign}|STATUS=foreign"));
    assert_eq!(lar.pid_of("web"), own);
    assert_eq!(lar.shut_down(), 0);
    let said = lar.err.rest().join("\n");
    assert_eq!(said.matches("is no process of its own").count(), 1, "{said}");
    assert!(said.contains(&format!("MAINPID={other}")), "{said}");
}

#[test]
fn who_is_to_beat_is_told_how_often_and_where() {
    let Some(mut lar) = talk("health every 90s notify") else { return };
    lar.out.until("usec 90000000");
    lar.wait("web=running shop=running");
    say(&mut lar, "WATCHDOG=1");
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
    let Some(mut lar) = talk("ready notify") else { return };
    lar.out.until("usec None");
    assert_eq!(lar.shut_down(), 0);
}
