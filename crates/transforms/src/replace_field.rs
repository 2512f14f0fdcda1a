//! `org.apache.kafka.connect.transforms.ReplaceField`: leaves fields out and renames others.

use std::sync::Arc;

use walspring_config::tables::transforms::REPLACE_FIELD;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Record, Schema, SchemaRef, Typed, Value};

use crate::error::{invalid, no_struct};
use crate::row::{Defaults, Side, defaults, fill, push, struct_of};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct ReplaceField {
    side: Side,
    choice: Choice,
    plans: SchemaCache<Plan>,
}

struct Choice {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, Arc<str>)>,
    replace_nulls: bool,
}

struct Plan {
    schema: SchemaRef,
    /// The places of the fields that stay.
    kept: Vec<usize>,
    defaults: Defaults,
}

impl ReplaceField {
    pub fn new(config: &[(String, String)], side: Side) -> Result<ReplaceField, ConvertError> {
        let settings = Settings::new(REPLACE_FIELD, config);
        let list = settings.list("renames");
        let pair = |item: &String| match item.split(':').collect::<Vec<_>>()[..] {
            [old, new] if !new.is_empty() => Ok((old.to_owned(), new.into())),
            _ => Err(invalid("renames", &format!("[{}]", list.join(", ")), format!("Invalid rename mapping: {item}"))),
        };
        let choice = Choice {
            renames: list.iter().map(pair).collect::<Result<_, _>>()?,
            exclude: settings.list("exclude"),
            include: settings.list("include"),
            replace_nulls: settings.boolean("replace.null.with.default")?,
        };
        Ok(ReplaceField { side, choice, plans: SchemaCache::new() })
    }
}

impl Transform for ReplaceField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let choice = &self.choice;
        let typed = self.side.of(&mut record);
        match (&typed.schema, &mut typed.value) {
            (_, Value::Null) => {}
            (Some(schema), Value::Struct(values)) => {
                let plan = self.plans.get(schema, |schema| Plan::of(schema, choice))?;
                let mut kept: Vec<Value> =
                    plan.kept.iter().map(|at| std::mem::replace(&mut values[*at], Value::Null)).collect();
                fill(&mut kept, &plan.defaults);
                *typed = Typed::new(plan.schema.clone(), Value::Struct(kept));
            }
            (None, Value::Map(pairs)) => {
                pairs.retain(|(name, _)| matches!(name, Value::String(name) if choice.keeps(name)));
                for (name, _) in pairs {
                    if let Value::String(old) = name
                        && let Some(new) = choice.renamed(old)
                    {
                        *name = Value::String(new.clone());
                    }
                }
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, "field replacement")),
        }
        Ok(Some(record))
    }
}

impl Choice {
    fn keeps(&self, name: &str) -> bool {
        let lists = |list: &[String]| list.iter().any(|item| item == name);
        !lists(&self.exclude) && (self.include.is_empty() || lists(&self.include))
    }

    fn renamed(&self, name: &str) -> Option<&Arc<str>> {
        self.renames.iter().find(|(old, _)| old == name).map(|(_, new)| new)
    }
}

impl Plan {
    fn of(schema: &Schema, choice: &Choice) -> Result<Plan, ConvertError> {
        let kept: Vec<usize> = (0..schema.fields.len()).filter(|at| choice.keeps(&schema.fields[*at].name)).collect();
        let mut fields = Vec::with_capacity(kept.len());
        for at in &kept {
            let field = &schema.fields[*at];
            let name = choice.renamed(&field.name).unwrap_or(&field.name);
            push(&mut fields, name.clone(), field.schema.clone())?;
        }
        let defaults = defaults(&fields, choice.replace_nulls);
        Ok(Plan { schema: struct_of(schema, fields).into(), kept, defaults })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, map, record, shown};

    #[test]
    fn maps_lose_and_rename_fields() {
        let options = config(&[("exclude", "gone"), ("renames", "a:alpha")]);
        let mut replace = ReplaceField::new(&options, Side::Value).unwrap();
        let value = map(&[("a", Value::Int64(1)), ("gone", Value::Null), ("b", Value::Int64(2))]);
        let record = Record { value: Typed { schema: None, value }, ..record("t") };
        let replaced = replace.apply(record).unwrap().unwrap();
        assert_eq!(shown(&replaced.value), [("alpha".to_owned(), Value::Int64(1)), ("b".to_owned(), Value::Int64(2))]);
        let error = ReplaceField::new(&config(&[("renames", "a")]), Side::Key).err().unwrap();
        assert_eq!(error.message, "Invalid value [a] for configuration renames: Invalid rename mapping: a");
    }
}
