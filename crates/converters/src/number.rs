//! The converters of single values in Java's big-endian form: Boolean, Short, Integer, Long, Float, Double.

use std::sync::Arc;

use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence};
use walspring_record::{Schema, SchemaRef, Type, Typed, Value};

use crate::java::{class_name, type_name};

/// One value of a fixed size.
pub struct NumberConverter {
    schema: SchemaRef,
}

impl NumberConverter {
    /// Of `Boolean`, `Int16`, `Int32`, `Int64`, `Float32` or `Float64`.
    pub fn new(ty: Type) -> NumberConverter {
        NumberConverter { schema: Arc::new(Schema::new(ty).optional()) }
    }

    /// As the error texts call it, and its size.
    fn kind(&self) -> (&'static str, &'static str, usize) {
        match self.schema.ty {
            Type::Boolean => ("boolean", "BooleanDeserializer", 1),
            Type::Int16 => ("short", "ShortDeserializer", 2),
            Type::Int32 => ("integer", "IntegerDeserializer", 4),
            Type::Int64 => ("long", "LongDeserializer", 8),
            Type::Float32 => ("float", "Deserializer", 4),
            _ => ("double", "Deserializer", 8),
        }
    }

    fn write(&self, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<Presence, ConvertError> {
        if let Some(schema) = schema.filter(|s| self.schema.ty == Type::Boolean && s.ty != Type::Boolean) {
            let ty = type_name(schema.ty);
            return Err(ConvertError::data(format!("Invalid schema type for BooleanConverter: {ty}")));
        }
        match (self.schema.ty, value) {
            (_, Value::Null) => return Ok(Presence::Null),
            (Type::Boolean, Value::Boolean(v)) => out.push(u8::from(*v)),
            (Type::Int16, Value::Int16(v)) => out.extend_from_slice(&v.to_be_bytes()),
            (Type::Int32, Value::Int32(v)) => out.extend_from_slice(&v.to_be_bytes()),
            (Type::Int64, Value::Int64(v)) => out.extend_from_slice(&v.to_be_bytes()),
            (Type::Float32, Value::Float32(v)) => {
                let v = if v.is_nan() { f32::from_bits(0x7FC0_0000) } else { *v };
                out.extend_from_slice(&v.to_be_bytes());
            }
            // Java has one NaN on the wire (`doubleToLongBits`).
            (Type::Float64, Value::Float64(v)) => {
                let v = if v.is_nan() { f64::from_bits(0x7FF8_0000_0000_0000) } else { *v };
                out.extend_from_slice(&v.to_be_bytes());
            }
            _ => {
                let (name, class) = (self.kind().0, class_name(schema, value));
                return Err(ConvertError::data(match self.schema.ty {
                    Type::Boolean => format!("BooleanConverter is not compatible with objects of type class {class}"),
                    _ => format!("Failed to serialize to {name} (was class {class}): "),
                }));
            }
        }
        Ok(Presence::Bytes)
    }

    fn read(&self, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        let Some(bytes) = bytes else { return Ok(Typed::new(self.schema.clone(), Value::Null)) };
        let (name, deserializer, size) = self.kind();
        let value = match (self.schema.ty, bytes) {
            (Type::Boolean, [0]) => Some(Value::Boolean(false)),
            (Type::Boolean, [1]) => Some(Value::Boolean(true)),
            (Type::Boolean, [b]) => {
                return Err(ConvertError::data(format!(
                    "Failed to deserialize boolean: Unexpected byte received by BooleanDeserializer: {b}"
                )));
            }
            (Type::Int16, _) => bytes.try_into().ok().map(|b| Value::Int16(i16::from_be_bytes(b))),
            (Type::Int32, _) => bytes.try_into().ok().map(|b| Value::Int32(i32::from_be_bytes(b))),
            (Type::Int64, _) => bytes.try_into().ok().map(|b| Value::Int64(i64::from_be_bytes(b))),
            (Type::Float32, _) => bytes.try_into().ok().map(|b| Value::Float32(f32::from_be_bytes(b))),
            (Type::Float64, _) => bytes.try_into().ok().map(|b| Value::Float64(f64::from_be_bytes(b))),
            _ => None,
        };
        match value {
            Some(value) => Ok(Typed::new(self.schema.clone(), value)),
            None => Err(ConvertError::data(format!(
                "Failed to deserialize {name}: Size of data received by {deserializer} is not {size}"
            ))),
        }
    }
}

impl Converter for NumberConverter {
    fn encode(
        &self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        self.write(schema.map(|s| &**s), value, out)
    }

    fn decode(&self, _topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        self.read(bytes)
    }
}

impl HeaderConverter for NumberConverter {
    fn encode_header(
        &self,
        _topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let mut out = Vec::new();
        Ok(match self.write(schema, value, &mut out)? {
            Presence::Null => None,
            Presence::Bytes => Some(out),
        })
    }

    fn decode_header(&self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        self.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian() {
        let double = NumberConverter::new(Type::Float64);
        let mut out = Vec::new();
        // As recorded: 1.5 and NaN.
        double.encode("t", None, &Value::Float64(1.5), &mut out).unwrap();
        double.encode("t", None, &Value::Float64(-f64::NAN), &mut out).unwrap();
        assert_eq!(out, *b"\x3f\xf8\0\0\0\0\0\0\x7f\xf8\0\0\0\0\0\0");
        assert_eq!(double.decode("t", Some(&out[..8])).unwrap().value, Value::Float64(1.5));
        let error = double.encode("t", None, &Value::string("x"), &mut out).unwrap_err();
        assert_eq!(error.message, "Failed to serialize to double (was class java.lang.String): ");
        let integer = NumberConverter::new(Type::Int32);
        let error = integer.decode("t", Some(b"x")).unwrap_err();
        assert_eq!(
            error.message,
            "Failed to deserialize integer: Size of data received by IntegerDeserializer is not 4"
        );
        let boolean = NumberConverter::new(Type::Boolean);
        assert_eq!(boolean.decode("t", Some(&[1])).unwrap().value, Value::Boolean(true));
        assert!(boolean.decode("t", Some(&[2])).is_err());
        assert!(boolean.encode("t", Some(&Arc::new(Schema::new(Type::Int8))), &Value::Null, &mut out).is_err());
    }
}
