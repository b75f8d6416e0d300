//! `<on EVENT>`: commands that are run when something happens.

use super::diagnostic::Report;
use super::keys::Kind;
use super::lines::{Section, Spot};
use super::section::{self, Scope, Token, Values};
use super::value::{self, Wrong};
use super::world::Directory;
use super::{identity, program};
use crate::nearest;
use crate::plan::{EventKind, Hook, Inherit, Plan, Process, Setup, Whom};
use crate::time::Duration;

/// More is a slip: each may have a process.
const MOST: usize = 64;

/// Reads all of them into `plan`, whose services are there already.
pub(super) fn read_all(sections: &[&Section], scope: &Scope, plan: &mut Plan, report: &mut Report) {
    for section in sections {
        let on = kind(section, report);
        let entries = section::known(section, Kind::On, &[], report);
        let mut values = Values { kind: Kind::On, entries, scope: *scope, report: &mut *report };
        let hook = hook(&mut values, section, plan);
        if let Some(on) = on {
            plan.hooks.push(Hook { on, ..hook });
        }
    }
    if let Some(section) = sections.get(MOST) {
        report.error(&section.spot, format!("there are at most {MOST} `<on …>` sections"));
    }
}

/// What has to happen; the inner `None` stands for anything.
fn kind(section: &Section, report: &mut Report) -> Option<Option<EventKind>> {
    let words = || EventKind::ALL.iter().map(|kind| kind.word()).chain([Hook::ANY]);
    let Some(name) = &section.name else {
        report.error(&section.spot, "`<on>` needs an event");
        report.hint("as in: <on exited>");
        return None;
    };
    if name.eq_ignore_ascii_case(Hook::ANY) {
        return Some(None);
    }
    let kind = EventKind::from_word(name);
    if kind.is_none() {
        let spot = Spot { at: section.name_at, ..section.spot.clone() };
        report.error(&spot, format!("no kind of event is called `{name}`"));
        match nearest::nearest(name, words()) {
            Some(near) => report.hint(format!("did you mean `<on {near}>`?")),
            None => report.hint(format!("there are {}", nearest::list(words()))),
        }
    }
    kind.map(Some)
}

fn hook(v: &mut Values, section: &Section, plan: &Plan) -> Hook {
    let default = Hook::default();
    let argv = match v.has("command") {
        true => command(v),
        false => {
            v.report.error(&section.spot, "an `<on …>` section needs a `command`");
            v.report.hint("as in: command /bin/told");
            Vec::new()
        }
    };
    let process = Process { argv, directory: v.text("directory"), ..Process::default() };
    if let Some(directory) = &process.directory
        && v.scope.world.directory(directory) == Directory::Missing
    {
        v.wrong("directory", format!("there is no directory `{directory}`"));
    }
    if let Some(word) = process.argv.first().filter(|word| !word.is_empty()) {
        program::check(v, "command", word, &process, &Inherit::All);
    }
    let whom = match v.tokens("services") {
        Some(tokens) if tokens.is_empty() => {
            v.wrong("services", "the names are missing");
            default.whom
        }
        Some(tokens) => tokens.iter().map(|token| whom(token, plan, v.report)).collect(),
        None => default.whom,
    };
    let mut timeout = default.timeout;
    let positive = |word: &str| match value::time(word)? {
        Duration::ZERO => Err(Wrong::new("this leaves it no time at all")),
        time => Ok(time),
    };
    v.set(&mut timeout, "timeout", positive);
    let setup = Setup { identity: identity::read(v), ..Setup::default() };
    Hook { on: None, whom, setup, process, timeout }
}

fn command(v: &mut Values) -> Vec<String> {
    let Some(tokens) = v.tokens("command") else { return Vec::new() };
    if tokens.first().is_none_or(|token| token.text.is_empty()) {
        v.wrong("command", "the command is missing");
        v.report.hint("as in: command /bin/told");
    }
    tokens.into_iter().map(|token| token.text).collect()
}

/// A name that a service, or a group, of the file has.
fn whom(token: &Token, plan: &Plan, report: &mut Report) -> Whom {
    let whom = Whom::read(&token.text);
    let names = || plan.services.iter().map(|service| service.name.as_str());
    if whom != Whom::All && !names().any(|name| whom.names(name)) {
        let name = &token.text;
        report.error(&token.spot, format!("there is no service `{name}`"));
        match nearest::nearest(name, names()) {
            Some(near) => report.hint(format!("did you mean `{near}`?")),
            None if name.contains(',') => report.hint("blanks part the names, not commas"),
            None => {}
        }
    }
    whom
}
