//! From what a consumer read to what a sink takes: converters, then transforms.

use std::sync::Arc;

use walspring_connect::{ConsumedRecord, Origin, SinkRecord};
use walspring_record::{Header, Record};

use super::failure::{Failure, Stage};
use crate::errors::retry::Retry;
use crate::plugins::Converters;
use crate::transform_chain::TransformChain;

pub(super) struct Decoder {
    pub converters: Converters,
    pub chain: TransformChain,
    pub retry: Retry,
}

impl Decoder {
    /// `None`: a transform dropped it.
    pub fn decode(&mut self, raw: &ConsumedRecord) -> Result<Option<SinkRecord>, Box<Failure>> {
        let Converters { key, value, header, key_class, value_class, header_class } = &self.converters;
        let (topic, retry) = (&raw.topic, &self.retry);
        let record = Record {
            topic: topic.clone(),
            partition: Some(raw.partition),
            key: retry
                .run(|| key.decode(topic, raw.key.as_deref()))
                .map_err(|e| Failure::convert(Stage::KeyConverter, key_class, e))?,
            value: retry
                .run(|| value.decode(topic, raw.value.as_deref()))
                .map_err(|e| Failure::convert(Stage::ValueConverter, value_class, e))?,
            headers: raw
                .headers
                .iter()
                .map(|(name, bytes)| {
                    let value = header.decode_header(topic, name, bytes.as_deref())?;
                    Ok(Header { name: Arc::from(name.as_str()), value })
                })
                .collect::<Result<_, _>>()
                .map_err(|e| Failure::convert(Stage::HeaderConverter, header_class, e))?,
            timestamp_ms: raw.timestamp_ms,
        };
        let record = match self.chain.apply(record, retry) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(None),
            Err(e) => return Err(Failure::convert(Stage::Transformation, self.chain.last_class(), e)),
        };
        Ok(Some(SinkRecord::new(record, origin(raw))))
    }
}

pub(super) fn origin(raw: &ConsumedRecord) -> Origin {
    Origin { topic: raw.topic.clone(), partition: raw.partition, kafka_offset: raw.kafka_offset }
}
