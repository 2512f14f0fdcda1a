//! The Kafka producer behind [`RecordWriter`]: takes encoded batches, and says when they are durable.
//!
//! It copies no record and knows no schema. One thread of its own does all the talking ([`sender`]); tickets reach it
//! through a queue bounded in bytes ([`handoff`]). It does not restart itself: after an error it cannot answer it
//! ends, and the runtime makes another one, which goes on from the stored offset.
//!
//! Invariants: batches of a partition reach the log in the order of their tickets; with transactions, what
//! `durable(n)` was said of is committed together with its offset, and a transaction whose end is not known is never
//! ended again by the same producer (see [`coordinator`]).
//!
//! KIP-98 (idempotence, transactions), KIP-890 (their second version), KIP-618 (offsets inside the transaction).

mod cluster;
mod config;
mod coordinator;
mod failure;
mod features;
mod flow;
mod handoff;
mod lost_markers;
mod pacing;
mod partition_queue;
mod requests;
mod sender;
mod statistics;
mod topics;
mod transaction_log;

use std::sync::Arc;
use std::time::Duration;

use walspring_connect::threads;
use walspring_connect::writer::{DurabilityListener, RecordWriter, Ticket, TopicInfo, WriteError};

use cluster::Cluster;
pub use config::{Delivery, ProducerConfig, Security, TransactionConfig};
pub use features::{ClusterFeatures, can_transact, cluster_features};
use handoff::{EndOnPanic, Handoff};
use sender::Sender;
use statistics::Counters;
pub use statistics::ProducerStatistics;
pub use topics::TopicAdmin;

/// A producer; dropping it is [`RecordWriter::abort`].
pub struct KafkaProducer {
    handle: ProducerHandle,
    topic_admin: Option<Box<dyn TopicAdmin>>,
    max_request_size: usize,
}

/// A view of a producer for others than its task: may be cloned, and outlives it.
#[derive(Clone)]
pub struct ProducerHandle {
    handoff: Arc<Handoff>,
    counters: Arc<Counters>,
}

impl ProducerHandle {
    /// What the producer waits for ("waiting for Kafka …"), or nothing.
    pub fn status(&self) -> String {
        self.handoff.status()
    }

    pub fn statistics(&self) -> ProducerStatistics {
        self.counters.read()
    }

    /// Ends the producer from another thread, also while its task waits in `submit` or `flush`, which then fail.
    pub fn abort(&self) {
        self.handoff.abort();
    }
}

impl KafkaProducer {
    /// Connects, and in transactional mode fences every earlier producer of the same transactional id: when this
    /// returns, what they left open is ended, and the offset that is stored is the one to go on from.
    ///
    /// Waits up to `connect_timeout` for the cluster, then fails with [`WriteError::Transient`]. Without a
    /// `topic_admin`, topics are made by the cluster's own `auto.create.topics.enable`.
    pub fn connect(
        config: ProducerConfig,
        listener: Arc<dyn DurabilityListener>,
        topic_admin: Option<Box<dyn TopicAdmin>>,
    ) -> Result<Self, WriteError> {
        let max_request_size = config.max_request_size;
        let cluster = Cluster::new(&config).map_err(WriteError::Definite)?;
        let handoff = Arc::new(Handoff::new(config.buffer_bytes));
        let counters = Arc::new(Counters::default());
        let handle = ProducerHandle { handoff: handoff.clone(), counters: counters.clone() };
        let (ready, is_ready) = std::sync::mpsc::channel();
        threads::spawn("kafka-producer", move || {
            // Nobody waits for a thread that has panicked.
            let _told = EndOnPanic(handoff.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(WriteError::Transient(format!("no event loop: {error}"))));
                    return;
                }
            };
            runtime.block_on(async move {
                match Sender::start(config, cluster, handoff.clone(), counters, listener).await {
                    Ok(sender) => {
                        let _ = ready.send(Ok(()));
                        sender.run().await;
                    }
                    Err(error) => {
                        handoff.end(error.clone());
                        let _ = ready.send(Err(error));
                    }
                }
            });
            // A name that is being resolved holds a thread; it is not waited for.
            runtime.shutdown_background();
        })
        .map_err(|error| WriteError::Transient(format!("no thread for the Kafka producer: {error}")))?;
        is_ready.recv().map_err(|_| WriteError::Transient("the Kafka producer's thread ended".into()))??;
        Ok(Self { handle, topic_admin, max_request_size })
    }

    pub fn handle(&self) -> ProducerHandle {
        self.handle.clone()
    }

    /// As [`ProducerHandle::status`].
    pub fn status(&self) -> String {
        self.handle.status()
    }
}

impl RecordWriter for KafkaProducer {
    fn topic(&mut self, name: &str) -> Result<TopicInfo, WriteError> {
        match &self.topic_admin {
            Some(admin) => admin.ensure(name),
            None => topics::ask(&self.handle.handoff, name)?.answer(),
        }
    }

    fn topics(&mut self, names: &[Arc<str>]) -> Result<Vec<TopicInfo>, WriteError> {
        match &self.topic_admin {
            Some(admin) => names.iter().map(|name| admin.ensure(name)).collect(),
            None => topics::ask_all(&self.handle.handoff, names),
        }
    }

    fn submit(&mut self, ticket: Ticket) -> Result<(), WriteError> {
        for batch in &ticket.batches {
            if batch.records == 1 && batch.bytes.len() > self.max_request_size {
                return Err(failure::too_large_for_us(batch.bytes.len(), self.max_request_size));
            }
        }
        self.handle.handoff.submit(ticket)
    }

    fn bytes_max(&self) -> Option<u64> {
        Some(self.handle.handoff.bytes_max as u64)
    }

    fn idle(&mut self) {
        self.handle.handoff.idle();
    }

    fn flush(&mut self, timeout: Duration) -> Result<(), WriteError> {
        self.handle.handoff.flush(timeout)
    }

    fn abort(self: Box<Self>) {}

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let handle = self.handle();
        Some(Arc::new(move || handle.abort()))
    }

    fn watcher(&self) -> Option<Arc<dyn Fn() -> String + Send + Sync>> {
        let handle = self.handle();
        Some(Arc::new(move || handle.status()))
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        self.handle.abort();
    }
}
