//! What a request asks for. The client and the server read the same words with the same function,
//! so that a mistake is found before a manager is needed, and found again by a manager that trusts
//! nobody.

use core::fmt;

use super::command::{COMMANDS, Command, Flag, Takes};
use super::words::{self, Quoted, WordsError};
use super::{GREETING, MAX_REQUEST};
use crate::nearest::nearest;
use crate::plan::{Access, Level};
use crate::signal::Signal;
use crate::time::Duration;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The verb.
    pub command: Command,
    /// Names (`web`, `web@2`, `shop:*`, `all`), or `NAME=STATE` of `wait`.
    pub names: Vec<String>,
    /// Answer only when it is done.
    pub wait: bool,
    /// How long to wait; `None`: as the verb has it.
    pub timeout: Option<Duration>,
    /// [`Flag::Strict`].
    pub strict: bool,
    /// [`Flag::WithDependents`].
    pub with_dependents: bool,
    /// [`Flag::Force`].
    pub force: bool,
    /// [`Flag::Follow`].
    pub follow: bool,
    /// [`Flag::Lines`].
    pub lines: Option<u32>,
    /// [`Flag::Progress`].
    pub progress: bool,
    /// What `kill` sends.
    pub signal: Signal,
    /// What `loglevel` sets.
    pub level: Option<Level>,
}

/// Why words are not a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// It does not start with `lar1 `.
    Greeting,
    /// Its quotes.
    Words(WordsError),
    /// It has no verb.
    Empty,
    /// No such verb; the nearest one.
    Verb(String, Option<&'static str>),
    /// The verb has no such option; the nearest one.
    Option(&'static str, String, Option<&'static str>),
    /// This option lacks its value, or has one that it can't have.
    Value(&'static str, Option<String>),
    /// The verb needs this.
    Missing(&'static str, &'static str),
    /// The verb takes no such word.
    Extra(&'static str, String),
    /// This is not `NAME=STATE`.
    State(String),
    /// No such log level.
    Level(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = |f: &mut fmt::Formatter<'_>, near: &Option<&str>, dashes| match near {
            Some(near) => write!(f, "; did you mean {dashes}{near}?"),
            None => Ok(()),
        };
        match self {
            RequestError::Greeting => {
                write!(f, "a request starts with `{}`", GREETING.trim_end())
            }
            RequestError::Words(error) => error.fmt(f),
            RequestError::Empty => f.write_str("no verb"),
            RequestError::Verb(word, near) => {
                write!(f, "no verb is called {}", Quoted(word))?;
                hint(f, near, "")
            }
            RequestError::Option(verb, word, near) => {
                write!(f, "{verb} has no option {word}")?;
                hint(f, near, "--")
            }
            RequestError::Value(flag, None) => write!(f, "--{flag} needs a value"),
            RequestError::Value(flag, Some(value)) => {
                write!(f, "{} is nothing for --{flag}", Quoted(value))
            }
            RequestError::Missing(verb, what) => write!(f, "{verb} needs {what}"),
            RequestError::Extra(verb, word) => write!(f, "{verb} does not take {}", Quoted(word)),
            RequestError::State(word) => {
                write!(f, "{} is not NAME=STATE", Quoted(word))
            }
            RequestError::Level(word) => {
                let levels = "off, error, warn, info, debug, trace";
                write!(f, "{} is no log level: {levels}", Quoted(word))
            }
        }
    }
}

impl Request {
    /// Reads a request's line, without its newline.
    pub fn read(line: &str) -> Result<Request, RequestError> {
        let rest = match line.strip_prefix(GREETING) {
            Some(rest) => rest,
            None if line == GREETING.trim_end() => "",
            None => return Err(RequestError::Greeting),
        };
        Request::parse(words::split(rest).map_err(RequestError::Words)?)
    }

    /// Reads the words after `lar1`, or after `lar ctl`.
    pub fn parse(words: Vec<String>) -> Result<Request, RequestError> {
        let mut words = words.into_iter();
        let verb = words.next().ok_or(RequestError::Empty)?;
        let Some(command) = Command::find(&verb) else {
            let near = nearest(&verb, COMMANDS.iter().map(|spec| spec.name));
            return Err(RequestError::Verb(verb, near));
        };
        let mut request = Request {
            command,
            names: Vec::new(),
            wait: true,
            timeout: None,
            strict: false,
            with_dependents: false,
            force: false,
            follow: false,
            lines: None,
            progress: false,
            signal: Signal::TERM,
            level: None,
        };
        let mut only_names = false;
        while let Some(word) = words.next() {
            if only_names || !word.starts_with('-') || word == "-" {
                request.names.push(word);
            } else if word == "--" {
                only_names = true;
            } else if !request.dashed_signal(&word) {
                request.option(&word, &mut words)?;
            }
        }
        request.check()?;
        Ok(request)
    }

    /// `kill -HUP web`, as kill(1) has it.
    fn dashed_signal(&mut self, word: &str) -> bool {
        let signal = Signal::parse(&word[1..]);
        match signal {
            Some(signal) if self.command == Command::Kill && self.names.is_empty() => {
                self.names.push(signal.to_string());
                true
            }
            _ => false,
        }
    }

    fn option(
        &mut self,
        word: &str,
        more: &mut impl Iterator<Item = String>,
    ) -> Result<(), RequestError> {
        let spec = self.command.spec();
        let long = word.strip_prefix("--");
        let (name, mut value) = match long.and_then(|long| long.split_once('=')) {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long.unwrap_or(word), None),
        };
        let matches = |flag: &&Flag| match (long, flag.letter()) {
            (Some(_), _) => flag.name() == name,
            (None, Some(letter)) => word[1..].starts_with(letter),
            (None, None) => false,
        };
        let Some(&flag) = spec.flags.iter().find(matches) else {
            let near = nearest(name, spec.flags.iter().map(|flag| flag.name()));
            return Err(RequestError::Option(spec.name, word.to_owned(), near));
        };
        let attached = word.get(2..).filter(|rest| long.is_none() && !rest.is_empty());
        match attached {
            Some(rest) if flag.takes_value() => value = Some(rest.to_owned()),
            // `-fn5`: what follows a letter without a value is the next letter.
            Some(rest) => {
                self.set(flag, None)?;
                return self.option(&format!("-{rest}"), more);
            }
            None => {}
        }
        if flag.takes_value() && value.is_none() {
            value = more.next();
        }
        self.set(flag, value)
    }

    fn set(&mut self, flag: Flag, value: Option<String>) -> Result<(), RequestError> {
        if flag.takes_value() != value.is_some() {
            return Err(RequestError::Value(flag.name(), value));
        }
        let value = value.unwrap_or_default();
        let wrong = || RequestError::Value(flag.name(), Some(value.clone()));
        match flag {
            Flag::NoWait => self.wait = false,
            Flag::Timeout => self.timeout = Some(duration(&value).ok_or_else(wrong)?),
            Flag::Strict => self.strict = true,
            Flag::WithDependents => self.with_dependents = true,
            Flag::Force => self.force = true,
            Flag::Follow => self.follow = true,
            Flag::Lines => self.lines = Some(value.parse().map_err(|_| wrong())?),
            Flag::Progress => self.progress = true,
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), RequestError> {
        let spec = self.command.spec();
        match spec.takes {
            Takes::Nothing => match self.names.pop() {
                Some(word) => return Err(RequestError::Extra(spec.name, word)),
                None => return Ok(()),
            },
            Takes::Names => return Ok(()),
            Takes::Signal if self.names.len() > 1 => {
                if let Some(signal) = Signal::parse(&self.names[0]) {
                    self.signal = signal;
                    self.names.remove(0);
                }
            }
            Takes::States => {
                if let Some(wrong) = self.names.iter().find(|word| !word.contains('=')) {
                    return Err(RequestError::State(wrong.clone()));
                }
            }
            Takes::Level => {
                let mut words = core::mem::take(&mut self.names).into_iter();
                self.level = words.next().map(|word| level(&word)).transpose()?;
                return match words.next() {
                    Some(word) => Err(RequestError::Extra(spec.name, word)),
                    None => Ok(()),
                };
            }
            Takes::SomeNames | Takes::Signal => {}
        }
        match self.names.is_empty() {
            true => Err(RequestError::Missing(spec.name, "a name (or `all`)")),
            false => Ok(()),
        }
    }

    /// What a client must be allowed for this.
    pub fn access(&self) -> Access {
        match self.level {
            Some(_) => Access::Admin,
            None => self.command.spec().access,
        }
    }

    /// Whether its reply ends only when the client leaves.
    pub fn endless(&self) -> bool {
        self.command == Command::Events || self.follow
    }
}

/// A request's line for these words, newline included; `None` if they can't be one.
pub fn line(words: &[String]) -> Option<String> {
    let mut line = GREETING.trim_end().to_owned();
    for word in words {
        if word.contains(['\n', '\r', '\0']) {
            return None;
        }
        line.push(' ');
        line.push_str(&Quoted(word).to_string());
    }
    line.push('\n');
    (line.len() <= MAX_REQUEST).then_some(line)
}

/// `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

const LEVELS: [(&str, Level); 6] = [
    ("off", Level::Off),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

fn level(word: &str) -> Result<Level, RequestError> {
    let found = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|&(_, level)| level).ok_or_else(|| RequestError::Level(word.to_owned()))
}

/// The word for a log level.
pub fn level_word(level: Level) -> &'static str {
    LEVELS.iter().find(|&&(_, known)| known == level).map_or("off", |(name, _)| name)
}
