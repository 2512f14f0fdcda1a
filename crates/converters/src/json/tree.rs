//! A value with its schema as JSON: `JsonConverter.convertToJson`, written without the tree of JSON between.

use walspring_connect::ConvertError;
use walspring_record::{Schema, Type, Value};

use super::JsonOptions;
use super::text::{write_base64, write_f32, write_f64, write_string};
use crate::java::{self, Logical, class_name, type_name, write_int};

pub(super) fn write(
    options: &JsonOptions,
    schema: Option<&Schema>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    match schema {
        Some(schema) => with_schema(options, schema, value, out),
        None => without_schema(options, value, out),
    }
}

fn with_schema(options: &JsonOptions, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    match (schema.ty, value) {
        (_, Value::Null) => return null(options, schema, out),
        (Type::Bytes, _) if Logical::of(schema) == Some(Logical::Decimal) => {
            return decimal(options, schema, value, out);
        }
        (Type::String, Value::String(s)) => write_string(out, s),
        (Type::Int64, Value::Int64(v)) => write_int(out, *v),
        (Type::Int32, Value::Int32(v)) => write_int(out, *v),
        (Type::Int16, Value::Int16(v)) => write_int(out, *v),
        (Type::Int8, Value::Int8(v)) => write_int(out, *v),
        (Type::Boolean, Value::Boolean(v)) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        (Type::Float64, Value::Float64(v)) => write_f64(out, *v),
        (Type::Float32, Value::Float32(v)) => write_f32(out, *v),
        (Type::Bytes, Value::Bytes(b)) => write_base64(out, b),
        (Type::Struct, Value::Struct(values)) => {
            if values.len() != schema.fields.len() {
                return Err(ConvertError::data("Mismatching schema."));
            }
            out.push(b'{');
            for (i, (field, value)) in schema.fields.iter().zip(values).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(out, &field.name);
                out.push(b':');
                with_schema(options, &field.schema, value, out)?;
            }
            out.push(b'}');
        }
        (Type::Array, Value::Array(values)) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(options, schema.items.as_deref(), value, out)?;
            }
            out.push(b']');
        }
        (Type::Map, Value::Map(pairs)) => {
            let object = schema.keys.as_ref().is_some_and(|k| k.ty == Type::String);
            map(options, object, schema.keys.as_deref(), schema.items.as_deref(), pairs, out)?;
        }
        _ => return Err(mismatch(schema, value)),
    }
    Ok(())
}

fn without_schema(options: &JsonOptions, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::String(s) => write_string(out, s),
        Value::Int64(v) => write_int(out, *v),
        Value::Int32(v) => write_int(out, *v),
        Value::Int16(v) => write_int(out, *v),
        Value::Int8(v) => write_int(out, *v),
        Value::Boolean(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Float64(v) => write_f64(out, *v),
        Value::Float32(v) => write_f32(out, *v),
        Value::Bytes(b) => write_base64(out, b),
        Value::Array(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                without_schema(options, value, out)?;
            }
            out.push(b']');
        }
        Value::Map(pairs) => {
            let object = pairs.iter().all(|(k, _)| matches!(k, Value::String(_)));
            map(options, object, None, None, pairs, out)?;
        }
        // A struct always knows its schema in the original.
        Value::Struct(_) => return Err(ConvertError::data("Mismatching schema.")),
    }
    Ok(())
}

fn null(options: &JsonOptions, schema: &Schema, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    match &schema.default {
        Some(default) if options.replace_null && !default.is_null() => with_schema(options, schema, default, out),
        _ if schema.optional => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        _ => {
            Err(ConvertError::data("Conversion error: null value for field that is required and has no default value"))
        }
    }
}

/// `object`: the keys are the names of an object; else a list of pairs.
fn map(
    options: &JsonOptions,
    object: bool,
    keys: Option<&Schema>,
    values: Option<&Schema>,
    pairs: &[(Value, Value)],
    out: &mut Vec<u8>,
) -> Result<(), ConvertError> {
    out.push(if object { b'{' } else { b'[' });
    for (i, (key, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match key {
            Value::Null if object => out.extend_from_slice(b"\"null\""),
            _ => {
                out.extend_from_slice(if object { b"" } else { b"[" });
                write(options, keys, key, out)?;
            }
        }
        out.push(if object { b':' } else { b',' });
        write(options, values, value, out)?;
        out.extend_from_slice(if object { b"" } else { b"]" });
    }
    out.push(if object { b'}' } else { b']' });
    Ok(())
}

fn decimal(options: &JsonOptions, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    let Value::Bytes(bytes) = value else { return Err(mismatch(schema, value)) };
    if options.numeric_decimals {
        let scale = java::scale(schema)
            .ok_or_else(|| ConvertError::data("Invalid Decimal schema: scale parameter not found."))?;
        out.extend_from_slice(java::decimal_text(bytes, scale).as_bytes());
    } else {
        write_base64(out, java::minimal(bytes));
    }
    Ok(())
}

#[cold]
fn mismatch(schema: &Schema, value: &Value) -> ConvertError {
    let class = class_name(None, value);
    ConvertError::data(match Logical::of(schema) {
        Some(Logical::Decimal) => format!("Invalid type for Decimal, expected BigDecimal but was class {class}"),
        Some(l @ (Logical::Date | Logical::Time | Logical::Timestamp)) => {
            format!("Invalid type for {l:?}, expected Date but was class {class}")
        }
        None if schema.ty == Type::Bytes => format!("Invalid type for bytes type: class {class}"),
        None => format!("Invalid type for {}: class {class}", type_name(schema.ty)),
    })
}
