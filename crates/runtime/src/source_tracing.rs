//! The trace context that a source's records carry, where tracing is configured: one header, made when the record is
//! appended.

use std::sync::Arc;

use walspring_connect::writer::HeaderBytes;
use walspring_connect::{HeaderConverter, SourceObserver};
use walspring_record::Value;

pub(crate) struct SourceTracing {
    observer: Arc<dyn SourceObserver>,
    connector: String,
    name: Arc<str>,
}

impl SourceTracing {
    pub fn new(observer: Arc<dyn SourceObserver>, connector: &str) -> SourceTracing {
        SourceTracing { observer, connector: connector.to_owned(), name: "traceparent".into() }
    }

    /// `None`: the record is not sampled. `committed_us`: when the change was committed, in microseconds since 1970.
    pub fn header(
        &self,
        converter: &dyn HeaderConverter,
        topic: &str,
        committed_us: Option<i64>,
    ) -> Option<HeaderBytes> {
        let context = self.observer.sent(&self.connector, topic, committed_us.map(|us| us.div_euclid(1000)))?;
        // As a sink with the same header converter reads it. One that takes no text gets the text's bytes.
        let value = Value::string(context.as_str());
        let bytes = converter.encode_header(topic, &self.name, None, &value);
        Some((self.name.clone(), bytes.unwrap_or_else(|_| Some(context.into_bytes()))))
    }
}
