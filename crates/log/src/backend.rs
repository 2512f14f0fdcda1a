//! The embedded log as what a worker stands on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use walspring_connect::writer::{DurabilityListener, RecordWriter, WriteError};
use walspring_connect::{Backend, KeyedLog, StoreError, WriterRequest};

use crate::keyed::KeyedTopic;
use crate::log::Log;
use crate::writer::{LogWriter, TopicDefaults};

/// Names of the three topics, as a Connect worker's.
#[derive(Debug, Clone)]
pub struct LogBackendConfig {
    pub config_topic: String,
    pub offset_topic: String,
    pub status_topic: String,
}

impl Default for LogBackendConfig {
    fn default() -> LogBackendConfig {
        LogBackendConfig {
            config_topic: "connect-configs".into(),
            offset_topic: "connect-offsets".into(),
            status_topic: "connect-status".into(),
        }
    }
}

/// Records and offsets in one frame: exactly once, without transactions.
pub struct LogBackend {
    log: Log,
    config: LogBackendConfig,
    configs: Arc<KeyedTopic>,
    statuses: Arc<KeyedTopic>,
    offsets: Mutex<HashMap<String, Arc<KeyedTopic>>>,
}

impl LogBackend {
    pub fn new(log: Log, config: LogBackendConfig) -> Result<LogBackend, StoreError> {
        // One partition each: there is nobody to share them with.
        let configs = Arc::new(KeyedTopic::open(log.clone(), &config.config_topic, 1)?);
        let statuses = Arc::new(KeyedTopic::open(log.clone(), &config.status_topic, 1)?);
        let backend = LogBackend { log, config, configs, statuses, offsets: Mutex::default() };
        backend.offsets(None)?;
        Ok(backend)
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    fn offset_topic<'a>(&'a self, topic: Option<&'a str>) -> &'a str {
        topic.unwrap_or(&self.config.offset_topic)
    }
}

impl Backend for LogBackend {
    fn cluster_id(&self) -> String {
        self.log.cluster_id()
    }

    fn configs(&self) -> Arc<dyn KeyedLog> {
        self.configs.clone()
    }

    fn offsets(&self, topic: Option<&str>) -> Result<Arc<dyn KeyedLog>, StoreError> {
        let name = self.offset_topic(topic);
        let mut open = self.offsets.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(topic) = open.get(name) {
            return Ok(topic.clone());
        }
        let topic = Arc::new(KeyedTopic::open(self.log.clone(), name, 1)?);
        open.insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    fn statuses(&self) -> Arc<dyn KeyedLog> {
        self.statuses.clone()
    }

    fn writer(
        &self,
        request: WriterRequest,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Box<dyn RecordWriter>, WriteError> {
        let topic = self.offset_topic(request.offsets_topic.as_deref()).to_owned();
        self.offsets(Some(&topic)).map_err(|e| WriteError::Transient(e.to_string()))?;
        let partitions = request
            .config
            .iter()
            .find(|(k, _)| k == "topic.creation.default.partitions")
            .and_then(|(_, v)| v.parse().ok())
            .filter(|n| *n > 0);
        let defaults = TopicDefaults { partitions };
        Ok(Box::new(LogWriter::new(self.log.shared.clone(), self.log.queue.clone(), listener, defaults, topic.into())))
    }

    fn transactional(&self) -> bool {
        true
    }

    /// The directory is locked: nobody else can have written.
    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}
