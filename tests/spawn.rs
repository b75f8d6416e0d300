//! The spawn, with real processes: what a program finds when it starts, and what comes back when it
//! can't.

#[path = "support/children.rs"]
mod support;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

use lar::exit::{Errno, ExitStatus, Stage};
use lar::plan::{Account, Identity, IoNice, Limit, Resource, Session, Setup, Spawn};
use lar::signal::Signal;
use lar::sys::fd::{self, FileLimit};
use lar::sys::signals::{Saved, Set};
use lar::sys::spawn::{Image, Recipe, Spawner};
use support::{
    check, given, helper_process, is_root, process, run, run_helper, run_process, skip, wait,
};

const ENOENT: Errno = Errno(nix::libc::ENOENT);
const EACCES: Errno = Errno(nix::libc::EACCES);
const EAGAIN: Errno = Errno(nix::libc::EAGAIN);
const EPERM: Errno = Errno(nix::libc::EPERM);
const EINVAL: Errno = Errno(nix::libc::EINVAL);

/// A directory of this test's own, with files in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("lar-spawn-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path.to_str().expect("UTF-8").into()
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn own(change: impl FnOnce(&mut Setup)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup);
    setup
}

fn nobody() -> Identity {
    let account =
        Account { name: "daphne".into(), home: "/somewhere".into(), shell: String::new() };
    Identity { uid: Some(54321), gid: 54322, groups: vec![7, 8], account: Some(account) }
}

#[test]
fn output_and_exit_code_come_back() {
    let outcome = run(&Setup::default(), &["sh", "-c", "echo hello; exit 3"]).unwrap();
    assert_eq!(outcome.output, "hello\n");
    assert_eq!(outcome.status, ExitStatus::Code(3));
}

#[test]
fn a_failed_start_says_stage_and_errno_and_leaves_no_zombie() {
    let place = Place::new("fail");
    let plain = place.file("plain", "x", 0o644);
    let setup = Setup::default();
    let refused = |words: &[&str]| run(&setup, words).unwrap_err();
    assert_eq!(refused(&["/no/such/program"]), (Stage::Exec, ENOENT));
    assert_eq!(refused(&["no-such-program-on-path"]), (Stage::Exec, ENOENT));
    assert_eq!(refused(&[&plain]), (Stage::Exec, EACCES));
    assert_eq!(refused(&["/etc"]), (Stage::Exec, EACCES));
    let enotdir = Errno(nix::libc::ENOTDIR);
    assert_eq!(refused(&["/etc/passwd/x"]), (Stage::Exec, enotdir));

    let mut lost = process(&["true"]);
    lost.directory = Some("/no/such/directory".into());
    let answer = run_process(given(&[]), &setup, &lost).unwrap_err();
    assert_eq!(answer, (Stage::Directory, ENOENT));

    let limit = Limit { resource: Resource::Core, soft: Some(2), hard: Some(1) };
    let answer = run(&own(|setup| setup.limits.push(limit)), &["true"]).unwrap_err();
    assert_eq!(answer, (Stage::Limits, EINVAL));

    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    assert_eq!(children, "", "zombies");
}

#[test]
fn an_image_is_refused_when_a_word_has_a_zero_byte_or_there_is_none() {
    let given = Rc::new(given(&[]));
    let setup = Setup::default();
    for words in [&["a\0b"][..], &["true", "a\0b"], &[]] {
        let process = process(words);
        let image = Image::new(&given, &Recipe::new(&setup, &process, [0, 1, 2]));
        assert_eq!(image.err(), Some(EINVAL), "{words:?}");
    }
}

#[test]
fn the_path_is_searched_as_execvp_does() {
    let place = Place::new("path");
    place.file("a/tool", "#!/bin/sh\necho a\n", 0o644); // not executable: passed over
    place.file("b/tool", "#!/bin/sh\necho b\n", 0o755);
    place.file("a/only", "", 0o644);
    let path = format!("/no/such:{0}/a:{0}/b:/usr/bin:/bin", place.path());
    let search =
        |word: &str| run_process(given(&[("PATH", &path)]), &Setup::default(), &process(&[word]));
    assert_eq!(search("tool").unwrap().output, "b\n");
    assert_eq!(search("only").unwrap_err(), (Stage::Exec, EACCES));
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_sh_each_time() {
    let place = Place::new("script");
    let script = place.file("script", "echo \"$0 $*\"\n", 0o755);
    let setup = Setup::default();
    let process = process(&[&script, "x", "y"]);
    let pipe = support::Pipe::new();
    let write = pipe.write.as_raw_fd();
    let recipe = Recipe::new(&setup, &process, [0, write, write]);
    let image = Image::new(&Rc::new(given(&[])), &recipe).unwrap();
    let mut spawner = Spawner::new().unwrap();
    for _ in 0..3 {
        assert_eq!(wait(spawner.spawn(&image).unwrap()), ExitStatus::SUCCESS);
        assert_eq!(support::read_until(&pipe.read, "\n"), format!("{script} x y\n"));
    }
}

#[test]
fn a_program_for_another_machine_is_no_script() {
    let place = Place::new("alien");
    let alien = place.file("alien", "\u{7f}ELF\u{1}\u{1}\u{1}\0\0\0\0\0 and so on", 0o755);
    let failure = (Stage::Exec, Errno(nix::libc::ENOEXEC));
    assert_eq!(run(&Setup::default(), &[&alien]).unwrap_err(), failure);
}

#[test]
fn a_program_that_takes_a_scripts_place_gets_its_own_words_again() {
    let place = Place::new("words");
    let tool = place.file("tool", "echo \"$0\"\n", 0o755);
    let setup = Setup::default();
    let process = process(&["tool", "/proc/self/cmdline"]);
    let pipe = support::Pipe::new();
    let recipe = Recipe::new(&setup, &process, [0, pipe.write.as_raw_fd(), 2]);
    let image = Image::new(&Rc::new(given(&[("PATH", place.path())])), &recipe).unwrap();
    let mut spawner = Spawner::new().unwrap();
    wait(spawner.spawn(&image).unwrap());
    assert_eq!(support::read_until(&pipe.read, "\n"), format!("{tool}\n"));
    fs::remove_file(&tool).unwrap();
    std::os::unix::fs::symlink("/bin/cat", &tool).unwrap();
    wait(spawner.spawn(&image).unwrap());
    drop(pipe.write);
    assert_eq!(support::read_all(&pipe.read), "tool\0/proc/self/cmdline\0");
}

#[test]
fn fork_tells_of_a_failure_at_the_exit() {
    let mut spawner = Spawner::new().unwrap();
    let setup = own(|setup| setup.spawn = Spawn::Fork);
    let given = Rc::new(given(&[]));
    let image = |words: &[&str], directory: Option<&str>| {
        let process = process(words);
        let recipe = Recipe { directory, ..Recipe::new(&setup, &process, [0, 1, 2]) };
        Image::new(&given, &recipe).unwrap()
    };
    let missing = image(&["/no/such/program"], None);
    let pid = spawner.spawn(&missing).unwrap();
    assert_eq!(wait(pid), ExitStatus::Code(127));
    assert_eq!(missing.failure(), Some((Stage::Exec, ENOENT)));

    let lost = image(&["true"], Some("/no/such"));
    let pid = spawner.spawn(&lost).unwrap();
    assert_eq!(wait(pid), ExitStatus::Code(127));
    assert_eq!(lost.failure(), Some((Stage::Directory, ENOENT)));

    // A program that itself ends with 127 has not failed to start.
    let fine = image(&["sh", "-c", "exit 127"], None);
    let pid = spawner.spawn(&fine).unwrap();
    assert_eq!(wait(pid), ExitStatus::Code(127));
    assert_eq!(fine.failure(), None);
}

#[test]
fn a_service_starts_with_a_clean_signal_state_in_its_own_session() {
    // The test's runtime ignores SIGPIPE, as lar does: that must not be handed on.
    let outcome = run(&Setup::default(), &["cat", "/proc/self/status"]).unwrap();
    assert_eq!(outcome.field("SigBlk"), "0000000000000000");
    assert_eq!(outcome.field("SigIgn"), "0000000000000000");
    let outcome = run(&Setup::default(), &["cat", "/proc/self/stat"]).unwrap();
    let fields: Vec<&str> = outcome.output.rsplit(')').next().unwrap().split(' ').collect();
    let pid = outcome.pid.to_string();
    assert_eq!((fields[3], fields[4]), (pid.as_str(), pid.as_str()), "group and session");
}

#[test]
fn a_single_program_gets_exactly_the_signal_state_that_lar_was_given() {
    let mask = Set::EMPTY.with(Signal::USR1).with(Signal::new(32).unwrap());
    let ignored = Set::EMPTY.with(Signal::HUP).with(Signal::new(64).unwrap());
    let mut given = given(&[("PATH", "/usr/bin:/bin")]);
    given.signals = Saved { mask, ignored };
    let setup = own(|setup| setup.session = Session::Given);
    let outcome = run_process(given, &setup, &process(&["cat", "/proc/self/status"])).unwrap();
    assert_eq!(outcome.field("SigBlk"), format!("{:016x}", mask.bits()));
    assert_eq!(outcome.field("SigIgn"), format!("{:016x}", ignored.bits()));
}

#[test]
fn no_other_fd_reaches_the_program() {
    // Without close-on-exec, as some library would leave them.
    let null = fd::open_null().unwrap();
    let leaks: Vec<_> = (0..20).map(|_| nix::unistd::dup(&null).unwrap()).collect();
    let look = "for fd in $(seq 3 200); do test -e /proc/$$/fd/$fd && echo $fd; done; echo end";
    let outcome = run(&Setup::default(), &["sh", "-c", look]).unwrap();
    assert_eq!(outcome.output, "end\n");
    drop(leaks);
}

#[test]
fn standard_fds_can_be_exchanged() {
    run_helper("exchange");
}

#[test]
fn limits_nice_umask_and_scores_are_set() {
    let limit = |resource, soft| Limit { resource, soft: Some(soft), hard: Some(4096) };
    let setup = own(|setup| {
        setup.limits = vec![limit(Resource::Nofile, 77), limit(Resource::Core, 0)];
        setup.nice = Some(5);
        setup.ionice = Some(IoNice { class: 3, level: 0 });
        setup.umask = Some(0o027);
        setup.oom_score_adj = Some(333);
        setup.no_new_privileges = true;
    });
    let look = "ulimit -Sn; ulimit -Hn; ulimit -Sc; nice; umask; cat /proc/self/oom_score_adj; \
                grep NoNewPrivs /proc/self/status";
    let outcome = run(&setup, &["sh", "-c", look]).unwrap();
    let mut lines: Vec<&str> = outcome.output.lines().collect();
    let privileges = lines.pop().unwrap();
    assert_eq!(privileges.split_whitespace().collect::<Vec<_>>(), ["NoNewPrivs:", "1"]);
    assert_eq!(lines, ["77", "4096", "0", "5", "0027", "333"]);
    // What the vfork child wrote about itself is not said of us.
    assert_ne!(fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim(), "333");
}

#[test]
fn the_io_priority_reaches_the_program() {
    if !std::path::Path::new("/usr/bin/ionice").exists() {
        return skip("no ionice(1) here");
    }
    let setup = own(|setup| setup.ionice = Some(IoNice { class: 2, level: 6 }));
    let outcome = run(&setup, &["ionice"]).unwrap();
    assert_eq!(outcome.output, "best-effort: prio 6\n");
}

#[test]
fn children_get_lars_original_file_limit_back() {
    let mut given = given(&[]);
    given.files = Some(FileLimit { soft: 99, hard: 500 });
    let words = process(&["sh", "-c", "ulimit -Sn; ulimit -Hn"]);
    let outcome = run_process(given, &Setup::default(), &words).unwrap();
    assert_eq!(outcome.output, "99\n500\n");
}

#[test]
fn a_user_is_switched_with_groups_and_account_and_lar_stays_dumpable() {
    if !is_root() {
        return skip("only root can switch users");
    }
    let setup = own(|setup| setup.identity = Some(nobody()));
    let look = "cat /proc/self/status; echo me: $USER $LOGNAME $HOME $SHELL";
    let outcome = run(&setup, &["sh", "-c", look]).unwrap();
    assert_eq!(outcome.field("Uid"), "54321\t54321\t54321\t54321");
    assert_eq!(outcome.field("Gid"), "54322\t54322\t54322\t54322");
    assert_eq!(outcome.field("Groups"), "7 8");
    assert_eq!(outcome.field("CapEff"), "0000000000000000");
    assert_eq!(outcome.field("me"), "daphne daphne /somewhere /bin/sh");
    // In a process of its own, because other tests change users at the same time.
    run_helper("dumpable");
}

fn stays_dumpable() {
    let setup = own(|setup| setup.identity = Some(nobody()));
    check(nix::sys::prctl::get_dumpable() == Ok(true), "dumpable before");
    check(run(&setup, &["true"]).is_ok(), "it starts");
    check(nix::sys::prctl::get_dumpable() == Ok(true), "dumpable after");
    check(run(&setup, &["/no/such"]).is_err(), "it fails");
    check(nix::sys::prctl::get_dumpable() == Ok(true), "dumpable after a failure");
}

#[test]
fn chosen_capabilities_outlive_the_change_of_user_and_no_others_do() {
    if !is_root() {
        return skip("only root can give capabilities");
    }
    let bind = 1 << 10; // CAP_NET_BIND_SERVICE
    let setup = own(|setup| {
        setup.identity = Some(nobody());
        setup.capabilities = Some(bind);
        setup.no_new_privileges = true;
    });
    let outcome = run(&setup, &["cat", "/proc/self/status"]).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(outcome.field(set), format!("{bind:016x}"), "{set}");
    }
    let root = own(|setup| setup.capabilities = Some(0));
    let outcome = run(&root, &["cat", "/proc/self/status"]).unwrap();
    assert_eq!(outcome.field("CapEff"), "0000000000000000");
    assert_eq!(outcome.field("CapBnd"), "0000000000000000");
}

#[test]
fn a_directory_that_only_the_user_may_enter_is_entered() {
    if !is_root() {
        return skip("only root can switch users");
    }
    let place = Place::new("private");
    std::os::unix::fs::chown(&place.0, Some(54321), None).unwrap();
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o700)).unwrap();
    let setup = own(|setup| setup.identity = Some(nobody()));
    let mut words = process(&["pwd"]);
    words.directory = Some(place.path().into());
    let outcome = run_process(given(&[]), &setup, &words).unwrap();
    assert_eq!(outcome.output.trim(), place.path());
}

#[test]
fn an_ordinary_user_cannot_become_another_but_may_stay_itself() {
    if !is_root() {
        return run_helper("user");
    }
    let identity = Identity { groups: vec![], account: None, ..nobody() };
    let setup = own(|setup| setup.identity = Some(identity));
    match run_process(given(&[]), &setup, &helper_process("user")) {
        Err((Stage::Exec, EACCES)) => skip("another user can't execute this test's binary"),
        outcome => {
            let outcome = outcome.unwrap();
            assert_eq!(outcome.status, ExitStatus::SUCCESS, "{}", outcome.output);
        }
    }
}

fn user_switch_as_ordinary_user() {
    let setup = own(|setup| setup.identity = Some(nobody_else()));
    let answer = run(&setup, &["true"]).err();
    check(answer == Some((Stage::Groups, EPERM)), &format!("refused: {answer:?}"));
    let same = Identity {
        uid: Some(nix::unistd::getuid().as_raw()),
        gid: nix::unistd::getgid().as_raw(),
        groups: vec![1, 2, 3],
        account: None,
    };
    let setup = own(|setup| setup.identity = Some(same));
    let answer = run(&setup, &["true"]).map(|outcome| outcome.status);
    check(answer == Ok(ExitStatus::SUCCESS), &format!("the same user: {answer:?}"));

    // No process more: clone itself is refused, and it is no more than an answer.
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).expect("a limit");
    setrlimit(Resource::RLIMIT_NPROC, 0, hard).expect("lowered");
    let answer = run(&Setup::default(), &["true"]).err();
    check(answer == Some((Stage::Clone, EAGAIN)), &format!("no process: {answer:?}"));
    setrlimit(Resource::RLIMIT_NPROC, hard, hard).expect("raised");
    let answer = run(&Setup::default(), &["true"]).map(|outcome| outcome.status);
    check(answer == Ok(ExitStatus::SUCCESS), &format!("it goes on: {answer:?}"));
}

fn nobody_else() -> Identity {
    Identity { uid: Some(12345), gid: 12345, groups: vec![], account: None }
}

#[test]
#[ignore = "not a test: what helpers run"]
fn helper() {
    match std::env::var("ROLE").as_deref() {
        Ok("user") => user_switch_as_ordinary_user(),
        Ok("exchange") => exchange(),
        Ok("dumpable") => stays_dumpable(),
        role => check(false, &format!("a role: {role:?}")),
    }
    std::process::exit(0)
}

/// stdin, stdout and stderr turned round in a ring.
fn exchange() {
    let name = |fd: u32| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    let wanted = [1, 2, 0].map(|fd| name(fd).display().to_string());
    let look =
        r#"names=$(for i in 0 1 2; do readlink /proc/$$/fd/$i; done); echo "$names" >"$OUT""#;
    let place = Place::new("exchange");
    let out = place.file("out", "", 0o600);
    let mut process = process(&["sh", "-c", look]);
    process.environment = vec![("OUT".into(), out.clone())];
    let setup = Setup::default();
    let image = Image::new(&Rc::new(given(&[])), &Recipe::new(&setup, &process, [1, 2, 0]));
    let pid = Spawner::new().unwrap().spawn(&image.unwrap()).unwrap();
    check(wait(pid).success(), "sh ran");
    let found = fs::read_to_string(out).unwrap();
    check(found.lines().eq(wanted), &format!("exchanged: {found}"));
}
