//! One file a command.

pub mod completions;
pub mod tail;
pub mod version;
pub mod worker;
