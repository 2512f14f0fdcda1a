//! `io.debezium.converters.BinaryDataConverter`, formerly `ByteArrayConverter`: bytes as they are, everything else through a
//! converter named by `delegate.converter.type`.

use std::sync::Arc;

use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence, RowEncoder, Side};
use walspring_record::{RecordPlan, Schema, SchemaRef, Type, Typed, Value};

use crate::options::Config;
use crate::registry;

const DELEGATE: &str = "delegate.converter.type";

/// Bytes as they are; what is no bytes by another converter.
pub struct BinaryDataConverter {
    delegate: Option<Box<dyn Converter>>,
    schema: SchemaRef,
}

impl BinaryDataConverter {
    /// From the converter's properties, without their prefix: `delegate.converter.type`, and below it the delegate's own.
    pub fn from_config(side: Side, config: &[(String, String)]) -> Result<BinaryDataConverter, ConvertError> {
        let delegate = match Config(config).get(DELEGATE).filter(|class| !class.is_empty()) {
            Some(class) => {
                let own = |(n, v): &(String, String)| {
                    let name = n.strip_prefix(DELEGATE)?.strip_prefix('.')?;
                    Some((name.to_owned(), v.clone()))
                };
                let config: Vec<_> = config.iter().filter_map(own).collect();
                Some(registry::converter(class, side, &config)?)
            }
            None => None,
        };
        Ok(BinaryDataConverter { delegate, schema: Arc::new(Schema::new(Type::Bytes).optional()) })
    }

    fn typed(&self, bytes: Option<&[u8]>) -> Typed {
        Typed::new(self.schema.clone(), bytes.map(Value::bytes).into())
    }
}

impl Converter for BinaryDataConverter {
    fn encode(
        &self,
        topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        let is_bytes = schema.is_none_or(|s| s.ty == Type::Bytes);
        match (value, &self.delegate) {
            (Value::Null, _) if is_bytes => Ok(Presence::Null),
            (Value::Bytes(bytes), _) if is_bytes => {
                out.extend_from_slice(bytes);
                Ok(Presence::Bytes)
            }
            (_, Some(delegate)) => delegate.encode(topic, schema, value, out),
            // The original prints the value itself in place of its class.
            (_, None) => {
                let class = crate::java::class_name(schema.map(|s| &**s), value);
                Err(ConvertError::data(format!("A {topic} of type '{class}' requires a {DELEGATE} to be configured")))
            }
        }
    }

    fn decode(&self, _topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(self.typed(bytes))
    }

    /// Keys and envelopes are structs.
    fn row_encoder(&self, plan: &Arc<RecordPlan>, side: Side) -> Option<Box<dyn RowEncoder>> {
        self.delegate.as_ref()?.row_encoder(plan, side)
    }
}

impl HeaderConverter for BinaryDataConverter {
    fn encode_header(
        &self,
        topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let mut out = Vec::new();
        let schema = schema.map(|s| Arc::new(s.clone()));
        Ok(match self.encode(topic, schema.as_ref(), value, &mut out)? {
            Presence::Null => None,
            Presence::Bytes => Some(out),
        })
    }

    fn decode_header(&self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(self.typed(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bytes_goes_to_the_delegate() {
        let config = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        let schema = Arc::new(Schema::new(Type::Struct).field("id", Schema::new(Type::Int32)));
        let value = Value::Struct(vec![Value::Int32(1)]);
        let mut out = Vec::new();
        let alone = BinaryDataConverter::from_config(Side::Value, &[]).unwrap();
        assert!(alone.encode("t", Some(&schema), &value, &mut out).is_err());
        assert_eq!(alone.encode("t", None, &Value::Null, &mut out).unwrap(), Presence::Null);
        let config = config(&[
            ("delegate.converter.type", "org.apache.kafka.connect.json.JsonConverter"),
            ("delegate.converter.type.schemas.enable", "false"),
        ]);
        let both = BinaryDataConverter::from_config(Side::Value, &config).unwrap();
        both.encode("t", Some(&schema), &value, &mut out).unwrap();
        both.encode("t", None, &Value::bytes(*b"!"), &mut out).unwrap();
        assert_eq!(out, b"{\"id\":1}!");
    }
}
