//! What follows a death: a pure function of an instance's rules, its history and this life.
//!
//! Not here: what an operator asked for. A stop, a restart or a shutdown is never a death, so none of this
//! sees it.

use crate::exit::ExitStatus;
use crate::plan::{Delay, Flapping, GiveUp, Restart, Rules};
use crate::time::{Duration, Instant};

/// What is remembered of an instance's deaths. Sized by its rules at load.
#[derive(Clone, Debug)]
pub struct History {
    /// Deaths since the last healthy life (or cool-down).
    row: u32,
    /// Cool-downs since the last healthy life.
    rounds: u32,
    /// The times of the latest deaths, as many as flapping counts; a ring.
    deaths: Box<[Option<Instant>]>,
    /// Where in it the next one goes: the oldest.
    oldest: usize,
}

/// What follows a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rules say: leave it (`exited`).
    Leave,
    /// Start again at once.
    Again,
    /// Start again after this long (`backoff`).
    Backoff(Duration),
    /// Flapping: start again after this long (`cooldown`).
    Cooldown(Duration),
    /// Don't try again (`failed`).
    GiveUp,
}

/// A source of jitter: splitmix64, so that a seed replays a whole history.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl History {
    /// An empty history for these rules.
    pub fn new(rules: &Rules) -> History {
        let counted = rules.flapping.map_or(0, |flapping| flapping.deaths as usize);
        History { row: 0, rounds: 0, deaths: vec![None; counted].into_boxed_slice(), oldest: 0 }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.row = 0;
        self.rounds = 0;
        self.deaths.fill(None);
    }

    /// How many deaths in a row it knows of.
    pub fn row(&self) -> u32 {
        self.row
    }

    /// How many cool-downs there were since the last healthy life.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Whether the latest death was one too many for the rule about flapping.
    pub fn gave_up(&self, rules: &Rules) -> bool {
        let Some(flapping) = rules.flapping else { return false };
        let count = self.deaths.len();
        if count == 0 || flapping.rounds.is_none_or(|rounds| self.rounds < rounds) {
            return false;
        }
        let latest = self.deaths[(self.oldest + count - 1) % count];
        let first = self.deaths[self.oldest];
        latest.zip(first).is_some_and(|(latest, first)| latest.since(first) <= flapping.window)
    }

    /// Notes a death and says whether, with it, all that flapping counts lie within its window.
    fn flaps(&mut self, flapping: &Flapping, now: Instant) -> bool {
        if self.deaths.is_empty() {
            return false;
        }
        self.deaths[self.oldest] = Some(now);
        self.oldest = (self.oldest + 1) % self.deaths.len();
        self.deaths[self.oldest].is_some_and(|first| now.since(first) <= flapping.window)
    }
}

/// Decides what follows a death after `life`; `status` is `None` when there was no process to have one (a
/// failed spawn) or its end was lar's doing (a start timeout).
pub fn decide(
    rules: &Rules,
    history: &mut History,
    now: Instant,
    life: Duration,
    status: Option<ExitStatus>,
    jitter: &mut Jitter,
) -> Verdict {
    let leave = status.is_some_and(|status| leaves(rules, status));
    if leave && !rules.governor_first {
        return Verdict::Leave;
    }
    if rules.restart == Restart::Never && status.is_none() {
        return Verdict::GiveUp;
    }
    if life >= rules.healthy_after {
        history.clear();
        return if leave { Verdict::Leave } else { Verdict::Again };
    }
    if let Some(verdict) = rest(rules, history, now) {
        return verdict;
    }
    history.row = history.row.saturating_add(1);
    let delay = delay(rules, history.row);
    let gives_up = match rules.give_up {
        GiveUp::Never => false,
        GiveUp::After(deaths) => history.row >= deaths,
        GiveUp::AtMax => delay >= rules.max,
    };
    match (gives_up, leave) {
        (true, _) => Verdict::GiveUp,
        (false, true) => Verdict::Leave,
        (false, false) => match jitter.spread(delay.min(rules.max), rules.jitter).min(rules.max) {
            Duration::ZERO => Verdict::Again,
            wait => Verdict::Backoff(wait),
        },
    }
}

/// Whether the rules say that a process which ended so is not started again.
fn leaves(rules: &Rules, status: ExitStatus) -> bool {
    let listed = matches!(status, ExitStatus::Code(code) if rules.exit_codes.contains(&code));
    listed
        || match rules.restart {
            Restart::Always => false,
            Restart::OnFailure => status.success(),
            Restart::Never => true,
        }
}

/// The flapping rule: a rest, or the end after too many of them.
fn rest(rules: &Rules, history: &mut History, now: Instant) -> Option<Verdict> {
    let flapping = rules.flapping.as_ref()?;
    if !history.flaps(flapping, now) {
        return None;
    }
    if flapping.rounds.is_some_and(|rounds| history.rounds >= rounds) {
        return Some(Verdict::GiveUp);
    }
    let rounds = history.rounds + 1;
    history.clear();
    history.rounds = rounds;
    Some(Verdict::Cooldown(flapping.cooldown))
}

/// The wait after `row` deaths in a row (from 1), before jitter and maximum.
fn delay(rules: &Rules, row: u32) -> Duration {
    let before = row.saturating_sub(1);
    match rules.delay {
        Delay::None => Duration::ZERO,
        Delay::Linear { first, step } => first.saturating_add(step.saturating_mul(before)),
        // 2^62 of anything is past every maximum; a larger shift would wrap.
        Delay::Double { first } => {
            let factor = 1u64 << before.min(62);
            let nanos = first.as_nanos().saturating_mul(u128::from(factor));
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        }
    }
}

impl Jitter {
    /// Two sources with the same seed give the same numbers.
    pub fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// `wait`, changed by at most `percent` of it, either way.
    fn spread(&mut self, wait: Duration, percent: u8) -> Duration {
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let reach = nanos / 100 * u64::from(percent.min(100));
        if reach == 0 {
            return wait;
        }
        let offset = self.next() % (reach.saturating_mul(2).saturating_add(1));
        Duration::from_nanos((nanos - reach).saturating_add(offset))
    }
}

/// One step of a restart schedule, as `lar check --schedule` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next try comes after this long.
    Wait(Duration),
    /// Flapping: the next try comes after this long.
    Cooldown(Duration),
    /// There is no next try.
    GiveUp,
}

/// What would follow `tries` failures in a row, each at once after its start. Without jitter.
pub fn schedule(rules: &Rules, tries: usize) -> Vec<Step> {
    let rules = Rules { jitter: 0, ..rules.clone() };
    let (mut history, mut jitter) = (History::new(&rules), Jitter::new(0));
    let (mut now, mut steps) = (Instant::ZERO, Vec::new());
    for _ in 0..tries {
        let died = Some(ExitStatus::Code(255));
        let verdict = decide(&rules, &mut history, now, Duration::ZERO, died, &mut jitter);
        let (step, wait) = match verdict {
            Verdict::Again => (Step::Wait(Duration::ZERO), Duration::ZERO),
            Verdict::Backoff(wait) => (Step::Wait(wait), wait),
            Verdict::Cooldown(wait) => (Step::Cooldown(wait), wait),
            Verdict::GiveUp | Verdict::Leave => {
                steps.push(Step::GiveUp);
                break;
            }
        };
        steps.push(step);
        now = now + wait;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn zdaemon(limit: u64, forever: bool) -> Rules {
        Rules {
            exit_codes: vec![0, 2],
            healthy_after: secs(limit),
            delay: Delay::Linear { first: secs(1), step: secs(1) },
            max: secs(limit),
            jitter: 0,
            give_up: if forever { GiveUp::Never } else { GiveUp::AtMax },
            governor_first: true,
            ..Rules::default()
        }
    }

    fn gaffer() -> Rules {
        Rules {
            healthy_after: secs(1),
            delay: Delay::None,
            flapping: Some(Flapping {
                deaths: 2,
                window: secs(1),
                cooldown: secs(7),
                rounds: Some(5),
            }),
            ..Rules::default()
        }
    }

    fn waits(steps: &[Step]) -> Vec<u64> {
        steps
            .iter()
            .map(|step| if let Step::Wait(wait) = step { wait.as_secs() } else { 99 })
            .collect()
    }

    #[test]
    fn zdaemons_governor_waits_one_second_more_each_time_and_quits_at_the_limit() {
        assert_eq!(waits(&schedule(&zdaemon(4, false), 9)), [1, 2, 3, 99]);
        assert_eq!(schedule(&zdaemon(1, false), 9), [Step::GiveUp]);
        assert_eq!(waits(&schedule(&zdaemon(2, true), 5)), [1, 2, 2, 2, 2]);
        assert_eq!(waits(&schedule(&zdaemon(0, false), 3)), [0, 0, 0]);
    }

    #[test]
    fn zdaemons_governor_decides_before_its_exit_codes() {
        let rules = zdaemon(1, false);
        let mut history = History::new(&rules);
        let quick = Some(ExitStatus::SUCCESS);
        let jitter = &mut Jitter::new(1);
        let now = Instant::ZERO;
        assert_eq!(decide(&rules, &mut history, now, secs(0), quick, jitter), Verdict::GiveUp);
        assert_eq!(decide(&rules, &mut history, now, secs(1), quick, jitter), Verdict::Leave);
        let rules = zdaemon(10, false);
        assert_eq!(decide(&rules, &mut history, now, secs(0), quick, jitter), Verdict::Leave);
    }

    #[test]
    fn the_default_doubles_up_to_a_minute_within_its_jitter() {
        let rules = Rules::default();
        let (mut history, mut jitter) = (History::new(&rules), Jitter::new(7));
        let failed = Some(ExitStatus::Code(1));
        for k in 0..40 {
            let verdict = decide(&rules, &mut history, Instant::ZERO, secs(0), failed, &mut jitter);
            let Verdict::Backoff(wait) = verdict else { panic!("{verdict:?}") };
            let nominal = (0.2 * 2f64.powi(k)).min(60.0);
            let off = (wait.as_secs_f64() - nominal).abs();
            assert!(off <= nominal * 0.1001 && wait <= secs(60), "try {k}: {wait:?}");
        }
        let verdict = decide(&rules, &mut history, Instant::ZERO, secs(10), failed, &mut jitter);
        assert_eq!(verdict, Verdict::Again, "a healthy life clears the history");
        let verdict = decide(&rules, &mut history, Instant::ZERO, secs(9), failed, &mut jitter);
        assert!(matches!(verdict, Verdict::Backoff(wait) if wait < secs(1)));
    }

    #[test]
    fn flapping_rests_and_after_its_rounds_gives_up() {
        let steps = schedule(&gaffer(), 100);
        let expected: Vec<Step> = (0..5)
            .flat_map(|_| [Step::Wait(secs(0)), Step::Cooldown(secs(7))])
            .chain([Step::Wait(secs(0)), Step::GiveUp])
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn deaths_further_apart_than_the_window_do_not_flap() {
        let rules = Rules { healthy_after: secs(100), ..gaffer() };
        let (mut history, mut jitter) = (History::new(&rules), Jitter::new(1));
        for second in (0..60).step_by(2) {
            let now = Instant::ZERO + secs(second);
            let died = Some(ExitStatus::Code(1));
            let verdict = decide(&rules, &mut history, now, secs(1), died, &mut jitter);
            assert_eq!(verdict, Verdict::Again);
        }
    }

    #[test]
    fn restart_rules_and_exit_codes_end_a_service() {
        let verdict = |restart, codes: &[u8], status| {
            let rules = Rules { restart, exit_codes: codes.to_vec(), ..Rules::default() };
            let history = &mut History::new(&rules);
            decide(&rules, history, Instant::ZERO, secs(60), status, &mut Jitter::new(1))
        };
        let (zero, one) = (Some(ExitStatus::SUCCESS), Some(ExitStatus::Code(1)));
        let killed = Some(ExitStatus::killed(crate::signal::Signal::INT)); // number 2
        assert_eq!(verdict(Restart::Always, &[], zero), Verdict::Again);
        assert_eq!(verdict(Restart::OnFailure, &[], zero), Verdict::Leave);
        assert_eq!(verdict(Restart::OnFailure, &[], one), Verdict::Again);
        assert_eq!(verdict(Restart::Never, &[], one), Verdict::Leave);
        assert_eq!(verdict(Restart::Never, &[], None), Verdict::GiveUp, "a failed spawn");
        assert_eq!(verdict(Restart::Always, &[1], one), Verdict::Leave);
        assert_eq!(verdict(Restart::Always, &[2], killed), Verdict::Again, "not a code");
    }

    #[test]
    fn give_up_after_n_deaths_in_a_row() {
        let rules = Rules { give_up: GiveUp::After(3), jitter: 0, ..Rules::default() };
        assert_eq!(schedule(&rules, 9).len(), 3);
        assert_eq!(schedule(&rules, 9)[2], Step::GiveUp);
    }

    #[test]
    fn no_delay_overflows() {
        let huge = Duration::MAX;
        let delays = [
            Delay::Double { first: huge },
            Delay::Linear { first: huge, step: huge },
            Delay::Double { first: Duration::from_nanos(1) },
        ];
        for delay in delays {
            let rules = Rules { delay, max: huge, jitter: 100, ..Rules::default() };
            let (mut history, mut jitter) = (History::new(&rules), Jitter::new(3));
            for _ in 0..200 {
                let died = Some(ExitStatus::Code(1));
                decide(&rules, &mut history, Instant::ZERO, secs(0), died, &mut jitter);
            }
        }
    }
}
