//! What the transaction coordinator decided, as its own log has it: the topic `__transaction_state`. No I/O.
//!
//! ```text
//!   Ongoing (epoch e, its partitions) ──► PrepareCommit or PrepareAbort (a later epoch) ──► Complete…
//!                                         └ the decision
//! ```
//!
//! Only transactions of the second version (KIP-890): there an epoch is one transaction, so that a record's epoch says
//! which. In the first version many have the same.
//!
//! Source: Kafka's message definitions `TransactionLogKey` and `TransactionLogValue`, and `TransactionState`.

use std::collections::BTreeSet;

/// The topic of the log.
pub(super) const TOPIC: &str = "__transaction_state";

const ONGOING: i8 = 1;
const PREPARE_COMMIT: i8 = 2;
const PREPARE_ABORT: i8 = 3;
const COMPLETE_COMMIT: i8 = 4;
const COMPLETE_ABORT: i8 = 5;
/// The tag of the version of transactions that the client used.
const CLIENT_VERSION_TAG: u64 = 2;

/// The partition of the log that has this transactional id: Java's hash of a text, without its sign.
pub(super) fn partition_of(transactional_id: &str, partitions: usize) -> i32 {
    let hash = transactional_id.encode_utf16().fold(0i32, |h, c| h.wrapping_mul(31).wrapping_add(i32::from(c)));
    let count = i32::try_from(partitions.max(1)).unwrap_or(i32::MAX);
    // The smallest number has no counterpart; Kafka takes 0.
    hash.checked_abs().unwrap_or(0) % count
}

/// How a transaction was decided, and the partitions in which it had to end so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub commit: bool,
    /// Of its markers.
    pub marker_epoch: i16,
    pub partitions: BTreeSet<(String, i32)>,
}

/// Looks for the decision on the transaction of one epoch. Fed with the log's records in their order.
pub(super) struct Search<'a> {
    transactional_id: &'a str,
    producer_id: i64,
    producer_epoch: i16,
    state: State,
}

enum State {
    Nothing,
    Ongoing(BTreeSet<(String, i32)>),
    Decided(Decision),
}

impl<'a> Search<'a> {
    pub fn new(transactional_id: &'a str, producer_id: i64, producer_epoch: i16) -> Self {
        Self { transactional_id, producer_id, producer_epoch, state: State::Nothing }
    }

    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        // Version 0, and the length of the text.
        let Some(([0, 0, _, _], id)) = key.split_first_chunk() else { return };
        if id != self.transactional_id.as_bytes() {
            return;
        }
        // What cannot be read may be the decision, or another transaction: nothing before it counts.
        let Some(entry) = value.and_then(Entry::parse).filter(|entry| entry.producer_id == self.producer_id) else {
            self.state = State::Nothing;
            return;
        };
        let (ours, e) = (entry.producer_epoch, self.producer_epoch);
        let state = std::mem::replace(&mut self.state, State::Nothing);
        self.state = match (state, entry.state) {
            (_, ONGOING) if ours == e => State::Ongoing(entry.partitions),
            (State::Ongoing(mut partitions), decided) if entry.client_version >= 2 && ours > e => {
                partitions.extend(entry.partitions);
                match decided {
                    PREPARE_COMMIT | COMPLETE_COMMIT if ours - 1 == e => {
                        State::Decided(Decision { commit: true, marker_epoch: ours, partitions })
                    }
                    PREPARE_ABORT | COMPLETE_ABORT => {
                        State::Decided(Decision { commit: false, marker_epoch: ours, partitions })
                    }
                    _ => State::Nothing,
                }
            }
            (State::Decided(decision), _) => State::Decided(decision),
            _ => State::Nothing,
        };
    }

    /// None where the log does not say it beyond doubt.
    pub fn finish(self) -> Option<Decision> {
        match self.state {
            State::Decided(decision) => Some(decision),
            _ => None,
        }
    }
}

struct Entry {
    producer_id: i64,
    producer_epoch: i16,
    state: i8,
    partitions: BTreeSet<(String, i32)>,
    client_version: i16,
}

impl Entry {
    fn parse(value: &[u8]) -> Option<Entry> {
        let mut bytes = Bytes(value);
        let flexible = match bytes.i16()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let producer_id = i64::from_be_bytes(bytes.take()?);
        let producer_epoch = bytes.i16()?;
        let _timeout_ms: [u8; 4] = bytes.take()?;
        let [state] = bytes.take()?;
        let mut partitions = BTreeSet::new();
        for _ in 0..bytes.count(flexible)? {
            let length =
                if flexible { bytes.varint()?.checked_sub(1)? } else { u64::from(bytes.i16()?.cast_unsigned()) };
            let topic = String::from_utf8(bytes.slice(usize::try_from(length).ok()?)?.to_vec()).ok()?;
            for _ in 0..bytes.count(flexible)? {
                partitions.insert((topic.clone(), i32::from_be_bytes(bytes.take()?)));
            }
            bytes.skip_tags(flexible)?;
        }
        let _times: [u8; 16] = bytes.take()?;
        let client_version = bytes.skip_tags(flexible)?;
        Some(Entry { producer_id, producer_epoch, state: state.cast_signed(), partitions, client_version })
    }
}

/// What is left of a value. Lengths are believed only as far as there are bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&[u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Of an array's elements; none is null.
    fn count(&mut self, flexible: bool) -> Option<u64> {
        match flexible {
            true => Some(self.varint()?.saturating_sub(1)),
            false => Some(u64::try_from(i32::from_be_bytes(self.take()?)).unwrap_or(0)),
        }
    }

    /// The client's version of transactions, if it is among the tags.
    fn skip_tags(&mut self, flexible: bool) -> Option<i16> {
        let mut client_version = 0;
        if flexible {
            for _ in 0..self.varint()? {
                let (tag, length) = (self.varint()?, self.varint()?);
                let value = self.slice(usize::try_from(length).ok()?)?;
                if tag == CLIENT_VERSION_TAG {
                    client_version = i16::from_be_bytes(*value.first_chunk()?);
                }
            }
        }
        Some(client_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "tx";

    /// As a coordinator writes it; `version` of the client's transactions, the tag left out below 2.
    fn value(producer_id: i64, epoch: i16, state: i8, partitions: &[i32], version: i16) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(producer_id.to_be_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend(60_000i32.to_be_bytes());
        bytes.push(state as u8);
        bytes.extend([2, 7]);
        bytes.extend(b"orders");
        bytes.push(partitions.len() as u8 + 1);
        partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        bytes.push(0);
        bytes.extend([9; 16]);
        // The producer id before, of eight bytes; the client's version.
        bytes.push(if version >= 2 { 2 } else { 1 });
        bytes.extend([0, 8]);
        bytes.extend(producer_id.to_be_bytes());
        if version >= 2 {
            bytes.extend([2, 2]);
            bytes.extend(version.to_be_bytes());
        }
        bytes
    }

    fn key(id: &str) -> Vec<u8> {
        [&[0, 0, 0, id.len() as u8], id.as_bytes()].concat()
    }

    /// Entries of producer 7: epoch, state, client's version. Asked for epoch 3.
    #[track_caller]
    fn check(entries: &[(i16, i8, i16)], expected: Option<bool>) {
        let mut search = Search::new(ID, 7, 3);
        for &(epoch, state, version) in entries {
            search.add(&key(ID), Some(&value(7, epoch, state, &[0, 5], version)));
            search.add(&key("other"), Some(&value(7, 3, ONGOING, &[], 2)));
        }
        let found = search.finish();
        assert_eq!(found.as_ref().map(|decision| decision.commit), expected);
        if let Some(decision) = found {
            assert_eq!(decision.partitions, BTreeSet::from([("orders".into(), 0), ("orders".into(), 5)]));
        }
    }

    #[test]
    fn the_decision_is_that_of_the_epoch_and_of_no_other() {
        check(&[], None);
        check(&[(3, ONGOING, 2)], None);
        check(&[(3, ONGOING, 2), (4, PREPARE_COMMIT, 2)], Some(true));
        check(&[(3, ONGOING, 2), (3, ONGOING, 2), (4, PREPARE_COMMIT, 2), (4, COMPLETE_COMMIT, 2)], Some(true));
        check(&[(3, ONGOING, 2), (4, PREPARE_ABORT, 2), (4, COMPLETE_ABORT, 2)], Some(false));
        check(&[(3, ONGOING, 2), (5, COMPLETE_ABORT, 2)], Some(false));
        // Whatever came after it.
        check(
            &[(3, ONGOING, 2), (4, COMPLETE_COMMIT, 2), (5, 0, 2), (5, ONGOING, 2), (6, PREPARE_ABORT, 2)],
            Some(true),
        );
        // Of others.
        check(&[(2, ONGOING, 2), (3, PREPARE_COMMIT, 2), (3, COMPLETE_COMMIT, 2)], None);
        check(&[(4, ONGOING, 2), (5, COMPLETE_COMMIT, 2)], None);
        // The compaction has left the end without the beginning.
        check(&[(4, COMPLETE_COMMIT, 2)], None);
        check(&[(3, ONGOING, 2), (5, COMPLETE_COMMIT, 2)], None);
        // In the first version an epoch has many transactions.
        check(&[(3, ONGOING, 1), (3, PREPARE_COMMIT, 1), (3, COMPLETE_COMMIT, 1)], None);
        check(&[(3, ONGOING, 1), (4, PREPARE_ABORT, 1)], None);
    }

    #[test]
    fn what_cannot_be_read_decides_nothing() {
        let good = value(7, 4, PREPARE_COMMIT, &[1], 2);
        let ongoing = value(7, 3, ONGOING, &[1], 2);
        let decide = |bytes: Option<&[u8]>| {
            let mut search = Search::new(ID, 7, 3);
            search.add(&key(ID), Some(&ongoing));
            search.add(&key(ID), bytes);
            search.finish()
        };
        assert!(decide(Some(&good)).is_some());
        assert_eq!(decide(None), None);
        assert_eq!(decide(Some(&value(8, 4, PREPARE_COMMIT, &[1], 2))), None);
        for length in 0..good.len() {
            assert_eq!(decide(Some(&good[..length])), None, "{length}");
        }
        let newer = [&[0, 2], &good[2..]].concat();
        assert_eq!(decide(Some(&newer)), None);
    }

    #[test]
    fn partitions_of_the_log_are_kafkas() {
        // Java's hash of "Aa" is 2112, and of the next the smallest number that there is.
        assert_eq!(partition_of("Aa", 50), 12);
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        // -2032180703: the amount counts, where others take the sign away.
        assert_eq!(partition_of("DEFAULT", 50), 3);
    }
}
