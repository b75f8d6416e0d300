//! What operators do: rows 13 to 17, 20, 21, 28, 29, 37, 39 and 41.

use nix::sys::signal::{Signal, kill};

use super::lar::Lar;

/// Rows 13, 14, 37 and 39.
#[test]
fn one_is_started_stopped_and_restarted_and_a_stop_sticks() {
    let lar = Lar::start(
        "<service web>\nprogram sleep 1000\n</service>\n<service other>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("web=running other=running");
    let (web, other) = (lar.pid_of("web"), lar.pid_of("other"));
    lar.ask("restart web").expect(0);
    assert_ne!(lar.pid_of("web"), web);
    lar.ask("stop web").expect(0);
    lar.ask("status web").expect(3);
    lar.ask("pid web").expect(3);
    // Nobody starts it again, whatever its rules say.
    assert!(lar.ask("--json status web").out.contains("\"next_ms\":null"));
    lar.ask("stop web").expect(0);
    lar.ask("stop --strict web").expect(15);
    lar.ask("start web").expect(0);
    lar.ask("start web").expect(0);
    lar.ask("start --strict web").expect(15);
    lar.ask("status web").expect(0);
    assert_eq!(lar.pid_of("other"), other);
    lar.ask("start nobody").expect(5);
}

/// Rows 15, 16 and 29.
#[test]
fn all_start_in_their_order_restart_together_and_end_the_other_way_round() {
    let say =
        "shell yes\nprogram echo up; trap 'echo down; exit 0' TERM; while :; do sleep 0.05; done\n";
    let mut lar = Lar::start(&format!(
        "<service c>\n{say}requires b\n</service>\n<service b>\n{say}requires a\n</service>\n\
         <service a>\n{say}</service>\n"
    ));
    lar.wait("a=running b=running c=running");
    let up: Vec<_> =
        lar.err.now().iter().filter(|line| line.contains("spawned")).cloned().collect();
    let names: Vec<_> = up.iter().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(names, ["a:", "b:", "c:"]);
    for _ in 0..3 {
        lar.out.until("up");
    }
    let before = ["a", "b", "c"].map(|name| lar.pid_of(name));
    lar.ask("restart all").expect(0);
    let after = ["a", "b", "c"].map(|name| lar.pid_of(name));
    assert!(before.iter().zip(&after).all(|(old, new)| old != new), "{before:?} {after:?}");
    assert_eq!(lar.shut_down(), 0);
    let rest = lar.err.rest();
    let gone = rest.iter().rev().filter(|line| line.contains("stopping -> stopped")).take(3);
    let gone: Vec<_> = gone.map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(gone, ["a:", "b:", "c:"], "from the last line back");
}

/// Row 17.
#[test]
fn who_does_not_end_by_term_is_killed_after_its_grace_time() {
    let deaf = "shell yes\nprogram trap '' TERM; echo deaf; while :; do sleep 1000; done\n";
    let mut lar = Lar::start(&format!(
        "<service short>\n{deaf}stop TERM 300ms KILL\n</service>\n<service quick>\nprogram sleep 1000\n\
         stop TERM 1h KILL\n</service>\n"
    ));
    lar.out.until("deaf");
    let mut events = lar.events("short");
    lar.ask("stop short").expect(0);
    events.until("running -> stopping");
    lar.ask("stop quick").expect(0);
    let why = lar.ask("why short").expect(0).out;
    assert!(why.contains("SIGKILL"), "{why}");
    lar.ask("start short").expect(0);
    lar.out.until("deaf");
    lar.ask("stop --strict short").expect(12);
}

/// Rows 20 and 21.
#[test]
fn any_signal_reaches_one_or_all_instances_and_reload_has_its_own() {
    let hears = "shell yes\ninstances 2\nreload HUP\n\
        program for s in HUP USR1 USR2; do trap \"echo $LAR_INSTANCE $s\" $s; done; echo ready; \
        while :; do sleep 0.05; done\n";
    let mut lar = Lar::start(&format!("<service web>\n{hears}</service>\n"));
    lar.out.until("ready");
    lar.out.until("ready");
    lar.ask("kill USR1 web@2").expect(0);
    lar.out.until("2 USR1");
    for spelled in ["kill SIGUSR2 web", "kill -USR2 web", "kill 12 web"] {
        lar.ask(spelled).expect(0);
        let heard = [lar.out.until(" USR2"), lar.out.until(" USR2")].concat();
        assert!(heard.contains("1 USR2") && heard.contains("2 USR2"), "{spelled}: {heard}");
    }
    lar.ask("reload web").expect(0);
    lar.out.until(" HUP");
    lar.out.until(" HUP");
    lar.ask("kill NOSUCH web").expect(5);
    lar.ask("kill USR1 nobody").expect(5);
}

/// Row 28.
#[test]
fn a_group_is_one_name_for_all_that_verbs_do() {
    let lar = Lar::start(
        "<service shop:web>\nprogram sleep 1000\n</service>\n<service shop:work>\nprogram sleep 1000\n</service>\n\
         <service blog:web>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("shop:*=running blog:*=running");
    lar.ask("stop shop:*").expect(0);
    lar.ask("status shop:web").expect(3);
    lar.ask("status shop:work").expect(3);
    lar.ask("status blog:*").expect(0);
    lar.ask("start shop:*").expect(0);
    lar.ask("status shop:*").expect(0);
    assert_eq!(lar.ask("list shop:*").expect(0).out, "shop:web\nshop:work\n");
    lar.ask("stop nobody:*").expect(5);
}

/// Row 41.
#[test]
fn many_operators_at_once_leave_it_as_the_last_one_said_and_a_slow_one_holds_up_nobody() {
    let mut lar = Lar::start(
        "<service web>\nprogram sleep 1000\n</service>\n\
         <service slow>\nshell yes\nprogram trap '' TERM; echo deaf; while :; do sleep 1000; done\n\
         stop TERM 1h KILL\n</service>\n",
    );
    lar.wait("web=running slow=running");
    lar.out.until("deaf");
    let mut clients = Vec::new();
    let mut slow = lar.watch("stop slow");
    for verb in ["restart", "stop", "start", "restart", "stop", "restart"] {
        clients.push(lar.watch(&format!("{verb} web")));
    }
    // Superseded, or done: nobody is left without an answer.
    for mut client in clients {
        assert!([0, 14].contains(&client.end()));
    }
    lar.ask("start web").expect(0);
    kill(lar.pid_of("slow"), Signal::SIGKILL).unwrap();
    assert_eq!(slow.end(), 0);
}
