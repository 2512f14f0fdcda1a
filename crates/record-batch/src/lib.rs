//! Kafka's record batches, format version 2, as bytes: written, sealed, compressed and read here, and nowhere else.
//!
//! A converter appends records straight into a [`RecordBatchBuilder`]; a producer (or the embedded log) fills in what
//! only it knows with [`seal`]; [`RecordBatchReader`] walks batches from anywhere. There is no I/O here.
//!
//! Invariants: appending copies key and value once and allocates only when the buffer grows; reading never panics,
//! whatever the bytes, and never decompresses beyond the cap it is given.
//!
//! Format: <https://kafka.apache.org/documentation/#recordbatch>, KIP-98.

mod assembler;
mod builder;
mod compression;
mod headers;
pub mod layout;
mod partitioner;
mod reader;
mod seal;
mod split;
mod varint;

pub use assembler::Assembler;
pub use builder::RecordBatchBuilder;
pub use compression::{Codec, compress, compress_with_level};
pub use headers::EncodedHeaders;
pub use partitioner::{murmur2, partition_for_key};
pub use reader::{BatchError, Headers, RecordBatchReader, RecordRef, Records, batches};
pub use seal::{seal, set_base_offset};
pub use split::split_in_half;
