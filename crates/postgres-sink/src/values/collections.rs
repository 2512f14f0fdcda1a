//! Arrays, hstore and vectors.

use std::io::Write as _;

use walspring_record::{Fields, Schema, Value};

use super::{Reading, ValueError, number};
use crate::target::Target;

/// `{1,NULL,"a b"}`; a text is taken as PostgreSQL's own form.
pub fn array(
    reading: &Reading,
    element: &Target,
    schema: Option<&Schema>,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let items = match value {
        Value::Array(items) => items,
        Value::String(text) => {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        _ => return Err(ValueError::new("an array is expected")),
    };
    let item_schema = schema.and_then(|schema| schema.items.as_deref());
    let mut text = Vec::new();
    // `box` alone is separated otherwise.
    let separator = if *element == Target::Box { b';' } else { b',' };
    out.push(b'{');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(separator);
        }
        match item {
            Value::Null => out.extend_from_slice(b"NULL"),
            Value::Array(_) if *element != Target::Json && *element != Target::Vector => {
                array(reading, element, item_schema, item, out)?;
            }
            _ => {
                text.clear();
                reading.write(element, item_schema, item, &mut text)?;
                quoted(&text, out);
            }
        }
    }
    out.push(b'}');
    Ok(())
}

/// In double quotes, as arrays and hstore have them.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
}

/// From a map, from JSON's text of one, or in PostgreSQL's own form.
pub fn hstore(value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::new("an object of texts is expected for an hstore column");
    match value {
        Value::Map(pairs) => {
            for (at, (key, value)) in pairs.iter().enumerate() {
                let Value::String(key) = key else { return Err(wrong()) };
                let value = match value {
                    Value::Null => None,
                    Value::String(text) => Some(text.to_string()),
                    Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Bytes(_) => return Err(wrong()),
                    scalar => {
                        let mut text = Vec::new();
                        super::plain(None, scalar, &mut text)?;
                        String::from_utf8(text).ok()
                    }
                };
                pair(at, key, value.as_deref(), out);
            }
        }
        Value::String(text) if text.trim_start().starts_with('{') => {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
            for (at, (key, value)) in object.iter().enumerate() {
                match value {
                    serde_json::Value::Null => pair(at, key, None, out),
                    serde_json::Value::String(value) => pair(at, key, Some(value), out),
                    other => pair(at, key, Some(&other.to_string()), out),
                }
            }
        }
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        _ => return Err(wrong()),
    }
    Ok(())
}

fn pair(at: usize, key: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
    quoted(key.as_bytes(), out);
    out.extend_from_slice(b"=>");
    match value {
        Some(value) => quoted(value.as_bytes(), out),
        None => out.extend_from_slice(b"NULL"),
    }
}

/// `[1,2.5]`
pub fn vector(value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::new("an array of numbers is expected for a vector column");
    let Value::Array(items) = value else {
        return match value {
            Value::String(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            _ => Err(wrong()),
        };
    };
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        number(item).ok_or_else(wrong)?;
        super::plain(None, item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// `{1:1.5,3:2}/5` from `{dimensions, vector}`, whose map JSON writes as pairs.
pub fn sparse_vector(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::new("dimensions and a vector are expected for a sparsevec column");
    if let Value::String(text) = value {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let fields = Fields::of(schema, value).ok_or_else(wrong)?;
    let dimensions = fields.get("dimensions").and_then(|field| super::integer(field.value)).ok_or_else(wrong)?;
    out.push(b'{');
    let mut first = true;
    let mut entry = |index: &Value, value: &Value| {
        let index = match index {
            Value::String(text) => text.parse().ok(),
            other => super::integer(other),
        };
        let (index, value) = (index.ok_or_else(wrong)?, number(value).ok_or_else(wrong)?);
        // Writing to a `Vec` cannot fail.
        let _ = write!(out, "{}{index}:{value}", if first { "" } else { "," });
        first = false;
        Ok::<(), ValueError>(())
    };
    match fields.get("vector").map(|field| field.value) {
        Some(Value::Map(pairs)) => {
            for (index, value) in pairs {
                entry(index, value)?;
            }
        }
        Some(Value::Array(pairs)) => {
            for item in pairs {
                match item {
                    Value::Array(pair) if pair.len() == 2 => entry(&pair[0], &pair[1])?,
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    let _ = write!(out, "}}/{dimensions}");
    Ok(())
}
