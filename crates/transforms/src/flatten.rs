//! `org.apache.kafka.connect.transforms.Flatten`: the fields of nested structs and maps as fields of the outermost one,
//! under names put together.

use walspring_config::tables::transforms::FLATTEN;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, Record, Schema, SchemaRef, Type, Typed, Value, java};

use crate::error::no_struct;
use crate::row::{Side, push, struct_of};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

const PURPOSE: &str = "flattening";

pub(crate) struct Flatten {
    side: Side,
    delimiter: String,
    schemas: SchemaCache<SchemaRef>,
}

impl Flatten {
    pub fn new(given: &[(String, String)], side: Side) -> Result<Flatten, ConvertError> {
        let delimiter = Settings::new(FLATTEN, given).required("delimiter")?.to_owned();
        Ok(Flatten { side, delimiter, schemas: SchemaCache::new() })
    }
}

impl Transform for Flatten {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let delimiter = &*self.delimiter;
        let typed = self.side.of(&mut record);
        match (&typed.schema, &mut typed.value) {
            (_, Value::Null) => {}
            (Some(schema), Value::Struct(values)) => {
                let make = |schema: &Schema| {
                    let mut fields = Vec::new();
                    flat_fields(schema, "", delimiter, schema.optional, schema.default.as_ref(), &mut fields)?;
                    Ok::<_, ConvertError>(struct_of(schema, fields).into())
                };
                let flat = self.schemas.get(schema, make)?.clone();
                let mut out = Vec::with_capacity(flat.fields.len());
                flat_values(schema, std::mem::take(values), &mut out);
                *typed = Typed::new(flat, Value::Struct(out));
            }
            (None, Value::Map(pairs)) => {
                let mut out = Vec::with_capacity(pairs.len());
                flat_map(std::mem::take(pairs), "", delimiter, &mut out)?;
                typed.value = Value::Map(out);
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, PURPOSE)),
        }
        Ok(Some(record))
    }
}

/// What is below an optional struct is optional, and takes its default from that struct's.
fn flat_fields(
    schema: &Schema,
    prefix: &str,
    delimiter: &str,
    optional: bool,
    default: Option<&Value>,
    out: &mut Vec<Field>,
) -> Result<(), ConvertError> {
    let from_parent = match default {
        Some(Value::Struct(values)) => &values[..],
        _ => &[],
    };
    for (at, field) in schema.fields.iter().enumerate() {
        let name = joined(prefix, &field.name, delimiter);
        let optional = optional || field.schema.optional;
        let default = field.schema.default.as_ref().or(from_parent.get(at)).filter(|value| !value.is_null());
        match field.schema.ty {
            Type::Struct => flat_fields(&field.schema, &name, delimiter, optional, default, out)?,
            Type::Map => {
                return Err(ConvertError::data(format!(
                    "Flatten transformation does not support MAP for record with schemas (for field {name})."
                )));
            }
            _ => {
                let schema = Schema { optional, default: default.cloned(), ..(*field.schema).clone() };
                push(out, name.into(), schema.into())?;
            }
        }
    }
    Ok(())
}

fn flat_values(schema: &Schema, values: Vec<Value>, out: &mut Vec<Value>) {
    for (field, value) in schema.fields.iter().zip(values) {
        // As the original reads them: a field's default stands for its null.
        let value = if value.is_null() { field.schema.default.clone().unwrap_or(Value::Null) } else { value };
        match (field.schema.ty, value) {
            (Type::Struct, Value::Struct(values)) => flat_values(&field.schema, values, out),
            (Type::Struct, _) => out.resize(out.len() + leaves(&field.schema), Value::Null),
            (_, value) => out.push(value),
        }
    }
}

/// How many fields a struct has when it is flat.
fn leaves(schema: &Schema) -> usize {
    schema.fields.iter().map(|field| if field.schema.ty == Type::Struct { leaves(&field.schema) } else { 1 }).sum()
}

fn flat_map(
    pairs: Vec<(Value, Value)>,
    prefix: &str,
    delimiter: &str,
    out: &mut Vec<(Value, Value)>,
) -> Result<(), ConvertError> {
    for (name, value) in pairs {
        let Value::String(name) = &name else {
            let class = java::class_name(None, &name);
            return Err(ConvertError::data(format!("Flatten transformation does not support names of {class}.")));
        };
        let name = joined(prefix, name, delimiter);
        match value {
            Value::Map(pairs) => flat_map(pairs, &name, delimiter, out)?,
            value => out.push((Value::string(name), value)),
        }
    }
    Ok(())
}

fn joined(prefix: &str, name: &str, delimiter: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{delimiter}{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, map, record, shown};

    #[test]
    fn maps_become_flat() {
        let mut flatten = Flatten::new(&config(&[("delimiter", "_")]), Side::Value).unwrap();
        let value = map(&[("a", map(&[("b", Value::Int64(1)), ("c", map(&[]))])), ("d", Value::Null)]);
        let record = Record { value: Typed { schema: None, value }, ..record("t") };
        let flat = flatten.apply(record).unwrap().unwrap();
        assert_eq!(shown(&flat.value), [("a_b".to_owned(), Value::Int64(1)), ("d".to_owned(), Value::Null)]);
    }
}
