//! The numbers of a sink's task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use walspring_connect::{Outcome, TopicPartition};

use super::batch::{Batch, Fate};
use super::failure::Stage;
use crate::errors::metrics::TaskErrors;
use crate::metrics::{Counter, Gauge, Histogram, Metrics, TaskMetrics};

/// Seconds.
const PUT_BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const BATCH_BOUNDS: &[f64] = &[1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0];
const LAG: &str = "walspring_sink_lag_records";

const OUTCOMES: [Outcome; 7] = [
    Outcome::Insert,
    Outcome::Update,
    Outcome::Upsert,
    Outcome::Delete,
    Outcome::Truncate,
    Outcome::Send,
    Outcome::Ignore,
];

pub(super) struct SinkMetrics {
    registry: Arc<Metrics>,
    connector: String,
    task: String,
    outcomes: [Counter; 7],
    dropped: Counter,
    errors: [Counter; 5],
    skipped: Counter,
    pub put_errors: Counter,
    pub dead_letters: Counter,
    pub commits: Counter,
    put_seconds: Histogram,
    batch_records: Histogram,
    partitions: Gauge,
    /// Partitions whose lag is shown.
    shown: BTreeSet<TopicPartition>,
    read_total: Counter,
    send_total: Counter,
    pub of_connect: Arc<TaskErrors>,
}

impl SinkMetrics {
    pub fn new(task: &TaskMetrics) -> SinkMetrics {
        let registry = task.registry();
        let labels = task.labels();
        let with = |name: &str, label: &'static str, value: &str| {
            registry.counter(name, &[labels[0], labels[1], (label, value)])
        };
        let counter = |name| registry.counter(name, &labels);
        SinkMetrics {
            outcomes: OUTCOMES.map(|outcome| with("walspring_sink_records_total", "outcome", outcome.as_str())),
            dropped: with("walspring_sink_records_total", "outcome", "dropped"),
            errors: Stage::OF_SINKS
                .map(|stage| with("walspring_sink_errors_total", "stage", &stage.name().to_ascii_lowercase())),
            skipped: task.skipped.clone(),
            put_errors: counter("walspring_sink_put_errors_total"),
            dead_letters: counter("walspring_sink_dead_letters_total"),
            commits: counter("walspring_sink_commits_total"),
            put_seconds: registry.histogram("walspring_sink_put_seconds", &labels, PUT_BOUNDS),
            batch_records: registry.histogram("walspring_sink_batch_records", &labels, BATCH_BOUNDS),
            partitions: registry.gauge("walspring_sink_partitions", &labels),
            shown: BTreeSet::new(),
            read_total: counter("kafka_connect_sink_task_sink_record_read_total"),
            send_total: counter("kafka_connect_sink_task_sink_record_send_total"),
            of_connect: task.errors.clone(),
            registry: registry.clone(),
            connector: labels[0].1.to_owned(),
            task: labels[1].1.to_owned(),
        }
    }

    pub fn put(&self, records: usize, time: Duration) {
        self.put_seconds.observe(time.as_secs_f64());
        self.batch_records.observe(records as f64);
        self.send_total.add(records as u64);
    }

    pub fn failed(&self, stage: Stage) {
        let place = Stage::OF_SINKS.iter().position(|s| *s == stage).unwrap_or_default();
        self.errors[place].add(1);
        self.of_connect.failed();
    }

    /// Counts the first records of a batch, each of which is dealt with.
    pub fn settled(&self, batch: &Batch, settled: usize) {
        let (mut outcomes, mut dropped, mut skipped) = ([0; 7], 0, 0);
        for fate in &batch.fates[..settled] {
            match fate {
                Fate::Done(outcome) => {
                    let place = OUTCOMES.iter().position(|o| o == outcome).unwrap_or_default();
                    outcomes[place] += 1;
                }
                Fate::Dropped => dropped += 1,
                Fate::Failed(_) => skipped += 1,
                Fate::Open => {}
            }
        }
        self.outcomes.iter().zip(outcomes).filter(|(_, by)| *by > 0).for_each(|(counter, by)| counter.add(by));
        self.dropped.add(dropped);
        self.skipped.add(skipped);
        self.of_connect.skipped(skipped);
        self.read_total.add(settled as u64);
    }

    /// What the task has now; lag of partitions that are gone is no longer shown.
    pub fn set_partitions(&mut self, partitions: &[TopicPartition]) {
        self.partitions.set(partitions.len() as f64);
        let gone: Vec<_> = self.shown.iter().filter(|shown| !partitions.contains(shown)).cloned().collect();
        for partition in gone {
            let number = partition.partition.to_string();
            self.registry.remove(LAG, &self.lag_labels(&partition, &number));
            self.shown.remove(&partition);
        }
    }

    pub fn set_lag(&mut self, lag: &[(TopicPartition, u64)]) {
        for (partition, records) in lag {
            let number = partition.partition.to_string();
            self.registry.gauge(LAG, &self.lag_labels(partition, &number)).set(*records as f64);
            self.shown.insert(partition.clone());
        }
    }

    fn lag_labels<'a>(&'a self, partition: &'a TopicPartition, number: &'a str) -> [(&'a str, &'a str); 4] {
        [("connector", &self.connector), ("task", &self.task), ("topic", &partition.topic), ("partition", number)]
    }
}
