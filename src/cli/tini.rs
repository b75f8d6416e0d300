//! lar as tini, also called docker-init.

use std::ffi::OsString;

/// Everything that tini is called with; its exit code.
pub fn main(name: String, args: Vec<OsString>) -> u8 {
    let _ = args;
    super::usage_error(&format!("{name}: not here yet"))
}
