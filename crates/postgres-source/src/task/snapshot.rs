//! The task's initial snapshot: where it reads from, what is left of it after a restart, and the rows on their way.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use walspring_config::postgres::{PublicationAutocreate, SnapshotLocking, SnapshotMode};
use walspring_connect::{DEBEZIUM_EXCEPTION, Poll, TaskError, fault};
use walspring_debezium::{Condition, SnapshotProgress};
use walspring_record::{ChangeBatch, Lsn, SourceOffset};

use super::source::KEEPING_WAIT;
use super::{PostgresTask, Starting, State};
use crate::catalog::{self, Table};
use crate::config::too_complex;
use crate::errors::from_pg;
use crate::events::StoredOffset;
use crate::identity::Server;
use crate::notifications::Notice;
use crate::position::Resume;
use crate::relations::CatalogRelations;
use crate::resume::{self, Begun, Left, Tracker, Work};
use crate::slot::{NewSlot, Slot};
use crate::snapshot::{Division, Snapshot, SnapshotPoint, SnapshotTable, now_us};
use crate::snapshot_board::BoardTable;
use crate::stream::StreamStart;
use crate::wire::{ConnectConfig, Connection};
use crate::{failover, publication, startup};

/// Between two looks whether standbys have what was read.
const STANDBYS_WAIT: Duration = Duration::from_millis(50);

/// Tables that are being read.
pub(super) struct Reading {
    pub snapshot: Snapshot,
    /// What the rows show stands before it; no row is sent before standbys have it that may be promoted. `None`: they do.
    held_to: Option<Lsn>,
    started: Instant,
    rows_logged: Instant,
}

impl Reading {
    pub fn new(snapshot: Snapshot) -> Reading {
        let now = Instant::now();
        Reading { snapshot, held_to: None, started: now, rows_logged: now }
    }

    /// Of rows as of this place, to which the stream has not come.
    pub fn ahead(snapshot: Snapshot, read: Lsn) -> Reading {
        Reading { held_to: Some(read), ..Reading::new(snapshot) }
    }

    pub fn rows(&self) -> u64 {
        self.snapshot.rows.load(Ordering::Relaxed)
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

pub(super) struct SnapshotPhase {
    reading: Reading,
    /// Where the stream will begin, and the transaction that offsets tell with it.
    begins_at: (Lsn, u32),
    /// The catalog as of the snapshot, for the stream that follows.
    relations: CatalogRelations,
    /// The connection that holds a temporary slot.
    replication: Option<Connection>,
    /// Another slot than the one that is streamed told the point.
    slot_existed: bool,
}

/// Which tables are read, and why.
pub(super) enum Wanted<'a> {
    /// All of an initial snapshot. `account`: what is known to be sent, where an account of it is kept; `goes_on`: it was
    /// begun before.
    Initial { account: Option<SnapshotProgress>, goes_on: bool },
    /// A signal has asked for them, by these queries where they are not read whole.
    Signalled(&'a [Condition]),
}

impl PostgresTask {
    /// Whether a restart is to go on with the snapshot. One of `always` is to be made at each start, and one without a
    /// stream shows a single point in time.
    fn keeps_account(&self) -> bool {
        let mode = self.config.typed.snapshot.mode;
        self.config.snapshot_resume
            && !self.config.slot_temporary
            && matches!(mode, SnapshotMode::Initial | SnapshotMode::WhenNeeded)
    }

    /// The snapshot that the stored offset was stored in, if it can go on.
    pub(super) fn begun(&mut self, stored: Option<&StoredOffset>, slot: Option<&Slot>) -> Option<Begun> {
        let stored = stored.filter(|stored| stored.in_snapshot)?;
        if !self.keeps_account() {
            return None;
        }
        let found = match self.elsewhere.take() {
            Some(why) => Err(why),
            None => Begun::find(stored, &self.config.typed.slot.name, slot),
        };
        match found {
            Ok(begun) => Some(begun),
            Err(why) => {
                tracing::warn!("the snapshot that did not end is made again from its beginning: {why}");
                None
            }
        }
    }

    pub(super) fn start_snapshot(
        &mut self,
        mut relations: CatalogRelations,
        mut captured: Vec<Table>,
        slot_existed: bool,
        mut replication: Option<Connection>,
    ) -> Result<State, TaskError> {
        let config = self.config.clone();
        self.pause(config.typed.snapshot.delay)?;
        // Before it exports a snapshot, which ends with the next question.
        let server = replication.as_mut().map(Server::ask).transpose()?;
        let (lsn, exported) = if let Some(connection) = &mut replication {
            // A slot that is there already may stand before what can be read now: a temporary one tells the point at which
            // a snapshot and a stream meet, and the real one is streamed from there.
            let made = match slot_existed {
                true => self.make_temporary_slot(connection)?,
                false => self.make_slot(connection, &config.typed.slot.name, config.slot_temporary, true)?,
            };
            captured = self.captured_since(&mut relations, &captured)?;
            (made.consistent_point, made.snapshot)
        } else {
            let lsn = relations.current_lsn()?;
            let exported = if config.typed.snapshot.threads > 1 { Some(relations.export_snapshot()?) } else { None };
            (lsn, exported)
        };
        let xid = relations.snapshot_xid()?;
        let point = SnapshotPoint { lsn, exported, xid, last_commit: None, xmin: None };
        let account = self.keeps_account().then(SnapshotProgress::default);
        let wanted = Wanted::Initial { account, goes_on: false };
        let snapshot = self.start_readers(&mut relations, &mut captured, &point, wanted)?;
        relations.end_export();
        if let Some(server) = server {
            self.keep_server(&server, lsn.max(self.read_before), &mut relations)?;
            self.keeper.settle(KEEPING_WAIT);
        }
        // The readers hold the snapshot now; a temporary slot that told the point may go, one that is streamed may not.
        let replication = replication.filter(|_| config.slot_temporary && !slot_existed);
        let (reading, begins_at) = (Reading::ahead(snapshot, lsn), (lsn, xid));
        Ok(State::Snapshot(Box::new(SnapshotPhase { reading, begins_at, relations, replication, slot_existed })))
    }

    /// Which tells a point and exports the snapshot of it. Its name is one that no other session of the server can have.
    pub(super) fn make_temporary_slot(&self, connection: &mut Connection) -> Result<NewSlot, TaskError> {
        let name = format!("walspring_snapshot_{}", connection.backend_pid());
        self.make_slot(connection, &name, true, true)
    }

    /// The captured tables as of a slot that was just made: one that was made and filled while the slot was waited for is
    /// neither in the stream nor in the list of before.
    fn captured_since(&self, relations: &mut CatalogRelations, before: &[Table]) -> Result<Vec<Table>, TaskError> {
        let config = &self.config;
        let all = catalog::tables(&mut relations.connection).map_err(|e| from_pg("Reading the tables", e))?;
        let captured = startup::captured(&all, config)?;
        let oids = |tables: &[Table]| tables.iter().map(|t| t.oid).collect::<std::collections::BTreeSet<u32>>();
        if oids(&captured) != oids(before) && config.typed.publication.autocreate == PublicationAutocreate::Filtered {
            return Err(TaskError::transient(
                DEBEZIUM_EXCEPTION,
                "Captured tables were made or dropped while the slot was made; the snapshot starts again with them",
            ));
        }
        relations.preload(&captured)?;
        Ok(captured)
    }

    /// `snapshot.include.collection.list`
    fn is_admitted(&self, table: &Table) -> Result<bool, TaskError> {
        self.config.typed.filters.snapshot_tables.admits(&table.qualified_name()).map_err(too_complex)
    }

    fn is_left_out(&self, table: &Table, relations: &CatalogRelations) -> bool {
        self.config.typed.signals.table.as_ref() == Some(&table.qualified_name()) || relations.is_read_elsewhere(table)
    }

    pub(super) fn is_read_initially(&self, table: &Table, relations: &CatalogRelations) -> Result<bool, TaskError> {
        Ok(self.is_admitted(table)? && !self.is_left_out(table, relations))
    }

    pub(super) fn start_readers(
        &mut self,
        relations: &mut CatalogRelations,
        captured: &mut [Table],
        point: &SnapshotPoint,
        wanted: Wanted<'_>,
    ) -> Result<Snapshot, TaskError> {
        let config = self.config.clone();
        let typed = &config.typed;
        // Without their sizes no table is divided.
        if typed.snapshot.threads > 1 && !typed.snapshot.one_thread_per_table {
            relations.count_pages(captured)?;
        }
        let (mut tables, mut listed, mut locked) = (Vec::new(), Vec::new(), Vec::new());
        let mut read_before = Vec::new();
        let (kind, goes_on) = match &wanted {
            Wanted::Initial { goes_on, .. } => ("initial", *goes_on),
            Wanted::Signalled(_) => ("blocking", false),
        };
        for table in &*captured {
            let is_signalled = matches!(wanted, Wanted::Signalled(_));
            let is_listed = is_signalled || self.is_admitted(table)?;
            if is_listed {
                listed.push(table.qualified_name());
            }
            let is_read = is_listed && !self.is_left_out(table, relations);
            let is_done =
                matches!(&wanted, Wanted::Initial { account: Some(account), .. } if account.done.contains(table.oid));
            if !is_done {
                locked.push(format!("LOCK TABLE {} IN ACCESS SHARE MODE", publication::qualified(table)));
            }
            if is_read && is_done {
                let name = table.qualified_name();
                read_before.push(BoardTable { name, read_before: true, ..BoardTable::default() });
            } else if is_read {
                tables.push((table, relations.snapshot_table(table)?));
            }
        }
        let (tables, tracker) = match wanted {
            Wanted::Signalled(queries) => {
                let queried = |(_, mut table): (&Table, SnapshotTable)| {
                    table.query = queries.iter().find(|q| q.table == table.name).map(|q| q.filter.clone());
                    table.pages = table.pages.filter(|_| table.query.is_none());
                    table
                };
                (tables.into_iter().map(queried).collect(), None)
            }
            Wanted::Initial { account: None, .. } => (tables.into_iter().map(|(_, table)| table).collect(), None),
            Wanted::Initial { account: Some(account), goes_on } => {
                let heaps = relations.heaps(captured)?;
                let (tables, account) = what_is_left(account, tables, &heaps, goes_on);
                (tables, Some(Tracker::new(account)))
            }
        };
        let mut before_read = typed.connection.initial_statements.clone();
        if typed.snapshot.locking == SnapshotLocking::Shared {
            before_read.push(format!("SET lock_timeout = {}", typed.snapshot.lock_timeout.as_millis()));
            before_read.extend(locked);
        }
        tracing::info!(tables = tables.len(), lsn = %point.lsn, "the snapshot begins");
        let read = tables.iter().map(|t| t.name.clone()).collect();
        self.notifications.tell(Notice::Resolved { read, captured: listed });
        if goes_on {
            let in_part = tables.iter().filter(|table| table.work != Work::All).count();
            self.notifications.tell(Notice::Resumed { read_before: read_before.len(), in_part });
        }
        let threads = typed.snapshot.threads;
        let division = Division {
            parts_max: threads * typed.snapshot.chunks_per_thread.max(4),
            range_pages: self.limits.range_pages,
        };
        let connect = ConnectConfig { silence_max: Some(relations.silence_max()), ..config.connect.clone() };
        let mut snapshot = Snapshot::start(tables, point, &connect, threads, division, &before_read, tracker)?;
        let mut on_board = snapshot.on_board();
        on_board.extend(read_before);
        let board = self.metrics.board();
        board.begins(kind, goes_on, point.lsn, on_board);
        snapshot.show_on(board);
        self.metrics.chunks(snapshot.chunks());
        Ok(snapshot)
    }

    /// Whether rows may be sent: standbys for which the server holds the stream back have what they show, and one that is
    /// promoted does not lack it.
    pub(super) fn may_send(
        &mut self,
        reading: &mut Reading,
        relations: &mut CatalogRelations,
        what: &str,
        wait: Duration,
    ) -> Result<bool, TaskError> {
        let Some(read) = reading.held_to.filter(|_| self.streams()) else { return Ok(true) };
        let behind = failover::behind(&mut relations.connection, &self.config.typed.slot.name, read)
            .map_err(|e| from_pg("Asking what standbys have", e))?;
        let progress = &self.context.progress;
        if behind.is_empty() {
            progress.waiting(None);
            reading.held_to = None;
            return Ok(true);
        }
        progress.waiting(Some(format!(
            "the rows of {what} are not sent before standbys have the log up to {read}: {} (synchronized_standby_slots)",
            behind.join(", ")
        )));
        std::thread::sleep(wait.min(STANDBYS_WAIT));
        Ok(false)
    }

    /// The next rows of a snapshot, which the log calls `what`. False: none within the wait.
    pub(super) fn next_rows(
        &mut self,
        reading: &mut Reading,
        what: &str,
        batch: &mut ChangeBatch,
        wait: Duration,
    ) -> Result<bool, TaskError> {
        let got = reading.snapshot.next(batch, wait);
        self.metrics.chunks_read(reading.snapshot.take_chunks_read());
        for notice in reading.snapshot.notices.drain(..) {
            self.notifications.tell(notice);
        }
        let got = got?;
        let rows = reading.rows();
        if reading.rows_logged.elapsed() > Duration::from_secs(10) {
            reading.rows_logged = Instant::now();
            let rows_per_second = (rows as f64 / reading.seconds()) as u64;
            tracing::info!(rows, rows_per_second, "{what} goes on");
        }
        if got {
            self.context.progress.gauge("snapshot_rows_total", rows as f64);
            self.metrics.scanned(batch);
        }
        Ok(got)
    }

    pub(super) fn poll_snapshot(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<Poll, TaskError> {
        let State::Snapshot(mut phase) = std::mem::replace(&mut self.state, State::Closed) else {
            return Ok(Poll::Idle);
        };
        let (lsn, xid) = phase.begins_at;
        if !self.may_send(&mut phase.reading, &mut phase.relations, "the snapshot", wait)? {
            self.state = State::Snapshot(phase);
            return Ok(Poll::Idle);
        }
        if self.next_rows(&mut phase.reading, "the snapshot", batch, wait)? {
            fault::point("snapshot.chunk");
            let progress = phase.reading.snapshot.account().map(Tracker::text);
            batch.offset = Some(phase.relations.events.snapshot_offset(lsn, xid, now_us(), false, progress));
            self.state = State::Snapshot(phase);
            return Ok(Poll::Batch);
        }
        if !phase.reading.snapshot.is_finished() {
            self.state = State::Snapshot(phase);
            return Ok(Poll::Idle);
        }
        let SnapshotPhase { reading, mut relations, replication, slot_existed, .. } = *phase;
        let offset = relations.events.snapshot_offset(lsn, xid, now_us(), true, None);
        self.complete(Some(reading), offset, batch);
        // The stream starts with the next poll: whatever becomes of it, the snapshot is not lost.
        self.state = if !self.streams() {
            State::Finished
        } else {
            let begins = if fault::planted("gap_after_snapshot") { relations.current_lsn()? } else { lsn };
            let from = StreamStart {
                resume: Resume::at(begins),
                slot: lsn,
                last_commit: None,
                told: None,
                floor: slot_existed.then_some(lsn),
                stored: None,
                catches_up: None,
            };
            State::Starting(Box::new(Starting { relations, replication, from }))
        };
        Ok(Poll::Batch)
    }

    /// The last batch of an initial snapshot, which says that it is complete.
    pub(super) fn complete(&mut self, reading: Option<Reading>, offset: SourceOffset, batch: &mut ChangeBatch) {
        let (rows, seconds) = reading.as_ref().map_or((0, 0.0), |reading| (reading.rows(), reading.seconds()));
        tracing::info!(rows, seconds, "the snapshot is complete");
        drop(reading);
        self.metrics.board().ends();
        fault::point("snapshot.complete");
        batch.offset = Some(offset);
        batch.store_offset = true;
        self.notifications.tell(Notice::Completed);
        self.notifications.push_to(batch);
        batch.drained = true;
    }
}

/// The tables that are read and what of them, and the account that is gone on with.
fn what_is_left(
    mut account: SnapshotProgress,
    tables: Vec<(&Table, SnapshotTable)>,
    heaps: &resume::Heaps,
    goes_on: bool,
) -> (Vec<SnapshotTable>, SnapshotProgress) {
    let mut in_part = 0;
    let mut left = Vec::new();
    for (known, mut table) in tables {
        let relation = &table.plan.relation;
        let (oid, has_key) = (relation.oid, !relation.key.is_empty());
        // A query of the user's may give the rows of anything.
        let has_places = table.query.is_none() && !relation.columns.is_empty();
        table.heap = heaps.get(&oid).copied().filter(|_| has_places);
        match resume::left_of(&account, oid, table.heap.as_ref(), known.identity, has_key) {
            Left::Nothing => continue,
            Left::All(why) => {
                if let Some(why) = why {
                    tracing::info!(table = %table.name, "the snapshot reads it again from its beginning: {why}");
                }
                account.parts.retain(|part| part.table != oid);
            }
            Left::Rest(work) => {
                in_part += 1;
                table.rows = table.rows.zip(table.pages).map(|(rows, pages)| work.part_of(rows, pages));
                table.work = work;
            }
        }
        left.push(table);
    }
    if goes_on {
        let read = account.done.len();
        tracing::info!(read, in_part, left = left.len() - in_part, "a snapshot that was begun before goes on");
    }
    (left, account)
}
