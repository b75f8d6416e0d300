//! What every command of zdaemon does first: it sets the variables of `<environment>`, makes the directories that
//! are missing, and becomes the user that everything is to belong to.

use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::{Gid, Uid, geteuid, setgid, setgroups, setuid};

use super::errno::os_error;
use super::options::Options;
use super::paths;
use crate::exit::Code;
use crate::python::{int, repr};
use crate::sys::users::{Entry, Users};
use crate::sys::variables;

/// Why a command can't begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The options ask for what can't be.
    Usage(String),
    /// The system refuses.
    Refused(String),
}

impl Trouble {
    /// What the client ends with.
    pub(super) fn code(&self) -> Code {
        match self {
            Trouble::Usage(_) => Code::Usage,
            Trouble::Refused(_) => Code::Failed,
        }
    }
}

/// Does all of it.
pub(super) fn prepare(options: &Options) -> Result<(), Trouble> {
    for (name, value) in &options.environment {
        variables::set(name, value);
    }
    let users = Users::load().unwrap_or_default();
    let target = match &options.runner.user {
        Some(user) => target(user, &users)?,
        None => None,
    };
    directories(options, target)?;
    match target {
        Some(user) => become_user(user, &users),
        None => Ok(()),
    }
}

/// Whom to become; `None` if that is who we are.
fn target<'a>(user: &str, users: &'a Users) -> Result<Option<&'a Entry>, Trouble> {
    let usage = |message: String| Err(Trouble::Usage(message));
    let found = match int(user, 10) {
        Ok(uid) => u32::try_from(uid).ok().and_then(|uid| users.by_uid(uid)),
        Err(_) => users.by_name(user),
    };
    let Some(entry) = found else {
        let kind = if int(user, 10).is_ok() { "uid" } else { "username" };
        return usage(format!("{kind} {} not found", repr(user)));
    };
    match geteuid() {
        own if own.is_root() => Ok(Some(entry)),
        own if own.as_raw() == entry.uid => Ok(None),
        _ => usage("only root can use -u USER to change users".into()),
    }
}

/// The directories of `-z` and of the socket: each one level, if it is missing, and for the user.
fn directories(options: &Options, target: Option<&Entry>) -> Result<(), Trouble> {
    let socket = paths::parent(options.runner.socket_name());
    let wanted = options.runner.directory.as_deref().into_iter();
    for path in wanted.chain(Some(socket).filter(|path| !path.is_empty())) {
        make(path, target)?;
    }
    Ok(())
}

fn make(path: &str, target: Option<&Entry>) -> Result<(), Trouble> {
    if Path::new(path).is_dir() {
        return Ok(());
    }
    let owned = |user: &Entry| chown(path, Some(user.uid), Some(user.gid));
    let made = std::fs::create_dir(path).and_then(|()| target.map_or(Ok(()), owned));
    made.map_err(|error| Trouble::Refused(os_error(&error, Some(path))))
}

/// For good: the user's own group, the groups that name the user, then the user.
fn become_user(user: &Entry, users: &Users) -> Result<(), Trouble> {
    let groups: Vec<Gid> =
        users.groups_of(&user.account.name).into_iter().map(Gid::from_raw).collect();
    let switched = setgid(Gid::from_raw(user.gid))
        .and_then(|()| setgroups(&groups))
        .and_then(|()| setuid(Uid::from_raw(user.uid)));
    switched.map_err(|errno| {
        let error = os_error(&io::Error::from(errno), None);
        Trouble::Refused(format!("can't become user {}: {error}", repr(&user.account.name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_name_or_number() {
        let users = Users::parse(b"root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/bin/sh\n", b"");
        let usage = |text: &str| Err(Trouble::Usage(text.into()));
        assert_eq!(target("nobody", &users), usage("username 'nobody' not found"));
        assert_eq!(target("54321", &users), usage("uid '54321' not found"));
        let own = geteuid();
        match own.is_root() {
            true => assert_eq!(target("33", &users), Ok(users.by_name("www"))),
            false => {
                let refused = usage("only root can use -u USER to change users");
                assert_eq!(target("root", &users), refused);
            }
        }
    }
}
