//! What a service is: rows 1 to 12 of the table, and where definitions come from.

use std::fs;

use nix::sys::signal::Signal;

use super::lar::{LAR, Lar, Scratch, answer, root, skip};
use super::{check, rewrite};

/// Rows 1, 10 and 11.
#[test]
fn a_name_is_used_once_and_services_come_and_go_while_lar_runs() {
    let twice =
        "<service web>\nprogram true\n</service>\n<service Web>\nprogram true\n</service>\n";
    let refused = check(twice).expect(6);
    assert!(refused.err.contains("there is a service `Web` already"), "{refused:?}");
    let mut lar = Lar::start("<service web>\nprogram sleep 1000\n</service>\n");
    let taken = lar.ask("add WEB -- sleep 1").expect(9);
    assert!(taken.err.contains("is there already"), "{taken:?}");
    lar.ask("add more -- sleep 1000").expect(0);
    lar.wait("more=running");
    let pid = lar.pid_of("more");
    lar.ask("remove more").expect(0);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it was waited for");
    lar.ask("status more").expect(4);
    lar.ask("remove more").expect(5);
    assert_eq!(lar.shut_down(), 0);
}

/// Rows 2, 3, 6, 7, 8 and 9.
#[test]
fn a_program_gets_its_words_its_directory_and_its_variables() {
    let dir = Scratch::new();
    dir.write("file.env", "FROM_FILE=\"a file\"\nBOTH=file\n");
    fs::create_dir(dir.at("here")).unwrap();
    let config = "<defaults>\nrestart never\n</defaults>\n\
        <service words>\nprogram printf '<%%s>' 'two words' $HOME '*' \"it's\"\n</service>\n\
        <service line>\nshell yes\nprogram printf '<%%s>' two\\ words \"$((1 + 2))\" | tr a-z A-Z\n</service>\n\
        <service place>\nprogram pwd\ndirectory {dir}/here\n</service>\n\
        <service told>\nprogram env\nenvironment-file {dir}/file.env\nenvironment-file -{dir}/none.env\n\
        <environment>\nBOTH section\nGIVEN said\n</environment>\n</service>\n\
        <service bare>\nprogram env\ninherit-environment no\n</service>\n\
        <service some>\nprogram env\ninherit-environment CHOSEN\n</service>\n\
        <service keep>\nprogram sleep 1000\n</service>\n";
    let lar = Lar::run_in(dir, "", config, |command| {
        command.env("GIVEN", "inherited").env("CHOSEN", "yes").env("OTHER", "yes");
    });
    lar.wait("words=exited line=exited place=exited told=exited bare=exited some=exited");
    let said = |name: &str| lar.ask(&format!("logs {name}")).expect(0).out;
    assert_eq!(said("words"), "<two words><$HOME><*><it's>");
    assert_eq!(said("line"), "<TWO WORDS><3>");
    assert_eq!(said("place").trim_end(), lar.dir.at("here").to_str().unwrap());
    let told = said("told");
    // What is said beats what is inherited, and a section beats a file.
    for line in ["GIVEN=said", "CHOSEN=yes", "FROM_FILE=a file", "BOTH=section"] {
        assert!(told.lines().any(|it| it == line), "{line}: {told}");
    }
    let bare = said("bare");
    assert!(
        bare.contains("PATH=") && !bare.contains("GIVEN=") && !bare.contains("CHOSEN="),
        "{bare}"
    );
    let some = said("some");
    assert!(some.contains("CHOSEN=yes") && !some.contains("OTHER="), "{some}");
    let missing =
        check("<service a>\nprogram true\nenvironment-file /none.env\n</service>\n").expect(6);
    assert!(missing.err.contains("there is no file `/none.env`"), "{missing:?}");
}

/// Row 4.
#[test]
fn variables_in_its_words_are_put_in_from_its_own_environment() {
    let lar = Lar::with(
        "exit-policy never",
        "<service web>\nprogram echo port=$PORT home=${PLACE} $$\nexpand yes\nrestart never\n\
         <environment>\nPORT 8080\nPLACE there\n</environment>\n</service>\n",
    );
    lar.wait("web=exited");
    assert_eq!(lar.ask("logs web").expect(0).out, "port=8080 home=there $\n");
    let missing =
        check("<service a>\nprogram echo $NO_SUCH_ONE\nexpand yes\n</service>\n").expect(6);
    assert!(missing.err.contains("NO_SUCH_ONE"), "{missing:?}");
}

/// Row 5.
#[test]
fn it_runs_as_another_user_by_name_or_by_number() {
    let unknown = check("<service a>\nprogram true\nuser no-such-user\n</service>\n").expect(6);
    assert!(unknown.err.contains("no-such-user"), "{unknown:?}");
    if !root() {
        return skip("only root can be somebody else");
    }
    let lar = Lar::with(
        "exit-policy never",
        "<defaults>\nrestart never\nprogram sh -c 'id -u; id -g; id -G'\n</defaults>\n\
         <service named>\nuser nobody\n</service>\n<service number>\nuser 54321\ngroup 54322\n</service>\n\
         <service groups>\nuser nobody\ngroups 7 8\n</service>\n",
    );
    lar.wait("named=exited number=exited groups=exited");
    let id = |flag| answer(std::process::Command::new("id").args([flag, "nobody"])).out;
    let named = lar.ask("logs named").expect(0).out;
    assert!(named.starts_with(&format!("{}{}", id("-u"), id("-g"))), "{named}");
    assert_eq!(lar.ask("logs number").expect(0).out, "54321\n54322\n54322\n");
    assert!(lar.ask("logs groups").expect(0).out.trim_end().ends_with(" 7 8"));
}

/// Rows 12 and 58.
#[test]
fn what_has_changed_in_the_file_is_applied_and_a_bad_file_changes_nothing() {
    let service =
        |name: &str, time: &str| format!("<service {name}>\nprogram sleep {time}\n</service>\n");
    let mut lar = Lar::start(&(service("same", "1000") + &service("other", "1000")));
    lar.wait("same=running other=running");
    let (same, other) = (lar.pid_of("same"), lar.pid_of("other"));
    rewrite(&lar, &(service("same", "1000") + &service("other", "2000") + &service("new", "1000")));
    lar.ask("apply").expect(0);
    lar.wait("new=running other=running");
    assert_eq!(lar.pid_of("same"), same, "what has not changed goes on");
    assert_ne!(lar.pid_of("other"), other);
    rewrite(&lar, "<service same>\nprogram no-such-program-here\n</service>\n");
    lar.ask("apply").expect(6);
    lar.signal(Signal::SIGHUP);
    lar.err.until("no-such-program-here");
    assert_eq!(lar.pid_of("same"), same);
    lar.ask("status new").expect(0);
    rewrite(&lar, &service("same", "1000"));
    let mut events = lar.watch("--json events -n 1");
    events.lines.next();
    lar.signal(Signal::SIGHUP);
    events.until("\"removed\"");
    events.until("\"removed\"");
    for name in ["new", "other"] {
        lar.ask(&format!("status {name}")).expect(4);
    }
    assert_eq!(lar.pid_of("same"), same);
}

/// Rows 56 and 57.
#[test]
fn what_runs_can_be_written_as_a_file_and_files_include_others() {
    let dir = Scratch::new();
    fs::create_dir(dir.at("conf.d")).unwrap();
    dir.write("conf.d/20-b.conf", "<service b>\nprogram sleep 1000\nafter a\n</service>\n");
    dir.write(
        "conf.d/10-a.conf",
        "<service a>\nprogram sleep 1000\nbackoff double 1s max 5m\n</service>\n",
    );
    dir.write("conf.d/ignored.txt", "nonsense\n");
    let lar = Lar::run_in(dir, "", "%include {dir}/conf.d/*.conf\n", |_| {});
    lar.wait("a=running b=running");
    assert_eq!(lar.ask("list").expect(0).out, "a\nb\n", "sorted by the files' names");
    let text = lar.ask("config a b").expect(0).out;
    let again = check(&text);
    again.clone().expect(0);
    lar.dir.write("again.conf", &text);
    let mut second = std::process::Command::new(LAR);
    second
        .args(["-C", lar.dir.at("again.conf").to_str().unwrap()])
        .env("XDG_RUNTIME_DIR", &lar.dir.path);
    drop(lar);
    let dir = Scratch::new();
    dir.write("lar.conf", &text);
    let other = Lar::run_in(dir, "", &text, |_| {});
    other.wait("a=running b=running");
    assert_eq!(other.ask("config a b").expect(0).out, text, "and that is what it says of itself");
}

/// Row 67: definitions that were added can outlive the manager; who runs and in which state can not.
#[test]
fn what_was_added_and_saved_is_there_in_the_next_manager() {
    let dir = Scratch::new();
    fs::create_dir(dir.at("conf.d")).unwrap();
    let config = "<service web>\nprogram sleep 1000\n</service>\n%include {dir}/conf.d/*.conf\n";
    let mut lar = Lar::run_in(dir, "", config, |_| {});
    lar.ask("add --save kept start manual -- sleep 1000").expect(0);
    lar.ask("add lost start manual -- sleep 1000").expect(0);
    lar.ask("start kept").expect(0);
    assert_eq!(lar.shut_down(), 0);
    let dir = std::mem::replace(&mut lar.dir, Scratch::new());
    drop(lar);
    let lar = Lar::run_in(dir, "", config, |_| {});
    assert_eq!(lar.ask("list").expect(0).out, "web\nkept\n");
    lar.ask("status kept").expect(3);
}
