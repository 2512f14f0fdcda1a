//! Numbers for `/metrics`, in Prometheus' text format: plain atomics, looked up once, read when someone asks.
//!
//! Names are `walspring_…`, in base units, counters with `_total`. Labels are few: `connector`, `task`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

#[derive(Debug, Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<String, Family>>,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    /// By the labels as they are printed.
    series: BTreeMap<String, Arc<AtomicU64>>,
}

#[derive(Debug, Clone)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// What a number is about; series without help print none.
const HELP: &[(&str, &str)] = &[
    ("walspring_source_lag_bytes", "How far the confirmed position is behind what has been received."),
    ("walspring_source_lag_seconds", "From the commit in the database until its event was seen here."),
    ("walspring_source_received_lsn", "The position up to which the log has been received."),
    ("walspring_source_confirmed_lsn", "The position up to which the database need not keep its log."),
    ("walspring_source_events_total", "Changes and other records that were read from the stream."),
    ("walspring_snapshot_rows_total", "Rows read by the running snapshot; begins again with it."),
    ("walspring_queue_bytes", "Encoded records that are not durable yet."),
    ("walspring_records_total", "Records handed to the writer."),
    ("walspring_record_bytes_total", "Bytes of encoded records handed to the writer."),
    ("walspring_records_skipped_total", "Records left out because errors.tolerance is all."),
    ("walspring_conversion_warnings_total", "Values that could not be converted and became null."),
    ("walspring_offset_stores_total", "Offsets that were stored."),
    ("walspring_task_restarts_total", "Times that a task was started again after an error that goes away by itself."),
];

impl Metrics {
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.series(name, labels, Kind::Counter))
    }

    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.series(name, labels, Kind::Gauge))
    }

    fn series(&self, name: &str, labels: &[(&str, &str)], kind: Kind) -> Arc<AtomicU64> {
        let mut families = self.lock();
        let family = families.entry(name.to_owned()).or_insert_with(|| Family { kind, series: BTreeMap::new() });
        family.series.entry(print_labels(labels)).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a deleted connector.
    pub fn remove_connector(&self, connector: &str) {
        let label = print_labels(&[("connector", connector)]);
        let own = |labels: &str| labels == label || labels.starts_with(&format!("{label},"));
        let mut families = self.lock();
        families.values_mut().for_each(|family| family.series.retain(|labels, _| !own(labels)));
        families.retain(|_, family| !family.series.is_empty());
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.lock().iter() {
            header(&mut out, name, if family.kind == Kind::Counter { "counter" } else { "gauge" });
            for (labels, value) in &family.series {
                let bits = value.load(Ordering::Relaxed);
                match family.kind {
                    Kind::Counter => line(&mut out, name, labels, &bits),
                    Kind::Gauge => line(&mut out, name, labels, &f64::from_bits(bits)),
                }
            }
        }
        out
    }
}

pub(crate) fn header(out: &mut String, name: &str, kind: &str) {
    if let Some((_, help)) = HELP.iter().find(|(n, _)| *n == name) {
        let _ = writeln!(out, "# HELP {name} {help}");
    }
    let _ = writeln!(out, "# TYPE {name} {kind}");
}

pub(crate) fn line(out: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}

/// `a="b",c="d"`
pub(crate) fn print_labels(labels: &[(&str, &str)]) -> String {
    let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
    labels.join(",")
}

/// The numbers of one task, by the names that its source uses.
#[derive(Debug)]
pub(crate) struct TaskMetrics {
    metrics: Arc<Metrics>,
    connector: String,
    task: String,
    gauges: Mutex<HashMap<&'static str, Gauge>>,
    counters: Mutex<HashMap<&'static str, Counter>>,
    pub records: Counter,
    pub record_bytes: Counter,
    pub skipped: Counter,
    pub warnings: Counter,
    pub queue_bytes: Gauge,
    pub offset_stores: Counter,
    pub restarts: Counter,
}

impl TaskMetrics {
    pub fn new(metrics: &Arc<Metrics>, connector: &str, task: u32) -> TaskMetrics {
        let task = task.to_string();
        let labels = [("connector", connector), ("task", task.as_str())];
        let counter = |name| metrics.counter(name, &labels);
        TaskMetrics {
            records: counter("walspring_records_total"),
            record_bytes: counter("walspring_record_bytes_total"),
            skipped: counter("walspring_records_skipped_total"),
            warnings: counter("walspring_conversion_warnings_total"),
            queue_bytes: metrics.gauge("walspring_queue_bytes", &labels),
            offset_stores: counter("walspring_offset_stores_total"),
            restarts: counter("walspring_task_restarts_total"),
            metrics: metrics.clone(),
            connector: connector.to_owned(),
            task,
            gauges: Mutex::default(),
            counters: Mutex::default(),
        }
    }

    pub fn gauge(&self, name: &'static str, value: f64) {
        let make = || self.metrics.gauge(&format!("walspring_{name}"), &self.labels());
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(make).set(value);
    }

    pub fn add(&self, name: &'static str, by: u64) {
        let make = || self.metrics.counter(&format!("walspring_{name}"), &self.labels());
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_insert_with(make).add(by);
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("connector", &self.connector), ("task", &self.task)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.counter("x_total", &[("connector", "a\"b"), ("task", "0")]).add(3);
        metrics.gauge("walspring_queue_bytes", &[("connector", "c")]).set(1.5);
        let printed = metrics.render();
        assert_eq!(
            printed,
            "# HELP walspring_queue_bytes Encoded records that are not durable yet.\n# TYPE walspring_queue_bytes gauge\n\
             walspring_queue_bytes{connector=\"c\"} 1.5\n# TYPE x_total counter\nx_total{connector=\"a\\\"b\",task=\"0\"} 3\n"
        );
        metrics.remove_connector("a\"b");
        metrics.remove_connector("c");
        assert_eq!(metrics.render(), "");
    }
}
