//! `ChangeBatch`: changed rows as bytes, spans and shared plans. What every source hands to the runtime.
//!
//! A row is a run of cells; a cell is a span of `bytes`. Nothing is allocated per row or cell, and a batch is used again
//! after it has been encoded ([`ChangeBatch::clear`]). Snapshot rows and streamed changes look the same here.

use std::sync::Arc;

use crate::lsn::Lsn;
use crate::plan::RecordPlan;
use crate::value::Record;

/// The map that the source stores for its position, in the spelling of the original's offset.
pub type SourceOffset = serde_json::Map<String, serde_json::Value>;

/// A column's value in a row: a span of [`ChangeBatch::bytes`], or one of two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    start: u32,
    len: u32,
}

impl Cell {
    pub const NULL: Cell = Cell { start: 0, len: u32::MAX };
    /// A TOASTed value that the change did not touch and that the stream therefore left out.
    pub const UNCHANGED: Cell = Cell { start: 0, len: u32::MAX - 1 };

    /// `start + len` must be within 4 GiB: a batch is closed long before.
    pub fn text(start: usize, len: usize) -> Cell {
        debug_assert!(len < (1 << 31) && start <= u32::MAX as usize);
        Cell { start: start as u32, len: len as u32 }
    }

    pub fn is_null(self) -> bool {
        self.len == u32::MAX
    }

    pub fn is_unchanged(self) -> bool {
        self.len == u32::MAX - 1
    }

    /// Where the value is in the batch's bytes; `None` of a mark.
    pub fn span(self) -> Option<std::ops::Range<usize>> {
        (self.len < u32::MAX - 1).then(|| self.start as usize..self.start as usize + self.len as usize)
    }

    /// The value in PostgreSQL's text form; `None` of a mark.
    #[inline]
    pub fn get(self, bytes: &[u8]) -> Option<&[u8]> {
        if self.len >= u32::MAX - 1 {
            None
        } else {
            Some(&bytes[self.start as usize..self.start as usize + self.len as usize])
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A row of a snapshot.
    Read,
    Insert,
    Update,
    Delete,
    Truncate,
    /// A record that was made as a tree: `Change::plan` is its place in [`ChangeBatch::records`].
    Record,
}

/// What the old row of an UPDATE or DELETE holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldRow {
    None,
    /// The replica identity's columns; all others are null.
    Key,
    Full,
}

/// `source.snapshot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMark {
    False,
    True,
    First,
    FirstInDataCollection,
    LastInDataCollection,
    Last,
    Incremental,
}

impl SnapshotMark {
    pub fn as_str(self) -> &'static str {
        match self {
            SnapshotMark::False => "false",
            SnapshotMark::True => "true",
            SnapshotMark::First => "first",
            SnapshotMark::FirstInDataCollection => "first_in_data_collection",
            SnapshotMark::LastInDataCollection => "last_in_data_collection",
            SnapshotMark::Last => "last",
            SnapshotMark::Incremental => "incremental",
        }
    }
}

/// Counters of `provide.transaction.metadata`; both from 1. Zero: the event has no `transaction` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransactionOrder {
    pub total: u64,
    pub data_collection: u64,
}

/// One row's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub old_row: OldRow,
    pub snapshot: SnapshotMark,
    /// Index into [`ChangeBatch::plans`] (or `records`, see [`ChangeKind::Record`]).
    pub plan: u32,
    /// Index into [`ChangeBatch::transactions`].
    pub transaction: u32,
    /// First cell of the new row in [`ChangeBatch::cells`]; meaningless without a new row.
    pub new: u32,
    /// First cell of the old row; meaningless when `old_row` is `None`.
    pub old: u32,
    /// Where its record begins in the log; many changes may share one.
    pub change_lsn: Lsn,
    /// When we saw it, microseconds since 1970: the envelope's `ts_*`.
    pub seen_us: i64,
    pub order: TransactionOrder,
}

/// What the changes of one transaction (or one snapshot) share.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// `source.txId`: the 32-bit transaction id as unsigned; `None` of incremental snapshots and messages outside one.
    pub xid: Option<u32>,
    /// Commit time (or when the snapshot read), microseconds since 1970: `source.ts_*`.
    pub commit_us: i64,
    /// `source.sequence`'s first element: the end of the transaction before, as far as this stream knows one.
    pub last_commit_lsn: Option<Lsn>,
    /// `source.lsn` is printed; `source.sequence` has it all the same.
    pub has_lsn: bool,
    pub xmin: Option<u64>,
    pub origin: Option<Arc<str>>,
    pub origin_lsn: Option<Lsn>,
}

/// Changes in the order of the stream, bounded in bytes, never more than the part of a transaction that fits.
#[derive(Debug, Default)]
pub struct ChangeBatch {
    pub bytes: Vec<u8>,
    pub cells: Vec<Cell>,
    pub changes: Vec<Change>,
    pub plans: Vec<Arc<RecordPlan>>,
    pub transactions: Vec<Transaction>,
    pub records: Vec<Record>,
    /// The source offset after the last change; `None`: as before.
    pub offset: Option<SourceOffset>,
    /// The offset must be stored even when the batch has no change (a quiet table's position).
    pub store_offset: bool,
    /// Nothing more waited at the source when this was closed: an open transaction should end.
    pub drained: bool,
}

impl ChangeBatch {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.store_offset
    }

    /// What it holds, in bytes, without unused capacity.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.cells.len() * size_of::<Cell>() + self.changes.len() * size_of::<Change>()
    }

    /// Empties it for the next use. Buffers are kept, unless one huge row made them larger than `keep_max` bytes.
    pub fn clear(&mut self, keep_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep_max);
        self.cells.clear();
        self.cells.shrink_to(keep_max / size_of::<Cell>());
        self.changes.clear();
        self.changes.shrink_to(keep_max / size_of::<Change>());
        self.plans.clear();
        self.transactions.clear();
        self.records.clear();
        self.offset = None;
        self.store_offset = false;
        self.drained = false;
    }

    /// The row of a plan's relation that begins at `first`.
    #[inline]
    pub fn row(&self, first: u32, columns: usize) -> RowRef<'_> {
        RowRef { bytes: &self.bytes, cells: &self.cells[first as usize..first as usize + columns] }
    }

    /// The plan's index in this batch; adds it when it is new to the batch.
    pub fn plan_index(&mut self, plan: &Arc<RecordPlan>) -> u32 {
        // The newest are the likeliest; a batch touches few relations.
        match self.plans.iter().rposition(|p| Arc::ptr_eq(p, plan)) {
            Some(i) => i as u32,
            None => {
                self.plans.push(plan.clone());
                (self.plans.len() - 1) as u32
            }
        }
    }
}

/// A row: its cells, and the bytes they point into.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    pub bytes: &'a [u8],
    pub cells: &'a [Cell],
}

impl<'a> RowRef<'a> {
    #[inline]
    pub fn get(&self, column: usize) -> Option<&'a [u8]> {
        self.cells[column].get(self.bytes)
    }
}
