//! What the transforms of keys and of values share: which side they work on, rows with and without schemas.

use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Field, Record, Schema, SchemaRef, Type, Typed, Value};

use crate::error::duplicate_field;

/// `$Key` or `$Value` at the end of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

impl Side {
    pub fn of(self, record: &mut Record) -> &mut Typed {
        match self {
            Side::Key => &mut record.key,
            Side::Value => &mut record.value,
        }
    }
}

/// The defaults of a struct's fields, by their places.
pub(crate) type Defaults = Vec<(usize, Value)>;

/// Those of all fields, or none (`replace.null.with.default=false`).
pub(crate) fn defaults(fields: &[Field], replace_nulls: bool) -> Defaults {
    let default = |(at, field): (usize, &Field)| Some((at, field.schema.default.clone()?));
    if replace_nulls { fields.iter().enumerate().filter_map(default).collect() } else { Vec::new() }
}

pub(crate) fn fill(values: &mut [Value], defaults: &Defaults) {
    for (at, default) in defaults {
        if values[*at].is_null() {
            values[*at] = default.clone();
        }
    }
}

/// A struct like another, of other fields: as Connect's `copySchemaBasics`, neither optional nor with a default.
pub(crate) fn struct_of(like: &Schema, fields: Vec<Field>) -> Schema {
    Schema { fields, optional: false, default: None, ..like.clone() }
}

pub(crate) fn push(fields: &mut Vec<Field>, name: Arc<str>, schema: SchemaRef) -> Result<(), ConvertError> {
    if fields.iter().any(|field| field.name == name) {
        return Err(duplicate_field(&name));
    }
    fields.push(Field { name, schema });
    Ok(())
}

pub(crate) fn text() -> Schema {
    Schema::new(Type::String)
}

/// A map's entry by its name.
pub(crate) fn entry<'a>(pairs: &'a mut [(Value, Value)], name: &str) -> Option<&'a mut Value> {
    pairs.iter_mut().find(|(key, _)| is_name(key, name)).map(|(_, value)| value)
}

pub(crate) fn put(pairs: &mut Vec<(Value, Value)>, name: &str, value: Value) {
    match entry(pairs, name) {
        Some(there) => *there = value,
        None => pairs.push((Value::string(name), value)),
    }
}

pub(crate) fn remove(pairs: &mut Vec<(Value, Value)>, name: &str) {
    pairs.retain(|(key, _)| !is_name(key, name));
}

fn is_name(key: &Value, name: &str) -> bool {
    matches!(key, Value::String(key) if **key == *name)
}
