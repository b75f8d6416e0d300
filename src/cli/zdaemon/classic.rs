//! The zdaemon of 2002, one script: `zdaemon.py [-b SECONDS] [-d] [-f] [-h] program [args]`.
//!
//! It has no socket and no file. Its program is started again whatever it ends with, but for exit status 2, which ends
//! the manager with 2; the limit of its governor may be a fraction.

use std::ffi::OsString;

use super::log::Words;
use super::manager;
use crate::cli::complain;
use crate::config;
use crate::exit::Code;
use crate::plan::{Delay, GiveUp, Plan, Rules, Runner, Target};
use crate::run::{self, Start};
use crate::sys::spawn::Given;
use crate::sys::{boot, daemon, fd};
use crate::time::Duration;

/// The exit status that means: do not start me again.
const ENOUGH: u8 = 2;

/// What it prints when it is asked for help.
const HELP: &str = "\
usage: NAME [-b SECONDS] [-d] [-f] [-h] program [args]

Starts the program again whenever it ends, unless it ends with exit status 2.

  -b SECONDS  a program that runs for less than this waits a second longer each time,
              and is given up when it would wait this long [10]
  -d          go into the background
  -f          never give up
  -h          print this
";

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    limit: f64,
    daemon: bool,
    forever: bool,
    program: Vec<String>,
}

/// Everything that it is called with; its exit code.
pub(super) fn main(name: String, args: Vec<OsString>) -> u8 {
    let options = match parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            crate::sys::signals::give_back();
            return crate::cli::print(&HELP.replace("NAME", &name));
        }
        Err(message) => return manager::usage(&name, &message),
    };
    let first = options.program.first().map_or("", String::as_str);
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty());
    let executable = match manager::find(first, path.as_deref()) {
        Ok(executable) => executable,
        Err(message) => return manager::usage(&name, &message),
    };
    fd::close_inherited();
    let background = options.daemon && !boot::is_pid1();
    let startup = match background.then(daemon::go_to_background).transpose() {
        Ok(startup) => startup,
        Err(errno) => {
            complain(&format!("going into the background: {errno}; nothing was started"));
            return Code::Failed as u8;
        }
    };
    let mut plan = plan(options, background);
    manager::prepare(&mut plan, Some(executable));
    plan.event_log = manager::bare_log(&plan, background);
    manager::open_log(&plan.event_log);
    let words = Words::classic(&plan);
    let result = run::run(Start {
        plan,
        config_path: None,
        source: None,
        foreground: !background,
        control: false,
        startup,
        given: Given::collect(),
        inherited: Vec::new(),
        voice: Some(Box::new(words)),
        report: None,
    });
    crate::cli::manager::end(result)
}

/// The options, up to the first word that is none; `None` if help is asked for.
fn parse(args: Vec<OsString>) -> Result<Option<Options>, String> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| format!("{} is not UTF-8", word.to_string_lossy()))
    };
    let mut rest = args.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut options = Options { limit: 10.0, daemon: false, forever: false, program: Vec::new() };
    while let Some(word) = rest.next() {
        if word == "--" {
            break;
        }
        let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            options.program.push(word);
            break;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'd' => options.daemon = true,
                'f' => options.forever = true,
                'h' => return Ok(None),
                'b' => {
                    let value = match &word[1 + at + 1..] {
                        "" => rest.next().ok_or("option -b requires argument")?,
                        value => value.to_owned(),
                    };
                    options.limit = limit(&value)?;
                    break;
                }
                other => return Err(format!("option -{other} not recognized")),
            }
        }
    }
    options.program.extend(rest);
    match options.program.is_empty() {
        true => Err("no program specified".into()),
        false => Ok(Some(options)),
    }
}

/// Seconds, from 0 to more than anybody waits.
fn limit(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    let sane = number.filter(|seconds| (0.0..1e9).contains(seconds));
    sane.ok_or_else(|| format!("invalid value for -b '{text}': not a number of seconds"))
}

fn plan(options: Options, background: bool) -> Plan {
    let limit = Duration::from_secs_f64(options.limit);
    let second = Duration::from_secs(1);
    let said = Runner {
        program: Some(options.program),
        daemon: Some(options.daemon),
        forever: Some(options.forever),
        ..Runner::default()
    };
    let mut plan = config::runner_plan(said, Vec::new(), None);
    plan.settings.socket = None;
    for service in &mut plan.services {
        service.rules = Rules {
            exit_codes: vec![ENOUGH],
            healthy_after: limit,
            delay: Delay::Linear { first: second, step: second },
            max: limit,
            jitter: 0,
            give_up: if options.forever { GiveUp::Never } else { GiveUp::AtMax },
            // Status 2 is looked at first: it is an order.
            governor_first: false,
            ..Rules::default()
        };
        service.setup.umask = None;
        for process in &mut service.processes {
            process.transcript = if background { Target::None } else { Target::Inherit };
        }
        service.output.ring = 0;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn options_end_at_the_program() {
        let options = read("-fb2.5 -d sleep -b 3 --").unwrap().unwrap();
        assert_eq!((options.limit, options.daemon, options.forever), (2.5, true, true));
        assert_eq!(options.program, ["sleep", "-b", "3", "--"]);
        let options = read("-b 0 -- -x").unwrap().unwrap();
        assert_eq!((options.limit, options.program), (0.0, vec!["-x".to_owned()]));
        assert_eq!(read("-dh"), Ok(None));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, message) in [
            ("", "no program specified"),
            ("-d", "no program specified"),
            ("-b", "option -b requires argument"),
            ("-b x sleep", "invalid value for -b 'x': not a number of seconds"),
            ("-b -1 sleep", "invalid value for -b '-1': not a number of seconds"),
            ("-b inf sleep", "invalid value for -b 'inf': not a number of seconds"),
            ("-s x sleep", "option -s not recognized"),
        ] {
            assert_eq!(read(line), Err(message.into()), "{line}");
        }
    }
}
