//! `drop.fields.header.name`: a header lists the fields that a record does without.

use std::collections::HashMap;
use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Header, Record, SchemaRef, Typed, Value};

use crate::row::struct_of;
use crate::settings::Settings;

/// Lists of fields, and schemas, whose result is kept.
const DROPS_MAX: usize = 1024;

pub(super) struct DropFields {
    header: String,
    from_key: bool,
    optional_only: bool,
    known: HashMap<Asked, (SchemaRef, Arc<Dropped>)>,
}

/// The schema's place, how many fields of it may be left out, and the list.
type Asked = (usize, usize, Vec<Arc<str>>);

struct Dropped {
    schema: SchemaRef,
    /// The places of the fields that stay, each with its default.
    kept: Vec<(usize, Option<Value>)>,
}

impl DropFields {
    pub fn of(settings: &Settings<'_>) -> Result<Option<DropFields>, ConvertError> {
        let header = settings.text("drop.fields.header.name").filter(|name| !name.is_empty()).map(str::to_owned);
        let from_key = settings.boolean("drop.fields.from.key")?;
        let optional_only = settings.boolean("drop.fields.keep.schema.compatible")?;
        Ok(header.map(|header| DropFields { header, from_key, optional_only, known: HashMap::new() }))
    }

    /// `droppable`: how many fields of the value, from the first, may be left out.
    pub fn apply(&mut self, mut record: Record, droppable: usize) -> Result<Record, ConvertError> {
        let Some(names) = listed(&record.headers, &self.header)? else { return Ok(record) };
        if self.from_key {
            self.drop_from(&mut record.key, &names, usize::MAX);
        }
        self.drop_from(&mut record.value, &names, droppable);
        Ok(record)
    }

    fn drop_from(&mut self, typed: &mut Typed, names: &[Arc<str>], droppable: usize) {
        match (&mut typed.schema, &mut typed.value) {
            (Some(schema), Value::Struct(values)) => {
                let Some(dropped) = self.dropped(schema, names, droppable) else { return };
                let kept = dropped.kept.iter().map(|(at, default)| {
                    let value = std::mem::replace(&mut values[*at], Value::Null);
                    // As ReplaceField, which does this in the original.
                    if value.is_null() { default.clone().unwrap_or(Value::Null) } else { value }
                });
                let kept = kept.collect();
                typed.schema = Some(dropped.schema.clone());
                typed.value = Value::Struct(kept);
            }
            (None, Value::Map(pairs)) => {
                let mut at = 0;
                pairs.retain(|(name, _)| {
                    at += 1;
                    let listed = matches!(name, Value::String(name) if names.contains(name));
                    at > droppable || !listed
                });
            }
            _ => {}
        }
    }

    /// `None`: nothing is left out.
    fn dropped(&mut self, schema: &SchemaRef, names: &[Arc<str>], droppable: usize) -> Option<Arc<Dropped>> {
        let goes = |at: usize| {
            let field = &schema.fields[at];
            at < droppable && names.contains(&field.name) && (field.schema.optional || !self.optional_only)
        };
        if !(0..schema.fields.len()).any(goes) {
            return None;
        }
        let key = (Arc::as_ptr(schema) as usize, droppable, names.to_vec());
        if let Some((_, dropped)) = self.known.get(&key) {
            return Some(dropped.clone());
        }
        let kept: Vec<usize> = (0..schema.fields.len()).filter(|at| !goes(*at)).collect();
        let fields = kept.iter().map(|at| schema.fields[*at].clone()).collect();
        let dropped = Arc::new(Dropped {
            schema: struct_of(schema, fields).into(),
            kept: kept.into_iter().map(|at| (at, schema.fields[at].schema.default.clone())).collect(),
        });
        if self.known.len() >= DROPS_MAX {
            self.known.clear();
        }
        self.known.insert(key, (schema.clone(), dropped.clone()));
        Some(dropped)
    }
}

/// The names that the header lists; `None`: there is no such header, or it lists none.
fn listed(headers: &[Header], name: &str) -> Result<Option<Vec<Arc<str>>>, ConvertError> {
    let Some(header) = headers.iter().find(|header| *header.name == *name) else { return Ok(None) };
    match &header.value.value {
        Value::Null => Ok(None),
        Value::Array(items) => {
            let names: Vec<Arc<str>> = items
                .iter()
                .filter_map(|item| match item {
                    Value::String(name) => Some(name.clone()),
                    _ => None,
                })
                .collect();
            Ok(Some(names).filter(|names| !names.is_empty()))
        }
        _ => Err(ConvertError {
            class: "java.lang.ClassCastException",
            message: format!("the header {name}, which drop.fields.header.name names, is not a list of names"),
        }),
    }
}
