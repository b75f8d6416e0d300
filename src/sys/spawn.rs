//! Starting processes: from an [`Image`], all of which was prepared at load, by clone(2).
//!
//! The child shares lar's memory until it execs (`CLONE_VM | CLONE_VFORK`), which makes a spawn as
//! cheap with 200 MB in use as with one. lar stands still for that time, so the child makes raw
//! system calls on prepared data and opens nothing that can block; a program on a file system that
//! may hang is started by [`plan::Spawn::Fork`] instead.
//!
//! Not clone3(2): the seccomp profiles of container runtimes refuse it. No pidfd: while only the
//! loop reaps, a pid is safe, and so a spawn makes no fd and can't fail for the lack of one.
//! `std::process::Command` is not used either: it allocates, opens a pipe, and with an extra step
//! before exec it falls back to fork.
//!
//! Invariants: [`Spawner::spawn`] allocates nothing and opens nothing in lar; a child that did not
//! reach its program is reaped before it returns (`Vfork`), or tells through [`Image::failure`] at
//! its exit (`Fork`).

mod blanks;
mod child;
mod environment;
mod image;
mod passed;

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

pub use environment::Environment;
pub use image::{Image, Recipe, words};

use crate::exit::{Errno, Pid, Stage};
use crate::plan;
use crate::sys::fd::FileLimit;
use crate::sys::signals::{self, Saved, Set};
use crate::sys::terminal::Terminal;
use crate::sys::{checked, last_errno, uninterrupted};

/// What lar itself was given when it was started, and hands on to its children. One for all images.
pub struct Given {
    /// lar's environment.
    pub environment: Environment,
    /// Its signal mask, and what it ignored.
    pub signals: Saved,
    /// Its limit of open files before it raised it ([`crate::sys::fd::raise_file_limit`]); `None`
    /// if it did not.
    pub files: Option<FileLimit>,
    /// Its controlling terminal; only looked for in single-program mode.
    pub terminal: Option<Terminal>,
}

impl Given {
    /// What can be known without changing anything: environment and signals. No terminal is looked
    /// for.
    pub fn collect() -> Given {
        Given {
            environment: Environment::own(),
            signals: signals::saved(),
            files: None,
            terminal: None,
        }
    }
}

/// Where a child leaves the step that failed, and why. In memory that both can see.
struct Report {
    /// 1 + the index in [`Stage::ALL`]; 0 while nothing has failed.
    stage: AtomicU32,
    errno: AtomicU32,
}

impl Report {
    const fn new() -> Report {
        Report { stage: AtomicU32::new(0), errno: AtomicU32::new(0) }
    }

    fn clear(&self) {
        self.stage.store(0, Ordering::Release);
    }

    /// Async-signal safe.
    fn set(&self, (stage, errno): (Stage, Errno)) {
        self.errno.store(errno.0 as u32, Ordering::Relaxed);
        self.stage.store(stage as u32 + 1, Ordering::Release);
    }

    fn get(&self) -> Option<(Stage, Errno)> {
        let index = self.stage.load(Ordering::Acquire).checked_sub(1)?;
        let stage = *Stage::ALL.get(index as usize)?;
        Some((stage, Errno(self.errno.load(Ordering::Relaxed) as i32)))
    }
}

/// The memory children run on until they exec. One for all: while a child uses it, lar stands still
/// (`Vfork`), or the child has its own copy (`Fork`).
struct Stack {
    base: NonNull<c_void>,
}

/// The size of that stack in bytes. The child's deepest call takes less than 1 KiB; the rest is for
/// unoptimised builds, and costs address space, not memory.
const STACK: usize = 64 * 1024;

/// Below the stack lies a page that faults, so that an overflow is a crash and not a corruption. 64
/// KiB is a whole number of pages on every machine, also where pages are that large.
const GUARD: usize = 64 * 1024;

impl Stack {
    fn new() -> Result<Stack, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping, at a place of the kernel's choice, aliases nothing.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), GUARD + STACK, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let stack = Stack { base: NonNull::new(base).ok_or(Errno(libc::ENOMEM))? };
        // SAFETY: the range lies within the mapping made above, in which nothing is stored yet.
        checked(unsafe { libc::mprotect(base, GUARD, libc::PROT_NONE) })?;
        Ok(stack)
    }

    /// Where a stack starts that grows down. Page-aligned, so aligned for any calling convention.
    fn top(&self) -> *mut c_void {
        self.base.as_ptr().wrapping_byte_add(GUARD + STACK)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` has mapped; no child runs on it, since spawn has
        // returned.
        unsafe { libc::munmap(self.base.as_ptr(), GUARD + STACK) };
    }
}

/// What spawning needs besides an image; made once.
pub struct Spawner {
    stack: Stack,
    /// What lar ignores: an exec would hand it on.
    ignored: Set,
    /// Whether lar may be looked at by debuggers and owns its /proc files: a child's change of user
    /// would end that.
    dumpable: bool,
}

impl Spawner {
    /// Makes the stack, and notes which signals are ignored: to be called when that does not change
    /// any more. ENOMEM.
    pub fn new() -> Result<Spawner, Errno> {
        // SAFETY: this prctl takes plain numbers and touches no memory.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) } == 1;
        Ok(Spawner { stack: Stack::new()?, ignored: signals::ignored_by_us(), dumpable })
    }

    /// Starts a process. By the time it returns the program runs (`Vfork`), or is on its way
    /// (`Fork`).
    ///
    /// The caller sees to it that the fds of the image are open, and that no signal handler runs in
    /// this thread (all are blocked, since `signals::take_over`). EAGAIN and ENOMEM at
    /// [`Stage::Clone`]; anything at the other stages.
    pub fn spawn(&mut self, image: &Image) -> Result<Pid, (Stage, Errno)> {
        let local = Report::new();
        let report = image.shared_report().unwrap_or(&local);
        report.clear();
        image.restore_first_word();
        let task = child::Task { image, report, ignored: self.ignored };
        let shares_memory = image.spawn() == plan::Spawn::Vfork;
        let flags = if shares_memory { libc::CLONE_VM | libc::CLONE_VFORK } else { 0 };
        let task = (&raw const task).cast_mut().cast::<c_void>();
        // SAFETY: with CLONE_VFORK we are suspended until the child has exec'd or ended, so for
        // this thread it is one call of `child::run` on a stack that nobody else uses (`&mut
        // self`); `task` and all it refers to outlive that. Without, the child has a copy of
        // everything. `run` neither returns nor unwinds.
        let pid = unsafe { libc::clone(child::run, self.stack.top(), flags | libc::SIGCHLD, task) };
        let pid = checked(pid).map_err(|errno| (Stage::Clone, errno))?;
        if !shares_memory {
            return Ok(Pid(pid));
        }
        if self.dumpable && image.changes_credentials() {
            // SAFETY: this prctl takes plain numbers and touches no memory.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
        }
        let Some(failure) = report.get() else { return Ok(Pid(pid)) };
        // It has called exit already, or we would not run: this does not wait. ECHILD, if SIGCHLD
        // is ignored, is as good.
        let reaped = std::ptr::null_mut();
        // SAFETY: no status is asked for, so nothing is written.
        let _ = uninterrupted(|| unsafe { libc::waitpid(pid, reaped, 0) });
        Err(failure)
    }
}
