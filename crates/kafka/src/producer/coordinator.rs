//! The transaction coordinator's side: ids, partitions added, transactions ended.
//!
//! KIP-98 and, for the second version of transactions, KIP-890: there every end of a transaction brings a new epoch,
//! so that nothing late can slip into the next one.
//!
//! Invariant: EndTxn is sent again only after a definite answer. When the answer is lost nobody but the coordinator
//! knows how the transaction ended, and only a new producer's InitProducerId, which waits for it, may go on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProducerId, TopicName,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use walspring_connect::writer::WriteError;

use super::cluster::{Cluster, backoff};
use super::failure;
use crate::connection::{Connection, ConnectionError};

/// `KeyType` of a transactional id in FindCoordinator.
const TRANSACTION_KEY: i8 = 1;
/// As Java's `TransactionManager`: the previous transaction's markers are usually written within this.
const CONCURRENT_BACKOFF: Duration = Duration::from_millis(2);
const CONCURRENT_BACKOFF_MAX: Duration = Duration::from_millis(20);

/// Who we are to the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerIdentity {
    pub id: i64,
    pub epoch: i16,
}

/// How a request to the coordinator failed.
#[derive(Debug, Clone)]
pub(super) enum CoordinatorError {
    Write(WriteError),
    /// INVALID_PRODUCER_EPOCH or PRODUCER_FENCED.
    Fenced,
}

impl From<WriteError> for CoordinatorError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

pub(super) struct Coordinator {
    cluster: Arc<Cluster>,
    transactional_id: StrBytes,
    transaction_timeout: Duration,
    retry_backoff: (Duration, Duration),
    /// The coordinator's node id, until it says that it is not.
    node: Mutex<Option<i32>>,
    on_wait: Box<dyn Fn(String) + Send + Sync>,
}

impl Coordinator {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        transactional_id: &str,
        transaction_timeout: Duration,
        retry_backoff: (Duration, Duration),
        on_wait: Box<dyn Fn(String) + Send + Sync>,
    ) -> Self {
        Self {
            cluster,
            transactional_id: StrBytes::from_string(transactional_id.to_owned()),
            transaction_timeout,
            retry_backoff,
            node: Mutex::new(None),
            on_wait,
        }
    }

    /// Fences every earlier producer with this transactional id and ends what it left open.
    pub(super) async fn init_producer_id(
        &self,
        deadline: Instant,
    ) -> Result<(ProducerIdentity, i16), CoordinatorError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(self.transactional_id.clone())))
            .with_transaction_timeout_ms(i32::try_from(self.transaction_timeout.as_millis()).unwrap_or(i32::MAX))
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let mut attempt = 0;
        loop {
            let connection = self.connection(Some(deadline)).await?;
            let error = match connection.call(&request).await {
                Ok(response) => match ResponseError::try_from_code(response.error_code) {
                    None => {
                        let identity = ProducerIdentity { id: response.producer_id.0, epoch: response.producer_epoch };
                        return Ok((identity, connection.versions().transaction_version));
                    }
                    Some(error) => self.retriable(error, "the transactional id")?,
                },
                Err(error @ (ConnectionError::Refused(_) | ConnectionError::Unsupported(_))) => {
                    return Err(failure::connection_error(&error).into());
                }
                // Asking twice is harmless: the second answer has a higher epoch.
                Err(error) => {
                    self.forget();
                    error.to_string()
                }
            };
            self.wait(&mut attempt, Some(deadline), &error).await?;
        }
    }

    /// Ends the transaction. The identity to go on with: in version 2 a new epoch, or id.
    pub(super) async fn end_transaction(
        &self,
        identity: ProducerIdentity,
        commit: bool,
        version_2: bool,
    ) -> Result<ProducerIdentity, CoordinatorError> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(self.transactional_id.clone()))
            .with_producer_id(ProducerId(identity.id))
            .with_producer_epoch(identity.epoch)
            .with_committed(commit);
        let mut attempt = 0;
        loop {
            // Without a connection nothing was sent, and trying on is safe.
            let connection = self.connection(None).await?;
            let response = if version_2 {
                connection.call(&request).await.map(|r| (r.error_code, r.producer_id.0, r.producer_epoch))
            } else {
                self.end_transaction_1(&connection, &request).await
            };
            let error = match response {
                Ok((code, id, epoch)) => match ResponseError::try_from_code(code) {
                    None if version_2 && id >= 0 && epoch >= 0 => return Ok(ProducerIdentity { id, epoch }),
                    None => return Ok(identity),
                    Some(error) => self.retriable(error, "the end of a transaction")?,
                },
                Err(error) => {
                    self.forget();
                    return Err(WriteError::Transient(format!(
                        "whether the last transaction was committed is not known ({error}); the task starts again \
                         from the offset that is stored"
                    ))
                    .into());
                }
            };
            self.wait(&mut attempt, None, &error).await?;
        }
    }

    /// From version 5 on the request means the second version of transactions: stay below.
    async fn end_transaction_1(
        &self,
        connection: &Connection,
        request: &EndTxnRequest,
    ) -> Result<(i16, i64, i16), ConnectionError> {
        let response = connection.call_below(request, 4).await?;
        Ok((response.error_code, -1, -1))
    }

    /// Version 1 only: the coordinator must know a partition before a batch of the transaction reaches it.
    pub(super) async fn add_partitions(
        &self,
        identity: ProducerIdentity,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<(), CoordinatorError> {
        let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
        for (topic, partition) in partitions {
            match topics.iter_mut().find(|t| *t.name.0 == **topic) {
                Some(found) => found.partitions.push(*partition),
                None => topics.push(
                    AddPartitionsToTxnTopic::default()
                        .with_name(TopicName(StrBytes::from_string(topic.to_string())))
                        .with_partitions(vec![*partition]),
                ),
            }
        }
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(self.transactional_id.clone()))
            .with_v3_and_below_producer_id(ProducerId(identity.id))
            .with_v3_and_below_producer_epoch(identity.epoch)
            .with_v3_and_below_topics(topics);
        let mut attempt = 0;
        loop {
            let connection = self.connection(None).await?;
            let error = match connection.call(&request).await {
                Ok(response) => {
                    let mut results = response
                        .results_by_topic_v3_and_below
                        .iter()
                        .flat_map(|t| t.results_by_partition.iter().map(move |p| (&t.name, p)))
                        .filter_map(|(name, p)| {
                            let error = ResponseError::try_from_code(p.partition_error_code)?;
                            Some((format!("partition {}-{}", &*name.0, p.partition_index), error))
                        })
                        // Said of the others when one is refused.
                        .filter(|(_, error)| *error != ResponseError::OperationNotAttempted)
                        .collect::<Vec<_>>();
                    // What cannot be retried first.
                    results.sort_by_key(|(_, error)| is_retriable(*error));
                    match results.first() {
                        None => return Ok(()),
                        Some((place, error)) => self.retriable(*error, place)?,
                    }
                }
                // Adding twice is harmless.
                Err(error) => {
                    self.forget();
                    error.to_string()
                }
            };
            self.wait(&mut attempt, None, &error).await?;
        }
    }

    /// The text to show while the request is tried again, or why it is not.
    fn retriable(&self, error: ResponseError, place: &str) -> Result<String, CoordinatorError> {
        use ResponseError as E;
        match error {
            E::InvalidProducerEpoch | E::ProducerFenced => Err(CoordinatorError::Fenced),
            E::NotCoordinator | E::CoordinatorNotAvailable => {
                self.forget();
                Ok(error.to_string())
            }
            E::InvalidTxnState | E::InvalidProducerIdMapping | E::TransactionAbortable => {
                Err(WriteError::Transient(format!(
                    "Kafka does not know the transaction any more ({error}); the task starts again from its offset"
                ))
                .into())
            }
            error if is_retriable(error) => Ok(error.to_string()),
            error => Err(failure::definite(error, None, place).into()),
        }
    }

    async fn wait(&self, attempt: &mut u32, deadline: Option<Instant>, reason: &str) -> Result<(), CoordinatorError> {
        let concurrent = reason == ResponseError::ConcurrentTransactions.to_string();
        let wait = if concurrent {
            // Soon at first: the previous transaction's markers are on their way.
            (CONCURRENT_BACKOFF * (1 << (*attempt).min(4))).min(CONCURRENT_BACKOFF_MAX)
        } else {
            (self.on_wait)(format!("waiting for Kafka's transaction coordinator: {reason}"));
            backoff(self.retry_backoff.0, self.retry_backoff.1, *attempt)
        };
        *attempt += 1;
        if deadline.is_some_and(|d| Instant::now() + wait >= d) {
            return Err(WriteError::Transient(format!("Kafka's transaction coordinator is not ready: {reason}")).into());
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn forget(&self) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A connection to the coordinator, looked up when it is not known.
    async fn connection(&self, deadline: Option<Instant>) -> Result<Arc<Connection>, CoordinatorError> {
        let mut attempt = 0;
        loop {
            let node = *self.node.lock().unwrap_or_else(PoisonError::into_inner);
            let found = match node {
                Some(node) => Ok(node),
                None => self.find().await,
            };
            let error = match found {
                Ok(node) => match self.cluster.connection(node).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => {
                        self.forget();
                        error
                    }
                },
                Err(error) => error,
            };
            if let WriteError::Definite(message) = failure::connection_error(&error) {
                return Err(WriteError::Definite(message).into());
            }
            self.wait(&mut attempt, deadline, &error.to_string()).await?;
        }
    }

    async fn find(&self) -> Result<i32, ConnectionError> {
        let connection = self.cluster.any_connection().await?;
        let request = FindCoordinatorRequest::default().with_key_type(TRANSACTION_KEY);
        let request = if connection.pick::<FindCoordinatorRequest>()? >= 4 {
            request.with_coordinator_keys(vec![self.transactional_id.clone()])
        } else {
            request.with_key(self.transactional_id.clone())
        };
        let response = connection.call(&request).await?;
        let (code, node) = match response.coordinators.first() {
            Some(found) => (found.error_code, found.node_id.0),
            None => (response.error_code, response.node_id.0),
        };
        match ResponseError::try_from_code(code) {
            None => {
                self.cluster.refresh(&[], false).await?; // its address
                *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
                Ok(node)
            }
            Some(ResponseError::TransactionalIdAuthorizationFailed) => Err(ConnectionError::Refused(format!(
                "Kafka refused the transactional id {:?}: grant this principal Write and Describe on it",
                &*self.transactional_id
            ))),
            Some(error) => Err(ConnectionError::Unreachable(error.to_string())),
        }
    }
}

fn is_retriable(error: ResponseError) -> bool {
    error == ResponseError::ConcurrentTransactions || error.is_retriable()
}

/// An id for a producer without transactions, from any broker.
pub(super) async fn idempotent_identity(cluster: &Cluster) -> Result<ProducerIdentity, WriteError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let ask = async { cluster.any_connection().await?.call(&request).await };
    let response = ask.await.map_err(|error| failure::connection_error(&error))?;
    match ResponseError::try_from_code(response.error_code) {
        None => Ok(ProducerIdentity { id: response.producer_id.0, epoch: response.producer_epoch }),
        Some(error) if error.is_retriable() => Err(WriteError::Transient(error.to_string())),
        Some(error) => Err(failure::definite(error, None, "an idempotent producer")),
    }
}
