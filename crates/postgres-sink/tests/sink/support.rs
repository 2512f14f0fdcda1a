//! Records from JSON as the converter reads them, and a task on a database of the test's own.

use std::sync::{Arc, Mutex};

use walspring_connect::{
    Origin, Outcome, Progress, PutError, Side, SinkPlugin, SinkRecord, SinkTask, SinkTaskContext, StopToken, TaskError,
};
use walspring_postgres_sink::PostgresSinkPlugin;
use walspring_record::Typed;
use walspring_testkit::{TempDatabase, postgres};

pub const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

#[derive(Default)]
pub struct Waits(Mutex<Vec<Option<String>>>);

impl Waits {
    pub fn all(&self) -> Vec<Option<String>> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Waits {
    fn waiting(&self, what: Option<String>) {
        self.0.lock().unwrap().push(what);
    }

    fn gauge(&self, _: &'static str, _: f64) {}

    fn add(&self, _: &'static str, _: u64) {}
}

/// On PostgreSQL 15, or the version that WALSPRING_TEST_PG_MAJOR names.
pub fn database() -> TempDatabase {
    let major = std::env::var("WALSPRING_TEST_PG_MAJOR").ok().and_then(|major| major.parse().ok());
    postgres(major.unwrap_or(15)).database()
}

pub fn jdbc(db: &TempDatabase) -> String {
    let server = db.server();
    format!("jdbc:postgresql://{}:{}/{}?user=postgres", server.host(), server.port(), db.name())
}

/// Upserts by the record's key, with deletes; no origin, since tests share one server.
pub fn upserts() -> Vec<(&'static str, &'static str)> {
    vec![
        ("insert.mode", "upsert"),
        ("primary.key.mode", "record_key"),
        ("delete.enabled", "true"),
        ("collection.name.format", "t"),
        ("walspring.sink.origin", "none"),
    ]
}

pub fn config(db: &TempDatabase, base: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut config = vec![("connection.url".to_owned(), jdbc(db))];
    for (name, value) in base.iter().chain(more) {
        config.retain(|(other, _)| other != name);
        config.push((name.to_string(), value.to_string()));
    }
    config
}

pub fn start_with(config: Vec<(String, String)>, connector: &str) -> Result<Box<dyn SinkTask>, TaskError> {
    start_watched(config, connector, Arc::new(Waits::default()))
}

pub fn start_watched(
    config: Vec<(String, String)>,
    connector: &str,
    progress: Arc<Waits>,
) -> Result<Box<dyn SinkTask>, TaskError> {
    PostgresSinkPlugin::new().start(SinkTaskContext {
        connector: connector.to_owned(),
        task: 0,
        group: format!("connect-{connector}"),
        config,
        stop: StopToken::default(),
        progress,
    })
}

#[track_caller]
pub fn start(db: &TempDatabase, more: &[(&str, &str)]) -> Box<dyn SinkTask> {
    start_with(config(db, &upserts(), more), "sink").unwrap()
}

/// As JsonConverter reads it; a schema is there where the text has one.
#[track_caller]
pub fn decode(json: Option<&str>) -> Typed {
    let schemas = json.is_some_and(|json| json.trim_start().starts_with("{\"schema\""));
    let config = [("schemas.enable".to_owned(), schemas.to_string())];
    let converter = walspring_converters::converter(JSON, Side::Value, &config).unwrap();
    converter.decode("topic", json.map(str::as_bytes)).unwrap()
}

#[track_caller]
pub fn record(topic: &str, offset: i64, key: Option<&str>, value: Option<&str>) -> SinkRecord {
    SinkRecord {
        topic: topic.into(),
        key: decode(key),
        value: decode(value),
        headers: Vec::new(),
        timestamp_ms: Some(1_700_000_000_000),
        origin: Origin { topic: topic.into(), partition: 0, kafka_offset: offset },
    }
}

/// Schemaless records of the topic `s.public.t`, at the offsets from `first` on.
#[track_caller]
pub fn records(first: i64, pairs: &[(Option<String>, Option<String>)]) -> Vec<SinkRecord> {
    let numbered = pairs.iter().zip(first..);
    numbered.map(|((key, value), offset)| record("s.public.t", offset, key.as_deref(), value.as_deref())).collect()
}

/// A schemaless envelope; `before` and `after` as JSON, or `null`.
pub fn envelope(op: &str, before: &str, after: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"schema":"public","table":"t","lsn":4294967296,"txId":7,"ts_ms":1700000000000}},"op":"{op}","ts_ms":1700000000001}}"#
    )
}

pub fn upsert(key: &str, after: &str) -> (Option<String>, Option<String>) {
    (Some(key.to_owned()), Some(envelope("u", "null", after)))
}

pub fn delete(key: &str) -> (Option<String>, Option<String>) {
    (Some(key.to_owned()), Some(envelope("d", key, "null")))
}

pub fn tombstone(key: &str) -> (Option<String>, Option<String>) {
    (Some(key.to_owned()), None)
}

#[track_caller]
pub fn put(task: &mut Box<dyn SinkTask>, records: &[SinkRecord]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    match task.put(records, &mut outcomes) {
        Ok(()) => outcomes,
        Err(error) => panic!("{}", told(&error)),
    }
}

#[track_caller]
pub fn refused(task: &mut Box<dyn SinkTask>, records: &[SinkRecord]) -> PutError {
    let mut outcomes = Vec::new();
    task.put(records, &mut outcomes).expect_err("the batch is refused")
}

/// An error with all that it says.
pub fn told(error: &PutError) -> String {
    match error {
        PutError::Task(error) => format!("task {:?}: {}", error.kind, error.trace()),
        PutError::Records(error) => format!("records: {}", error.trace()),
        PutError::Named(list) => {
            list.iter().map(|(at, error)| format!("{at}: {}", error.trace())).collect::<Vec<_>>().join("\n")
        }
    }
}

#[track_caller]
pub fn rows(db: &TempDatabase, query: &str) -> Vec<String> {
    let row = |row: Vec<Option<String>>| {
        row.into_iter().map(|value| value.unwrap_or_else(|| "∅".into())).collect::<Vec<_>>().join("|")
    };
    db.sql(query).into_iter().map(row).collect()
}
