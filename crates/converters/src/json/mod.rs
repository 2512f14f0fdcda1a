//! `org.apache.kafka.connect.json.JsonConverter`.
//!
//! Encoding goes straight to text: there is no tree of JSON between a value and its bytes. Text is spelled as Jackson spells
//! it (`text.rs`); the envelope's schema is text that is made once per schema.

mod decode;
mod parse;
mod row_encoder;
mod schema;
mod text;
mod tree;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence, RowEncoder, Side};
use walspring_record::{RecordPlan, Schema, SchemaRef, Typed, Value};

use crate::options::{self, Config};

/// The options of the converter.
#[derive(Debug, Clone)]
pub struct JsonOptions {
    /// `schemas.enable`: `{"schema":…,"payload":…}`.
    pub schemas: bool,
    /// `schemas.cache.size`: how many schemas' texts are kept.
    pub cache_size: usize,
    /// `decimal.format=NUMERIC`, not `BASE64`.
    pub numeric_decimals: bool,
    /// `replace.null.with.default`.
    pub replace_null: bool,
    /// `schema.content`: the schema of everything that is decoded.
    pub content: Option<SchemaRef>,
}

impl Default for JsonOptions {
    fn default() -> JsonOptions {
        JsonOptions { schemas: true, cache_size: 1000, numeric_decimals: false, replace_null: true, content: None }
    }
}

/// By address; the schema is held, so that its address stays its own.
type Envelopes = HashMap<usize, (SchemaRef, Arc<[u8]>)>;

/// Values as JSON, with or without their schema beside them.
pub struct JsonConverter {
    options: JsonOptions,
    envelopes: RwLock<Envelopes>,
    /// By their JSON text.
    decoded: RwLock<HashMap<Box<[u8]>, SchemaRef>>,
}

impl JsonConverter {
    pub fn new(options: JsonOptions) -> JsonConverter {
        JsonConverter { options, envelopes: RwLock::default(), decoded: RwLock::default() }
    }

    /// From the converter's properties, without their prefix.
    pub fn from_config(config: &[(String, String)]) -> Result<JsonConverter, ConvertError> {
        let config = Config(config);
        let mut options = JsonOptions {
            schemas: config.boolean("schemas.enable", true)?,
            cache_size: config.integer("schemas.cache.size", 1000)?.max(0) as usize,
            numeric_decimals: match config.get("decimal.format").map(str::to_ascii_uppercase).as_deref() {
                None | Some("BASE64") => false,
                Some("NUMERIC") => true,
                Some(_) => {
                    let value = config.get("decimal.format").unwrap_or_default();
                    let message = "String must be one of (case insensitive): NUMERIC, BASE64";
                    return Err(options::invalid("decimal.format", value, message));
                }
            },
            replace_null: config.boolean("replace.null.with.default", true)?,
            content: None,
        };
        if let Some(text) = config.get("schema.content").filter(|t| !t.is_empty()) {
            let json = parse::parse(text.as_bytes()).map_err(|e| {
                ConvertError::data(format!(
                    "Failed to parse schema in converter config due to serialization error: {e}"
                ))
            })?;
            options.content = decode::schema(&json, &options)?;
        }
        Ok(JsonConverter::new(options))
    }

    pub fn options(&self) -> &JsonOptions {
        &self.options
    }

    fn write(&self, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        tree::write(&self.options, schema, value, out)
    }

    /// `{"schema":…,"payload":`
    fn envelope(&self, schema: &SchemaRef) -> Result<Arc<[u8]>, ConvertError> {
        let address = Arc::as_ptr(schema) as usize;
        if let Some((_, text)) = self.envelopes.read().unwrap_or_else(|e| e.into_inner()).get(&address) {
            return Ok(text.clone());
        }
        let text: Arc<[u8]> = schema::envelope(&self.options, Some(schema))?.into();
        let mut envelopes = self.envelopes.write().unwrap_or_else(|e| e.into_inner());
        if envelopes.len() >= self.options.cache_size {
            envelopes.clear();
        }
        if self.options.cache_size > 0 {
            envelopes.insert(address, (schema.clone(), text.clone()));
        }
        Ok(text)
    }

    fn decode_bytes(&self, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        let Some(bytes) = bytes else { return Ok(Typed::NULL) };
        let (json, schema_text) = parse::parse_envelope(bytes).map_err(|e| {
            let message = "Converting byte[] to Kafka Connect data failed due to serialization error: ";
            ConvertError::data(format!("{message}{e}"))
        })?;
        if !self.options.schemas {
            return Ok(Typed { schema: None, value: decode::value(None, Some(&json), &self.options)? });
        }
        if let Some(schema) = &self.options.content {
            return Ok(Typed::new(schema.clone(), decode::value(Some(schema), Some(&json), &self.options)?));
        }
        let (Some(schema), Some(payload), 2) = (json.get("schema"), json.get("payload"), json.len()) else {
            return Err(ConvertError::data(
                "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain \
                 additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
                 converter configuration.",
            ));
        };
        let schema = self.decoded_schema(schema, schema_text.unwrap_or_default())?;
        let value = decode::value(schema.as_deref(), Some(payload), &self.options)?;
        Ok(Typed { schema, value })
    }

    /// The same schema for the same text, so that what is cached by schema further on finds it again.
    fn decoded_schema(&self, json: &parse::Json<'_>, text: &[u8]) -> Result<Option<SchemaRef>, ConvertError> {
        if let Some(schema) = self.decoded.read().unwrap_or_else(|e| e.into_inner()).get(text) {
            return Ok(Some(schema.clone()));
        }
        let schema = decode::schema(json, &self.options)?;
        if let Some(schema) = schema.as_ref().filter(|_| self.options.cache_size > 0) {
            let mut decoded = self.decoded.write().unwrap_or_else(|e| e.into_inner());
            if decoded.len() >= self.options.cache_size {
                decoded.clear();
            }
            decoded.insert(text.into(), schema.clone());
        }
        Ok(schema)
    }
}

impl Converter for JsonConverter {
    fn encode(
        &self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        if schema.is_none() && value.is_null() {
            return Ok(Presence::Null);
        }
        let start = out.len();
        if self.options.schemas {
            match schema {
                Some(schema) => out.extend_from_slice(&self.envelope(schema)?),
                None => out.extend_from_slice(b"{\"schema\":null,\"payload\":"),
            }
        }
        if let Err(e) = self.write(schema.map(|s| &**s), value, out) {
            out.truncate(start);
            return Err(e);
        }
        if self.options.schemas {
            out.push(b'}');
        }
        Ok(Presence::Bytes)
    }

    fn decode(&self, _topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        self.decode_bytes(bytes)
    }

    fn row_encoder(&self, plan: &Arc<RecordPlan>, side: Side) -> Option<Box<dyn RowEncoder>> {
        row_encoder::compile(&self.options, plan, side)
    }
}

impl HeaderConverter for JsonConverter {
    fn encode_header(
        &self,
        _topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        if schema.is_none() && value.is_null() {
            return Ok(None);
        }
        let mut out = if self.options.schemas { schema::envelope(&self.options, schema)? } else { Vec::new() };
        self.write(schema, value, &mut out)?;
        if self.options.schemas {
            out.push(b'}');
        }
        Ok(Some(out))
    }

    fn decode_header(&self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        self.decode_bytes(bytes)
    }
}

#[cfg(test)]
mod tests;
