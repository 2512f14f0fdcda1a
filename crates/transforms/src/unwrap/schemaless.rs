//! Unwrapping a schemaless envelope: a map of `before`, `after`, `source`, `op`.

use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Fields, Header, Record, Typed, Value};

use super::delete_mode::DeleteMode;
use super::{DELETED, Options, reroute};
use crate::error::no_struct;
use crate::row::put;

/// The record, and how many fields of its value may be left out; `None`: it is dropped.
pub(super) fn unwrap(mut record: Record, options: &Options) -> Result<Option<(Record, usize)>, ConvertError> {
    let Some(envelope) = Fields::of_typed(&record.value).filter(is_row_envelope) else {
        return Ok(Some((record, 0)));
    };
    let plain = |value| Typed { schema: None, value };
    let headers: Vec<Header> = options
        .add_headers
        .iter()
        .filter_map(|added| Some(Header { name: added.name.clone(), value: plain(added.find(&envelope)?) }))
        .collect();
    let added: Vec<(Arc<str>, Value)> =
        options.add_fields.iter().filter_map(|added| Some((added.name.clone(), added.find(&envelope)?))).collect();
    record.headers.extend(headers);

    let Value::Map(pairs) = &mut record.value.value else { return Ok(Some((record, 0))) };
    let mut take = |name: &str| {
        let found = pairs.iter_mut().find(|(key, _)| matches!(key, Value::String(key) if **key == *name));
        found.map_or(Value::Null, |(_, value)| std::mem::replace(value, Value::Null))
    };
    let (after, before) = (take("after"), take("before"));
    let deleted = after.is_null();
    let row = if deleted { before } else { after };
    if row.is_null() || deleted && options.mode == DeleteMode::Drop {
        return Ok(None);
    }
    let Value::Map(mut row) = row else {
        return Err(no_struct(None, &row, "source field insertion"));
    };
    if let Some(field) = &options.route_by {
        let topic = row.iter().find_map(|(name, value)| match (name, value) {
            (Value::String(name), Value::String(topic)) if **name == **field => Some(topic.clone()),
            _ => None,
        });
        reroute(&mut record.topic, topic);
    }
    if deleted && !options.mode.rewrites() {
        record.value = Typed::NULL;
        return Ok(Some((record, 0)));
    }
    if options.mode.rewrites() {
        put(&mut row, DELETED, Value::string(if deleted { "true" } else { "false" }));
    }
    let droppable = if deleted { row.len() } else { usize::MAX };
    for (name, value) in added {
        put(&mut row, &name, value);
    }
    record.value = plain(Value::Map(row));
    Ok(Some((record, droppable)))
}

/// Logical messages look alike, and have no row.
fn is_row_envelope(fields: &Fields<'_>) -> bool {
    fields.is_envelope() && (fields.get("after").is_some() || fields.get("before").is_some())
}
