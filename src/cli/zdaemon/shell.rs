//! The interactive shell of zdaemon 2, which zdaemon 3 has taken out: the actions, and a few commands of its own.

use std::process::Command;

use super::client::{Client, Outcome, complain, say};
use super::commands::{Next, conclude};
use super::help::TOPICS;
use super::options::{Options, Role, Stop};
use super::start::{attend, failed};
use super::wire::Cut;
use crate::cli::editor::{Editor, Typed};
use crate::exit::Code;
use crate::sys::variables;

/// Shows how things are, then does what is typed until `quit` or the end of the input. It always ends with 0.
pub(super) fn run(client: &mut Client) -> u8 {
    client.shell = true;
    say(format_args!("program: {}", client.program().join(" ")));
    let mut editor = Editor::new();
    let mut next = client.status("");
    loop {
        match next {
            Ok(Next::Leave) => return Code::Done as u8,
            Ok(Next::Done(_)) => {}
            Err(Cut::Interrupted) => say(""),
            Err(cut @ Cut::Ended(_)) => return cut.told(),
            Err(cut @ Cut::Deaf(_)) => drop(cut.told()),
        }
        let typed = editor.read(&prompt(client), &complete);
        next = match typed {
            Ok(Typed::Line(line)) => client.obey(&line),
            Ok(Typed::Cancelled) => Ok(Next::Done(Code::Done as u8)),
            Ok(Typed::End) => client.obey("EOF"),
            Err(error) => {
                complain(format_args!("{}: {error}", client.name));
                return Code::Done as u8;
            }
        };
    }
}

fn prompt(client: &Client) -> String {
    let prompt = client.options.runner.prompt.clone();
    format!("{} ", prompt.unwrap_or_else(|| format!("{}>", basename(&client.name))))
}

/// `lar zdaemon` and `/usr/bin/zdaemon.py` are `zdaemon`.
fn basename(name: &str) -> &str {
    let name = name.rsplit(['/', ' ']).next().unwrap_or(name);
    name.strip_suffix(".py").unwrap_or(name)
}

/// What the last word of a line may become.
fn complete(line: &str) -> Vec<String> {
    let (before, word) = line.rsplit_once(' ').unwrap_or(("", line));
    let names = TOPICS.iter().map(|topic| topic.name);
    let words: Vec<&str> = match before.trim() {
        "" | "help" | "?" => names.collect(),
        "show" => vec!["options", "python", "all"],
        "status" => vec!["-l"],
        _ => Vec::new(),
    };
    words.into_iter().filter(|it| it.starts_with(word)).map(str::to_owned).collect()
}

/// The commands that only the shell has; `None` for those that are not known.
pub(super) fn command(
    client: &mut Client,
    command: &str,
    argument: &str,
) -> Result<Option<Next>, Cut> {
    let done = Next::Done(Code::Done as u8);
    Ok(Some(match command {
        "EOF" => {
            say("");
            Next::Leave
        }
        "quit" => {
            quit(client)?;
            Next::Leave
        }
        "shell" => {
            system(client, argument)?;
            done
        }
        "reload" => {
            reload(client, argument);
            done
        }
        _ => return Ok(None),
    }))
}

/// A manager without its program has nothing to do any more; one of zdaemon 2 has a word for that.
fn quit(client: &mut Client) -> Result<(), Cut> {
    client.refresh()?;
    if !client.status.up {
        say("daemon manager not running");
    } else if client.status.pid != 0 {
        say("daemon process and daemon manager still running");
    } else {
        say("daemon process not running; stopping daemon manager");
        client.send(if client.status.old { "exit" } else { "stop" })?;
        match client.awhile(|status| !status.up, None, None)? {
            // That it has gone is what was wanted.
            Outcome::Reached | Outcome::Gone => {
                conclude(Outcome::Reached, "daemon manager stopped")
            }
            outcome => conclude(outcome, ""),
        };
    }
    Ok(())
}

/// Runs a command, or another shell.
fn system(client: &Client, line: &str) -> Result<(), Cut> {
    let other = std::env::var("SHELL").ok().filter(|shell| !shell.is_empty());
    let line = match line {
        "" => other.as_deref().unwrap_or("/bin/sh"),
        line => line,
    };
    match attend(Command::new("/bin/sh").arg("-c").arg(line), false)? {
        Ok(true) => say(""),
        Ok(false) => {}
        Err(error) => drop(failed(&client.name, &error)),
    }
    Ok(())
}

/// Reads the options anew, the file with them. The words behind the options were for the beginning.
fn reload(client: &mut Client, argument: &str) {
    match reread(client, argument) {
        Ok(options) => {
            for (name, value) in &options.environment {
                variables::set(name, value);
            }
            match &options.config {
                Some(name) => say(format_args!("Configuration reloaded from {name}")),
                None => say("Configuration reloaded without a config file"),
            }
            client.options = options;
        }
        Err(stop) => {
            super::stopped(&client.name, stop);
            say("Configuration not reloaded");
        }
    }
}

/// With words, these are instead of the command line, but for its file unless they name another.
fn reread(client: &Client, argument: &str) -> Result<Options, Stop> {
    if argument.is_empty() {
        return Options::read(Role::Client, &client.line);
    }
    let mut words: Vec<String> = argument.split_whitespace().map(str::to_owned).collect();
    let glance = Options::glance(&words)?;
    if glance.words {
        return Err(Stop::Wrong("positional arguments are not supported".into()));
    }
    if let (false, Some(name)) = (glance.file, &client.options.config) {
        words.splice(..0, ["-C".to_owned(), name.clone()]);
    }
    Options::read(Role::Client, &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_where_they_stand() {
        assert_eq!(complete("st"), ["start", "status", "stop"]);
        assert_eq!(complete("show p"), ["python"]);
        assert_eq!(complete("help q"), ["quit"]);
        assert_eq!(complete("kill "), [""; 0]);
    }

    #[test]
    fn the_prompt_is_the_programs_name() {
        assert_eq!(basename("/usr/bin/zdctl.py"), "zdctl");
        assert_eq!(basename("lar zdaemon"), "zdaemon");
    }
}
