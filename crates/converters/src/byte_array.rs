//! `org.apache.kafka.connect.converters.ByteArrayConverter`: bytes as they are, and nothing else.

use std::sync::Arc;

use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence};
use walspring_record::{Schema, SchemaRef, Type, Typed, Value};

use crate::java::{class_name, type_name};

/// Bytes as they are.
pub struct ByteArrayConverter {
    schema: SchemaRef,
}

impl Default for ByteArrayConverter {
    fn default() -> ByteArrayConverter {
        ByteArrayConverter { schema: Arc::new(Schema::new(Type::Bytes).optional()) }
    }
}

impl ByteArrayConverter {
    fn typed(&self, bytes: Option<&[u8]>) -> Typed {
        Typed::new(self.schema.clone(), bytes.map(Value::bytes).into())
    }
}

/// The bytes of a value; an error of anything else.
pub(crate) fn bytes<'a>(schema: Option<&Schema>, value: &'a Value) -> Result<Option<&'a [u8]>, ConvertError> {
    if let Some(schema) = schema.filter(|s| s.ty != Type::Bytes) {
        let ty = type_name(schema.ty);
        return Err(ConvertError::data(format!("Invalid schema type for ByteArrayConverter: {ty}")));
    }
    match value {
        Value::Null => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes)),
        _ => {
            let class = class_name(schema, value);
            Err(ConvertError::data(format!("ByteArrayConverter is not compatible with objects of type class {class}")))
        }
    }
}

impl Converter for ByteArrayConverter {
    fn encode(
        &self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        Ok(match bytes(schema.map(|s| &**s), value)? {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Presence::Bytes
            }
            None => Presence::Null,
        })
    }

    fn decode(&self, _topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(self.typed(bytes))
    }
}

impl HeaderConverter for ByteArrayConverter {
    fn encode_header(
        &self,
        _topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        Ok(bytes(schema, value)?.map(<[u8]>::to_vec))
    }

    fn decode_header(&self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(self.typed(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_are_taken() {
        let converter = ByteArrayConverter::default();
        let error = |schema: Option<Schema>, value| {
            converter.encode("t", schema.map(Arc::new).as_ref(), &value, &mut Vec::new()).unwrap_err().message
        };
        assert_eq!(
            error(Some(Schema::new(Type::Struct)), Value::Struct(vec![])),
            "Invalid schema type for ByteArrayConverter: STRUCT"
        );
        assert_eq!(
            error(None, Value::string("x")),
            "ByteArrayConverter is not compatible with objects of type class java.lang.String"
        );
        let mut out = Vec::new();
        assert_eq!(converter.encode("t", None, &Value::bytes(*b"ab"), &mut out).unwrap(), Presence::Bytes);
        assert_eq!(converter.encode("t", None, &Value::Null, &mut out).unwrap(), Presence::Null);
        assert_eq!(out, b"ab");
    }
}
