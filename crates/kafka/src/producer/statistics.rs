//! Counters of one producer, for metrics. Written by its thread, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the producer began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProducerStatistics {
    /// Acknowledged, offsets not counted.
    pub records: u64,
    /// Bytes of acknowledged batches as they went over the wire.
    pub bytes: u64,
    /// Produce requests sent.
    pub requests: u64,
    /// Batches that had to be sent again.
    pub retries: u64,
    pub transactions: u64,
    /// From the first ticket to the coordinator's answer, all transactions together.
    pub transaction_nanos: u64,
    /// What brokers asked us to wait because of a quota, all requests together.
    pub throttled_nanos: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    pub transactions: AtomicU64,
    pub transaction_nanos: AtomicU64,
    pub throttled_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> ProducerStatistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProducerStatistics {
            records: get(&self.records),
            bytes: get(&self.bytes),
            requests: get(&self.requests),
            retries: get(&self.retries),
            transactions: get(&self.transactions),
            transaction_nanos: get(&self.transaction_nanos),
            throttled_nanos: get(&self.throttled_nanos),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
