//! The worker's three stores as compacted topics of the log.

use std::sync::Arc;

use walspring_connect::{KeyedLog, KeyedRecord, StoreError};
use walspring_record_batch::partition_for_key;

use crate::log::{Log, write};
use crate::view::TopicSpec;
use crate::writer::single;

pub(crate) struct KeyedTopic {
    log: Log,
    topic: Arc<str>,
    partitions: i32,
}

impl KeyedTopic {
    pub fn open(log: Log, topic: &str, partitions: i32) -> Result<KeyedTopic, StoreError> {
        let spec = TopicSpec {
            partitions,
            compacted: true,
            config: [("cleanup.policy".to_owned(), "compact".to_owned())].into(),
        };
        let partitions = log.ensure_topic(topic, spec).map_err(|why| log.queue.store_error(why))?;
        Ok(KeyedTopic { log, topic: topic.into(), partitions })
    }
}

impl KeyedLog for KeyedTopic {
    fn read_to_end(&self) -> Result<Vec<KeyedRecord>, StoreError> {
        let view = self.log.shared.view.lock().unwrap_or_else(|e| e.into_inner());
        let Some(topic) = view.topics.get(&*self.topic) else { return Ok(Vec::new()) };
        let mut records: Vec<KeyedRecord> = topic
            .partitions
            .iter()
            .flat_map(|p| &p.newest)
            .map(|(key, v)| KeyedRecord { key: key.clone(), value: Some(v.value.clone()), kafka_offset: v.offset })
            .collect();
        records.sort_by_key(|r| r.kafka_offset);
        Ok(records)
    }

    fn write(&self, records: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let batches = records
            .iter()
            .map(|(key, value)| single(&self.topic, partition_for_key(key, self.partitions), key, value.as_deref()))
            .collect();
        write(&self.log.queue, batches, Vec::new()).map_err(|why| self.log.queue.store_error(why))
    }
}
