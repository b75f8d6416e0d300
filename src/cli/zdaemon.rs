//! lar as zdaemon.

pub(super) mod log;
pub(super) mod manager;

use std::ffi::OsString;

/// Everything that zdaemon is called with; its exit code.
pub fn main(name: String, args: Vec<OsString>) -> u8 {
    let _ = args;
    super::usage_error(&format!("{name}: not here yet"))
}
