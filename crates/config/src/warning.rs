//! What is not wrong but worth saying: the original passes over these in silence.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub name: String,
    pub kind: WarningKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningKind {
    /// No table knows the name.
    Unknown { nearest: Option<String> },
    /// Understood; today it is written otherwise.
    OldSpelling { today: String },
    /// Accepted, and nothing here acts on it.
    NoEffect { reason: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            WarningKind::Unknown { nearest: None } => write!(f, "{name} is not a known option; it is ignored"),
            WarningKind::Unknown { nearest: Some(nearest) } => {
                write!(f, "{name} is not a known option; it is ignored. Is {nearest} meant?")
            }
            WarningKind::OldSpelling { today } => write!(f, "{name} is an older spelling; today it is {today}"),
            WarningKind::NoEffect { reason } => write!(f, "{name} has no effect: {reason}"),
        }
    }
}
