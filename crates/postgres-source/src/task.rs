//! The source task: checks, then the snapshot, then the stream. Every error ends it; the runtime starts it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_config::postgres::SnapshotMode;
use walspring_connect::{
    CONNECT_EXCEPTION, Feedback, Poll, Progress, SnapshotTeller, SourcePartition, SourceTask, SourceTaskContext,
    StopToken, TaskError, fault,
};
use walspring_debezium::{DebeziumOffset, SnapshotKind};
use walspring_record::{ChangeBatch, Lsn, SourceOffset};

use crate::catalog::{self, Table};
use crate::config::SourceConfig;
use crate::errors::from_pg;
use crate::events::{Events, StoredOffset};
use crate::feedback::SlotProgress;
use crate::identity::{Server, Source};
use crate::keeper::Keeper;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::metrics::SourceMetrics;
use crate::notifications::{Notice, Notifications};
use crate::position::Resume;
use crate::relations::CatalogRelations;
use crate::signals::Outside;
use crate::slot::{self, NewSlot, NewSlotOptions, Slot};
use crate::slot_watch::SlotWatch;
use crate::snapshot::now_us;
use crate::stream::{Stream, StreamStart};
use crate::wire::Connection;
use crate::{failover, publication, startup};

mod blocking;
mod rest;
mod snapshot;
mod source;

use blocking::Blocking;
use rest::{ReadingRest, Rest};
use snapshot::SnapshotPhase;
use source::Place;

/// Longest silence between two looks at the stop token.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// How often what was confirmed is kept, beside the offset.
const REACHED_INTERVAL: Duration = Duration::from_secs(60);

/// Between two looks at a slot that another session reads.
const SLOT_LOOK_INTERVAL: Duration = Duration::from_millis(250);

const LOST_CHANGES: &str = "it goes on at the end of the log, and what changed meanwhile is lost; set \
    snapshot.mode.configuration.based.snapshot.data=true, or snapshot.mode=when_needed, to read the tables again";

pub struct PostgresTask {
    config: Arc<SourceConfig>,
    limits: Limits,
    events: Option<Events>,
    notifications: Notifications,
    context: Context,
    partition: SourcePartition,
    progress: Arc<SlotProgress>,
    metrics: Arc<SourceMetrics>,
    slot_watch: Option<SlotWatch>,
    keeper: Arc<Keeper>,
    /// What the keeper was given last, and when.
    source: Option<(Source, Instant)>,
    /// The one that is read, where an offset goes on.
    server: Option<Server>,
    /// It was a standby when last asked.
    on_standby: bool,
    /// Where a standby that is streamed is asked for its timeline.
    standby: Option<Connection>,
    /// As of where an earlier start has read rows on it.
    read_before: Lsn,
    /// Why a snapshot that had been begun is not of this server.
    elsewhere: Option<String>,
    /// What is left of a snapshot that goes on, until the stream has come to where it is read.
    rest: Option<Box<Rest>>,
    state: State,
}

struct Context {
    read_offset: walspring_connect::ReadOffset,
    stop: StopToken,
    progress: Arc<dyn Progress>,
    state: Option<Arc<dyn walspring_connect::SourceState>>,
    outside: Outside,
}

enum State {
    New,
    Snapshot(Box<SnapshotPhase>),
    /// The snapshot's last batch, or nothing, has been handed over: the stream may begin.
    Starting(Box<Starting>),
    Stream(Box<Stream>),
    /// The stream stands still while tables are read.
    Blocking(Box<Blocking>),
    /// The stream stands still while the rest of a snapshot is read.
    Rest(Box<ReadingRest>),
    /// `initial_only` has read everything.
    Finished,
    /// What is still to be said about the snapshot goes out first.
    Failed(TaskError),
    Closed,
}

struct Starting {
    relations: CatalogRelations,
    replication: Option<Connection>,
    from: StreamStart,
}

impl PostgresTask {
    pub fn new(config: SourceConfig, limits: Limits, events: Events, context: SourceTaskContext) -> PostgresTask {
        let partition = events.partition();
        let progress = Arc::new(SlotProgress::new(&config.typed.slot));
        let metrics = Arc::new(SourceMetrics::new(config.metrics(), progress.clone()));
        context.progress.numbers(metrics.clone());
        let board = metrics.board().clone();
        context.signals.tells_snapshot(Some(SnapshotTeller(Arc::new(move || board.describe()))));
        PostgresTask {
            notifications: Notifications::new(&config, &events, metrics.clone()),
            config: Arc::new(config),
            limits,
            events: Some(events),
            partition,
            progress,
            metrics,
            slot_watch: None,
            keeper: Arc::new(Keeper::start(None)),
            source: None,
            server: None,
            on_standby: false,
            standby: None,
            read_before: Lsn::ZERO,
            elsewhere: None,
            rest: None,
            state: State::New,
            context: Context {
                read_offset: context.offset,
                stop: context.stop,
                progress: context.progress,
                state: context.state,
                outside: Outside { connector: context.connector, join: context.join_group, inbox: context.signals },
            },
        }
    }

    /// From nothing to the first state that reads.
    fn start(&mut self) -> Result<State, TaskError> {
        let events = self
            .events
            .take()
            .ok_or_else(|| TaskError::definite(CONNECT_EXCEPTION, "The task was started a second time"))?;
        let mut memory = Memory::begin(self.context.state.take().filter(|_| self.streams()));
        let mut connection = self.open(&mut memory)?;
        let config = self.config.clone();
        startup::check_server(&mut connection)?;
        let all = catalog::tables(&mut connection).map_err(|e| from_pg("Reading the tables", e))?;
        let captured = startup::captured(&all, &config)?;
        tracing::info!(tables = captured.len(), "captured tables");
        self.metrics.captured(captured.iter().map(Table::qualified_name));

        let stored = (self.context.read_offset)(&self.partition)?.map(|o| StoredOffset::parse(&o));
        let streams = self.streams();
        let existing =
            slot::find(&mut connection, &config.typed.slot.name).map_err(|e| from_pg("Reading the slot", e))?;
        if let Some(slot) = existing.as_ref().filter(|_| streams) {
            startup::check_slot(slot, &config)?;
            failover::check_slot(&mut connection, &config.typed.slot.name)?;
        }
        if streams {
            let (name, interval, metrics) = (&config.typed.slot.name, config.slot_watch_interval, self.metrics.clone());
            let progress = self.context.progress.clone();
            self.slot_watch = Some(SlotWatch::start(&config.connect, name, interval, metrics, progress));
        }
        let memory = memory.end()?;
        let (is_same, known) = self.check_source(&memory, stored.as_ref())?;
        let (snapshot, stored) = self.plan(stored, existing.as_ref(), memory.source.as_ref())?;
        let stored = stored.filter(|_| is_same);
        if let Some(slot) = existing.as_ref().filter(|_| streams) {
            startup::check_valid(&config.typed.slot.name, slot)?;
        }

        let mut relations = CatalogRelations::new(config.clone(), connection, events, &captured)?;
        let begun = if snapshot { self.begun(stored.as_ref(), existing.as_ref()) } else { None };
        let resume = match (&begun, &stored) {
            (Some(begun), _) => begun.resume.clone(),
            (None, Some(stored)) => Resume::after(&stored.position),
            (None, None) => Resume::at(Lsn::ZERO),
        };
        memory.remember_tables(&mut relations, &config, &all, resume.start)?;
        self.keeper = memory.keeper;
        startup::set_identities(&mut relations.connection, &config, &captured)?;
        // A role that may not replicate hears that first, as from the original, and no publication is left behind.
        let makes_slot = streams && (snapshot || existing.is_none());
        let mut replication = match known {
            Some(connection) => Some(connection),
            None if makes_slot => Some(self.replication_connection()?),
            None => None,
        };
        if streams {
            publication::prepare(&mut relations.connection, &config.typed, &captured)?;
        }
        if snapshot {
            self.notifications.tell(Notice::Started);
            return match begun {
                Some(begun) => self.go_on(relations, &captured, stored, begun, replication),
                None => self.start_snapshot(relations, captured, existing.is_some(), replication),
            };
        }
        self.notifications.tell(Notice::Skipped);
        if !streams {
            return Ok(State::Finished);
        }
        let mut slot = existing.and_then(|s| s.confirmed_lsn).unwrap_or_default();
        if let Some(connection) = replication.as_mut().filter(|_| makes_slot) {
            let made = self.make_slot(connection, &config.typed.slot.name, config.slot_temporary, false)?;
            slot = made.consistent_point;
        }
        let seen = stored.as_ref().and_then(|s| s.position.commit_seen);
        let from = StreamStart {
            last_commit: stored.as_ref().and_then(|s| s.position.commit_read()),
            told: stored.as_ref().and_then(|s| s.position.commit_told()),
            floor: (slot < resume.start || seen.is_some()).then_some(resume.start),
            slot,
            resume,
            stored,
            catches_up: None,
        };
        self.pause(config.typed.snapshot.streaming_delay)?;
        Ok(State::Starting(Box::new(Starting { relations, replication, from })))
    }

    /// Whether a snapshot is read, and the offset from which the stream goes on if none is.
    fn plan(
        &self,
        stored: Option<StoredOffset>,
        slot: Option<&Slot>,
        kept: Option<&Source>,
    ) -> Result<(bool, Option<StoredOffset>), TaskError> {
        let typed = &self.config.typed;
        let (mode, configured) = (typed.snapshot.mode, typed.snapshot.configured);
        let snapshot = match (&stored, mode) {
            (_, SnapshotMode::Always) => true,
            (None, SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded) => true,
            (Some(s), SnapshotMode::Initial | SnapshotMode::InitialOnly | SnapshotMode::WhenNeeded) => s.in_snapshot,
            (_, SnapshotMode::NoData) => false,
            (_, SnapshotMode::ConfigurationBased) => configured.data,
            (_, SnapshotMode::Custom) => {
                return Err(TaskError::definite(
                    CONNECT_EXCEPTION,
                    format!("snapshot.mode={} is not supported by this version of Walspring", mode.name()),
                )
                .hint("use initial, no_data, initial_only, when_needed, always or configuration_based"));
            }
        };
        let checked = !snapshot || mode == SnapshotMode::ConfigurationBased;
        let checked = checked && typed.slot.check_position;
        let Some(s) = stored.as_ref().filter(|s| checked && self.streams() && !s.in_snapshot) else {
            if let Some(kept) = kept.filter(|_| !snapshot && stored.is_none() && self.streams()) {
                self.check_slot_of(kept, slot)?;
            }
            return Ok((snapshot, stored));
        };
        if self.config.slot_temporary && slot.is_none() {
            // The slot of the last run has ended with its connection, as asked for.
            let again = mode != SnapshotMode::NoData;
            tracing::warn!(again, "the temporary slot is gone, and with it the changes since the stored offset");
            return Ok((again, None));
        }
        match self.check_place(s, slot, kept) {
            Ok(Place::Stored) => Ok((snapshot, stored)),
            Ok(Place::Slot) => Ok((snapshot, None)),
            Err(e) if mode == SnapshotMode::WhenNeeded => {
                tracing::warn!("{e}; the tables are read again");
                Ok((true, stored))
            }
            Err(e) if mode == SnapshotMode::ConfigurationBased && configured.on_data_error => {
                // The original starts over as if nothing had been stored, and reads rows only if it always does.
                tracing::warn!("{e}; {}", if snapshot { "the tables are read again" } else { LOST_CHANGES });
                Ok((snapshot, None))
            }
            Err(e) => Err(e),
        }
    }

    /// Whether changes are streamed once there are no rows left to read.
    fn streams(&self) -> bool {
        let snapshot = &self.config.typed.snapshot;
        match snapshot.mode {
            SnapshotMode::InitialOnly => false,
            SnapshotMode::ConfigurationBased => snapshot.configured.stream,
            _ => true,
        }
    }

    fn replication_connection(&self) -> Result<Connection, TaskError> {
        let mut config = self.config.connect.clone();
        config.replication = true;
        let mut connection = Connection::connect(&config).map_err(slot::creation_failed)?;
        // It waits while a snapshot is read.
        connection.batch_execute("SET idle_session_timeout = 0").map_err(slot::creation_failed)?;
        Ok(connection)
    }

    fn make_slot(
        &self,
        connection: &mut Connection,
        name: &str,
        temporary: bool,
        export_snapshot: bool,
    ) -> Result<NewSlot, TaskError> {
        let failover = self.config.typed.slot.failover && !temporary;
        let options = NewSlotOptions { temporary, export_snapshot, failover };
        let (progress, stop) = (&self.context.progress, &self.context.stop);
        let all = self.config.all_hosts();
        slot::create(connection, (&self.config.connect, all), progress, stop, name, options)
    }

    /// Waits as an option asks for, unless the task is stopped.
    fn pause(&self, delay: Duration) -> Result<(), TaskError> {
        let end = Instant::now() + delay;
        while Instant::now() < end {
            if self.context.stop.is_stopped() {
                return Err(TaskError::transient(CONNECT_EXCEPTION, "The task was stopped"));
            }
            std::thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// An error of a snapshot that has begun is answered after what there is to say about it.
    fn give_up(&mut self, e: TaskError) -> Result<State, TaskError> {
        if !self.notifications.has_begun() {
            return Err(e);
        }
        self.notifications.tell(Notice::Aborted);
        Ok(State::Failed(e))
    }

    fn break_off(&mut self, e: TaskError) -> Result<Poll, TaskError> {
        self.state = self.give_up(e)?;
        Ok(Poll::Idle)
    }

    fn start_stream(&mut self) -> Result<(), TaskError> {
        let State::Starting(starting) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(()) };
        let Starting { mut relations, replication, from } = *starting;
        self.wait_for_slot(&mut relations)?;
        let mut replication = match replication {
            Some(connection) => connection,
            None => self.replication_connection()?,
        };
        self.keep_source(&mut replication, &mut relations)?;
        failover::prepare_slot(&mut replication, &self.config.typed.slot);
        let (progress, outside) = (self.progress.clone(), &self.context.outside);
        fault::point("stream.begin");
        let stream = Stream::start(&self.config, relations, replication, from, progress, self.limits, outside)?;
        self.metrics.connected(true);
        if let Some(watch) = &self.slot_watch {
            watch.look();
        }
        self.state = State::Stream(Box::new(stream));
        Ok(())
    }

    /// Another session may be about to leave the slot. It is waited for as long as `slot.max.retries` attempts with
    /// `slot.retry.delay.ms` between them would last, but looked at more often; then the task's own retries go on.
    fn wait_for_slot(&self, relations: &mut CatalogRelations) -> Result<(), TaskError> {
        let slot = &self.config.typed.slot;
        let limit = slot.retry_delay.saturating_mul(u32::try_from(slot.retries_max).unwrap_or(0));
        let begun = Instant::now();
        while begun.elapsed() < limit {
            let found =
                slot::find(&mut relations.connection, &slot.name).map_err(|e| from_pg("Reading the slot", e))?;
            // One that is temporary is ours: nobody else can read it.
            let Some(pid) = found.and_then(|found| found.active_pid).filter(|_| !self.config.slot_temporary) else {
                break;
            };
            self.context.progress.waiting(Some(format!("slot {} is read by pid {pid}", slot.name)));
            let paused = self.pause(SLOT_LOOK_INTERVAL.min(slot.retry_delay));
            self.context.progress.waiting(None);
            paused?;
        }
        Ok(())
    }

    fn poll_stream(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        if self.step_to_rest()? {
            return Ok(Poll::Idle);
        }
        let State::Stream(stream) = &mut self.state else { return Ok(Poll::Idle) };
        if let Some(wanted) = stream.blocking() {
            if let State::Stream(stream) = std::mem::replace(&mut self.state, State::Closed) {
                self.state = State::Blocking(Box::new(Blocking::new(stream, wanted)));
            }
            return Ok(Poll::Idle);
        }
        stream.poll(&self.config, batch, wait)?;
        stream.relations_mut().write_kept();
        if !batch.is_empty() {
            self.keep_timeline()?;
        }
        self.keep_reached(REACHED_INTERVAL);
        let State::Stream(stream) = &mut self.state else { return Ok(Poll::Idle) };
        for (signal, notice) in stream.take_notices() {
            self.notifications.tell_incremental(signal, notice);
        }
        self.report(batch);
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
        if let State::Stream(stream) = &self.state {
            progress.gauge("source_columns_unmasked", stream.columns_unmasked() as f64);
            self.metrics.streamed(batch, stream.left_out(), stream.streamed_numbers());
        }
    }
}

impl SourceTask for PostgresTask {
    fn partition(&self) -> SourcePartition {
        self.partition.clone()
    }

    fn poll(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let wait = wait.min(WAIT_MAX);
        if !self.notifications.is_empty() {
            self.notifications.push_to(batch);
            batch.drained = true;
            return Ok(Poll::Batch);
        }
        match &self.state {
            State::New => {
                self.state = self.start().or_else(|e| self.give_up(e))?;
                Ok(Poll::Idle)
            }
            State::Snapshot(_) => self.poll_snapshot(batch, wait).or_else(|e| self.break_off(e)),
            State::Rest(_) => self.poll_rest(batch, wait).or_else(|e| self.break_off(e)),
            State::Failed(_) => match std::mem::replace(&mut self.state, State::Closed) {
                State::Failed(e) => Err(e),
                _ => Ok(Poll::Idle),
            },
            State::Starting(_) => {
                self.start_stream()?;
                Ok(Poll::Idle)
            }
            State::Stream(_) if self.rest.is_some() => self.poll_stream(batch, wait).or_else(|e| self.break_off(e)),
            State::Stream(_) => self.poll_stream(batch, wait),
            State::Blocking(_) => self.poll_blocking(batch, wait),
            State::Finished => {
                std::thread::sleep(wait);
                Ok(Poll::Finished)
            }
            State::Closed => Err(TaskError::transient(CONNECT_EXCEPTION, "The task has ended")),
        }
    }

    fn feedback(&self) -> Arc<dyn Feedback> {
        self.metrics.clone()
    }

    fn close(&mut self) {
        self.keep_reached(Duration::ZERO);
        let stream = match std::mem::replace(&mut self.state, State::Closed) {
            State::Stream(stream) => Some(stream),
            State::Blocking(blocking) => Some(blocking.into_stream()),
            State::Rest(rest) => Some(rest.into_stream()),
            _ => None,
        };
        if let Some(stream) = stream {
            let slot = &self.config.typed.slot;
            stream.close(slot.drop_on_stop.then_some(&slot.name));
        }
    }
}

/// The stream's place as the offset of a row that is read while it stands there, or of the last one.
fn in_snapshot(place: &DebeziumOffset, kind: SnapshotKind, completed: bool) -> SourceOffset {
    DebeziumOffset {
        ts_us: Some(now_us()),
        snapshot: Some(kind),
        last_snapshot_record: completed,
        snapshot_completed: completed,
        ..place.clone()
    }
    .to_map()
}

impl Drop for PostgresTask {
    fn drop(&mut self) {
        self.slot_watch = None;
        self.metrics.ended();
    }
}
