//! The embedded log: topics, partitions and offsets as Kafka has them, on the local disk, where there is no Kafka.
//!
//! One append-only journal for all topics. A commit is one frame: the record batches of every partition that a ticket
//! touched and the source offset, under one checksum, made durable by one `fdatasync`. Record batches are stored in Kafka's
//! own format. Where each partition's records are is kept in a sparse index that can always be built again.
//!
//! Invariants: a frame is whole or it is not there (a torn tail is cut off on opening); nobody reads a frame before it is
//! durable; each segment begins with the whole state, so that dropping older ones loses nothing but their records.

mod backend;
mod consumer;
mod cursor;
mod dead_letters;
mod frame;
mod group;
mod journal;
mod keyed;
mod log;
mod view;
mod writer;

pub use backend::{LogBackend, LogBackendConfig};
pub use frame::FrameError;
pub use journal::{LogConfig, OpenError};
pub use log::{Fetched, Log, LogReader, ReadError, StoredRecord};
pub use view::{PartitionSpan, TopicSpec};
