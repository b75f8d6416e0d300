//! A zdaemon file for lar in zdaemon's place: what it says as zdaemon's options, and what is wrong with it in
//! ZConfig's words.
//!
//! The lines are read once, by `lines`, which also notes what ZConfig says of those that can't be read; `matcher`
//! holds the tree against zdaemon's schema; then the same readers as for `lar check` make options of it. What
//! ZConfig does not take is not taken here, but for: `x-…` keys and sections, wildcards of `%include`, directives
//! in capitals, and blanks inside of `< >`.

mod matcher;
mod schema;

use super::diagnostic::{Diagnostic, Report, Severity};
use super::lines::{self, Line};
use super::section::Scope;
use super::value::Wrong;
use super::world::World;
use super::{event_log, runner, sort};
use crate::plan::{EventLog, Runner};
use crate::python;
use matcher::{Matcher, Override};

/// What a zdaemon file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zdaemon {
    /// The keys of `<runner>`.
    pub runner: Runner,
    /// The variables of `<environment>`, in the order of the file.
    pub environment: Vec<(String, String)>,
    /// The `<eventlog>` in `<runner>`, else the one beside it.
    pub event_log: EventLog,
    /// What of that does nothing here, and what lar does instead.
    pub warnings: Vec<String>,
}

/// Reads the file whose absolute path is `path`. `overrides` are the values of `-X` as typed
/// (`section/key=value`); they go before what the file says.
///
/// # Errors
/// What ZConfig says of the first thing that is wrong, one or more lines, without `Error: `. Whether the program
/// can be run and the user exists is not looked at.
pub fn zdaemon(
    path: &str,
    bytes: &[u8],
    overrides: &[String],
    world: &dyn World,
) -> Result<Zdaemon, String> {
    let overrides: Vec<Override> =
        overrides.iter().map(|spec| Override::parse(spec)).collect::<Result<_, String>>()?;
    let mut report = Report::default();
    let mut tree = lines::parse(path, bytes, world, &mut report);
    let matcher = Matcher { defines: &tree.defines, world, unread: report.zconfigs() };
    matcher.file(&mut tree.root, overrides)?;
    let top = sort(&tree, &mut report);
    let scope = Scope::new(&tree.defines, world);
    let mut logs = Report::default();
    let event_log = event_log(&top, &scope, &mut logs);
    let Some(section) = top.runner else {
        return Err("no values for section type 'runner'; 1 required".into());
    };
    let (runner, environment) = runner::options(section, top.environment, &scope, &mut report);
    // What ZConfig takes and lar does not: a bound of the reader's, or a value that no system call takes.
    let logs = logs.finish();
    let found = report.finish();
    match logs.iter().chain(&found).find(|found| found.severity == Severity::Error) {
        Some(error) => Err(match &error.place {
            Some(place) => placed(&error.message, place.line, &place.file),
            None => error.message.clone(),
        }),
        None => {
            let warnings = logs.iter().map(Diagnostic::headline).collect();
            Ok(Zdaemon { runner, environment, event_log, warnings })
        }
    }
}

/// ZConfig's message about a file that can't be opened; `cause` is the system's text for it.
pub fn cannot_open(path: &str, cause: &str) -> String {
    if path.contains("://") {
        return format!("error opening URL {path}: {cause}");
    }
    let path = python::normal_path(path);
    let errno =
        [("No such file or directory", 2), ("Permission denied", 13), ("Is a directory", 21)];
    match errno.iter().find(|(known, _)| *known == cause) {
        Some((_, number)) => {
            let name = python::repr(&path);
            format!("error opening file {path}: [Errno {number}] {cause}: {name}")
        }
        None => format!("error opening file {path}: {cause}"),
    }
}

/// The packages whose sections a file may import; all are there already.
pub(super) const PACKAGES: [&str; 3] =
    ["zdaemon", "ZConfig.components.logger", "ZConfig.components.basic"];

/// What lines of the command line are in.
const COMMAND_LINE: &str = "<command-line option>";

/// ZConfig's message about something in a line.
pub(super) fn at(message: &str, line: &Line) -> String {
    placed(message, line.number, &line.file)
}

fn placed(message: &str, line: u32, file: &str) -> String {
    match file {
        COMMAND_LINE => at_option(message),
        file => format!("{message}\n(line {line} in {})", url(file)),
    }
}

/// ZConfig's message about a value; zdaemon has none for those of `-X`, it fails with a traceback.
fn at_value(message: &str, line: &Line) -> String {
    match &*line.file {
        COMMAND_LINE => at_option(message),
        file => format!("{message} (line {}, in {})", line.number, url(file)),
    }
}

/// ZConfig's message about a `-X`.
fn at_option(message: &str) -> String {
    format!("{message}\n(line -1, column -1 in {COMMAND_LINE})")
}

/// ZConfig's message about a `$`; only of what stands for nothing it says where.
pub(super) fn unreplaced(wrong: &Wrong, line: &Line) -> String {
    match &wrong.zconfig {
        Some(message) if !message.starts_with("no replacement") => message.clone(),
        message => at(message.as_ref().unwrap_or(&wrong.message), line),
    }
}

/// ZConfig's message about a package that can't be imported.
pub(super) fn no_package(package: &str) -> String {
    let name = python::repr(package);
    if package.split('.').any(str::is_empty) {
        return format!("illegal schema component name: {name}");
    }
    // The first part that is not there.
    let parts: Vec<&str> = package.split('.').collect();
    let within =
        |known: &str| parts.iter().zip(known.split('.')).take_while(|(a, b)| **a == *b).count();
    let there = PACKAGES.into_iter().map(within).max().unwrap_or(0);
    let first = python::repr(&parts.get(..=there).unwrap_or(&parts).join("."));
    format!(
        "could not load package {package}: No module named {first}\n  Package name: {name}\n  \
         File name: 'component.xml'\n  Package path: None"
    )
}

/// The `file:` URL of an absolute path.
fn url(path: &str) -> String {
    let mut url = String::from("file://");
    for byte in python::normal_path(path).bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}
