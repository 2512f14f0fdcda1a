//! The offsets of sink connectors: those that their consumer groups have stored, in the form in which Connect shows them.
//!
//! Source: `org.apache.kafka.connect.util.SinkUtils`, for the texts too.

use std::sync::Arc;

use serde_json::{Map, Value};
use walspring_connect::{Backend, GroupOffset, TopicPartition};

use crate::info::ConnectorOffset;
use crate::refusal::Refusal;

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

/// What is to be stored for a partition; `None`: nothing.
pub(super) type Change = (TopicPartition, Option<i64>);

pub(super) fn shown(offset: GroupOffset) -> ConnectorOffset {
    let map = |entries: [(&str, Value); 1]| entries.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    let mut partition: Map<String, Value> = map([(PARTITION, offset.partition.partition.into())]);
    partition.insert(TOPIC.to_owned(), Value::String(offset.partition.topic.to_string()));
    ConnectorOffset { partition, offset: Some(map([(OFFSET, offset.kafka_offset.into())])) }
}

/// What a client asks for. Numbers may be given as texts.
pub(super) fn parse(offset: ConnectorOffset) -> Result<Change, Refusal> {
    let bad = |message: String| Err(Refusal::bad_request(message));
    let ConnectorOffset { partition, offset } = offset;
    if partition.is_empty() {
        return bad("The partition for a sink connector offset cannot be null or missing".into());
    }
    let keys =
        || bad(format!("The partition for a sink connector offset must contain the keys '{TOPIC}' and '{PARTITION}'"));
    let topic = match partition.get(TOPIC) {
        None => return keys(),
        Some(Value::Null) => return bad("Kafka topic names must be valid strings and may not be null".into()),
        Some(topic) => printed(topic),
    };
    let number = match partition.get(PARTITION) {
        None => return keys(),
        Some(Value::Null) => return bad("Kafka partitions must be valid numbers and may not be null".into()),
        Some(number) => number,
    };
    let Ok(number) = printed(number).parse() else {
        return bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for \
             sink connectors need to be integers.",
            printed(number)
        ));
    };
    let partition = TopicPartition { topic: Arc::from(topic), partition: number };
    let Some(offset) = offset else { return Ok((partition, None)) };
    let Some(value) = offset.get(OFFSET) else {
        return bad(format!("The offset for a sink connector should either be null or contain the key '{OFFSET}'"));
    };
    match printed(value).parse() {
        Ok(kafka_offset) => Ok((partition, Some(kafka_offset))),
        Err(_) => bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink \
             connectors need to be integers.",
            printed(value)
        )),
    }
}

pub(super) fn read(backend: &dyn Backend, group: &str) -> Result<Vec<ConnectorOffset>, walspring_connect::StoreError> {
    let mut offsets = backend.group_offsets(group)?;
    offsets.sort_by(|a, b| a.partition.cmp(&b.partition));
    Ok(offsets.into_iter().map(shown).collect())
}

/// As Java prints it.
fn printed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(partition: Value, offset: Value) -> Result<(String, i32, Option<i64>), String> {
        let map = |value: Value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        };
        let change = parse(ConnectorOffset { partition: map(partition).unwrap_or_default(), offset: map(offset) });
        change.map(|(p, offset)| (p.topic.to_string(), p.partition, offset)).map_err(|e| e.message)
    }

    #[test]
    fn takes_what_connect_takes_and_refuses_in_its_words() {
        let there = json!({"kafka_topic": "t", "kafka_partition": 1});
        let text = json!({"kafka_topic": "t", "kafka_partition": "1"});
        assert_eq!(parsed(there.clone(), json!({"kafka_offset": 5})), Ok(("t".into(), 1, Some(5))));
        assert_eq!(parsed(text, json!({"kafka_offset": "5"})), Ok(("t".into(), 1, Some(5))));
        assert_eq!(parsed(there.clone(), Value::Null), Ok(("t".into(), 1, None)));
        let refused = |partition: Value, offset: Value| parsed(partition, offset).unwrap_err();
        assert_eq!(
            refused(json!({}), Value::Null),
            "The partition for a sink connector offset cannot be null or missing"
        );
        assert_eq!(
            refused(json!({"kafka_topic": "t"}), Value::Null),
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'"
        );
        assert!(
            refused(json!({"kafka_topic": "t", "kafka_partition": "x"}), Value::Null)
                .contains("value in the provided offsets: 'x'.")
        );
        assert!(refused(there.clone(), json!({"x": 1})).ends_with("contain the key 'kafka_offset'"));
        assert!(refused(there, json!({"kafka_offset": 1.5})).contains("'1.5'"));
    }
}
