//! `snapshot.select.statement.overrides`: a query of the user's own that a snapshot reads a table by.
//!
//! Its columns are found by their names among the table's. Those that it does not have are NULL; after the last that it
//! has there are none, and where a record needs one of those, or the query has a column that the table does not, the
//! snapshot fails, as the original's does.

use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, PRODUCER_FAILED, TaskError};
use walspring_record::RecordPlan;

use crate::snapshot::{SnapshotTable, table_failed};
use crate::wire::Connection;

const EXECUTION_EXCEPTION: &str = "java.util.concurrent.ExecutionException";

/// The query with the table's columns in their order, and which of them it gives.
pub fn with_columns_of(
    table: &SnapshotTable,
    query: &str,
    connection: &mut Connection,
) -> Result<(String, Vec<bool>), TaskError> {
    // Statements end with a semicolon, and a comment with its line.
    let query = query.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    // One row of nothing, whatever the query gives: its columns' names, without running it.
    let names = format!("SELECT q.* FROM (SELECT) AS one LEFT JOIN (\n{query}\n) AS q ON false");
    let row = connection.query_one(&names).map_err(|e| table_failed(table, e))?;
    let given: Vec<&str> = row.columns().iter().map(|c| c.name.as_str()).collect();
    let columns = &table.plan.relation.columns;
    if let Some(extra) = given.iter().find(|name| !columns.iter().any(|c| *c.name == ***name)) {
        let message =
            format!("Column '{extra}' not found in result set '{}' for table '{}'", given.join(", "), table.name);
        return Err(query_failed(table, "java.lang.IllegalArgumentException", &message));
    }
    // Of several columns with one name the last counts.
    let places: Vec<Option<usize>> = columns.iter().map(|c| given.iter().rposition(|name| **name == *c.name)).collect();
    let list: Vec<String> = places.iter().map(|p| p.map_or("NULL".to_owned(), |p| format!("q.c{p}"))).collect();
    let aliases: Vec<String> = (0..given.len()).map(|p| format!("c{p}")).collect();
    let sql = format!("SELECT {} FROM (\n{query}\n) AS q({})", list.join(", "), aliases.join(", "));
    Ok((sql, places.iter().map(Option::is_some).collect()))
}

/// Whether records need a column after the last one that is read.
pub fn is_short(plan: &RecordPlan, read: &[bool]) -> bool {
    let row_length = read.iter().rposition(|read| *read).map_or(0, |last| last + 1);
    let fields = plan.row.fields.iter().chain(plan.key.iter().flat_map(|key| &key.fields));
    fields.map(|field| field.column).max().is_some_and(|last| last >= row_length)
}

pub fn row_too_short(table: &SnapshotTable) -> TaskError {
    let message = "Data row is smaller than a column index, internal schema representation is probably out of sync with \
                   real database schema";
    query_failed(table, CONNECT_EXCEPTION, message)
}

fn query_failed(table: &SnapshotTable, class: &'static str, message: &str) -> TaskError {
    let name = &table.name;
    let hint = match table.query {
        Some(_) => format!("let snapshot.select.statement.overrides.{name} give the columns of {name}, by their names"),
        None => format!("capture the last column of the key of {name}, or name another key in message.key.columns"),
    };
    let failed = format!("{class}: {message}");
    TaskError::definite(CONNECT_EXCEPTION, PRODUCER_FAILED)
        .caused_by(DEBEZIUM_EXCEPTION, format!("{EXECUTION_EXCEPTION}: {failed}"))
        .caused_by(EXECUTION_EXCEPTION, failed)
        .caused_by(class, message)
        .hint(hint)
}
