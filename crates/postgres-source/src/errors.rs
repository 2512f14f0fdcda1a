//! PostgreSQL's errors as task errors: what is retried, and in whose words.

use walspring_connect::{CONNECT_EXCEPTION, TaskError};

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
