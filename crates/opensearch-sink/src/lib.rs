//! OpenSearch and Elasticsearch as sinks: a row is a document, its key the document's id.
//!
//! The way of a record: `task.rs` asks `document_id.rs` and `document.rs` what it becomes and appends it to a `bulk.rs`
//! request; `indices.rs` has made the index by then, with the mapping that `mapping.rs` makes of the record's schema;
//! `writer.rs` sends the request through `client.rs` until each of its items is written, refused or given back.
//!
//! **Invariant**: a document's version is its record's Kafka offset (`version_type=external`), so the cluster itself refuses
//! what is older than what it has. Repeating a batch, or a late request of a worker that was thought dead, changes nothing.
//! The exceptions are the settings that cannot carry a version: `upsert`, and ids that are not the key.

mod address_gate;
mod bulk;
mod client;
mod config;
mod document;
mod document_id;
mod index_name;
mod indices;
mod mapping;
mod plugin;
mod rejection;
mod task;
mod tls;
mod unavailable;
mod writer;

pub use plugin::{ElasticsearchSinkPlugin, OpenSearchSinkPlugin, plugins};
