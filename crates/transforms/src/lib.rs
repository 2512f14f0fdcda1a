//! Single message transforms and predicates, one file each, by the names of their Java classes.
//!
//! A format: no I/O, no clock. A transform is made from the properties below its prefix and changes records as trees of
//! values; it works on structs with their schemas and on schemaless maps. What follows from a schema alone (the flattened
//! schema, the places of fields) is worked out once for each schema, not for each record: see `schema_cache.rs`.
//!
//! Measured on one core (`speed.rs`): 5.1 million records/s through ExtractNewRecordState, 3.5 million schemaless, 8.9 million
//! through RegexRouter; more in docs/transforms.md.

mod cast;
mod changed_fields;
mod date_format;
mod drop_headers;
mod error;
mod extract_field;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod logical_router;
mod mask_field;
mod memo;
mod predicates;
mod regex_router;
mod registry;
mod replace_field;
mod row;
mod schema_cache;
mod set_schema_metadata;
mod settings;
mod timescale;
mod timestamp_converter;
mod timestamp_router;
mod unwrap;
mod value_to_key;

#[cfg(test)]
mod speed;
#[cfg(test)]
mod testing;

pub use error::unknown_class;
pub use registry::{Plugin, predicate, predicate_plugins, predicates, transform, transform_plugins, transforms};
pub use timescale::timescale;
