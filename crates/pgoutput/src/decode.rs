//! From a payload (the bytes behind the header of an `XLogData` frame) to a [`Message`].

use crate::message::*;
use crate::reader::Reader;
use crate::tuple::Tuple;

/// Why a payload is not a message. Always definite: the same bytes fail again. After one the stream cannot be trusted;
/// reconnecting asks the server for the same changes anew, which heals damage done on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("pgoutput message has no bytes")]
    Empty,
    #[error("unknown pgoutput message type {:?}", char::from(*.0))]
    UnknownMessage(u8),
    #[error("pgoutput message ends inside its {field}, at byte {at}")]
    Short { field: &'static str, at: usize },
    #[error("pgoutput message has {value} as its {field}, at byte {at}")]
    Negative { field: &'static str, value: i32, at: usize },
    #[error("pgoutput message has {:?} as its {field}, at byte {at}", char::from(*.found))]
    Unexpected { field: &'static str, found: u8, at: usize },
    #[error("pgoutput message type {:?} has {left} bytes too many", char::from(*.tag))]
    Trailing { tag: u8, left: usize },
    #[error("pgoutput message type {:?} {}", char::from(*.tag),
        if *.in_stream { "inside a streamed block" } else { "outside a streamed block" })]
    OutOfPlace { tag: u8, in_stream: bool },
}

/// Decodes the payloads of one replication stream, in order. Make a new one for each connection.
///
/// Between a stream start and a stream stop, changes carry the id of their (sub)transaction and elsewhere do not, and
/// nothing in the message says which: that is the state kept here.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    in_stream: bool,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the last message left the stream inside a block of a transaction in progress.
    pub fn in_stream(&self) -> bool {
        self.in_stream
    }

    /// Decodes one payload. The message borrows it; nothing is copied. On an error the state is unchanged.
    #[inline]
    pub fn decode<'a>(&mut self, payload: &'a [u8]) -> Result<Message<'a>, DecodeError> {
        let mut reader = Reader::new(payload);
        let tag = reader.u8("type").map_err(|_| DecodeError::Empty)?;
        let message = self.read(tag, &mut reader)?;
        match reader.remaining() {
            0 => {}
            left => return Err(DecodeError::Trailing { tag, left }),
        }
        match message {
            Message::StreamStart(_) => self.in_stream = true,
            Message::StreamStop => self.in_stream = false,
            _ => {}
        }
        Ok(message)
    }

    #[inline]
    fn read<'a>(&self, tag: u8, reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
        let in_stream = self.in_stream;
        let misplaced = match tag {
            b'E' => !in_stream,
            b'B' | b'C' | b'S' | b'c' | b'A' | b'b' | b'P' | b'K' | b'r' | b'p' => in_stream,
            _ => false,
        };
        if misplaced {
            return Err(DecodeError::OutOfPlace { tag, in_stream });
        }
        let xid = |reader: &mut Reader<'a>| if in_stream { reader.u32("xid").map(Some) } else { Ok(None) };
        Ok(match tag {
            b'I' => Message::Insert(read_insert(xid(reader)?, reader)?),
            b'U' => Message::Update(read_update(xid(reader)?, reader)?),
            b'D' => Message::Delete(read_delete(xid(reader)?, reader)?),
            b'B' => Message::Begin(Begin {
                final_lsn: reader.u64("final LSN")?,
                commit_ts: timestamp(reader)?,
                xid: reader.u32("xid")?,
            }),
            b'C' => Message::Commit(Commit {
                flags: reader.u8("flags")?,
                commit_lsn: reader.u64("commit LSN")?,
                end_lsn: reader.u64("end LSN")?,
                commit_ts: timestamp(reader)?,
            }),
            b'R' => Message::Relation(read_relation(xid(reader)?, reader)?),
            b'Y' => Message::Type(Type {
                xid: xid(reader)?,
                oid: reader.u32("type OID")?,
                namespace: reader.cstr("namespace")?,
                name: reader.cstr("type name")?,
            }),
            b'T' => Message::Truncate(read_truncate(xid(reader)?, reader)?),
            b'M' => Message::Logical(read_logical(xid(reader)?, reader)?),
            b'O' => {
                Message::Origin(Origin { commit_lsn: reader.u64("commit LSN")?, name: reader.cstr("origin name")? })
            }
            b'S' => Message::StreamStart(StreamStart {
                xid: reader.u32("xid")?,
                first_segment: flag(reader, "first segment")?,
            }),
            b'E' => Message::StreamStop,
            b'c' => Message::StreamCommit(StreamCommit {
                xid: reader.u32("xid")?,
                flags: reader.u8("flags")?,
                commit_lsn: reader.u64("commit LSN")?,
                end_lsn: reader.u64("end LSN")?,
                commit_ts: timestamp(reader)?,
            }),
            b'A' => Message::StreamAbort(read_stream_abort(reader)?),
            b'b' => Message::BeginPrepare(BeginPrepare {
                prepare_lsn: reader.u64("prepare LSN")?,
                end_lsn: reader.u64("end LSN")?,
                prepare_ts: timestamp(reader)?,
                xid: reader.u32("xid")?,
                gid: reader.cstr("gid")?,
            }),
            b'P' => Message::Prepare(read_prepare(reader)?),
            b'p' => Message::StreamPrepare(read_prepare(reader)?),
            b'K' => Message::CommitPrepared(CommitPrepared {
                flags: reader.u8("flags")?,
                commit_lsn: reader.u64("commit LSN")?,
                end_lsn: reader.u64("end LSN")?,
                commit_ts: timestamp(reader)?,
                xid: reader.u32("xid")?,
                gid: reader.cstr("gid")?,
            }),
            b'r' => Message::RollbackPrepared(RollbackPrepared {
                flags: reader.u8("flags")?,
                prepare_end_lsn: reader.u64("prepare end LSN")?,
                rollback_end_lsn: reader.u64("rollback end LSN")?,
                prepare_ts: timestamp(reader)?,
                rollback_ts: timestamp(reader)?,
                xid: reader.u32("xid")?,
                gid: reader.cstr("gid")?,
            }),
            _ => return Err(DecodeError::UnknownMessage(tag)),
        })
    }
}

#[inline]
fn read_insert<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Insert<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    match reader.u8("tuple kind")? {
        b'N' => Ok(Insert { xid, relation, new: Tuple::read(reader)? }),
        found => Err(DecodeError::Unexpected { field: "tuple kind", found, at: reader.position() - 1 }),
    }
}

#[inline]
fn read_update<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Update<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    let mut kind = reader.u8("tuple kind")?;
    let mut old = OldTuple::None;
    if let b'K' | b'O' = kind {
        let tuple = Tuple::read(reader)?;
        old = if kind == b'K' { OldTuple::Key(tuple) } else { OldTuple::Full(tuple) };
        kind = reader.u8("tuple kind")?;
    }
    match kind {
        b'N' => Ok(Update { xid, relation, old, new: Tuple::read(reader)? }),
        found => Err(DecodeError::Unexpected { field: "tuple kind", found, at: reader.position() - 1 }),
    }
}

#[inline]
fn read_delete<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Delete<'a>, DecodeError> {
    let relation = reader.u32("relation OID")?;
    let old = match reader.u8("tuple kind")? {
        b'K' => OldTuple::Key(Tuple::read(reader)?),
        b'O' => OldTuple::Full(Tuple::read(reader)?),
        found => return Err(DecodeError::Unexpected { field: "tuple kind", found, at: reader.position() - 1 }),
    };
    Ok(Delete { xid, relation, old })
}

fn read_relation<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Relation<'a>, DecodeError> {
    let oid = reader.u32("relation OID")?;
    let namespace = reader.cstr("namespace")?;
    let name = reader.cstr("relation name")?;
    let letter = reader.u8("replica identity")?;
    let replica_identity = ReplicaIdentity::from_letter(letter).ok_or(DecodeError::Unexpected {
        field: "replica identity",
        found: letter,
        at: reader.position() - 1,
    })?;
    let left = reader.u16("number of columns")?;
    if left > i16::MAX as u16 {
        let value = i32::from(left as i16);
        return Err(DecodeError::Negative { field: "number of columns", value, at: reader.position() - 2 });
    }
    let start = reader.position();
    for _ in 0..left {
        read_column(reader)?;
    }
    let columns = Columns { rest: &reader.payload()[start..reader.position()], left };
    Ok(Relation { xid, oid, namespace, name, replica_identity, columns })
}

pub(crate) fn read_column<'a>(reader: &mut Reader<'a>) -> Result<Column<'a>, DecodeError> {
    Ok(Column {
        flags: reader.u8("column flags")?,
        name: reader.cstr("column name")?,
        type_oid: reader.u32("column type")?,
        type_modifier: reader.u32("column type modifier")? as i32,
    })
}

fn read_truncate<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Truncate<'a>, DecodeError> {
    let relations = reader.count("number of relations")?;
    let options = reader.u8("options")?;
    // On a 32-bit machine the product may not fit; no payload is that long, so the read then fails as it should.
    let oids = reader.bytes(relations.saturating_mul(4), "relation OIDs")?;
    Ok(Truncate { xid, options, relations: Oids(oids) })
}

fn read_logical<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<LogicalMessage<'a>, DecodeError> {
    let flags = reader.u8("flags")?;
    let lsn = reader.u64("message LSN")?;
    let prefix = reader.cstr("prefix")?;
    let len = reader.count("content length")?;
    Ok(LogicalMessage { xid, flags, lsn, prefix, content: reader.bytes(len, "content")? })
}

/// The abort's LSN and time are there only with `streaming 'parallel'`; the length tells.
fn read_stream_abort(reader: &mut Reader<'_>) -> Result<StreamAbort, DecodeError> {
    let xid = reader.u32("xid")?;
    let subxid = reader.u32("subxid")?;
    let abort = match reader.remaining() {
        0 => None,
        _ => Some((reader.u64("abort LSN")?, timestamp(reader)?)),
    };
    Ok(StreamAbort { xid, subxid, abort })
}

fn read_prepare<'a>(reader: &mut Reader<'a>) -> Result<Prepare<'a>, DecodeError> {
    Ok(Prepare {
        flags: reader.u8("flags")?,
        prepare_lsn: reader.u64("prepare LSN")?,
        end_lsn: reader.u64("end LSN")?,
        prepare_ts: timestamp(reader)?,
        xid: reader.u32("xid")?,
        gid: reader.cstr("gid")?,
    })
}

fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp, DecodeError> {
    reader.i64("timestamp").map(Timestamp)
}

fn flag(reader: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match reader.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(DecodeError::Unexpected { field, found, at: reader.position() - 1 }),
    }
}
