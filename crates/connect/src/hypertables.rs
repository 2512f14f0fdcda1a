//! What TimescaleDB's catalog says of its tables, for the transform that names records after them. The transform does no
//! I/O of its own: an edge reads the catalog for it.

use std::sync::Arc;

use crate::ConvertError;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    /// PostgreSQL's schema.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl TableName {
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> TableName {
        TableName { namespace: namespace.into(), name: name.into() }
    }
}

/// The whole catalog at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hypertables {
    /// Each chunk with its hypertable.
    pub chunks: Vec<(TableName, TableName)>,
    /// Hypertables by their number, which the names of chunks have as a rule.
    pub numbers: Vec<(i32, TableName)>,
    /// Hypertables that hold a continuous aggregate, with the aggregate's view.
    pub aggregates: Vec<(TableName, TableName)>,
}

/// Reads TimescaleDB's catalog. May wait for a server.
pub trait HypertableCatalog: Send {
    /// An error of the class [`RETRIABLE_EXCEPTION`](crate::RETRIABLE_EXCEPTION) goes away by itself.
    fn read(&mut self) -> Result<Hypertables, ConvertError>;
}
