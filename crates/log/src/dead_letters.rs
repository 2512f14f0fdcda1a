//! Where a sink's poison records go: a topic of the log.

use std::sync::Arc;

use walspring_connect::writer::EncodedBatch;
use walspring_connect::{DeadLetter, DeadLetterQueue, StoreError};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder, partition_for_key};

use crate::log::{Log, write};
use crate::view::TopicSpec;
use crate::writer::now_ms;

pub(crate) struct DeadLetters {
    log: Log,
    topic: Arc<str>,
    partitions: i32,
}

impl DeadLetters {
    /// Makes the topic where it is not there: one partition.
    pub fn open(log: Log, topic: &str) -> Result<DeadLetters, StoreError> {
        let spec = TopicSpec { partitions: 1, compacted: false, config: Default::default() };
        let partitions = log.ensure_topic(topic, spec).map_err(StoreError::Definite)?;
        Ok(DeadLetters { log, topic: topic.into(), partitions })
    }
}

impl DeadLetterQueue for DeadLetters {
    fn write(&mut self, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let mut builders: Vec<Option<RecordBatchBuilder>> = Vec::new();
        builders.resize_with(self.partitions.max(1) as usize, || None);
        for DeadLetter { key, value, headers, timestamp_ms } in letters {
            let mut encoded = EncodedHeaders::new();
            for (name, value) in headers {
                encoded.push(name, value.as_deref());
            }
            let partition = key.as_ref().map_or(0, |key| partition_for_key(key, self.partitions));
            let Some(builder) = builders.get_mut(partition as usize) else { continue };
            let builder = builder.get_or_insert_with(|| RecordBatchBuilder::new(1024));
            builder.append(timestamp_ms.unwrap_or_else(now_ms), key.as_deref(), value.as_deref(), &encoded);
        }
        let batches = builders.into_iter().zip(0..).filter_map(|(builder, partition)| {
            let (bytes, records) = builder?.finish();
            Some(EncodedBatch { topic: self.topic.clone(), partition, records, bytes })
        });
        let batches: Vec<_> = batches.collect();
        if batches.is_empty() {
            return Ok(());
        }
        write(&self.log.queue, batches, Vec::new()).map_err(|why| self.log.queue.store_error(why))
    }
}
