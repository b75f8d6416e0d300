//! The environment that a program finds: what is inherited, what beats what.

#[path = "support/children.rs"]
mod support;

use lar::plan::{Account, Identity, Inherit, Session, Setup};
use lar::sys::fd;
use lar::sys::spawn::{Image, Recipe, Spawner};
use std::os::fd::AsRawFd;
use std::rc::Rc;

type Pairs = [(&'static str, &'static str)];

fn pairs(of: &Pairs) -> Vec<(String, String)> {
    of.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

/// What env(1) prints, sorted.
fn environment(setup: &Setup, inherited: &Pairs, explicit: &Pairs, extra: &Pairs) -> Vec<String> {
    let mut process = support::process(&["env"]);
    process.environment = pairs(explicit);
    let pipe = support::Pipe::new();
    let null = fd::open_null().unwrap();
    let extra = pairs(extra);
    let stdio = [null.as_raw_fd(), pipe.write.as_raw_fd(), 2];
    let recipe = Recipe { extra: &extra, ..Recipe::new(setup, &process, stdio) };
    let image = Image::new(&Rc::new(support::given(inherited)), &recipe).unwrap();
    let pid = Spawner::new().unwrap().spawn(&image).unwrap();
    drop(pipe.write);
    let output = support::read_all(&pipe.read);
    support::wait(pid);
    let mut lines: Vec<String> = output.lines().map(String::from).collect();
    lines.sort();
    lines
}

const PATH: (&str, &str) = ("PATH", "/usr/bin:/bin");
const DEFAULT: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn explicit_beats_inherited_and_lars_own_beats_both() {
    let inherited = [PATH, ("A", "inherited"), ("B", "inherited"), ("C", "inherited")];
    let explicit = [("B", "explicit"), ("C", "explicit")];
    let found = environment(&Setup::default(), &inherited, &explicit, &[("C", "own")]);
    assert_eq!(found, ["A=inherited", "B=explicit", "C=own", "PATH=/usr/bin:/bin"]);
}

#[test]
fn nothing_is_inherited_but_there_is_always_a_path() {
    let setup = Setup { inherit: Inherit::Nothing, ..Setup::default() };
    let found = environment(&setup, &[("PATH", "/no/such"), ("A", "x")], &[("B", "y")], &[]);
    assert_eq!(found, ["B=y", DEFAULT]);
    assert_eq!(environment(&Setup::default(), &[], &[], &[]), [DEFAULT]);
}

#[test]
fn only_named_variables_are_inherited() {
    let setup = Setup { inherit: Inherit::Names(vec!["A".into(), "X".into()]), ..Setup::default() };
    let found = environment(&setup, &[PATH, ("A", "a"), ("AB", "b")], &[], &[]);
    assert_eq!(found, ["A=a", DEFAULT]);
}

#[test]
fn the_notify_socket_of_lar_itself_is_not_handed_to_services() {
    let inherited = [PATH, ("NOTIFY_SOCKET", "/of/lar")];
    let line = String::from("NOTIFY_SOCKET=/of/lar");
    let mut setup = Setup::default();
    assert!(!environment(&setup, &inherited, &[], &[]).contains(&line));
    setup.inherit = Inherit::Names(vec!["NOTIFY_SOCKET".into()]);
    assert!(environment(&setup, &inherited, &[], &[]).contains(&line));
    let single = Setup { session: Session::Given, ..Setup::default() };
    assert!(environment(&single, &inherited, &[], &[]).contains(&line));
}

#[test]
fn a_single_programs_environment_is_not_touched() {
    let single = Setup { session: Session::Given, ..Setup::default() };
    assert_eq!(environment(&single, &[("A", "x")], &[], &[]), ["A=x"]);
}

#[test]
fn the_users_account_beats_inherited_but_not_explicit_variables() {
    if !support::is_root() {
        return support::skip("only root can switch users");
    }
    let account = Account { name: "d".into(), home: "/h".into(), shell: "/bin/x".into() };
    let identity = Identity { uid: None, gid: 1, groups: vec![], account: Some(account) };
    let setup = Setup { identity: Some(identity), ..Setup::default() };
    let found = environment(&setup, &[PATH, ("HOME", "/root")], &[("SHELL", "/mine")], &[]);
    let wanted = ["HOME=/h", "LOGNAME=d", "PATH=/usr/bin:/bin", "SHELL=/mine", "USER=d"];
    assert_eq!(found, wanted);
}
