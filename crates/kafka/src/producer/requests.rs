//! Produce requests out, and what their answers mean for the batches in them.
//!
//! A request carries at most one batch of each partition, all for one leader, up to `max.request.size`; batches that
//! wait behind go in the following requests, a few of which are on their way at once. Answers come in the order of
//! the requests; what a broker did not answer is sent again with the same sequences, which it recognises (KIP-98).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::time::Instant;
use walspring_connect::fault;
use walspring_connect::writer::WriteError;
use walspring_record_batch::split_in_half;

use super::cluster::{TopicState, backoff};
use super::failure::{self, Verdict};
use super::partition_queue::Failure;
use super::sender::{Event, Sender};
use super::statistics::add;
use crate::connection::{Connection, ConnectionError};
use crate::protocol::produce::{self, ProduceFrame, TopicBatches};

/// A batch damaged on its way arrives whole the next time; old brokers also say this of a record without a key in a
/// compacted topic.
const CORRUPT_ATTEMPTS_MAX: u32 = 10;
/// What a broker may ask for at a time, whatever its answer says.
const HOLD_BACK_MAX: Duration = Duration::from_secs(60);

/// A broker, as a receiver of requests.
#[derive(Default)]
pub(super) struct Node {
    connection: Option<Arc<Connection>>,
    connecting: bool,
    /// Requests without an answer.
    pub in_flight: usize,
    /// Asked by the broker to send nothing before (a quota, KIP-219).
    held_back_until: Option<Instant>,
}

/// A partition that must wait before it is tried again.
#[derive(Debug)]
pub(super) struct Retry {
    at: Instant,
    attempts: u32,
    /// Since the last try a batch failed by itself, not because of one before it.
    at_fault: bool,
    /// Since when the brokers have not known the partition.
    unknown_since: Option<Instant>,
}

/// A request on its way: which batch of which partition.
pub(super) struct Sent {
    pub node: i32,
    version: i16,
    /// Slot and sequence.
    batches: Vec<(usize, i32)>,
}

impl Sender {
    /// Sends what can be sent now.
    pub(super) fn send_requests(&mut self, now: Instant) -> Result<(), WriteError> {
        if self.identity_lost || self.active.is_empty() {
            return Ok(());
        }
        let mut by_node: HashMap<i32, Vec<usize>> = HashMap::new();
        let mut leaderless: Vec<Arc<str>> = Vec::new();
        let mut not_added = Vec::new();
        let must_add = self.config.transaction().is_some() && !self.version_2;
        let mut due: Option<Instant> = None;
        for slot in self.active.iter().copied().collect::<Vec<_>>() {
            let queue = &self.partitions[slot];
            if queue.sendable().is_none() {
                continue;
            }
            if let Some(retry) = self.retries.get(&slot).filter(|r| r.at > now) {
                due = Some(due.map_or(retry.at, |d| d.min(retry.at)));
                continue;
            }
            if must_add && self.transaction.as_ref().is_none_or(|t| !t.added.contains(&slot)) {
                not_added.push(slot);
                continue;
            }
            match self.cluster.leader(&queue.topic, queue.partition) {
                Some(node) => by_node.entry(node).or_default().push(slot),
                None => {
                    self.check_unknown(slot, now)?;
                    let topic = &self.partitions[slot].topic;
                    if !leaderless.contains(topic) {
                        leaderless.push(topic.clone());
                    }
                }
            }
        }
        if let Some(due) = due {
            self.wake_by(due);
        }
        if !leaderless.is_empty() {
            self.refresh(leaderless, now);
        }
        self.add_partitions(not_added);
        for (node, slots) in by_node {
            self.send_to(node, &slots, now)?;
        }
        Ok(())
    }

    /// A partition without a leader is waited for, as brokers come back; one that the brokers do not know, or do not
    /// show us, is not waited for without end. Only what a broker said counts, not the time when none answers.
    fn check_unknown(&mut self, slot: usize, now: Instant) -> Result<(), WriteError> {
        let queue = &self.partitions[slot];
        let place = format!("partition {}-{}", queue.topic, queue.partition);
        let known = match self.cluster.topic(&queue.topic) {
            None => return Ok(()),
            Some(TopicState::Known(leaders)) => (queue.partition as usize) < leaders.len(),
            Some(TopicState::Failed(error)) if error.is_retriable() => error != ResponseError::UnknownTopicOrPartition,
            Some(TopicState::Failed(error)) => return Err(failure::definite(error, None, &place)),
        };
        let retry = self.retries.entry(slot).or_insert(Retry::new(now));
        if known {
            retry.unknown_since = None;
            return Ok(());
        }
        let since = *retry.unknown_since.get_or_insert(now);
        if now - since > self.config.unknown_topic_timeout {
            return Err(WriteError::Transient(format!(
                "Kafka has not known {place} for {} s; was the topic deleted?",
                (now - since).as_secs()
            )));
        }
        self.set_status(format!("waiting for Kafka: {place} does not exist"));
        Ok(())
    }

    fn send_to(&mut self, node_id: i32, slots: &[usize], now: Instant) -> Result<(), WriteError> {
        let node = self.nodes.entry(node_id).or_default();
        if let Some(until) = node.held_back_until.filter(|until| *until > now) {
            self.wake_by(until);
            return Ok(());
        }
        let usable = node.connection.as_ref().filter(|c| c.is_alive() && !c.should_retire()).cloned();
        let Some(connection) = usable else {
            // What the old connection leaves unanswered is settled first: order across two is nobody's promise.
            if node.in_flight == 0 && !node.connecting {
                node.connecting = true;
                node.connection = None;
                let cluster = self.cluster.clone();
                self.start_task(async move { Event::Connected(node_id, cluster.connection(node_id).await) });
            }
            return Ok(());
        };
        let transactional = self.config.transaction().is_some();
        let version_max =
            if transactional && !self.version_2 { produce::VERSION_MAX_TRANSACTION_1 } else { produce::VERSION_MAX };
        let version_min = if self.version_2 { produce::VERSION_MAX } else { produce::VERSION_MIN };
        let version = connection.versions().pick(produce::KEY, version_min, version_max).ok_or_else(|| {
            WriteError::Transient(format!("{} does not take our Produce requests", connection.address()))
        })?;
        while self.nodes.get(&node_id).is_some_and(|n| n.in_flight < self.config.in_flight_max.clamp(1, 5)) {
            let mut batches: Vec<(usize, i32, Bytes)> = Vec::new();
            let mut size = 0;
            for &slot in slots {
                let queue = &mut self.partitions[slot];
                let Some(len) = queue.sendable() else { continue };
                if !batches.is_empty() && size + len > self.config.max_request_size {
                    continue;
                }
                // The leader has moved while batches were on their way to the old one.
                if queue.node != Some(node_id) && queue.has_in_flight() {
                    continue;
                }
                queue.node = Some(node_id);
                if let Some((sequence, bytes)) = queue.send(self.identity, transactional) {
                    size += len;
                    batches.push((slot, sequence, bytes));
                }
            }
            if batches.is_empty() {
                return Ok(());
            }
            self.pacing.sent(now, size);
            self.send_request(node_id, version, &connection, batches);
        }
        Ok(())
    }

    fn send_request(
        &mut self,
        node: i32,
        version: i16,
        connection: &Arc<Connection>,
        batches: Vec<(usize, i32, Bytes)>,
    ) {
        let sent =
            Sent { node, version, batches: batches.iter().map(|(slot, sequence, _)| (*slot, *sequence)).collect() };
        let mut topics: Vec<TopicBatches<'_>> = Vec::new();
        for (slot, _, bytes) in batches {
            let queue = &self.partitions[slot];
            match topics.iter_mut().find(|t| *t.topic == *queue.topic) {
                Some(found) => found.partitions.push((queue.partition, bytes)),
                None => {
                    topics.push(TopicBatches { topic: &queue.topic, partitions: vec![(queue.partition, bytes)] });
                }
            }
        }
        let frame = ProduceFrame {
            client_id: &self.config.client_id,
            transactional_id: self.config.transaction().map(|t| t.transactional_id.as_str()),
            timeout_ms: i32::try_from(self.config.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topics,
        };
        let reply = connection.send(|correlation_id| produce::encode(&frame, version, correlation_id));
        if let Some(node) = self.nodes.get_mut(&node) {
            node.in_flight += 1;
        }
        fault::point("kafka.produce_sent");
        add(&self.counters.requests, 1);
        let connection = connection.clone();
        self.start_task(async move {
            let result = connection.wait(reply).await;
            Event::Produced(sent, result)
        });
    }

    pub(super) fn connected(
        &mut self,
        node_id: i32,
        result: Result<Arc<Connection>, ConnectionError>,
    ) -> Result<(), WriteError> {
        let node = self.nodes.entry(node_id).or_default();
        node.connecting = false;
        match result {
            Ok(connection) => {
                node.connection = Some(connection);
                self.set_status(String::new());
                Ok(())
            }
            Err(error) => {
                self.forget_leader(node_id);
                self.unreachable(&error)
            }
        }
    }

    /// The broker may be gone for good: ask who leads now.
    fn forget_leader(&mut self, node: i32) {
        for &slot in &self.active {
            let queue = &self.partitions[slot];
            if self.cluster.leader(&queue.topic, queue.partition) == Some(node) {
                self.cluster.forget_topic(&queue.topic);
            }
        }
    }

    pub(super) fn unreachable(&self, error: &ConnectionError) -> Result<(), WriteError> {
        match failure::connection_error(error) {
            WriteError::Transient(reason) => {
                tracing::debug!(reason, "broker unreachable");
                self.set_status(format!("waiting for Kafka: {reason}"));
                Ok(())
            }
            definite => Err(definite),
        }
    }

    pub(super) fn produced(&mut self, sent: Sent, result: Result<Bytes, ConnectionError>) -> Result<(), WriteError> {
        if let Some(node) = self.nodes.get_mut(&sent.node) {
            node.in_flight -= 1;
        }
        let response = result.and_then(|frame| {
            produce::decode_response(frame, sent.version)
                .map_err(|error| ConnectionError::Broken { address: sent.node.to_string(), reason: error.to_string() })
        });
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                self.unreachable(&error)?;
                if let Some(node) = self.nodes.get_mut(&sent.node) {
                    node.connection = None;
                }
                for (slot, sequence) in sent.batches {
                    self.cluster.forget_topic(&self.partitions[slot].topic);
                    self.retry(slot, sequence, Some(self.config.retry_backoff));
                }
                return Ok(());
            }
        };
        let now = Instant::now();
        self.pacing.answered(now);
        self.hold_back(sent.node, response.throttle_time_ms, now);
        let mut codes: HashMap<(&str, i32), (i16, Option<&str>)> = HashMap::new();
        for topic in &response.responses {
            for partition in &topic.partition_responses {
                let detail = partition.error_message.as_deref();
                codes.insert((&topic.name.0, partition.index), (partition.error_code, detail));
            }
        }
        for (slot, sequence) in sent.batches {
            let queue = &self.partitions[slot];
            let place = || format!("partition {}-{}", queue.topic, queue.partition);
            let (code, detail) = codes.get(&(&*queue.topic, queue.partition)).copied().unwrap_or((-1, None));
            match ResponseError::try_from_code(code) {
                None => self.acknowledge(slot, sequence),
                Some(error) => {
                    let verdict = failure::produce_verdict(error, detail, &place());
                    self.refused(slot, sequence, error, verdict)?;
                }
            }
        }
        fault::point("kafka.produced");
        self.report_prefix();
        Ok(())
    }

    /// A client over its quota waits before it sends more (KIP-219): the broker would not read it before, and the request's
    /// own timeout would run meanwhile.
    fn hold_back(&mut self, node: i32, throttle_time_ms: i32, now: Instant) {
        let Ok(asked @ 1..) = u64::try_from(throttle_time_ms) else { return };
        let time = Duration::from_millis(asked).min(HOLD_BACK_MAX);
        if self.counters.throttled_nanos.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            let time_ms = time.as_millis() as u64;
            let client_id = &self.config.client_id;
            tracing::warn!(node, time_ms, client_id, "the broker holds this client back: its quota is used up");
        }
        add(&self.counters.throttled_nanos, time.as_nanos() as u64);
        if let Some(node) = self.nodes.get_mut(&node) {
            node.held_back_until = Some(now + time);
        }
    }

    fn acknowledge(&mut self, slot: usize, sequence: i32) {
        let Some((batch, settled)) = self.partitions[slot].acknowledge(sequence) else { return };
        if settled == Failure::Unsettled {
            self.retries.remove(&slot);
        }
        if self.partitions[slot].is_empty() {
            self.active.remove(&slot);
        }
        self.acknowledged(&batch);
    }

    fn refused(
        &mut self,
        slot: usize,
        sequence: i32,
        error: ResponseError,
        verdict: Verdict,
    ) -> Result<(), WriteError> {
        let queue = &self.partitions[slot];
        let place = format!("partition {}-{}", queue.topic, queue.partition);
        let transactional = self.config.transaction().is_some();
        match verdict {
            // Where nothing of this identity is written there is nothing to repeat: sequences are confused.
            Verdict::AlreadyWritten if queue.is_established() => self.acknowledge(slot, sequence),
            Verdict::Retry { .. }
                if error == ResponseError::CorruptMessage
                    && self.retries.get(&slot).is_some_and(|r| r.attempts >= CORRUPT_ATTEMPTS_MAX) =>
            {
                return Err(failure::definite(error, None, &place));
            }
            Verdict::Retry { leader_unknown } => {
                if leader_unknown {
                    self.cluster.forget_topic(&queue.topic);
                }
                let concurrent = error == ResponseError::ConcurrentTransactions;
                if !concurrent {
                    tracing::debug!(%error, place, "batch refused for now");
                    self.set_status(format!("waiting for Kafka: {place}: {error}"));
                }
                // The markers of the transaction before are on their way.
                let first = if concurrent { Duration::from_millis(1) } else { self.config.retry_backoff };
                self.retry(slot, sequence, Some(first));
            }
            Verdict::SequenceLost if queue.follows_a_failure(sequence) => self.retry(slot, sequence, None),
            Verdict::SequenceLost | Verdict::AlreadyWritten if transactional => {
                return Err(WriteError::Transient(format!(
                    "Kafka lost batches of the open transaction ({error}) at {place}; the task starts again from its \
                     offset"
                )));
            }
            Verdict::Fenced if transactional => return Err(self.fenced()),
            Verdict::SequenceLost | Verdict::AlreadyWritten | Verdict::Fenced => {
                tracing::warn!(%error, place, "the broker no longer knows this producer; going on with a new id");
                self.identity_lost = true;
                self.retry(slot, sequence, Some(self.config.retry_backoff));
            }
            Verdict::TooLarge => return self.divide(slot, sequence, &place),
            Verdict::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// The broker takes smaller batches than the topic's settings said when this one was made.
    fn divide(&mut self, slot: usize, sequence: i32, place: &str) -> Result<(), WriteError> {
        let queue = &mut self.partitions[slot];
        let Some(batch) = queue.in_flight(sequence) else { return Ok(()) };
        let (ticket, records) = (batch.ticket, batch.records());
        let halves = if records > 1 { split_in_half(batch.bytes(), self.config.compression) } else { None };
        let Some(halves) = halves else { return Err(failure::too_large_for_broker(place)) };
        tracing::debug!(place, records, "batch too large for the broker, divided");
        queue.replace(sequence, halves);
        self.split(ticket);
        self.retry(slot, sequence, None);
        Ok(())
    }

    /// The batch goes again, after everything that is on its way has been answered: and after a back-off from `first`
    /// on, unless the batch is not at fault itself.
    fn retry(&mut self, slot: usize, sequence: i32, first: Option<Duration>) {
        add(&self.counters.retries, 1);
        let now = Instant::now();
        let retry = self.retries.entry(slot).or_insert(Retry::new(now));
        if let Some(first) = first {
            let max = self.config.retry_backoff_max.min(first * 16);
            retry.at = retry.at.max(now + backoff(first, max, retry.attempts));
            retry.at_fault = true;
        }
        if self.partitions[slot].fail(sequence) == Failure::Settled && std::mem::take(&mut retry.at_fault) {
            retry.attempts += 1;
        }
        let at = retry.at;
        self.wake_by(at);
    }
}

impl Retry {
    fn new(now: Instant) -> Self {
        Self { at: now, attempts: 0, at_fault: false, unknown_since: None }
    }
}
