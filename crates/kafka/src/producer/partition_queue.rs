//! The batches of one partition: which wait, which are on their way, and in which sequence they go (KIP-98).
//!
//! Pure: no clock, no socket. The invariant it keeps: batches reach the log once each and in the order they came, as
//! long as the producer's id stands. So a batch that must be sent again holds back everything behind it until all
//! that was on its way has been answered, and then all goes again in the same order with the same sequences.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use walspring_record_batch::seal;

use super::coordinator::ProducerIdentity;

/// A record batch on its way to a partition.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Bytes,
    records: u32,
    /// Whose ticket it belongs to; none for an offset.
    pub ticket: Option<u64>,
    /// What it counts for in the buffer.
    pub buffer_bytes: usize,
    sequence: Option<i32>,
    /// Carries the producer's id, epoch and this sequence, and the checksum over them.
    sealed: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent,
    /// Answered with an error that asks for another try.
    Failed,
}

impl Batch {
    pub(super) fn new(bytes: Vec<u8>, records: u32, ticket: Option<u64>, buffer_bytes: usize) -> Self {
        Self {
            bytes: bytes.into(),
            records,
            ticket,
            buffer_bytes,
            sequence: None,
            sealed: false,
            state: State::Waiting,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn records(&self) -> u32 {
        self.records
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// What became of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Everything that was on its way is answered: try again after the back-off.
    Settled,
    /// Answers are still to come.
    Unsettled,
}

#[derive(Debug)]
pub(super) struct PartitionQueue {
    pub topic: Arc<str>,
    pub partition: i32,
    waiting: VecDeque<Batch>,
    /// In the order of their sequences.
    in_flight: VecDeque<Batch>,
    next_sequence: i32,
    recovering: bool,
    /// The broker has written a batch of this id and epoch, and from now on refuses gaps.
    established: bool,
    /// The broker that has what is in flight.
    pub node: Option<i32>,
}

impl PartitionQueue {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        let (waiting, in_flight) = Default::default();
        Self {
            topic,
            partition,
            waiting,
            in_flight,
            next_sequence: 0,
            recovering: false,
            established: false,
            node: None,
        }
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.waiting.push_back(batch);
    }

    /// Nothing waits and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    pub(super) fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The size of the batch that may be sent next.
    pub(super) fn sendable(&self) -> Option<usize> {
        if self.must_wait() { None } else { self.waiting.front().map(Batch::len) }
    }

    fn must_wait(&self) -> bool {
        self.recovering || (!self.established && !self.in_flight.is_empty())
    }

    pub(super) fn is_established(&self) -> bool {
        self.established
    }

    /// The next batch, sealed, with its sequence. It is kept until it is acknowledged.
    pub(super) fn send(&mut self, identity: ProducerIdentity, transactional: bool) -> Option<(i32, Bytes)> {
        if self.must_wait() {
            return None;
        }
        let mut batch = self.waiting.pop_front()?;
        let sequence = *batch.sequence.get_or_insert(self.next_sequence);
        if sequence == self.next_sequence {
            self.next_sequence = after(sequence, batch.records);
        }
        if !batch.sealed {
            // Nobody else holds the bytes before they are first sent; after a change of identity someone may.
            let mut bytes = std::mem::take(&mut batch.bytes).try_into_mut().unwrap_or_else(|b| b[..].into());
            seal(&mut bytes, identity.id, identity.epoch, sequence, transactional);
            batch.bytes = bytes.freeze();
            batch.sealed = true;
        }
        batch.state = State::Sent;
        let bytes = batch.bytes.clone();
        self.in_flight.push_back(batch);
        Some((sequence, bytes))
    }

    /// The batch is in the log. With [`Failure::Settled`] when that was the last answer a retry waited for.
    pub(super) fn acknowledge(&mut self, sequence: i32) -> Option<(Batch, Failure)> {
        let at = self.in_flight.iter().position(|b| b.sequence == Some(sequence))?;
        let batch = self.in_flight.remove(at)?;
        self.established = true;
        Some((batch, self.settle()))
    }

    /// Whether an earlier batch has failed, so that a gap in the sequences is to be expected at this one.
    pub(super) fn follows_a_failure(&self, sequence: i32) -> bool {
        self.in_flight.iter().take_while(|b| b.sequence != Some(sequence)).any(|b| b.state == State::Failed)
    }

    /// The batch has to be sent again.
    pub(super) fn fail(&mut self, sequence: i32) -> Failure {
        if let Some(batch) = self.in_flight.iter_mut().find(|b| b.sequence == Some(sequence)) {
            batch.state = State::Failed;
            self.recovering = true;
        }
        self.settle()
    }

    /// The batch with this sequence, on its way.
    pub(super) fn in_flight(&self, sequence: i32) -> Option<&Batch> {
        self.in_flight.iter().find(|b| b.sequence == Some(sequence))
    }

    /// Puts two batches in the place of one that was too large; together they take its sequences.
    pub(super) fn replace(&mut self, sequence: i32, halves: [(Vec<u8>, u32); 2]) {
        let Some(at) = self.in_flight.iter().position(|b| b.sequence == Some(sequence)) else { return };
        let whole = &self.in_flight[at];
        let [first, second] = halves;
        let make = |(bytes, records): (Vec<u8>, u32), sequence, buffer_bytes, ticket| Batch {
            bytes: bytes.into(),
            records,
            ticket,
            buffer_bytes,
            sequence: Some(sequence),
            sealed: false,
            state: State::Failed,
        };
        let (ticket, buffer_bytes) = (whole.ticket, whole.buffer_bytes);
        let second_sequence = after(sequence, first.1);
        self.in_flight[at] = make(first, sequence, 0, ticket);
        self.in_flight.insert(at + 1, make(second, second_sequence, buffer_bytes, ticket));
        self.recovering = true;
    }

    fn settle(&mut self) -> Failure {
        if !self.recovering || self.in_flight.iter().any(|b| b.state == State::Sent) {
            return Failure::Unsettled;
        }
        while let Some(mut batch) = self.in_flight.pop_back() {
            batch.state = State::Waiting;
            self.waiting.push_front(batch);
        }
        self.recovering = false;
        Failure::Settled
    }

    /// After a new id or epoch: sequences begin at 0. Nothing may be on its way.
    pub(super) fn restart_sequences(&mut self) {
        debug_assert!(self.in_flight.is_empty());
        self.next_sequence = 0;
        self.established = false;
        for batch in &mut self.waiting {
            (batch.sequence, batch.sealed) = (None, false);
        }
    }
}

/// Sequences wrap from the largest to 0.
fn after(sequence: i32, records: u32) -> i32 {
    ((i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder, RecordBatchReader};

    const IDENTITY: ProducerIdentity = ProducerIdentity { id: 9, epoch: 1 };

    fn queue(records: &[u32]) -> PartitionQueue {
        let mut queue = PartitionQueue::new("t".into(), 0);
        for (index, count) in records.iter().enumerate() {
            let mut builder = RecordBatchBuilder::new(100);
            for _ in 0..*count {
                builder.append(1, None, Some(b"v"), &EncodedHeaders::new());
            }
            let (bytes, records) = builder.finish();
            queue.push(Batch::new(bytes, records, Some(index as u64), 10));
        }
        queue
    }

    /// As [`queue`], with a first batch of one record written.
    fn established(records: &[u32]) -> PartitionQueue {
        let mut queue = queue(&[&[1], records].concat());
        assert_eq!(queue.send(IDENTITY, true).map(|(s, _)| s), Some(0));
        assert!(queue.send(IDENTITY, true).is_none(), "the first goes alone");
        assert!(queue.acknowledge(0).is_some());
        queue
    }

    fn sequence_of(bytes: &Bytes) -> i32 {
        let batch = RecordBatchReader::parse(bytes).unwrap();
        batch.verify().unwrap();
        batch.base_sequence()
    }

    #[test]
    fn sequences_count_records() {
        let mut queue = established(&[3, 2, 1]);
        let sent: Vec<_> = std::iter::from_fn(|| queue.send(IDENTITY, true)).collect();
        assert_eq!(sent.iter().map(|(s, b)| (*s, sequence_of(b))).collect::<Vec<_>>(), [(1, 1), (4, 4), (6, 6)]);
        for (sequence, _) in sent {
            assert!(queue.acknowledge(sequence).is_some());
        }
        assert!(queue.is_empty());
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_failure_holds_back_what_follows_until_all_is_answered() {
        let mut queue = established(&[1, 1, 1, 1]);
        for _ in 0..3 {
            queue.send(IDENTITY, false);
        }
        assert!(!queue.follows_a_failure(1));
        assert_eq!(queue.fail(1), Failure::Unsettled);
        assert!(queue.follows_a_failure(2) && queue.sendable().is_none());
        assert_eq!(queue.fail(2), Failure::Unsettled);
        assert_eq!(queue.fail(3), Failure::Settled);
        let again: Vec<_> = std::iter::from_fn(|| queue.send(IDENTITY, false)).map(|(s, _)| s).collect();
        assert_eq!(again, [1, 2, 3, 4]);
    }

    #[test]
    fn an_answer_that_settles_a_failure_releases_the_rest() {
        let mut queue = established(&[1, 1]);
        queue.send(IDENTITY, false);
        queue.send(IDENTITY, false);
        assert_eq!(queue.fail(1), Failure::Unsettled);
        assert!(matches!(queue.acknowledge(2), Some((_, Failure::Settled))));
        assert_eq!(queue.send(IDENTITY, false).map(|(s, _)| s), Some(1));
    }

    #[test]
    fn halves_take_the_sequences_of_the_whole() {
        let mut queue = established(&[5, 1]);
        let (_, whole) = queue.send(IDENTITY, true).unwrap();
        queue.send(IDENTITY, true);
        let halves = walspring_record_batch::split_in_half(&whole, Default::default()).unwrap();
        queue.replace(1, halves);
        assert_eq!(queue.fail(1), Failure::Unsettled);
        assert!(queue.follows_a_failure(6));
        assert_eq!(queue.fail(6), Failure::Settled);
        let again: Vec<_> = std::iter::from_fn(|| queue.send(IDENTITY, true)).collect();
        assert_eq!(again.iter().map(|(s, b)| (*s, sequence_of(b))).collect::<Vec<_>>(), [(1, 1), (3, 3), (6, 6)]);
        let held: Vec<_> = again.iter().map(|(s, _)| queue.acknowledge(*s).unwrap().0.buffer_bytes).collect();
        assert_eq!(held, [0, 10, 10]);
    }

    #[test]
    fn a_new_identity_seals_again_from_zero() {
        let mut queue = established(&[2]);
        queue.send(IDENTITY, false);
        let kept = queue.in_flight(1).unwrap().bytes().clone();
        assert_eq!(queue.fail(1), Failure::Settled);
        queue.restart_sequences();
        let (sequence, bytes) = queue.send(ProducerIdentity { id: 10, epoch: 0 }, false).unwrap();
        assert_eq!((sequence, sequence_of(&bytes), sequence_of(&kept)), (0, 0, 1));
    }
}
