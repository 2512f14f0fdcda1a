//! Spans and metrics over OTLP (HTTP, protobuf), in the names of the OpenTelemetry conventions.
//!
//! Configured by the standard environment variables only. Without an endpoint there are no threads, no spans and no
//! headers; records that a sink could not process are logged all the same. Nothing here ever makes a record wait: what
//! the receiver does not take in time is dropped and counted.

mod message_key;
mod metric_export;
pub mod names;
mod outage;
mod prometheus_text;
mod record_log;
mod settings;
mod sink;
mod source;
mod span_encoding;
mod span_export;
mod span_queue;
mod telemetry;
mod trace_context;
mod transport;

pub use crate::record_log::{RecordLog, TARGET as RECORD_LOG_TARGET};
pub use crate::settings::{Endpoint, MetricSettings, Settings, TraceSettings};
pub use crate::telemetry::Telemetry;
