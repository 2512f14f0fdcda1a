//! What the proxy looks for, and what it does when it comes.

use std::collections::HashMap;
use std::time::Duration;

/// Of Kafka's requests those that the rules are about.
pub mod api {
    pub const PRODUCE: i16 = 0;
    pub const FETCH: i16 = 1;
    pub const METADATA: i16 = 3;
    pub const FIND_COORDINATOR: i16 = 10;
    pub const INIT_PRODUCER_ID: i16 = 22;
    pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
    pub const END_TXN: i16 = 26;
    pub const DESCRIBE_CLUSTER: i16 = 60;
}

/// A message that went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// PostgreSQL's stream: the end of a transaction.
    Commit,
    /// Any other message of a transaction: BEGIN, a row, a relation.
    Change,
    Keepalive,
    /// The client tells how far it is.
    StandbyStatus,
    /// Any other message of PostgreSQL's protocol, by its type byte (0: the first, which has none).
    FromServer(u8),
    FromClient(u8),
    /// To a broker, by the api's key.
    Request(i16),
    Reply(i16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Both sides see the connection closed, and the message does not arrive.
    CutBefore,
    /// The message arrives, then both sides see the connection closed.
    CutAfter,
    /// A part of the message arrives: so many bytes (all but one where it is shorter).
    CutInside(usize),
    /// A request to a broker arrives; its reply does not, and the connection is closed instead of it.
    LoseReply,
    /// From now on nothing arrives on this connection in either direction, and nobody is told.
    HalfOpen,
    /// One bit in the middle of the message's body is turned over.
    Corrupt,
    /// The message, and what comes after it, waits.
    Hold(Duration),
}

/// Does `action` at the `nth` message of this kind (from 1) and, while `times` allows, at each `nth` after that. All
/// connections are counted together.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub at: Seen,
    pub nth: u64,
    pub times: u64,
    pub action: Action,
}

impl Rule {
    pub fn once(at: Seen, nth: u64, action: Action) -> Rule {
        Rule { at, nth, times: 1, action }
    }
}

/// The rules with their counts.
#[derive(Debug, Default)]
pub struct Script {
    rules: Vec<(Rule, u64)>,
    /// Cuts when so many bytes more have come from the server.
    pub bytes_left: Option<u64>,
    pub seen: HashMap<Seen, u64>,
    pub fired: u64,
}

impl Script {
    pub fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    pub fn clear(&mut self) {
        self.rules.clear();
        self.bytes_left = None;
    }

    /// Counts a message; what is to be done with it.
    pub fn decide(&mut self, seen: Seen) -> Option<Action> {
        *self.seen.entry(seen).or_default() += 1;
        for (rule, count) in &mut self.rules {
            if rule.at == seen && rule.times > 0 {
                *count += 1;
                if *count == rule.nth {
                    *count = 0;
                    rule.times -= 1;
                    self.fired += 1;
                    return Some(rule.action);
                }
            }
        }
        None
    }

    /// Whether the connection is to be cut inside these bytes, and after how many of them.
    pub fn cut_within(&mut self, bytes: usize) -> Option<usize> {
        let left = self.bytes_left.as_mut()?;
        if *left >= bytes as u64 {
            *left -= bytes as u64;
            return None;
        }
        self.fired += 1;
        self.bytes_left.take().map(|left| left as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_fires_at_each_nth_as_often_as_it_may() {
        let mut script = Script::default();
        script.add(Rule { at: Seen::Commit, nth: 2, times: 2, action: Action::CutAfter });
        let fired: Vec<bool> = (0..6).map(|_| script.decide(Seen::Commit).is_some()).collect();
        assert_eq!(fired, [false, true, false, true, false, false]);
        assert_eq!(script.decide(Seen::Keepalive), None);
        assert_eq!((script.fired, script.seen[&Seen::Commit]), (2, 6));
    }

    #[test]
    fn bytes_are_counted_down_once() {
        let mut script = Script { bytes_left: Some(10), ..Script::default() };
        assert_eq!((script.cut_within(4), script.cut_within(6), script.cut_within(5)), (None, None, Some(0)));
        assert_eq!(script.cut_within(100), None);
    }
}
