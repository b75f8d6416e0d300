//! `lar ctl` itself, in this process, against the server in another thread: what it exits with.

#[path = "ctl/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lar::cli::ctl::run;
use lar::time::Duration;
use world::{World, service};

/// A manager that turns in a thread of its own until it is dropped.
struct Served {
    socket: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn new(prepare: impl FnOnce(&mut World) + Send + 'static) -> Served {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut world = World::new(vec![service("db", &[]), service("web", &[0])]);
            prepare(&mut world);
            tell.send(world.directory.socket()).unwrap();
            while !stopped.load(Ordering::Relaxed) && !world.supervisor.shutting_down() {
                world.turn_after(Duration::from_millis(2));
                world.advance(Duration::from_millis(2));
            }
        });
        Served { socket: told.recv().unwrap(), stop, thread: Some(thread) }
    }

    fn ctl(&self, line: &str) -> u8 {
        let words = ["-s", &self.socket].into_iter().chain(line.split(' '));
        run(words.map(Into::into).collect())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let served = Served::new(|_| {});
    for (line, code) in [
        ("status", 0),
        ("status web", 0),
        ("status --plain nobody", 4),
        ("stop db", 9),
        ("stop nobody", 5),
        ("stop --no-wait web", 0),
        ("wait web=down --timeout 20s", 0),
        ("status web", 3),
        ("health --json", 0),
        ("start --json web", 0),
        ("start --strict web", 15),
        ("kill -KILL web", 0),
        ("wait web=failed --timeout 10ms", 8),
        ("why web", 0),
        ("tree", 0),
        ("logs web", 0),
        ("statistics", 2),
        ("stop", 2),
        ("stop --forc web", 2),
        ("help stop", 0),
        ("help stpo", 2),
    ] {
        assert_eq!(served.ctl(line), code, "{line}");
    }
}

#[test]
fn a_start_that_fails_exits_with_11() {
    let served = Served::new(|world| {
        world.ask("stop web");
        world.broken.insert("web".into());
        world.print("web", "no such luck\n");
    });
    assert_eq!(served.ctl("start web"), 11);
    assert_eq!(served.ctl("start --json web"), 11);
}

#[test]
fn shutdown_returns_when_the_manager_has_ended() {
    let served = Served::new(|_| {});
    assert_eq!(served.ctl("shutdown"), 0);
    assert!(std::fs::metadata(&served.socket).is_err(), "its socket is gone by then");
}

#[test]
fn a_stream_that_the_managers_end_cuts_exits_with_7() {
    let served = Served::new(|_| {});
    let socket = served.socket.clone();
    let events = thread::spawn(move || {
        run(["-s", &socket, "events", "-n1", "web"].iter().map(Into::into).collect())
    });
    assert_eq!(served.ctl("shutdown"), 0);
    assert_eq!(events.join().unwrap(), 7);
}

#[test]
fn without_a_manager_it_is_7() {
    let words = ["-s", "/nonexistent/lar.sock", "status"];
    assert_eq!(run(words.iter().map(Into::into).collect()), 7);
}
