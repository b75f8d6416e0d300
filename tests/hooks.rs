//! `<on EVENT>` sections against a real manager: what a command is told, that it is in nobody's way, how it fails, and
//! that it hears of the end.

#[path = "support/lar.rs"]
mod lar;

use std::fs;

use lar::{Lar, Lines, Scratch};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// A hook that writes what it was told to lar's own standard error, one line each.
const TELL: &str = "command sh -c 'env | grep ^LAR_ | grep -v ^LAR_TEST | sort | tr \"\\\\n\" \" \" >&2; echo >&2'";

const WEB: &str = "<service web>\n program sleep 1000\n</service>\n";

/// Another configuration in place of the one it was started with.
fn rewrite(lar: &Lar, config: &str) {
    let path = lar.dir.at("lar.conf");
    let old = fs::read_to_string(&path).unwrap();
    let end = old.find("</lar>").map_or(0, |at| at + "</lar>\n".len());
    fs::write(&path, format!("{}{}", &old[..end], lar.dir.fill(config))).unwrap();
}

/// The value of a variable in what a hook was told.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let fields = line.split(" LAR_").map(|field| field.strip_prefix("LAR_").unwrap_or(field));
    let mut values = fields.filter_map(|field| field.split_once('='));
    values.find(|(key, _)| *key == name).map(|(_, value)| value.trim_end())
}

#[test]
fn a_hook_is_told_what_happened_in_its_environment() {
    let config = format!(
        "<service shop:web>\n shell yes\n program if [ $LAR_INSTANCE = 1 ]; then exec sleep 1000; else exit 3; fi\n \
         instances 2\n backoff linear 1h max 1h jitter 0%\n</service>\n\
         <service other>\n program false\n restart never\n</service>\n\
         <on exited>\n {TELL}\n services shop:*\n</on>\n"
    );
    let mut lar = Lar::start(&config);
    let told = lar.err.until("LAR_EVENT=");
    for (name, expected) in [
        ("EVENT", "exited"),
        ("EVENTS", "exited,reaped,backoff"),
        ("NAME", "shop:web@2"),
        ("SERVICE", "shop:web"),
        ("GROUP", "shop"),
        ("INSTANCE", "2"),
        ("FROM", "running"),
        ("STATE", "backoff"),
        ("EXIT_CODE", "3"),
        ("NEXT_MS", "3600000"),
    ] {
        assert_eq!(value(&told, name), Some(expected), "{name} in {told}");
    }
    assert!(value(&told, "CAUSE").unwrap().starts_with("exit status 3 after "), "{told}");
    assert_eq!(value(&told, "SIGNAL"), None, "what says nothing is not there");
    let pid = lar.pid_of("shop:web@1");
    kill(pid, Signal::SIGKILL).unwrap();
    let told = lar.err.until("LAR_EVENT=");
    assert_eq!(value(&told, "PID"), Some(&*pid.to_string()), "{told}");
    assert_eq!((value(&told, "SIGNAL"), value(&told, "EXIT_CODE")), (Some("SIGKILL"), None));
    // The same number as in the stream of events, with the same words.
    let seq = value(&told, "SEQ").unwrap();
    let mut events = lar.watch(&format!("events --json --since {seq} shop:web@1"));
    let event = events.lines.next().unwrap();
    assert!(
        event.starts_with(&format!("{{\"seq\":{seq},\"event\":[\"exited\",\"reaped\",")),
        "{event}"
    );
    assert!(
        event.contains("\"signal\":\"SIGKILL\"") && event.contains("\"exit_code\":null"),
        "{event}"
    );
    drop(events);
    assert_eq!(lar.shut_down(), 0);
    let others = lar.err.seen.iter().filter(|line| line.contains("LAR_NAME=other"));
    assert_eq!(others.count(), 0);
}

#[test]
fn a_hook_has_a_user_and_a_directory_of_its_own() {
    if !lar::root() {
        return lar::skip("only root can be somebody else");
    }
    let mut lar = Lar::start(
        "<service web>\n program sleep 1000\n</service>\n\
         <on running>\n command sh -c 'echo it is $(id -un) $USER in $PWD >&2'\n user nobody\n directory /\n</on>\n",
    );
    assert!(lar.err.until("it is ").ends_with("it is nobody nobody in /"));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn one_command_runs_at_a_time_and_what_is_too_much_is_left_out_and_counted() {
    // The hook holds on to its first event until the test lets go.
    let mut lar = Lar::with(
        "  spawn-rate none",
        "<service spin>\n program true\n backoff none\n start manual\n</service>\n\
         <service web>\n program sleep 1000\n</service>\n\
         <on spawned>\n command sh -c 'echo told $LAR_SEQ >&2; until [ -e {dir}/go ]; do sleep 0.02; done'\n \
         services spin\n</on>\n",
    );
    lar.ask("start --no-wait spin").expect(0);
    lar.err.until("told ");
    lar.err.until("on spawned: its command is too slow; the oldest events are left out");
    lar.ask("status").expect(0);
    let commands = |lar: &Lar| {
        let all = lar.dir.processes();
        all.iter().filter(|(_, arguments)| arguments.starts_with("sh -c echo told")).count()
    };
    assert_eq!(commands(&lar), 1);
    lar.ask("stop spin").expect(0);
    fs::write(lar.dir.at("go"), "").unwrap();
    let lost = lar.err.until("events were left out");
    assert!(lost.contains("on spawned: "), "{lost}");
    lar.ask("shutdown").expect(0);
    lar.end();
    let told = lar.err.rest().into_iter().filter(|line| line.contains("told ")).count();
    assert_eq!(told, 65, "the first one, and as many as wait");
    lar.nothing_left();
}

#[test]
fn a_hook_that_takes_too_long_is_killed_with_what_it_started() {
    let dir = Scratch::new();
    mkfifo(&dir.at("held"), Mode::S_IRWXU).unwrap();
    let config = "<service web>\n program sleep 1000\n</service>\n\
                  <on running>\n command sh -c 'exec 3>{dir}/held; echo runs >&3; sleep 1001 & sleep 1002'\n \
                  timeout 300ms\n</on>\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    let mut held = Lines::of(fs::File::open(lar.dir.at("held")).unwrap());
    assert_eq!(held.rest(), ["runs"], "its end is seen when nobody holds it any more");
    lar.err.until("on running: sh took longer than 300ms and was killed");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_hook_that_fails_is_told_once_until_it_works_again() {
    let dir = Scratch::new();
    dir.script("told", "#!/bin/sh\necho ran >&2\n[ -e {dir}/good ]\n");
    let config = "<service web>\n program sleep 1000\n</service>\n\
                  <on running>\n command {dir}/told\n</on>\n\
                  <on stopped>\n command {dir}/gone\n</on>\n";
    dir.script("gone", "#!/bin/sh\n");
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    fs::remove_file(lar.dir.at("gone")).unwrap();
    lar.err.until("exit status 1; not told again until it works");
    for _ in 0..3 {
        lar.ask("restart web").expect(0);
        lar.err.until("ran");
    }
    fs::write(lar.dir.at("good"), "").unwrap();
    lar.ask("restart web").expect(0);
    lar.err.until("works again, after ");
    lar.ask("stop web").expect(0);
    let missing = lar.err.until("on stopped: ");
    assert!(missing.contains("gone: No such file or directory (stage exec)"), "{missing}");
    assert_eq!(lar.shut_down(), 0);
    let all = lar.err.rest();
    let failed = all.iter().filter(|line| line.contains("not told again"));
    assert_eq!(failed.count(), 2, "{all:#?}");
}

#[test]
fn a_hook_hears_of_the_end_and_causes_no_events() {
    let config = format!("{WEB}<on any>\n {TELL}\n</on>\n");
    let mut lar = Lar::start(&config);
    lar.err.until("LAR_STATE=running");
    lar.ask("shutdown").expect(0);
    assert_eq!(lar.end(), 0);
    let all = lar.err.rest();
    let seqs: Vec<u64> = all.iter().filter_map(|line| value(line, "SEQ")?.parse().ok()).collect();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>(), "each event once, in order");
    let last = all.iter().rfind(|line| line.contains("LAR_SEQ=")).unwrap();
    assert_eq!(value(last, "EVENTS"), Some("exited,reaped,stopped"), "{last}");
    lar.nothing_left();
}

#[test]
fn an_end_waits_for_its_hooks_no_longer_than_it_may_take() {
    let mut lar = Lar::with(
        "  shutdown-timeout 1s",
        &format!("{WEB}<on stopped>\n command sh -c 'trap \"\" TERM; sleep 1003'\n</on>\n"),
    );
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
    let told = lar.err.rest();
    assert!(told.iter().any(|line| line.contains("a hook takes too long at the end")), "{told:#?}");
}

#[test]
fn apply_changes_hooks_while_everything_runs() {
    let first = format!("{WEB}<on running>\n command sh -c 'echo first >&2'\n</on>\n");
    let second = format!(
        "{WEB}<on running>\n command sh -c 'echo second >&2'\n</on>\n\
         <on restarting>\n command sh -c 'echo third >&2'\n</on>\n"
    );
    let mut lar = Lar::start(&first);
    lar.err.until("first");
    let pid = lar.pid_of("web");
    rewrite(&lar, &second);
    let dry = lar.ask("apply --dry-run").expect(0).out;
    assert_eq!(
        dry,
        "on running: removed (live)\non running: added (live)\non restarting: added (live)\n"
    );
    lar.ask("apply").expect(0);
    assert_eq!(lar.pid_of("web"), pid, "nobody was touched");
    let config = lar.ask("config").expect(0).out;
    assert!(config.contains("<on restarting>\n  command sh -c"), "{config}");
    assert_eq!(lar.ask("apply").expect(0).out, "nothing has changed\n");
    lar.ask("restart web").expect(0);
    lar.err.until("second");
    rewrite(&lar, WEB);
    lar.ask("apply").expect(0);
    lar.ask("restart web").expect(0);
    lar.wait("web=running");
    assert_eq!(lar.shut_down(), 0);
    let all = lar.err.rest();
    let count = |word: &str| all.iter().filter(|line| *line == word).count();
    assert_eq!((count("first"), count("second"), count("third")), (1, 1, 1), "{all:#?}");
}

#[test]
fn mistakes_in_a_hook_are_told_with_what_was_meant() {
    let dir = Scratch::new();
    let file = dir.write(
        "lar.conf",
        "<service web>\n program sleep 1\n</service>\n\
         <on exitd>\n command true\n</on>\n<on>\n command true\n</on>\n\
         <on exited>\n services wbe shop:*\n timeout 0s\n</on>\n<on any>\n command {dir}/none\n user\n</on>\n",
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lar"));
    let told = lar::answer(command.arg("check").arg(file)).expect(6);
    let text = told.out + &told.err;
    for expected in [
        "no kind of event is called `exitd`",
        "did you mean `<on exited>`?",
        "`<on>` needs an event",
        "an `<on …>` section needs a `command`",
        "there is no service `wbe`",
        "there is no service `shop:*`",
        "this leaves it no time at all",
        "there is no program `",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}
