//! What a producer is told. Whoever reads Kafka's option names (`bootstrap.servers`, …) makes one of these.

use std::time::Duration;

use walspring_record_batch::Codec;

use crate::sasl::SaslConfig;
use crate::tls::TlsConfig;

/// Encryption and login; the pair is Kafka's `security.protocol`: neither `PLAINTEXT`, TLS `SSL`, SASL
/// `SASL_PLAINTEXT`, both `SASL_SSL`.
#[derive(Debug, Clone, Default)]
pub struct Security {
    pub tls: Option<TlsConfig>,
    pub sasl: Option<SaslConfig>,
}

/// What is promised about duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Idempotent within this producer's life; after a restart, records from the stored offset on come again.
    AtLeastOnce,
    /// Records and source offset in one Kafka transaction (KIP-98, KIP-618).
    Transactional(TransactionConfig),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// The same for every start of the same task: a later producer with this id fences this one.
    pub transactional_id: String,
    /// After which the coordinator aborts a transaction by itself (`transaction.timeout.ms`, 60 s).
    pub timeout: Duration,
    /// Where tickets' source offsets go; must exist.
    pub offsets_topic: String,
    /// A transaction that has gathered this many bytes ends, also under backlog. 8 MiB.
    pub bytes_max: usize,
    /// A transaction of this age ends, also under backlog. 250 ms.
    pub age_max: Duration,
    /// A transaction ends by age and bytes only, not when nothing more waits (`transaction.boundary=interval`).
    pub by_interval: bool,
    /// Keeps to the first version of transactions on a cluster that has the second: for tests.
    pub force_version_1: bool,
}

impl TransactionConfig {
    pub fn new(transactional_id: impl Into<String>, offsets_topic: impl Into<String>) -> Self {
        Self {
            transactional_id: transactional_id.into(),
            timeout: Duration::from_secs(60),
            offsets_topic: offsets_topic.into(),
            bytes_max: walspring_connect::fault::limit("transaction_bytes", 8 << 20),
            age_max: Duration::from_millis(250),
            by_interval: false,
            force_version_1: false,
        }
    }

    /// `transaction.boundary=interval`: transactions last this long. The coordinator gives them twice as long, unless
    /// a `timeout` is given; they never last longer than half of what it gives.
    pub fn lasting(mut self, interval: Duration, timeout: Option<Duration>) -> Self {
        self.timeout = timeout.unwrap_or(interval.saturating_mul(2).clamp(self.timeout, TIMEOUT_MAX));
        self.by_interval = true;
        self.age_max = interval.min(self.timeout / 2);
        self.bytes_max = INTERVAL_BYTES_MAX;
        self
    }
}

/// What brokers allow where nothing is said (`transaction.max.timeout.ms`).
const TIMEOUT_MAX: Duration = Duration::from_secs(900);
/// Of a transaction that lasts an interval: each ticket of it is remembered until it is committed.
const INTERVAL_BYTES_MAX: usize = 256 << 20;

/// A producer's configuration; [`ProducerConfig::new`] has Kafka's defaults unless said otherwise.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// `host:port` each; resolved anew for every connection.
    pub bootstrap_servers: Vec<String>,
    pub client_id: String,
    pub security: Security,
    pub delivery: Delivery,
    /// `compression.type`; the work is done on the producer's own thread.
    pub compression: Codec,
    /// `compression.gzip.level` or `compression.zstd.level`; the codec's own default when absent.
    pub compression_level: Option<i32>,
    /// `max.request.size`: a single record above it is refused, and requests are filled up to it. 1 MiB.
    pub max_request_size: usize,
    /// Bound on what is submitted and not acknowledged, in bytes. 8 MiB: a full transaction's worth.
    pub buffer_bytes: usize,
    /// `max.in.flight.requests.per.connection`, 1 to 5: more would lose the order on a retry.
    pub in_flight_max: usize,
    /// `request.timeout.ms`, 30 s.
    pub request_timeout: Duration,
    /// How long nothing may be acknowledged before the producer gives up (`delivery.timeout.ms`). None: forever, as
    /// Connect's producers.
    pub delivery_timeout: Option<Duration>,
    /// How long [`KafkaProducer::connect`](super::KafkaProducer::connect) waits for the cluster. 60 s.
    pub connect_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`, 10 s.
    pub connection_setup_timeout: Duration,
    /// `reconnect.backoff.ms`, 50 ms, doubled up to `reconnect.backoff.max.ms`, 1 s.
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    /// `retry.backoff.ms`, 100 ms, doubled up to `retry.backoff.max.ms`, 1 s.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`, 5 min.
    pub metadata_age_max: Duration,
    /// How long a topic may be unknown to the brokers after it was known to exist. 60 s.
    pub unknown_topic_timeout: Duration,
}

impl ProducerConfig {
    pub fn new(bootstrap_servers: impl IntoIterator<Item = impl Into<String>>, delivery: Delivery) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into_iter().map(Into::into).collect(),
            client_id: "walspring".into(),
            security: Security::default(),
            delivery,
            compression: Codec::None,
            compression_level: None,
            max_request_size: 1024 * 1024,
            buffer_bytes: 8 << 20,
            in_flight_max: 5,
            request_timeout: Duration::from_secs(30),
            delivery_timeout: None,
            connect_timeout: Duration::from_secs(60),
            connection_setup_timeout: Duration::from_secs(10),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_age_max: Duration::from_secs(300),
            unknown_topic_timeout: Duration::from_secs(walspring_connect::fault::limit("unknown_topic_s", 60) as u64),
        }
    }

    pub(super) fn transaction(&self) -> Option<&TransactionConfig> {
        match &self.delivery {
            Delivery::AtLeastOnce => None,
            Delivery::Transactional(transaction) => Some(transaction),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coordinator_outlasts_a_transaction_of_an_interval() {
        let of = |interval, timeout: Option<u64>| {
            let seconds = Duration::from_secs;
            let config = TransactionConfig::new("id", "offsets").lasting(seconds(interval), timeout.map(seconds));
            assert!(config.by_interval);
            (config.age_max.as_secs(), config.timeout.as_secs())
        };
        assert_eq!(of(1, None), (1, 60));
        assert_eq!(of(60, None), (60, 120));
        assert_eq!(of(u64::MAX / 1000, None), (450, 900));
        assert_eq!(of(60, Some(60)), (30, 60));
    }
}
