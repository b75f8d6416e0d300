//! The commands around a program, as real scripts: before it, to stop it, and after it.

#[path = "support/lar.rs"]
mod lar;

#[path = "commands/afterwards.rs"]
mod afterwards;
#[path = "commands/before.rs"]
mod before;
#[path = "commands/stopping.rs"]
mod stopping;

use lar::{Lar, Scratch};

/// What writes into `log` what it was told, with `$1` before it.
const NOTE: &str = "note() { echo $1 $LAR_SERVICE $LAR_INSTANCE pid=$LAR_PID code=$LAR_EXIT_CODE \
                    signal=$LAR_SIGNAL >>{dir}/log; }\n";

/// A service `web` whose program is `main`, with scripts of these names and bodies, and these keys.
#[track_caller]
pub fn start(scripts: &[(&str, &str)], keys: &str) -> Lar {
    let dir = Scratch::new();
    for (name, body) in scripts {
        dir.script(name, &format!("#!/bin/sh\n{NOTE}{body}\n"));
    }
    let config = format!(
        "<service web>\n program {{dir}}/main\n directory {{dir}}\n prefix no\n backoff none\n{keys}\n</service>\n"
    );
    Lar::run_in(dir, " exit-policy never", &config, |_| {})
}

/// The log's lines.
pub fn log(lar: &Lar) -> Vec<String> {
    lar.dir.read("log").lines().map(str::to_owned).collect()
}

/// Returns when no process with this in its words is left. What lar has killed may still be on its way out.
#[track_caller]
pub fn is_gone(lar: &Lar, word: &str) -> bool {
    let end = std::time::Instant::now() + lar::DEADLINE;
    while lar.dir.processes().iter().any(|(_, words)| words.contains(word)) {
        if std::time::Instant::now() > end {
            return false;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    true
}

/// Asks lar to end once more; requests that come right after each other are one, as a terminal makes them.
pub fn insist(lar: &mut Lar) {
    let told =
        |lar: &mut Lar| lar.err.now().iter().filter(|line| line.contains("SIGTERM from")).count();
    let before = told(lar).max(1);
    while told(lar) <= before {
        assert!(lar.dir.at("s").exists(), "it has not waited");
        lar.signal(nix::sys::signal::Signal::SIGTERM);
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}
