//! Single message transforms and predicates, one file each, by the names of their Java classes.
//!
//! A format: no I/O, no clock. A transform is made from the properties below its prefix and changes records as trees of
//! values; it works on structs with their schemas and on schemaless maps. What follows from a schema alone (the flattened
//! schema, the places of fields) is worked out once for each schema, not for each record: see `schema_cache.rs`.
//!
//! Measured (`cargo test --release -p walspring-transforms -- --ignored`, one core): see docs/transforms.md.

mod error;
mod insert_header;
mod logical_router;
mod memo;
mod predicates;
mod regex_router;
mod registry;
mod schema_cache;
mod settings;
mod unwrap;

#[cfg(test)]
mod testing;

pub use error::unknown_class;
pub use registry::{Plugin, predicate, predicate_plugins, predicates, transform, transform_plugins, transforms};
