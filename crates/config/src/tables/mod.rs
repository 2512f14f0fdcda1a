//! The tables. Each file is one flat list; see `option.rs` for what an entry says.

pub mod converters;
pub mod postgres;
pub mod source_connector;
pub mod walspring;
pub mod worker;
