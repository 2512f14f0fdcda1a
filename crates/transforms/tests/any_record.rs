//! Whatever a record holds, a transform changes it or refuses it: it does not panic, and a struct that it makes has one value
//! for each field of its schema, of the field's type.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use walspring_connect::{ConvertError, HypertableCatalog, Hypertables, TableName, Transform};
use walspring_record::{Field, Header, Record, Schema, SchemaRef, Type, Typed, Value};
use walspring_transforms::{timescale, transforms};

/// Names that the configurations below speak of, so that they are met.
const NAMES: [&str; 8] = ["before", "after", "source", "op", "id", "a", "b", "__deleted"];

fn name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&NAMES[..])
}

fn scalar() -> impl Strategy<Value = (Type, Value)> {
    prop_oneof![
        any::<bool>().prop_map(|v| (Type::Boolean, Value::Boolean(v))),
        any::<i8>().prop_map(|v| (Type::Int8, Value::Int8(v))),
        any::<i16>().prop_map(|v| (Type::Int16, Value::Int16(v))),
        any::<i32>().prop_map(|v| (Type::Int32, Value::Int32(v))),
        any::<i64>().prop_map(|v| (Type::Int64, Value::Int64(v))),
        any::<f32>().prop_map(|v| (Type::Float32, Value::Float32(v))),
        any::<f64>().prop_map(|v| (Type::Float64, Value::Float64(v))),
        "[a-z0-9:. -]{0,12}|2024-02-29 13:14:15|-?[0-9]{1,25}".prop_map(|v| (Type::String, Value::string(v))),
        vec(any::<u8>(), 0..12).prop_map(|v| (Type::Bytes, Value::bytes(v))),
    ]
}

/// A schema and a value of it; some have a meaning of their own, a default, or are null.
fn leaf() -> impl Strategy<Value = (SchemaRef, Value)> {
    (scalar(), any::<bool>(), any::<bool>(), any::<bool>(), 0..60i32).prop_map(
        |((ty, value), optional, null, default, scale)| {
            let mut schema = Schema::new(ty).with_optional(optional);
            if scale % 2 == 0 {
                schema = match ty {
                    Type::Bytes => schema
                        .named("org.apache.kafka.connect.data.Decimal")
                        .parameter("scale", (scale - 30).to_string()),
                    Type::Int32 => schema.named("org.apache.kafka.connect.data.Date"),
                    Type::Int64 => schema.named("org.apache.kafka.connect.data.Timestamp"),
                    _ => schema,
                };
            }
            let schema = schema.with_default(default.then(|| value.clone()));
            (schema.into(), if optional && null { Value::Null } else { value })
        },
    )
}

fn typed() -> impl Strategy<Value = (SchemaRef, Value)> {
    leaf().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            (vec((name(), inner.clone()), 0..6), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
                |(fields, envelope, optional, null)| {
                    let (mut schema, mut values) = (Schema::new(Type::Struct).with_optional(optional), Vec::new());
                    if envelope {
                        schema = schema.named("s.t.Envelope");
                    }
                    for (name, (field, value)) in fields {
                        if schema.index_of(name).is_none() {
                            schema.fields.push(Field { name: name.into(), schema: field });
                            values.push(value);
                        }
                    }
                    let value = if optional && null { Value::Null } else { Value::Struct(values) };
                    (SchemaRef::new(schema), value)
                }
            ),
            vec(inner.clone(), 0..3).prop_map(|items| {
                let schema =
                    items.first().map_or_else(|| Schema::new(Type::Int32).into(), |(schema, _)| schema.clone());
                let values = items.into_iter().filter(|(other, _)| *other == schema).map(|(_, value)| value).collect();
                (SchemaRef::new(Schema::array(schema)), Value::Array(values))
            }),
        ]
    })
}

fn schemaless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), scalar().prop_map(|(_, value)| value)];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((name(), inner.clone()), 0..6)
                .prop_map(|pairs| Value::Map(pairs.into_iter().map(|(k, v)| (Value::string(k), v)).collect())),
            vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
        ]
    })
}

fn side() -> impl Strategy<Value = Typed> {
    prop_oneof![
        typed().prop_map(|(schema, value)| Typed::new(schema, value)),
        schemaless().prop_map(|value| Typed { schema: None, value }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let header = (name(), side()).prop_map(|(name, value)| Header { name: name.into(), value });
    ("[a-z.]{0,12}", option::of(0..3i32), side(), side(), vec(header, 0..3), option::of(any::<i64>())).prop_map(
        |(topic, partition, key, value, headers, timestamp_ms)| Record {
            topic: topic.into(),
            partition,
            key,
            value,
            headers,
            timestamp_ms,
        },
    )
}

/// Each class with options that reach most of it; those of others do no harm.
const OPTIONS: &[&[(&str, &str)]] = &[
    &[
        ("delete.tombstone.handling.mode", "rewrite-with-tombstone"),
        ("add.fields", "op,source.a,before.b:was"),
        ("add.headers", "op,id"),
        ("drop.fields.header.name", "a"),
        ("drop.fields.from.key", "true"),
        ("drop.fields.keep.schema.compatible", "false"),
        ("route.by.field", "b"),
        ("topic.regex", "[a-m]+(.*)"),
        ("topic.replacement", "x$1"),
        ("regex", "(.*)\\.(.*)"),
        ("replacement", "$2"),
        ("header", "h"),
        ("value.literal", "[1]"),
        ("spec", "id:string,a:int8,b:float64"),
        ("headers", "h,i"),
        ("fields", "id,a"),
        ("operation", "move"),
        ("field", "a"),
        ("topic.field", "topic"),
        ("static.field", "b"),
        ("static.value", "v"),
        ("exclude", "id"),
        ("renames", "a:b"),
        ("schema.name", "n"),
        ("target.type", "string"),
        ("format", "yyyy-MM-dd HH:mm:ss G w W D F E u k K X"),
    ],
    &[
        ("field", ""),
        ("topic.regex", ".*"),
        ("topic.replacement", "all"),
        ("regex", ".*"),
        ("replacement", "42"),
        ("header", "h"),
        ("value.literal", "x"),
        ("spec", "int64"),
        ("headers", "h"),
        ("fields", "b"),
        ("operation", "copy"),
        ("timestamp.field", "at!"),
        ("include", "a,b"),
        ("schema.version", "3"),
        ("target.type", "Time"),
        ("unix.precision", "nanoseconds"),
        ("format", "yyyy-MM-dd"),
    ],
    &[
        ("delete.tombstone.handling.mode", "drop"),
        ("field", "after.source.a"),
        ("field.syntax.version", "V2"),
        ("spec", "string"),
        ("target.type", "unix"),
        ("unix.precision", "seconds"),
        ("format", "yyyyMMddHHmmssSSS"),
        ("topic.regex", "b.*"),
        ("topic.replacement", "c"),
        ("fields", "op,source"),
        ("replacement", "no number"),
        ("partition.field", "p?"),
        ("schema.name", "m"),
    ],
];

/// A struct has what its schema says, all the way down.
fn conforms(schema: &Schema, value: &Value) -> bool {
    match (schema.ty, value) {
        (_, Value::Null) => true,
        (Type::Struct, Value::Struct(values)) => {
            values.len() == schema.fields.len()
                && schema.fields.iter().zip(values).all(|(field, value)| conforms(&field.schema, value))
        }
        (Type::Array, Value::Array(values)) => {
            values.iter().all(|value| schema.items.as_ref().is_none_or(|items| conforms(items, value)))
        }
        (ty, Value::Boolean(_)) => ty == Type::Boolean,
        (ty, Value::Int8(_)) => ty == Type::Int8,
        (ty, Value::Int16(_)) => ty == Type::Int16,
        (ty, Value::Int32(_)) => ty == Type::Int32,
        (ty, Value::Int64(_)) => ty == Type::Int64,
        (ty, Value::Float32(_)) => ty == Type::Float32,
        (ty, Value::Float64(_)) => ty == Type::Float64,
        (ty, Value::String(_)) => ty == Type::String,
        (ty, Value::Bytes(_)) => ty == Type::Bytes,
        (ty, Value::Map(_)) => ty == Type::Map,
        (_, Value::Struct(_) | Value::Array(_)) => false,
    }
}

/// Tables that records may name, as chunks of one another.
struct Catalog;

impl HypertableCatalog for Catalog {
    fn read(&mut self) -> Result<Hypertables, ConvertError> {
        let (a, b) = (TableName::new("a", "b"), TableName::new("b", "a"));
        Ok(Hypertables {
            chunks: vec![(a.clone(), b.clone())],
            numbers: vec![(1, b.clone())],
            aggregates: vec![(b, a)],
        })
    }
}

fn transform(class: &str, options: &[(String, String)]) -> Result<Box<dyn Transform>, ConvertError> {
    match class.ends_with(".TimescaleDb") {
        true => timescale(options, Box::new(Catalog)),
        false => walspring_transforms::transform("type", class, options),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_record_is_too_odd(records in vec(record(), 1..4)) {
        for options in OPTIONS {
            let options: Vec<(String, String)> =
                options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            for class in transforms() {
                let Ok(mut transform) = transform(class, &options) else { continue };
                for record in &records {
                    let Ok(Some(changed)) = transform.apply(record.clone()) else { continue };
                    for typed in [&changed.key, &changed.value].into_iter().chain(changed.headers.iter().map(|h| &h.value)) {
                        if let Some(schema) = &typed.schema {
                            prop_assert!(conforms(schema, &typed.value), "{class}: {schema:?} {:?}", typed.value);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_class_is_reached() {
    for class in transforms() {
        let made = OPTIONS.iter().any(|options| {
            let options: Vec<(String, String)> =
                options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            transform(class, &options).is_ok()
        });
        assert!(made, "{class}");
    }
}
