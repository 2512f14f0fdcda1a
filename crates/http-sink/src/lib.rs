//! HTTP endpoints (webhooks) as sinks: Confluent's connector and Aiven's by their class names and options, over one core.
//!
//! `plugin` are the classes, `config` the typed configuration, which `confluent` and `aiven` read from their options. `task`
//! makes requests of records (`request`, `template`, `signature`), and `client` sends them, to addresses that
//! the worker and the connector allow. `status` says what an answer means.
//!
//! **Invariants**: no request goes to an address that was not checked when it was dialled, and no redirect is followed.
//! What an answer's body says is shown to nobody.

mod aiven;
mod client;
mod config;
mod confluent;
mod plugin;
mod request;
mod signature;
mod status;
mod task;
mod template;

pub use plugin::{AIVEN_CLASS, CONFLUENT_CLASS, plugins, plugins_within};
