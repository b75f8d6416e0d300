//! lar
#![deny(unsafe_code)]

// layer 0: words
pub mod exit;
pub mod nearest;
pub mod plan;
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
pub mod output;

// layer 4: the loop
pub mod logger;
pub mod run;

// layer 5: entry
pub mod cli;
