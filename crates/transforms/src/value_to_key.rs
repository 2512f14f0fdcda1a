//! `org.apache.kafka.connect.transforms.ValueToKey`: a key made of fields of the value.

use walspring_config::tables::transforms::VALUE_TO_KEY;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, Record, Schema, SchemaRef, Type, Typed, Value};

use crate::error::no_struct;
use crate::row::{Defaults, Side, defaults, entry, fill};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

const PURPOSE: &str = "copying fields from value to key";

pub(crate) struct ValueToKey {
    fields: Vec<String>,
    replace_nulls: bool,
    keys: SchemaCache<Key>,
}

struct Key {
    schema: SchemaRef,
    places: Vec<usize>,
    defaults: Defaults,
}

impl ValueToKey {
    pub fn new(config: &[(String, String)]) -> Result<ValueToKey, ConvertError> {
        let settings = Settings::new(VALUE_TO_KEY, config);
        let fields = settings.names("fields")?;
        Ok(ValueToKey {
            fields,
            replace_nulls: settings.boolean("replace.null.with.default")?,
            keys: SchemaCache::new(),
        })
    }
}

impl Transform for ValueToKey {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (fields, replace_nulls) = (&self.fields, self.replace_nulls);
        let typed = Side::Value.of(&mut record);
        record.key = match (&typed.schema, &mut typed.value) {
            (Some(schema), Value::Struct(values)) => {
                let key = self.keys.get(schema, |schema| Key::of(schema, fields, replace_nulls))?;
                let mut of_key: Vec<Value> = key.places.iter().map(|at| values[*at].clone()).collect();
                fill(&mut of_key, &key.defaults);
                Typed::new(key.schema.clone(), Value::Struct(of_key))
            }
            (None, Value::Map(pairs)) => {
                let mut of_key = |name: &String| entry(pairs, name).map_or(Value::Null, |value| value.clone());
                let pairs = fields.iter().map(|name| (Value::string(name.as_str()), of_key(name))).collect();
                Typed { schema: None, value: Value::Map(pairs) }
            }
            (schema, value) => return Err(no_struct(schema.as_deref(), value, PURPOSE)),
        };
        Ok(Some(record))
    }
}

impl Key {
    fn of(value: &Schema, names: &[String], replace_nulls: bool) -> Result<Key, ConvertError> {
        let place = |name: &String| {
            value.index_of(name).ok_or_else(|| ConvertError::data(format!("Field does not exist: {name}")))
        };
        let places = names.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        let fields: Vec<Field> = places.iter().map(|at| value.fields[*at].clone()).collect();
        let defaults = defaults(&fields, replace_nulls);
        Ok(Key { schema: Schema { fields, ..Schema::new(Type::Struct) }.into(), places, defaults })
    }
}
