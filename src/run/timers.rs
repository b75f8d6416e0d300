//! One-shots that run at a time of the day (`at`): the core does not know what time it is, so it is told here.
//!
//! One timer on the wall clock is set to the earliest of all times. When it goes off, or when somebody has set the
//! clock, each service whose time has come is due, and the timer is set anew.

use log::{info, warn};
use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::Loop;
use super::token::Source;
use crate::exit::Errno;
use crate::plan::{Plan, Service, ServiceId, Timer, When};
use crate::supervisor::{Event, Supervisor};
use crate::sys::alarm::Alarm;
use crate::sys::clock;
use crate::sys::local::{self, Seconds};
use crate::time::Duration;

/// A clock that is set forward over a time by no more than this is corrected, and the time has come. By more, it was
/// wrong (a board that starts in 1970), and the time is left out.
const CORRECTED: Seconds = 3600;

/// A clock that is set back by no more than this comes to no time again that was run for. By more, it was wrong, and
/// nobody knows what was run for when.
const AGAIN: Seconds = 36 * 3600;

/// One service with its times.
struct Times {
    service: ServiceId,
    name: String,
    /// Minutes of the day.
    minutes: Vec<u16>,
    /// The last one that it was run for.
    last: Option<Seconds>,
    next: Option<Seconds>,
}

impl Times {
    /// Reckons when it runs next.
    fn reckon(&mut self, now: Seconds) {
        self.last = self.last.filter(|&last| last <= now + AGAIN);
        self.next = local::next(&self.minutes, self.last.map_or(now, |last| last.max(now)));
    }

    /// Whether its time has come.
    fn has_come(&mut self, now: Seconds, set: bool) -> bool {
        let come = self.next.filter(|&next| next <= now && (!set || now - next <= CORRECTED));
        self.last = come.or(self.last);
        come.is_some()
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Timers {
    alarm: Option<Alarm>,
    all: Vec<Times>,
}

fn wall() -> Seconds {
    Seconds::try_from(clock::wall().since_epoch().as_secs()).unwrap_or(Seconds::MAX)
}

impl Timers {
    /// What a plan needs.
    pub(super) fn of(plan: &Plan, registry: &Registry) -> Result<Timers, Errno> {
        let mut timers = Timers::default();
        let timed =
            |service: &Service| matches!(&service.timer, Some(Timer { when: When::At(_), .. }));
        if plan.services.iter().any(timed) {
            timers.make_ready(registry)?;
        }
        Ok(timers)
    }

    /// Makes what it takes, for the first service that has such times.
    pub(super) fn make_ready(&mut self, registry: &Registry) -> Result<(), Errno> {
        if self.alarm.is_none() {
            local::prepare();
            let alarm = Alarm::new()?;
            registry
                .register(&mut SourceFd(&alarm.fd()), Source::Clock.token(), Interest::READABLE)
                .map_err(|error| crate::sys::errno_of(&error))?;
            self.alarm = Some(alarm);
        }
        Ok(())
    }

    /// Follows who has which times now.
    fn follow(&mut self, supervisor: &Supervisor) {
        let old = std::mem::take(&mut self.all);
        for service in supervisor.services() {
            let definition = supervisor.service(service);
            let Some(Timer { when: When::At(minutes), .. }) = &definition.timer else { continue };
            let same = |it: &&Times| it.service == service && it.name == definition.name;
            let last = old.iter().find(same).and_then(|old| old.last);
            let (name, minutes) = (definition.name.clone(), minutes.clone());
            self.all.push(Times { service, name, minutes, last, next: None });
        }
    }

    /// Reckons every next time, tells the core for those who ask it, and sets the timer to the first.
    fn reckon(&mut self, supervisor: &mut Supervisor) {
        let (now, wall) = (clock::now(), wall());
        for times in &mut self.all {
            times.reckon(wall);
            let until = times.next.map(|next| u64::try_from(next - wall).unwrap_or(0));
            supervisor.foresee(times.service, until.map(|secs| now + Duration::from_secs(secs)));
        }
        let first = self.all.iter().filter_map(|times| times.next).min();
        if let (Some(first), Some(alarm)) = (first, &self.alarm)
            && let Err(errno) = alarm.set(first)
        {
            warn!("the timer for times of the day can't be set: {errno}; what is due will not run");
        }
    }
}

impl Loop {
    /// Somebody may have another timer, or there is somebody else.
    pub(super) fn follow_timers(&mut self) {
        self.timers.follow(&self.supervisor);
        self.timers.reckon(&mut self.supervisor);
    }

    /// The timer went off, or the clock was set.
    pub(super) fn look_at_the_clock(&mut self) {
        let Some(alarm) = &self.timers.alarm else { return };
        let set = alarm.clock_was_set();
        if set {
            info!("the clock was set: times of the day are reckoned anew");
        }
        let now = wall();
        for times in &mut self.timers.all {
            if times.has_come(now, set) {
                self.inbox.push_back(Event::Due { service: times.service });
            }
        }
        self.timers.reckon(&mut self.supervisor);
        self.digest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Seconds = 3600;

    /// Midnight, and the moment after which it is next.
    fn midnight() -> (Times, Seconds) {
        let (service, name, minutes) = (ServiceId(0), String::from("tidy"), vec![0]);
        let mut times = Times { service, name, minutes, last: None, next: None };
        times.reckon(1_800_000_000);
        let next = times.next.unwrap();
        assert!((1_800_000_001..=1_800_000_000 + 25 * HOUR).contains(&next));
        (times, next)
    }

    #[test]
    fn a_time_comes_once_for_each_date() {
        let (mut times, next) = midnight();
        assert!(!times.has_come(next - 1, false));
        // However late: the machine was suspended.
        assert!(times.has_come(next + 5 * HOUR, false));
        times.reckon(next + 5 * HOUR);
        assert!(times.next.unwrap() > next + 20 * HOUR);
        // The clock is set back over it.
        assert!(!times.has_come(next - HOUR, true));
        times.reckon(next - HOUR);
        assert!(times.next.unwrap() > next + 20 * HOUR);
    }

    #[test]
    fn a_clock_that_was_wrong_binds_nobody() {
        let (mut times, next) = midnight();
        assert!(times.has_come(next, false));
        // By a week: what was run for then says nothing.
        let now = next - 7 * 24 * HOUR;
        times.reckon(now);
        assert!(times.next.unwrap() <= now + 25 * HOUR);
        // From 1970: what lies between is left out.
        assert!(!times.has_come(next, true));
        times.reckon(next);
        assert!(times.next.unwrap() > next);
    }

    #[test]
    fn a_clock_that_is_corrected_over_a_time_has_come_to_it() {
        let (mut times, next) = midnight();
        assert!(times.has_come(next + HOUR / 2, true));
    }
}
