//! Sockets that lar listens on for its services, with real programs that accept from them.

#[path = "support/lar.rs"]
mod lar;
#[path = "sockets/scene.rs"]
mod scene;

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use lar::{Lar, Scratch, program, root, skip};
use nix::sys::signal::{Signal, kill};
use scene::{Client, SERVER, free_port, refused, rewrite, shell, start};

#[test]
fn a_program_finds_its_sockets_and_nothing_else() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let port = free_port();
    for spawn in ["vfork", "fork"] {
        let mut lar = start(
            &format!(
                "<socket web>\n listen tcp 127.0.0.1:{port}\n</socket>\n\
                 <socket admin>\n listen unix {{dir}}/admin\n</socket>\n\
                 <socket dns>\n listen udp *:{port}\n</socket>\n\
                 <service both>\n program {SERVER} report\n sockets admin web\n sockets dns\n prefix no\n \
                 spawn {spawn}\n</service>\n\
                 <service none>\n shell yes\n prefix no\n \
                 program echo none: $(env | grep -c LISTEN_); exec sleep 1000\n</service>\n"
            ),
            // What a manager of lar's own left there is not for services.
            |command| {
                command.envs([("LISTEN_FDS", "7"), ("LISTEN_PID", "1")]);
            },
        );
        let mut lines = [lar.out.next().unwrap(), lar.out.next().unwrap()];
        lines.sort();
        let expected = format!(
            "fds=0,1,2,3,4,5 names=admin:web:dns pid=True count=3 kinds=unix,inet,inet6 blocking=True at={port}"
        );
        assert_eq!(lines, [expected.as_str(), "none: 0"], "spawn {spawn}");
        assert_eq!(lar.shut_down(), 0);
    }
}

#[test]
fn nobody_is_refused_while_a_service_is_killed_twenty_times() {
    let mut lar = start(
        "<socket web>\n listen unix {dir}/web\n</socket>\n\
         <service web>\n program {server} serve\n sockets web\n healthy-after 0s\n</service>\n",
        |_| {},
    );
    lar.wait("web=running");
    let path = lar.dir.at("web");
    for _ in 0..20 {
        let old = lar.pid_of("web");
        // It can't accept any more, and the connection waits for whoever comes.
        kill(old, Signal::SIGSTOP).unwrap();
        scene::until_stopped(old);
        let client = Client::unix(&path);
        kill(old, Signal::SIGKILL).unwrap();
        let late = Client::unix(&path);
        assert_ne!(client.answer(), old.as_raw());
        assert_ne!(late.answer(), old.as_raw());
    }
    assert_eq!(lar.shut_down(), 0);
    assert!(!path.exists(), "what lar made it takes away");
}

#[test]
fn the_first_connection_starts_a_service_and_the_next_one_after_its_idle_exit() {
    let mut lar = start(
        "<socket web>\n listen unix {dir}/web\n</socket>\n\
         <service db>\n program sleep 1000\n start manual\n</service>\n\
         <service web>\n program {server} once\n sockets web\n start on-demand\n requires db\n</service>\n\
         <service user>\n program sleep 1000\n requires web\n</service>\n",
        |_| {},
    );
    lar.wait("user=running web=stopped db=stopped");
    lar.ask("health").expect(0);
    let status = lar.ask("--plain status web").expect(0).out;
    assert!(status.contains("waits for a connection on web"), "{status}");
    let path = lar.dir.at("web");
    let mut events = lar.events("web");
    let first = Client::unix(&path).answer();
    lar.wait("db=running");
    events.until("web: stopped -> waiting: waits for db");
    events.until("exited -> stopped: waits for a connection on web");
    let second = Client::unix(&path).answer();
    assert_ne!(first, second);
    // Started at once, or (`backoff`) a moment later: connections start it ten times a second at most.
    events.until(": a connection on web");
    // A stop sticks, whoever connects.
    events.until("exited -> stopped: waits for a connection on web");
    lar.ask("stop --force web").expect(0);
    let client = Client::unix(&path);
    lar.wait("web=stopped");
    let status = lar.ask("--plain status web").expect(3).out;
    assert!(status.contains("stop was ordered"), "{status}");
    lar.ask("start --no-wait web").expect(0);
    assert!(![first, second].contains(&client.answer()));
    events.until("exited -> stopped: waits for a connection on web");
    Client::unix(&path).answer();
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_failure_of_a_service_on_demand_is_started_again_by_its_rules() {
    let mut lar = start(
        "<socket web>\n listen unix {dir}/web\n</socket>\n\
         <service web>\n program {server} fail-first\n sockets web\n start on-demand\n \
         backoff linear 10ms max 10ms\n</service>\n\
         <service never>\n program false\n sockets web\n start on-demand\n restart never\n</service>\n",
        |_| {},
    );
    let client = Client::unix(&lar.dir.at("web"));
    // Both were started by it: one failed and came back, one stays where it is.
    client.answer();
    lar.wait("web=running never=exited");
    let why = lar.ask("why web").expect(0).out;
    assert!(why.contains("exit status 3"), "{why}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_datagram_starts_a_service_and_waits_for_it() {
    let port = free_port();
    let lar = start(
        &format!(
            "<socket dns>\n listen udp 127.0.0.1:{port}\n</socket>\n\
             <service dns>\n program {SERVER} udp\n sockets dns\n start on-demand\n instances 2\n</service>\n"
        ),
        |_| {},
    );
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(lar::DEADLINE)).unwrap();
    socket.send_to(b"who", ("127.0.0.1", port)).unwrap();
    let mut buffer = [0; 64];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    let pid: i32 = String::from_utf8_lossy(&buffer[..length]).parse().unwrap();
    lar.wait("dns=running");
    let pids = [lar.pid_of("dns@1"), lar.pid_of("dns@2")].map(|pid| pid.as_raw());
    assert!(pids.contains(&pid), "{pid} is none of {pids:?}");
}

#[test]
fn apply_keeps_the_listener_that_says_the_same_and_replaces_the_one_that_moves() {
    let port = free_port();
    let web = |listen: &str, more: &str| {
        format!(
            "<socket web>\n listen {listen}\n{more}</socket>\n\
             <socket other>\n listen tcp 127.0.0.1:{port}\n</socket>\n\
             <service web>\n program {SERVER} serve\n sockets web\n start manual\n</service>\n\
             <service other>\n program {SERVER} serve\n sockets other\n</service>\n"
        )
    };
    let mut lar = start(&web("unix {dir}/web", ""), |_| {});
    lar.wait("other=running");
    let other = lar.pid_of("other");
    let path = lar.dir.at("web");
    let waiting = Client::unix(&path);
    rewrite(&lar, &web("unix {dir}/web", "mode 0600\nbacklog 7\n"));
    let told = lar.ask("apply").expect(0).out;
    assert!(told.contains("socket web: mode: 0666 => 0600 (live)"), "{told}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    lar.ask("start web").expect(0);
    waiting.answer();
    let old = lar.pid_of("web");
    // Elsewhere: another socket, and another process that has it.
    rewrite(&lar, &web("unix {dir}/new", ""));
    let told = lar.ask("apply --dry-run").expect(0).out;
    assert!(told.contains("web: socket web is another one (restart)"), "{told}");
    assert!(path.exists());
    lar.ask("apply").expect(0);
    assert!(!path.exists(), "nobody listens there any more");
    assert_ne!(Client::unix(&lar.dir.at("new")).answer(), old.as_raw());
    assert_eq!(lar.pid_of("other"), other, "what did not change was left alone");
    // A bad one changes nothing.
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    rewrite(&lar, &web(&format!("tcp {}", busy.local_addr().unwrap()), ""));
    let answer = lar.ask("apply").expect(1);
    assert!(answer.err.contains("Address already in use; nothing was changed"), "{answer:?}");
    Client::unix(&lar.dir.at("new")).answer();
    // All of it goes.
    rewrite(&lar, "<service idle>\n program sleep 1000\n</service>\n");
    lar.ask("apply").expect(0);
    assert!(!lar.dir.at("new").exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "closed with its last service");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_service_is_added_with_its_socket_and_both_go_together() {
    let mut lar = start("<service idle>\n program sleep 1000\n</service>\n", |_| {});
    let path = lar.dir.at("late");
    let text = "<socket late>\n listen unix {dir}/late\n</socket>\n\
                <service late>\n program {server} serve\n sockets late\n start on-demand\n</service>\n";
    let file = lar.dir.write("late.conf", &scene::filled(&lar.dir, text));
    let line = format!("exec {} ctl -s {{dir}}/s add - <{}", lar::LAR, file.display());
    let line = lar.dir.fill(&line);
    lar::answer(std::process::Command::new("bash").arg("-c").arg(line)).expect(0);
    Client::unix(&path).answer();
    lar.ask("apply").expect(0);
    Client::unix(&path).answer();
    lar.ask("remove late").expect(0);
    assert!(!path.exists());
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn what_cannot_be_opened_is_named_and_nothing_is_started() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = Scratch::new();
    let alive = UnixListener::bind(dir.at("alive")).unwrap();
    fs::write(dir.at("file"), "mine").unwrap();
    let cases = [
        (format!("tcp {}", busy.local_addr().unwrap()), "Address already in use"),
        ("tcp 203.0.113.1:7".into(), "Cannot assign requested address"),
        ("unix {dir}/alive".into(), "somebody listens there already"),
        ("unix {dir}/file".into(), "what is there is not a socket"),
        ("unix {dir}/no/such".into(), "No such file or directory"),
    ];
    for (listen, why) in cases {
        let said = refused(&dir, &listen, "exec");
        assert!(said.contains("lar: socket web: can't listen on"), "{said}");
        assert!(said.contains(why) && said.contains("; nothing was started"), "{listen}: {said}");
    }
    let said = refused(&dir, "unix {dir}/new", "ulimit -n 8; exec");
    assert!(said.contains("Too many open files"), "{said}");
    assert_eq!(dir.read("file"), "mine");
    drop(alive);
}

#[test]
fn a_unix_socket_has_its_mode_and_owner_and_replaces_one_that_is_dead() {
    let dir = Scratch::new();
    drop(UnixListener::bind(dir.at("web")).unwrap());
    let owner = if root() { "mode 0640\nuser 65534\ngroup 65534\n" } else { "mode 0640\n" };
    let mut lar = Lar::run_in(
        dir,
        "",
        &format!(
            "<socket web>\n listen unix {{dir}}/web\n{owner}</socket>\n\
             <socket open>\n listen unix {{dir}}/open\n</socket>\n\
             <service web>\n program sleep 1000\n sockets web open\n</service>\n"
        ),
        |_| {},
    );
    let found = fs::metadata(lar.dir.at("web")).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o640);
    if root() {
        assert_eq!((found.uid(), found.gid()), (65534, 65534));
    }
    let open = lar.dir.at("open");
    assert_eq!(fs::metadata(&open).unwrap().mode() & 0o777, 0o666);
    // What stands in its place at the end is somebody else's.
    fs::remove_file(&open).unwrap();
    fs::write(&open, "not lar's").unwrap();
    assert_eq!(lar.shut_down(), 0);
    assert!(!lar.dir.at("web").exists());
    assert_eq!(lar.dir.read("open"), "not lar's");
}

#[test]
fn fds_that_lar_was_given_go_to_the_services_that_name_them() {
    let dir = Scratch::new();
    dir.write("words", "first\nsecond\n");
    let config = "<socket web>\n listen unix {dir}/web\n</socket>\n\
                  <service a>\n shell yes\n prefix no\n pass-fds 7\n sockets web\n \
                  program read line <&7; echo got $line; ls -C /proc/$$/fd; exec sleep 1000\n</service>\n\
                  <service b>\n shell yes\n prefix no\n after a\n \
                  program ls -C /proc/$$/fd; echo none; exec sleep 1000\n</service>\n";
    let line = "exec 7<{dir}/words 8<{dir}/words; exec";
    let mut lar = shell(dir, config, line);
    let mut lines: Vec<String> = (0..4).map(|_| lar.out.next().unwrap()).collect();
    lines.sort();
    assert_eq!(lines, ["0  1  2", "0  1  2  3  7", "got first", "none"]);
    // It is there for the next process, too, and for a service that comes later.
    lar.ask("restart a").expect(0);
    lar.out.until("got second");
    let more = config.replace("after a", "pass-fds 7");
    rewrite(&lar, &more);
    lar.ask("apply").expect(0);
    lar.out.until("0  1  2  7");
    rewrite(&lar, &config.replace("after a", "pass-fds 8"));
    let answer = lar.ask("apply").expect(1);
    assert!(answer.err.contains("fd 8 is not open"), "{answer:?}");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn an_fd_that_lar_was_not_given_keeps_it_from_starting() {
    let dir = Scratch::new();
    let config = "<service a>\n program sleep 1\n pass-fds 9\n</service>\n";
    let file = dir.write("lar.conf", config);
    let answer = lar::answer(std::process::Command::new(lar::LAR).arg("-C").arg(file)).expect(1);
    assert!(answer.err.contains("pass-fds 9: lar was not given such an fd"), "{answer:?}");
}
