//! The daemon that misbehaves (`misbehaving.c`, where its options stand), compiled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where it is; `None` without a C compiler. Compiled once for a test program.
pub fn misbehaving() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/misbehaving.c");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let unfinished = place.join(format!("misbehaving.{}", std::process::id()));
    let options = ["-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o"];
    let done = Command::new("cc").args(options).arg(&unfinished).arg(source).status();
    if !done.is_ok_and(|status| status.success()) {
        return None;
    }
    // Under its own name at once whole: other test programs compile it at the same time.
    let program = place.join("misbehaving");
    std::fs::rename(unfinished, &program).ok()?;
    Some(program)
}
