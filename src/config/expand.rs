//! `expand yes`: what stands for `$NAME` in the words of `program`, from the variables that it will have.
//!
//! That happens here, at load: a variable that is missing is an error in the file, and not a program that starts
//! with an empty word. What is put in is not split into words, and nothing is put into it again.

use super::section::{Number, Scope, Token, Values};
use super::substitute::is_name;
use super::value::Wrong;
use crate::nearest::nearest;
use crate::plan::{Inherit, Process, Setup};

/// How to write the sign itself.
const PLAIN: &str = "a plain `$` is written `$$` here";

/// The variables of one instance.
pub(super) struct Variables<'a> {
    scope: &'a Scope<'a>,
    setup: &'a Setup,
    /// Its explicit ones.
    process: &'a Process,
}

impl Variables<'_> {
    /// As the instance will find it: lar's own, explicit, the user's, inherited.
    fn get(&self, name: &str) -> Option<String> {
        let explicit = || {
            let found = self.process.environment.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        match (name, self.scope.number) {
            ("LAR_INSTANCE", Some(Number::Is(number))) => return Some(number.to_string()),
            ("LAR_INSTANCE", Some(Number::Any)) => return Some("\0".into()),
            ("LAR_SERVICE", _) => return self.scope.name.map(str::to_owned),
            _ => {}
        }
        explicit().or_else(|| self.of_user(name)).or_else(|| self.inherited(name))
    }

    fn of_user(&self, name: &str) -> Option<String> {
        let account = self.setup.identity.as_ref()?.account.as_ref()?;
        match name {
            "USER" | "LOGNAME" => Some(account.name.clone()),
            "HOME" => Some(account.home.clone()),
            "SHELL" if account.shell.is_empty() => Some("/bin/sh".into()),
            "SHELL" => Some(account.shell.clone()),
            _ => None,
        }
    }

    fn inherited(&self, name: &str) -> Option<String> {
        let inherits = match &self.setup.inherit {
            Inherit::All => name != "NOTIFY_SOCKET",
            Inherit::Nothing => false,
            Inherit::Names(names) => names.iter().any(|known| known == name),
        };
        if inherits { self.scope.world.variable(name) } else { None }
    }

    /// `NAME`, or `NAME:-something`.
    fn value(&self, inside: &str) -> Result<String, Wrong> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            let wrong = Wrong::new(format!("`{name}` can't be the name of a variable"));
            return Err(wrong.hint(PLAIN));
        }
        match (self.get(name), default) {
            (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
            (Some(value), _) => Ok(value),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => {
                let explicit = self.process.environment.iter().map(|(name, _)| name.as_str());
                let message = format!("`{name}` is not set in the environment of this service");
                Err(Wrong::new(message).hint(match nearest(name, explicit) {
                    Some(near) => format!("did you mean `${near}`?"),
                    None => format!("`${{{name}:-something}}` says what to take then"),
                }))
            }
        }
    }

    /// A word with everything put in.
    fn expand(&self, word: &str) -> Result<String, Wrong> {
        let mut made = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            made.push_str(before);
            rest = match after.chars().next() {
                Some('$') => {
                    made.push('$');
                    after.get(1..).unwrap_or_default()
                }
                Some('{') => {
                    let Some((inside, rest)) = after.get(1..).and_then(|it| it.split_once('}'))
                    else {
                        return Err(Wrong::new("`}` is missing after `${`").hint(PLAIN));
                    };
                    made.push_str(&self.value(inside)?);
                    rest
                }
                _ => {
                    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let end = after.find(|c| !in_name(c)).unwrap_or(after.len());
                    let (name, rest) = after.split_at(end);
                    if !is_name(name) {
                        return Err(Wrong::new("a lone `$` stands for nothing").hint(PLAIN));
                    }
                    made.push_str(&self.value(name)?);
                    rest
                }
            };
        }
        made.push_str(rest);
        Ok(made)
    }
}

/// Whether a line may come out differently for each instance.
pub(super) fn varies(line: &str) -> bool {
    line.contains("LAR_INSTANCE")
}

/// The words of `program`, expanded; what is wrong is reported at its word.
pub(super) fn words(
    v: &mut Values,
    tokens: Vec<Token>,
    setup: &Setup,
    process: &Process,
) -> Vec<String> {
    let scope = v.scope;
    let variables = Variables { scope: &scope, setup, process };
    let mut words = Vec::with_capacity(tokens.len());
    for token in tokens {
        match variables.expand(&token.text) {
            Ok(word) => words.push(word),
            Err(wrong) => {
                wrong.report(&token.spot, v.report);
                // One that is there: that it is not is no second mistake.
                words.push(token.text);
            }
        }
    }
    words
}
