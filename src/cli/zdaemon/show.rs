//! zdaemon's `show`: the options as they are understood, and what it is that runs.

use super::client::{Client, say};
use super::{help, options};
use crate::python::{List, repr};

/// `show`, `show options`, `show python` or `show all`.
pub(super) fn show(client: &Client, what: &str) {
    match what {
        "" | "options" => options(client),
        "python" => program(),
        "all" => {
            options(client);
            say("");
            program();
        }
        _ => {
            say(format_args!("'ZDCmd' object has no attribute 'show_{what}'"));
            say(help::SHOW);
        }
    }
}

/// A string, or Python's word for none.
fn maybe(text: Option<&str>) -> String {
    text.map_or_else(|| "None".into(), repr)
}

/// A flag: 1 if it was typed, a boolean if the file said it, else its default.
fn flag(typed: Option<bool>, file: Option<bool>, default: bool) -> String {
    match (typed, file) {
        (Some(typed), _) => i32::from(typed).to_string(),
        (None, Some(true)) => "True".into(),
        (None, Some(false)) => "False".into(),
        (None, None) => i32::from(default).to_string(),
    }
}

fn options(client: &Client) {
    let options = &client.options;
    let (all, typed) = (&options.runner, &options.typed);
    let file = options.file.as_ref();
    let python = all.python.clone().unwrap_or_else(own_file);
    say("zdctl/zdrun options:");
    let line = |name: &str, value: String| say(format_args!("{:<14}{value}", format!("{name}:")));
    line("schemafile", repr(&options.schema));
    line("configfile", maybe(options.config.as_deref()));
    line("zdrun", maybe(all.zdrun.as_deref()));
    line("python", repr(&python));
    line("program", List(client.program()).to_string());
    line("backofflimit", all.backoff_limit().to_string());
    line("daemon", flag(typed.daemon, file.map(|it| it.daemon()), true));
    line("forever", flag(typed.forever, file.map(|it| it.forever()), false));
    line("sockname", repr(all.socket_name()));
    line("exitcodes", format!("{:?}", all.exit_codes()));
    line("user", maybe(all.user.as_deref()));
    line("umask", format!("{:#o}", all.umask()));
    line("directory", maybe(all.directory.as_deref()));
    line("logfile", maybe(all.logfile.as_deref()));
    line("transcript", repr(all.transcript()));
}

/// zdaemon tells which Python runs it. There is none; so this tells what there is instead.
fn program() {
    let here = std::env::current_dir().unwrap_or_default();
    let arguments: Vec<String> =
        std::env::args_os().map(|it| it.to_string_lossy().into_owned()).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    say("Python info:");
    let (own, theirs) = (env!("CARGO_PKG_VERSION"), options::VERSION);
    say(format_args!("Version:      lar {own} in place of zdaemon {theirs}; there is no Python"));
    say(format_args!("Platform:     {}", std::env::consts::OS));
    say(format_args!("Executable:   {}", repr(&own_file())));
    say(format_args!("Arguments:    {}", List(&arguments)));
    say(format_args!("Directory:    {}", repr(&here.to_string_lossy())));
    say("Path:");
    for directory in std::env::split_paths(&path) {
        say(format_args!("    {}", repr(&directory.to_string_lossy())));
    }
}

fn own_file() -> String {
    std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned()
}
