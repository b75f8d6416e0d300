//! The program of a service: its words, and whether it is there.

use super::section::Values;
use super::world::Program;
use super::{expand, substitute, value};
use crate::plan::{Inherit, Process, Setup};

/// Where a program without a slash is searched if the service has no PATH at all.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the words of `program` are made.
#[derive(Clone, Copy)]
pub(super) struct Making {
    /// `shell yes`.
    pub(super) shell: bool,
    /// `expand yes`.
    pub(super) expand: bool,
}

impl Making {
    pub(super) fn read(v: &mut Values) -> Making {
        let mut making = Making { shell: false, expand: false };
        v.set(&mut making.shell, "shell", value::boolean);
        v.set(&mut making.expand, "expand", value::boolean);
        if making.shell && making.expand {
            if let Some(entry) = v.entry("expand") {
                v.report.warn(&entry.spot, "with `shell yes` it is the shell that expands");
            }
            making.expand = false;
        }
        making
    }
}

/// The words of `program`, for a process that is otherwise complete; empty if it is missing or wrong.
pub(super) fn read(
    v: &mut Values,
    making: Making,
    setup: &Setup,
    process: &Process,
) -> Vec<String> {
    let Some(entry) = v.entry("program") else { return Vec::new() };
    if making.shell && !entry.value.is_empty() {
        let line = substitute::percent(&entry.value, &v.scope, entry.defines);
        let line = entry.good(line, v.report);
        return line.map_or(Vec::new(), |line| vec!["/bin/sh".into(), "-c".into(), line]);
    }
    let Some(tokens) = v.tokens("program") else { return Vec::new() };
    if tokens.first().is_none_or(|token| token.text.is_empty()) {
        v.wrong("program", "the program is missing");
        v.report.hint("as in: program /usr/sbin/nginx -g 'daemon off;'");
        return Vec::new();
    }
    if let Some(token) = tokens.iter().find(|token| token.text == "#") {
        v.report.warn(&token.spot, "what follows `#` is handed to the program");
        v.report.hint("a comment stands on a line of its own");
    }
    let operator = |text: &str| matches!(text, "|" | "&&" | "||" | ";" | ">" | ">>" | "<" | "&");
    if let Some(token) = tokens.iter().find(|token| operator(&token.text)) {
        let message =
            format!("`{}` is handed to the program as it is: there is no shell", token.text);
        v.report.warn(&token.spot, message);
        v.report.hint("`shell yes` hands the whole line to /bin/sh");
    }
    match making.expand {
        true => expand::words(v, tokens, setup, process),
        false => tokens.into_iter().map(|token| token.text).collect(),
    }
}

/// Reports a program (or a readiness command, named by `key`) that is not there or can't be executed.
pub(super) fn check(v: &mut Values, key: &str, word: &str, process: &Process, inherit: &Inherit) {
    let world = v.scope.world;
    let problem = if word.contains('/') {
        match world.program(&within(process.directory.as_deref(), word)) {
            Program::Runs => return,
            Program::Refused => format!("`{word}` can't be executed"),
            Program::Missing => format!("there is no program `{word}`"),
        }
    } else {
        let path = search_path(v, process, inherit);
        let found = |directory: &str| {
            let directory = if directory.is_empty() { "." } else { directory };
            let directory = within(process.directory.as_deref(), directory);
            world.program(&format!("{directory}/{word}")) == Program::Runs
        };
        if path.split(':').any(found) {
            return;
        }
        v.wrong(key, format!("there is no program `{word}` on PATH"));
        return v.report.hint(format!("PATH is {path}"));
    };
    v.wrong(key, problem);
    if v.has("user") {
        v.report.hint("lar looks as itself; the service's user must reach it too");
    }
}

fn search_path(v: &Values, process: &Process, inherit: &Inherit) -> String {
    let explicit = process.environment.iter().find(|(name, _)| name == "PATH");
    let inherited = match inherit {
        Inherit::All => true,
        Inherit::Nothing => false,
        Inherit::Names(names) => names.iter().any(|name| name == "PATH"),
    };
    match explicit {
        Some((_, path)) => path.clone(),
        None if inherited => v.scope.world.variable("PATH").unwrap_or_else(|| PATH.into()),
        None => PATH.into(),
    }
}

/// `path` as a process whose working directory is `directory` sees it.
pub(super) fn within(directory: Option<&str>, path: &str) -> String {
    match directory {
        Some(directory) if !path.starts_with('/') => {
            format!("{}/{path}", directory.trim_end_matches('/'))
        }
        _ => path.to_string(),
    }
}
