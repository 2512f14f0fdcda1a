//! A blocking connection to PostgreSQL: frontend/backend protocol 3.0 over TCP, TLS or a Unix-domain socket.
//!
//! A replication task is one plain OS thread, so nothing here needs an async runtime. What it offers is what change
//! data capture needs and no more: simple queries in text format, `COPY … TO STDOUT`, and the replication stream whose
//! two directions may live on two threads. What rows mean, which slot, which publication: not here.
//!
//! Invariants: every read has a bounded size and, where a deadline is given, a bounded time; bytes from the server
//! never panic us; a password is never printed.
//!
//! Source: PostgreSQL's manual, "Frontend/Backend Protocol": "Message Formats", "Streaming Replication Protocol".

mod alive;
mod auth;
mod backend;
mod cancel;
mod certificate;
mod config;
mod connect;
mod connection;
mod copy_out;
mod error;
mod frame_reader;
mod frontend;
pub(crate) mod fuzzing;
mod gathering;
mod quote;
mod replication;
mod row;
mod socket;
mod target;
mod tls;
mod transport;
mod url;

pub use cancel::CancelToken;
pub use config::{ChannelBinding, ConnectConfig, Keepalive, Pem, Secret, SslConfig, SslMode, TargetSession};
pub use connection::Connection;
pub use copy_out::CopyOut;
pub use error::{PgError, ServerError};
pub use quote::{publication_names, quote_identifier, quote_literal, quote_replication_literal};
pub use replication::{Frame, ReplicationStream, StandbyWriter};
pub use row::{Column, ColumnIndex, Row};
