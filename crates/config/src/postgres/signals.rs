//! `signal.*`, `incremental.snapshot.*`: where signals come from, and how tables are read while the stream goes on.

use std::time::Duration;

use crate::config::{ConfigError, Reader};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalConfig {
    /// The channel `source`: changes of `signal.data.collection` are signals.
    pub source: bool,
    /// `schema.table`; watermarks are written there, whatever the channel.
    pub table: Option<String>,
    /// `signal.file`, if the channel `file` is enabled.
    pub file: Option<String>,
    /// The channel `kafka`.
    pub kafka: Option<KafkaSignals>,
    /// The channel `in-process`: REST.
    pub in_process: bool,
    /// How often the file and the topic are looked at.
    pub poll_interval: Duration,
    /// Rows of one chunk.
    pub chunk_rows: usize,
    /// A window is closed by deleting the row that opened it, not by inserting another.
    pub delete_watermarks: bool,
    /// How often a watermark that could not be written is tried again, and the wait before.
    pub retries_max: u64,
    pub retry_wait: Duration,
}

/// `signal.kafka.*`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSignals {
    pub topic: String,
    pub group: String,
}

impl SignalConfig {
    /// Whether anything can signal.
    pub fn is_enabled(&self) -> bool {
        (self.source && self.table.is_some()) || self.file.is_some() || self.kafka.is_some() || self.in_process
    }

    pub(super) fn read(options: Reader<'_>) -> Result<SignalConfig, ConfigError> {
        let channels = options.list("signal.enabled.channels");
        let enabled = |name: &str| channels.iter().any(|channel| channel == name);
        let kafka = || -> Result<KafkaSignals, ConfigError> {
            let topic = options.optional_nonempty("signal.kafka.topic");
            Ok(KafkaSignals {
                topic: topic.map_or_else(|| options.string("topic.prefix").map(|p| format!("{p}-signal")), Ok)?,
                group: options.string("signal.kafka.groupId")?,
            })
        };
        Ok(SignalConfig {
            source: enabled("source"),
            table: options.optional_nonempty("signal.data.collection"),
            file: if enabled("file") { Some(options.string("signal.file")?) } else { None },
            kafka: if enabled("kafka") { Some(kafka()?) } else { None },
            in_process: enabled("in-process"),
            poll_interval: options.milliseconds("signal.poll.interval.ms")?,
            chunk_rows: options.count("incremental.snapshot.chunk.size")?.max(1) as usize,
            delete_watermarks: options.choice("incremental.snapshot.watermarking.strategy")? == "insert_delete",
            retries_max: options.count("signal.emit.failure.max.retries")?,
            retry_wait: options.milliseconds("signal.emit.failure.backoff.ms")?,
        })
    }
}
