//! What is put in place of `%{name}` and the like (lar's own sections) and of `$name` (zdaemon's).
//!
//! All of it happens at load. The text of a definition is substituted when it is used, by the rules of the
//! section that uses it, and sees only the definitions before it: so there are no circles. What is put in is
//! never split into words again.

use super::section::Scope;
use super::value::Wrong;

/// No text grows beyond this: twenty definitions that each double the one before would make a megabyte.
const LONGEST: usize = 64 * 1024;

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
    expand(text, '%', scope, visible, 0)
}

/// ZConfig's `$name ${name} $(ENV) $$`.
pub(super) fn dollar(text: &str, scope: &Scope, visible: usize) -> Result<String, Wrong> {
    expand(text, '$', scope, visible, 0)
}

/// An include's path, before it is known whose file this is: either kind, whichever sign is there.
pub(super) fn path(text: &str, scope: &Scope) -> Result<String, Wrong> {
    match text.contains('%') {
        true => percent(text, scope, scope.defines.len()),
        false => dollar(text, scope, scope.defines.len()),
    }
}

fn expand(
    text: &str,
    sign: char,
    scope: &Scope,
    visible: usize,
    depth: usize,
) -> Result<String, Wrong> {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find(sign) {
        let at = text.len() - rest.len() + found;
        made.push_str(rest.get(..found).unwrap_or_default());
        let after = rest.get(found + sign.len_utf8()..).unwrap_or_default();
        let (value, used) = match sign {
            '%' => percent_one(after, scope, visible, depth),
            _ => dollar_one(after, scope, visible, depth),
        }
        .map_err(|wrong| Wrong { at: Some(at), ..wrong })?;
        made.push_str(&value);
        if made.len() > LONGEST {
            let wrong = Wrong::new("this grows too long when everything is put in");
            return Err(Wrong { at: Some(at), ..wrong });
        }
        rest = after.get(used..).unwrap_or_default();
    }
    made.push_str(rest);
    Ok(made)
}

/// What stands for the text after a `%`, and how much of it is used up.
fn percent_one(
    after: &str,
    scope: &Scope,
    visible: usize,
    depth: usize,
) -> Result<(String, usize), Wrong> {
    let c = after.chars().next();
    match c {
        Some('%') => Ok(("%".into(), 1)),
        Some('n') => match scope.name {
            Some(name) => Ok((name.to_string(), 1)),
            None => Err(Wrong::new("`%n` is the name of a service, and here is none")),
        },
        Some('g') => match scope.name.map(|name| name.split_once(':')) {
            Some(Some((group, _))) => Ok((group.to_string(), 1)),
            _ => Err(Wrong::new("`%g` is the group of a service, and this is in none")
                .hint("a service called `shop:web` is in the group `shop`")),
        },
        Some('i') => match scope.number {
            Some(number) => Ok((number.to_string(), 1)),
            None => Err(Wrong::new("`%i` is different for each instance, and this key is not")
                .hint(
                    "`%i` may stand in program, directory, ready, transcript, stderr and \
                       <environment>",
                )),
        },
        Some('{') => {
            let name = enclosed(after, '}', "%{")?;
            Ok((define(name, '%', scope, visible, depth)?, name.len() + 2))
        }
        Some('(') => {
            let inside = enclosed(after, ')', "%(")?;
            Ok((variable(inside, scope)?, inside.len() + 2))
        }
        _ => {
            let what = c.map_or("a lone `%`".to_string(), |c| format!("`%{c}`"));
            Err(Wrong::new(format!("{what} stands for nothing"))
                .hint("a plain `%` is written `%%`"))
        }
    }
}

/// What stands for the text after a `$`, and how much of it is used up.
fn dollar_one(
    after: &str,
    scope: &Scope,
    visible: usize,
    depth: usize,
) -> Result<(String, usize), Wrong> {
    match after.chars().next() {
        Some('$') => Ok(("$".into(), 1)),
        Some('{') => {
            let name = enclosed(after, '}', "${")?;
            Ok((define(name, '$', scope, visible, depth)?, name.len() + 2))
        }
        Some('(') => {
            let name = enclosed(after, ')', "$(")?;
            match scope.world.variable(name) {
                Some(value) => Ok((value, name.len() + 2)),
                None => Err(Wrong::new(format!("`{name}` is not set in lar's environment"))),
            }
        }
        _ => {
            let end = after.find(|c| !in_name(c)).unwrap_or(after.len());
            let name = after.get(..end).unwrap_or_default();
            if !is_name(name) {
                let wrong = Wrong::new("a lone `$` stands for nothing");
                return Err(wrong.hint("a plain `$` is written `$$` here"));
            }
            Ok((define(name, '$', scope, visible, depth)?, end))
        }
    }
}

/// The text between the bracket that `after` starts with and `end`.
fn enclosed<'a>(after: &'a str, end: char, start: &str) -> Result<&'a str, Wrong> {
    let inside = after.get(1..).and_then(|rest| rest.split_once(end)).map(|(inside, _)| inside);
    inside.ok_or_else(|| Wrong::new(format!("`{end}` is missing after `{start}`")))
}

fn define(
    name: &str,
    sign: char,
    scope: &Scope,
    visible: usize,
    depth: usize,
) -> Result<String, Wrong> {
    let lower = name.to_lowercase();
    let seen = scope.defines.get(..visible).unwrap_or(scope.defines);
    let Some(index) = seen.iter().position(|define| define.name == lower) else {
        let wrong = Wrong::new(format!("`{name}` is not defined"));
        let later = scope.defines.iter().find(|define| define.name == lower);
        if let Some(later) = later {
            let line = later.spot.line.number;
            return Err(wrong.hint(format!("it is, but only later, on line {line}")));
        }
        let names = seen.iter().map(|define| define.name.as_str());
        let wrong = wrong.near(&lower, names);
        return Err(wrong.hint(format!("define it before: %define {name} VALUE")));
    };
    if depth >= DEEPEST {
        return Err(Wrong::new(format!("`{name}` is defined through too many others")));
    }
    let value = seen.get(index).map_or("", |define| define.value.as_str());
    expand(value, sign, scope, index, depth + 1)
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
