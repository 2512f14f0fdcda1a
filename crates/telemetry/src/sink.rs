//! What is told of each record that a sink has dealt with: a consumer span, and a line in the log.

use opentelemetry::trace::{Span, SpanBuilder, SpanContext, SpanKind, Status, Tracer};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::trace::SdkTracer;
use walspring_connect::{Fate, Processed, SinkIdentity, SinkObserver, TaskError};

use crate::message_key::{cut, shown};
use crate::names::{self, before, exception, now};
use crate::record_log::{self, RecordLog};
use crate::trace_context;

/// Of an error's message in a span.
const MESSAGE_CHARS_MAX: usize = 1024;

pub struct SinkTelemetry {
    /// `None`: no spans are exported; failures are still logged.
    pub(crate) tracer: Option<SdkTracer>,
    /// Parents are read from headers.
    pub(crate) propagate: bool,
    pub(crate) log: RecordLog,
}

impl SinkObserver for SinkTelemetry {
    fn wants_all(&self) -> bool {
        self.tracer.is_some() || self.log.wants_all()
    }

    fn processed(&self, task: &SinkIdentity, records: &[Processed<'_>]) {
        // Strings of the task are shared by all of its spans.
        let shared = self.tracer.as_ref().map(|tracer| (tracer, Shared::new(task)));
        let log_all = self.log.wants_all();
        for record in records {
            let key = record.raw_key.map(shown);
            let context = shared.as_ref().map(|(tracer, shared)| {
                let parent =
                    if self.propagate { trace_context::parent(&record.record.headers) } else { Context::new() };
                span(tracer, shared, &parent, record, key.as_deref())
            });
            if log_all || matches!(record.fate, Fate::Failed { .. }) {
                self.log.write(task, record, key.as_deref(), context.as_ref().unwrap_or(&SpanContext::NONE));
            }
        }
    }
}

struct Shared {
    group: StringValue,
    connector: StringValue,
    task: i64,
}

impl Shared {
    fn new(task: &SinkIdentity) -> Shared {
        Shared {
            group: task.group.clone().into(),
            connector: task.connector.clone().into(),
            task: i64::from(task.task),
        }
    }
}

/// Makes the span, from its start to its end; answers its context. Attributes are made only where it is recorded.
fn span(
    tracer: &SdkTracer,
    shared: &Shared,
    parent: &Context,
    record: &Processed<'_>,
    key: Option<&str>,
) -> SpanContext {
    let origin = &record.record.origin;
    let builder = SpanBuilder::from_name(format!("{} {}", names::PROCESS, origin.topic))
        .with_kind(SpanKind::Consumer)
        .with_start_time(record.started);
    let mut span = tracer.build_with_context(builder, parent);
    if span.is_recording() {
        span.set_attributes([
            KeyValue::new(names::SYSTEM, names::SYSTEM_KAFKA),
            KeyValue::new(before::OPERATION, names::PROCESS),
            KeyValue::new(now::OPERATION_NAME, names::PROCESS),
            KeyValue::new(now::OPERATION_TYPE, names::PROCESS),
            KeyValue::new(names::DESTINATION, StringValue::from(origin.topic.clone())),
            KeyValue::new(before::GROUP, shared.group.clone()),
            KeyValue::new(now::GROUP, shared.group.clone()),
            KeyValue::new(before::PARTITION, i64::from(origin.partition)),
            KeyValue::new(now::PARTITION, origin.partition.to_string()),
            KeyValue::new(before::OFFSET, origin.kafka_offset),
            KeyValue::new(now::OFFSET, origin.kafka_offset),
            KeyValue::new(names::CONNECTOR, shared.connector.clone()),
            KeyValue::new(names::TASK, shared.task),
        ]);
        if let Some(key) = key {
            span.set_attribute(KeyValue::new(names::KEY, key.to_owned()));
        }
        match record.fate {
            Fate::Done(outcome) => {
                set_operation(&mut span, outcome.as_str());
                if record.record.is_tombstone() {
                    span.set_attribute(KeyValue::new(names::TOMBSTONE, true));
                }
            }
            Fate::Dropped => set_operation(&mut span, record_log::IGNORE),
            Fate::Failed { error, dead_letter } => {
                set_error(&mut span, error, record);
                if dead_letter {
                    span.set_attribute(KeyValue::new(names::DEAD_LETTER, true));
                }
            }
        }
    }
    span.end_with_timestamp(record.ended.max(record.started));
    span.span_context().clone()
}

fn set_operation(span: &mut impl Span, operation: &'static str) {
    span.set_attribute(KeyValue::new(before::DB_OPERATION, operation));
    span.set_attribute(KeyValue::new(now::DB_OPERATION, operation));
}

/// The error's text has no values of rows: that is what errors of tasks promise.
fn set_error(span: &mut impl Span, error: &TaskError, record: &Processed<'_>) {
    let text = error.to_string();
    let message = cut(&text, MESSAGE_CHARS_MAX).into_owned();
    span.set_attribute(KeyValue::new(names::ERROR_TYPE, error.class));
    let attributes =
        vec![KeyValue::new(exception::TYPE, error.class), KeyValue::new(exception::MESSAGE, message.clone())];
    span.add_event_with_timestamp(exception::EVENT, record.ended, attributes);
    span.set_status(Status::error(message));
}
