//! An item of `add.fields` or `add.headers`: a part of the envelope, and the name that it gets.

use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Fields, Schema, SchemaRef, Value};

use crate::error::config;
use crate::settings::Settings;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldReference {
    /// The struct of the envelope that has the field; `None`: the envelope itself.
    pub parent: Option<String>,
    pub field: String,
    /// What it is called where it is added.
    pub name: Arc<str>,
}

/// Where a referenced value lies in an envelope's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Top(usize),
    Below(usize, usize),
    /// At the top, but null where the struct that should have had it is null.
    TopUnlessNull(usize, usize),
}

impl FieldReference {
    /// As it is written: `op`, `source.ts_ms`, `table:origin`.
    fn parse(item: &str, prefix: &str) -> Result<FieldReference, ConvertError> {
        let parts = split(item, ':');
        let (path, given) = match parts[..] {
            [path] => (path, None),
            [path, name] => (path, Some(name)),
            _ => {
                return Err(ConvertError {
                    class: "java.lang.IllegalArgumentException",
                    message: format!("Unexpected field name: {item}"),
                });
            }
        };
        let steps = split(path, '.');
        let (parent, field) = match steps[..] {
            [field] => (implied_parent(field), field),
            [parent, field, ..] => (Some(parent), field),
            [] => return Err(config(format!("Unexpected field name: {item}"))),
        };
        let name = match (given, parent) {
            (Some(name), _) => format!("{prefix}{name}"),
            (None, Some(parent)) if steps.len() > 1 => format!("{prefix}{parent}_{field}"),
            (None, _) => format!("{prefix}{field}"),
        };
        Ok(FieldReference { parent: parent.map(str::to_owned), field: field.to_owned(), name: name.into() })
    }

    pub fn list(settings: &Settings<'_>, option: &str, prefix: &str) -> Result<Vec<FieldReference>, ConvertError> {
        let prefix = settings.text(prefix).unwrap_or_default();
        settings.list(option).iter().filter(|item| !item.is_empty()).map(|item| Self::parse(item, prefix)).collect()
    }

    /// Where it lies in envelopes of a schema, and its schema there. `None`: the struct is there, the field is not.
    pub fn resolve(&self, envelope: &Schema) -> Result<Option<(Place, SchemaRef)>, ConvertError> {
        let top = |place: fn(usize) -> Place| {
            let at = envelope.index_of(&self.field)?;
            Some((place(at), envelope.fields[at].schema.clone()))
        };
        let Some(parent) = &self.parent else { return Ok(top(Place::Top)) };
        let Some(outer) = envelope.index_of(parent) else {
            // The words of the original, and what is meant by them.
            return Err(ConvertError {
                class: "java.lang.NullPointerException",
                message: "Cannot invoke \"org.apache.kafka.connect.data.Field.schema()\" because the return value of \
                          \"org.apache.kafka.connect.data.Schema.field(String)\" is null"
                    .to_owned(),
            });
        };
        let inner = &envelope.fields[outer].schema;
        Ok(match inner.index_of(&self.field) {
            Some(at) => Some((Place::Below(outer, at), inner.fields[at].schema.clone())),
            None => envelope
                .index_of(&self.field)
                .map(|at| (Place::TopUnlessNull(outer, at), envelope.fields[at].schema.clone())),
        })
    }

    /// The value in a schemaless envelope. `None`: there is no such field. What is below a struct that is null or left out
    /// is null, so that rows have the same fields whether there is a transaction block or not.
    pub fn find(&self, envelope: &Fields<'_>) -> Option<Value> {
        let top = || envelope.get(&self.field).map(|field| field.value.clone());
        let Some(parent) = &self.parent else { return top() };
        match envelope.below(parent) {
            Some(fields) => fields.get(&self.field).map(|field| field.value.clone()).or_else(top),
            None => Some(Value::Null),
        }
    }
}

impl Place {
    pub fn get(self, envelope: &[Value]) -> Value {
        match self {
            Place::Top(at) => envelope[at].clone(),
            Place::Below(outer, inner) => match &envelope[outer] {
                Value::Struct(values) => values[inner].clone(),
                _ => Value::Null,
            },
            Place::TopUnlessNull(outer, at) if !envelope[outer].is_null() => envelope[at].clone(),
            Place::TopUnlessNull(..) => Value::Null,
        }
    }
}

/// As Java's `split`: empty parts at the end are left out.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(separator).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// The struct of a field that is named alone.
fn implied_parent(field: &str) -> Option<&'static str> {
    match field {
        "id" | "data_collection_order" | "total_order" => Some("transaction"),
        "op" | "ts_ms" | "ts_us" | "ts_ns" => None,
        "updateDescription" => Some("updateDescription"),
        _ => Some("source"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(item: &str) -> (Option<String>, String, String) {
        let reference = FieldReference::parse(item, "__").unwrap();
        (reference.parent, reference.field, reference.name.to_string())
    }

    #[test]
    fn references_are_read_as_the_original_reads_them() {
        for (item, parent, field, name) in [
            ("op", None, "op", "__op"),
            ("table", Some("source"), "table", "__table"),
            ("source.ts_ms", Some("source"), "ts_ms", "__source_ts_ms"),
            ("source.ts_ms:NEW", Some("source"), "ts_ms", "__NEW"),
            ("table:t", Some("source"), "table", "__t"),
            ("id", Some("transaction"), "id", "__id"),
            ("transaction.id", Some("transaction"), "id", "__transaction_id"),
            ("before.name", Some("before"), "name", "__before_name"),
            ("op:", None, "op", "__op"),
            ("a.b.c", Some("a"), "b", "__a_b"),
        ] {
            assert_eq!(parsed(item), (parent.map(str::to_owned), field.to_owned(), name.to_owned()), "{item}");
        }
        assert!(FieldReference::parse("a:b:c", "").is_err());
    }
}
