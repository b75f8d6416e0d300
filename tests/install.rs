//! `make install`, with a stand-in for the static binary, which takes minutes to build.

#[path = "support/lar.rs"]
mod lar;

use std::process::Command;

use lar::{Answer, Scratch, answer, program, skip};

/// Into a package's directory; `None` where there is no make.
fn install(dir: &Scratch, more: &[&str]) -> Option<Answer> {
    if program("make").is_none() {
        skip("no make");
        return None;
    }
    dir.script("lar", "#!/bin/sh\necho \"$0\"\n");
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-C", env!("CARGO_MANIFEST_DIR"), "-o", "build", "install"]);
    make.arg(format!("STATIC={}", dir.at("lar").display())).arg("PREFIX=/usr").args(more);
    make.arg(format!("DESTDIR={}", dir.at("root").display()));
    // As somebody calls it, not as part of another make.
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
        make.env_remove(name);
    }
    Some(answer(&mut make))
}

/// What lies in sbin, and where links lead.
fn sbin(dir: &Scratch) -> String {
    let place = dir.at("root/usr/sbin");
    let entries = std::fs::read_dir(&place).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            match std::fs::read_link(entry.path()) {
                Ok(to) => format!("{name}->{}", to.display()),
                Err(_) => name,
            }
        })
        .collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn only_lar_is_installed_unless_more_is_asked_for() {
    let dir = Scratch::new();
    let Some(answer) = install(&dir, &[]) else { return };
    answer.expect(0);
    assert_eq!(sbin(&dir), "lar");
}

#[test]
fn the_names_of_others_are_links_that_hold_wherever_the_package_goes() {
    let dir = Scratch::new();
    let Some(answer) = install(&dir, &["PERSONALITIES=1"]) else { return };
    assert_eq!(answer.expect(0).err, "");
    let all = "docker-init->lar dumb-init->lar lar tini->lar zdaemon->lar zdctl->lar zdrun->lar";
    assert_eq!(sbin(&dir), all);
    std::fs::rename(dir.at("root"), dir.at("elsewhere")).unwrap();
    let zdaemon = dir.at("elsewhere/usr/sbin/zdaemon");
    let said = answer_of(&zdaemon);
    assert!(said.ends_with("/zdaemon\n"), "{said}");
}

fn answer_of(program: &std::path::Path) -> String {
    answer(&mut Command::new(program)).expect(0).out
}

#[test]
fn links_are_renewed_and_what_somebody_else_installed_stays() {
    let dir = Scratch::new();
    std::fs::create_dir_all(dir.at("root/usr/sbin")).unwrap();
    dir.script("root/usr/sbin/tini", "#!/bin/sh\n");
    std::os::unix::fs::symlink("gone", dir.at("root/usr/sbin/zdaemon")).unwrap();
    let Some(answer) = install(&dir, &["PERSONALITIES=1"]) else { return };
    let answer = answer.expect(0);
    assert!(answer.err.ends_with("/usr/sbin/tini is not a link: it stays\n"), "{}", answer.err);
    let all = "docker-init->lar dumb-init->lar lar tini zdaemon->lar zdctl->lar zdrun->lar";
    assert_eq!(sbin(&dir), all);
}
