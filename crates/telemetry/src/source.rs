//! What is told of each record that a source sends: a producer span, from the commit in the database until now. Its
//! context goes into the record's headers, where the sink's span finds its parent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use walspring_connect::SourceObserver;

use crate::names::{self, before, now};
use crate::trace_context;

pub struct SourceTelemetry {
    pub(crate) tracer: SdkTracer,
}

impl SourceObserver for SourceTelemetry {
    fn sent(&self, connector: &str, topic: &str, started_ms: Option<i64>) -> Option<String> {
        let ended = SystemTime::now();
        let started = started_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        // The database's clock may be ahead of ours.
        let started = started.map_or(ended, |since| (UNIX_EPOCH + since).min(ended));
        let builder = SpanBuilder::from_name(format!("{} {topic}", names::SEND))
            .with_kind(SpanKind::Producer)
            .with_start_time(started);
        let mut span = self.tracer.build_with_context(builder, &Context::new());
        if !span.span_context().is_sampled() {
            return None;
        }
        span.set_attributes([
            KeyValue::new(names::SYSTEM, names::SYSTEM_KAFKA),
            KeyValue::new(before::OPERATION, names::PUBLISH),
            KeyValue::new(now::OPERATION_NAME, names::SEND),
            KeyValue::new(now::OPERATION_TYPE, names::SEND),
            KeyValue::new(names::DESTINATION, topic.to_owned()),
            KeyValue::new(names::CONNECTOR, connector.to_owned()),
        ]);
        span.end_with_timestamp(ended);
        Some(trace_context::traceparent(span.span_context()))
    }
}
