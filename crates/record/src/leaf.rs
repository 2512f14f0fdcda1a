//! Leaves: how a column's text becomes a value. The `debezium` crate chooses a leaf for each column; here is what each does.

use crate::value::Value;

/// A value's text was not what its type promises, or the mode cannot hold it. Names no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LeafError(pub String);

/// How the text of one column becomes a value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Leaf {
    /// The text itself.
    Text,
    /// `t` or `f`.
    Boolean,
    Int16,
    Int32,
    Int64,
}

impl Leaf {
    pub fn value(&self, text: &[u8]) -> Result<Value, LeafError> {
        let _ = text;
        Err(LeafError("not yet".into()))
    }
}
