//! The control server when there are no file descriptors left. A process of its own, and one test:
//! the limit holds for all threads.

#[path = "ctl/world.rs"]
mod world;

use std::fs::File;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use world::{World, service};

#[test]
fn a_client_that_can_not_be_accepted_waits_and_is_served_when_there_is_room() {
    let mut world = World::new(vec![service("web", &[])]);
    let mut first = world.client();
    first.send("lar1 ping\n");
    assert_eq!(first.reply(&mut world).len(), 2);
    let mut second = world.client();
    second.send("lar1 ping\n");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(64), hard).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert!(second.lines(&mut world).is_empty());
    assert!(!world.server.busy(), "it does not spin");
    let retry = world.server.next_deadline().expect("it tries again");
    assert!(retry > world.now);
    first.send("lar1 ping\n");
    assert_eq!(first.reply(&mut world).len(), 2, "others are served meanwhile");
    world.now = world.server.next_deadline().unwrap();
    assert!(second.lines(&mut world).is_empty());
    files.clear();
    world.now = world.server.next_deadline().unwrap();
    assert_eq!(second.reply(&mut world).len(), 2);
    assert_eq!(world.server.next_deadline(), None);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
}
