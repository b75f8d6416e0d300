//! The real zdaemon of PyPI, installed once into the build directory, for the tests that put lar beside it.
#![allow(dead_code, reason = "each test file uses another part of it")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

/// Which one: the behaviour that lar promises is this version's.
pub const VERSION: &str = "5.2.1";

/// The python that runs it. Debian's: other users can reach it, too.
pub const PYTHON: &str = "/usr/bin/python3";

/// The directory to put on PYTHONPATH, or why there is none. Several test programs may ask at once; a lock makes
/// one of them install it, and the others wait.
pub fn installed() -> Result<PathBuf, String> {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = base.join(format!("zdaemon-{VERSION}"));
    let done = real(&place);
    if done.is_file() {
        return Ok(place);
    }
    let lock = File::create(base.join("zdaemon.lock")).map_err(|error| error.to_string())?;
    let _lock =
        Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error.to_string())?;
    if !done.is_file() {
        install(&base, &place)?;
    }
    Ok(place)
}

/// Into a directory beside, renamed when it is complete: half an installation would be believed.
fn install(base: &Path, place: &Path) -> Result<(), String> {
    let fresh = base.join(format!("zdaemon-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    let output = Command::new(PYTHON)
        .args(["-m", "pip", "install", "--quiet", "--no-compile", "--target"])
        .arg(&fresh)
        .arg(format!("zdaemon=={VERSION}"))
        .output()
        .map_err(|error| format!("{PYTHON}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("zdaemon {VERSION} can't be installed by pip: {said}"));
    }
    let script = format!(
        "#!{PYTHON}\nimport os, sys\nsys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))\n\
         from zdaemon.zdctl import main\nsys.exit(main())\n"
    );
    let path = fresh.join("run/zdaemon");
    let written = fs::create_dir_all(fresh.join("run")).and_then(|()| fs::write(&path, script));
    let executable = fs::Permissions::from_mode(0o755);
    written
        .and_then(|()| fs::set_permissions(&path, executable))
        .map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(place);
    fs::rename(&fresh, place).map_err(|error| error.to_string())
}

/// The command `zdaemon` of it, a script: it runs itself anew as the manager, and names itself in its messages.
pub fn real(place: &Path) -> PathBuf {
    place.join("run/zdaemon")
}
