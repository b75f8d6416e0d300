//! The control server against bad input, slow and silent clients, and full tables: the rule is
//! that the one who does it is told, and nobody else notices.

#[path = "ctl/world.rs"]
mod world;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use lar::ctl::protocol::MAX_REQUEST;
use lar::ctl::server::{BindError, CLIENTS, Server};
use lar::plan::{Access, Allow, Settings, Who};
use lar::time::{Duration, Instant};
use mio::Poll;
use world::{Directory, FIRST, World, service};

fn one() -> World {
    World::new(vec![service("web", &[])])
}

#[test]
fn bad_requests_get_an_error_and_the_connection_goes_on() {
    let long = "x".repeat(MAX_REQUEST + 10_000);
    let much = format!("lar1 status {long}\n");
    let cases: [(&[u8], &str); 11] = [
        (b"status\n", "error code=protocol message=\"a request starts with `lar1`\""),
        (b"lar2 status\n", "error code=protocol"),
        (b"GET / HTTP/1.1\r\n", "error code=protocol"),
        (b"lar1\n", "error code=usage message=\"no verb\""),
        (
            b"lar1 statsu\n",
            "error code=usage message=\"no verb is called statsu; did you mean status?\"",
        ),
        (b"lar1 'web\n", "error code=usage"),
        (b"lar1 stop --forced web\n", "error code=usage"),
        (b"lar1 wait web=upwards\n", "error code=usage"),
        (b"lar1 status \xff\xfe\n", "error code=protocol message=\"a request is UTF-8\""),
        (b"lar1 status \0\n", "error code=unknown-status"),
        (much.as_bytes(), "error code=protocol message=\"a request has at most 65536 bytes\""),
    ];
    let mut world = one();
    let mut client = world.client();
    for (bytes, wanted) in cases {
        // In pieces, because the socket does not take the long one at once.
        for piece in bytes.chunks(32 * 1024) {
            std::io::Write::write_all(&mut client.stream, piece).unwrap();
            world.turns();
        }
        let line = client.reply(&mut world).pop().unwrap();
        assert!(line.starts_with(wanted), "{line}");
        client.send("lar1 ping\n");
        assert_eq!(client.reply(&mut world).len(), 2, "after {line}");
    }
}

#[test]
fn the_longest_request_is_understood() {
    let mut world = one();
    let mut client = world.client();
    let names = "web ".repeat((MAX_REQUEST - 13) / 4);
    let request = format!("lar1 status {names}");
    let request = format!("{request:<0$}\n", MAX_REQUEST - 1);
    assert_eq!(request.len(), MAX_REQUEST);
    client.send(&request);
    assert_eq!(client.reply(&mut world).len(), 2);
}

#[test]
fn requests_on_one_connection_are_answered_in_order_however_they_are_cut() {
    let mut world = one();
    let text = "lar1 ping\nlar1 nonsense\n\nlar1 restart web\r\nlar1 status web\nlar1 version\n";
    for size in [1, 7, text.len()] {
        let mut client = world.client();
        for piece in text.as_bytes().chunks(size) {
            client.send(std::str::from_utf8(piece).unwrap());
            world.turns();
        }
        let firsts = ["pong", "error code=usage", "name=web", "name=web", "version"];
        for first in firsts {
            let reply = client.reply(&mut world);
            assert!(reply[0].starts_with(first), "{size}: {reply:?}");
        }
    }
}

#[test]
fn a_request_without_an_end_is_told_so_when_the_client_half_closes() {
    let mut world = one();
    let mut client = world.client();
    client.send("lar1 stop we");
    world.turns();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let reply = client.reply(&mut world);
    assert_eq!(reply, ["error code=protocol message=\"the request has no end\""]);
    world.turns();
    client.read();
    assert!(client.closed);
    assert_eq!(world.processes.len(), 1);
}

#[test]
fn what_was_asked_is_done_even_if_the_client_does_not_wait() {
    let mut world = one();
    let mut client = world.client();
    client.send("lar1 stop web\n");
    drop(client);
    world.turns();
    assert!(world.processes.is_empty());
    assert!(!world.server.busy());
    assert_eq!(world.server.next_deadline(), None, "nobody is waited for any more");
}

#[test]
fn the_client_after_the_last_is_told_and_a_place_that_gets_free_is_used() {
    let mut world = one();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| world.accepted()).collect();
    world.turns();
    let mut more = world.client();
    assert_eq!(more.reply(&mut world), ["error code=failed message=\"too many clients\""]);
    more.read();
    assert!(more.closed);
    clients.pop();
    world.turns();
    assert_eq!(world.ask("ping").len(), 2);
    for client in &mut clients {
        client.send("lar1 ping\n");
        assert_eq!(client.reply(&mut world).len(), 2);
    }
}

/// The value of a field of a record.
fn number(line: &str, key: &str) -> Option<u64> {
    let field = line.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
    field?.parse().ok()
}

#[test]
fn a_subscriber_that_does_not_read_is_told_what_it_missed_and_nobody_waits_for_it() {
    let mut world = one();
    let mut slow = world.client();
    slow.send("lar1 events\n");
    world.turns();
    for _ in 0..2000 {
        world.ask("restart web"); // answered each time, whatever the subscriber does
    }
    assert!(!world.server.busy());
    assert_eq!(world.server.next_deadline(), None, "it costs no turn");
    let mut lines = Vec::new();
    loop {
        let more = slow.lines(&mut world);
        if more.is_empty() {
            break;
        }
        lines.extend(more);
    }
    assert!(!slow.closed, "it goes on");
    let mut due = number(&lines[0], "seq").unwrap();
    let mut lost = 0;
    for line in &lines {
        assert_eq!(number(line, "seq"), Some(due), "{line}");
        let gap = number(line, "lost");
        assert_eq!(gap.is_some(), line.contains(" event=gap "), "{line}");
        due += gap.unwrap_or(1);
        lost += gap.unwrap_or(0);
    }
    assert_eq!(due, world.journal.next(), "nothing is missing that was not counted");
    assert!(lost > 1000, "{lost}");
    world.ask("restart web");
    assert!(!slow.lines(&mut world).is_empty(), "it hears what comes");
}

#[test]
fn a_reader_goes_on_where_it_was_and_learns_what_is_not_kept_any_more() {
    let mut world = one();
    let since = |world: &mut World, seq: u64| {
        let mut client = world.client();
        client.send(&format!("lar1 events --since={seq}\n"));
        client.lines(world)
    };
    let next = world.journal.next();
    assert_eq!(since(&mut world, next), [""; 0]);
    world.ask("restart web");
    let all = since(&mut world, 0);
    assert_eq!(number(&all[0], "seq"), Some(0));
    let some = since(&mut world, next);
    assert_eq!(number(&some[0], "seq"), Some(next));
    assert_eq!(some.len(), all.len() - next as usize);
    for _ in 0..200 {
        world.ask("restart web");
    }
    let (oldest, later) = (world.journal.oldest(), world.journal.next() + 1);
    let first = since(&mut world, 3).remove(0);
    assert_eq!((number(&first, "seq"), number(&first, "lost")), (Some(3), Some(oldest - 3)));
    let answer = world.ask(&format!("events --since={later}"));
    assert!(answer[0].starts_with("error code=failed message=\"there is no event"), "{answer:?}");
    for wrong in
        ["events --since=1 -n1", "events --since=x", "events --kind=none", "events --kind="]
    {
        let answer = world.ask(wrong);
        assert!(answer[0].starts_with("error code=usage "), "{answer:?}");
    }
    let near = world.ask("events --kind=spawned,exitd");
    assert!(near[0].contains("did you mean exited?"), "{near:?}");
}

#[test]
fn a_reply_longer_than_every_buffer_comes_whole_to_a_reader_that_takes_its_time() {
    let names: Vec<_> = (0..3000).map(|at| service(&format!("service-{at}"), &[])).collect();
    let mut world = World::new(names);
    let mut client = world.client();
    client.send("lar1 status\n");
    world.turns();
    world.turns();
    assert!(!world.server.busy(), "it waits for the reader");
    assert_eq!(world.ask("ping").len(), 2, "others do not");
    let reply = client.reply(&mut world);
    assert_eq!(reply.len(), 3001);
    assert!(reply[2999].starts_with("name=service-2999 "));
}

#[test]
fn silent_and_idle_clients_cost_no_turn() {
    let mut world = one();
    let _silent = world.client();
    let mut half = world.client();
    half.send("lar1 sta");
    world.turns();
    assert!(!world.server.busy());
    assert_eq!(world.server.next_deadline(), None);
}

fn serve(settings: &Settings) -> Result<(Server, Poll), BindError> {
    let poll = Poll::new().unwrap();
    Server::new(settings, None, poll.registry(), FIRST, Instant::ZERO).map(|server| (server, poll))
}

#[test]
fn a_second_manager_is_kept_away_and_told_where_the_first_is() {
    let world = one();
    let settings = Settings { socket: Some(world.directory.socket()), ..Settings::default() };
    let error = serve(&settings).map(drop).unwrap_err();
    assert!(matches!(error, BindError::Taken(_)));
    assert!(error.to_string().contains(&world.directory.socket()), "{error}");
    let name = format!("@lar-test-{}", std::process::id());
    let settings = Settings { socket: Some(name), ..Settings::default() };
    let first = serve(&settings).unwrap();
    assert!(matches!(serve(&settings), Err(BindError::Taken(_))));
    drop(first);
    serve(&settings).unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_the_own_one_removed_at_the_end() {
    let directory = Directory::new();
    let path = directory.socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    let settings =
        Settings { socket: Some(path.clone()), socket_mode: 0o640, ..Settings::default() };
    let served = serve(&settings).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    drop(served);
    assert!(std::fs::symlink_metadata(&path).is_err());
}

#[test]
fn whoever_is_allowed_something_can_connect() {
    let directory = Directory::new();
    let path = directory.socket();
    let allow = vec![Allow { level: Access::View, who: Who::User(12345) }];
    let settings = Settings { socket: Some(path.clone()), allow, ..Settings::default() };
    let _served = serve(&settings).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn what_is_no_socket_is_never_removed_and_the_manager_lives_on_and_tries_again() {
    let directory = Directory::new();
    let path = directory.socket();
    std::fs::write(&path, "precious").unwrap();
    let settings = Settings { socket: Some(path.clone()), ..Settings::default() };
    let mut world = World::with(vec![service("web", &[])], settings);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert!(world.server.place().is_none());
    assert!(!world.server.busy());
    let first = world.server.next_deadline().unwrap();
    assert!(first > world.now);
    world.now = first;
    world.turns();
    assert!(world.server.place().is_none());
    let second = world.server.next_deadline().unwrap();
    assert!(second.since(world.now) > first.since(Instant::from_nanos(1_000_000_000)) / 2);
    std::fs::remove_file(&path).unwrap();
    world.now = second;
    world.turns();
    assert!(world.server.place().is_some());
    assert_eq!(world.ask("ping").len(), 2);
}

#[test]
fn a_place_that_can_not_be_written_is_a_warning() {
    let settings =
        Settings { socket: Some("/proc/nowhere/lar.sock".to_owned()), ..Settings::default() };
    let (server, _poll) = serve(&settings).unwrap();
    assert!(server.place().is_none());
    assert!(server.next_deadline().is_some());
}

/// The server must not be slowed by anybody: a rough bound that only a loop or a block can break.
#[test]
fn thousands_of_bad_requests_are_answered_in_no_time() {
    let mut world = one();
    let mut client = world.client();
    let begun = StdInstant::now();
    for _ in 0..200 {
        client.send(&"lar1 x\n".repeat(50));
        for _ in 0..50 {
            client.reply(&mut world);
        }
    }
    assert!(begun.elapsed() < StdDuration::from_secs(30));
}

/// Not a test of its own: the client of the next one, run as somebody else.
#[test]
fn the_client_who_is_somebody_else() {
    use std::io::{Read, Write};
    let Ok(path) = std::env::var("LAR_TEST_SOCKET") else { return };
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    // Who is not let in may find the connection closed before, in between, or after.
    let words = b"lar1 ping\nlar1 stop web\nlar1 loglevel\nlar1 loglevel debug\nlar1 config\n";
    let _ = stream.write_all(words);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    std::fs::write(std::env::var("LAR_TEST_REPLY").unwrap(), text).unwrap();
}

#[test]
fn the_credentials_decide_each_verb() {
    use std::os::unix::process::CommandExt;
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let ask = |level: Option<Access>| {
        // A user who is allowed something, and one who is only let in.
        let allow = level.map(|level| Allow { level, who: Who::User(65534) });
        let settings = Settings {
            allow: allow.into_iter().collect(),
            socket_mode: 0o666,
            ..Settings::default()
        };
        let mut world = World::with(vec![service("web", &[])], settings);
        let directory = world.directory.0.clone();
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
        let reply = directory.join("reply");
        // A copy, because the directory of this binary may be closed to others.
        let binary = directory.join("client");
        std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
        let mut client = std::process::Command::new(&binary)
            .args(["--exact", "the_client_who_is_somebody_else"])
            .env("LAR_TEST_SOCKET", world.directory.socket())
            .env("LAR_TEST_REPLY", &reply)
            .stdout(std::process::Stdio::null())
            .uid(65534)
            .gid(65534)
            .spawn()
            .unwrap();
        let begun = StdInstant::now();
        while client.try_wait().unwrap().is_none() {
            world.turn_after(Duration::from_millis(5));
            assert!(begun.elapsed() < StdDuration::from_secs(30));
        }
        std::fs::read_to_string(reply).unwrap()
    };
    let refused = |verb: &str| {
        format!("error code=not-permitted message=\"you are not permitted to {verb}\"\n")
    };
    let (pong, level) = ("pong=yes pid=1\nok\n", "level=info\nok\n");
    let (no_stop, no_level) = (refused("stop"), refused("loglevel") + &refused("config"));
    let nothing = "error code=not-permitted message=\"nothing is permitted to you here\"\n";
    assert_eq!(ask(None), nothing);
    assert_eq!(ask(Some(Access::View)), [pong, &no_stop, level, &no_level].concat());
    let stopped = ask(Some(Access::Operate));
    assert!(stopped.contains("state=stopped") && stopped.ends_with(&no_level), "{stopped}");
    assert!(ask(Some(Access::Admin)).contains("ok\nlevel=info\nok\nok\n"));
}
