//! Putting a file that has grown too large aside: `log` becomes `log.1`, `log.1` becomes `log.2`…

use std::fs;
use std::io;

use nix::errno::Errno;

use crate::plan::Rotate;

/// When a file is put aside, and under which names. The names are made at load.
#[derive(Debug)]
pub struct Rotation {
    /// The size in bytes.
    pub size: u64,
    names: Vec<String>,
}

impl Rotation {
    /// For a file and what is kept of it.
    pub fn new(path: &str, rotate: Rotate) -> Rotation {
        let names = (1..=rotate.keep).map(|number| format!("{path}.{number}")).collect();
        Rotation { size: rotate.size.max(1), names }
    }

    /// Renames `path` and its elders, the eldest first; with none to keep, removes it.
    pub fn shift(&self, path: &str) -> Result<(), Errno> {
        for pair in self.names.windows(2).rev() {
            missing_is_fine(fs::rename(&pair[0], &pair[1]))?;
        }
        match self.names.first() {
            Some(first) => missing_is_fine(fs::rename(path, first)),
            None => missing_is_fine(fs::remove_file(path)),
        }
    }
}

fn missing_is_fine(result: io::Result<()>) -> Result<(), Errno> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        }
        _ => Ok(()),
    }
}
