//! What `PUT /connector-plugins/X/config/validate` answers, and what a rejected creation lists.
//!
//! Everything that can be said without a connection: the caller adds what the database and the cluster say, with
//! [`ValidationReport::add_error`]. The order of the entries, their texts and their quirks are those of Kafka Connect
//! 4.3 with Debezium 3.7, held by the recorded answers in the tests. What the original passes over in silence
//! (unknown names, options without effect) becomes a warning; what it would ignore to the user's harm, an error.

mod connector;
mod plugins;
mod report;
mod section;
mod sink;

pub use connector::{ConnectorContext, list_options, validate_connector};
pub use plugins::{PluginInfo, PluginKind, Plugins};
pub use report::{ConfigEntry, ConfigValue, Definition, HIDDEN, ValidationReport};
pub use section::{Section, Words};

#[cfg(test)]
mod tests;
