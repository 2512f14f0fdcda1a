//! The source task: checks, then the snapshot, then the stream. Every error ends it; the runtime starts it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use walspring_config::postgres::{LsnFlushMode, SnapshotLocking, SnapshotMode};
use walspring_connect::{
    CONNECT_EXCEPTION, DEBEZIUM_EXCEPTION, Feedback, Poll, Progress, SourcePartition, SourceTask, SourceTaskContext,
    StopToken, TaskError,
};
use walspring_record::{ChangeBatch, Lsn, RecordPlan, Relation};

use crate::catalog::{self, StreamColumn, Table, TableDetails, Types};
use crate::change_reader::{ChangeReader, Relations};
use crate::config::{SourceConfig, too_complex};
use crate::errors::from_pg;
use crate::events::{Events, StoredOffset};
use crate::feedback::{SlotProgress, StatusUpdates};
use crate::position::Resume;
use crate::slot::{self, NewSlotOptions};
use crate::snapshot::{Snapshot, SnapshotPoint, SnapshotTable, now_us};
use crate::wire::{Connection, Frame, ReplicationStream, publication_names, quote_identifier};
use crate::{publication, startup};

/// A batch is closed when it holds this much of the stream: its events, encoded, stay well under a MiB, and the fixed cost
/// of a batch is spread over some hundred rows.
const BATCH_BYTES: usize = 256 * 1024;

/// What a quiet table's WAL may hold back before its position is stored: see [`PostgresTask::quiet`].
const QUIET_BYTES: u64 = 16 * 1024 * 1024;
const QUIET_INTERVAL: Duration = Duration::from_secs(60);

/// Longest silence between two looks at the stop token.
const WAIT_MAX: Duration = Duration::from_millis(500);

pub struct PostgresTask {
    config: Arc<SourceConfig>,
    events: Option<Events>,
    context: Context,
    partition: SourcePartition,
    progress: Arc<SlotProgress>,
    state: State,
}

struct Context {
    read_offset: walspring_connect::ReadOffset,
    stop: StopToken,
    progress: Arc<dyn Progress>,
}

enum State {
    New,
    Snapshot(Box<SnapshotPhase>),
    Stream(Box<StreamPhase>),
    /// `initial_only` has read everything.
    Finished,
    Closed,
}

struct SnapshotPhase {
    snapshot: Snapshot,
    point: SnapshotPoint,
    /// The catalog as of the snapshot, for the stream that follows.
    relations: CatalogRelations,
    /// The connection that made the slot, if the stream may go on with it.
    replication: Option<Connection>,
    rows_logged: Instant,
    started: Instant,
}

struct StreamPhase {
    reader: ChangeReader<CatalogRelations>,
    stream: ReplicationStream,
    updates: Option<StatusUpdates>,
    /// The newest position of a keepalive outside a transaction.
    idle_lsn: Lsn,
    /// What the last offset-only record said, and when.
    quiet_lsn: Lsn,
    quiet_at: Instant,
    heartbeat_due: Option<Instant>,
    /// Something was sent since the last offset-only record.
    slot_drop: bool,
}

impl PostgresTask {
    pub fn new(config: SourceConfig, events: Events, context: SourceTaskContext) -> PostgresTask {
        let partition = events.partition();
        let progress = Arc::new(SlotProgress::new(config.typed.slot.flush_mode == LsnFlushMode::Manual));
        PostgresTask {
            config: Arc::new(config),
            events: Some(events),
            partition,
            progress,
            state: State::New,
            context: Context { read_offset: context.offset, stop: context.stop, progress: context.progress },
        }
    }

    /// From nothing to the first state that reads.
    fn start(&mut self) -> Result<State, TaskError> {
        let config = self.config.clone();
        let events = self
            .events
            .take()
            .ok_or_else(|| TaskError::definite(CONNECT_EXCEPTION, "The task was started a second time"))?;
        let mut connection = config.open("Connecting to the database")?;
        startup::check_server(&mut connection)?;
        let all = catalog::tables(&mut connection).map_err(|e| from_pg("Reading the tables", e))?;
        let captured = startup::captured(&all, &config)?;
        tracing::info!(tables = captured.len(), "captured tables");

        let stored = (self.context.read_offset)(&self.partition)?.map(|o| StoredOffset::parse(&o));
        let streams = config.typed.snapshot.mode != SnapshotMode::InitialOnly;
        let existing =
            slot::find(&mut connection, &config.typed.slot.name).map_err(|e| from_pg("Reading the slot", e))?;
        if let Some(slot) = existing.as_ref().filter(|s| streams && s.plugin != "pgoutput") {
            return Err(TaskError::definite(
                DEBEZIUM_EXCEPTION,
                format!("Slot {} uses the plugin {} instead of pgoutput", config.typed.slot.name, slot.plugin),
            )
            .hint("choose another slot.name, or drop the slot"));
        }
        let mut snapshot = match (&stored, config.typed.snapshot.mode) {
            (_, SnapshotMode::Always)
            | (None, SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded) => true,
            (Some(s), SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded) => s.in_snapshot,
            (_, SnapshotMode::NoData) => false,
            (_, mode @ (SnapshotMode::ConfigurationBased | SnapshotMode::Custom)) => {
                return Err(TaskError::definite(
                    CONNECT_EXCEPTION,
                    format!("snapshot.mode={} is not supported by this version of Walspring", mode.name()),
                )
                .hint("use initial, no_data, initial_only, when_needed or always"));
            }
        };
        let resume = stored.as_ref().map_or_else(|| Resume::at(Lsn::ZERO), |s| Resume::after(&s.position));
        if let Some(s) = stored.as_ref().filter(|s| !snapshot && streams && !s.in_snapshot) {
            let at = s.position.last_commit.or(s.position.lsn).unwrap_or_default();
            match startup::check_position(existing.as_ref(), &resume, at, &s.text) {
                Ok(()) => {}
                Err(e) if config.typed.snapshot.mode == SnapshotMode::WhenNeeded => {
                    tracing::warn!("{e}; the tables are read again");
                    snapshot = true;
                }
                Err(e) => return Err(e),
            }
        }

        let mut relations = CatalogRelations::new(config.clone(), connection, events, &captured)?;
        startup::set_identities(&mut relations.connection, &config, &captured)?;
        if streams {
            publication::prepare(&mut relations.connection, &config.typed, &captured)?;
        }
        if snapshot {
            self.start_snapshot(relations, &captured, existing.is_some(), streams)
        } else if streams {
            let last_commit = stored.as_ref().and_then(|s| s.position.last_commit);
            if existing.is_none() {
                let mut replication = self.replication_connection()?;
                let options = NewSlotOptions {
                    temporary: config.slot_temporary,
                    failover: config.typed.slot.failover && !config.slot_temporary,
                    ..NewSlotOptions::default()
                };
                slot::create(
                    &mut replication,
                    &config.connect,
                    &self.context.progress,
                    &self.context.stop,
                    &config.typed.slot.name,
                    options,
                )?;
                return self.start_stream(relations, Some(replication), resume, last_commit, stored.as_ref());
            }
            self.start_stream(relations, None, resume, last_commit, stored.as_ref())
        } else {
            Ok(State::Finished)
        }
    }

    fn replication_connection(&self) -> Result<Connection, TaskError> {
        let mut config = self.config.connect.clone();
        config.replication = true;
        Connection::connect(&config).map_err(slot::creation_failed)
    }

    fn start_snapshot(
        &mut self,
        mut relations: CatalogRelations,
        captured: &[Table],
        slot_exists: bool,
        streams: bool,
    ) -> Result<State, TaskError> {
        let config = self.config.clone();
        std::thread::sleep(config.typed.snapshot.delay);
        let mut replication = None;
        let (lsn, exported) = if streams {
            let mut connection = self.replication_connection()?;
            // A slot that is there already may stand before what can be read now: a temporary one tells the point at which
            // a snapshot and a stream meet, and the real one is streamed from there.
            let temporary = format!("walspring_snapshot_{}", std::process::id());
            let options = NewSlotOptions {
                temporary: slot_exists || config.slot_temporary,
                export_snapshot: true,
                failover: config.typed.slot.failover && !slot_exists && !config.slot_temporary,
            };
            let name = if slot_exists { &temporary } else { &config.typed.slot.name };
            let made = slot::create(
                &mut connection,
                &config.connect,
                &self.context.progress,
                &self.context.stop,
                name,
                options,
            )?;
            replication = Some((connection, slot_exists));
            (made.consistent_point, made.snapshot)
        } else {
            let lsn = relations.current_lsn()?;
            let exported = if config.typed.snapshot.threads > 1 { Some(relations.export_snapshot()?) } else { None };
            (lsn, exported)
        };
        let xid = relations.snapshot_xid(exported.as_deref())?;
        let point = SnapshotPoint { lsn, exported, xid };
        let mut before_read = config.typed.connection.initial_statements.clone();
        if config.typed.snapshot.locking == SnapshotLocking::Shared {
            before_read.push(format!("SET lock_timeout = {}", config.typed.snapshot.lock_timeout.as_millis()));
            before_read.extend(
                captured.iter().map(|t| format!("LOCK TABLE {} IN ACCESS SHARE MODE", publication::qualified(t))),
            );
        }
        let mut tables = Vec::new();
        for table in captured {
            if config.typed.filters.in_snapshot(&table.namespace, &table.name).map_err(too_complex)? {
                tables.push(relations.snapshot_table(table)?);
            }
        }
        tracing::info!(tables = tables.len(), lsn = %point.lsn, "the snapshot begins");
        let snapshot = Snapshot::start(tables, &point, &config.connect, config.typed.snapshot.threads, &before_read)?;
        relations.end_export();
        // The temporary slot ends with its connection; the readers hold the snapshot now.
        let replication = replication.and_then(|(connection, temporary)| (!temporary).then_some(connection));
        let now = Instant::now();
        Ok(State::Snapshot(Box::new(SnapshotPhase {
            snapshot,
            point,
            relations,
            replication,
            rows_logged: now,
            started: now,
        })))
    }

    fn start_stream(
        &mut self,
        relations: CatalogRelations,
        replication: Option<Connection>,
        resume: Resume,
        last_commit: Option<Lsn>,
        stored: Option<&StoredOffset>,
    ) -> Result<State, TaskError> {
        let config = self.config.clone();
        std::thread::sleep(config.typed.snapshot.streaming_delay);
        let replication = match replication {
            Some(connection) => connection,
            None => self.replication_connection()?,
        };
        let timeout = replication_timeout(&relations);
        let mut options =
            format!("proto_version '1', publication_names {}", publication_names([&config.typed.publication.name]));
        options.push_str(", messages 'true'");
        for (name, value) in &config.typed.slot.stream_params {
            options.push_str(&format!(
                ", {} {}",
                quote_identifier(name),
                crate::wire::quote_replication_literal(value)
            ));
        }
        let sql = format!(
            "START_REPLICATION SLOT {} LOGICAL {} ({options})",
            quote_identifier(&config.typed.slot.name),
            resume.start
        );
        let start = resume.start;
        let stream = replication.start_replication(&sql).map_err(|e| {
            let busy = e.code() == Some("55006");
            let error = from_pg("Starting the replication stream", e);
            if busy { error.hint("another session reads the slot; it is retried until that one ends") } else { error }
        })?;
        let writer = stream.writer();
        tracing::info!(slot = %config.typed.slot.name, %start, "streaming");
        let mut events = relations.events.clone();
        if let Some(stored) = stored {
            events.restore(stored);
        }
        self.progress.confirm(start);
        let interval =
            timeout.map_or(config.typed.slot.status_interval, |t| config.typed.slot.status_interval.min(t / 3));
        let updates = StatusUpdates::start(writer, self.progress.clone(), interval.max(Duration::from_millis(100)));
        let now = Instant::now();
        let reader = ChangeReader::new(relations, events, config.typed.events.skipped, resume, last_commit);
        Ok(State::Stream(Box::new(StreamPhase {
            reader,
            stream,
            updates: Some(updates),
            idle_lsn: Lsn::ZERO,
            quiet_lsn: start,
            quiet_at: now,
            heartbeat_due: config.typed.events.heartbeat_interval.map(|_| now),
            slot_drop: config.typed.slot.drop_on_stop,
        })))
    }

    fn poll_snapshot(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let State::Snapshot(phase) = &mut self.state else { return Ok(Poll::Idle) };
        let got = phase.snapshot.next(batch, wait)?;
        let rows = phase.snapshot.rows.load(Ordering::Relaxed);
        if phase.rows_logged.elapsed() > Duration::from_secs(10) {
            phase.rows_logged = Instant::now();
            let seconds = phase.started.elapsed().as_secs_f64();
            tracing::info!(rows, rows_per_second = (rows as f64 / seconds) as u64, "the snapshot goes on");
        }
        if got {
            self.context.progress.gauge("snapshot_rows_total", rows as f64);
            batch.offset =
                Some(phase.relations.events.snapshot_offset(phase.point.lsn, phase.point.xid, now_us(), false));
            return Ok(Poll::Batch);
        }
        if !phase.snapshot.is_finished() {
            return Ok(Poll::Idle);
        }
        let State::Snapshot(phase) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(Poll::Idle) };
        let SnapshotPhase { point, relations, replication, started, snapshot, .. } = *phase;
        tracing::info!(rows, seconds = started.elapsed().as_secs_f64(), "the snapshot is complete");
        drop(snapshot);
        batch.offset = Some(relations.events.snapshot_offset(point.lsn, point.xid, now_us(), true));
        batch.store_offset = true;
        batch.drained = true;
        self.state = if self.config.typed.snapshot.mode == SnapshotMode::InitialOnly {
            State::Finished
        } else {
            self.start_stream(relations, replication, Resume::at(point.lsn), None, None)?
        };
        Ok(Poll::Batch)
    }

    fn poll_stream(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let State::Stream(phase) = &mut self.state else { return Ok(Poll::Idle) };
        phase.reader.next_batch();
        let deadline = Instant::now() + wait;
        let mut seen_us = now_us();
        let mut frames = 0u32;
        let mut received = Lsn::ZERO;
        loop {
            let buffered = phase.stream.has_buffered();
            if !buffered {
                if received != Lsn::ZERO {
                    self.progress.received(received);
                }
                if !batch.changes.is_empty() && !phase.stream.try_fill().map_err(stream_failed)? {
                    batch.drained = true;
                    break;
                }
            }
            let left = if phase.stream.has_buffered() {
                Duration::ZERO
            } else {
                deadline.saturating_duration_since(Instant::now())
            };
            let Some(frame) = phase.stream.next(left).map_err(stream_failed)? else {
                batch.drained = true;
                break;
            };
            frames += 1;
            if !buffered || frames & 63 == 0 {
                seen_us = now_us();
            }
            match frame {
                Frame::XLogData { wal_start, wal_end, payload, .. } => {
                    received = received.max(Lsn(wal_end.max(wal_start)));
                    phase.reader.read(Lsn(wal_start), payload, seen_us, batch)?;
                }
                Frame::KeepAlive { wal_end, reply_requested, .. } => {
                    received = received.max(Lsn(wal_end));
                    if !phase.reader.in_transaction() && batch.changes.is_empty() {
                        phase.idle_lsn = Lsn(wal_end);
                        if phase.quiet_due(reply_requested) {
                            phase.quiet(batch);
                            break;
                        }
                    }
                }
            }
            if batch.bytes.len() >= BATCH_BYTES || batch.changes.len() >= BATCH_CHANGES {
                break;
            }
        }
        if received != Lsn::ZERO {
            self.progress.received(received);
        }
        phase.heartbeat(&self.config, seen_us, batch)?;
        self.report(batch);
        let State::Stream(phase) = &mut self.state else { return Ok(Poll::Idle) };
        if batch.offset.is_none() && !batch.changes.is_empty() {
            batch.offset = phase.reader.offset();
        }
        Ok(if batch.is_empty() { Poll::Idle } else { Poll::Batch })
    }

    fn report(&self, batch: &ChangeBatch) {
        let progress = &self.context.progress;
        progress.gauge("source_received_lsn", self.progress.received_lsn().0 as f64);
        progress.gauge("source_confirmed_lsn", self.progress.confirmed_lsn().0 as f64);
        let lag = self.progress.received_lsn().0.saturating_sub(self.progress.confirmed_lsn().0);
        progress.gauge("source_lag_bytes", lag as f64);
        if let Some(t) = batch.transactions.last() {
            progress.gauge("source_lag_seconds", ((now_us() - t.commit_us).max(0)) as f64 / 1e6);
        } else if batch.drained {
            progress.gauge("source_lag_seconds", 0.0);
        }
        progress.add("source_events_total", batch.changes.len() as u64);
    }
}

/// Rows without bytes (a table without columns, truncates) are bounded too.
const BATCH_CHANGES: usize = 16 * 1024;

impl StreamPhase {
    /// Whether the position of a keepalive should be stored, so that the slot does not hold WAL for a quiet table.
    fn quiet_due(&self, asked: bool) -> bool {
        let ahead =
            self.idle_lsn.0.saturating_sub(self.quiet_lsn.0.max(self.reader.last_commit().unwrap_or_default().0));
        // A server that shuts down asks until everything is confirmed.
        let asked = asked && self.quiet_at.elapsed() > Duration::from_millis(500);
        self.idle_lsn > self.quiet_lsn && (ahead > QUIET_BYTES || self.quiet_at.elapsed() > QUIET_INTERVAL || asked)
    }

    /// An offset-only record, as the original's heartbeat makes after a COMMIT.
    fn quiet(&mut self, batch: &mut ChangeBatch) {
        batch.offset = Some(self.reader.offset_at_commit(self.idle_lsn));
        batch.store_offset = true;
        batch.drained = true;
        self.quiet_lsn = self.idle_lsn;
        self.quiet_at = Instant::now();
    }

    /// `heartbeat.interval.ms`: a record to the heartbeat topic, and the action query.
    fn heartbeat(&mut self, config: &SourceConfig, now_us: i64, batch: &mut ChangeBatch) -> Result<(), TaskError> {
        let (Some(interval), Some(due)) = (config.typed.events.heartbeat_interval, self.heartbeat_due) else {
            return Ok(());
        };
        if Instant::now() < due {
            return Ok(());
        }
        self.heartbeat_due = Some(Instant::now() + interval);
        if let Some(sql) = &config.typed.events.heartbeat_query {
            self.reader.relations_mut().heartbeat_action(sql)?;
        }
        if !self.reader.in_transaction()
            && let Some(commit) = self.reader.last_commit()
        {
            batch.offset = Some(self.reader.offset_at_commit(commit.max(self.idle_lsn)));
        }
        let record = self.reader.events().heartbeat(now_us);
        self.reader.push_record(record, batch);
        Ok(())
    }
}

impl SourceTask for PostgresTask {
    fn partition(&self) -> SourcePartition {
        self.partition.clone()
    }

    fn poll(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let wait = wait.min(WAIT_MAX);
        match &self.state {
            State::New => {
                self.state = self.start()?;
                Ok(Poll::Idle)
            }
            State::Snapshot(_) => self.poll_snapshot(batch, wait),
            State::Stream(_) => self.poll_stream(batch, wait),
            State::Finished => {
                std::thread::sleep(wait);
                Ok(Poll::Finished)
            }
            State::Closed => Err(TaskError::transient(CONNECT_EXCEPTION, "The task has ended")),
        }
    }

    fn feedback(&self) -> Arc<dyn Feedback> {
        self.progress.clone()
    }

    fn close(&mut self) {
        if let State::Stream(mut phase) = std::mem::replace(&mut self.state, State::Closed) {
            // Its end sends a last status update.
            drop(phase.updates.take());
            if phase.slot_drop {
                let slot = self.config.typed.slot.name.clone();
                let StreamPhase { mut reader, stream, .. } = *phase;
                drop(stream);
                let dropped = reader.relations_mut().drop_slot(&slot);
                if let Err(e) = dropped {
                    tracing::warn!("slot.drop.on.stop: {e}");
                }
            }
        }
    }
}

fn stream_failed(e: crate::wire::PgError) -> TaskError {
    let mut error = from_pg("Reading the replication stream", e);
    // What ends a stream once is tried again: the start then tells what is definite.
    error.kind = walspring_connect::Kind::Transient;
    error
}

fn replication_timeout(relations: &CatalogRelations) -> Option<Duration> {
    (relations.wal_sender_timeout > Duration::ZERO).then_some(relations.wal_sender_timeout)
}

/// Relations completed from the catalog, over an ordinary connection that is opened again when it is lost.
struct CatalogRelations {
    config: Arc<SourceConfig>,
    connection: Connection,
    events: Events,
    types: Types,
    /// Of the captured tables, as of the start; taken when the stream describes the table the same way.
    preloaded: HashMap<u32, TableDetails>,
    plans: HashMap<u32, Arc<RecordPlan>>,
    wal_sender_timeout: Duration,
}

impl CatalogRelations {
    fn new(
        config: Arc<SourceConfig>,
        mut connection: Connection,
        events: Events,
        captured: &[Table],
    ) -> Result<CatalogRelations, TaskError> {
        let oids: Vec<u32> = captured.iter().map(|t| t.oid).collect();
        let preloaded = catalog::details(&mut connection, &oids).map_err(|e| from_pg("Reading the columns", e))?;
        let mut types = Types::new();
        let used = preloaded.values().flat_map(|d| d.columns.iter().map(|c| c.type_oid));
        types.load(&mut connection, used).map_err(|e| from_pg("Reading the types", e))?;
        let rows = connection
            .query("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")
            .map_err(|e| from_pg("Reading wal_sender_timeout", e))?;
        let timeout_ms = rows.first().map_or(0, |r| catalog::number(r, 0));
        Ok(CatalogRelations {
            config,
            connection,
            events,
            types,
            preloaded,
            plans: HashMap::new(),
            wal_sender_timeout: Duration::from_millis(timeout_ms),
        })
    }

    fn current_lsn(&mut self) -> Result<Lsn, TaskError> {
        let rows = self
            .connection
            .query(
                "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
                 ELSE pg_catalog.pg_current_wal_lsn() END",
            )
            .map_err(|e| from_pg("Reading the WAL position", e))?;
        Ok(rows.first().and_then(|r| r.get(0)).and_then(|l| l.parse().ok()).unwrap_or_default())
    }

    /// Exports a snapshot from the catalog's connection; [`CatalogRelations::end_export`] lets it go.
    fn export_snapshot(&mut self) -> Result<String, TaskError> {
        self.connection
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .and_then(|()| self.connection.query("SELECT pg_catalog.pg_export_snapshot()"))
            .map(|rows| rows.first().map(|r| catalog::text(r, 0)).unwrap_or_default())
            .map_err(|e| from_pg("Exporting the snapshot", e))
    }

    fn end_export(&mut self) {
        let _ = self.connection.batch_execute("COMMIT");
    }

    /// A transaction id that stands for the snapshot: the oldest that it does not see whole. None is used up.
    fn snapshot_xid(&mut self, exported: Option<&str>) -> Result<u32, TaskError> {
        let _ = exported;
        let rows = self
            .connection
            .query("SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())")
            .map_err(|e| from_pg("Reading the snapshot", e))?;
        Ok(rows.first().map_or(0, |r| catalog::number::<u64>(r, 0)) as u32)
    }

    fn snapshot_table(&mut self, table: &Table) -> Result<SnapshotTable, TaskError> {
        let details = self.preloaded.get(&table.oid).cloned().unwrap_or_default();
        let columns: Vec<StreamColumn> = details
            .columns
            .iter()
            .filter(|c| !c.generated)
            .map(|c| StreamColumn { name: c.name.clone(), type_oid: c.type_oid, modifier: c.modifier, is_key: false })
            .collect();
        let relation = self.relation(table.oid, &table.namespace, &table.name, table.identity, &columns, &details)?;
        let plan = self.events.snapshot_plan(Arc::new(relation))?;
        let list = columns.iter().map(|c| quote_identifier(&c.name)).collect::<Vec<_>>().join(", ");
        let select = format!("SELECT {list} FROM {}", publication::qualified(table));
        // A parent's rows stand in several heaps: no range of one.
        let pages = (table.kind == 'r' && table.pages > 0).then_some(table.pages as u64);
        Ok(SnapshotTable { name: table.qualified_name(), plan, select, pages })
    }

    fn relation(
        &self,
        oid: u32,
        namespace: &str,
        name: &str,
        identity: walspring_record::ReplicaIdentity,
        columns: &[StreamColumn],
        details: &TableDetails,
    ) -> Result<Relation, TaskError> {
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let custom = self.config.typed.key_columns.of_table(namespace, name, &names).map_err(too_complex)?;
        Ok(catalog::relation(oid, namespace, name, identity, columns, details, custom, &self.types))
    }

    /// Runs what needs the catalog, once more on a new connection when the old one turns out to be gone.
    fn with_connection<T>(
        &mut self,
        doing: &str,
        mut run: impl FnMut(&mut Connection) -> Result<T, crate::wire::PgError>,
    ) -> Result<T, TaskError> {
        match run(&mut self.connection) {
            Err(e) if e.is_transient() => {
                self.connection = self.config.open(doing)?;
                run(&mut self.connection).map_err(|e| from_pg(doing, e))
            }
            other => other.map_err(|e| from_pg(doing, e)),
        }
    }

    fn heartbeat_action(&mut self, sql: &str) -> Result<(), TaskError> {
        self.with_connection("heartbeat.action.query", |c| c.batch_execute(sql))
    }

    fn drop_slot(&mut self, slot: &str) -> Result<(), TaskError> {
        // The walsender lets go of the slot a moment after its connection ended.
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            match slot::drop(&mut self.connection, slot) {
                Err(e) if e.is_transient() && Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                other => return other,
            }
        }
    }
}

impl Relations for CatalogRelations {
    fn describe(&mut self, m: &walspring_pgoutput::Relation<'_>) -> Result<Option<Arc<RecordPlan>>, TaskError> {
        let namespace = if m.namespace.is_empty() { "pg_catalog".into() } else { String::from_utf8_lossy(m.namespace) };
        let name = String::from_utf8_lossy(m.name);
        if !self.config.captures(&namespace, &name)? {
            return Ok(None);
        }
        let columns: Vec<StreamColumn> = m
            .columns()
            .map(|c| StreamColumn {
                name: String::from_utf8_lossy(c.name).into_owned(),
                type_oid: c.type_oid,
                modifier: c.type_modifier,
                is_key: c.is_key(),
            })
            .collect();
        let identity = match m.replica_identity {
            walspring_pgoutput::ReplicaIdentity::Default => walspring_record::ReplicaIdentity::Default,
            walspring_pgoutput::ReplicaIdentity::Nothing => walspring_record::ReplicaIdentity::Nothing,
            walspring_pgoutput::ReplicaIdentity::Full => walspring_record::ReplicaIdentity::Full,
            walspring_pgoutput::ReplicaIdentity::Index => walspring_record::ReplicaIdentity::Index,
        };
        let details = match self.preloaded.remove(&m.oid).filter(|d| agrees(d, &columns)) {
            Some(details) => details,
            None => {
                let oid = m.oid;
                self.types.forget_user_types();
                self.with_connection("Reading the columns", |c| catalog::details(c, &[oid]))?
                    .remove(&oid)
                    .unwrap_or_default()
            }
        };
        let oids: Vec<u32> = columns.iter().map(|c| c.type_oid).collect();
        let mut types = std::mem::take(&mut self.types);
        let loaded = self.with_connection("Reading the types", |c| types.load(c, oids.iter().copied()));
        self.types = types;
        loaded?;
        let relation = self.relation(m.oid, &namespace, &name, identity, &columns, &details)?;
        if let Some(plan) = self.plans.get(&m.oid).filter(|p| *p.relation == relation) {
            return Ok(Some(plan.clone()));
        }
        let plan = self.events.plan(Arc::new(relation))?;
        self.plans.insert(m.oid, plan.clone());
        Ok(Some(plan))
    }
}

/// Whether what was read of the catalog at the start is what the stream describes.
fn agrees(details: &TableDetails, columns: &[StreamColumn]) -> bool {
    columns
        .iter()
        .all(|c| details.column(&c.name).is_some_and(|k| k.type_oid == c.type_oid && k.modifier == c.modifier))
        && columns.len() == details.columns.iter().filter(|c| !c.generated).count()
}
