//! The C `main`, and what must be done before Rust code may rely on anything.
//!
//! Rust's own start-up code aborts when fd 0, 1 or 2 is closed and /dev/null can't be opened: for a
//! PID 1 on a board without a console that is a kernel panic. So the binary has a C `main`, and
//! std's start-up never runs: the three fds are made good here, no handler for SIGSEGV is
//! installed, and SIGPIPE is ours to decide. Arguments and environment work all the same: glibc
//! hands them to std before `main`.

use std::io::Write;

/// Takes over the signals, then makes fds 0 to 2 good. Signals come first: every instruction before
/// that is one in which a SIGTERM to PID 1 is lost.
pub fn prepare() {
    crate::sys::signals::take_over();
    crate::sys::fd::make_standard_fds_good();
}

/// Writes out what std still buffers: its own end-of-main code does not run either.
pub fn finish() {
    // Nobody is left to tell.
    let _ = std::io::stdout().flush();
}

/// Defines the C `main` of a binary (with `#![no_main]`) around a `fn() -> u8`, the exit code. A
/// macro, because the symbol must be defined in the binary: in the library it would clash with the
/// one of every test.
#[macro_export]
macro_rules! c_main {
    ($body:path) => {
        /// What the C runtime calls.
        #[unsafe(no_mangle)]
        pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
            $crate::sys::entry::prepare();
            let code = $body();
            $crate::sys::entry::finish();
            i32::from(code)
        }
    };
}
