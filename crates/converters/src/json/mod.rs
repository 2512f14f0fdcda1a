//! `org.apache.kafka.connect.json.JsonConverter`.
//!
//! Encoding goes straight to text: there is no tree of JSON between a value and its bytes. Text is spelled as Jackson spells
//! it (`text.rs`); the envelope's schema is text that is made once per schema.

mod decode;
mod names;
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
mod tests {
    use super::*;
    use walspring_record::Type;

    fn converter(options: &[(&str, &str)]) -> JsonConverter {
        let options: Vec<_> = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        JsonConverter::from_config(&options).unwrap()
    }

    fn encoded(converter: &JsonConverter, schema: Option<Schema>, value: Value) -> Result<String, String> {
        let mut out = Vec::new();
        match converter.encode("t", schema.map(Arc::new).as_ref(), &value, &mut out) {
            Ok(Presence::Bytes) => Ok(String::from_utf8(out).unwrap()),
            Ok(Presence::Null) => Ok("absent".to_owned()),
            Err(e) => {
                assert!(out.is_empty());
                Err(e.message)
            }
        }
    }

    /// All expected texts in these tests were printed by the original.
    #[test]
    fn the_envelope_is_spelled_as_connect_spells_it() {
        let map = Schema::map(Schema::new(Type::Int32), Schema::new(Type::String).optional())
            .named("m")
            .versioned(3)
            .documented("d\"oc")
            .parameter("z", "1")
            .parameter("a", "2")
            .optional()
            .with_default(Some(Value::Map(vec![(Value::Int32(1), Value::string("x"))])));
        let schema = Schema::new(Type::Struct)
            .named("s")
            .field("ar", Schema::array(map))
            .field("f", Schema::new(Type::Float32).with_default(Some(Value::Float32(1.5))))
            .field("b", Schema::new(Type::Bytes).optional().with_default(Some(Value::bytes([1, 2, 3]))))
            .field("em😀", Schema::new(Type::Int8).optional());
        let maps = vec![Value::Map(vec![(Value::Int32(2), Value::Null)]), Value::Null];
        let value = Value::Struct(vec![Value::Array(maps), Value::Null, Value::Null, Value::Int8(1)]);
        let expected = concat!(
            r#"{"schema":{"type":"struct","fields":[{"type":"array","items":{"type":"map","keys":{"type":"int32","#,
            r#""optional":false},"values":{"type":"string","optional":true},"optional":true,"name":"m","version":3,"#,
            r#""doc":"d\"oc","parameters":{"z":"1","a":"2"},"default":[[1,"x"]]},"optional":false,"field":"ar"},"#,
            r#"{"type":"float","optional":false,"default":1.5,"field":"f"},{"type":"bytes","optional":true,"default":"#,
            r#""AQID","field":"b"},{"type":"int8","optional":true,"field":"em\uD83D\uDE00"}],"optional":false,"#,
            r#""name":"s"},"payload":{"ar":[[[2,null]],[[1,"x"]]],"f":1.5,"b":"AQID","em\uD83D\uDE00":1}}"#
        );
        let text = encoded(&converter(&[]), Some(schema.clone()), value.clone()).unwrap();
        assert_eq!(text, expected);
        let typed = converter(&[]).decode("t", Some(text.as_bytes())).unwrap();
        assert_eq!(*typed.schema.unwrap(), schema);
        let bare = converter(&[("schemas.enable", "false"), ("replace.null.with.default", "false")]);
        assert!(encoded(&bare, Some(schema), value).unwrap_err().starts_with("Conversion error: null value"));
    }

    #[test]
    fn nulls_and_values_without_a_schema() {
        let (enveloped, bare) = (converter(&[]), converter(&[("schemas.enable", "false")]));
        let optional = || Some(Schema::new(Type::Int32).optional());
        assert_eq!(encoded(&enveloped, None, Value::Null).unwrap(), "absent");
        assert_eq!(encoded(&bare, optional(), Value::Null).unwrap(), "null");
        assert_eq!(
            encoded(&enveloped, optional(), Value::Null).unwrap(),
            r#"{"schema":{"type":"int32","optional":true},"payload":null}"#
        );
        assert_eq!(encoded(&enveloped, None, Value::string("x")).unwrap(), r#"{"schema":null,"payload":"x"}"#);
        let map = |key| Value::Map(vec![(key, Value::Null)]);
        assert_eq!(encoded(&bare, None, map(Value::string("a"))).unwrap(), r#"{"a":null}"#);
        assert_eq!(encoded(&bare, None, map(Value::Int64(1))).unwrap(), "[[1,null]]");
        assert_eq!(encoded(&bare, None, Value::Float64(f64::NAN)).unwrap(), "\"NaN\"");
        for (schema, value, message) in [
            (Schema::new(Type::Int32), Value::string("x"), "Invalid type for INT32: class java.lang.String"),
            (Schema::new(Type::Bytes), Value::Int32(1), "Invalid type for bytes type: class java.lang.Integer"),
            (
                Schema::new(Type::Int32).named(crate::java::logical::DATE),
                Value::Int64(1),
                "Invalid type for Date, expected Date but was class java.lang.Long",
            ),
            (Schema::new(Type::Struct), Value::Struct(vec![Value::Null]), "Mismatching schema."),
        ] {
            assert_eq!(encoded(&bare, Some(schema), value).unwrap_err(), message);
        }
    }

    #[test]
    fn decimals_are_base64_or_numbers() {
        let schema = || Some(Schema::new(Type::Bytes).named(crate::java::logical::DECIMAL).parameter("scale", "2"));
        let bare = converter(&[("schemas.enable", "false")]);
        let numeric = converter(&[("schemas.enable", "false"), ("decimal.format", "numeric")]);
        assert_eq!(encoded(&bare, schema(), Value::bytes([0x80])).unwrap(), "\"gA==\"");
        assert_eq!(encoded(&bare, schema(), Value::bytes([0xFF, 0x80])).unwrap(), "\"gA==\"");
        assert_eq!(encoded(&numeric, schema(), Value::bytes([0x80])).unwrap(), "-1.28");
        assert!(JsonConverter::from_config(&[("decimal.format".to_owned(), "x".to_owned())]).is_err());
    }

    #[test]
    fn what_a_consumer_reads_is_checked_as_connect_checks_it() {
        let (enveloped, bare) = (converter(&[]), converter(&[("schemas.enable", "false")]));
        let decimal = r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}"#;
        for (schema, payload, message) in [
            ("{}", "1", "Schema must contain 'type' field"),
            (r#"{"type":"x"}"#, "1", "Unknown schema type: x"),
            (r#"{"type":"array"}"#, "1", "Array schema did not specify the element type"),
            (r#"{"type":"map"}"#, "1", "Map schema did not specify the key type"),
            (r#"{"type":"struct"}"#, "1", "Struct schema's \"fields\" argument is not an array."),
            (
                r#"{"type":"struct","fields":[{"type":"int8"}]}"#,
                "1",
                "Struct schema's field name not specified properly",
            ),
            (r#"{"type":"struct","fields":[]}"#, "1", "Structs should be encoded as JSON objects, but found NUMBER"),
            (r#"{"type":"int32"}"#, "null", "Invalid null value for required INT32 field"),
            (r#"{"type":"bytes"}"#, r#""!!""#, "Invalid bytes field"),
            (
                r#"{"type":"struct","fields":[{"type":"string","field":"a"}]}"#,
                r#"{"a":1}"#,
                "Invalid value: null used for required field: \"a\", schema type: STRING",
            ),
            (
                r#"{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}}"#,
                "[[1]]",
                "Found invalid map entry, expected length 2 but found :1",
            ),
            (
                decimal,
                "true",
                "Invalid type for Decimal, underlying representation should be numeric or bytes but was BOOLEAN",
            ),
        ] {
            let text = format!("{{\"schema\":{schema},\"payload\":{payload}}}");
            assert_eq!(enveloped.decode("t", Some(text.as_bytes())).unwrap_err().message, message, "{text}");
        }
        for text in ["", "{}", r#"{"schema":{"type":"int32"},"payload":1,"x":1}"#] {
            let message = enveloped.decode("t", Some(text.as_bytes())).unwrap_err().message;
            assert!(
                message.starts_with("JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields")
            );
        }
        for (schema, payload, value) in [
            (r#"{"type":"int32"}"#, r#""x""#, Value::Int32(0)),
            (r#"{"type":"int8"}"#, "1000", Value::Int8(-24)),
            (r#"{"type":"int64"}"#, "123456789012345678901234567890", Value::Int64(-4_362_896_299_872_285_998)),
            (r#"{"type":"int64"}"#, "1.9", Value::Int64(1)),
            (r#"{"type":"double"}"#, "1", Value::Float64(1.0)),
            (r#"{"type":"boolean"}"#, "1", Value::Boolean(false)),
            (r#"{"type":"bytes"}"#, r#""AQI=""#, Value::bytes([1, 2])),
            (decimal, r#""AQ==""#, Value::bytes([1])),
            (decimal, "1.5", Value::bytes([0, 150])),
            ("null", "1", Value::Int64(1)),
        ] {
            let text = format!("{{\"schema\":{schema},\"payload\":{payload}}}");
            assert_eq!(enveloped.decode("t", Some(text.as_bytes())).unwrap().value, value, "{text}");
        }
        assert_eq!(bare.decode("t", None).unwrap(), Typed::NULL);
        assert_eq!(bare.decode("t", Some(b"")).unwrap(), Typed::NULL);
        assert!(
            bare.decode("t", Some(b"{"))
                .unwrap_err()
                .message
                .starts_with("Converting byte[] to Kafka Connect data failed")
        );
        let fixed = converter(&[("schema.content", r#"{"type":"int16"}"#)]);
        assert_eq!(fixed.decode("t", Some(b"7")).unwrap().value, Value::Int16(7));
    }

    #[test]
    fn a_schema_that_was_read_before_is_the_same_one() {
        let converter = converter(&[("schemas.cache.size", "1")]);
        let read = |ty: &str| {
            let text = format!("{{\"schema\":{{\"type\":\"{ty}\"}},\"payload\":1}}");
            converter.decode("t", Some(text.as_bytes())).unwrap().schema.unwrap()
        };
        let first = read("int8");
        assert!(Arc::ptr_eq(&first, &read("int8")));
        read("int16");
        assert_eq!(first, read("int8"));
    }
}
