//! lar: a single-threaded init replacement and process supervisor for Linux.
//!
//! This page is for whoever changes lar; README.md is for whoever runs it.
//!
//! # Bird's eye view
//!
//! A configuration file, or a command line, becomes a [`plan::Plan`]: names are numbers, users are ids, every
//! substitution is done. The plan goes into the core, [`supervisor::Supervisor`], which is told what happened and
//! says what to do; it makes no syscall and reads no clock. [`run`] is the loop around it: one thread, one epoll,
//! in which the signalfd, the children's pipes, the deadlines and the control socket meet. Everything that touches
//! the kernel for it is in [`sys`].
//!
//! The way of a death: SIGCHLD makes the signalfd readable; `run` peeks at who has ended, kills what is left of
//! its group, drains its output, reaps it and tells the core `Exited`; the core decides by `supervisor::policy` and
//! asks for a `Spawn`, now or at its next deadline; `sys::spawn` runs the prebuilt image. From the signal to the
//! exec nothing is allocated, no file is opened and no fd is made (`tests/alloc.rs` proves it).
//!
//! # Where to find what
//!
//! Layers import downwards only; `tests/tidy.rs` sees to that, since one package has no walls.
//!
//! | layer | modules |
//! |---|---|
//! | 5 entry | `main`, [`cli`]: one file for each role lar is called in |
//! | 4 loop | [`run`], [`logger`] |
//! | 3 edges | `ctl::server` and `ctl::client`, [`output`] (to transcripts), [`input`], [`check`] (readiness, health) |
//! | 2 system | [`sys`]: all `unsafe`, all libc |
//! | 1 pure | [`supervisor`], [`config`], `ctl::protocol`, [`transcript`] |
//! | 0 words | [`plan`], [`time`], [`signal`], [`exit`], [`nearest`], [`python`] |
//!
//! # Invariants
//!
//! - **P** Layers 0 and 1 know nothing of the outside: no mio, nix, libc, log, and nothing of std that asks the
//!   system.
//! - **S** `sys` and `supervisor` do not know each other; they meet in `run`.
//! - **U** `unsafe` stands only under `src/sys/`, each block with the sentence that makes it sound.
//! - **L** The lives of services are logged in one place (`run::perform`), from the core's `Change`.
//! - **O** Each fd has one owner; nobody owns fds 0 to 2.
//! - **R** A pid in the core's books is not yet reaped, and only `run` reaps: a signal never reaches a reused pid.
//!   That is why no pidfd is kept, and why a restart can't fail for the lack of an fd.
//! - **D** All actions of an event are done before the next event is told.
//! - **M** An event costs O(log n) in the number of instances: pids and deadlines are indexed, and dependents look
//!   at tallies. A change that others wait for costs one look at each of those.
//! - Once the loop runs, nothing returns an error to `main` and nothing panics on an answer of the kernel's.
//!
//! # Dependencies
//!
//! All of them end up in a PID 1, so there are six: `mio` (epoll), `nix` and `libc` (the kernel), `log` and
//! `env_logger` (the event log; without its regex and colours), `lexopt` (arguments; it has no dependencies). Users
//! are looked up without NSS, and no host name is ever resolved: both would load other people's code into PID 1,
//! and can block it.
//!
//! # Roads not taken
//!
//! - *Handlers on a reactor* (each source an object with callbacks): a decision would be spread over them, and no
//!   history could be simulated.
//! - *`std::process::Command`*: it allocates, and it forks as soon as something is to be done before exec, which
//!   with 200 MB in use takes 28 ms instead of 0.04.
//! - *clone3 and pidfds*: container runtimes refuse the first, and the second needs an fd for each spawn.
//! - *splice for transcripts*: slower than read and write for lines, and refused on O_APPEND files.
//! - *A notify socket at a path*: it would need a directory that can be written. The kernel's own choice of an
//!   abstract name needs none; the price is that a service in another network namespace can't reach it.
#![deny(unsafe_code)]

// layer 0: words
pub mod exit;
pub mod nearest;
pub mod plan;
pub mod python;
pub mod signal;
pub mod time;

// layer 1: pure
pub mod config;
pub mod supervisor;
pub mod transcript;

// layer 2: the kernel
#[allow(unsafe_code)]
pub mod sys;

// layer 3: edges (ctl/protocol is layer 1)
pub mod check;
pub mod ctl;
pub mod input;
pub mod output;

// layer 4: the loop
pub mod logger;
pub mod run;

// layer 5: entry
pub mod cli;
