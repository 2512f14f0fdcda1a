//! A record's value as the text that PostgreSQL reads for a column's type.
//!
//! With a schema the semantic type says what a value means; without one the column does, and what neither can say is
//! refused with the setting that would say it. Nothing is guessed, and nothing is rounded here: what does not fit is
//! PostgreSQL's to refuse.

mod collections;
mod decimal;
mod geometry;
mod json;
mod temporal;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use walspring_record::{Schema, Value};

use crate::config::{Binary, Declared};
use crate::target::Target;

pub use json::write as write_json;

/// Why a value cannot be written; without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError(pub String);

impl ValueError {
    fn new(why: impl Into<String>) -> ValueError {
        ValueError(why.into())
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What values are read with.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub declared: Declared,
    /// The session's time zone is UTC.
    pub utc: bool,
}

impl Reading {
    /// Appends the value's text. The value is not null.
    pub fn write(
        &self,
        target: &Target,
        schema: Option<&Schema>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let start = out.len();
        self.write_any(target, schema, value, out)?;
        // PostgreSQL's texts end at it.
        if out[start..].contains(&0) {
            return Err(ValueError::new("the text holds a character of code zero, which PostgreSQL cannot store"));
        }
        Ok(())
    }

    fn write_any(
        &self,
        target: &Target,
        schema: Option<&Schema>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        match target {
            Target::Json => return json_column(schema, value, out),
            Target::Array(element) => return collections::array(self, element, schema, value, out),
            _ => {}
        }
        if let Some(schema) = schema
            && let Some(name) = schema.name.as_deref()
            && self.write_semantic(target, schema, name, value, out)?
        {
            return Ok(());
        }
        self.write_by_target(target, schema, value, out)
    }

    /// Whether the name says what the value is.
    fn write_semantic(
        &self,
        target: &Target,
        schema: &Schema,
        name: &str,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<bool, ValueError> {
        let done = |result: Result<(), ValueError>| result.map(|()| true);
        if let Some(name) = name.strip_prefix("io.debezium.time.") {
            return temporal::semantic(self, target, name, schema, value, out);
        }
        match name {
            "org.apache.kafka.connect.data.Date" => temporal::semantic(self, target, "Date", schema, value, out),
            "org.apache.kafka.connect.data.Time" => temporal::semantic(self, target, "Time", schema, value, out),
            "org.apache.kafka.connect.data.Timestamp" => {
                temporal::semantic(self, target, "Timestamp", schema, value, out)
            }
            "org.apache.kafka.connect.data.Decimal" => done(decimal::connect(schema, value, out)),
            "io.debezium.data.VariableScaleDecimal" => done(decimal::variable_scale(Some(schema), value, out)),
            "io.debezium.data.Bits" => done(bits_of(target, value, out)),
            "io.debezium.data.DoubleVector" | "io.debezium.data.FloatVector" => done(collections::vector(value, out)),
            "io.debezium.data.SparseDoubleVector" | "io.debezium.data.SparseVector" => {
                done(collections::sparse_vector(Some(schema), value, out))
            }
            _ => Ok(false),
        }
    }

    fn write_by_target(
        &self,
        target: &Target,
        schema: Option<&Schema>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        match target {
            Target::Boolean | Target::Integer | Target::Other => plain(schema, value, out),
            Target::Float => match value {
                Value::String(text) => {
                    out.extend_from_slice(decimal::special(text).unwrap_or(text).as_bytes());
                    Ok(())
                }
                _ => plain(schema, value, out),
            },
            Target::Text => match value {
                Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
                    json::write(schema, value, out);
                    Ok(())
                }
                _ => plain(schema, value, out),
            },
            Target::Numeric { .. } | Target::Money => decimal::by_target(self, target, schema, value, out),
            Target::Bytea => bytea(self, schema, value, out),
            Target::Date
            | Target::Time { .. }
            | Target::TimeTz
            | Target::Timestamp { .. }
            | Target::TimestampTz { .. }
            | Target::Interval => temporal::by_target(self, target, schema, value, out),
            Target::Bit { .. } | Target::VarBit => bits(target, schema, value, out),
            Target::Hstore => collections::hstore(value, out),
            Target::Vector => match value {
                Value::Array(_) => collections::vector(value, out),
                _ => plain(schema, value, out),
            },
            Target::SparseVector => collections::sparse_vector(schema, value, out),
            Target::Geometry
            | Target::Point
            | Target::Line
            | Target::LineSegment
            | Target::Box
            | Target::Path
            | Target::Polygon
            | Target::Circle => geometry::write(target, schema, value, out),
            // Taken before.
            Target::Json | Target::Array(_) => unreachable!("json and arrays are written first"),
        }
    }
}

/// Text, numbers and booleans as PostgreSQL writes them itself.
fn plain(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    use std::io::Write as _;
    // Writing to a `Vec` cannot fail.
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int8(n) => drop(write!(out, "{n}")),
        Value::Int16(n) => drop(write!(out, "{n}")),
        Value::Int32(n) => drop(write!(out, "{n}")),
        Value::Int64(n) => drop(write!(out, "{n}")),
        Value::Float32(n) => float(f64::from(*n), &n.to_string(), out),
        Value::Float64(n) => float(*n, &n.to_string(), out),
        Value::Bytes(_) => return Err(ValueError::new("bytes go into bytea columns only")),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let name = schema.and_then(|schema| schema.name.as_deref()).unwrap_or("an object or array");
            return Err(ValueError::new(format!("{name} does not go into a column of this type")));
        }
        Value::Null => {}
    }
    Ok(())
}

fn float(n: f64, shortest: &str, out: &mut Vec<u8>) {
    let text = match n {
        _ if n.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        // Rust writes all digits.
        _ if n != 0.0 && !(1e-6..1e21).contains(&n.abs()) => return out.extend_from_slice(format!("{n:e}").as_bytes()),
        _ => shortest,
    };
    out.extend_from_slice(text.as_bytes());
}

/// Debezium's JSON comes as text; what a transform made of it, as a tree.
fn json_column(schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        _ => json::write(schema, value, out),
    }
    Ok(())
}

fn bytea(reading: &Reading, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = |form: &str| {
        ValueError::new(format!(
            "the text is not {form}; walspring.sink.binary.handling.mode says what binary.handling.mode of the source is"
        ))
    };
    let text = match value {
        Value::Bytes(bytes) => return hex(bytes, out),
        Value::String(text) => text,
        _ => return Err(ValueError::new("bytes are expected for a bytea column")),
    };
    let bytes = match reading.declared.binary {
        Some(Binary::Hex) => decode_hex(text).ok_or_else(|| wrong("hexadecimal"))?,
        Some(Binary::Base64Url) => URL_SAFE.decode(&**text).map_err(|_| wrong("base64-url-safe"))?,
        // The only way in which JSON holds bytes.
        Some(Binary::Base64) => STANDARD.decode(&**text).map_err(|_| wrong("base64"))?,
        None if schema.is_none() => STANDARD.decode(&**text).map_err(|_| wrong("base64"))?,
        None => {
            return Err(ValueError::new(
                "a text for a bytea column can be base64 or hexadecimal: set binary.handling.mode=bytes at the source, \
                 or say with walspring.sink.binary.handling.mode what it is",
            ));
        }
    };
    hex(&bytes, out)
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.reserve(bytes.len() * 2 + 2);
    out.extend_from_slice(b"\\x");
    out.extend(bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| b"0123456789abcdef"[usize::from(n)]));
    Ok(())
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some((value(pair[0])? * 16 + value(pair[1])?) as u8)).collect()
}

/// Without a schema: JSON's base64 of `io.debezium.data.Bits`.
fn bits(target: &Target, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match value {
        Value::Boolean(bit) => out.push(if *bit { b'1' } else { b'0' }),
        Value::String(text) if schema.is_none() => {
            let bytes = STANDARD.decode(&**text).map_err(|_| {
                ValueError::new("base64 is expected for a column of bits, as Debezium writes them in JSON")
            })?;
            return bits_of(target, &Value::bytes(bytes), out);
        }
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(_) => return bits_of(target, value, out),
        _ => return Err(ValueError::new("bits are expected")),
    }
    Ok(())
}

/// The first byte's lowest bit is the last character. How many zeros stood before the first one, only `bit(n)` says.
fn bits_of(target: &Target, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Value::Bytes(bytes) = value else { return Err(ValueError::new("bits are expected as bytes")) };
    let highest = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at * 8 + 8 - bytes[at].leading_zeros() as usize);
    let length = match target {
        Target::Bytea => return hex(bytes, out),
        Target::Boolean => 1,
        Target::Bit { length } => *length as usize,
        _ => highest.max(1),
    };
    if highest > length {
        return Err(ValueError::new(format!("the value has {highest} bits, the column {length}")));
    }
    out.extend((0..length).rev().map(|bit| {
        let byte = bytes.get(bit / 8).copied().unwrap_or(0);
        if byte >> (bit % 8) & 1 == 1 { b'1' } else { b'0' }
    }));
    Ok(())
}

/// A whole number of any width.
fn integer(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Int8(n) => i64::from(*n),
        Value::Int16(n) => i64::from(*n),
        Value::Int32(n) => i64::from(*n),
        Value::Int64(n) => *n,
        _ => return None,
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(n) => Some(f64::from(*n)),
        Value::Float64(n) => Some(*n),
        _ => integer(value).map(|n| n as f64),
    }
}

/// Bytes, or JSON's base64 of them.
fn bytes_or_base64(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes.to_vec()),
        Value::String(text) => STANDARD.decode(&**text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
