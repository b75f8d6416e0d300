//! From the bytes of a configuration file to a [`Plan`], or to everything that is wrong with it.
//!
//! Pure: the file's own bytes come in, and whatever else has to be known (included files, users, paths, the
//! environment) is asked of a [`World`]. So `lar check --offline` and the tests ask another one.
//!
//! The stages, each a file: `lines` makes a tree of sections from bytes; `runner`, `service`, `settings`, `socket` and
//! `eventlog` each read one kind of section from that tree, with `substitute`, `words`, `value` and `phrases` for what
//! stands in one line; `graph` resolves the names of services; `warnings` looks at the finished plan.
//! `keys` is the one list of what may be said; `print` is the way back from a plan to text, and `procfile` a way
//! from elsewhere. `zdaemon` is the other entry, for lar in zdaemon's place: the same readers, with ZConfig's verdict
//! and words before them.
//!
//! Invariants: nothing here panics, whatever the bytes; there is a plan exactly if there is no error; the
//! errors come in the order of the file.

pub mod diagnostic;
pub mod diff;
mod environment;
mod eventlog;
mod expand;
mod graph;
mod health;
mod hooks;
mod identity;
mod input;
pub mod keys;
mod lines;
mod names;
mod output;
mod phrases;
mod presets;
pub mod print;
pub mod print_settings;
pub mod procfile;
mod program;
mod runner;
mod section;
mod service;
mod settings;
mod socket;
mod substitute;
mod timer;
mod value;
mod warnings;
mod words;
mod world;
mod zdaemon;

use crate::nearest;
use crate::plan::{EventLog, Plan};
use diagnostic::Report;
pub use diagnostic::{Diagnostic, Place, Severity};
use lines::{Section, Spot, Tree};
pub use runner::plan as runner_plan;
use section::Scope;
pub use value::duration;
pub use world::{Directory, Program, User, World};
pub use zdaemon::{Zdaemon, cannot_open, zdaemon};

/// What came of reading a file.
#[derive(Debug)]
pub struct Reading {
    /// What lar is to do; `None` if there is any error.
    pub plan: Option<Plan>,
    /// All errors and warnings, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the file called `path`, whose content is `bytes`.
pub fn read(path: &str, bytes: &[u8], world: &dyn World) -> Reading {
    let mut report = Report::default();
    let tree = lines::parse(path, bytes, world, &mut report);
    let plan = plan(&tree, world, &mut report);
    let plan = if report.failed() { None } else { Some(plan) };
    Reading { plan, diagnostics: report.finish() }
}

/// The kinds of section that may stand at the top of a file.
const KINDS: [&str; 8] =
    ["service", "defaults", "lar", "socket", "runner", "environment", "eventlog", "on"];

/// The sections at the top of a file, sorted by kind.
#[derive(Default)]
struct Top<'a> {
    runner: Option<&'a Section>,
    defaults: Option<&'a Section>,
    lar: Option<&'a Section>,
    environment: Option<&'a Section>,
    eventlog: Option<&'a Section>,
    services: Vec<&'a Section>,
    hooks: Vec<&'a Section>,
    sockets: Vec<&'a Section>,
}

fn plan(tree: &Tree, world: &dyn World, report: &mut Report) -> Plan {
    let mut plan = Plan::default();
    for entry in &tree.root.entries {
        report.error(&entry.spot, format!("`{}` stands outside of any section", entry.key));
        if !report.full() {
            report.hint(keys::home(&entry.key));
        }
    }
    let top = sort(tree, report);
    let scope = Scope::new(&tree.defines, world);
    if let Some(lar) = top.lar {
        plan.settings = settings::read(lar, &scope, report);
    }
    plan.event_log = event_log(&top, &scope, report);
    match top.runner {
        Some(runner) => {
            check_defines(tree, &scope, report);
            runner::read(runner, top.environment, &scope, &mut plan, report);
        }
        None => {
            plan.sockets = socket::read_all(&top.sockets, &scope, report);
            service::read_all(&top.services, top.defaults, &scope, &mut plan, report);
        }
    }
    hooks::read_all(&top.hooks, &scope, &mut plan, report);
    check_company(&top, &tree.root, report);
    if !report.failed() {
        warnings::look(&plan, &top.services, top.lar, world, report);
        warnings::sockets(&plan, &top.services, &top.sockets, report);
    }
    plan
}

/// The event log; one in `<runner>` goes before one beside it.
fn event_log(top: &Top, scope: &Scope, report: &mut Report) -> EventLog {
    let within = |kind| top.runner.and_then(|it| it.sections.iter().find(|it| it.kind == kind));
    if let Some(logger) = within("logger") {
        report.warn(&logger.spot, "`<logger>` does nothing: lar has one log");
        report.hint("zdaemon's own lines go to an `<eventlog>`");
    }
    match within("eventlog").or(top.eventlog) {
        Some(section) => eventlog::read(section, top.runner.is_some(), scope, report),
        None => EventLog::default(),
    }
}

/// In a zdaemon file what a definition says must be good even if nobody uses it.
fn check_defines(tree: &Tree, scope: &Scope, report: &mut Report) {
    for (index, define) in tree.defines.iter().enumerate() {
        if let Err(wrong) = substitute::dollar(&define.value, scope, index) {
            let at = define.spot.at + wrong.at.unwrap_or(0);
            wrong.report(&Spot { at, ..define.spot.clone() }, report);
        }
    }
}

/// What may not stand beside what.
fn check_company(top: &Top, root: &Section, report: &mut Report) {
    match (top.runner, top.services.first()) {
        (Some(_), Some(service)) => {
            report.error(&service.spot, "a file has one `<runner>` or `<service>`s, not both");
            report.hint("write what `<runner>` says as `<service main>`");
        }
        (Some(_), None) => {
            if let Some(defaults) = top.defaults {
                report.error(&defaults.spot, "`<defaults>` says nothing to a `<runner>`");
            }
            if let Some(hook) = top.hooks.first() {
                report.error(&hook.spot, "`<on …>` says nothing to a `<runner>`");
            }
            if let Some(socket) = top.sockets.first() {
                report.error(&socket.spot, "a `<runner>` takes no sockets");
                report.hint("write what `<runner>` says as `<service main>`");
            }
        }
        (None, _) => {
            if let Some(environment) = top.environment {
                report.error(&environment.spot, "`<environment>` stands beside a `<runner>` only");
                report.hint("put it into `<defaults>`, or into the `<service>` that needs it");
            }
        }
    }
    if top.runner.is_none() && top.services.is_empty() && !report.failed() {
        report.error(&root.spot, "there is no service in this file");
        report.hint("the least is: <service NAME>, program PATH, </service>, each on its own line");
    }
}

fn sort<'a>(tree: &'a Tree, report: &mut Report) -> Top<'a> {
    let mut top = Top::default();
    for section in &tree.root.sections {
        let place = match section.kind.as_str() {
            "service" => {
                top.services.push(section);
                continue;
            }
            "on" => {
                top.hooks.push(section);
                continue;
            }
            "socket" => {
                top.sockets.push(section);
                continue;
            }
            "runner" => &mut top.runner,
            "defaults" => &mut top.defaults,
            "lar" => &mut top.lar,
            "environment" => &mut top.environment,
            "eventlog" => &mut top.eventlog,
            _ => {
                unknown_section(section, &KINDS, report);
                continue;
            }
        };
        match place {
            None => *place = Some(section),
            Some(first) => {
                let (kind, line) = (&section.kind, first.spot.line.number);
                report.error(
                    &section.spot,
                    format!("a second `<{kind}>`; the first is on line {line}"),
                );
            }
        }
    }
    top
}

/// Reports a section that has no business where it stands; `x-…` is left alone.
fn unknown_section(section: &Section, known: &[&str], report: &mut Report) {
    if section.kind.starts_with("x-") {
        return;
    }
    let spot = Spot { at: section.spot.at + 1, ..section.spot.clone() };
    let misplaced = section::ALL.contains(&section.kind.as_str());
    match misplaced && !known.contains(&section.kind.as_str()) {
        true => report.error(&spot, format!("`<{}>` does not belong here", section.kind)),
        false => report.error(&spot, format!("there is no section called `<{}>`", section.kind)),
    };
    match nearest::nearest(&section.kind, known.iter().copied()) {
        Some(near) => report.hint(format!("did you mean `<{near}>`?")),
        None => report.hint(format!("here may stand: {}", nearest::list(known.iter().copied()))),
    }
}
