//! What a configuration may ask of the machine it is for. The answers are given by `cli::machine`, or by a
//! test.

use crate::plan::Account;

/// What reading a configuration has to know of the outside.
pub trait World {
    /// The files that match a glob pattern, sorted, with their content. A pattern without wildcards that
    /// matches nothing is an error; the error's text is the cause alone (`No such file or directory`).
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String>;

    /// The content of an environment file; `None` if it is not there, else the cause why it can't be read.
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, String>;

    /// A variable of lar's own environment, if it is set and UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// A user by name, or by a number that need not be in /etc/passwd.
    fn user(&self, name: &str) -> Option<User>;

    /// A group's id by name, or by a number that need not be in /etc/group.
    fn group(&self, name: &str) -> Option<u32>;

    /// The groups whose member list names this user, ascending; the primary one only if it does too.
    fn groups_of(&self, user: &str) -> Vec<u32>;

    /// The only user and group that a process may have, if lar can't change them (it is not root).
    fn confined_to(&self) -> Option<(u32, u32)>;

    /// Whether lar is the first process of its pid namespace.
    fn is_pid1(&self) -> bool {
        false
    }

    /// What is at this path that is to be executed.
    fn program(&self, path: &str) -> Program;

    /// What is at this path that should be a directory.
    fn directory(&self, path: &str) -> Directory;
}

/// A user, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// Its primary group; `None` if /etc/passwd does not know the user.
    pub gid: Option<u32>,
    /// What /etc/passwd says more.
    pub account: Option<Account>,
}

/// What is at the path of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A file that lar may execute.
    Runs,
    /// A file that it may not, or a directory.
    Refused,
    /// Nothing.
    Missing,
}

/// What is at the path of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// One in which files can be made.
    Writable,
    /// One in which lar may make none.
    Denied,
    /// One on a file system that is mounted read-only.
    ReadOnly,
    /// None.
    Missing,
}
