//! `notification.*`: what becomes of the snapshot of a start, told in records of a topic (channel `sink`) and in the log
//! (channel `log`). Kinds, fields and their order are the original's, recorded in `conformance/cases/notification_*`.
//!
//! What is told waits here until the task hands over its next batch. `COMPLETED` goes in one batch with the offset that
//! says so; the others may come again when a snapshot starts again.

use std::fmt::Write as _;
use std::sync::Arc;

use walspring_debezium::{EventConfig, Notification, notification};
use walspring_record::leaf::java_hash::{iteration_order, string_hash};
use walspring_record::{ChangeBatch, Lsn, Record};

use crate::change_reader::push_record;
use crate::config::SourceConfig;
use crate::events::{Events, random_uuid};
use crate::incremental;
use crate::metrics::SourceMetrics;
use crate::snapshot::now_us;

/// What can be told of an initial snapshot. Tables are `schema.table`.
#[derive(Debug, Clone)]
pub enum Notice {
    /// No snapshot is read in this start.
    Skipped,
    Started,
    /// The tables to read, in their order; those that are captured, which may have the table of signals beside them.
    Resolved {
        read: Vec<String>,
        captured: Vec<String>,
    },
    /// It goes on after a restart: so many tables have been read before, and of those that are left so many in part. Ours.
    Resumed {
        read_before: usize,
        in_part: usize,
    },
    TableBegins(String),
    TableRead {
        table: String,
        rows: u64,
    },
    TableFailed(String),
    Completed,
    Aborted,
}

pub struct Notifications {
    format: Arc<EventConfig>,
    topic: Option<String>,
    log: bool,
    /// Of the running snapshot, separated by commas: what is read, as the original's set has it, and what is captured.
    read: String,
    captured: String,
    begun: bool,
    waiting: Vec<Record>,
    metrics: Arc<SourceMetrics>,
}

impl Notifications {
    pub fn new(config: &SourceConfig, events: &Events, metrics: Arc<SourceMetrics>) -> Notifications {
        let typed = &config.typed.notifications;
        Notifications {
            format: events.format(),
            topic: typed.topic.clone(),
            log: typed.log,
            read: String::new(),
            captured: String::new(),
            begun: false,
            waiting: Vec::new(),
            metrics,
        }
    }

    pub fn tell(&mut self, notice: Notice) {
        self.metrics.notice(&notice);
        if self.topic.is_none() && !self.log {
            return;
        }
        match &notice {
            Notice::Started => self.begun = true,
            Notice::Completed | Notice::Aborted => self.begun = false,
            Notice::Resolved { read, captured } => {
                let hashes: Vec<i32> = read.iter().map(|table| string_hash(table)).collect();
                let read: Vec<&str> = iteration_order(&hashes, 16).into_iter().map(|n| read[n].as_str()).collect();
                (self.read, self.captured) = (read.join(","), captured.join(","));
            }
            _ => {}
        }
        let (kind, additional) = self.describe(notice);
        self.say(&random_uuid(), "Initial Snapshot", kind, &additional);
    }

    /// Of an incremental snapshot, with the id of the signal that asked for it.
    pub fn tell_incremental(&mut self, signal: Option<String>, notice: incremental::Notice) {
        self.metrics.incremental(&notice);
        let (kind, mut additional) = notice.describe();
        additional.push(("connector_name", self.format.topics.prefix.to_string()));
        self.say(&signal.unwrap_or_else(random_uuid), "Incremental Snapshot", kind, &additional);
    }

    fn say(&mut self, id: &str, aggregate_type: &str, kind: &str, additional: &[(&str, String)]) {
        if self.topic.is_none() && !self.log {
            return;
        }
        let told = Notification { id, aggregate_type, kind, additional, timestamp_ms: now_us().div_euclid(1000) };
        if self.log {
            tracing::info!("[Notification Service]  {}", line(&told));
        }
        if let Some(topic) = &self.topic {
            self.waiting.push(notification(&self.format, topic, &told));
        }
    }

    /// A snapshot has begun, and its end has not been told.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Appends what waits to the batch.
    pub fn push_to(&mut self, batch: &mut ChangeBatch) {
        for record in self.waiting.drain(..) {
            push_record(record, Lsn::ZERO, batch);
        }
    }

    fn describe(&self, notice: Notice) -> (&'static str, Vec<(&'static str, String)>) {
        let connector = ("connector_name", self.format.topics.prefix.to_string());
        let tables = |tables: &str| ("data_collections", tables.to_owned());
        match notice {
            Notice::Skipped => ("SKIPPED", vec![connector]),
            Notice::Started => ("STARTED", vec![connector]),
            Notice::Completed => ("COMPLETED", vec![connector]),
            Notice::Aborted => ("ABORTED", vec![connector]),
            Notice::Resolved { mut captured, .. } => {
                captured.sort_unstable();
                ("DATA_COLLECTIONS_RESOLVED", vec![connector, tables(&captured.join(","))])
            }
            Notice::Resumed { read_before, in_part } => {
                let counts = [("tables_read_before", read_before), ("tables_read_in_part", in_part)];
                let counts = counts.map(|(name, count)| (name, count.to_string()));
                ("RESUMED", [connector, tables(&self.read)].into_iter().chain(counts).collect())
            }
            Notice::TableBegins(table) => {
                ("IN_PROGRESS", vec![connector, ("current_collection_in_progress", table), tables(&self.read)])
            }
            Notice::TableRead { table, rows } => {
                let rows = ("total_rows_scanned", rows.to_string());
                let status = ("status", "SUCCEEDED".to_owned());
                (
                    "TABLE_SCAN_COMPLETED",
                    vec![connector, ("scanned_collection", table), rows, status, tables(&self.captured)],
                )
            }
            Notice::TableFailed(table) => {
                let status = ("status", "SQL_EXCEPTION".to_owned());
                ("TABLE_SCAN_COMPLETED", vec![connector, ("scanned_collection", table), status])
            }
        }
    }
}

/// As the original's log has it.
fn line(told: &Notification<'_>) -> String {
    let mut additional = String::new();
    for (name, value) in told.additional {
        let comma = if additional.is_empty() { "" } else { ", " };
        let _ = write!(additional, "{comma}{name}={value}");
    }
    format!(
        "{{id='{}', aggregateType='{}', type='{}', additionalData={{{additional}}}, timestamp={}}}",
        told.id, told.aggregate_type, told.kind, told.timestamp_ms
    )
}
