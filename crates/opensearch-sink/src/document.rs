//! A row as the JSON document of an index: the row itself, without schemas around it.
//!
//! As Connect's converter writes it, with these differences, which are what a search index needs: decimals are numbers (exact:
//! the digits are written, nothing goes through a double), and dates and timestamps of records with schemas are texts that
//! the mapping of `mapping.rs` reads. `plain` values leave the latter as they stand in the record.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use walspring_converters::java::{self, Logical};
use walspring_record::{FieldRef, Fields, Schema, Type, Value};

/// How values are spelled.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub compact_maps: bool,
    pub temporal_as_dates: bool,
}

/// What to write for a field of the row.
pub enum Cell<'a> {
    Value,
    Nothing,
    /// JSON that is there already.
    Json(&'a str),
}

/// What a date or timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporal {
    Days,
    Millis,
    Micros,
    Nanos,
    /// ISO 8601, with a zone.
    Text,
}

impl Temporal {
    /// Times of day are none: they are no points in time.
    pub fn of(schema: &Schema) -> Option<Temporal> {
        match (schema.name.as_deref()?, schema.ty) {
            ("io.debezium.time.Date" | java::logical::DATE, Type::Int32) => Some(Temporal::Days),
            ("io.debezium.time.Timestamp" | java::logical::TIMESTAMP, Type::Int64) => Some(Temporal::Millis),
            ("io.debezium.time.MicroTimestamp", Type::Int64) => Some(Temporal::Micros),
            ("io.debezium.time.NanoTimestamp", Type::Int64) => Some(Temporal::Nanos),
            ("io.debezium.time.ZonedTimestamp" | "io.debezium.time.IsoTimestamp", Type::String) => Some(Temporal::Text),
            _ => None,
        }
    }
}

/// The object of a row. The error names a field and its kind, never its value.
pub fn write_row<'c>(
    style: Style,
    row: &Fields<'_>,
    cell: impl Fn(&FieldRef<'_>) -> Cell<'c>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.push(b'{');
    let mut first = true;
    for field in row.iter() {
        let cell = cell(&field);
        if matches!(cell, Cell::Nothing) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_text(field.name, out);
        out.push(b':');
        match cell {
            Cell::Json(json) => out.extend_from_slice(json.as_bytes()),
            _ => write_value(style, field.schema.map(|s| &**s), field.value, out)
                .map_err(|why| format!("field {}: {why}", field.name))?,
        }
    }
    out.push(b'}');
    Ok(())
}

pub fn write_value(style: Style, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    if let Some(schema) = schema
        && write_by_meaning(style, schema, value, out)
    {
        return Ok(());
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(v) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Value::Int8(v) => java::write_int(out, *v),
        Value::Int16(v) => java::write_int(out, *v),
        Value::Int32(v) => java::write_int(out, *v),
        Value::Int64(v) => java::write_int(out, *v),
        Value::Float32(v) => write_float(v.is_finite(), |out| java::write_f32(out, *v), out),
        Value::Float64(v) => write_float(v.is_finite(), |out| java::write_f64(out, *v), out),
        Value::String(v) => write_text(v, out),
        Value::Bytes(v) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(v).as_bytes());
            out.push(b'"');
        }
        Value::Array(values) => {
            let items = schema.and_then(|s| s.items.as_deref());
            list(values, out, |value, out| write_value(style, items, value, out))?;
        }
        Value::Map(pairs) => write_map(style, schema, pairs, out)?,
        Value::Struct(_) => match Fields::of(schema, value) {
            Some(fields) => write_row(style, &fields, |_| Cell::Value, out)?,
            None => return Err("a structure without its schema".to_owned()),
        },
    }
    Ok(())
}

/// Values whose schema says more than their type. False: this one is written by its type.
fn write_by_meaning(style: Style, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> bool {
    match (Logical::of(schema), value) {
        (Some(Logical::Decimal), Value::Bytes(unscaled)) => {
            let text = java::decimal_text(unscaled, java::scale(schema).unwrap_or(0));
            out.extend_from_slice(text.as_bytes());
            return true;
        }
        (None, Value::Struct(values)) if schema.name.as_deref() == Some(VARIABLE_SCALE) => {
            let (Some(Value::Int32(scale)), Some(Value::Bytes(unscaled))) = (values.first(), values.get(1)) else {
                return false;
            };
            out.extend_from_slice(java::decimal_text(unscaled, *scale).as_bytes());
            return true;
        }
        _ => {}
    }
    if !style.temporal_as_dates {
        return false;
    }
    const DAY_NANOS: i128 = 86_400_000_000_000;
    let nanos = match (Temporal::of(schema), value) {
        (Some(Temporal::Days), Value::Int32(days)) => i128::from(*days) * DAY_NANOS,
        (Some(Temporal::Micros), Value::Int64(micros)) => i128::from(*micros) * 1000,
        (Some(Temporal::Nanos), Value::Int64(nanos)) => i128::from(*nanos),
        // Milliseconds are what the mapping's epoch_millis reads.
        _ => return false,
    };
    let days = nanos.div_euclid(DAY_NANOS);
    let (year, month, day) = java::civil(days as i64);
    if !(0..=9999).contains(&year) {
        // Outside of what ISO texts of four digits can say (infinity, too): epoch_millis again.
        out.extend_from_slice(nanos.div_euclid(1_000_000).to_string().as_bytes());
        return true;
    }
    let mut text = format!("\"{year:04}-{month:02}-{day:02}");
    let (seconds, fraction) = {
        let of_day = nanos.rem_euclid(DAY_NANOS);
        (of_day / 1_000_000_000, of_day % 1_000_000_000)
    };
    let clock = || format!("T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match Temporal::of(schema) {
        Some(Temporal::Micros) => text.push_str(&format!("{}.{:06}Z", clock(), fraction / 1000)),
        Some(Temporal::Nanos) => text.push_str(&format!("{}.{fraction:09}Z", clock())),
        _ => {}
    }
    text.push('"');
    out.extend_from_slice(text.as_bytes());
    true
}

pub const VARIABLE_SCALE: &str = "io.debezium.data.VariableScaleDecimal";

/// Whether a map is written as an object. Without a schema it is what JSON had as one.
pub fn is_compact(style: Style, schema: &Schema) -> bool {
    style.compact_maps && schema.keys.as_deref().is_some_and(|keys| keys.ty == Type::String)
}

fn write_map(style: Style, schema: Option<&Schema>, pairs: &[(Value, Value)], out: &mut Vec<u8>) -> Result<(), String> {
    let (keys, items) = (schema.and_then(|s| s.keys.as_deref()), schema.and_then(|s| s.items.as_deref()));
    if schema.is_some_and(|schema| !is_compact(style, schema)) {
        return list(pairs, out, |(key, value), out| {
            out.extend_from_slice(b"{\"key\":");
            write_value(style, keys, key, out)?;
            out.extend_from_slice(b",\"value\":");
            write_value(style, items, value, out)?;
            out.push(b'}');
            Ok(())
        });
    }
    out.push(b'{');
    for (place, (key, value)) in pairs.iter().enumerate() {
        let Value::String(name) = key else { return Err("a map with a key that is no text".to_owned()) };
        if place > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_value(style, items, value, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn list<T>(
    items: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// What is no number of JSON is a text; the cluster refuses it in a field of numbers.
fn write_float(finite: bool, write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    if finite {
        return write(out);
    }
    out.push(b'"');
    write(out);
    out.push(b'"');
}

pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text into a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { compact_maps: true, temporal_as_dates: true };

    fn written(style: Style, schema: Schema, value: Value) -> String {
        let mut out = Vec::new();
        write_value(style, Some(&schema), &value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn named(ty: Type, name: &str) -> Schema {
        Schema::new(ty).named(name)
    }

    #[test]
    fn decimals_keep_their_digits() {
        let schema = named(Type::Bytes, java::logical::DECIMAL).parameter("scale", "2");
        assert_eq!(written(STYLE, schema, Value::bytes([0x30, 0x39])), "123.45");
        let schema = named(Type::Struct, VARIABLE_SCALE)
            .field("scale", Schema::new(Type::Int32))
            .field("value", Schema::new(Type::Bytes));
        let value = Value::Struct(vec![Value::Int32(1), Value::bytes([0x30, 0x39])]);
        assert_eq!(written(STYLE, schema, value), "1234.5");
    }

    #[test]
    fn dates_and_timestamps_are_what_the_mapping_reads() {
        for (ty, name, value, expected, plain) in [
            (Type::Int32, "io.debezium.time.Date", Value::Int32(19_782), "\"2024-02-29\"", "19782"),
            (Type::Int32, java::logical::DATE, Value::Int32(-1), "\"1969-12-31\"", "-1"),
            (Type::Int64, "io.debezium.time.Timestamp", Value::Int64(-5), "-5", "-5"),
            (
                Type::Int64,
                "io.debezium.time.MicroTimestamp",
                Value::Int64(1_709_210_096_123_456),
                "\"2024-02-29T12:34:56.123456Z\"",
                "1709210096123456",
            ),
            (Type::Int64, "io.debezium.time.MicroTimestamp", Value::Int64(-1), "\"1969-12-31T23:59:59.999999Z\"", "-1"),
            (
                Type::Int64,
                "io.debezium.time.MicroTimestamp",
                Value::Int64(i64::MAX),
                "9223372036854775",
                "9223372036854775807",
            ),
            (Type::Int64, "io.debezium.time.NanoTimestamp", Value::Int64(1), "\"1970-01-01T00:00:00.000000001Z\"", "1"),
            (Type::Int64, "io.debezium.time.MicroTime", Value::Int64(7), "7", "7"),
        ] {
            assert_eq!(written(STYLE, named(ty, name), value.clone()), expected, "{name}");
            let style = Style { temporal_as_dates: false, ..STYLE };
            assert_eq!(written(style, named(ty, name), value), plain, "{name}");
        }
    }

    #[test]
    fn maps_are_objects_or_lists_of_pairs() {
        let map = |keys| Schema::map(Schema::new(keys), Schema::new(Type::Int32));
        let pair = |key| Value::Map(vec![(key, Value::Int32(1))]);
        assert_eq!(written(STYLE, map(Type::String), pair(Value::string("a"))), r#"{"a":1}"#);
        let long = Style { compact_maps: false, ..STYLE };
        assert_eq!(written(long, map(Type::String), pair(Value::string("a"))), r#"[{"key":"a","value":1}]"#);
        assert_eq!(written(STYLE, map(Type::Int32), pair(Value::Int32(7))), r#"[{"key":7,"value":1}]"#);
        let mut out = Vec::new();
        assert!(write_value(STYLE, None, &pair(Value::Int32(7)), &mut out).is_err());
    }

    #[test]
    fn rows_leave_out_or_take_over_fields() {
        let value = Value::Map(
            [
                ("a", Value::Int64(1)),
                ("b", Value::string("\"x\n")),
                ("c", Value::Float64(f64::NAN)),
                ("d", Value::Null),
            ]
            .map(|(name, value)| (Value::string(name), value))
            .into(),
        );
        let fields = Fields::of(None, &value).unwrap();
        let mut out = Vec::new();
        let cell = |field: &FieldRef<'_>| match field.name {
            "a" => Cell::Nothing,
            "b" => Cell::Json("[1]"),
            _ => Cell::Value,
        };
        write_row(STYLE, &fields, cell, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"b":[1],"c":"NaN","d":null}"#);
    }
}
