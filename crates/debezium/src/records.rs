//! The rarer records, as trees: heartbeats, boundaries of transactions, logical messages. None has the context headers.

use std::sync::Arc;

use walspring_connect::ConvertError;
use walspring_record::{Leaf, Record, Schema, Type, Typed, Value, leaf::BinaryForm};

use crate::config::EventConfig;
use crate::counters::CollectionCount;
use crate::envelope::{source_schema, transaction_block};
use crate::semantic::{string, structure};

/// A schema of the original whose name is adjusted as those of tables are.
pub(crate) fn named(config: &EventConfig, name: &str) -> Schema {
    structure(&config.mapping.schema_names.schema_name(name), 1)
}

pub(crate) fn record(topic: String, partition: Option<i32>, key: (Schema, Value), value: (Schema, Value)) -> Record {
    let typed = |(schema, value): (Schema, Value)| Typed::new(Arc::new(schema), value);
    Record {
        topic: topic.into(),
        partition,
        key: typed(key),
        value: typed(value),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// A heartbeat; always in partition 0.
pub fn heartbeat(config: &EventConfig, now_ms: i64) -> Record {
    let key = named(config, "io.debezium.connector.common.ServerNameKey").field("serverName", string());
    let value = named(config, "io.debezium.connector.common.Heartbeat").field("ts_ms", Schema::new(Type::Int64));
    record(
        config.topics.heartbeat(),
        Some(0),
        (key, Value::Struct(vec![Value::String(config.topics.prefix.clone())])),
        (value, Value::Struct(vec![Value::Int64(now_ms)])),
    )
}

/// BEGIN on the transaction topic. The id is [`walspring_record::transaction_id`] of the transaction's begin.
pub fn transaction_begin(config: &EventConfig, id: &str, commit_ms: i64) -> Record {
    transaction(config, "BEGIN", id, Value::Null, Value::Null, commit_ms)
}

/// END with what [`crate::TransactionCounters::end`] gave.
pub fn transaction_end(
    config: &EventConfig,
    id: &str,
    events: u64,
    collections: &[CollectionCount],
    commit_ms: i64,
) -> Record {
    let collection =
        |c: &CollectionCount| Value::Struct(vec![Value::String(c.collection.clone()), Value::Int64(c.events as i64)]);
    let collections = Value::Array(collections.iter().map(collection).collect());
    transaction(config, "END", id, Value::Int64(events as i64), collections, commit_ms)
}

fn transaction(
    config: &EventConfig,
    status: &str,
    id: &str,
    events: Value,
    collections: Value,
    commit_ms: i64,
) -> Record {
    let long = || Schema::new(Type::Int64);
    let key = named(config, "io.debezium.connector.common.TransactionMetadataKey").field("id", string());
    let collection =
        structure("event.collection", 1).optional().field("data_collection", string()).field("event_count", long());
    let value = named(config, "io.debezium.connector.common.TransactionMetadataValue")
        .field("status", string())
        .field("id", string())
        .field("event_count", long().optional())
        .field("data_collections", Schema::array(collection).optional())
        .field("ts_ms", long());
    let payload = vec![Value::string(status), Value::string(id), events, collections, Value::Int64(commit_ms)];
    record(
        config.topics.transaction(),
        None,
        (key, Value::Struct(vec![Value::string(id)])),
        (value, Value::Struct(payload)),
    )
}

/// What `pg_logical_emit_message` wrote.
#[derive(Debug, Clone)]
pub struct LogicalMessage<'a> {
    pub prefix: &'a str,
    pub content: &'a [u8],
    /// When we saw it.
    pub now_ms: i64,
    /// The `source` block: [`walspring_record::SourcePlan::tree`] of [`crate::message_source`].
    pub source: Value,
    /// The `transaction` block, or null.
    pub transaction: Value,
}

/// A record on the topic of logical messages.
pub fn logical_message(config: &EventConfig, message: LogicalMessage<'_>) -> Result<Record, ConvertError> {
    let form = config.mapping.binary;
    let content = match form {
        BinaryForm::Bytes => Schema::new(Type::Bytes),
        _ => string(),
    };
    let key = named(config, "io.debezium.connector.postgresql.MessageKey").field("prefix", string().optional());
    let block = named(config, "io.debezium.connector.postgresql.Message")
        .field("prefix", string().optional())
        .field("content", content.optional());
    let value = named(config, "io.debezium.connector.postgresql.MessageValue")
        .field("op", string())
        .field("ts_ms", Schema::new(Type::Int64).optional())
        .field("source", source_schema())
        .field("transaction", transaction_block())
        .field("message", block);
    let prefix = Value::string(message.prefix);
    let content = Leaf::TextBytes(form).value(message.content)?;
    let payload = vec![
        Value::string("m"),
        Value::Int64(message.now_ms),
        message.source,
        message.transaction,
        Value::Struct(vec![prefix.clone(), content]),
    ];
    Ok(record(config.topics.message(), None, (key, Value::Struct(vec![prefix])), (value, Value::Struct(payload))))
}
