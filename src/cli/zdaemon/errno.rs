//! Errors of the system as Python tells them.

use std::io;

use nix::errno::Errno;

use crate::python::Repr;

/// `[Errno 2] No such file or directory: 'x'`.
pub(super) fn os_error(error: &io::Error, path: Option<&str>) -> String {
    let text = match error.raw_os_error() {
        Some(number) => format!("[Errno {number}] {}", Errno::from_raw(number).desc()),
        None => error.to_string(),
    };
    match path {
        Some(path) => format!("{text}: {}", Repr(path)),
        None => text,
    }
}
