//! A zdaemon file for lar in zdaemon's place: what it says as zdaemon's options, and what is wrong with it in
//! ZConfig's words.

use super::diagnostic::{Report, Severity};
use super::section::Scope;
use super::world::World;
use super::{eventlog, lines, runner, sort};
use crate::plan::{EventLog, Runner};

/// What a zdaemon file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zdaemon {
    /// The keys of `<runner>`.
    pub runner: Runner,
    /// The variables of `<environment>`, in the order of the file.
    pub environment: Vec<(String, String)>,
    /// The `<eventlog>` in `<runner>`, else the one beside it.
    pub event_log: EventLog,
}

/// Reads the file whose absolute path is `path`. `overrides` are the values of `-X` as typed
/// (`section/key=value`); they go before what the file says.
///
/// # Errors
/// What ZConfig says of the first thing that is wrong, one or two lines, without `Error: `. Whether the program
/// can be run and the user exists is not looked at.
pub fn zdaemon(
    path: &str,
    bytes: &[u8],
    overrides: &[String],
    world: &dyn World,
) -> Result<Zdaemon, String> {
    let _ = overrides;
    let mut report = Report::default();
    let tree = lines::parse(path, bytes, world, &mut report);
    let top = sort(&tree, &mut report);
    let scope = Scope::new(&tree.defines, world);
    let inner = top.runner.and_then(|runner| runner.sections.iter().find(|s| s.kind == "eventlog"));
    let event_log = match inner.or(top.eventlog) {
        Some(section) => eventlog::read(section, true, &scope, &mut report),
        None => EventLog::default(),
    };
    let Some(section) = top.runner else {
        return Err("no values for section type 'runner'; 1 required".into());
    };
    let (runner, environment) = runner::options(section, top.environment, &scope, &mut report);
    let first = report.finish().into_iter().find(|found| found.severity == Severity::Error);
    match first {
        Some(error) => Err(error.message),
        None => Ok(Zdaemon { runner, environment, event_log }),
    }
}
