//! The real zdaemon of PyPI, installed once into the build directory, for the tests that put lar beside it.
#![allow(dead_code, reason = "each test file uses another part of it")]

#[path = "pip.rs"]
pub mod pip;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use pip::PYTHON;

/// Which one: the behaviour that lar promises is this version's.
pub const VERSION: &str = "5.2.1";

/// The directory to put on PYTHONPATH, or why there is none.
pub fn installed() -> Result<PathBuf, String> {
    pip::installed("zdaemon", VERSION, |place| {
        let script = format!(
            "#!{PYTHON}\nimport os, sys\n\
             sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))\n\
             from zdaemon.zdctl import main\nsys.exit(main())\n"
        );
        let path = real(place);
        fs::create_dir_all(place.join("run"))?;
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
    })
}

/// The command `zdaemon` of it, a script: it runs itself anew as the manager, and names itself in its messages.
pub fn real(place: &Path) -> PathBuf {
    place.join("run/zdaemon")
}
