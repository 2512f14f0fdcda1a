//! `org.apache.kafka.connect.transforms.SetSchemaMetadata`: another name or version for the schema of a key or value.

use std::sync::Arc;

use walspring_config::tables::transforms::SET_SCHEMA_METADATA;
use walspring_connect::{ConvertError, Transform};
use walspring_record::{Record, Schema, SchemaRef, Typed, Value};

use crate::error::config;
use crate::row::{Defaults, Side, defaults, fill};
use crate::schema_cache::SchemaCache;
use crate::settings::Settings;

pub(crate) struct SetSchemaMetadata {
    side: Side,
    name: Option<Arc<str>>,
    version: Option<i32>,
    replace_nulls: bool,
    schemas: SchemaCache<(SchemaRef, Defaults)>,
}

impl SetSchemaMetadata {
    pub fn new(given: &[(String, String)], side: Side) -> Result<SetSchemaMetadata, ConvertError> {
        let settings = Settings::new(SET_SCHEMA_METADATA, given);
        let name = settings.text("schema.name").map(Into::into);
        let version = settings.text("schema.version").map(|_| settings.integer("schema.version")).transpose()?;
        if name.is_none() && version.is_none() {
            return Err(config("Neither schema name nor version configured"));
        }
        let replace_nulls = settings.boolean("replace.null.with.default")?;
        Ok(SetSchemaMetadata { side, name, version, replace_nulls, schemas: SchemaCache::new() })
    }
}

impl Transform for SetSchemaMetadata {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, ConvertError> {
        let (name, version, replace_nulls) = (&self.name, self.version, self.replace_nulls);
        match self.side.of(&mut record) {
            Typed { schema: None, value: Value::Null } => {}
            Typed { schema: None, .. } => {
                return Err(ConvertError::data("Schema required for [updating schema metadata]"));
            }
            Typed { schema: Some(schema), value } => {
                let make = |old: &Schema| {
                    let (name, version) = (name.clone().or(old.name.clone()), version.or(old.version));
                    let schema = Schema { name, version, ..old.clone() };
                    Ok::<_, ConvertError>((schema.into(), defaults(&old.fields, replace_nulls)))
                };
                let (new, defaults) = &*self.schemas.get(schema, make)?;
                if let Value::Struct(values) = value {
                    fill(values, defaults);
                }
                *schema = new.clone();
            }
        }
        Ok(Some(record))
    }
}
