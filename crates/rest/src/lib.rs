//! Kafka Connect's REST API on the runtime's handle, one file a resource, and the server that carries it.
//!
//! Paths match with and without a trailing slash. An error's body is `{"error_code","message"}` with the texts of Kafka
//! Connect, because clients look for them; nothing is added to its objects, because some refuse what they do not know.
//! Our own version is in a header. What is ours alone comes from the caller as further routes.

mod answer;
mod body;
mod config;
mod connector;
mod connectors;
mod guard;
mod health;
mod json;
mod lifecycle;
mod loggers;
mod metrics;
mod offsets;
mod plugins;
mod root;
mod routes;
mod server;
mod signals;
mod snapshot;
mod starting;
mod status;
mod tasks;
mod topics;

pub use answer::{Answer, beside, refused};
pub use guard::Access;
pub use loggers::{LoggerLevels, SetFilter};
pub use routes::{Rest, router};
pub use server::{Server, serve};
