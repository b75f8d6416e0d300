//! Forking daemons: which process is the main one, what it left behind, and whether its log grows.
//!
//! A daemon that its launcher has left becomes lar's child, because lar is PID 1 or a subreaper. Only such a child is
//! ever taken on, and so ever signalled: what a PID file names is a claim, and the kernel is asked about it.

use std::os::unix::fs::MetadataExt;

use log::{info, warn};

use super::Loop;
use crate::exit::{Errno, ExitStatus, Pid, Stage};
use crate::plan::{InstanceId, Kind, Standing};
use crate::supervisor::{Event, Found};
use crate::sys::pidfile::{self, PidFile, Reading};
use crate::sys::{own_pid, process, reap, tail};
use crate::time::Instant;

/// File exists.
const EEXIST: Errno = Errno(17);

/// How many of the orphans that were reaped last are remembered: a daemon that ends between its fork and the reading
/// of its PID file is among them.
const REMEMBERED: usize = 32;

/// How much of a log file is read for those who are told that a start has failed: bytes, and the last lines of these.
const LOG_TAIL: u64 = 8192;
const LOG_LINES: usize = 10;

/// Orphans that were reaped, and how they had ended; the latest ones.
pub(super) struct Orphans {
    ended: [Option<Orphan>; REMEMBERED],
    /// How many there have been.
    count: u64,
}

/// One that was reaped.
#[derive(Clone, Copy)]
struct Orphan {
    pid: Pid,
    status: ExitStatus,
    at: Instant,
}

impl Orphans {
    pub(super) const fn new() -> Orphans {
        Orphans { ended: [None; REMEMBERED], count: 0 }
    }

    /// One more.
    pub(super) fn note(&mut self, pid: Pid, status: ExitStatus, at: Instant) {
        if let Some(place) = self.ended.get_mut((self.count % REMEMBERED as u64) as usize) {
            *place = Some(Orphan { pid, status, at });
        }
        self.count += 1;
    }

    /// From the oldest that is remembered to the latest.
    fn iter(&self) -> impl Iterator<Item = Orphan> {
        let next = (self.count % REMEMBERED as u64) as usize;
        let (late, early) = self.ended.split_at(next);
        early.iter().chain(late).flatten().copied()
    }

    /// How this one ended, if it is remembered; of several by turns, the latest.
    fn status_of(&self, pid: Pid) -> Option<ExitStatus> {
        self.iter().filter(|orphan| orphan.pid == pid).last().map(|orphan| orphan.status)
    }

    /// Of those that have ended since then, the one that explains most: the first that failed, or else the last.
    fn culprit(&self, since: Instant) -> Option<Orphan> {
        let recent = || self.iter().filter(|orphan| orphan.at >= since);
        recent().find(|orphan| !orphan.status.success()).or_else(|| recent().last())
    }
}

/// The environment that a process was started with.
struct Variables(Vec<u8>);

impl Variables {
    /// Of this one; `None` if that can't be known.
    fn of(pid: Pid) -> Option<Variables> {
        std::fs::read(format!("/proc/{pid}/environ")).ok().map(Variables)
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == 0)
    }

    /// Whether it has all of these.
    fn has(&self, marks: &[String; 2]) -> bool {
        marks.iter().all(|mark| self.lines().any(|line| line == mark.as_bytes()))
    }

    /// Whether it has such variables, of whomever.
    fn marked(&self) -> bool {
        self.lines().any(|line| line.starts_with(b"LAR_SERVICE="))
    }

    /// Whether it is a hook's.
    fn hook(&self) -> bool {
        self.lines().any(|line| line.starts_with(b"LAR_EVENT="))
    }
}

/// What is known of a daemon once it is dead, and what it left behind does not bear its variables any more: to show a
/// title, some programs write over them, and then start each of their processes in a session of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Portrait {
    /// Device and inode of its program.
    program: (u64, u64),
    /// The same of the directory that it works in.
    directory: (u64, u64),
    user: u32,
    /// When it was started, in ticks since the machine was.
    started: u64,
}

impl Portrait {
    /// Of a process that lives. None of one in the root directory: that is anybody's.
    fn of(pid: Pid) -> Option<Portrait> {
        let identity = |path: &str| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.dev(), about.ino()))
        };
        let directory = identity(&format!("/proc/{pid}/cwd"))?;
        let facts = process::facts(pid)?;
        Some(Portrait {
            program: identity(&format!("/proc/{pid}/exe"))?,
            directory: Some(directory).filter(|&it| Some(it) != identity("/"))?,
            user: facts.user,
            started: facts.started,
        })
    }

    /// Whether a process runs the same program for the same user in the same place, and is no older.
    fn fits(&self, pid: Pid) -> bool {
        Portrait::of(pid).is_some_and(|other| {
            let same = Portrait { started: self.started, ..other };
            same == *self && other.started >= self.started
        })
    }
}

/// What a log was when it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// How much of it there was; of a file that was not there, nothing.
    size: u64,
    /// When it was last written, in seconds and nanoseconds since 1970; only compared.
    modified: (i64, i64),
}

/// Whether a process that a PID file names is no descendant of ours and was there when the file was `modified`: its
/// number was not given to another one since. Where that can't be known, it is not.
fn runs_outside(pid: Pid, modified: i128) -> bool {
    let there = || process::facts(pid).filter(|facts| !facts.dead);
    let before = |started: u64| process::wall_of(started) <= modified + process::CLOCK_SET;
    !process::descends(pid, own_pid()) && there().is_some_and(|facts| before(facts.started))
}

/// Whether a process runs as the user of a service: who does that must not have another's orphan ended.
pub(super) fn runs_as(user: Option<u32>, pid: Pid) -> bool {
    let user = user.filter(|&user| user != 0);
    user.is_none_or(|user| process::facts(pid).is_some_and(|facts| facts.user == user))
}

impl Loop {
    /// Whoever was the main process is none of the next one's: its PID file goes before the start. An error if it is
    /// the file of a daemon that runs outside lar, which needs it.
    pub(super) fn forget_daemon(&mut self, instance: InstanceId) -> Result<(), (Stage, Errno)> {
        self.name_daemon(instance, None);
        let images = self.images.get_mut(instance.index()).and_then(Option::as_mut);
        let foreign = images.and_then(|images| images.foreign.take());
        let process = self.supervisor.process(instance);
        let Some(path) = process.and_then(|process| process.pid_file.as_deref()) else {
            return Ok(());
        };
        if !self.forks(instance) {
            return Ok(());
        }
        let label = self.supervisor.label(instance);
        let reading = pidfile::read_dated(path, self.user_of(instance));
        if let Ok(Reading { says: PidFile::Pid(pid), modified, .. }) = reading {
            // What the last daemon wrote there itself is nobody's claim.
            if foreign != Some(pid) && runs_outside(pid, modified) {
                warn!(
                    "{label}: {path} names {pid}, which runs outside lar; it is left alone, and \
                     nothing is started beside it"
                );
                return Err((Stage::PidFile, EEXIST));
            }
            match process::exists(pid) {
                true => warn!(
                    "{label}: {path} names {pid}, a process that is none of its; the file is \
                     removed, the process left alone"
                ),
                false => info!("{label}: {path} names {pid}, which is gone; the file is removed"),
            }
        }
        if let Err(errno) = pidfile::remove(path) {
            warn!("{label}: {path} can't be removed: {errno}; what it names may be an old daemon");
        }
        Ok(())
    }

    /// What an instance says its main process is, from now on.
    pub(super) fn name_daemon(&mut self, instance: InstanceId, pid: Option<Pid>) {
        if let Some(Some(images)) = self.images.get_mut(instance.index()) {
            (images.main_pid, images.orphans) = (pid, None);
            images.portrait = pid.and_then(Portrait::of);
        }
    }

    fn forks(&self, instance: InstanceId) -> bool {
        let viewed = self.supervisor.instance(instance);
        let kind = self.supervisor.service(viewed.service).kind;
        kind == Kind::Forking && viewed.standing != Standing::Run
    }

    fn user_of(&self, instance: InstanceId) -> Option<u32> {
        let service = self.supervisor.service(self.supervisor.instance(instance).service);
        service.setup.identity.as_ref().and_then(|identity| identity.uid)
    }

    /// Whether a process is nobody's: no instance's, and no hook's.
    fn is_free(&self, pid: Pid) -> bool {
        self.supervisor.owner(pid).is_none() && !self.hooks.owns(pid)
    }

    /// Remembers what its daemon looks like.
    fn paint(&mut self, instance: InstanceId, pid: Pid) {
        if let Some(Some(images)) = self.images.get_mut(instance.index()) {
            images.portrait = Portrait::of(pid);
        }
    }

    /// Looks for the main process of a forking daemon; `anyhow`: or for anything that it has left behind.
    pub(super) fn find_daemon(&mut self, instance: InstanceId, anyhow: bool) {
        let what = match self.named_daemon(instance) {
            Found::Nothing | Found::Foreign(_) | Found::Gone(..) if anyhow => {
                self.stray_of(instance).map_or(Found::Nothing, Found::Main)
            }
            Found::Nothing => self.lost_daemon(instance).unwrap_or(Found::Nothing),
            found => found,
        };
        if let Found::Foreign(pid) = what
            && let Some(Some(images)) = self.images.get_mut(instance.index())
        {
            images.foreign = Some(pid);
        }
        if let (Found::Main(pid), false) = (what, anyhow) {
            self.paint(instance, pid);
        }
        self.inbox.push_back(Event::Found { instance, what });
    }

    /// What its PID file names, or it itself has named.
    fn named_daemon(&mut self, instance: InstanceId) -> Found {
        let process = self.supervisor.process(instance);
        let path = process.and_then(|process| process.pid_file.as_deref());
        let images = self.images.get(instance.index()).and_then(Option::as_ref);
        let told = images.and_then(|images| images.main_pid);
        let named = path.map(|path| pidfile::read(path, self.user_of(instance)));
        let pid = match (told, named) {
            (Some(pid), _) | (None, Some(Ok(PidFile::Pid(pid)))) => pid,
            (None, Some(Ok(PidFile::Untrusted(user)))) => {
                let label = self.supervisor.label(instance);
                let path = path.unwrap_or_default();
                warn!(
                    "{label}: {path} belongs to user {user}, who may not say what is signalled; not read"
                );
                return Found::Nothing;
            }
            // Half written, or what only a later look can tell.
            (None, _) => return Found::Nothing,
        };
        let free = self.is_free(pid);
        if free && reap::is_our_child(pid) && runs_as(self.user_of(instance), pid) {
            return Found::Main(pid);
        }
        match self.orphans.status_of(pid) {
            Some(status) if free => Found::Gone(pid, Some(status)),
            _ if !process::exists(pid) => Found::Gone(pid, None),
            _ => Found::Foreign(pid),
        }
    }

    /// Its daemon, if that must have ended before anybody could read who it is. Each that descends from its launcher
    /// is lar's child by now, or a descendant of such a child: where none is left that could be one, there is none.
    fn lost_daemon(&mut self, instance: InstanceId) -> Option<Found> {
        let since = self.supervisor.instance(instance).since;
        let count = self.orphans.count;
        let images = self.images.get_mut(instance.index())?.as_mut()?;
        // Only an end can change the answer; and while its restart command runs, another daemon may come of that.
        if images.orphans == Some(count) || self.supervisor.is_being_restarted(instance) {
            return None;
        }
        images.orphans = Some(count);
        let marks = self.marks_of(instance);
        let may_be_its = |&pid: &Pid| {
            // Who has no environment has ended, or made another one: it may be anybody's.
            self.is_free(pid)
                && Variables::of(pid)
                    .is_none_or(|it| !it.hook() && (it.has(&marks) || !it.marked()))
        };
        if reap::children()?.iter().any(may_be_its) {
            return None;
        }
        let Orphan { pid, status, .. } = self.orphans.culprit(since)?;
        Some(Found::Gone(pid, Some(status)))
    }

    /// The variables by which its processes are known.
    fn marks_of(&self, instance: InstanceId) -> [String; 2] {
        let viewed = self.supervisor.instance(instance);
        let service = &self.supervisor.service(viewed.service).name;
        [format!("LAR_SERVICE={service}"), format!("LAR_INSTANCE={}", viewed.number)]
    }

    /// A child of lar's that nobody owns and that has the variables of this instance: its daemon, which has not said
    /// so, or what that has left behind.
    fn stray_of(&self, instance: InstanceId) -> Option<Pid> {
        let marks = self.marks_of(instance);
        let portrait = self.images.get(instance.index())?.as_ref()?.portrait;
        let is_its = |&pid: &Pid| {
            // One that has ended has no environment any more; it is about to be reaped. What hooks leave is theirs.
            self.is_free(pid)
                && match Variables::of(pid) {
                    Some(it) if it.marked() => it.has(&marks) && !it.hook(),
                    Some(_) | None => portrait.is_some_and(|portrait| portrait.fits(pid)),
                }
        };
        reap::children()?.into_iter().find(is_its)
    }

    /// Whether its log has grown since the last look.
    pub(super) fn look_at_log(&mut self, instance: InstanceId) {
        let mark = self.mark_of(instance);
        let Some(Some(images)) = self.images.get_mut(instance.index()) else { return };
        let active = std::mem::replace(&mut images.mark, mark) != mark;
        self.inbox.push_back(Event::Looked { instance, active });
    }

    /// The log as it is before the start: what comes is news.
    pub(super) fn mark_log(&mut self, instance: InstanceId) {
        let viewed = self.supervisor.instance(instance);
        let watched = self.supervisor.service(viewed.service).log_activity_timeout.is_some();
        let process = self.supervisor.process(instance);
        let has_file = process.is_some_and(|process| process.log_file.is_some());
        if !watched && !has_file {
            return;
        }
        let mark = self.mark_of(instance);
        if let Some(Some(images)) = self.images.get_mut(instance.index()) {
            images.mark = mark;
            images.log_from = if has_file { mark.size } else { 0 };
        }
    }

    /// The last lines that its log file has been given since its last start. A file that is none, or a link to
    /// somebody else's, is nobody's log.
    pub(super) fn new_in_log(&self, instance: InstanceId) -> Vec<String> {
        let process = self.supervisor.process(instance);
        let Some(path) = process.and_then(|process| process.log_file.as_deref()) else {
            return Vec::new();
        };
        let images = self.images.get(instance.index()).and_then(Option::as_ref);
        let from = images.map_or(0, |images| images.log_from);
        let text = match tail::since(path, from, LOG_TAIL) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => return Vec::new(),
        };
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().rev().take(LOG_LINES).rev().map(|line| (*line).to_owned()).collect()
    }

    fn mark_of(&self, instance: InstanceId) -> Mark {
        let process = self.supervisor.process(instance);
        match process.and_then(|process| process.log_file.as_deref()) {
            // A file that is not there is as one without a byte that was never written.
            Some(path) => std::fs::metadata(path).map_or(Mark::default(), |about| Mark {
                size: about.len(),
                modified: (about.mtime(), about.mtime_nsec()),
            }),
            None => Mark { size: self.output.activity(instance), ..Mark::default() },
        }
    }
}
