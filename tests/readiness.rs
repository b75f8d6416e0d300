//! Every way in which a service can be known to be ready, with a real program that is ready late: who needs it waits
//! until then, and who is never ready has failed to start.

#[path = "readiness/health.rs"]
mod health;
#[path = "support/lar.rs"]
mod lar;
#[path = "readiness/notify.rs"]
mod notify;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;

use ::nix::sys::stat::Mode;
use ::nix::unistd::mkfifo;
use lar::{LAR, Lar, Scratch, answer, program, skip};

/// Who needs it.
const SHOP: &str = "<service shop>\n program sleep 1000\n requires web\n</service>\n";

/// A directory with fifos for [`say`]: what reads from them waits for it.
pub fn scene() -> Scratch {
    let dir = Scratch::new();
    for name in ["go", "end", "words"] {
        mkfifo(&dir.at(name), Mode::from_bits_truncate(0o666)).unwrap();
    }
    dir
}

/// Lets whoever reads this fifo, once in its life, go on with a line; it waits for that one.
pub fn say(lar: &Lar, fifo: &str, line: &str) {
    let mut fifo = OpenOptions::new().write(true).open(lar.dir.at(fifo)).unwrap();
    writeln!(fifo, "{line}").unwrap();
}

/// The same, where the line does not matter.
pub fn go(lar: &Lar) {
    say(lar, "go", "");
}

/// The service `web`, which is this script, and whoever needs it.
pub fn start(dir: Scratch, keys: &str, script: &str) -> Lar {
    dir.write("web", script);
    let config = format!(
        "<service web>\n program sh {{dir}}/web\n directory {{dir}}\n start-timeout 30s\n \
         ready-interval 5ms\n prefix no\n {keys}\n</service>\n{SHOP}"
    );
    Lar::run_in(dir, "", &config, |_| {})
}

/// Starts it, and lets the script go on while it is starting; then it is ready.
fn is_ready_late(dir: Scratch, keys: &str, script: &str) -> Lar {
    let lar = start(dir, keys, script);
    lar.wait("web=starting shop=waiting");
    go(&lar);
    lar.wait("web=running shop=running");
    lar
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_file_is_there_when_it_is_ready() {
    let script = "read x <go; : >up; exec sleep 1000";
    let mut lar = is_ready_late(scene(), "ready file up", script);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_command_succeeds_when_it_is_ready() {
    let script = "read x <go; : >up; exec sleep 1000";
    let mut lar = is_ready_late(scene(), "ready command test -e up", script);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn somebody_accepts_at_its_port_or_its_socket_when_it_is_ready() {
    let Some(python) = program("python3") else { return skip("python3 is not installed") };
    let python = python.display();
    let server = |family: &str, address: &str| {
        format!(
            "read x <go; exec {python} -c \"import socket, signal; s = socket.socket(socket.{family}); \
             s.bind({address}); s.listen(); signal.pause()\""
        )
    };
    let port = free_port();
    let tcp = server("AF_INET", &format!("('127.0.0.1', {port})"));
    let mut lar = is_ready_late(scene(), &format!("ready tcp 127.0.0.1:{port}"), &tcp);
    assert_eq!(lar.shut_down(), 0);
    let unix = server("AF_UNIX", "'socket'");
    let mut lar = is_ready_late(scene(), "ready unix socket", &unix);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_server_answers_by_http_with_a_good_status_when_it_is_ready_and_is_not_reset() {
    let Some(python) = program("python3") else { return skip("python3 is not installed") };
    let port = free_port();
    let keys = format!("ready http http://localhost:{port}/up");
    let script = format!(
        "exec {} -u -m http.server --bind 127.0.0.1 {port} --directory {{dir}}",
        python.display()
    );
    let mut lar = start(scene(), &keys, &script);
    lar.out.until("\"GET /up HTTP/1.1\" 404");
    lar.wait("web=starting shop=waiting");
    // Larger than what a socket takes at once.
    fs::write(lar.dir.at("up"), vec![b'x'; 32 * 1024]).unwrap();
    lar.wait("web=running shop=running");
    lar.out.until("\" 200 ");
    assert_eq!(lar.shut_down(), 0);
    let said = lar.out.rest().join("\n");
    assert!(!said.contains("Error") && !said.contains("Exception"), "it complains: {said}");
}

#[test]
fn a_peer_that_accepts_and_never_answers_is_given_up_and_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let keys = format!("ready timeout 20ms http http://{address}/");
    let mut lar = start(scene(), &keys, "exec sleep 1000");
    for _ in 0..3 {
        use std::io::Read;
        let (mut peer, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        // It is lar that ends it, and not in good order.
        let reset = peer.read_to_end(&mut request).unwrap_err();
        assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(request.starts_with(b"GET / HTTP/1.1\r\n"));
    }
    lar.wait("web=starting");
    let (mut peer, _) = listener.accept().unwrap();
    // And does not close, although it was asked to.
    peer.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
    lar.wait("web=running shop=running");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_text_in_its_log_says_that_it_is_ready_however_it_is_written() {
    let script = "echo now; echo re; printf 'it is now rea'; read x <go; printf 'dy to serve\\n'; exec sleep 1000";
    for keys in ["", "transcript none\n ring 0", "transcript {dir}/log", "on-full block"] {
        let keys = format!("ready log now ready\n {keys}");
        let mut lar = is_ready_late(scene(), &keys, script);
        assert_eq!(lar.shut_down(), 0);
    }
    let mut lar = is_ready_late(scene(), "ready log ready\n stderr none", {
        "read x <go; echo ready >&2; exec sleep 1000"
    });
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn each_process_has_to_write_it_itself() {
    let script = "read x <go; echo ready; read x <end; printf rea; kill -9 $$";
    let mut lar = is_ready_late(scene(), "ready log ready\n backoff none", script);
    let mut events = lar.events("web");
    say(&lar, "end", "");
    events.until("starting -> starting: spawned");
    lar.wait("web=starting");
    go(&lar);
    events.until("starting -> running: ready");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_text_that_is_the_last_word_was_there_in_time() {
    // It ends before anybody has read it: it was ready, and then it died.
    let script = "test -e up && read x <go; : >up; echo ready; kill -9 $$";
    let mut lar = start(scene(), "ready log ready\n backoff none", script);
    lar.err.until("web: starting -> running: ready");
    lar.wait("web=starting");
    lar.signal(::nix::sys::signal::Signal::SIGTERM);
    assert_eq!(lar.end(), 0);
}

#[test]
fn what_lar_does_not_see_can_tell_it_nothing() {
    let dir = Scratch::new();
    let check = |keys: &str| {
        let text = format!("<service web>\n program sleep 1000\n {keys}\n</service>\n");
        answer(Command::new(LAR).arg("check").arg(dir.write("x.conf", &text)))
    };
    for keys in ["ready log ready", "ready file up\n log-activity-timeout 7s"] {
        let checked = check(&format!("transcript inherit\n {keys}")).expect(6);
        let said = checked.out + &checked.err;
        assert!(said.contains("lar sees none of its output"), "{said}");
        // Half of it is enough.
        check(&format!("transcript inherit\n stderr stdout\n {keys}")).expect(0);
    }
    check("transcript inherit\n ready file up\n log-file log\n log-activity-timeout 7s").expect(0);
}

#[test]
fn a_line_on_its_fd_says_that_it_is_ready() {
    let script = "printf almost >&7; read x <go; echo >&7; exec 7>&-; exec sleep 1000";
    let mut lar = is_ready_late(scene(), "ready fd 7", script);
    // Another process has to say so again, whatever was left of the former one's words.
    let script = "read x <go; printf '\\n\\n\\n' >&7; read x <end; printf '\\n\\n' >&7; kill -9 $$";
    lar.dir.write("web", script);
    let mut events = lar.events("web");
    let mut restarting = lar.watch("restart web");
    events.until("starting -> starting: spawned");
    lar.wait("web=starting");
    go(&lar);
    assert_eq!(restarting.end(), 0);
    events.until("starting -> running: ready");
    say(&lar, "end", "");
    events.until("starting -> starting: spawned");
    lar.wait("web=starting");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_successor_has_a_pipe_or_a_log_of_its_own_and_nothing_is_left_of_it() {
    for (keys, word) in [("ready fd 7", ">&7"), ("ready log ready", "ready")] {
        let script = format!("read x <go; echo {word}; exec sleep 1000");
        let mut lar = is_ready_late(scene(), keys, &script);
        // Clients come and go; pipes are only the services'.
        let is_pipe = |path: std::path::PathBuf| {
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"))
        };
        let fds = || {
            let all = fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap().flatten();
            all.filter(|entry| is_pipe(entry.path())).count()
        };
        let mut before = 0;
        for round in 0..3 {
            let old = lar.pid_of("web");
            let mut events = lar.events("web");
            let mut rolling = lar.watch("restart --rolling web");
            events.until("web/next: starting -> starting: spawned");
            assert_eq!(lar.pid_of("web"), old);
            go(&lar);
            assert_eq!(rolling.end(), 0, "{:?}", rolling.err.now());
            assert_ne!(lar.pid_of("web"), old);
            if round == 0 {
                before = fds();
            }
        }
        assert_eq!(fds(), before);
        assert_eq!(lar.shut_down(), 0);
    }
}

#[test]
fn the_real_s6_notifyoncheck_is_understood() {
    if program("s6-notifyoncheck").is_none() {
        return skip("s6 is not installed");
    }
    let dir = scene();
    // What it insists on: a service directory, in which somebody else supervises, as it thinks.
    for name in ["data", "event", "supervise"] {
        fs::create_dir(dir.at(name)).unwrap();
    }
    dir.script("data/check", "#!/bin/sh\nexec test -e up\n");
    dir.write("notification-fd", "5\n");
    let lock = File::create(dir.at("supervise/lock")).unwrap();
    let whole = ::nix::libc::flock {
        l_type: ::nix::libc::F_WRLCK as _,
        l_whence: ::nix::libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    ::nix::fcntl::fcntl(&lock, ::nix::fcntl::FcntlArg::F_SETLK(&whole)).unwrap();
    for (number, flags) in [(3, "-d -3 3"), (5, "-d")] {
        let here = scene();
        for name in ["data", "event", "supervise", "notification-fd"] {
            std::os::unix::fs::symlink(dir.at(name), here.at(name)).unwrap();
        }
        let keys = format!("ready fd {number}");
        let script = format!(
            "{{ read x <go; : >up; }} & exec s6-notifyoncheck {flags} -n 0 -w 10 sleep 1000"
        );
        let mut lar = is_ready_late(here, &keys, &script);
        let pid = lar.pid_of("web");
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert_eq!(name.trim(), "sleep", "it has become the program");
        assert_eq!(lar.shut_down(), 0);
    }
}

#[test]
fn who_is_never_ready_has_failed_to_start() {
    let port = free_port();
    let kinds = [
        format!("tcp 127.0.0.1:{port}"),
        format!("http http://127.0.0.1:{port}/"),
        "unix nowhere".into(),
        "file nowhere".into(),
        "log nothing".into(),
        "command false".into(),
        "notify".into(),
        "fd 4".into(),
    ];
    let mut config = String::new();
    for (number, kind) in kinds.iter().enumerate() {
        config += &format!(
            "<service s{number}>\n program sleep 1000\n directory {{dir}}\n ready {kind}\n \
             ready-interval 5ms\n start-timeout 60ms\n give-up after 1\n</service>\n\
             <service needs{number}>\n program sleep 1000\n requires s{number}\n</service>\n"
        );
    }
    let mut lar = Lar::with("  exit-policy never", &config);
    for (number, kind) in kinds.iter().enumerate() {
        lar.wait(&format!("s{number}=failed needs{number}=failed"));
        let why = lar.ask(&format!("why s{number}"));
        assert!(why.out.contains("not ready within"), "{kind}: {why:?}");
    }
    assert_eq!(lar.shut_down(), 0);
}
