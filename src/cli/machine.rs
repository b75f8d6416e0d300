//! The machine that a configuration is read on, as `config` asks about it; and one that is not looked at.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess, getegid, geteuid};

use crate::config::{Directory, Program, User, World};
use crate::plan::Account;
use crate::sys::users::Users;

/// An include or environment file above this is no such file; a device or a slip of the path.
const LARGEST: u64 = 16 << 20;

/// This machine.
#[derive(Debug)]
pub struct Machine {
    users: Users,
}

/// This machine's files and environment, but not its users and paths: for a file that is checked where it will
/// not run. Numbers are themselves, names get placeholders; so a plan made with it must never be run.
#[derive(Debug)]
pub struct Offline;

/// What a name's id is while nobody looks.
const PLACEHOLDER: u32 = 65_534;

impl Machine {
    /// Reads who its users are. One that can't be read has none, and then names are errors in the file.
    pub fn new() -> Machine {
        Machine { users: Users::load().unwrap_or_default() }
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

impl World for Machine {
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        include(pattern)
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match read(Path::new(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cause(&error)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        variable(name)
    }

    fn user(&self, name: &str) -> Option<User> {
        let entry = match (self.users.by_name(name), id(name)) {
            (Some(entry), _) => entry,
            (None, Some(uid)) => match self.users.by_uid(uid) {
                Some(entry) => entry,
                None => return Some(User { uid, gid: None, account: None }),
            },
            (None, None) => return None,
        };
        Some(User { uid: entry.uid, gid: Some(entry.gid), account: Some(entry.account.clone()) })
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.users.group(name).or_else(|| id(name))
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        self.users.groups_of(user)
    }

    fn confined_to(&self) -> Option<(u32, u32)> {
        let uid = geteuid();
        (!uid.is_root()).then(|| (uid.as_raw(), getegid().as_raw()))
    }

    fn is_pid1(&self) -> bool {
        crate::sys::boot::is_pid1()
    }

    fn program(&self, path: &str) -> Program {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Program::Refused,
            Err(_) => Program::Missing,
            Ok(it) if it.is_file() && eaccess(path, AccessFlags::X_OK).is_ok() => Program::Runs,
            Ok(_) => Program::Refused,
        }
    }

    fn directory(&self, path: &str) -> Directory {
        if !Path::new(path).is_dir() {
            return Directory::Missing;
        }
        match eaccess(path, AccessFlags::W_OK) {
            Ok(()) => Directory::Writable,
            Err(Errno::EROFS) => Directory::ReadOnly,
            Err(_) => Directory::Denied,
        }
    }
}

impl World for Offline {
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        include(pattern)
    }

    fn file(&self, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(Vec::new()))
    }

    fn variable(&self, name: &str) -> Option<String> {
        variable(name)
    }

    fn user(&self, name: &str) -> Option<User> {
        let uid = id(name).unwrap_or(PLACEHOLDER);
        let account = Account { name: name.into(), home: "/".into(), shell: String::new() };
        Some(User { uid, gid: Some(PLACEHOLDER), account: id(name).is_none().then_some(account) })
    }

    fn group(&self, name: &str) -> Option<u32> {
        Some(id(name).unwrap_or(PLACEHOLDER))
    }

    fn groups_of(&self, _: &str) -> Vec<u32> {
        Vec::new()
    }

    fn confined_to(&self) -> Option<(u32, u32)> {
        None
    }

    fn program(&self, _: &str) -> Program {
        Program::Runs
    }

    fn directory(&self, _: &str) -> Directory {
        Directory::Writable
    }
}

/// A number that setresuid(2) takes: the largest one means "no change" to it.
fn id(name: &str) -> Option<u32> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|id| digits && *id != u32::MAX)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A regular file, whole: never a pipe or a terminal that would block.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other("larger than 16M"));
    }
    fs::read(path)
}

/// The system's words for an error, without Rust's `(os error 2)`.
pub fn cause(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}

fn include(pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let paths = match wild(pattern) {
        true => glob(pattern),
        false => vec![PathBuf::from(pattern)],
    };
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        match read(&path) {
            Ok(bytes) => files.push((path.to_string_lossy().into_owned(), bytes)),
            Err(error) if wild(pattern) => {
                return Err(format!("{}: {}", path.display(), cause(&error)));
            }
            Err(error) => return Err(cause(&error)),
        }
    }
    Ok(files)
}

fn wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths that match, sorted. As a shell has it: `*` does not match a `/`, nor a `.` at a name's start.
fn glob(pattern: &str) -> Vec<PathBuf> {
    let root = if pattern.starts_with('/') { "/" } else { "" };
    let mut found = vec![PathBuf::from(root)];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for base in found {
            if !wild(part) {
                let path = base.join(part);
                next.extend(path.exists().then_some(path));
                continue;
            }
            let directory = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            let hidden = part.starts_with('.');
            let mut names: Vec<String> = names
                .filter(|name| hidden || !name.starts_with('.'))
                .filter(|name| matches(part.as_bytes(), name.as_bytes()))
                .collect();
            names.sort();
            next.extend(names.into_iter().map(|name| base.join(name)));
        }
        found = next;
    }
    found
}

/// Whether a name matches a pattern of `*`, `?` and `[abc]`. Linear in both but for the latest `*`, which alone
/// is tried again.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match one(&pattern[p..], name[n]) {
            Some(0) => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(used) => {
                p += used;
                n += 1;
            }
            None => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (p, n) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How much of the pattern this byte uses up if it matches; 0 for a `*`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'*' => Some(0),
        b'?' => Some(1),
        b'[' => match pattern.iter().skip(2).position(|byte| *byte == b']') {
            None => (byte == b'[').then_some(1),
            Some(at) => {
                let inside = &pattern[1..at + 2];
                let negated = matches!(inside.first(), Some(b'!' | b'^'));
                let set = if negated { &inside[1..] } else { inside };
                let range =
                    set.windows(3).any(|it| it[1] == b'-' && (it[0]..=it[2]).contains(&byte));
                (negated != (range || set.contains(&byte))).then_some(at + 3)
            }
        },
        other => (other == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shells() {
        let cases = [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("??-[a-c].x", "10-b.x", true),
            ("??-[a-c].x", "10-d.x", false),
            ("[!a]", "b", true),
            ("[", "[", true),
            ("[]]", "]", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_machine_answers_for_its_paths() {
        let machine = Machine::new();
        assert_eq!(machine.program("/bin/sh"), Program::Runs);
        assert_eq!(machine.program("/"), Program::Refused);
        assert_eq!(machine.program("/no/such"), Program::Missing);
        assert_eq!(machine.directory("/no/such"), Directory::Missing);
        assert_ne!(machine.directory("/"), Directory::Missing);
        assert_eq!(machine.file("/no/such"), Ok(None));
        assert_eq!(machine.include("/no/such").unwrap_err(), "No such file or directory");
        assert_eq!(machine.include("/no/such/*"), Ok(vec![]));
        assert!(machine.include("/dev/zero").is_err());
        assert_eq!(machine.user("4294967295"), None);
    }
}
