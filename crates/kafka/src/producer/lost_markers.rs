//! Writes the markers of a transaction of ours that the coordinator has decided and whose markers the brokers have lost.
//!
//! A coordinator of Kafka 4.3 takes a partition that has no leader for one that was deleted, and a transaction
//! for ended without a marker there (KAFKA-20734). It happens where brokers die: the partition has the transaction open
//! for good, and a task that reads its offset there would wait for good. What was decided is in the coordinator's log, so
//! its markers are written now as the coordinator would have (`kafka-transactions.sh abort` writes one the same way, but
//! can only abort).
//!
//! Invariants: nothing is ended that the log does not show decided beyond doubt, each partition only where that very
//! transaction is open, and the offsets last, so that a process that dies half way finds the rest again. Where it cannot
//! be done (no right to it, a log that was compacted), all stays as it is, and who reads the offset says so.
//!
//! In a transaction of one's own with those partitions it would take no right at all; but a process that died within it
//! would have aborted what was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::time::Instant;
use walspring_connect::writer::WriteError;
use walspring_record_batch::{BatchError, RecordBatchReader, batches};

use super::cluster::{Cluster, TopicState};
use super::transaction_log::{self, Decision, Search};
use crate::connection::ConnectionError;
use crate::protocol::fetch;
use crate::protocol::producers::{self, OpenTransaction};

/// Of one answer.
const FETCH_BYTES_MAX: i32 = 1 << 20;
const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;
/// For the coordinator's log, which may have a segment of 100 MB.
const READ_MAX: Duration = Duration::from_secs(60);

/// To be asked once the coordinator has granted the producer id anew: it is through with everything before.
///
/// An error is of the kind that goes away, and something may be half done.
pub(super) async fn write(
    cluster: &Cluster,
    transactional_id: &str,
    offsets_topic: &str,
    producer_id: i64,
) -> Result<(), WriteError> {
    let (open, decision) = match look(cluster, transactional_id, offsets_topic, producer_id).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(()),
        Err(reason) => {
            tracing::debug!(%reason, "not known whether markers were lost");
            return Ok(());
        }
    };
    let epoch = open.producer_epoch;
    let not_done = |reason: &dyn std::fmt::Display| {
        tracing::warn!(
            producer_id,
            epoch,
            %reason,
            "the brokers have lost the markers of a transaction; they are not written here"
        );
    };
    let decision = match decision {
        Ok(decision) => decision,
        Err(reason) => {
            not_done(&reason);
            return Ok(());
        }
    };
    match write_all(cluster, offsets_topic, producer_id, epoch, &decision).await {
        Ok(partitions) => {
            tracing::warn!(
                producer_id,
                epoch,
                committed = decision.commit,
                partitions,
                "the brokers had lost the markers of a transaction (KAFKA-20734); written as its coordinator had decided"
            );
            Ok(())
        }
        Err(error) if error.passes() => Err(WriteError::Transient(format!(
            "the brokers have lost the markers of this task's last transaction, and they cannot be written yet: {error}"
        ))),
        Err(error) => {
            not_done(&error);
            Ok(())
        }
    }
}

/// A transaction of ours that is open in the offsets topic though the coordinator is through with it, and its decision,
/// or why it is not known.
async fn look(
    cluster: &Cluster,
    transactional_id: &str,
    offsets_topic: &str,
    producer_id: i64,
) -> Result<Option<(OpenTransaction, Result<Decision, Trouble>)>, Trouble> {
    let Some(TopicState::Known(leaders)) = cluster.topic(offsets_topic) else { return Ok(None) };
    // Who reads the offset waits for a leader.
    let led = (0..).zip(leaders).filter(|(_, leader)| leader.is_some());
    let all: Vec<_> = led.map(|(partition, _)| (Arc::from(offsets_topic), partition)).collect();
    let Some((_, open)) = open_in(cluster, &all, producer_id).await?.into_iter().next() else { return Ok(None) };
    Ok(Some((open, decision_on(cluster, transactional_id, offsets_topic, producer_id, open).await)))
}

async fn decision_on(
    cluster: &Cluster,
    transactional_id: &str,
    offsets_topic: &str,
    producer_id: i64,
    open: OpenTransaction,
) -> Result<Decision, Trouble> {
    let log: Arc<str> = transaction_log::TOPIC.into();
    cluster.refresh(std::slice::from_ref(&log), false).await?;
    let partitions = match cluster.topic(&log) {
        Some(TopicState::Known(leaders)) => leaders.len(),
        Some(TopicState::Failed(error)) => return Err(error.into()),
        None => return Err(ResponseError::UnknownTopicOrPartition.into()),
    };
    let partition = transaction_log::partition_of(transactional_id, partitions);
    let mut search = Search::new(transactional_id, producer_id, open.producer_epoch);
    let mut scratch = Vec::new();
    read(cluster, &log, partition, 0, |batch| {
        if !batch.is_control() {
            for record in batch.records(&mut scratch, DECOMPRESSED_BYTES_MAX)? {
                let record = record?;
                search.add(record.key.unwrap_or_default(), record.value);
            }
        }
        Ok(())
    })
    .await?;
    let place = (offsets_topic.to_owned(), open.partition);
    search.finish().filter(|decision| decision.partitions.contains(&place)).ok_or(Trouble::NotKnown)
}

/// In how many partitions.
async fn write_all(
    cluster: &Cluster,
    offsets_topic: &str,
    producer_id: i64,
    producer_epoch: i16,
    decision: &Decision,
) -> Result<usize, Trouble> {
    let mut open = open_in(cluster, &existing(cluster, decision).await?, producer_id).await?;
    // The offsets last.
    open.sort_by_key(|(topic, _)| **topic == *offsets_topic);
    for (topic, open) in &open {
        let is_one = is_of_one_epoch(cluster, topic, open, producer_id).await?;
        if open.producer_epoch != producer_epoch || !is_one {
            return Err(Trouble::OtherEpoch { topic: topic.clone(), partition: open.partition });
        }
    }
    for (topic, open) in &open {
        let leader = cluster.leader(topic, open.partition).ok_or(ResponseError::LeaderNotAvailable)?;
        let request = producers::marker(topic, producer_id, decision.marker_epoch, open, decision.commit);
        let answer = cluster.connection(leader).await?.call(&request).await?;
        producers::is_written(&answer)?;
    }
    Ok(open.len())
}

/// Of two transactions one may have been decided this way and one that, and a marker ends both.
async fn is_of_one_epoch(
    cluster: &Cluster,
    topic: &str,
    open: &OpenTransaction,
    producer_id: i64,
) -> Result<bool, Trouble> {
    let mut is_one = true;
    read(cluster, topic, open.partition, open.kafka_offset, |batch| {
        let ours = !batch.is_control() && batch.producer_id() == producer_id;
        is_one &= !ours || batch.producer_epoch() == open.producer_epoch;
        Ok(())
    })
    .await?;
    Ok(is_one)
}

/// The decided partitions that still are.
async fn existing(cluster: &Cluster, decision: &Decision) -> Result<Vec<(Arc<str>, i32)>, Trouble> {
    let mut names: Vec<Arc<str>> = decision.partitions.iter().map(|(topic, _)| Arc::from(&**topic)).collect();
    names.dedup();
    cluster.refresh(&names, false).await?;
    let mut partitions = Vec::new();
    for (topic, partition) in &decision.partitions {
        match cluster.topic(topic) {
            Some(TopicState::Failed(ResponseError::UnknownTopicOrPartition)) => continue,
            Some(TopicState::Failed(error)) => return Err(error.into()),
            _ => partitions.push((Arc::from(&**topic), *partition)),
        }
    }
    Ok(partitions)
}

/// What the producer has open in these partitions, of known topics.
async fn open_in(
    cluster: &Cluster,
    partitions: &[(Arc<str>, i32)],
    producer_id: i64,
) -> Result<Vec<(Arc<str>, OpenTransaction)>, Trouble> {
    let mut of_leaders: BTreeMap<(i32, &Arc<str>), Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        let leader = cluster.leader(topic, *partition).ok_or(ResponseError::LeaderNotAvailable)?;
        of_leaders.entry((leader, topic)).or_default().push(*partition);
    }
    let mut found = Vec::new();
    for ((leader, topic), partitions) in of_leaders {
        let answer = cluster.connection(leader).await?.call(&producers::of_partitions(topic, partitions)).await?;
        let open = producers::open_transactions(&answer, producer_id)?;
        found.extend(open.into_iter().map(|open| (topic.clone(), open)));
    }
    Ok(found)
}

/// Every batch of a partition from an offset on, up to its end as of the first answer.
async fn read(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    from: i64,
    mut each: impl FnMut(&RecordBatchReader<'_>) -> Result<(), BatchError>,
) -> Result<(), Trouble> {
    let leader = cluster.leader(topic, partition).ok_or(ResponseError::LeaderNotAvailable)?;
    let connection = cluster.connection(leader).await?;
    let until = Instant::now() + READ_MAX;
    let (mut next, mut end) = (from, None);
    while end.is_none_or(|end| next < end) {
        if Instant::now() >= until {
            return Err(Trouble::Slow);
        }
        let request = fetch::uncommitted(topic, partition, next, FETCH_BYTES_MAX);
        let fetched = fetch::of_one(connection.call(&request).await?)?;
        let end = *end.get_or_insert(fetched.high_watermark);
        let before = next;
        for batch in batches(&fetched.batches) {
            let batch = match batch {
                // The last one of an answer is cut off where it is full.
                Err(BatchError::Truncated) => break,
                batch => batch?,
            };
            batch.verify()?;
            each(&batch)?;
            next = next.max(batch.last_offset().saturating_add(1));
        }
        if next == before && next < end {
            return Err(Trouble::NoProgress(next));
        }
    }
    Ok(())
}

/// Why nothing was learned, or not everything written.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("{0}")]
    Broker(ResponseError),
    #[error("{0}: it takes Alter on the cluster, and Read on every topic of the transaction")]
    Unauthorized(ResponseError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the broker answers without anything from offset {0} on")]
    NoProgress(i64),
    #[error("they were not read in time")]
    Slow,
    #[error("the coordinator's log does not say beyond doubt what was decided")]
    NotKnown,
    #[error("partition {topic}-{partition} has another transaction open")]
    OtherEpoch { topic: Arc<str>, partition: i32 },
}

impl Trouble {
    fn passes(&self) -> bool {
        match self {
            Self::Connection(error) => !matches!(error, ConnectionError::Refused(_) | ConnectionError::Unsupported(_)),
            Self::Broker(error) => error.is_retriable(),
            _ => false,
        }
    }
}

impl From<ResponseError> for Trouble {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::ClusterAuthorizationFailed | ResponseError::TopicAuthorizationFailed => {
                Self::Unauthorized(error)
            }
            error => Self::Broker(error),
        }
    }
}
