//! `lar check FILE [--offline] [--schedule]`: what is wrong with a file, without running anything.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use super::machine::{self, Machine, Offline};
use crate::config::{self, Reading, World};
use crate::exit::Code;
use crate::plan::{Delay, Plan, Restart, Rules};
use crate::supervisor::policy::{self, Step};
use crate::time::Human;

/// How many tries are printed of a schedule: more than any preset has before it repeats itself.
const TRIES: usize = 12;

const USAGE: &str = "usage: lar check FILE [--offline] [--schedule]";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request<'a> {
    file: &'a str,
    offline: bool,
    schedule: bool,
}

/// `lar check` with these arguments; see [`check`].
pub fn main(args: Vec<OsString>) -> u8 {
    let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    check(&args)
}

/// Checks a file: problems go to standard error, the verdict to standard output. Returns the exit code: 0, 6
/// (the file has errors) or 2 (bad arguments).
pub fn check(args: &[String]) -> u8 {
    let request = match parse(args) {
        Ok(request) => request,
        Err(message) => {
            super::complain(&format!("{message}\n{USAGE}"));
            return Code::Usage as u8;
        }
    };
    let bytes = match machine::read(Path::new(request.file)) {
        Ok(bytes) => bytes,
        Err(error) => {
            super::complain(&format!("{}: {}", request.file, machine::cause(&error)));
            return Code::BadConfig as u8;
        }
    };
    let machine = Machine::new();
    let world: &dyn World = if request.offline { &Offline } else { &machine };
    let reading = config::read(request.file, &bytes, world);
    complain(&reading);
    let Some(plan) = &reading.plan else { return Code::BadConfig as u8 };
    let mut text = verdict(request.file, plan);
    if request.schedule {
        plan.services.iter().for_each(|it| text.push_str(&schedule(&it.name, &it.rules)));
    }
    // A reader that has left is no error of the file.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Code::Done as u8
}

/// Prints every error and warning of a reading to standard error.
pub fn complain(reading: &Reading) {
    let mut text = String::new();
    for diagnostic in &reading.diagnostics {
        text.push_str(&format!("{diagnostic}\n"));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn parse(args: &[String]) -> Result<Request<'_>, String> {
    let mut request = Request::default();
    let mut files = Vec::new();
    let mut only_files = false;
    for arg in args {
        match arg.as_str() {
            "--" if !only_files => only_files = true,
            "--offline" if !only_files => request.offline = true,
            "--schedule" if !only_files => request.schedule = true,
            option if option.starts_with('-') && !only_files => {
                return Err(format!("unknown option `{option}`"));
            }
            file => files.push(file),
        }
    }
    match files.as_slice() {
        [file] => Ok(Request { file, ..request }),
        [] => Err("which file?".to_string()),
        _ => Err("one file at a time".to_string()),
    }
}

fn verdict(file: &str, plan: &Plan) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let services = count(plan.services.len(), "service");
    format!("{file}: ok, {services}, {}\n", count(plan.instances(), "instance"))
}

/// What follows one failure after another, each at once after its start.
fn schedule(name: &str, rules: &Rules) -> String {
    if rules.restart == Restart::Never {
        return format!("{name}: is not started again\n");
    }
    let steps = policy::schedule(rules, TRIES);
    let ends = steps.last() == Some(&Step::GiveUp);
    let mut words: Vec<String> = steps.iter().map(|step| step_text(*step)).collect();
    if !ends {
        words.push("…".into());
    }
    let jitter = match rules.jitter {
        0 => String::new(),
        _ if rules.delay == Delay::None => String::new(),
        percent => format!(" (± {percent}%)"),
    };
    format!("{name}: {}{jitter}\n", words.join(", "))
}

fn step_text(step: Step) -> String {
    match step {
        Step::Wait(wait) if wait.is_zero() => "at once".into(),
        Step::Wait(wait) => Human(wait).to_string(),
        Step::Cooldown(rest) => format!("rest {}", Human(rest)),
        Step::GiveUp => "gives up".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::GiveUp;
    use crate::time::Duration;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn arguments_are_one_file_and_two_options() {
        let args = words("--offline a.conf --schedule");
        assert_eq!(parse(&args), Ok(Request { file: "a.conf", offline: true, schedule: true }));
        for bad in ["", "a b", "--bogus a"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
        assert_eq!(parse(&words("-- --offline")).unwrap().file, "--offline");
        assert_eq!(check(&words("--bogus")), 2);
        assert_eq!(check(&words("/no/such/file")), 6);
    }

    #[test]
    fn a_schedule_reads_as_a_sentence() {
        let rules = Rules {
            delay: Delay::Linear { first: Duration::from_secs(1), step: Duration::from_secs(1) },
            max: Duration::from_secs(3),
            jitter: 0,
            give_up: GiveUp::AtMax,
            ..Rules::default()
        };
        assert_eq!(schedule("web", &rules), "web: 1s, 2s, gives up\n");
        let rules = Rules { restart: Restart::Never, ..rules };
        assert_eq!(schedule("web", &rules), "web: is not started again\n");
    }
}
