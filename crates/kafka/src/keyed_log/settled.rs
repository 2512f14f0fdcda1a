//! Reading a topic's records of some keys with all of them settled: what a task does before it goes on from a stored offset.
//!
//! ```text
//!   first ········ last stable offset ········ end          of each partition, as of the call
//!     the kept client, committed │ our own fetch: batches with their producers, and markers
//! ```
//!
//! A record of ours behind the last stable offset may be newer than everything before it. Its transaction is ours, and ended:
//! the task's new producer was granted after that. But a broker may have lost the markers (seen where its disk filled up
//! between a commit and its markers): going on from the older offset would send a transaction twice. Others' transactions,
//! which may hang for as long as nobody looks, do not hold us: ours are told apart by their keys, and their ends by the markers.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use walspring_connect::{KeyedRecord, StoreError};
use walspring_record_batch::{BatchError, batches};

use super::outcomes::{Outcomes, Undecided};
use super::reader::{CALL_TIMEOUT, Pending, replay};
use super::store_error;
use crate::client_config::{ClientOptions, LoginOptions};
use crate::connection::{Address, Connection, ConnectionConfig, ConnectionError};
use crate::consumer::{Isolation, Position, Purpose, TopicConsumer};
use crate::kept::{KeptError, Until, now_ms};
use crate::membership::coordinator;
use crate::protocol::fetch;

const ROLE: &str = "walspring-replay";
/// How long one call waits for a marker, which follows a commit within milliseconds. After that it is the caller's turn, who
/// says so and asks again.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Twice as long each time: behind a hanging transaction there may be much to read again.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Of one answer.
const FETCH_BYTES_MAX: i32 = 1 << 20;
/// Kafka's default `transaction.timeout.ms`. What is open for longer is not waiting for its end any more.
const TRANSACTION_MAX: Duration = Duration::from_secs(60);

/// The part of a partition between its last stable offset and its end.
#[derive(Debug, Clone, Copy)]
struct Tail {
    partition: i32,
    stable: i64,
    end: i64,
}

pub(super) fn read_settled(
    topic: &str,
    options: &ClientOptions,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<KeyedRecord>, StoreError> {
    // Our own connection does not have this login: every open transaction is waited for, whosever.
    if matches!(options.login, Some(LoginOptions::Kerberos { .. })) {
        let (records, _) = super::reader::read_to_end(topic, options)?;
        return Ok(records.into_iter().filter(|record| wanted(&record.key)).collect());
    }
    let (mut records, tails) = read_stable(topic, options)?;
    records.retain(|record| wanted(&record.key));
    if !tails.is_empty() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::Transient(format!("no event loop: {error}")))?;
        let read = runtime.block_on(read_tails(topic, options, tails, wanted));
        // A name that is being resolved holds a thread; it is not waited for.
        runtime.shutdown_background();
        records.extend(read?);
    }
    Ok(records)
}

/// What stands before the last stable offsets, and what is left behind them.
fn read_stable(topic: &str, options: &ClientOptions) -> Result<(Vec<KeyedRecord>, Vec<Tail>), StoreError> {
    let failed = |error: KeptError| store_error(&error, &format!("topic {topic} cannot be read"));
    let mut consumer = TopicConsumer::open(options, ROLE, topic, Purpose::Replay).map_err(failed)?;
    let partitions: Vec<i32> = (0..consumer.partitions(CALL_TIMEOUT).map_err(failed)?).collect();
    let list = |position, isolation| consumer.offsets(&partitions, position, isolation, CALL_TIMEOUT);
    let starts = list(Position::Earliest, Isolation::ReadUncommitted).map_err(failed)?;
    // In this order: what settles between the two questions is read the plain way.
    let ends = list(Position::Latest, Isolation::ReadUncommitted).map_err(failed)?;
    let stables = list(Position::Latest, Isolation::ReadCommitted).map_err(failed)?;
    let mut pending = Vec::new();
    let mut tails = Vec::new();
    for (index, &partition) in partitions.iter().enumerate() {
        let (start, stable, end) = (starts[index], stables[index].min(ends[index]), ends[index]);
        if start < stable {
            consumer.start(partition, start).map_err(failed)?;
            pending.push(Pending { partition, end: stable });
        }
        if stable < end {
            tails.push(Tail { partition, stable, end });
        }
    }
    Ok((replay(&consumer, topic, pending)?, tails))
}

/// Asks until nothing wanted is open any more, or the time is over.
async fn read_tails(
    topic: &str,
    options: &ClientOptions,
    tails: Vec<Tail>,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Vec<KeyedRecord>, StoreError> {
    let until = Until::after(SETTLE_MAX);
    let (bootstrap, config) = coordinator::settings(options, ROLE).map_err(StoreError::Definite)?;
    let mut records = Vec::new();
    for tail in tails {
        let failed = |error: ReadError| error.of_store(topic, tail.partition);
        let mut leader = None;
        let (mut wait, wait_max) = ASK_AGAIN;
        loop {
            let connection = match leader.take() {
                Some(connection) => connection,
                None => connect(&bootstrap, &config, topic, tail.partition).await.map_err(failed)?,
            };
            match read(&connection, topic, tail, wanted).await.map_err(failed)? {
                Ok(found) => {
                    records.extend(found);
                    break;
                }
                Err(open) if until.is_over() => {
                    return Err(StoreError::Transient(not_settled(topic, tail.partition, &open, now_ms())));
                }
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = wait_max.min(wait * 2);
            leader = Some(connection);
        }
    }
    Ok(records)
}

/// To the partition's leader.
async fn connect(
    bootstrap: &[Address],
    config: &ConnectionConfig,
    topic: &str,
    partition: i32,
) -> Result<Connection, ReadError> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = MetadataRequest::default()
        .with_allow_auto_topic_creation(false)
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]));
    let mut last = ReadError::Broker(ResponseError::BrokerNotAvailable);
    for address in bootstrap {
        let answer = match Connection::open(address, config).await {
            Ok(connection) => connection.call(&request).await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                last = error.into();
                continue;
            }
        };
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let leader = partitions.filter(|p| p.partition_index == partition).map(|p| p.leader_id).next();
        let leader = leader.and_then(|leader| answer.brokers.iter().find(|broker| broker.node_id == leader));
        let Some((leader, port)) = leader.and_then(|leader| Some((leader, u16::try_from(leader.port).ok()?))) else {
            return Err(ResponseError::LeaderNotAvailable.into());
        };
        let address = Address { host: leader.host.to_string(), port };
        return Ok(Connection::open(&address, config).await?);
    }
    Err(last)
}

/// Reads on to where the partition ends by now, since that is where a marker would be.
async fn read(
    leader: &Connection,
    topic: &str,
    tail: Tail,
    wanted: &dyn Fn(&[u8]) -> bool,
) -> Result<Result<Vec<KeyedRecord>, Undecided>, ReadError> {
    let mut outcomes = Outcomes::new(wanted, tail.end);
    let mut next = tail.stable;
    let mut end = tail.end;
    while next < end {
        let request = fetch::uncommitted(topic, tail.partition, next, FETCH_BYTES_MAX);
        let fetched = fetch::of_one(leader.call(&request).await?)?;
        if next == tail.stable {
            end = end.max(fetched.high_watermark);
        }
        let from = next;
        for batch in batches(&fetched.batches) {
            let batch = match batch {
                // The last one of an answer is cut off where it is full.
                Err(BatchError::Truncated) => break,
                batch => batch?,
            };
            outcomes.add(&batch, from)?;
            next = next.max(batch.last_offset().saturating_add(1));
        }
        if next == from {
            return Err(ReadError::NoProgress(next));
        }
    }
    Ok(outcomes.finish())
}

/// Says what is waited for and, once that is no matter of time any more, what ends it.
fn not_settled(topic: &str, partition: i32, open: &Undecided, now_ms: i64) -> String {
    let Undecided { producer_id, producer_epoch, kafka_offset, written_ms } = open;
    let mut text = format!(
        "the outcome of this connector's last transaction is not yet in the log of partition {partition} of topic {topic}: the \
         broker has not written its markers (from offset {kafka_offset} on, producer id {producer_id}, epoch {producer_epoch}); \
         the task does not go on from an older offset"
    );
    let open_ms = now_ms.saturating_sub(*written_ms);
    if open_ms > TRANSACTION_MAX.as_millis() as i64 {
        text.push_str(&format!(
            ". It is open for {} s, longer than a transaction lasts (transaction.timeout.ms), so it hangs: \
             kafka-transactions.sh find-hanging --topic {topic} --partition {partition} shows it, and \
             kafka-transactions.sh abort --topic {topic} --partition {partition} --start-offset {kafka_offset} ends it; its \
             records in other topics hang as well and need the same",
            open_ms / 1000
        ));
    }
    text
}

/// Why a tail could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("{0}")]
    Broker(#[from] ResponseError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the broker answers without anything from offset {0} on")]
    NoProgress(i64),
}

impl ReadError {
    fn of_store(self, topic: &str, partition: i32) -> StoreError {
        let text = format!("partition {partition} of topic {topic} cannot be read to its end: {self}");
        match self {
            Self::Connection(ConnectionError::Refused(_) | ConnectionError::Unsupported(_))
            | Self::Broker(ResponseError::TopicAuthorizationFailed) => StoreError::Definite(text),
            _ => StoreError::Transient(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_named_once_it_is_no_matter_of_time() {
        let open = Undecided { producer_id: 4, producer_epoch: 2, kafka_offset: 17, written_ms: 1_000 };
        let soon = not_settled("offsets", 3, &open, 61_000);
        assert!(soon.contains("partition 3 of topic offsets") && !soon.contains("kafka-transactions.sh"), "{soon}");
        let late = not_settled("offsets", 3, &open, 62_000);
        for part in ["61 s", "find-hanging", "abort --topic offsets --partition 3 --start-offset 17 "] {
            assert!(late.contains(part), "{late}");
        }
        // A clock that is behind the producer's.
        assert!(!not_settled("offsets", 3, &open, i64::MIN).contains("kafka-transactions.sh"));
    }
}
