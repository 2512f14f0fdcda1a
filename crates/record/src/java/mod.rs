//! Values as text, as Java's `toString` prints them.

mod date;
mod decimal;
mod float;

pub use date::{civil, write_date, write_iso_date};
pub use decimal::{decimal_bytes, decimal_text, minimal, scale};
pub use float::{write_f32, write_f64};

use crate::{Schema, Type, Value};

/// The semantic names that Connect itself gives a meaning.
pub mod logical {
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
}

/// What a value is in Java, where its schema's name gives it a class of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    Decimal,
    Date,
    Time,
    Timestamp,
}

impl Logical {
    pub fn of(schema: &Schema) -> Option<Logical> {
        match schema.name.as_deref()? {
            logical::DECIMAL => Some(Logical::Decimal),
            logical::DATE => Some(Logical::Date),
            logical::TIME => Some(Logical::Time),
            logical::TIMESTAMP => Some(Logical::Timestamp),
            _ => None,
        }
    }

    /// A date, time or timestamp as milliseconds since 1970.
    pub fn millis(self, value: &Value) -> Option<i64> {
        match (self, value) {
            (Logical::Date, Value::Int32(days)) => Some(i64::from(*days) * 86_400_000),
            (Logical::Time, Value::Int32(ms)) => Some(i64::from(*ms)),
            (Logical::Timestamp, Value::Int64(ms)) => Some(*ms),
            _ => None,
        }
    }
}

/// `Schema.Type` as Java prints it.
pub fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Int8 => "INT8",
        Type::Int16 => "INT16",
        Type::Int32 => "INT32",
        Type::Int64 => "INT64",
        Type::Float32 => "FLOAT32",
        Type::Float64 => "FLOAT64",
        Type::Boolean => "BOOLEAN",
        Type::String => "STRING",
        Type::Bytes => "BYTES",
        Type::Array => "ARRAY",
        Type::Map => "MAP",
        Type::Struct => "STRUCT",
    }
}

/// The Java class that a value would be of, as `getClass()` prints it without `class `.
pub fn class_name(schema: Option<&Schema>, value: &Value) -> &'static str {
    match schema.and_then(Logical::of) {
        Some(Logical::Decimal) if matches!(value, Value::Bytes(_)) => return "java.math.BigDecimal",
        Some(l) if l.millis(value).is_some() => return "java.util.Date",
        _ => {}
    }
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

pub fn write_int(out: &mut Vec<u8>, v: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
}

/// `value.toString()`. Bytes are shown as the `ByteBuffer` that the original's connectors make of them.
pub fn write_to_string(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) {
    if let Some(schema) = schema {
        match (Logical::of(schema), value) {
            (Some(Logical::Decimal), Value::Bytes(b)) => {
                return out.extend_from_slice(decimal_text(b, scale(schema).unwrap_or(0)).as_bytes());
            }
            (Some(l), v) if l.millis(v).is_some() => return write_date(l.millis(v).unwrap_or(0), out),
            _ => {}
        }
    }
    let items = schema.and_then(|s| s.items.as_deref());
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int8(v) => write_int(out, *v),
        Value::Int16(v) => write_int(out, *v),
        Value::Int32(v) => write_int(out, *v),
        Value::Int64(v) => write_int(out, *v),
        Value::Float32(v) => write_f32(out, *v),
        Value::Float64(v) => write_f64(out, *v),
        Value::String(s) => out.extend_from_slice(s.as_bytes()),
        Value::Bytes(b) => {
            out.extend_from_slice(format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", b.len()).as_bytes());
        }
        Value::Array(values) => {
            out.push(b'[');
            for (i, v) in values.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                write_to_string(items, v, out);
            }
            out.push(b']');
        }
        Value::Map(pairs) => {
            let keys = schema.and_then(|s| s.keys.as_deref());
            out.push(b'{');
            for (i, (k, v)) in pairs.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                write_to_string(keys, k, out);
                out.push(b'=');
                write_to_string(items, v, out);
            }
            out.push(b'}');
        }
        Value::Struct(values) => {
            out.extend_from_slice(b"Struct{");
            let fields = schema.map_or(&[][..], |s| &s.fields[..]);
            let mut first = true;
            for (field, v) in fields.iter().zip(values).filter(|(_, v)| !v.is_null()) {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.extend_from_slice(field.name.as_bytes());
                out.push(b'=');
                write_to_string(Some(&field.schema), v, out);
            }
            out.push(b'}');
        }
    }
}
