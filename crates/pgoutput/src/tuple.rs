//! A row image: the cells of a tuple as PostgreSQL sent them.
//!
//! Invariant: a [`Tuple`] is made only after every cell of it has been checked, so reading it cannot fail.

use crate::decode::DecodeError;
use crate::reader::Reader;

/// One column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL, or in a key-only old tuple a column that is not part of the replica identity.
    Null,
    /// A TOASTed value that the statement left alone: it is not in the stream.
    Unchanged,
    /// The type's text output, in the client encoding.
    Text(&'a [u8]),
    /// The type's binary send format.
    Binary(&'a [u8]),
}

/// What a cell holds, without its bytes. See [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    Null,
    Unchanged,
    Text,
    Binary,
}

/// A checked row image inside a payload. Copying it copies two pointers.
#[derive(Clone, Copy)]
pub struct Tuple<'a> {
    payload: &'a [u8],
    /// Offset of the first cell inside the payload.
    start: usize,
    /// Offset behind the last cell.
    end: usize,
    cells: u16,
}

impl<'a> Tuple<'a> {
    /// Number of cells; equals the number of columns of the relation as last described.
    pub fn len(&self) -> usize {
        usize::from(self.cells)
    }

    /// Whether the tuple has no columns at all (`CREATE TABLE t ()`).
    pub fn is_empty(&self) -> bool {
        self.cells == 0
    }

    /// The cells in column order.
    pub fn iter(&self) -> Cells<'a> {
        Cells { rest: &self.payload[self.start..self.end], left: self.cells }
    }

    /// Calls `push(kind, start, len)` for each cell in column order. `start` is the offset of the value's bytes inside
    /// the *payload* given to the decoder, so that spans stay valid in a buffer the payload is copied to.
    /// Null and unchanged cells have length 0.
    #[inline]
    pub fn push_cells(&self, mut push: impl FnMut(CellKind, usize, usize)) {
        let payload = &self.payload[..self.end];
        let mut at = self.start;
        for _ in 0..self.cells {
            let Some(&tag) = payload.get(at) else { return };
            at += 1;
            let kind = match tag {
                b't' => CellKind::Text,
                b'b' => CellKind::Binary,
                b'n' => {
                    push(CellKind::Null, at, 0);
                    continue;
                }
                _ => {
                    push(CellKind::Unchanged, at, 0);
                    continue;
                }
            };
            let Some(len) = payload.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return };
            let len = u32::from_be_bytes(*len) as usize;
            at += 4;
            push(kind, at, len);
            at += len;
        }
    }

    /// Whether any cell is an unchanged TOAST value.
    pub fn has_unchanged(&self) -> bool {
        self.iter().any(|cell| cell == Cell::Unchanged)
    }

    /// Bytes of the cells as sent, tags and lengths included.
    pub fn byte_len(&self) -> usize {
        self.end - self.start
    }

    /// Checks the `TupleData` at the reader and steps over it.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let cells = reader.u16("number of columns")?;
        if cells > i16::MAX as u16 {
            let value = i32::from(cells as i16);
            return Err(DecodeError::Negative { field: "number of columns", value, at: reader.position() - 2 });
        }
        let start = reader.position();
        for _ in 0..cells {
            match reader.u8("column kind")? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let len = reader.count("column length")?;
                    reader.bytes(len, "column value")?;
                }
                found => {
                    return Err(DecodeError::Unexpected { field: "column kind", found, at: reader.position() - 1 });
                }
            }
        }
        Ok(Self { payload: reader.payload(), start, end: reader.position(), cells })
    }
}

impl PartialEq for Tuple<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tuple<'_> {}

/// Lists kinds and lengths, never values: they are users' data.
impl std::fmt::Debug for Tuple<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        self.push_cells(|kind, _, len| {
            list.entry(&(kind, len));
        });
        list.finish()
    }
}

/// Iterator over a tuple's cells, see [`Tuple::iter`].
#[derive(Clone)]
pub struct Cells<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (&tag, rest) = self.rest.split_first()?;
        self.rest = rest;
        match tag {
            b'n' => return Some(Cell::Null),
            b'u' => return Some(Cell::Unchanged),
            _ => {}
        }
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        self.rest = rest;
        Some(if tag == b't' { Cell::Text(value) } else { Cell::Binary(value) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Cells<'_> {}
