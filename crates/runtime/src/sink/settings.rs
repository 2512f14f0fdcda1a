//! What a sink connector's configuration says to the framework, typed.

use std::time::Duration;

use walspring_connect::{CONFIG_EXCEPTION, TaskError, Topics};

use crate::settings::{OFFSET_STORE_INTERVAL, WorkerSettings, value};

/// Records a batch, unless `consumer.override.max.poll.records` says otherwise: twice Connect's default. Rows of 300 bytes
/// are no faster beyond it, and each record of a batch and of the one behind it is about 3 KiB of values.
const BATCH_RECORDS: usize = 1000;
/// More than this makes no put faster, and only memory larger.
const BATCH_RECORDS_MAX: usize = 5000;

pub(crate) struct SinkSettings {
    pub group: String,
    pub topics: Topics,
    pub batch_records_max: usize,
    /// Offsets are committed this often at most.
    pub commit_interval: Duration,
    /// `errors.tolerance=all`
    pub tolerant: bool,
    pub dead_letters: Option<DeadLetterSettings>,
}

pub(crate) struct DeadLetterSettings {
    pub topic: String,
    pub replication_factor: i16,
    pub context_headers: bool,
}

/// The consumer group of a sink connector.
pub(crate) fn group(connector: &str, config: &[(String, String)]) -> String {
    let own = value(config, "consumer.override.group.id").filter(|group| !group.is_empty());
    own.map_or_else(|| default_group(connector), str::to_owned)
}

pub(crate) fn default_group(connector: &str) -> String {
    format!("connect-{connector}")
}

impl SinkSettings {
    /// Of a configuration that was validated; what is wrong all the same is refused in Connect's words.
    pub fn read(
        connector: &str,
        config: &[(String, String)],
        worker: &WorkerSettings,
    ) -> Result<SinkSettings, TaskError> {
        let text = |key: &str| value(config, key).map(str::trim).filter(|v| !v.is_empty());
        let on = |key: &str| text(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let records = text("consumer.override.max.poll.records").and_then(|v| v.parse::<usize>().ok());
        Ok(SinkSettings {
            group: group(connector, config),
            topics: topics(text("topics"), text("topics.regex"))?,
            batch_records_max: records.unwrap_or(BATCH_RECORDS).clamp(1, BATCH_RECORDS_MAX),
            commit_interval: worker.offset_flush_interval.min(OFFSET_STORE_INTERVAL),
            tolerant: text("errors.tolerance").is_some_and(|v| v.eq_ignore_ascii_case("all")),
            dead_letters: text("errors.deadletterqueue.topic.name").map(|topic| DeadLetterSettings {
                topic: topic.to_owned(),
                replication_factor: text("errors.deadletterqueue.topic.replication.factor")
                    .and_then(|v| v.parse().ok())
                    .unwrap_or(3),
                context_headers: on("errors.deadletterqueue.context.headers.enable"),
            }),
        })
    }
}

fn topics(named: Option<&str>, matching: Option<&str>) -> Result<Topics, TaskError> {
    match (named, matching) {
        (Some(names), None) => {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            Ok(Topics::Named(names.map(str::to_owned).collect()))
        }
        (None, Some(regex)) => Ok(Topics::Matching(regex.to_owned())),
        (None, None) => Err(TaskError::definite(CONFIG_EXCEPTION, "Must configure one of topics or topics.regex")),
        (Some(_), Some(_)) => Err(TaskError::definite(
            CONFIG_EXCEPTION,
            "topics and topics.regex are mutually exclusive options, but both are set.",
        )),
    }
}
