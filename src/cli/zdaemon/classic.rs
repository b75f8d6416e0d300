//! The zdaemon of 2002.

use std::ffi::OsString;

/// Runs it.
pub(super) fn main(name: String, args: Vec<OsString>) -> u8 {
    let _ = args;
    super::complain(format_args!("{name}: not here yet"));
    1
}
