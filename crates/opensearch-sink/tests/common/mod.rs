//! Tasks as the runtime would start them, and records as it would hand them over.
#![allow(dead_code)] // each test file uses its part

pub mod fake;

use std::sync::Arc;

use walspring_connect::{
    Origin, Outcome, Progress, PutError, SinkPlugin, SinkRecord, SinkTask, SinkTaskContext, StopToken,
};
use walspring_opensearch_sink::{ElasticsearchSinkPlugin, OpenSearchSinkPlugin};
use walspring_record::{Schema, Typed, Value};

struct NoProgress;

impl Progress for NoProgress {
    fn waiting(&self, _what: Option<String>) {}
    fn gauge(&self, _name: &'static str, _value: f64) {}
    fn add(&self, _name: &'static str, _by: u64) {}
}

pub struct Started {
    pub task: Box<dyn SinkTask>,
    pub stop: StopToken,
}

pub fn start(url: &str, options: &[(&str, &str)]) -> Started {
    start_class(&OpenSearchSinkPlugin::new(), url, options)
}

pub fn start_elasticsearch(url: &str, options: &[(&str, &str)]) -> Started {
    start_class(&ElasticsearchSinkPlugin::new(), url, options)
}

fn start_class(plugin: &dyn SinkPlugin, url: &str, options: &[(&str, &str)]) -> Started {
    // The machine is shared: three seconds may pass without an answer.
    let given = [("connection.url", url), ("read.timeout.ms", "30000")];
    let config: Vec<_> = given.iter().chain(options).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(plugin.check(&config), []);
    let stop = StopToken::default();
    let context = SinkTaskContext {
        connector: "c".to_owned(),
        task: 0,
        group: "connect-c".to_owned(),
        config,
        stop: stop.clone(),
        progress: Arc::new(NoProgress),
    };
    Started { task: plugin.start(context).unwrap(), stop }
}

impl Started {
    pub fn put(&mut self, records: &[SinkRecord]) -> Result<Vec<Outcome>, PutError> {
        let mut outcomes = Vec::new();
        self.task.put(records, &mut outcomes).map(|()| outcomes)
    }

    #[track_caller]
    pub fn put_all(&mut self, records: &[SinkRecord]) -> Vec<Outcome> {
        self.put(records).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

pub fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::string(*name), value.clone())).collect())
}

pub fn schemaless(value: Value) -> Typed {
    Typed { schema: None, value }
}

/// A flat record with the key `{"id":…}`, without schemas. Null is a tombstone.
pub fn flat(topic: &str, offset: i64, id: i64, value: Value) -> SinkRecord {
    record(topic, offset, schemaless(map(&[("id", Value::Int64(id))])), schemaless(value))
}

pub fn record(topic: &str, offset: i64, key: Typed, value: Typed) -> SinkRecord {
    SinkRecord {
        topic: topic.into(),
        key,
        value,
        headers: Vec::new(),
        timestamp_ms: Some(0),
        origin: Origin { topic: topic.into(), partition: 0, kafka_offset: offset },
    }
}

/// A record with schemas, as an envelope. `after` and `before` are values of the row's schema, or null.
pub fn envelope(topic: &str, offset: i64, row: &Schema, op: &str, before: Value, after: Value) -> SinkRecord {
    let schema = envelope_schema(row);
    let id = if after.is_null() { &before } else { &after };
    let Value::Struct(values) = id else { panic!("a row") };
    let key_schema =
        Schema::new(walspring_record::Type::Struct).field(row.fields[0].name.clone(), row.fields[0].schema.clone());
    let key = Typed::new(key_schema.into(), Value::Struct(vec![values[0].clone()]));
    record(topic, offset, key, Typed::new(schema, Value::Struct(vec![before, after, Value::string(op)])))
}

pub fn envelope_schema(row: &Schema) -> Arc<Schema> {
    let row = row.clone().optional();
    Schema::new(walspring_record::Type::Struct)
        .field("before", row.clone())
        .field("after", row)
        .field("op", Schema::new(walspring_record::Type::String))
        .named("s.public.t.Envelope")
        .into()
}
