//! Values as Redis keeps them: texts and bytes as they are, everything else in its JSON form, decimals as numbers.

use walspring_connect::{ConvertError, Converter};
use walspring_converters::json::{JsonConverter, JsonOptions};
use walspring_record::{FieldRef, SchemaRef, Value};

/// Writes values as text and as JSON.
pub struct Texts {
    json: JsonConverter,
}

impl Texts {
    pub fn new() -> Texts {
        // Unlike Connect's default a decimal is a number: whoever reads the cache has no schema to make one of base64.
        let options = JsonOptions { schemas: false, numeric_decimals: true, ..JsonOptions::default() };
        Texts { json: JsonConverter::new(options) }
    }

    /// As a JSON value. A missing value is `null`.
    pub fn json(&self, schema: Option<&SchemaRef>, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if schema.is_none() && value.is_null() {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        self.json.encode("", schema, value, out).map(drop)
    }

    /// As the field of a hash, or as part of a key. Bytes of a column are base64, as in JSON.
    pub fn plain(&self, field: FieldRef<'_>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if let Value::String(text) = field.value {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let start = out.len();
        self.json(field.schema, field.value, out)?;
        // Bytes, and numbers that JSON does not have (NaN), are texts in JSON: without quotes here. Neither has escapes.
        if out.get(start) == Some(&b'"') && out.len() > start + 1 {
            out.pop();
            out.remove(start);
        }
        Ok(())
    }
}
