//! `lar ctl help`: from the table that the manager reads, too.

use std::io::{self, Write};

use super::complain;
use super::stats::VERBS;
use crate::ctl::protocol::command::{COMMANDS, Command, Flag};
use crate::ctl::protocol::request;
use crate::exit::Code;
use crate::plan::EventKind;

/// Shows all verbs, or one with its options; returns the exit code.
pub fn show(topic: Option<&str>) -> u8 {
    let Some(topic) = topic else {
        let _ = all(&mut io::stdout().lock());
        return Code::Done as u8;
    };
    if let Some((name, usage, about)) = VERBS.iter().find(|(name, ..)| *name == topic) {
        let _ = writeln!(io::stdout(), "usage: lar ctl {name} {usage}\n\n{about}");
        return Code::Done as u8;
    }
    let command = match request::verb(topic) {
        Ok(command) => command,
        Err(error) => return complain(Code::Usage, &error.to_string()),
    };
    let _ = one(command, &mut io::stdout().lock());
    Code::Done as u8
}

/// The verbs, one a line.
pub fn verbs(out: &mut impl Write) -> io::Result<()> {
    for spec in COMMANDS {
        let call = format!("{} {}", spec.name, spec.usage);
        writeln!(out, "  {call:<24} {}", spec.about)?;
    }
    for (name, usage, about) in VERBS {
        writeln!(out, "  {:<24} {about}", format!("{name} {usage}"))?;
    }
    Ok(())
}

fn all(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "usage: lar ctl [-s SOCKET] [--plain|--json] [VERB [OPTION…] [NAME…]]\n")?;
    verbs(out)?;
    writeln!(
        out,
        "\nNAME is web, web@2, shop:* or all. Without a verb: a shell on a terminal, else status."
    )?;
    writeln!(
        out,
        "`lar ctl help VERB` lists its options, `lar help exit-codes` what the codes mean."
    )
}

fn one(command: Command, out: &mut impl Write) -> io::Result<()> {
    let spec = command.spec();
    writeln!(out, "usage: lar ctl {} {}\n\n{}", spec.name, spec.usage, spec.about)?;
    let meant = |flag: &&Flag| **flag != Flag::Progress; // the client's own business
    for (at, flag) in spec.flags.iter().filter(meant).enumerate() {
        let letter = flag.letter().map(|letter| format!("-{letter}, ")).unwrap_or_default();
        let value = flag.value().map(|value| format!(" {value}")).unwrap_or_default();
        let call = format!("{letter}--{}{value}", flag.name());
        let before = if at == 0 { "\n" } else { "" };
        writeln!(out, "{before}  {call:<20} {}", flag.about())?;
    }
    if command == Command::Events {
        writeln!(out, "\nThe kinds; one event may be of several:")?;
        for kind in EventKind::ALL {
            writeln!(out, "  {:<20} {}", kind.word(), kind.about())?;
        }
    }
    Ok(())
}
