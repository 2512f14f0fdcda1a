//! Connect's numbers of errors (`task-error-metrics`), under the names that its exporters give them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metrics::{Counter, Gauge, Metrics};

#[derive(Debug)]
pub(crate) struct TaskErrors {
    /// Operations that failed, each attempt of them.
    pub failures: Counter,
    /// Operations that failed for good.
    errors: Counter,
    /// Records that were left out.
    skipped: Counter,
    pub retries: Counter,
    pub logged: Counter,
    last: Gauge,
}

impl TaskErrors {
    pub fn new(metrics: &Metrics, labels: &[(&str, &str)]) -> Arc<TaskErrors> {
        let counter = |name: &str| metrics.counter(&format!("kafka_connect_task_error_total_{name}"), labels);
        Arc::new(TaskErrors {
            failures: counter("record_failures"),
            errors: counter("record_errors"),
            skipped: counter("records_skipped"),
            retries: counter("retries"),
            logged: counter("errors_logged"),
            last: metrics.gauge("kafka_connect_task_error_last_error_timestamp", labels),
        })
    }

    /// An attempt failed, and another one follows.
    pub fn failed_attempt(&self) {
        self.failures.add(1);
    }

    /// An operation failed for good.
    pub fn failed(&self) {
        self.failures.add(1);
        self.errors.add(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        self.last.set(now as f64);
    }

    pub fn skipped(&self, records: u64) {
        self.skipped.add(records);
    }
}
