//! Notifications: records that tell what a connector does, on a topic that `notification.sink.topic.name` gives.

use walspring_record::{Record, Schema, Type, Value};

use crate::config::EventConfig;
use crate::records::{named, record};
use crate::semantic::string;

/// What is told.
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// A UUID, new for each.
    pub id: &'a str,
    /// What it is about: `Initial Snapshot`.
    pub aggregate_type: &'a str,
    /// What happened: `STARTED`, `COMPLETED` …
    pub kind: &'a str,
    pub additional: &'a [(&'a str, String)],
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// A notification's record; in the partition that its key has.
pub fn notification(config: &EventConfig, topic: &str, told: &Notification<'_>) -> Record {
    let key = named(config, "io.debezium.connector.common.NotificationKey").field("id", string());
    let value = named(config, "io.debezium.connector.common.Notification")
        .field("id", string())
        .field("type", string())
        .field("aggregate_type", string())
        .field("additional_data", Schema::map(string(), string()).optional())
        .field("timestamp", Schema::new(Type::Int64));
    let additional =
        told.additional.iter().map(|(name, value)| (Value::string(*name), Value::string(value.as_str()))).collect();
    let payload = vec![
        Value::string(told.id),
        Value::string(told.kind),
        Value::string(told.aggregate_type),
        Value::Map(additional),
        Value::Int64(told.timestamp_ms),
    ];
    record(topic.to_owned(), None, (key, Value::Struct(vec![Value::string(told.id)])), (value, Value::Struct(payload)))
}
