//! A schema as JSON: `JsonConverter.asJsonSchema`.

use walspring_connect::ConvertError;
use walspring_record::{Schema, Type};

use super::text::write_string;
use super::{JsonOptions, tree};
use crate::java::write_int;

/// `{"schema":…,"payload":`
pub(super) fn envelope(options: &JsonOptions, schema: Option<&Schema>) -> Result<Vec<u8>, ConvertError> {
    let mut out = b"{\"schema\":".to_vec();
    match schema {
        Some(schema) => write(options, schema, None, &mut out)?,
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"payload\":");
    Ok(out)
}

/// As JSON spells the types.
pub(super) const TYPES: [(&str, Type); 12] = [
    ("int8", Type::Int8),
    ("int16", Type::Int16),
    ("int32", Type::Int32),
    ("int64", Type::Int64),
    ("float", Type::Float32),
    ("double", Type::Float64),
    ("boolean", Type::Boolean),
    ("string", Type::String),
    ("bytes", Type::Bytes),
    ("array", Type::Array),
    ("map", Type::Map),
    ("struct", Type::Struct),
];

fn write(options: &JsonOptions, schema: &Schema, field: Option<&str>, out: &mut Vec<u8>) -> Result<(), ConvertError> {
    let name = TYPES.iter().find(|(_, ty)| *ty == schema.ty).map_or("", |(name, _)| name);
    out.extend_from_slice(b"{\"type\":");
    write_string(out, name);
    if schema.ty == Type::Struct {
        out.extend_from_slice(b",\"fields\":[");
        for (i, field) in schema.fields.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write(options, &field.schema, Some(&field.name), out)?;
        }
        out.push(b']');
    }
    if let Some(keys) = &schema.keys {
        out.extend_from_slice(b",\"keys\":");
        write(options, keys, None, out)?;
    }
    if let Some(items) = &schema.items {
        out.extend_from_slice(if schema.ty == Type::Map { b",\"values\":" } else { b",\"items\":" });
        write(options, items, None, out)?;
    }
    out.extend_from_slice(if schema.optional { b",\"optional\":true" } else { b",\"optional\":false" });
    if let Some(name) = &schema.name {
        out.extend_from_slice(b",\"name\":");
        write_string(out, name);
    }
    if let Some(version) = schema.version {
        out.extend_from_slice(b",\"version\":");
        write_int(out, version);
    }
    if let Some(doc) = &schema.doc {
        out.extend_from_slice(b",\"doc\":");
        write_string(out, doc);
    }
    if !schema.parameters.is_empty() {
        out.extend_from_slice(b",\"parameters\":{");
        for (i, (name, value)) in schema.parameters.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(out, name);
            out.push(b':');
            write_string(out, value);
        }
        out.push(b'}');
    }
    if let Some(default) = schema.default.as_ref().filter(|d| !d.is_null()) {
        out.extend_from_slice(b",\"default\":");
        tree::write(options, Some(schema), default, out)?;
    }
    if let Some(field) = field {
        out.extend_from_slice(b",\"field\":");
        write_string(out, field);
    }
    out.push(b'}');
    Ok(())
}
