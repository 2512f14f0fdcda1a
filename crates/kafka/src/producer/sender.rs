//! The producer's loop: takes tickets, begins and ends transactions, and says what became durable.
//!
//! ```text
//!  handoff ──ticket──► partition queues ──request──► broker        requests.rs
//!                            ▲   │ all acknowledged
//!            offset record ──┘   └──► EndTxn ──► durable(last ticket)
//! ```
//!
//! A transaction begins with the first ticket that waits. It closes as soon as nothing waits behind it (so a lone
//! ticket costs two round trips: its records and its offset together, then EndTxn), and under backlog when it is full
//! or old; where records come fast it waits for some milliseconds first ([`super::flow`]). While it ends, tickets gather in
//! the handoff: they are the next transaction. Tickets are never split.
//!
//! Everything here runs on one thread and never waits; what waits is a small task that reports back with an [`Event`].

mod transaction;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use walspring_connect::fault;
use walspring_connect::writer::{DurabilityListener, EncodedBatch, OffsetRecord, Ticket, WriteError};
use walspring_record_batch::{Codec, EncodedHeaders, RecordBatchBuilder, compress_with_level, partition_for_key};

use super::cluster::{Cluster, TopicState, backoff};
use super::config::ProducerConfig;
use super::coordinator::{Coordinator, CoordinatorError, ProducerIdentity, idempotent_identity};
use super::flow::Flow;
use super::handoff::{EndOnPanic, Handoff};
use super::lost_markers;
use super::pacing::Pacing;
use super::partition_queue::{Batch, PartitionQueue};
use super::requests::{Node, Sent};
use super::statistics::{Counters, add};
use super::topics;
use crate::connection::{Connection, ConnectionError};
use transaction::Transaction;

/// Below this an open transaction closes when nothing waits behind it, without asking whether its batches are
/// acknowledged: the latency of a few rows. Above it more is likely to come within a round trip.
const SMALL_TRANSACTION_BYTES: usize = 256 * 1024;
/// How often the loop turns while something is outstanding: to notice that the process was stopped.
const PULSE: Duration = Duration::from_secs(1);
/// A turn that comes this late was not late because of the load.
const STALL: Duration = Duration::from_secs(10);
pub(super) enum Event {
    Produced(Sent, Result<Bytes, ConnectionError>),
    Connected(i32, Result<Arc<Connection>, ConnectionError>),
    Refreshed(Result<(), ConnectionError>),
    PartitionsAdded(Vec<usize>, Result<(), CoordinatorError>),
    TransactionEnded(Result<ProducerIdentity, CoordinatorError>),
    NewIdentity(Result<ProducerIdentity, WriteError>),
}

struct TicketProgress {
    number: u64,
    outstanding: usize,
}

pub(super) struct Sender {
    pub config: ProducerConfig,
    pub cluster: Arc<Cluster>,
    coordinator: Option<Arc<Coordinator>>,
    handoff: Arc<Handoff>,
    pub counters: Arc<Counters>,
    listener: Arc<dyn DurabilityListener>,
    pub identity: ProducerIdentity,
    pub version_2: bool,
    /// By slot.
    pub partitions: Vec<PartitionQueue>,
    slots: HashMap<Arc<str>, Vec<Option<usize>>>,
    /// Slots with batches that wait or are on their way.
    pub active: BTreeSet<usize>,
    pub nodes: HashMap<i32, Node>,
    pub retries: HashMap<usize, super::requests::Retry>,
    pub transaction: Option<Transaction>,
    pub pacing: Pacing,
    flow: Flow,
    adding_partitions: bool,
    /// Without transactions: tickets whose batches are not all acknowledged, and those behind them.
    tickets: VecDeque<TicketProgress>,
    /// Without transactions: the broker has lost our sequences; a new id is due once nothing is on its way.
    pub identity_lost: bool,
    renewing_identity: bool,
    refreshing: bool,
    refreshed_at: Instant,
    pub last_progress: Instant,
    last_turn: Instant,
    wake_at: Option<Instant>,
    pub events: mpsc::UnboundedSender<Event>,
    incoming: mpsc::UnboundedReceiver<Event>,
}

impl Sender {
    /// Finds the cluster and becomes somebody to it.
    pub(super) async fn start(
        config: ProducerConfig,
        cluster: Cluster,
        handoff: Arc<Handoff>,
        counters: Arc<Counters>,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Self, WriteError> {
        let cluster = Arc::new(cluster);
        let deadline = Instant::now() + config.connect_timeout;
        let (coordinator, identity, version_2) = match config.transaction() {
            Some(transaction) => {
                let status = handoff.clone();
                let coordinator = Coordinator::new(
                    cluster.clone(),
                    &transaction.transactional_id,
                    transaction.timeout,
                    (config.retry_backoff, config.retry_backoff_max),
                    Box::new(move |text| status.set_status(text)),
                );
                let (identity, version) = coordinator.init_producer_id(deadline).await.map_err(|e| match e {
                    CoordinatorError::Write(error) => error,
                    CoordinatorError::Fenced => WriteError::Transient(format!(
                        "another producer with the transactional id {:?} started at the same time",
                        transaction.transactional_id
                    )),
                })?;
                let offsets_topic = &transaction.offsets_topic;
                let left = deadline.saturating_duration_since(Instant::now());
                topics::existing(&cluster, offsets_topic, left).await?;
                let version_2 = version >= 2 && !transaction.force_version_1;
                if version_2 {
                    lost_markers::write(&cluster, &transaction.transactional_id, offsets_topic, identity.id).await?;
                }
                (Some(Arc::new(coordinator)), identity, version_2)
            }
            None => {
                let mut attempt = 0;
                let identity = loop {
                    match idempotent_identity(&cluster).await {
                        Ok(identity) => break identity,
                        Err(WriteError::Transient(reason)) if Instant::now() < deadline => {
                            handoff.set_status(format!("waiting for Kafka: {reason}"));
                            tokio::time::sleep(backoff(config.retry_backoff, config.retry_backoff_max, attempt)).await;
                            attempt += 1;
                        }
                        Err(error) => return Err(error),
                    }
                };
                (None, identity, false)
            }
        };
        handoff.set_status(String::new());
        tracing::debug!(producer_id = identity.id, epoch = identity.epoch, version_2, "producer ready");
        let (events, incoming) = mpsc::unbounded_channel();
        let now = Instant::now();
        Ok(Self {
            config,
            cluster,
            coordinator,
            handoff,
            counters,
            listener,
            identity,
            version_2,
            partitions: Vec::new(),
            slots: HashMap::new(),
            active: BTreeSet::new(),
            nodes: HashMap::new(),
            retries: HashMap::new(),
            transaction: None,
            pacing: Pacing::default(),
            flow: Flow::default(),
            adding_partitions: false,
            tickets: VecDeque::new(),
            identity_lost: false,
            renewing_identity: false,
            refreshing: false,
            refreshed_at: now - Duration::from_secs(1),
            last_progress: now,
            last_turn: now,
            wake_at: None,
            events,
            incoming,
        })
    }

    /// Until aborted, or an error that this producer cannot answer.
    pub(super) async fn run(mut self) {
        let handoff = self.handoff.clone();
        let mut happened = Ok(());
        loop {
            if handoff.is_aborted() {
                handoff.end(WriteError::Transient("the producer was stopped".into()));
                return self.abort_transaction().await;
            }
            if let Err(error) = happened.and_then(|()| self.turn()) {
                handoff.end(error.clone());
                if !handoff.is_aborted() {
                    self.listener.failed(error.clone());
                }
                if !matches!(error, WriteError::Fenced(_)) {
                    self.abort_transaction().await;
                }
                return;
            }
            let pulse = if self.has_outstanding() { PULSE } else { self.config.metadata_age_max };
            let wake_at = self.wake_at.take().unwrap_or(Instant::now() + pulse).min(Instant::now() + pulse);
            happened = Ok(());
            tokio::select! {
                event = self.incoming.recv() => {
                    let Some(event) = event else { return };
                    happened = self.take_events(event);
                }
                () = handoff.woken() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
    }

    fn take_events(&mut self, first: Event) -> Result<(), WriteError> {
        let mut next = Some(first);
        while let Some(event) = next {
            self.handle(event)?;
            next = self.incoming.try_recv().ok();
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), WriteError> {
        let now = Instant::now();
        if now - self.last_turn > STALL.max(PULSE * 2)
            && let Some(transaction) = &mut self.transaction
        {
            transaction.stalled = true;
        }
        self.last_turn = now;
        self.answer_questions();
        self.renew_identity();
        self.take_tickets(now)?;
        self.send_requests(now)?;
        self.end_transaction();
        if let Some(timeout) = self.config.delivery_timeout
            && self.has_outstanding()
        {
            if now - self.last_progress > timeout {
                return Err(WriteError::Transient(format!(
                    "nothing was acknowledged for {} ms (delivery.timeout.ms)",
                    timeout.as_millis()
                )));
            }
            self.wake_by(self.last_progress + timeout);
        }
        if now - self.refreshed_at > self.config.metadata_age_max {
            let topics = self.slots.keys().cloned().collect();
            self.refresh(topics, now);
        }
        Ok(())
    }

    pub(super) fn wake_by(&mut self, at: Instant) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }

    fn has_outstanding(&self) -> bool {
        !self.active.is_empty() || self.transaction.is_some()
    }

    pub(super) fn set_status(&self, text: String) {
        self.handoff.set_status(text);
    }

    /// Runs something that waits, and hands its result back to the loop.
    pub(super) fn start_task(&self, work: impl Future<Output = Event> + Send + 'static) {
        let (events, handoff) = (self.events.clone(), self.handoff.clone());
        tokio::spawn(async move {
            let _told = EndOnPanic(handoff);
            let _ = events.send(work.await);
        });
    }

    fn answer_questions(&self) {
        for question in self.handoff.questions() {
            let (cluster, timeout) = (self.cluster.clone(), self.config.connect_timeout);
            tokio::spawn(async move {
                let _ = question.answer.send(topics::ensure(&cluster, &question.name, timeout).await);
            });
        }
    }

    // Tickets in.

    fn take_tickets(&mut self, now: Instant) -> Result<(), WriteError> {
        let Some(config) = self.config.transaction().cloned() else {
            if self.identity_lost {
                return Ok(());
            }
            while let Some(ticket) = self.handoff.take() {
                let held = beside_batches(&ticket);
                self.tickets.push_back(TicketProgress { number: ticket.number, outstanding: ticket.batches.len() });
                for batch in ticket.batches {
                    self.enqueue(batch, ticket.number);
                }
                self.handoff.forget(held);
            }
            self.report_prefix();
            return Ok(());
        };
        if let Some(at) = self.pacing.begin_at().filter(|at| self.transaction.is_none() && now < *at) {
            if self.handoff.has_tickets() {
                self.wake_by(at);
            }
            return Ok(());
        }
        loop {
            if let Some(open) = &mut self.transaction {
                if open.closing {
                    break;
                }
                if open.bytes >= config.bytes_max || now - open.begun >= config.age_max {
                    open.closing = true;
                    break;
                }
            }
            let Some(ticket) = self.handoff.take() else { break };
            let held = beside_batches(&ticket);
            let open = self.transaction.get_or_insert_with(|| Transaction::begin(now));
            open.last_ticket = ticket.number;
            open.bytes += ticket.batches.iter().map(|b| b.bytes.len()).sum::<usize>();
            open.outstanding += ticket.batches.len();
            if ticket.offset.is_some() {
                open.offset = ticket.offset;
            }
            if self.active.is_empty() {
                self.last_progress = now;
            }
            for batch in ticket.batches {
                self.enqueue(batch, ticket.number);
            }
            self.handoff.forget(held);
        }
        let Some(open) = &mut self.transaction else { return Ok(()) };
        let held = self.flow.hold(open.begun).filter(|until| now < *until);
        if !open.closing && !self.handoff.has_tickets() {
            open.closing = match config.by_interval {
                true => self.handoff.is_flushing(),
                false if held.is_some() => self.handoff.is_flushing(),
                false => open.bytes < SMALL_TRANSACTION_BYTES || open.outstanding == 0 || self.handoff.is_idle(),
            };
        }
        if open.closing {
            if let Some(offset) = open.offset.take().filter(|_| !fault::planted("commit_without_offset")) {
                self.enqueue_offset(offset, &config.offsets_topic)?;
            }
        } else {
            let due = open.begun + config.age_max;
            self.wake_by(held.map_or(due, |held| held.min(due)));
        }
        Ok(())
    }

    fn enqueue(&mut self, batch: EncodedBatch, ticket: u64) {
        let held = buffer_bytes(&batch);
        let bytes = self.compressed(batch.bytes);
        let slot = self.slot(&batch.topic, batch.partition);
        self.push(slot, Batch::new(bytes, batch.records, Some(ticket), held));
    }

    fn enqueue_offset(&mut self, offset: OffsetRecord, topic: &str) -> Result<(), WriteError> {
        let partitions = match self.cluster.topic(topic) {
            Some(TopicState::Known(leaders)) if !leaders.is_empty() => leaders.len() as i32,
            _ => return Err(WriteError::Transient(format!("the offsets topic {topic} is not known any more"))),
        };
        let mut builder = RecordBatchBuilder::new(256 + offset.key.len() + offset.value.as_ref().map_or(0, Vec::len));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let timestamp_ms = now.map_or(0, |d| d.as_millis() as i64);
        builder.append(timestamp_ms, Some(&offset.key), offset.value.as_deref(), &EncodedHeaders::new());
        let (bytes, records) = builder.finish();
        let bytes = self.compressed(bytes);
        let slot = self.slot(&topic.into(), partition_for_key(&offset.key, partitions));
        if let Some(open) = &mut self.transaction {
            open.outstanding += 1;
        }
        self.push(slot, Batch::new(bytes, records, None, 0));
        Ok(())
    }

    fn compressed(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.config.compression {
            Codec::None => bytes,
            codec => compress_with_level(&bytes, codec, self.config.compression_level),
        }
    }

    fn push(&mut self, slot: usize, batch: Batch) {
        if self.active.is_empty() {
            self.last_progress = Instant::now();
        }
        self.partitions[slot].push(batch);
        self.active.insert(slot);
        if let Some(open) = &mut self.transaction {
            open.touched.insert(slot);
        }
    }

    fn slot(&mut self, topic: &Arc<str>, partition: i32) -> usize {
        // A negative partition has no leader either; it fails as an unknown one.
        let index = usize::try_from(partition).unwrap_or(0);
        let slots = self.slots.entry(topic.clone()).or_default();
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        *slots[index].get_or_insert_with(|| {
            self.partitions.push(PartitionQueue::new(topic.clone(), partition));
            self.partitions.len() - 1
        })
    }

    // Acknowledgements out.

    /// One batch is in the log.
    pub(super) fn acknowledged(&mut self, batch: &Batch) {
        self.last_progress = Instant::now();
        self.handoff.release(batch.buffer_bytes);
        if batch.ticket.is_some() {
            add(&self.counters.records, u64::from(batch.records()));
        }
        add(&self.counters.bytes, batch.len() as u64);
        match (&mut self.transaction, batch.ticket) {
            (Some(open), _) => open.outstanding -= 1,
            (None, Some(ticket)) => {
                if let Some(progress) = self.tickets.iter_mut().find(|t| t.number == ticket) {
                    progress.outstanding -= 1;
                }
            }
            (None, None) => {}
        }
    }

    /// A batch became two.
    pub(super) fn split(&mut self, ticket: Option<u64>) {
        match (&mut self.transaction, ticket) {
            (Some(open), _) => open.outstanding += 1,
            (None, Some(ticket)) => {
                if let Some(progress) = self.tickets.iter_mut().find(|t| t.number == ticket) {
                    progress.outstanding += 1;
                }
            }
            (None, None) => {}
        }
    }

    pub(super) fn report_prefix(&mut self) {
        let mut last = None;
        let early = fault::planted("durable_when_sent");
        while let Some(front) = self.tickets.pop_front_if(|t| t.outstanding == 0 || early) {
            last = Some(front.number);
        }
        if let Some(ticket) = last {
            self.handoff.durable(ticket);
            self.listener.durable(ticket, false);
        }
    }

    fn renew_identity(&mut self) {
        if !self.identity_lost || self.renewing_identity || self.partitions.iter().any(PartitionQueue::has_in_flight) {
            return;
        }
        self.renewing_identity = true;
        let (cluster, first, max) = (self.cluster.clone(), self.config.retry_backoff, self.config.retry_backoff_max);
        self.start_task(async move {
            let mut attempt = 0;
            loop {
                match idempotent_identity(&cluster).await {
                    Err(WriteError::Transient(_)) => tokio::time::sleep(backoff(first, max, attempt)).await,
                    result => return Event::NewIdentity(result),
                }
                attempt += 1;
            }
        });
    }

    /// Asks for the leaders of these topics, at most once at a time and not too often.
    pub(super) fn refresh(&mut self, topics: Vec<Arc<str>>, now: Instant) {
        if self.refreshing {
            return;
        }
        let due = self.refreshed_at + self.config.retry_backoff;
        if now < due {
            return self.wake_by(due);
        }
        self.refreshing = true;
        let cluster = self.cluster.clone();
        self.start_task(async move { Event::Refreshed(cluster.refresh(&topics, false).await) });
    }

    fn handle(&mut self, event: Event) -> Result<(), WriteError> {
        match event {
            Event::Produced(sent, result) => self.produced(sent, result)?,
            Event::Connected(node, result) => self.connected(node, result)?,
            Event::Refreshed(result) => {
                self.refreshing = false;
                self.refreshed_at = Instant::now();
                if let Err(error) = result {
                    self.unreachable(&error)?;
                }
            }
            Event::PartitionsAdded(slots, result) => {
                self.adding_partitions = false;
                self.coordinator_result(result)?;
                if let Some(open) = &mut self.transaction {
                    open.added.extend(slots);
                }
            }
            Event::TransactionEnded(result) => {
                let identity = self.coordinator_result(result)?;
                self.transaction_ended(identity);
            }
            Event::NewIdentity(result) => {
                self.identity = result?;
                self.renewing_identity = false;
                self.identity_lost = false;
                self.partitions.iter_mut().for_each(PartitionQueue::restart_sequences);
            }
        }
        Ok(())
    }

    fn coordinator_result<T>(&self, result: Result<T, CoordinatorError>) -> Result<T, WriteError> {
        let value = result.map_err(|error| match error {
            CoordinatorError::Write(error) => error,
            CoordinatorError::Fenced => self.fenced(),
        })?;
        Ok(value)
    }
}

/// As [`walspring_connect::writer::Ticket::size`] counts a batch.
fn buffer_bytes(batch: &EncodedBatch) -> usize {
    batch.bytes.capacity() + 64
}

/// What a ticket holds beside its batches, which count until each is acknowledged.
fn beside_batches(ticket: &Ticket) -> usize {
    ticket.size() - ticket.batches.iter().map(buffer_bytes).sum::<usize>()
}
