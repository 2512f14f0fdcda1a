//! A transaction's life: begun by the first ticket, ended by EndTxn, or left to the next producer.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use walspring_connect::fault;
use walspring_connect::writer::{OffsetRecord, WriteError};

use super::super::coordinator::ProducerIdentity;
use super::super::statistics::add;
use super::{Event, Sender};

/// What an ending producer grants the brokers to answer before it leaves the rest to the next one.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// An open transaction.
pub(in super::super) struct Transaction {
    pub(super) begun: Instant,
    pub(super) bytes: usize,
    pub(super) last_ticket: u64,
    pub(super) offset: Option<OffsetRecord>,
    /// Takes no more tickets; its offset is queued.
    pub(super) closing: bool,
    /// EndTxn is on its way.
    pub(super) ending: bool,
    /// Batches not acknowledged.
    pub outstanding: usize,
    /// Slots of the partitions with batches in it.
    pub(super) touched: HashSet<usize>,
    /// Of those, the ones the coordinator knows. Version 1 only.
    pub added: HashSet<usize>,
    /// The process did not run for a while.
    pub(super) stalled: bool,
}

impl Transaction {
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            begun: now,
            bytes: 0,
            last_ticket: 0,
            offset: None,
            closing: false,
            ending: false,
            outstanding: 0,
            touched: HashSet::new(),
            added: HashSet::new(),
            stalled: false,
        }
    }
}

impl Sender {
    pub(super) fn end_transaction(&mut self) {
        let Some(open) = &mut self.transaction else { return };
        if !open.closing || open.ending || open.outstanding > 0 {
            return;
        }
        fault::point("kafka.commit");
        open.ending = true;
        if open.touched.is_empty() {
            return self.transaction_ended(self.identity); // nothing was written: there is nothing to commit
        }
        let Some(coordinator) = self.coordinator.clone() else { return };
        let (identity, version_2) = (self.identity, self.version_2);
        self.start_task(async move {
            Event::TransactionEnded(coordinator.end_transaction(identity, true, version_2).await)
        });
    }

    pub(super) fn transaction_ended(&mut self, identity: ProducerIdentity) {
        let Some(open) = self.transaction.take() else { return };
        fault::point("kafka.committed");
        if identity != self.identity {
            self.identity = identity;
            if self.version_2 {
                for slot in &open.touched {
                    self.partitions[*slot].restart_sequences();
                }
            }
        }
        if !open.touched.is_empty() {
            let now = Instant::now();
            self.pacing.ended(now);
            self.flow.ended(now, open.bytes);
        }
        add(&self.counters.transactions, 1);
        add(&self.counters.transaction_nanos, open.begun.elapsed().as_nanos() as u64);
        self.handoff.durable(open.last_ticket);
        self.listener.durable(open.last_ticket, true);
    }

    /// Version 1: tells the coordinator of partitions that are new to the transaction.
    pub(in super::super) fn add_partitions(&mut self, slots: Vec<usize>) {
        let Some(coordinator) = self.coordinator.clone().filter(|_| !self.adding_partitions && !slots.is_empty())
        else {
            return;
        };
        self.adding_partitions = true;
        let identity = self.identity;
        let names: Vec<_> =
            slots.iter().map(|s| (self.partitions[*s].topic.clone(), self.partitions[*s].partition)).collect();
        self.start_task(
            async move { Event::PartitionsAdded(slots, coordinator.add_partitions(identity, &names).await) },
        );
    }

    /// The epoch is no longer ours. The coordinator also takes it away from a transaction that was open for too long,
    /// and the brokers do not tell the two apart. A process that was stopped and woke up must not come back as the
    /// newer one, so time it did not run does not count as a transaction that timed out.
    pub(in super::super) fn fenced(&self) -> WriteError {
        let Some(config) = self.config.transaction() else {
            return WriteError::Transient("Kafka no longer accepts this producer's id".into());
        };
        match &self.transaction {
            Some(open) if !open.stalled && open.begun.elapsed() >= config.timeout.mul_f64(0.9) => {
                WriteError::Transient(format!(
                    "the transaction was open for {} ms, past transaction.timeout.ms ({}), and Kafka aborted it; the \
                     task starts again from the offset that is stored",
                    open.begun.elapsed().as_millis(),
                    config.timeout.as_millis()
                ))
            }
            _ => WriteError::Fenced(format!(
                "a newer producer with the transactional id {:?} has taken over",
                config.transactional_id
            )),
        }
    }

    /// As far as it can be done soon; the next producer's InitProducerId does the rest.
    pub(super) async fn abort_transaction(mut self) {
        let Some(coordinator) = self.coordinator.clone() else { return };
        if self.transaction.as_ref().is_none_or(|open| open.ending || open.touched.is_empty()) {
            return;
        }
        let deadline = Instant::now() + ABORT_TIMEOUT;
        // What is on its way must not arrive after the abort.
        while self.nodes.values().any(|node| node.in_flight > 0) {
            match tokio::time::timeout_at(deadline, self.incoming.recv()).await {
                Ok(Some(Event::Produced(sent, _))) => {
                    if let Some(node) = self.nodes.get_mut(&sent.node) {
                        node.in_flight -= 1;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
        let end = coordinator.end_transaction(self.identity, false, self.version_2);
        match tokio::time::timeout_at(deadline, end).await {
            Ok(Ok(_)) => tracing::debug!("open transaction aborted"),
            _ => tracing::debug!("open transaction left to the next producer"),
        }
    }
}
