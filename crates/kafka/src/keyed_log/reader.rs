//! The reading side: a replay of everything, and a follower of what comes after.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use walspring_connect::{KeyedRecord, StoreError, threads};

use super::{NextOffsets, store_error};
use crate::client_config::ClientOptions;
use crate::consumer::{Consumed, ConsumedRecord, Isolation, Position, Purpose, TopicConsumer};
use crate::kept::{KeptError, Until};

/// For a replay whose end does not come nearer. Longer than Kafka's default `transaction.timeout.ms`, after which the
/// broker itself ends what a dead task left open.
const STALLED_MAX: Duration = Duration::from_secs(90);
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// When waiting for someone's transaction deserves a word.
const STALL_NOTICED: Duration = Duration::from_secs(3);
/// A follower asks again this often at the latest; new records come at once.
const FOLLOW_WAIT: Duration = Duration::from_secs(60);
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// A partition still to be read up to `end`.
pub(super) struct Pending {
    pub partition: i32,
    pub end: i64,
}

pub(super) fn read_to_end(topic: &str, options: &ClientOptions) -> Result<(Vec<KeyedRecord>, NextOffsets), StoreError> {
    let failed = |error: KeptError| store_error(&error, &format!("topic {topic} cannot be read"));
    let mut consumer = TopicConsumer::open(options, "walspring-replay", topic, Purpose::Replay).map_err(failed)?;
    let partitions: Vec<i32> = (0..consumer.partitions(CALL_TIMEOUT).map_err(failed)?).collect();
    // Uncommitted: what is still open now is waited for below.
    let list = |position| consumer.offsets(&partitions, position, Isolation::ReadUncommitted, CALL_TIMEOUT);
    let starts = list(Position::Earliest).map_err(failed)?;
    let ends = list(Position::Latest).map_err(failed)?;
    let mut next_offsets = NextOffsets::new();
    let mut pending = Vec::new();
    for ((&partition, &start), &end) in partitions.iter().zip(&starts).zip(&ends) {
        next_offsets.insert(partition, end);
        if start < end {
            consumer.start(partition, start).map_err(failed)?;
            pending.push(Pending { partition, end });
        }
    }
    let records = replay(&consumer, topic, pending)?;
    Ok((records, next_offsets))
}

pub(super) fn replay(
    consumer: &TopicConsumer,
    topic: &str,
    mut pending: Vec<Pending>,
) -> Result<Vec<KeyedRecord>, StoreError> {
    let mut records = Vec::new();
    let mut stalled = Until::after(STALLED_MAX);
    let mut is_noticed = false;
    while !pending.is_empty() {
        let consumed = consumer
            .next(if is_noticed { RETRY_WAIT } else { STALL_NOTICED })
            .map_err(|error| store_error(&error, &format!("topic {topic} cannot be read")))?;
        let (partition, next_offset) = match consumed {
            Consumed::Record(record) => {
                let place = (record.partition, record.kafka_offset + 1);
                let end = pending.iter().find(|p| p.partition == record.partition).map(|p| p.end);
                // What was written after the call began is not part of its answer.
                if end.is_some_and(|end| record.kafka_offset < end) {
                    records.extend(keyed(record));
                }
                stalled = Until::after(STALLED_MAX);
                place
            }
            Consumed::End { partition, kafka_offset } => (partition, kafka_offset),
            Consumed::Nothing => {
                if !is_noticed {
                    is_noticed = true;
                    tracing::info!(topic, "waiting for the end of a transaction that another task has open");
                }
                if stalled.is_over() {
                    return Err(StoreError::Transient(format!(
                        "topic {topic} cannot be read to its end: a transaction has been open for {} s",
                        STALLED_MAX.as_secs()
                    )));
                }
                continue;
            }
        };
        pending.retain(|p| p.partition != partition || next_offset < p.end);
    }
    Ok(records)
}

/// None for a record without a key, which no store has written.
fn keyed(record: ConsumedRecord) -> Option<KeyedRecord> {
    Some(KeyedRecord { key: record.key?, value: record.value, kafka_offset: record.kafka_offset })
}

/// Reads on a thread of its own until it is dropped.
pub(super) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    topic: String,
    options: ClientOptions,
    stopping: AtomicBool,
    /// To be woken when the follower is dropped.
    consumer: std::sync::Mutex<Option<Arc<TopicConsumer>>>,
}

impl Follower {
    pub(super) fn start(
        topic: String,
        options: ClientOptions,
        next_offsets: NextOffsets,
        on_record: Arc<dyn Fn(KeyedRecord) + Send + Sync>,
    ) -> Self {
        let shared = Arc::new(Shared {
            topic,
            options,
            stopping: AtomicBool::new(false),
            consumer: std::sync::Mutex::default(),
        });
        let following = shared.clone();
        let thread = threads::spawn_aside("kafka-follow", move || following.run(next_offsets, &*on_record))
            .map_err(|error| tracing::error!(%error, "no thread to follow a topic with"))
            .ok();
        Self { shared, thread }
    }
}

impl Shared {
    /// Opens a new client after every error that the old one does not get over.
    fn run(&self, mut next_offsets: NextOffsets, on_record: &dyn Fn(KeyedRecord)) {
        while !self.stopping.load(Ordering::Acquire) {
            // A defect in what is done with one record is none of those behind it.
            let followed = catch_unwind(AssertUnwindSafe(|| self.follow(&mut next_offsets, on_record)));
            match followed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(topic = self.topic, %error, "following a topic is tried again");
                    std::thread::park_timeout(RETRY_WAIT);
                }
                Err(_) => std::thread::park_timeout(RETRY_WAIT),
            }
        }
    }

    fn follow(&self, next_offsets: &mut NextOffsets, on_record: &dyn Fn(KeyedRecord)) -> Result<(), KeptError> {
        let mut consumer = TopicConsumer::open(&self.options, "walspring-follow", &self.topic, Purpose::Replay)?;
        let partitions: Vec<i32> = (0..consumer.partitions(CALL_TIMEOUT)?).collect();
        let ends = consumer.offsets(&partitions, Position::Latest, Isolation::ReadUncommitted, CALL_TIMEOUT)?;
        for (&partition, &end) in partitions.iter().zip(&ends) {
            let next = *next_offsets.entry(partition).or_insert(end);
            consumer.start(partition, next)?;
        }
        let consumer = Arc::new(consumer);
        *self.consumer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(consumer.clone());
        while !self.stopping.load(Ordering::Acquire) {
            if let Consumed::Record(record) = consumer.next(FOLLOW_WAIT)? {
                next_offsets.insert(record.partition, record.kafka_offset + 1);
                if let Some(record) = keyed(record) {
                    on_record(record);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(consumer) = &*self.shared.consumer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            consumer.wake();
        }
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Dropped by what it calls, it cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
