//! Variables: `<environment>` sections and environment files. Later ones win, and a section beats a file.
//!
//! In a `<service>` a value is the rest of its line as it stands, `%…` substituted; only if it starts with a
//! quote it is one shell-like word. Names keep their case, in every section.

use super::diagnostic::Report;
use super::lines::{Entry, Section, beside};
use super::section::{self, Scope, Values};
use super::{substitute, words};

/// Variables in the order they were first set, without duplicates.
pub(super) type Variables = Vec<(String, String)>;

/// Sets one, over what was there.
pub(super) fn set(variables: &mut Variables, name: &str, value: String) {
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => variables.push((name.to_string(), value)),
    }
}

/// The explicit variables of a service: its files' (or the defaults'), then those of `sections`.
pub(super) fn read(v: &mut Values, sections: &[&Section]) -> Variables {
    let mut variables = Variables::new();
    for entry in v.all("environment-file") {
        file(v, entry, &mut variables);
    }
    for section in sections {
        let scope = v.scope;
        for entry in lines(section, v.report) {
            if let Some(value) = value_of(entry, &scope, v.report) {
                set(&mut variables, &entry.key, value);
            }
        }
    }
    variables
}

/// The lines of an `<environment>`, checked for their names.
pub(super) fn lines<'a>(section: &'a Section, report: &mut Report) -> Vec<&'a Entry> {
    let mut seen: Vec<&Entry> = Vec::new();
    for section in &section.sections {
        super::unknown_section(section, &[], report);
    }
    for entry in &section.entries {
        if let Some((name, _)) = entry.key.split_once('=') {
            report.error(&entry.spot, format!("`{}` can't be the name of a variable", entry.key));
            report.hint(format!("a blank parts name and value: {name} VALUE"));
        } else if let Some(first) = seen.iter().find(|old| old.key == entry.key) {
            let line = first.spot.line.number;
            report.error(&entry.spot, format!("`{}` is set on line {line} already", entry.key));
        } else {
            seen.push(entry);
        }
    }
    seen
}

fn value_of(entry: &Entry, scope: &Scope, report: &mut Report) -> Option<String> {
    if entry.value.starts_with(['"', '\'']) {
        let mut tokens = section::tokens_of(entry, scope, report)?;
        if tokens.len() > 1 {
            let spot = tokens.swap_remove(1).spot;
            report.error(&spot, "more follows after the closing quote");
            report.hint("a value that starts with a quote is one quoted word");
            return None;
        }
        return tokens.pop().map(|token| token.text);
    }
    entry.good(substitute::percent(&entry.value, scope, entry.defines), report)
}

/// Reads the files that one `environment-file` line names. Their paths are relative to the file that says so.
fn file(v: &mut Values, entry: &Entry, variables: &mut Variables) {
    let scope = v.scope;
    for token in section::tokens_of(entry, &scope, v.report).unwrap_or_default() {
        let (path, optional) = match token.text.strip_prefix('-') {
            Some(path) => (path, true),
            None => (token.text.as_str(), false),
        };
        let path = beside(&entry.spot.line.file, path);
        match scope.world.file(&path) {
            Ok(Some(bytes)) => match core::str::from_utf8(&bytes) {
                Ok(text) => assignments(text, |number, result| match result {
                    Ok((name, value)) => set(variables, name, value),
                    Err(what) => {
                        v.report.error(&token.spot, format!("{path}, line {number}: {what}"))
                    }
                }),
                Err(_) => v.report.error(&token.spot, format!("`{path}` is not UTF-8")),
            },
            Ok(None) if optional => {}
            Ok(None) => {
                v.report.error(&token.spot, format!("there is no file `{path}`"));
                v.report.hint(format!(
                    "a leading - makes it optional: environment-file -{}",
                    token.text
                ));
            }
            Err(cause) => v.report.error(&token.spot, format!("can't read `{path}`: {cause}")),
        }
    }
}

/// `NAME=value` lines; `#` comments, `export ` and quotes around a value are understood.
pub(super) fn assignments(text: &str, mut each: impl FnMut(usize, Result<(&str, String), &str>)) {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            each(index + 1, Err("`=` is missing"));
            continue;
        };
        if name.is_empty() || name.contains(char::is_whitespace) || line.contains('\0') {
            each(index + 1, Err("this is not NAME=value"));
            continue;
        }
        let value = value.trim();
        let value = match value.starts_with(['"', '\'']).then(|| words::split(value)) {
            None => Ok(value.to_string()),
            Some(Ok(mut words)) if words.len() == 1 => Ok(words.swap_remove(0).text),
            Some(Ok(_)) => Err("more follows after the closing quote"),
            Some(Err(_)) => Err("a quote is never closed"),
        };
        each(index + 1, value.map(|value| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_are_read_as_shells_write_them() {
        let text =
            "# c\n\nA=1\nexport B=\"x y\"\nC=\nD=a=b # not a comment\nE='q'\nbad\nF=\"open\n";
        let (mut good, mut bad) = (Variables::new(), Vec::new());
        assignments(text, |number, result| match result {
            Ok((name, value)) => set(&mut good, name, value),
            Err(_) => bad.push(number),
        });
        let pairs: Vec<(&str, &str)> = good.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected =
            [("A", "1"), ("B", "x y"), ("C", ""), ("D", "a=b # not a comment"), ("E", "q")];
        assert_eq!(pairs, expected);
        assert_eq!(bad, [8, 9]);
    }
}
