//! `stats`, `top` and `metrics` of real processes.

#[path = "support/lar.rs"]
mod lar;
#[path = "support/pip.rs"]
mod pip;
#[path = "support/pty.rs"]
mod pty;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use lar::{LAR, Lar, Lines, program, skip};
use pty::Session;

/// A program with a child, one that only works, several of one kind, and one that is down.
const SERVICES: &str = "<service parent>\n shell yes\n program sleep 1000 & echo ready; wait\n</service>\n\
    <service busy>\n shell yes\n program while :; do :; done\n nice 19\n</service>\n\
    <service shop:web>\n program sleep 100%i\n instances 3\n</service>\n\
    <service down>\n program sleep 1\n start manual\n</service>\n";

fn start() -> Lar {
    let mut lar = Lar::start(SERVICES);
    lar.wait("parent=running busy=running shop:web=running");
    lar.out.until("ready");
    lar
}

/// The rows of a table by their first words, without the rest of their lines' blanks.
fn row(table: &str, name: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = table.lines().find(|line| line.starts_with(name));
    words(line.unwrap_or_else(|| panic!("no row of {name} in {table}")))
}

#[test]
fn processes_are_counted_with_all_that_belongs_to_them() {
    let lar = start();
    let table = lar.ask("stats").expect(0).out;
    assert!(table.starts_with("NAME "), "{table}");
    let parent = row(&table, "parent ");
    assert_eq!(parent.last().unwrap(), "2", "the shell and its child: {table}");
    assert_eq!(parent[2], lar.pid_of("parent").to_string());
    assert_eq!(row(&table, "down "), ["down", "stopped", "-", "-", "-", "-", "-", "-"]);
    // Three alike: together three, each one.
    assert_eq!(row(&table, "shop:web sum").last().unwrap(), "3");
    assert_eq!(row(&table, "shop:web min").last().unwrap(), "1");
    assert_eq!(row(&table, "shop:web max").last().unwrap(), "1");
    assert!(!table.contains("parent sum"));
    let two = lar.ask("stats shop:web@2 down").expect(0).out;
    assert_eq!(two.lines().count(), 3, "{two}");
    let plain = lar.ask("stats --plain shop:web@1").expect(0).out;
    let fields: Vec<&str> = plain.trim_end().split('\t').collect();
    assert_eq!((fields.len(), fields[0], fields[7]), (8, "shop:web@1", "1"), "{plain}");
    let resident: u64 = fields[5].parse().unwrap();
    assert!(resident > 100_000 && resident < fields[6].parse().unwrap(), "{plain}");
    lar.ask("stats nobody").expect(4);
    lar.ask("stats --force").expect(2);
    lar.ask("stats --watch fast").expect(2);
    lar.ask("status --watch 1s").expect(2);
}

#[test]
fn json_and_metrics_are_what_their_readers_expect() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let place = match pip::installed("prometheus_client", "0.21.1", |_| Ok(())) {
        Ok(place) => place,
        Err(why) => return skip(&why),
    };
    let lar = start();
    let python = |code: &str, words: &str| {
        let client = lar.client(&words.split(' ').collect::<Vec<_>>());
        let mut command = Command::new(pip::PYTHON);
        command.env("PYTHONPATH", &place).arg("-c").arg(code);
        command.arg(client.get_program()).args(client.get_args());
        lar::answer(&mut command).expect(0).out
    };
    let code = "import json, subprocess, sys\n\
        it = json.loads(subprocess.check_output(sys.argv[1:]))\n\
        web = [one for one in it['instances'] if one['name'].startswith('shop:web')]\n\
        print(len(web), {one['processes'] for one in web}, [one['name'] for one in it['services']])\n\
        total = it['services'][0]['sum']['resident_bytes']\n\
        print(total == sum(one['resident_bytes'] for one in web), it['services'][0]['max']['processes'])\n";
    assert_eq!(python(code, "stats --json"), "3 {1} ['shop:web']\nTrue 1\n");
    let code = "import subprocess, sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = {one.name: one for one in parse(subprocess.check_output(sys.argv[1:]).decode())}\n\
        print(*sorted(families))\n\
        def of(name, **labels):\n\
        \x20   fits = lambda one: labels.items() <= one.labels.items()\n\
        \x20   return [one.value for one in families[name].samples if fits(one)]\n\
        print(of('lar_up', service='shop:web'), of('lar_up', service='down'))\n\
        print(of('lar_processes', service='parent'), of('lar_restarts', service='busy'))\n\
        print(of('lar_state', service='busy', lar_state='running'), sum(of('lar_state', service='down')))\n\
        print(of('lar_resident_memory_bytes', service='busy')[0] > 100000, families['lar_cpu_seconds'].unit)\n";
    assert_eq!(
        python(code, "metrics"),
        "lar_cpu_seconds lar_processes lar_resident_memory_bytes lar_restarts lar_state lar_up \
         lar_uptime_seconds lar_virtual_memory_bytes lar_wanted\n\
         [1, 1, 1] [0]\n[2] [0]\n[1] 1\nTrue seconds\n"
    );
}

/// By Ctrl-C: while it waits, or while it looks.
fn interrupted(status: ExitStatus) -> bool {
    status.code() == Some(130) || status.signal() == Some(2)
}

#[test]
fn who_works_most_stands_on_top() {
    let lar = start();
    let client = lar.client(&["top"]);
    let mut session = Session::start(&client);
    // The second look counts what was used since the first.
    session.until("\x1b[2JNAME");
    session.until("\x1b[2JNAME");
    let first = session.until("parent ");
    assert!(first.contains("busy "), "{first:?}");
    session.press("\x03");
    assert!(interrupted(session.end()));
    // Not on a terminal it goes on until nobody reads.
    let mut watch = lar.client(&["stats", "--watch", "10ms", "--plain", "down"]);
    let mut child = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(child.stdout.take().unwrap());
    for _ in 0..3 {
        assert!(lines.next().unwrap().starts_with("down\tstopped\t-"));
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id() as i32),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    assert!(interrupted(child.wait().unwrap()));
}

#[test]
fn a_manager_elsewhere_is_not_looked_for_here() {
    // Its pids mean other processes here.
    let namespace =
        ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let able = Command::new("unshare").args(namespace).arg("true").output();
    if !able.is_ok_and(|output| output.status.success()) {
        return skip("no pid namespace can be made here");
    }
    let dir = lar::Scratch::new();
    dir.write("c", &format!("<lar>\n socket-name {}\n</lar>\n{SERVICES}", dir.at("s").display()));
    let mut command = Command::new("unshare");
    command.args(namespace).arg(LAR).arg("-C").arg(dir.at("c"));
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("listening");
    lar.wait("busy=running");
    let answer = lar.ask("stats");
    assert!(answer.err.contains("another pid namespace"), "{answer:?}");
}

#[test]
fn a_control_group_of_its_own_also_knows_who_has_left() {
    let root = "/sys/fs/cgroup/unified";
    let group = format!("{root}/lar-test-{}", std::process::id());
    if std::fs::create_dir(&group).is_err() {
        return skip("no cgroup v2 that can be written to");
    }
    // Work is done by a process that is nobody's descendant any more, in a session of its own, before we look.
    let config = format!(
        "<service web>\n shell yes\n program echo $$ >{group}/cgroup.procs; \
         (setsid sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done' &); exec sleep 1000\n</service>\n\
         <service db>\n program sleep 1000\n</service>\n"
    );
    let mut lar = Lar::start(&config);
    lar.out.until("done");
    let milliseconds = |name: &str| -> f64 {
        let metrics = lar.ask(&format!("metrics {name}")).expect(0).out;
        let cpu = metrics.lines().find(|line| line.contains("cpu_seconds_total{"));
        cpu.unwrap_or_else(|| panic!("{metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    let used = std::fs::read_to_string(format!("{group}/cpu.stat")).unwrap();
    let used: f64 = used.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(milliseconds("web") * 1e6 >= used * 0.9 && used > 50_000.0, "{used}");
    assert!(milliseconds("db") < 0.05);
    drop(lar);
    // Who was killed is not out of its group before it is reaped.
    let end = std::time::Instant::now() + lar::DEADLINE;
    while std::fs::remove_dir(&group).is_err() {
        assert!(std::time::Instant::now() < end, "somebody is left in {group}");
    }
}
