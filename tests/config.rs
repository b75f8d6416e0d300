//! Reading a configuration, from outside: the files in `tests/config` with all their messages, what a plan
//! must hold, and that no bytes make it panic.

use std::fmt::Write as _;

use lar::config::{self, Reading, Severity, keys, print};
use lar::plan::*;
use lar::signal::Signal;
use lar::time::Duration;
use lar::transcript::time;

#[path = "config/model.rs"]
mod model;
use model::Model;

fn read(text: &str) -> Reading {
    config::read("lar.conf", text.as_bytes(), &Model::default())
}

/// The plan of a text without errors.
fn plan(text: &str) -> Plan {
    plan_in(&Model::default(), text)
}

fn plan_in(world: &Model, text: &str) -> Plan {
    let mut reading = config::read("lar.conf", text.as_bytes(), world);
    reading.plan.take().unwrap_or_else(|| panic!("{text}\n{}", shown(&reading)))
}

fn shown(reading: &Reading) -> String {
    reading.diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

/// The only service of a text that holds these keys.
fn service(keys: &str) -> Service {
    let text = format!("<service a>\nprogram true\n{keys}\n</service>\n");
    plan(&text).services.swap_remove(0)
}

/// What is said about a service that holds these keys.
fn said(keys: &str) -> String {
    shown(&read(&format!("<service a>\nprogram true\n{keys}\n</service>\n")))
}

/// The files in `tests/config`, by name.
fn samples() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    paths.sort();
    paths
}

/// Every file in `tests/config` gives exactly the text beside it. To write these anew: `LAR_BLESS=1`.
#[test]
fn files_give_the_messages_and_plans_beside_them() {
    let world = Model::with(&[
        ("conf.d/a.conf", "<service extra>\n  program true\n</service>\n"),
        ("conf.d/b.conf", "<service other>\n  progam true\n</service>\n"),
        ("self.conf", "%include self.conf\n"),
    ]);
    assert!(samples().len() >= 6);
    for path in samples() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let reading = config::read(&name, &std::fs::read(&path).unwrap(), &world);
        let mut text = shown(&reading);
        if let Some(plan) = &reading.plan {
            for id in plan.ids() {
                let _ = writeln!(
                    text,
                    "{}",
                    print::lines(plan.service(id), &|id| plan.service(id).name.clone()).join("\n")
                );
            }
            let _ = writeln!(text, "{:#?}\n{:#?}", plan.settings, plan.event_log);
        }
        let beside = path.with_extension("out");
        if std::env::var_os("LAR_BLESS").is_some() {
            std::fs::write(&beside, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&beside).unwrap_or_default(), "{name}");
    }
}

#[test]
fn nothing_said_means_the_defaults_of_the_design() {
    let process = Process { argv: vec!["true".into()], ..Process::default() };
    let expected = Service { name: "a".into(), processes: vec![process], ..Service::default() };
    assert_eq!(service(""), expected);
}

/// A file in which `line` stands in a section of this kind.
fn around(key: &keys::Key, line: &str) -> String {
    let own_program = key.name == "program" && !line.is_empty();
    let program = if own_program { "" } else { "program true" };
    let service = "<service other>\nprogram true\n</service>\n";
    match key.kind {
        keys::Kind::Service => {
            let socket = "<socket web>\nlisten tcp *:80\n</socket>";
            format!("{socket}\n{service}<service a>\n{program}\n{line}\n</service>")
        }
        keys::Kind::Limits => {
            format!("<service a>\nprogram true\n<limits>\n{line}\n</limits>\n</service>")
        }
        keys::Kind::Socket => {
            let own = if key.name == "listen" && !line.is_empty() { "" } else { "listen unix /s" };
            format!(
                "<socket a>\n{own}\n{line}\n</socket>\n<service a>\nprogram true\nsockets a\n</service>"
            )
        }
        keys::Kind::Lar => format!("{service}<lar>\n{line}\n</lar>"),
        keys::Kind::On => {
            let command =
                if key.name == "command" && !line.is_empty() { "" } else { "command true" };
            format!("{service}<on exited>\n{command}\n{line}\n</on>")
        }
        keys::Kind::Runner => format!("<runner>\n{program}\n{line}\n</runner>"),
        keys::Kind::EventLog => format!("{service}<eventlog>\n{line}\n</eventlog>"),
        keys::Kind::LogFile => {
            let path = if line.starts_with("path") { "" } else { "path /lars.log" };
            format!("{service}<eventlog>\n<logfile>\n{path}\n{line}\n</logfile>\n</eventlog>")
        }
        keys::Kind::Syslog => {
            format!("{service}<eventlog>\n<syslog>\n{line}\n</syslog>\n</eventlog>")
        }
    }
}

#[test]
fn every_key_of_the_table_does_something() {
    for key in keys::KEYS {
        let mut line = format!("{} {}", key.name, key.example);
        let mut before = String::new();
        match key.name {
            // It overrides something, or its own default is all there is.
            "forever" if key.kind == keys::Kind::Service => before = "preset gaffer".into(),
            "rolling" => before = "ready notify".into(),
            "every" | "at" => before = "type oneshot".into(),
            "overlap" => before = "type oneshot\nevery 5m".into(),
            "groups" => before = "user nobody".into(),
            "old-files" => before = "max-size 1K".into(),
            "style" => before = "format {message} %(message)s".into(),
            "on-shutdown" => before = "transcript none\nring 0".into(),
            "stdin" | "environment-file" | "expand" => {
                plan(&around(key, &line));
                continue;
            }
            _ => {}
        }
        line = format!("{before}\n{line}");
        let (before, after) = (plan(&around(key, &before)), plan(&around(key, line.trim())));
        assert_ne!(before, after, "{:?} {line}", key.kind);
    }
}

#[test]
fn presets_are_those_of_the_design_and_explicit_keys_beat_them_anywhere() {
    let secs = Duration::from_secs;
    let procmon = service("preset procmon");
    assert_eq!(procmon.rules.delay, Delay::Double { first: secs(1) });
    assert_eq!((procmon.rules.max, procmon.rules.healthy_after), (secs(3600), secs(1)));
    assert_eq!(procmon.stop, Ladder::simple(Signal::TERM, secs(5)));
    assert_eq!(procmon.setup.inherit, Inherit::Nothing);
    let gaffer = service("preset gaffer").rules;
    assert_eq!(gaffer.flapping.unwrap().rounds, Some(5));
    assert_eq!(gaffer.delay, Delay::None);
    let controller = service("preset daemon-controller");
    assert_eq!(controller.rules.restart, Restart::Never);
    assert_eq!(controller.start_timeout, Some(secs(15)));
    let zdaemon = service("preset zdaemon\nbackoff-limit 4").rules;
    assert_eq!((zdaemon.max, zdaemon.healthy_after), (secs(4), secs(4)));
    assert_eq!((zdaemon.exit_codes, zdaemon.give_up), (vec![0, 2], GiveUp::AtMax));
    for text in ["stop INT 1s KILL\npreset procmon", "preset procmon\nstop INT 1s KILL"] {
        assert_eq!(service(text).stop, Ladder::simple(Signal::INT, secs(1)));
    }
    let text = "<service a>\nprogram true\npreset gaffer\n</service>\n\
                <defaults>\nstop INT 1s\npreset procmon\n</defaults>";
    let both = plan(text).services.swap_remove(0);
    assert_eq!((both.stop, both.rules), (Ladder::simple(Signal::INT, secs(1)), gaffer));
}

#[test]
fn one_shots_are_restarted_on_failure_unless_they_say_otherwise() {
    assert_eq!(service("type oneshot").rules.restart, Restart::OnFailure);
    assert_eq!(service("type oneshot\nrestart always").rules.restart, Restart::Always);
    assert_eq!(service("type oneshot\npreset daemon-controller").rules.restart, Restart::Never);
    assert!(said("type oneshot\nready notify").contains("a one-shot is ready when"));
}

#[test]
fn ready_brings_a_start_timeout_of_fifteen_seconds() {
    assert_eq!(service("").start_timeout, None);
    assert_eq!(service("ready notify").start_timeout, Some(Duration::from_secs(15)));
    assert_eq!(service("ready notify\nstart-timeout none").start_timeout, None);
    let ready = service("ready timeout 2s tcp localhost:80");
    assert_eq!(ready.processes[0].ready, Some(Probe::Tcp("127.0.0.1:80".into())));
    assert_eq!(ready.probe_timeout, Duration::from_secs(2));
    assert!(said("ready tcp db:80").contains("no resolver"));
    assert!(said("ready tcp 80").contains("tcp 127.0.0.1:80"));
}

#[test]
fn stop_ladders_have_a_drain_rungs_and_an_end() {
    let stop = |text: &str| service(&format!("stop {text}")).stop;
    let rung = |signal, secs| Rung { signal, wait: Duration::from_secs(secs) };
    let rungs = vec![rung(Signal::INT, 2), rung(Signal::TERM, 3)];
    let drain = Duration::from_secs(1);
    assert_eq!(stop("1s INT 2s TERM 3s never"), Ladder { drain, rungs, kill: false });
    assert_eq!(stop("TERM 5s"), stop("SIGTERM 5s KILL"));
    assert_eq!(stop("KILL").rungs, [rung(Signal::KILL, 0)]);
    for bad in ["TERM", "5s", "TERM KILL", "never", "TERM 5", "TERM 5s KILL 3s x"] {
        assert!(said(&format!("stop {bad}")).contains("error:"), "{bad}");
    }
}

#[test]
fn substitution_is_per_instance_and_never_splits_words() {
    let text = "%define dir /srv\n%define both %{dir}/%i\n<service shop:api>\n\
                program ls %n %g %i %{both} %(BLANKS) %(NONE:-x) '%(EMPTY:-e f)' 100%% $HOME\n\
                instances 2\ntranscript /var/log/%i.log\nready tcp 127.0.0.1:808%i\n\
                <environment>\nN i%i\n</environment>\n</service>";
    let service = plan(text).services.swap_remove(0);
    let second = &service.processes[1];
    let words = ["ls", "shop:api", "shop", "2", "/srv/2", "a b  c", "x", "e f", "100%", "$HOME"];
    assert_eq!(second.argv, words);
    assert_eq!(second.transcript, Target::File("/var/log/2.log".into()));
    assert_eq!(second.environment, [("N".to_string(), "i2".to_string())]);
    assert_eq!(second.ready, Some(Probe::Tcp("127.0.0.1:8082".into())));
    assert_eq!(service.processes[0].argv[3], "1");
    assert_eq!(service.process(2).as_ref(), Some(second));
    let (third, far) = (service.process(3).unwrap(), service.process(12).unwrap());
    assert_eq!((third.argv[3].as_str(), third.argv[4].as_str()), ("3", "/srv/3"));
    assert_eq!(third.ready, Some(Probe::Tcp("127.0.0.1:8083".into())));
    assert_eq!(far.transcript, Target::File("/var/log/12.log".into()));
    assert_eq!(far.environment, [("N".to_string(), "i12".to_string())]);
}

#[test]
fn shell_takes_the_line_as_it_is() {
    let text = "<service a>\nshell yes\nprogram echo \"it's\" $HOME | cat # x\n</service>";
    let words = ["/bin/sh", "-c", "echo \"it's\" $HOME | cat # x"];
    assert_eq!(plan(text).services[0].processes[0].argv, words);
}

#[test]
fn users_are_looked_up_and_groups_follow() {
    let identity = service("user www").setup.identity.unwrap();
    assert_eq!((identity.uid, identity.gid, identity.groups), (Some(33), 33, vec![4, 33, 40]));
    assert_eq!(identity.account.unwrap().home, "/home/www");
    let identity = service("user 33\ngroup adm\ngroups none").setup.identity.unwrap();
    assert_eq!((identity.uid, identity.gid, identity.groups), (Some(33), 4, vec![]));
    assert!(said("user 1234").contains("say `group GID` too"));
    let confined = Model { confined: true, ..Model::default() };
    let text = "<service a>\nprogram true\nuser www\n</service>";
    let reading = config::read("x", text.as_bytes(), &confined);
    assert!(shown(&reading).contains("only root"), "{}", shown(&reading));
    let text = "<service a>\nprogram true\nuser 1000\ngroup 1000\n</service>";
    assert_eq!(plan_in(&confined, text).services[0].setup.identity, None);
}

#[test]
fn environment_comes_from_files_then_sections_and_the_service_wins() {
    let world = Model::with(&[("env", "A=file\nB=\"x y\"\n")]);
    let text = "<defaults>\nenvironment-file env\n<environment>\nA defaults\nC 1\n</environment>\n\
                </defaults>\n<service a>\nprogram true\n<environment>\nc lower\n\
                C {\"json\": 1}\nQ \"  blanks \"\nE\n</environment>\n</service>";
    let process = plan_in(&world, text).services[0].processes[0].clone();
    let pairs = process.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let json = ("C", "{\"json\": 1}");
    let expected =
        [("A", "defaults"), ("B", "x y"), json, ("c", "lower"), ("Q", "  blanks "), ("E", "")];
    assert_eq!(pairs.collect::<Vec<_>>(), expected);
    assert!(said("environment-file nowhere").contains("there is no file `nowhere`"));
    assert_eq!(service("environment-file -nowhere").processes[0].environment, []);
}

#[test]
fn groups_and_names_are_resolved_without_case() {
    let text = "<service shop:a>\nprogram true\n</service>\n<service shop:b>\nprogram true\n\
                restart-with shop:*\n</service>\n<service c>\nprogram true\nrequires SHOP:A\n\
                after shop:*\n</service>";
    let plan = plan(text);
    assert_eq!(plan.services[1].order.restart_with, [ServiceId(0)]);
    assert_eq!(plan.services[2].order.requires, [ServiceId(0)]);
    assert_eq!(plan.services[2].order.after, [ServiceId(0), ServiceId(1)]);
}

#[test]
fn a_row_of_ten_thousand_services_is_no_circle_and_does_not_overflow() {
    let mut text = String::new();
    for n in 0..10_000 {
        let _ = writeln!(text, "<service s{n}>\nprogram true\nafter s{}\n</service>", n + 1);
    }
    text.push_str("<service s10000>\nprogram true\n</service>\n");
    assert_eq!(plan(&text).services.len(), 10_001);
}

#[test]
fn a_zdaemon_file_is_read_by_zdaemons_rules() {
    let text = "%define dir /var/log\n<runner>\n  Program ls -l \"$dir\n  backoff-limit 4\n\
                exit-codes 0,3\n  start-test-program true $$x\n  stop-timeout 7\n  user www\n\
                umask 0o77\n  transcript ${DIR}/t.log\n  directory ~/sub\n  socket-name /tmp/new/s\n\
                </runner>\n<environment>\n  Http_Proxy \"a b\"\n  EMPTY\n  D $(PORT)\n</environment>\n\
                <eventlog>\n level 15\n <logfile>\n path STDERR\n </logfile>\n</eventlog>\n";
    let plan = plan(text);
    let service = &plan.services[0];
    let process = &service.processes[0];
    assert_eq!((service.name.as_str(), service.main), ("main", true));
    assert_eq!(process.argv, ["ls", "-l", "\"/var/log"]);
    assert_eq!(process.ready, Some(Probe::Command(vec!["true".into(), "$x".into()])));
    assert_eq!(process.transcript, Target::File("/var/log/t.log".into()));
    assert_eq!(process.environment[0], ("Http_Proxy".to_string(), "\"a b\"".to_string()));
    assert_eq!(process.environment[2].1, "8080");
    assert_eq!(service.setup.identity.as_ref().unwrap().groups, [4, 40]);
    assert_eq!((service.setup.umask, service.start_timeout), (Some(0o77), None));
    assert_eq!(service.stop, Ladder::simple(Signal::TERM, Duration::from_secs(7)));
    assert!(service.rules.governor_first && service.rules.give_up == GiveUp::AtMax);
    assert_eq!(service.rules.exit_codes, [0, 3]);
    assert_eq!(plan.settings.socket.as_deref(), Some("/tmp/new/s"));
    assert_eq!(plan.settings.directory.as_deref(), Some("/home/me/sub"));
    assert!(plan.settings.daemon && plan.settings.exit_policy == Some(ExitPolicy::Main));
    assert_eq!(plan.event_log.level, Level::Info, "what is below 15 is not shown");
    assert!(plan.event_log.files[0].format.as_ref().unwrap().starts_with("------"));
    let least = self::plan("<runner>\nprogram ls\nforever on\ndaemon off\n</runner>");
    assert_eq!(least.settings.socket.as_deref(), Some("zdsock"));
    assert!(!least.settings.daemon);
    assert_eq!(least.services[0].rules.give_up, GiveUp::Never);
}

#[test]
fn printed_services_are_read_again_as_they_were() {
    let text = "<service db>\nprogram true\n</service>\n<service shop:a>\n\
        program ls 'a b' 100%% \"q\\\"\" ''\nuser www\ngroups adm 7\numask inherit\ninstances 3\n\
        start manual\nspawn fork\ninherit-environment PATH\nnice -5\nionice idle\noom-score-adj 7\n\
        no-new-privileges yes\ncapabilities net_raw bpf\nrequires db\n\
        ready timeout 2s command ls 'x y'\nstop 1s INT 2s TERM 3s never\nkill-mode group\n\
        reload HUP\nexit-codes 3,4\nbackoff linear 1s +500ms max 1m30s jitter 5%\n\
        give-up after 9\nflapping 3 in 1m cooldown 2m rounds 2\ncritical yes\nmain yes\n\
        transcript '/tmp/a b'\nstderr none\nprefix no\ntimestamp %H:%M\nformat json\n\
        rotate 10M keep 3\nring 0\non-full block\ndirectory /srv\n\
        <limits>\nnofile 10:20\nas unlimited\nstack 8M\n</limits>\n\
        <environment>\nA 50%%\nB \" x\"\nC\n</environment>\n</service>\n\
        <service z>\nprogram true\npreset zdaemon\nbackoff-limit 0\n</service>\n\
        <service o>\nprogram true\ntype oneshot\n</service>";
    let first = plan(text);
    let printed = first.ids().map(|id| {
        print::lines(first.service(id), &|id| first.service(id).name.clone()).join("\n") + "\n"
    });
    let printed: String = printed.collect();
    assert_eq!(plan(&printed).services, first.services, "{printed}");
}

#[test]
fn includes_nest_beside_their_file_and_circles_are_found() {
    let world = Model::with(&[
        ("etc/conf.d/b.conf", "<service b>\nprogram true\n</service>"),
        ("etc/conf.d/a.conf", "%include ../more"),
        ("etc/conf.d/../more", "%define w hi\n<service a>\nprogram ls %{w}\n</service>"),
        ("etc/round", "%include round"),
    ]);
    let reading = config::read("etc/lar.conf", b"%include conf.d/*.conf", &world);
    let plan = reading.plan.unwrap();
    let names: Vec<&str> = plan.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let reading = config::read("etc/lar.conf", b"%include round\n%include nowhere", &world);
    let text = shown(&reading);
    assert!(text.contains("circle: etc/lar.conf -> etc/round -> etc/round"), "{text}");
    assert!(text.contains("can't include `etc/nowhere`: No such file or directory"), "{text}");
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % n.max(1) as u64) as usize
    }
}

/// What parsers trip over.
const SPICE: &str = "% $ \" ' \\ \0 < > </ /> ( %{ %( ${ $( %i <service max :* # -1 \u{202e} é \
                     99999999999999999999 10000000000d \n %include~self.conf\n %define~x~%{x}\n";

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let spice: Vec<&str> = SPICE.split(' ').collect();
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) {
        let (at, to) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        let piece = match random.below(5) {
            0 => spice[random.below(spice.len())].replace('~', " ").into_bytes(),
            1 => bytes.drain(at..to.min(at + 40)).take(0).collect(),
            2 => vec![random.below(256) as u8],
            3 => bytes[at..to.min(at + 200)].to_vec(),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                other[from..other.len().min(from + 100)].to_vec()
            }
        };
        drop(bytes.splice(at..at, piece));
    }
    bytes
}

#[test]
fn no_bytes_make_it_panic_and_there_is_a_plan_exactly_without_errors() {
    let mut seeds: Vec<Vec<u8>> = samples().iter().map(|it| std::fs::read(it).unwrap()).collect();
    // Good ones are mutated more often: what is wrong already hardly gets right.
    let good = |seed: &&Vec<u8>| config::read("x", seed, &Model::default()).plan.is_some();
    let good: Vec<Vec<u8>> = seeds.iter().filter(good).cloned().collect();
    (0..4).for_each(|_| seeds.extend_from_slice(&good));
    let world = Model::with(&[("self.conf", "%include self.conf\n")]);
    let seed = 0x1a2;
    println!("seed {seed}");
    let (mut random, mut plans) = (Random(seed), 0);
    for _ in 0..4_000 {
        let bytes = mutated(&seeds, &mut random);
        let reading = config::read("x.conf", &bytes, &world);
        let errors = reading.diagnostics.iter().any(|it| it.severity == Severity::Error);
        assert_eq!(reading.plan.is_none(), errors, "{}", String::from_utf8_lossy(&bytes));
        let _ = shown(&reading);
        if let Some(plan) = &reading.plan {
            plans += 1;
            plan.ids().for_each(|id| {
                drop(print::lines(plan.service(id), &|id| plan.service(id).name.clone()))
            });
        }
    }
    assert!(plans > 50, "only {plans} mutants were good: the mutations are too wild");
}

#[test]
fn floods_are_survived() {
    let deep = "<a>\n".repeat(200_000);
    let long = format!("<service {}>\nprogram {}\n", "x".repeat(1 << 20), "'".repeat(1 << 20));
    let double = |n: usize| format!("%define d{} %{{d{n}}}%{{d{n}}}\n", n + 1);
    let doubling: String = (0..60).map(double).collect();
    let doubling = format!("%define d0 x\n{doubling}<service a>\nprogram ls %{{d60}}\n</service>");
    let zeros = "\0".repeat(100_000);
    let lines = "x\n".repeat(100_000);
    for text in [deep, long, doubling, zeros, lines] {
        let reading = read(&text);
        assert!(reading.plan.is_none());
        assert!(shown(&reading).len() < 400_000);
    }
}

#[test]
fn every_word_of_a_time_that_is_taken_can_be_printed() {
    assert_eq!(service("timestamp yes").output.timestamp.as_deref(), Some(time::DEFAULT));
    for letter in ('!'..='~').filter(|letter| !"\"'".contains(*letter)) {
        let format = format!("%H%{letter}");
        let taken = !said(&format!("timestamp {format}")).contains("error:");
        assert_eq!(taken, time::check(&format).is_ok(), "{format}");
    }
}
