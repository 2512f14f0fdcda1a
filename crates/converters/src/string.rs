//! `org.apache.kafka.connect.storage.StringConverter`: `toString()` of whatever comes.

use std::sync::Arc;

use walspring_connect::{ConvertError, Converter, HeaderConverter, Presence};
use walspring_record::{Schema, SchemaRef, Type, Typed, Value};

use crate::java::write_to_string;
use crate::options::Config;

const SERIALIZATION_EXCEPTION: &str = "org.apache.kafka.common.errors.SerializationException";

/// Values as text.
pub struct StringConverter {
    encoding: Encoding,
    schema: SchemaRef,
}

/// Java's names of encodings that text is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Latin1,
    Ascii,
    Utf16,
    Utf16Le,
    Utf16Be,
}

impl StringConverter {
    /// From the converter's properties, without their prefix: `converter.encoding`.
    pub fn from_config(config: &[(String, String)]) -> Result<StringConverter, ConvertError> {
        let name = Config(config).get("converter.encoding").unwrap_or("UTF-8").to_owned();
        let encoding = match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => Encoding::Utf8,
            "ISO-8859-1" | "ISO8859_1" | "LATIN1" => Encoding::Latin1,
            "US-ASCII" | "ASCII" => Encoding::Ascii,
            "UTF-16" | "UTF16" => Encoding::Utf16,
            "UTF-16LE" => Encoding::Utf16Le,
            "UTF-16BE" => Encoding::Utf16Be,
            _ => {
                let message = format!("Unsupported encoding {name}");
                return Err(ConvertError { class: SERIALIZATION_EXCEPTION, message });
            }
        };
        Ok(StringConverter { encoding, schema: Arc::new(Schema::new(Type::String).optional()) })
    }

    fn text(&self, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Presence {
        if value.is_null() {
            return Presence::Null;
        }
        let start = out.len();
        write_to_string(schema, value, out);
        if self.encoding != Encoding::Utf8 {
            let text = String::from_utf8_lossy(&out[start..]).into_owned();
            out.truncate(start);
            self.encoding.write(&text, out);
        }
        Presence::Bytes
    }

    fn typed(&self, bytes: Option<&[u8]>) -> Typed {
        let value = bytes.map(|b| Value::string(self.encoding.read(b)));
        Typed::new(self.schema.clone(), value.into())
    }
}

impl Encoding {
    fn write(self, text: &str, out: &mut Vec<u8>) {
        let byte = |limit: u32| move |c: char| if (c as u32) < limit { c as u8 } else { b'?' };
        match self {
            Encoding::Utf8 => out.extend_from_slice(text.as_bytes()),
            Encoding::Latin1 => out.extend(text.chars().map(byte(0x100))),
            Encoding::Ascii => out.extend(text.chars().map(byte(0x80))),
            Encoding::Utf16 => {
                out.extend_from_slice(&[0xFE, 0xFF]);
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Encoding::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Encoding::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
    }

    /// What cannot be read becomes U+FFFD.
    fn read(self, bytes: &[u8]) -> String {
        let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| {
            let (units, rest) = bytes.as_chunks::<2>();
            let mut text: String = char::decode_utf16(units.iter().map(|u| of(*u)))
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            text.extend((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER));
            text
        };
        match self {
            Encoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Encoding::Latin1 => bytes.iter().map(|b| char::from(*b)).collect(),
            Encoding::Ascii => {
                bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER }).collect()
            }
            Encoding::Utf16 => match bytes {
                [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
                [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
                _ => wide(bytes, u16::from_be_bytes),
            },
            Encoding::Utf16Le => wide(bytes, u16::from_le_bytes),
            Encoding::Utf16Be => wide(bytes, u16::from_be_bytes),
        }
    }
}

impl Converter for StringConverter {
    fn encode(
        &self,
        _topic: &str,
        schema: Option<&SchemaRef>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<Presence, ConvertError> {
        Ok(self.text(schema.map(|s| &**s), value, out))
    }

    fn decode(&self, _topic: &str, bytes: Option<&[u8]>) -> Result<Typed, ConvertError> {
        Ok(self.typed(bytes))
    }
}

impl HeaderConverter for StringConverter {
    fn encode_header(
        &self,
        _topic: &str,
        _name: &str,
        schema: Option<&Schema>,
        value: &Value,
    ) -> Result<Option<Vec<u8>>, ConvertError> {
        let mut out = Vec::new();
        Ok(match self.text(schema, value, &mut out) {
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

    fn text(schema: Option<Schema>, value: Value) -> Option<String> {
        let mut out = Vec::new();
        let converter = StringConverter::from_config(&[]).unwrap();
        let presence = converter.encode("t", schema.map(Arc::new).as_ref(), &value, &mut out).unwrap();
        (presence == Presence::Bytes).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_printed_as_java_prints_them() {
        let map = Schema::map(Schema::new(Type::Int32), Schema::new(Type::String).optional()).optional();
        let schema = Schema::new(Type::Struct)
            .field("ar", Schema::array(map))
            .field("f", Schema::new(Type::Float32))
            .field("b", Schema::new(Type::Bytes).optional());
        let maps = vec![Value::Map(vec![(Value::Int32(2), Value::Null)]), Value::Null];
        let value = Value::Struct(vec![Value::Array(maps), Value::Null, Value::bytes([1, 2])]);
        assert_eq!(
            text(Some(schema), value).unwrap(),
            "Struct{ar=[{2=null}, null],b=java.nio.HeapByteBuffer[pos=0 lim=2 cap=2]}"
        );
        let decimal = Schema::new(Type::Bytes).named(crate::java::logical::DECIMAL).parameter("scale", "10");
        assert_eq!(text(Some(decimal), Value::bytes([1])).unwrap(), "1E-10");
        let timestamp = Schema::new(Type::Int64).named(crate::java::logical::TIMESTAMP);
        assert_eq!(text(Some(timestamp), Value::Int64(1_700_000_000_123)).unwrap(), "Tue Nov 14 22:13:20 UTC 2023");
        assert_eq!(text(None, Value::Float64(1e10)).unwrap(), "1.0E10");
        assert_eq!(text(Some(Schema::new(Type::String).optional()), Value::Null), None);
    }

    #[test]
    fn other_encodings_are_written_and_read() {
        for (name, bytes) in [
            ("ISO-8859-1", &b"a\xE9?"[..]),
            ("US-ASCII", b"a??"),
            ("UTF-16", b"\xFE\xFF\0a\0\xE9 \xAC"),
            ("UTF-16LE", b"a\0\xE9\0\xAC "),
        ] {
            let converter =
                StringConverter::from_config(&[("converter.encoding".to_owned(), name.to_owned())]).unwrap();
            let mut out = Vec::new();
            converter.encode("t", None, &Value::string("aé€"), &mut out).unwrap();
            assert_eq!(out, bytes, "{name}");
            let read = converter.decode("t", Some(bytes)).unwrap().value;
            assert!(matches!(&read, Value::String(s) if s.starts_with('a')));
        }
        let error =
            StringConverter::from_config(&[("converter.encoding".to_owned(), "nope".to_owned())]).err().unwrap();
        assert_eq!(error.message, "Unsupported encoding nope");
    }
}
