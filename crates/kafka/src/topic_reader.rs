//! `walspring tail`: the records of a topic as they come, those of aborted transactions left out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::client_config::ClientOptions;
use crate::consumer::{Consumed, ConsumedRecord, Isolation, Position, Purpose, TopicConsumer};
use crate::kept::KeptError;

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const WAIT: Duration = Duration::from_millis(500);

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    Beginning,
    /// Only what comes from now on.
    End,
    /// This offset, in every partition that is read.
    Offset(i64),
    /// So many records before the end, in every partition.
    Last(i64),
    /// In milliseconds since the epoch.
    Timestamp(i64),
}

/// The topic or the cluster is not there, or we may not read it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("topic {topic}: {reason}")]
pub struct TopicReadError {
    pub topic: String,
    pub reason: String,
}

pub struct TopicReader {
    consumer: TopicConsumer,
    topic: String,
    follow: bool,
    /// Where each partition ends; empty when following.
    open: Vec<(i32, i64)>,
    waiting: VecDeque<ConsumedRecord>,
}

impl TopicReader {
    /// Reads one partition or all. Without `follow` it ends where the topic ended when this was called.
    pub fn open(
        options: &ClientOptions,
        topic: &str,
        partition: Option<i32>,
        from: ReadFrom,
        follow: bool,
    ) -> Result<Self, TopicReadError> {
        let failed = |error: KeptError| TopicReadError { topic: topic.to_owned(), reason: error.to_string() };
        let purpose = if follow { Purpose::Follow } else { Purpose::Replay };
        let mut consumer = TopicConsumer::open(options, "walspring-tail", topic, purpose).map_err(failed)?;
        let count = consumer.partitions(CALL_TIMEOUT).map_err(failed)?;
        let partitions: Vec<i32> = match partition {
            Some(partition) if !(0..count).contains(&partition) => {
                let reason = format!("it has no partition {partition}, only 0 to {}", count - 1);
                return Err(TopicReadError { topic: topic.to_owned(), reason });
            }
            Some(partition) => vec![partition],
            None => (0..count).collect(),
        };
        let list = |position| consumer.offsets(&partitions, position, Isolation::ReadCommitted, CALL_TIMEOUT);
        let starts = list(Position::Earliest).map_err(failed)?;
        let ends = list(Position::Latest).map_err(failed)?;
        let at_time = match from {
            ReadFrom::Timestamp(ms) => list(Position::Timestamp(ms)).map_err(failed)?,
            _ => Vec::new(),
        };
        let mut open = Vec::new();
        for (index, &partition) in partitions.iter().enumerate() {
            let (start, end) = (starts[index], ends[index]);
            let first = match from {
                ReadFrom::Beginning => start,
                ReadFrom::End => end,
                ReadFrom::Offset(offset) => offset.clamp(start, end),
                ReadFrom::Last(count) => end.saturating_sub(count).max(start),
                ReadFrom::Timestamp(_) if at_time[index] < 0 => end,
                ReadFrom::Timestamp(_) => at_time[index],
            };
            if follow || first < end {
                consumer.start(partition, first).map_err(failed)?;
            }
            if first < end {
                open.push((partition, end));
            }
        }
        Ok(Self { consumer, topic: topic.to_owned(), follow, open, waiting: VecDeque::new() })
    }

    /// The next record, waited for at most `timeout`. None: nothing has come, or, when [`Self::is_at_end`], nothing
    /// will.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<ConsumedRecord>, TopicReadError> {
        let until = crate::kept::Until::after(timeout);
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Ok(Some(record));
            }
            if self.is_at_end() || until.is_over() {
                return Ok(None);
            }
            let consumed = self
                .consumer
                .next(until.left().min(WAIT))
                .map_err(|error| TopicReadError { topic: self.topic.clone(), reason: error.to_string() })?;
            let (partition, next) = match consumed {
                Consumed::Record(record) => {
                    let place = (record.partition, record.kafka_offset + 1);
                    let end = self.open.iter().find(|(partition, _)| *partition == record.partition);
                    if self.follow || end.is_some_and(|(_, end)| record.kafka_offset < *end) {
                        self.waiting.push_back(record);
                    }
                    place
                }
                Consumed::End { partition, kafka_offset } => (partition, kafka_offset),
                Consumed::Nothing => continue,
            };
            self.open.retain(|(open, end)| *open != partition || next < *end);
        }
    }

    /// Everything up to the end has been returned, and more is not waited for.
    pub fn is_at_end(&self) -> bool {
        !self.follow && self.open.is_empty() && self.waiting.is_empty()
    }
}
