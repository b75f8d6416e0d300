//! `lar -C FILE`: a manager of services.

use std::ffi::OsString;

use lexopt::prelude::*;

use super::machine::Machine;
use super::source::Configuration;
use super::{complain, usage_error, zdaemon};
use crate::config;
use crate::exit::Code;
use crate::plan::Plan;
use crate::run::voice::Voice;
use crate::run::{Start, run};
use crate::sys::spawn::Given;
use crate::sys::{boot, daemon, fd};
use crate::time::Duration;

/// The file that is read when none is named.
pub(super) const FILE: &str = "/etc/lar.conf";

/// How long an orderly end may take as PID 1 of a container, if nobody says: runtimes send KILL after 10 s, and
/// lar wants to have ended by itself before that.
pub(super) const IN_CONTAINER: Duration = Duration::from_secs(9);

/// Everywhere else.
pub(super) const ELSEWHERE: Duration = Duration::from_secs(60);

/// What the command line says.
struct Options {
    file: String,
    daemon: bool,
    foreground: bool,
}

/// `lar`, `lar -C FILE [--daemon | --foreground]`.
pub fn main(args: Vec<OsString>) -> u8 {
    let options = match parse(args) {
        Ok(options) => options,
        Err(error) => return usage_error(&error.to_string()),
    };
    let bytes = match std::fs::read(&options.file) {
        Ok(bytes) => bytes,
        Err(error) => {
            complain(&format!("{}: {error}; nothing was started", options.file));
            return Code::BadConfig as u8;
        }
    };
    let reading = config::read(&options.file, &bytes, &Machine::new());
    for diagnostic in &reading.diagnostics {
        // Errors end here; warnings are for `lar check`, but nobody should have to know that.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("{diagnostic}\n").as_bytes());
    }
    let Some(mut plan) = reading.plan else {
        complain(&format!("{}: errors; nothing was started", options.file));
        return Code::BadConfig as u8;
    };
    plan.settings.daemon = (plan.settings.daemon || options.daemon) && !options.foreground;
    start(plan, Some(options.file), None)
}

fn parse(args: Vec<OsString>) -> Result<Options, lexopt::Error> {
    let mut options = Options { file: FILE.into(), daemon: false, foreground: false };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('C') | Long("configure") => options.file = parser.value()?.string()?,
            Short('d') | Long("daemon") => options.daemon = true,
            Long("foreground") => options.foreground = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// Starts a manager of services and waits for its end.
pub(super) fn start(
    mut plan: Plan,
    config_path: Option<String>,
    voice: Option<Box<dyn Voice>>,
) -> u8 {
    let pid1 = boot::is_pid1();
    // In the background it is somewhere else.
    let here = |path: &String| std::path::absolute(path).ok()?.into_os_string().into_string().ok();
    let source = Configuration { file: config_path.as_ref().and_then(here) };
    let mut voice = voice;
    if plan.settings.runner.is_some() {
        zdaemon::manager::prepare(&mut plan, None);
        voice.get_or_insert_with(|| Box::new(zdaemon::log::Words::of(&plan)));
    }
    let usual = if pid1 { IN_CONTAINER } else { ELSEWHERE };
    plan.settings.shutdown_timeout.get_or_insert(usual);
    // What somebody left open for us is not ours, and a pipe held open by PID 1 never ends; but for what is named.
    let passed = plan.services.iter().flat_map(|service| &service.setup.pass_fds);
    let passed: Vec<i32> = passed.copied().collect();
    let inherited = match fd::keep_inherited(&passed) {
        Ok(inherited) => inherited,
        Err(number) => {
            complain(&format!(
                "pass-fds {number}: lar was not given such an fd; nothing was started"
            ));
            return Code::Failed as u8;
        }
    };
    // PID 1 has nobody to go into the background for.
    let background = plan.settings.daemon && !pid1;
    let startup = match background.then(daemon::go_to_background).transpose() {
        Ok(startup) => startup,
        Err(errno) => {
            complain(&format!("going into the background: {errno}; nothing was started"));
            return Code::Failed as u8;
        }
    };
    if let Some(directory) = plan.settings.directory.as_deref().filter(|_| background)
        && let Err(error) = std::env::set_current_dir(directory)
    {
        complain(&format!("directory {directory}: {error}; staying where we are"));
    }
    for warning in crate::logger::init(&plan.event_log) {
        complain(&warning.to_string());
    }
    let given = Given::collect();
    let start = Start {
        plan,
        config_path,
        source: Some(Box::new(source)),
        foreground: !background,
        control: true,
        startup,
        given,
        inherited,
        voice,
        report: None,
    };
    end(run(start))
}

/// The exit code of a run, with its error told.
pub(super) fn end(result: Result<u8, crate::run::StartError>) -> u8 {
    result.unwrap_or_else(|error| {
        complain(&error.to_string());
        Code::Failed as u8
    })
}
