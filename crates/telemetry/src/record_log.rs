//! A line in the log for each record that a sink has dealt with, under a target of its own, with the ids of its span, so
//! that one finds the other.
//!
//! Records that went through are logged at `debug`, or at `info` where `WALSPRING_LOG_RECORDS` is true. Failures are
//! always logged: at `error`, or at `warn` where the record is kept in the dead letter queue.

use opentelemetry::trace::SpanContext;
use tracing::Level;
use walspring_connect::{Fate, Processed, SinkIdentity};

/// What the level of these lines is set by.
pub const TARGET: &str = "walspring::sink::record";
/// The variable that raises them to `info`.
pub const VARIABLE: &str = "WALSPRING_LOG_RECORDS";

/// The outcome of a record that was not for the sink.
pub const IGNORE: &str = "ignore";
const DROPPED: &str = "dropped";
const FAILED: &str = "failed";
const DEAD_LETTER: &str = "dead_letter";

#[derive(Debug, Clone, Copy, Default)]
pub struct RecordLog {
    /// Records that went through are logged at `info`.
    pub at_info: bool,
}

impl RecordLog {
    pub fn from_env() -> RecordLog {
        let value = std::env::var(VARIABLE).unwrap_or_default();
        RecordLog { at_info: matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "on" | "yes") }
    }

    /// Whether a record that went through would make a line.
    pub fn wants_all(self) -> bool {
        if self.at_info {
            tracing::enabled!(target: TARGET, Level::INFO)
        } else {
            tracing::enabled!(target: TARGET, Level::DEBUG)
        }
    }

    /// `context`: of the record's span; an invalid one where there is none.
    pub fn write(self, task: &SinkIdentity, record: &Processed<'_>, key: Option<&str>, context: &SpanContext) {
        let ids = context.is_valid().then(|| (context.trace_id().to_string(), context.span_id().to_string()));
        let (trace_id, span_id) = ids.unwrap_or_default();
        let origin = &record.record.origin;
        let took = record.ended.duration_since(record.started).unwrap_or_default();
        macro_rules! line {
            ($level:expr, $outcome:expr, $message:literal $(, $name:ident = $value:expr)*) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    connector = task.connector,
                    task = task.task,
                    topic = &*origin.topic,
                    partition = origin.partition,
                    offset = origin.kafka_offset,
                    key,
                    outcome = $outcome,
                    duration_ms = took.as_secs_f64() * 1e3,
                    $($name = $value,)*
                    trace_id,
                    span_id,
                    $message
                )
            };
        }
        match record.fate {
            Fate::Failed { error, dead_letter: false } => line!(
                Level::ERROR,
                FAILED,
                "a record could not be processed",
                error_type = error.class,
                error = tracing::field::display(error)
            ),
            Fate::Failed { error, dead_letter: true } => line!(
                Level::WARN,
                DEAD_LETTER,
                "a record could not be processed and went to the dead letter queue",
                error_type = error.class,
                error = tracing::field::display(error)
            ),
            fate => {
                let outcome = if let Fate::Done(outcome) = fate { outcome.as_str() } else { DROPPED };
                if self.at_info {
                    line!(Level::INFO, outcome, "a record was processed");
                } else {
                    line!(Level::DEBUG, outcome, "a record was processed");
                }
            }
        }
    }
}
