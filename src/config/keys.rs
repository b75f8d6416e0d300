//! Every key there is: the one list that the parser, its hints, `lar help config`, `apply` and the README's
//! table are made from. The rows are in `table`.
//!
//! A key is here exactly if it works.

mod table;

use core::fmt::Write;

use crate::nearest;
pub use table::KEYS;

/// The kind of section a key stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<service>` and `<defaults>`.
    Service,
    /// `<limits>` in a service.
    Limits,
    /// `<socket>`.
    Socket,
    /// `<lar>`.
    Lar,
    /// `<on EVENT>`.
    On,
    /// `<runner>`.
    Runner,
    /// `<eventlog>`.
    EventLog,
    /// `<logfile>` in an event log.
    LogFile,
    /// `<syslog>` in an event log.
    Syslog,
}

impl Kind {
    /// Every kind, as the tables show them.
    pub const ALL: [Kind; 9] = [
        Kind::Service,
        Kind::Limits,
        Kind::Socket,
        Kind::Lar,
        Kind::On,
        Kind::Runner,
        Kind::EventLog,
        Kind::LogFile,
        Kind::Syslog,
    ];

    /// How a reader of the tables finds it.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Service => "<service NAME>, and <defaults> for all of them",
            Kind::Limits => "<limits> in a <service>: SOFT[:HARD], or `unlimited`",
            Kind::Socket => "<socket NAME>: what lar listens on for its services",
            Kind::Lar => "<lar>: the manager itself",
            Kind::On => "<on EVENT>: a command that is run when something happens",
            Kind::Runner => "<runner>: a zdaemon file's only program",
            Kind::EventLog => "<eventlog>: lar's own log",
            Kind::LogFile => "<logfile> in <eventlog>",
            Kind::Syslog => "<syslog> in <eventlog>: each line is a datagram",
        }
    }

    /// The title's first section, `<service NAME>`, and what comes after it.
    fn head(self) -> (&'static str, &'static str) {
        let title = self.title();
        title.split_at(title.find('>').map_or(title.len(), |end| end + 1))
    }
}

/// What a changed value needs to take effect on a service that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it holds from then on.
    Live,
    /// A restart of the service (for the manager's own keys: of the manager).
    Restart,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub kind: Kind,
    /// What it is about: a heading of the tables.
    pub about: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub form: &'static str,
    /// What holds when it is not said.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// A value that is not the default.
    pub example: &'static str,
    /// What a change of it needs.
    pub change: Change,
    /// Whether it may be repeated; its values add up.
    pub list: bool,
}

/// The keys of a kind of section.
pub fn all(kind: Kind) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.kind == kind)
}

/// The key of this name, case aside.
pub fn find(kind: Kind, name: &str) -> Option<&'static Key> {
    all(kind).find(|key| key.name.eq_ignore_ascii_case(name))
}

/// `key FORM, as in: key EXAMPLE`.
pub(super) fn usage(key: &Key) -> String {
    format!("{} {}, as in: {} {}", key.name, key.form, key.name, key.example)
}

/// Where a key belongs that stands where it does not, for a hint; all known keys if it belongs nowhere.
pub(super) fn home(name: &str) -> String {
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| find(*kind, name).is_some()).collect();
    match kinds.is_empty() {
        true => match nearest::nearest(name, KEYS.iter().map(|key| key.name)) {
            Some(near) => format!("did you mean `{near}`? {}", home(near)),
            None => "`lar help config` lists every key".to_string(),
        },
        false => {
            let heads = kinds.iter().map(|kind| kind.head().0);
            format!("`{name}` belongs in {}", nearest::list(heads))
        }
    }
}

/// What to write in place of a zdaemon key that has another place, or another name, outside of `<runner>`.
pub(super) fn moved(kind: Kind, name: &str) -> Option<&'static str> {
    if kind != Kind::Service {
        return None;
    }
    Some(match name.to_ascii_lowercase().as_str() {
        "socket-name" => "it is the manager's: put `socket-name` into `<lar>`",
        "daemon" => "it is the manager's: put `daemon` into `<lar>`",
        "logfile" => "`lar ctl logs` finds the transcript by itself",
        "stop-timeout" => "say it in the ladder, as in: stop TERM 300s KILL",
        "start-test-program" => "say: ready command WORD…",
        "prompt" | "default-to-interactive" | "hang-around" => {
            "it means nothing to a `<service>`: leave it out"
        }
        "python" | "zdrun" => "lar needs no other program: leave it out",
        "environment" => "it is a section: <environment>, NAME value, </environment>",
        "limits" => "it is a section: <limits>, nofile 4096, </limits>",
        "command" | "exec" => "the key is called `program`",
        _ => return None,
    })
}

/// What `lar help config` prints.
pub fn help() -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let _ = writeln!(text, "{}", kind.title());
        let mut about = "";
        for key in all(kind) {
            if key.about != about {
                about = key.about;
                let _ = writeln!(text, "\n  {about}");
            }
            let default = match key.default {
                "" => String::new(),
                default => format!(" [{default}]"),
            };
            let _ = writeln!(text, "    {} {}{default}", key.name, key.form);
            let _ = writeln!(text, "        {}", key.doc);
        }
        text.push('\n');
    }
    text.push_str("`lar help config KEY` says more about one.\n");
    text
}

/// What `lar help config KEY` prints, or the nearest name if there is no such key.
pub fn help_one(name: &str) -> Result<String, Option<&'static str>> {
    let found: Vec<&Key> = KEYS.iter().filter(|key| key.name.eq_ignore_ascii_case(name)).collect();
    if found.is_empty() {
        return Err(nearest::nearest(name, KEYS.iter().map(|key| key.name)));
    }
    let mut text = String::new();
    for key in found {
        let _ = writeln!(text, "{} {}", key.name, key.form);
        let _ = writeln!(text, "    {}", key.doc);
        let _ = writeln!(text, "    in:       {}", key.kind.title());
        if !key.default.is_empty() {
            let _ = writeln!(text, "    default:  {}", key.default);
        }
        let _ = writeln!(text, "    example:  {} {}", key.name, key.example);
        if key.list {
            let _ = writeln!(text, "    repeated: its values add up");
        }
        let needs = match (key.change, key.kind) {
            (Change::Live, _) => "nothing",
            (Change::Restart, Kind::Service | Kind::Limits | Kind::Socket | Kind::Runner) => {
                "a restart of the service"
            }
            (Change::Restart, _) => "a restart of the manager",
        };
        let _ = writeln!(text, "    a change needs {needs}");
    }
    Ok(text)
}

/// The tables of the README.
pub fn markdown() -> String {
    let mut text = String::new();
    let escape = |cell: &str| cell.replace('|', "\\|");
    let code = |cell: &str| match cell {
        "" => String::new(),
        cell => format!("`{}`", cell.replace('|', "\\|")),
    };
    for kind in Kind::ALL {
        let (head, tail) = kind.head();
        let _ = writeln!(text, "**`{head}`**{}\n", tail.replace('<', "\\<"));
        text.push_str("| key | value | default | what it does |\n|---|---|---|---|\n");
        for key in all(kind) {
            let (form, default) = (code(key.form), escape(key.default));
            let _ = writeln!(text, "| `{}` | {form} | {default} | {} |", key.name, escape(key.doc));
        }
        text.push('\n');
    }
    text
}
