//! How fast records go through, for docs/transforms.md: `cargo test --release -p walspring-transforms -- --ignored
//! --nocapture speed`. One core; making the event is not counted.

use std::time::{Duration, Instant};

use walspring_connect::Transform;
use walspring_record::{Record, SchemaRef, Typed, Value};

use crate::registry::transform;
use crate::testing::{config, envelope, event, row};

const RECORDS: usize = 1_000_000;
const BATCH: usize = 1000;

fn measure(name: &str, class: &str, options: &[(&str, &str)], make: impl Fn() -> Record) {
    let mut transform: Box<dyn Transform> = transform("type", class, &config(options)).unwrap();
    let mut took = Duration::ZERO;
    for _ in 0..RECORDS / BATCH {
        let batch: Vec<Record> = (0..BATCH).map(|_| make()).collect();
        let mut done = Vec::with_capacity(BATCH);
        let start = Instant::now();
        for record in batch {
            done.extend(transform.apply(record).unwrap());
        }
        took += start.elapsed();
        assert_eq!(done.len(), BATCH);
    }
    println!("{name:60} {:>12.0} records/s", RECORDS as f64 / took.as_secs_f64());
}

fn schemaless(typed: &Typed) -> Value {
    fn plain(schema: &SchemaRef, value: &Value) -> Value {
        match value {
            Value::Struct(values) => Value::Map(
                schema
                    .fields
                    .iter()
                    .zip(values)
                    .map(|(field, value)| (Value::String(field.name.clone()), plain(&field.schema, value)))
                    .collect(),
            ),
            other => other.clone(),
        }
    }
    plain(typed.schema.as_ref().unwrap(), &typed.value)
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    const UNWRAP: &str = "io.debezium.transforms.ExtractNewRecordState";
    let schema = envelope();
    let create = || event(&schema, "c", Value::Null, row(1, Some(2), "a text of a few words"));
    let maps = || {
        let record = create();
        Record { value: Typed { schema: None, value: schemaless(&record.value) }, ..record }
    };
    let rewrite =
        [("delete.tombstone.handling.mode", "rewrite"), ("add.fields", "op,source.lsn"), ("add.headers", "op,table")];
    measure("unwrap", UNWRAP, &[], create);
    measure("unwrap, rewrite, 2 fields and 2 headers added", UNWRAP, &rewrite, create);
    measure("unwrap, schemaless", UNWRAP, &[], maps);
    measure("unwrap, schemaless, rewrite, 2 fields and 2 headers added", UNWRAP, &rewrite, maps);
    let router = "org.apache.kafka.connect.transforms.RegexRouter";
    measure("RegexRouter", router, &[("regex", "([^.]+)\\.(.*)"), ("replacement", "$2")], create);
    let logical = "io.debezium.transforms.ByLogicalTableRouter";
    measure("ByLogicalTableRouter", logical, &[("topic.regex", "(.*)t"), ("topic.replacement", "$1all")], create);
    let replace = "org.apache.kafka.connect.transforms.ReplaceField$Key";
    measure("ReplaceField$Key", replace, &[("renames", "id:key")], create);
}
