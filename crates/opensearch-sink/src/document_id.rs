//! A document's id: the record's key as text, or where the record was read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use walspring_connect::Origin;
use walspring_converters::java::{self, Logical};
use walspring_record::{Fields, Schema, Typed, Value};

/// The cluster's limit.
const BYTES_MAX: usize = 512;
/// Between the parts of a key of several columns. Where a part has it itself, a backslash stands before it, so that
/// ("a", "b:c") and ("a:b", "c") stay two documents.
const SEPARATOR: char = ':';

/// `TOPIC+PARTITION+OFFSET`, as the originals make it.
pub fn of_position(origin: &Origin) -> String {
    format!("{}+{}+{}", origin.topic, origin.partition, origin.kafka_offset)
}

/// The one field of a struct or schemaless object, the fields of several with colons between, or the key itself.
/// The error is about the kind of key only: a key is a row's value.
pub fn of_key(key: &Typed) -> Result<String, String> {
    let id = match Fields::of_typed(key) {
        None => scalar(key.schema.as_deref(), &key.value)?.ok_or("the record has no key")?,
        Some(fields) => {
            let mut parts = Vec::with_capacity(fields.len());
            for field in fields.iter() {
                let part = scalar(field.schema.map(|s| &**s), field.value)
                    .map_err(|why| format!("{why} (field {} of the key)", field.name))?;
                parts.push(part);
            }
            composite(parts)?
        }
    };
    if id.is_empty() {
        return Err("the record's key is empty".to_owned());
    }
    if id.len() > BYTES_MAX {
        return Err(format!(
            "the record's key makes an id of {} bytes, and a cluster takes {BYTES_MAX} at most",
            id.len()
        ));
    }
    Ok(id)
}

fn composite(mut parts: Vec<Option<String>>) -> Result<String, String> {
    match parts.len() {
        0 => Err("the record's key has no fields".to_owned()),
        1 => parts.remove(0).ok_or_else(|| "the record's key is null".to_owned()),
        _ => {
            let mut id = String::new();
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    id.push(SEPARATOR);
                }
                match part {
                    None => id.push_str("\\N"),
                    Some(part) => {
                        for c in part.chars() {
                            if c == SEPARATOR || c == '\\' {
                                id.push('\\');
                            }
                            id.push(c);
                        }
                    }
                }
            }
            Ok(id)
        }
    }
}

/// `None`: null.
fn scalar(schema: Option<&Schema>, value: &Value) -> Result<Option<String>, String> {
    if let (Some(Logical::Decimal), Value::Bytes(unscaled)) = (schema.and_then(Logical::of), value) {
        let scale = schema.and_then(java::scale).unwrap_or(0);
        return Ok(Some(java::decimal_text(unscaled, scale)));
    }
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Boolean(v) => v.to_string(),
        Value::Int8(v) => v.to_string(),
        Value::Int16(v) => v.to_string(),
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float32(v) => float(|out| java::write_f32(out, *v)),
        Value::Float64(v) => float(|out| java::write_f64(out, *v)),
        Value::String(v) => v.to_string(),
        Value::Bytes(v) => STANDARD.encode(v),
        Value::Struct(values) if schema.is_some_and(is_variable_scale) => {
            let (Some(Value::Int32(scale)), Some(Value::Bytes(unscaled))) = (values.first(), values.get(1)) else {
                return Err("the record's key is not of its schema".to_owned());
            };
            java::decimal_text(unscaled, *scale)
        }
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            return Err("the record's key is a list or a structure, which is no document id".to_owned());
        }
    }))
}

fn is_variable_scale(schema: &Schema) -> bool {
    schema.name.as_deref() == Some("io.debezium.data.VariableScaleDecimal")
}

fn float(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use walspring_record::Type;

    fn schemaless(value: Value) -> Typed {
        Typed { schema: None, value }
    }

    fn map(pairs: &[(&str, Value)]) -> Typed {
        schemaless(Value::Map(pairs.iter().map(|(name, value)| (Value::string(*name), value.clone())).collect()))
    }

    #[test]
    fn keys_become_ids() {
        let id = |key: &Typed| of_key(key).unwrap();
        assert_eq!(id(&schemaless(Value::Int64(7))), "7");
        assert_eq!(id(&schemaless(Value::string("a:b"))), "a:b");
        assert_eq!(id(&map(&[("id", Value::string("a:b"))])), "a:b");
        assert_eq!(id(&map(&[("a", Value::Int64(1)), ("b", Value::string("x"))])), "1:x");
        assert_eq!(id(&map(&[("a", Value::string("a")), ("b", Value::string("b:c"))])), "a:b\\:c");
        assert_eq!(id(&map(&[("a", Value::string("a:b")), ("b", Value::string("c"))])), "a\\:b:c");
        assert_eq!(id(&map(&[("a", Value::Null), ("b", Value::string("\\N"))])), "\\N:\\\\N");
        let decimal = Schema::new(Type::Bytes).named(java::logical::DECIMAL).parameter("scale", "2");
        let key = Schema::new(Type::Struct).field("n", decimal);
        assert_eq!(id(&Typed::new(key.into(), Value::Struct(vec![Value::bytes([0x80])]))), "-1.28");
        assert_eq!(of_position(&Origin { topic: "t".into(), partition: 1, kafka_offset: 9 }), "t+1+9");
    }

    #[test]
    fn keys_that_are_no_ids_are_refused_without_their_value() {
        for key in [
            Typed::NULL,
            schemaless(Value::string("")),
            schemaless(Value::Map(Vec::new())),
            map(&[("id", Value::Null)]),
            map(&[("id", Value::Array(vec![Value::string("secret")]))]),
            schemaless(Value::string("secret".repeat(100))),
        ] {
            let error = of_key(&key).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
