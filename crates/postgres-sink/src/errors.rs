//! What an error of the database means: try again, mend something, or a record that cannot be written.

use std::error::Error as _;

use postgres::error::DbError;
use walspring_connect::CONNECT_EXCEPTION;
use walspring_connect::TaskError;

const SQL_EXCEPTION: &str = "org.postgresql.util.PSQLException";

/// An error, and what to do about it.
#[derive(Debug, Clone)]
pub struct SqlError {
    pub kind: SqlErrorKind,
    /// Empty where the database did not answer.
    pub code: String,
    /// Without values of rows.
    pub message: String,
    /// What mends it.
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// Goes away by itself: the batch is put again.
    Transient,
    /// A record's data: no repetition helps, without it the rest goes through.
    Data,
    /// The table is not what it was when statements were made.
    Drift,
    /// Only an operator can mend it.
    Definite,
}

impl SqlError {
    pub fn of(error: &postgres::Error) -> SqlError {
        match error.as_db_error() {
            Some(db) => SqlError::of_db(db),
            None => SqlError::of_client(error),
        }
    }

    /// The client library's own complaints: about a connection that broke, a certificate, a password that is missing.
    fn of_client(error: &postgres::Error) -> SqlError {
        let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        let message = format!("{error}{source}");
        let made = |kind| SqlError { kind, code: String::new(), message, hint: None };
        match io {
            // What rustls says of certificates.
            Some(io) if io.kind() == std::io::ErrorKind::InvalidData => made(SqlErrorKind::Definite)
                .hinted("check sslmode and sslrootcert of connection.url, and the server's certificate"),
            Some(_) => made(SqlErrorKind::Transient),
            None if error.is_closed() || error.to_string().contains("connect") => made(SqlErrorKind::Transient),
            None => made(SqlErrorKind::Definite),
        }
    }

    fn of_db(db: &DbError) -> SqlError {
        let code = db.code().code();
        let place = [("table", db.table()), ("column", db.column()), ("constraint", db.constraint())];
        let mut message = format!("{}: {} (SQLSTATE {code}", severity(db), without_values(code, db.message()));
        for (what, name) in place {
            if let Some(name) = name {
                message.push_str(&format!(", {what} {name}"));
            }
        }
        message.push(')');
        SqlError { kind: kind_of(code), code: code.to_owned(), message, hint: None }
    }

    pub fn definite(message: impl Into<String>) -> SqlError {
        SqlError { kind: SqlErrorKind::Definite, code: String::new(), message: message.into(), hint: None }
    }

    pub fn data(message: impl Into<String>) -> SqlError {
        SqlError { kind: SqlErrorKind::Data, code: String::new(), message: message.into(), hint: None }
    }

    pub fn hinted(mut self, hint: impl Into<String>) -> SqlError {
        self.hint = Some(hint.into());
        self
    }

    /// Whether another connection may fare better.
    pub fn is_about_the_server(&self) -> bool {
        let of_the_server = ["08", "57P", "25006", "58"].iter().any(|start| self.code.starts_with(start));
        self.is(SqlErrorKind::Transient) && (of_the_server || self.code.is_empty())
    }

    pub fn is(&self, kind: SqlErrorKind) -> bool {
        self.kind == kind
    }

    /// The task's or a record's error.
    pub fn into_task_error(self, what: impl Into<String>) -> TaskError {
        let made = match self.kind {
            SqlErrorKind::Transient => TaskError::transient(CONNECT_EXCEPTION, what),
            _ => TaskError::definite(CONNECT_EXCEPTION, what),
        };
        let made = made.caused_by(SQL_EXCEPTION, self.message);
        match self.hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

fn severity(db: &DbError) -> &str {
    db.severity()
}

/// Errors about data quote the value after a colon, which is nobody else's business.
fn without_values<'a>(code: &str, message: &'a str) -> &'a str {
    if !code.starts_with("22") && !code.starts_with("23") {
        return message;
    }
    let quoted = message
        .find(": \"")
        .or_else(|| message.find(" \"").filter(|_| !message.contains("constraint") && !message.contains("column")));
    quoted.map_or(message, |at| &message[..at])
}

/// Appendix A of PostgreSQL's manual.
fn kind_of(code: &str) -> SqlErrorKind {
    use SqlErrorKind::*;
    match code {
        // Deadlock, serialization, lock, timeout, cancelled; a server that starts, stops or changed its role; an origin
        // that the session before ours still holds.
        "55006" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "25P03" | "25P04" => Transient,
        // An INSERT … ON CONFLICT with two rows that the database, not we, holds for the same key.
        "21000" => Data,
        "42703" | "42P01" | "0A000" | "42804" | "42P10" => Drift,
        "44000" => Data,
        // Raised by a trigger or a function.
        "P0001" => Data,
        _ => match &code[..2.min(code.len())] {
            "08" | "40" | "53" | "58" => Transient,
            "22" | "23" | "54" => Data,
            _ => Definite,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_sqlstate() {
        use SqlErrorKind::*;
        for (code, kind) in [
            ("08006", Transient),
            ("40001", Transient),
            ("40P01", Transient),
            ("53300", Transient),
            ("57P03", Transient),
            ("25006", Transient),
            ("22P02", Data),
            ("23505", Data),
            ("23502", Data),
            ("42703", Drift),
            ("42501", Definite),
            ("28P01", Definite),
            ("3D000", Definite),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }

    #[test]
    fn values_stay_out_of_messages() {
        assert_eq!(
            without_values("22P02", "invalid input syntax for type integer: \"secret\""),
            "invalid input syntax for type integer"
        );
        assert_eq!(without_values("22003", "value \"99999999999\" is out of range for type integer"), "value");
        let constraint = "duplicate key value violates unique constraint \"t_pkey\"";
        assert_eq!(without_values("23505", constraint), constraint);
    }
}
