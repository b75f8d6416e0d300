//! What has changed between two configurations of the same thing, key by key, and what each change needs.
//!
//! Both are compared as `print` writes them: so a key that is said another way, or said with its default, is the same.
//! Of a service's instances only the first is looked at.

use core::fmt;

use super::keys::{self, Change, Kind};

/// What a change needs to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing: it holds at once.
    Nothing,
    /// Instances come or go.
    Instances,
    /// New processes.
    Restart,
    /// Another manager: it is not applied.
    Manager,
}

impl Needs {
    /// As the table of `apply` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Needs::Nothing => "live",
            Needs::Instances => "scale",
            Needs::Restart => "restart",
            Needs::Manager => "not applied: it needs a restart of the manager",
        }
    }
}

/// One key that has another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name; of what stands in a section, the section's before it.
    pub key: String,
    /// What it was; nothing if it was not there.
    pub old: String,
    /// What it is.
    pub new: String,
    /// What that needs.
    pub needs: Needs,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |value: &str| if value.is_empty() { "-".to_owned() } else { value.to_owned() };
        let (old, new) = (said(&self.old), said(&self.new));
        write!(f, "{}: {old} => {new} ({})", self.key, self.needs.word())
    }
}

/// What differs between two services, or two managers.
pub fn differences(kind: Kind, old: &[String], new: &[String]) -> Vec<Difference> {
    let (old, new) = (entries(old), entries(new));
    let mut keys: Vec<&String> = Vec::new();
    for (key, _) in old.iter().chain(&new) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let of = |entries: &[(String, String)], key: &String| {
        let values = entries.iter().filter(|(other, _)| other == key);
        values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("; ")
    };
    let differ = keys.into_iter().filter_map(|key| {
        let (old, new) = (of(&old, key), of(&new, key));
        // A signal is only data; a command is a program that was prepared.
        let prepared = key == "reload" && [&old, &new].iter().any(|it| it.starts_with("command "));
        let needs = if prepared { Needs::Restart } else { needs(kind, key) };
        (old != new).then(|| Difference { key: key.clone(), old, new, needs })
    });
    differ.collect()
}

/// Each line's key and value; the lines of a section have its name before theirs.
fn entries(lines: &[String]) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    let inner = lines.get(1..lines.len().saturating_sub(1)).unwrap_or(&[]);
    for line in inner {
        let line = line.trim();
        if line.starts_with('#') {
            continue; // what other instances have differently: see there
        }
        if line.starts_with("</") {
            section.clear();
        } else if let Some(name) = line.strip_prefix('<') {
            section = format!("{} ", name.trim_end_matches('>'));
        } else {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            entries.push((format!("{section}{key}"), value.trim().to_owned()));
        }
    }
    entries
}

fn needs(kind: Kind, key: &str) -> Needs {
    match (kind, keys::find(kind, key).map(|key| key.change)) {
        (Kind::Service, _) if key == "instances" => Needs::Instances,
        (_, Some(Change::Live)) => Needs::Nothing,
        (Kind::Service, _) => Needs::Restart,
        // The level of the event log, which is printed beside the manager's own keys.
        (_, None) if key.ends_with("level") => Needs::Nothing,
        _ => Needs::Manager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| line.to_string()).collect()
    }

    #[test]
    fn each_key_that_differs_is_named_with_what_it_needs() {
        let old = [
            "<service a>",
            "  program /a",
            "  stop TERM 10s KILL",
            "  <environment>",
            "    A 1",
            "  </environment>",
            "</service>",
        ];
        let new = [
            "<service a>",
            "  program /b",
            "  instances 2",
            "  stop TERM 5s KILL",
            "  <environment>",
            "    A 1",
            "    B 2",
            "  </environment>",
            "</service>",
        ];
        let found = differences(Kind::Service, &lines(&old), &lines(&new));
        let told: Vec<String> = found.iter().map(|difference| difference.to_string()).collect();
        assert_eq!(
            told,
            [
                "program: /a => /b (restart)",
                "stop: TERM 10s KILL => TERM 5s KILL (live)",
                "instances: - => 2 (scale)",
                "environment B: - => 2 (restart)",
            ]
        );
        assert_eq!(differences(Kind::Service, &lines(&old), &lines(&old)), []);
    }
}
