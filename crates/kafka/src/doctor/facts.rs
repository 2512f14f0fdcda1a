//! What a cluster says of itself, asked once.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    DescribeConfigsRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::Examined;
use crate::admin::creation::TopicRules;
use crate::admin::internal_topics::StoreTopic;
use crate::client_config::keys::Owner;
use crate::client_config::{ClientConfigError, ClientOptions, Properties};
use crate::connection::{Address, Connection, ConnectionConfig, ConnectionError};
use crate::producer::{Delivery, ProducerConfig, TransactionConfig};
use crate::protocol::Request;

/// A broker that has not answered by then is told as one that cannot be reached.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The last version of Metadata that tells what we may do with the cluster.
const METADATA_WITH_CLUSTER_RIGHTS: i16 = 10;
/// The last version of FindCoordinator that takes one key.
const FIND_ONE_COORDINATOR: i16 = 3;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Bits of authorized operations (KIP-430), by the codes of `AclOperation`.
pub const READ: i32 = 1 << 3;
pub const WRITE: i32 = 1 << 4;
pub const CREATE: i32 = 1 << 5;
pub const DESCRIBE: i32 = 1 << 8;

pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

pub struct Facts {
    pub worker: Properties,
    pub options: ClientOptions,
    pub producer: ProducerConfig,
    /// Set where transactions will be used, if they can be.
    pub transaction: Option<TransactionConfig>,
    pub group: Option<String>,
    /// The worker's three, where a worker is given.
    pub stores: Vec<(StoreTopic, String)>,
    pub data_topics: Vec<String>,
    /// None: topics are made by the brokers, or not at all.
    pub rules: Result<Option<TopicRules>, String>,
    pub bootstrap: Vec<(String, Result<(), ConnectionError>)>,
    /// None: nobody answered.
    pub cluster: Option<ClusterFacts>,
}

pub struct ClusterFacts {
    pub brokers: Vec<(i32, Address, Result<(), ConnectionError>)>,
    pub transaction_version: i16,
    pub transactions: bool,
    /// None: the broker does not say.
    pub rights: Option<i32>,
    pub topics: BTreeMap<String, TopicFacts>,
    /// Of the broker that answered; the error's code where we may not read it.
    pub config: Result<BTreeMap<String, String>, i16>,
    /// Error codes of the coordinators that were asked for; none: not asked.
    pub group_error: Option<i16>,
    pub transaction_error: Option<i16>,
}

pub struct TopicFacts {
    pub error: i16,
    pub partitions: usize,
    /// Of the partition that has the fewest.
    pub replicas: usize,
    pub in_sync: usize,
    pub leaderless: usize,
    pub rights: Option<i32>,
    pub config: Result<BTreeMap<String, String>, i16>,
}

impl TopicFacts {
    pub fn exists(&self) -> bool {
        self.error == 0 || self.error == LEADER_NOT_AVAILABLE
    }

    pub fn number(&self, option: &str) -> Option<i64> {
        self.config.as_ref().ok()?.get(option)?.parse().ok()
    }
}

pub const UNKNOWN_TOPIC: i16 = 3;
const LEADER_NOT_AVAILABLE: i16 = 5;

pub fn gather(examined: &Examined<'_>) -> Result<Facts, ClientConfigError> {
    let worker = examined.worker;
    let pairs = || examined.connector.iter().flat_map(|(_, c)| c.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let options = ClientOptions::internal(Owner::Producer, worker)?;
    let own = ClientOptions::for_connector(Owner::Producer, worker, pairs())?;
    let group = worker.get("group.id").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    let disabled = worker.get("exactly.once.source.support").is_some_and(|v| v.trim().eq_ignore_ascii_case("disabled"));
    let transaction = group.as_ref().filter(|_| !disabled).map(|group| match examined.connector {
        Some((name, _)) => TransactionConfig::new(format!("{group}-{name}-0"), ""),
        None => TransactionConfig::new(format!("connect-cluster-{group}"), ""),
    });
    let delivery = transaction.map_or(Delivery::AtLeastOnce, Delivery::Transactional);
    let producer = own.producer("walspring-doctor", delivery)?;
    let stores = [StoreTopic::Configs, StoreTopic::Offsets, StoreTopic::Statuses];
    let stores = stores.into_iter().filter_map(|store| Some((store, store.name(worker).ok()?))).collect();
    let mut facts = Facts {
        worker: worker.clone(),
        transaction: match &producer.delivery {
            Delivery::Transactional(transaction) => Some(transaction.clone()),
            Delivery::AtLeastOnce => None,
        },
        producer,
        options,
        group,
        stores,
        data_topics: examined.topics.to_vec(),
        rules: TopicRules::parse(worker, pairs()),
        bootstrap: Vec::new(),
        cluster: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    runtime.block_on(ask(&mut facts))?;
    runtime.shutdown_background();
    Ok(facts)
}

async fn ask(facts: &mut Facts) -> Result<(), ClientConfigError> {
    let security = facts.options.security()?;
    let config = ConnectionConfig {
        client_id: "walspring-doctor".into(),
        tls: security.tls.as_ref().map(crate::tls::client_config).transpose()?,
        sasl: security.sasl,
        setup_timeout: ANSWER_MAX,
        request_timeout: ANSWER_MAX,
    };
    let mut first = None;
    for text in facts.options.bootstrap_servers.clone() {
        let opened = match Address::parse(&text) {
            Some(address) => Connection::open(&address, &config).await,
            None => return Err(format!("bootstrap.servers: {text:?} is not host:port").into()),
        };
        facts.bootstrap.push((text, opened.as_ref().map(|_| ()).map_err(Clone::clone)));
        first = first.or(opened.ok());
    }
    let Some(connection) = first else { return Ok(()) };
    match cluster(facts, &connection, &config).await {
        Ok(cluster) => facts.cluster = Some(cluster),
        // It answered the door and nothing else.
        Err(error) => {
            if let Some((_, answer)) = facts.bootstrap.iter_mut().find(|(_, answer)| answer.is_ok()) {
                *answer = Err(error);
            }
        }
    }
    Ok(())
}

async fn cluster(
    facts: &Facts,
    connection: &Connection,
    config: &ConnectionConfig,
) -> Result<ClusterFacts, ConnectionError> {
    let stores = facts.stores.iter().map(|(_, name)| name.as_str());
    let data = facts.data_topics.iter().map(String::as_str);
    let names: Vec<&str> = stores.chain(data).chain([OFFSETS_TOPIC, TRANSACTIONS_TOPIC]).collect();
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(TopicName(owned(name))));
    let request = MetadataRequest::default()
        .with_allow_auto_topic_creation(false)
        .with_include_cluster_authorized_operations(true)
        .with_include_topic_authorized_operations(true)
        .with_topics(Some(names.iter().map(topic).collect()));
    let metadata = connection.call_below(&request, METADATA_WITH_CLUSTER_RIGHTS).await?;
    let version = connection.pick::<MetadataRequest>()?.min(METADATA_WITH_CLUSTER_RIGHTS);
    let rights = |bits: i32| (version >= 8 && bits != i32::MIN).then_some(bits);
    let mut brokers = Vec::new();
    let mut config_of_broker = Err(0);
    for broker in &metadata.brokers {
        let address = Address { host: broker.host.to_string(), port: broker.port.try_into().unwrap_or(0) };
        let opened = Connection::open(&address, config).await;
        if let (Ok(connection), true) = (&opened, config_of_broker.is_err()) {
            config_of_broker = described(connection, BROKER, &broker.node_id.0.to_string()).await?;
        }
        brokers.push((broker.node_id.0, address, opened.map(|_| ())));
    }
    let mut topics = BTreeMap::new();
    for topic in &metadata.topics {
        let Some(name) = topic.name.as_ref().map(|name| name.to_string()) else { continue };
        let config = match topic.error_code {
            0 => described(connection, TOPIC, &name).await?,
            error => Err(error),
        };
        topics.insert(name, topic_facts(topic, rights(topic.topic_authorized_operations), config));
    }
    let there = |name: &str| topics.get(name).is_some_and(TopicFacts::exists);
    // The first question for a coordinator makes its topic: it is asked only where that is there.
    let group_error = match &facts.group {
        Some(group) if there(OFFSETS_TOPIC) => Some(coordinator(connection, group, 0).await?),
        _ => None,
    };
    let transaction_error = match &facts.transaction {
        Some(transaction) if there(TRANSACTIONS_TOPIC) => {
            Some(coordinator(connection, &transaction.transactional_id, 1).await?)
        }
        _ => None,
    };
    let versions = connection.versions();
    let has = |key| versions.pick(key, 0, i16::MAX).is_some();
    Ok(ClusterFacts {
        brokers,
        transaction_version: versions.transaction_version,
        transactions: has(InitProducerIdRequest::KEY) && has(EndTxnRequest::KEY),
        rights: rights(metadata.cluster_authorized_operations),
        topics,
        config: config_of_broker,
        group_error,
        transaction_error,
    })
}

fn topic_facts(
    topic: &MetadataResponseTopic,
    rights: Option<i32>,
    config: Result<BTreeMap<String, String>, i16>,
) -> TopicFacts {
    let partitions = &topic.partitions;
    TopicFacts {
        error: topic.error_code,
        partitions: partitions.len(),
        replicas: partitions.iter().map(|p| p.replica_nodes.len()).min().unwrap_or(0),
        in_sync: partitions.iter().map(|p| p.isr_nodes.len()).min().unwrap_or(0),
        leaderless: partitions.iter().filter(|p| p.leader_id.0 < 0).count(),
        rights,
        config,
    }
}

/// The settings of a topic or of the broker itself; the broker's error code where it does not tell.
async fn described(
    connection: &Connection,
    kind: i8,
    name: &str,
) -> Result<Result<BTreeMap<String, String>, i16>, ConnectionError> {
    let resource = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(owned(name));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(None)]);
    let response = connection.call(&request).await?;
    let Some(result) = response.results.first() else { return Ok(Err(-1)) };
    if result.error_code != 0 {
        return Ok(Err(result.error_code));
    }
    let known = result.configs.iter().filter(|config| !config.is_sensitive);
    Ok(Ok(known.filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string()))).collect()))
}

/// The error code of the answer; `kind`: 0 of a group, 1 of a transactional id.
async fn coordinator(connection: &Connection, key: &str, kind: i8) -> Result<i16, ConnectionError> {
    let request = FindCoordinatorRequest::default().with_key(owned(key)).with_key_type(kind);
    Ok(connection.call_below(&request, FIND_ONE_COORDINATOR).await?.error_code)
}

fn owned(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
