//! `org.apache.kafka.connect.transforms.Cast`: fields, or the whole key or value, as another type, as Java converts.

use walspring_config::tables::transforms::{CAST, CastSpec, cast_specs};
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, Record, Schema, SchemaRef, Type, Value, java};

use crate::error::{config, no_struct};
use crate::row::{Defaults, Side, defaults, entry, fill, put};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct Cast {
    side: Side,
    spec: Spec,
    replace_nulls: bool,
    plans: SchemaCache<Plan>,
}

enum Spec {
    Whole(Type),
    Fields(Vec<(String, Type)>),
}

struct Plan {
    schema: SchemaRef,
    casts: Vec<(usize, Type)>,
    defaults: Defaults,
}

impl Cast {
    pub fn new(given: &[(String, String)], side: Side) -> Result<Cast, ConvertError> {
        let settings = Settings::new(CAST, given);
        let specs = cast_specs(&settings.list("spec")).map_err(config)?;
        let spec = match &specs[..] {
            [CastSpec { field: None, ty }] => Spec::Whole(type_of(ty)),
            specs => {
                Spec::Fields(specs.iter().filter_map(|spec| Some((spec.field.clone()?, type_of(&spec.ty)))).collect())
            }
        };
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        Ok(Cast { side, spec, replace_nulls, plans: SchemaCache::new() })
    }
}

fn type_of(name: &str) -> Type {
    match name {
        "INT8" => Type::Int8,
        "INT16" => Type::Int16,
        "INT32" => Type::Int32,
        "INT64" => Type::Int64,
        "FLOAT32" => Type::Float32,
        "FLOAT64" => Type::Float64,
        "BOOLEAN" => Type::Boolean,
        _ => Type::String,
    }
}

impl Transform for Cast {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (spec, replace_nulls) = (&self.spec, self.replace_nulls);
        let typed = self.side.of(&mut record);
        if typed.value.is_null() {
            return Ok(Some(record));
        }
        match (spec, &typed.schema, &mut typed.value) {
            (Spec::Whole(ty), None, value) => *value = cast(None, value, *ty)?,
            (Spec::Whole(ty), Some(schema), value) => {
                let plan = self.plans.get(schema, |schema| Plan::whole(schema, *ty))?;
                *value = cast(Some(schema), value, *ty)?;
                typed.schema = Some(plan.schema.clone());
            }
            (Spec::Fields(casts), None, Value::Map(pairs)) => {
                for (name, ty) in casts {
                    let value = entry(pairs, name).map_or(Ok(Value::Null), |value| cast(None, value, *ty))?;
                    put(pairs, name, value);
                }
            }
            (Spec::Fields(casts), Some(schema), Value::Struct(values)) => {
                let plan = self.plans.get(schema, |schema| Plan::of(schema, casts, replace_nulls))?;
                fill(values, &plan.defaults);
                for (at, ty) in &plan.casts {
                    values[*at] = cast(Some(&schema.fields[*at].schema), &values[*at], *ty)?;
                }
                typed.schema = Some(plan.schema.clone());
            }
            (_, schema, value) => return Err(no_struct(schema.as_deref(), value, "type casting")),
        }
        Ok(Some(record))
    }
}

impl Plan {
    /// The schema keeps its name and version.
    fn whole(schema: &Schema, ty: Type) -> Result<Plan, ConvertError> {
        let default = schema.default.as_ref().map(|value| cast(Some(schema), value, ty)).transpose()?;
        let schema = Schema { ty, default, fields: Vec::new(), items: None, keys: None, ..schema.clone() };
        Ok(Plan { schema: schema.into(), casts: Vec::new(), defaults: Vec::new() })
    }

    /// A field keeps nothing but whether it is optional, and its default.
    fn of(schema: &Schema, wanted: &[(String, Type)], replace_nulls: bool) -> Result<Plan, ConvertError> {
        let mut casts = Vec::new();
        let mut fields: Vec<Field> = Vec::with_capacity(schema.fields.len());
        for (at, field) in schema.fields.iter().enumerate() {
            let mut new = field.clone();
            // The last of several for one field counts.
            if let Some((_, ty)) = wanted.iter().rev().find(|(name, _)| **name == *field.name) {
                let old = &field.schema;
                let default = old.default.as_ref().map(|value| cast(Some(old), value, *ty)).transpose()?;
                new.schema = Schema::new(*ty).with_optional(old.optional).with_default(default).into();
                casts.push((at, *ty));
            }
            fields.push(new);
        }
        let defaults = defaults(&schema.fields, replace_nulls);
        // Unlike its fields, the struct stays optional.
        let schema = Schema { fields, default: None, ..schema.clone() };
        Ok(Plan { schema: schema.into(), casts, defaults })
    }
}

/// A number on its way to another type.
enum Number {
    Integer(i64),
    Float(f64),
}

fn cast(schema: Option<&Schema>, value: &Value, ty: Type) -> Result<Value, ConvertError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if matches!(value, Value::Array(_) | Value::Map(_) | Value::Struct(_)) {
        let from = match value {
            Value::Array(_) => "ARRAY",
            Value::Map(_) => "MAP",
            _ => "STRUCT",
        };
        return Err(ConvertError::data(format!(
            "Cast transformation does not support casting from {from}; supported types are [INT8, INT16, INT32, INT64, \
             FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"
        )));
    }
    if ty == Type::String {
        return Ok(Value::string(text(schema, value)));
    }
    if let Value::String(text) = value {
        let message = || format!("Value ({text}) was out of range for requested data type");
        return parsed(text, ty).ok_or_else(|| ConvertError::data(message()));
    }
    let number = match value {
        Value::Boolean(b) => Number::Integer(i64::from(*b)),
        Value::Int8(v) => Number::Integer(i64::from(*v)),
        Value::Int16(v) => Number::Integer(i64::from(*v)),
        Value::Int32(v) => Number::Integer(i64::from(*v)),
        Value::Int64(v) => Number::Integer(*v),
        Value::Float32(v) => Number::Float(f64::from(*v)),
        Value::Float64(v) => Number::Float(*v),
        Value::Bytes(bytes) if schema.and_then(java::Logical::of) == Some(java::Logical::Decimal) => {
            decimal(bytes, schema.and_then(java::scale).unwrap_or(0), ty)
        }
        _ => {
            let class = java::class_name(schema, value);
            return Err(ConvertError::data(format!("Unexpected type in Cast transformation: class {class}")));
        }
    };
    // Integers wrap; floats lose their fraction and stop at the ends of int or long, then wrap.
    Ok(match (ty, number) {
        (Type::Int8, Number::Integer(v)) => Value::Int8(v as i8),
        (Type::Int8, Number::Float(v)) => Value::Int8(v as i32 as i8),
        (Type::Int16, Number::Integer(v)) => Value::Int16(v as i16),
        (Type::Int16, Number::Float(v)) => Value::Int16(v as i32 as i16),
        (Type::Int32, Number::Integer(v)) => Value::Int32(v as i32),
        (Type::Int32, Number::Float(v)) => Value::Int32(v as i32),
        (Type::Int64, Number::Integer(v)) => Value::Int64(v),
        (Type::Int64, Number::Float(v)) => Value::Int64(v as i64),
        (Type::Float32, Number::Integer(v)) => Value::Float32(v as f32),
        (Type::Float32, Number::Float(v)) => Value::Float32(v as f32),
        (Type::Float64, Number::Integer(v)) => Value::Float64(v as f64),
        (Type::Float64, Number::Float(v)) => Value::Float64(v),
        (_, Number::Integer(v)) => Value::Boolean(v != 0),
        (_, Number::Float(v)) => Value::Boolean(v as i64 != 0),
    })
}

/// `BigDecimal`: to an integer the lowest 64 bits of what is before the point.
fn decimal(unscaled: &[u8], scale: i32, ty: Type) -> Number {
    let text = java::decimal_text(unscaled, scale);
    if matches!(ty, Type::Float32 | Type::Float64) {
        return Number::Float(text.parse().unwrap_or(f64::NAN));
    }
    let whole = text.split('.').next().unwrap_or(&text);
    match whole.parse::<i128>() {
        Ok(whole) => Number::Integer(whole as i64),
        Err(_) => Number::Float(text.parse().unwrap_or(0.0)),
    }
}

fn parsed(text: &str, ty: Type) -> Option<Value> {
    Some(match ty {
        Type::Int8 => Value::Int8(text.parse().ok()?),
        Type::Int16 => Value::Int16(text.parse().ok()?),
        Type::Int32 => Value::Int32(text.parse().ok()?),
        Type::Int64 => Value::Int64(text.parse().ok()?),
        Type::Float32 => Value::Float32(float_text(text)?.parse().ok()?),
        Type::Float64 => Value::Float64(float_text(text)?.parse().ok()?),
        _ => Value::Boolean(text.eq_ignore_ascii_case("true")),
    })
}

/// As Java's `parseDouble` takes it: with space around and a letter for the type behind; of words only two.
fn float_text(text: &str) -> Option<&str> {
    let text = text.trim();
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => Some(text),
        unsigned => unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.').then_some(number),
    }
}

fn text(schema: Option<&Schema>, value: &Value) -> String {
    let mut out = Vec::new();
    match (schema.and_then(java::Logical::of), value) {
        (Some(logical), value) if logical.millis(value).is_some() => {
            java::write_iso_date(logical.millis(value).unwrap_or_default(), &mut out);
        }
        (None, Value::Bytes(bytes)) => return base64(bytes),
        _ => java::write_to_string(schema, value, &mut out),
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use walspring_record::Typed;

    use super::*;
    use crate::testing::{config, envelope, event, map, record, row};

    #[test]
    fn values_are_cast_as_java_casts_them() {
        for (value, ty, expected) in [
            (Value::Int32(300), Type::Int8, Value::Int8(44)),
            (Value::Float64(70000.9), Type::Int16, Value::Int16(4464)),
            (Value::Float64(1e30), Type::Int32, Value::Int32(i32::MAX)),
            (Value::Float64(f64::NAN), Type::Int64, Value::Int64(0)),
            (Value::Float64(0.5), Type::Boolean, Value::Boolean(false)),
            (Value::Int64(2), Type::Boolean, Value::Boolean(true)),
            (Value::string("tRue"), Type::Boolean, Value::Boolean(true)),
            (Value::string(" 1.5f "), Type::Float32, Value::Float32(1.5)),
            (Value::string("-Infinity"), Type::Float64, Value::Float64(f64::NEG_INFINITY)),
            (Value::Boolean(true), Type::Int32, Value::Int32(1)),
            (Value::Float64(1.5e10), Type::String, Value::string("1.5E10")),
            (Value::bytes(*b"ab"), Type::String, Value::string("YWI=")),
            (Value::Null, Type::Int8, Value::Null),
        ] {
            assert_eq!(cast(None, &value, ty).unwrap(), expected, "{value:?}");
        }
        let decimal = Schema::new(Type::Bytes).named(java::logical::DECIMAL).parameter("scale", "2");
        let value = Value::bytes(java::decimal_bytes("-12.99", 2).unwrap());
        assert_eq!(cast(Some(&decimal), &value, Type::Int64).unwrap(), Value::Int64(-12));
        assert_eq!(cast(Some(&decimal), &value, Type::Float64).unwrap(), Value::Float64(-12.99));
        assert_eq!(cast(Some(&decimal), &value, Type::String).unwrap(), Value::string("-12.99"));
        let error = cast(None, &Value::string("no"), Type::Int32).unwrap_err();
        assert_eq!(error.message, "Value (no) was out of range for requested data type");
        assert!(cast(None, &Value::string("inf"), Type::Float64).is_err());
        assert!(cast(None, &Value::Array(vec![]), Type::String).is_err());
    }

    #[test]
    fn fields_and_wholes() {
        let mut fields = Cast::new(&config(&[("spec", "op:string,ts_ms:int32")]), Side::Value).unwrap();
        let record_cast = fields.apply(event(&envelope(), "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        assert_eq!(record_cast.value.schema.unwrap().fields[5].schema.ty, Type::Int32);
        let mut whole = Cast::new(&config(&[("spec", "string")]), Side::Value).unwrap();
        let number = Record { value: Typed { schema: None, value: Value::Int64(5) }, ..record("t") };
        assert_eq!(whole.apply(number).unwrap().unwrap().value.value, Value::string("5"));
        let maps = Record { value: Typed { schema: None, value: map(&[("op", Value::Int64(1))]) }, ..record("t") };
        let cast = fields.apply(maps).unwrap().unwrap().value.value;
        assert_eq!(cast, map(&[("op", Value::string("1")), ("ts_ms", Value::Null)]));
        assert!(Cast::new(&config(&[("spec", "a:struct")]), Side::Value).is_err());
    }
}
