//! `io.debezium.transforms.ExtractNewRecordState`: the row in place of the envelope around it.
//!
//! What is no envelope (heartbeats, boundaries of transactions, logical messages) goes by as it is, a truncate is dropped.
//! The original leaves schemaless records alone; here they are unwrapped too, because sinks are handed schemaless JSON.
//!
//! The row is moved out of the envelope, not copied. Where it lies, and the schema of what is made of it, is worked out
//! once for each schema of an envelope (`plan.rs`).

mod delete_mode;
mod drop_fields;
mod field_reference;
mod plan;
mod schemaless;

use std::sync::Arc;

use walspring_config::tables::transforms::UNWRAP;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Header, Record, Schema, Type, Typed, Value};

use crate::schema_cache::SchemaCache;
use crate::settings::Settings;
use delete_mode::DeleteMode;
use drop_fields::DropFields;
use field_reference::FieldReference;
use plan::Plan;

/// The field that says whether a row is gone, under the rewrite modes.
const DELETED: &str = "__deleted";

pub(crate) struct ExtractNewRecordState {
    options: Options,
    drop_fields: Option<DropFields>,
    /// `None`: the schema is not of an envelope.
    plans: SchemaCache<Option<Plan>>,
    /// Values of added fields on their way; kept for its memory.
    added: Vec<Value>,
}

pub(super) struct Options {
    mode: DeleteMode,
    add_fields: Vec<FieldReference>,
    add_headers: Vec<FieldReference>,
    route_by: Option<String>,
    replace_nulls: bool,
}

impl ExtractNewRecordState {
    pub fn new(config: &[(String, String)]) -> Result<ExtractNewRecordState, ConvertError> {
        let settings = Settings::new(UNWRAP, config);
        let options = Options {
            mode: DeleteMode::of(&settings)?,
            add_fields: FieldReference::list(&settings, "add.fields", "add.fields.prefix")?,
            add_headers: FieldReference::list(&settings, "add.headers", "add.headers.prefix")?,
            route_by: settings.text("route.by.field").filter(|field| !field.is_empty()).map(str::to_owned),
            replace_nulls: settings.boolean("replace.null.with.default")?,
        };
        let drop_fields = DropFields::of(&settings)?;
        Ok(ExtractNewRecordState { options, drop_fields, plans: SchemaCache::new(), added: Vec::new() })
    }

    fn tombstone(&self, mut record: Record) -> Option<Record> {
        // As the original: of all that could be added only the operation is known.
        for added in self.options.add_headers.iter().filter(|added| added.field == "op") {
            let value = Typed::new(Schema::new(Type::String).into(), Value::string("d"));
            record.headers.push(Header { name: added.name.clone(), value });
        }
        (self.options.mode == DeleteMode::RewriteWithTombstone).then_some(record)
    }

    fn struct_of(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let Options { mode, route_by, .. } = &self.options;
        let (Some(schema), Value::Struct(values)) = (&record.value.schema, &mut record.value.value) else {
            return Ok(Some(record));
        };
        let Some(plan) = self.plans.get(schema, |schema| Plan::of(schema, &self.options))? else {
            return Ok(Some(record));
        };
        for header in &plan.headers {
            let value = Typed::new(header.schema.clone(), header.place.get(values));
            record.headers.push(Header { name: header.name.clone(), value });
        }
        let deleted = values[plan.after].is_null();
        if deleted && values[plan.before].is_null() {
            return Ok(None);
        }
        if deleted {
            match mode {
                DeleteMode::Drop => return Ok(None),
                DeleteMode::Tombstone | DeleteMode::DeleteToTombstone => {
                    if route_by.is_some() {
                        let topic = plan.before_row.topic(&values[plan.before])?;
                        reroute(&mut record.topic, topic);
                    }
                    // A null that still has the row's schema, unless a true tombstone is asked for: with schemas it is
                    // written as `{"schema":…,"payload":null}`.
                    let schema = (*mode == DeleteMode::Tombstone).then(|| plan.after_schema.clone());
                    record.value = Typed { schema, value: Value::Null };
                    return self.without_dropped(record, usize::MAX);
                }
                DeleteMode::Rewrite | DeleteMode::RewriteWithTombstone => {}
            }
        }
        self.added.clear();
        self.added.extend(plan.fields.iter().map(|field| field.place.get(values)));

        let (at, flat) = if deleted { (plan.before, &plan.before_row) } else { (plan.after, &plan.after_row) };
        if route_by.is_some() {
            let topic = flat.topic(&values[at])?;
            reroute(&mut record.topic, topic);
        }
        let Value::Struct(mut row) = std::mem::replace(&mut values[at], Value::Null) else {
            return Err(crate::error::no_struct(Some(&flat.schema), &Value::Null, "source field insertion"));
        };
        flat.fill(&mut row);
        row.reserve_exact(self.added.len() + usize::from(mode.rewrites()));
        if mode.rewrites() {
            row.push(plan.deleted_texts[usize::from(deleted)].clone());
        }
        // A delete loses its fields before others are added, any other row afterwards.
        let droppable = if deleted { row.len() } else { usize::MAX };
        row.append(&mut self.added);
        record.value = Typed { schema: Some(flat.schema.clone()), value: Value::Struct(row) };
        self.without_dropped(record, droppable)
    }

    /// `droppable`: how many fields of the value, from the first, may be left out.
    fn without_dropped(&mut self, record: Record, droppable: usize) -> Result<Option<Record>, ConvertError> {
        match &mut self.drop_fields {
            Some(drop_fields) => drop_fields.apply(record, droppable).map(Some),
            None => Ok(Some(record)),
        }
    }
}

impl Transform for ExtractNewRecordState {
    fn apply(&mut self, record: Record) -> Result<Option<Record>, ConvertError> {
        match &record.value {
            Typed { value: Value::Null, .. } => Ok(self.tombstone(record)),
            Typed { schema: Some(_), .. } => self.struct_of(record),
            Typed { schema: None, .. } => match schemaless::unwrap(record, &self.options)? {
                Some((record, droppable)) => self.without_dropped(record, droppable),
                None => Ok(None),
            },
        }
    }
}

/// A topic that is null or blank changes nothing.
fn reroute(topic: &mut Arc<str>, new: Option<Arc<str>>) {
    if let Some(new) = new.filter(|new| !new.trim().is_empty()) {
        *topic = new;
    }
}

#[cfg(test)]
mod tests;
