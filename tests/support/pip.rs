//! Packages of PyPI, installed once into the build directory, for the tests that put lar beside them or let them read
//! what lar writes.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

/// The python that runs them. Debian's: other users can reach it, too.
pub const PYTHON: &str = "/usr/bin/python3";

/// The directory to put on PYTHONPATH, or why there is none. Several test programs may ask at once; a lock makes
/// one of them install it, and the others wait. `finish` adds what else is to be in there.
pub fn installed(
    name: &str,
    version: &str,
    finish: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<PathBuf, String> {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = base.join(format!("{name}-{version}"));
    if place.is_dir() {
        return Ok(place);
    }
    let lock =
        File::create(base.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    let _lock =
        Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error.to_string())?;
    if place.is_dir() {
        return Ok(place);
    }
    // Into a directory beside, renamed when it is complete: half an installation would be believed.
    let fresh = base.join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    let output = Command::new(PYTHON)
        .args(["-m", "pip", "install", "--quiet", "--no-compile", "--target"])
        .arg(&fresh)
        .arg(format!("{name}=={version}"))
        .output()
        .map_err(|error| format!("{PYTHON}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} {version} can't be installed by pip: {said}"));
    }
    finish(&fresh).and_then(|()| fs::rename(&fresh, &place)).map_err(|error| error.to_string())?;
    Ok(place)
}
