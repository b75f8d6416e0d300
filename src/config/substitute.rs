//! What is put in place of `%{name}` and the like (lar's own sections) and of `$name` (zdaemon's).
//!
//! All of it happens at load. The text of a definition is substituted when it is used, by the rules of the
//! section that uses it, and sees only the definitions before it: so there are no circles. What is put in is
//! never split into words again.

use super::section::{Number, Scope};
use super::value::Wrong;
use crate::python;

/// No text grows beyond this: twenty definitions that each double the one before would make a megabyte.
const LONGEST: usize = 64 * 1024;

/// How to write the sign itself, in zdaemon's sections.
const PLAIN: &str = "a plain `$` is written `$$` here";

/// Each definition sees those before it only, so this deep a chain is a file made to break us.
const DEEPEST: usize = 64;

/// Whether `text` can name a definition or a variable: `[A-Za-z_][A-Za-z0-9_]*`.
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty() && text.chars().all(in_name)
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `%n %g %i %{define} %(ENV) %(ENV:-default) %%`, with the scope's first `visible` definitions.
pub(super) fn percent(text: &str, scope: &Scope, visible: usize) -> Result<String, Wrong> {
    Pass { sign: '%', scope, visible, depth: 0 }.expand(text)
}

/// ZConfig's `$name ${name} $(ENV) $$`.
pub(super) fn dollar(text: &str, scope: &Scope, visible: usize) -> Result<String, Wrong> {
    Pass { sign: '$', scope, visible, depth: 0 }.expand(text)
}

/// An include's path, before it is known whose file this is: either kind, whichever sign is there.
pub(super) fn path(text: &str, scope: &Scope, visible: usize) -> Result<String, Wrong> {
    match text.contains('%') {
        true => percent(text, scope, visible),
        false => dollar(text, scope, visible),
    }
}

/// One pass over a text: which sign is replaced, and what it may draw on.
#[derive(Clone, Copy)]
struct Pass<'a> {
    /// `%` or `$`.
    sign: char,
    scope: &'a Scope<'a>,
    /// How many of the scope's definitions stood before.
    visible: usize,
    /// How many definitions led here.
    depth: usize,
}

impl Pass<'_> {
    fn expand(self, text: &str) -> Result<String, Wrong> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(self.sign) {
            let at = text.len() - rest.len() + before.len();
            let here = |wrong: Wrong| wrong.at(at);
            made.push_str(before);
            let (value, used) = match self.sign {
                '%' => self.percent(after).map_err(here)?,
                _ => self.dollar(after).map_err(here)?,
            };
            made.push_str(&value);
            if made.len() > LONGEST {
                return Err(here(Wrong::new("this grows too long when everything is put in")));
            }
            rest = after.get(used..).unwrap_or_default();
        }
        made.push_str(rest);
        Ok(made)
    }

    /// What stands for the text after a `%`, and how much of it is used up.
    fn percent(self, after: &str) -> Result<(String, usize), Wrong> {
        let c = after.chars().next();
        match c {
            Some('%') => Ok(("%".into(), 1)),
            Some('n') => match self.scope.name {
                Some(name) => Ok((name.to_string(), 1)),
                None => Err(Wrong::new("`%n` is the name of a service, and here is none")),
            },
            Some('g') => match self.scope.name.map(|name| name.split_once(':')) {
                Some(Some((group, _))) => Ok((group.to_string(), 1)),
                _ => Err(Wrong::new("`%g` is the group of a service, and this is in none")
                    .hint("a service called `shop:web` is in the group `shop`")),
            },
            Some('i') => match self.scope.number {
                Some(Number::Is(number)) => Ok((number.to_string(), 1)),
                Some(Number::Any) => Ok(("\0".into(), 1)),
                None => Err(Wrong::new("`%i` is different for each instance, and this key is not")
                    .hint(
                        "`%i` may stand in program and other commands, directory, ready, health, \
                       pid-file, log-file, transcript, stderr and <environment>",
                    )),
            },
            Some('{') => {
                let name = enclosed(after, '}', "%{")?;
                Ok((self.define(name)?, name.len() + 2))
            }
            Some('(') => {
                let inside = enclosed(after, ')', "%(")?;
                Ok((variable(inside, self.scope)?, inside.len() + 2))
            }
            _ => {
                let what = c.map_or("a lone `%`".to_string(), |c| format!("`%{c}`"));
                Err(Wrong::new(format!("{what} stands for nothing"))
                    .hint("a plain `%` is written `%%`"))
            }
        }
    }

    /// What stands for the text after a `$`, and how much of it is used up.
    fn dollar(self, after: &str) -> Result<(String, usize), Wrong> {
        let (start, end) = match after.chars().next() {
            None => {
                let wrong = Wrong::new("a lone `$` stands for nothing");
                return Err(wrong.hint(PLAIN).zconfig("illegal lone '$' at end of source"));
            }
            Some('$') => return Ok(("$".into(), 1)),
            Some('{') => ("{", "}"),
            Some('(') => ("(", ")"),
            Some(_) => ("", ""),
        };
        let inside = after.get(start.len()..).unwrap_or_default();
        let length = inside.find(|c| !in_name(c)).unwrap_or(inside.len());
        let (name, rest) = inside.split_at(length);
        if !is_name(name) && start.is_empty() {
            let wrong = Wrong::new("a lone `$` stands for nothing").hint(PLAIN);
            return Err(wrong.zconfig("'$' not followed by '$' or name"));
        } else if !is_name(name) {
            let wrong = Wrong::new(format!("after `${start}` comes a name"));
            return Err(wrong.hint(PLAIN).zconfig(format!("'${start}' not followed by name")));
        } else if !rest.starts_with(end) {
            let wrong = Wrong::new(format!("`{end}` is missing after `${start}{name}`"));
            return Err(wrong.zconfig(format!("'${start}{name}' not followed by '{end}'")));
        }
        let no = |wrong: Wrong| wrong.zconfig(format!("no replacement for {}", python::repr(name)));
        let value = match start {
            "(" => self.scope.world.variable(name).ok_or_else(|| {
                no(Wrong::new(format!("`{name}` is not set in lar's environment")))
            })?,
            _ => self.define(name).map_err(no)?,
        };
        Ok((value, start.len() + length + end.len()))
    }

    /// What a definition holds, with everything put in that it may see.
    fn define(self, name: &str) -> Result<String, Wrong> {
        let defines = self.scope.defines;
        let lower = name.to_lowercase();
        let seen = defines.get(..self.visible).unwrap_or(defines);
        let Some(index) = seen.iter().position(|define| define.name == lower) else {
            let wrong = Wrong::new(format!("`{name}` is not defined"));
            let later = defines.iter().find(|define| define.name == lower);
            if let Some(later) = later {
                let line = later.spot.line.number;
                return Err(wrong.hint(format!("it is, but only later, on line {line}")));
            }
            let names = seen.iter().map(|define| define.name.as_str());
            let wrong = wrong.near(&lower, names);
            return Err(wrong.hint(format!("define it before: %define {name} VALUE")));
        };
        if self.depth >= DEEPEST {
            return Err(Wrong::new(format!("`{name}` is defined through too many others")));
        }
        let value = seen.get(index).map_or("", |define| define.value.as_str());
        Pass { visible: index, depth: self.depth + 1, ..self }.expand(value)
    }
}

/// The text between the bracket that `after` starts with and `end`.
fn enclosed<'a>(after: &'a str, end: char, start: &str) -> Result<&'a str, Wrong> {
    let inside = after.get(1..).and_then(|rest| rest.split_once(end)).map(|(inside, _)| inside);
    inside.ok_or_else(|| Wrong::new(format!("`{end}` is missing after `{start}`")))
}

/// `NAME` or `NAME:-default`.
fn variable(inside: &str, scope: &Scope) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(Wrong::new(format!("`{name}` can't be the name of a variable")));
    }
    match (scope.world.variable(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_string()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_string()),
        (None, None) => Err(Wrong::new(format!("`{name}` is not set in lar's environment"))
            .hint(format!("`%({name}:-something)` says what to take then"))),
    }
}
