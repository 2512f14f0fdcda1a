//! What a cluster can do, asked before a task is configured.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{EndTxnRequest, InitProducerIdRequest};

use walspring_connect::writer::WriteError;

use super::cluster::Cluster;
use super::config::ProducerConfig;
use super::coordinator::{Coordinator, CoordinatorError};
use super::failure;
use crate::protocol::Request;
use crate::protocol::produce;

/// The answers of one broker of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterFeatures {
    /// The finalized `transaction.version`: 2 and above is KIP-890, 0 where the cluster is too old to tell.
    pub transaction_version: i16,
    /// InitProducerId and EndTxn are there.
    pub supports_transactions: bool,
    /// Idempotent producers are.
    pub supports_idempotence: bool,
    /// zstd came with Produce version 7 (KIP-110).
    pub supports_zstd: bool,
}

/// Asks one broker. Waits for a connection, then the request timeout.
pub fn cluster_features(config: &ProducerConfig) -> Result<ClusterFeatures, WriteError> {
    let cluster = Cluster::new(config).map_err(WriteError::Definite)?;
    run(async {
        let connection = cluster.any_connection().await.map_err(|error| failure::connection_error(&error))?;
        let versions = connection.versions();
        let has = |key, min| versions.pick(key, min, i16::MAX).is_some();
        Ok(ClusterFeatures {
            transaction_version: versions.transaction_version,
            supports_transactions: has(InitProducerIdRequest::KEY, 0) && has(EndTxnRequest::KEY, 0),
            supports_idempotence: has(InitProducerIdRequest::KEY, 0) && has(produce::KEY, 3),
            supports_zstd: has(produce::KEY, 7),
        })
    })
}

/// Whether this principal may use the transactional id of the configuration. This fences whoever uses it now.
///
/// `Ok(false)`: not authorized, or the cluster has no transactions. Errors: no answer.
pub fn can_transact(config: &ProducerConfig) -> Result<bool, WriteError> {
    let Some(transaction) = config.transaction() else { return Ok(false) };
    let cluster = std::sync::Arc::new(Cluster::new(config).map_err(WriteError::Definite)?);
    run(async {
        let coordinator = Coordinator::new(
            cluster,
            &transaction.transactional_id,
            transaction.timeout,
            (config.retry_backoff, config.retry_backoff_max),
            Box::new(|_| ()),
        );
        match coordinator.init_producer_id(tokio::time::Instant::now() + config.connect_timeout).await {
            Ok(_) => Ok(true),
            Err(CoordinatorError::Write(WriteError::Definite(message))) => {
                let unauthorized = ResponseError::TransactionalIdAuthorizationFailed.to_string();
                tracing::info!(reason = message, unauthorized = message.contains(&unauthorized), "no transactions");
                Ok(false)
            }
            Err(CoordinatorError::Write(error)) => Err(error),
            Err(CoordinatorError::Fenced) => Err(WriteError::Transient("another producer uses the id".into())),
        }
    })
}

fn run<T>(work: impl Future<Output = Result<T, WriteError>>) -> Result<T, WriteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| WriteError::Transient(format!("no event loop: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
