//! How a command fails: a text for a person, and an exit code for a script.
//!
//! 0 ok, 1 error, 2 usage or configuration invalid, 3 something outside cannot be reached; 130 and 143 after a second
//! signal.

use std::process::ExitCode;

#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub fn error(message: impl Into<String>) -> Failure {
        Failure { code: 1, message: message.into(), hint: None }
    }

    /// What was asked for cannot be, however often it is tried.
    pub fn invalid(message: impl Into<String>) -> Failure {
        Failure { code: 2, ..Failure::error(message) }
    }

    pub fn unreachable(message: impl Into<String>) -> Failure {
        Failure { code: 3, ..Failure::error(message) }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Whoever reads our output has gone: not an error of ours.
    pub fn report(&self) -> ExitCode {
        eprintln!("walspring: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("  {hint}");
        }
        ExitCode::from(self.code)
    }
}
