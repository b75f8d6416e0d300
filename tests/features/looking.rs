//! What can be seen: rows 50 to 54.

use super::lar::Lar;

/// Row 50.
#[test]
fn events_tell_what_happens_and_can_be_chosen() {
    let lar = Lar::start(
        "<service shop:web>\nprogram sleep 1000\nbackoff none\n</service>\n\
         <service blog>\nprogram sleep 1000\n</service>\n",
    );
    lar.wait("shop:web=running blog=running");
    let mut shop = lar.watch("--json events -n 1 shop:*");
    shop.lines.next();
    let mut exits = lar.watch("events -n 1 --kind spawned,exited");
    exits.lines.next();
    lar.ask("restart blog").expect(0);
    let old = lar.pid_of("shop:web");
    lar.crash("shop:web");
    let line = shop.until("\"exited\"");
    for part in ["\"name\":\"shop:web\"", &format!("\"pid\":{old}"), "\"signal\":"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!shop.lines.seen.iter().any(|line| line.contains("blog")), "{:?}", shop.lines.seen);
    exits.until("blog");
    exits.until("shop:web");
    lar.ask("add shop:more -- sleep 1000").expect(0);
    shop.until("\"created\"");
    lar.ask("kill CONT shop:more").expect(0);
    shop.until("\"signalled\"");
    lar.ask("remove shop:more").expect(0);
    shop.until("\"removed\"");
}

/// Row 51: what the command does with it, curl for instance, is its own.
#[test]
fn an_event_runs_a_command() {
    let dir = super::lar::Scratch::new();
    nix::unistd::mkfifo(&dir.at("told"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let told = dir.at("told");
    let heard = std::thread::spawn(move || std::fs::read_to_string(told));
    let config = "<service web>\nprogram sleep 1000\n</service>\n<service other>\nprogram sleep 1000\n</service>\n\
        <on exited>\nservices web\ncommand sh -c 'echo $LAR_EVENT $LAR_NAME $LAR_SIGNAL >{dir}/told'\n</on>\n";
    let lar = Lar::run_in(dir, "", config, |_| {});
    lar.wait("web=running other=running");
    lar.crash("other");
    lar.crash("web");
    let heard = heard.join().unwrap().unwrap();
    assert!(heard.starts_with("exited web ") && heard.contains("KILL"), "{heard}");
}

/// Row 52.
#[test]
fn figures_are_shown_once_and_again_and_again() {
    let lar = Lar::start("<service web>\nprogram sleep 1000\ninstances 2\n</service>\n");
    lar.wait("web=running");
    let once = lar.ask("stats").expect(0).out;
    assert!(once.contains("web@1") && once.contains("web@2"), "{once}");
    let pid = lar.pid_of("web@1");
    assert!(once.contains(&pid.to_string()), "{once}");
    let json = lar.ask("stats --json web@1").expect(0).out;
    assert!(json.contains(&format!("\"pid\":{pid}")), "{json}");
    let mut again = lar.watch("stats --watch 50ms web@1");
    for _ in 0..3 {
        again.until("web@1");
    }
    assert!(lar.ask("metrics").expect(0).out.contains("# EOF"));
}

/// Rows 53 and 54.
#[test]
fn everything_that_is_known_of_one_is_shown() {
    let lar = Lar::start(
        "<service shop:web>\nprogram sleep 1000\nbackoff none\n<environment>\nCOLOUR red\n</environment>\n</service>\n\
         <service shop:work>\nprogram sleep 2000\ninstances 2\n</service>\n\
         <service plain>\nprogram sleep 3000\n</service>\n",
    );
    lar.wait("all=running");
    let pid = lar.crash("shop:web");
    let json = lar.ask("--json status shop:web").expect(0).out;
    for part in [
        "\"name\":\"shop:web\"",
        "\"group\":\"shop\"",
        "\"state\":\"running\"",
        &format!("\"pid\":{pid}"),
        "\"restarts\":1",
        "\"last_exit\":\"killed by SIGKILL\"",
        "\"uptime_ms\":",
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
    let config = lar.ask("config shop:web").expect(0).out;
    assert!(config.contains("program sleep 1000") && config.contains("COLOUR red"), "{config}");
    assert_eq!(lar.ask("list").expect(0).out, "shop:web\nshop:work\nplain\n");
    assert_eq!(lar.ask("list shop:*").expect(0).out, "shop:web\nshop:work\n");
    assert_eq!(lar.ask("pid shop:work").expect(0).out.lines().count(), 2);
    assert!(lar.ask("why shop:web").expect(0).out.contains("killed by SIGKILL"));
}
