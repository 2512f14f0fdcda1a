//! Tells the placeholder of an unchanged TOASTed value from a value, in each form that the source gives it.
//!
//! Where the original has no placeholder for a type (arrays of most types) its events say null, and nothing can be told.

use walspring_record::Value;

use crate::config::Unavailable;
use crate::types::name_based_uuid;

/// What stands for values that a change did not touch. Cheap to ask: most values fail at their first byte or length.
#[derive(Debug, Clone)]
pub struct UnavailableValues {
    bytes: Vec<u8>,
    text: String,
    /// The forms that bytes take as text: `binary.handling.mode`, and JSON without schemas.
    encoded: Vec<String>,
    /// Of `_uuid`.
    uuid: String,
    /// `hstore.handling.mode=json`
    json: String,
}

impl UnavailableValues {
    pub fn new(placeholder: &Unavailable) -> UnavailableValues {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let bytes = placeholder.0.clone();
        let hex = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let text = placeholder.text();
        let mut json = Vec::new();
        walspring_record::leaf::write_hstore_json(std::iter::once((text.as_str(), Some(text.as_str()))), &mut json);
        UnavailableValues {
            encoded: vec![STANDARD.encode(&bytes), URL_SAFE.encode(&bytes), hex],
            uuid: name_based_uuid(&bytes),
            json: String::from_utf8_lossy(&json).into_owned(),
            text,
            bytes,
        }
    }

    /// Whether the value of a column is no value, but says that the column did not change.
    pub fn has(&self, value: &Value) -> bool {
        // An empty placeholder cannot be told from an empty value.
        if self.bytes.is_empty() {
            return false;
        }
        match value {
            Value::String(text) => self.is_text(text) || **text == *self.json,
            Value::Bytes(bytes) => **bytes == *self.bytes,
            Value::Array(items) => match &items[..] {
                [Value::String(text)] => self.is_text(text) || **text == *self.uuid,
                [Value::Bytes(bytes)] => **bytes == *self.bytes,
                // Of numbers: one for each byte, with Java's sign.
                _ => {
                    items.len() == self.bytes.len()
                        && items
                            .iter()
                            .zip(&self.bytes)
                            .all(|(item, byte)| number(item) == Some(i64::from(*byte as i8)))
                }
            },
            Value::Map(pairs) => {
                matches!(&pairs[..], [(Value::String(k), Value::String(v))] if **k == *self.text && **v == *self.text)
            }
            _ => false,
        }
    }

    fn is_text(&self, text: &str) -> bool {
        text == self.text || self.encoded.iter().any(|encoded| encoded == text)
    }
}

impl Default for UnavailableValues {
    fn default() -> UnavailableValues {
        UnavailableValues::new(&Unavailable::default())
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int32(v) => Some((*v).into()),
        Value::Int64(v) => Some(*v),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_placeholder_is_known() {
        let unavailable = UnavailableValues::default();
        let text = "__debezium_unavailable_value";
        let numbers = |of: fn(i8) -> Value| Value::Array(text.bytes().map(|b| of(b as i8)).collect());
        for value in [
            Value::string(text),
            Value::bytes(text.as_bytes()),
            Value::string("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
            Value::Array(vec![Value::string(text)]),
            Value::Array(vec![Value::bytes(text.as_bytes())]),
            Value::Array(vec![Value::string("b68a35a7-17ad-35b3-af2a-ae46edb4545a")]),
            numbers(|b| Value::Int32(b.into())),
            numbers(|b| Value::Int64(b.into())),
            Value::Map(vec![(Value::string(text), Value::string(text))]),
            Value::string(format!("{{\"{text}\":\"{text}\"}}")),
        ] {
            assert!(unavailable.has(&value), "{value:?}");
        }
        for value in [Value::Null, Value::string(""), Value::Array(Vec::new()), Value::Int64(1), Value::Map(Vec::new())]
        {
            assert!(!unavailable.has(&value), "{value:?}");
        }
        let own = UnavailableValues::new(&Unavailable::parse("hex:00ff").unwrap());
        assert!(own.has(&Value::bytes([0, 255])) && own.has(&Value::string("00ff")) && !own.has(&Value::string(text)));
    }
}
