//! PostgreSQL's errors as task errors: what is retried, and in whose words.

use walspring_connect::{CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, PRODUCER_FAILED, TaskError};
use walspring_record::Lsn;

use crate::doctor::words;
use crate::wire::PgError;

pub const PSQL_EXCEPTION: &str = "org.postgresql.util.PSQLException";

/// An error of the server or the connection while `doing` something.
pub fn from_pg(doing: &str, e: PgError) -> TaskError {
    let message = format!("{doing} failed");
    let error = if e.is_transient() {
        TaskError::transient(CONNECT_EXCEPTION, message)
    } else {
        TaskError::definite(CONNECT_EXCEPTION, message)
    };
    let error = error.caused_by(PSQL_EXCEPTION, java_message(&e));
    match words::pooler(&e) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// A stream that the server does not begin at `start`; in the original's words where another session reads the slot.
pub fn not_streaming(start: Lsn, e: PgError) -> TaskError {
    if e.code() != Some("55006") {
        return from_pg("Starting the replication stream", e);
    }
    let message = format!(
        "Failed to start replication stream at LSN{{{start}}}; when setting up multiple connectors for the same database host, \
         please make sure to use a distinct replication slot name for each."
    );
    TaskError::transient(CONNECT_EXCEPTION, PRODUCER_FAILED)
        .caused_by(DEBEZIUM_EXCEPTION, message)
        .caused_by(PSQL_EXCEPTION, java_message(&e))
        .hint("another session reads the slot; it is retried until that one ends")
}

/// The table of `heartbeat.action.query` is not there; in the original's words.
pub fn heartbeat_failed(e: &PgError) -> TaskError {
    let message = format!("Could not execute heartbeat action query (Error: {})", e.code().unwrap_or_default());
    TaskError::definite(CONNECT_EXCEPTION, PRODUCER_FAILED)
        .caused_by(DEBEZIUM_EXCEPTION, message)
        .caused_by(PSQL_EXCEPTION, java_message(e))
        .hint("make the table, or change heartbeat.action.query")
}

/// What mends an error of the server that reading a row has met and that no retry heals.
pub fn unreadable_row_hint(e: &PgError) -> Option<&'static str> {
    let server = e.server()?;
    match &server.code[..] {
        // character_not_in_repertoire, untranslatable_character
        "22021" | "22P05" => Some(
            "the database holds text that is no UTF-8, or has no place in it: mend the rows (convert_from tells which), make the \
             database anew with the encoding that its text has, or leave the column out of the publication and the snapshot",
        ),
        // program_limit_exceeded, and what the allocator says.
        "54000" | "XX000"
            if server.message.starts_with("invalid memory alloc request size") || server.code == "54000" =>
        {
            Some(
                "the text of a row is longer than the 1 GB that PostgreSQL can send: leave the column out of the publication \
                 and the snapshot (large-values.md)",
            )
        }
        _ => None,
    }
}

/// As the JDBC driver prints it, since people and programs look for its words: `FATAL: …`.
pub fn java_message(e: &PgError) -> String {
    let Some(server) = e.server() else { return e.to_string() };
    let mut text = format!("{}: {}", server.severity, server.message);
    for (label, field) in [("Detail", &server.detail), ("Hint", &server.hint)] {
        if let Some(field) = field {
            text.push_str(&format!("\n  {label}: {field}"));
        }
    }
    text
}
