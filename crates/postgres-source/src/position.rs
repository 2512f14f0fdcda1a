//! Where a stream goes on: from a stored offset to the first event that has not been sent.
//!
//! A position is (commit LSN, index of the event in its transaction), spelled in the original's fields: `lsn_commit` is the
//! end of the transaction *before* the event's, `txId` its transaction, and (`lsn`, `lsn_events_processed`) the place
//! inside it: the LSN of the last event that was sent, and how many events at that very LSN were.
//!
//! Invariant: the stream starts at `lsn_commit`, and events are skipped only in the transaction whose id is `txId`. Never is
//! anything skipped because of its LSN alone: the events of interleaved transactions have LSNs in any order, and the first
//! event of a transaction may share the LSN of the commit before it.

use walspring_connect::fault::planted;
use walspring_record::Lsn;

/// What of a stored offset decides where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoredPosition {
    /// The end of the last transaction that was sent whole.
    pub last_commit: Option<Lsn>,
    /// What events tell of it, where that is another: a position at which nothing captured had ended is not told.
    pub commit_seen: Option<Option<Lsn>>,
    /// `lsn_proc`: what events tell instead, where no transaction had ended before the one it was stored in.
    pub processed: Option<Lsn>,
    pub xid: Option<u32>,
    pub lsn: Option<Lsn>,
    /// Events at `lsn` that were sent; `None` in offsets of versions that did not count.
    pub events_at_lsn: Option<u64>,
    /// The last message was a row's change or a logical message, not a commit.
    pub inside_transaction: bool,
    /// The last message was a logical message outside a transaction.
    pub loose_message: bool,
    /// A finished snapshot: go on from the point at which it read.
    pub snapshot_completed: bool,
}

impl StoredPosition {
    /// Up to where everything that committed has been read, as far as a COMMIT has said so.
    pub fn commit_read(&self) -> Option<Lsn> {
        self.commit_seen.unwrap_or(self.last_commit)
    }

    /// What events tell as the last commit (`source.sequence`). As in the original it is after a restart the place of the
    /// last event where no transaction had ended before that event's own, and so it stays up to the next COMMIT.
    pub fn commit_told(&self) -> Option<Lsn> {
        match self.commit_seen {
            // Ours, and not the original's: a place outside a transaction, which is no event's.
            Some(None) if !self.inside_transaction => None,
            Some(None) => self.processed,
            seen => seen.flatten().or(self.last_commit).or(self.processed),
        }
    }
}

/// Decides which of the events that the server sends again have been sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// For START_REPLICATION; zero: where the slot stands.
    pub start: Lsn,
    skip: Option<Skip>,
    /// Messages outside transactions up to here were sent.
    loose_until: Option<Lsn>,
    skipping: bool,
    /// The transaction to skip in may still come: it is the first one after the start.
    pending: bool,
    /// What was sent had been committed before this point.
    sent_before: Lsn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Skip {
    xid: u32,
    lsn: Lsn,
    events_at_lsn: u64,
}

impl Resume {
    /// Starts where the slot stands (or at `start`), skips nothing.
    pub fn at(start: Lsn) -> Resume {
        Resume { start, skip: None, loose_until: None, skipping: false, pending: false, sent_before: Lsn(u64::MAX) }
    }

    pub fn after(stored: &StoredPosition) -> Resume {
        let start = match (stored.last_commit, stored.lsn) {
            (Some(commit), _) => commit,
            (None, Some(lsn)) if stored.snapshot_completed => lsn,
            (None, _) => Lsn::ZERO,
        };
        let skip = match (stored.inside_transaction && !planted("forget_transaction"), stored.xid, stored.lsn) {
            // An offset that does not count was written after at least one event at its LSN.
            (true, Some(xid), Some(lsn)) => Some(Skip { xid, lsn, events_at_lsn: stored.events_at_lsn.unwrap_or(1) }),
            _ => None,
        };
        let loose_until = if stored.loose_message { stored.lsn } else { None };
        Resume { skip, loose_until, pending: skip.is_some(), ..Resume::at(start) }
    }

    /// Whether anything that comes again is to be skipped.
    pub fn skips(&self) -> bool {
        self.skip.is_some() || self.loose_until.is_some()
    }

    /// The end of the server's log when the stream was started: what was sent stands before it.
    pub fn sent_before(&mut self, lsn: Lsn) {
        self.sent_before = lsn;
    }

    /// Whether something that was sent before may still come after `lsn`, a position that the stream has reached outside a
    /// transaction: an offset that only said `lsn` would let it be sent twice.
    pub fn is_behind(&self, lsn: Lsn) -> bool {
        (self.pending && lsn < self.sent_before) || self.loose_until.is_some_and(|until| lsn < until)
    }

    pub fn begin(&mut self, xid: u32) {
        self.skipping = self.skip.is_some_and(|s| s.xid == xid) || planted("skip_by_lsn");
        // Another transaction comes first: the slot has been moved past that one.
        self.pending &= self.skipping;
    }

    /// After a commit nothing of that transaction can come again.
    pub fn commit(&mut self) {
        if self.skipping && !planted("skip_by_lsn") {
            self.skip = None;
            self.skipping = false;
            self.pending = false;
        }
    }

    /// Whether the event, the `nth` (from 1) at its LSN in the open transaction, has been sent before.
    #[inline]
    pub fn was_sent(&self, lsn: Lsn, nth: u64) -> bool {
        let nth = nth + u64::from(planted("count_from_zero"));
        let nth = if planted("skip_rows_of_one_lsn") { 0 } else { nth };
        let sent = |s: Skip| lsn < s.lsn || (lsn == s.lsn && nth <= s.events_at_lsn);
        self.skipping && (planted("skip_rest_of_transaction") || self.skip.is_some_and(sent))
    }

    /// Whether a logical message outside any transaction has been sent before.
    ///
    /// Those that stand before the commit of a transaction come before its first event: they were sent if it was.
    pub fn loose_message_was_sent(&self, lsn: Lsn) -> bool {
        (self.pending && lsn < self.sent_before) || self.loose_until.is_some_and(|until| lsn <= until)
    }
}

/// Counts events at one LSN within a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounter {
    lsn: Lsn,
    count: u64,
}

impl EventCounter {
    /// The number, from 1, of the next event at `lsn`.
    #[inline]
    pub fn next(&mut self, lsn: Lsn) -> u64 {
        if self.lsn == lsn {
            self.count += 1;
        } else {
            *self = EventCounter { lsn, count: 1 };
        }
        self.count
    }

    pub fn reset(&mut self) {
        *self = EventCounter::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::StoredOffset;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    struct Transaction {
        xid: u32,
        /// In log order; equal LSNs are rows of one record.
        events: Vec<u64>,
        end: u64,
    }

    /// What the server sends from `start` on: each transaction that commits at or after it.
    fn send(log: &[Transaction], resume: &mut Resume) -> Vec<(u32, u64, u64)> {
        let mut sent = Vec::new();
        let mut counter = EventCounter::default();
        let start = resume.start.0;
        for t in log.iter().filter(|t| t.end > start) {
            resume.begin(t.xid);
            counter.reset();
            for &lsn in &t.events {
                let nth = counter.next(Lsn(lsn));
                if !resume.was_sent(Lsn(lsn), nth) {
                    sent.push((t.xid, lsn, nth));
                }
            }
            resume.commit();
        }
        sent
    }

    fn stored_after(log: &[Transaction], sent: &[(u32, u64, u64)]) -> StoredPosition {
        let Some(&(xid, lsn, nth)) = sent.last() else { return StoredPosition::default() };
        let at = log.iter().position(|t| t.xid == xid).unwrap();
        StoredPosition {
            last_commit: at.checked_sub(1).map(|i| Lsn(log[i].end)),
            xid: Some(xid),
            lsn: Some(Lsn(lsn)),
            events_at_lsn: Some(nth),
            inside_transaction: true,
            ..StoredPosition::default()
        }
    }

    fn log() -> impl Strategy<Value = Vec<Transaction>> {
        // Transactions commit in order; their events may stand anywhere before their commit, also before other commits.
        prop::collection::vec(prop::collection::vec((0u64..400, 1usize..4), 0..6), 1..8).prop_map(|all| {
            let mut end = 0;
            all.into_iter()
                .enumerate()
                .map(|(i, events)| {
                    end += 50;
                    let mut lsns: Vec<u64> =
                        events.iter().flat_map(|&(lsn, n)| std::iter::repeat_n(1 + lsn % end, n)).collect();
                    lsns.sort_unstable();
                    Transaction { xid: 100 + i as u32, events: lsns, end }
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn stopped_after_any_event_the_rest_follows_once(log in log(), cut in any::<prop::sample::Index>()) {
            let all = send(&log, &mut Resume::at(Lsn::ZERO));
            if all.is_empty() { return Ok(()); }
            let cut = cut.index(all.len()) + 1;
            let mut resume = Resume::after(&stored_after(&log, &all[..cut]));
            prop_assert_eq!(&send(&log, &mut resume)[..], &all[cut..]);
        }
    }

    #[test]
    fn events_tell_as_the_last_commit_what_the_original_tells() {
        // Of what is stored: lsn_commit, lsn_proc, walspring_commit_seen, messageType; then what the next event tells.
        let cases = [
            // A snapshot that is complete, or nothing at all.
            (None, None, None, "", None),
            (Some(7), None, None, "", Some(7)),
            // Within the first transaction.
            (None, Some(9), None, "INSERT", Some(9)),
            (None, Some(9), None, "UPDATE", Some(9)),
            (None, Some(9), None, "DELETE", Some(9)),
            (None, Some(9), None, "TRUNCATE", Some(9)),
            (None, Some(9), None, "MESSAGE", Some(9)),
            (None, Some(9), None, "BEGIN", Some(9)),
            (None, Some(9), None, "COMMIT", Some(9)),
            (None, Some(9), None, "", Some(9)),
            (None, None, None, "INSERT", None),
            // In a later one, and after one.
            (Some(7), Some(9), None, "INSERT", Some(7)),
            (Some(7), Some(9), None, "MESSAGE", Some(7)),
            (Some(9), Some(9), None, "COMMIT", Some(9)),
            (Some(7), None, None, "INSERT", Some(7)),
            // `lsn_commit` is a position at which nothing had ended, or behind the last commit.
            (Some(8), Some(9), Some(0), "INSERT", Some(9)),
            (Some(8), Some(9), Some(0), "MESSAGE", Some(9)),
            (Some(8), None, Some(0), "INSERT", None),
            (Some(9), Some(9), Some(0), "COMMIT", None),
            (Some(8), Some(9), Some(7), "INSERT", Some(7)),
            (Some(9), Some(9), Some(7), "COMMIT", Some(7)),
            (None, Some(9), Some(7), "INSERT", Some(7)),
        ];
        for (commit, processed, seen, kind, told) in cases {
            let mut map = serde_json::Map::new();
            let fields = [("lsn_commit", commit), ("lsn_proc", processed), ("walspring_commit_seen", seen)];
            for (name, value) in fields {
                if let Some(value) = value {
                    map.insert(name.into(), u64::into(value));
                }
            }
            if !kind.is_empty() {
                map.insert("messageType".into(), kind.into());
            }
            map.extend([("lsn".into(), 9.into()), ("txId".into(), 3.into())]);
            let position = StoredOffset::parse(&map.clone().into_iter().collect()).position;
            assert_eq!(position.commit_told(), told.map(Lsn), "{map:?}");
        }
    }

    #[test]
    fn a_place_that_was_made_up_starts_nothing_else() {
        // What events tell is not where the stream starts, nor what has been read.
        let stored = |json: &str| StoredOffset::parse(&serde_json::from_str(json).unwrap()).position;
        let first = stored(r#"{"lsn":9,"lsn_proc":9,"txId":3,"messageType":"INSERT"}"#);
        assert_eq!((Resume::after(&first).start, first.commit_read()), (Lsn::ZERO, None));
        let committed = stored(r#"{"lsn":9,"lsn_proc":9,"txId":3,"messageType":"COMMIT"}"#);
        assert_eq!((Resume::after(&committed).start, committed.commit_read()), (Lsn(9), Some(Lsn(9))));
    }

    #[test]
    fn the_count_beside_a_message_of_the_original_is_not_the_messages() {
        let count = |json: &str| StoredOffset::parse(&serde_json::from_str(json).unwrap()).position.events_at_lsn;
        // Three rows of one COPY, then a message; the next row may stand at the message's own position.
        let row = r#"{"lsn":9,"lsn_proc":9,"lsn_events_processed":3,"messageType":"INSERT","txId":3}"#;
        let message = r#"{"lsn":12,"lsn_proc":9,"lsn_events_processed":3,"messageType":"MESSAGE","txId":3}"#;
        let ours = r#"{"lsn":12,"lsn_proc":12,"lsn_events_processed":2,"messageType":"MESSAGE","txId":3}"#;
        // Of several tables only the last one's truncation is a position.
        let truncated = r#"{"lsn":12,"lsn_proc":9,"lsn_events_processed":2,"messageType":"TRUNCATE","txId":3}"#;
        assert_eq!([row, message, ours, truncated].map(count), [Some(3), None, Some(2), Some(2)]);
    }

    #[test]
    fn a_first_event_at_the_lsn_of_the_commit_before_is_not_skipped() {
        let log = [
            Transaction { xid: 1, events: vec![10, 20], end: 30 },
            Transaction { xid: 2, events: vec![30, 40], end: 50 },
        ];
        let stored = stored_after(&log, &[(1, 10, 1), (1, 20, 1)]);
        let committed =
            StoredPosition { last_commit: Some(Lsn(30)), lsn: Some(Lsn(30)), inside_transaction: false, ..stored };
        assert_eq!(send(&log, &mut Resume::after(&committed)), [(2, 30, 1), (2, 40, 1)]);
    }

    #[test]
    fn an_offset_that_does_not_count_skips_one_event_at_its_lsn() {
        let log = [Transaction { xid: 1, events: vec![10, 10, 10], end: 30 }];
        let stored = StoredPosition { events_at_lsn: None, ..stored_after(&log, &[(1, 10, 1)]) };
        assert_eq!(send(&log, &mut Resume::after(&stored)), [(1, 10, 2), (1, 10, 3)]);
    }
}
