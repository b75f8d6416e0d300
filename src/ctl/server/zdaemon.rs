//! zdaemon's commands to the manager of a `<runner>`: the same events and orders as lar's own verbs come to, told in
//! zdaemon's words. A reply says what was done, not what came of it: its clients ask for the status until they see.

use nix::errno::Errno;
use nix::sys::signal::kill;

use super::verbs::Turn;
use super::work::{Text, Work};
use super::{Order, View};
use crate::ctl::protocol::zdaemon::{Command, Status};
use crate::exit::Pid;
use crate::plan::{Access, InstanceId};
use crate::signal::Signal;
use crate::supervisor::{Event, Instance, Phase, Verb};
use crate::time::Instant;

/// The one program.
const PROGRAM: InstanceId = InstanceId(0);

/// Does what a line asks for, if the client may.
pub(super) fn begin(line: &[u8], access: Access, turn: Turn) -> Work {
    let reply = match Command::read(line) {
        Err(reply) => reply,
        Ok(command) if access < command.access() => "Not permitted\n".into(),
        Ok(Command::Reopen) => {
            turn.orders.push_back((turn.client, Order::Reopen));
            return Work::Held;
        }
        Ok(command) => act(command, turn),
    };
    Work::Text(Text::new(reply))
}

fn act(command: Command, mut turn: Turn) -> String {
    let view = turn.view;
    let program = view.supervisor.instance(PROGRAM);
    let verb = match command {
        Command::Status | Command::Reopen => return status(&program, view),
        Command::Kill(number) => return send(number, program.pid, &mut turn),
        Command::Start => Verb::Start,
        Command::Stop => Verb::Stop,
        Command::Restart => Verb::Restart,
    };
    if view.supervisor.shutting_down() && verb != Verb::Stop {
        return "Not started: the daemon manager is ending\n".into();
    }
    if program.pid.is_some() {
        // Whoever starts, stops or restarts forgives what was before; and a second order to stop is sent like the
        // first, as the reply says.
        tell(&mut turn, Verb::Clear);
        if program.phase == Phase::Stopping && verb != Verb::Start {
            tell(&mut turn, Verb::Kill(Signal::TERM));
        }
    }
    tell(&mut turn, verb);
    let reply = match (verb, program.pid) {
        (Verb::Start, Some(_)) => "Application already started\n",
        (Verb::Stop, Some(_)) => "Sent SIGTERM\n",
        (Verb::Stop, None) => "Application already stopped\n",
        (_, Some(_)) => "Sent SIGTERM; will restart later\n",
        (_, None) => "Application started\n",
    };
    reply.into()
}

fn tell(turn: &mut Turn, verb: Verb) {
    let ticket = turn.ticket;
    turn.inbox.push_back(Event::Order { instance: PROGRAM, verb, ticket });
}

/// A signal by its number. Whether it can be sent is asked by sending none.
fn send(number: i64, pid: Option<Pid>, turn: &mut Turn) -> String {
    let Some(pid) = pid else { return "Application not running\n".into() };
    let signal = i32::try_from(number).ok().and_then(Signal::new);
    let possible = match signal {
        None if number != 0 => Err(Errno::EINVAL),
        Some(Signal::CONT) => Ok(()), // has rules of its own
        _ => kill(nix::unistd::Pid::from_raw(pid.0), None),
    };
    match (possible, signal) {
        (Ok(()), Some(signal)) => tell(turn, Verb::Kill(signal)),
        (Ok(()), None) => {}
        (Err(errno), _) => {
            return format!("Kill {number} failed: [Errno {}] {}\n", errno as i32, errno.desc());
        }
    }
    format!("Signal {number} sent\n")
}

fn status(program: &Instance, view: &View) -> String {
    let service = view.supervisor.service(program.service);
    let process = view.supervisor.process(PROGRAM);
    let args = process.map_or(&[][..], |process| &process.argv);
    let filename = process.and_then(|process| process.executable.as_deref());
    let now = view.wall.as_secs_f64();
    let ahead = |at: Instant| now + at.since(view.now).as_secs_f64();
    let kill = program.next_rung.filter(|_| service.stop.kill);
    let runner = view.supervisor.settings().runner.as_deref();
    let status = Status {
        application: program.pid,
        now,
        should_be_up: program.wanted_up,
        delay: program.next.or(kill).map(ahead),
        backoff: program.deaths,
        lasttime: program.last_spawn.map(|last| spawned(last, view)),
        testing: program.phase == Phase::Starting && program.pid.is_some(),
        manager: view.pid,
        backoff_limit: runner.map_or(0, |runner| runner.backoff_limit()),
        filename: filename.or(args.first().map(String::as_str)).unwrap_or(""),
        args,
    };
    status.to_string()
}

/// When the program was last started, by the wall clock: as it stood then, or else reckoned back.
fn spawned(last: Instant, view: &View) -> f64 {
    let entries = view.journal.of(PROGRAM);
    let noted =
        entries.filter(|entry| entry.at == last).last().map(|entry| entry.wall.since_epoch());
    let noted = noted.unwrap_or_else(|| view.wall.saturating_sub(view.now.since(last)));
    noted.as_secs_f64()
}
