//! Values of records as a tree: what transforms work on and what slow paths encode.
//!
//! Connect's logical types are the plain value below them: a `Decimal` is its unscaled two's complement, big endian, as
//! `Bytes` (the scale stands in the schema); `Date`, `Time` and `Timestamp` are `Int32`/`Int64`.

use std::sync::Arc;

use crate::schema::SchemaRef;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    Array(Vec<Value>),
    /// Pairs in their order.
    Map(Vec<(Value, Value)>),
    /// One value for each field of the struct's schema, in its order.
    Struct(Vec<Value>),
}

impl Value {
    pub fn string(s: impl Into<Arc<str>>) -> Value {
        Value::String(s.into())
    }

    pub fn bytes(b: impl Into<Arc<[u8]>>) -> Value {
        Value::Bytes(b.into())
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

impl From<Option<Value>> for Value {
    fn from(v: Option<Value>) -> Value {
        v.unwrap_or(Value::Null)
    }
}

/// A value with its schema; a schema may be absent (schemaless data).
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    pub schema: Option<SchemaRef>,
    pub value: Value,
}

impl Typed {
    pub const NULL: Typed = Typed { schema: None, value: Value::Null };

    pub fn new(schema: SchemaRef, value: Value) -> Typed {
        Typed { schema: Some(schema), value }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub name: Arc<str>,
    pub value: Typed,
}

/// A record as Connect has it: what a transform takes and gives, and what the rarer events (heartbeats, transaction
/// boundaries, logical messages) are made as.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub topic: Arc<str>,
    /// `None`: by the key.
    pub partition: Option<i32>,
    pub key: Typed,
    pub value: Typed,
    pub headers: Vec<Header>,
    /// Milliseconds since 1970; `None`: when it is sent.
    pub timestamp_ms: Option<i64>,
}
