//! The PostgreSQL source: from a database to `ChangeBatch`es, and back to the slot what is durable.
//!
//! `task` drives it: checks (`startup`), the snapshot, then the `stream` (read by `change_reader`), each on connections of
//! `wire`. `relations` completes what the stream says of tables. Positions are in `position`; confirmations in `feedback`.

pub mod catalog;
mod change_reader;
mod config;
mod copy_text;
pub mod doctor;
mod errors;
mod events;
mod failover;
mod feedback;
#[doc(hidden)]
pub mod fuzzing;
mod hypertables;
mod identity;
mod incremental;
mod keeper;
mod kept_tables;
mod limits;
mod memory;
mod metrics;
mod notifications;
mod plugin;
mod position;
mod publication;
mod read_twice;
mod relations;
mod reselect;
mod resume;
mod shared_topics;
mod signals;
pub mod simulated;
mod slot;
mod slot_watch;
mod snapshot;
mod snapshot_board;
mod snapshot_query;
mod startup;
mod stream;
mod strict;
mod task;
mod value_limit;
pub mod wire;

mod streamed;
pub use hypertables::TimescaleCatalog;
pub use limits::Limits;
pub use plugin::PostgresPlugin;
