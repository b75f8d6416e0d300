//! What a plan can be carried out with, but hardly as it was meant.

use super::diagnostic::Report;
use super::lines::{Section, Spot};
use super::value::print_duration;
use super::world::{Directory, World};
use crate::plan::{Delay, Flapping, GiveUp, Listen, Plan, Probe, Rules, Service, Target};
use crate::time::Duration;

/// What `shutdown-timeout` is if nothing is said, outside of a container. Inside it is 9s, but a ladder's usual
/// 10s must not be warned about in every file.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Looks at every service of a plan without errors. `sections` are those of the services, in their order.
pub(super) fn look(
    plan: &Plan,
    sections: &[&Section],
    lar: Option<&Section>,
    world: &dyn World,
    report: &mut Report,
) {
    for (service, section) in plan.services.iter().zip(sections) {
        let spot = |key: &str| spot(section, key);
        flapping(&service.rules, &spot("flapping"), report);
        shutdown(plan, service, &spot("stop"), lar, report);
        for process in &service.processes {
            for (key, target) in
                [("transcript", Some(&process.transcript)), ("stderr", process.stderr.as_ref())]
            {
                if let Some(Target::File(path)) = target {
                    file(path, &spot(key), world, report);
                }
            }
            let unseen = process.transcript == Target::Inherit
                && process.stderr.as_ref().is_none_or(|stderr| *stderr == Target::Inherit);
            if unseen && has(section, "ring") {
                report.warn(
                    &spot("ring"),
                    "there is nothing for the ring: lar sees none of the output",
                );
                report.hint("`transcript inherit` hands lar's own fd to the service");
            }
        }
    }
}

/// What is odd about sockets. `sections` are those of the services, `others` those of the sockets, in their order.
pub(super) fn sockets(
    plan: &Plan,
    sections: &[&Section],
    others: &[&Section],
    report: &mut Report,
) {
    for (socket, section) in plan.sockets.iter().zip(others) {
        if !plan.services.iter().any(|service| service.sockets.contains(&socket.name)) {
            report.warn(
                &section.spot,
                format!("no service has `{}` among its `sockets`", socket.name),
            );
        }
    }
    for (service, section) in plan.services.iter().zip(sections) {
        let its = || plan.sockets.iter().filter(|it| service.sockets.contains(&it.name));
        let asked = service.processes.first().and_then(|process| process.ready.as_ref());
        let Some(socket) = asked.and_then(|probe| its().find(|it| answers(&it.listen, probe)))
        else {
            continue;
        };
        let name = &socket.name;
        report.warn(
            &spot(section, "ready"),
            format!("lar itself listens on `{name}`, so this is always answered with yes"),
        );
        report.hint("`ready notify` asks the program");
    }
}

/// Whether a probe would reach what lar listens on.
fn answers(listen: &Listen, probe: &Probe) -> bool {
    match (listen, probe) {
        (Listen::Tcp(address), Probe::Tcp(asked)) => {
            let all = format!(":{}", address.port);
            asked == &address.to_string() || address.ip.is_none() && asked.ends_with(&all)
        }
        (Listen::Unix(path), Probe::Unix(asked)) => path == asked,
        _ => false,
    }
}

fn has(section: &Section, key: &str) -> bool {
    section.entries.iter().any(|entry| entry.key.eq_ignore_ascii_case(key))
}

/// Where a service says it, or the service if the defaults do.
fn spot(section: &Section, key: &str) -> Spot {
    let entry = section.entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(key));
    entry.map_or_else(|| section.spot.clone(), |entry| entry.spot.clone())
}

fn file(path: &str, spot: &Spot, world: &dyn World, report: &mut Report) {
    // Devices are there already: /dev/null, /dev/stderr, a terminal.
    if path.starts_with("/dev/") {
        return;
    }
    let parent = match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((parent, _)) => parent,
        None => ".",
    };
    let problem = match world.directory(parent) {
        Directory::Writable => return,
        Directory::Denied => "lar may not write there",
        Directory::ReadOnly => "it is on a read-only file system",
        Directory::Missing => "there is no such directory",
    };
    report.warn(spot, format!("`{path}` can't be made in `{parent}`: {problem}"));
}

fn shutdown(
    plan: &Plan,
    service: &Service,
    spot: &Spot,
    lar: Option<&Section>,
    report: &mut Report,
) {
    let said = plan.settings.shutdown_timeout;
    let limit = said.unwrap_or(SHUTDOWN);
    let length = service.stop.length();
    if length <= limit {
        return;
    }
    let (length, limit) = (print_duration(length), print_duration(limit));
    let message =
        format!("`{}` may take {length} to stop, but a shutdown ends after {limit}", service.name);
    report.warn(spot, message);
    let place = if lar.is_some() { "in `<lar>`" } else { "in a section `<lar>`" };
    report.hint(format!("raise `shutdown-timeout` {place}, or shorten `stop`"));
}

fn flapping(rules: &Rules, spot: &Spot, report: &mut Report) {
    let Some(flapping) = rules.flapping else { return };
    let window = print_duration(flapping.window);
    let why = if rules.healthy_after.is_zero() {
        "every life is a healthy one (healthy-after 0s)".to_string()
    } else if matches!(rules.give_up, GiveUp::After(deaths) if deaths < flapping.deaths) {
        "it gives up before".to_string()
    } else if let Some(spread) = spread(rules, &flapping) {
        let spread = print_duration(spread);
        format!(
            "the delays alone spread {} deaths over {spread}, the window is {window}",
            flapping.deaths
        )
    } else {
        return;
    };
    report.warn(spot, format!("flapping can never trigger: {why}"));
}

/// How far the delays alone spread as many deaths as flapping counts, if that is beyond its window.
fn spread(rules: &Rules, flapping: &Flapping) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let (mut next, step) = match rules.delay {
        Delay::None => return None,
        Delay::Linear { first, step } => (first, Some(step)),
        Delay::Double { first } => (first, None),
    };
    for _ in 1..flapping.deaths {
        let least = next.min(rules.max) * (100 - u32::from(rules.jitter.min(100))) / 100;
        sum = sum.saturating_add(least);
        next = next.saturating_add(step.unwrap_or(next));
    }
    (sum > flapping.window).then_some(sum)
}
