//! Holds the tree of a zdaemon file against the schema, in ZConfig's order, and stops at the first thing that
//! ZConfig would not take. The values of `-X` are put into the tree on the way.

use std::rc::Rc;

use super::super::lines::{Define, Entry, Line, Section, Spot};
use super::super::section::Scope;
use super::super::substitute;
use super::super::world::World;
use super::schema::{ABSTRACT, FILE, KINDS, Key, Kind, Slot};
use super::{COMMAND_LINE, at, at_option, at_value, unreplaced};
use crate::python;

/// One `-X path/to/key=value`.
#[derive(Clone, Debug)]
pub(super) struct Override {
    /// The sections, by kind or name, and the key.
    path: Vec<String>,
    value: String,
    spec: Rc<str>,
}

impl Override {
    /// Reads one as it was typed.
    pub(super) fn parse(spec: &str) -> Result<Override, String> {
        let Some((path, value)) = spec.split_once('=') else {
            return Err(at_option("invalid configuration specifier"));
        };
        let path: Vec<String> = path.split('/').map(str::to_string).collect();
        if path.iter().any(String::is_empty) {
            return Err(at_option("'//' is not allowed in an option path"));
        }
        Ok(Override { path, value: value.into(), spec: spec.into() })
    }
}

/// What is known while a tree is looked at.
pub(super) struct Matcher<'a> {
    pub(super) defines: &'a [Define],
    pub(super) world: &'a dyn World,
    /// The first line that can't be read at all, and what ZConfig says of it.
    pub(super) unread: Option<(u32, String)>,
}

/// A value that was taken: its key (of an open section as written, else in small letters) and its line.
struct Taken {
    key: String,
    value: String,
    line: Rc<Line>,
}

/// What is known of one section while it is looked at.
struct State {
    kind: &'static Kind,
    taken: Vec<Taken>,
    names: Vec<String>,
    /// How many sections each slot holds.
    filled: Vec<usize>,
    /// What is wrong with a handler as a whole: said at the end of the section around it.
    faults: Vec<String>,
    /// The values of the command line for keys of this section, and for sections within.
    keys: Vec<Override>,
    inner: Vec<Override>,
}

/// What ZConfig says.
type Checked<T = ()> = Result<T, String>;

impl Matcher<'_> {
    /// Looks at a whole file.
    pub(super) fn file(&self, root: &mut Section, overrides: Vec<Override>) -> Checked {
        self.section(root, &FILE, overrides).map(drop)
    }

    /// What the section's kind as a whole does not take is the value.
    fn section(
        &self,
        section: &mut Section,
        kind: &'static Kind,
        overrides: Vec<Override>,
    ) -> Checked<Option<String>> {
        let mut state = State::new(kind, overrides)?;
        let mut entries = section.entries.iter();
        let mut next = entries.next();
        for inner in &mut section.sections {
            let start = inner.spot.line.order;
            while let Some(entry) = next.filter(|entry| entry.spot.line.order < start) {
                self.entry(entry, &mut state)?;
                next = entries.next();
            }
            self.inner(inner, &mut state)?;
        }
        for entry in next.into_iter().chain(entries) {
            self.entry(entry, &mut state)?;
        }
        self.reached(section.end.as_ref().map_or(u32::MAX, |line| line.order))?;
        state.take_overrides(section)?;
        self.finish(section, &state)?;
        Ok(fault(&state))
    }

    /// Fails if something above this line could not be read.
    fn reached(&self, order: u32) -> Checked {
        match &self.unread {
            Some((unread, message)) if *unread <= order => Err(message.clone()),
            _ => Ok(()),
        }
    }

    /// `key value`.
    fn entry(&self, entry: &Entry, state: &mut State) -> Checked {
        let line = &entry.spot.line;
        self.reached(line.order)?;
        let scope = Scope::new(self.defines, self.world);
        let value = substitute::dollar(&entry.value, &scope, entry.defines)
            .map_err(|wrong| unreplaced(&wrong, line))?;
        let open = state.kind.open();
        let key = real_key(&entry.key, open).map_err(|message| at_value(&message, line))?;
        let overridden = state.keys.iter().any(|it| it.path.first() == Some(&key));
        match overridden || is_extra(&key) {
            true => Ok(()),
            false => state.take(&entry.key, key, value, line.clone()),
        }
    }

    /// `<kind name>` and all that is in it.
    fn inner(&self, inner: &mut Section, outer: &mut State) -> Checked {
        let (line, kind) = (inner.spot.line.clone(), inner.kind.as_str());
        self.reached(line.order)?;
        if is_extra(kind) {
            return self.reached(inner.end.as_ref().map_or(u32::MAX, |line| line.order));
        }
        let name = inner.name.as_ref().map(|name| name.to_lowercase());
        let wrong = |message: String| at(&message, &line);
        let (kind, index) = place(kind, name.as_deref(), outer.kind).map_err(wrong)?;
        let overrides = outer.overrides_for(kind.name, name.as_deref());
        let fault = self.section(inner, kind, overrides)?;
        outer.add(name, index).map_err(|message| at_end(&message, inner))?;
        outer.faults.extend(fault);
        Ok(())
    }

    /// What is missing, and then what its values are.
    fn finish(&self, section: &Section, state: &State) -> Checked {
        let absent = |key: &&Key| key.required && state.first(key.name).is_none();
        if let Some(key) = state.kind.all().find(absent) {
            let name = python::repr(key.name);
            return Err(at_end(
                &match key.many {
                    true => format!("not enough values for {name}; 0 found, 1 required"),
                    false => format!("no values for {name}; 1 required"),
                },
                section,
            ));
        }
        if state.kind.name.is_empty() && state.filled.first() == Some(&0) {
            return Err("no values for section type 'runner'; 1 required".into());
        }
        self.values(state, state.kind.first)?;
        if let (Some(fault), Some(end)) = (state.faults.first(), &section.end) {
            return Err(format!("{fault} (line {}, -1, in {})", end.number, super::url(&end.file)));
        }
        self.values(state, state.kind.keys)
    }

    fn values(&self, state: &State, keys: &[Key]) -> Checked {
        for key in keys {
            for taken in state.taken.iter().filter(|taken| taken.key == key.name) {
                key.of
                    .check(&taken.value, self.world)
                    .map_err(|message| at_value(&message, &taken.line))?;
            }
        }
        Ok(())
    }
}

impl State {
    fn new(kind: &'static Kind, overrides: Vec<Override>) -> Checked<State> {
        let (mut keys, mut inner) = (Vec::new(), Vec::new());
        for mut it in overrides {
            let open = kind.open();
            if let Some(first) = it.path.first_mut() {
                *first = real_key(first, open).map_err(|message| at_option(&message))?;
            }
            if it.path.len() == 1 { keys.push(it) } else { inner.push(it) }
        }
        let filled = vec![0; kind.slots.len()];
        let (taken, names, faults) = Default::default();
        Ok(State { kind, taken, names, filled, faults, keys, inner })
    }

    fn first(&self, key: &str) -> Option<&str> {
        let found = self.taken.iter().find(|taken| taken.key == key);
        found.map(|taken| taken.value.as_str())
    }

    /// Takes a value for the key that was written as `written`.
    fn take(&mut self, written: &str, key: String, value: String, line: Rc<Line>) -> Checked {
        let known = self.kind.all().find(|known| known.name == key);
        let many = known.is_some_and(|known| known.many);
        let name = python::repr(written);
        let there = self.first(&key).is_some();
        match (self.kind.open(), known) {
            (true, _) if there => return Err(format!("too many values for {name}")),
            (false, None) => return Err(format!("{name} is not a known key name")),
            (false, Some(_)) if there && !many => {
                return Err(format!("{name} does not support multiple values"));
            }
            _ => {}
        }
        self.taken.push(Taken { key, value, line });
        Ok(())
    }

    /// What the command line says for a section that starts here.
    fn overrides_for(&mut self, kind: &str, name: Option<&str>) -> Vec<Override> {
        let is = |it: &Override| {
            it.path.first().is_some_and(|first| first == kind || Some(first.as_str()) == name)
        };
        let (mut theirs, rest): (Vec<_>, Vec<_>) = self.inner.drain(..).partition(is);
        self.inner = rest;
        theirs.iter_mut().for_each(|it| drop(it.path.remove(0)));
        theirs
    }

    /// Puts the command line's values in place of the file's.
    fn take_overrides(&mut self, section: &mut Section) -> Checked {
        let keys = std::mem::take(&mut self.keys);
        let same = |entry: &Entry, it: &Override| match self.kind.open() {
            true => it.path.first() == Some(&entry.key),
            false => it.path.first().is_some_and(|key| key.eq_ignore_ascii_case(&entry.key)),
        };
        section.entries.retain(|entry| !keys.iter().any(|it| same(entry, it)));
        for Override { path, value, spec } in keys {
            let key = path.into_iter().next().unwrap_or_default();
            let file = Rc::from(COMMAND_LINE);
            let order = section.end.as_ref().map_or(u32::MAX, |line| line.order);
            let line = Rc::new(Line { file, number: 0, order, text: spec.clone() });
            self.take(&key, key.clone(), value.clone(), line.clone())
                .map_err(|message| at_end(&message, section))?;
            let value_at = spec.len() - value.len();
            let spot = Spot { line, at: 0 };
            // Nothing is put into it.
            let value = value.replace('$', "$$");
            section.entries.push(Entry { key, value, spot, value_at, defines: 0 });
        }
        match self.inner.is_empty() {
            true => Ok(()),
            false => Err(at_end("not all command line options were consumed", section)),
        }
    }

    /// Counts a section that has ended.
    fn add(&mut self, name: Option<String>, index: usize) -> Checked {
        if let Some(name) = name {
            if self.names.contains(&name) {
                let name = python::repr(&name);
                return Err(format!(
                    "section names must not be re-used within the same container:{name}"
                ));
            }
            self.names.push(name);
        }
        let Some((slot, filled)) = self.kind.slots.get(index).zip(self.filled.get_mut(index))
        else {
            return Ok(());
        };
        *filled += 1;
        match *filled > 1 && !slot.many {
            true => Err(format!("too many instances of {} section", python::repr(slot.name))),
            false => Ok(()),
        }
    }
}

/// The kind of a section that starts in one of kind `outer`, and the slot it goes into.
fn place(kind: &str, name: Option<&str>, outer: &Kind) -> Checked<(&'static Kind, usize)> {
    if ABSTRACT.contains(&kind) {
        let kind = python::repr(kind);
        return Err(format!(
            "concrete sections cannot match abstract section types; found abstract type {kind}"
        ));
    }
    let Some(found) = KINDS.iter().find(|known| known.name == kind) else {
        return Err(format!("unknown type name: {}", python::repr(kind)));
    };
    let takes = |slot: &Slot| slot.kinds.contains(&kind);
    // A key's name bars the way to what comes after it.
    let taken = |keys: &'static [Key]| keys.iter().any(|key| Some(key.name) == name);
    let index = outer.slots.iter().position(takes);
    if taken(outer.first) || (index.is_none() && taken(outer.keys)) {
        return Err(format!("section name {} already in use for key", name.unwrap_or_default()));
    }
    match (index, name) {
        (None, name) => Err(format!(
            "no matching section defined for type='{kind}', name='{}'",
            name.unwrap_or("None")
        )),
        (Some(_), Some(name @ ("*" | "+"))) => {
            let (name, own) = (python::repr(name), python::repr(slot_name(outer, kind)));
            Err(format!("{name} is not an allowed name for {own} sections"))
        }
        (Some(index), _) => Ok((found, index)),
    }
}

fn slot_name<'a>(outer: &Kind, kind: &'a str) -> &'a str {
    outer.slots.iter().find(|slot| slot.kinds.contains(&kind)).map_or(kind, |slot| slot.name)
}

/// What lar leaves alone.
fn is_extra(name: &str) -> bool {
    name.starts_with("x-")
}

/// A key as its section compares it.
fn real_key(key: &str, open: bool) -> Checked<String> {
    let within = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match open || (key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(within)) {
        true if open => Ok(key.to_string()),
        true => Ok(key.to_ascii_lowercase()),
        false => Err(format!("value did not match regular expression: {}", python::repr(key))),
    }
}

/// At the end of a section; one that is a single line has no end of its own.
fn at_end(message: &str, section: &Section) -> String {
    match &section.end {
        Some(end) if end.order != section.spot.line.order => at(message, end),
        _ => message.to_string(),
    }
}

/// What is wrong with a handler whose keys are each right.
fn fault(state: &State) -> Option<String> {
    let said = |key: &str| state.first(key).unwrap_or_default();
    let number = |key: &str| python::int(said(key), 10).is_ok_and(|number| number != 0);
    let sized = said("max-size").contains(|c: char| c.is_ascii_digit() && c != '0');
    let (kept, timed) = (number("old-files"), !said("when").is_empty());
    match state.kind.name {
        "logfile" => {
            let path = said("path");
            let stream = path == "STDOUT" || path == "STDERR";
            if stream && (sized || kept || timed) {
                Some(format!("cannot rotate {path}"))
            } else if stream
                && matches!(said("delay").to_lowercase().as_str(), "yes" | "true" | "on")
            {
                Some(format!("cannot delay opening {path}"))
            } else if stream && !said("encoding").is_empty() {
                Some(format!("cannot specify encoding for {path}"))
            } else if stream || !(timed || sized || kept || number("interval")) {
                None
            } else if !kept {
                Some("old-files must be set for log rotation".into())
            } else if timed && sized {
                Some("can't set *both* max_bytes and when".into())
            } else if !timed && !sized {
                Some("max-bytes or when must be set for log rotation".into())
            } else {
                None
            }
        }
        "email-notifier"
            if said("smtp-username").is_empty() != said("smtp-password").is_empty() =>
        {
            Some("Either both smtp-username and smtp-password or none must be given".into())
        }
        _ => None,
    }
}
