//! Is it running, and which process is it? What a pid file says is a claim; this is where it is judged.
//!
//! A pid whose process has ended goes to another one some day, and a pid file may outlive its daemon by years. So a
//! process that can't be the one that is meant is taken for none: it is never sent a signal.

use core::fmt;

use crate::exit::{Errno, Pid};
use crate::sys::pidfile::{self, PidFile, Reading};
use crate::sys::process::{self, Facts};

/// What a pid file leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// To this process.
    Running(Pid),
    /// To none.
    Down(Down),
}

/// Why there is no such process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// There is no pid file.
    NoFile,
    /// The file holds no pid that can be trusted.
    Unusable(PidFile),
    /// The process has ended.
    Stale(Pid),
    /// It is another daemon's, or nobody's in particular.
    Foreign(Pid, Foreign),
}

/// Why a process is not the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It runs as this user, which it could not have become.
    User(u32),
    /// It was started after its pid had been written.
    Younger,
    /// It is not the one that lar has started under this pid.
    Other,
    /// It is hidden from us, and we may not send it signals.
    Hidden,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::User(uid) => write!(f, "runs as user {uid}"),
            Foreign::Younger => write!(f, "was started after the file had been written"),
            Foreign::Other => write!(f, "is another one than was started"),
            Foreign::Hidden => write!(f, "is out of reach"),
        }
    }
}

/// What is odd about a pid file, to be said after its path; empty if nothing is.
impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Down::NoFile => Ok(()),
            Down::Unusable(says) => words(*says).fmt(f),
            Down::Stale(pid) => write!(f, "names process {pid}, which has ended"),
            Down::Foreign(pid, why) => {
                write!(f, "names process {pid}, which {why}: that is not it, and it is left alone")
            }
        }
    }
}

/// What a pid file without a pid is.
pub(super) fn words(says: PidFile) -> String {
    match says {
        PidFile::Missing => "is not there".into(),
        PidFile::Empty => "is empty".into(),
        PidFile::Garbage => "holds no pid".into(),
        PidFile::Irregular => "is no regular file".into(),
        PidFile::Untrusted(uid) => {
            format!("belongs to user {uid}, who may not say which process it is")
        }
        PidFile::Pid(pid) => format!("names process {pid}"),
    }
}

/// Whom a daemon's process may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// Anybody: who is started as root may have become anyone.
    Any,
    /// These two: the user it is started as, and one more.
    Of(u32, u32),
}

impl Users {
    /// `user` is the service's, if it has one, `own` is lar's, and `owner` has the pid file. A service with a user may
    /// run programs that are root by their mode. Who is not root can look at everybody's daemons, and harm none; but
    /// its own daemon is its own process.
    pub(super) fn new(user: Option<u32>, own: u32, owner: u32) -> Users {
        match (user, own) {
            (None, 0) => Users::Any,
            (Some(user), 0) => Users::Of(user, 0),
            (user, own) if owner == own => Users::Of(user.unwrap_or(own), own),
            _ => Users::Any,
        }
    }

    fn include(self, uid: u32) -> bool {
        match self {
            Users::Any => true,
            Users::Of(one, other) => uid == one || uid == other,
        }
    }
}

/// Whom lar has started under which pid, as it notes it in the lock's file: no clock that somebody sets is asked then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pid: Pid,
    /// In ticks since boot.
    started: u64,
    boot: String,
}

impl Note {
    /// About a process that lives; `None` without /proc.
    pub(super) fn of(pid: Pid) -> Option<Note> {
        let started = process::facts(pid)?.started;
        Some(Note { pid, started, boot: process::boot_id()? })
    }

    /// From what [`Note::line`] has written.
    pub(super) fn read(text: &str) -> Option<Note> {
        let mut words = text.split_ascii_whitespace();
        let pid = Pid(words.next()?.parse().ok()?);
        let started = words.next()?.parse().ok()?;
        Some(Note { pid, started, boot: words.next()?.to_owned() })
    }

    pub(super) fn line(&self) -> String {
        format!("{} {} {}\n", self.pid, self.started, self.boot)
    }
}

/// Reads a pid file and judges it.
pub(super) fn standing(
    path: &str,
    user: Option<u32>,
    note: Option<&Note>,
) -> Result<Standing, Errno> {
    let reading = pidfile::read_dated(path, user)?;
    let pid = match reading.says {
        PidFile::Pid(pid) => pid,
        PidFile::Missing => return Ok(Standing::Down(Down::NoFile)),
        says => return Ok(Standing::Down(Down::Unusable(says))),
    };
    if !process::lives(pid) {
        return Ok(Standing::Down(Down::Stale(pid)));
    }
    let Some(facts) = process::facts(pid) else {
        // Hidden (/proc mounted with hidepid), or there is no /proc: then it is all we can know.
        let ours = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.0), None).is_ok();
        return Ok(match ours {
            true => Standing::Running(pid),
            false => Standing::Down(Down::Foreign(pid, Foreign::Hidden)),
        });
    };
    let users = Users::new(user, nix::unistd::geteuid().as_raw(), reading.owner);
    let boot = process::boot_id();
    let begun = process::wall_of(facts.started);
    Ok(match judge(pid, &facts, begun, reading, users, note.zip(boot.as_deref())) {
        None => Standing::Running(pid),
        Some(why) => Standing::Down(Down::Foreign(pid, why)),
    })
}

/// Why this process is not the one that is meant; `None` if it may be. `begun` is when it was started, by the wall
/// clock; `note` what was noted, and which boot this is.
fn judge(
    pid: Pid,
    facts: &Facts,
    begun: i128,
    reading: Reading,
    users: Users,
    note: Option<(&Note, &str)>,
) -> Option<Foreign> {
    if !users.include(facts.user) {
        return Some(Foreign::User(facts.user));
    }
    match note {
        Some((note, boot)) if note.pid == pid && note.boot == boot => {
            (note.started != facts.started).then_some(Foreign::Other)
        }
        // Somebody else has started it, or it was before this boot.
        _ => (begun > reading.modified + process::CLOCK_SET).then_some(Foreign::Younger),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn facts(user: u32, started: u64) -> Facts {
        Facts { dead: false, parent: Pid(1), group: Pid(42), started, user }
    }

    fn judged(user: u32, users: Users, begun: i128, note: Option<&str>) -> Option<Foreign> {
        let reading = Reading { says: PidFile::Pid(Pid(42)), modified: 1000 * SECOND, owner: 0 };
        let note = note.map(|text| Note::read(text).unwrap());
        judge(Pid(42), &facts(user, 700), begun, reading, users, note.as_ref().map(|it| (it, "b")))
    }

    #[test]
    fn a_process_of_another_user_is_not_the_one() {
        let web = Users::new(Some(33), 0, 33);
        assert_eq!(judged(33, web, 0, None), None);
        assert_eq!(judged(0, web, 0, None), None, "it may have a program that is root by its mode");
        assert_eq!(judged(34, web, 0, None), Some(Foreign::User(34)));
        assert_eq!(judged(34, Users::new(None, 0, 0), 0, None), None);
        assert_eq!(judged(34, Users::new(None, 1000, 0), 0, None), None, "it is root's daemon");
        let mine = Users::new(None, 1000, 1000);
        assert_eq!(judged(1000, mine, 0, None), None);
        assert_eq!(judged(0, mine, 0, None), Some(Foreign::User(0)));
    }

    #[test]
    fn a_process_that_is_younger_than_its_pid_file_is_not_the_one() {
        assert_eq!(judged(0, Users::Any, 999 * SECOND, None), None);
        assert_eq!(judged(0, Users::Any, 1059 * SECOND, None), None, "the clock may have been set");
        assert_eq!(judged(0, Users::Any, 1061 * SECOND, None), Some(Foreign::Younger));
    }

    #[test]
    fn what_was_noted_at_the_start_beats_any_clock() {
        let late = 5000 * SECOND;
        assert_eq!(judged(0, Users::Any, late, Some("42 700 b")), None);
        assert_eq!(judged(0, Users::Any, 0, Some("42 699 b")), Some(Foreign::Other));
        assert_eq!(judged(0, Users::Any, late, Some("41 700 b")), Some(Foreign::Younger));
        assert_eq!(judged(0, Users::Any, late, Some("42 700 a")), Some(Foreign::Younger));
        assert_eq!(Note::read(""), None);
        let own = Note::of(crate::sys::own_pid()).unwrap();
        assert_eq!(Note::read(&own.line()), Some(own));
    }
}
