//! One socket, one manager.

use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;

#[test]
fn a_second_manager_is_told_about_the_first() {
    let first = manage(" program sleep 100");
    let status = first.raw(b"status\n");
    let socket = first.dir.at("s");
    let second = answer(&mut zdrun(&first.dir.path, &["-s", "s", "sleep", "5"])).expect(1);
    let mut lines = second.err.lines();
    let known = format!("Another zrdun is already up using socket '{}':", socket.display());
    assert_eq!(lines.next(), Some(known.as_str()), "{}", second.err);
    let same = |text: &str| !text.starts_with("now=");
    let (told, known): (Vec<_>, Vec<_>) = (
        lines.filter(|line| same(line)).collect(),
        status.lines().filter(|line| same(line)).collect(),
    );
    assert_eq!(told, known);
    assert_eq!(first.raw(b"status\n").lines().last(), Some("args=['sleep', '100']"));
}

#[test]
fn a_dead_managers_socket_is_replaced() {
    let dir = Scratch::new();
    drop(UnixListener::bind(dir.at("s")).unwrap());
    let answer = answer(&mut zdrun(&dir.path, &["-s", "s", "sleep", "100"])).expect(0);
    let known = format!("Unlinking stale socket {}; sleep 1\n", dir.at("s").display());
    assert_eq!((answer.out, answer.err), (String::new(), known));
    let status = lar::answer(Command::new(LAR).args(["ctl", "-s"]).arg(dir.at("s")).arg("status"));
    assert_eq!(status.code, 0, "{status:?}");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = Scratch::new();
    dir.write("s", "precious\n");
    let answer = answer(&mut zdrun(&dir.path, &["-s", "s", "sleep", "100"])).expect(1);
    assert!(answer.err.contains("not a socket"), "{answer:?}");
    assert!(!answer.err.contains("Unlinking"), "{answer:?}");
    assert_eq!(dir.read("s"), "precious\n");
    assert_eq!(std::fs::read_dir(&dir.path).unwrap().count(), 1);
}

#[test]
fn a_socket_of_another_type_is_left_alone() {
    let dir = Scratch::new();
    let other = UnixDatagram::bind(dir.at("s")).unwrap();
    let answer = answer(&mut zdrun(&dir.path, &["-s", "s", "sleep", "100"])).expect(1);
    assert!(answer.err.contains("Protocol wrong type for socket"), "{answer:?}");
    assert!(!answer.err.contains("Unlinking"), "{answer:?}");
    UnixDatagram::unbound().unwrap().send_to(b"still there", dir.at("s")).unwrap();
    let mut text = [0; 11];
    assert_eq!(other.recv(&mut text).unwrap(), text.len());
    // The same for a manager of services, which goes on without.
    let services =
        "<lar>\n  socket-name {dir}/s\n</lar>\n<service a>\n  program sleep 100\n</service>\n";
    let mut command = Command::new(LAR);
    command.arg("-C").arg(dir.write("lar.conf", services));
    let mut lar = Lar::spawn(dir, command);
    lar.err.until("Protocol wrong type for socket");
    UnixDatagram::unbound().unwrap().send_to(b"still there", lar.dir.at("s")).unwrap();
    lar.shut_down();
}

#[test]
fn a_socket_that_may_not_be_called_is_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    if !lar::root() {
        return lar::skip("only root can be two users");
    }
    let dir = Scratch::new();
    // Others may not enter the directory that the tests are built in.
    std::fs::copy(LAR, dir.at("zdrun")).unwrap();
    let _roots = UnixListener::bind(dir.at("s")).unwrap();
    std::fs::set_permissions(dir.at("s"), PermissionsExt::from_mode(0o700)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(dir.at("zdrun")).args(["-s", "s", "sleep", "100"]).current_dir(&dir.path);
    let answer = answer(&mut command).expect(1);
    assert!(answer.err.contains("Permission denied"), "{answer:?}");
    assert!(!answer.err.contains("Unlinking"), "{answer:?}");
    assert!(dir.at("s").exists());
}

#[test]
fn of_many_that_start_at_once_one_stays() {
    for stale in [false, true] {
        let dir = Scratch::new();
        if stale {
            drop(UnixListener::bind(dir.at("s")).unwrap());
        }
        let mut all: Vec<_> = (0..10)
            .map(|_| {
                let mut command = zdrun(&dir.path, &["-s", "s", "sleep", "100"]);
                command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        let codes: Vec<i32> = all
            .iter_mut()
            .map(|child| lar::code(lar::ended(child, lar::DEADLINE).unwrap()))
            .collect();
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
        let sleeps = dir.processes().iter().filter(|(_, words)| words.starts_with("sleep")).count();
        assert_eq!(sleeps, 1);
        assert_eq!(std::fs::read_dir(&dir.path).unwrap().count(), 1, "nothing beside the socket");
    }
}

#[test]
fn a_place_that_can_not_be_had_is_an_error() {
    let dir = Scratch::new();
    let long = "x".repeat(120);
    let answer = answer(&mut zdrun(&dir.path, &["-s", &long, "sleep", "100"])).expect(1);
    assert!(answer.err.contains("can't listen at"), "{answer:?}");
}
