//! The snapshot: tables as they were at one point of the log, read by `COPY (SELECT …) TO STDOUT`.
//!
//! Readers are threads, each on a connection that has set the same exported snapshot; they parse rows into batches and hand
//! them over a bounded channel. With one thread rows keep heap order and tables their order. With several, tables and
//! `ctid` ranges of large tables are read side by side.
//!
//! A batch is handed over with what it says of how far the tables are (`resume`).
//!
//! Invariant: every reader has set the snapshot before the connection that exports it does anything else.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use walspring_connect::{CONNECT_EXCEPTION, PRODUCER_FAILED, TaskError, fault, threads};
use walspring_debezium::{RowPlace, Stretch};
use walspring_record::{
    Change, ChangeBatch, ChangeKind, Lsn, OldRow, RecordPlan, SnapshotMark, Transaction, TransactionOrder,
};

use crate::catalog::number;
use crate::copy_text;
use crate::errors::{PSQL_EXCEPTION, java_message, unreadable_row_hint};
use crate::notifications::Notice;
use crate::resume::{Heap, Tracker, Work};
use crate::snapshot_board::{BoardTable, SnapshotBoard};
use crate::snapshot_query;
use crate::value_limit::{Cells, ValueLimit};
use crate::wire::{CancelToken, ConnectConfig, Connection, PgError, quote_literal};

/// One table to read.
#[derive(Debug, Clone)]
pub struct SnapshotTable {
    pub name: String,
    pub plan: Arc<RecordPlan>,
    /// Without a `WHERE` for the range; a range is added when `ranges` says so.
    pub select: String,
    /// Where its `FROM` begins.
    pub list_end: usize,
    /// Which of the relation's columns `select` reads; the others are NULL in it.
    pub read: Vec<bool>,
    /// `snapshot.select.statement.overrides`: what is read in place of `select`. Its columns are found by their names.
    /// Empty: nothing.
    pub query: Option<String>,
    pub limit: ValueLimit,
    /// Pages of the heap where it can be read by `ctid` ranges; `None`: in one piece.
    pub pages: Option<u64>,
    /// As the catalog estimates them.
    pub rows: Option<u64>,
    /// Where the places of its rows say how far it has been read.
    pub heap: Option<Heap>,
    pub work: Work,
}

/// Where all readers stand.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotPoint {
    pub lsn: Lsn,
    /// The name to `SET TRANSACTION SNAPSHOT`; `None`: what is committed when the reader begins.
    pub exported: Option<String>,
    pub xid: u32,
    /// In the midst of a stream: the end of the last transaction, and `xmin` as it was polled.
    pub last_commit: Option<Lsn>,
    pub xmin: Option<u64>,
}

/// A batch is handed over when it holds this much: small enough that a few of them in flight stay within a few MiB.
const BATCH_BYTES: usize = 256 * 1024;

/// Rows without bytes are bounded too.
const BATCH_ROWS: usize = 16 * 1024;

enum Message {
    RangeBegins { table: usize },
    Rows(Piece),
    RangeDone { range: usize },
    Failed { table: usize, error: TaskError, connection_lost: bool },
}

/// Rows of one range.
#[derive(Debug, Default)]
struct Piece {
    range: usize,
    table: usize,
    batch: ChangeBatch,
    /// All rows of the range before this place have been sent with it.
    up_to: Option<RowPlace>,
}

#[derive(Debug, Clone)]
struct Range {
    number: usize,
    table: usize,
    sql: String,
    /// What it covers, where rows come with their places.
    stretch: Option<Stretch>,
    /// The file that places of before are of.
    file: Option<u32>,
}

/// What is still to be handed over of a range.
#[derive(Debug)]
struct Handed {
    table: usize,
    stretch: Option<Stretch>,
    /// Pieces that have come and wait here.
    waiting: usize,
    read: bool,
}

/// A running snapshot.
pub struct Snapshot {
    messages: Receiver<Message>,
    recycled: Arc<Mutex<Vec<ChangeBatch>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<(CancelToken, std::thread::JoinHandle<()>)>,
    /// Of each table.
    ranges: Vec<usize>,
    ranges_left: Vec<usize>,
    ranges_left_total: usize,
    /// The tables of pieces that have been read since it was last asked for.
    ranges_done: Vec<usize>,
    tables: Arc<Vec<SnapshotTable>>,
    /// Of each table; `None`: it has not begun.
    rows_read: Vec<Option<u64>>,
    /// What has happened to tables since it was last asked for.
    pub notices: Vec<Notice>,
    marks: Marks,
    ready: VecDeque<Piece>,
    /// By the numbers of the ranges.
    handed: Vec<Handed>,
    /// Of each table, ranges that have not been handed over whole.
    unsent: Vec<usize>,
    tracker: Option<Tracker>,
    pub rows: Arc<AtomicU64>,
    board: SnapshotBoard,
    /// It failed because a reader lost its connection.
    pub connection_lost: bool,
}

impl Snapshot {
    /// Connects the readers, sets the snapshot on each, and only then returns: the exporting connection is free after that.
    pub fn start(
        mut tables: Vec<SnapshotTable>,
        point: &SnapshotPoint,
        config: &ConnectConfig,
        threads: usize,
        division: Division,
        before_read: &[String],
        mut tracker: Option<Tracker>,
    ) -> Result<Snapshot, TaskError> {
        tables.retain(|table| {
            let without = table.query.as_deref() == Some("");
            if without {
                tracing::warn!(table = %table.name, "its snapshot query is empty: the snapshot leaves it out");
            }
            !without
        });
        let tables = Arc::new(tables);
        let ranges = ranges(&tables, threads, division);
        let mut ranges_left = vec![0; tables.len()];
        for range in &ranges {
            ranges_left[range.table] += 1;
        }
        let threads = threads.clamp(1, ranges.len().max(1));
        let mut connections = Vec::with_capacity(threads);
        for _ in 0..threads {
            connections.push(reader(config, point, before_read).map_err(|e| failed("connecting", e))?);
        }
        if let (Some(tracker), Some(connection)) = (&mut tracker, connections.first_mut()) {
            tracker.reads_from(oldest_unseen(connection).map_err(|e| failed("reading its extent", e))?);
        }
        let handed = ranges.iter().map(|r| Handed { table: r.table, stretch: r.stretch, waiting: 0, read: false });
        let handed = handed.collect();
        let (sender, messages) = sync_channel(2);
        let recycled = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let rows = Arc::new(AtomicU64::new(0));
        let ranges_left_total = ranges.len();
        let queue = Arc::new(Mutex::new(VecDeque::from(ranges)));
        let handles = connections
            .into_iter()
            .enumerate()
            .map(|(i, connection)| {
                let worker = Reader {
                    tables: tables.clone(),
                    queue: queue.clone(),
                    sender: sender.clone(),
                    recycled: recycled.clone(),
                    stop: stop.clone(),
                    rows: rows.clone(),
                    point: point.clone(),
                };
                let cancel = connection.cancel_token();
                Ok((cancel, threads::spawn(format!("snapshot-{i}"), move || worker.run(connection))?))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e: std::io::Error| {
                TaskError::transient(CONNECT_EXCEPTION, format!("Starting a snapshot thread failed: {e}"))
            })?;
        Ok(Snapshot {
            marks: Marks { in_order: threads == 1, ..Marks::default() },
            messages,
            recycled,
            stop,
            threads: handles,
            ranges: ranges_left.clone(),
            unsent: ranges_left.clone(),
            handed,
            tracker,
            ranges_left,
            ranges_left_total,
            ranges_done: Vec::new(),
            rows_read: vec![None; tables.len()],
            tables,
            notices: Vec::new(),
            ready: VecDeque::new(),
            rows,
            board: SnapshotBoard::default(),
            connection_lost: false,
        })
    }

    /// The next batch in place of `batch`, which is empty; `false`: nothing within the wait. After the last batch
    /// [`Snapshot::is_finished`].
    pub fn next(&mut self, batch: &mut ChangeBatch, wait: Duration) -> Result<bool, TaskError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                self.hand_over(next.range, next.up_to);
                let empty = std::mem::replace(batch, next.batch);
                let mut recycled = self.recycled.lock().unwrap_or_else(|e| e.into_inner());
                if recycled.len() < 4 {
                    recycled.push(empty);
                }
                return Ok(true);
            }
            if self.ranges_left_total == 0 {
                return Ok(false);
            }
            match self.messages.recv_timeout(wait) {
                Ok(Message::RangeBegins { table }) => {
                    if self.rows_read[table].is_none() {
                        self.rows_read[table] = Some(0);
                        self.board.rows(table, 0);
                        self.notices.push(Notice::TableBegins(self.tables[table].name.clone()));
                    }
                }
                Ok(Message::Rows(piece)) => {
                    *self.rows_read[piece.table].get_or_insert(0) += piece.batch.changes.len() as u64;
                    self.handed[piece.range].waiting += 1;
                    self.board.rows(piece.table, piece.batch.changes.len() as u64);
                    self.ready.extend(self.marks.rows(piece));
                }
                Ok(Message::RangeDone { range }) => {
                    let table = self.handed[range].table;
                    self.handed[range].read = true;
                    self.board.chunk_done(table);
                    self.settle(range);
                    self.ranges_left[table] -= 1;
                    self.ranges_left_total -= 1;
                    self.ranges_done.push(table);
                    if self.ranges_left[table] == 0 {
                        let rows = self.rows_read[table].unwrap_or_default();
                        self.notices.push(Notice::TableRead { table: self.tables[table].name.clone(), rows });
                        self.ready.extend(self.marks.table_done(table));
                    }
                    if self.ranges_left_total == 0 {
                        self.ready.extend(self.marks.end());
                    }
                }
                Ok(Message::Failed { table, error, connection_lost }) => {
                    self.connection_lost |= connection_lost;
                    // As in the original: only of what the server has refused.
                    if error.causes.iter().any(|(class, _)| *class == PSQL_EXCEPTION) {
                        self.notices.push(Notice::TableFailed(self.tables[table].name.clone()));
                    }
                    return Err(error);
                }
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TaskError::transient(
                        CONNECT_EXCEPTION,
                        "The snapshot's readers ended before its tables did",
                    ));
                }
            }
        }
    }

    /// The table of each piece that has been read since it was last asked for.
    pub fn take_chunks_read(&mut self) -> impl Iterator<Item = &str> {
        self.ranges_done.drain(..).map(|table| self.tables[table].name.as_str())
    }

    /// Of each table, the pieces in which it is read, and how many have been.
    pub fn chunks(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        let left = self.ranges.iter().zip(&self.ranges_left);
        self.tables.iter().zip(left).map(|(table, (all, left))| (table.name.as_str(), *all, all - left))
    }

    pub fn is_finished(&self) -> bool {
        self.ranges_left_total == 0 && self.ready.is_empty()
    }

    fn hand_over(&mut self, range: usize, up_to: Option<RowPlace>) {
        let Handed { table, stretch, waiting, .. } = &mut self.handed[range];
        *waiting -= 1;
        let (table, heap) = (&self.tables[*table].plan.relation, self.tables[*table].heap);
        if let (Some(tracker), Some((from, _)), Some(to), Some(heap)) = (&mut self.tracker, *stretch, up_to, heap) {
            tracker.sent(table.oid, heap.file, (from, to));
        }
        self.settle(range);
    }

    /// Notes a range that has been handed over whole.
    fn settle(&mut self, range: usize) {
        let Handed { table, stretch, waiting: 0, read: true } = self.handed[range] else { return };
        self.unsent[table] -= 1;
        let Some(tracker) = &mut self.tracker else { return };
        let (oid, heap) = (self.tables[table].plan.relation.oid, self.tables[table].heap);
        if self.unsent[table] == 0 {
            tracker.done(oid);
        } else if let Some((stretch, heap)) = stretch.zip(heap) {
            tracker.sent(oid, heap.file, stretch);
        }
    }

    /// Shows on the board what becomes of it.
    pub fn show_on(&mut self, board: &SnapshotBoard) {
        self.board = board.clone();
    }

    /// The tables that are read, for the board.
    pub fn on_board(&self) -> Vec<BoardTable> {
        let table = |(table, chunks): (&SnapshotTable, &usize)| BoardTable {
            name: table.name.clone(),
            rows_estimated: table.rows,
            chunks: *chunks,
            ..BoardTable::default()
        };
        self.tables.iter().zip(&self.ranges).map(table).collect()
    }

    /// What has been handed over, for the offset; `None`: nobody wants to know.
    pub fn account(&mut self) -> Option<&mut Tracker> {
        self.tracker.as_mut()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Readers that wait for room in the channel are let go by its end.
        let (_, closed) = sync_channel(0);
        drop(std::mem::replace(&mut self.messages, closed));
        for (cancel, thread) in self.threads.drain(..) {
            // One that waits for the server, such as for a lock, is told to give up. It may be between two statements.
            for _ in 0..20 {
                if wait_for_end(&thread, Duration::from_millis(50)) || cancel.cancel().is_err() {
                    break;
                }
            }
            // A server that does not answer does not hold the task: the thread ends with its connection.
            if wait_for_end(&thread, Duration::from_millis(200)) {
                let _ = thread.join();
            }
        }
    }
}

/// Into how many parts a table is divided where several threads read.
#[derive(Debug, Clone, Copy)]
pub struct Division {
    /// Four a thread, so that they end together, or `snapshot.max.threads.multiplier` if that is more.
    pub parts_max: usize,
    /// A part is no smaller.
    pub range_pages: u64,
}

fn ranges(tables: &[SnapshotTable], threads: usize, division: Division) -> Vec<Range> {
    let mut ranges = Vec::new();
    for (table, t) in tables.iter().enumerate() {
        let pages = t.pages.filter(|_| threads > 1);
        let mut add = |sql: String, stretch: Option<Stretch>, file: Option<u32>| {
            ranges.push(Range { number: ranges.len(), table, sql, stretch, file });
        };
        match &t.work {
            Work::All => {
                for stretch in divided(EVERYTHING, pages, division) {
                    add(rows_of(t, stretch), t.heap.map(|_| stretch), None);
                }
            }
            Work::Rest { left, changed, xmin } => {
                let file = t.heap.map(|heap| heap.file);
                for stretch in left.iter().flat_map(|left| divided(*left, pages, division)) {
                    add(rows_of(t, stretch), t.heap.map(|_| stretch), file);
                }
                for stretch in changed.iter().flat_map(|changed| divided(*changed, pages, division)) {
                    // Ids of 32 bits go round, and so may call an old row young: it comes once more then.
                    let since = format!(
                        "pg_catalog.age(xmin) <= pg_catalog.age('{}'::pg_catalog.xid)",
                        xmin & u64::from(u32::MAX)
                    );
                    let word = if where_clause(stretch).is_empty() { "WHERE" } else { "AND" };
                    add(format!("{}{} {word} {since}", t.select, where_clause(stretch)), None, file);
                }
            }
        }
    }
    ranges
}

const EVERYTHING: Stretch = (RowPlace::BEGIN, RowPlace::END);

/// A stretch in parts, where the table has so many pages that it is worth it.
fn divided((from, to): Stretch, pages: Option<u64>, division: Division) -> Vec<Stretch> {
    let Division { parts_max, range_pages } = division;
    let Some(pages) = pages.filter(|pages| *pages > range_pages) else { return vec![(from, to)] };
    let step = range_pages.max(pages.div_ceil(parts_max as u64));
    let end = u64::from(to.page).min(pages);
    let (mut parts, mut from) = (Vec::new(), from);
    while u64::from(from.page) + step < end {
        let next = RowPlace::page((u64::from(from.page) + step) as u32);
        parts.push((from, next));
        from = next;
    }
    // The last one is as open as the whole: the table may have grown since its pages were counted.
    parts.push((from, to));
    parts
}

fn rows_of(table: &SnapshotTable, stretch: Stretch) -> String {
    let clause = where_clause(stretch);
    if table.heap.is_none() {
        return format!("{}{clause}", table.select);
    }
    let (list, from) = table.select.split_at(table.list_end);
    format!("{list}, ctid{from}{clause}")
}

fn where_clause((from, to): Stretch) -> String {
    let place = |place: RowPlace| format!("'({},{})'::pg_catalog.tid", place.page, place.item);
    match (from > RowPlace::BEGIN, to < RowPlace::END) {
        (false, false) => String::new(),
        (true, false) => format!(" WHERE ctid >= {}", place(from)),
        (false, true) => format!(" WHERE ctid < {}", place(to)),
        (true, true) => format!(" WHERE ctid >= {} AND ctid < {}", place(from), place(to)),
    }
}

/// The oldest transaction that the session's snapshot does not see whole.
fn oldest_unseen(connection: &mut Connection) -> Result<u64, PgError> {
    let row = connection.query_one("SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())")?;
    Ok(number(&row, 0))
}

fn wait_for_end(thread: &std::thread::JoinHandle<()>, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while !thread.is_finished() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    thread.is_finished()
}

fn reader(config: &ConnectConfig, point: &SnapshotPoint, before_read: &[String]) -> Result<Connection, PgError> {
    let mut connection = Connection::connect(config)?;
    // Rows come in heap order also from tables larger than a quarter of the shared buffers.
    connection.batch_execute("SET synchronize_seqscans = off")?;
    match &point.exported {
        Some(name) => connection.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(name)
        ))?,
        None => connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?,
    }
    for sql in before_read {
        connection.batch_execute(sql)?;
    }
    fault::point("snapshot.reader");
    Ok(connection)
}

fn failed(what: &str, e: PgError) -> TaskError {
    let error = if e.is_transient() {
        TaskError::transient(CONNECT_EXCEPTION, format!("Snapshot: {what} failed"))
    } else {
        TaskError::definite(CONNECT_EXCEPTION, format!("Snapshot: {what} failed"))
    };
    error.caused_by(PSQL_EXCEPTION, java_message(&e))
}

/// The original's words when a table cannot be read.
pub(crate) fn table_failed(table: &SnapshotTable, e: PgError) -> TaskError {
    let own_query = table.query.is_some();
    let table = &table.name;
    let hint = match e.code() {
        _ if own_query => Some(format!("mend snapshot.select.statement.overrides.{table}")),
        Some("42501") if e.server().is_some_and(|e| e.message.contains("row-level security")) => Some(format!(
            "rows that a policy hides would be left out: ALTER ROLE … BYPASSRLS, or leave {table} out of table.include.list"
        )),
        Some("42501") => Some(format!(
            "GRANT SELECT ON {table} TO the connector's role, or leave the table out of table.include.list"
        )),
        _ => unreadable_row_hint(&e).map(str::to_owned),
    };
    let failed = format!("{CONNECT_EXCEPTION}: Snapshotting of table {table} failed");
    let execution = "java.util.concurrent.ExecutionException";
    // A table or column that went away since the catalog was read: the next start sees it.
    let changed = !own_query && matches!(e.code(), Some("42P01" | "42703" | "3F000"));
    let error = if e.is_transient() || changed {
        TaskError::transient(CONNECT_EXCEPTION, PRODUCER_FAILED)
    } else {
        TaskError::definite(CONNECT_EXCEPTION, PRODUCER_FAILED)
    }
    .caused_by(walspring_connect::DEBEZIUM_EXCEPTION, format!("{execution}: {failed}"))
    .caused_by(execution, failed)
    .caused_by(CONNECT_EXCEPTION, format!("Snapshotting of table {table} failed"))
    .caused_by(PSQL_EXCEPTION, java_message(&e));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

struct Reader {
    tables: Arc<Vec<SnapshotTable>>,
    queue: Arc<Mutex<VecDeque<Range>>>,
    sender: SyncSender<Message>,
    recycled: Arc<Mutex<Vec<ChangeBatch>>>,
    stop: Arc<AtomicBool>,
    rows: Arc<AtomicU64>,
    point: SnapshotPoint,
}

impl Reader {
    fn run(self, mut connection: Connection) {
        loop {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let next = self.queue.lock().unwrap_or_else(|e| e.into_inner()).pop_front();
            let Some(range) = next else { break };
            if self.sender.send(Message::RangeBegins { table: range.table }).is_err() {
                return;
            }
            fault::point("snapshot.range");
            match self.read(&mut connection, &range) {
                Ok(true) => {
                    fault::point("snapshot.range_read");
                    if self.sender.send(Message::RangeDone { range: range.number }).is_err() {
                        return;
                    }
                }
                Ok(false) => return,
                Err(error) => {
                    let connection_lost = error.is_transient() && !connection.is_usable();
                    let _ = self.sender.send(Message::Failed { table: range.table, error, connection_lost });
                    return;
                }
            }
        }
        let _ = connection.batch_execute("COMMIT");
    }

    /// Reads one range; `false`: nobody wants it any more.
    fn read(&self, connection: &mut Connection, range: &Range) -> Result<bool, TaskError> {
        let table = &self.tables[range.table];
        let columns = table.plan.relation.columns.len();
        let error = |e| table_failed(table, e);
        if let Some(file) = range.file {
            self.check_file(connection, table, file)?;
        }
        let (sql, read) = match &table.query {
            None => (range.sql.clone(), table.read.clone()),
            Some(query) => snapshot_query::with_columns_of(table, query, connection)?,
        };
        let short = snapshot_query::is_short(&table.plan, &read);
        let mut copy = connection.copy_out(&format!("COPY ({sql}) TO STDOUT")).map_err(error)?;
        let mut batch = self.empty(&table.plan);
        let mut seen_us = now_us();
        let mut rows = 0u64;
        let mut places = range.stretch.map(|_| Places::default());
        // PostgreSQL sends a row a message.
        while let Some(line) = copy.next_row().map_err(error)? {
            if short {
                return Err(snapshot_query::row_too_short(table));
            }
            rows += 1;
            if rows & 63 == 0 {
                seen_us = now_us();
                if self.stop.load(Ordering::Acquire) {
                    return Ok(false);
                }
            }
            let (base, large) = (batch.bytes.len(), table.limit.concerns(line.len()));
            let new = copy_text::append_row(line, columns + usize::from(places.is_some()), &mut batch)
                .map_err(|e| TaskError::transient(CONNECT_EXCEPTION, format!("Snapshot of {}: {e}", table.name)))?;
            if let Some(places) = &mut places {
                places.take(&mut batch);
            }
            if large {
                let place = || ", in the snapshot".to_owned();
                let cells = Cells { base, old: None, first: new as usize, last: batch.cells.len() };
                let limited = table.limit.apply(&mut batch, &table.plan, &cells, &place)?;
                if limited.take_off_skipped(&mut batch, &cells) {
                    continue;
                }
                limited.put_placeholders(&mut batch);
            }
            batch.changes.push(Change {
                kind: ChangeKind::Read,
                old_row: OldRow::None,
                snapshot: SnapshotMark::True,
                plan: 0,
                transaction: 0,
                new,
                old: 0,
                change_lsn: self.point.lsn,
                seen_us,
                order: TransactionOrder::default(),
            });
            if batch.bytes.len() >= BATCH_BYTES || batch.changes.len() >= BATCH_ROWS {
                batch.transactions[0].commit_us = seen_us;
                let up_to = places.as_ref().and_then(Places::up_to);
                if !self.send(range, std::mem::replace(&mut batch, self.empty(&table.plan)), up_to) {
                    return Ok(false);
                }
            }
        }
        drop(copy);
        if rows == 0 && table.query.is_none() {
            self.check_emptiness(connection, table)?;
        }
        batch.transactions[0].commit_us = seen_us;
        Ok(batch.changes.is_empty() || self.send(range, batch, places.as_ref().and_then(Places::up_to)))
    }

    fn send(&self, range: &Range, batch: ChangeBatch, up_to: Option<RowPlace>) -> bool {
        fault::point("snapshot.rows");
        self.rows.fetch_add(batch.changes.len() as u64, Ordering::Relaxed);
        let piece = Piece { range: range.number, table: range.table, batch, up_to };
        self.sender.send(Message::Rows(piece)).is_ok()
    }

    /// Places of before hold only in the file that they are of.
    fn check_file(&self, connection: &mut Connection, table: &SnapshotTable, file: u32) -> Result<(), TaskError> {
        // From here on nobody can rewrite it.
        let locked = connection.query(&format!("{} LIMIT 0", table.select));
        let now = locked.and_then(|_| Heap::file_now(connection, table.plan.relation.oid));
        if now.map_err(|e| table_failed(table, e))? == file {
            return Ok(());
        }
        let why = format!("Snapshot: {} was rewritten while its reading was readied; it is read again", table.name);
        Err(TaskError::transient(CONNECT_EXCEPTION, why))
    }

    /// A table that was rewritten by ALTER TABLE since the point, or truncated, shows no row to older snapshots; and the
    /// stream has none of those that ALTER TABLE wrote.
    fn check_emptiness(&self, connection: &mut Connection, table: &SnapshotTable) -> Result<(), TaskError> {
        // The row is as of the point, the function tells of now.
        let sql = format!(
            "SELECT 1 FROM pg_catalog.pg_class WHERE oid = {} AND relkind = 'r' \
             AND relfilenode <> pg_catalog.pg_relation_filenode(oid)",
            table.plan.relation.oid
        );
        if connection.query(&sql).map_err(|e| table_failed(table, e))?.is_empty() {
            return Ok(());
        }
        let table_name = &table.name;
        if table.heap.is_none() {
            tracing::warn!(
                table = %table_name,
                "it was rewritten or truncated since the snapshot's point: rows that it had then are not in the snapshot"
            );
            return Ok(());
        }
        let why = "was rewritten or truncated before its turn came; what is left is read as of a later point";
        Err(TaskError::transient(CONNECT_EXCEPTION, format!("Snapshot: {table_name} {why}")))
    }

    fn empty(&self, plan: &Arc<RecordPlan>) -> ChangeBatch {
        let recycled = self.recycled.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut batch = recycled.unwrap_or_default();
        batch.clear(2 * BATCH_BYTES);
        batch.plans.push(plan.clone());
        batch.transactions.push(Transaction {
            xid: Some(self.point.xid),
            commit_us: now_us(),
            last_commit_lsn: self.point.last_commit,
            has_lsn: true,
            xmin: self.point.xmin,
            origin: None,
            origin_lsn: None,
        });
        batch
    }
}

/// Where rows stand, which the last column of each says.
#[derive(Debug, Default)]
struct Places {
    last: Option<RowPlace>,
    /// They did not come in the order of the file: no place says what has been read.
    disordered: bool,
}

impl Places {
    /// Takes the last column off the row that was added last.
    fn take(&mut self, batch: &mut ChangeBatch) {
        let Some(span) = batch.cells.pop().and_then(|cell| cell.span()) else { return };
        let place = RowPlace::parse(&batch.bytes[span.clone()]);
        batch.bytes.truncate(span.start);
        self.disordered |= place.is_none() || place <= self.last;
        self.last = place;
    }

    fn up_to(&self) -> Option<RowPlace> {
        self.last.filter(|_| !self.disordered).map(RowPlace::next)
    }
}

/// Microseconds since 1970.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// Puts `first` and `last` where the original has them: it knows that a row is the last only when no other follows, so the
/// newest batch of each table is held back until something follows it.
#[derive(Debug, Default)]
struct Marks {
    /// One reader: `first` then means the first row of the first table, else the first row that comes.
    in_order: bool,
    started: Vec<usize>,
    any: bool,
    held: HashMap<usize, Piece>,
    candidate: Option<Piece>,
}

impl Marks {
    fn rows(&mut self, mut piece: Piece) -> Vec<Piece> {
        let table = piece.table;
        if !self.started.contains(&table) {
            self.started.push(table);
            let first = if self.in_order { table == 0 } else { !self.any };
            if let Some(change) = piece.batch.changes.first_mut() {
                change.snapshot = if first { SnapshotMark::First } else { SnapshotMark::FirstInDataCollection };
            }
        }
        self.any = true;
        let mut out = Vec::from_iter(self.candidate.take());
        out.extend(self.held.insert(table, piece));
        out
    }

    fn table_done(&mut self, table: usize) -> Vec<Piece> {
        let Some(mut piece) = self.held.remove(&table) else { return Vec::new() };
        if let Some(last) = piece.batch.changes.last_mut().filter(|c| c.snapshot != SnapshotMark::First) {
            last.snapshot = SnapshotMark::LastInDataCollection;
        }
        Vec::from_iter(self.candidate.replace(piece))
    }

    fn end(&mut self) -> Option<Piece> {
        let mut piece = self.candidate.take()?;
        if let Some(last) = piece.batch.changes.last_mut() {
            last.snapshot = SnapshotMark::Last;
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(table: usize, rows: usize) -> Piece {
        let change = Change {
            kind: ChangeKind::Read,
            old_row: OldRow::None,
            snapshot: SnapshotMark::True,
            plan: 0,
            transaction: 0,
            new: 0,
            old: 0,
            change_lsn: Lsn(1),
            seen_us: 0,
            order: TransactionOrder::default(),
        };
        let batch = ChangeBatch { changes: vec![change; rows], ..ChangeBatch::default() };
        Piece { table, batch, ..Piece::default() }
    }

    /// `None`: the table is done.
    fn marks(in_order: bool, steps: &[(usize, Option<usize>)]) -> Vec<&'static str> {
        let mut marks = Marks { in_order, ..Marks::default() };
        let mut out = Vec::new();
        for &(table, rows) in steps {
            out.extend(match rows {
                Some(rows) => marks.rows(piece(table, rows)),
                None => marks.table_done(table),
            });
        }
        out.extend(marks.end());
        out.iter().flat_map(|p| p.batch.changes.iter().map(|c| c.snapshot.as_str())).collect()
    }

    #[test]
    fn first_and_last_fall_where_the_original_puts_them() {
        assert_eq!(marks(true, &[(0, Some(1)), (0, None)]), ["last"]);
        assert_eq!(marks(true, &[(0, Some(2)), (0, None)]), ["first", "last"]);
        assert_eq!(marks(true, &[(0, Some(2)), (0, Some(1)), (0, None)]), ["first", "true", "last"]);
        assert_eq!(marks(true, &[(0, Some(1)), (0, None), (1, Some(1)), (1, None)]), ["first", "last"]);
        // Empty tables first, between and last.
        assert_eq!(
            marks(true, &[(0, None), (1, Some(2)), (1, None), (2, None), (3, Some(3)), (3, None), (4, None)]),
            ["first_in_data_collection", "last_in_data_collection", "first_in_data_collection", "true", "last"]
        );
        assert_eq!(marks(true, &[(0, None)]), [""; 0]);
        // Side by side.
        assert_eq!(
            marks(false, &[(1, Some(1)), (0, Some(2)), (1, Some(1)), (0, None), (1, None)]),
            ["first", "first_in_data_collection", "last_in_data_collection", "last"]
        );
    }
}
