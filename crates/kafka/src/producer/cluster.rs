//! What is known of the cluster: brokers, leaders, and an open connection to each broker that is needed.
//!
//! Shared by the producer's loop and the small tasks it starts, all on one thread. Knows nothing of batches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::config::ProducerConfig;
use crate::connection::{Address, Connection, ConnectionConfig, ConnectionError};

/// A topic as the last metadata had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopicState {
    /// The leader of each partition, by its index; none while one is elected.
    Known(Vec<Option<i32>>),
    Failed(ResponseError),
}

pub(super) struct Cluster {
    bootstrap: Vec<Address>,
    connection_config: ConnectionConfig,
    reconnect_backoff: (Duration, Duration),
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    brokers: HashMap<i32, Address>,
    topics: HashMap<Arc<str>, TopicState>,
    connections: HashMap<Address, Arc<Slot>>,
}

/// The place of one broker's connection. The lock is held while it is opened, so that it is opened once.
#[derive(Default)]
struct Slot {
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    count: u32,
    not_before: Option<Instant>,
}

impl Cluster {
    /// The message of the error names the option at fault.
    pub(super) fn new(config: &ProducerConfig) -> Result<Self, String> {
        let bootstrap = config
            .bootstrap_servers
            .iter()
            .map(|text| Address::parse(text).ok_or_else(|| format!("bootstrap.servers: {text:?} is not host:port")))
            .collect::<Result<Vec<_>, _>>()?;
        if bootstrap.is_empty() {
            return Err("bootstrap.servers names no broker".into());
        }
        let tls = config.security.tls.as_ref().map(crate::tls::client_config).transpose()?;
        Ok(Self {
            bootstrap,
            connection_config: ConnectionConfig {
                client_id: config.client_id.clone(),
                tls,
                sasl: config.security.sasl.clone(),
                setup_timeout: config.connection_setup_timeout,
                request_timeout: config.request_timeout,
            },
            reconnect_backoff: (config.reconnect_backoff, config.reconnect_backoff_max),
            known: Mutex::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn topic(&self, topic: &str) -> Option<TopicState> {
        self.known().topics.get(topic).cloned()
    }

    pub(super) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        match self.known().topics.get(topic)? {
            TopicState::Known(leaders) => *leaders.get(usize::try_from(partition).ok()?)?,
            TopicState::Failed(_) => None,
        }
    }

    pub(super) fn forget_topic(&self, topic: &str) {
        self.known().topics.remove(topic);
    }

    /// The open connection to a broker; opens it after whatever back-off is due.
    pub(super) async fn connection(&self, node: i32) -> Result<Arc<Connection>, ConnectionError> {
        let address = self.known().brokers.get(&node).cloned();
        let address = address.ok_or_else(|| ConnectionError::Unreachable(format!("broker {node} is not known")))?;
        self.connect(&address).await
    }

    async fn connect(&self, address: &Address) -> Result<Arc<Connection>, ConnectionError> {
        let slot = self.known().connections.entry(address.clone()).or_default().clone();
        let mut place = slot.connection.lock().await;
        if let Some(connection) = place.as_ref().filter(|c| c.is_alive() && !c.should_retire()) {
            return Ok(connection.clone());
        }
        let not_before = lock(&slot.failures).not_before;
        if let Some(at) = not_before {
            tokio::time::sleep_until(at).await;
        }
        let opened = Connection::open(address, &self.connection_config).await;
        let mut failures = lock(&slot.failures);
        match opened {
            Ok(connection) => {
                *failures = Failures::default();
                let connection = Arc::new(connection);
                *place = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                let (first, max) = self.reconnect_backoff;
                let wait = backoff(first, max, failures.count);
                failures.count += 1;
                failures.not_before = Some(Instant::now() + wait);
                Err(error)
            }
        }
    }

    /// A connection to any broker, an open one by preference; the bootstrap servers once no known broker answers.
    pub(super) async fn any_connection(&self) -> Result<Arc<Connection>, ConnectionError> {
        let (mut addresses, open): (Vec<_>, Vec<_>) = {
            let known = self.known();
            let open = known.connections.values().filter_map(|slot| slot.connection.try_lock().ok()?.clone());
            (known.brokers.values().cloned().collect(), open.filter(|c| c.is_alive()).collect())
        };
        if let Some(connection) = open.into_iter().find(|c: &Arc<Connection>| !c.should_retire()) {
            return Ok(connection);
        }
        addresses.extend(self.bootstrap.iter().cloned());
        let mut last = None;
        for address in addresses {
            match self.connect(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error @ ConnectionError::Refused(_)) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ConnectionError::Unreachable("no broker is known".into())))
    }

    /// Asks for brokers and the leaders of these topics.
    pub(super) async fn refresh(&self, topics: &[Arc<str>], create: bool) -> Result<(), ConnectionError> {
        let request = MetadataRequest::default().with_allow_auto_topic_creation(create).with_topics(Some(
            topics
                .iter()
                .map(|topic| {
                    let name = TopicName(StrBytes::from_string(topic.to_string()));
                    MetadataRequestTopic::default().with_name(Some(name))
                })
                .collect(),
        ));
        let connection = self.any_connection().await?;
        let response = connection.call(&request).await?;
        let mut known = self.known();
        if !response.brokers.is_empty() {
            known.brokers = response
                .brokers
                .iter()
                .filter_map(|b| {
                    Some((b.node_id.0, Address { host: b.host.to_string(), port: b.port.try_into().ok()? }))
                })
                .collect();
        }
        for topic in response.topics {
            let Some(name) = topic.name else { continue };
            let state = match ResponseError::try_from_code(topic.error_code) {
                Some(error) => TopicState::Failed(error),
                None => {
                    // Indexes are those of a topic, small; a broker that claims otherwise is not believed.
                    let count = topic.partitions.len();
                    let mut leaders = vec![None; count];
                    for partition in &topic.partitions {
                        let index = usize::try_from(partition.partition_index).ok().filter(|i| *i < count);
                        if let Some(index) = index {
                            leaders[index] = Some(partition.leader_id.0).filter(|id| *id >= 0);
                        }
                    }
                    TopicState::Known(leaders)
                }
            };
            known.topics.insert(Arc::from(&*name.0), state);
        }
        Ok(())
    }
}

/// Doubled with each failure, with a fifth of jitter (KIP-601).
pub(super) fn backoff(first: Duration, max: Duration, failures: u32) -> Duration {
    let wait = first.saturating_mul(1 << failures.min(16)).min(max);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    wait.mul_f64(0.8 + 0.4 * f64::from(nanos % 1000) / 1000.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
