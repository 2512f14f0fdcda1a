//! Rows of a simple query: text format, UTF-8.

use super::backend::Body;
use super::error::PgError;
use std::sync::Arc;

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// OID of the table the column comes from, 0 if it is an expression.
    pub table_oid: u32,
    pub type_oid: u32,
    pub type_modifier: i32,
}

/// One row; its columns are shared with the other rows of the result.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[Column]>,
    text: Box<str>,
    /// Where each value is in `text`; `None` is NULL.
    spans: Box<[Option<(usize, usize)>]>,
}

/// A column by position (from 0) or by name.
pub trait ColumnIndex: std::fmt::Display {
    #[doc(hidden)]
    fn position(&self, columns: &[Column]) -> Option<usize>;
}

impl ColumnIndex for usize {
    fn position(&self, columns: &[Column]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }
}

impl ColumnIndex for &str {
    fn position(&self, columns: &[Column]) -> Option<usize> {
        columns.iter().position(|column| column.name == *self)
    }
}

impl Row {
    /// The value, or `None` if it is NULL or there is no such column.
    pub fn get(&self, column: impl ColumnIndex) -> Option<&str> {
        let position = column.position(&self.columns)?;
        let (start, end) = (*self.spans.get(position)?)?;
        self.text.get(start..end)
    }

    /// The value; NULL or no such column is an error that names it.
    pub fn required(&self, column: impl ColumnIndex) -> Result<&str, PgError> {
        let missing = || PgError::Protocol(format!("the server's reply has no value in column {column}"));
        let position = column.position(&self.columns).ok_or_else(missing)?;
        self.get(position).ok_or_else(missing)
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// `RowDescription`.
pub(crate) fn read_columns(body: &[u8]) -> Result<Arc<[Column]>, PgError> {
    let mut body = Body(body);
    let count = body.u16()?;
    (0..count)
        .map(|_| {
            let name = body.text()?;
            let table_oid = body.u32()?;
            let _attribute_number = body.u16()?;
            let type_oid = body.u32()?;
            let _type_size = body.u16()?;
            let type_modifier = body.i32()?;
            match body.u16()? {
                0 => Ok(Column { name, table_oid, type_oid, type_modifier }),
                _ => Err(PgError::garbled("a simple query's result is not in text format")),
            }
        })
        .collect()
}

/// `DataRow`. A row with more or fewer values than columns is refused.
pub(crate) fn read_row(body: &[u8], columns: &Arc<[Column]>) -> Result<Row, PgError> {
    let mut body = Body(body);
    let count = usize::from(body.u16()?);
    if count != columns.len() {
        return Err(PgError::garbled(format!("a row has {count} values, its result {} columns", columns.len())));
    }
    let mut text = String::with_capacity(body.0.len());
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        spans.push(match body.i32()? {
            -1 => None,
            len => {
                let len = usize::try_from(len).map_err(|_| PgError::garbled("a value has a negative length"))?;
                let value = std::str::from_utf8(body.bytes(len)?);
                let start = text.len();
                text.push_str(value.map_err(|_| PgError::garbled("a value is not UTF-8"))?);
                Some((start, text.len()))
            }
        });
    }
    Ok(Row { columns: columns.clone(), text: text.into(), spans: spans.into() })
}
