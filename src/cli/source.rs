//! Where a manager's configuration comes from, for as long as it runs: it can be read again, with more in it, and be
//! added to.

mod count;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::manager;
use crate::config::{self, Directory, Program, Severity, User, World};
use crate::plan::Plan;
use crate::run::orders::{Saved, Source};
use crate::sys::boot;

/// What sections that came over the control socket are called.
const ADDED: &str = "add";

/// The configuration of a manager of services.
pub(super) struct Configuration {
    /// Its file; none if it was made from a command line.
    pub(super) file: Option<String>,
}

impl Configuration {
    /// Reads it, with sections more, or with a file that holds something else.
    fn read_with(
        &self,
        extra: Option<&str>,
        changed: Option<(&Path, &str)>,
    ) -> Result<Plan, Vec<String>> {
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
        let world = With { machine: Machine::new(), extra, changed };
        let reading = config::read(file.unwrap_or("lar"), &bytes, &world);
        let errors = reading.diagnostics.iter().filter(|it| it.severity == Severity::Error);
        let mut plan = reading
            .plan
            .ok_or_else(|| errors.map(|error| error.to_string()).collect::<Vec<String>>())?;
        let usual = if boot::is_pid1() { manager::IN_CONTAINER } else { manager::ELSEWHERE };
        plan.settings.shutdown_timeout.get_or_insert(usual);
        Ok(plan)
    }
}

impl Source for Configuration {
    fn read(&self, extra: Option<&str>) -> Result<Plan, Vec<String>> {
        self.read_with(extra, None)
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

    fn save_count(&self, name: &str, count: u32) -> Result<Saved, String> {
        let file = self.file.as_ref().ok_or("lar was not started from a file")?;
        let (directory, extension) = included(file)
            .ok_or_else(|| format!("{file} includes no directory (as `%include conf.d/*.conf`)"))?;
        let shown = directory.join(format!("*{extension}")).display().to_string();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_str().is_some_and(|path| path.ends_with(&extension)))
            .collect();
        paths.sort();
        let found = paths.iter().find_map(|path| {
            let before = std::fs::read_to_string(path).ok()?;
            Some((path, count::with(&before, name, count)?, before))
        });
        let (path, after, before) = found.ok_or_else(|| {
            format!("{name} is not in {shown}, and lar writes no other file: say `instances {count}` where it is")
        })?;
        // Whatever is odd about the file, it is not to mean anything else afterwards.
        let read = |changed| self.read_with(None, changed).map_err(|errors| errors.join("; "));
        let (old, mut new) = (read(None)?, read(Some((path.as_path(), after.as_str())))?);
        let id = new.find(name).ok_or("it would be no service any more")?;
        let right = new.service(id).processes.len() == count as usize;
        if let Some(service) = old.find(name).map(|id| old.service(id)) {
            new.services[id.index()].processes = service.processes.clone();
        }
        if !right || new != old {
            return Err(format!("{}: lar can't tell where {name} says its number", path.display()));
        }
        replace(path, &after).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Saved { path: path.display().to_string(), before })
    }

    fn restore(&self, saved: &Saved) {
        // As in `forget`.
        let _ = replace(Path::new(&saved.path), &saved.before);
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

/// Whether two paths are one file.
fn same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Puts a file with this text, and the old one's mode, in the place of another, as a whole or not at all.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new~"); // no pattern that is to find the file finds this
    let new = PathBuf::from(new);
    let written = std::fs::metadata(path).and_then(|metadata| {
        let mut file = std::fs::File::create(&new)?;
        file.set_permissions(metadata.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    });
    written.inspect_err(|_| drop(std::fs::remove_file(&new)))
}

/// This machine, with one file more.
struct With<'a> {
    machine: Machine,
    extra: Option<&'a str>,
    /// A file, and what is read in place of what it holds.
    changed: Option<(&'a Path, &'a str)>,
}

impl World for With<'_> {
    fn include(&self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let name = Path::new(pattern).file_name().is_some_and(|name| name == ADDED);
        match self.extra {
            Some(extra) if name => Ok(vec![(ADDED.into(), extra.into())]),
            _ => {
                let mut files = self.machine.include(pattern)?;
                for (path, bytes) in &mut files {
                    let (here, Some((changed, text))) = (Path::new(path), self.changed) else {
                        continue;
                    };
                    if here.file_name() == changed.file_name() && same(here, changed) {
                        *bytes = text.into();
                    }
                }
                Ok(files)
            }
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
