//! What the tests of several transforms share.

use std::sync::LazyLock;

use walspring_record::{Record, Schema, SchemaRef, Type, Typed, Value};

pub fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Without key and value.
pub fn record(topic: &str) -> Record {
    Record {
        topic: topic.into(),
        partition: None,
        key: Typed::NULL,
        value: Typed::NULL,
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

pub fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect())
}

/// The envelope of a table `t` with the columns id (int32), a (int32, default 5) and b (optional text).
pub fn envelope() -> SchemaRef {
    let text = || Schema::new(Type::String);
    let row = Schema::new(Type::Struct)
        .named("s.public.t.Value")
        .optional()
        .field("id", Schema::new(Type::Int32))
        .field("a", Schema::new(Type::Int32).optional().with_default(Some(Value::Int32(5))))
        .field("b", text().optional());
    let row = SchemaRef::new(row);
    let source = Schema::new(Type::Struct).field("table", text()).field("lsn", Schema::new(Type::Int64).optional());
    let transaction = Schema::new(Type::Struct).optional().field("id", text());
    Schema::new(Type::Struct)
        .named("s.public.t.Envelope")
        .versioned(2)
        .field("before", row.clone())
        .field("after", row)
        .field("source", source)
        .field("transaction", transaction)
        .field("op", text())
        .field("ts_ms", Schema::new(Type::Int64).optional())
        .into()
}

/// A row of `t`.
pub fn row(id: i32, a: Option<i32>, b: &str) -> Value {
    Value::Struct(vec![Value::Int32(id), a.map(Value::Int32).into(), Value::string(b)])
}

pub fn event(schema: &SchemaRef, op: &str, before: Value, after: Value) -> Record {
    static KEY: LazyLock<SchemaRef> = LazyLock::new(|| {
        Schema::new(Type::Struct).named("s.public.t.Key").field("id", Schema::new(Type::Int32)).into()
    });
    let source = Value::Struct(vec![Value::string("t"), Value::Int64(42)]);
    let value = vec![before, after, source, Value::Null, Value::string(op), Value::Int64(1_700_000_000_000)];
    Record {
        key: Typed::new(KEY.clone(), Value::Struct(vec![Value::Int32(1)])),
        value: Typed::new(schema.clone(), Value::Struct(value)),
        ..record("s.public.t")
    }
}

/// A struct's fields by name, or a map's.
pub fn shown(typed: &Typed) -> Vec<(String, Value)> {
    walspring_record::Fields::of_typed(typed)
        .expect("it has fields")
        .iter()
        .map(|f| (f.name.to_owned(), f.value.clone()))
        .collect()
}
