//! Records, a task on a server, and what the server holds.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use walspring_connect::{
    Origin, Outcome, Progress, PutError, SinkPlugin, SinkRecord, SinkTask, SinkTaskContext, StopToken,
};
use walspring_record::{Header, Schema, Type, Typed, Value};
use walspring_redis_sink::RedisSinkPlugin;

pub const PLACEHOLDER: &str = "__debezium_unavailable_value";

pub fn config(uri: &str, options: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [("redis.uri", uri), ("redis.timeout", "10")].into_iter().chain(options.iter().copied());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub fn task(uri: &str, options: &[(&str, &str)]) -> Box<dyn SinkTask> {
    struct Quiet;
    impl Progress for Quiet {
        fn waiting(&self, _: Option<String>) {}
        fn gauge(&self, _: &'static str, _: f64) {}
        fn add(&self, _: &'static str, _: u64) {}
    }
    let context = SinkTaskContext {
        connector: "cache".into(),
        task: 0,
        group: "connect-cache".into(),
        config: config(uri, options),
        stop: StopToken::default(),
        progress: Arc::new(Quiet),
    };
    RedisSinkPlugin::new().start(context).unwrap_or_else(|e| panic!("{e}"))
}

pub fn check(uri: &str, options: &[(&str, &str)]) -> Vec<(String, String)> {
    RedisSinkPlugin::new().check(&config(uri, options))
}

pub fn put(task: &mut dyn SinkTask, records: &[SinkRecord]) -> Result<Vec<Outcome>, PutError> {
    let mut outcomes = Vec::new();
    task.put(records, &mut outcomes)?;
    assert_eq!(outcomes.len(), records.len());
    Ok(outcomes)
}

pub fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(k, v)| (Value::string(*k), v.clone())).collect())
}

pub fn schemaless(value: Value) -> Typed {
    Typed { schema: None, value }
}

pub fn record(key: Typed, value: Typed) -> SinkRecord {
    let topic: Arc<str> = "shop.public.booking".into();
    let origin = Origin { topic: topic.clone(), partition: 0, kafka_offset: 0 };
    SinkRecord { topic, key, value, headers: Vec::new(), timestamp_ms: Some(0), origin }
}

/// A schemaless envelope.
pub fn event(op: &str, id: i64, before: Value, after: Value) -> SinkRecord {
    let source = map(&[("lsn", Value::Int64(1))]);
    let value = map(&[("before", before), ("after", after), ("source", source), ("op", Value::string(op))]);
    record(schemaless(map(&[("id", Value::Int64(id))])), schemaless(value))
}

pub fn tombstone(id: i64) -> SinkRecord {
    record(schemaless(map(&[("id", Value::Int64(id))])), Typed::NULL)
}

/// A flat record with schemas.
pub fn flat(id: i32, fields: &[(&str, Schema, Value)]) -> SinkRecord {
    let key = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32)).named("shop.public.booking.Key");
    let mut schema = Schema::new(Type::Struct).field("id", Schema::new(Type::Int32)).named("shop.public.booking.Value");
    let mut values = vec![Value::Int32(id)];
    for (name, of, value) in fields {
        schema = schema.field(*name, of.clone());
        values.push(value.clone());
    }
    record(
        Typed::new(key.into(), Value::Struct(vec![Value::Int32(id)])),
        Typed::new(schema.into(), Value::Struct(values)),
    )
}

pub fn with_header(mut record: SinkRecord, name: &str, value: Value) -> SinkRecord {
    record.headers.push(Header { name: name.into(), value: schemaless(value) });
    record
}

pub struct Client(redis::Connection);

impl Client {
    pub fn new(uri: &str) -> Client {
        Client(redis::Client::open(uri).unwrap().get_connection().unwrap())
    }

    /// What a command answers.
    pub fn ask(&mut self, command: &str) -> redis::Value {
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            cmd.arg(word);
        });
        cmd.query(&mut self.0).unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        redis::cmd("GET").arg(key).query(&mut self.0).unwrap()
    }

    pub fn hash(&mut self, key: &str) -> BTreeMap<String, String> {
        redis::cmd("HGETALL").arg(key).query(&mut self.0).unwrap()
    }

    pub fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut self.0).unwrap();
        keys.sort();
        keys
    }

    pub fn expiry(&mut self, key: &str) -> i64 {
        redis::cmd("TTL").arg(key).query(&mut self.0).unwrap()
    }

    /// Every key with its type and contents.
    pub fn state(&mut self) -> BTreeMap<String, String> {
        let keys = self.keys();
        let each = keys.into_iter().map(|key| {
            let kind: String = redis::cmd("TYPE").arg(&key).query(&mut self.0).unwrap();
            let contents = match &*kind {
                "hash" => format!("{:?}", self.hash(&key)),
                "set" => {
                    let mut members: Vec<String> = redis::cmd("SMEMBERS").arg(&key).query(&mut self.0).unwrap();
                    members.sort();
                    format!("{members:?}")
                }
                _ => self.text(&key).unwrap_or_default(),
            };
            (key, contents)
        });
        each.collect()
    }
}
