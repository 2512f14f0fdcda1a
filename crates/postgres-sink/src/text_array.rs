//! One column of many rows as a parameter of type `text[]`, in PostgreSQL's binary form.

use std::error::Error;

use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// An array of texts that is built in its wire form.
#[derive(Debug)]
pub struct TextArray {
    /// The elements: length and bytes of each.
    elements: Vec<u8>,
    count: i32,
    has_null: bool,
}

const NULL_LENGTH: i32 = -1;

/// There is one for each column of the widest table.
const KEPT_BYTES: usize = 1 << 20;

impl TextArray {
    pub fn new() -> TextArray {
        TextArray { elements: Vec::new(), count: 0, has_null: false }
    }

    /// `None` is null. A text fits an `i32`: records are bounded far below it.
    pub fn push(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => {
                self.elements.extend_from_slice(&(text.len() as i32).to_be_bytes());
                self.elements.extend_from_slice(text);
            }
            None => {
                self.has_null = true;
                self.elements.extend_from_slice(&NULL_LENGTH.to_be_bytes());
            }
        }
        self.count += 1;
    }

    pub fn clear(&mut self) {
        if self.elements.capacity() > KEPT_BYTES {
            self.elements = Vec::new();
        }
        self.elements.clear();
        self.count = 0;
        self.has_null = false;
    }
}

impl ToSql for TextArray {
    /// `array_recv`: dimensions, whether there are nulls, the element's type, then each dimension's length and first index.
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let dimensions: i32 = if self.count == 0 { 0 } else { 1 };
        let mut header = Vec::with_capacity(20);
        for word in [dimensions, i32::from(self.has_null), Type::TEXT.oid() as i32] {
            header.extend_from_slice(&word.to_be_bytes());
        }
        if dimensions == 1 {
            header.extend_from_slice(&self.count.to_be_bytes());
            header.extend_from_slice(&1i32.to_be_bytes());
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT_ARRAY
    }

    to_sql_checked!();
}
