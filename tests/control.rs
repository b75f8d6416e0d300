//! `lar ctl` against a real manager: every verb, its exit code, its three layouts, and who may use it.

#[path = "support/lar.rs"]
mod lar;

use std::io::Write;
use std::process::{Command, Stdio};

use lar::{LAR, Lar, Scratch, answer, program, root, skip};
use nix::sys::signal::Signal;

const TWO: &str = "<service db>\n program sleep 1000\n</service>\n\
     <service shop:web>\n program sleep 1000\n requires db\n instances 2\n</service>\n";

#[test]
fn looking_has_the_exit_codes_of_the_table() {
    let mut lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    assert_eq!(lar.ask("list").expect(0).out, "db\nshop:web\n");
    lar.ask("status").expect(0);
    lar.ask("").expect(0);
    lar.ask("status db").expect(0);
    lar.ask("status nobody").expect(4);
    lar.ask("why nobody").expect(5);
    lar.ask("stop nobody").expect(5);
    lar.ask("stop").expect(2);
    lar.ask("status --force").expect(2);
    lar.ask("wait db").expect(2);
    lar.ask("wait db=runing").expect(2);
    lar.ask("wait db=stopped --timeout 50ms").expect(8);
    lar.ask("wait db=up shop:web@2=ready").expect(0);
    lar.ask("health").expect(0);
    lar.ask("health db").expect(0);
    lar.ask("version").expect(0);
    assert_eq!(lar.ask("pid").expect(0).out.trim(), lar.pid().to_string());
    assert_eq!(lar.ask("pid shop:*").expect(0).out.lines().count(), 2);
    let tree = lar.ask("tree").expect(0).out;
    assert!(tree.contains("shop:web") && tree.contains("└─ db"), "{tree}");
    lar.ask("stop shop:web").expect(0);
    lar.ask("status shop:web").expect(3);
    lar.ask("stop shop:web").expect(0);
    lar.ask("stop --strict shop:web").expect(15);
    lar.ask("start db").expect(0);
    lar.ask("start --strict db").expect(15);
    lar.ask("pid shop:web").expect(3);
    lar.ask("health").expect(0);
    lar.ask("reload db").expect(1);
    assert_eq!(lar.shut_down(), 0);
    lar.ask("status").expect(7);
}

#[test]
fn mistyped_words_are_answered_with_the_nearest_one() {
    let lar = Lar::start(TWO);
    let near = |line: &str, code: i32, near: &str| {
        let answer = lar.ask(line).expect(code);
        assert!(answer.err.contains(near), "{line}: {answer:?}");
    };
    near("statsu", 2, "did you mean status?");
    near("stop shop:wbe", 5, "shop:web");
    near("stop --frce db", 2, "--force");
    near("status dbb", 4, "db");
    let nothing = lar.ask("xyzzy").expect(2);
    assert!(!nothing.err.contains("did you mean"), "{nothing:?}");
}

#[test]
fn restart_kill_reload_and_clear_do_what_they_say() {
    let mut lar = Lar::start(
        "<service web>\n shell yes\n program trap 'echo again' HUP; trap 'echo one' USR1; echo up; \
         while :; do sleep 1000 & wait; done\n reload HUP\n prefix no\n</service>\n\
         <service bad>\n program false\n backoff linear 1h max 1h jitter 0%\n</service>\n",
    );
    lar.out.until("up");
    let first = lar.pid_of("web");
    lar.ask("restart web").expect(0);
    lar.out.until("up");
    assert_ne!(lar.pid_of("web"), first);
    lar.ask("reload web").expect(0);
    lar.out.until("again");
    lar.ask("kill USR1 web").expect(0);
    lar.out.until("one");
    lar.ask("kill -SIGHUP web").expect(0);
    lar.out.until("again");
    lar.ask("kill -1 web").expect(0);
    lar.out.until("again");
    lar.ask("kill NOSUCH web").expect(5);
    lar.wait("bad=backoff");
    let mut events = lar.events("bad");
    lar.ask("clear bad").expect(0);
    events.until("backoff -> starting");
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_stop_by_kill_is_an_error_only_when_that_is_asked_for() {
    let deaf = |name: &str| {
        format!(
            "<service {name}>\n shell yes\n program trap '' TERM; echo {name} up; while :; do sleep \
             1000; done\n stop TERM 100ms KILL\n</service>\n"
        )
    };
    let mut lar = Lar::start(&(deaf("one") + &deaf("two")));
    lar.out.until(" up");
    lar.out.until(" up");
    lar.ask("stop one").expect(0);
    lar.ask("stop --strict two").expect(12);
    lar.wait("one=stopped two=stopped");
}

#[test]
fn a_stop_supersedes_a_start_that_waits_and_the_start_says_so() {
    let lar = Lar::start(
        "<service web>\n program sleep 1000\n ready command false\n start manual\n stop KILL\n \
         start-timeout none\n</service>\n",
    );
    let mut start = lar.watch("start --timeout 30s web");
    lar.wait("web=starting");
    lar.ask("stop web").expect(0);
    assert_eq!(start.end(), 14);
}

#[test]
fn no_wait_answers_at_once_and_waiting_times_out_without_undoing() {
    let lar = Lar::start(
        "<service web>\n program sleep 1000\n ready command test -e {dir}/go\n ready-interval 20ms\n \
         start manual\n</service>\n",
    );
    lar.ask("start --no-wait web").expect(0);
    lar.ask("start --timeout 50ms web").expect(8);
    lar.dir.write("go", "");
    lar.wait("web=running");
}

/// What python thinks of some JSON; the expression is given it as `d`.
fn python(text: &str, expression: &str) -> String {
    let code = format!("import json, sys\nd = json.load(sys.stdin)\nprint({expression})");
    let mut child = Command::new("python3")
        .args(["-c", &code])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn json_is_one_object_that_others_can_read() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let lar = Lar::start(
        &(TWO.to_owned()
            + "<service odd>\n shell yes\n program \
         printf 'a \"b\" \\\\ \\t\\001 \\303\\244 \\377 c\\n'; exec sleep 1000\n</service>\n"),
    );
    lar.wait("shop:web=running odd=running");
    lar.watch("logs -f odd").until("a \"b\"");
    for verb in [
        "status",
        "list",
        "pid",
        "why db",
        "tree",
        "logs",
        "config",
        "ping",
        "version",
        "health",
        "loglevel",
        "start db",
        "stop shop:web",
        "wait db=up",
        "kill HUP db",
        "clear db",
        "reopen",
    ] {
        let answer = lar.ask(&format!("--json {verb}"));
        assert_eq!(answer.code, 0, "{verb}: {answer:?}");
        assert_eq!(python(&answer.out, "d['version']"), "1", "{verb}");
    }
    let status = lar.ask("--json status db").out;
    let fields = python(&status, "d['services'][0]['state'], d['services'][0]['up']");
    assert_eq!(fields, "running True");
    let wrong = lar.ask("--json stop nobody");
    assert_eq!(wrong.code, 5);
    assert_ne!(python(&wrong.out, "len(d['error']['message'])"), "0", "{wrong:?}");
    let logs = lar.ask("--json logs odd").out;
    assert!(python(&logs, "ascii(d['lines'][0]['text'])").starts_with(r#"'a "b" \\ \t\x01 \xe4"#));
    let mut events = lar.watch("--json events -n 2");
    let line = events.lines.next().unwrap();
    assert_ne!(python(&line, "d['seq'], d['name'], d['from'], d['to']"), "");
}

#[test]
fn plain_is_one_line_of_tab_separated_fields_for_each() {
    let lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    let status = lar.ask("status --plain").expect(0).out;
    let rows: Vec<Vec<&str>> = status.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.len() == 17), "{rows:?}");
    assert_eq!(rows[1][..7], ["shop:web@1", "shop", "1", "simple", "running", "yes", "up"]);
}

#[test]
fn why_tells_the_cause_and_the_next_try() {
    let lar = Lar::start(
        "<service bad>\n program sh -c 'echo last words; exit 3'\n ready command false\n \
         backoff linear 1h max 1h jitter 0%\n</service>\n",
    );
    lar.wait("bad=backoff");
    let why = lar.ask("why bad").expect(0).out;
    assert!(why.contains("exit status 3") && why.contains("next try in 1h"), "{why}");
    let failed = lar.ask("restart --timeout 5s bad").expect(11);
    assert!(failed.err.contains("last words"), "the latest output is shown: {failed:?}");
}

#[test]
fn the_log_level_is_shown_and_changed() {
    let mut lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    assert_eq!(lar.ask("loglevel").expect(0).out, "info\n");
    lar.ask("loglevel error").expect(0);
    assert_eq!(lar.ask("loglevel").expect(0).out, "error\n");
    lar.ask("stop shop:web").expect(0);
    lar.ask("loglevel info").expect(0);
    lar.ask("loglevel loud").expect(2);
    assert_eq!(lar.shut_down(), 0);
    let lines = lar.err.rest();
    assert!(
        !lines.iter().any(|line| line.contains("shop:web@1: running -> stopping")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("db: running -> stopping")), "{lines:?}");
}

#[test]
fn usr2_writes_the_status_to_the_event_log() {
    let mut lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    lar.signal(Signal::SIGUSR2);
    let pid = lar.pid_of("db");
    lar.err.until(&format!("status: db: running, pid {pid}"));
    lar.err.until("status: shop:web@2: running");
}

#[test]
fn a_second_manager_on_the_same_socket_is_refused() {
    let mut lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    let second = answer(Command::new(LAR).arg("-C").arg(lar.dir.at("lar.conf"))).expect(1);
    assert!(second.err.contains("nothing was started"), "{second:?}");
    lar.ask("status db").expect(0);
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_socket_left_behind_by_one_that_was_killed_is_taken_over() {
    let mut lar = Lar::start(TWO);
    lar.signal(Signal::SIGKILL);
    assert_eq!(lar.end(), 137);
    assert!(lar.dir.at("s").exists());
    let file = lar.dir.at("lar.conf");
    let mut command = Command::new(LAR);
    command.arg("-C").arg(file);
    let scratch = Scratch { path: lar.dir.path.clone() };
    let second = Lar::spawn(scratch, command);
    while lar.ask("ping").code != 0 {}
    drop(second);
}

/// As another user.
fn as_nobody(lar: &Lar, line: &str) -> i32 {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(LAR).arg("ctl");
    command.arg("-s").arg(lar.dir.at("s")).args(line.split(' '));
    answer(&mut command).code
}

/// The binary must be one that others can reach, too.
fn others_can_run_it() -> bool {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", LAR, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn others_may_do_what_they_are_allowed_and_no_more() {
    if !root() || !others_can_run_it() {
        return skip("needs root, and a binary that others can run");
    }
    let closed = Lar::start(TWO);
    assert_ne!(as_nobody(&closed, "ping"), 0, "mode 0600");
    let viewer = Lar::with("  allow view uid 65534", TWO);
    viewer.wait("db=running");
    assert_eq!(as_nobody(&viewer, "status"), 0);
    assert_eq!(as_nobody(&viewer, "stop shop:web"), 10);
    assert_eq!(as_nobody(&viewer, "loglevel debug"), 10);
    let operator = Lar::with("  allow operate gid 65534", TWO);
    operator.wait("shop:web=running");
    assert_eq!(as_nobody(&operator, "stop shop:web"), 0);
    assert_eq!(as_nobody(&operator, "shutdown"), 10);
    let mut admin = Lar::with("  allow admin user nobody", TWO);
    assert_eq!(as_nobody(&admin, "shutdown"), 0);
    assert_eq!(admin.end(), 0);
    let other = Lar::with("  allow admin uid 12345", TWO);
    assert_eq!(as_nobody(&other, "ping"), 10, "may connect, but nothing else");
}

#[test]
fn on_a_terminal_it_is_a_shell() {
    if program("python3").is_none() {
        return skip("python3 is not installed");
    }
    let lar = Lar::start(TWO);
    lar.wait("shop:web=running");
    // A pseudo-terminal by python: it answers each prompt with the next line.
    let code = "import os, pty, sys\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execv(sys.argv[1], sys.argv[1:])\n\
        lines = [b'status\\n', b'', b'stop shop:web\\n', b'wait shop:web=stopped\\n', b'xyzzy\\n', b'quit\\n']\n\
        lines[1] = b'list\\n'\n\
        text = b''\n\
        while True:\n\
        \x20   try: got = os.read(fd, 65536)\n\
        \x20   except OSError: break\n\
        \x20   if not got: break\n\
        \x20   text += got\n\
        \x20   if text.endswith(b'lar> ') and lines: os.write(fd, lines.pop(0))\n\
        print(text.decode())\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let mut command = Command::new("python3");
    command.args(["-c", code, LAR, "ctl", "-s"]).arg(lar.dir.at("s")).env("TERM", "xterm");
    let answer = answer(&mut command).expect(0);
    for text in ["lar> status", "NAME", "shop:web@2", "\x1b[32mrunning", "no verb is called xyzzy"]
    {
        assert!(answer.out.contains(text), "{text:?} in {answer:#?}");
    }
    lar.wait("shop:web=stopped");
}
