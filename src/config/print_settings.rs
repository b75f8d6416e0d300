//! From a plan back to text: the manager's own part, in the syntax it is read in.
//!
//! What only the running manager finds out (which of the usual sockets it could have) is a comment here.

use super::settings::POLICIES;
use super::value::print_duration;
use super::words;
use crate::plan::{ExitPolicy, Level, Listen, Settings, Socket};
use crate::time::Duration;

/// The lines of `<lar>` and `<eventlog>`, whose level is `level`; `main`: whether a service is the main one.
pub fn settings_lines(settings: &Settings, level: Level, main: bool) -> Vec<String> {
    let quoted = |text: &String| words::quote(text).replace('%', "%%");
    let usual = if main { ExitPolicy::Main } else { ExitPolicy::Critical };
    let policy = settings.exit_policy.unwrap_or(usual);
    let policy = POLICIES.iter().find(|(_, known)| *known == policy).map(|(name, _)| *name);
    // Single-program mode waits for ever, which is nothing that could be written in a file.
    let timeout = settings.shutdown_timeout.filter(|&timeout| timeout != Duration::MAX);
    let rate = settings.spawn_rate.map_or("none".to_owned(), |rate| rate.to_string());
    let pairs = [
        ("socket-name", settings.socket.as_ref().map(quoted)),
        ("socket-mode", Some(format!("{:03o}", settings.socket_mode))),
        ("exit-policy", policy.map(str::to_owned)),
        ("shutdown-timeout", timeout.map(print_duration)),
        ("pid-file", settings.pid_file.as_ref().map(quoted)),
        ("spawn-rate", Some(rate)),
    ];
    let mut lines = vec!["<lar>".to_owned()];
    if settings.socket.is_none() {
        lines.push("  # socket-name: the first of the usual places that can be used".to_owned());
    }
    lines.extend(pairs.into_iter().filter_map(|(key, value)| Some(format!("  {key} {}", value?))));
    lines.push("</lar>".to_owned());
    let level = format!("  level {}", level_word(level));
    lines.extend(["<eventlog>".to_owned(), level, "</eventlog>".to_owned()]);
    lines
}

/// The lines of the sections of all sockets.
pub fn socket_lines<'a>(sockets: impl Iterator<Item = &'a Socket>) -> Vec<String> {
    sockets.flat_map(one_socket).collect()
}

/// The lines of a `<socket>`.
pub fn one_socket(socket: &Socket) -> Vec<String> {
    let mut lines = vec![format!("<socket {}>", socket.name)];
    let quoted = |text: &str| words::quote(text).replace('%', "%%");
    lines.push(match &socket.listen {
        Listen::Unix(path) => format!("  listen unix {}", quoted(path)),
        other => format!("  listen {other}"),
    });
    lines.push(format!("  backlog {}", socket.backlog));
    if matches!(&socket.listen, Listen::Unix(path) if !path.starts_with('@')) {
        lines.push(format!("  mode {:04o}", socket.mode));
        lines.extend(socket.user.map(|user| format!("  user {user}")));
        lines.extend(socket.group.map(|group| format!("  group {group}")));
    }
    lines.push("</socket>".to_owned());
    lines
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_managers_own_part_is_what_holds_not_only_what_was_said() {
        let lines = settings_lines(&Settings::default(), Level::Info, false);
        assert!(lines.contains(&"  exit-policy critical".to_owned()), "{lines:?}");
        assert!(lines.contains(&"  socket-mode 600".to_owned()), "{lines:?}");
        let settings = Settings {
            socket: Some("/run/my lar".to_owned()),
            shutdown_timeout: Some(Duration::from_secs(9)),
            spawn_rate: None,
            ..Settings::default()
        };
        let lines = settings_lines(&settings, Level::Info, false);
        assert_eq!(lines[1], "  socket-name \"/run/my lar\"");
        assert_eq!(lines[4..7], ["  shutdown-timeout 9s", "  spawn-rate none", "</lar>"]);
    }
}
