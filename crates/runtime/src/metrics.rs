//! Numbers for `/metrics`, in Prometheus' text format: plain atomics, looked up once, read when someone asks.
//!
//! Names are `walspring_…`, in base units, counters with `_total`. Labels are few: `connector`, `task`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use walspring_connect::{Numbers, TaskNumbers};

use crate::errors::metrics::TaskErrors;
use crate::metrics_page::{Page, TaskSheet, print_labels};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }
}

/// What stands for one series.
#[derive(Debug, Clone)]
enum Series {
    Number(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

#[derive(Debug, Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<String, Family>>,
    /// By connector and task.
    own: Mutex<BTreeMap<(String, String), OwnNumbers>>,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    /// By the labels as they are printed.
    series: BTreeMap<String, Series>,
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

impl Counter {
    /// One that is not printed.
    pub(crate) fn unseen() -> Counter {
        Counter(Arc::default())
    }
}

#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Gauge {
    /// One that is not printed.
    pub(crate) fn unseen() -> Gauge {
        Gauge(Arc::default())
    }
}

/// How many values were in each of its buckets, and their sum.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds, ascending; one more bucket takes what is above the last.
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    /// As the bits of a float; there is one writer a series.
    sum: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, value: f64) {
        let buckets = &self.0;
        let bucket = buckets.bounds.partition_point(|bound| *bound < value);
        buckets.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |sum: u64| Some((f64::from_bits(sum) + value).to_bits());
        let _ = buckets.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Buckets {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Buckets { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }
    }

    fn render(&self, page: &mut Page, name: &str, labels: &str) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        page.histogram(name, help(name), labels, self.bounds, &counts, sum);
    }
}

/// What a number is about; series without help print none.
const HELP: &[(&str, &str)] = &[
    ("walspring_source_lag_bytes", "How far the confirmed position is behind what has been received."),
    ("walspring_source_lag_seconds", "From the commit in the database until its event was seen here."),
    ("walspring_source_received_lsn", "The position up to which the log has been received."),
    ("walspring_source_confirmed_lsn", "The position up to which the database need not keep its log."),
    ("walspring_source_events_total", "Changes and other records that were read from the stream."),
    (
        "walspring_source_columns_unmasked",
        "Columns that a mask or hash names and leaves as they are: they are not text.",
    ),
    ("walspring_snapshot_rows_total", "Rows read by the running snapshot; begins again with it."),
    ("walspring_queue_bytes", "Encoded records that are not durable yet."),
    ("walspring_queue_limit_bytes", "The most that may wait: the writer's bound. 0: it does not say."),
    ("walspring_records_total", "Records handed to the writer."),
    ("walspring_record_bytes_total", "Bytes of encoded records handed to the writer."),
    ("walspring_records_skipped_total", "Records left out because errors.tolerance is all."),
    ("walspring_conversion_warnings_total", "Values that could not be converted and became null."),
    (
        "walspring_source_surprises_total",
        "Values and columns that Debezium writes wrongly or loses, by kind of surprise.",
    ),
    ("walspring_offset_stores_total", "Offsets that were stored."),
    ("walspring_sink_records_total", "Records that a sink has dealt with, by outcome."),
    ("walspring_sink_errors_total", "Records that could not be converted, transformed or written, by stage."),
    ("walspring_sink_put_errors_total", "Batches that the sink could not write and that are put again."),
    ("walspring_sink_dead_letters_total", "Records written to the dead letter queue."),
    ("walspring_sink_lag_records", "Records of the partition that wait behind what the task has read."),
    ("walspring_sink_put_seconds", "How long the sink took to make a batch durable."),
    ("walspring_sink_batch_records", "Records in a batch that the sink made durable."),
    ("walspring_sink_partitions", "Partitions that the task reads."),
    ("walspring_sink_commits_total", "Times that offsets were committed to the group."),
    ("walspring_telemetry_spans_dropped_total", "Spans that the receiver of OTLP did not take in time, or refused."),
    ("walspring_task_restarts_total", "Times that a task was started again after an error that goes away by itself."),
    ("walspring_task_panics_total", "Panics of the task's threads; each is a defect, and a line in the log."),
    ("walspring_panics_total", "Panics of the process, those of tasks among them."),
    ("walspring_worker_ready", "1 when /health is 200."),
    ("walspring_build_info", "1; its label is the version."),
    ("kafka_connect_worker_connector_count", "Connectors that the worker has."),
    ("kafka_connect_worker_task_count", "Tasks that the worker has."),
    ("kafka_connect_connector_status", "1 for the state that the connector is in."),
    ("kafka_connect_connector_task_status", "1 for the state that the task is in."),
    ("kafka_connect_worker_connector_running_task_count", "Tasks of the connector that are RUNNING."),
    ("kafka_connect_worker_connector_failed_task_count", "Tasks of the connector that are FAILED."),
    ("kafka_connect_worker_connector_paused_task_count", "Tasks of the connector that are PAUSED."),
    ("kafka_connect_sink_task_sink_record_read_total", "Records that the sink's task has dealt with."),
    ("kafka_connect_sink_task_sink_record_send_total", "Records that the sink made durable."),
    (
        "kafka_connect_task_error_total_record_failures",
        "Times that a record could not be converted, transformed or written, each attempt counted.",
    ),
    ("kafka_connect_task_error_total_record_errors", "Records that could not be converted, transformed or written."),
    ("kafka_connect_task_error_total_records_skipped", "Records left out because errors.tolerance is all."),
    ("kafka_connect_task_error_total_retries", "Conversions and transforms that were tried again."),
    ("kafka_connect_task_error_total_errors_logged", "Failures that were logged because errors.log.enable is true."),
    (
        "kafka_connect_task_error_last_error_timestamp",
        "When the last record failed, in milliseconds since 1970; 0: none.",
    ),
];

impl Metrics {
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.number(name, labels, Kind::Counter))
    }

    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.number(name, labels, Kind::Gauge))
    }

    /// `bounds`: the upper bounds of its buckets, ascending.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)], bounds: &'static [f64]) -> Histogram {
        match self.series(name, labels, Kind::Histogram(bounds)) {
            Series::Histogram(buckets) => Histogram(buckets),
            Series::Number(_) => Histogram(Arc::new(Buckets::new(bounds))),
        }
    }

    fn number(&self, name: &str, labels: &[(&str, &str)], kind: Kind) -> Arc<AtomicU64> {
        match self.series(name, labels, kind) {
            Series::Number(number) => number,
            // The name stands for something else: nobody can tell what it would mean.
            Series::Histogram(_) => Arc::default(),
        }
    }

    fn series(&self, name: &str, labels: &[(&str, &str)], kind: Kind) -> Series {
        let mut families = self.lock();
        let family = families.entry(name.to_owned()).or_insert_with(|| Family { kind, series: BTreeMap::new() });
        let new = || match family.kind {
            Kind::Histogram(bounds) => Series::Histogram(Arc::new(Buckets::new(bounds))),
            _ => Series::Number(Arc::default()),
        };
        family.series.entry(print_labels(labels)).or_insert_with(new).clone()
    }

    /// Forgets one series, such as that of a partition that another task has now.
    pub(crate) fn remove(&self, name: &str, labels: &[(&str, &str)]) {
        let mut families = self.lock();
        let Some(family) = families.get_mut(name) else { return };
        family.series.remove(&print_labels(labels));
        if family.series.is_empty() {
            families.remove(name);
        }
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
        drop(families);
        self.own.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != connector);
    }

    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.write_to(&mut page);
        page.render()
    }

    pub(crate) fn write_to(&self, page: &mut Page) {
        for (name, family) in self.lock().iter() {
            for (labels, series) in &family.series {
                match (series, family.kind) {
                    (Series::Histogram(buckets), _) => buckets.render(page, name, labels),
                    (Series::Number(number), kind) => {
                        let number = number.load(Ordering::Relaxed);
                        let value = if matches!(kind, Kind::Gauge) { f64::from_bits(number) } else { number as f64 };
                        page.number(name, kind.name(), help(name), labels, value);
                    }
                }
            }
        }
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((connector, task), task_own) in own {
            let labels = print_labels(&[("connector", &connector), ("task", &task)]);
            task_own.numbers.read(&task_own.around.read(), &mut TaskSheet { page, labels: &labels });
        }
    }

    /// Numbers that a task's plugin keeps itself, in place of those that it gave before.
    fn attach(&self, connector: &str, task: &str, own: OwnNumbers) {
        let key = (connector.to_owned(), task.to_owned());
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(key, own);
    }
}

/// What a number is about; empty where nothing is known.
pub(crate) fn help(name: &str) -> &'static str {
    HELP.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
}

#[derive(Clone)]
struct OwnNumbers {
    numbers: Arc<dyn Numbers>,
    around: Around,
}

impl std::fmt::Debug for OwnNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnNumbers").finish_non_exhaustive()
    }
}

/// What a plugin's numbers are told of the task.
#[derive(Debug, Clone)]
struct Around {
    queue_bytes: Gauge,
    queue_bytes_max: Gauge,
    skipped: Counter,
    restarts: Counter,
}

impl Around {
    fn read(&self) -> TaskNumbers {
        TaskNumbers {
            queue_bytes: self.queue_bytes.get(),
            queue_bytes_max: Some(self.queue_bytes_max.get()).filter(|max| *max > 0.0),
            records_skipped: self.skipped.get(),
            restarts: self.restarts.get(),
        }
    }
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
    pub errors: Arc<TaskErrors>,
    pub warnings: Counter,
    pub queue_bytes: Gauge,
    pub queue_bytes_max: Gauge,
    pub offset_stores: Counter,
    pub restarts: Counter,
    pub panics: Counter,
}

impl TaskMetrics {
    /// Of a sink's task those numbers that are about a source are not printed.
    pub fn new(metrics: &Arc<Metrics>, connector: &str, task: u32, of_source: bool) -> TaskMetrics {
        let task = task.to_string();
        let labels = [("connector", connector), ("task", task.as_str())];
        let counter = |name| if of_source { metrics.counter(name, &labels) } else { Counter::unseen() };
        let gauge = |name| if of_source { metrics.gauge(name, &labels) } else { Gauge::unseen() };
        TaskMetrics {
            records: counter("walspring_records_total"),
            record_bytes: counter("walspring_record_bytes_total"),
            skipped: metrics.counter("walspring_records_skipped_total", &labels),
            errors: TaskErrors::new(metrics, &labels),
            warnings: counter("walspring_conversion_warnings_total"),
            queue_bytes: gauge("walspring_queue_bytes"),
            queue_bytes_max: gauge("walspring_queue_limit_bytes"),
            offset_stores: counter("walspring_offset_stores_total"),
            restarts: metrics.counter("walspring_task_restarts_total", &labels),
            panics: metrics.counter("walspring_task_panics_total", &labels),
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

    /// What the plugin counts itself.
    pub fn own(&self, numbers: Arc<dyn Numbers>) {
        let around = Around {
            queue_bytes: self.queue_bytes.clone(),
            queue_bytes_max: self.queue_bytes_max.clone(),
            skipped: self.skipped.clone(),
            restarts: self.restarts.clone(),
        };
        self.metrics.attach(&self.connector, &self.task, OwnNumbers { numbers, around });
    }

    /// The registry, for numbers with more labels.
    pub fn registry(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn labels(&self) -> [(&str, &str); 2] {
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
