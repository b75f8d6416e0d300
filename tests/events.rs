//! The stream of events of a real manager: every kind of the table, with its fields; filters; going on where one was.

#[path = "support/lar.rs"]
mod lar;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};

use ::lar::ctl::protocol::record::Fields;
use ::lar::plan::EventKind;
use lar::{Lar, Scratch};
use nix::sys::signal::{Signal, kill};

/// All events from the first on, until the manager ends.
fn to_the_end(lar: &Lar) -> impl FnOnce() -> Vec<Fields> + use<> {
    let mut stream = lar.connect();
    stream.write_all(b"lar1 events --since=0\n").unwrap();
    let lines = BufReader::new(stream).lines();
    move || lines.map(|line| Fields::parse(&line.unwrap()).expect("a record")).collect()
}

fn words(record: &Fields) -> BTreeSet<String> {
    let text = record.text("event").unwrap();
    text.split(',').map(str::to_owned).collect()
}

#[test]
fn every_kind_of_the_table_happens_and_has_its_fields() {
    let dir = Scratch::new();
    dir.write("conf", "<service extra>\n program sleep 1000\n</service>\n");
    let config = "<service web>\n program sleep 1000\n instances 2\n</service>\n\
                  <service asked>\n program sleep 1000\n ready command true\n</service>\n\
                  <service flappy>\n program false\n backoff none\n \
                  flapping 2 in 10s cooldown 50ms rounds 1\n</service>\n\
                  <service slow>\n program false\n backoff linear 1h max 1h jitter 0%\n ready notify\n</service>\n\
                  <service waits>\n program sleep 1000\n requires slow\n</service>\n\
                  <service sick>\n program sleep 1000\n restart never\n \
                  health every 10ms failures 2 command false\n</service>\n\
                  <service job>\n program true\n type oneshot\n</service>\n\
                  <service daemon>\n program sleep 1000\n on-shutdown leave\n transcript inherit\n</service>\n\
                  %include {dir}/conf\n";
    let mut lar = Lar::run_in(dir, "  exit-policy never", config, |_| {});
    let rest = to_the_end(&lar);
    lar.wait(
        "web=running asked=running flappy=failed slow=backoff waits=waiting job=exited extra=running \
         sick=unhealthy",
    );
    lar.ask("scale web 3").expect(0);
    lar.ask("scale web 2").expect(0);
    lar.ask("restart web@1").expect(0);
    fs::write(lar.dir.at("conf"), "<service extra>\n program sleep 1001\n</service>\n").unwrap();
    lar.ask("apply").expect(0);
    lar.ask("kill USR1 extra").expect(0);
    lar.ask("stop slow --force").expect(0);
    lar.ask("shutdown").expect(0);
    assert_eq!(lar.end(), 0);
    let records = rest();
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.number("seq"), Some(at as u64), "{record:?}");
        for key in ["time_ms", "ago_ms", "name", "cause"] {
            assert!(record.bytes(key).is_some(), "{key} in {record:?}");
        }
        for word in words(record) {
            let kind = EventKind::from_word(&word).unwrap_or_else(|| panic!("{record:?}"));
            // How a process ends is told in one of two ways, and a core is rare.
            let either = ["exit_code", "signal", "core"];
            let needed = kind
                .fields()
                .iter()
                .filter(|key| kind != EventKind::Exited || !either.contains(key));
            // KILL at the end, and one whose group is going, have no process to be asked any more.
            let gone = kind == EventKind::Stopping && record.bytes("pid").is_none();
            for key in needed {
                assert!(gone || record.bytes(key).is_some(), "{key} in {record:?}");
            }
            if kind == EventKind::Exited {
                let ends = [record.bytes("exit_code"), record.bytes("signal")];
                assert_eq!(ends.iter().flatten().count(), 1, "{record:?}");
            }
        }
    }
    let seen: BTreeSet<String> = records.iter().flat_map(words).collect();
    let all: BTreeSet<String> = EventKind::ALL.iter().map(|kind| kind.word().to_owned()).collect();
    assert_eq!(seen, all);
    let count = |word: &str| records.iter().filter(|record| words(record).contains(word)).count();
    assert_eq!(
        count("spawned"),
        count("exited") + count("left"),
        "each process begins and ends once"
    );
    assert_eq!(count("exited"), count("reaped"));
}

#[test]
fn names_and_kinds_choose_and_a_group_means_those_to_come_too() {
    let mut lar = Lar::start(
        "<service shop:web>\n program sleep 1000\n</service>\n<service other>\n program sleep 1000\n</service>\n",
    );
    lar.wait("all=running");
    let mut shop = lar.watch("events --kind spawned,removed --kind exited -n 1 shop:*");
    let mut second = lar.watch("events --json -n 1 SHOP:web");
    assert!(shop.lines.next().unwrap().contains("shop:web: starting -> running: spawned, pid "));
    assert!(second.lines.next().unwrap().contains("\"event\":[\"spawned\",\"running\"]"));
    kill(lar.pid_of("other"), Signal::SIGKILL).unwrap();
    lar.ask("add shop:new -- sleep 1000").expect(0);
    lar.ask("remove shop:new").expect(0);
    lar.ask("kill HUP shop:web").expect(0);
    // Without those of other kinds, and of the one that is not in the group.
    assert!(shop.lines.next().unwrap().contains("shop:new: starting -> running: spawned"));
    assert!(
        shop.lines.next().unwrap().contains("shop:new: stopping -> stopped: killed by SIGTERM")
    );
    assert!(shop.lines.next().unwrap().contains("shop:new: removed"), "its name is still known");
    assert!(shop.lines.next().unwrap().contains("shop:web: running -> "));
    let signalled = second.lines.next().unwrap();
    assert!(
        signalled.contains("\"event\":[\"signalled\"]")
            && signalled.contains("\"signal\":\"SIGHUP\"")
    );
    assert!(signalled.contains("\"from\":null"), "{signalled}");
    drop((shop, second));
    lar.ask("events nobody").expect(5);
    lar.ask("events --kind exitd").expect(2);
    lar.ask("events --since 3 -n 1").expect(2);
    lar.ask("events --since 999999").expect(1);
    assert_eq!(lar.shut_down(), 0);
}
