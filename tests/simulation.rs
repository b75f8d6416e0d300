//! Whole histories, made from a seed: a supervisor among badly behaved children and busy operators,
//! with its books checked after every event.
//!
//! `LAR_SEED=n` replaces both seeds of a run, `LAR_WORLD=n` replays the one world that a failure
//! named.

#[path = "common/books.rs"]
mod books;
#[path = "simulation/counts.rs"]
mod counts;
#[path = "simulation/daemons.rs"]
mod daemons;
#[path = "simulation/edits.rs"]
mod edits;
#[path = "simulation/peace.rs"]
mod peace;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/reaping.rs"]
mod reaping;
#[path = "simulation/stray.rs"]
mod stray;
#[path = "simulation/world.rs"]
mod world;

use std::hash::{BuildHasher, RandomState};

use counts::Counts;
use random::Random;
use world::World;

/// The seed that every run has, so that a change of the core is held against the same histories.
const FIXED: u64 = 20_240_229;

/// How many events that are not ticks a run has at least.
const EVENTS: u64 = 1_000_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64, events: u64) -> Counts {
    println!("seed {seed}");
    let (mut random, mut counts) = (Random::new(seed), Counts::new());
    while counts.events < events {
        World::new(random.next(), &mut counts).live();
    }
    counts
}

#[test]
fn a_million_events_keep_every_rule_and_visit_every_pair() {
    if let Some(seed) = number("LAR_WORLD") {
        return World::new(seed, &mut Counts::new()).live();
    }
    let counts = run(number("LAR_SEED").unwrap_or(FIXED), EVENTS);
    counts.report();
    assert!(counts.events >= EVENTS);
}

#[test]
fn histories_that_nobody_has_seen_before_keep_every_rule() {
    if number("LAR_WORLD").is_none() {
        let fresh = || RandomState::new().hash_one("lar");
        run(number("LAR_SEED").unwrap_or_else(fresh), EVENTS / 5);
    }
}
