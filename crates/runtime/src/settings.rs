//! What the runtime asks of the worker's configuration; the wiring fills it in from the option tables.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// `host:port` as REST advertises it: `worker_id` of every status.
    pub worker_id: String,
    /// What `GET /` reports as `version`: that of the Kafka Connect whose contract is kept.
    pub connect_version: String,
    pub commit: String,
    /// `offset.flush.interval.ms`. Offsets are stored at least this often; in fact at most [`OFFSET_STORE_INTERVAL`]
    /// after they could be.
    pub offset_flush_interval: Duration,
    /// `task.shutdown.graceful.timeout.ms`: how long a task may take to drain when it is stopped.
    pub graceful_timeout: Duration,
    /// `topic.tracking.enable` and `topic.tracking.allow.reset`.
    pub topic_tracking: bool,
    pub topic_tracking_reset: bool,
    /// The worker's own converter settings (`key.converter`, `key.converter.*`, …) and `producer.*`: what holds where a
    /// connector says nothing.
    pub worker_config: Vec<(String, String)>,
}

/// Offsets that are not part of the records' transaction are stored this often at most: what a crash repeats.
pub const OFFSET_STORE_INTERVAL: Duration = Duration::from_millis(1000);

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings {
            worker_id: "127.0.0.1:8083".into(),
            connect_version: "4.3.1".into(),
            commit: "unknown".into(),
            offset_flush_interval: Duration::from_secs(60),
            graceful_timeout: Duration::from_secs(5),
            topic_tracking: true,
            topic_tracking_reset: true,
            worker_config: Vec::new(),
        }
    }
}

impl WorkerSettings {
    pub fn worker_value(&self, key: &str) -> Option<&str> {
        value(&self.worker_config, key)
    }
}

/// The last value given for a key.
pub(crate) fn value<'a>(config: &'a [(String, String)], key: &str) -> Option<&'a str> {
    config.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

/// The entries below a prefix, without it.
pub(crate) fn below(config: &[(String, String)], prefix: &str) -> Vec<(String, String)> {
    let entry = |(k, v): &(String, String)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()));
    config.iter().filter_map(entry).collect()
}
