//! Lines and sections: the grammar, without any knowledge of what the keys mean.
//!
//! A line is empty, a `# comment` (on a line of its own only), a `%directive`, `<type [name]>`, `</type>`,
//! `<type/>` or `key value`. Blanks around it don't count. There is no continuation.
//!
//! Bounded, whatever the bytes: sections and includes nest so deep and no deeper, and so many files are read.

use std::rc::Rc;

use super::diagnostic::{Place, Report};
use super::value::Wrong;
use super::world::{Directory, World};
use super::{section, substitute, zdaemon};
use crate::{nearest, python};

/// How deep sections may nest; the grammar's own need is three. Protects the stack of whoever walks the tree.
const DEEPEST: usize = 8;

/// How deep includes may nest. Catches the cycles that different spellings of one path hide.
const INCLUDES: usize = 16;

/// How many files are read at most, so that files that include each other twice don't double without end.
const FILES: usize = 1000;

/// One line of a file.
#[derive(Debug)]
pub(super) struct Line {
    /// The file's path, as it was given or included.
    pub(super) file: Rc<str>,
    /// Its number in the file, from 1.
    pub(super) number: u32,
    /// Its number in the order of reading, includes included.
    pub(super) order: u32,
    /// The line without its end.
    pub(super) text: Rc<str>,
}

/// A place in a line.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) line: Rc<Line>,
    /// The byte in the line, from 0.
    pub(super) at: usize,
}

impl Spot {
    /// As people count.
    pub(super) fn place(&self) -> Place {
        let Line { file, number, text, .. } = &*self.line;
        let before = text.char_indices().take_while(|(index, _)| *index < self.at).count();
        let column = before as u32 + 1;
        Place { file: file.to_string(), line: *number, column, source: text.clone() }
    }
}

/// `key value`.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it was written.
    pub(super) key: String,
    /// The rest of the line; may be empty.
    pub(super) value: String,
    /// Where the key is.
    pub(super) spot: Spot,
    /// Where in the line the value is.
    pub(super) value_at: usize,
    /// How many definitions stood before it.
    pub(super) defines: usize,
}

impl Entry {
    /// The place of the value's byte `offset`.
    pub(super) fn at(&self, offset: usize) -> Spot {
        Spot { at: self.value_at + offset, ..self.spot.clone() }
    }

    /// What was made of the value as a whole; what is wrong with it is reported at its place.
    pub(super) fn good<T>(&self, made: Result<T, Wrong>, report: &mut Report) -> Option<T> {
        made.map_err(|wrong| {
            let spot = self.at(wrong.at.unwrap_or(0));
            wrong.report(&spot, report);
        })
        .ok()
    }
}

/// `<kind name>` and what is in it.
#[derive(Debug)]
pub(super) struct Section {
    /// In small letters.
    pub(super) kind: String,
    pub(super) name: Option<String>,
    /// Where it starts.
    pub(super) spot: Spot,
    /// Where in that line the name is.
    pub(super) name_at: usize,
    pub(super) entries: Vec<Entry>,
    pub(super) sections: Vec<Section>,
    /// The line that ends it; its own for `<kind/>`, none if it is never closed.
    pub(super) end: Option<Rc<Line>>,
}

/// `%define name value`.
#[derive(Debug)]
pub(super) struct Define {
    /// In small letters.
    pub(super) name: String,
    /// Not substituted yet: how depends on who uses it.
    pub(super) value: String,
    /// Where the value is.
    pub(super) spot: Spot,
}

/// A file and all it includes.
#[derive(Debug)]
pub(super) struct Tree {
    /// Not a section of its own: what stands at the top.
    pub(super) root: Section,
    /// In the order of reading.
    pub(super) defines: Vec<Define>,
}

/// Reads a file and what it includes.
pub(super) fn parse(path: &str, bytes: &[u8], world: &dyn World, report: &mut Report) -> Tree {
    let file = Rc::from(path);
    let line = Rc::new(Line { file, number: 1, order: 0, text: first_line(bytes) });
    let root = section_at(String::new(), None, Spot { line, at: 0 }, 0);
    let mut parser = Parser {
        world,
        report,
        defines: Vec::new(),
        open: vec![root],
        skipped: 0,
        active: Vec::new(),
        files: 0,
        order: 0,
    };
    parser.file(path, bytes);
    let Parser { mut open, defines, .. } = parser;
    Tree { root: open.swap_remove(0), defines }
}

fn first_line(bytes: &[u8]) -> Rc<str> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Rc::from(String::from_utf8_lossy(first))
}

fn section_at(kind: String, name: Option<String>, spot: Spot, name_at: usize) -> Section {
    Section { kind, name, spot, name_at, entries: Vec::new(), sections: Vec::new(), end: None }
}

struct Parser<'a> {
    world: &'a dyn World,
    report: &'a mut Report,
    defines: Vec<Define>,
    /// The root and every section that is open. Never empty.
    open: Vec<Section>,
    /// How many sections deeper than [`DEEPEST`] are open; what is in them is not kept.
    skipped: usize,
    /// The files that are being read.
    active: Vec<String>,
    files: usize,
    order: u32,
}

impl Parser<'_> {
    fn file(&mut self, path: &str, bytes: &[u8]) {
        let file: Rc<str> = Rc::from(path);
        self.active.push(path.to_string());
        self.files += 1;
        let depth = self.open.len();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
            self.order = self.order.saturating_add(1);
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            let text = Rc::from(String::from_utf8_lossy(raw));
            let number = index as u32 + 1;
            let line = Rc::new(Line { file: file.clone(), number, order: self.order, text });
            if let Err(error) = core::str::from_utf8(raw) {
                let spot = Spot { line, at: error.valid_up_to() };
                self.report.error(&spot, "this is not UTF-8");
                self.zconfig(&spot, "this is not UTF-8");
            } else if let Some(at) = raw.iter().position(|byte| *byte == 0) {
                let spot = Spot { line, at };
                self.report.error(&spot, "a zero byte in a text file");
                self.zconfig(&spot, "a zero byte in a text file");
            } else {
                self.line(line, depth);
            }
        }
        if self.open.len() > depth.max(1) {
            self.order = self.order.saturating_add(1);
            let number = bytes.split_inclusive(|byte| *byte == b'\n').count() as u32;
            let line = Rc::new(Line { file, number, order: self.order, text: Rc::from("") });
            self.zconfig(&Spot { line, at: 0 }, "unclosed sections not allowed");
        }
        self.close_all(depth);
        self.active.pop();
    }

    /// Notes what ZConfig says of this line.
    fn zconfig(&mut self, spot: &Spot, message: &str) {
        self.report.zconfig(spot.line.order, zdaemon::at(message, &spot.line));
    }

    /// At the end of a file, everything that it opened must be closed.
    fn close_all(&mut self, depth: usize) {
        self.skipped = 0;
        while self.open.len() > depth.max(1) {
            if let Some(section) = self.open.last() {
                self.report.error(&section.spot, format!("`<{}>` is never closed", section.kind));
                self.report.hint(format!("end it with a line `</{}>`", section.kind));
            }
            self.close(None);
        }
    }

    fn line(&mut self, line: Rc<Line>, depth: usize) {
        let whole = line.text.clone();
        let text = whole.trim();
        let at = whole.len() - whole.trim_start().len();
        let spot = Spot { line, at };
        match text.chars().next() {
            None | Some('#') => {}
            Some('<') => self.header(text, spot, depth),
            Some('%') => self.directive(text, spot),
            Some(_) => self.entry(text, spot),
        }
    }

    fn entry(&mut self, text: &str, spot: Spot) {
        if self.skipped > 0 {
            return;
        }
        let (key, rest) = keyword(text);
        if key.is_empty() {
            self.zconfig(&spot, "malformed configuration data");
            return self.report.error(&spot, "a line can't start with a parenthesis");
        }
        let value = rest.trim_start();
        let value_at = spot.at + text.len() - value.len();
        let (key, value) = (key.to_string(), value.to_string());
        let entry = Entry { key, value, value_at, spot, defines: self.defines.len() };
        if let Some(section) = self.open.last_mut() {
            section.entries.push(entry);
        }
    }

    fn header(&mut self, text: &str, spot: Spot, depth: usize) {
        let Some(inside) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
            let part = if text.starts_with("</") { "end" } else { "start" };
            self.zconfig(&spot, &format!("malformed section {part}"));
            let end = Spot { at: spot.at + text.len(), ..spot };
            self.report.error(&end, "`>` is missing at the end of a section's line");
            return self.report.hint("a comment stands on a line of its own");
        };
        if let Some(kind) = inside.strip_prefix('/') {
            return self.end(kind.trim().to_lowercase(), spot, depth);
        }
        let (inside, empty) = match inside.strip_suffix('/') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let mut words = inside.split_whitespace();
        let word = |part: &str| !part.contains(['(', ')']);
        if !inside.starts_with(|c: char| !c.is_whitespace()) || !word(inside) {
            self.zconfig(&spot, "malformed section header");
        }
        let Some(kind) = words.next().map(str::to_lowercase) else {
            return self.report.error(&spot, "a section without a type");
        };
        let name = words.next().map(str::to_string);
        let name_at = name.as_ref().map_or(0, |name| {
            let after = inside.trim_start().find(char::is_whitespace).unwrap_or(0);
            let start = inside.len() - inside.trim_start().len() + after;
            let found = inside.get(start..).and_then(|rest| rest.find(name.as_str()));
            spot.at + 1 + start + found.unwrap_or(0)
        });
        if let Some(more) = words.next() {
            let at = spot.at + text.rfind(more).unwrap_or(0);
            let line = spot.line.clone();
            self.zconfig(&spot, "malformed section header");
            self.report.error(&Spot { line, at }, format!("`<{kind}>` has one name at most"));
        }
        if self.open.len() > DEEPEST {
            self.report.error(&spot, "sections are nested too deep");
            self.skipped += usize::from(!empty);
            return;
        }
        let line = spot.line.clone();
        self.open.push(section_at(kind, name, spot, name_at));
        if empty {
            self.close(Some(line));
        }
    }

    fn end(&mut self, kind: String, spot: Spot, depth: usize) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        let inner = self.open.get(depth..).unwrap_or_default();
        let Some(last) = inner.last() else {
            self.zconfig(&spot, "unexpected section end");
            return self.report.error(&spot, format!("`</{kind}>` closes nothing"));
        };
        if last.kind == kind {
            return self.close(Some(spot.line));
        }
        let (open, number) = (last.kind.clone(), last.spot.line.number);
        let outer = inner.iter().rposition(|section| section.kind == kind);
        let what = format!("`</{kind}>` comes while `<{open}>` of line {number} is open");
        self.report.error(&spot, what);
        self.report.hint(format!("end it with a line `</{open}>`"));
        self.report.zconfig(spot.line.order, zdaemon::at("unbalanced section end", &spot.line));
        match outer {
            Some(index) => {
                while self.open.len() > depth + index {
                    self.close(None);
                }
            }
            // A slip in the name; a wholly different one is taken as a stray line.
            None if nearest::nearest(&kind, [open.as_str()]).is_some() => self.close(None),
            None => {}
        }
    }

    /// Hangs the innermost open section into the one around it.
    fn close(&mut self, end: Option<Rc<Line>>) {
        if self.open.len() < 2 {
            return;
        }
        if let (Some(section), Some(outer)) = (self.open.pop(), self.open.last_mut()) {
            outer.sections.push(Section { end, ..section });
        }
    }

    fn directive(&mut self, text: &str, spot: Spot) {
        let (name, rest) = keyword(text);
        let rest = rest.trim_start();
        let value = Spot { at: spot.at + text.len() - rest.len(), ..spot.clone() };
        match (name.to_lowercase().as_str(), rest) {
            (lower @ ("%define" | "%include" | "%import"), "") => {
                self.report.error(&value, format!("`{name}` needs an argument"));
                self.zconfig(&spot, &format!("missing argument to {lower} directive"));
            }
            ("%define", _) => self.define(rest, value),
            ("%include", _) => self.include(rest, value),
            ("%import", _) => self.import(rest, value),
            (lower, _) => {
                self.report.error(&spot, format!("there is no directive called `{name}`"));
                let known = ["%define", "%include", "%import"];
                self.report.near(lower, known);
                self.report.hint(format!("there are {}", nearest::list(known.into_iter())));
                self.zconfig(
                    &spot,
                    &match name.strip_prefix('%') {
                        None | Some("") => "missing or unrecognized directive".into(),
                        Some(name) => format!("unknown directive: {}", python::repr(name)),
                    },
                );
            }
        }
    }

    /// zdaemon's and ZConfig's packages are built in.
    fn import(&mut self, text: &str, spot: Spot) {
        let Some(package) = self.substituted(text, &spot, substitute::dollar) else { return };
        if zdaemon::PACKAGES.contains(&package.as_str()) {
            return;
        }
        self.report.error(&spot, format!("there is no package `{package}` to import"));
        self.report.near(&package, zdaemon::PACKAGES);
        self.report.hint(format!("built in are {}", nearest::list(zdaemon::PACKAGES.into_iter())));
        self.report.zconfig(spot.line.order, zdaemon::no_package(&package));
    }

    /// What `read` makes of a directive's argument; what is wrong with it is reported.
    fn substituted(
        &mut self,
        text: &str,
        spot: &Spot,
        read: impl Fn(&str, &section::Scope, usize) -> Result<String, Wrong>,
    ) -> Option<String> {
        let scope = section::Scope::new(&self.defines, self.world);
        read(text, &scope, self.defines.len())
            .map_err(|wrong| {
                self.report.zconfig(spot.line.order, zdaemon::unreplaced(&wrong, &spot.line));
                let at = spot.at + wrong.at.unwrap_or(0);
                wrong.report(&Spot { at, ..spot.clone() }, self.report);
            })
            .ok()
    }

    fn define(&mut self, text: &str, spot: Spot) {
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let lower = name.to_lowercase();
        if !substitute::is_name(name) {
            self.zconfig(
                &spot,
                &format!("not a substitution legal name: {}", python::repr(&lower)),
            );
            self.report.error(&spot, format!("`{name}` can't be the name of a definition"));
            return self.report.hint("letters, digits and `_`, and no digit first");
        }
        let (name, value) = (lower, value.trim_start().to_string());
        let scope = section::Scope::new(&self.defines, self.world);
        if let Some(index) = self.defines.iter().position(|define| define.name == name) {
            let old = &self.defines[index];
            // ZConfig compares with the text that it has put everything into.
            let same = substitute::dollar(&old.value, &scope, index).is_ok_and(|old| old == value);
            if old.value != value && !same {
                let line = old.spot.line.number;
                self.report.error(&spot, format!("`{name}` is defined on line {line} already"));
                self.report.hint("a definition may be repeated only with the same text");
            }
            if !same {
                self.zconfig(&spot, &format!("cannot redefine {}", python::repr(&name)));
            }
            return;
        }
        // In which sections it is used, and by whose rules, is not known yet.
        if let Err(wrong) = substitute::dollar(&value, &scope, self.defines.len()) {
            self.report.zconfig(spot.line.order, zdaemon::unreplaced(&wrong, &spot.line));
        }
        let at = spot.at + text.len() - value.len();
        self.defines.push(Define { name, value, spot: Spot { at, ..spot } });
    }

    fn include(&mut self, text: &str, spot: Spot) {
        if self.skipped > 0 {
            return;
        }
        let Some(path) = self.substituted(text, &spot, substitute::path) else { return };
        let path = path.strip_prefix("file://").unwrap_or(&path);
        let pattern = beside(&spot.line.file, path);
        if self.active.len() > INCLUDES || self.files >= FILES {
            let what = format!("`{path}`: too many includes, one in another");
            self.zconfig(&spot, &what);
            return self.report.error(&spot, what);
        }
        let found = match self.world.include(&pattern) {
            Ok(found) => found,
            Err(cause) => {
                let missing = self.world.directory(&pattern) == Directory::Missing;
                let said = if missing { cause.as_str() } else { "Is a directory" };
                self.report.zconfig(spot.line.order, zdaemon::cannot_open(&pattern, said));
                let what = format!("can't include `{pattern}`: {cause}");
                return self.report.error(&spot, what);
            }
        };
        for (path, bytes) in found {
            let what = if self.active.contains(&path) {
                let chain = self.active.join(" -> ");
                format!("includes go in a circle: {chain} -> {path}")
            } else if self.files >= FILES {
                format!("more than {FILES} files are included")
            } else {
                self.file(&path, &bytes);
                continue;
            };
            self.zconfig(&spot, &what);
            self.report.error(&spot, what);
        }
    }
}

/// What a line starts with, up to a blank or a parenthesis, and the rest.
fn keyword(text: &str) -> (&str, &str) {
    let stops = |c: char| c.is_whitespace() || c == '(' || c == ')';
    text.split_at(text.find(stops).unwrap_or(text.len()))
}

/// `path`, relative to the directory of `file`.
pub(super) fn beside(file: &str, path: &str) -> String {
    match file.rsplit_once('/') {
        Some((directory, _)) if !path.starts_with('/') => format!("{directory}/{path}"),
        _ => path.to_string(),
    }
}
