//! What sinks read from: consumer groups, on Kafka or on the embedded log, and where poison records go.

use std::sync::Arc;
use std::time::Duration;

use crate::source::StopToken;
use crate::store::StoreError;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

/// What a sink subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// `topics`
    Named(Vec<String>),
    /// `topics.regex`, in Java's syntax, matching whole names. Topics that come later are found.
    Matching(String),
}

/// Asks for one member of a consumer group.
pub struct ConsumerRequest {
    pub connector: String,
    pub task: u32,
    pub group: String,
    pub topics: Topics,
    /// The connector's configuration, resolved: `consumer.override.*` holds for this consumer.
    pub config: Vec<(String, String)>,
    pub stop: StopToken,
}

/// One record, on its own memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub kafka_offset: i64,
    /// In milliseconds since the epoch; none where the topic has none.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a poll brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumed {
    /// The buffer holds at least one record.
    Records,
    /// Nothing came within the wait.
    Nothing,
    /// These partitions are this member's from now on, beside those that it has. None of their records has come yet:
    /// `seek` may set where they begin.
    Assigned(Vec<TopicPartition>),
    /// These will be taken away when `poll` is next called: what was polled from them is to be written and committed
    /// before that.
    Revoked(Vec<TopicPartition>),
    /// These are gone already (the member was away for too long): another member may have them. Nothing may be committed
    /// for them.
    Lost(Vec<TopicPartition>),
}

/// A member of a consumer group. Reads committed records only, unless the configuration says otherwise. Lives on one
/// thread. Bounded in bytes (1 MiB a partition, 16 MiB in all, unless configured).
pub trait RecordConsumer: Send {
    /// Appends records to `into`, at most `records_max`, in order within a partition. What has come is returned at once;
    /// waits at most `wait` where nothing has. A member that does not poll for `max.poll.interval.ms` loses its
    /// partitions: one that waits polls with all of them paused.
    fn poll(
        &mut self,
        into: &mut Vec<ConsumedRecord>,
        records_max: usize,
        wait: Duration,
    ) -> Result<Consumed, StoreError>;

    /// Stores the offsets of the next records to read, durably, before it returns.
    fn commit(&mut self, offsets: &[(TopicPartition, i64)]) -> Result<(), StoreError>;

    /// Reads go on there. What was fetched ahead is forgotten.
    fn seek(&mut self, partition: &TopicPartition, kafka_offset: i64) -> Result<(), StoreError>;

    /// No records come until it is resumed; membership is kept as long as `poll` is called.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError>;
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), StoreError>;

    /// How many records wait behind what was polled, for each assigned partition, as far as it is known without asking.
    fn lag(&mut self) -> Vec<(TopicPartition, u64)>;

    /// Where reading goes on, for each assigned partition of which that is known: behind the last record that was polled,
    /// and behind what follows it that is no record, such as the end of a transaction. May be committed once all that was
    /// polled is done with.
    fn positions(&mut self) -> Vec<(TopicPartition, i64)> {
        Vec::new()
    }

    /// Leaves the group, so that others take the partitions at once.
    fn close(self: Box<Self>);
}

/// What stands in a group for one partition: the offset of the next record to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    pub partition: TopicPartition,
    pub kafka_offset: i64,
}

/// One record for the dead letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// As they were read, before any converter.
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

/// A topic that takes what a sink could not write.
pub trait DeadLetterQueue: Send {
    /// Durable when it returns.
    fn write(&mut self, letters: &[DeadLetter]) -> Result<(), StoreError>;
}

/// Asks for a dead letter queue: the topic is made where it is not there, with one partition.
pub struct DeadLetterRequest {
    pub connector: String,
    pub task: u32,
    pub topic: String,
    /// `errors.deadletterqueue.topic.replication.factor`
    pub replication_factor: i16,
    /// The connector's configuration: `producer.override.*` holds.
    pub config: Vec<(String, String)>,
}
