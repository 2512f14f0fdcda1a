//! Converters: values of records to bytes and back, each by the name of the Java class whose work it does.
//!
//! A format: no I/O, no clock. The record path asks a [`walspring_connect::Converter`] for an encoder compiled for one plan
//! and hands it rows; everything rarer goes through trees. Invariant: both ways give the same bytes.

pub mod binary_data;
pub mod byte_array;
pub mod header;
pub mod json;
pub mod number;
mod options;
pub mod registry;
pub mod string;

pub use walspring_record::java;

pub use registry::{Plugin, PluginType, converter, header_converter, plugins};
