//! What a check found, and what mends it.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Pass,
    /// It works, and something will hurt one day.
    Warn,
    /// It does not work, or events will be missing.
    Fail,
    /// It could not be looked at; the remedy is what allows it.
    Skip,
    /// There is nothing of the kind here.
    NotApplicable,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
            Outcome::Skip => "skip",
            Outcome::NotApplicable => "not applicable",
        }
    }
}

/// What mends it, as it can be pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Statements, identifiers quoted, with their semicolon.
    Sql(String),
    /// `name=value` in the connector's or the worker's configuration.
    Setting(String),
    /// For a shell.
    Command(String),
    Advice(String),
}

impl Remedy {
    pub fn kind(&self) -> &'static str {
        match self {
            Remedy::Sql(_) => "sql",
            Remedy::Setting(_) => "setting",
            Remedy::Command(_) => "command",
            Remedy::Advice(_) => "advice",
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Remedy::Sql(text) | Remedy::Setting(text) | Remedy::Command(text) | Remedy::Advice(text) => text,
        }
    }
}

/// The result of one check. Never holds a secret: messages are shown, stored and sent around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub outcome: Outcome,
    /// One sentence, about what is there.
    pub message: String,
    /// The value that decided, where it is one value.
    pub seen: Option<String>,
    pub wanted: Option<String>,
    /// In the order in which to do them.
    pub remedies: Vec<Remedy>,
}

impl Finding {
    fn new(outcome: Outcome, message: impl Into<String>) -> Finding {
        Finding { outcome, message: message.into(), seen: None, wanted: None, remedies: Vec::new() }
    }

    pub fn pass(message: impl Into<String>) -> Finding {
        Finding::new(Outcome::Pass, message)
    }

    pub fn warn(message: impl Into<String>) -> Finding {
        Finding::new(Outcome::Warn, message)
    }

    pub fn fail(message: impl Into<String>) -> Finding {
        Finding::new(Outcome::Fail, message)
    }

    pub fn skip(message: impl Into<String>) -> Finding {
        Finding::new(Outcome::Skip, message)
    }

    pub fn not_applicable(message: impl Into<String>) -> Finding {
        Finding::new(Outcome::NotApplicable, message)
    }

    pub fn seen(mut self, seen: impl fmt::Display) -> Finding {
        self.seen = Some(seen.to_string());
        self
    }

    pub fn wanted(mut self, wanted: impl fmt::Display) -> Finding {
        self.wanted = Some(wanted.to_string());
        self
    }

    pub fn sql(mut self, sql: impl Into<String>) -> Finding {
        self.remedies.push(Remedy::Sql(sql.into()));
        self
    }

    pub fn setting(mut self, setting: impl Into<String>) -> Finding {
        self.remedies.push(Remedy::Setting(setting.into()));
        self
    }

    pub fn command(mut self, command: impl Into<String>) -> Finding {
        self.remedies.push(Remedy::Command(command.into()));
        self
    }

    pub fn advice(mut self, advice: impl Into<String>) -> Finding {
        self.remedies.push(Remedy::Advice(advice.into()));
        self
    }

    /// The same remedy for each of several things.
    pub fn sql_each(mut self, statements: impl IntoIterator<Item = String>) -> Finding {
        self.remedies.extend(statements.into_iter().map(Remedy::Sql));
        self
    }

    /// What mends it, in one line: the hint of an error.
    pub fn hint(&self) -> String {
        self.remedies.iter().map(Remedy::text).collect::<Vec<_>>().join(" ")
    }
}
