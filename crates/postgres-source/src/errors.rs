//! PostgreSQL's errors as task errors: what is retried, and in whose words.

use walspring_connect::{CONNECT_EXCEPTION, TaskError};

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
    error.caused_by(PSQL_EXCEPTION, java_message(&e))
}

/// The first line as the JDBC driver prints it: `FATAL: …`; clients match on it.
pub fn java_message(e: &PgError) -> String {
    e.to_string()
}
