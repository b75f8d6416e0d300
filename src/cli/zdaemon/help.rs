//! zdaemon's `help`. The topics are part of how zdaemon is talked to: programs that extend it compare them.

use super::client::say;

/// A command, with its help.
pub(super) struct Topic {
    pub(super) name: &'static str,
    /// Whether only the shell knows it.
    pub(super) shell: bool,
    text: &'static str,
}

/// What is the same under two names.
const FOREGROUND: &str = "foreground -- Run the program in the forground.
fg -- an alias for foreground.";

const fn topic(name: &'static str, text: &'static str) -> Topic {
    Topic { name, shell: false, text }
}

const fn shells(name: &'static str, text: &'static str) -> Topic {
    Topic { name, shell: true, text }
}

/// All of them, in the order in which they are listed.
pub(super) const TOPICS: [Topic; 17] = [
    shells("EOF", "To quit, type ^D or use the quit command."),
    topic("fg", FOREGROUND),
    topic("foreground", FOREGROUND),
    topic(
        "help",
        "help          -- Print a list of available actions.
help <action> -- Print help for <action>.",
    ),
    topic(
        "kill",
        "kill [sig] -- Send signal sig to the daemon process.
              The default signal is SIGTERM.",
    ),
    topic(
        "logreopen",
        "logreopen -- Send a SIGUSR2 signal to the daemon process.
             This is designed to reopen the log file.
             Also reopens the transcript log file.",
    ),
    topic(
        "logtail",
        "logtail [logfile] -- Run tail -f on the given logfile.
                     A default file may exist.
                     Hit ^C to exit this mode.",
    ),
    shells(
        "quit",
        "quit -- Exit the zdctl shell.
        If the daemon process is not running,
        stop the daemon manager.",
    ),
    shells(
        "reload",
        "reload [options] -- Reload the configuration.
    Without options, this reparses the command line.
    With options, this substitutes 'options' for the
    command line, except that if no -C option is given,
    the last configuration file is used.",
    ),
    topic(
        "reopen_transcript",
        "reopen_transcript -- Reopen the transcript log file.
                     Use after log rotation.",
    ),
    topic("restart", "restart -- Stop and then start the daemon process."),
    shells(
        "shell",
        "shell [command] -- Execute a shell command.
                   Without a command, start an interactive sh.
An alias for this command is ! [command]",
    ),
    topic("show", SHOW),
    topic(
        "start",
        "start -- Start the daemon process.
         If it is already running, do nothing.",
    ),
    topic(
        "status",
        "status [-l] -- Print status for the daemon process.
               With -l, show raw status output as well.",
    ),
    topic(
        "stop",
        "stop -- Stop the daemon process.
        If it is not running, do nothing.",
    ),
    topic("wait", "wait -- Wait for the daemon process to exit."),
];

/// `help show`; also what `show` says to a word that it does not know.
pub(super) const SHOW: &str = "show options -- show zdctl options
show python -- show Python version and details
show all -- show all of the above";

/// The columns of a terminal, less one.
const WIDTH: usize = 79;

/// The commands, or one of them.
pub(super) fn show(topic: &str, shell: bool) {
    let mut known = TOPICS.iter().filter(|topic| shell || !topic.shell);
    if topic.is_empty() {
        let names: Vec<&str> = known.map(|topic| topic.name).collect();
        let header = "Documented commands (type help <topic>):";
        let ruler = "=".repeat(header.len());
        say(format_args!("\n{header}\n{ruler}\n{}\n", columns(&names)));
        return;
    }
    match known.find(|known| known.name == topic) {
        Some(found) => say(found.text),
        None => say(format_args!("*** No help on {topic}")),
    }
}

/// Words in as few rows as fit, read downwards; each column as wide as its longest word.
pub(super) fn columns(words: &[&str]) -> String {
    let widths = |rows: usize| -> Vec<usize> {
        words
            .chunks(rows)
            .map(|column| column.iter().map(|word| word.len()).max().unwrap_or(0))
            .collect()
    };
    let fits = |rows: &usize| {
        let widths = widths(*rows);
        widths.iter().sum::<usize>() + 2 * (widths.len() - 1) <= WIDTH
    };
    let count = words.len().max(1);
    let rows = (1..count).find(fits).unwrap_or(count);
    let widths = widths(rows);
    let row = |row: usize| -> String {
        let words = words.iter().skip(row).step_by(rows).zip(&widths);
        words.map(|(word, &width)| format!("{word:width$}")).collect::<Vec<_>>().join("  ")
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_laid_out_in_columns() {
        assert_eq!(columns(&["one"]), "one");
        assert_eq!(columns(&["a", "bb", "c"]), "a  bb  c");
        let words: Vec<String> = (0..30).map(|number| format!("word-{number:02}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let text = columns(&words);
        let first = text.lines().next();
        assert_eq!(
            first,
            Some("word-00  word-04  word-08  word-12  word-16  word-20  word-24  word-28")
        );
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        let long = "x".repeat(100);
        assert_eq!(columns(&[&long, &long]), format!("{long}\n{long}"));
    }
}
