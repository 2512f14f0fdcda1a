//! Appending to a topic as a source's task does.
#![allow(dead_code)]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use walspring_connect::writer::{DurabilityListener, EncodedBatch, Ticket, WriteError};
use walspring_connect::{Backend, WriterRequest};
use walspring_log::{Log, LogBackend, LogBackendConfig};
use walspring_record_batch::{EncodedHeaders, RecordBatchBuilder};

struct Deaf;

impl DurabilityListener for Deaf {
    fn durable(&self, _ticket: u64, _offset_stored: bool) {}

    fn failed(&self, error: WriteError) {
        panic!("{error}");
    }
}

pub fn batch(topic: &str, partition: i32, numbers: Range<u64>) -> EncodedBatch {
    let mut builder = RecordBatchBuilder::new(256);
    for number in numbers {
        let number = number.to_string();
        builder.append(5, Some(number.as_bytes()), Some(number.as_bytes()), &EncodedHeaders::new());
    }
    let (bytes, records) = builder.finish();
    EncodedBatch { topic: topic.into(), partition, records, bytes }
}

/// One ticket; the topic must be there. Durable when it returns.
pub fn append_all(log: &Log, batches: Vec<EncodedBatch>) {
    let backend = LogBackend::new(log.clone(), LogBackendConfig::default()).unwrap();
    let request = WriterRequest { connector: "c".into(), task: 0, config: Vec::new(), offsets_topic: None };
    let mut writer = backend.writer(request, Arc::new(Deaf)).unwrap();
    writer.submit(Ticket { number: 1, batches, offset: None }).unwrap();
    writer.flush(Duration::from_secs(20)).unwrap();
}

pub fn append(log: &Log, topic: &str, partition: i32, numbers: Range<u64>) {
    append_all(log, vec![batch(topic, partition, numbers)]);
}
