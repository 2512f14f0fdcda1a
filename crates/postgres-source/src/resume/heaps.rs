//! The files of tables, as far as places in them are concerned.

use std::collections::HashMap;

use crate::catalog::number;
use crate::wire::{Connection, PgError};

/// A table of one heap, whose rows' places say where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// `pg_class.relfilenode`: another one after each rewrite.
    pub file: u32,
    /// Values may stand outside the rows.
    pub has_toast: bool,
}

/// By oid. Tables that others inherit from, partitioned ones and those of other access methods are not among them.
pub type Heaps = HashMap<u32, Heap>;

pub fn read(connection: &mut Connection, oids: impl Iterator<Item = u32>) -> Result<Heaps, PgError> {
    let list = oids.map(|oid| oid.to_string()).collect::<Vec<_>>().join(",");
    let rows = connection.query(&format!(
        "SELECT c.oid, pg_catalog.pg_relation_filenode(c.oid), c.reltoastrelid <> 0 FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE c.oid = ANY ('{{{list}}}'::pg_catalog.oid[]) \
         AND c.relkind = 'r' AND a.amname = 'heap' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)"
    ))?;
    Ok(rows
        .iter()
        .map(|row| (number(row, 0), Heap { file: number(row, 1), has_toast: row.get(2) == Some("t") }))
        .collect())
}

impl Heap {
    /// The file of a table that a query of this transaction has read, and which therefore nobody can rewrite.
    pub fn file_now(connection: &mut Connection, oid: u32) -> Result<u32, PgError> {
        let row = connection.query_one(&format!("SELECT pg_catalog.pg_relation_filenode({oid})"))?;
        Ok(number(&row, 0))
    }
}
