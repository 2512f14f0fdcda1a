//! The tables. Each file is one flat list; see `option.rs` for what an entry says.

mod connector;
pub mod converters;
pub mod http_sink;
pub mod opensearch_sink;
pub mod postgres;
pub mod postgres_sink;
pub mod redis_sink;
pub mod sink_connector;
pub mod source_connector;
pub mod transforms;
pub mod walspring;
pub mod worker;
