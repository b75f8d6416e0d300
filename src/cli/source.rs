//! Where a manager's configuration comes from, for as long as it runs: it can be read again, with more in it, and be
//! added to.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::manager;
use crate::config::{self, Directory, Program, Severity, User, World};
use crate::plan::Plan;
use crate::run::orders::Source;
use crate::sys::boot;

/// What sections that came over the control socket are called.
const ADDED: &str = "add";

/// The configuration of a manager of services.
pub(super) struct Configuration {
    /// Its file; none if it was made from a command line.
    pub(super) file: Option<String>,
}

impl Source for Configuration {
    fn read(&self, extra: Option<&str>) -> Result<Plan, Vec<String>> {
        let file = self.file.as_deref();
        let mut bytes = match (file, extra) {
            (Some(file), _) => {
                std::fs::read(file).map_err(|error| vec![format!("{file}: {error}")])?
            }
            (None, Some(_)) => Vec::new(),
            (None, None) => return Err(vec!["lar was not started from a file".into()]),
        };
        if extra.is_some() {
            bytes.extend_from_slice(format!("\n%include {ADDED}\n").as_bytes());
        }
        let world = With { machine: Machine::new(), extra };
        let reading = config::read(file.unwrap_or("lar"), &bytes, &world);
        let errors = reading.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        let mut plan = reading
            .plan
            .ok_or_else(|| errors.map(|error| error.to_string()).collect::<Vec<String>>())?;
        let usual = if boot::is_pid1() { manager::IN_CONTAINER } else { manager::ELSEWHERE };
        plan.settings.shutdown_timeout.get_or_insert(usual);
        Ok(plan)
    }

    fn save(&self, name: &str, text: &str) -> Result<String, String> {
        let file = self.file.as_ref().ok_or("lar was not started from a file")?;
        let (directory, extension) = included(file)
            .ok_or_else(|| format!("{file} includes no directory (as `%include conf.d/*.conf`)"))?;
        let path = directory.join(format!("{}{extension}", name.replace(':', "-")));
        let shown = path.display().to_string();
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{shown} is there already"),
            _ => format!("{shown}: {error}"),
        };
        let made = std::fs::File::create_new(&path).map_err(failed);
        let written = made.and_then(|mut file| {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.map_err(|error| {
                self.forget(&shown); // half a file is none
                failed(error)
            })
        });
        written.map(|()| shown.clone())
    }

    fn forget(&self, path: &str) {
        // It was made a moment ago; if it can't be taken back, the next `apply` will tell.
        let _ = std::fs::remove_file(path);
    }
}

/// The first directory that a file includes all of, and what its files end in.
fn included(file: &str) -> Option<(PathBuf, String)> {
    let text = std::fs::read_to_string(file).ok()?;
    let patterns = text.lines().filter_map(|line| line.trim().strip_prefix("%include "));
    let mut whole = patterns.filter_map(|pattern| {
        let (directory, name) = pattern.trim().rsplit_once('/').unwrap_or((".", pattern.trim()));
        let extension = name.strip_prefix('*')?;
        let plain = |text: &str| !text.contains(['*', '?', '[', '%', '$']);
        (plain(directory) && plain(extension)).then(|| (directory, extension.to_owned()))
    });
    let (directory, extension) = whole.next()?;
    Some((Path::new(file).parent()?.join(directory), extension))
}

/// This machine, with one file more.
struct With<'a> {
    machine: Machine,
    extra: Option<&'a str>,
}

impl World for With<'_> {
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let name = Path::new(pattern).file_name().is_some_and(|name| name == ADDED);
        match self.extra {
            Some(extra) if name => Ok(vec![(ADDED.into(), extra.into())]),
            _ => self.machine.include(pattern),
        }
    }

    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        self.machine.file(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.machine.variable(name)
    }

    fn user(&self, name: &str) -> Option<User> {
        self.machine.user(name)
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.machine.group(name)
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        self.machine.groups_of(user)
    }

    fn confined_to(&self) -> Option<(u32, u32)> {
        self.machine.confined_to()
    }

    fn is_pid1(&self) -> bool {
        self.machine.is_pid1()
    }

    fn program(&self, path: &str) -> Program {
        self.machine.program(path)
    }

    fn directory(&self, path: &str) -> Directory {
        self.machine.directory(path)
    }
}
