//! JSON to schemas and values: `JsonConverter.asConnectSchema` and `convertToConnect`, with their leniency.

use std::sync::Arc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use walspring_connect::ConvertError;
use walspring_record::{Schema, SchemaRef, Type, Value};

use super::JsonOptions;
use super::names;
use super::parse::Json;
use super::schema::TYPES;
use crate::java::{self, Logical, type_name};

pub(super) fn schema(json: &Json<'_>, options: &JsonOptions) -> Result<Option<SchemaRef>, ConvertError> {
    if matches!(json, Json::Null | Json::Missing) {
        return Ok(None);
    }
    let Some(name) = json.get("type").and_then(Json::as_str) else {
        return Err(ConvertError::data("Schema must contain 'type' field"));
    };
    let Some((_, ty)) = TYPES.iter().find(|(n, _)| *n == name) else {
        return Err(ConvertError::data(format!("Unknown schema type: {name}")));
    };
    let part = |name: &str, missing: &str| match json.get(name).map_or(Ok(None), |j| schema(j, options))? {
        Some(part) => Ok(Some(part)),
        None => Err(ConvertError::data(missing)),
    };
    let mut made = Schema::new(*ty);
    match ty {
        Type::Array => made.items = part("items", "Array schema did not specify the element type")?,
        Type::Map => {
            made.keys = part("keys", "Map schema did not specify the key type")?;
            made.items = part("values", "Map schema did not specify the value type")?;
        }
        Type::Struct => {
            let Some(Json::Array(fields)) = json.get("fields") else {
                return Err(ConvertError::data("Struct schema's \"fields\" argument is not an array."));
            };
            for field in fields {
                let Some(name) = field.get("field").and_then(Json::as_str) else {
                    return Err(ConvertError::data("Struct schema's field name not specified properly"));
                };
                if made.index_of(name).is_some() {
                    let message = format!("Cannot create field because of field name duplication {name}");
                    return Err(ConvertError {
                        class: "org.apache.kafka.connect.errors.SchemaBuilderException",
                        message,
                    });
                }
                if let Some(schema) = schema(field, options)? {
                    made = made.field(name, schema);
                }
            }
        }
        _ => {}
    }
    made.optional = json.get("optional") == Some(&Json::Boolean(true));
    made.name = json.get("name").and_then(Json::as_str).map(Arc::from);
    if let Some(Json::Number(n)) = json.get("version") {
        made.version = integral(n).then(|| integer(n) as i32);
    }
    made.doc = json.get("doc").and_then(Json::as_str).map(Arc::from);
    if let Some(Json::Object(parameters)) = json.get("parameters") {
        for (name, value) in parameters {
            let Some(value) = value.as_str() else {
                return Err(ConvertError::data("Schema parameters must have string values."));
            };
            made = made.parameter(&**name, value);
        }
    }
    if let Some(default) = json.get("default").filter(|d| **d != Json::Null) {
        made.default = Some(value(Some(&made), Some(default), options)?).filter(|d| !d.is_null());
    }
    Ok(Some(Arc::new(made)))
}

pub(super) fn value(
    schema: Option<&Schema>,
    json: Option<&Json<'_>>,
    options: &JsonOptions,
) -> Result<Value, ConvertError> {
    let json = json.unwrap_or(&Json::Missing);
    let Some(schema) = schema else { return without_schema(json) };
    if matches!(json, Json::Null | Json::Missing) {
        return match &schema.default {
            Some(default) if options.replace_null => Ok(default.clone()),
            _ if schema.optional => Ok(Value::Null),
            _ => {
                let ty = type_name(schema.ty);
                Err(ConvertError::data(format!("Invalid null value for required {ty} field")))
            }
        };
    }
    if let Some(logical) = Logical::of(schema) {
        return logical_value(logical, schema, json);
    }
    let number = match json {
        Json::Number(n) => Some(*n),
        _ => None,
    };
    // What is no number reads as zero, and what is too large wraps: `JsonNode.intValue()`.
    let integer = number.map_or(0, integer);
    Ok(match schema.ty {
        Type::Boolean => Value::Boolean(*json == Json::Boolean(true)),
        Type::Int8 => Value::Int8(integer as i8),
        Type::Int16 => Value::Int16(integer as i16),
        Type::Int32 => Value::Int32(integer as i32),
        Type::Int64 => Value::Int64(integer),
        Type::Float32 => Value::Float32(float(json)),
        Type::Float64 => Value::Float64(float(json)),
        Type::String => json.as_str().map(Value::string).into(),
        Type::Bytes => match json {
            Json::String(text) => Value::bytes(bytes(text).ok_or_else(|| ConvertError::data("Invalid bytes field"))?),
            _ => Value::Null,
        },
        Type::Array => {
            let values: &[Json<'_>] = if let Json::Array(values) = json { values } else { &[] };
            let items = schema.items.as_deref();
            Value::Array(values.iter().map(|v| value(items, Some(v), options)).collect::<Result<_, _>>()?)
        }
        Type::Map => map(schema, json, options)?,
        Type::Struct => {
            if !matches!(json, Json::Object(_)) {
                let kind = json.kind();
                return Err(ConvertError::data(format!("Structs should be encoded as JSON objects, but found {kind}")));
            }
            let field = |f: &walspring_record::Field| {
                let value = value(Some(&f.schema), json.get(&f.name), options)?;
                if value.is_null() && !f.schema.optional {
                    let ty = type_name(f.schema.ty);
                    let message =
                        format!("Invalid value: null used for required field: \"{}\", schema type: {ty}", f.name);
                    return Err(ConvertError::data(message));
                }
                Ok(value)
            };
            Value::Struct(schema.fields.iter().map(field).collect::<Result<_, _>>()?)
        }
    })
}

fn without_schema(json: &Json<'_>) -> Result<Value, ConvertError> {
    Ok(match json {
        Json::Missing | Json::Null => Value::Null,
        Json::Boolean(b) => Value::Boolean(*b),
        Json::Number(n) if integral(n) => Value::Int64(integer(n)),
        Json::Number(_) => Value::Float64(float(json)),
        Json::String(s) => Value::string(&**s),
        // Sized beforehand: a batch holds thousands of these, and what grows is up to twice as large as what is in it.
        Json::Array(values) => {
            let mut out = Vec::with_capacity(values.len());
            for value in values {
                out.push(without_schema(value)?);
            }
            Value::Array(out)
        }
        Json::Object(members) => {
            let mut pairs = Vec::with_capacity(members.len());
            for (name, value) in members {
                pairs.push((Value::String(names::shared(name)), without_schema(value)?));
            }
            Value::Map(pairs)
        }
    })
}

fn map(schema: &Schema, json: &Json<'_>, options: &JsonOptions) -> Result<Value, ConvertError> {
    let (keys, values) = (schema.keys.as_deref(), schema.items.as_deref());
    let error = |message: String| Err(ConvertError::data(message));
    let mut pairs = Vec::new();
    if keys.is_some_and(|k| k.ty == Type::String) {
        let Json::Object(members) = json else {
            let kind = json.kind();
            return error(format!("Maps with string fields should be encoded as JSON objects, but found {kind}"));
        };
        for (name, member) in members {
            pairs.push((Value::string(&**name), value(values, Some(member), options)?));
        }
    } else {
        let Json::Array(entries) = json else {
            let kind = json.kind();
            return error(format!(
                "Maps with non-string fields should be encoded as JSON array of tuples, but found {kind}"
            ));
        };
        for entry in entries {
            match entry {
                Json::Array(pair) if pair.len() == 2 => {
                    pairs.push((value(keys, pair.first(), options)?, value(values, pair.get(1), options)?));
                }
                Json::Array(pair) => {
                    return error(format!("Found invalid map entry, expected length 2 but found :{}", pair.len()));
                }
                _ => return error(format!("Found invalid map entry instead of array tuple: {}", entry.kind())),
            }
        }
    }
    Ok(Value::Map(pairs))
}

fn logical_value(logical: Logical, schema: &Schema, json: &Json<'_>) -> Result<Value, ConvertError> {
    let kind = json.kind();
    let error = |message: String| Err(ConvertError::data(message));
    match (logical, json) {
        (Logical::Decimal, Json::Number(n)) => match java::scale(schema) {
            Some(scale) => match java::decimal_bytes(n, scale) {
                Some(bytes) => Ok(Value::bytes(bytes)),
                None => error(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}."
                )),
            },
            None => error("Invalid Decimal schema: scale parameter not found.".to_owned()),
        },
        (Logical::Decimal, Json::String(text)) => match bytes(text) {
            Some(bytes) => Ok(Value::bytes(bytes)),
            None => error("Invalid bytes for Decimal field".to_owned()),
        },
        (Logical::Decimal, _) => error(format!(
            "Invalid type for Decimal, underlying representation should be numeric or bytes but was {kind}"
        )),
        (Logical::Timestamp, Json::Number(n)) if integral(n) => Ok(Value::Int64(integer(n))),
        (Logical::Timestamp, _) => {
            error(format!("Invalid type for Timestamp, underlying representation should be integral but was {kind}"))
        }
        (_, Json::Number(n)) if integral(n) && n.parse::<i32>().is_ok() => Ok(Value::Int32(integer(n) as i32)),
        _ => error(format!("Invalid type for {logical:?}, underlying representation should be integer but was {kind}")),
    }
}

fn integral(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Without its fraction, and of too large a number the low 64 bits.
fn integer(number: &str) -> i64 {
    if !integral(number) {
        return number.parse::<f64>().unwrap_or(0.0) as i64;
    }
    let (negative, digits) = number.strip_prefix('-').map_or((false, number), |d| (true, d));
    let n = digits.bytes().fold(0i64, |n, d| n.wrapping_mul(10).wrapping_add(i64::from(d.wrapping_sub(b'0'))));
    if negative { n.wrapping_neg() } else { n }
}

/// Beside numbers the three texts that stand for what JSON has no number for. (The original reads them as zero.)
fn float<F: std::str::FromStr + Default>(json: &Json<'_>) -> F {
    match json {
        Json::Number(n) => n.parse().unwrap_or_default(),
        Json::String(s) if matches!(&**s, "NaN" | "Infinity" | "-Infinity") => s.parse().unwrap_or_default(),
        _ => F::default(),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).ok()
}
