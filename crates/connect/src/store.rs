//! The three stores of a worker: connector configurations, source offsets, states. On Kafka each is a compacted topic in
//! Connect's formats; on the embedded log the same records. A store is a keyed log: what was last written for a key counts.

use std::sync::Arc;

use crate::consumer::{
    ConsumerRequest, DeadLetterQueue, DeadLetterRequest, GroupOffset, RecordConsumer, TopicPartition,
};

/// A store could not be read or written; transient unless it says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Transient(String),
    #[error("{0}")]
    Definite(String),
    /// A newer worker of the same group has taken over.
    #[error("{0}")]
    Fenced(String),
}

/// One record of a keyed log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    /// Its offset in the partition.
    pub kafka_offset: i64,
}

/// A compacted topic as a keyed log. Calls may wait; they come from the control plane, never from the record path.
pub trait KeyedLog: Send + Sync {
    /// Everything up to the end as of now (the last stable offset), in order within a partition, latest or all. Transactions
    /// that were aborted are not in it.
    fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError>;
    /// As `read_to_end`, of the records alone whose key is `wanted`, and with all of them settled: while the outcome of a
    /// transaction with one of them is not in the log, it fails with [`StoreError::Transient`], after a wait of seconds. Open
    /// transactions that have none of them are not waited for.
    fn read_settled(&self, wanted: &dyn Fn(&[u8]) -> bool) -> Result<Vec<KeyedRecord>, StoreError> {
        Ok(self.read_to_end()?.into_iter().filter(|record| wanted(&record.key)).collect())
    }
    /// Writes records, in order, durably, before it returns.
    fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError>;
    /// Calls `on_record` for each record that comes after what was last read, until dropped. Used for configs written by
    /// others. Default: nothing ever comes from others.
    fn follow(&self, _on_record: Arc<dyn Fn(KeyedRecord) + Send + Sync>) -> Option<Box<dyn Send>> {
        None
    }
}

/// What a worker stands on: Kafka or the embedded log. Made once, by the wiring.
pub trait Backend: Send + Sync {
    /// `GET /`'s `kafka_cluster_id`.
    fn cluster_id(&self) -> String;
    fn configs(&self) -> Arc<dyn KeyedLog>;
    /// The worker's offsets topic, or the connector's own (`offsets.storage.topic`).
    fn offsets(&self, topic: Option<&str>) -> Result<Arc<dyn KeyedLog>, StoreError>;
    fn statuses(&self) -> Arc<dyn KeyedLog>;
    /// Our own store beside Connect's three: what sources keep over restarts. `None`: there is none, and they do without.
    fn state(&self) -> Option<Arc<dyn KeyedLog>> {
        None
    }
    /// Makes the writer of one task. Returns after older writers with the same transactional id are fenced. `config` is
    /// the connector's (`producer.override.*`, `topic.creation.*`).
    fn writer(
        &self,
        request: WriterRequest,
        listener: Arc<dyn crate::writer::DurabilityListener>,
    ) -> Result<Box<dyn crate::writer::RecordWriter>, crate::writer::WriteError>;
    /// Refuses what a connector's configuration says about its topics, in Connect's words, before a task is made of it.
    fn check(&self, _config: &[(String, String)]) -> Result<(), String> {
        Ok(())
    }
    /// Whether task writers store the offset in the records' transaction (exactly once).
    fn transactional(&self) -> bool;
    /// Whether this worker still is the one of its group: asked when a writer was fenced, which a transaction that timed
    /// out does to its own writer too. `true`: the task is started again; else it fails, and so do all others.
    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
    /// Why nothing can be stored any more before the process is started again, if that is so.
    fn broken(&self) -> Option<String> {
        None
    }
    /// Calls the listener when another worker has taken over; at once when that was before. Not on the caller's thread.
    fn on_taken_over(&self, _listener: Box<dyn Fn(&str) + Send + Sync>) {}

    /// Joins a consumer group, for one task of a sink.
    fn consumer(&self, _request: ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> {
        Err(StoreError::Definite("there are no consumer groups here".into()))
    }
    /// What a group has stored, by topic and partition.
    fn group_offsets(&self, _group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        Err(StoreError::Definite("there are no consumer groups here".into()))
    }
    /// Sets offsets of a group without members; `None` deletes what is stored for the partition.
    fn alter_group_offsets(&self, _group: &str, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<(), StoreError> {
        Err(StoreError::Definite("there are no consumer groups here".into()))
    }
    /// Forgets a group; one that is not there is no error.
    fn delete_group(&self, _group: &str) -> Result<(), StoreError> {
        Err(StoreError::Definite("there are no consumer groups here".into()))
    }
    /// Where a sink's poison records go.
    fn dead_letters(&self, _request: DeadLetterRequest) -> Result<Box<dyn DeadLetterQueue>, StoreError> {
        Err(StoreError::Definite("there is no dead letter queue here".into()))
    }
}

pub struct WriterRequest {
    pub connector: String,
    pub task: u32,
    pub config: Vec<(String, String)>,
    /// Where the offset records go; `None`: the worker's offsets topic.
    pub offsets_topic: Option<String>,
}
