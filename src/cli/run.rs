//! `lar run 'NAME: COMMAND'...` and `lar run -f Procfile`: several commands in the foreground, without a file of
//! lar's own. `lar config --from-procfile` writes that file.

use std::ffi::OsString;
use std::path::Path;

use lexopt::prelude::*;

use super::machine::{self, Machine};
use super::{complain, manager, print, usage_error};
use crate::config::{self, procfile};
use crate::exit::Code;

/// Where the first program of a Procfile finds its PORT, if nobody says.
const PORT: u32 = 5000;

/// The most instances that one word of a command line can ask for.
const MOST: u32 = 10_000;

/// What the command line says.
#[derive(Default)]
struct Options {
    procfile: Option<String>,
    root: Option<String>,
    environment: Vec<String>,
    counts: Vec<(String, u32)>,
    port: Option<u32>,
    group: Option<String>,
    socket: Option<String>,
    input: bool,
    words: Vec<String>,
}

/// Starts them all and waits for their end.
pub fn main(args: Vec<OsString>) -> u8 {
    let text = parse(args).and_then(|options| match &options.procfile {
        Some(path) => translated(path, &options),
        None => sections(&options),
    });
    let text = match text {
        Ok(text) => text,
        Err(message) => return usage_error(&message),
    };
    let reading = config::read("lar run", text.as_bytes(), &Machine::new());
    for diagnostic in &reading.diagnostics {
        complain(&diagnostic.to_string());
    }
    match reading.plan {
        Some(plan) => manager::start(plan, None, None),
        None => Code::Usage as u8,
    }
}

/// `lar config --from-procfile [FILE]`: prints what `lar run -f FILE` would do, as a file for `lar -C`.
pub fn config(mut args: Vec<OsString>) -> u8 {
    if args.first().is_none_or(|word| word != "--from-procfile") {
        return usage_error(
            "lar config --from-procfile [FILE] writes a file; `lar ctl config` shows a manager's",
        );
    }
    args.remove(0);
    let text = parse(args).and_then(|options| {
        let path = match options.words.first() {
            Some(path) => path.clone(),
            None => "Procfile".into(),
        };
        let only = options.words.get(1..).unwrap_or_default().to_vec();
        translated(&path, &Options { words: only, ..options })
    });
    match text {
        Ok(text) => print(&text),
        Err(message) => usage_error(&message),
    }
}

fn parse(args: Vec<OsString>) -> Result<Options, String> {
    let wrong = |error: lexopt::Error| error.to_string();
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(wrong)? {
        match arg {
            Short('f') | Long("procfile") => options.procfile = Some(text(&mut parser)?),
            Short('d') | Long("root") => options.root = Some(text(&mut parser)?),
            Short('e') | Long("env") => options.environment.push(text(&mut parser)?),
            Short('c') | Long("concurrency") => {
                options.counts.extend(counts(&text(&mut parser)?)?);
            }
            Short('p') | Long("port") => {
                options.port = Some(port("--port", &text(&mut parser)?)?);
            }
            Short('i') | Long("input") => options.input = true,
            Short('s') | Long("socket") => options.socket = Some(text(&mut parser)?),
            Long("app") => options.group = Some(text(&mut parser)?),
            Value(word) => options.words.push(word.string().map_err(wrong)?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(options)
}

/// The value of an option.
fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
}

fn port(what: &str, text: &str) -> Result<u32, String> {
    let port = text.parse::<u16>().ok().filter(|&port| port > 0);
    port.map(u32::from).ok_or_else(|| format!("{what} {text}: not a port, 1 to 65535"))
}

/// `web=2,worker=1`.
fn counts(text: &str) -> Result<Vec<(String, u32)>, String> {
    let one = |part: &str| {
        let (name, count) = part.split_once('=')?;
        Some((name.to_owned(), count.parse().ok().filter(|count| *count <= MOST)?))
    };
    let each =
        |part| one(part).ok_or_else(|| format!("'{part}' is not NAME=NUMBER, as in -c web=2"));
    text.split(',').map(each).collect()
}

/// A Procfile as a file of lar's. Lines that are none of a Procfile's are told and passed over.
fn translated(path: &str, options: &Options) -> Result<String, String> {
    let bytes = machine::read(Path::new(path))
        .map_err(|error| format!("{path}: {}", machine::cause(&error)))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
    let beside = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty());
    let root = options.root.as_deref().map(Path::new).or(beside).unwrap_or(Path::new("."));
    let absolute = |path: &Path| {
        let path = std::fs::canonicalize(path)
            .map_err(|error| format!("{}: {}", path.display(), machine::cause(&error)))?;
        path.into_os_string()
            .into_string()
            .map_err(|path| format!("{} is not UTF-8", path.display()))
    };
    let root = absolute(root)?;
    let mut environment = vec![format!("{root}/.env")];
    for file in &options.environment {
        environment.push(absolute(Path::new(file))?);
    }
    // What can't be read or is wrong is told when the variables are read for the programs.
    let texts: Vec<String> = environment.iter().flat_map(std::fs::read_to_string).collect();
    let port_said =
        procfile::variable(&texts, "PORT").map(|text| port("PORT", &text)).transpose()?;
    let said = |name| procfile::variable(&texts, name).is_some_and(|it| procfile::says_yes(&it));
    environment[0].insert(0, '-');
    let setting = procfile::Setting {
        root,
        environment,
        counts: options.counts.clone(),
        only: options.words.clone(),
        port: options.port.or(port_said).unwrap_or(PORT),
        identity: ["GAFFER_UID", "GAFFER_GID"].map(|name| procfile::variable(&texts, name)),
        input: options.input || said("GAFFER_REDIRECT_INPUT"),
        group: options.group.clone(),
        socket: options.socket.clone(),
    };
    let done =
        procfile::translate(&text, &setting).map_err(|message| format!("{path}: {message}"))?;
    for (number, line) in done.ignored {
        complain(&format!("{path}:{number}: passed over, not NAME: COMMAND: {line}"));
    }
    Ok(done.text)
}

/// Commands as the sections of a file.
fn sections(options: &Options) -> Result<String, String> {
    let Options { words, .. } = options;
    if words.is_empty() {
        return Err("nothing to run: lar run 'NAME: COMMAND'..., or lar run -f Procfile".into());
    }
    let Options { root: None, counts, port: None, group: None, environment, .. } = options else {
        return Err("-d, -p and --app are for a Procfile: lar run -f Procfile".into());
    };
    if !counts.is_empty() || !environment.is_empty() {
        return Err("-c and -e are for a Procfile: lar run -f Procfile".into());
    }
    let head = procfile::manager(options.socket.as_deref()) + &procfile::commands(options.input);
    let services: Result<String, String> = words.iter().map(|word| section(word)).collect();
    Ok(head + &services?)
}

fn section(arg: &str) -> Result<String, String> {
    if arg.contains(['\n', '\r', '\0']) {
        return Err("a command is one line".into());
    }
    // A name may have a group (`shop:web`), so the colon that ends it is the one with a blank after it.
    let (name, command) = arg
        .split_once(": ")
        .ok_or_else(|| format!("'{arg}' is not 'NAME: COMMAND' (with a blank after the colon)"))?;
    Ok(procfile::service(name.trim(), command.trim(), 1, None))
}
