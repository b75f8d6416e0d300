//! What a request asks for. The client and the server read the same words with the same function,
//! so that a mistake is found before a manager is needed, and found again by a manager that trusts
//! nobody.

use core::fmt;

use super::command::{COMMANDS, Command, Flag, Takes};
use super::words::{self, Quoted};
use super::{GREETING, MAX_REQUEST};
use crate::nearest::nearest;
use crate::plan::{Access, EventKind, Kinds, Level};
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
    /// [`Flag::Since`].
    pub since: Option<u64>,
    /// [`Flag::Kind`]; `None`: every kind.
    pub kinds: Option<Kinds>,
    /// [`Flag::Progress`].
    pub progress: bool,
    /// [`Flag::Oldest`].
    pub oldest: bool,
    /// [`Flag::ScaleDown`].
    pub scale_down: bool,
    /// [`Flag::DryRun`].
    pub dry_run: bool,
    /// [`Flag::Save`].
    pub save: bool,
    /// [`Flag::Rolling`].
    pub rolling: bool,
    /// [`Flag::Variable`], in their order.
    pub variables: Vec<(String, String)>,
    /// [`Flag::Limit`].
    pub limit: Option<Duration>,
    /// What `once` adds to the program's words.
    pub arguments: Vec<String>,
    /// What `scale` sets, or adds, or takes away.
    pub count: Option<Count>,
    /// What `kill` sends.
    pub signal: Signal,
    /// What `loglevel` sets.
    pub level: Option<Level>,
    /// [`Flag::Stream`].
    pub stream: Option<String>,
    /// [`Flag::Close`].
    pub close: bool,
    /// What `send` sends, if that stands in the line: a line of its own.
    pub text: Option<String>,
    /// What follows the line.
    pub body: Body,
}

/// What follows a request's line: the bytes that are sent to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Bytes(u64),
    /// All up to the end of what the client says.
    Open,
}

/// How many instances `scale` wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    To(u32),
    /// So many more, or fewer.
    By(i32),
}

/// The most instances that `scale` gives a service, and a file may.
pub const INSTANCES: u32 = 10_000;

impl Count {
    fn parse(word: &str) -> Option<Count> {
        let sane = |number: &u32| *number <= INSTANCES;
        let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = digits.parse().ok().filter(sane).filter(|_| plain)?;
        Some(match word.as_bytes().first()? {
            b'+' => Count::By(number as i32),
            b'-' => Count::By(-(number as i32)),
            _ => Count::To(number),
        })
    }
}

/// Why words are not a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// It does not start with `lar1 `: this is not our language.
    Greeting,
    /// This is wrong with it.
    Wrong(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Greeting => {
                write!(f, "a request starts with `{}`", GREETING.trim_end())
            }
            RequestError::Wrong(message) => f.write_str(message),
        }
    }
}

fn wrong<T>(message: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError::Wrong(message.into()))
}

/// `verb` does not take this word.
fn extra(verb: &str, word: &str) -> Result<(), RequestError> {
    wrong(format!("{verb} does not take {}", Quoted(word)))
}

/// What was probably meant, with these dashes.
pub fn hint<'a>(word: &str, dashes: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(word, known);
    near.map(|near| format!("; did you mean {dashes}{near}?")).unwrap_or_default()
}

/// The verb called `word`.
pub fn verb(word: &str) -> Result<Command, RequestError> {
    Command::find(word).ok_or_else(|| {
        let hint = hint(word, "", COMMANDS.iter().map(|spec| spec.name));
        RequestError::Wrong(format!("no verb is called {}{hint}", Quoted(word)))
    })
}

impl Request {
    /// Reads a request's line, without its newline.
    pub fn read(line: &str) -> Result<Request, RequestError> {
        let rest = match line.strip_prefix(GREETING) {
            Some(rest) => rest,
            None if line == GREETING.trim_end() => "",
            None => return Err(RequestError::Greeting),
        };
        let words = words::split(rest);
        Request::parse(words.map_err(|error| RequestError::Wrong(error.to_string()))?)
    }

    /// Reads the words after `lar1`, or after `lar ctl`.
    pub fn parse(words: Vec<String>) -> Result<Request, RequestError> {
        let mut words = words.into_iter();
        let Some(word) = words.next() else { return wrong("no verb") };
        let command = verb(&word)?;
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
            since: None,
            kinds: None,
            progress: false,
            oldest: false,
            scale_down: false,
            dry_run: false,
            save: false,
            rolling: false,
            variables: Vec::new(),
            limit: None,
            arguments: Vec::new(),
            count: None,
            signal: Signal::TERM,
            level: None,
            stream: None,
            close: false,
            text: None,
            body: Body::Bytes(0),
        };
        let mut only_names = false;
        while let Some(word) = words.next() {
            if only_names || !word.starts_with('-') || word == "-" {
                request.names.push(word);
                // Whatever follows a new service's name is its own.
                only_names |= command == Command::Add;
                // And whatever follows the first word of a text.
                only_names |= command == Command::Send && request.names.len() > 1;
            } else if word == "--" && command == Command::Once {
                request.arguments.extend(words.by_ref());
            } else if word == "--" {
                only_names = true;
            } else if !request.dashed_signal(&word) {
                request.option(&word, &mut words)?;
            }
        }
        request.check()?;
        Ok(request)
    }

    /// `kill -HUP web`, as kill(1) has it; and `scale web -1`.
    fn dashed_signal(&mut self, word: &str) -> bool {
        if self.command == Command::Scale && Count::parse(word).is_some() {
            self.names.push(word.to_owned());
            return true;
        }
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
            let hint = hint(name, "--", spec.flags.iter().map(|flag| flag.name()));
            return wrong(format!("{} has no option {word}{hint}", spec.name));
        };
        let attached = word.get(2..).filter(|rest| long.is_none() && !rest.is_empty());
        match attached {
            Some(rest) if flag.value().is_some() => value = Some(rest.to_owned()),
            // `-fn5`: what follows a letter without a value is the next letter.
            Some(rest) => {
                self.set(flag, None)?;
                return self.option(&format!("-{rest}"), more);
            }
            None => {}
        }
        if flag.value().is_some() && value.is_none() {
            value = more.next();
        }
        self.set(flag, value)
    }

    fn set(&mut self, flag: Flag, value: Option<String>) -> Result<(), RequestError> {
        let name = flag.name();
        if flag.value().is_some() && value.is_none() {
            return wrong(format!("--{name} needs a value"));
        }
        let given = value.as_deref().unwrap_or_default();
        let odd = || RequestError::Wrong(format!("{} is nothing for --{name}", Quoted(given)));
        match flag {
            Flag::Timeout => self.timeout = Some(duration(given).ok_or_else(odd)?),
            Flag::Limit => self.limit = Some(duration(given).ok_or_else(odd)?),
            Flag::Variable => {
                let pair = given.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = pair.ok_or_else(odd)?;
                self.variables.push((name.to_owned(), value.to_owned()));
            }
            Flag::Stream => self.stream = Some(given.to_owned()),
            Flag::Lines => self.lines = Some(given.parse().map_err(|_| odd())?),
            Flag::Since => self.since = Some(given.parse().map_err(|_| odd())?),
            Flag::Kind => self.kinds = Some(kinds(self.kinds, given)?),
            _ if value.is_some() => return Err(odd()),
            Flag::NoWait => self.wait = false,
            Flag::Strict => self.strict = true,
            Flag::WithDependents => self.with_dependents = true,
            Flag::Force => self.force = true,
            Flag::Follow => self.follow = true,
            Flag::Progress => self.progress = true,
            Flag::Oldest => self.oldest = true,
            Flag::ScaleDown => self.scale_down = true,
            Flag::DryRun => self.dry_run = true,
            Flag::Save => self.save = true,
            Flag::Rolling => self.rolling = true,
            Flag::Close => self.close = true,
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), RequestError> {
        let spec = self.command.spec();
        if self.since.is_some() && self.lines.is_some() {
            return wrong("--since and --lines can't both say where to begin");
        }
        match spec.takes {
            Takes::Names => return Ok(()),
            Takes::Nothing => {
                return self.names.last().map_or(Ok(()), |word| extra(spec.name, word));
            }
            Takes::Level => {
                let words = core::mem::take(&mut self.names);
                self.level = words.first().map(|word| level(word)).transpose()?;
                return words.get(1).map_or(Ok(()), |word| extra(spec.name, word));
            }
            Takes::Signal if self.names.len() > 1 => {
                if let Some(signal) = Signal::parse(&self.names[0]) {
                    self.signal = signal;
                    self.names.remove(0);
                }
            }
            Takes::States => {
                if let Some(odd) = self.names.iter().find(|word| !word.contains('=')) {
                    return wrong(format!("{} is not NAME=STATE", Quoted(odd)));
                }
            }
            Takes::Count => {
                let word = if self.names.len() == 2 { self.names.pop() } else { None };
                let Some(word) = word else {
                    return wrong(format!("{} needs a name and a number", spec.name));
                };
                self.count = Count::parse(&word);
                if self.count.is_none() {
                    let most = format!("0 to {INSTANCES}, or +N, or -N");
                    return wrong(format!("{} is no number of instances: {most}", Quoted(&word)));
                }
            }
            Takes::Run if self.names.len() > 1 => {
                let word = Quoted(&self.names[1]);
                return wrong(format!(
                    "{} takes one name; is {word} for the program? It comes after `--`",
                    spec.name
                ));
            }
            Takes::Text => self.text()?,
            Takes::OneName => {
                self.body = Body::Open;
                if let Some(more) = self.names.get(1) {
                    return extra(spec.name, more);
                }
            }
            Takes::SomeNames | Takes::Signal | Takes::Definition | Takes::Run => {}
        }
        match self.names.is_empty() {
            true => wrong(format!("{} needs a name (or `all`)", spec.name)),
            false => Ok(()),
        }
    }

    /// What `send` sends: `body=N` bytes that follow, `body=*` all that follows, or the words after the name as a line.
    fn text(&mut self) -> Result<(), RequestError> {
        let words = self.names.split_off(self.names.len().min(1));
        let body = match &words[..] {
            [word] => word.strip_prefix("body="),
            _ => None,
        };
        match body {
            Some("*") => self.body = Body::Open,
            Some(number) => {
                let odd =
                    || RequestError::Wrong(format!("{} is no number of bytes", Quoted(number)));
                self.body = Body::Bytes(number.parse().map_err(|_| odd())?);
            }
            None if !words.is_empty() => self.text = Some(words.join(" ") + "\n"),
            None => {}
        }
        Ok(())
    }

    /// Whether it is to be shown what a program writes, and says what that reads.
    pub fn attaches(&self) -> bool {
        self.command == Command::Attach
    }

    /// What a client must be allowed for this.
    pub fn access(&self) -> Access {
        // Words and variables of one's own may make anything of a program.
        let own = !self.arguments.is_empty() || !self.variables.is_empty();
        match self.level.is_some() || own {
            true => Access::Admin,
            false => self.command.spec().access,
        }
    }

    /// Whether its reply ends only when the client leaves.
    pub fn endless(&self) -> bool {
        self.command == Command::Events || self.attaches() || self.follow
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

/// `KIND[,KIND…]`, besides those that were named before.
fn kinds(before: Option<Kinds>, words: &str) -> Result<Kinds, RequestError> {
    words.split(',').try_fold(before.unwrap_or(Kinds::NONE), |kinds, word| {
        let kind = EventKind::from_word(word).ok_or_else(|| {
            let words = || EventKind::ALL.iter().map(|kind| kind.word());
            let hint = match nearest(word, words()) {
                Some(near) => format!("; did you mean {near}?"),
                None => format!("; there are {}", words().collect::<Vec<_>>().join(", ")),
            };
            RequestError::Wrong(format!("no kind of event is called {}{hint}", Quoted(word)))
        });
        Ok(kinds.with(kind?))
    })
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
    match LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some(&(_, level)) => Ok(level),
        None => {
            let levels = LEVELS.map(|(name, _)| name).join(", ");
            wrong(format!("{} is no log level: {levels}", Quoted(word)))
        }
    }
}

/// The word for a log level.
pub fn level_word(level: Level) -> &'static str {
    LEVELS.iter().find(|&&(_, known)| known == level).map_or("off", |(name, _)| name)
}
