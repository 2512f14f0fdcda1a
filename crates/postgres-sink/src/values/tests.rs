//! What a test on a server does not reach: types of extensions that may be missing there, and values from hostile hands.

use proptest::prelude::*;
use walspring_record::{Schema, Type, Value};

use super::*;
use crate::config::{Decimals, TimePrecision};

fn reading() -> Reading {
    let declared =
        Declared { time: Some(TimePrecision::Adaptive), decimal: Some(Decimals::Precise), binary: Some(Binary::Hex) };
    Reading { declared, utc: true }
}

#[track_caller]
fn check(target: &Target, schema: Option<&Schema>, value: Value, expected: &str) {
    let mut out = Vec::new();
    match reading().write(target, schema, &value, &mut out) {
        Ok(()) => assert_eq!(String::from_utf8_lossy(&out), expected),
        Err(error) => assert_eq!(error.0, expected),
    }
}

fn object(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::string(*name), value.clone())).collect())
}

#[test]
fn geometries_of_postgis_are_ewkb() {
    let wkb = [&[1u8, 1, 0, 0, 0][..], &1.0f64.to_le_bytes(), &2.0f64.to_le_bytes()].concat();
    let point = |srid: Value| object(&[("wkb", Value::bytes(wkb.clone())), ("srid", srid)]);
    let rest = "000000000000F03F0000000000000040";
    check(&Target::Geometry, None, point(Value::Null), &format!("0101000000{rest}"));
    check(&Target::Geometry, None, point(Value::Int64(4326)), &format!("0101000020E6100000{rest}"));
}

#[test]
fn vectors() {
    let numbers = Value::Array(vec![Value::Float64(1.5), Value::Int64(-2)]);
    check(&Target::Vector, None, numbers, "[1.5,-2]");
    let pairs = Value::Array(vec![
        Value::Array(vec![Value::Int64(1), Value::Float64(1.5)]),
        Value::Array(vec![Value::Int64(3), Value::Float64(2.0)]),
    ]);
    let sparse = object(&[("dimensions", Value::Int64(5)), ("vector", pairs)]);
    check(&Target::SparseVector, None, sparse, "{1:1.5,3:2}/5");
}

#[test]
fn decimals_of_any_scale() {
    let decimal =
        |scale: &str| Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal").parameter("scale", scale);
    let target = Target::Numeric { scale: None };
    for (scale, bytes, expected) in [
        ("3", &[5u8][..], "0.005"),
        ("-2", &[5], "500"),
        ("0", &[0xff], "-1"),
        ("1", &[0xff], "-0.1"),
        ("2", &[0x80], "-1.28"),
        ("0", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "340282366920938463463374607431768211456"),
    ] {
        check(&target, Some(&decimal(scale)), Value::bytes(bytes), expected);
    }
    check(&target, Some(&decimal("99999")), Value::bytes(&[1u8][..]), "a decimal is out of what a numeric can hold");
}

#[test]
fn bits_have_the_length_of_their_column() {
    let bits = |bytes: &[u8]| Value::bytes(bytes.to_vec());
    check(&Target::Bit { length: 10 }, None, bits(&[5, 2]), "1000000101");
    check(&Target::Bit { length: 3 }, None, bits(&[]), "000");
    check(&Target::VarBit, None, bits(&[5]), "101");
    check(&Target::Bit { length: 2 }, None, bits(&[5]), "the value has 3 bits, the column 2");
}

#[test]
fn declared_units_follow_the_column() {
    for (precision, expected) in [(3, "1970-01-01 00:00:01.500"), (6, "1970-01-01 00:00:00.001500")] {
        check(&Target::Timestamp { precision }, None, Value::Int64(1500), expected);
    }
    check(&Target::Numeric { scale: Some(2) }, None, Value::string("D54="), "39.98");
    check(&Target::Bytea, None, Value::string("DEadbeef"), "\\xdeadbeef");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<f64>().prop_map(Value::Float64),
        ".{0,20}".prop_map(Value::string),
        "[-+]?[0-9]{1,22}-[0-9]{2}-[0-9]{2}[TZ]?".prop_map(Value::string),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Value::bytes),
    ];
    let name = prop_oneof![
        Just("year"),
        Just("month"),
        Just("day"),
        Just("hour"),
        Just("seconds"),
        Just("scale"),
        Just("value"),
        Just("wkb"),
        Just("srid"),
        Just("x"),
        Just("y"),
        Just("dimensions"),
        Just("vector"),
        Just("years"),
        Just("months"),
        Just("days"),
        Just("nanos"),
        Just("offsetSeconds"),
    ];
    leaf.prop_recursive(3, 16, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name.clone().prop_map(Value::string), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_panics(value in any_value(), at in 0usize..30, semantic in 0usize..12) {
        let names = ["bool", "int4", "float8", "numeric", "money", "text", "bytea", "date", "time", "timetz", "timestamp",
            "timestamptz", "interval", "jsonb", "bit", "varbit", "hstore", "geometry", "point", "line", "lseg", "box",
            "path", "polygon", "circle", "vector", "sparsevec", "uuid", "xml"];
        let target = match names.get(at) {
            Some(name) => Target::of(name, 3),
            None => Target::Array(Box::new(Target::of("timestamp", 3))),
        };
        let schemas = ["io.debezium.time.Date", "io.debezium.time.MicroTime", "io.debezium.time.NanoTimestamp",
            "io.debezium.time.Timestamp", "io.debezium.time.MicroDuration", "org.apache.kafka.connect.data.Decimal",
            "io.debezium.data.VariableScaleDecimal", "io.debezium.data.Bits", "io.debezium.time.ZonedTimestamp"];
        let schema = schemas.get(semantic).map(|name| Schema::new(Type::Bytes).named(*name).parameter("scale", "2"));
        for declared in [Declared::default(), reading().declared] {
            let reading = Reading { declared, utc: false };
            let _ = reading.write(&target, schema.as_ref(), &value, &mut Vec::new());
        }
    }
}
