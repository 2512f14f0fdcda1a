//! Decodes the messages of PostgreSQL's `pgoutput` plugin, protocol versions 1 to 4.
//!
//! Bytes in, borrowed messages out: no I/O, no clock, no allocation, and no panic on any input. What a message means
//! (which relation an OID stands for, when a transaction ends) is the caller's business; the only state kept here is
//! the one bit the format itself depends on, see [`Decoder`].
//!
//! Source: PostgreSQL's manual, "Logical Replication Message Formats", and `src/backend/replication/logical/proto.c`.
//!
//! Units: an LSN is a `u64` byte position in the WAL; a [`Timestamp`] counts microseconds since 2000-01-01 00:00 UTC.
#![forbid(unsafe_code)]

mod decode;
mod message;
mod piece;
mod reader;
mod tuple;

pub use decode::{DecodeError, Decoder};
pub use message::{
    Begin, BeginPrepare, Column, Columns, Commit, CommitPrepared, Delete, Insert, LogicalMessage, Message, Oids,
    OldTuple, Origin, Prepare, Relation, ReplicaIdentity, RollbackPrepared, StreamAbort, StreamCommit, StreamStart,
    Timestamp, Truncate, Type, Update,
};
pub use piece::Piece;
pub use tuple::{Cell, CellKind, Cells, Tuple};
