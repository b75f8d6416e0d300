//! zdaemon's options: what the command line says, put over what the file of `-C` says. The same table serves the
//! client and the manager; the manager knows a few less.

use super::errno::os_error;
use super::paths;
use crate::cli::getopt::{self, Found, Given, Spec};
use crate::cli::machine::Machine;
use crate::config;
use crate::plan::{EventLog, Runner};
use crate::python::{int, repr};

/// The version that lar stands in for; scripts compare it.
pub(super) const VERSION: &str = "5.2.1";

/// Which half of zdaemon is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What the user types.
    Client,
    /// What `start` makes: the parent of the program.
    Manager,
}

/// Why there are no options.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something is wrong with them.
    Wrong(String),
    /// Only this was wanted.
    Print(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Stop {
        Stop::Wrong(message)
    }
}

/// All that is said, by the command line and by the file.
#[derive(Debug)]
pub(super) struct Options {
    /// The command line alone.
    pub(super) typed: Runner,
    /// The file alone.
    pub(super) file: Option<Runner>,
    /// The one over the other.
    pub(super) runner: Runner,
    /// The file's name as typed (`-C`).
    pub(super) config: Option<String>,
    /// The schema's (`-S`): accepted, and handed on.
    pub(super) schema: String,
    /// Each `-X` as typed.
    pub(super) overrides: Vec<String>,
    /// The file's `<environment>`.
    pub(super) environment: Vec<(String, String)>,
    /// The file's `<eventlog>`.
    pub(super) event_log: EventLog,
    /// What of that does nothing here.
    pub(super) warnings: Vec<String>,
    /// Whether the shell is asked for (`-i`).
    pub(super) interactive: bool,
    /// What follows the options: the action, or the manager's program.
    pub(super) words: Vec<String>,
}

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Configure,
    Override,
    BackoffLimit,
    Daemon,
    Forever,
    SocketName,
    ExitCodes,
    User,
    Umask,
    Directory,
    Transcript,
    Schema,
    Program,
    Logfile,
    StartTimeout,
    Interactive,
}

/// An option: its letter, its name, and whether a value belongs to it.
type Known = (Key, Option<char>, &'static str, bool);

/// The last four are the client's only.
static OPTIONS: [Known; 18] = [
    (Key::Help, Some('h'), "help", false),
    (Key::Version, None, "version", false),
    (Key::Configure, Some('C'), "configure", true),
    (Key::Override, Some('X'), "", true),
    (Key::BackoffLimit, Some('b'), "backoff-limit", true),
    (Key::Daemon, Some('d'), "daemon", false),
    (Key::Forever, Some('f'), "forever", false),
    (Key::SocketName, Some('s'), "socket-name", true),
    (Key::ExitCodes, Some('x'), "exit-codes", true),
    (Key::User, Some('u'), "user", true),
    (Key::Umask, Some('m'), "umask", true),
    (Key::Directory, Some('z'), "directory", true),
    (Key::Transcript, Some('t'), "transcript", true),
    (Key::Schema, Some('S'), "schema", true),
    (Key::Program, Some('p'), "program", true),
    (Key::Logfile, Some('l'), "logfile", true),
    (Key::StartTimeout, Some('T'), "start-timeout", true),
    (Key::Interactive, Some('i'), "interactive", false),
];

impl Role {
    fn options(self) -> &'static [Known] {
        match self {
            Role::Client => &OPTIONS,
            Role::Manager => &OPTIONS[..14],
        }
    }
}

/// The options at the beginning of `words`, and what comes behind them.
fn parse(known: &[Known], words: &[String]) -> Result<(Vec<Given>, Vec<String>), Stop> {
    let spec = |&(_, letter, name, takes): &Known| Spec { letter, name, takes };
    let known: Vec<Spec> = known.iter().map(spec).collect();
    let args = words.iter().map(Into::into).collect();
    let Found { given, mistake, words } =
        getopt::Options { known: &known, permutes: false }.read(args);
    match mistake {
        Some(mistake) => Err(Stop::Wrong(mistake.in_python())),
        None => Ok((given, words.iter().map(|word| word.to_string_lossy().into()).collect())),
    }
}

/// An option as messages name it: `-b` or, in full, `--backoff-limit`.
fn shown(given: &Given) -> String {
    match given.spec.letter {
        Some(letter) if !given.by_name => format!("-{letter}"),
        _ => format!("--{}", given.spec.name),
    }
}

/// What [`Options::glance`] sees.
pub(super) struct Glance {
    /// Whether a file is named.
    pub(super) file: bool,
    /// Whether there are words behind the options.
    pub(super) words: bool,
}

impl Options {
    /// Reads the words behind the program's name, and the file that they name.
    pub(super) fn read(role: Role, words: &[String]) -> Result<Options, Stop> {
        let known = role.options();
        let (given, words) = parse(known, words)?;
        let mut options = Options::none(words);
        for given in &given {
            options.take(role, known[given.which].0, given)?;
        }
        if !options.overrides.is_empty() && options.config.is_none() {
            let why = "configuration overrides (-X) cannot be used without a configuration file";
            return Err(Stop::Wrong(why.into()));
        }
        if let Some(name) = &options.config {
            let read = load(name, &options.overrides)?;
            options.environment = read.environment;
            options.event_log = read.event_log;
            options.warnings = read.warnings;
            options.file = Some(read.runner);
        }
        let file = options.file.clone().unwrap_or_default();
        options.runner = options.typed.clone().over(&file);
        options.check(role)?;
        Ok(options)
    }

    /// What a client's command line is about, without what its values mean.
    pub(super) fn glance(words: &[String]) -> Result<Glance, Stop> {
        let known = Role::Client.options();
        let (given, words) = parse(known, words)?;
        let file = given.iter().any(|it| known[it.which].0 == Key::Configure);
        Ok(Glance { file, words: !words.is_empty() })
    }

    fn none(words: Vec<String>) -> Options {
        Options {
            typed: Runner::default(),
            file: None,
            runner: Runner::default(),
            config: None,
            schema: "schema.xml".into(),
            overrides: Vec::new(),
            environment: Vec::new(),
            event_log: EventLog::default(),
            warnings: Vec::new(),
            interactive: false,
            words,
        }
    }

    /// That there is a program.
    fn check(&mut self, role: Role) -> Result<(), Stop> {
        match role {
            Role::Client if self.runner.program.is_none() => {
                Err(Stop::Wrong("no program specified; use -p or -C".into()))
            }
            Role::Client => Ok(()),
            Role::Manager if self.words.is_empty() => {
                Err(Stop::Wrong("no program specified (use positional args)".into()))
            }
            Role::Manager => {
                self.runner.program = Some(std::mem::take(&mut self.words));
                Ok(())
            }
        }
    }

    /// One option of the command line.
    fn take(&mut self, role: Role, key: Key, given: &Given) -> Result<(), Stop> {
        let value = given.value.to_str().unwrap_or_default();
        let wrong = |why| format!("invalid value for {} {}: {why}", shown(given), repr(value));
        let number = |text| int(text, 10).map(clamp);
        let text = || value.to_owned();
        let typed = &mut self.typed;
        match key {
            Key::Help => return Err(Stop::Print(usage(role))),
            Key::Version => return Err(Stop::Print(format!("{VERSION}\n"))),
            Key::Override => self.overrides.push(text()),
            Key::Schema => self.schema = text(),
            Key::Interactive => self.interactive = true,
            Key::Configure => once(&mut self.config, text(), given)?,
            Key::BackoffLimit => {
                once(&mut typed.backoff_limit, number(value).map_err(wrong)?, given)?
            }
            Key::StartTimeout => {
                once(&mut typed.start_timeout, number(value).map_err(wrong)?, given)?
            }
            Key::Daemon => typed.daemon = Some(true),
            Key::Forever => typed.forever = Some(true),
            Key::SocketName => {
                once(&mut typed.socket_name, paths::socket(value).map_err(wrong)?, given)?
            }
            Key::Directory => {
                once(&mut typed.directory, paths::directory(value).map_err(wrong)?, given)?
            }
            Key::ExitCodes => {
                once(&mut typed.exit_codes, exit_codes(value).map_err(wrong)?, given)?
            }
            Key::Umask => {
                let mask = int(value, 8).map_err(wrong)?.clamp(0, 0o777);
                once(&mut typed.umask, clamp(mask), given)?;
            }
            Key::User => once(&mut typed.user, text(), given)?,
            Key::Transcript => once(&mut typed.transcript, text(), given)?,
            Key::Logfile => once(&mut typed.logfile, text(), given)?,
            Key::Program => {
                let words = value.split_whitespace().map(str::to_owned).collect();
                once(&mut typed.program, words, given)?;
            }
        }
        Ok(())
    }
}

/// The same thing may be said twice, but not two things.
fn once<T: PartialEq>(place: &mut Option<T>, value: T, given: &Given) -> Result<(), String> {
    match place {
        Some(old) if *old != value => {
            Err(format!("conflicting command line option {}", repr(&shown(given))))
        }
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

/// Less than nothing is nothing, here.
fn clamp(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn exit_codes(text: &str) -> Result<Vec<i32>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let code = |piece| int(piece, 10).map(|code| i32::try_from(code).unwrap_or(i32::MAX));
    text.split(',').map(code).collect()
}

/// Reads the file of `-C`, a path or a `file:` URL.
fn load(name: &str, overrides: &[String]) -> Result<config::Zdaemon, String> {
    let path = match name.strip_prefix("file:") {
        Some(url) => {
            decoded(url.strip_prefix("//localhost").or(url.strip_prefix("//")).unwrap_or(url))
        }
        None if name.contains("://") => {
            return Err(format!("error opening URL {name}: lar reads files only"));
        }
        None => name.to_owned(),
    };
    let path = paths::absolute(&path);
    let bytes = std::fs::read(&path)
        .map_err(|error| format!("error opening file {path}: {}", os_error(&error, Some(&path))))?;
    config::zdaemon(&path, &bytes, overrides, &Machine::new())
}

/// A URL's path as it is: `%20` is a blank.
fn decoded(url: &str) -> String {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What `-h` prints.
fn usage(role: Role) -> String {
    let (head, own) = match role {
        Role::Client => (
            "lar as zdaemon: start, stop and look at one program that is kept running.\n\n\
             usage: zdaemon [OPTIONS] [ACTION [ARGUMENTS]]\n",
            "-i, --interactive           a shell for actions, after the action if there is one\n\
             -l, --logfile FILE          what the action logtail shows\n\
             -p, --program \"WORD...\"     the program and its arguments, parted by blanks\n\
             -T, --start-timeout SECONDS how long start and restart wait (default 300)\n",
        ),
        Role::Manager => (
            "lar as zdaemon's manager: run one program, and run it again when it dies.\n\n\
             usage: zdrun [OPTIONS] PROGRAM [ARGUMENTS]\n",
            "",
        ),
    };
    let mut options: Vec<&str> = COMMON.lines().chain(own.lines()).collect();
    options.sort_by_key(|line| line.trim_start_matches('-').to_lowercase());
    let tail = match role {
        Role::Client => {
            "\nThe action `help` lists the actions. Without one, on a terminal: a shell.\n"
        }
        Role::Manager => "",
    };
    format!("{head}\noptions:\n  {}\n{tail}", options.join("\n  "))
}

const COMMON: &str = "\
-b, --backoff-limit SECONDS the longest wait between two starts (default 10)
-C, --configure FILE        read this file; a file: URL is fine, too
-d, --daemon                go into the background, whatever the file says
-f, --forever               never give up
-h, --help                  print this
-m, --umask OCTAL           the program's umask (default 022)
-S, --schema FILE           accepted, not used
-s, --socket-name PATH      the control socket (default zdsock)
-t, --transcript FILE       where the program's output goes (default /dev/null)
-u, --user USER             whom everything runs as, a name or a number
--version                   print the version of zdaemon that lar stands in for
-X SECTION/KEY=VALUE        say this instead of what the file says
-x, --exit-codes LIST       exit codes that end it for good (default 0,2)
-z, --directory DIRECTORY   where the program runs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_it_is_written() {
        assert_eq!(decoded("/a%20b/%C3%A9.conf"), "/a b/é.conf");
        assert_eq!(decoded("/100%/%zz%2"), "/100%/%zz%2");
    }

    fn read(role: Role, line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        Options::read(role, &words).map_err(|stop| match stop {
            Stop::Wrong(text) => text,
            Stop::Print(text) => text,
        })
    }

    #[test]
    fn the_command_line_is_read_into_a_runner() {
        let line = "-p sleep -b3 -df -x 1,2 -m 0 -T5 -t /t -l /l -u www -s /zdsock -z / start 100";
        let options = read(Role::Client, line).unwrap();
        let expected = Runner {
            program: Some(vec!["sleep".into()]),
            backoff_limit: Some(3),
            daemon: Some(true),
            forever: Some(true),
            exit_codes: Some(vec![1, 2]),
            umask: Some(0),
            start_timeout: Some(5),
            transcript: Some("/t".into()),
            logfile: Some("/l".into()),
            user: Some("www".into()),
            socket_name: Some("/zdsock".into()),
            directory: Some("/".into()),
            ..Runner::default()
        };
        assert_eq!(options.typed, expected);
        assert_eq!(options.words, ["start", "100"]);
    }

    #[test]
    fn a_manager_takes_its_program_from_its_words_and_knows_fewer_options() {
        let options = read(Role::Manager, "-S schema.xml -m 0o22 sleep -x 5").unwrap();
        assert_eq!(options.runner.program.unwrap(), ["sleep", "-x", "5"]);
        assert_eq!(options.runner.umask, Some(0o22));
        for (line, expected) in [
            ("-p x", "option -p not recognized"),
            ("-l x", "option -l not recognized"),
            ("-T 1", "option -T not recognized"),
            ("-i", "option -i not recognized"),
            ("--prog x", "option --prog not recognized"),
            ("-d", "no program specified (use positional args)"),
        ] {
            assert_eq!(read(Role::Manager, line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn every_option_stands_in_its_help() {
        for (role, count) in [(Role::Client, 18), (Role::Manager, 14)] {
            let text = usage(role);
            for (_, short, long, _) in &OPTIONS[..count] {
                assert!(text.contains(&format!("--{long}")), "{long}");
                assert!(
                    short.is_none_or(|letter| text.contains(&format!("  -{letter}"))),
                    "{short:?}"
                );
            }
            assert_eq!(text.lines().filter(|line| line.starts_with("  -")).count(), count);
        }
    }
}
