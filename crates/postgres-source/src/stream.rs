//! The stream: frames to a `ChangeBatch`, quiet tables' positions, heartbeats.
//!
//! Invariant: an offset without an event (a quiet table's, a heartbeat's) is made only outside a transaction, at a position
//! before which everything has been sent, and never while the events that a restart has to skip may still come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_connect::{DEBEZIUM_EXCEPTION, Kind, TaskError};
use walspring_debezium::{BlockingSnapshot, DebeziumOffset};
use walspring_record::{ChangeBatch, Lsn};

use crate::change_reader::{ChangeReader, LastEvent};
use crate::config::SourceConfig;
use crate::errors::{from_pg, not_streaming, unreadable_row_hint};
use crate::events::StoredOffset;
use crate::feedback::{SlotProgress, StatusUpdates};
use crate::incremental::{Notice, StreamPlace, Visible};
use crate::limits::Limits;
use crate::metrics::LeftOut;
use crate::position::Resume;
use crate::relations::CatalogRelations;
use crate::reselect::Reselect;
use crate::resume::CatchUp;
use crate::signals::{Outside, Signals};
use crate::snapshot::now_us;
use crate::streamed::{Spill, Streamed, Taken};
use crate::wire::{
    Connection, Frame, PgError, ReplicationStream, publication_names, quote_identifier, quote_replication_literal,
};

mod barrier;
mod in_progress;

use barrier::Barrier;
use in_progress::InProgress;

/// A server that shuts down asks again as soon as it is answered.
const ASKED_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the stream while something comes beside it.
const BESIDE_WAIT: Duration = Duration::from_millis(5);

/// Changes that committed so long ago, in microseconds, are a backlog: some milliseconds more are nothing to them.
const BEHIND_US: i64 = 1_000_000;

/// From where, and what is known of what came before.
#[derive(Debug)]
pub struct StreamStart {
    pub resume: Resume,
    /// Where the slot stands.
    pub slot: Lsn,
    /// As the stored offset says.
    pub last_commit: Option<Lsn>,
    /// What events tell as the last commit until there is one.
    pub told: Option<Lsn>,
    /// The slot stands before the start: offsets must say where the start is, or a restart would read what lies between.
    pub floor: Option<Lsn>,
    pub stored: Option<StoredOffset>,
    /// A snapshot goes on once the stream has come to its point.
    pub catches_up: Option<CatchUp>,
}

pub struct Stream {
    reader: ChangeReader<CatalogRelations>,
    stream: ReplicationStream,
    updates: StatusUpdates,
    progress: Arc<SlotProgress>,
    limits: Limits,
    /// The newest position of a keepalive outside a transaction.
    idle_lsn: Lsn,
    /// The server waits for its position to be confirmed.
    asked: bool,
    /// What the last offset-only record said, and when.
    quiet_lsn: Lsn,
    quiet_at: Instant,
    heartbeat_due: Option<Instant>,
    xmin_due: Option<Instant>,
    /// `post.processors`
    reselect: Option<Reselect>,
    /// What ends the stream once the batch before it was taken.
    failed: Option<TaskError>,
    signals: Option<Box<Signals>>,
    /// The end of the log when the stream was started, until the stream has passed it.
    behind: Option<Lsn>,
    /// Where transactions are sent before they end.
    in_progress: Option<Box<InProgress>>,
    /// From where it was started.
    stored: Option<StoredOffset>,
    barrier: Option<Barrier>,
    /// What comes before anything else, and its place.
    held: Option<(Lsn, Vec<u8>)>,
    /// For how long nothing has come that was waited for, and how long that may be.
    silence: Duration,
    silence_max: Duration,
}

/// Whether a batch goes on after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Enough,
    /// It is complete as it is, and nothing may be added.
    Over,
}

impl Stream {
    /// Columns whose mask or hash does nothing.
    pub fn columns_unmasked(&self) -> usize {
        self.reader.events().columns_unmasked()
    }

    /// What no event was made of.
    pub fn left_out(&self) -> LeftOut {
        self.reader.left_out
    }

    pub fn start(
        config: &Arc<SourceConfig>,
        mut relations: CatalogRelations,
        replication: Connection,
        from: StreamStart,
        progress: Arc<SlotProgress>,
        limits: Limits,
        outside: &Outside,
    ) -> Result<Stream, TaskError> {
        let StreamStart { mut resume, slot, last_commit, told, floor, stored, catches_up } = from;
        let start = resume.start;
        if resume.skips() {
            // What was sent had been committed before now.
            resume.sent_before(relations.current_lsn()?);
        }
        let (streaming, version) = (&config.streaming, replication.server_version_num());
        let streams = streaming.wanted(version, config.typed.events.transaction_metadata);
        let sql = start_sql(config, start, streams);
        let stream = replication.start_replication(&sql).map_err(|e| not_streaming(start, e))?;
        tracing::info!(slot = %config.typed.slot.name, %start, in_progress = streams, "streaming");
        let in_progress = streams.then(|| {
            let (dir, disk_max) = (streaming.dir.clone(), streaming.disk_max);
            let streamed = Streamed::new(Spill { dir, memory_max: limits.held_bytes, disk_max });
            Box::new(InProgress::new(streamed, streaming.refused.clone(), version))
        });
        let mut events = relations.events.clone();
        events.catches_up = catches_up;
        let signals = Signals::new(config, stored.as_ref(), outside, progress.clone())?.map(Box::new);
        let behind = if signals.is_some() { Some(relations.current_lsn()?) } else { None };
        if let Some(stored) = &stored {
            events.restore(stored);
            events.signalled = signals.as_ref().and_then(|s| s.offset());
            progress.confirm(start);
        }
        let interval = config.typed.slot.status_interval;
        let timeout = Some(relations.wal_sender_timeout).filter(|t| *t > Duration::ZERO);
        let interval = timeout.map_or(interval, |t| interval.min(t / 3)).max(Duration::from_millis(100));
        let updates = StatusUpdates::start(stream.writer(), progress.clone(), interval);
        let (now, silence_max) = (Instant::now(), relations.silence_max());
        Ok(Stream {
            reader: ChangeReader::new(relations, events, config.typed.events.skipped, resume, last_commit, floor)
                .telling(told)
                .limited(config.value_limit.clone()),
            stream,
            updates,
            progress,
            limits,
            idle_lsn: Lsn::ZERO,
            asked: false,
            quiet_lsn: start.max(slot),
            quiet_at: now,
            heartbeat_due: config.typed.events.heartbeat_interval.map(|_| now),
            xmin_due: config.typed.slot.xmin_interval.map(|_| now),
            reselect: Reselect::new(config)?,
            failed: None,
            signals,
            behind,
            in_progress,
            stored,
            barrier: None,
            held: None,
            silence: Duration::ZERO,
            silence_max,
        })
    }

    /// Fills the batch; waits at most `wait` for the first change.
    pub fn poll(&mut self, config: &SourceConfig, batch: &mut ChangeBatch, wait: Duration) -> Result<(), TaskError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        self.reader.next_batch();
        if let Some(reselect) = &mut self.reselect {
            reselect.next_batch();
        }
        self.xmin(config)?;
        self.signals(batch)?;
        if !batch.is_empty() || self.waiting_signal().is_some() {
            return Ok(());
        }
        let beside = self.signals.as_ref().is_some_and(|s| s.comes_beside());
        let deadline = Instant::now() + if beside { wait.min(BESIDE_WAIT) } else { wait };
        let mut seen_us = now_us();
        let mut frames = 0u32;
        let mut received = Lsn::ZERO;
        if let Some((at, payload)) = self.held.take() {
            self.reader.read(at, &payload, seen_us, batch)?;
        }
        loop {
            if self.is_at_barrier() {
                batch.drained = true;
                break;
            }
            if self.in_progress.as_ref().is_some_and(|p| p.is_releasing()) {
                match self.release(batch, deadline)? {
                    Flow::On => {}
                    Flow::Enough => break,
                    Flow::Over => return Ok(()),
                }
            }
            let buffered = self.stream.has_buffered();
            if !buffered {
                if received != Lsn::ZERO {
                    self.progress.received(received);
                }
                if !batch.changes.is_empty() {
                    match self.stream.try_fill() {
                        Ok(true) => {}
                        Ok(false) => {
                            batch.drained = true;
                            break;
                        }
                        Err(e) => {
                            self.put_off(stream_failed(e, self.in_progress.as_deref()), batch)?;
                            break;
                        }
                    }
                }
                self.progress.check_flush()?;
            }
            // The clock is not asked where nothing is waited for.
            let begun = (!self.stream.has_buffered()).then(Instant::now);
            let left = begun.map_or(Duration::ZERO, |begun| deadline.saturating_duration_since(begun));
            let frame = match self.stream.next(left) {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    batch.drained = true;
                    self.silence += begun.map_or(Duration::ZERO, |begun| begun.elapsed());
                    break;
                }
                Err(e) => {
                    self.put_off(stream_failed(e, self.in_progress.as_deref()), batch)?;
                    break;
                }
            };
            self.silence = Duration::ZERO;
            frames += 1;
            if !buffered || frames & 63 == 0 {
                seen_us = now_us();
            }
            match frame {
                Frame::XLogData { wal_start, wal_end, payload, .. } => {
                    received = received.max(Lsn(wal_end.max(wal_start)));
                    if let Some(in_progress) = &mut self.in_progress
                        && in_progress.streamed.is_streamed(payload)
                    {
                        let described = &mut self.reader.relations_described;
                        let taken = in_progress.streamed.take(wal_start, payload, described)?;
                        if let (Some(barrier), Taken::Committed(_, commit)) = (&mut self.barrier, &taken) {
                            barrier.has_come(Lsn(commit.commit_lsn));
                        }
                        if self.taken(taken, batch) != Flow::On {
                            break;
                        }
                    } else if self.barrier.as_mut().is_none_or(|barrier| !barrier.holds(Lsn(wal_start), payload)) {
                        let before = self.reselect.as_ref().and_then(|reselect| reselect.before(&self.reader));
                        let changes = batch.changes.len();
                        if let Err(e) = self.reader.read(Lsn(wal_start), payload, seen_us, batch) {
                            self.put_off(e, batch)?;
                            break;
                        }
                        match self.after_read(before, changes, batch)? {
                            Flow::On => {}
                            Flow::Enough => break,
                            Flow::Over => return Ok(()),
                        }
                    }
                }
                Frame::KeepAlive { wal_end, reply_requested, .. } => {
                    received = received.max(Lsn(wal_end));
                    if reply_requested {
                        self.progress.received(received);
                        self.progress.reply();
                    }
                    if !self.reader.in_transaction() {
                        self.idle_lsn = self.idle_lsn.max(Lsn(wal_end));
                    }
                    if !self.reader.in_transaction() && batch.changes.is_empty() {
                        self.asked |= reply_requested;
                        let waited_for = self.signals.as_ref().and_then(|s| s.waits_for());
                        if self.quiet_due().is_some() || waited_for.is_some_and(|at| self.idle_lsn >= at) {
                            break;
                        }
                    }
                }
            }
            if self.is_full(batch) {
                break;
            }
            // A flood of what is not captured, or was sent before, must not keep the caller from stopping.
            if frames & 1023 == 0 && Instant::now() >= deadline {
                break;
            }
        }
        if received != Lsn::ZERO {
            self.progress.received(received);
        }
        let newest = batch.transactions.last();
        self.stream.set_behind(newest.is_some_and(|t| seen_us.saturating_sub(t.commit_us) > BEHIND_US));
        self.check_silence()?;
        if !self.read_again(batch)? {
            return Ok(());
        }
        if batch.changes.is_empty() && !self.reader.in_transaction() {
            self.quiet(batch);
        }
        self.heartbeat(config, seen_us, batch)?;
        if batch.offset.is_none() && !batch.changes.is_empty() {
            batch.offset = self.reader.offset();
        }
        Ok(())
    }

    /// A server that is there answers what status updates ask, at least thrice in this time, unless it is busy decoding.
    fn check_silence(&mut self) -> Result<(), TaskError> {
        if self.silence < self.silence_max {
            return Ok(());
        }
        self.silence = Duration::ZERO;
        self.stream.check_alive(self.silence_max).map_err(|e| stream_failed(e, None))
    }

    #[inline]
    fn is_full(&self, batch: &ChangeBatch) -> bool {
        batch.bytes.len() >= self.limits.batch_bytes || batch.changes.len() >= self.limits.batch_changes
    }

    /// What follows from a message. `before`: the last event before it; `changes`: how many the batch had.
    #[inline]
    fn after_read(
        &mut self,
        before: Option<LastEvent>,
        changes: usize,
        batch: &mut ChangeBatch,
    ) -> Result<Flow, TaskError> {
        if let Some(reselect) = &mut self.reselect
            && reselect.look(batch, before.as_ref())?
            && !self.read_again(batch)?
        {
            return Ok(Flow::Over);
        }
        if let Some(signals) = &mut self.signals
            && (signals.after_frame(&mut self.reader, batch, changes)?
                || signals.waits_for().is_some_and(|at| self.reader.passed_at_commit() >= Some(at)))
        {
            return Ok(Flow::Enough);
        }
        Ok(Flow::On)
    }

    /// What can never be read fails the task after what comes before it.
    #[cold]
    fn put_off(&mut self, error: TaskError, batch: &mut ChangeBatch) -> Result<(), TaskError> {
        if error.kind != Kind::Definite || batch.changes.is_empty() {
            return Err(error);
        }
        batch.drained = true;
        self.failed = Some(error);
        Ok(())
    }

    /// Reads the columns that changes lack; `false`: one stays incomplete, which fails the task after what comes before it.
    fn read_again(&mut self, batch: &mut ChangeBatch) -> Result<bool, TaskError> {
        let Some(reselect) = self.reselect.as_mut().filter(|reselect| reselect.is_waiting()) else { return Ok(true) };
        let Some(failure) = reselect.read(batch)? else { return Ok(true) };
        batch.changes.truncate(failure.change);
        if batch.changes.is_empty() {
            return Err(failure.error);
        }
        self.reader.go_back_to(failure.before);
        batch.offset = self.reader.offset();
        batch.drained = true;
        self.failed = Some(failure.error);
        Ok(false)
    }

    /// What there is to tell of an incremental snapshot.
    pub fn take_notices(&mut self) -> Vec<(Option<String>, Notice)> {
        self.signals.as_mut().map(|s| s.take_notices()).unwrap_or_default()
    }

    /// Signals that came another way, and the rows of an incremental snapshot.
    fn signals(&mut self, batch: &mut ChangeBatch) -> Result<(), TaskError> {
        let Some(signals) = &mut self.signals else { return Ok(()) };
        let passed = passed(&self.reader, self.idle_lsn);
        self.behind = self.behind.filter(|end| passed.is_none_or(|passed| passed < *end));
        let place = StreamPlace {
            lsn: self.reader.last_lsn().unwrap_or(self.quiet_lsn),
            last_commit: self.reader.told(),
            passed: passed.filter(|at| *at > Lsn::ZERO),
        };
        signals.poll(&mut self.reader, batch, place, self.behind.is_none(), self.limits.batch_bytes)
    }

    /// The blocking snapshot that is to be read before anything more of the stream.
    pub fn blocking(&self) -> Option<BlockingSnapshot> {
        self.waiting_signal().cloned()
    }

    /// An initial snapshot is ended before another one begins.
    fn waiting_signal(&self) -> Option<&BlockingSnapshot> {
        let signals = self.signals.as_ref().filter(|_| self.reader.events().catches_up.is_none());
        signals.and_then(|s| s.blocking())
    }

    /// It has been read, or cannot be.
    pub fn blocking_ended(&mut self) {
        if let Some(signals) = &mut self.signals {
            signals.blocking_ended(&mut self.reader);
        }
    }

    /// Up to where everything that was committed has been read; `None`: in the midst of a transaction.
    pub fn passed(&self) -> Option<Lsn> {
        passed(&self.reader, self.idle_lsn)
    }

    /// Has it stand still before the first transaction that commits at `point` or behind it.
    pub fn stop_before(&mut self, point: Lsn) {
        self.barrier = Some(Barrier::before(point));
    }

    /// It stands where it was to stop.
    pub fn is_at_barrier(&self) -> bool {
        self.barrier.as_ref().is_some_and(|barrier| barrier.is_reached(self.passed()))
    }

    /// Where it stands at the barrier, before which all has been read. The server may have said that nothing follows for a
    /// while, and that may be confirmed already.
    pub fn place_at(&mut self, point: Lsn) -> DebeziumOffset {
        let at = self.passed().map_or(point, |passed| passed.max(point));
        self.reader.offset_at_commit(at);
        self.place()
    }

    /// The snapshot has been read to its end: the stream goes on, and is a stream and nothing else.
    pub fn caught_up(&mut self) {
        self.reader.events_mut().catches_up = None;
        self.held = self.barrier.take().and_then(Barrier::into_held);
    }

    /// Where it stands: a restart from there gives what comes next.
    pub fn place(&mut self) -> DebeziumOffset {
        let offset = self.reader.offset().or_else(|| self.reader.offset_at_commit(self.quiet_lsn));
        let stored = self.stored.as_ref().map(|stored| stored.place().clone()).unwrap_or_default();
        let mut place = match offset {
            Some(offset) => DebeziumOffset::parse(&offset),
            // Nothing has come yet, and the stored one knows better what is to be skipped.
            None => DebeziumOffset { snapshot: None, rest: self.reader.events().rest(), ..stored.clone() },
        };
        place.xid = place.xid.or(stored.xid);
        place
    }

    /// What events tell as the last commit.
    pub fn last_commit(&self) -> Option<Lsn> {
        self.reader.told()
    }

    /// A transaction that has been streamed and is not seen.
    pub fn missed(&self, visible: &Visible) -> Option<u32> {
        self.signals.as_ref().and_then(|s| s.missed(visible))
    }

    pub fn relations_mut(&mut self) -> &mut CatalogRelations {
        self.reader.relations_mut()
    }

    /// Ends in order: a last status update, then the slot if it should go.
    pub fn close(self, drop_slot: Option<&str>) {
        let Stream { mut reader, stream, updates, .. } = self;
        drop(updates);
        drop(stream);
        if let Some(slot) = drop_slot
            && let Err(e) = reader.relations_mut().drop_slot(slot)
        {
            tracing::warn!("slot.drop.on.stop: {e}");
        }
    }

    /// The position to store, when it is time, so that the slot does not hold the log for a quiet table.
    fn quiet_due(&self) -> Option<Lsn> {
        // Everything that committed before it has been read.
        let at = self.idle_lsn.max(self.reader.last_commit().unwrap_or_default());
        let stored = self.quiet_lsn.max(self.reader.stored_commit().unwrap_or_default());
        let since = self.quiet_at.elapsed();
        let due = at.0.saturating_sub(stored.0) > self.limits.quiet_bytes
            || since > self.limits.quiet_interval
            || (self.asked && since > ASKED_INTERVAL);
        (at > stored && due).then_some(at)
    }

    /// An offset-only record, as the original's heartbeat makes after a COMMIT.
    fn quiet(&mut self, batch: &mut ChangeBatch) {
        let Some(at) = self.quiet_due() else { return };
        let Some(offset) = self.reader.offset_at_commit(at) else { return };
        batch.offset = Some(offset);
        batch.store_offset = true;
        batch.drained = true;
        self.asked = false;
        self.quiet_lsn = at;
        self.quiet_at = Instant::now();
    }

    /// `xmin.fetch.interval.ms`: what transactions that begin now have as `source.xmin`.
    fn xmin(&mut self, config: &SourceConfig) -> Result<(), TaskError> {
        let slot = &config.typed.slot;
        let (Some(interval), Some(due)) = (slot.xmin_interval, self.xmin_due) else {
            return Ok(());
        };
        if Instant::now() >= due {
            let xmin = self.reader.relations_mut().slot_xmin(&slot.name)?;
            self.reader.events_mut().xmin = xmin;
            self.xmin_due = Some(Instant::now() + interval);
        }
        Ok(())
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
        if let Some(commit) = self.reader.last_commit()
            && let Some(offset) = self.reader.offset_at_commit(commit.max(self.idle_lsn))
        {
            batch.offset = Some(offset);
        }
        let record = self.reader.events().heartbeat(now_us);
        self.reader.push_record(record, batch);
        Ok(())
    }
}

/// Everything that commits before it has been read. `idle`: what keepalives have said.
fn passed(reader: &ChangeReader<CatalogRelations>, idle: Lsn) -> Option<Lsn> {
    (!reader.in_transaction()).then(|| idle.max(reader.last_commit().unwrap_or_default()))
}

/// `in_progress`: with transactions that have not ended.
fn start_sql(config: &SourceConfig, start: Lsn, in_progress: bool) -> String {
    let slot = &config.typed.slot;
    let version = if in_progress { 2 } else { 1 };
    let mut options =
        format!("proto_version '{version}', publication_names {}", publication_names([&config.typed.publication.name]));
    if in_progress {
        options.push_str(", streaming 'on'");
    }
    options.push_str(", messages 'true'");
    // As in the original, what the connector asks for itself is not overridden.
    let own = ["proto_version", "publication_names", "messages"];
    for (name, value) in slot.stream_params.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        options.push_str(&format!(", {} {}", quote_identifier(name), quote_replication_literal(value)));
    }
    format!("START_REPLICATION SLOT {} LOGICAL {start} ({options})", quote_identifier(&slot.name))
}

fn stream_failed(e: PgError, in_progress: Option<&InProgress>) -> TaskError {
    // The decoder looks the publication up as it was at the time of the change.
    if e.is_publication_missing() {
        return TaskError::definite(DEBEZIUM_EXCEPTION, "Reading the replication stream failed")
            .caused_by(crate::errors::PSQL_EXCEPTION, crate::errors::java_message(&e))
            .hint(
                "the slot stands before the publication was made, or it was dropped and made again: what changed meanwhile \
                 cannot be read. Pass over it with SELECT pg_replication_slot_advance('SLOT', pg_current_wal_lsn()), or drop \
                 the slot; then read the tables again",
            );
    }
    if let Some(hint) = unreadable_row_hint(&e) {
        // The server tells where in the log the row is.
        let place = e.server().and_then(|server| server.context.clone()).unwrap_or_default();
        return TaskError::definite(DEBEZIUM_EXCEPTION, "Reading the replication stream failed")
            .caused_by(crate::errors::PSQL_EXCEPTION, format!("{}\n  Where: {place}", crate::errors::java_message(&e)))
            .hint(hint);
    }
    if let Some(error) = in_progress.and_then(|in_progress| in_progress.failed_at_server(&e)) {
        return error;
    }
    let mut error = from_pg("Reading the replication stream", e);
    // What ends a stream once is tried again: the start then tells what is definite.
    error.kind = Kind::Transient;
    error
}
