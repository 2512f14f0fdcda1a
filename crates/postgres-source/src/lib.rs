//! The PostgreSQL source: from a database to `ChangeBatch`es, and back to the slot what is durable.
//!
//! `task` drives it: checks (`startup`), the snapshot, then the stream (`change_reader`), each on the wire connections of
//! `wire`. Positions are in `position`; confirmations in `feedback`.

pub mod catalog;
mod change_reader;
mod config;
mod copy_text;
mod errors;
mod events;
mod feedback;
mod plugin;
mod position;
mod publication;
mod slot;
mod snapshot;
mod startup;
mod task;
pub mod wire;

pub use plugin::PostgresPlugin;
