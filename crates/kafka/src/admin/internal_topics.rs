//! The topics that a worker keeps its own state in: made as Connect makes them, and refused when they would lose it.
//!
//! A topic of configurations with two partitions has no order; one that is not compacted forgets. Both are refused at
//! the start, with Connect's words and what to do.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka_sys::rd_kafka_resp_err_t as Code;
use walspring_connect::StoreError;

use super::{Admin, Created, NewTopic};
use crate::client_config::Properties;
use crate::kept::KeptError;

const CLEANUP_POLICY: &str = "cleanup.policy";

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreTopic {
    Configs,
    Offsets,
    Statuses,
    /// Our own: made as the offsets' is, but for its partitions.
    State,
}

/// The name of our own topic; by default the offsets topic's with [`STATE_SUFFIX`].
const STATE_TOPIC_OPTION: &str = "walspring.state.topic";
/// Several clusters of workers may share brokers: what tells their offsets topics apart does it here too.
const STATE_SUFFIX: &str = "-walspring";

impl StoreTopic {
    /// Its options begin with this.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Configs => "config.storage.",
            Self::Offsets | Self::State => "offset.storage.",
            Self::Statuses => "status.storage.",
        }
    }

    fn partitions_default(self) -> i32 {
        match self {
            Self::Configs | Self::State => 1,
            Self::Offsets => 25,
            Self::Statuses => 5,
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Configs => "connector configurations",
            Self::Offsets => "source connector offsets",
            Self::Statuses => "connector and task statuses",
            Self::State => "what sources keep beside their offsets",
        }
    }

    /// The worker's topic for it.
    pub fn name(self, worker: &Properties) -> Result<String, StoreError> {
        let given = |option: &str| worker.get(option).map(|name| name.trim()).filter(|name| !name.is_empty());
        if let Some(name) = given(STATE_TOPIC_OPTION).filter(|_| self == Self::State) {
            return Ok(name.to_owned());
        }
        let option = format!("{}topic", self.prefix());
        let suffix = if self == Self::State { STATE_SUFFIX } else { "" };
        given(&option)
            .map(|name| format!("{name}{suffix}"))
            .ok_or_else(|| StoreError::Definite(format!("{option} is missing in the worker's file")))
    }

    /// What names it.
    fn option(self) -> String {
        match self {
            Self::State => STATE_TOPIC_OPTION.into(),
            _ => format!("{}topic", self.prefix()),
        }
    }

    /// What the topic is made as when it is not there.
    pub fn new_topic(self, name: &str, worker: &Properties) -> Result<NewTopic, StoreError> {
        let number = |key: &str, default: i32| {
            let option = format!("{}{key}", self.prefix());
            let Some(value) = worker.get(&option) else { return Ok(default) };
            value
                .trim()
                .parse()
                .ok()
                .filter(|number| *number == -1 || *number > 0)
                .ok_or_else(|| StoreError::Definite(format!("{option}: {value} is neither positive nor -1")))
        };
        let partitions = match self {
            Self::Configs | Self::State => 1,
            _ => number("partitions", self.partitions_default())?,
        };
        let mut config: BTreeMap<String, String> = worker
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(self.prefix())?, value)))
            .filter(|(name, _)| !["topic", "partitions", "replication.factor", "file.filename"].contains(name))
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        if let Some(policy) = config.insert(CLEANUP_POLICY.into(), "compact".into())
            && policy != "compact"
        {
            tracing::warn!("{}{CLEANUP_POLICY}={policy} has no effect: it is always compact", self.prefix());
        }
        Ok(NewTopic { name: name.to_owned(), partitions, replication_factor: number("replication.factor", 3)?, config })
    }

    /// Makes the topic, or checks the one that is there.
    pub fn ensure(self, admin: &Admin, name: &str, worker: &Properties, timeout: Duration) -> Result<(), StoreError> {
        let option = self.option();
        let partitions = match admin.partitions(name, timeout).map_err(|error| self.unreachable(name, &error))? {
            Some(partitions) => partitions,
            None => {
                let topic = self.new_topic(name, worker)?;
                let created = admin.create_topic(&topic, timeout).map_err(|error| self.not_created(&topic, &error))?;
                if created == Created::Now {
                    return Ok(());
                }
                let there = admin.partitions(name, timeout).map_err(|error| self.unreachable(name, &error))?;
                there.unwrap_or(topic.partitions)
            }
        };
        let purpose = self.purpose();
        if self == Self::Configs && partitions != 1 {
            return Err(StoreError::Definite(format!(
                "Topic '{name}' supplied via the '{option}' property is required to have a single partition in order to \
                 guarantee consistency of {purpose}, but found {partitions} partitions."
            )));
        }
        let config = match admin.topic_config(name, timeout) {
            Ok(config) => config,
            Err(error) if error.is_definite() => {
                tracing::warn!(
                    "the settings of topic {name} may not be read ({error}); {CLEANUP_POLICY} is not checked"
                );
                return Ok(());
            }
            Err(error) => return Err(self.unreachable(name, &error)),
        };
        match config.get(CLEANUP_POLICY).map(String::as_str) {
            None | Some("compact") => Ok(()),
            Some(policy) => Err(StoreError::Definite(format!(
                "Topic '{name}' supplied via the '{option}' property is required to have '{CLEANUP_POLICY}=compact' to \
                 guarantee consistency and durability of {purpose}, but found the topic currently has \
                 '{CLEANUP_POLICY}={policy}'. Continuing would likely result in eventually losing {purpose} and problems \
                 restarting this Connect cluster in the future. Change the '{option}' property in the Connect worker \
                 configurations to use a topic with '{CLEANUP_POLICY}=compact'."
            ))),
        }
    }

    fn unreachable(self, name: &str, error: &KeptError) -> StoreError {
        let text = format!("topic {name} for {} cannot be looked at: {error}", self.purpose());
        if error.is_definite() { StoreError::Definite(text) } else { StoreError::Transient(text) }
    }

    fn not_created(self, topic: &NewTopic, error: &KeptError) -> StoreError {
        let NewTopic { name, replication_factor, .. } = topic;
        let prefix = self.prefix();
        let text = format!("topic {name} for {} cannot be made: {error}", self.purpose());
        match error.code {
            Code::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR => StoreError::Definite(format!(
                "{text}; the cluster has fewer than {replication_factor} brokers: set {prefix}replication.factor, \
                 -1 for the broker's default"
            )),
            _ if error.is_definite() => StoreError::Definite(format!("{text}; make it beforehand, compacted")),
            _ => StoreError::Transient(text),
        }
    }
}
