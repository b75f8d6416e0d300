//! The loop's own names for what epoll reports on: a kind and an index in one number.
//!
//! The control server has a range of tokens of its own, below all of these.

use mio::Token;

use crate::ctl::server;

/// What an fd is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One of the control server's.
    Control,
    /// The signalfd.
    Signals,
    /// A pipe with a service's output; the stream's number.
    Output(u32),
    /// A connection that asks whether an instance is ready; the instance's number.
    Probe(u32),
    /// A connection that asks whether an instance is healthy; the instance's number.
    Health(u32),
    /// Where an instance says something of itself; the ear's number.
    Notify(u32),
    /// lar's end of what a service is sent through; the channel's number.
    Channel(u32),
    /// A socket at which somebody may wait for a service that is down; its place in the table.
    Demand(u32),
    /// The timer for times of the day.
    Clock,
}

/// The first of the control server's tokens.
pub const CONTROL: Token = Token(0);

/// Kinds are the residues modulo this; the quotient, past the control server's, is the index.
const KINDS: usize = 8;

impl Source {
    /// As a number for mio. `Control` stands for the server's first.
    pub fn token(self) -> Token {
        let (kind, index) = match self {
            Source::Control => return CONTROL,
            Source::Signals => (0, 0),
            Source::Output(index) => (1, index),
            Source::Probe(index) => (2, index),
            Source::Notify(index) => (3, index),
            Source::Channel(index) => (4, index),
            Source::Demand(index) => (5, index),
            Source::Clock => (6, 0),
            Source::Health(index) => (7, index),
        };
        Token(server::TOKENS + index as usize * KINDS + kind)
    }

    /// What a token stands for.
    pub fn of(token: Token) -> Source {
        let Some(number) = token.0.checked_sub(server::TOKENS) else { return Source::Control };
        let index = (number / KINDS) as u32;
        match number % KINDS {
            1 => Source::Output(index),
            2 => Source::Probe(index),
            3 => Source::Notify(index),
            4 => Source::Channel(index),
            5 => Source::Demand(index),
            6 => Source::Clock,
            7 => Source::Health(index),
            _ => Source::Signals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_found_again_by_its_token() {
        for index in [0, 1, 2, 31, 32, 33, 10_000, u32::MAX / 8] {
            let own = [
                Source::Output,
                Source::Probe,
                Source::Health,
                Source::Notify,
                Source::Channel,
                Source::Demand,
            ];
            let sources = own.into_iter().map(|kind| kind(index));
            for source in sources.chain([Source::Signals, Source::Control, Source::Clock]) {
                assert_eq!(Source::of(source.token()), source);
            }
        }
    }

    #[test]
    fn the_control_servers_tokens_are_its_own() {
        for number in 0..server::TOKENS {
            assert_eq!(Source::of(Token(number)), Source::Control);
        }
        assert_ne!(Source::of(Token(server::TOKENS)), Source::Control);
    }
}
