//! A compacted topic as a [`KeyedLog`]: the internal topics of a worker.
//!
//! Reading goes up to where the topic ended when the call was made, open transactions included: their end is waited
//! for, because a record of ours that is committed may stand behind the open transaction of another task. Where only some
//! keys matter ([`KeyedLog::read_settled`]), their transactions alone are waited for. Writing is
//! idempotent, acknowledged by all replicas, and partitioned as Java does (murmur2), or else compaction would keep our
//! record beside Java's. With a transactional id, a newer writer fences the older one, whose writes then fail with
//! [`StoreError::Fenced`].
//!
//! Nothing is held at rest but the writer's client.

mod outcomes;
mod reader;
mod settled;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use walspring_connect::{KeyedLog, KeyedRecord, StoreError};

use crate::client_config::ClientOptions;
use crate::kept::KeptError;
pub use writer::LogWriter;
pub(crate) use writer::produce;

/// Offset of the next record, for each partition that was read.
type NextOffsets = BTreeMap<i32, i64>;

pub struct KafkaKeyedLog {
    topic: String,
    options: ClientOptions,
    writer: Arc<LogWriter>,
    next_offsets: Arc<Mutex<NextOffsets>>,
}

impl KafkaKeyedLog {
    /// The topic must exist. `options` are those of a consumer.
    pub fn new(topic: String, options: ClientOptions, writer: Arc<LogWriter>) -> Self {
        Self { topic, options, writer, next_offsets: Arc::default() }
    }
}

impl KeyedLog for KafkaKeyedLog {
    fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
        let (records, next_offsets) = reader::read_to_end(&self.topic, &self.options)?;
        *self.next_offsets.lock().unwrap_or_else(PoisonError::into_inner) = next_offsets;
        Ok(records)
    }

    fn read_settled(&self, wanted: &dyn Fn(&[u8]) -> bool) -> Result<Vec<KeyedRecord>, StoreError> {
        settled::read_settled(&self.topic, &self.options, wanted)
    }

    fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        self.writer.write(&self.topic, records)
    }

    /// Also brings what was written here. Begins after the last `read_to_end`, or at the end when there was none.
    fn follow(&self, on_record: Arc<dyn Fn(KeyedRecord) + Send + Sync>) -> Option<Box<dyn Send>> {
        let next_offsets = self.next_offsets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(Box::new(reader::Follower::start(self.topic.clone(), self.options.clone(), next_offsets, on_record)))
    }
}

/// An error of the kept client as a store's.
pub(crate) fn store_error(error: &KeptError, what: &str) -> StoreError {
    let text = format!("{what}: {error}");
    if error.is_fenced() {
        StoreError::Fenced(format!("{what}: another worker with the same group.id has taken over ({error})"))
    } else if error.is_definite() {
        StoreError::Definite(text)
    } else {
        StoreError::Transient(text)
    }
}
