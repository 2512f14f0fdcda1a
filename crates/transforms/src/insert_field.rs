//! `org.apache.kafka.connect.transforms.InsertField`: what is known of the record, or a constant, as further fields.

use std::sync::Arc;

use walspring_config::tables::transforms::INSERT_FIELD;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Record, Schema, SchemaRef, Type, Value, java::logical};

use crate::error::{config, invalid, no_struct};
use crate::row::{Defaults, Side, defaults, fill, push, put, struct_of, text};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct InsertField {
    side: Side,
    inserted: Vec<Inserted>,
    replace_nulls: bool,
    plans: SchemaCache<(SchemaRef, Defaults)>,
}

struct Inserted {
    what: What,
    name: Arc<str>,
    optional: bool,
}

enum What {
    Topic,
    Partition,
    Timestamp,
    Static(Value),
}

impl InsertField {
    pub fn new(config_given: &[(String, String)], side: Side) -> Result<InsertField, ConvertError> {
        let settings = Settings::new(INSERT_FIELD, config_given);
        let given = |option: &str| settings.text(option).filter(|name| !name.is_empty());
        let mut inserted = Vec::new();
        let mut insert = |option: &str, what: What| {
            let Some(name) = given(option) else { return };
            let (name, optional) = match name.strip_suffix('!') {
                Some(name) => (name, false),
                None => (name.strip_suffix('?').unwrap_or(name), true),
            };
            inserted.push(Inserted { what, name: name.into(), optional });
        };
        insert("topic.field", What::Topic);
        insert("partition.field", What::Partition);
        if let Some(name) = given("offset.field") {
            return Err(invalid("offset.field", name, "this version of Walspring does not tell transforms the offset"));
        }
        insert("timestamp.field", What::Timestamp);
        if let Some(name) = given("static.field") {
            let Some(value) = settings.text("static.value") else {
                let why = format!("No value specified for static field: {name}");
                return Err(invalid("static.value", "null", why));
            };
            insert("static.field", What::Static(Value::string(value)));
        }
        if inserted.is_empty() {
            return Err(config("No field insertion configured"));
        }
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        Ok(InsertField { side, inserted, replace_nulls, plans: SchemaCache::new() })
    }

    fn plan(&self, schema: &Schema) -> Result<(SchemaRef, Defaults), ConvertError> {
        let mut fields = schema.fields.clone();
        let defaults = defaults(&fields, self.replace_nulls);
        for inserted in &self.inserted {
            let schema = match inserted.what {
                What::Topic | What::Static(_) => text(),
                What::Partition => Schema::new(Type::Int32),
                What::Timestamp => Schema::new(Type::Int64).named(logical::TIMESTAMP).versioned(1),
            };
            push(&mut fields, inserted.name.clone(), schema.with_optional(inserted.optional).into())?;
        }
        Ok((struct_of(schema, fields).into(), defaults))
    }
}

impl Transform for InsertField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let values_of = |record: &Record| -> Vec<Value> {
            let value = |inserted: &Inserted| match &inserted.what {
                What::Topic => Value::String(record.topic.clone()),
                What::Partition => record.partition.map(Value::Int32).into(),
                What::Timestamp => record.timestamp_ms.map(Value::Int64).into(),
                What::Static(value) => value.clone(),
            };
            self.inserted.iter().map(value).collect()
        };
        let mut new = values_of(&record);
        let typed = self.side.of(&mut record);
        match (&typed.schema, &mut typed.value) {
            (_, Value::Null) => {}
            (Some(schema), Value::Struct(values)) => {
                let mut plans = std::mem::replace(&mut self.plans, SchemaCache::new());
                let plan = plans.get(schema, |schema| self.plan(schema)).map(|plan| &*plan);
                let result = plan.map(|(schema, defaults)| {
                    fill(values, defaults);
                    values.append(&mut new);
                    schema.clone()
                });
                self.plans = plans;
                typed.schema = Some(result?);
            }
            (None, Value::Map(pairs)) => {
                for (inserted, value) in self.inserted.iter().zip(new) {
                    // A record without partition or timestamp does not get the field.
                    if !value.is_null() {
                        put(pairs, &inserted.name, value);
                    }
                }
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, "field insertion")),
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use walspring_record::Typed;

    use super::*;
    use crate::testing::{config, envelope, event, map, record, row, shown};

    #[test]
    fn fields_are_added_to_structs_and_maps() {
        let options = config(&[("topic.field", "topic!"), ("static.field", "site"), ("static.value", "here")]);
        let mut insert = InsertField::new(&options, Side::Value).unwrap();
        let inserted = insert.apply(event(&envelope(), "c", Value::Null, row(1, None, "x"))).unwrap().unwrap();
        let schema = inserted.value.schema.clone().unwrap();
        assert_eq!(
            schema.fields[6..].iter().map(|f| (&*f.name, f.schema.optional)).collect::<Vec<_>>(),
            [("topic", false), ("site", true)]
        );
        assert_eq!(shown(&inserted.value)[7].1, Value::string("here"));
        let maps = Record { value: Typed { schema: None, value: map(&[("id", Value::Int64(1))]) }, ..record("t") };
        assert_eq!(shown(&insert.apply(maps).unwrap().unwrap().value).len(), 3);
        assert_eq!(insert.apply(record("t")).unwrap().unwrap().value, Typed::NULL);
        assert_eq!(InsertField::new(&[], Side::Key).err().unwrap().message, "No field insertion configured");
    }
}
