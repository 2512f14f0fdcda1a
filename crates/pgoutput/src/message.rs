//! The messages, as plain borrowed data. Field names follow PostgreSQL's manual; names are bytes in the client
//! encoding (UTF-8 if the connection asked for it), because a decoder has no say in whether they are valid.

use crate::reader::Reader;
use crate::tuple::Tuple;

/// Microseconds since 2000-01-01 00:00:00 UTC, PostgreSQL's epoch. Negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Seconds from the Unix epoch to PostgreSQL's.
    pub const UNIX_OFFSET_S: i64 = 946_684_800;

    /// Microseconds since the Unix epoch, saturating.
    pub fn unix_us(self) -> i64 {
        self.0.saturating_add(Self::UNIX_OFFSET_S * 1_000_000)
    }
}

/// One `pgoutput` message. `xid` fields that are options are present inside a streamed transaction only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Begin(Begin),
    Logical(LogicalMessage<'a>),
    Commit(Commit),
    Origin(Origin<'a>),
    Relation(Relation<'a>),
    Type(Type<'a>),
    Insert(Insert<'a>),
    Update(Update<'a>),
    Delete(Delete<'a>),
    Truncate(Truncate<'a>),
    StreamStart(StreamStart),
    StreamStop,
    StreamCommit(StreamCommit),
    StreamAbort(StreamAbort),
    BeginPrepare(BeginPrepare<'a>),
    Prepare(Prepare<'a>),
    CommitPrepared(CommitPrepared<'a>),
    RollbackPrepared(RollbackPrepared<'a>),
    StreamPrepare(Prepare<'a>),
}

/// `B`: a transaction begins. `final_lsn` is the LSN of its commit record, known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    pub final_lsn: u64,
    pub commit_ts: Timestamp,
    pub xid: u32,
}

/// `M`: written by `pg_logical_emit_message`; sent only with the option `messages 'true'` (version 14 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalMessage<'a> {
    pub xid: Option<u32>,
    /// Bit 0: transactional.
    pub flags: u8,
    pub lsn: u64,
    pub prefix: &'a [u8],
    pub content: &'a [u8],
}

impl LogicalMessage<'_> {
    /// Whether the message belongs to a transaction; if not, it arrives outside of any begin and commit.
    pub fn is_transactional(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// `C`: the transaction's commit. `end_lsn` is behind the commit record: what is confirmed once all is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub flags: u8,
    pub commit_lsn: u64,
    pub end_lsn: u64,
    pub commit_ts: Timestamp,
}

/// `O`: the transaction was replayed from another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    pub commit_lsn: u64,
    pub name: &'a [u8],
}

/// How old rows are identified: `pg_class.relreplident`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index,
}

impl ReplicaIdentity {
    /// From the letter PostgreSQL uses: d, n, f, i.
    pub fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'd' => Self::Default,
            b'n' => Self::Nothing,
            b'f' => Self::Full,
            b'i' => Self::Index,
            _ => return None,
        })
    }
}

/// `R`: how rows of a table look from here on. Sent before its first change and after each change of its definition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    pub xid: Option<u32>,
    pub oid: u32,
    /// Empty for `pg_catalog`.
    pub namespace: &'a [u8],
    pub name: &'a [u8],
    pub replica_identity: ReplicaIdentity,
    pub(crate) columns: Columns<'a>,
}

impl<'a> Relation<'a> {
    /// The published columns in the order of the cells of a tuple.
    pub fn columns(&self) -> Columns<'a> {
        self.columns
    }
}

impl std::fmt::Debug for Relation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relation")
            .field("oid", &self.oid)
            .field("namespace", &self.namespace.escape_ascii().to_string())
            .field("name", &self.name.escape_ascii().to_string())
            .field("replica_identity", &self.replica_identity)
            .field("columns", &self.columns.len())
            .finish()
    }
}

/// One column of a [`Relation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Bit 0: part of the replica identity.
    pub flags: u8,
    pub name: &'a [u8],
    pub type_oid: u32,
    /// `pg_attribute.atttypmod`, -1 if the type has none.
    pub type_modifier: i32,
}

impl Column<'_> {
    /// Whether the column is part of the replica identity (all columns are, under REPLICA IDENTITY FULL).
    pub fn is_key(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Iterator over the checked columns of a [`Relation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) left: u16,
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.rest);
        let column = crate::decode::read_column(&mut reader).ok()?;
        self.rest = &self.rest[reader.position()..];
        Some(column)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Columns<'_> {}

/// `Y`: the name of a type that is not built in, sent before the relation that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type<'a> {
    pub xid: Option<u32>,
    pub oid: u32,
    /// Empty for `pg_catalog`.
    pub namespace: &'a [u8],
    pub name: &'a [u8],
}

/// `I`: a row was inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insert<'a> {
    pub xid: Option<u32>,
    pub relation: u32,
    pub new: Tuple<'a>,
}

/// What is known of the row before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTuple<'a> {
    /// Nothing: the key did not change (updates only).
    None,
    /// Only the replica identity's columns; the others are [`crate::Cell::Null`] whatever they held.
    Key(Tuple<'a>),
    /// All columns: REPLICA IDENTITY FULL.
    Full(Tuple<'a>),
}

/// `U`: a row was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    pub xid: Option<u32>,
    pub relation: u32,
    pub old: OldTuple<'a>,
    pub new: Tuple<'a>,
}

/// `D`: a row was deleted. `old` is never [`OldTuple::None`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    pub xid: Option<u32>,
    pub relation: u32,
    pub old: OldTuple<'a>,
}

/// `T`: tables were emptied by one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncate<'a> {
    pub xid: Option<u32>,
    /// Bit 0: CASCADE; bit 1: RESTART IDENTITY.
    pub options: u8,
    pub(crate) relations: Oids<'a>,
}

impl<'a> Truncate<'a> {
    /// OIDs of the published tables that were emptied, in PostgreSQL's order.
    pub fn relations(&self) -> Oids<'a> {
        self.relations
    }

    pub fn is_cascade(&self) -> bool {
        self.options & 1 != 0
    }

    pub fn restarts_identity(&self) -> bool {
        self.options & 2 != 0
    }
}

/// Iterator over the OIDs of a [`Truncate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oids<'a>(pub(crate) &'a [u8]);

impl Iterator for Oids<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (oid, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*oid))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len() / 4, Some(self.0.len() / 4))
    }
}

impl ExactSizeIterator for Oids<'_> {}

/// `S` (version 2): a piece of a transaction that is still in progress begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    pub xid: u32,
    /// Whether this is the transaction's first piece.
    pub first_segment: bool,
}

/// `c` (version 2): a streamed transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCommit {
    pub xid: u32,
    pub flags: u8,
    pub commit_lsn: u64,
    pub end_lsn: u64,
    pub commit_ts: Timestamp,
}

/// `A` (version 2): a streamed transaction, or one of its subtransactions, is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamAbort {
    pub xid: u32,
    /// Equals `xid` if the whole transaction is rolled back.
    pub subxid: u32,
    /// LSN and time of the abort; sent only in version 4 with `streaming 'parallel'`.
    pub abort: Option<(u64, Timestamp)>,
}

/// `b` (version 3): the changes of a transaction that was prepared follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginPrepare<'a> {
    pub prepare_lsn: u64,
    pub end_lsn: u64,
    pub prepare_ts: Timestamp,
    pub xid: u32,
    pub gid: &'a [u8],
}

/// `P`: a transaction is prepared; `p`, [`Message::StreamPrepare`]: a streamed one is (both version 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare<'a> {
    pub flags: u8,
    pub prepare_lsn: u64,
    pub end_lsn: u64,
    pub prepare_ts: Timestamp,
    pub xid: u32,
    pub gid: &'a [u8],
}

/// `K` (version 3): a prepared transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPrepared<'a> {
    pub flags: u8,
    pub commit_lsn: u64,
    pub end_lsn: u64,
    pub commit_ts: Timestamp,
    pub xid: u32,
    pub gid: &'a [u8],
}

/// `r` (version 3): a prepared transaction is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackPrepared<'a> {
    pub flags: u8,
    pub prepare_end_lsn: u64,
    pub rollback_end_lsn: u64,
    pub prepare_ts: Timestamp,
    pub rollback_ts: Timestamp,
    pub xid: u32,
    pub gid: &'a [u8],
}
