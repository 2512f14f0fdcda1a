//! A worker on Kafka: its stores (Connect's three and our own), and the writers of its tasks.
//!
//! [`KafkaBackend::connect`] does what a worker does at its start, in this order: it takes the group (nobody else's
//! worker may be in it), makes or checks the internal topics, and, where it writes in transactions, fences an older
//! worker of the same group. It does not wait for a cluster that is not there: it fails with
//! [`StoreError::Transient`], and is called again.

use std::sync::Arc;
use std::time::Duration;

use walspring_connect::writer::{DurabilityListener, RecordWriter, WriteError};
use walspring_connect::{
    Backend, ConsumerRequest, DeadLetterQueue, DeadLetterRequest, GroupOffset, KeyedLog, RecordConsumer, StoreError,
    TopicPartition, WriterRequest,
};

use crate::admin::Admin;
use crate::admin::creation::{TopicMaker, TopicRules};
use crate::admin::internal_topics::StoreTopic;
use crate::client_config::keys::Owner;
use crate::client_config::{ClientConfigError, ClientOptions, LoginOptions, Properties};
use crate::dead_letters::{self, KafkaDeadLetters};
use crate::group::predecessor;
use crate::group_consumer::GroupConsumer;
use crate::keyed_log::{KafkaKeyedLog, LogWriter, store_error};
use crate::librdkafka_writer::LibrdkafkaWriter;
use crate::membership::{Membership, Predecessors};
use crate::producer::{Delivery, KafkaProducer, TransactionConfig};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Chooses the producer of a worker's tasks: `own` or `librdkafka`.
const PRODUCER_OPTION: &str = "walspring.producer";

/// `exactly.once.source.support`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnce {
    /// On where the cluster grants it.
    Unset,
    Disabled,
    /// The worker's own records in transactions, those of tasks not yet.
    Preparing,
    Enabled,
}

impl ExactlyOnce {
    pub fn from_worker(worker: &Properties) -> Result<Self, ClientConfigError> {
        let value = worker.get("exactly.once.source.support").map(|value| value.trim().to_ascii_lowercase());
        match value.as_deref() {
            None | Some("") => Ok(Self::Unset),
            Some("disabled") => Ok(Self::Disabled),
            Some("preparing") => Ok(Self::Preparing),
            Some("enabled") => Ok(Self::Enabled),
            Some(other) => Err(ClientConfigError(format!(
                "exactly.once.source.support: {other} is not known; disabled, preparing and enabled are"
            ))),
        }
    }
}

pub struct KafkaBackend {
    worker: Properties,
    group_id: String,
    cluster_id: String,
    /// Tasks' records and offsets go in transactions.
    transactional: bool,
    offsets_topic: String,
    consumer_options: ClientOptions,
    admin_options: ClientOptions,
    configs: Arc<KafkaKeyedLog>,
    offsets: Arc<KafkaKeyedLog>,
    statuses: Arc<KafkaKeyedLog>,
    /// None where it may not be made or used.
    state: Option<Arc<KafkaKeyedLog>>,
    /// Of configurations; in transactions, but for a worker that does not use them.
    configs_writer: Arc<LogWriter>,
    /// Of everything else.
    writer: Arc<LogWriter>,
    membership: Membership,
    /// Whether the group is still ours: a writer with a transactional id fences others.
    may_write: Arc<dyn Fn() -> Result<(), StoreError> + Send + Sync>,
}

impl KafkaBackend {
    /// `worker` is the whole file of the worker, secrets resolved. Fails with [`StoreError::Transient`] while the
    /// cluster is not there or workers of Kafka Connect hold the group: call it again.
    pub fn connect(worker: &Properties) -> Result<Self, StoreError> {
        let definite = |error: ClientConfigError| StoreError::Definite(error.to_string());
        let group_id = worker.get("group.id").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let group_id =
            group_id.ok_or_else(|| StoreError::Definite("group.id is missing in the worker's file".into()))?;
        let exactly_once = ExactlyOnce::from_worker(worker).map_err(definite)?;
        let consumer_options = ClientOptions::internal(Owner::Consumer, worker).map_err(definite)?;
        let producer_options = ClientOptions::internal(Owner::Producer, worker).map_err(definite)?;
        let admin_options = ClientOptions::internal(Owner::Admin, worker).map_err(definite)?;
        for warning in &producer_options.warnings {
            tracing::warn!("{warning}");
        }

        let predecessors =
            if exactly_once == ExactlyOnce::Disabled { Predecessors::WaitFor } else { Predecessors::Fence };
        let membership = Membership::join(&group_id, &admin_options, predecessors)?;
        let admin =
            Admin::open(&admin_options, "walspring-admin").map_err(|error| store_error(&error, "the Kafka client"))?;
        let cluster_id = admin.cluster_id(CALL_TIMEOUT).unwrap_or_default();
        let ensure = |topic: StoreTopic| {
            let name = topic.name(worker)?;
            topic.ensure(&admin, &name, worker, CALL_TIMEOUT).map(|()| name)
        };
        let configs_topic = ensure(StoreTopic::Configs)?;
        let offsets_topic = ensure(StoreTopic::Offsets)?;
        let statuses_topic = ensure(StoreTopic::Statuses)?;
        let state_topic = match ensure(StoreTopic::State) {
            Ok(topic) => Some(topic),
            // Whoever could run Connect's workers here can run ours.
            Err(StoreError::Definite(reason)) => {
                let topic = StoreTopic::State.name(worker)?;
                tracing::warn!(
                    "{reason}; without it connectors run, but do not notice that they read another server or slot than \
                     before, and after a restart they know tables only as they are by then. Make it, compacted, or allow the \
                     worker to: Create, Describe, DescribeConfigs, Read and Write on the topic {topic}"
                );
                None
            }
            Err(error) => return Err(error),
        };
        drop(admin);

        let writer = Arc::new(LogWriter::new(producer_options.clone(), None));
        let (configs_writer, granted) =
            configs_writer(&group_id, &producer_options, exactly_once, &writer, &membership)?;
        let transactional = granted && exactly_once != ExactlyOnce::Preparing;
        let log = |topic: &str, writer: &Arc<LogWriter>| {
            Arc::new(KafkaKeyedLog::new(topic.to_owned(), consumer_options.clone(), writer.clone()))
        };
        let (fenced_writer, fenced_configs_writer) = (Arc::downgrade(&writer), Arc::downgrade(&configs_writer));
        membership.on_lost(move |reason| {
            for writer in [&fenced_writer, &fenced_configs_writer].into_iter().filter_map(|writer| writer.upgrade()) {
                writer.fence(StoreError::Fenced(reason.to_owned()));
            }
        });
        Ok(Self {
            worker: worker.clone(),
            cluster_id,
            transactional,
            configs: log(&configs_topic, &configs_writer),
            offsets: log(&offsets_topic, &writer),
            statuses: log(&statuses_topic, &writer),
            state: state_topic.map(|topic| log(&topic, &writer)),
            group_id,
            offsets_topic,
            consumer_options,
            admin_options,
            configs_writer,
            writer,
            may_write: membership.checker(),
            membership,
        })
    }

    /// Why this worker must stop, once another one of its group has taken over.
    pub fn lost(&self) -> Option<String> {
        self.membership.lost()
    }

    /// Calls `on_lost` once, when another worker has taken over (on the group's thread: it must not block), or at once
    /// when that was before.
    pub fn on_lost(&self, on_lost: impl Fn(&str) + Send + Sync + 'static) {
        self.membership.on_lost(on_lost);
    }

    /// What is wrong with a connector's overrides of its clients: option and reason, as `validate` reports them.
    pub fn check_overrides(&self, connector: &[(String, String)]) -> Vec<(String, String)> {
        match crate::client_config::overrides::OverridePolicy::from_worker(&self.worker) {
            Ok(policy) => policy.check(pairs(connector)),
            Err(reason) => vec![("connector.client.config.override.policy".into(), reason)],
        }
    }

    /// Whether the configurations are written in transactions, which a newer worker fences.
    pub fn fences_workers(&self) -> bool {
        self.configs_writer.is_transactional()
    }

    fn admin(&self) -> Result<Admin, StoreError> {
        Admin::open(&self.admin_options, "walspring-admin").map_err(|error| store_error(&error, "the Kafka client"))
    }

    /// Options of a client of a connector; what has no effect is logged.
    fn connector_options(
        &self,
        owner: Owner,
        connector: &str,
        config: &[(String, String)],
    ) -> Result<ClientOptions, StoreError> {
        let options = ClientOptions::for_connector(owner, &self.worker, pairs(config))
            .map_err(|error| StoreError::Definite(error.to_string()))?;
        for warning in &options.warnings {
            tracing::warn!(connector, "{warning}");
        }
        Ok(options)
    }

    fn uses_librdkafka(&self, producer: &ClientOptions) -> Result<bool, WriteError> {
        match self.worker.get(PRODUCER_OPTION).map(|name| name.trim()) {
            Some("librdkafka") => Ok(true),
            Some("own") => Ok(false),
            None | Some("") => Ok(matches!(producer.login, Some(LoginOptions::Kerberos { .. }))),
            Some(other) => {
                Err(WriteError::Definite(format!("{PRODUCER_OPTION}: {other} is not known; own and librdkafka are")))
            }
        }
    }
}

/// The writer of configurations, and whether the cluster grants transactions.
fn configs_writer(
    group_id: &str,
    options: &ClientOptions,
    exactly_once: ExactlyOnce,
    plain: &Arc<LogWriter>,
    membership: &Membership,
) -> Result<(Arc<LogWriter>, bool), StoreError> {
    if exactly_once == ExactlyOnce::Disabled {
        return Ok((plain.clone(), false));
    }
    let transactional_id = format!("connect-cluster-{group_id}");
    let writer =
        Arc::new(LogWriter::new(options.clone(), Some(transactional_id.clone())).guarded_by(membership.checker()));
    match writer.open() {
        Ok(()) => Ok((writer, true)),
        Err(StoreError::Definite(reason)) if exactly_once == ExactlyOnce::Unset => {
            tracing::warn!(
                "records are delivered at least once, not exactly once: the cluster does not grant the transactional id \
                 {transactional_id} ({reason}); allow it, or set exactly.once.source.support=disabled to say that this \
                 is meant"
            );
            Ok((plain.clone(), false))
        }
        Err(StoreError::Definite(reason)) => Err(StoreError::Definite(format!(
            "exactly.once.source.support needs the transactional ids {transactional_id} and {group_id}-*: {reason}"
        ))),
        Err(error) => Err(error),
    }
}

/// `transaction.boundary=interval`: how long a connector's transactions last.
fn transaction_interval(connector: &[(String, String)], worker: &Properties) -> Option<Duration> {
    let given = |name: &str| connector.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    given("transaction.boundary").filter(|boundary| boundary.eq_ignore_ascii_case("interval"))?;
    let interval = given("transaction.boundary.interval.ms").and_then(|ms| ms.parse().ok());
    let flush = || worker.get("offset.flush.interval.ms").and_then(|ms| ms.trim().parse().ok());
    Some(Duration::from_millis(interval.or_else(flush).unwrap_or(60_000)))
}

fn pairs(config: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    config.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

impl Backend for KafkaBackend {
    fn cluster_id(&self) -> String {
        self.cluster_id.clone()
    }

    fn configs(&self) -> Arc<dyn KeyedLog> {
        self.configs.clone()
    }

    fn offsets(&self, topic: Option<&str>) -> Result<Arc<dyn KeyedLog>, StoreError> {
        match topic {
            None => Ok(self.offsets.clone()),
            Some(topic) if topic == self.offsets_topic => Ok(self.offsets.clone()),
            Some(topic) => {
                let admin = Admin::open(&self.admin_options, "walspring-admin")
                    .map_err(|error| store_error(&error, "the Kafka client"))?;
                StoreTopic::Offsets.ensure(&admin, topic, &self.worker, CALL_TIMEOUT)?;
                let log = KafkaKeyedLog::new(topic.to_owned(), self.consumer_options.clone(), self.writer.clone());
                Ok(Arc::new(log))
            }
        }
    }

    fn statuses(&self) -> Arc<dyn KeyedLog> {
        self.statuses.clone()
    }

    fn state(&self) -> Option<Arc<dyn KeyedLog>> {
        self.state.clone().map(|log| log as Arc<dyn KeyedLog>)
    }

    fn writer(
        &self,
        request: WriterRequest,
        listener: Arc<dyn DurabilityListener>,
    ) -> Result<Box<dyn RecordWriter>, WriteError> {
        (self.may_write)().map_err(|error| match error {
            StoreError::Transient(text) => WriteError::Transient(text),
            StoreError::Definite(text) => WriteError::Definite(text),
            StoreError::Fenced(text) => WriteError::Fenced(text),
        })?;
        let WriterRequest { connector, task, config, offsets_topic } = request;
        let definite = |error: ClientConfigError| WriteError::Definite(error.to_string());
        let producer = ClientOptions::for_connector(Owner::Producer, &self.worker, pairs(&config)).map_err(definite)?;
        for warning in &producer.warnings {
            tracing::warn!(connector, "{warning}");
        }
        let rules = TopicRules::parse(&self.worker, pairs(&config)).map_err(WriteError::Definite)?;
        let has_rules = rules.is_some();
        let maker = || {
            let options = ClientOptions::for_connector(Owner::Admin, &self.worker, pairs(&config)).map_err(definite)?;
            Ok(Box::new(TopicMaker::new(rules, options, format!("connector-admin-{connector}-{task}"), CALL_TIMEOUT)))
        };
        let role = format!("connector-producer-{connector}-{task}");
        let delivery = if self.transactional {
            let id = format!("{}-{connector}-{task}", self.group_id);
            let transaction = TransactionConfig::new(id, offsets_topic.unwrap_or_else(|| self.offsets_topic.clone()));
            Delivery::Transactional(match transaction_interval(&config, &self.worker) {
                Some(interval) => {
                    let timeout = producer.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
                    transaction.lasting(interval, timeout.map(Duration::from_millis))
                }
                None => transaction,
            })
        } else {
            Delivery::AtLeastOnce
        };
        if self.uses_librdkafka(&producer)? {
            let transaction = match delivery {
                Delivery::AtLeastOnce => None,
                Delivery::Transactional(mut transaction) => {
                    if let Some(ms) = producer.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok()) {
                        transaction.timeout = Duration::from_millis(ms);
                    }
                    Some(transaction)
                }
            };
            let writer = LibrdkafkaWriter::connect(&producer, &role, transaction, listener, maker()?)?;
            return Ok(Box::new(writer));
        }
        let topic_admin: Option<Box<dyn crate::producer::TopicAdmin>> = if has_rules { Some(maker()?) } else { None };
        let config = producer.producer(&role, delivery).map_err(definite)?;
        Ok(Box::new(KafkaProducer::connect(config, listener, topic_admin)?))
    }

    fn check(&self, config: &[(String, String)]) -> Result<(), String> {
        TopicRules::parse(&self.worker, pairs(config)).map(drop)
    }

    fn transactional(&self) -> bool {
        self.transactional
    }

    fn still_ours(&self) -> Result<bool, StoreError> {
        Ok(self.lost().is_none())
    }

    fn on_taken_over(&self, listener: Box<dyn Fn(&str) + Send + Sync>) {
        self.on_lost(listener);
    }

    fn consumer(&self, request: ConsumerRequest) -> Result<Box<dyn RecordConsumer>, StoreError> {
        let options = self.connector_options(Owner::Consumer, &request.connector, &request.config)?;
        let role = format!("connector-consumer-{}-{}", request.connector, request.task);
        predecessor::evict(&options, &role, &request.group);
        Ok(Box::new(GroupConsumer::join(&options, request)?))
    }

    fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, StoreError> {
        self.admin()?.group_offsets(group, CALL_TIMEOUT)
    }

    fn alter_group_offsets(&self, group: &str, offsets: &[(TopicPartition, Option<i64>)]) -> Result<(), StoreError> {
        let set: Vec<_> = offsets.iter().filter_map(|(at, offset)| Some((at.clone(), (*offset)?))).collect();
        let forget: Vec<_> =
            offsets.iter().filter(|(_, offset)| offset.is_none()).map(|(partition, _)| partition.clone()).collect();
        let admin = self.admin()?;
        if !set.is_empty() {
            admin.set_group_offsets(group, &set, CALL_TIMEOUT)?;
        }
        if !forget.is_empty() {
            admin.forget_group_offsets(group, &forget, CALL_TIMEOUT)?;
        }
        Ok(())
    }

    fn delete_group(&self, group: &str) -> Result<(), StoreError> {
        self.admin()?.delete_group(group, CALL_TIMEOUT)
    }

    fn dead_letters(&self, request: DeadLetterRequest) -> Result<Box<dyn DeadLetterQueue>, StoreError> {
        let DeadLetterRequest { connector, task, topic, replication_factor, config } = request;
        let admin = self.connector_options(Owner::Admin, &connector, &config)?;
        let role = format!("connector-dlq-adminclient-{connector}-{task}");
        dead_letters::ensure_topic(&admin, &role, &topic, replication_factor)?;
        let producer = self.connector_options(Owner::Producer, &connector, &config)?;
        let role = format!("connector-dlq-producer-{connector}-{task}");
        Ok(Box::new(KafkaDeadLetters::new(producer, role, topic)))
    }
}
