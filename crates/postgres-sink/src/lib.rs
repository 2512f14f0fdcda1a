//! The PostgreSQL sink: rows of a target database that follow change events, under the class and keys of Debezium's JDBC
//! sink connector.
//!
//! A batch becomes operations on tables (`decode`), of each key the last state (`reduce`), a few statements for many
//! rows each (`apply`), and one transaction (`task`). Types are the target table's; see `values`.
//!
//! Invariant: what `put` has taken is committed when it returns, all of it in one transaction, and with the table of
//! applied offsets each record is applied once.

mod apply;
mod audit;
mod batch;
mod catalog;
mod config;
mod decode;
mod destination;
mod errors;
mod evolution;
mod offsets;
mod origin;
mod plugin;
mod reduce;
mod routes;
mod session;
mod statements;
mod tables;
mod target;
mod task;
mod text_array;
mod tls;
mod url;
mod values;

pub use crate::plugin::PostgresSinkPlugin;
