//! Why a task or connector stops, in the words of the original and with what to do.

use std::fmt;

/// Whether an error goes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Retried with back-off, unattended.
    Transient,
    /// The task fails.
    Definite,
}

/// A failure of a task or connector. Its trace begins with the line that the original prints, so that what matches on it
/// goes on to; our advice follows as a hint.
#[derive(Debug, Clone)]
pub struct TaskError {
    pub kind: Kind,
    /// The exception's class in the original, such as `io.debezium.DebeziumException`.
    pub class: &'static str,
    /// Names the setting or SQL that mends it, unless `hint` does. Never a secret or a row's value.
    pub message: String,
    /// Each with its class: `Caused by: CLASS: MESSAGE`.
    pub causes: Vec<(&'static str, String)>,
    pub hint: Option<String>,
}

pub const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";
pub const CONNECT_EXCEPTION: &str = "org.apache.kafka.connect.errors.ConnectException";

/// In Debezium's words, before the cause.
pub const PRODUCER_FAILED: &str = "An exception occurred in the change event producer. This connector will be stopped.";
pub const DEBEZIUM_EXCEPTION: &str = "io.debezium.DebeziumException";
/// Of a [`ConvertError`](crate::ConvertError): it goes away by itself, and is not the record's fault.
pub const RETRIABLE_EXCEPTION: &str = "org.apache.kafka.connect.errors.RetriableException";

impl TaskError {
    pub fn definite(class: &'static str, message: impl Into<String>) -> TaskError {
        TaskError { kind: Kind::Definite, class, message: message.into(), causes: Vec::new(), hint: None }
    }

    pub fn transient(class: &'static str, message: impl Into<String>) -> TaskError {
        TaskError { kind: Kind::Transient, ..TaskError::definite(class, message) }
    }

    pub fn caused_by(mut self, class: &'static str, message: impl Into<String>) -> TaskError {
        self.causes.push((class, message.into()));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> TaskError {
        self.hint = Some(hint.into());
        self
    }

    pub fn is_transient(&self) -> bool {
        self.kind == Kind::Transient
    }

    /// What REST shows as `trace`.
    pub fn trace(&self) -> String {
        let mut trace = format!("{}: {}", self.class, self.message);
        if let Some(hint) = &self.hint {
            trace.push_str("\n\tHint: ");
            trace.push_str(hint);
        }
        for (class, message) in &self.causes {
            trace.push_str(&format!("\nCaused by: {class}: {message}"));
        }
        trace
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (_, message) in &self.causes {
            write!(f, ": {message}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for TaskError {}
