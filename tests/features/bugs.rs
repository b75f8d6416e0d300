//! What procmon and gaffer were known to do wrong. The test of each shows that lar does not.

use std::process::Command;

use nix::sys::signal::{Signal, kill};

use super::lar::{LAR, Lar, Scratch, answer};
use super::{check, rewrite};

/// Each bug, and its test.
pub const BUGS: &[(&str, &str)] = &[
    (
        "procmon: what is removed while it waits to be restarted, is started",
        "bugs::who_is_removed_in_a_wait_never_comes_back",
    ),
    ("procmon: who is deaf to TERM survives the manager", "bugs::nobody_survives_the_managers_end"),
    ("procmon: a blank line after every process", "bugs::no_line_is_added"),
    ("procmon: a long line closes the program's output", "bugs::a_long_line_kills_nobody"),
    ("procmon: why a spawn failed can't be shown", "bugs::why_a_start_failed_is_shown"),
    (
        "gaffer: a group's and a name's order differ from place to place",
        "bugs::a_name_is_group_then_service_everywhere",
    ),
    (
        "gaffer: an update fails, or never starts what was stopped",
        "bugs::an_update_works_and_leaves_what_was_stopped",
    ),
    ("gaffer: a stop in a cool-down is undone by its timer", "bugs::a_stop_in_a_cooldown_sticks"),
    (
        "gaffer: an unknown group blocks everything after it",
        "bugs::an_unknown_group_is_an_error_and_no_more",
    ),
    ("gaffer: inherited variables beat explicit ones", "bugs::explicit_variables_win"),
    ("gaffer: one job's variables leak into others", "bugs::variables_belong_to_one_service"),
    ("gaffer: a shell gets only the first word", "bugs::a_shell_gets_the_whole_line"),
    ("gaffer: a fraction of a second is no grace time", "bugs::a_grace_time_may_be_a_fraction"),
    ("gaffer: one-off runs have no grace time at all", "bugs::one_more_run_has_its_grace_time"),
    (
        "gaffer: a flapping rule that is written wrong is ignored",
        "bugs::a_rule_that_is_written_wrong_is_an_error",
    ),
    ("gaffer: figures of nobody are letters", "bugs::figures_of_nobody_are_none"),
];

#[test]
fn who_is_removed_in_a_wait_never_comes_back() {
    let mut lar = Lar::start(
        "<service web>\nshell yes\nprogram echo life; exit 1\nbackoff linear 300ms max 300ms jitter 0%\n</service>\n\
         <service other>\nshell yes\nprogram sleep 1; echo a while later; sleep 1000\n</service>\n",
    );
    lar.wait("web=backoff");
    lar.ask("remove web").expect(0);
    let lives = lar.out.now().iter().filter(|line| line.contains("life")).count();
    lar.out.until("a while later");
    assert_eq!(lar.out.seen.iter().filter(|line| line.contains("life")).count(), lives.max(1));
    lar.ask("status web").expect(4);
    lar.ask("add another backoff none -- sleep 1000").expect(0);
    lar.wait("another=running");
}

#[test]
fn nobody_survives_the_managers_end() {
    let mut lar = Lar::start(
        "<service deaf>\nshell yes\nprogram trap '' TERM INT HUP; echo deaf; while :; do sleep 1000; done\n\
         stop TERM 200ms KILL\n</service>\n",
    );
    lar.out.until("deaf");
    let pid = lar.pid_of("deaf");
    lar.shut_down();
    assert!(kill(pid, None).is_err());
}

#[test]
fn no_line_is_added() {
    let dir = Scratch::new();
    let config = "<defaults>\nrestart never\n</defaults>\n\
        <service web>\nprogram sh -c 'echo one; echo; echo two'\ntranscript {dir}/web\n</service>\n";
    let lar = Lar::run_in(dir, "exit-policy never", config, |_| {});
    lar.wait("web=exited");
    assert_eq!(lar.dir.read("web"), "one\n\ntwo\n");
    lar.ask("start --no-wait web");
    lar.wait("web=exited");
    lar.ask("stop web").expect(0);
    let text = lar.dir.read("web");
    assert!(text.starts_with("one\n\ntwo\n") && text.matches("\n\n").count() <= 2, "{text:?}");
}

#[test]
fn a_long_line_kills_nobody() {
    let mut lar = Lar::start(
        "<service web>\nprogram sh -c 'head -c 300000 /dev/zero | tr \"\\\\0\" y; echo; echo alive; exec sleep 1000'\n\
         </service>\n",
    );
    lar.out.until("alive");
    lar.ask("status web").expect(0);
    assert!(lar.ask("--json status web").out.contains("\"restarts\":0"));
}

#[test]
fn why_a_start_failed_is_shown() {
    let dir = Scratch::new();
    dir.script("not-executable", "");
    let config = "<service web>\nprogram {dir}/run\nstart manual\n</service>\n\
                  <service other>\nprogram sleep 1000\n</service>\n";
    dir.script("run", "#!/no/such/interpreter {}%s\n");
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    let failed = lar.ask("start web").expect(11);
    assert!(failed.err.contains("No such file or directory (stage exec)"), "{failed:?}");
    lar.err.until("(stage exec)");
}

#[test]
fn a_name_is_group_then_service_everywhere() {
    let dir = Scratch::new();
    dir.write("Procfile", "web: sleep 1000\n");
    let mut export = Command::new(LAR);
    export.args(["config", "--from-procfile", "Procfile", "--app", "shop"]).current_dir(&dir.path);
    let text = answer(&mut export).expect(0).out;
    assert!(text.contains("<service shop:web>"), "{text}");
    let lar = Lar::run_in(dir, "", &text, |_| {});
    lar.wait("shop:web=running");
    assert_eq!(lar.ask("list shop:*").expect(0).out, "shop:web\n");
    let json = lar.ask("--json status shop:web").expect(0).out;
    assert!(json.contains("\"name\":\"shop:web\",\"group\":\"shop\""), "{json}");
    lar.ask("status web:shop").expect(4);
}

#[test]
fn an_update_works_and_leaves_what_was_stopped() {
    let service = |number: u32| {
        format!(
            "<service web>\nprogram sh -c 'echo number {number}; exec sleep 1000'\n</service>\n"
        )
    };
    let other = "<service other>\nprogram sleep 1000\n</service>\n";
    let mut lar = Lar::start(&(service(1) + other));
    lar.out.until("number 1");
    let pid = lar.pid_of("web");
    rewrite(&lar, &(service(2) + other));
    lar.ask("apply").expect(0);
    lar.out.until("number 2");
    assert_ne!(lar.pid_of("web"), pid);
    lar.ask("stop web").expect(0);
    rewrite(&lar, &(service(3) + other));
    lar.ask("apply").expect(0);
    lar.ask("status web").expect(3);
    lar.ask("start web").expect(0);
    lar.out.until("number 3");
}

#[test]
fn a_stop_in_a_cooldown_sticks() {
    let mut lar = Lar::with(
        "exit-policy never",
        "<service bad>\nshell yes\nprogram echo life; exit 1\nbackoff none\nflapping 2 in 10s cooldown 300ms rounds 9\n\
         </service>\n<service other>\nshell yes\nprogram sleep 1; echo a while later; sleep 1000\n</service>\n",
    );
    lar.wait("bad=cooldown");
    lar.ask("stop bad").expect(0);
    lar.ask("wait bad=stopped").expect(0);
    let lives = lar.ask("logs bad").expect(0).out;
    lar.out.until("a while later");
    assert_eq!(lar.ask("logs bad").expect(0).out, lives);
    lar.ask("status bad").expect(3);
}

#[test]
fn an_unknown_group_is_an_error_and_no_more() {
    let lar = Lar::start("<service shop:web>\nprogram sleep 1000\n</service>\n");
    for verb in ["start", "stop", "restart", "remove", "kill"] {
        lar.ask(&format!("{verb} nobody:*")).expect(5);
        lar.ask("restart shop:*").expect(0);
    }
}

#[test]
fn explicit_variables_win() {
    let config = "<defaults>\nrestart never\nprogram printenv COLOUR\n</defaults>\n\
        <service own>\n<environment>\nCOLOUR own\n</environment>\n</service>\n";
    let lar = Lar::run_in(Scratch::new(), "exit-policy never", config, |command| {
        command.env("COLOUR", "inherited");
    });
    lar.wait("own=exited");
    assert_eq!(lar.ask("logs own").expect(0).out, "own\n");
}

#[test]
fn variables_belong_to_one_service() {
    let lar = Lar::with(
        "exit-policy never",
        "<defaults>\nrestart never\nprogram sh -c 'env | grep -c ^LEAK; true'\n</defaults>\n\
         <service one>\n<environment>\nLEAK one\n</environment>\n</service>\n<service two>\n</service>\n",
    );
    lar.wait("one=exited two=exited");
    assert_eq!(lar.ask("logs one").expect(0).out, "1\n");
    assert_eq!(lar.ask("logs two").expect(0).out, "0\n");
}

#[test]
fn a_shell_gets_the_whole_line() {
    let lar = Lar::with(
        "exit-policy never",
        "<service web>\nshell yes\nprogram echo one two 'and three' && echo more\nrestart never\n</service>\n",
    );
    lar.wait("web=exited");
    assert_eq!(lar.ask("logs web").expect(0).out, "one two and three\nmore\n");
}

#[test]
fn a_grace_time_may_be_a_fraction() {
    let mut lar = Lar::start(
        "<service web>\nshell yes\nprogram trap 'echo ending; sleep 0.1; echo ended; exit 0' TERM; echo ready; \
         while :; do sleep 0.02; done\nstop TERM 900ms KILL\n</service>\n",
    );
    lar.out.until("ready");
    // Truncated to none it would be killed at once.
    lar.ask("stop --strict web").expect(0);
    lar.out.until("ended");
}

#[test]
fn one_more_run_has_its_grace_time() {
    let mut lar = Lar::start(
        "<service web>\nshell yes\nprogram trap 'echo ending; sleep 0.1; echo ended; exit 0' TERM; echo ready; \
         while :; do sleep 0.02; done\nstop TERM 20s KILL\nstart manual\n</service>\n\
         <service other>\nprogram sleep 1000\n</service>\n",
    );
    lar.ask("once --no-wait web").expect(0);
    lar.out.until("ready");
    lar.ask("stop web").expect(0);
    lar.out.until("ended");
}

#[test]
fn a_rule_that_is_written_wrong_is_an_error() {
    for wrong in ["2, 1, 7, 5", "2 1 7 5", "2 in 1s", "1s in 2 cooldown 7s"] {
        let config = format!("<service web>\nprogram true\nflapping {wrong}\n</service>\n");
        let refused = check(&config).expect(6);
        assert!(refused.err.contains("flapping"), "{wrong}: {refused:?}");
    }
    check("<service web>\nprogram true\nflapping 2 in 1s cooldown 7s rounds 5\n</service>\n")
        .expect(0);
}

#[test]
fn figures_of_nobody_are_none() {
    let lar = Lar::start(
        "<service down>\nprogram true\nstart manual\n</service>\n<service up>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("up=running");
    let table = lar.ask("stats").expect(0).out;
    let line = table.lines().find(|line| line.starts_with("down")).unwrap();
    assert!(line.split_whitespace().skip(2).all(|cell| cell == "-"), "{table}");
    assert!(!table.contains("N/A"), "{table}");
    let json = lar.ask("stats --json down").expect(0).out;
    assert!(json.contains("null") && !json.contains("\"N\""), "{json}");
}

/// The signals that a stop sends are those that its ladder says, in their order.
#[test]
fn a_ladder_is_climbed_in_its_order() {
    let mut lar = Lar::start(
        "<service web>\nshell yes\nprogram trap 'echo int' INT; trap 'echo term' TERM; echo ready; \
         while :; do sleep 0.02; done\nstop INT 200ms TERM 200ms KILL\n</service>\n",
    );
    lar.out.until("ready");
    let pid = lar.pid_of("web");
    lar.ask("stop web").expect(0);
    lar.out.until("int");
    lar.out.until("term");
    assert!(kill(pid, None::<Signal>).is_err());
}
