//! Reads a topic of Kafka, without what was aborted.

use std::collections::BTreeMap;
use std::time::Duration;

use walspring_kafka::client_config::ClientOptions;
use walspring_kafka::client_config::keys::Owner;
use walspring_kafka::topic_reader::{ReadFrom, TopicReader};
use walspring_log::StoredRecord;

use super::{From, Records, Request};
use crate::failure::Failure;

pub struct KafkaTopic(TopicReader);

pub fn open(properties: &BTreeMap<String, String>, request: &Request<'_>) -> Result<KafkaTopic, Failure> {
    let options = ClientOptions::internal(Owner::Consumer, properties).map_err(|e| Failure::invalid(e.to_string()))?;
    let from = match request.from {
        From::Beginning => ReadFrom::Beginning,
        From::End => ReadFrom::End,
        From::Offset(offset) => ReadFrom::Offset(offset),
    };
    let reader = TopicReader::open(&options, request.topic, request.partition, from, request.follow);
    reader.map(KafkaTopic).map_err(|e| Failure::unreachable(e.to_string()))
}

impl Records for KafkaTopic {
    fn read(&mut self, wait: Duration) -> Result<Option<Vec<StoredRecord>>, Failure> {
        let failed = |e: walspring_kafka::topic_reader::TopicReadError| Failure::error(e.to_string());
        match self.0.next(wait).map_err(failed)? {
            None if self.0.is_at_end() => Ok(None),
            None => Ok(Some(Vec::new())),
            Some(record) => Ok(Some(vec![StoredRecord {
                partition: record.partition,
                kafka_offset: record.kafka_offset,
                timestamp_ms: record.timestamp_ms.unwrap_or(-1),
                key: record.key,
                value: record.value,
                headers: record.headers,
            }])),
        }
    }
}
