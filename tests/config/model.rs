//! The machine that the tests' configurations are read on.

use std::collections::BTreeMap;

use lar::config::{Directory, Program, User, World};
use lar::plan::Account;

/// A machine with a few users, programs and files; the same everywhere.
#[derive(Default)]
pub struct Model {
    pub files: BTreeMap<&'static str, Vec<u8>>,
    pub confined: bool,
}

impl Model {
    pub fn with(files: &[(&'static str, &str)]) -> Model {
        let files = files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec())).collect();
        Model { files, confined: false }
    }
}

const USERS: [(&str, u32, u32); 3] = [("root", 0, 0), ("www", 33, 33), ("nobody", 65534, 65534)];
const GROUPS: [(&str, u32); 4] = [("root", 0), ("adm", 4), ("www", 33), ("log", 40)];
const DIRECTORIES: [&str; 7] = ["/", "/bin", "/tmp", "/var/log", "/srv", ".", "/home/me"];

impl World for Model {
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let found = |path: &str, bytes: &[u8]| (path.to_string(), bytes.to_vec());
        let Some((start, end)) = pattern.split_once('*') else {
            let bytes = self.files.get(pattern).ok_or("No such file or directory")?;
            return Ok(vec![found(pattern, bytes)]);
        };
        let matching = self.files.iter();
        let matching = matching.filter(|(path, _)| path.starts_with(start) && path.ends_with(end));
        Ok(matching.map(|(path, bytes)| found(path, bytes)).collect())
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.files.get(path).cloned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        let known = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/home/me"),
            ("EMPTY", ""),
            ("PORT", "8080"),
            ("BLANKS", "a b  c"),
        ];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
    }

    fn user(&self, name: &str) -> Option<User> {
        let number = name.parse().ok();
        let found = USERS.iter().find(|(known, uid, _)| *known == name || Some(*uid) == number);
        let Some((name, uid, gid)) = found else {
            return number.map(|uid| User { uid, gid: None, account: None });
        };
        let home = format!("/home/{name}");
        let account = Account { name: name.to_string(), home, shell: "/bin/sh".into() };
        Some(User { uid: *uid, gid: Some(*gid), account: Some(account) })
    }

    fn group(&self, name: &str) -> Option<u32> {
        let found = GROUPS.iter().find(|(known, _)| *known == name);
        found.map(|(_, gid)| *gid).or(name.parse().ok())
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        if user == "www" { vec![4, 40] } else { vec![] }
    }

    fn confined_to(&self) -> Option<(u32, u32)> {
        self.confined.then_some((1000, 1000))
    }

    fn program(&self, path: &str) -> Program {
        match path {
            "/bin/plain" => Program::Refused,
            "/bin/nonesuch" => Program::Missing,
            _ if path.starts_with("/bin/") || path == "/usr/sbin/nginx" => Program::Runs,
            _ => Program::Missing,
        }
    }

    fn directory(&self, path: &str) -> Directory {
        match path {
            "/ro" => Directory::ReadOnly,
            "/dev" => Directory::Denied,
            _ if DIRECTORIES.contains(&path) => Directory::Writable,
            _ => Directory::Missing,
        }
    }
}
