//! Forking daemons: which process is the main one, what it left behind, and whether its log grows.
//!
//! A daemon that its launcher has left becomes lar's child, because lar is PID 1 or a subreaper. Only such a child is
//! ever taken on, and so ever signalled: what a PID file names is a claim, and the kernel is asked about it.

use std::os::unix::fs::MetadataExt;

use log::{info, warn};

use super::Loop;
use crate::exit::{ExitStatus, Pid};
use crate::plan::{InstanceId, Kind, Standing};
use crate::supervisor::{Event, Found};
use crate::sys::pidfile::{self, PidFile};
use crate::sys::{reap, tail};

/// How many of the orphans that were reaped last are remembered: a daemon that ends between its fork and the reading
/// of its PID file is among them.
const REMEMBERED: usize = 32;

/// How much of a log file is read for those who are told that a start has failed: bytes, and the last lines of these.
const LOG_TAIL: u64 = 8192;
const LOG_LINES: usize = 10;

/// Orphans that were reaped, and how they had ended; the latest ones.
pub(super) struct Orphans {
    ended: [Option<(Pid, ExitStatus)>; REMEMBERED],
    next: usize,
}

impl Orphans {
    pub(super) const fn new() -> Orphans {
        Orphans { ended: [None; REMEMBERED], next: 0 }
    }

    /// One more.
    pub(super) fn note(&mut self, pid: Pid, status: ExitStatus) {
        if let Some(place) = self.ended.get_mut(self.next) {
            *place = Some((pid, status));
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// How this one ended, if it is remembered.
    fn status_of(&self, pid: Pid) -> Option<ExitStatus> {
        let same = |&&(known, _): &&(Pid, ExitStatus)| known == pid;
        self.ended.iter().flatten().find(same).map(|&(_, status)| status)
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

impl Loop {
    /// Whoever was the main process is none of the next one's: its PID file goes before the start.
    pub(super) fn forget_daemon(&mut self, instance: InstanceId) {
        self.name_daemon(instance, None);
        let process = self.supervisor.process(instance);
        let Some(path) = process.and_then(|process| process.pid_file.as_deref()) else { return };
        if !self.forks(instance) {
            return;
        }
        let label = self.supervisor.label(instance);
        if let Ok(PidFile::Pid(pid)) = pidfile::read(path, self.user_of(instance)) {
            match self.exists(pid) {
                true => warn!(
                    "{label}: {path} names {pid}, a process that lar has not started; the file is \
                     removed, the process left alone"
                ),
                false => info!("{label}: {path} names {pid}, which is gone; the file is removed"),
            }
        }
        if let Err(errno) = pidfile::remove(path) {
            warn!("{label}: {path} can't be removed: {errno}; what it names may be an old daemon");
        }
    }

    /// What an instance says its main process is, from now on.
    pub(super) fn name_daemon(&mut self, instance: InstanceId, pid: Option<Pid>) {
        if let Some(Some(images)) = self.images.get_mut(instance.index()) {
            images.main_pid = pid;
        }
    }

    /// Whether this main process is a daemon that a launcher has left behind.
    pub(super) fn is_daemon(&self, instance: InstanceId, pid: Pid) -> bool {
        self.supervisor.is_daemon(instance, pid)
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

    fn exists(&self, pid: Pid) -> bool {
        reap::session_of(pid).is_some()
    }

    /// Looks for the main process of a forking daemon; `anyhow`: or for anything that it has left behind.
    pub(super) fn find_daemon(&mut self, instance: InstanceId, anyhow: bool) {
        let what = match self.named_daemon(instance) {
            Found::Nothing | Found::Foreign(_) | Found::Gone(..) if anyhow => {
                self.stray_of(instance).map_or(Found::Nothing, Found::Main)
            }
            found => found,
        };
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
        let known = self.supervisor.owner(pid).is_some() || self.hooks.owns(pid);
        if !known && reap::is_our_child(pid) {
            return Found::Main(pid);
        }
        match self.orphans.status_of(pid) {
            Some(status) if !known => Found::Gone(pid, Some(status)),
            _ if !self.exists(pid) => Found::Gone(pid, None),
            _ => Found::Foreign(pid),
        }
    }

    /// A child of lar's that nobody owns and that has the variables of this instance: its daemon, which has not said
    /// so, or what that has left behind.
    fn stray_of(&self, instance: InstanceId) -> Option<Pid> {
        let viewed = self.supervisor.instance(instance);
        let service = &self.supervisor.service(viewed.service).name;
        let marks = [format!("LAR_SERVICE={service}"), format!("LAR_INSTANCE={}", viewed.number)];
        let is_its = |&pid: &Pid| {
            if self.supervisor.owner(pid).is_some() || self.hooks.owns(pid) {
                return false;
            }
            // One that has ended has no environment any more; it is about to be reaped.
            let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
                return false;
            };
            let has = |mark: &[u8]| environment.split(|&byte| byte == 0).any(|line| line == mark);
            // What hooks leave behind is theirs.
            let hook = environment.split(|&byte| byte == 0).any(|it| it.starts_with(b"LAR_EVENT="));
            !hook && marks.iter().all(|mark| has(mark.as_bytes()))
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
