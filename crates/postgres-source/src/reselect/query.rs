//! One query for the rows of a table that lack the same columns; what it answers takes their cells' places.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_connect::TaskError;
use walspring_record::{Cell, ChangeBatch};

use super::asking;
use super::lookup::Lookup;
use crate::config::SourceConfig;
use crate::copy_text::append_row;
use crate::wire::{Connection, PgError, quote_identifier, quote_literal};

/// Rows of one table that lack the same columns.
pub struct Asked<'a> {
    pub lookup: &'a Arc<Lookup>,
    pub columns: &'a [u32],
    /// The keys as SQL, each once, with the changes that have it.
    keys: Vec<(String, Vec<usize>)>,
    places: HashMap<String, usize>,
}

/// The changes whose rows are gone.
pub struct Found {
    pub without: Vec<usize>,
}

impl<'a> Asked<'a> {
    pub fn new(lookup: &'a Arc<Lookup>, columns: &'a [u32]) -> Asked<'a> {
        Asked { lookup, columns, keys: Vec::new(), places: HashMap::new() }
    }

    pub fn add(&mut self, change: usize, batch: &ChangeBatch) {
        let key = self.key(change, batch);
        let next = self.keys.len();
        let place = *self.places.entry(key.clone()).or_insert(next);
        if place == next {
            self.keys.push((key, Vec::new()));
        }
        self.keys[place].1.push(change);
    }

    pub fn changes(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().flat_map(|(_, changes)| changes.iter().copied())
    }

    fn key(&self, change: usize, batch: &ChangeBatch) -> String {
        let columns = self.lookup.plan.relation.columns.len();
        let row = batch.row(batch.changes[change].new, columns);
        let literal = |text: Option<&[u8]>| match text.and_then(|text| std::str::from_utf8(text).ok()) {
            Some(text) => quote_literal(text),
            None => "NULL".to_owned(),
        };
        let key = self.lookup.key.as_deref().unwrap_or_default();
        key.iter().map(|column| literal(row.get(column.place))).collect::<Vec<_>>().join(", ")
    }

    /// Answers `(number of the key, column, column, …)`. A key that several rows have brings one of them; without an index
    /// for the key each costs a scan, as in the original.
    fn sql(&self) -> String {
        let key = self.lookup.key.as_deref().unwrap_or_default();
        let relation = &self.lookup.plan.relation;
        let values: Vec<String> = self.keys.iter().enumerate().map(|(n, (key, _))| format!("({n}, {key})")).collect();
        let names: Vec<String> = (0..key.len()).map(|n| format!("k{n}")).collect();
        // The text of a literal becomes the column's type; the casts stand outside the list of values, which would
        // otherwise find a type that all rows have in common.
        let same: Vec<String> =
            key.iter().enumerate().map(|(n, c)| format!("t.{} = k.k{n}::text::{}", c.name, c.ty)).collect();
        let read: Vec<String> = self
            .columns
            .iter()
            .map(|&place| self.lookup.expression(place))
            .enumerate()
            .map(|(n, e)| format!("{e} AS c{n}"))
            .collect();
        let table = format!("{}.{}", quote_identifier(&relation.namespace), quote_identifier(&relation.name));
        format!(
            "SELECT k.n, r.* FROM (VALUES {}) AS k (n, {}) CROSS JOIN LATERAL \
             (SELECT {} FROM {table} AS t WHERE {} LIMIT 1) AS r",
            values.join(", "),
            names.join(", "),
            read.join(", "),
            same.join(" AND ")
        )
    }
}

/// The inner error: the server's answer.
pub fn read(
    asked: &Asked<'_>,
    config: &SourceConfig,
    connection: &mut Option<Connection>,
    batch: &mut ChangeBatch,
) -> Result<Result<Found, String>, TaskError> {
    let sql = format!("COPY ({}) TO STDOUT", asked.sql());
    asking(config, connection, |connection| {
        let mut found = vec![false; asked.keys.len()];
        let mut copy = connection.copy_out(&sql)?;
        while let Some(line) = copy.next_row()? {
            let first = append_row(line, asked.columns.len() + 1, batch)
                .map_err(|e| PgError::Protocol(e.to_string()))? as usize;
            let number = batch.cells[first].get(&batch.bytes).and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
            let key: usize = number.ok_or_else(|| PgError::Protocol("a row's number is missing".to_owned()))?;
            let (_, changes) =
                asked.keys.get(key).ok_or_else(|| PgError::Protocol("a row has a number of no key".to_owned()))?;
            found[key] = true;
            limit_values(asked, first + 1, config, batch)?;
            for &change in changes {
                put(change, asked.columns, first + 1, batch);
            }
        }
        let without = asked.keys.iter().zip(&found).filter(|(_, found)| !**found);
        Ok(Found { without: without.flat_map(|((_, changes), _)| changes.iter().copied()).collect() })
    })
}

/// What is too large is cut, or not taken, so that the stream's placeholder or null stays.
fn limit_values(asked: &Asked<'_>, read: usize, config: &SourceConfig, batch: &mut ChangeBatch) -> Result<(), PgError> {
    for (n, &column) in asked.columns.iter().enumerate() {
        let cell = batch.cells[read + n];
        let Some(span) = cell.span().filter(|span| config.value_limit.concerns(span.len())) else { continue };
        let plan = &asked.lookup.plan;
        let kept = config.value_limit.read_again(&mut batch.bytes, plan, column as usize, span.clone());
        batch.cells[read + n] = match kept.map_err(|e| PgError::Protocol(e.message))? {
            Some(end) => Cell::text(span.start, end - span.start),
            None => Cell::UNCHANGED,
        };
    }
    Ok(())
}

/// The cells from `read` on become the change's. Unchanged: nothing was taken.
fn put(change: usize, columns: &[u32], read: usize, batch: &mut ChangeBatch) {
    let new = batch.changes[change].new as usize;
    for (n, &column) in columns.iter().enumerate() {
        let cell: Cell = batch.cells[read + n];
        if !cell.is_unchanged() {
            batch.cells[new + column as usize] = cell;
        }
    }
}
