//! `org.apache.kafka.connect.transforms.HoistField`: the whole key or value as the one field of a struct or map.

use std::sync::Arc;

use walspring_config::tables::transforms::HOIST_FIELD;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Field, Record, Schema, SchemaRef, Type, Typed, Value};

use crate::row::Side;
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct HoistField {
    side: Side,
    field: Arc<str>,
    schemas: SchemaCache<SchemaRef>,
}

impl HoistField {
    pub fn new(config: &[(String, String)], side: Side) -> Result<HoistField, ConvertError> {
        let field = Settings::new(HOIST_FIELD, config).required("field")?.into();
        Ok(HoistField { side, field, schemas: SchemaCache::new() })
    }
}

impl Transform for HoistField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let typed = self.side.of(&mut record);
        let value = std::mem::replace(&mut typed.value, Value::Null);
        *typed = match &typed.schema {
            None => Typed { schema: None, value: Value::Map(vec![(Value::String(self.field.clone()), value)]) },
            Some(schema) => {
                let make = |_: &Schema| {
                    let field = Field { name: self.field.clone(), schema: schema.clone() };
                    Ok::<_, ConvertError>(SchemaRef::new(Schema { fields: vec![field], ..Schema::new(Type::Struct) }))
                };
                let hoisted = self.schemas.get(schema, make)?.clone();
                Typed::new(hoisted, Value::Struct(vec![value]))
            }
        };
        Ok(Some(record))
    }
}
