//! A finished span as bytes. Attributes are most of a span, and they are written straight from where they are: by way of
//! messages of their own, each with strings on the heap, a span costs 4 µs instead of 2.6.

use opentelemetry::{KeyValue, Value};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_proto::transform::common::tonic::Attributes;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

const ATTRIBUTES_FIELD: u32 = 9;
const KEY_FIELD: u32 = 1;
const VALUE_FIELD: u32 = 2;
const STRING_FIELD: u32 = 1;
const BOOL_FIELD: u32 = 2;
const INT_FIELD: u32 = 3;

/// Appends the span as a field of the message around it.
pub fn encode(field: u32, mut span: SpanData, into: &mut Vec<u8>) {
    let attributes = std::mem::take(&mut span.attributes);
    let attributes: Vec<Attribute<'_>> = attributes.iter().map(Attribute::new).collect();
    // Fields may be in any order.
    let rest = proto::Span::from(span);
    let length = rest.encoded_len() + attributes.iter().map(|attribute| message_len(attribute.length)).sum::<usize>();
    begin(field, length, into);
    rest.encode_raw(into);
    attributes.iter().for_each(|attribute| attribute.encode(into));
}

/// A `KeyValue`, measured.
struct Attribute<'a> {
    length: usize,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Plain {
        key: &'a str,
        value: Plain<'a>,
        value_length: usize,
    },
    /// Something rarer, as the message.
    Other(common::KeyValue),
}

enum Plain<'a> {
    String(&'a str),
    Bool(bool),
    Int(i64),
}

impl<'a> Attribute<'a> {
    fn new(attribute: &'a KeyValue) -> Attribute<'a> {
        let value = match &attribute.value {
            Value::String(text) => Plain::String(text.as_str()),
            Value::Bool(bool) => Plain::Bool(*bool),
            Value::I64(number) => Plain::Int(*number),
            _ => {
                let message = Attributes::from([attribute.clone()]).0.pop().unwrap_or_default();
                return Attribute { length: message.encoded_len(), kind: Kind::Other(message) };
            }
        };
        let key = attribute.key.as_str();
        let value_length = 1 + match value {
            Plain::String(text) => encoded_len_varint(text.len() as u64) + text.len(),
            Plain::Bool(_) => 1,
            Plain::Int(number) => encoded_len_varint(number as u64),
        };
        let length = message_len_of(key.len(), KEY_FIELD) + message_len_of(value_length, VALUE_FIELD);
        Attribute { length, kind: Kind::Plain { key, value, value_length } }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        begin(ATTRIBUTES_FIELD, self.length, into);
        match &self.kind {
            Kind::Other(message) => message.encode_raw(into),
            Kind::Plain { key, value, value_length } => {
                begin(KEY_FIELD, key.len(), into);
                into.extend_from_slice(key.as_bytes());
                begin(VALUE_FIELD, *value_length, into);
                match value {
                    Plain::String(text) => {
                        begin(STRING_FIELD, text.len(), into);
                        into.extend_from_slice(text.as_bytes());
                    }
                    Plain::Bool(bool) => {
                        encode_key(BOOL_FIELD, WireType::Varint, into);
                        into.push(u8::from(*bool));
                    }
                    Plain::Int(number) => {
                        encode_key(INT_FIELD, WireType::Varint, into);
                        encode_varint(*number as u64, into);
                    }
                }
            }
        }
    }
}

/// What an attribute of this length takes in the span.
fn message_len(length: usize) -> usize {
    message_len_of(length, ATTRIBUTES_FIELD)
}

fn message_len_of(length: usize, field: u32) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

fn begin(field: u32, length: usize, into: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, into);
    encode_varint(length as u64, into);
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
    use opentelemetry::{Array, InstrumentationScope};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use proptest::prelude::*;

    use super::*;

    fn span(attributes: Vec<KeyValue>) -> SpanData {
        let state = TraceState::from_key_value([("a", "b")]).unwrap();
        let (trace, span) = (TraceId::from(7), SpanId::from(8));
        SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state),
            parent_span_id: SpanId::from(9),
            parent_span_is_remote: true,
            span_kind: SpanKind::Consumer,
            name: "process t".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: 1,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error("what"),
            instrumentation_scope: InstrumentationScope::default(),
        }
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Around {
        #[prost(message, repeated, tag = "2")]
        spans: Vec<proto::Span>,
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<Vec<i64>>().prop_map(|numbers| Value::Array(Array::I64(numbers))),
        ]
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_message(
            attributes in proptest::collection::vec(("[a-z.]{1,200}", value()), 0..8),
        ) {
            let attributes: Vec<_> = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
            let span = span(attributes);
            let mut bytes = Vec::new();
            encode(2, span.clone(), &mut bytes);
            let decoded = Around::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(decoded.encode_to_vec(), Around { spans: vec![span.into()] }.encode_to_vec());
        }
    }
}
