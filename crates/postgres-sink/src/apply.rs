//! Writes a batch's operations inside the open transaction.

use std::ops::Range;

use postgres::types::ToSql;

use crate::batch::Batch;
use crate::catalog::quote;
use crate::destination::Destination;
use crate::errors::{SqlError, SqlErrorKind};
use crate::reduce::{self, Group};
use crate::session::Session;
use crate::statements::{self, Kind};
use crate::text_array::TextArray;

/// Bytes of values in one statement; a row may go beyond.
const STATEMENT_BYTES: usize = 8 << 20;

/// What a writer needs besides the batch.
pub struct Writer<'a> {
    pub destinations: &'a [Destination],
    /// Rows in one statement.
    pub rows_max: usize,
    /// Used again for each statement.
    pub arrays: &'a mut Vec<TextArray>,
}

impl Writer<'_> {
    /// All of the range, reduced by key.
    pub fn write(&mut self, session: &mut Session, batch: &mut Batch, ops: Range<usize>) -> Result<(), SqlError> {
        let cells = batch.cells.len();
        let stages = reduce::reduce(batch, ops, self.destinations);
        let result = (|| {
            for stage in &stages {
                for group in &stage.groups {
                    self.group(session, batch, group)?;
                }
                if let Some(at) = stage.truncate {
                    session.batch(&format!("truncate table {}", self.destinations[at].table.sql_name))?;
                }
            }
            Ok(())
        })();
        // Merged rows are of no use any more.
        batch.cells.truncate(cells);
        result
    }

    /// Halves the range until it is known which operations cannot be written: those are answered, all others are written,
    /// in their order. Only errors of the data are taken apart.
    pub fn write_halving(
        &mut self,
        session: &mut Session,
        batch: &mut Batch,
        ops: Range<usize>,
        poison: &mut Vec<(usize, SqlError)>,
    ) -> Result<(), SqlError> {
        if ops.is_empty() {
            return Ok(());
        }
        session.batch("savepoint walspring")?;
        match self.write(session, batch, ops.clone()) {
            Ok(()) => session.batch("release savepoint walspring"),
            Err(error) if error.is(SqlErrorKind::Data) => {
                session.batch("rollback to savepoint walspring; release savepoint walspring")?;
                if ops.len() == 1 {
                    poison.push((ops.start, error));
                    return Ok(());
                }
                let middle = ops.start + ops.len() / 2;
                self.write_halving(session, batch, ops.start..middle, poison)?;
                self.write_halving(session, batch, middle..ops.end, poison)
            }
            Err(error) => Err(error),
        }
    }

    fn group(&mut self, session: &mut Session, batch: &Batch, group: &Group) -> Result<(), SqlError> {
        let destination = &self.destinations[group.destination];
        let (table, keys) = (&destination.table, &destination.key_sets[group.key_set]);
        // A row that is there may be written without all of its values, but no INSERT passes NOT NULL without them.
        let lacking = table.columns.iter().enumerate().find(|(at, column)| {
            column.not_null && !column.has_default && !column.generated && !group.columns.contains(at)
        });
        let partial = lacking.filter(|_| group.kind == Kind::Upsert);
        let kind = if partial.is_some() { Kind::Update } else { group.kind };
        let sql = statements::write(kind, table, &group.columns, keys);
        let mut rows = &group.rows[..];
        while !rows.is_empty() {
            let taken = self.fill(batch, &group.columns, rows);
            rows = &rows[taken..];
            let params: Vec<&(dyn ToSql + Sync)> =
                self.arrays[..group.columns.len()].iter().map(|array| array as &(dyn ToSql + Sync)).collect();
            let touched = session.execute(&sql, &params).map_err(|error| explain(error, destination, keys, kind))?;
            if let Some((_, column)) = partial
                && touched < taken as u64
            {
                return Err(SqlError::data(format!(
                    "the row is not in {}, and the record has no value for its column {}, which may not be null",
                    table.sql_name, column.sql_name
                ))
                .hinted(
                    "the source did not send an unchanged TOAST value, or has no such column: snapshot the table again, \
                     set REPLICA IDENTITY FULL at the source, or let the column be null or have a default",
                ));
            }
        }
        Ok(())
    }

    /// Fills the arrays with as many rows as one statement takes; answers how many.
    fn fill(&mut self, batch: &Batch, columns: &[usize], rows: &[usize]) -> usize {
        while self.arrays.len() < columns.len() {
            self.arrays.push(TextArray::new());
        }
        self.arrays.iter_mut().for_each(TextArray::clear);
        let mut bytes = 0;
        for (at, row) in rows.iter().enumerate() {
            if at == self.rows_max || bytes >= STATEMENT_BYTES {
                return at;
            }
            for (array, column) in self.arrays.iter_mut().zip(columns) {
                let text = batch.text(batch.cells[row + column]);
                bytes += text.map_or(0, <[u8]>::len);
                array.push(text);
            }
        }
        rows.len()
    }
}

/// The SQL that mends it.
fn explain(error: SqlError, destination: &Destination, keys: &[usize], kind: Kind) -> SqlError {
    let table = &destination.table;
    match &*error.code {
        "42501" => error.hinted(format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO the role of connection.username",
            table.sql_name
        )),
        "42P10" if kind != Kind::Insert => {
            let keys: Vec<String> = keys.iter().map(|at| quote(&table.columns[*at].name)).collect();
            error.hinted(format!(
                "upserts need a unique index over the key columns: ALTER TABLE {} ADD PRIMARY KEY ({})",
                table.sql_name,
                keys.join(", ")
            ))
        }
        _ => error,
    }
}
