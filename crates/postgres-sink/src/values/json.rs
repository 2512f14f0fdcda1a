//! A tree as JSON text: for json columns and for the audit table. Decimals are numbers, bytes base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use walspring_record::{Schema, Value};

use super::{decimal, float};

/// Appends it.
pub fn write(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::String(text) => string(text, out),
        Value::Bytes(bytes) => {
            let is_decimal = |schema: &&Schema| schema.name.as_deref() == Some("org.apache.kafka.connect.data.Decimal");
            match schema.filter(is_decimal) {
                Some(schema) if decimal::connect(schema, value, out).is_ok() => {}
                _ => string(&STANDARD.encode(bytes), out),
            }
        }
        Value::Float32(n) if !n.is_finite() => string(&n.to_string(), out),
        Value::Float64(n) if !n.is_finite() => string(&n.to_string(), out),
        Value::Float64(n) => float(*n, &n.to_string(), out),
        Value::Float32(n) => float(f64::from(*n), &n.to_string(), out),
        Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int8(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Int16(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Int32(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Int64(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            list(items, out, |item, out| write(schema, item, out));
        }
        Value::Map(pairs) => map(schema, pairs, out),
        Value::Struct(values) => {
            let fields = schema.map(|schema| &schema.fields[..]).unwrap_or_default();
            out.push(b'{');
            for (at, (field, value)) in fields.iter().zip(values).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                string(&field.name, out);
                out.push(b':');
                write(Some(&field.schema), value, out);
            }
            out.push(b'}');
        }
    }
}

fn map(schema: Option<&Schema>, pairs: &[(Value, Value)], out: &mut Vec<u8>) {
    let keys = schema.and_then(|schema| schema.keys.as_deref());
    let values = schema.and_then(|schema| schema.items.as_deref());
    if !pairs.iter().all(|(key, _)| matches!(key, Value::String(_))) {
        return list(pairs, out, |(key, value), out| {
            out.push(b'[');
            write(keys, key, out);
            out.push(b',');
            write(values, value, out);
            out.push(b']');
        });
    }
    out.push(b'{');
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(keys, key, out);
        out.push(b':');
        write(values, value, out);
    }
    out.push(b'}');
}

fn list<T>(items: &[T], out: &mut Vec<u8>, each: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(b']');
}

fn string(text: &str, out: &mut Vec<u8>) {
    // A text is always JSON, and writing to a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, text);
}
