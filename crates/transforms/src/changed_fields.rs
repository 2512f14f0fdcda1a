//! `io.debezium.transforms.ExtractChangedRecordState`: headers that list which columns an update changed, and which not.
//!
//! Both are there on every event of a row, and empty where there is nothing to compare: inserts, deletes, snapshots.

use std::sync::Arc;

use walspring_config::tables::transforms::CHANGED_FIELDS;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{FieldRef, Fields, Header, Record, Schema, SchemaRef, Typed, Value};

use crate::row::text;
use crate::settings::Settings;

pub(crate) struct ExtractChangedRecordState {
    changed: Option<Listing>,
    unchanged: Option<Listing>,
}

/// A header that lists names.
struct Listing {
    name: Arc<str>,
    schema: SchemaRef,
}

impl ExtractChangedRecordState {
    pub fn new(config: &[(String, String)]) -> Result<ExtractChangedRecordState, ConvertError> {
        let settings = Settings::new(CHANGED_FIELDS, config);
        let listing = |option: &str| {
            let name: Arc<str> = settings.text(option).filter(|name| !name.is_empty())?.into();
            let schema = Schema::array(text().optional()).optional().named(name.clone());
            Some(Listing { name, schema: schema.into() })
        };
        let (changed, unchanged) = (listing("header.changed.name"), listing("header.unchanged.name"));
        Ok(ExtractChangedRecordState { changed, unchanged })
    }
}

impl Transform for ExtractChangedRecordState {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let Some(envelope) = Fields::of_typed(&record.value).filter(Fields::is_envelope) else {
            return Ok(Some(record));
        };
        let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
        if let (Some(before), Some(after)) = (envelope.below("before"), envelope.below("after")) {
            for (at, field) in after.iter().enumerate() {
                let is_field = |old: &FieldRef<'_>| old.name == field.name;
                // Both have the same schema, so that one is where the other is.
                let old = before.iter().nth(at).filter(is_field).or_else(|| before.get(field.name));
                let same = old.is_some_and(|old| same(old.value, field.value));
                let names = if same { &mut unchanged } else { &mut changed };
                names.push(Value::string(field.name));
            }
        }
        for (listing, names) in [(&self.changed, changed), (&self.unchanged, unchanged)] {
            if let Some(Listing { name, schema }) = listing {
                let value = Typed::new(schema.clone(), Value::Array(names));
                record.headers.push(Header { name: name.clone(), value });
            }
        }
        Ok(Some(record))
    }
}

/// As Java's `equals`: NaN is itself, and zero is not minus zero.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float32(a), Value::Float32(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, envelope, event, map, record, row};

    fn listed(record: &Record) -> Vec<(String, Value)> {
        record.headers.iter().map(|h| (h.name.to_string(), h.value.value.clone())).collect()
    }

    fn names(names: &[&str]) -> Value {
        Value::Array(names.iter().map(|name| Value::string(*name)).collect())
    }

    #[test]
    fn what_an_update_changed_is_listed() {
        let options = config(&[("header.changed.name", "C"), ("header.unchanged.name", "U")]);
        let mut transform = ExtractChangedRecordState::new(&options).unwrap();
        let mut headers = |record: Record| listed(&transform.apply(record).unwrap().unwrap());
        let both = |changed: &[&str], unchanged: &[&str]| {
            vec![("C".to_owned(), names(changed)), ("U".to_owned(), names(unchanged))]
        };
        let schema = envelope();
        let updated = event(&schema, "u", row(1, Some(1), "x"), row(1, None, "x"));
        assert_eq!(headers(updated), both(&["a"], &["id", "b"]));
        assert_eq!(headers(event(&schema, "c", Value::Null, row(1, None, "x"))), both(&[], &[]));
        let of = |id| map(&[("id", Value::Int64(id)), ("f", Value::Float64(f64::NAN))]);
        let value = map(&[("before", of(1)), ("after", of(2)), ("source", map(&[])), ("op", Value::string("u"))]);
        let schemaless = Record { value: Typed { schema: None, value }, ..record("t") };
        assert_eq!(headers(schemaless), both(&["id"], &["f"]));
        assert_eq!(headers(record("t")), vec![]);
    }

    #[test]
    fn a_header_without_a_name_is_not_there() {
        let mut transform = ExtractChangedRecordState::new(&config(&[("header.changed.name", "C")])).unwrap();
        let updated = event(&envelope(), "u", row(1, Some(1), "x"), row(1, Some(1), "y"));
        assert_eq!(listed(&transform.apply(updated).unwrap().unwrap()), [("C".to_owned(), names(&["b"]))]);
    }
}
