//! The control server over real sockets, with the real core above and no kernel below: see
//! `ctl/world.rs`.

#[path = "ctl/world.rs"]
mod world;

use lar::ctl::server::{CLIENTS, Order};
use lar::exit::ExitStatus;
use lar::plan::{Kind, Level, Process};
use lar::signal::Signal;
use lar::time::Duration;
use world::{World, service};

/// web requires db; two instances of shop:api; mail stands alone and is not started.
fn town() -> World {
    let mut api = service("shop:api", &[]);
    api.processes.push(Process { argv: vec!["/bin/api".into()], ..Process::default() });
    let mut mail = service("mail", &[]);
    mail.start = lar::plan::Start::Manual;
    World::new(vec![service("db", &[]), service("web", &[0]), api, mail])
}

fn field<'a>(line: &'a str, key: &str) -> &'a str {
    let start = line.find(&format!("{key}=")).unwrap_or_else(|| panic!("no {key} in {line}"));
    let rest = &line[start + key.len() + 1..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => rest.split(' ').next().unwrap(),
    }
}

#[test]
fn status_tells_of_all_and_of_named_ones() {
    let mut world = town();
    let lines = world.ask("status");
    let names: Vec<_> = lines[..5].iter().map(|line| field(line, "name")).collect();
    assert_eq!(names, ["db", "web", "shop:api@1", "shop:api@2", "mail"]);
    assert_eq!(lines[5], "ok");
    assert_eq!(field(&lines[0], "state"), "running");
    assert_eq!(field(&lines[3], "group"), "shop");
    assert_eq!(field(&lines[4], "wanted"), "down");
    assert_eq!(world.ask("status web 'shop:*'").len(), 4);
    assert_eq!(field(&world.ask("status SHOP:API@2")[0], "name"), "shop:api@2");
    let verdict = world.verdict("status mail");
    assert_eq!(verdict, "error code=not-running message=\"mail is stopped\"");
    let verdict = world.verdict("status wbe");
    assert!(verdict.starts_with("error code=unknown-status"), "{verdict}");
    assert!(verdict.contains("did you mean web?"), "{verdict}");
}

#[test]
fn an_unknown_name_is_an_error_and_nothing_is_done() {
    let mut world = town();
    for request in
        ["stop web nobody", "start nobody", "kill nobody", "restart shop:api@3", "logs x:*"]
    {
        let lines = world.ask(request);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("error code=unknown-service"), "{lines:?}");
    }
    assert_eq!(world.verdict("status web"), "ok");
}

#[test]
fn a_start_is_answered_when_it_is_done() {
    let mut world = town();
    let lines = world.ask("start mail");
    assert_eq!(field(&lines[0], "state"), "running");
    assert_eq!(lines[1], "ok");
    assert_eq!(world.ask("start mail")[1], "ok", "what runs is started");
    let strict = world.verdict("start --strict mail");
    assert_eq!(strict, "error code=already message=\"mail is already running\"");
}

#[test]
fn a_start_that_fails_says_why_when_it_is_tried_again_and_what_it_wrote() {
    let mut world = town();
    world.broken.insert("mail".into());
    world.print("mail", "one\ntwo\nthree\nfour\nfive\nsix\n");
    let lines = world.ask("start mail");
    assert_eq!(field(&lines[0], "state"), "backoff");
    let output: Vec<_> = lines[1..6].iter().map(|line| field(line, "text")).collect();
    assert_eq!(output, ["two", "three", "four", "five", "six"]);
    let verdict = lines.last().unwrap();
    assert!(
        verdict.starts_with("error code=start-failed message=\"mail: backoff: exec"),
        "{verdict}"
    );
    assert!(verdict.contains("next try in "), "{verdict}");
}

#[test]
fn a_one_shot_is_started_when_it_has_done_its_work() {
    let mut migrate = service("migrate", &[]);
    migrate.kind = Kind::Oneshot;
    migrate.start = lar::plan::Start::Manual;
    migrate.rules.restart = lar::plan::Restart::Never;
    let mut world = World::new(vec![migrate]);
    let mut client = world.client();
    client.send("lar1 start migrate\n");
    assert!(client.lines(&mut world).is_empty());
    world.die("migrate", ExitStatus::SUCCESS);
    assert_eq!(client.reply(&mut world)[1], "ok");
    assert_eq!(world.verdict("status migrate"), "ok");
    client.send("lar1 restart migrate\n");
    assert!(client.lines(&mut world).is_empty(), "the last exit does not count");
    world.die("migrate", ExitStatus::Code(3));
    let lines = client.reply(&mut world);
    assert_eq!(field(&lines[0], "last_exit"), "exit status 3");
    assert!(lines[1].starts_with("error code=start-failed"), "{lines:?}");
}

#[test]
fn a_stop_is_answered_when_nothing_is_left() {
    let mut world = town();
    world.deaf = true;
    let mut client = world.client();
    client.send("lar1 stop web\n");
    assert!(client.lines(&mut world).is_empty());
    world.advance(Duration::from_secs(9));
    assert!(client.lines(&mut world).is_empty());
    world.advance(Duration::from_secs(2));
    let lines = client.reply(&mut world);
    assert_eq!((field(&lines[0], "state"), lines[1].as_str()), ("stopped", "ok"));
    assert_eq!(world.verdict("stop web"), "ok", "what is stopped is stopped");
    world.verdict("start web");
    let mut client = world.client();
    client.send("lar1 stop --strict web\n");
    assert!(client.lines(&mut world).is_empty());
    world.advance(Duration::from_secs(11));
    let verdict = client.reply(&mut world).pop().unwrap();
    assert!(verdict.starts_with("error code=forced"), "{verdict}");
}

#[test]
fn a_stop_is_superseded_by_the_start_of_who_requires_it() {
    let mut world = World::new(vec![service("db", &[]), service("web", &[0])]);
    world.verdict("stop web");
    world.deaf = true;
    let mut stopper = world.client();
    stopper.send("lar1 stop db\n");
    world.turns();
    assert!(stopper.lines(&mut world).is_empty(), "it waits for the end of the process");
    assert_eq!(world.ask("start --no-wait web"), ["ok"]);
    let verdict = stopper.reply(&mut world).pop().unwrap();
    assert_eq!(verdict, "error code=superseded message=\"db: a later order starts it\"");
}

#[test]
fn a_stop_that_would_break_others_is_refused_unless_they_go_too() {
    let mut world = town();
    let verdict = world.verdict("stop db");
    assert!(
        verdict.starts_with("error code=refused message=\"db is required by web;"),
        "{verdict}"
    );
    assert_eq!(world.verdict("status db web"), "ok");
    assert_eq!(world.verdict("stop db web"), "ok");
    assert_eq!(world.verdict("start web"), "ok");
    assert_eq!(world.verdict("status db"), "ok", "what it requires was started with it");
    let lines = world.ask("stop --with-dependents db");
    let names: Vec<_> = lines[..2].iter().map(|line| field(line, "name")).collect();
    assert_eq!(names, ["db", "web"]);
    assert_eq!(world.verdict("status web"), "error code=not-running message=\"web is stopped\"");
    world.verdict("start web");
    assert_eq!(world.verdict("stop --force db"), "ok");
    assert_eq!(world.verdict("status web"), "ok");
}

#[test]
fn a_later_stop_supersedes_a_start_that_waits() {
    let mut slow = service("slow", &[]);
    slow.processes[0].ready = Some(lar::plan::Probe::Notify);
    slow.start = lar::plan::Start::Manual;
    let mut world = World::new(vec![slow]);
    let mut first = world.client();
    first.send("lar1 start slow\n");
    assert!(first.lines(&mut world).is_empty());
    assert_eq!(world.verdict("stop slow"), "ok");
    let verdict = first.reply(&mut world).pop().unwrap();
    assert_eq!(verdict, "error code=superseded message=\"slow: a later order stops it\"");
}

#[test]
fn a_timeout_ends_the_waiting_and_not_the_work() {
    let mut slow = service("slow", &[]);
    slow.processes[0].ready = Some(lar::plan::Probe::Notify);
    slow.start = lar::plan::Start::Manual;
    let mut world = World::new(vec![slow]);
    let mut client = world.client();
    client.send("lar1 start --timeout 2s slow\n");
    assert!(client.lines(&mut world).is_empty());
    let deadline = world.server.next_deadline().unwrap();
    assert!(deadline.since(world.now) > Duration::from_millis(1900));
    world.advance(Duration::from_secs(2));
    let verdict = client.reply(&mut world).pop().unwrap();
    assert!(verdict.starts_with("error code=timed-out"), "{verdict}");
    let instance = world.id("slow");
    client.send("lar1 wait slow=up\n");
    assert!(client.lines(&mut world).is_empty());
    world.handle(lar::supervisor::Event::Told { instance, what: lar::supervisor::Told::Ready });
    assert_eq!(client.reply(&mut world).pop().unwrap(), "ok");
}

#[test]
fn no_wait_answers_at_once() {
    let mut world = town();
    world.deaf = true;
    assert_eq!(world.ask("stop --no-wait web"), ["ok"]);
    assert_eq!(field(&world.ask("status web")[0], "state"), "stopping");
}

#[test]
fn signals_go_only_to_what_runs_and_reload_only_where_it_is_configured() {
    let mut reloads = service("nginx", &[]);
    reloads.reload = Some(Signal::TERM);
    let mut world = World::new(vec![reloads, service("plain", &[])]);
    assert_eq!(world.ask("reload nginx"), ["ok"]);
    assert!(world.supervisor.instance(world.id("nginx")).last_exit.is_some(), "the signal came");
    let verdict = world.verdict("reload plain");
    assert_eq!(
        verdict,
        "error code=failed message=\"plain: no reload signal or command is configured\""
    );
    assert_eq!(world.ask("kill KILL plain"), ["ok"]);
    world.verdict("stop plain");
    let verdict = world.verdict("kill plain");
    assert!(verdict.starts_with("error code=not-running"), "{verdict}");
}

#[test]
fn the_loop_is_asked_for_what_only_it_can_do_and_answers() {
    let mut world = town();
    let verdict = world.verdict("reopen");
    assert_eq!(verdict, "error code=failed message=\"/var/log: no such directory\"");
    assert_eq!(world.ask("loglevel debug"), ["ok"]);
    assert_eq!(world.orders, [Order::Reopen, Order::LogLevel(Level::Debug)]);
    assert_eq!(world.ask("loglevel"), ["level=info", "ok"]);
}

#[test]
fn the_verbs_that_only_look_look() {
    let mut world = town();
    assert_eq!(world.ask("ping"), ["pong=yes pid=1", "ok"]);
    assert!(world.ask("version")[0].contains("config=/etc/lar.conf"));
    assert_eq!(world.ask("list").len(), 5);
    assert_eq!(world.ask("list 'shop:*'")[0], "name=shop:api group=shop type=simple instances=2");
    assert_eq!(world.ask("tree web")[0], "name=web state=running requires=db");
    assert_eq!(world.ask("health"), ["healthy=yes up=4 wanted=4", "ok"]);
    let pid = world.supervisor.instance(world.id("web")).pid.unwrap();
    assert_eq!(world.ask("pid web"), [format!("name=web pid={pid}"), "ok".into()]);
    assert!(world.verdict("pid mail").starts_with("error code=not-running"));
    assert_eq!(world.ask("pid")[0], "name=lar pid=1");
    let config = world.ask("config");
    assert_eq!(config[0], "line=<lar>");
    assert_eq!(config[1], "line=\"service 0\"");
    assert_eq!(config.len(), 1 + 4 * (1 + 3) + 1, "long lines come in parts");
}

#[test]
fn health_and_why_tell_what_has_happened() {
    let mut world = town();
    world.die("web", ExitStatus::Code(1));
    let verdict = world.verdict("health");
    assert!(
        verdict.starts_with("error code=failed message=\"web: backoff: exit status 1"),
        "{verdict}"
    );
    let lines = world.ask("why web");
    let went: Vec<_> = lines[..lines.len() - 2].iter().map(|line| field(line, "to")).collect();
    assert_eq!(went.last(), Some(&"backoff"), "{lines:?}");
    assert_eq!(field(&lines[lines.len() - 2], "state"), "backoff");
}

#[test]
fn logs_come_from_the_ring_and_go_on() {
    let mut world = town();
    world.print("web", "hello\nwor");
    assert_eq!(world.ask("logs web"), ["name=web text=hello", "name=web text=wor part=yes", "ok"]);
    assert_eq!(world.ask("logs -n 1 web"), ["name=web text=wor part=yes", "ok"]);
    let mut client = world.client();
    client.send("lar1 logs -f web db\n");
    assert_eq!(client.lines(&mut world), ["name=web text=hello"]);
    world.print("web", "ld\n");
    world.print("db", "\x1b[31mred\n");
    let lines = client.lines(&mut world);
    assert_eq!(lines, ["name=db text=\"\\x1b[31mred\"", "name=web text=world"]);
    world.rings[0] = None;
    assert!(world.verdict("logs db").starts_with("error code=failed"));
}

#[test]
fn events_go_on_after_a_half_close_until_the_client_leaves() {
    let mut world = town();
    let mut client = world.client();
    client.send("lar1 events web\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.lines(&mut world).is_empty());
    world.verdict("restart db");
    assert!(client.lines(&mut world).is_empty(), "only what was asked for");
    world.verdict("restart web");
    let lines = client.lines(&mut world);
    let went: Vec<_> = lines.iter().map(|line| field(line, "to")).collect();
    assert_eq!(went, ["stopping", "starting", "running"], "{lines:?}");
    let mut replay = world.client();
    replay.send("lar1 events -n 2 web\n");
    let again = replay.lines(&mut world);
    let seqs =
        |lines: &[String]| lines.iter().map(|l| field(l, "seq").to_owned()).collect::<Vec<_>>();
    assert_eq!(seqs(&again), seqs(&lines[1..]));
    drop(client);
    drop(replay);
    world.turns();
    assert!(!world.server.busy());
    let clients: Vec<_> = (0..CLIENTS).map(|_| world.accepted()).collect();
    world.turns();
    assert_eq!(clients.len(), CLIENTS);
    let mut last = world.client();
    let refusal = "error code=failed message=\"too many clients\"";
    assert_eq!(last.reply(&mut world), [refusal], "the two that left had freed their places");
}

#[test]
fn changes_are_shown_while_a_client_waits_if_it_asks_for_them() {
    let mut world = town();
    let lines = world.ask("restart --progress web");
    let (changes, rest) = lines.split_at(lines.len() - 2);
    assert!(changes.iter().all(|line| line.starts_with("seq=")), "{lines:?}");
    assert_eq!(changes.len(), 3, "{lines:?}");
    assert_eq!((field(&rest[0], "state"), rest[1].as_str()), ("running", "ok"));
}

#[test]
fn shutdown_is_acknowledged_and_then_everything_stops() {
    let mut world = town();
    let mut client = world.client();
    client.send("lar1 shutdown\n");
    assert_eq!(client.reply(&mut world), ["ok"]);
    assert!(world.supervisor.shutting_down());
    assert!(world.processes.is_empty());
    client.read();
    assert!(!client.closed, "only the manager's end closes it");
    let verdict = world.verdict("start web");
    assert!(verdict.starts_with("error code=refused"), "{verdict}");
}
