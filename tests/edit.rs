//! Services that come, go, scale and are replaced while lar runs: `scale`, `add`, `remove`, `apply` and SIGHUP against
//! a real manager.

#[path = "support/lar.rs"]
mod lar;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use lar::Lar;
use nix::sys::signal::Signal;

const WEB: &str = "<service web>\n program sleep 100%i\n instances 2\n</service>\n";

/// What each line of `list` says of a service's instances.
fn states(lar: &Lar) -> Vec<String> {
    let out = lar.ask("--plain status").expect(0).out;
    out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

/// Another configuration in place of the one it was started with.
fn rewrite(lar: &Lar, config: &str) {
    let path = lar.dir.at("lar.conf");
    let old = fs::read_to_string(&path).unwrap();
    // The manager's own section stays.
    let end = old.find("</lar>").map_or(0, |at| at + "</lar>\n".len());
    fs::write(&path, format!("{}{config}", &old[..end])).unwrap();
}

#[test]
fn scale_takes_the_highest_number_out_and_the_lowest_free_number_in() {
    let mut lar = Lar::start(WEB);
    lar.wait("web=running");
    let (one, two) = (lar.pid_of("web@1"), lar.pid_of("web@2"));
    lar.ask("scale web 4").expect(0);
    assert_eq!(states(&lar), ["web@1", "web@2", "web@3", "web@4"]);
    lar.wait("web=running");
    let line = fs::read(format!("/proc/{}/cmdline", lar.pid_of("web@4"))).unwrap();
    assert_eq!(String::from_utf8_lossy(&line), "sleep\u{0}1004\u{0}", "its own number is put in");
    lar.ask("scale web -1").expect(0);
    assert_eq!(states(&lar), ["web@1", "web@2", "web@3"]);
    lar.ask("scale web --oldest 2").expect(0);
    assert_eq!(states(&lar).len(), 2);
    assert!(!states(&lar).contains(&"web@1".to_owned()) || lar.pid_of("web@1") != one);
    lar.ask("scale web +1").expect(0);
    assert_eq!(states(&lar), ["web@1", "web@2", "web@3"]);
    assert!(lar.pid_of("web@1") != one || lar.pid_of("web@2") != two, "the oldest went");
    lar.ask("stop --scale-down web@2").expect(0);
    assert_eq!(states(&lar), ["web@1", "web@3"]);
    lar.ask("scale web 0").expect(0);
    assert!(states(&lar).is_empty());
    lar.ask("scale web 1").expect(0);
    lar.wait("web=running");
    for wrong in ["scale web", "scale web many", "scale web 10001", "scale web@1 2"] {
        lar.ask(wrong).expect(2);
    }
    lar.ask("scale nobody 2").expect(5);
    assert_eq!(lar.shut_down(), 0);
    lar.nothing_left();
}

#[test]
fn remove_stops_waits_and_forgets_and_the_name_is_taken_until_then() {
    let mut lar = Lar::start(
        "<service db>\n program sleep 1000\n</service>\n\
         <service web>\n program sleep 1000\n requires db\n</service>\n\
         <service deaf>\n shell yes\n prefix no\n stop TERM 1h KILL\n \
         program trap '' TERM; echo deaf; while :; do sleep 1000; done\n</service>\n\
         <service bad>\n program false\n backoff linear 1h max 1h jitter 0%\n</service>\n",
    );
    lar.wait("web=running bad=backoff");
    lar.out.until("deaf");
    let refused = lar.ask("remove db").expect(9);
    assert!(refused.err.contains("db is required by web"), "{refused:?}");
    lar.ask("remove bad").expect(0);
    assert_eq!(states(&lar), ["db", "web", "deaf"]);
    lar.ask("remove --no-wait deaf").expect(0);
    let taken = lar.ask("add deaf -- sleep 1").expect(9);
    assert!(taken.err.contains("deaf is there already"), "{taken:?}");
    // A removal is not called off by a start.
    lar.ask("start --no-wait deaf").expect(0);
    let late = lar.ask("remove deaf --timeout 50ms").expect(8);
    assert!(late.err.contains("still stopping"), "{late:?}");
    lar.ask("kill KILL deaf").expect(0);
    lar.ask("wait deaf=running --timeout 10s");
    let known = lar.ask("add deaf -- sleep 1000").expect(9);
    assert!(known.err.contains("`apply` starts it"), "{known:?}");
    lar.ask("add other -- sleep 1000").expect(0);
    lar.ask("remove --with-dependents db").expect(0);
    assert_eq!(states(&lar), ["other"]);
    lar.ask("remove nobody").expect(5);
    lar.ask("remove other@1").expect(2);
    assert_eq!(lar.shut_down(), 0);
    lar.nothing_left();
}

#[test]
fn somebody_who_waits_for_a_service_that_is_removed_is_told_so() {
    let lar = Lar::start(
        "<service other>\n program sleep 1000\n</service>\n\
         <service web>\n program sleep 1000\n ready notify\n start-timeout none\n</service>\n",
    );
    lar.wait("web=starting");
    let mut waits = lar.watch("wait web=running --timeout 30s");
    lar.wait("web=starting");
    // The wait may begin after the removal: then there is nobody of that name.
    lar.ask("remove web").expect(0);
    assert!([5, 14].contains(&waits.end()));
    lar.ask("status web").expect(4);
}

#[test]
fn an_added_service_is_one_like_the_others() {
    let mut lar = Lar::start("<service db>\n program sleep 1000\n</service>\n");
    lar.wait("db=running");
    let script = "echo \"I am $LAR_INSTANCE 100%\"; exec sleep 1000";
    let pairs = ["add", "web", "requires", "db", "instances", "2", "prefix", "no", "--"];
    lar.ctl(&[&pairs[..], &["sh", "-c", script]].concat()).expect(0);
    lar.out.until("I am ");
    lar.out.until("100%");
    lar.wait("web=running");
    assert_eq!(states(&lar), ["db", "web@1", "web@2"]);
    assert!(lar.ask("tree web").expect(0).out.contains("db"));
    lar.ask("stop db").expect(9);
    let before = lar.pid_of("web@2");
    assert_ne!(lar.crash("web@2"), before, "it is restarted");
    lar.ask("logs web@1").expect(0);
    for (wrong, code) in [
        ("add web -- sleep 1", 9),
        ("add other colour red -- sleep 1", 6),
        ("add other requires nobody -- sleep 1", 6),
        ("add other user no-such-user -- sleep 1", 6),
        ("add other", 6),
        ("add other key", 2),
        ("add", 2),
        ("add --save other -- sleep 1", 1),
    ] {
        lar.ask(wrong).expect(code);
    }
    assert_eq!(states(&lar), ["db", "web@1", "web@2"]);
    // An apply leaves it alone: it is no part of the file.
    let plan = lar.ask("apply --dry-run").expect(0).out;
    assert_eq!(plan, "nothing has changed\n");
    lar.ask("apply").expect(0);
    assert_eq!(states(&lar), ["db", "web@1", "web@2"]);
    assert_eq!(lar.shut_down(), 0);
    lar.nothing_left();
}

#[test]
fn a_section_may_come_from_standard_input() {
    let lar = Lar::start("<service db>\n program sleep 1000\n</service>\n");
    let mut client = lar.client(&["add", "-"]);
    let mut child = client.stdin(Stdio::piped()).spawn().unwrap();
    let text = "# a worker\n<service worker>\n program sleep 1000\n <environment>\n  A b\n \
                </environment>\n</service>\n";
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    lar.wait("worker=running");
    let pid = lar.pid_of("worker");
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("\u{0}A=b\u{0}"));
}

#[test]
fn what_is_saved_is_there_after_an_apply_too() {
    let lar = Lar::start("%include conf.d/*.conf\n<service db>\n program sleep 1000\n</service>\n");
    lar.wait("db=running");
    fs::create_dir_all(lar.dir.at("conf.d")).unwrap();
    lar.ask("add --save shop:web nice 1 -- sleep 1000").expect(0);
    lar.wait("shop:web=running");
    let pid = lar.pid_of("shop:web");
    let saved = lar.dir.read("conf.d/shop-web.conf");
    assert!(saved.starts_with("<service shop:web>\n  nice 1\n"), "{saved}");
    assert_eq!(lar.ask("apply").expect(0).out, "nothing has changed\n");
    assert_eq!(lar.pid_of("shop:web"), pid);
    fs::remove_file(lar.dir.at("conf.d/shop-web.conf")).unwrap();
    assert_eq!(lar.ask("apply").expect(0).out, "shop:web: removed\n");
    lar.ask("status shop:web").expect(4);
}

#[test]
fn a_number_of_instances_is_saved_where_the_service_is_defined_and_nowhere_else() {
    let dir = lar::Scratch::new();
    fs::create_dir_all(dir.at("conf.d")).unwrap();
    let before = "# the shop\n<service web>\n\tprogram sleep 100%i  \n\tinstances 2\n\t<environment>\n\t\t\
                  instances x\n\t</environment>\n</service>\n<service one>\n program sleep 1000\n</service>\n";
    dir.write("conf.d/shop.conf", before);
    let config = "%include conf.d/*.conf\n<service db>\n program sleep 1000\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("web=running one=running db=running");
    let pid = lar.pid_of("web@1");
    lar.ask("scale --save web 3").expect(0);
    let saved = before.replace("instances 2", "instances 3");
    assert_eq!(lar.dir.read("conf.d/shop.conf"), saved);
    lar.ask("scale --save one +1").expect(0);
    let saved = saved.replace(" program sleep 1000", " instances 2\n program sleep 1000");
    assert_eq!(lar.dir.read("conf.d/shop.conf"), saved);
    assert_eq!(lar.ask("apply").expect(0).out, "nothing has changed\n");
    assert_eq!(states(&lar), ["web@1", "web@2", "web@3", "one@1", "one@2", "db"]);
    assert_eq!(lar.pid_of("web@1"), pid);
    let main = lar.dir.read("lar.conf");
    let refused = lar.ask("scale --save db 2").expect(1);
    assert!(refused.err.contains("lar writes no other file"), "{refused:?}");
    lar.ask("add other -- sleep 1000").expect(0);
    let refused = lar.ask("scale --save other 2").expect(1);
    assert!(refused.err.contains("other is in no file"), "{refused:?}");
    lar.ask("scale --save web 0").expect(2);
    assert_eq!((lar.dir.read("lar.conf"), lar.dir.read("conf.d/shop.conf")), (main, saved));
    assert_eq!(fs::read_dir(lar.dir.at("conf.d")).unwrap().count(), 1, "nothing else is left");
}

const BEFORE: &str = "<service keep>\n program sleep 1000\n</service>\n\
     <service live>\n program sleep 1001\n stop TERM 1s KILL\n</service>\n\
     <service anew>\n program sleep 1002\n</service>\n\
     <service many>\n program sleep 103%i\n instances 2\n</service>\n\
     <service old>\n program sleep 1004\n</service>\n";

const AFTER: &str = "<service fresh>\n program sleep 1005\n requires anew\n</service>\n\
     <service many>\n program sleep 103%i\n instances 3\n</service>\n\
     <service anew>\n program sleep 2002\n</service>\n\
     <service live>\n program sleep 1001\n stop INT 2s KILL\n critical yes\n</service>\n\
     <service keep>\n program    'sleep' 1000\n instances 1\n</service>\n";

#[test]
fn apply_touches_only_what_changed() {
    let mut lar = Lar::start(BEFORE);
    lar.wait("keep=running live=running anew=running many=running old=running");
    let pid = |name: &str| lar.pid_of(name);
    let before = [pid("keep"), pid("live"), pid("many@1"), pid("many@2"), pid("anew")];
    rewrite(&lar, AFTER);
    let table = lar.ask("apply --dry-run").expect(0).out;
    let expected = "fresh: added\n\
         many: instances: 2 => 3 (scale)\n\
         anew: program: sleep 1002 => sleep 2002 (restart)\n\
         live: stop: TERM 1s KILL => INT 2s KILL (live)\n\
         live: critical: no => yes (live)\n\
         old: removed\n";
    assert_eq!(table, expected);
    assert_eq!(states(&lar).len(), 6, "nothing was changed");
    lar.ask("apply").expect(0);
    lar.wait("keep=running live=running anew=running many=running fresh=running");
    lar.ask("status old").expect(4);
    let after = [pid("keep"), pid("live"), pid("many@1"), pid("many@2"), pid("anew")];
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[4], after[4]);
    assert_eq!(states(&lar).len(), 7);
    assert!(lar.ask("config live").expect(0).out.contains("stop INT 2s KILL"));
    assert_eq!(lar.ask("apply").expect(0).out, "nothing has changed\n");
    assert_eq!(lar.shut_down(), 0);
    lar.nothing_left();
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let mut lar = Lar::start(WEB);
    lar.wait("web=running");
    let pid = lar.pid_of("web@1");
    rewrite(&lar, "<service web>\n program sleep 1\n colour red\n</service>\n");
    let wrong = lar.ask("apply").expect(6);
    assert!(wrong.err.contains("colour") && wrong.err.contains("nothing was changed"), "{wrong:?}");
    lar.signal(Signal::SIGHUP);
    lar.err.until("everything goes on as it is");
    assert_eq!(lar.pid_of("web@1"), pid);
    fs::remove_file(lar.dir.at("lar.conf")).unwrap();
    lar.ask("apply").expect(6);
    assert_eq!(lar.pid_of("web@1"), pid);
}

#[test]
fn a_hang_up_applies_the_file() {
    let mut lar = Lar::start(WEB);
    lar.wait("web=running");
    rewrite(&lar, &format!("{WEB}<service more>\n program sleep 1000\n</service>\n"));
    let mut events = lar.events("");
    lar.signal(Signal::SIGHUP);
    events.until("more: starting -> running");
    lar.err.until("apply: more: added");
}

#[test]
fn a_transcript_can_be_exchanged_and_nothing_of_the_old_process_is_lost() {
    let service = |path: &str| {
        format!(
            "<service web>\n shell yes\n transcript {path}\n stop TERM 30s KILL\n program \
             trap 'echo last words; exit' TERM; echo first; while :; do sleep 1000 & wait; done\n\
             </service>\n"
        )
    };
    let mut lar = Lar::start("<service other>\n program sleep 1000\n</service>\n");
    let (a, b) = (lar.dir.at("a.log"), lar.dir.at("b.log"));
    rewrite(&lar, &service(a.to_str().unwrap()));
    lar.ask("apply").expect(0);
    let ready = |path: &std::path::Path| {
        let mut tries = 0;
        while !fs::read_to_string(path).unwrap_or_default().contains("first") && tries < 3000 {
            tries += 1;
            lar.ask("ping").expect(0);
        }
    };
    ready(&a);
    rewrite(&lar, &service(b.to_str().unwrap()));
    lar.ask("apply").expect(0);
    ready(&b);
    assert_eq!(fs::read_to_string(&a).unwrap(), "first\nlast words\n");
    assert_eq!(fs::read_to_string(&b).unwrap(), "first\n");
    let open = |path: &std::path::Path| {
        let fds = fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap();
        fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).any(|link| link == path)
    };
    assert!(!open(&a) && open(&b), "what nobody writes to any more is closed");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn how_lines_are_dressed_changes_at_once_and_the_process_goes_on() {
    let service = |keys: &str| {
        format!(
            "<service web>\n shell yes\n transcript stdout\n {keys}\n program trap 'echo hello' \
             USR1; echo up; while :; do sleep 1000 & wait; done\n</service>\n"
        )
    };
    let mut lar = Lar::start(&service("prefix no"));
    assert_eq!(lar.out.next().unwrap(), "up");
    let pid = lar.pid_of("web");
    rewrite(&lar, &service("prefix yes"));
    let table = lar.ask("apply").expect(0).out;
    assert_eq!(table, "web: prefix: no => yes (live)\n");
    lar.ask("kill USR1 web").expect(0);
    assert_eq!(lar.out.next().unwrap(), "[web] hello");
    rewrite(&lar, &service("format json"));
    lar.ask("apply").expect(0);
    lar.ask("kill USR1 web").expect(0);
    let line = lar.out.next().unwrap();
    assert!(line.starts_with('{') && line.contains("hello"), "{line}");
    assert_eq!(lar.pid_of("web"), pid);
}

/// How many fds lar has, without those of control clients: one that has left may not have been noticed yet.
fn fds(lar: &Lar) -> usize {
    let table = fs::read_to_string(format!("/proc/{}/net/unix", lar.pid())).unwrap();
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // Number, references, protocol, flags, type (0001: stream), state (03: connected), inode.
    let clients = table.lines().map(fields).filter(|line| line[4] == "0001" && line[5] == "03");
    let clients: Vec<String> = clients.map(|line| format!("socket:[{}]", line[6])).collect();
    let links = fs::read_dir(format!("/proc/{}/fd", lar.pid())).unwrap();
    let links = links.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    links.filter(|link| !clients.iter().any(|client| link.as_os_str() == client.as_str())).count()
}

#[test]
fn a_change_for_which_there_is_no_fd_is_refused_and_nothing_has_changed() {
    let lar = Lar::start("<service db>\n program sleep 1000\n</service>\n");
    lar.wait("db=running");
    let open = fds(&lar);
    let pid = nix::libc::pid_t::from(lar.pid().as_raw());
    // Enough for the files, and for a client or two that have just left.
    let limit = format!("--nofile={0}:{0}", open + 10);
    let limited =
        std::process::Command::new("prlimit").args(["-p", &pid.to_string(), &limit]).status();
    if !limited.is_ok_and(|status| status.success()) {
        return lar::skip("prlimit is not installed");
    }
    let refused = lar.ask("add web instances 20 -- sleep 1000").expect(1);
    assert!(refused.err.contains("nothing was changed"), "{refused:?}");
    assert_eq!(states(&lar), ["db"]);
    assert_eq!(fds(&lar), open);
    lar.ask("add web -- sleep 1000").expect(0);
    lar.ask("scale web 20").expect(1);
    assert_eq!(states(&lar), ["db", "web"]);
}

#[test]
fn no_fd_is_left_of_services_that_came_and_went() {
    let lar = Lar::start("<service db>\n program sleep 1000\n</service>\n");
    lar.wait("db=running");
    let (mut before, mut list) = (0, String::new());
    for round in 0..6 {
        let path = lar.dir.at(&format!("{round}.log"));
        let path = path.display();
        let keys = format!("transcript {path} ready notify start-timeout none instances 3");
        lar.ask(&format!("add --no-wait web{round} {keys} -- sleep 1000")).expect(0);
        lar.wait(&format!("web{round}=starting"));
        lar.ask(&format!("scale --no-wait web{round} 5")).expect(0);
        lar.ask(&format!("remove web{round}")).expect(0);
        if round == 1 {
            before = fds(&lar);
        }
        list = lar.ask("list").expect(0).out;
    }
    assert_eq!(list, "db\n");
    assert_eq!(fds(&lar), before);
}
