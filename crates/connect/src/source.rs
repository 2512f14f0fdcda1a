//! What a source is to the runtime: a plugin that checks a configuration and starts tasks, and a task that is polled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use walspring_record::{ChangeBatch, SourceOffset};

use crate::consumer::{ConsumerRequest, RecordConsumer};
use crate::error::TaskError;
use crate::numbers::Numbers;
use crate::signals::{SignalInbox, SourceSignal};
use crate::store::StoreError;

/// A connector's configuration, in the order in which it was given.
pub type Props = serde_json::Map<String, serde_json::Value>;

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// The batch holds something.
    Batch,
    /// Nothing came within the wait.
    Idle,
    /// Nothing will ever come (`snapshot.mode=initial_only`); the task stays RUNNING.
    Finished,
}

/// Tells a task to end; cheap to ask.
#[derive(Debug, Clone, Default)]
pub struct StopToken(Arc<AtomicBool>);

impl StopToken {
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Says what a task waits for, for status and log ("waiting for PostgreSQL at …: connection refused").
pub trait Progress: Send + Sync {
    /// `None`: all is well again.
    fn waiting(&self, what: Option<String>);
    /// A number for `/metrics`: the name without prefix, and labels beside `connector` and `task`.
    fn gauge(&self, name: &'static str, value: f64);
    fn add(&self, name: &'static str, by: u64);
    /// Numbers that the task keeps itself.
    fn numbers(&self, _numbers: Arc<dyn Numbers>) {}
}

/// What a task is started with.
pub struct SourceTaskContext {
    pub connector: String,
    pub task: u32,
    /// Resolved: secrets stand in it.
    pub config: Vec<(String, String)>,
    /// The stored offset of the partition that the source names, read after the writer was fenced.
    pub offset: ReadOffset,
    pub stop: StopToken,
    pub progress: Arc<dyn Progress>,
    /// Joins a group of consumers, for what a source reads beside its database.
    pub join_group: JoinGroup,
    /// Signals that come through the worker.
    pub signals: SignalInbox,
    /// What the source keeps over restarts beside its offset; `None`: the worker has no place for it.
    pub state: Option<Arc<dyn SourceState>>,
}

/// A connector's own records in the worker's state topic. What the original knows nothing of stands there, never in an
/// offset. Calls may wait, never on the way of a row.
pub trait SourceState: Send + Sync {
    /// The newest of each key.
    fn read(&self) -> Result<Vec<(StateKey, serde_json::Value)>, StoreError>;
    /// Writes in order, durably, before it returns; `None` forgets.
    fn write(&self, records: &[(StateKey, Option<serde_json::Value>)]) -> Result<(), StoreError>;
}

/// What a record is of, and further parts that tell records of a kind apart: `["table", "16401"]`.
pub type StateKey = Vec<String>;

pub type JoinGroup = Arc<dyn Fn(ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> + Send + Sync>;

/// Reads the stored offset of a partition; may wait.
pub type ReadOffset = Box<dyn Fn(&SourcePartition) -> Result<Option<SourceOffset>, TaskError> + Send>;

/// The map that names a source's partition in the offsets topic, such as `{"server":"inventory"}`.
pub type SourcePartition = serde_json::Map<String, serde_json::Value>;

/// A running task's source. Lives on one plain thread; may wait.
pub trait SourceTask: Send {
    fn partition(&self) -> SourcePartition;

    /// Fills an empty batch. Waits at most `wait` for something to come. Answers within a second of the stop token.
    fn poll(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError>;

    /// Where to say that an offset is durable. Used from other threads.
    fn feedback(&self) -> Arc<dyn Feedback>;

    /// Ends in order: sends the last confirmation. No poll follows.
    fn close(&mut self) {}
}

/// Hears which offsets are durable, and confirms them to the database.
pub trait Feedback: Send + Sync {
    /// Everything up to this offset is durable, and the offset itself is stored.
    fn stored(&self, offset: &SourceOffset);
}

/// The class of a source connector.
pub trait SourcePlugin: Send + Sync {
    /// `io.debezium.connector.postgresql.PostgresConnector`
    fn class(&self) -> &'static str;
    /// As `/connector-plugins` shows it.
    fn version(&self) -> &'static str;
    /// What only the plugin can check, such as that the database is reached: errors by option name. The option tables
    /// have been checked before; this is not called while they have errors.
    fn check(&self, config: &[(String, String)]) -> Vec<(String, String)>;
    /// One map a task; never more than `max`.
    fn task_configs(&self, config: &[(String, String)], max: u32) -> Result<Vec<Vec<(String, String)>>, TaskError>;
    fn start(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>, TaskError>;
    /// Signals as someone wrote them, one or a list: what is to be handed over, or all that is wrong with them. `None`: tasks
    /// of this class hear no signals.
    fn read_signals(&self, _given: &serde_json::Value) -> Option<Result<Vec<SourceSignal>, Vec<String>>> {
        None
    }
}
