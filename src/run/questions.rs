//! Questions that lar asks by itself: the loop's side of `check`.
//!
//! To begin one takes a few system calls, to end one another. When hundreds are due at once (they are, after a boot) a
//! turn does a few, and the rest wait for the next, so that nobody else waits for all of them.

use std::os::fd::AsRawFd;

use log::warn;
use mio::Interest;
use mio::unix::SourceFd;

use super::Loop;
use super::ready::ReadyList;
use super::token::Source;
use crate::check::{Answer, Probes};
use crate::plan::InstanceId;
use crate::supervisor::{Event, Role};

/// How many questions are begun or ended in a turn: a millisecond of work, or less.
const QUESTIONS: usize = 16;

/// Places for questions: two for each instance.
pub(super) struct Questions {
    probes: Probes,
    wishes: Vec<Wish>,
    /// Places at which something is to be done.
    waiting: ReadyList,
}

/// What the core wants at a place.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    /// Nothing, or nothing more.
    Nothing,
    /// That it is asked.
    Ask,
    /// Its answer.
    Answer,
}

impl Questions {
    /// Room for so many instances.
    pub(super) fn new(instances: usize) -> Questions {
        let mut questions =
            Questions { probes: Probes::new(0), wishes: Vec::new(), waiting: ReadyList::new(0) };
        questions.grow(instances);
        questions
    }

    /// Makes room for so many.
    pub(super) fn grow(&mut self, instances: usize) {
        let places = (instances * 2).max(self.wishes.len());
        self.probes.grow(places);
        self.wishes.resize(places, Wish::Nothing);
        self.waiting.grow(places);
    }

    /// Whether the loop has to go on with them at once.
    pub(super) fn busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes an instance's questions back, at once: somebody else may get its number.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        for role in [Role::Probe, Role::Health] {
            let place = place(instance, role);
            self.wish(place, Wish::Nothing);
            self.probes.cancel(place);
        }
    }

    fn wish(&mut self, place: usize, wish: Wish) {
        if let Some(known) = self.wishes.get_mut(place) {
            *known = wish;
        }
    }

    fn wished(&self, place: usize) -> Wish {
        self.wishes.get(place).copied().unwrap_or(Wish::Nothing)
    }
}

/// Where an instance's question is asked.
fn place(instance: InstanceId, role: Role) -> usize {
    instance.index() * 2 + usize::from(role == Role::Health)
}

/// Whose question is asked there.
fn asked_at(place: usize) -> (InstanceId, Role) {
    let role = if place.is_multiple_of(2) { Role::Probe } else { Role::Health };
    (InstanceId((place / 2) as u32), role)
}

impl Loop {
    /// The core wants something to be asked, in place of what was asked for this role before.
    pub(super) fn ask(&mut self, instance: InstanceId, role: Role) {
        let place = place(instance, role);
        self.questions.wish(place, Wish::Ask);
        self.questions.waiting.add(place as u32);
    }

    /// The answer is not wanted any more.
    pub(super) fn cancel_probe(&mut self, instance: InstanceId, role: Role) {
        let place = place(instance, role);
        self.questions.wish(place, Wish::Nothing);
        self.questions.waiting.add(place as u32);
    }

    /// A turn's share of what is to be begun and ended.
    pub(super) fn question(&mut self) {
        for _ in 0..QUESTIONS {
            let Some(place) = self.questions.waiting.next() else { break };
            let place = place as usize;
            match self.questions.wished(place) {
                Wish::Ask => self.begin_probe(place),
                Wish::Nothing => self.questions.probes.cancel(place),
                Wish::Answer => {}
            }
        }
        self.digest();
    }

    fn begin_probe(&mut self, place: usize) {
        let (instance, role) = asked_at(place);
        self.questions.wish(place, Wish::Answer);
        let process = self.supervisor.process(instance);
        let asked = process.and_then(|process| match role {
            Role::Health => process.health.as_ref(),
            _ => process.ready.as_ref(),
        });
        let Some(probe) = asked else { return }; // another definition has come meanwhile
        let good = match self.questions.probes.begin(place, probe) {
            Answer::Now(good) => good,
            Answer::Unasked { errno, again } => {
                let why = errno.desc();
                return self.not_asked(place, why, again);
            }
            Answer::Later(fd) => {
                let source = match role {
                    Role::Health => Source::Health(instance.0),
                    _ => Source::Probe(instance.0),
                };
                let interest = Interest::READABLE | Interest::WRITABLE;
                // The kernel forgets the registration when the connection is closed.
                let mut fd = SourceFd(&fd.as_raw_fd());
                match self.poll.registry().register(&mut fd, source.token(), interest) {
                    Ok(()) => return,
                    Err(error) => {
                        self.questions.probes.cancel(place);
                        return self.not_asked(place, error, false);
                    }
                }
            }
        };
        self.answered(place, good);
    }

    /// For want of an fd, or of memory, a question is not asked. Who is starting is asked again; who runs is not to be
    /// ended for that.
    fn not_asked(&mut self, place: usize, why: impl std::fmt::Display, again: bool) {
        let (instance, role) = asked_at(place);
        let good = role == Role::Health;
        if !again {
            let label = self.supervisor.label(instance);
            let then = if good { "taken as healthy" } else { "asked again" };
            let what = if good { "health" } else { "readiness" };
            warn!("{label}: its {what} can't be asked for: {why}; {then}");
        }
        self.answered(place, good);
    }

    /// Something has come of a question.
    pub(super) fn go_on_with_probe(&mut self, instance: InstanceId, role: Role) {
        let place = place(instance, role);
        if let Some(good) = self.questions.probes.advance(place) {
            self.answered(place, good);
            self.digest();
        }
    }

    fn answered(&mut self, place: usize, good: bool) {
        if self.questions.wished(place) == Wish::Answer {
            self.questions.wish(place, Wish::Nothing);
            let (instance, role) = asked_at(place);
            self.inbox.push_back(Event::Probed { instance, role, good });
        }
    }
}
