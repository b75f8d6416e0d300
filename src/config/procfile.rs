//! A Procfile, as foreman and gaffer have it, made into the configuration that does the same.
//!
//! The way leads over text, so that `lar run -f Procfile` does just what the file would that
//! `lar config --from-procfile` writes.

use core::fmt::Write;

use super::{environment, names, words};

/// What goes with a Procfile.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where the programs run: an absolute path.
    pub root: String,
    /// Files of variables, later ones win; one with a `-` before it may be missing.
    pub environment: Vec<String>,
    /// How many of each, where not one: `web=2`.
    pub counts: Vec<(String, u32)>,
    /// Only these, if any are named.
    pub only: Vec<String>,
    /// The first program's PORT. Each has a hundred of its own, and each instance one of these.
    pub port: u32,
    /// Whom they run as: a user and a group.
    pub identity: [Option<String>; 2],
    /// Whether what they read is a pipe for `lar ctl send`, and not /dev/null.
    pub input: bool,
    /// The programs' group.
    pub group: Option<String>,
    /// Where `lar ctl` reaches the manager, if not in the usual place.
    pub socket: Option<String>,
}

/// A name and a command.
type Program<'a> = (&'a str, &'a str);

/// How far apart the ports of two programs are.
const PORTS: u32 = 100;

/// What lets a program be sent something.
const INPUT: &str = "  stdin pipe\n";

/// What makes a command one for the shell: the rest is run as it is.
const SHELL: &[char] = &['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '{', '~'];

/// First words that only a shell understands.
const BUILTIN: [&str; 27] = [
    "!", ".", ":", "alias", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if",
    "read", "readonly", "set", "shift", "source", "trap", "type", "ulimit", "umask", "unalias",
    "unset", "until", "wait", "while",
];

/// The configuration, and what the lines were that are no `NAME: COMMAND`, with their numbers.
#[derive(Debug, PartialEq, Eq)]
pub struct Translation {
    /// The text of a configuration file.
    pub text: String,
    /// What was passed over.
    pub ignored: Vec<(usize, String)>,
}

/// Translates a Procfile. What can't be done with the settings, or that nothing is left to do, is the error.
pub fn translate(procfile: &str, setting: &Setting) -> Result<Translation, String> {
    let (programs, ignored) = programs(procfile);
    let known = |name: &str| programs.iter().any(|(known, _)| *known == name);
    let asked = setting.only.iter().chain(setting.counts.iter().map(|(name, _)| name));
    for name in asked {
        if !known(name) {
            let all = programs.iter().map(|(name, _)| *name);
            return Err(match crate::nearest::nearest(name, all.clone()) {
                Some(near) => format!("there is no program '{name}'; did you mean '{near}'?"),
                None => format!("there is no program '{name}', but {}", crate::nearest::list(all)),
            });
        }
    }
    let mut text = manager(setting.socket.as_deref()) + &defaults(setting);
    let mut any = false;
    for (index, (name, command)) in (0u32..).zip(&programs) {
        let count = setting.counts.iter().rev().find(|(known, _)| known == name);
        let count = count.map_or(1, |(_, count)| *count);
        if count == 0 || !setting.only.is_empty() && !setting.only.iter().any(|it| it == name) {
            continue;
        }
        any = true;
        let name = match &setting.group {
            Some(group) => format!("{group}:{name}"),
            None => (*name).to_string(),
        };
        let port = setting.port.saturating_add(index.saturating_mul(PORTS));
        if port.saturating_add(count) > 65_536 {
            return Err(format!("the port of '{name}' would be {port}, and 65535 is the last one"));
        }
        text.push_str(&service(&name, command, count, Some(port)));
    }
    match any {
        true => Ok(Translation { text, ignored }),
        false => Err("there is no program to run: its lines are NAME: COMMAND".into()),
    }
}

/// The value of a variable in files of them, the last one of all: some mean something to whoever runs a Procfile.
pub fn variable(files: &[String], name: &str) -> Option<String> {
    let mut value = None;
    for text in files {
        environment::assignments(text, |_, line| {
            value = line.ok().filter(|(known, _)| *known == name).map(|it| it.1).or(value.take());
        });
    }
    value
}

/// Whether a variable's value says yes, as gaffer takes it: anything that does not say no.
pub fn says_yes(value: &str) -> bool {
    !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "off")
}

/// One command as a section of a file. With a `port`, it finds PORT in its environment: the next one for each
/// instance, which takes a shell to count.
pub fn service(name: &str, command: &str, instances: u32, port: Option<u32>) -> String {
    let mut text = format!("<service {name}>\n");
    let first = command.split_whitespace().next().unwrap_or_default();
    let mut shell = command.contains(SHELL) || first.contains('=') || BUILTIN.contains(&first);
    let mut command = command.replace('%', "%%");
    if let Some(port) = port.filter(|_| instances > 1) {
        shell = true;
        command = format!("export PORT=$(({} + %i)); {command}", port.saturating_sub(1));
    }
    if shell {
        text.push_str("  shell yes\n");
    }
    if instances > 1 {
        let _ = writeln!(text, "  instances {instances}");
    }
    let _ = writeln!(text, "  program {command}");
    if let Some(port) = port.filter(|_| instances == 1) {
        let _ = writeln!(text, "  <environment>\n    PORT {port}\n  </environment>");
    }
    text.push_str("</service>\n");
    text
}

/// What holds for all commands, if they can be sent something.
pub fn commands(input: bool) -> String {
    if input { format!("<defaults>\n{INPUT}</defaults>\n") } else { String::new() }
}

/// The manager's section, if there is anything to say.
pub fn manager(socket: Option<&str>) -> String {
    let socket = socket.map(|path| format!("<lar>\n  socket-name {}\n</lar>\n", plain(path)));
    socket.unwrap_or_default()
}

/// A word that is read as it is here.
fn plain(word: &str) -> String {
    words::quote(word).replace('%', "%%")
}

fn defaults(setting: &Setting) -> String {
    let mut text = format!("<defaults>\n  directory {}\n", plain(&setting.root));
    for file in &setting.environment {
        let _ = writeln!(text, "  environment-file {}", plain(file));
    }
    for (key, name) in ["user", "group"].iter().zip(&setting.identity) {
        if let Some(name) = name {
            let _ = writeln!(text, "  {key} {}", plain(name));
        }
    }
    if setting.input {
        text.push_str(INPUT);
    }
    text.push_str("  prefix color\n</defaults>\n");
    text
}

/// A name and a command each; and what is neither that nor empty nor a comment.
fn programs(procfile: &str) -> (Vec<Program<'_>>, Vec<(usize, String)>) {
    let mut programs: Vec<Program> = Vec::new();
    let mut ignored = Vec::new();
    for (number, line) in (1..).zip(procfile.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(':').map(|(name, command)| (name.trim_end(), command.trim()));
        match parts {
            Some((name, command)) if !command.is_empty() && names::check(name).is_ok() => {
                // As in foreman: the last one of a name counts.
                programs.retain(|(known, _)| *known != name);
                programs.push((name, command));
            }
            _ => ignored.push((number, line.to_string())),
        }
    }
    (programs, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting {
            root: "/srv/my app".into(),
            environment: vec!["-/srv/my app/.env".into()],
            counts: vec![("web".into(), 2)],
            only: Vec::new(),
            port: 5000,
            identity: [None, Some("www".into())],
            input: false,
            group: None,
            socket: None,
        }
    }

    const PROCFILE: &str =
        "# the shop\nweb: serve --port $PORT 100%\n\nworker: work hard\nnonsense\n";

    #[test]
    fn a_procfile_becomes_a_configuration() {
        let done = translate(PROCFILE, &setting()).unwrap();
        assert_eq!(
            done.text,
            "<defaults>\n  directory \"/srv/my app\"\n  environment-file \"-/srv/my app/.env\"\n  \
             group www\n  prefix color\n\
             </defaults>\n<service web>\n  shell yes\n  instances 2\n  \
             program export PORT=$((4999 + %i)); serve --port $PORT 100%%\n</service>\n\
             <service worker>\n  program work hard\n  <environment>\n    PORT 5100\n  </environment>\n</service>\n"
        );
        assert_eq!(done.ignored, [(5, "nonsense".to_string())]);
    }

    #[test]
    fn only_what_is_asked_for_is_run() {
        let worker = Setting { only: vec!["worker".into()], ..setting() };
        let text = translate(PROCFILE, &worker).unwrap().text;
        assert!(!text.contains("<service web>") && text.contains("<service worker>"));
        let none = Setting { counts: vec![("web".into(), 0)], ..setting() };
        assert!(!translate(PROCFILE, &none).unwrap().text.contains("<service web>"));
        let input = Setting { input: true, ..setting() };
        assert!(translate(PROCFILE, &input).unwrap().text.contains("  stdin pipe\n"));
        let slip = Setting { only: vec!["wroker".into()], ..setting() };
        let error = translate(PROCFILE, &slip).unwrap_err();
        assert_eq!(error, "there is no program 'wroker'; did you mean 'worker'?");
        assert!(translate("# nothing", &Setting { counts: Vec::new(), ..setting() }).is_err());
    }
}
