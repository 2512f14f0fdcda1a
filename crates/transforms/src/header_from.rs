//! `org.apache.kafka.connect.transforms.HeaderFrom`: fields copied or moved to headers.

use std::sync::Arc;

use walspring_config::tables::transforms::HEADER_FROM;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, Header, Record, Schema, SchemaRef, Typed, Value};

use crate::error::{config, no_struct};
use crate::row::{Defaults, Side, defaults, entry, fill, remove, struct_of};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct HeaderFrom {
    side: Side,
    /// A field and the header that it becomes.
    pairs: Vec<(String, Arc<str>)>,
    moves: bool,
    replace_nulls: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    /// For each header its field's place and schema.
    headers: Vec<(usize, SchemaRef)>,
    /// What stays, where fields move.
    kept: Vec<usize>,
    schema: SchemaRef,
    defaults: Defaults,
}

impl HeaderFrom {
    pub fn new(given: &[(String, String)], side: Side) -> Result<HeaderFrom, ConvertError> {
        let settings = Settings::new(HEADER_FROM, given);
        let (fields, headers) = (settings.names("fields")?, settings.names("headers")?);
        if fields.len() != headers.len() {
            return Err(config("'fields' config must have the same number of elements as 'headers' config."));
        }
        let pairs = fields.into_iter().zip(headers.iter().map(|name| name.as_str().into())).collect();
        let moves = settings.required("operation")? == "move";
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        Ok(HeaderFrom { side, pairs, moves, replace_nulls, plans: SchemaCache::new() })
    }
}

impl Transform for HeaderFrom {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (fields, replace_nulls) = (&self.pairs, self.replace_nulls);
        let purpose = if self.moves { "header MOVE" } else { "header COPY" };
        let typed = self.side.of(&mut record);
        let mut found: Vec<Typed> = Vec::with_capacity(fields.len());
        match (&typed.schema, &mut typed.value) {
            (Some(schema), Value::Struct(values)) => {
                let plan = self.plans.get(schema, |schema| Plan::of(schema, fields, replace_nulls))?;
                for (place, schema) in &plan.headers {
                    let value = Some(&values[*place]).filter(|value| !value.is_null() || !replace_nulls);
                    let value = value.or(schema.default.as_ref()).cloned();
                    found.push(Typed::new(schema.clone(), value.into()));
                }
                if self.moves {
                    let mut kept: Vec<Value> =
                        plan.kept.iter().map(|at| std::mem::replace(&mut values[*at], Value::Null)).collect();
                    fill(&mut kept, &plan.defaults);
                    *typed = Typed::new(plan.schema.clone(), Value::Struct(kept));
                }
            }
            (None, Value::Map(map)) => {
                for (field, _) in fields {
                    let value = entry(map, field).map_or(Value::Null, |value| value.clone());
                    found.push(Typed { schema: None, value });
                }
                if self.moves {
                    fields.iter().for_each(|(field, _)| remove(map, field));
                }
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, purpose)),
        }
        let headers = fields.iter().zip(found).map(|((_, name), value)| Header { name: name.clone(), value });
        record.headers.extend(headers);
        Ok(Some(record))
    }
}

impl Plan {
    fn of(schema: &Schema, pairs: &[(String, Arc<str>)], replace_nulls: bool) -> Result<Plan, ConvertError> {
        let place = |(name, _): &(String, Arc<str>)| {
            let at = schema.index_of(name).ok_or_else(|| ConvertError {
                class: "java.lang.NullPointerException",
                message: "Cannot invoke \"org.apache.kafka.connect.data.Field.schema()\" because the return value of \
                          \"org.apache.kafka.connect.data.Schema.field(String)\" is null"
                    .to_owned(),
            })?;
            Ok((at, schema.fields[at].schema.clone()))
        };
        let headers = pairs.iter().map(place).collect::<Result<Vec<_>, ConvertError>>()?;
        let moved = |at: &usize| headers.iter().any(|(place, _)| place == at);
        let kept: Vec<usize> = (0..schema.fields.len()).filter(|at| !moved(at)).collect();
        let fields: Vec<Field> = kept.iter().map(|at| schema.fields[*at].clone()).collect();
        let defaults = defaults(&fields, replace_nulls);
        Ok(Plan { headers, kept, schema: struct_of(schema, fields).into(), defaults })
    }
}
