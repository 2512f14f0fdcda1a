//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: text that shows its type, and back by what it looks like.
//!
//! Written as `Values.convertToString` does; read as `walspring_record::literal` says.

use walspring_connect::{ConvertError, HeaderConverter};
use walspring_record::{Schema, Typed, Value, literal};

use crate::java::{self, Logical, write_f32, write_f64, write_int, write_iso_date};

/// Headers as text.
#[derive(Debug, Default)]
pub struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn encode_header(
        &self,
        _topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        if value.is_null() {
            return Ok(None);
        }
        let mut out = Vec::new();
        write(schema, value, false, &mut out);
        Ok(Some(out))
    }

    fn decode_header(&self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(bytes.map_or(Typed::NULL, |b| literal::parse(&String::from_utf8_lossy(b))))
    }
}

/// `inside`: of another value, where text is quoted.
fn write(schema: Option<&Schema>, value: &Value, inside: bool, out: &mut Vec<u8>) {
    match (schema.and_then(Logical::of), schema, value) {
        (Some(Logical::Decimal), Some(schema), Value::Bytes(b)) => {
            return out.extend_from_slice(java::decimal_text(b, java::scale(schema).unwrap_or(0)).as_bytes());
        }
        (Some(l), _, v) if l.millis(v).is_some() => return write_iso_date(l.millis(v).unwrap_or(0), out),
        _ => {}
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
        Value::String(s) if inside => write_quoted(s, out),
        Value::String(s) => out.extend_from_slice(s.as_bytes()),
        Value::Bytes(b) => {
            use base64::Engine;
            let text = base64::engine::general_purpose::STANDARD.encode(b);
            if inside { write_quoted(&text, out) } else { out.extend_from_slice(text.as_bytes()) }
        }
        Value::Array(values) => {
            out.push(b'[');
            for (i, v) in values.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write(items, v, true, out);
            }
            out.push(b']');
        }
        Value::Map(pairs) => {
            let keys = schema.and_then(|s| s.keys.as_deref());
            out.push(b'{');
            for (i, (k, v)) in pairs.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write(keys, k, true, out);
                out.push(b':');
                write(items, v, true, out);
            }
            out.push(b'}');
        }
        Value::Struct(values) => {
            let fields = schema.map_or(&[][..], |s| &s.fields[..]);
            out.push(b'{');
            for (i, (field, v)) in fields.iter().zip(values).enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write_quoted(&field.name, out);
                out.push(b':');
                // `Struct.get` answers the default of a field that is not set.
                let v = field.schema.default.as_ref().filter(|_| v.is_null()).unwrap_or(v);
                write(Some(&field.schema), v, true, out);
            }
            out.push(b'}');
        }
    }
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text.bytes() {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use walspring_record::Type;

    use super::*;
    use crate::java::logical;

    fn encoded(schema: Option<&Schema>, value: &Value) -> String {
        let bytes = SimpleHeaderConverter.encode_header("t", "h", schema, value).unwrap().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn headers_are_written_as_connect_writes_them() {
        let key = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32));
        assert_eq!(encoded(Some(&key), &Value::Struct(vec![Value::Int32(2)])), r#"{"id":2}"#);
        assert_eq!(encoded(None, &Value::string(r#"a"b\"#)), r#"a"b\"#);
        let list = Value::Array(vec![
            Value::string("a\"b\\c\né"),
            Value::Int32(1),
            Value::Float64(1.0),
            Value::Null,
            Value::Boolean(true),
            Value::bytes([1, 2]),
        ]);
        assert_eq!(encoded(None, &list), "[\"a\\\"b\\\\c\né\",1,1.0,null,true,\"AQI=\"]");
        let defaults = Schema::new(Type::Struct)
            .field("f", Schema::new(Type::Float32).with_default(Some(Value::Float32(1.5))))
            .field("b", Schema::new(Type::Bytes));
        assert_eq!(
            encoded(Some(&defaults), &Value::Struct(vec![Value::Null, Value::bytes([1, 2])])),
            r#"{"f":1.5,"b":"AQI="}"#
        );
        assert_eq!(SimpleHeaderConverter.encode_header("t", "h", None, &Value::Null).unwrap(), None);
    }

    #[test]
    fn headers_are_read_by_their_look() {
        let read = |text: &str| {
            let typed = SimpleHeaderConverter.decode_header("t", "h", Some(text.as_bytes())).unwrap();
            (typed.schema.map(|s| s.ty), typed.value)
        };
        for (text, value) in [
            ("null", Value::Null),
            ("true", Value::Boolean(true)),
            ("1", Value::Int8(1)),
            ("+1", Value::Int8(1)),
            (" 1 ", Value::Int8(1)),
            ("01", Value::Int8(1)),
            ("-0", Value::Int8(0)),
            ("1.0", Value::Int8(1)),
            ("300", Value::Int16(300)),
            ("1e3", Value::Int16(1000)),
            ("70000", Value::Int32(70000)),
            ("5000000000", Value::Int64(5_000_000_000)),
            ("1.5", Value::Float32(1.5)),
            ("3.4e38", Value::Float32(3.4e38)),
            ("1.23456789012345678", Value::Float32(1.234_567_9)),
            ("2024-01-01", Value::Int32(19723)),
            ("12:00:00.000Z", Value::Int32(43_200_000)),
            ("2024-01-01T00:00:00.000Z", Value::Int64(1_704_067_200_000)),
            ("[1,300]", Value::Array(vec![Value::Int16(1), Value::Int16(300)])),
            ("[1.5,2]", Value::Array(vec![Value::Float32(1.5), Value::Float32(2.0)])),
            ("[1,\"a\"]", Value::Array(vec![Value::Int8(1), Value::string("a")])),
            ("[\"a\", \"b\\\"\"]", Value::Array(vec![Value::string("a"), Value::string("b\"")])),
            ("{\"id\":2}", Value::Map(vec![(Value::string("id"), Value::Int8(2))])),
            ("{}", Value::Map(vec![])),
        ] {
            assert_eq!(read(text).1, value, "{text}");
        }
        let decimal = SimpleHeaderConverter.decode_header("t", "h", Some(b"99999999999999999999")).unwrap();
        assert_eq!(decimal.schema.unwrap().name.as_deref(), Some(logical::DECIMAL));
        for text in [
            "", " ", "TRUE", "NaN", "Infinity", "-inf", "0x1", "abc", "\"abc\"", "[1,2", "{a:1}", "a,b", "[a]", "a:b",
            "\\\"x",
        ] {
            assert_eq!(read(text), (Some(Type::String), Value::string(text)), "{text}");
        }
    }
}
