//! Who is told of each record that a sink has dealt with, for spans and log lines. Unless somebody asked for those, it
//! wants to hear of failures only: then nothing is done for the records that went through.

use std::time::SystemTime;

use crate::error::TaskError;
use crate::sink::{Outcome, SinkRecord};

/// What became of one record.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a> {
    Done(Outcome),
    /// A transform dropped it.
    Dropped,
    /// It could not be converted, transformed or written; `dead_letter`: it went to the dead letter queue.
    Failed {
        error: &'a TaskError,
        dead_letter: bool,
    },
}

/// One record that was dealt with.
pub struct Processed<'a> {
    /// After the transforms; of one that could not be converted only the origin and headers are there.
    pub record: &'a SinkRecord,
    /// The key as it was read.
    pub raw_key: Option<&'a [u8]>,
    pub fate: Fate<'a>,
    /// When the record was taken from the consumer, and when its fate was known.
    pub started: SystemTime,
    pub ended: SystemTime,
}

/// Which task it was.
#[derive(Debug, Clone)]
pub struct SinkIdentity {
    pub connector: String,
    pub task: u32,
    pub group: String,
}

/// Hears of records that were dealt with, a batch at a time. Must not wait.
pub trait SinkObserver: Send + Sync {
    /// Whether to tell it of every record; if not, only of those that failed. Asked once a batch: log levels may change
    /// at any time.
    fn wants_all(&self) -> bool {
        true
    }

    fn processed(&self, task: &SinkIdentity, records: &[Processed<'_>]);
}

/// Gives the records of a source a trace context. Absent unless tracing is configured: recorded headers stay as they are.
pub trait SourceObserver: Send + Sync {
    /// For one record that is about to be sent: the value of its `traceparent` header, or `None` where it is not sampled.
    /// `started_ms`: when the change was committed, in milliseconds since 1970.
    fn sent(&self, connector: &str, topic: &str, started_ms: Option<i64>) -> Option<String>;
}
