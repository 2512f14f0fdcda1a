//! Redis as a sink: rows kept as hashes or JSON texts, or keys invalidated, for a cache that follows its tables.
//!
//! `plugin` is the connector's class, `config` its options, `task` a batch's way. A record becomes an `Operation` on a key
//! (`operation`, `key`, `text`); operations become commands in one pipeline (`pipeline`, `connection`), whose answers tell
//! records that cannot be written from a server that is away (`errors`). JSON texts of rows with unchanged TOAST values are
//! completed from what Redis has (`merge`).
//!
//! **Invariant**: every operation says what the key is to be after it, so that a repetition of any run of records, in their
//! order, ends in the same state.

mod config;
mod connection;
mod errors;
mod key;
mod merge;
mod operation;
mod pipeline;
mod plugin;
mod task;
mod text;

pub use config::{Mode, RedisSinkConfig, Target};
pub use plugin::RedisSinkPlugin;
