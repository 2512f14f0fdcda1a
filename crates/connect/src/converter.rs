//! Converters: values to bytes. As Connect's `Converter` and `HeaderConverter`, and beside them the compiled encoders of
//! the record path.

use std::sync::Arc;

use walspring_record::{
    Change, ChangeBatch, LeafError, Record, RecordPlan, Schema, SchemaRef, Step, Typed, Value, Warnings,
};

/// A value could not be converted. `class` is the original's exception, for the trace.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConvertError {
    pub class: &'static str,
    pub message: String,
}

impl ConvertError {
    pub fn data(message: impl Into<String>) -> ConvertError {
        ConvertError { class: "org.apache.kafka.connect.errors.DataException", message: message.into() }
    }
}

impl From<LeafError> for ConvertError {
    fn from(e: LeafError) -> ConvertError {
        ConvertError::data(e.0)
    }
}

/// Whether a side of a record is there: Kafka tells a null from an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Null,
    Bytes,
}

/// Which side of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Key,
    Value,
}

/// A configured converter for keys or for values.
pub trait Converter: Send + Sync {
    /// Appends the encoded value to `out`.
    fn encode(
        &self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError>;

    /// Decodes what a consumer read.
    fn decode(&self, topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError>;

    /// An encoder compiled for one plan; `None`: rows go through the tree.
    fn row_encoder(&self, _plan: &Arc<RecordPlan>, _side: Side) -> Option<Box<dyn RowEncoder>> {
        None
    }
}

/// Encodes rows of one plan, straight from cells.
///
/// Property: what it appends is what [`Converter::encode`] appends for the tree of the same step.
pub trait RowEncoder: Send {
    fn encode(
        &mut self,
        batch: &ChangeBatch,
        change: &Change,
        step: &Step,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<Presence, ConvertError>;
}

/// A configured converter for headers.
pub trait HeaderConverter: Send + Sync {
    fn encode_header(
        &self,
        topic: &str,
        name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError>;
    fn decode_header(&self, topic: &str, name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError>;
}

/// A configured single message transform. `None`: the record is dropped.
pub trait Transform: Send {
    fn apply(&mut self, record: Record) -> Result<Option<Record>, ConvertError>;

    /// Whether it may fail with [`RETRIABLE_EXCEPTION`](crate::RETRIABLE_EXCEPTION); the record is then kept for another
    /// attempt.
    fn may_be_retried(&self) -> bool {
        false
    }
}

/// A configured predicate.
pub trait Predicate: Send {
    fn test(&self, record: &Record) -> bool;
}
