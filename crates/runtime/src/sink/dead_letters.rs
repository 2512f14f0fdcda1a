//! Records that could not be processed, as the dead letter queue keeps them: what was read, and in headers why it failed.
//!
//! Source: `org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter`.

use walspring_connect::{ConsumedRecord, DeadLetter};

use super::failure::Failure;

/// Which task, for the headers.
pub(super) struct Sender<'a> {
    pub connector: &'a str,
    pub task: u32,
}

/// `context`: `errors.deadletterqueue.context.headers.enable`.
pub(super) fn letter(record: &ConsumedRecord, failure: &Failure, context: Option<Sender<'_>>) -> DeadLetter {
    let mut headers = record.headers.clone();
    if let Some(sender) = context {
        let mut add = |name: &str, value: String| {
            headers.push((format!("__connect.errors.{name}"), Some(value.into_bytes())));
        };
        add("topic", record.topic.to_string());
        add("partition", record.partition.to_string());
        add("offset", record.kafka_offset.to_string());
        add("connector.name", sender.connector.to_owned());
        add("task.id", sender.task.to_string());
        add("stage", failure.stage.name().to_owned());
        add("class.name", failure.class.clone());
        add("exception.class.name", failure.error.class.to_owned());
        add("exception.message", failure.error.message.clone());
        add("exception.stacktrace", failure.error.trace());
    }
    DeadLetter { key: record.key.clone(), value: record.value.clone(), headers, timestamp_ms: record.timestamp_ms }
}
