//! The wire against real PostgreSQL servers, and against servers that are not.

mod copy;
mod hostile;
mod queries;
mod quoting;
mod rotation;
mod sessions;
mod stream;
mod support;
mod tls;
