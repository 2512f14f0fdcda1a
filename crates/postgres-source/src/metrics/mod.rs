//! What the source counts for `/metrics`: Debezium's attributes by the names under which they are scraped, and what it
//! lacks. The task counts once a batch; whoever asks reads. Nothing here waits for the server.

mod families;
mod lag;
mod slot;
mod tables;
mod tags;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use walspring_connect::{Feedback, NumberFamily, NumberSheet, Numbers, TaskNumbers};
use walspring_record::{Change, ChangeBatch, Lsn, SnapshotMark, SourceOffset};

use self::families as f;
use self::lag::Lag;
pub use self::slot::{SlotHistory, SlotReading};
use self::tables::{Counts, OPERATIONS, OTHER, Tables};
pub use self::tags::Tags;
use crate::feedback::SlotProgress;
use crate::incremental;
use crate::notifications::Notice;
use crate::snapshot::now_us;
use crate::snapshot_board::SnapshotBoard;
use crate::streamed::StreamedNumbers;
use crate::value_limit;

/// Upper bounds of the end-to-end latency, in seconds.
const LATENCY_BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

pub struct SourceMetrics {
    /// `topic.prefix`
    server: String,
    /// `custom.metric.tags`
    tags: Tags,
    /// `max.queue.size`, by which the original's numbers are shown.
    queue_max: f64,
    tables_max: usize,
    /// Whether `skip.messages.without.change` is on.
    skips_unchanged: bool,
    too_large: Arc<value_limit::Counts>,
    progress: Arc<SlotProgress>,
    connected: AtomicBool,
    board: SnapshotBoard,
    state: Mutex<State>,
    stored: Mutex<Stored>,
    slot: Mutex<SlotHistory>,
}

/// What the task's thread counts.
#[derive(Default)]
struct State {
    streamed: Events,
    scanned: Events,
    left_out: LeftOut,
    in_progress: StreamedNumbers,
    tables: Tables,
    lag: Lag,
    transactions: u64,
    last_xid: Option<u32>,
    position: Lsn,
    captured: Vec<String>,
    captured_more: usize,
    snapshot: Snapshot,
}

#[derive(Default)]
struct Events {
    counts: Counts,
    last: Option<Instant>,
}

/// What the stream brought and no event was made of; counted by the reader.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Of tables that are not captured.
    pub filtered: u64,
    /// By `skipped.operations`.
    pub skipped: u64,
    /// By `skip.messages.without.change`.
    pub unchanged: u64,
}

#[derive(Default)]
struct Snapshot {
    running: bool,
    completed: bool,
    aborted: bool,
    skipped: bool,
    tables: usize,
    tables_read: usize,
    began: Option<Instant>,
    took: Duration,
    paused_since: Option<Instant>,
    paused: Duration,
}

impl Snapshot {
    fn begins() -> Snapshot {
        Snapshot { running: true, began: Some(Instant::now()), ..Snapshot::default() }
    }

    fn ends(&mut self) {
        self.goes_on();
        self.running = false;
        self.took = self.began.map_or(Duration::ZERO, |began| began.elapsed());
    }

    fn goes_on(&mut self) {
        self.paused = self.paused();
        self.paused_since = None;
    }

    fn paused(&self) -> Duration {
        self.paused + self.paused_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// What the thread that stores offsets counts.
#[derive(Default)]
struct Stored {
    at: Option<Instant>,
    /// Of the newest event that was stored.
    commit_us: i64,
    counts: [u64; LATENCY_BOUNDS.len() + 1],
    sum: f64,
}

/// What a connector's configuration says about its numbers.
pub struct MetricsConfig {
    pub server: String,
    pub queue_max: u64,
    pub tables_max: usize,
    pub skips_unchanged: bool,
    pub too_large: Arc<value_limit::Counts>,
    pub tags: Tags,
}

impl SourceMetrics {
    pub fn new(config: MetricsConfig, progress: Arc<SlotProgress>) -> SourceMetrics {
        let MetricsConfig { server, queue_max, tables_max, skips_unchanged, too_large, tags } = config;
        SourceMetrics {
            server,
            tags,
            queue_max: queue_max as f64,
            tables_max,
            skips_unchanged,
            too_large,
            progress,
            connected: AtomicBool::new(false),
            board: SnapshotBoard::default(),
            state: Mutex::new(State { tables: Tables::new(tables_max), ..State::default() }),
            stored: Mutex::default(),
            slot: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the snapshot is.
    pub fn board(&self) -> &SnapshotBoard {
        &self.board
    }

    pub fn slot(&self) -> MutexGuard<'_, SlotHistory> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tables by their whole names, in their order.
    pub fn captured(&self, tables: impl ExactSizeIterator<Item = String>) {
        let mut state = self.state();
        state.captured_more = tables.len().saturating_sub(self.tables_max);
        state.captured = tables.take(self.tables_max).collect();
    }

    pub fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// A batch of the snapshot.
    pub fn scanned(&self, batch: &ChangeBatch) {
        let mut state = self.state();
        let counts = state.tables.count(batch);
        state.scanned.add(&counts);
    }

    /// Of each table, the pieces in which the snapshot reads it, and how many have been read.
    pub fn chunks<'a>(&self, chunks: impl Iterator<Item = (&'a str, usize, usize)>) {
        let mut state = self.state();
        let mut other = (0, 0);
        for (table, all, read) in chunks {
            match state.tables.named(table) {
                Some(counts) => counts.chunks = (all as u64, read as u64),
                None => other = (other.0 + all as u64, other.1 + read as u64),
            }
        }
        state.tables.other().chunks = other;
    }

    /// A piece of each of these tables has been read. What all tables have is not asked for again: of thousands of small
    /// ones that would take longer than reading them.
    pub fn chunks_read<'a>(&self, tables: impl Iterator<Item = &'a str>) {
        let mut tables = tables.peekable();
        if tables.peek().is_none() {
            return;
        }
        let mut state = self.state();
        for table in tables {
            match state.tables.named(table) {
                Some(counts) => counts.chunks.1 += 1,
                None => state.tables.other().chunks.1 += 1,
            }
        }
    }

    /// A batch of the stream, what was left out so far, and what is held of transactions in progress.
    pub fn streamed(&self, batch: &ChangeBatch, left_out: LeftOut, in_progress: StreamedNumbers) {
        let mut state = self.state();
        (state.left_out, state.in_progress) = (left_out, in_progress);
        if batch.changes.is_empty() && batch.transactions.is_empty() {
            return;
        }
        let counts = state.tables.count(batch);
        state.streamed.add(&counts);
        for transaction in &batch.transactions {
            if transaction.xid.is_some() && transaction.xid != state.last_xid {
                state.last_xid = transaction.xid;
                state.transactions += 1;
            }
        }
        // Rows of an incremental snapshot are in no transaction, and at no place of the log.
        if let Some(transaction) = batch.transactions.iter().rfind(|transaction| transaction.xid.is_some()) {
            let behind_us = now_us().saturating_sub(transaction.commit_us).max(0);
            state.lag.observe(behind_us as u64 / 1000);
        }
        let streamed = |change: &&Change| change.snapshot == SnapshotMark::False && change.change_lsn != Lsn::ZERO;
        if let Some(change) = batch.changes.iter().rfind(streamed) {
            state.position = change.change_lsn;
        }
    }

    /// What becomes of the snapshot.
    pub fn notice(&self, notice: &Notice) {
        let mut state = self.state();
        match notice {
            Notice::Skipped => state.snapshot = Snapshot { skipped: true, ..Snapshot::default() },
            Notice::Started => {
                state.snapshot = Snapshot::begins();
                state.tables.forget_snapshot();
            }
            Notice::Resolved { read, .. } => state.snapshot.tables = read.len(),
            Notice::Resumed { read_before, .. } => {
                state.snapshot.tables += read_before;
                state.snapshot.tables_read += read_before;
            }
            Notice::TableRead { .. } => state.snapshot.tables_read += 1,
            Notice::Completed => {
                state.snapshot.ends();
                state.snapshot.completed = true;
            }
            Notice::Aborted => {
                state.snapshot.ends();
                state.snapshot.aborted = true;
            }
            Notice::TableBegins(_) | Notice::TableFailed(_) => {}
        }
    }

    /// What becomes of an incremental snapshot: the same numbers, as in the original.
    pub fn incremental(&self, notice: &incremental::Notice) {
        use incremental::Notice as N;
        let count = |tables: &str| tables.split(',').filter(|table| !table.is_empty()).count();
        let mut state = self.state();
        match notice {
            N::Started(_) => {
                state.snapshot = Snapshot::begins();
                state.tables.forget_snapshot();
            }
            N::Resolved(tables) => state.snapshot.tables = count(tables),
            N::InProgress { tables, table, chunk, chunks, .. } => {
                if !state.snapshot.running {
                    // It was begun before the task was started.
                    state.snapshot = Snapshot::begins();
                }
                // Others may have been asked for since.
                state.snapshot.tables = state.snapshot.tables_read + count(tables);
                if let Some(counts) = state.tables.named(table) {
                    counts.chunks = (*chunks.max(chunk), *chunk);
                }
            }
            N::Scanned { .. } => state.snapshot.tables_read += 1,
            N::Paused(_) => {
                state.snapshot.paused_since.get_or_insert_with(Instant::now);
            }
            N::Resumed(_) => state.snapshot.goes_on(),
            N::Completed => {
                state.snapshot.ends();
                state.snapshot.completed = true;
            }
            // A part of it was stopped, or all: then it has been said that it is complete.
            N::Aborted(tables) if state.snapshot.running => {
                state.snapshot.tables = state.snapshot.tables.saturating_sub(count(tables));
            }
            N::Aborted(_) => (state.snapshot.aborted, state.snapshot.completed) = (true, false),
        }
    }

    /// The task has ended, or an error has ended it: what it was doing it does no more.
    pub fn ended(&self) {
        self.connected(false);
        self.board.ends();
        self.slot().forget();
        let mut state = self.state();
        let StreamedNumbers { transactions, rolled_back, spilled_bytes, .. } = state.in_progress;
        state.in_progress = StreamedNumbers { transactions, rolled_back, spilled_bytes, ..StreamedNumbers::default() };
        if state.snapshot.running {
            state.snapshot.ends();
            state.snapshot.aborted = true;
        }
    }
}

impl Events {
    fn add(&mut self, counts: &Counts) {
        self.counts.iter_mut().zip(counts).for_each(|(sum, by)| *sum += by);
        if counts.iter().any(|count| *count > 0) {
            self.last = Some(Instant::now());
        }
    }

    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Feedback for SourceMetrics {
    fn stored(&self, offset: &SourceOffset) {
        self.progress.stored(offset);
        let now = now_us();
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.at = Some(Instant::now());
        // Offsets of quiet tables repeat the last event's time; those of a snapshot have no commit.
        let commit_us = offset.get("ts_usec").and_then(serde_json::Value::as_i64).unwrap_or_default();
        if commit_us <= stored.commit_us || offset.contains_key("snapshot") {
            return;
        }
        stored.commit_us = commit_us;
        let seconds = now.saturating_sub(commit_us).max(0) as f64 / 1e6;
        stored.counts[LATENCY_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        stored.sum += seconds;
    }
}

impl Numbers for SourceMetrics {
    fn read(&self, task: &TaskNumbers, sheet: &mut dyn NumberSheet) {
        let sheet = &mut self.tags.on(sheet);
        self.read_events(task, sheet);
        let state = self.state();
        self.read_stream(&state, task, sheet);
        self.read_snapshot(&state, sheet);
        read_tables(&state, self, sheet);
        drop(state);
        self.read_stored(sheet);
        self.slot().read(sheet);
    }
}

impl SourceMetrics {
    fn labels<'a>(&'a self, context: &'a str) -> [(&'a str, &'a str); 3] {
        [("plugin", "postgres"), ("name", &self.server), ("context", context)]
    }

    /// Which part of the writer's bound is used.
    fn queue_used(task: &TaskNumbers) -> f64 {
        task.queue_bytes_max.map_or(0.0, |max| (task.queue_bytes / max).clamp(0.0, 1.0))
    }

    /// The attributes that both contexts have.
    fn read_events(&self, task: &TaskNumbers, sheet: &mut dyn NumberSheet) {
        let state = self.state();
        let none = LeftOut::default();
        for (context, events, left_out) in
            [("snapshot", &state.scanned, none), ("streaming", &state.streamed, state.left_out)]
        {
            let labels = self.labels(context);
            let mut number = |family, value| sheet.number(family, &labels, value);
            let age = events.last.map_or(-1.0, |last| last.elapsed().as_millis() as f64);
            let left = self.queue_max - (self.queue_max * Self::queue_used(task)).ceil();
            number(&f::LAST_EVENT_AGE, age);
            number(&f::EVENTS, (events.total() + left_out.filtered) as f64);
            number(&f::CREATES, events.counts[1] as f64);
            number(&f::UPDATES, events.counts[2] as f64);
            number(&f::DELETES, events.counts[3] as f64);
            number(&f::FILTERED, left_out.filtered as f64);
            number(&f::ERRONEOUS, task.records_skipped as f64);
            number(&f::QUEUE_TOTAL, self.queue_max);
            number(&f::QUEUE_LEFT, left);
            number(&f::QUEUE_BYTES_MAX, task.queue_bytes_max.unwrap_or_default());
            number(&f::QUEUE_BYTES, task.queue_bytes);
            for (table, count) in state.captured.iter().map(|t| (t.as_str(), 1)).chain([(OTHER, state.captured_more)]) {
                if count > 0 {
                    sheet.number(&f::CAPTURED, &with(&labels, ("table", table)), count as f64);
                }
            }
        }
    }

    fn read_stream(&self, state: &State, task: &TaskNumbers, sheet: &mut dyn NumberSheet) {
        let labels = self.labels("streaming");
        let connected = f64::from(u8::from(self.connected.load(Ordering::Relaxed)));
        let unchanged = if self.skips_unchanged { state.left_out.unchanged as f64 } else { -1.0 };
        for (family, value) in [
            (&f::CONNECTED, connected),
            (&f::BEHIND, state.lag.last()),
            (&f::BEHIND_MIN, state.lag.min()),
            (&f::BEHIND_MAX, state.lag.max()),
            (&f::BEHIND_AVERAGE, state.lag.average()),
            (&f::BEHIND_P50, state.lag.quantile(0.5)),
            (&f::BEHIND_P95, state.lag.quantile(0.95)),
            (&f::BEHIND_P99, state.lag.quantile(0.99)),
            (&f::TRANSACTIONS, state.transactions as f64),
            (&f::DISCONNECTS, task.restarts as f64),
            (&f::SKIPPED, state.left_out.skipped as f64),
            (&f::UNCHANGED, unchanged),
            (&f::LAST_TRANSACTION, state.last_xid.map_or(-1.0, f64::from)),
        ] {
            sheet.number(family, &labels, value);
        }
        sheet.number(&f::POSITION, &with(&labels, ("key", "lsn")), state.position.0 as f64);
        let lag = state.lag.last();
        for (family, value) in [
            (&f::PLATFORM_EVENTS, state.streamed.total() as f64),
            (&f::PLATFORM_LAG, if lag < 0.0 { lag } else { lag / 1000.0 }),
            (&f::PLATFORM_QUEUE, (self.queue_max * Self::queue_used(task)).ceil()),
            (&f::PLATFORM_TRANSACTIONS, state.transactions as f64),
            (&f::PLATFORM_CONNECTED, connected),
        ] {
            sheet.number(family, &[], value);
        }
        for (action, count) in self.too_large.each() {
            sheet.number(&f::TOO_LARGE, &[("action", action)], count as f64);
        }
        let in_progress = &state.in_progress;
        for (family, count) in [
            (&f::STREAMED, in_progress.transactions),
            (&f::STREAMED_ROLLED_BACK, in_progress.rolled_back),
            (&f::STREAMED_OPEN, in_progress.open),
            (&f::HELD, in_progress.held_bytes),
            (&f::SPILL, in_progress.disk_bytes),
            (&f::SPILLED, in_progress.spilled_bytes),
        ] {
            plain(sheet, family, count as f64);
        }
    }

    fn read_snapshot(&self, state: &State, sheet: &mut dyn NumberSheet) {
        let snapshot = &state.snapshot;
        let labels = self.labels("snapshot");
        let flag = |flag: bool| f64::from(u8::from(flag));
        let left = snapshot.tables.saturating_sub(snapshot.tables_read) as f64;
        let took = match snapshot.began {
            Some(began) if snapshot.running => began.elapsed(),
            _ => snapshot.took,
        };
        for (family, value) in [
            (&f::TABLES_TOTAL, snapshot.tables as f64),
            (&f::TABLES_LEFT, left),
            (&f::RUNNING, flag(snapshot.running)),
            (&f::PAUSED, flag(snapshot.paused_since.is_some())),
            (&f::COMPLETED, flag(snapshot.completed)),
            (&f::ABORTED, flag(snapshot.aborted)),
            (&f::SNAPSHOT_SKIPPED, flag(snapshot.skipped)),
            (&f::DURATION, took.as_secs() as f64),
            (&f::PAUSED_DURATION, snapshot.paused().as_secs() as f64),
        ] {
            sheet.number(family, &labels, value);
        }
        sheet.number(&f::PLATFORM_TABLES_LEFT, &[], left);
        let read = snapshot.tables_read as f64 / snapshot.tables.max(1) as f64;
        sheet.number(&f::SNAPSHOT_PROGRESS, &[], if snapshot.completed { 1.0 } else { read });
        let Some(totals) = self.board.totals() else { return };
        for (family, value) in [
            (&f::SNAPSHOT_ESTIMATED, totals.rows_estimated.map(|rows| rows as f64)),
            (&f::SNAPSHOT_CHUNKS, Some(totals.chunks as f64)),
            (&f::SNAPSHOT_CHUNKS_DONE, Some(totals.chunks_done as f64)),
            (&f::SNAPSHOT_BEFORE, Some(totals.tables_before as f64)),
            (&f::SNAPSHOT_RATE, Some(totals.rows_per_second)),
            (&f::SNAPSHOT_ETA, totals.eta_seconds),
        ] {
            if let Some(value) = value {
                sheet.number(family, &[], value);
            }
        }
    }

    fn read_stored(&self, sheet: &mut dyn NumberSheet) {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        sheet.histogram(&f::END_TO_END, &[], &LATENCY_BOUNDS, &stored.counts, stored.sum);
        if let Some(at) = stored.at {
            sheet.number(&f::CHECKPOINT_AGE, &[], at.elapsed().as_secs_f64());
        }
    }
}

fn read_tables(state: &State, metrics: &SourceMetrics, sheet: &mut dyn NumberSheet) {
    let labels = metrics.labels("snapshot");
    for (table, counts) in state.tables.iter() {
        let table = ("table", table);
        for (operation, count) in OPERATIONS.iter().zip(counts.events).filter(|(_, count)| *count > 0) {
            sheet.number(&f::TABLE_EVENTS, &[table, ("op", operation)], count as f64);
        }
        let labels = with(&labels, table);
        for (family, count) in
            [(&f::SCANNED, counts.scanned), (&f::CHUNKS, counts.chunks.0), (&f::CHUNKS_DONE, counts.chunks.1)]
        {
            if count > 0 {
                sheet.number(family, &labels, count as f64);
            }
        }
    }
}

fn with<'a>(labels: &[(&'a str, &'a str); 3], more: (&'a str, &'a str)) -> [(&'a str, &'a str); 4] {
    [labels[0], labels[1], labels[2], more]
}

/// Writes one number without labels.
fn plain(sheet: &mut dyn NumberSheet, family: &NumberFamily, value: f64) {
    sheet.number(family, &[], value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers without a table, by name.
    #[derive(Default)]
    struct Read(std::collections::HashMap<&'static str, f64>);

    impl NumberSheet for Read {
        fn number(&mut self, family: &NumberFamily, labels: &[(&str, &str)], value: f64) {
            if !labels.contains(&("context", "streaming")) {
                self.0.insert(family.name, value);
            }
        }

        fn histogram(&mut self, _: &NumberFamily, _: &[(&str, &str)], _: &[f64], _: &[u64], _: f64) {}
    }

    /// Tables, those that are left, running, paused, completed, aborted.
    fn snapshot(metrics: &SourceMetrics) -> [f64; 6] {
        let mut read = Read::default();
        metrics.read(&TaskNumbers::default(), &mut read);
        [f::TABLES_TOTAL, f::TABLES_LEFT, f::RUNNING, f::PAUSED, f::COMPLETED, f::ABORTED].map(|f| read.0[f.name])
    }

    fn metrics() -> SourceMetrics {
        let (server, tags) = ("s".to_owned(), Tags::default());
        let too_large = Arc::default();
        let config = MetricsConfig { server, queue_max: 8192, tables_max: 2, skips_unchanged: false, too_large, tags };
        SourceMetrics::new(config, Arc::default())
    }

    #[test]
    fn pieces_that_were_read_are_counted_by_table_and_together() {
        let metrics = metrics();
        metrics.notice(&Notice::Started);
        // Two tables have labels of their own.
        metrics.chunks([("a", 2, 0), ("b", 1, 0), ("c", 3, 0), ("d", 1, 0)].into_iter());
        metrics.chunks_read(["a", "c", "d", "c"].into_iter());
        let counts: Vec<_> = metrics.state().tables.iter().map(|(_, counts)| counts.chunks).collect();
        assert_eq!(counts, [(2, 1), (1, 0), (4, 3)]);
    }

    #[test]
    fn an_initial_snapshot_that_ends_early_was_aborted() {
        let metrics = metrics();
        metrics.notice(&Notice::Skipped);
        assert_eq!(snapshot(&metrics), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        metrics.notice(&Notice::Started);
        let read = vec!["a".into(), "b".into()];
        metrics.notice(&Notice::Resolved { captured: read.clone(), read });
        metrics.notice(&Notice::TableRead { table: "a".into(), rows: 1 });
        assert_eq!(snapshot(&metrics), [2.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        metrics.ended();
        assert_eq!(snapshot(&metrics), [2.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn an_incremental_snapshot_shows_in_the_same_numbers() {
        use incremental::Notice as N;
        let metrics = metrics();
        let progress = |tables: &str| N::InProgress {
            tables: tables.into(),
            table: "a".into(),
            last_key: String::new(),
            maximum_key: String::new(),
            chunk: 1,
            chunks: 3,
            rows: 10,
        };
        metrics.incremental(&N::Started("a,b".into()));
        metrics.incremental(&N::Resolved("a,b".into()));
        metrics.incremental(&N::Paused("a,b".into()));
        assert_eq!(snapshot(&metrics), [2.0, 2.0, 1.0, 1.0, 0.0, 0.0]);
        metrics.incremental(&N::Resumed("a,b".into()));
        metrics.incremental(&progress("a,b,c"));
        assert_eq!(snapshot(&metrics), [3.0, 3.0, 1.0, 0.0, 0.0, 0.0]);
        metrics.incremental(&N::Aborted("c".into()));
        assert_eq!(snapshot(&metrics), [2.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
        metrics.incremental(&N::Completed);
        assert_eq!(snapshot(&metrics)[2..], [0.0, 0.0, 1.0, 0.0]);
        // All of it was stopped.
        metrics.incremental(&N::Aborted("a,b".into()));
        assert_eq!(snapshot(&metrics)[2..], [0.0, 0.0, 0.0, 1.0]);
        // One that another start of the task had begun.
        metrics.incremental(&progress("a"));
        assert_eq!(snapshot(&metrics), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
