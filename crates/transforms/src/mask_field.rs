//! `org.apache.kafka.connect.transforms.MaskField`: a value that says nothing in place of a field's own, or one that is given.

use walspring_config::tables::transforms::MASK_FIELD;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Record, Schema, Typed, Value, java};

use crate::error::no_struct;
use crate::row::{Defaults, Side, defaults, entry, fill};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct MaskField {
    side: Side,
    fields: Vec<String>,
    replacement: Option<String>,
    replace_nulls: bool,
    plans: SchemaCache<(Vec<usize>, Defaults)>,
}

impl MaskField {
    pub fn new(given: &[(String, String)], side: Side) -> Result<MaskField, ConvertError> {
        let settings = Settings::new(MASK_FIELD, given);
        let replacement = settings.text("replacement").filter(|text| !text.is_empty()).map(str::to_owned);
        let (fields, replace_nulls) = (settings.names("fields")?, settings.boolean("replace.null.with.default")?);
        Ok(MaskField { side, fields, replacement, replace_nulls, plans: SchemaCache::new() })
    }
}

impl Transform for MaskField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (fields, replace_nulls) = (&self.fields, self.replace_nulls);
        let mask = |schema: Option<&Schema>, value: &mut Value| -> Result<(), ConvertError> {
            if !value.is_null() {
                *value = match &self.replacement {
                    None => masked(schema, value)?,
                    Some(replacement) => replaced(schema, value, replacement)?,
                };
            }
            Ok(())
        };
        match self.side.of(&mut record) {
            Typed { schema: Some(schema), value: Value::Struct(values) } => {
                let make = |schema: &Schema| {
                    let listed = |at: &usize| fields.iter().any(|name| **name == *schema.fields[*at].name);
                    let places = (0..schema.fields.len()).filter(listed).collect();
                    Ok::<_, ConvertError>((places, defaults(&schema.fields, replace_nulls)))
                };
                let (places, defaults) = &*self.plans.get(schema, make)?;
                fill(values, defaults);
                for at in places {
                    mask(Some(&schema.fields[*at].schema), &mut values[*at])?;
                }
            }
            Typed { schema: None, value: Value::Map(pairs) } => {
                for field in fields {
                    if let Some(value) = entry(pairs, field) {
                        mask(None, value)?;
                    }
                }
            }
            // As the original, also for the null that a delete becomes.
            Typed { schema, value: Value::Null } => {
                let mut error = no_struct(schema.as_deref(), &Value::Null, "mask fields");
                error.message.push_str(
                    ". MaskField cannot take a record without a value: give it a predicate of the class \
                     org.apache.kafka.connect.transforms.predicates.RecordIsTombstone, and negate=true",
                );
                return Err(error);
            }
            Typed { schema, value } => return Err(no_struct(schema.as_deref(), value, "mask fields")),
        }
        Ok(Some(record))
    }
}

fn masked(schema: Option<&Schema>, value: &Value) -> Result<Value, ConvertError> {
    let logical = schema.and_then(java::Logical::of);
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::string(""),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        // The original's zero has no digits after the point, which its converters then refuse.
        Value::Bytes(_) if logical == Some(java::Logical::Decimal) => match schema.and_then(java::scale).unwrap_or(0) {
            0 => Value::bytes([0]),
            scale => {
                return Err(ConvertError::data(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, value \
                         has scale 0. MaskField cannot mask this field: leave it out with ReplaceField, or mask it in \
                         the source with column.mask.with.length.chars"
                )));
            }
        },
        _ => {
            let class = java::class_name(schema, value);
            return Err(ConvertError::data(format!("Cannot mask value of type: class {class}")));
        }
    })
}

fn replaced(schema: Option<&Schema>, value: &Value, replacement: &str) -> Result<Value, ConvertError> {
    let number = |parsed: Option<Value>| {
        let message = || format!("Unable to convert {replacement} (class java.lang.String) to number");
        parsed.ok_or_else(|| ConvertError::data(message()))
    };
    let logical = schema.and_then(java::Logical::of);
    match (logical, value) {
        (None, Value::String(_)) => Ok(Value::string(replacement)),
        (None, Value::Int8(_)) => number(replacement.parse().ok().map(Value::Int8)),
        (None, Value::Int16(_)) => number(replacement.parse().ok().map(Value::Int16)),
        (None, Value::Int32(_)) => number(replacement.parse().ok().map(Value::Int32)),
        (None, Value::Int64(_)) => number(replacement.parse().ok().map(Value::Int64)),
        (None, Value::Float32(_)) => number(replacement.parse().ok().map(Value::Float32)),
        (None, Value::Float64(_)) => number(replacement.parse().ok().map(Value::Float64)),
        (Some(java::Logical::Decimal), Value::Bytes(_)) => {
            let scale = schema.and_then(java::scale).unwrap_or(0);
            number(java::decimal_bytes(replacement, scale).map(Value::bytes))
        }
        _ => {
            let class = java::class_name(schema, value);
            let message = format!("Cannot mask value of type class {class} with custom replacement.");
            Err(ConvertError::data(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::Type;

    use super::*;
    use crate::testing::{config, envelope, event, map, record, row, shown};

    #[test]
    fn values_are_masked_by_their_type() {
        let mut mask = MaskField::new(&config(&[("fields", "a,b,nothing")]), Side::Value).unwrap();
        let value = map(&[("a", Value::Int64(4)), ("b", Value::string("x")), ("c", Value::Int64(1))]);
        let masked = mask.apply(Record { value: Typed { schema: None, value }, ..record("t") }).unwrap().unwrap();
        let values: Vec<Value> = shown(&masked.value).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [Value::Int64(0), Value::string(""), Value::Int64(1)]);
        let error = mask.apply(record("t")).unwrap_err();
        assert!(error.message.contains("[mask fields], found: null"), "{error}");
    }

    #[test]
    fn a_replacement_has_to_fit() {
        let options = config(&[("fields", "op,ts_ms"), ("replacement", "42")]);
        let mut mask = MaskField::new(&options, Side::Value).unwrap();
        let masked = mask.apply(event(&envelope(), "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        assert_eq!(
            shown(&masked.value)[4..].iter().map(|f| f.1.clone()).collect::<Vec<_>>(),
            [Value::string("42"), Value::Int64(42)]
        );
        let mut mask = MaskField::new(&config(&[("fields", "ts_ms"), ("replacement", "x")]), Side::Value).unwrap();
        let error = mask.apply(event(&envelope(), "c", Value::Null, row(1, None, "x"))).unwrap_err();
        assert_eq!(error.message, "Unable to convert x (class java.lang.String) to number");
    }

    #[test]
    fn a_type_tells_what_it_is() {
        assert_eq!(masked(Some(&Schema::new(Type::Int32)), &Value::Int32(1)).unwrap(), Value::Int32(0));
        assert!(masked(None, &Value::bytes([1])).is_err());
    }
}
