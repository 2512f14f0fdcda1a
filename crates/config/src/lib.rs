//! Configuration: what options there are, how they are read, and what is said about wrong ones.
//!
//! The tables in [`tables`] are the only place where an option is described; parsing, REST's `validate`, the reference
//! page and the UI's forms read them. Raw texts go in as a [`Config`], typed structures come out:
//! [`postgres::PostgresConnectorConfig`] for a connector, [`worker::WorkerConfig`] for a worker. References to secrets
//! are resolved by [`providers`], just before use.
//!
//! No async, no sockets, no clocks; files are read by the providers only.

pub mod checks;
pub mod config;
pub mod environment;
pub mod java_regex;
pub mod legacy;
pub mod nearest;
pub mod option;
pub mod postgres;
pub mod properties;
pub mod providers;
pub mod secret;
pub mod tables;
pub mod validate;
pub mod values;
pub mod warning;
pub mod worker;

pub use config::{Config, ConfigError, ConfigErrors};
pub use option::{OptionDef, OptionTable};
pub use postgres::PostgresConnectorConfig;
pub use secret::Secret;
pub use validate::{ConnectorContext, ValidationReport, validate_connector};
pub use warning::{Warning, WarningKind};
pub use worker::WorkerConfig;
