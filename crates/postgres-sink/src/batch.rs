//! A batch of records as what they do to tables: cells of text in one buffer, and one operation for each record.

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// The record does not say it: the column is left as it is.
    Absent,
    Null,
    /// In the batch's bytes.
    Text {
        start: usize,
        len: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Insert,
    /// Nothing happens where the key is there.
    InsertNew,
    Upsert,
    Update,
    Delete,
    Truncate,
}

/// What one record does.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    pub record: usize,
    pub destination: usize,
    pub key_set: usize,
    pub act: Act,
    /// Where its cells begin: one for each column of the table.
    pub cells: usize,
}

/// A batch of 2,000 records of 1 KiB, twice.
const KEPT_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub cells: Vec<Cell>,
    pub ops: Vec<Op>,
}

impl Batch {
    pub fn clear(&mut self) {
        // One batch of large values does not keep its memory for ever.
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.cells.clear();
        self.ops.clear();
    }

    pub fn text(&self, cell: Cell) -> Option<&[u8]> {
        match cell {
            Cell::Text { start, len } => Some(&self.bytes[start..start + len]),
            _ => None,
        }
    }
}
