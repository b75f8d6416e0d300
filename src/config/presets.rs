//! The restart rules of lar's ancestors, and the keys that override them.

use super::phrases;
use super::section::Values;
use super::value;
use crate::plan::{Delay, Flapping, GiveUp, Inherit, Kind, Ladder, Restart, Rules, Service, Start};
use crate::signal::Signal;
use crate::time::Duration;

/// Whose rules hold where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preset {
    Lar,
    Zdaemon,
    Procmon,
    Gaffer,
    DaemonController,
}

/// The presets by their names.
pub(super) const NAMES: [(&str, Preset); 5] = [
    ("lar", Preset::Lar),
    ("zdaemon", Preset::Zdaemon),
    ("procmon", Preset::Procmon),
    ("gaffer", Preset::Gaffer),
    ("daemon-controller", Preset::DaemonController),
];

/// What `restart` takes.
pub(super) const RESTARTS: [(&str, Restart); 3] =
    [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// zdaemon's backoff governor with this limit.
pub(super) fn governor(limit: Duration, forever: bool) -> Rules {
    Rules {
        restart: Restart::Always,
        exit_codes: vec![0, 2],
        healthy_after: limit,
        delay: Delay::Linear { first: secs(1), step: secs(1) },
        max: limit,
        jitter: 0,
        flapping: None,
        give_up: if forever { GiveUp::Never } else { GiveUp::AtMax },
        governor_first: true,
    }
}

/// A service of which nothing is said but its preset.
pub(super) fn service(preset: Preset) -> Service {
    let mut service = Service::default();
    match preset {
        Preset::Lar => {}
        Preset::Zdaemon => service.rules = governor(secs(10), false),
        Preset::Procmon => {
            service.rules.healthy_after = secs(1);
            service.rules.delay = Delay::Double { first: secs(1) };
            service.rules.max = secs(3600);
            service.rules.jitter = 0;
            service.stop = Ladder::simple(Signal::TERM, secs(5));
            service.setup.inherit = Inherit::Nothing;
        }
        Preset::Gaffer => {
            let (deaths, window, cooldown) = (2, secs(1), secs(7));
            service.rules.healthy_after = secs(1);
            service.rules.delay = Delay::None;
            service.rules.jitter = 0;
            service.rules.flapping = Some(Flapping { deaths, window, cooldown, rounds: Some(5) });
            service.stop = Ladder::simple(Signal::TERM, secs(30));
        }
        Preset::DaemonController => {
            service.rules.restart = Restart::Never;
            service.start_timeout = Some(secs(15));
            service.log_activity_timeout = Some(secs(7));
            service.stop_timeout = secs(15);
            service.stop = Ladder::simple(Signal::TERM, secs(15));
            service.ready_interval = Duration::from_millis(100);
        }
    }
    service
}

/// The keys about restarts, over what the preset has put into `rules`.
pub(super) fn read_rules(v: &mut Values, preset: Preset, service: &mut Service) {
    let idles = service.kind == Kind::Oneshot || service.start == Start::OnDemand;
    let rules = &mut service.rules;
    if idles && rules.restart == Restart::Always {
        rules.restart = Restart::OnFailure;
    }
    v.choose(&mut rules.restart, "restart", &RESTARTS);
    v.set_read(&mut rules.exit_codes, "exit-codes", phrases::exit_codes);
    if let Some(backoff) = v.read("backoff", phrases::backoff) {
        rules.delay = backoff.delay;
        rules.max = backoff.max.unwrap_or(rules.max);
        rules.jitter = backoff.jitter.unwrap_or(rules.jitter);
    }
    if let Some(limit) = v.word("backoff-limit", phrases::seconds) {
        rules.max = limit;
        if preset == Preset::Zdaemon {
            rules.healthy_after = limit;
        }
    }
    v.set(&mut rules.healthy_after, "healthy-after", value::time);
    if v.word("forever", value::boolean) == Some(true) {
        rules.give_up = GiveUp::Never;
        rules.flapping = rules.flapping.map(|flapping| Flapping { rounds: None, ..flapping });
    }
    v.set_read(&mut rules.flapping, "flapping", phrases::flapping);
    v.set_read(&mut rules.give_up, "give-up", phrases::give_up);
    let first = match rules.delay {
        Delay::None => Duration::ZERO,
        Delay::Linear { first, .. } | Delay::Double { first } => first,
    };
    if first > rules.max && v.has("backoff") {
        let max = value::print_duration(rules.max);
        v.wrong("backoff", format!("the first delay is longer than the longest, which is {max}"));
        v.report.hint("say `max TIME` behind it");
    }
}
