//! The end of the record path: what a source task hands its encoded records to.
//!
//! A *ticket* is what one `ChangeBatch` became: a Kafka record batch for each partition it touched, and the source
//! offset that stands after its last record. Tickets are made durable in the order of their numbers. A writer is
//! either a Kafka producer or the embedded log; the runtime does not know which.
//!
//! Invariant: a listener hears `durable(n)` only when every ticket up to `n` would survive a crash of the other side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A record batch in Kafka's format, version 2, with its whole 61-byte header. Producer id, epoch, base sequence,
/// the transactional bit, the compression codec and the checksum are filled in by the writer; everything else is final.
/// `base_offset` is 0 and `partition_leader_epoch` -1, as a producer sends them.
#[derive(Debug)]
pub struct EncodedBatch {
    pub topic: Arc<str>,
    pub partition: i32,
    /// How many records are in it.
    pub records: u32,
    /// The batch, uncompressed.
    pub bytes: Vec<u8>,
}

/// The record that goes to the offsets topic: compact JSON on both sides; no value deletes the offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Ticket {
    /// Consecutive, from 1, for each writer.
    pub number: u64,
    /// May be empty: a ticket with nothing but an offset is how a quiet table's position is stored.
    pub batches: Vec<EncodedBatch>,
    /// The source offset after this ticket. Written in the same transaction when the writer is transactional;
    /// otherwise the writer leaves it alone and the runtime stores it after `durable`.
    pub offset: Option<OffsetRecord>,
}

impl Ticket {
    /// What it holds in memory, in bytes.
    pub fn size(&self) -> usize {
        self.batches.iter().map(|b| b.bytes.capacity() + 64).sum::<usize>()
            + self.offset.as_ref().map_or(0, |o| o.key.len() + o.value.as_ref().map_or(0, Vec::len))
            + 64
    }
}

/// What a topic is like where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    pub partitions: i32,
    /// The largest record batch that the topic takes (`max.message.bytes`), in bytes.
    pub batch_bytes_max: usize,
}

/// Why a write failed. `Display` says what to do next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// Goes away by itself; the task is started again after a back-off and goes on from the stored offset.
    #[error("{0}")]
    Transient(String),
    /// A newer producer with the same transactional id has taken over: this task must end.
    #[error("{0}")]
    Fenced(String),
    /// One record is larger than the writer or the topic takes.
    #[error("{0}")]
    RecordTooLarge(String),
    /// Will not go away by itself; the task fails.
    #[error("{0}")]
    Definite(String),
}

/// Hears what became durable. Called from the writer's own thread: it must not block.
pub trait DurabilityListener: Send + Sync {
    /// Every ticket up to and including `ticket` is durable. When `offset_stored`, its source offset is too.
    fn durable(&self, ticket: u64, offset_stored: bool);
    /// The writer has ended; tickets after the last durable one are lost to it and must be read from the source again.
    fn failed(&self, error: WriteError);
}

/// Takes encoded batches. One writer belongs to one task; it is made by a [`WriterFactory`].
pub trait RecordWriter: Send {
    /// The topic's shape; makes the topic first by the connector's `topic.creation.*` rules (or as the cluster does by
    /// itself). May wait; the answer should be cached by the caller.
    fn topic(&mut self, name: &str) -> Result<TopicInfo, WriteError>;

    /// [`RecordWriter::topic`] of each, in their order: making thousands one by one would take minutes.
    fn topics(&mut self, names: &[Arc<str>]) -> Result<Vec<TopicInfo>, WriteError> {
        names.iter().map(|name| self.topic(name)).collect()
    }

    /// Hands a ticket over. Waits while more than the writer's bound in bytes is in flight (`buffer.memory`);
    /// a single larger ticket is taken when nothing else is in flight.
    fn submit(&mut self, ticket: Ticket) -> Result<(), WriteError>;

    /// The bound of [`RecordWriter::submit`], in bytes, for `/metrics`.
    fn bytes_max(&self) -> Option<u64> {
        None
    }

    /// Nothing more is coming for the moment: an open transaction should end now rather than wait for its age.
    fn idle(&mut self) {}

    /// Waits until everything submitted is durable, or the time is over.
    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError>;

    /// Ends the writer without waiting; an open transaction is aborted.
    fn abort(self: Box<Self>);

    /// Makes a waiting `topic`, `submit` or `flush` of this writer return [`WriteError::Transient`] soon, from another
    /// thread: how a task that waits for a dead broker is stopped. `None`: such a task is left behind, and fenced by its
    /// successor.
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }

    /// Says, to another thread, what the writer waits for; empty while it waits for nothing.
    fn watcher(&self) -> Option<Arc<dyn Fn() -> String + Send + Sync>> {
        None
    }
}

/// Names a topic to a [`BatchAssembler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(pub u32);

/// Names headers that many records share to a [`BatchAssembler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadersId(pub u32);

/// A header as bytes: its name and its value.
pub type HeaderBytes = (Arc<str>, Option<Vec<u8>>);

/// A record as bytes, on its way into a record batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordBytes<'a> {
    pub topic: TopicId,
    /// `None`: by the key as Java's producer chooses; without a key, one partition after the other, batch by batch.
    pub partition: Option<i32>,
    /// Since 1970.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Of this record alone; they come before the shared ones.
    pub own_headers: &'a [HeaderBytes],
    pub headers: HeadersId,
}

/// Packs records into the record batches of their partitions. Belongs to one task; the format is no matter of the
/// runtime.
pub trait BatchAssembler: Send {
    /// A topic named again keeps its number and takes the new shape.
    fn topic(&mut self, name: &Arc<str>, info: &TopicInfo) -> TopicId;

    /// Equal headers get one number.
    fn headers(&mut self, headers: &[HeaderBytes]) -> HeadersId;

    /// Appends a record. A batch is closed before it grows beyond what its topic takes; a record that is too large by
    /// itself becomes a batch of its own, which the writer refuses.
    fn append(&mut self, record: &RecordBytes<'_>);

    /// What a record would take as a batch of its own, at most, in bytes.
    fn size_alone(&self, record: &RecordBytes<'_>) -> usize;

    /// The batches so far, in the order in which they were begun; begins anew.
    fn take(&mut self) -> Vec<EncodedBatch>;
}

impl fmt::Debug for dyn RecordWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordWriter")
    }
}
