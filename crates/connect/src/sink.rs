//! What a sink is to the runtime: a plugin that checks a configuration and starts tasks, and a task that is handed batches
//! of records. As Connect's `SinkTask`, but for one thing: what `put` has taken is durable when it returns.

use std::sync::Arc;

use walspring_record::{Header, Record, Typed};

use crate::consumer::TopicPartition;
use crate::error::TaskError;
use crate::source::{Progress, StopToken};

/// A record as a sink gets it: read, converted, transformed.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRecord {
    /// As the transforms left it: where it should go.
    pub topic: Arc<str>,
    pub key: Typed,
    pub value: Typed,
    pub headers: Vec<Header>,
    /// Milliseconds since 1970; `None`: the record has none.
    pub timestamp_ms: Option<i64>,
    /// Where it was read, whatever the transforms did to its topic: what offsets, versions and spans speak of.
    pub origin: Origin,
}

/// Where a record was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub topic: Arc<str>,
    pub partition: i32,
    pub kafka_offset: i64,
}

impl SinkRecord {
    /// A tombstone: no value at all.
    pub fn is_tombstone(&self) -> bool {
        self.value.value.is_null()
    }

    pub fn new(record: Record, origin: Origin) -> SinkRecord {
        let Record { topic, key, value, headers, timestamp_ms, .. } = record;
        SinkRecord { topic, key, value, headers, timestamp_ms, origin }
    }
}

/// What a sink did with a record: counted, and shown in spans and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Insert,
    Update,
    Upsert,
    Delete,
    Truncate,
    /// Sent on as it is (HTTP).
    Send,
    /// There was nothing to do: a tombstone, a delete that is switched off, a record that was applied before.
    Ignore,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Insert => "insert",
            Outcome::Update => "update",
            Outcome::Upsert => "upsert",
            Outcome::Delete => "delete",
            Outcome::Truncate => "truncate",
            Outcome::Send => "send",
            Outcome::Ignore => "ignore",
        }
    }
}

/// Why a batch was not written.
#[derive(Debug, Clone)]
pub enum PutError {
    /// Nothing is wrong with the records: the system behind is away, slow, or refuses us. Transient: the same batch is put
    /// again, with back-off, while the task's partitions wait. Definite: the task fails.
    Task(TaskError),
    /// One or more of the records cannot be written, whatever is tried. The runtime halves the batch until it knows which,
    /// puts all others in order, and does with the poison ones what `errors.tolerance` says.
    Records(TaskError),
    /// As `Records`, where the sink knows which: their places in the batch, ascending, each with its error. Those that are
    /// not named are durable.
    Named(Vec<(usize, TaskError)>),
}

impl From<TaskError> for PutError {
    fn from(error: TaskError) -> PutError {
        PutError::Task(error)
    }
}

/// A running task of a sink. Lives on one plain thread; may wait.
pub trait SinkTask: Send {
    /// These partitions are now this task's, beside those that it had. Answers where each that the sink keeps account of
    /// itself should be read from (the next offset); the others are read from the group's offset.
    fn open(&mut self, _partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>, TaskError> {
        Ok(Vec::new())
    }

    /// Writes the records, in order for each key. All of them are durable when it returns, with one outcome for each in
    /// `outcomes` (empty before), in their order.
    ///
    /// After an error the same records, or parts of them, are put again: what was written by then is written once more, so
    /// a sink writes all or nothing, or so that a repetition changes nothing.
    fn put(&mut self, records: &[SinkRecord], outcomes: &mut Vec<Outcome>) -> Result<(), PutError>;

    /// These partitions are taken away; everything put is done with.
    fn close(&mut self, _partitions: &[TopicPartition]) {}

    /// Ends in order. Nothing follows.
    fn stop(&mut self) {}
}

/// What a sink's task is started with.
pub struct SinkTaskContext {
    pub connector: String,
    pub task: u32,
    /// The consumer group, such as `connect-NAME`.
    pub group: String,
    /// Resolved: secrets stand in it.
    pub config: Vec<(String, String)>,
    pub stop: StopToken,
    pub progress: Arc<dyn Progress>,
}

/// The class of a sink connector.
pub trait SinkPlugin: Send + Sync {
    /// `io.debezium.connector.jdbc.JdbcSinkConnector`
    fn class(&self) -> &'static str;
    /// As `/connector-plugins` shows it.
    fn version(&self) -> &'static str;
    /// What only the plugin can check, beyond the option tables: errors by option name. Not called while they have errors.
    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)>;
    fn start(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>, TaskError>;
}
