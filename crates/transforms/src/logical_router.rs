//! `io.debezium.transforms.ByLogicalTableRouter`, today's `ToLogicalTopicRouter`: records of several tables in one topic,
//! under schemas of one name, with a field in the key that tells the tables apart.
//!
//! Only schemas and the key change: the values of the row stay where they are.

use std::sync::Arc;

use walspring_config::java_regex::{JavaRegex, Replacement};
use walspring_config::tables::transforms::LOGICAL_ROUTER;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, NameAdjustment, Record, Schema, SchemaRef, Type, Typed, Value};

use crate::error::{duplicate_field, invalid, no_struct};
use crate::memo::TopicMemo;
use crate::regex_router::route;
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct LogicalRouter {
    regex: JavaRegex,
    replacement: Replacement,
    key: KeyField,
    names: NameAdjustment,
    routes: TopicMemo<Option<Arc<str>>>,
    /// The new schema, and the topic that it is named after.
    envelopes: SchemaCache<Option<Renamed>>,
}

struct KeyField {
    /// `None`: keys stay as they are but for the schema's name (`key.enforce.uniqueness=false`).
    name: Option<Arc<str>>,
    pattern: Option<(JavaRegex, Replacement)>,
    identifiers: TopicMemo<Arc<str>>,
    schemas: SchemaCache<Renamed>,
}

#[derive(Clone)]
struct Renamed {
    topic: Arc<str>,
    schema: SchemaRef,
}

impl LogicalRouter {
    /// `key_field`: the default of `key.field.name`, which the two classes have not in common.
    pub fn new(config: &[(String, String)], key_field: &str) -> Result<LogicalRouter, ConvertError> {
        let settings = Settings::new(LOGICAL_ROUTER, config);
        let capacity = settings.integer("logical.destination.cache.size")?.max(0) as usize;
        let regex = settings.regex("topic.regex")?;
        let replacement = settings.replacement("topic.replacement", &regex)?;
        let pattern = match settings.text("key.field.regex").filter(|regex| !regex.is_empty()) {
            None => None,
            Some(_) if settings.text("key.field.replacement").is_none_or(str::is_empty) => {
                let why = "key.field.replacement must be non-empty if key.field.regex is set.";
                return Err(invalid("key.field.replacement", "null", why));
            }
            Some(_) => {
                let regex = settings.regex("key.field.regex")?;
                let replacement = settings.replacement("key.field.replacement", &regex)?;
                Some((regex, replacement))
            }
        };
        let name = settings.text("key.field.name").unwrap_or(key_field);
        let mode = settings.required("schema.name.adjustment.mode")?;
        let names = match mode.to_ascii_lowercase().as_str() {
            "none" => NameAdjustment::None,
            "avro" => NameAdjustment::Avro,
            "avro_unicode" => NameAdjustment::AvroUnicode,
            _ => {
                let why = "Value must be one of none, avro, avro_unicode";
                return Err(invalid("schema.name.adjustment.mode", mode, why));
            }
        };
        let key = KeyField {
            name: settings.boolean("key.enforce.uniqueness")?.then(|| name.into()),
            pattern,
            identifiers: TopicMemo::with_capacity(capacity),
            schemas: SchemaCache::new(),
        };
        let (routes, envelopes) = (TopicMemo::with_capacity(capacity), SchemaCache::new());
        Ok(LogicalRouter { regex, replacement, key, names, routes, envelopes })
    }
}

impl Transform for LogicalRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (regex, replacement, names) = (&self.regex, &self.replacement, self.names);
        let topic = self.routes.get(&record.topic, |topic| -> Result<_, ConvertError> {
            let new = route(regex, replacement, topic)?;
            if new.as_deref() == Some("") {
                tracing::warn!(topic, "topic.replacement gives an empty name; the topic stays as it is");
            }
            Ok(new.filter(|new| !new.is_empty()))
        })?;
        let Some(topic) = topic else { return Ok(Some(record)) };
        if !record.key.value.is_null() {
            self.key.change(&mut record.key, &record.topic, &topic, names)?;
        } else {
            record.key = Typed::NULL;
        }
        if let Typed { schema: Some(schema), value } = &mut record.value
            && !value.is_null()
        {
            let make = |schema: &Schema| -> Result<_, ConvertError> {
                Ok(is_envelope(schema).then(|| Renamed::envelope(schema, &topic, names)))
            };
            let known = self.envelopes.get(schema, make)?;
            if let Some(renamed) = known {
                if *renamed.topic != *topic {
                    *renamed = Renamed::envelope(schema, &topic, names);
                }
                *schema = renamed.schema.clone();
            }
        }
        record.topic = topic;
        Ok(Some(record))
    }
}

fn is_envelope(schema: &Schema) -> bool {
    schema.name.as_deref().is_some_and(|name| name.ends_with(".Envelope"))
}

impl KeyField {
    fn change(
        &mut self,
        key: &mut Typed,
        old: &Arc<str>,
        new: &Arc<str>,
        names: NameAdjustment,
    ) -> Result<(), ConvertError> {
        let pattern = &self.pattern;
        let identifier = self.identifiers.get(old, |topic| -> Result<Arc<str>, ConvertError> {
            let replaced = match pattern {
                Some((regex, replacement)) => route(regex, replacement, topic)?,
                None => None,
            };
            Ok(replaced.unwrap_or_else(|| topic.into()))
        })?;
        let name = self.name.as_ref();
        match (&mut key.schema, &mut key.value) {
            (Some(schema), Value::Struct(values)) => {
                let renamed = self.schemas.get(schema, |schema| Renamed::key(schema, new, names, name))?;
                if *renamed.topic != **new {
                    *renamed = Renamed::key(schema, new, names, name)?;
                }
                *schema = renamed.schema.clone();
                if name.is_some() {
                    values.push(Value::String(identifier));
                }
            }
            (None, Value::Map(pairs)) => {
                if let Some(name) = name {
                    let name = Value::String(name.clone());
                    pairs.retain(|(key, _)| *key != name);
                    pairs.push((name, Value::String(identifier)));
                }
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, "Updating schema")),
        }
        Ok(())
    }
}

impl Renamed {
    fn key(
        old: &Schema,
        topic: &Arc<str>,
        names: NameAdjustment,
        added: Option<&Arc<str>>,
    ) -> Result<Renamed, ConvertError> {
        let mut schema = renamed(old, &format!("{topic}.Key"), names);
        if let Some(name) = added {
            if schema.index_of(name).is_some() {
                return Err(duplicate_field(name));
            }
            schema.fields.push(Field { name: name.clone(), schema: Schema::new(Type::String).into() });
        }
        Ok(Renamed { topic: topic.clone(), schema: schema.into() })
    }

    fn envelope(old: &Schema, topic: &Arc<str>, names: NameAdjustment) -> Renamed {
        Renamed { topic: topic.clone(), schema: renamed_envelope(old, topic, names).into() }
    }
}

/// An envelope, and the rows in it, under the names of a topic.
pub(crate) fn renamed_envelope(old: &Schema, topic: &str, names: NameAdjustment) -> Schema {
    let mut schema = renamed(old, &format!("{topic}.Envelope"), names);
    let mut rows: Vec<(SchemaRef, SchemaRef)> = Vec::new();
    for field in schema.fields.iter_mut().filter(|field| matches!(&*field.name, "before" | "after")) {
        // As a rule both are the same, and stay so.
        if let Some((_, new)) = rows.iter().find(|(old, _)| *old == field.schema) {
            field.schema = new.clone();
            continue;
        }
        let new = SchemaRef::new(renamed(&field.schema, &format!("{topic}.Value"), names));
        rows.push((std::mem::replace(&mut field.schema, new.clone()), new));
    }
    schema
}

pub(crate) fn renamed(old: &Schema, name: &str, names: NameAdjustment) -> Schema {
    Schema { name: Some(names.schema_name(name).into()), default: None, ..old.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, envelope, event, map, record, row, shown};

    fn router(options: &[(&str, &str)]) -> LogicalRouter {
        let mut all = vec![("topic.regex", "(.*)\\.shard_\\d+"), ("topic.replacement", "$1.all")];
        all.extend(options);
        LogicalRouter::new(&config(&all), "__dbz__physicalTableIdentifier").unwrap()
    }

    #[test]
    fn shards_come_to_one_topic_and_stay_apart_in_the_key() {
        let mut router =
            router(&[("key.field.name", "shard"), ("key.field.regex", ".*_(\\d+)"), ("key.field.replacement", "$1")]);
        let schema = envelope();
        for shard in ["1", "2", "1"] {
            let mut event = event(&schema, "c", Value::Null, row(1, None, "x"));
            event.topic = format!("s.public.shard_{shard}").into();
            let routed = router.apply(event).unwrap().unwrap();
            assert_eq!(&*routed.topic, "s.public.all");
            assert_eq!(routed.key.schema.as_ref().unwrap().name.as_deref(), Some("s.public.all.Key"));
            assert_eq!(shown(&routed.key), [("id".into(), Value::Int32(1)), ("shard".into(), Value::string(shard))]);
            let schema = routed.value.schema.unwrap();
            assert_eq!((schema.name.as_deref(), schema.version), (Some("s.public.all.Envelope"), Some(2)));
            assert_eq!(schema.fields[1].schema.name.as_deref(), Some("s.public.all.Value"));
            assert!(schema.fields[1].schema.optional);
        }
    }

    #[test]
    fn without_a_pattern_the_old_topic_is_the_identifier() {
        let mut event = event(&envelope(), "d", row(1, None, "x"), Value::Null);
        event.topic = "a.shard_7".into();
        let routed = router(&[]).apply(event).unwrap().unwrap();
        assert_eq!(shown(&routed.key)[1], ("__dbz__physicalTableIdentifier".to_owned(), Value::string("a.shard_7")));
    }

    #[test]
    fn other_topics_null_keys_and_schemaless_records() {
        let mut router = router(&[("key.enforce.uniqueness", "true")]);
        assert_eq!(router.apply(record("a.other")).unwrap().unwrap(), record("a.other"));
        let routed = router.apply(record("a.shard_1")).unwrap().unwrap();
        assert_eq!((&*routed.topic, routed.key), ("a.all", Typed::NULL));
        let mut schemaless = record("a.shard_1");
        schemaless.key = Typed { schema: None, value: map(&[("id", Value::Int64(1))]) };
        let routed = router.apply(schemaless).unwrap().unwrap();
        assert_eq!(shown(&routed.key)[1].1, Value::string("a.shard_1"));
        let mut text = record("a.shard_1");
        text.key = Typed { schema: None, value: Value::string("x") };
        assert!(router.apply(text).is_err());
    }

    #[test]
    fn a_pattern_needs_its_replacement() {
        let options = config(&[("topic.regex", "a"), ("topic.replacement", "b"), ("key.field.regex", "c")]);
        let error = LogicalRouter::new(&options, "x").err().unwrap();
        assert!(error.message.contains("key.field.replacement must be non-empty"), "{error}");
    }
}
