//! What can go wrong, and whether trying again may help.

use std::fmt;
use std::io;

/// An error of the wire. [`PgError::is_transient`] says whether a new connection may do better.
#[derive(Debug)]
pub enum PgError {
    /// The network or the server went away, was silent for too long, or sent bytes that make no sense on a connection
    /// that worked before. Transient.
    Io { context: String, source: io::Error },
    /// The server's own words. Transient or not by SQLSTATE.
    Server(Box<ServerError>),
    /// What answers does not speak PostgreSQL's protocol, or we were asked for what the connection cannot do. Definite.
    Protocol(String),
    /// TLS is impossible as configured: not offered, certificate refused, key unreadable. Definite.
    Tls(String),
    /// Authentication is impossible as configured, or the server failed to prove itself. Definite.
    Auth(String),
}

/// Fields of an `ErrorResponse` or `NoticeResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// ERROR, FATAL, PANIC, WARNING, …; not translated where the server says so (9.6 and later).
    pub severity: String,
    /// SQLSTATE, five characters.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where in the query, in characters from 1.
    pub position: Option<u32>,
    /// PL/pgSQL's call stack and the like.
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

impl ServerError {
    /// Whether the server ends the session after this.
    pub fn is_fatal(&self) -> bool {
        matches!(&self.severity[..], "FATAL" | "PANIC")
    }

    /// Whether the same request may succeed later without anyone doing anything.
    pub fn is_transient(&self) -> bool {
        match &self.code[..] {
            // A slot's WAL is gone ("requested WAL segment … has already been removed"): no retry brings it back.
            "58P01" => false,
            // configuration_limit_exceeded: all slots are taken until someone drops one or raises the limit.
            "53400" => false,
            // serialization_failure, statement_completion_unknown, deadlock_detected
            "40001" | "40003" | "40P01" => true,
            // object_in_use: the slot is active for another process; lock_not_available
            "55006" | "55P03" => true,
            // query_canceled (timeouts, a standby's recovery conflict), admin_shutdown, crash_shutdown,
            // cannot_connect_now ("the database system is starting up"), database_dropped, idle_session_timeout
            "57014" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => true,
            // transaction_timeout, idle_in_transaction_session_timeout
            "25P03" | "25P04" => true,
            // connection exceptions, insufficient resources (disk full, too many connections), system errors
            code => code.starts_with("08") && code != "08P01" || code.starts_with("53") || code.starts_with("58"),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if !self.code.is_empty() {
            write!(f, " (SQLSTATE {})", self.code)?;
        }
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                write!(f, "\n{label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl PgError {
    /// Whether trying again, unattended, may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Server(error) => error.is_transient(),
            Self::Protocol(_) | Self::Tls(_) | Self::Auth(_) => false,
        }
    }

    /// The SQLSTATE, if the server sent one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// Whether the stream ended because its publication was not there where the server decodes: undefined_object, or the
    /// warning that stands for it since 18.
    pub fn is_publication_missing(&self) -> bool {
        self.server().is_some_and(|server| server.code == "42704" || server.severity == "WARNING")
    }

    /// The server's error, if it is one.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Self::Server(error) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::Io { context: context.into(), source }
    }

    pub(crate) fn closed() -> Self {
        Self::io("server closed the connection unexpectedly", io::ErrorKind::UnexpectedEof.into())
    }

    pub(crate) fn timed_out(what: impl Into<String>) -> Self {
        Self::io(what, io::ErrorKind::TimedOut.into())
    }

    /// Bytes that make no sense: damage on the way, or not PostgreSQL. During startup it becomes [`PgError::Protocol`].
    pub(crate) fn garbled(what: impl Into<String>) -> Self {
        Self::io(what, io::ErrorKind::InvalidData.into())
    }

    /// What garbled bytes mean before authentication is over: the other side is not PostgreSQL.
    pub(crate) fn in_startup(self) -> Self {
        match self {
            Self::Io { context, source } if source.kind() == io::ErrorKind::InvalidData => {
                Self::Protocol(format!("this does not look like a PostgreSQL server: {context}"))
            }
            other => other,
        }
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // These kinds are our own and add nothing to the context.
            Self::Io { context, source }
                if source.get_ref().is_none()
                    && source.raw_os_error().is_none()
                    && matches!(source.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) =>
            {
                f.write_str(context)
            }
            Self::Io { context, source } => write!(f, "{context}: {source}"),
            Self::Server(error) => error.fmt(f),
            Self::Protocol(message) | Self::Tls(message) | Self::Auth(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for PgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_heals_by_itself() {
        let transient = |code: &str| ServerError { code: code.to_owned(), ..ServerError::default() }.is_transient();
        for code in ["57P01", "57P02", "57P03", "57P05", "08006", "53300", "53100", "40001", "55006", "58030", "57014"]
        {
            assert!(transient(code), "{code}");
        }
        for code in ["28P01", "28000", "3D000", "42501", "42P01", "42704", "55000", "58P01", "53400", "08P01", "XX000"]
        {
            assert!(!transient(code), "{code}");
        }
    }
}
