//! The embedded log as what a worker stands on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use walspring_connect::writer::{DurabilityListener, RecordWriter, WriteError};
use walspring_connect::{
    Backend, ConsumerRequest, DeadLetterQueue, DeadLetterRequest, GroupOffset, KeyedLog, RecordConsumer, StoreError,
    TopicPartition, WriterRequest,
};

use crate::consumer::{self, GroupConsumer};
use crate::dead_letters::DeadLetters;
use crate::keyed::KeyedTopic;
use crate::log::{Log, settle, write};
use crate::writer::{LogWriter, TopicDefaults};

/// A task that starts while the disk is full says so, and tries again.
const SETTLE_WAIT: Duration = Duration::from_secs(5);

/// Names of the topics, as a Connect worker's.
#[derive(Debug, Clone)]
pub struct LogBackendConfig {
    pub config_topic: String,
    pub offset_topic: String,
    pub status_topic: String,
    /// Of our own, beside the three.
    pub state_topic: String,
}

impl Default for LogBackendConfig {
    fn default() -> LogBackendConfig {
        LogBackendConfig {
            config_topic: "connect-configs".into(),
            offset_topic: "connect-offsets".into(),
            status_topic: "connect-status".into(),
            state_topic: "connect-offsets-walspring".into(),
        }
    }
}

/// Records and offsets in one frame: exactly once, without transactions.
pub struct LogBackend {
    log: Log,
    config: LogBackendConfig,
    configs: Arc<KeyedTopic>,
    statuses: Arc<KeyedTopic>,
    state: Arc<KeyedTopic>,
    offsets: Mutex<HashMap<String, Arc<KeyedTopic>>>,
}

impl LogBackend {
    pub fn new(log: Log, config: LogBackendConfig) -> Result<LogBackend, StoreError> {
        // One partition each: there is nobody to share them with.
        let configs = Arc::new(KeyedTopic::open(log.clone(), &config.config_topic, 1)?);
        let statuses = Arc::new(KeyedTopic::open(log.clone(), &config.status_topic, 1)?);
        let state = Arc::new(KeyedTopic::open(log.clone(), &config.state_topic, 1)?);
        let backend = LogBackend { log, config, configs, statuses, state, offsets: Mutex::default() };
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

    fn state(&self) -> Option<Arc<dyn KeyedLog>> {
        Some(self.state.clone())
    }

    fn writer(
        &self,
        request: WriterRequest,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Box<dyn RecordWriter>, WriteError> {
        let topic = self.offset_topic(request.offsets_topic.as_deref()).to_owned();
        // Tickets of the writer before may still wait to be written: the stored offset is final only behind them.
        settle(&self.log.queue, SETTLE_WAIT).map_err(|why| self.log.queue.write_error(why))?;
        self.offsets(Some(&topic)).map_err(|e| self.log.queue.write_error(e.to_string()))?;
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

    fn broken(&self) -> Option<String> {
        self.log.queue.broken()
    }

    /// The directory is locked: nobody else can have written.
    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn consumer(&self, request: ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> {
        Ok(Box::new(GroupConsumer::join(self.log.clone(), request)?))
    }

    fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        let view = self.log.shared.view();
        let stored = view.groups.get(group).into_iter().flatten();
        Ok(stored
            .map(|((topic, partition), offset)| GroupOffset {
                partition: TopicPartition { topic: topic.as_str().into(), partition: *partition },
                kafka_offset: *offset,
            })
            .collect())
    }

    fn alter_group_offsets(&self, group: &str, offsets: &[(TopicPartition, Option<i64>)]) -> Result<(), StoreError> {
        // Held to the end: nobody joins meanwhile.
        let groups = self.log.shared.groups();
        if groups.has_members(group) {
            return Err(has_members(group));
        }
        for (TopicPartition { topic, partition }, offset) in offsets {
            let count = self.log.shared.partitions(topic).unwrap_or(0);
            if offset.is_some() && !(0..count).contains(partition) {
                return Err(StoreError::Definite(format!("there is no partition {topic}-{partition}")));
            }
        }
        let changes = offsets.iter().map(|(partition, offset)| consumer::change(group, partition, *offset)).collect();
        write(&self.log.queue, Vec::new(), changes).map_err(|why| self.log.queue.store_error(why))
    }

    fn delete_group(&self, group: &str) -> Result<(), StoreError> {
        let groups = self.log.shared.groups();
        if groups.has_members(group) {
            return Err(has_members(group));
        }
        let stored = self.group_offsets(group)?;
        if stored.is_empty() {
            return Ok(());
        }
        let changes = stored.iter().map(|stored| consumer::change(group, &stored.partition, None)).collect();
        write(&self.log.queue, Vec::new(), changes).map_err(|why| self.log.queue.store_error(why))
    }

    fn dead_letters(&self, request: DeadLetterRequest) -> Result<Box<dyn DeadLetterQueue>, StoreError> {
        Ok(Box::new(DeadLetters::open(self.log.clone(), &request.topic)?))
    }
}

fn has_members(group: &str) -> StoreError {
    StoreError::Definite(format!(
        "the offsets of consumer group {group} cannot be changed while it has members: its tasks have not stopped \
         completely; this can be tried again when they are gone"
    ))
}
